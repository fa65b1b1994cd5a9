#!/usr/bin/env python3
"""The engine's speed beside llama.cpp's, from a fresh machine on: `benches/generate.rs` says what is measured.

    PROOFMARK_ACCEPT_LICENSE=gemma python3 benches/peers/speed.py [--rounds 3] [--check]

wants a Rust toolchain, a C++ compiler and Python 3 with pip and venv (Debian: build-essential python3-venv), and fetches
the rest: the default models, llama.cpp's source as the package llama-cpp-python bundles it, and cmake. llama.cpp is
built for this very CPU. Everything lands in `target/peers/`, or the folder that `--folder` names, and is used again.

`--check` ends with 1 where the engine is below a floor. `--build` only builds, and prints the folder of the tools for
`PROOFMARK_PEERS`.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSION = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
TOOLS = ["cmake==4.4.5", "ninja==1.13.2"]
TARGETS = ["llama-bench", "llama-batched-bench", "llama-quantize"]
OPTIONS = """
    -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF
""".split()


# GCC's `_tile_loadconfig` names eight bytes of the configuration to the compiler, which leaves out the others: with AMX,
# llama.cpp ends in a segmentation fault unless all of them are said to be used.
REPAIRED = "ggml/src/ggml-cpu/amx/mmq.cpp"
LOADED = "    _tile_loadconfig(&tc);\n"
USED = '    __asm__ volatile("" : "+m"(tc));\n'


def run(*command, **options):
    print("+", *command, file=sys.stderr)
    subprocess.run([str(it) for it in command], check=True, **options)


def virtual_environment(folder, packages):
    """A Python with these packages."""
    python = folder / "bin/python"
    wanted = "\n".join(packages)
    done = folder / "packages.txt"
    if not done.exists() or done.read_text() != wanted:
        run(sys.executable, "-m", "venv", folder)
        run(python, "-m", "pip", "install", "--quiet", *packages)
        done.write_text(wanted)
    return python


def build(folder):
    """Builds llama.cpp's tools, and gives their folder."""
    tools = folder / f"llama-cpp-python-{VERSION}/bin"
    if all((tools / it).exists() for it in TARGETS):
        return tools
    folder.mkdir(parents=True, exist_ok=True)
    python = virtual_environment(folder / "cmake", TOOLS)
    source = folder / f"llama_cpp_python-{VERSION}"
    archive = folder / f"{source.name}.tar.gz"
    if not archive.exists():
        wanted = folder / "llama-cpp-python.txt"
        wanted.write_text(f"llama-cpp-python=={VERSION} --hash=sha256:{SHA256}\n")
        # Not `:all:`, which would build what pip looks at the package with, cmake among it, from source too.
        only = ["--no-deps", "--no-binary", "llama-cpp-python", "--require-hashes"]
        run(python, "-m", "pip", "download", "--quiet", *only, "--requirement", wanted, "--dest", folder)
    run("tar", "-xzf", archive, "-C", folder)
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    llama = source / "vendor/llama.cpp"
    repaired = llama / REPAIRED
    if USED not in (text := repaired.read_text()):
        repaired.write_text(text.replace(LOADED, USED + LOADED))
    run("cmake", "-G", "Ninja", "-S", llama, "-B", tools.parent, *OPTIONS, env=environment, stdout=sys.stderr)
    run("cmake", "--build", tools.parent, "--target", *TARGETS, env=environment, stdout=sys.stderr)
    return tools


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "target/peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--build", action="store_true")
    arguments = parser.parse_args()
    tools = build(arguments.folder.resolve())
    if arguments.build:
        print(tools)
        return
    run("cargo", "xtask", "fetch", "smollm2-135m", "gemma-3-270m", cwd=ROOT, stdout=sys.stderr)
    # With the optimisation that `cargo test` runs models with.
    bench = ["cargo", "bench", "--profile", "dev", "--bench", "generate", "--", "--rounds", arguments.rounds]
    bench += ["--check"] if arguments.check else []
    print("+", *bench, file=sys.stderr)
    environment = {**os.environ, "PROOFMARK_PEERS": str(tools)}
    sys.exit(subprocess.run([str(it) for it in bench], cwd=ROOT, env=environment).returncode != 0)


if __name__ == "__main__":
    main()

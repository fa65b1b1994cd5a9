#!/usr/bin/env python3
"""Whole evaluations beside lm-evaluation-harness: the same prompts, the same weights, one machine, in turns.

    python3 benches/peers/evaluations.py [--rounds 3] [--check]

asks SmolLM2-135M-Instruct, through its chat template, 100 items of each of

- `words`: word problems, up to 64 new tokens;
- `examples`: the same after five worked examples, which all prompts share;
- `choices`: questions with four answers, by likelihood.

Ours is `cargo test --test quality` on cases that are written for the purpose, as any user would run it; start-up is what
that takes for a single token. lm-evaluation-harness gets the weights dequantised once to safetensors, each of the dtypes and batch
sizes below, and the best of them counts; its evaluation begins with the model loaded. The floors stand in `FLOORS`.

It wants a Rust toolchain and Python 3 with pip and venv, and fetches the rest to `target/peers/`, or `--folder`.
"""

import argparse
import json
import os
import random
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
PACKAGES = """lm-eval[hf]==0.4.13 transformers==5.24.0 torch==2.15.0 gguf==0.19.0 sentencepiece==0.2.3
protobuf==7.36.2 safetensors==0.8.0""".split()
MODEL = "smollm2-135m"
COUNT = 100
TOKENS = 64
# What lm-evaluation-harness is tried with: dtype and batch size.
WAYS = [("bfloat16", 100), ("bfloat16", 32), ("float32", 32)]
# Our evaluation by its best one, at most; and seconds of our start-up.
FLOORS = {"words": 1 / 2, "examples": 1 / 10, "choices": 1 / 2}
START = 1.0

NAMES = "Ann Ben Carla Dan Eva Finn Grace Hugo Iris Jon Kate Leo Mia Nils Olga Paul Rosa Sam Tina Uwe".split()
THINGS = "apples books coins eggs pens shells stamps tickets marbles cards".split()
CAPITALS = """Austria Vienna|Belgium Brussels|Bulgaria Sofia|Canada Ottawa|China Beijing|Cuba Havana|Denmark Copenhagen|Egypt Cairo
|England London|Finland Helsinki|France Paris|Germany Berlin|Greece Athens|Hungary Budapest|India Delhi|Iran Tehran|Iraq Baghdad
|Ireland Dublin|Italy Rome|Japan Tokyo|Kenya Nairobi|Norway Oslo|Peru Lima|Poland Warsaw|Portugal Lisbon|Russia Moscow|Spain Madrid
|Sweden Stockholm|Thailand Bangkok|Ukraine Kyiv"""
OPPOSITES = """hot cold|big small|fast slow|high low|light dark|old new|rich poor|hard soft|wet dry|early late|full empty|strong weak
|open closed|happy sad|loud quiet|near far|thick thin|clean dirty|deep shallow|sharp blunt"""
YOUNG = """cat kitten|dog puppy|cow calf|horse foal|sheep lamb|bear cub|duck duckling|hen chick|goat kid|pig piglet|frog tadpole
|kangaroo joey|goose gosling|swan cygnet|deer fawn"""


def word_problem(draw):
    """A question, its answer, and how it is found."""
    name, other = draw.sample(NAMES, 2)
    thing = draw.choice(THINGS)
    a, b, c = draw.randint(11, 20), draw.randint(2, 6), draw.randint(2, 5)
    return draw.choice(
        [
            (
                f"{name} has {a} {thing}. {other} gives {name} {b} more. How many {thing} does {name} have now?",
                a + b,
                f"{name} begins with {a} {thing}. With the {b} from {other} there are {a} + {b} = {a + b} {thing}.",
            ),
            (
                f"{name} has {a} {thing} and gives {b} of them to {other}. How many {thing} does {name} keep?",
                a - b,
                f"{name} begins with {a} {thing}. Without the {b} for {other} there are {a} - {b} = {a - b} {thing}.",
            ),
            (
                f"A box holds {b} {thing}. {name} buys {c} boxes. How many {thing} does {name} buy in all?",
                b * c,
                f"One box holds {b} {thing}. In {c} boxes there are {c} * {b} = {b * c} {thing}.",
            ),
            (
                f"{name} reads {b} pages on each of {c} days, and {a} pages on the day after. "
                f"How many pages does {name} read in all?",
                b * c + a,
                f"On {c} days {name} reads {c} * {b} = {b * c} pages. With the last day that is {b * c} + {a} = {b * c + a}.",
            ),
        ]
    )


def pairs(text):
    return [tuple(it.split()) for it in text.replace("\n", "").split("|")]


def items():
    """The tasks: their prompts, and what is right."""
    draw = random.Random(20260101)
    shown = [word_problem(draw) for _ in range(5)]
    examples = (
        "Solve each problem step by step. First say what is known, then calculate, one step after another, each with what "
        "the step before gave. Check that you used every single number of the problem. End with the sentence that gives the answer, "
        "and write nothing after it. Problems are about everyday things, such as books, pages and boxes, and each of them has one "
        "answer, a whole number, for which the four basic operations of arithmetic are enough, no more.\n\n"
    ) + "".join(
        f"Problem: {question}\nSolution: {way} The answer is {answer}.\n\n" for question, answer, way in shown
    )
    words, after, choices = [], [], []
    for _ in range(COUNT):
        question, answer, _ = word_problem(draw)
        words.append({"prompt": f"{question} Give the number.", "answer": str(answer)})
        after.append({"prompt": f"{examples}Problem: {question}\nSolution:", "answer": str(answer)})
    questions = [(f"What is the capital of {a}?", b, CAPITALS) for a, b in pairs(CAPITALS)]
    questions += [(f"What is the opposite of {a}?", b, OPPOSITES) for a, b in pairs(OPPOSITES)]
    questions += [(f"What is the opposite of {b}?", a, OPPOSITES) for a, b in pairs(OPPOSITES)]
    questions += [(f"What is a young {a} called?", b, YOUNG) for a, b in pairs(YOUNG)]
    questions += [(f"{b} is the capital of which country?", a, CAPITALS) for a, b in pairs(CAPITALS)]
    for question, right, of in draw.sample(questions, COUNT):
        side = next(index for index in (0, 1) if any(it[index] == right for it in pairs(of)))
        options = [right, *draw.sample([it[side] for it in pairs(of) if it[side] != right], 3)]
        draw.shuffle(options)
        prompt = f"{question} Answer with one word."
        choices.append({"prompt": prompt, "options": options, "answer": options.index(right)})
    return {"words": words, "examples": after, "choices": choices}


def write_cases(folder, suites):
    """Our side's input: a folder of cases for each task, and one for start-up. YAML reads JSON."""
    for task, asked in suites.items():
        cases = []
        for index, item in enumerate(asked):
            if "options" in item:
                options = dict(zip("ABCD", item["options"]))
                grade = {"choice": {"answer": "ABCD"[item["answer"]], "options": options, "by": "likelihood"}}
            else:
                grade = {"number": int(item["answer"])}
            cases.append({"id": f"item-{index}", "prompt": item["prompt"], "grade": grade})
        suite = {
            "version": 1,
            "description": f"The task {task}",
            "defaults": {"models": [MODEL], "threshold": 0, "limits": {"max_tokens": item.get("tokens", TOKENS)}},
            "cases": cases,
        }
        file = folder / f"cases-{task}/peers/{task}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(suite, indent=1))


def built():
    """The program behind `cargo test --test quality`."""
    command = ["cargo", "test", "--test", "quality", "--no-run", "--message-format", "json"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    messages = [json.loads(it) for it in lines]
    return next(it["executable"] for it in messages if it.get("executable") and it["target"]["name"] == "quality")


def ours(program, folder, task):
    """Seconds, score and what the model read and wrote, of a run with nothing stored before."""
    store = folder / f"{task}.db"
    for file in folder.glob(f"{task}.db*"):
        file.unlink()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PROOFMARK_")},
        **{name: os.environ[name] for name in ("PROOFMARK_CACHE",) if name in os.environ},
        "PROOFMARK_CASES": str(folder / f"cases-{task}"),
        "PROOFMARK_GOLDEN": str(folder / f"golden-{task}"),
        "PROOFMARK_STORE": str(store),
        "CI": "true",
    }
    begin = time.monotonic()
    done = subprocess.run([program], cwd=ROOT, env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - begin
    if done.returncode != 0:
        sys.exit(f"our run of {task} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    with sqlite3.connect(store) as database:
        rows = database.execute("select name, score, prompt, response from trial order by position").fetchall()
        peak = database.execute("select max(peak_bytes) from model").fetchone()[0]
    assert all(score is not None for _, score, *_ in rows), "every answer was scored"
    prompts = [prompt for _, _, prompt, _ in rows]
    return {"seconds": seconds, "score": statistics.mean(it[1] for it in rows), "prompts": prompts, "peak": peak}


TASK = """
task: {task}
dataset_path: json
dataset_kwargs:
  data_files: {{ test: {data} }}
test_split: test
doc_to_text: "{{{{prompt}}}}"
"""
GENERATE = f"""
output_type: generate_until
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{ max_gen_toks: {TOKENS}, do_sample: false, until: ["<|im_end|>"] }}
filter_list:
  - name: last
    filter:
      - {{ function: regex, regex_pattern: "(-?[0-9]+)", group_select: -1 }}
      - {{ function: take_first }}
metric_list:
  - {{ metric: exact_match, aggregation: mean, higher_is_better: true }}
"""
CHOOSE = """
output_type: multiple_choice
doc_to_choice: "{{options}}"
doc_to_target: "{{answer}}"
metric_list:
  - { metric: acc, aggregation: mean, higher_is_better: true }
"""


def write_tasks(folder, suites):
    """The same for lm-evaluation-harness."""
    tasks = folder / "tasks"
    tasks.mkdir(parents=True, exist_ok=True)
    for task, asked in suites.items():
        data = tasks / f"{task}.jsonl"
        data.write_text("".join(json.dumps(it) + "\n" for it in asked))
        kind = CHOOSE if "options" in asked[0] else GENERATE
        (tasks / f"{task}.yaml").write_text(TASK.format(task=f"peers_{task}", data=data) + kind)


def convert(source, folder):
    """Dequantises the weights: runs in the virtual environment."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = Path(source)
    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    # It is refused to save what was read from a quantized file, though these weights no longer are.
    model.hf_quantizer = None
    del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)


def theirs(begin, folder, model, dtype, batch):
    """Evaluates in the virtual environment, in a process that began at `begin`, and prints JSON."""
    import lm_eval
    import torch
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    threads = torch.get_num_threads()
    loaded = HFLM(pretrained=model, dtype=dtype, device="cpu", batch_size=int(batch))
    found = {"start": time.time() - float(begin), "threads": threads, "tasks": {}}
    manager = TaskManager(include_path=str(Path(folder) / "tasks"), include_defaults=False)
    for task in FLOORS:
        begin = time.monotonic()
        results = lm_eval.simple_evaluate(
            model=loaded,
            tasks=[f"peers_{task}"],
            task_manager=manager,
            apply_chat_template=True,
            bootstrap_iters=0,
            log_samples=True,
        )
        seconds = time.monotonic() - begin
        metrics = results["results"][f"peers_{task}"]
        score = next(value for name, value in metrics.items() if name.split(",")[0] in ("exact_match", "acc"))
        samples = sorted(results["samples"][f"peers_{task}"], key=lambda it: it["doc_id"])
        prompts = [it["arguments"][0][0] for it in samples]
        found["tasks"][task] = {"seconds": seconds, "score": score, "prompts": prompts}
    ids = [loaded.tok_encode(it) for it in found["tasks"]["examples"]["prompts"][:2]]
    found["shared"] = next(index for index, (a, b) in enumerate(zip(*ids)) if a != b)
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(found))


def table(own, other, starts):
    """Prints what was found; gives whether all floors are kept."""
    best = {
        task: min(other, key=lambda way: statistics.median(it["tasks"][task]["seconds"] for it in other[way]))
        for task in FLOORS
    }
    start = statistics.median(starts)
    print("| task     | lm-evaluation-harness   | seconds | score | ours, s | score | ratio | wanted |")
    print("|----------|-------------------------|--------:|------:|--------:|------:|------:|-------:|")
    well = start < START
    for task, floor in FLOORS.items():
        # Start-up is told apart, for both.
        mine = statistics.median(it["seconds"] for it in own[task]) - start
        score = own[task][0]["score"]
        for way in other:
            runs = [it["tasks"][task] for it in other[way]]
            seconds = statistics.median(it["seconds"] for it in runs)
            counts = way == best[task]
            ratio = f"1/{seconds / mine:.1f}" if counts else ""
            wanted = f"1/{1 / floor:.0f}" if counts else ""
            bad = counts and mine > floor * seconds
            well &= not bad
            left = f"{mine:7.2f} | {score:5.2f}" if counts else f"{'':7} | {'':5}"
            print(
                f"| {task:8} | {f'{way[0]}, batch {way[1]}':23} | {seconds:7.1f} | {runs[0]['score']:5.2f} | {left} "
                f"| {ratio:>5} | {wanted:>6} |{' below' if bad else ''}"
            )
    theirs_start = statistics.median(it["start"] for runs in other.values() for it in runs)
    first = next(iter(other.values()))[0]
    print(f"\nstart-up: theirs {theirs_start:.1f} s, ours {start:.2f} s, wanted below {START:.0f} s")
    peak = max(it["peak"] for runs in own.values() for it in runs)
    their_peak = max(it["peak"] for runs in other.values() for it in runs)
    print(f"peak memory: theirs {their_peak / 1e6:.0f} MB, ours {peak / 1e6:.0f} MB")
    print(f"{first['shared']} tokens of `examples` are shared; theirs computes with {first['threads']} threads")
    return well


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "target/peers")
    parser.add_argument("--python", type=Path, help="a Python that has the packages, instead of a new environment")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    from speed import run, virtual_environment

    folder = arguments.folder.resolve()
    python = arguments.python or virtual_environment(folder / "lm-eval", PACKAGES)
    run("cargo", "xtask", "fetch", MODEL, cwd=ROOT, stdout=sys.stderr)
    lock = json.loads(subprocess.run([python, "-c", LOCK, ROOT / "models.lock"], check=True, capture_output=True).stdout)
    file = lock["models"][MODEL]["files"][0]
    cache = os.environ.get("PROOFMARK_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "proofmark"
    source = Path(cache) / "files" / file["sha256"] / file["name"]
    # Neither asks a hub for anything.
    environment = {**os.environ, "HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    model = folder / f"{MODEL}-f32"
    if not (model / "config.json").exists():
        unfinished = folder / f"{MODEL}-unfinished"
        run(python, __file__, "convert", source, unfinished, env=environment, stdout=sys.stderr)
        unfinished.rename(model)

    suites = items()
    runs = folder / "lm-eval-runs"
    shutil.rmtree(runs, ignore_errors=True)
    write_tasks(runs, suites)
    start = {"start": [{"prompt": "Hi", "answer": "1", "tokens": 1}]}
    write_cases(runs, {**suites, **start})
    program = built()
    own, other, starts = {task: [] for task in FLOORS}, {way: [] for way in WAYS}, []
    for _ in range(arguments.rounds):
        for way in WAYS:
            for task in FLOORS:
                own[task].append(ours(program, runs, task))
            starts.append(ours(program, runs, "start")["seconds"])
            print("+ lm-evaluation-harness:", *way, file=sys.stderr)
            command = [python, __file__, "theirs", str(time.time()), runs, model, *way]
            printed = subprocess.run([str(it) for it in command], env=environment, check=True, stdout=subprocess.PIPE)
            other[way].append(json.loads(printed.stdout.splitlines()[-1]))
    for task in FLOORS:
        # The comparison is of the same work only if both read the same.
        prompts = next(iter(other.values()))[0]["tasks"][task]["prompts"]
        different = [pair for pair in zip(own[task][0]["prompts"], prompts, strict=True) if pair[0] != pair[1]]
        if different:
            sys.exit(f"{task}: {len(different)} prompts differ, the first:\n{different[0][0]!r}\n{different[0][1]!r}")
    if not table(own, other, starts) and arguments.check:
        sys.exit(1)


# models.lock is YAML, which lm-evaluation-harness has a reader of.
LOCK = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"

if __name__ == "__main__":
    match sys.argv[1:2]:
        case ["convert"]:
            convert(*sys.argv[2:])
        case ["theirs"]:
            theirs(*sys.argv[2:])
        case _:
            main()

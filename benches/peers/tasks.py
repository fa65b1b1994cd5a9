#!/usr/bin/env python3
"""What lm-evaluation-harness makes of the task files under `tests/fixtures/tasks`, for the tests of data sets.

    python -m venv venv && . venv/bin/activate && pip install lm-eval[hf]==0.4.13
    python benches/peers/tasks.py

writes `expected.json` beside them: for each document of each task the requests, made-up responses to them, and what
each filter and metric makes of these; and what Python draws and writes, for the same tests.
"""

import hashlib
import json
import os
import random
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests/fixtures/tasks"
TEXTS = [
    "",
    " 92",
    "It is $1,234.50.",
    "So 3 + 4 = 7\n#### 7",
    "#### 1,000. The end",
    "Red",
    " one \n",
    "(B) iron",
    "a",
]
PATTERNS = [
    (r"#### (\-?[0-9\.\,]+)", "#### 1 and #### -2,5."),
    (r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "He pays $12.50 for 3 of 10"),
    (r"\.$", "The end.\n"),
    (r"x*", "axxb"),
    (r"(?<=a)b+(?!c)", "abb abc bb"),
    (r"[]a-]+", "a]-b"),
    (r"[[(]\w[])]", "(a) [b] {c}"),
    (r"a{,2}b", "aaab"),
    (r"(?i)the answer is\s+(\S+)", "The Answer is  B. the answer is C"),
    (r"b\Z", "b\nb"),
    (r"(?m)^\w$", "a\nb\ncc"),
]
LITERALS = [
    "['a', \"b'c\", 'd\\n\\x41\\u00e9']",
    "[1, -2.5, True, None, (1, 2), {'a': [1]}]",
    "('x')",
    "'a' 'b'",
    "[]",
    "{'k': 'v', 'w': 0}",
    "[r'\\d', '''x\ny''']",
]
VALUES = ["it's", 'say "it\'s"', "tab\t\u00a0nb\u200bzw é 😀", 1.0, 1e16, 1e-5, 0.1, -3, None, True, [1, "a", [None]], {"a": "b", "c": 1.5}]


def likelihood(context, continuation):
    """One that depends on nothing but the texts."""
    digest = hashlib.sha256(f"{context}\0{continuation}".encode()).digest()
    return -(int.from_bytes(digest[:2], "big") % 4000) / 64 - 0.5, digest[2] % 4 == 0


def told(value):
    """A number as JSON has it; what is no number as a list of its parts."""
    if isinstance(value, tuple):
        return [told(it) for it in value]
    if hasattr(value, "tolist"):
        return told(value.tolist())
    return value


def documents(task):
    task.set_fewshot_seed(1234)
    if task.config.num_fewshot is None:
        task.set_config("num_fewshot", 0)
    task.build_all_requests(limit=None, rank=0, world_size=1)
    grouped = {}
    for instance in task.instances:
        grouped.setdefault(instance.doc_id, []).append(instance)
    found = []
    for number, instances in grouped.items():
        document = {"requests": []}
        for instance in instances:
            if task.OUTPUT_TYPE == "generate_until":
                context, settings = instance.args
                document["requests"].append([context])
                document["settings"] = {"until": settings["until"], "max_gen_toks": settings.get("max_gen_toks", 256)}
            elif task.OUTPUT_TYPE == "loglikelihood_rolling":
                document["requests"].append(["", instance.args[0]])
            else:
                document["requests"].append(list(instance.args))
        answers = TEXTS if task.OUTPUT_TYPE == "generate_until" else [None]
        document["results"] = []
        for text in answers:
            for instance in instances:
                if task.OUTPUT_TYPE == "generate_until":
                    instance.resps = [text]
                elif task.OUTPUT_TYPE == "loglikelihood_rolling":
                    instance.resps = [likelihood("", instance.args[0])[0]]
                else:
                    instance.resps = [likelihood(*instance.args)]
                instance.filtered_resps = {}
            results = {}
            for ensemble in task._filters:
                ensemble.apply(instances)
                filtered = [it.filtered_resps[ensemble.name] for it in instances]
                for name, value in task.process_results(instances[0].doc, filtered).items():
                    key = f"{name},{ensemble.name}" if task.OUTPUT_TYPE == "generate_until" else name
                    results[key] = told(value)
            document["results"].append({"response": text, "metrics": results})
        found.append(document)
    return found


KINDS = [
    {"text": "a", "whole": 1, "small": -1, "part": 0.5, "truth": True, "list": ["x", "", "é"], "nothing": None, "deep": {"t": ["p"], "n": 2}},
    {"text": "", "whole": -(2**40), "small": 127, "part": -2.25, "truth": False, "list": [], "nothing": None, "deep": {"t": [], "n": None}},
    {"text": None, "whole": None, "small": 0, "part": None, "truth": None, "list": None, "nothing": None, "deep": None},
]


def write_arrow():
    """A stream of two batches with every kind of column that is read, and its rows."""
    import pyarrow

    schema = pyarrow.schema(
        {
            "text": pyarrow.string(),
            "whole": pyarrow.int64(),
            "small": pyarrow.int8(),
            "part": pyarrow.float32(),
            "truth": pyarrow.bool_(),
            "list": pyarrow.large_list(pyarrow.large_string()),
            "nothing": pyarrow.null(),
            "deep": pyarrow.struct({"t": pyarrow.list_(pyarrow.string()), "n": pyarrow.uint16()}),
        }
    )
    table = pyarrow.Table.from_pylist(KINDS * 5, schema=schema)
    with pyarrow.OSFile(str(FOLDER / "data/kinds.arrow"), "wb") as file, pyarrow.ipc.new_stream(file, schema) as stream:
        stream.write_table(table, max_chunksize=9)
    (FOLDER / "data/kinds.jsonl").write_text("".join(json.dumps(it) + "\n" for it in KINDS * 5))


def main():
    os.chdir(ROOT)
    write_arrow()
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    from lm_eval.tasks import TaskManager
    from lm_eval.utils import apply_template

    manager = TaskManager(include_path=str(FOLDER), include_defaults=False)
    tasks = {}
    for path in sorted(FOLDER.glob("[!_]*.yaml")):
        names = re.findall(r"^task: (\w+)$", path.read_text(), re.M)
        for name in names:
            loaded = manager.load(name)
            task = loaded["tasks"][name] if isinstance(loaded, dict) and "tasks" in loaded else loaded[name]
            tasks[path.stem] = documents(task)
    draws = []
    for seed in (0, 1, 42, 1234, 2**32 - 1, 2**32, 2**40 + 17, 2**64 - 1):
        generator = random.Random(seed)
        sizes = [(10, 3), (10, 10), (21, 5), (22, 5), (85, 6), (86, 6), (400, 25), (7473, 5), (100_000, 64), (1, 1), (5, 0)]
        draws.append({"seed": seed, "samples": [[size, count, generator.sample(range(size), count)] for size, count in sizes]})
    python = {
        "draws": draws,
        "repr": [[it, repr(it), str(it)] for it in VALUES],
        "literals": [[it, json.loads(json.dumps(__import__("ast").literal_eval(it)))] for it in LITERALS],
        "patterns": [
            [pattern, text, [list(it) if isinstance(it, tuple) else [it] for it in re.findall(pattern, text)], re.sub(pattern, r"<\g<0>>", text)]
            for pattern, text in PATTERNS
        ],
        "templates": [
            [template, apply_template(template, {"a": ["x", "y'z"], "n": 3, "f": 0.5, "b": True, "s": " Text [x] ", "d": {"k": None}})]
            for template in (
                "{{a}} {{n}} {{f}} {{b}} {{d}} {{s}}\n",
                "{{s.strip()|regex_replace('\\\\[.*?\\\\]', '-')}}|{{s|trim|upper}}|{{s.split()[0]}}",
                "{% for it in a %}{{loop.index}}{{it}}{% if not loop.last %}, {% endif %}{% endfor %}",
                "{{a.index('x')}}{{a[-1]}}{{a[:1]}}{{a|join(' ')}}{{a|length}}{{n + 1}}{{n // 2}}{{n / 2}}",
                "{{'yes' if b else 'no'}} {{z is defined}} {{d.k is none}} {{n|string + '!'}}",
                "{%- set x = n * 2 -%} {{x}} {{- ' tight' }}",
                "{{s.replace('x', 'y').lower().capitalize()}}{{s.lstrip()}}{{s.rstrip()}}{{s.startswith(' ')}}",
            )
        ],
    }
    (FOLDER / "expected.json").write_text(json.dumps({"tasks": tasks, "python": python}, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Are our prompts and options of HellaSwag those of lm-evaluation-harness?

Its task runs a Python function over each row, `process_docs`; ours, cases/published/hellaswag.yaml, says the same as a
template. This runs that function (lm_eval/tasks/hellaswag/utils.py of version 0.4.13, taken from the installed package) over
every row and compares the question, the options and the right one with what the harness asks.

    cargo xtask bench-data fetch published/hellaswag
    cargo run -p eval --example requests -- published/hellaswag > requests.jsonl
    pip install lm_eval==0.4.13
    python3 benches/peers/hellaswag.py requests.jsonl .../validation/data-00000-of-00001.arrow
"""

import importlib.util
import json
import pathlib
import sys

import datasets


def published():
    """The function that lm-evaluation-harness runs, without loading all of its tasks."""
    package = importlib.util.find_spec("lm_eval")
    path = pathlib.Path(package.submodule_search_locations[0]) / "tasks/hellaswag/utils.py"
    spec = importlib.util.spec_from_file_location("hellaswag", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.process_docs


def main(requests, arrow):
    rows = published()(datasets.Dataset.from_file(arrow, in_memory=True))
    ours = [json.loads(line) for line in open(requests, encoding="utf-8")]
    if len(rows) != len(ours):
        sys.exit(f"{len(rows)} rows, {len(ours)} requests")
    differ = 0
    for row, asked in zip(rows, ours):
        wanted = ([row["query"]], [" " + it for it in row["choices"]])
        found = (asked["prompt"], asked["continuations"])
        if wanted != found:
            differ += 1
            if differ <= 10:
                print(f"{asked['id']}\n  lm_eval {wanted}\n  ours    {found}")
    print(f"{len(rows)} rows, {differ} differ")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])

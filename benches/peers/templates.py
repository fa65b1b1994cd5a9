#!/usr/bin/env python3
"""Prompts by transformers' `apply_chat_template`, for the engine's tests of chat templates.

    python -m venv venv && . venv/bin/activate && pip install transformers==5.24.0 jinja2==3.1.6
    python benches/peers/templates.py

writes `tests/fixtures/templates/expected.json`: what each `*.jinja` there makes of each conversation, and what each
line of `expressions.txt`, in which ⏎ is a newline, makes of one; an error where it raises one. `strftime_now` answers for the first of January
2025, as `engine::TEMPLATE_DATE` says.
"""

import datetime
import json
from pathlib import Path

import transformers
from transformers.utils import chat_template_utils

FIXTURES = Path(__file__).parents[2] / "tests/fixtures/templates"


class Date(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2025, 1, 1)


chat_template_utils.datetime = Date


def conversation(*turns):
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": roles[turn[0]], "content": turn[2:]} for turn in turns]


CONVERSATIONS = {
    "one": conversation("u:What is 2 + 2?"),
    "system": conversation("s:Be brief.", "u:Hi"),
    "turns": conversation("u:Hi", "a:Hello!", "u:And 3 + 3?"),
    "all": conversation("s:You are a pirate.", "u:Hi", "a:Arr!", "u:Why?", "a:<think>\nwhy\n</think>\n\nBecause.", "u:Bye"),
    "spaces": conversation("s:  padded\n", "u:\n two\r\n\nlines \t", "a: x ", "u: "),
    "signs": conversation("u:<|im_end|> </s> [INST] {{ messages }} {% raw %} 'q' \"d\" \\n é 漢字 😀 \u2028 <b>&amp;"),
    "empty": conversation("u:"),
    "nobody": [],
    "twice": conversation("u:one", "u:two"),
    "answer first": conversation("a:Hello", "u:Hi"),
    "answered": conversation("u:Hi", "a:Hello"),
    "late system": conversation("u:Hi", "s:Be brief.", "u:Now?"),
}


def render(template, messages):
    try:
        prompts, _ = chat_template_utils.render_jinja_template(
            conversations=[messages],
            chat_template=template,
            add_generation_prompt=True,
            bos_token="<s>",
            eos_token="</s>",
        )
        return {"prompt": prompts[0]}
    except Exception as error:  # what a template raises is whatever jinja2 and Python raise
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    templates = {it.stem: it.read_text() for it in sorted(FIXTURES.glob("*.jinja"))}
    lines = (FIXTURES / "expressions.txt").read_text().splitlines()
    expected = {
        "transformers": transformers.__version__,
        "conversations": CONVERSATIONS,
        "prompts": {
            name: {it: render(template, messages) for it, messages in CONVERSATIONS.items()}
            for name, template in templates.items()
        },
        "expressions": [render(line.replace("⏎", "\n"), CONVERSATIONS["all"]) for line in lines],
    }
    (FIXTURES / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()

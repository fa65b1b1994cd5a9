#!/usr/bin/env python3
"""What transformers answers with the tiny checkpoints under `tests/fixtures`, for the engine's tests of whole folders.

    python -m venv venv && . venv/bin/activate && pip install transformers==5.24.0 jinja2==3.1.6 torch==2.15.0
    python benches/peers/served.py

makes a tokenizer of 320 tokens, as the checkpoints have, and writes it to `tests/fixtures/tokenizers/small/`; in it
`expected.json` with, for each checkpoint, prompts, greedy answers with the log-probabilities of their tokens, and
log-probabilities of continuations, in float32.
"""

import json
import shutil
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer

import folders
import token_ids

FOLDER = token_ids.FIXTURES / "small"
CHECKPOINTS = token_ids.FIXTURES.parent / "checkpoints"
NAMES = ["llama-3", "gemma-3", "starcoder", "falcon-7b", "mixtral"]
SPECIAL = ["<pad>", "<s>", "</s>", "<|start|>", "<|end|>"]
CONTINUATIONS = [" yes", " no", "!", " nine hundred"]
MOST = 24


def tokenizer(parts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(folders.corpus(parts, 1000), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def logprobs(model, ids):
    """Of each token after the first, given those before it."""
    with torch.no_grad():
        rows = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), dim=-1)
    return rows[torch.arange(len(ids) - 1), ids[1:]].tolist(), rows


def answers(name):
    with tempfile.TemporaryDirectory() as folder:
        for source in (CHECKPOINTS / name, FOLDER):
            shutil.copytree(source, folder, dirs_exist_ok=True)
        theirs = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    chats = []
    for messages in folders.CONVERSATIONS:
        prompt = theirs.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = theirs(prompt, add_special_tokens=False)["input_ids"]
        given = torch.tensor([ids])
        whole = model.generate(given, do_sample=False, max_new_tokens=MOST)[0].tolist()
        answer = whole[len(ids) :]
        of_tokens, rows = logprobs(model, whole)
        top = [torch.topk(row, 3) for row in rows[len(ids) - 1 : len(whole) - 1]]
        scores = []
        for text in CONTINUATIONS:
            more = theirs(text, add_special_tokens=False)["input_ids"]
            scores.append(sum(logprobs(model, ids + more)[0][len(ids) - 1 :]))
        chats.append(
            {
                "messages": messages,
                "ids": ids,
                "answer": answer,
                "text": theirs.decode(answer, skip_special_tokens=True, clean_up_tokenization_spaces=False),
                "logprobs": of_tokens[len(ids) - 1 :],
                "top": [list(zip(it.indices.tolist(), it.values.tolist())) for it in top],
                "scores": scores,
            }
        )
    return {"checkpoint": name, "chats": chats}


def main():
    parts = json.loads((token_ids.FIXTURES / "fragments.json").read_text())
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "tokenizer.json").write_text(tokenizer(parts).to_str())
    config = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (FOLDER / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    (FOLDER / "chat_template.jinja").write_text(folders.CHAT)
    (FOLDER / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 4], "pad_token_id": 0}) + "\n")
    models = [answers(name) for name in NAMES]
    expected = {"continuations": CONTINUATIONS, "models": models}
    (FOLDER / "expected.json").write_text(json.dumps(expected) + "\n")
    for it in models:
        print(it["checkpoint"], [len(chat["answer"]) for chat in it["chats"]])


if __name__ == "__main__":
    main()

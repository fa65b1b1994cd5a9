#!/usr/bin/env python3
"""Small tokenizers in folders as Hugging Face publishes them, with ids by transformers, for the engine's tests.

    python -m venv venv && . venv/bin/activate && pip install transformers==5.24.0 jinja2==3.1.6
    python benches/peers/folders.py

writes a folder to `tests/fixtures/tokenizers/` for each kind of `tokenizer.json`, and in it `expected.json`: ids of
plain texts, in which special tokens are text, and of conversations.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

import token_ids

FIXTURES = token_ids.FIXTURES
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT = (
    "{{ bos_token }}{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
CONVERSATIONS = [
    [{"role": "user", "content": "What is 2 + 2?"}],
    [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "naïve 漢字 🦀\n\nend"}],
    [{"role": "user", "content": ""}, {"role": "assistant", "content": "  x"}, {"role": "user", "content": "<tool>y</tool>"}],
]


def corpus(parts, count):
    texts = [token_ids.text(index, parts) for index in range(3 * token_ids.COUNT, 3 * token_ids.COUNT + count)]
    for special in parts["special"]:
        texts = [it.replace(special, "") for it in texts]
    return texts


def byte_level(parts):
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus(parts, 1000), trainer)
    tokenizer.add_special_tokens(["<|begin|>", "<|start|>", "<|end|>", "<|eot_id|>"])
    tokenizer.add_tokens(["<tool>", "</tool>"])
    begin = tokenizer.token_to_id("<|begin|>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", begin)])
    return tokenizer, {"bos_token": "<|begin|>", "eos_token": "<|end|>", "chat_template": CHAT}


def metaspace(parts):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    letters = [*"▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'\"+-:;()<>/|{}éüñ漢字"]
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=800, special_tokens=special, initial_alphabet=letters, limit_alphabet=90)
    tokenizer.train_from_iterator(corpus(parts, 1000), trainer)
    written = json.loads(tokenizer.to_str())
    # The trainer can only make them special tokens, which they are not.
    written["added_tokens"] = [it for it in written["added_tokens"] if not it["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(written))
    tokenizer.add_special_tokens([AddedToken("<|start|>", normalized=False), AddedToken("<|end|>", rstrip=True, normalized=False)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "chat_template": CHAT}


def unigram(parts):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace("▁", prepend_scheme="first")
    special = ["<unk>", "<s>", "</s>", "<|start|>", "<|end|>"]
    trainer = trainers.UnigramTrainer(vocab_size=600, special_tokens=special, unk_token="<unk>")
    latin = [it for it in parts["fragments"] if max(it) < "\u0180" and min(it) >= " "]
    tokenizer.train_from_iterator(latin * 4, trainer)
    return tokenizer, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": True, "chat_template": CHAT}


def main():
    parts = json.loads((FIXTURES / "fragments.json").read_text())
    texts = [it for it in (token_ids.text(index, parts) for index in range(300)) if len(it) < 200][:120]
    texts += ["<|begin|><|start|>user<|end|> x", "<s> </s><unk>", "<tool>a</tool> <tool> b"]
    for name, make in {"byte-level": byte_level, "metaspace": metaspace, "unigram": unigram}.items():
        tokenizer, config = make(parts)
        folder = FIXTURES / name
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.json").write_text(tokenizer.to_str())
        template = config["chat_template"]
        if name == "metaspace":
            (folder / "chat_template.jinja").write_text(config.pop("chat_template"))
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
        ends = [tokenizer.token_to_id(it) for it in ("<|end|>", config["eos_token"])]
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}) + "\n")
        theirs = AutoTokenizer.from_pretrained(folder)
        chats = []
        for messages in CONVERSATIONS:
            prompt = theirs.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            ids = theirs(prompt, add_special_tokens=False)["input_ids"]
            chats.append({"messages": messages, "prompt": prompt, "ids": ids})
        plain = [{"text": it, "ids": theirs(it, split_special_tokens=True)["input_ids"]} for it in texts]
        # Joining pieces can make a special token of text there, which it never does here.
        special = {it for it, token in theirs.added_tokens_decoder.items() if token.special}
        marks = special - {theirs.unk_token_id}
        plain = [it for it in plain if not marks & set(it["ids"][1:]) and "<unk>" not in it["text"]]
        expected = {"template": template, "plain": plain, "chats": chats}
        (folder / "expected.json").write_text(json.dumps(expected) + "\n")
        print(f"{name}: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()

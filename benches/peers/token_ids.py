#!/usr/bin/env python3
"""Reference token ids, by llama.cpp and transformers, for `tests/tokenizers.rs`.

    python -m venv venv && . venv/bin/activate
    CMAKE_ARGS="-DGGML_NATIVE=OFF" pip install llama-cpp-python==0.3.36 transformers==5.24.0 gguf jinja2
    python benches/peers/token_ids.py smollm2-135m=FILE.gguf gemma-3-270m=FILE.gguf

makes 10 000 texts by the rule below, which `tests/tokenizers.rs` repeats, tokenizes them with both, and writes to
`tests/fixtures/tokenizers/`

- `NAME.json`: a hash of llama.cpp's ids for each text, all ids of the first 50, conversations as its
  chat template writes them, and where transformers differs;

and, without any model, `words.json`: a small vocabulary with llama.cpp's ids for each way of cutting words.

Special tokens in a text are text for both: llama.cpp's `parse_special` is off, transformers' `split_special_tokens` on.
transformers reads the same GGUF file; torch, which it imports for the tensors, need not be there.
"""

import ctypes
import json
import re
import sys
import tempfile
import types
from pathlib import Path

FIXTURES = Path(__file__).parents[2] / "tests/fixtures/tokenizers"
COUNT = 10_000
SEED = 0x70726F6F66
MASK = (1 << 64) - 1


CONVERSATIONS = [
    [{"role": "user", "content": "What is seven times eight?"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße, 世界 🦀"}],
    [
        {"role": "user", "content": " Hi "},
        {"role": "assistant", "content": "Hello!\n"},
        {"role": "user", "content": "def f(x):\n    return x"},
    ],
]


class Random:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed & MASK

    def below(self, bound):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % bound


def text(index, parts):
    """Text number `index`: up to twelve pieces, mostly fragments, one after another."""
    random = Random(SEED + index * 0x632BE59BD9B4E019)
    pick = lambda them: them[random.below(len(them))]
    pieces = []
    for _ in range(1 + random.below(12)):
        kind = random.below(20)
        if kind < 10:
            pieces.append(pick(parts["fragments"]))
        elif kind < 12:
            pieces.append(pick(parts["special"]))
        elif kind < 14:
            pieces.append(pick(parts["spaces"]) * (1 + random.below(40)))
        elif kind < 16:
            first, last = pick(parts["scripts"])
            pieces.append("".join(chr(first + random.below(last - first + 1)) for _ in range(1 + random.below(8))))
        elif kind < 17:
            pieces.append("".join(chr(0x30 + random.below(10)) for _ in range(1 + random.below(20))))
        elif kind < 18:
            pieces.append("".join(chr(0x20 + random.below(95)) for _ in range(1 + random.below(24))))
        else:
            pieces.append(" ")
    return "".join(pieces)


def digest(ids):
    """FNV-1a of 32 bits over the ids as little-endian words."""
    value = 0x811C9DC5
    for byte in b"".join(it.to_bytes(4, "little") for it in ids):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


class LlamaCpp:
    def __init__(self, path):
        import llama_cpp

        quiet = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
        self.quiet, self.library = quiet, llama_cpp
        self.model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)

    def ids(self, text, special=False, begin=True):
        # `Llama.tokenize` asks for the beginning token whatever the file says; the library knows better.
        vocabulary = self.library.llama_model_get_vocab(self.model.model)
        data = text.encode()
        room = len(data) + 16
        tokens = (self.library.llama_token * room)()
        count = self.library.llama_tokenize(vocabulary, data, len(data), tokens, room, begin, special)
        assert count >= 0
        return list(tokens[:count])


class NoTorch(types.ModuleType):
    """Stands where transformers' reader of GGUF imports torch, which it uses for tensors alone."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return NoTorch(name)

    def __call__(self, *_, **__):
        return NoTorch(self.__name__)


def transformers_tokenizer(path):
    import transformers

    try:
        import torch  # noqa: F401
    except ImportError:
        sys.modules["torch"] = NoTorch("torch")
        import transformers.modeling_gguf_pytorch_utils as reader

        reader.is_torch_available = lambda: True
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name, split_special_tokens=True)


def compare(name, path, parts):
    llama = LlamaCpp(path)
    theirs = transformers_tokenizer(path)
    hashes, first, differences = [], [], []
    for index in range(COUNT):
        it = text(index, parts)
        ids = llama.ids(it)
        hashes.append(digest(ids))
        if index < 50:
            first.append(ids)
        other = theirs.encode(it)
        if other != ids:
            differences.append((index, it, ids, other))
    chats = []
    for messages in CONVERSATIONS if theirs.chat_template else []:
        prompt = theirs.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = llama.ids(prompt, special=True, begin=False)
        assert ids == theirs.encode(prompt, add_special_tokens=False, split_special_tokens=False)
        chats.append({"messages": messages, "prompt": prompt, "ids": ids})
    shown = sorted(differences, key=lambda it: len(it[1]))[:20]
    written = {
        "llama.cpp": llama.library.__version__,
        "transformers": __import__("transformers").__version__,
        "ids": first,
        "chats": chats,
        "hashes": "".join(f"{it:08x}" for it in hashes),
        "differences": [it[0] for it in differences],
        "shortest differences": [
            {"index": i, "text": t, "llama.cpp": a, "transformers": b} for i, t, a, b in shown
        ],
    }
    (FIXTURES / f"{name}.json").write_text(json.dumps(written) + "\n")
    print(f"{name}: transformers differs in {len(differences)} of {COUNT} texts")


# Every name that `words.rs` knows, of those that this llama.cpp knows.
WAYS = """default gpt-2 phi-2 mpt olmo jais trillion gigachat exaone4 a.x-4.0 mellum granite-docling smollm starcoder refact
command-r codeshell exaone minerva-7b mellum2 llama3 llama-v3 llama-bpe falcon3 pixtral midm-2.0 lfm2 dbrx smaug-bpe
chatglm-bpe glm4 qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2 falcon bloom gpt3-finnish poro-chat
viking tekken gpt-4o llama4 kanana2 deepseek-llm deepseek-coder superbpe seed-coder""".split()


def ways_of_cutting(parts):
    """A vocabulary whose merges cross every border between words, so that each way of cutting gives other ids."""
    from gguf import GGUFWriter
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    texts = [text(index, parts) for index in range(COUNT, COUNT + 120)]
    corpus = [text(index, parts) for index in range(2 * COUNT, 2 * COUNT + 2000)]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    # llama.cpp makes a control token of text where merges lead to one; we never do.
    corpus = ["".join(re.split("|".join(map(re.escape, parts["special"])), it)) for it in corpus]
    corpus += [mark + "\n" for mark in "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~" for _ in range(200)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, max_token_length=8))
    model = json.loads(trained.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    merges = [" ".join(it) for it in model["merges"]]
    # No merge makes these: only who takes whole words for tokens finds them.
    whole = [it for it in ("ĠHELLO", "Hello", "strawberry", "Ġindivisible", "ÐļÑĥÐ") if it not in tokens]
    tokens += whole
    texts += [" HELLO, HELLO Hello hello!", "strawberry indivisible", "end;\nnext();\n}\n"]
    ids = {}
    for way in WAYS:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "words.gguf"
            writer = GGUFWriter(path, "llama")
            writer.add_tokenizer_model("gpt2")
            writer.add_tokenizer_pre(way)
            writer.add_token_list(tokens)
            writer.add_token_types([1] * len(tokens))
            writer.add_token_merges(merges)
            writer.add_add_bos_token(False)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.close()
            llama = LlamaCpp(path)
            ids[way] = "".join(f"{digest(llama.ids(it)):08x}" for it in texts)
    written = {"tokens": tokens, "merges": merges, "texts": texts, "ids": ids}
    (FIXTURES / "words.json").write_text(json.dumps(written) + "\n")
    print(f"{len(set(ids.values()))} ways of cutting words under {len(ids)} names")


def main():
    parts = json.loads((FIXTURES / "fragments.json").read_text())
    ways_of_cutting(parts)
    for argument in sys.argv[1:]:
        name, path = argument.split("=", 1)
        compare(name, Path(path), parts)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Tiny checkpoints of four bits, as AutoAWQ and GPTQModel pack them, with reference logits by transformers.

    python -m venv venv && . venv/bin/activate && pip install torch transformers==5.24.0 safetensors numpy
    python benches/peers/quantized.py

writes a folder to `tests/fixtures/quantized/` for each form: `config.json`, `model.safetensors` and, computed in
float32 with the numbers that the packed ones mean, `reference.safetensors` as `cargo xtask parity` reads it. The
packing is written here once more, from the layouts' descriptions, so that it shares no mistake with the engine's.
"""

import json
import re
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers as t
from safetensors.torch import load_file, save_file

FIXTURES = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "quantized"
VOCABULARY = 160
BASE = dict(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LLAMA = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256, **BASE)
MATRICES = re.compile(r"(_proj|query_key_value|dense|dense_h_to_4h|dense_4h_to_h|\.w[123])\.weight$")
AWQ = dict(quant_method="awq", bits=4, zero_point=True, modules_to_not_convert=None)
GPTQ = dict(quant_method="gptq", bits=4, desc_act=False, damp_percent=0.01, true_sequential=True, lm_head=False)


def forms():
    """Name, config, quantization_config, and what else is special."""
    yield "awq-llama", t.LlamaConfig(tie_word_embeddings=False, **LLAMA), dict(AWQ, version="gemm", group_size=32), {}
    yield ("awq-mixtral", t.MixtralConfig(num_local_experts=4, num_experts_per_tok=2, sliding_window=None,
                                          tie_word_embeddings=False, **LLAMA),
           dict(AWQ, version="gemm", group_size=64, modules_to_not_convert=["gate"]), {})
    yield ("awq-gemv-mistral", t.MistralConfig(sliding_window=8, tie_word_embeddings=False, **LLAMA),
           dict(AWQ, version="GEMV", group_size=32), {})
    yield ("gptq-llama", t.LlamaConfig(tie_word_embeddings=False, **LLAMA),
           dict(GPTQ, sym=True, group_size=32, lm_head=True), dict(head=True, idle_biases=True))
    yield ("gptq-act-order-qwen2", t.Qwen2Config(tie_word_embeddings=True, **LLAMA),
           dict(GPTQ, sym=True, group_size=32, desc_act=True, checkpoint_format="gptq"), {})
    yield ("gptq-v2-gpt-neox", t.GPTNeoXConfig(rotary_pct=0.25, tie_word_embeddings=False,
                                               **{k: v for k, v in LLAMA.items() if k != "num_key_value_heads"}),
           dict(GPTQ, sym=False, group_size=64, desc_act=True, checkpoint_format="gptq_v2"), {})
    yield ("gptq-falcon", t.FalconConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_kv_heads=2,
                                         new_decoder_architecture=True, bias=False, alibi=False, **BASE),
           dict(GPTQ, sym=False, group_size=-1, meta={"quantizer": ["gptqmodel:2.0.0"]}),
           dict(scales=torch.bfloat16, positive=True))


def quantized(weight, group, symmetric, order, scales):
    """Numbers and groups of a matrix `[out, in]`: q `[out, in]`, zeros and scales `[out, groups]`, group of each column."""
    outputs, inputs = weight.shape
    size = inputs if group == -1 else group
    group_of = np.empty(inputs, dtype=np.int64)
    group_of[order] = np.arange(inputs) // size
    q = np.empty((outputs, inputs), dtype=np.int64)
    zeros = np.empty((outputs, inputs // size), dtype=np.int64)
    factors = np.empty((outputs, inputs // size), dtype=np.float32)
    for it in range(inputs // size):
        part = weight[:, group_of == it]
        low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
        if symmetric:
            high = np.maximum(-low, high)
            low = -high
        # The factor as it is stored is what everything else is computed with.
        factor = torch.from_numpy((high - low) / 15).to(scales).float().numpy()
        zero = np.full(outputs, 8) if symmetric else np.clip(np.rint(-low / factor), 0, 15).astype(np.int64)
        q[:, group_of == it] = np.clip(np.rint(part / factor[:, None]) + zero[:, None], 0, 15)
        factors[:, it], zeros[:, it] = factor, zero
    return q, zeros, factors, group_of


def words(numbers, places):
    """Eight numbers of the last axis in a word: number `places[i]` of each eight in bits 4i to 4i + 3."""
    eights = numbers.reshape(*numbers.shape[:-1], -1, 8).astype(np.uint64)
    packed = sum(eights[..., place] << np.uint64(4 * index) for index, place in enumerate(places))
    return packed.astype(np.uint32)


PLAIN = range(8)
INTERLEAVED = [0, 2, 4, 6, 1, 3, 5, 7]


def packed(settings, q, zeros, factors, group_of, scales):
    """The tensors of a matrix."""
    form = (settings.get("version") or settings.get("checkpoint_format") or settings["quant_method"]).lower()
    if form == "gemv":
        # The groups of a row are padded to whole words, and these to a multiple that depends on their size.
        width = -(-zeros.shape[1] // 8)
        multiple = {32: 4, 64: 2}.get(settings["group_size"], 1)
        width = -(-width // multiple) * multiple
        pad = ((0, 0), (0, 8 * width - zeros.shape[1]))
        parts = dict(qweight=words(q, PLAIN), qzeros=words(np.pad(zeros, pad), PLAIN))
        factors = np.pad(factors, pad)
    elif form == "gemm":
        parts = dict(qweight=words(q.T, INTERLEAVED), qzeros=words(zeros.T, INTERLEAVED))
        factors = factors.T
    else:
        packed_zeros = words(zeros.T, PLAIN)
        if form == "gptq":
            # As GPTQModel subtracts it: from whole words, so that a zero of 0 borrows from the next.
            packed_zeros = packed_zeros - np.uint32(0x11111111)
        parts = dict(qweight=words(q, PLAIN).T, qzeros=packed_zeros, g_idx=group_of.astype(np.int32))
        factors = factors.T
    parts = {name: torch.from_numpy(np.ascontiguousarray(it).view(np.int32)) for name, it in parts.items()}
    return dict(parts, scales=torch.from_numpy(np.ascontiguousarray(factors)).to(scales))


def weights(config, special):
    """The tensors of a model with random weights, under their published names."""
    torch.manual_seed(0)
    model = t.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, it in model.named_parameters():
            if it.dim() >= 2:
                it.normal_(0, 1.2 / it.shape[-1] ** 0.5)
                if special.get("positive"):
                    it[..., ::7, :] = it[..., ::7, :].abs()
            elif name.endswith("bias"):
                it.normal_(0, 0.1)
            else:
                it.normal_(1, 0.1)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        # What is not quantized is stored in 16 bits.
        return {name: it.half().float() for name, it in load_file(f"{folder}/model.safetensors").items()}


def reference(config, tensors):
    """Logits and greedy continuations with these weights."""
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
        model, report = t.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"], report
    generator = torch.Generator().manual_seed(1)
    found = {}
    for index, length in enumerate((5, 11, 37)):
        ids = torch.randint(3, config.vocab_size, (1, length), generator=generator)
        with torch.no_grad():
            greedy = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False,
                                    eos_token_id=None, pad_token_id=0)
            found[f"logits.{index}"] = model(ids).logits[0].float().contiguous()
        found[f"input_ids.{index}"] = ids[0].clone()
        found[f"greedy.{index}"] = greedy[0, length:].clone()
    return found


def write(name, config, settings, special):
    folder = FIXTURES / name
    folder.mkdir(parents=True, exist_ok=True)
    scales = special.get("scales", torch.float16)
    stored, meant, orders = {}, {}, {}
    random = np.random.default_rng(0)
    for tensor, weight in sorted(weights(config, special).items()):
        if not MATRICES.search(tensor) and not (tensor == "lm_head.weight" and special.get("head")):
            stored[tensor], meant[tensor] = weight.half(), weight
            continue
        matrix = tensor.removesuffix(".weight")
        inputs = weight.shape[1]
        # Queries, keys and values see the same inputs, and are quantized in one order; so need gate and up not be.
        kind = re.sub(r"\.[qkv]_proj$", ".qkv", matrix)
        if settings.get("desc_act"):
            orders.setdefault(kind, random.permutation(inputs))
        order = orders.get(kind, np.arange(inputs))
        symmetric = settings.get("sym", False)
        numbers = quantized(weight.numpy(), settings["group_size"], symmetric, order, scales)
        q, zeros, factors, group_of = numbers
        meant[tensor] = torch.from_numpy(factors[:, group_of] * (q - zeros[:, group_of]).astype(np.float32))
        for part, it in packed(settings, *numbers, scales).items():
            stored[f"{matrix}.{part}"] = it
        if special.get("idle_biases"):
            stored[f"{matrix}.bias"] = torch.zeros(weight.shape[0], dtype=torch.float16)
    if special.get("positive"):
        assert any((it & 15 == 15).any() for name, it in stored.items() if name.endswith("qzeros")), "no zero of 0"
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    found = reference(config, meant)
    save_file(found, folder / "reference.safetensors", metadata={"transformers": t.__version__})
    config.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    written = dict(json.loads(path.read_text()), quantization_config=settings)
    path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
    print(f"{name:24s} {len(stored):4d} tensors, logits spread by {found['logits.2'].std():.2f}")


if __name__ == "__main__":
    for form in forms():
        write(*form)

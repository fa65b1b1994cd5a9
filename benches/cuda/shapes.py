"""Writes checkpoints of random weights in the shapes of known models, for `cargo xtask speed`.

    python3 benches/cuda/shapes.py FOLDER [SHAPE…]

Needs numpy. Speed depends on shapes alone; what such a model says means nothing.
"""

import json
import struct
import sys
from pathlib import Path

import numpy

SHAPES = {
    "llama-2-7b": dict(
        model_type="llama", hidden_act="silu", hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=32, vocab_size=32000, max_position_embeddings=4096, rope_theta=10000.0,
        tie_word_embeddings=False,
    ),
    "smollm2-135m": dict(
        model_type="llama", hidden_act="silu", hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, vocab_size=49152, max_position_embeddings=8192, rope_theta=100000.0,
        tie_word_embeddings=True,
    ),
    "gemma-3-270m": dict(
        model_type="gemma3_text", hidden_size=640, intermediate_size=2048, num_hidden_layers=18,
        num_attention_heads=4, num_key_value_heads=1, head_dim=256, vocab_size=262144, max_position_embeddings=32768,
        rope_theta=1000000.0, rope_local_base_freq=10000.0, sliding_window=512, query_pre_attn_scalar=256,
        hidden_activation="gelu_pytorch_tanh", sliding_window_pattern=6, tie_word_embeddings=True,
    ),
}


def tensors(shape):
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    size = shape.get("head_dim", hidden // shape["num_attention_heads"])
    queries, keys = size * shape["num_attention_heads"], size * shape["num_key_value_heads"]
    yield "model.embed_tokens.weight", (shape["vocab_size"], hidden)
    for layer in range(shape["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        yield at + "self_attn.q_proj.weight", (queries, hidden)
        yield at + "self_attn.k_proj.weight", (keys, hidden)
        yield at + "self_attn.v_proj.weight", (keys, hidden)
        yield at + "self_attn.o_proj.weight", (hidden, queries)
        yield at + "mlp.gate_proj.weight", (inner, hidden)
        yield at + "mlp.up_proj.weight", (inner, hidden)
        yield at + "mlp.down_proj.weight", (hidden, inner)
        yield at + "input_layernorm.weight", (hidden,)
        yield at + "post_attention_layernorm.weight", (hidden,)
        if shape["model_type"] == "gemma3_text":
            yield at + "pre_feedforward_layernorm.weight", (hidden,)
            yield at + "post_feedforward_layernorm.weight", (hidden,)
            yield at + "self_attn.q_norm.weight", (size,)
            yield at + "self_attn.k_norm.weight", (size,)
    yield "model.norm.weight", (hidden,)
    if not shape["tie_word_embeddings"]:
        yield "lm_head.weight", (shape["vocab_size"], hidden)


def write(folder, shape):
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"rms_norm_eps": 1e-5, "attention_bias": False, **shape}
    (folder / "config.json").write_text(json.dumps(settings, indent=1))
    random = numpy.random.default_rng(1)
    header, at = {}, 0
    for name, size in tensors(shape):
        length = 2 * int(numpy.prod(size))
        header[name] = {"dtype": "BF16", "shape": list(size), "data_offsets": [at, at + length]}
        at += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    # The same few million numbers again and again, from other places: drawing billions would take minutes.
    pool = random.standard_normal(1 << 24, dtype=numpy.float32)

    def numbers(factor, middle):
        return ((pool * factor + middle).view(numpy.uint32) >> 16).astype(numpy.uint16)

    # Gemma's norms are stored without the 1 that is added to them.
    norms = numbers(0.1, 0.0 if shape["model_type"] == "gemma3_text" else 1.0)
    matrices = numbers(0.02, 0.0)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, size in tensors(shape):
            left = int(numpy.prod(size))
            source = norms if len(size) == 1 else matrices
            while left:
                begin = int(random.integers(0, len(source) // 2))
                part = source[begin : begin + left]
                file.write(part.tobytes())
                left -= len(part)


def main():
    folder, *names = sys.argv[1:]
    for name in names or SHAPES:
        write(Path(folder) / name, SHAPES[name])


main()

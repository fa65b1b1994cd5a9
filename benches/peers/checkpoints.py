#!/usr/bin/env python3
"""Tiny checkpoints of random weights in real architectures, with reference logits by transformers, for `parity`.

    python -m venv /tmp/venv && . /tmp/venv/bin/activate && pip install torch==2.15.0 transformers==5.24.0
    python benches/peers/checkpoints.py                  # all
    python benches/peers/checkpoints.py qwen3 falcon     # those whose names contain one of these

writes `tests/fixtures/checkpoints/<name>/`: `config.json` and `model.safetensors` as they are published, and
`reference.safetensors`, computed in float32 on the CPU, with for the i-th prompt

  input_ids.<i>   i64 [tokens]              the prompt
  logits.<i>      f32 [tokens, vocabulary]  after each of its tokens
  greedy.<i>      i64 [24]                  what follows it, token by token

docs/architectures.md says how to add one.
"""

import copy
import json
import sys
from pathlib import Path

import torch
import transformers as t
from safetensors.torch import save_file

FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures" / "checkpoints"
TOKENS = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)
BASE = dict(vocab_size=320, **TOKENS)
LLAMA = dict(
    hidden_size=64, intermediate_size=112, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=256, **BASE
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=500000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
# Small and uneven: what works by chance with powers of two does not with these.
ODD = dict(
    hidden_size=36, intermediate_size=45, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=128,
    vocab_size=97, **TOKENS,
)  # fmt: skip


def specs():
    """Name, settings, and what `write` is given beside them."""
    # config.json keeps the form that transformers 5 writes; the others get the older one, which most published files have.
    kept = dict(new_form=True)
    for name, config in even():
        yield name, config, kept if name in ("llama-3.1-rope-scaling", "h2o-danube") else {}
    short = dict(lengths=(5, 37))
    half, brain = dict(short, stored=torch.float16), dict(short, stored=torch.bfloat16)
    yarn = dict(rope_type="yarn", rope_theta=1e4, factor=4.0, original_max_position_embeddings=32)
    yield "llama-yarn", t.LlamaConfig(
        num_key_value_heads=2, head_dim=10, rope_parameters=yarn, **{**ODD, "num_attention_heads": 6}
    ), short
    linear = dict(rope_type="linear", rope_theta=2e4, factor=2.5)
    yield "llama-biases", t.LlamaConfig(
        num_key_value_heads=1, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_parameters=linear, **ODD
    ), half
    yield "mixtral-top-1", t.MixtralConfig(
        num_key_value_heads=3, num_local_experts=3, num_experts_per_tok=1, sliding_window=7, **ODD
    ), brain
    falcon = dict(hidden_size=36, num_hidden_layers=2, vocab_size=97, **TOKENS)
    yield "falcon-rw", t.FalconConfig(
        num_attention_heads=12, alibi=True, multi_query=False, parallel_attn=False, bias=True, **falcon
    ), dict(lengths=(5, 300))
    yield "falcon-11b", t.FalconConfig(
        num_attention_heads=6,
        num_kv_heads=3,
        new_decoder_architecture=True,
        num_ln_in_parallel_attn=1,
        ffn_hidden_size=101,
        tie_word_embeddings=False,
        **falcon,
    ), brain
    yield "bloom-12-heads", t.BloomConfig(
        hidden_size=36, n_layer=1, n_head=12, vocab_size=97, tie_word_embeddings=False, **TOKENS
    ), brain
    yield "mpt-clip", t.MptConfig(
        d_model=40,
        n_layers=2,
        n_heads=5,
        max_seq_len=128,
        vocab_size=97,
        attn_config=dict(clip_qkv=0.8, softmax_scale=0.4),
        **TOKENS,
    ), short
    yield "neox-no-bias", t.GPTNeoXConfig(
        rotary_pct=0.5, attention_bias=False, tie_word_embeddings=True, **{**ODD, "num_attention_heads": 9}
    ), brain
    yield "stablelm-2-12b", t.StableLmConfig(
        num_key_value_heads=3,
        qk_layernorm=True,
        use_parallel_residual=True,
        partial_rotary_factor=0.25,
        **{**ODD, "hidden_size": 48, "num_attention_heads": 6},
    ), half
    yield "santacoder", t.GPTBigCodeConfig(
        n_embd=40,
        n_layer=2,
        n_head=5,
        n_positions=64,
        multi_query=False,
        scale_attn_weights=False,
        tie_word_embeddings=False,
        vocab_size=97,
        **TOKENS,
    ), brain
    yield "phi-norms", t.PhiConfig(
        num_key_value_heads=1, qk_layernorm=True, partial_rotary_factor=0.5, tie_word_embeddings=True, **ODD
    ), half
    yield "qwen2-sliding", t.Qwen2Config(
        num_key_value_heads=1, use_sliding_window=True, sliding_window=6, max_window_layers=1, **ODD
    ), dict(brain, shard="20KB")
    yield "qwen3", t.Qwen3Config(num_key_value_heads=1, head_dim=20, tie_word_embeddings=True, **ODD), short
    yield "gemma-2", t.Gemma2Config(
        num_key_value_heads=1,
        head_dim=20,
        query_pre_attn_scalar=20,
        attn_logit_softcapping=2.0,
        final_logit_softcapping=3.0,
        sliding_window=6,
        **ODD,
    ), short
    yield "gemma-3-caps", t.Gemma3TextConfig(
        num_key_value_heads=3,
        head_dim=10,
        query_pre_attn_scalar=7,
        attn_logit_softcapping=3.0,
        final_logit_softcapping=2.0,
        sliding_window=5,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters=dict(
            full_attention=dict(rope_type="linear", rope_theta=2e5, factor=8.0),
            sliding_attention=dict(rope_type="default", rope_theta=500.0),
        ),
        **{**ODD, "num_attention_heads": 6, "num_hidden_layers": 3},
    ), dict(brain, **kept)


def even():
    """The checkpoints that have all in powers of two."""
    yield "llama-2", t.LlamaConfig(num_key_value_heads=4, tie_word_embeddings=False, **LLAMA)
    yield "llama-3", t.LlamaConfig(num_key_value_heads=2, rope_theta=500000.0, tie_word_embeddings=False, **LLAMA)
    yield "llama-3.1-rope-scaling", t.LlamaConfig(
        num_key_value_heads=2, tie_word_embeddings=True, rope_parameters=LLAMA3, **LLAMA
    )
    yield "code-llama", t.LlamaConfig(num_key_value_heads=2, rope_theta=1e6, tie_word_embeddings=False, **LLAMA)
    yield "mistral", t.MistralConfig(num_key_value_heads=2, sliding_window=8, tie_word_embeddings=False, **LLAMA)
    yield "mixtral", t.MixtralConfig(
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=None,
        tie_word_embeddings=False,
        **LLAMA,
    )
    falcon = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, bias=False, alibi=False, **BASE)
    yield "falcon-7b", t.FalconConfig(multi_query=True, new_decoder_architecture=False, parallel_attn=True, **falcon)
    yield "falcon-40b-180b", t.FalconConfig(num_kv_heads=2, new_decoder_architecture=True, **falcon)
    yield "bloom", t.BloomConfig(hidden_size=64, n_layer=2, n_head=4, **BASE)
    yield "mpt", t.MptConfig(d_model=64, n_layers=2, n_heads=4, expansion_ratio=2, max_seq_len=256, **BASE)
    neox = dict(tie_word_embeddings=False, **LLAMA)
    yield "pythia", t.GPTNeoXConfig(use_parallel_residual=True, rotary_pct=0.25, **neox)
    yield "redpajama-incite", t.GPTNeoXConfig(use_parallel_residual=False, rotary_pct=1.0, **neox)
    yield "stablelm-2", t.StableLmConfig(
        num_key_value_heads=2, partial_rotary_factor=0.25, use_qkv_bias=True, tie_word_embeddings=False, **LLAMA
    )
    yield "starcoder", t.GPTBigCodeConfig(
        n_embd=64, n_layer=2, n_head=4, n_inner=112, n_positions=256, multi_query=True, **BASE
    )
    yield "phi-2", t.PhiConfig(partial_rotary_factor=0.4, tie_word_embeddings=False, **{**LLAMA, "hidden_size": 80})
    yield "h2o-danube", t.MistralConfig(num_key_value_heads=2, sliding_window=16, tie_word_embeddings=True, **LLAMA)
    yield "qwen2", t.Qwen2Config(num_key_value_heads=2, tie_word_embeddings=True, **LLAMA)
    yield "gemma-3", t.Gemma3TextConfig(
        num_key_value_heads=1, head_dim=16, sliding_window=8, sliding_window_pattern=2, query_pre_attn_scalar=16, **LLAMA
    )


def build(config, seed, stored):
    torch.manual_seed(seed)
    # Falcon adds ALiBi twice in transformers' eager attention; its default adds it once, as the published models were
    # trained. The fused experts want sizes that are multiples of 16 bytes.
    how = dict(attn_implementation="sdpa" if getattr(config, "alibi", False) else "eager")
    if hasattr(config, "num_local_experts"):
        how["experts_implementation"] = "eager"
    model = t.AutoModelForCausalLM.from_config(config, **how).float().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() >= 2:
                weight.normal_(0, 1.2 / weight.shape[-1] ** 0.5)
            elif name.endswith("bias"):
                weight.normal_(0, 0.1)
            else:
                weight.normal_(0.0 if config.model_type.startswith("gemma") else 1.0, 0.1)
            # What the file holds is what the reference computes with.
            weight.copy_(weight.to(stored).float())
    return model


def as_published(folder, new_form):
    """Rewrites config.json as most published checkpoints have it, unless the new form is wanted.

    transformers 5 nests what belongs to rotary positions under rope_parameters; published files have rope_theta,
    rope_scaling, rotary_pct and rotary_emb_base, torch_dtype.
    """
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if isinstance(config.get("attn_config"), dict):
        known = (
            "alibi", "alibi_bias_max", "attn_impl", "attn_pdrop", "attn_type", "attn_uses_sequence_id", "clip_qkv",
            "prefix_lm", "qk_ln", "softmax_scale",
        )  # fmt: skip
        config["attn_config"] = {it: config["attn_config"][it] for it in known if it in config["attn_config"]}
    rope = None if new_form else config.pop("rope_parameters", None)
    if not new_form:
        config["torch_dtype"] = config.pop("dtype", "float32")
    if rope and "full_attention" in rope:
        sliding = rope["sliding_attention"]
        if sliding["rope_type"] != "default":
            raise ValueError("the older form has no scaling of local positions")
        config["rope_local_base_freq"] = sliding["rope_theta"]
        rope = rope["full_attention"]
        if "sliding_window_pattern" in config:
            config.pop("layer_types", None)
    if rope:
        kind, theta = rope.pop("rope_type", "default"), rope.pop("rope_theta")
        partial = rope.pop("partial_rotary_factor", None)
        if config["model_type"] == "gpt_neox":
            config["rotary_emb_base"], config["rotary_pct"] = theta, partial
        else:
            config["rope_theta"] = theta
            if partial is not None:
                config["partial_rotary_factor"] = partial
        config["rope_scaling"] = None if kind == "default" else {"rope_type": kind, **rope}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def write(folder, config, seed=0, lengths=(5, 11, 37), new_form=False, stored=torch.float32, shard="5GB"):
    model = build(config, seed, stored)
    folder.mkdir(parents=True, exist_ok=True)
    # The reference's own tables must not be rounded.
    copy.deepcopy(model).to(stored).save_pretrained(folder, max_shard_size=shard)
    generator = torch.Generator().manual_seed(seed + 1)
    reference = {}
    for index, length in enumerate(lengths):
        ids = torch.randint(3, config.vocab_size, (1, length), generator=generator)
        with torch.no_grad():
            logits = model(ids).logits[0].float().contiguous()
            whole = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=24,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=0,
            )
            greedy = whole[0, length:].clone()
            # Without a cache it must be the same, or the reference itself is wrong.
            assert (model(whole[:, :-1]).logits[0, length - 1 :].argmax(-1) == greedy).all(), folder
        reference[f"input_ids.{index}"] = ids[0].clone()
        reference[f"logits.{index}"] = logits
        reference[f"greedy.{index}"] = greedy
    made_by = {"transformers": t.__version__, "torch": torch.__version__, "seed": str(seed)}
    save_file(reference, folder / "reference.safetensors", metadata=made_by)
    (folder / "generation_config.json").unlink(missing_ok=True)
    as_published(folder, new_form)
    print(f"{folder.name:26s} {config.model_type:12s} spread {reference['logits.0'].std().item():.2f}")


if __name__ == "__main__":
    for name, config, options in specs():
        if not sys.argv[1:] or any(part in name for part in sys.argv[1:]):
            write(FIXTURES / name, config, **options)

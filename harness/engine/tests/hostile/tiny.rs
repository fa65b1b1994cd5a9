//! Whole models of a few kilobytes: small enough to damage every byte of them.

use crate::gguf::File;

/// The architectures of [`gguf`]; `mixtral` is `llama` with experts.
pub(super) const ARCHITECTURES: [&str; 11] = [
    "llama",
    "mixtral",
    "gemma3",
    "qwen2",
    "stablelm",
    "phi2",
    "falcon",
    "gptneox",
    "bloom",
    "mpt",
    "starcoder",
];
/// Tokens of the tiny models.
pub(super) const TOKENS: [&str; 6] = ["</s>", "a", "b", "c", "ab", "[n]"];

const HEADS: usize = 2;
const HEAD: usize = 4;
const HIDDEN: usize = HEADS * HEAD;
const MLP: usize = 12;
const CONTEXT: usize = 40;

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|it| f32::from(u8::try_from((it * 7 + 3) % 11).expect("below 11")) / 11.0 - 0.4).collect()
}

fn number(it: usize) -> u32 {
    u32::try_from(it).expect("a small number")
}

/// The metadata of a byte-level tokenizer of [`TOKENS`].
pub(super) fn tokenizer(file: File) -> File {
    file.text("tokenizer.ggml.model", "gpt2")
        .text("tokenizer.ggml.pre", "gpt-2")
        .texts("tokenizer.ggml.tokens", &TOKENS.map(str::to_owned))
        .texts("tokenizer.ggml.merges", &["a b".to_owned()])
        .integers("tokenizer.ggml.token_type", &[3, 1, 1, 1, 1, 4])
        .count("tokenizer.ggml.eos_token_id", 0)
        .flag("tokenizer.ggml.add_bos_token", false)
}

/// A model of one layer as llama.cpp's converter writes it.
pub(super) fn gguf(architecture: &str) -> File {
    let experts = architecture == "mixtral";
    let name = if experts { "llama" } else { architecture };
    let is = |names: &[&str]| names.contains(&name);
    let rms_norm = is(&["llama", "gemma3", "qwen2"]);
    let gated = rms_norm || is(&["stablelm"]);
    let fused = is(&["falcon", "gptneox", "bloom", "mpt", "starcoder"]);
    let biases = is(&["phi2", "gptneox", "bloom", "starcoder"]);
    let kv_heads = if is(&["llama", "gemma3", "falcon", "starcoder"]) { 1 } else { HEADS };

    let key = |it: &str| format!("{name}.{it}");
    let epsilon = if rms_norm { "attention.layer_norm_rms_epsilon" } else { "attention.layer_norm_epsilon" };
    let mut file = tokenizer(File::default().text("general.architecture", name))
        .count(&key("context_length"), number(CONTEXT))
        .count(&key("embedding_length"), number(HIDDEN))
        .count(&key("block_count"), 1)
        .count(&key("feed_forward_length"), number(MLP))
        .count(&key("attention.head_count"), number(HEADS))
        .count(&key("attention.head_count_kv"), number(kv_heads))
        .float(&key(epsilon), 1e-5);
    if experts {
        file = file.count("llama.expert_count", 2).count("llama.expert_used_count", 1);
    }
    if name == "gemma3" {
        file = file
            .count("gemma3.attention.sliding_window", 3)
            .count("gemma3.attention.key_length", number(HEAD));
    }

    let mut put = |name: &str, shape: &[usize], bias: bool| {
        let of = |shape: &[usize]| numbers(shape.iter().product());
        let mut it = std::mem::take(&mut file).tensor(&format!("{name}.weight"), shape, of(shape));
        if bias {
            let shape = &shape[..shape.len().min(1)];
            it = it.tensor(&format!("{name}.bias"), shape, of(shape));
        }
        file = it;
    };
    let norms = !rms_norm && name != "mpt";
    put("token_embd", &[TOKENS.len(), HIDDEN], false);
    put("output_norm", &[HIDDEN], norms);
    put("blk.0.attn_norm", &[HIDDEN], norms);
    if name == "bloom" {
        put("token_embd_norm", &[HIDDEN], true);
    }
    if name == "starcoder" {
        put("position_embd", &[CONTEXT, HIDDEN], false);
    }
    if name == "phi2" {
        put("output", &[TOKENS.len(), HIDDEN], true);
    }
    if !is(&["phi2", "falcon"]) {
        put("blk.0.ffn_norm", &[HIDDEN], norms);
    }
    if name == "gemma3" {
        put("blk.0.attn_q_norm", &[HEAD], false);
        put("blk.0.attn_k_norm", &[HEAD], false);
        put("blk.0.post_attention_norm", &[HIDDEN], false);
        put("blk.0.post_ffw_norm", &[HIDDEN], false);
    }
    if fused {
        put("blk.0.attn_qkv", &[(HEADS + 2 * kv_heads) * HEAD, HIDDEN], biases);
    } else {
        let bias = biases || name == "qwen2";
        put("blk.0.attn_q", &[HEADS * HEAD, HIDDEN], bias);
        put("blk.0.attn_k", &[kv_heads * HEAD, HIDDEN], bias);
        put("blk.0.attn_v", &[kv_heads * HEAD, HIDDEN], bias);
    }
    put("blk.0.attn_output", &[HIDDEN, HEADS * HEAD], biases);
    if experts {
        put("blk.0.ffn_gate_inp", &[2, HIDDEN], false);
        put("blk.0.ffn_gate_exps", &[2, MLP, HIDDEN], false);
        put("blk.0.ffn_up_exps", &[2, MLP, HIDDEN], false);
        put("blk.0.ffn_down_exps", &[2, HIDDEN, MLP], false);
        return file;
    }
    if gated {
        put("blk.0.ffn_gate", &[MLP, HIDDEN], false);
    }
    put("blk.0.ffn_up", &[MLP, HIDDEN], biases);
    put("blk.0.ffn_down", &[HIDDEN, MLP], biases);
    file
}

/// Quantized types by ggml's number, with the elements and bytes of a block.
pub(super) const QUANTIZED: [(u32, usize, usize); 10] = [
    (2, 32, 18),
    (3, 32, 20),
    (6, 32, 22),
    (7, 32, 24),
    (8, 32, 34),
    (10, 256, 84),
    (11, 256, 110),
    (12, 256, 144),
    (13, 256, 176),
    (14, 256, 210),
];

/// A Llama whose matrices with rows of the hidden size are quantized.
pub(super) fn quantized((kind, block, bytes): (u32, usize, usize)) -> File {
    let mut file =
        gguf("llama").count("llama.embedding_length", number(block)).count("llama.attention.key_length", 4);
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"] {
        file = file.tensor(&format!("{name}.weight"), &[block], numbers(block));
    }
    let rows = [
        ("token_embd", TOKENS.len()),
        ("blk.0.attn_q", HEADS * HEAD),
        ("blk.0.attn_k", HEAD),
        ("blk.0.attn_v", HEAD),
        ("blk.0.ffn_gate", MLP),
        ("blk.0.ffn_up", MLP),
    ];
    for (name, rows) in rows {
        // Small halves of a float wherever a scale stands, or small numbers.
        let stored = (0..rows * bytes).map(|it| u8::try_from(it % 37).expect("below 37")).collect();
        file = file.stored(&format!("{name}.weight"), &[rows, block], kind, stored);
    }
    for (name, columns) in [("blk.0.attn_output", HEADS * HEAD), ("blk.0.ffn_down", MLP)] {
        file = file.tensor(&format!("{name}.weight"), &[block, columns], numbers(block * columns));
    }
    file
}

/// A safetensors file of tensors with their types, shapes and bytes.
pub(super) fn safetensors(tensors: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let (mut header, mut data) = (String::from("{"), Vec::new());
    for (index, (name, kind, shape, bytes)) in tensors.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let (from, to) = (data.len(), data.len() + bytes.len());
        let entry = format!(
            "{comma}\"{name}\":{{\"dtype\":\"{kind}\",\"shape\":{shape:?},\"data_offsets\":[{from},{to}]}}"
        );
        header.push_str(&entry);
        data.extend(bytes);
    }
    header.push('}');
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// Tensors of `F32` that count upwards.
pub(super) type Tensors = Vec<(&'static str, &'static str, Vec<usize>)>;

/// What a Llama of the same sizes as [`gguf`]'s has, in safetensors.
pub(super) fn llama() -> Tensors {
    vec![
        ("model.embed_tokens.weight", "F32", vec![TOKENS.len(), HIDDEN]),
        ("model.norm.weight", "F32", vec![HIDDEN]),
        ("model.layers.0.input_layernorm.weight", "F32", vec![HIDDEN]),
        ("model.layers.0.post_attention_layernorm.weight", "F32", vec![HIDDEN]),
        ("model.layers.0.self_attn.q_proj.weight", "F32", vec![HEADS * HEAD, HIDDEN]),
        ("model.layers.0.self_attn.k_proj.weight", "F16", vec![HEAD, HIDDEN]),
        ("model.layers.0.self_attn.v_proj.weight", "BF16", vec![HEAD, HIDDEN]),
        ("model.layers.0.self_attn.o_proj.weight", "F32", vec![HIDDEN, HEADS * HEAD]),
        ("model.layers.0.mlp.gate_proj.weight", "F32", vec![MLP, HIDDEN]),
        ("model.layers.0.mlp.up_proj.weight", "F32", vec![MLP, HIDDEN]),
        ("model.layers.0.mlp.down_proj.weight", "F32", vec![HIDDEN, MLP]),
    ]
}

/// A file of these tensors.
pub(super) fn file_of(tensors: &Tensors) -> Vec<u8> {
    let bytes = |kind: &str, shape: &[usize]| {
        let size = if kind == "F32" { 4 } else { 2 };
        (0..size * shape.iter().product::<usize>())
            .map(|it| u8::try_from(it % 61).expect("below 61"))
            .collect()
    };
    let tensors: Vec<_> =
        tensors.iter().map(|(name, kind, shape)| (*name, *kind, &shape[..], bytes(kind, shape))).collect();
    safetensors(&tensors)
}

/// The settings of [`llama`].
pub(super) const CONFIG: &str = r#"{
    "model_type": "llama", "vocab_size": 6, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "intermediate_size": 12, "max_position_embeddings": 40, "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "tie_word_embeddings": true
}"#;

/// Two tokens, and what would be the logits after them.
pub(super) fn reference() -> Vec<u8> {
    let ids = |ids: &[i64]| ids.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>();
    safetensors(&[
        ("input_ids.0", "I64", &[2], ids(&[1, 2])),
        ("logits.0", "F32", &[2, TOKENS.len()], vec![0; 8 * TOKENS.len()]),
        ("greedy.0", "I64", &[1], ids(&[0])),
    ])
}

/// `SentencePiece`'s table of replacements, of `a` by this text: a trie whose root leads by `a` to a leaf.
pub(super) fn charsmap(text: &str) -> Vec<i32> {
    let trie = [0x1_8000_u32, 0xd61, 0x8000_0000].map(u32::to_le_bytes).concat();
    let length = u32::try_from(trie.len()).expect("a short trie").to_le_bytes();
    [&length[..], &trie, text.as_bytes(), b"\0"].concat().into_iter().map(i32::from).collect()
}

/// Tokenizers as GGUF has them, each with the parts that the others lack.
pub(super) fn tokenizers() -> [(&'static str, File); 4] {
    let tokens =
        ["<unk>", "<s>", "</s>", "<0x41>", "\u{2581}", "a", "b", "\u{2581}ab", "[n]"].map(str::to_owned);
    let pieces = |model: &str| {
        File::default()
            .text("tokenizer.ggml.model", model)
            .texts("tokenizer.ggml.tokens", &tokens)
            .integers("tokenizer.ggml.token_type", &[2, 3, 3, 6, 1, 1, 1, 1, 4])
            .floats("tokenizer.ggml.scores", &[0.0, 0.0, 0.0, 0.0, -1.0, -2.0, -3.0, -4.0, 0.0])
            .count("tokenizer.ggml.unknown_token_id", 0)
            .flag("tokenizer.ggml.add_space_prefix", true)
            .flag("tokenizer.ggml.remove_extra_whitespaces", true)
    };
    [
        ("byte-level", tokenizer(File::default())),
        ("deepseek", tokenizer(File::default()).text("tokenizer.ggml.pre", "deepseek-llm")),
        ("pieces", pieces("llama")),
        ("unigram", pieces("t5").integers("tokenizer.ggml.precompiled_charsmap", &charsmap("xyz"))),
    ]
}

/// Tokenizers as folders have them, each with the parts that the others lack.
pub(super) const FOLDER_TOKENIZERS: [(&str, &str); 2] = [
    (
        "bpe",
        r#"{"added_tokens":[{"id":0,"content":"</s>","special":true},{"id":4,"content":"[n]","normalized":true}],
        "normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Lowercase"},{"type":"Prepend","prepend":"\u2581"},
        {"type":"Replace","pattern":{"String":" "},"content":"\u2581"},{"type":"Replace","pattern":{"Regex":"b+"},"content":"b"}]},
        "pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\d{1,3}"},"behavior":"Isolated","invert":false},
        {"type":"Digits","individual_digits":true},{"type":"Punctuation","behavior":"Isolated"},{"type":"WhitespaceSplit"}]},
        "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"</s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
        "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],
        "special_tokens":{"</s>":{"id":"</s>","ids":[0],"tokens":["</s>"]}}},
        "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},
        {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
        "model":{"type":"BPE","unk_token":"a","fuse_unk":true,"byte_fallback":true,"ignore_merges":true,
        "vocab":{"</s>":0,"a":1,"b":2,"ab":3,"\u2581":5,"<0x41>":6},"merges":["a b"]}}"#,
    ),
    (
        "unigram",
        r#"{"added_tokens":[{"id":0,"content":"<unk>","special":true}],
        "normalizer":{"type":"Nmt"},
        "pre_tokenizer":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true},
        "decoder":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true},
        "model":{"type":"Unigram","unk_id":0,"byte_fallback":false,"vocab":[["<unk>",0.0],["\u2581",-1.0],["a",-2.5],["b",-3.0]]}}"#,
    ),
];

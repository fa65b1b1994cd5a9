//! GGUF files.

use std::io::{Seek as _, SeekFrom, Write as _};

use engine::{Options, open, supports};
use eval::backend::{Backend as _, BackendError};
use rstest::rstest;

use crate::gguf::{File, text};
use crate::readers::{self, write};
use crate::tiny::{self, gguf};
use crate::watch::watched;

#[track_caller]
fn refused(bytes: &[u8], reason: &str) {
    let file = write(bytes);
    let opened = watched(|| open(file.path(), Options::default()));
    let Err(BackendError::Load(message)) = opened else { panic!("the file was taken") };
    assert!(message.contains(reason), "{message}");
    assert!(message.len() < 1000, "a message of {} bytes", message.len());
    assert!(supports(file.path()).is_err());
}

/// A header of these counts, then these bytes.
fn header(tensors: u64, metadata: u64, rest: &[u8]) -> Vec<u8> {
    [b"GGUF\x03\0\0\0", &tensors.to_le_bytes(), &metadata.to_le_bytes(), rest].concat()
}

fn tensor(name: &str, shape: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = text(name);
    bytes.extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
    bytes.extend(shape.iter().flat_map(|it| it.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

fn value(key: &str, kind: u32, bytes: &[u8]) -> Vec<u8> {
    [&text(key), &kind.to_le_bytes()[..], bytes].concat()
}

/// An array of this many elements, of which these bytes are there.
fn array(element: u32, count: u64, bytes: &[u8]) -> Vec<u8> {
    value("key", 9, &[&element.to_le_bytes(), &count.to_le_bytes()[..], bytes].concat())
}

/// Two tensors of 64 bytes each, and as many bytes as they need.
fn two(first: u64, second: u64) -> Vec<u8> {
    let tensors = [tensor("a", &[16, 1], 0, first), tensor("b", &[16, 1], 0, second)].concat();
    [header(2, 0, &tensors), vec![0; 160]].concat()
}

const HUGE: u64 = 1 << 60;

#[rstest]
#[case::empty(b"", "is empty")]
#[case::magic(b"PK\x03\x04 and more", "not a GGUF file")]
#[case::version(b"GGUF\x63\0\0\0", "version 99")]
#[case::big_endian(b"GGUF\0\0\0\x03", "version")]
#[case::cut(b"GGUF\x03\0\0\0\x01", "ends within the tensor count")]
#[case::metadata_count(&header(0, u64::MAX, &[]), "metadata count")]
#[case::metadata_count_huge(&header(0, HUGE, &[0; 64]), "a metadata count of 1152921504606846976")]
#[case::tensor_count(&header(1 << 40, 0, &[]), "tensor count")]
#[case::tensor_count_huge(&header(HUGE, 0, &[0; 64]), "a tensor count of 1152921504606846976")]
#[case::many_values(&header(0, 1 << 20, &vec![0; 14 << 20]), "a metadata count of 1048576, where at most 8192")]
#[case::many_tensors(&header(1 << 18, 0, &vec![0; 9 << 20]), "a tensor count of 262144, where at most 65536")]
#[case::key_length(&header(0, 1, &[0xff; 32]), "text")]
#[case::key_length_huge(&header(0, 1, &[&HUGE.to_le_bytes()[..], &[0; 32]].concat()), "a text of 1152921504606846976")]
#[case::text_length_huge(&header(0, 1, &value("key", 8, &HUGE.to_le_bytes())), "a text of 1152921504606846976")]
#[case::name_length_huge(&header(1, 0, &[&HUGE.to_le_bytes()[..], &[0; 32]].concat()), "a text of 1152921504606846976")]
#[case::key_encoding(&header(0, 1, &[&1_u64.to_le_bytes()[..], &[0xff; 9]].concat()), "not UTF-8")]
#[case::value_type(&header(0, 1, &value("some key", 77, &[])), "unknown type 77")]
#[case::array_length(&header(0, 1, &array(8, 1 << 61, &[])), "array")]
#[case::array_length_huge(&header(0, 1, &array(0, HUGE, &[0; 64])), "an array of 1152921504606846976")]
#[case::array_length_wraps(&header(0, 1, &array(12, (1 << 61) + 1, &[0; 64])), "an array of 2305843009213693953")]
#[case::array_of_many(&header(0, 1, &array(7, 5 << 20, &vec![0; 5 << 20])), "an array of 5242880, where at most 4194304")]
#[case::array_of_empty_texts(&header(0, 1, &array(8, 3 << 20, &vec![0; 24 << 20])), "no `general.architecture`")]
#[case::arrays_of_bytes(
    &header(0, 2, &[array(0, 3 << 20, &vec![0; 3 << 20]), array(7, 3 << 20, &vec![0; 3 << 20])].concat()),
    "an array of 3145728, where at most 1048576"
)]
#[case::array_of_no_type(&header(0, 1, &array(13, 1, &[0; 64])), "unknown type 13")]
#[case::nested(&header(0, 1, &array(9, 1, &[])), "array of arrays")]
#[case::nested_deep(
    &header(0, 1, &array(9, 1, &[9_u32.to_le_bytes().as_slice(), &1_u64.to_le_bytes()].concat().repeat(100_000))),
    "array of arrays"
)]
#[case::twice(&header(0, 2, &value("some key", 7, &[1]).repeat(2)), "`some key` is there twice")]
#[case::tensor_twice(&header(2, 0, &tensor("a", &[4, 1], 0, 0).repeat(2)), "`a` is there twice")]
#[case::alignment_0(&header(0, 1, &value("general.alignment", 4, &[0; 4])), "alignment of 0")]
#[case::alignment_3(&header(0, 1, &value("general.alignment", 4, &[3, 0, 0, 0])), "alignment of 3")]
#[case::alignment_huge(&header(0, 1, &value("general.alignment", 4, &[0, 0, 0, 0x80])), "alignment")]
#[case::alignment_wraps(&header(0, 1, &value("general.alignment", 10, &(1_u64 << 63).to_le_bytes())), "alignment of 9223372036854775808")]
#[case::alignment_text(&header(0, 1, &value("general.alignment", 8, &text("32"))), "`general.alignment` is not")]
#[case::shape(&header(1, 0, &tensor("weight", &[1 << 63, 1 << 63], 0, 0)), "impossible shape")]
#[case::shape_huge(&header(1, 0, &tensor("weight", &[HUGE, 1], 0, 0)), "impossible shape [1, 1152921504606846976]")]
#[case::shape_wraps(&header(1, 0, &tensor("weight", &[1 << 32, 1 << 32], 0, 0)), "impossible shape")]
#[case::no_elements(&header(1, 0, &tensor("weight", &[0, 4], 0, 0)), "impossible shape")]
#[case::half_blocks(&header(1, 0, &tensor("weight", &[16, 2], 3, 0)), "impossible shape")]
#[case::no_dimensions(&header(1, 0, &[tensor("weight", &[], 0, 0), vec![0; 64]].concat()), "0 dimensions")]
#[case::dimensions(&header(1, 0, &tensor("weight", &[1, 1, 1, 1, 1], 0, 0)), "5 dimensions")]
#[case::dimensions_huge(
    &header(1, 0, &[&text("weight")[..], &u32::MAX.to_le_bytes(), &[1; 64]].concat()),
    "4294967295 dimensions"
)]
#[case::tensor_type(&header(1, 0, &tensor("weight", &[4, 4], 4, 0)), "unknown tensor type 4")]
#[case::integers(&header(1, 0, &tensor("weight", &[4, 4], 26, 0)), "unknown tensor type 26")]
#[case::offset(&header(1, 0, &tensor("weight", &[4, 1], 0, 1 << 62)), "needs 16 bytes at")]
#[case::offset_wraps(&header(1, 0, &tensor("weight", &[16, 1], 0, u64::MAX - 31)), "needs 64 bytes at 18446744073709551584")]
#[case::misaligned(&header(1, 0, &tensor("weight", &[4, 1], 0, 8)), "not aligned")]
#[case::same_place(&two(0, 0), "`a` and `b` overlap at 0")]
#[case::overlap(&two(0, 32), "`a` and `b` overlap at 32")]
#[case::overlap_backwards(&two(64, 32), "`b` and `a` overlap at 64")]
#[case::last_beyond(&two(0, 128), "`b` needs 64 bytes at 128")]
fn headers(#[case] bytes: &[u8], #[case] reason: &str) {
    refused(bytes, reason);
}

/// A file whose holes cost nothing on the disk.
#[rstest]
#[case::flags(array(7, 1 << 32, &[]), "the header has more than")]
#[case::texts(array(8, 1 << 30, &[]), "the header has more than")]
#[case::text(value("key", 8, &(1_u64 << 33).to_le_bytes()), "the header has more than")]
#[case::key((1_u64 << 33).to_le_bytes().to_vec(), "the header has more than")]
fn a_header_of_gigabytes(#[case] entry: Vec<u8>, #[case] reason: &str) {
    let mut file = write(&header(0, 1, &entry));
    file.as_file_mut().seek(SeekFrom::Start(16 << 30)).unwrap();
    file.as_file_mut().write_all(&[0]).unwrap();
    let opened = watched(|| open(file.path(), Options::default()).map(drop));
    let message = opened.unwrap_err().to_string();
    assert!(message.contains(reason), "{message}");
}

fn u64(file: File, key: &str, value: u64) -> File {
    file.raw(key, 10, &value.to_le_bytes())
}

#[rstest]
#[case::unknown(|it: File| it.text("general.architecture", "mamba"), "`mamba`")]
#[case::none(|it: File| it.without("general.architecture"), "no `general.architecture`")]
#[case::architecture(|it: File| it.count("general.architecture", 1), "`general.architecture` is not a text")]
#[case::parts(|it: File| it.count("split.count", 2), "one of several parts")]
#[case::no_layers(|it: File| it.count("llama.block_count", 0), "block_count")]
#[case::many_layers(|it: File| it.count("llama.block_count", 1 << 24), "at most 1024")]
#[case::layers_wrap(|it: File| u64(it, "llama.block_count", 1 << 32), "`llama.block_count` is 4294967296")]
#[case::more_layers(|it: File| it.count("llama.block_count", 1024), "no tensor `blk.1.")]
#[case::few_layers(
    |it: File| it.tensor("blk.1.attn_norm.weight", &[8], vec![0.0; 8]),
    "`blk.1.attn_norm.weight`, of layers beyond its 1"
)]
#[case::no_heads(|it: File| it.count("llama.attention.head_count", 0), "`llama.attention.head_count` is 0")]
#[case::many_heads(|it: File| it.count("llama.attention.head_count", 1 << 31), "`llama.attention.head_count` is 2147483648")]
#[case::negative_heads(|it: File| it.raw("llama.attention.head_count", 5, &[0xff; 4]), "`llama.attention.head_count` is not a count")]
#[case::heads_each(|it: File| it.integers("llama.attention.head_count", &[2]), "`llama.attention.head_count` is not a count")]
#[case::uneven_heads(|it: File| it.count("llama.attention.head_count", 3), "8 hidden elements do not make 3 heads")]
#[case::heads(|it: File| it.count("llama.attention.head_count_kv", 3), "cannot share 3")]
#[case::no_key_heads(|it: File| it.count("llama.attention.head_count_kv", 0), "cannot share 0")]
#[case::many_key_heads(|it: File| it.count("llama.attention.head_count_kv", 4), "2 heads cannot share 4")]
#[case::odd_head(|it: File| it.count("llama.attention.key_length", 15), "head size of 15")]
#[case::no_head(|it: File| it.count("llama.attention.key_length", 0), "head size of 0")]
#[case::wide_head(|it: File| it.count("llama.attention.key_length", 1 << 14), "has the shape [8, 8], not [32768, 8]")]
#[case::values(|it: File| it.count("llama.attention.value_length", 8), "`llama.attention.value_length` is 8")]
#[case::hidden(|it: File| it.count("llama.embedding_length", 10).count("llama.attention.key_length", 4), "has the shape [6, 8], not [6, 10]")]
#[case::no_hidden(|it: File| it.count("llama.embedding_length", 0), "`llama.embedding_length` is 0")]
#[case::much_hidden(|it: File| u64(it, "llama.embedding_length", 1 << 60), "`llama.embedding_length` is 1152921504606846976")]
#[case::no_mlp(|it: File| it.count("llama.feed_forward_length", 0), "`llama.feed_forward_length` is 0")]
#[case::mlp(|it: File| it.count("llama.feed_forward_length", 1 << 24), "has the shape [12, 8], not [16777216, 8]")]
#[case::no_context(|it: File| it.count("llama.context_length", 0), "`llama.context_length` is 0")]
#[case::context(|it: File| u64(it, "llama.context_length", 1 << 63), "`llama.context_length` is 9223372036854775808")]
#[case::epsilon(|it: File| it.float("llama.attention.layer_norm_rms_epsilon", f32::NAN), "finite")]
#[case::no_epsilon(|it: File| it.float("llama.attention.layer_norm_rms_epsilon", 0.0), "layer_norm_rms_epsilon` is 0")]
#[case::epsilon_below(|it: File| it.float("llama.attention.layer_norm_rms_epsilon", -1.0), "layer_norm_rms_epsilon` is -1")]
#[case::experts(|it: File| it.count("llama.expert_count", 8), "0 experts are used, of 8")]
#[case::no_experts(|it: File| it.count("llama.expert_used_count", 2), "2 experts are used, of 0")]
#[case::more_experts(
    |it: File| it.count("llama.expert_count", 2).count("llama.expert_used_count", 3),
    "3 experts are used, of 2"
)]
#[case::many_experts(|it: File| it.count("llama.expert_count", 1 << 31), "`llama.expert_count` is 2147483648")]
#[case::turning_odd(|it: File| it.count("llama.rope.dimension_count", 3), "3 of a head size of 4 would turn")]
#[case::turning_none(|it: File| it.count("llama.rope.dimension_count", 0), "0 of a head size of 4 would turn")]
#[case::turning_more(|it: File| it.count("llama.rope.dimension_count", 6), "6 of a head size of 4 would turn")]
#[case::base(|it: File| it.float("llama.rope.freq_base", 1.0), "`llama.rope.freq_base` is 1")]
#[case::base_below(|it: File| it.float("llama.rope.freq_base", -1e4), "`llama.rope.freq_base` is -10000")]
#[case::base_nan(|it: File| it.float("llama.rope.freq_base", f32::NAN), "`llama.rope.freq_base` is not a finite float")]
#[case::factors(
    |it: File| it.tensor("rope_freqs.weight", &[2], vec![1.0, f32::NAN]),
    "`rope_freqs.weight` does not hold 2 factors above 0"
)]
#[case::factors_quantized(
    |it: File| it.stored("rope_freqs.weight", &[32], 2, vec![0; 18]),
    "`rope_freqs.weight` is quantized"
)]
#[case::scaling(|it: File| it.text("llama.rope.scaling.type", "yarn"), "`yarn`")]
#[case::option(|it: File| it.flag("llama.attention.backwards", true), "`llama.attention.backwards` is an option")]
#[case::bias(|it: File| it.tensor("blk.0.attn_q.bias", &[8], vec![0.0; 8]), "`blk.0.attn_k.bias`")]
#[case::no_embedding(|it: File| it.tensor("token_embd.weight", &[48], vec![0.0; 48]), "no matrix `token_embd.weight`")]
#[case::embedding(|it: File| it.tensor("token_embd.weight", &[7, 8], vec![0.0; 56]), "there are 6 tokens, but weights for 7")]
#[case::tokens(|it: File| it.texts("tokenizer.ggml.tokens", &["a".to_owned()]), "there are 1 tokens, but weights for 6")]
#[case::more_tokens(
    |it: File| it.texts("tokenizer.ggml.tokens", &vec![String::new(); 1 << 20]),
    "there are 1048576 tokens, but weights for 6"
)]
#[case::no_tokens(|it: File| it.without("tokenizer.ggml.tokens"), "no list of texts `tokenizer.ggml.tokens`")]
#[case::token_numbers(|it: File| it.integers("tokenizer.ggml.tokens", &[1; 6]), "no list of texts `tokenizer.ggml.tokens`")]
#[case::kinds(|it: File| it.integers("tokenizer.ggml.token_type", &[1]), "token_type")]
#[case::begin(|it: File| it.count("tokenizer.ggml.bos_token_id", 6), "the bos token is 6, beyond the 6 tokens")]
#[case::end(|it: File| it.raw("tokenizer.ggml.eos_token_id", 5, &[0xff; 4]), "`tokenizer.ggml.eos_token_id` is not a count")]
#[case::merges(|it: File| it.texts("tokenizer.ggml.merges", &["q".to_owned()]), "the merge `q` is not a pair")]
#[case::merge_numbers(|it: File| it.integers("tokenizer.ggml.merges", &[1]), "no list of texts `tokenizer.ggml.merges`")]
#[case::model(|it: File| it.text("tokenizer.ggml.model", "bert"), "`bert`")]
#[case::pre(|it: File| it.text("tokenizer.ggml.pre", "unheard"), "`unheard`")]
#[case::scores(|it: File| it.text("tokenizer.ggml.model", "llama"), "scores")]
#[case::scores_nan(
    |it: File| it.text("tokenizer.ggml.model", "llama").floats("tokenizer.ggml.scores", &[f32::NAN; 6]),
    "`tokenizer.ggml.scores` holds what is not a number"
)]
#[case::template(|it: File| it.count("tokenizer.chat_template", 1), "`tokenizer.chat_template` is not a text")]
fn models(#[case] change: fn(File) -> File, #[case] reason: &str) {
    refused(&change(gguf("llama")).bytes(), reason);
}

#[rstest]
#[case::norm("blk.0.attn_norm.weight", 12)]
#[case::last_norm("output_norm.weight", 14)]
fn norms_that_are_quantized(#[case] name: &str, #[case] kind: u32) {
    let block = tiny::QUANTIZED.into_iter().find(|it| it.0 == kind).unwrap();
    let file = tiny::quantized(block).stored(name, &[256], kind, vec![0; block.2]);
    refused(&file.bytes(), &format!("`{name}` is quantized"));
}

/// What no header shows.
#[rstest]
#[case::embedding("token_embd.weight", &[6, 8], f32::NAN)]
#[case::norm("output_norm.weight", &[8], f32::INFINITY)]
#[case::values("blk.0.attn_v.weight", &[4, 8], f32::INFINITY)]
#[case::mlp("blk.0.ffn_down.weight", &[8, 12], f32::NEG_INFINITY)]
fn weights_that_are_no_numbers(#[case] name: &str, #[case] shape: &[usize], #[case] weight: f32) {
    let file = gguf("llama").tensor(name, shape, vec![weight; shape.iter().product()]);
    let outcome = watched(|| readers::gguf(&file.bytes()));
    assert!(outcome.unwrap_err().contains("not a finite number"));
}

#[test]
fn a_router_of_no_numbers() {
    let file = gguf("mixtral").tensor("blk.0.ffn_gate_inp.weight", &[2, 8], vec![f32::NAN; 16]);
    assert!(watched(|| readers::gguf(&file.bytes())).unwrap_err().contains("not a finite number"));
}

/// Keys and values of a whole context would take terabytes.
#[test]
fn a_context_beyond_the_memory() {
    const HEADS: usize = 1 << 12;
    let of = |rows: usize, columns: usize| vec![0.0; rows * columns];
    let file = gguf("llama")
        .count("llama.context_length", 1 << 24)
        .count("llama.embedding_length", 1)
        .count("llama.attention.head_count", 1 << 12)
        .count("llama.attention.head_count_kv", 1 << 12)
        .count("llama.attention.key_length", 2)
        .tensor("token_embd.weight", &[6, 1], of(6, 1))
        .tensor("output_norm.weight", &[1], of(1, 1))
        .tensor("blk.0.attn_norm.weight", &[1], of(1, 1))
        .tensor("blk.0.ffn_norm.weight", &[1], of(1, 1))
        .tensor("blk.0.attn_q.weight", &[2 * HEADS, 1], of(2 * HEADS, 1))
        .tensor("blk.0.attn_k.weight", &[2 * HEADS, 1], of(2 * HEADS, 1))
        .tensor("blk.0.attn_v.weight", &[2 * HEADS, 1], of(2 * HEADS, 1))
        .tensor("blk.0.attn_output.weight", &[1, 2 * HEADS], of(2 * HEADS, 1))
        .tensor("blk.0.ffn_gate.weight", &[12, 1], of(12, 1))
        .tensor("blk.0.ffn_up.weight", &[12, 1], of(12, 1))
        .tensor("blk.0.ffn_down.weight", &[1, 12], of(12, 1));
    let file = write(&file.bytes());
    let engine = open(file.path(), Options::default()).unwrap();
    assert!(engine.estimate().cache > 1 << 40, "{:?}", engine.estimate());
    // Some systems promise what they do not have.
    if let Err(err) = watched(|| engine.load()) {
        assert!(err.to_string().contains("bytes of memory: "), "{err}");
    }
}

/// Every token ends an answer: looking each up in a list of all would take minutes.
#[test]
fn tokens_that_all_end_an_answer() {
    const COUNT: usize = 1 << 18;
    let file = gguf("llama")
        .texts("tokenizer.ggml.tokens", &vec!["</s>".to_owned(); COUNT])
        .without("tokenizer.ggml.token_type")
        .count("llama.embedding_length", 1)
        .count("llama.attention.key_length", 4)
        .stored("token_embd.weight", &[COUNT, 1], 1, vec![0; 2 * COUNT]);
    let file = ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"]
        .iter()
        .fold(file, |file, name| file.tensor(&format!("{name}.weight"), &[1], vec![0.0]));
    let shapes = [
        ("blk.0.attn_q", [8, 1]),
        ("blk.0.attn_k", [4, 1]),
        ("blk.0.attn_v", [4, 1]),
        ("blk.0.attn_output", [1, 8]),
        ("blk.0.ffn_gate", [12, 1]),
        ("blk.0.ffn_up", [12, 1]),
        ("blk.0.ffn_down", [1, 12]),
    ];
    let file = shapes.iter().fold(file, |file, (name, shape)| {
        file.tensor(&format!("{name}.weight"), shape, vec![0.0; shape[0] * shape[1]])
    });
    let file = write(&file.bytes());
    watched(|| open(file.path(), Options::default()).map(drop)).unwrap();
}

#[test]
fn a_failed_load_is_remembered() {
    let bytes = gguf("llama").bytes();
    let file = write(&bytes);
    let engine = open(file.path(), Options::default()).unwrap();
    file.as_file().set_len(bytes.len() as u64 / 2).unwrap();
    let first = engine.load().unwrap_err().to_string();
    file.as_file().set_len(bytes.len() as u64).unwrap();
    assert_eq!(engine.load().unwrap_err().to_string(), first);
    assert_eq!(engine.load_time(), None);
}

#[test]
fn what_is_no_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(supports(directory.path()).unwrap_err().contains("neither model.safetensors"));
    assert!(supports(&directory.path().join("absent.gguf")).is_err());
}

#[rstest]
fn tiny_models_answer(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)] index: usize) {
    readers::gguf(&gguf(tiny::ARCHITECTURES[index]).bytes()).unwrap();
}

#[rstest]
fn tiny_quantized_models_answer(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)] index: usize) {
    readers::gguf(&tiny::quantized(tiny::QUANTIZED[index]).bytes()).unwrap();
}

//! Files that are damaged or made to do harm: each is an error that says what is wrong.

use eval::backend::Backend as _;
use eval::backend::BackendError;
use rstest::rstest;

use super::fixture::{File, model, text, write};
use crate::{Options, open, supports};

#[track_caller]
fn refused(bytes: &[u8], reason: &str) {
    let file = write(bytes);
    let Err(BackendError::Load(message)) = open(file.path(), Options::default()) else {
        panic!("the file was taken");
    };
    assert!(message.contains(reason), "{message}");
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

#[rstest]
#[case::empty(b"", "is empty")]
#[case::magic(b"PK\x03\x04 and more", "not a GGUF file")]
#[case::version(b"GGUF\x63\0\0\0", "version 99")]
#[case::big_endian(b"GGUF\0\0\0\x03", "version")]
#[case::cut(b"GGUF\x03\0\0\0\x01", "ends within the tensor count")]
#[case::metadata_count(&header(0, u64::MAX, &[]), "metadata count")]
#[case::tensor_count(&header(1 << 40, 0, &[]), "tensor count")]
#[case::key_length(&header(0, 1, &[0xff; 32]), "text")]
#[case::value_type(&header(0, 1, &value("some key", 77, &[])), "unknown type 77")]
#[case::array_length(
    &header(0, 1, &value("key", 9, &[&8_u32.to_le_bytes()[..], &(1_u64 << 61).to_le_bytes()].concat())),
    "array"
)]
#[case::nested(
    &header(0, 1, &value("key", 9, &[&9_u32.to_le_bytes()[..], &1_u64.to_le_bytes()].concat())),
    "array of arrays"
)]
#[case::twice(&header(0, 2, &value("some key", 7, &[1]).repeat(2)), "twice")]
#[case::alignment_0(&header(0, 1, &value("general.alignment", 4, &[0; 4])), "alignment of 0")]
#[case::alignment_3(&header(0, 1, &value("general.alignment", 4, &[3, 0, 0, 0])), "alignment of 3")]
#[case::alignment_huge(&header(0, 1, &value("general.alignment", 4, &[0, 0, 0, 0x80])), "alignment")]
#[case::shape(&header(1, 0, &tensor("weight", &[1 << 63, 1 << 63], 0, 0)), "impossible shape")]
#[case::no_elements(&header(1, 0, &tensor("weight", &[0, 4], 0, 0)), "impossible shape")]
#[case::half_blocks(&header(1, 0, &tensor("weight", &[16, 2], 3, 0)), "impossible shape")]
#[case::dimensions(&header(1, 0, &tensor("weight", &[1, 1, 1, 1, 1], 0, 0)), "5 dimensions")]
#[case::tensor_type(&header(1, 0, &tensor("weight", &[4, 4], 4, 0)), "unknown tensor type 4")]
#[case::offset(&header(1, 0, &tensor("weight", &[4, 1], 0, 1 << 62)), "needs 16 bytes at")]
#[case::misaligned(&header(1, 0, &tensor("weight", &[4, 1], 0, 8)), "not aligned")]
#[case::overlap(
    &[header(2, 0, &[tensor("a", &[8, 1], 0, 0), tensor("b", &[8, 1], 0, 0)].concat()), vec![0; 60]].concat(),
    "together"
)]
fn headers(#[case] bytes: &[u8], #[case] reason: &str) {
    refused(bytes, reason);
}

#[rstest]
#[case::unknown(|it: File| it.text("general.architecture", "mamba"), "`mamba`")]
#[case::none(|it: File| it.without("general.architecture"), "no `general.architecture`")]
#[case::no_layers(|it: File| it.count("llama.block_count", 0), "block_count")]
#[case::many_layers(|it: File| it.count("llama.block_count", 1 << 24), "at most 1024")]
#[case::few_layers(|it: File| it.count("llama.block_count", 1), "layers beyond")]
#[case::no_heads(|it: File| it.count("llama.attention.head_count", 0), "head_count")]
#[case::heads(|it: File| it.count("llama.attention.head_count_kv", 3), "cannot share 3")]
#[case::odd_head(|it: File| it.count("llama.attention.key_length", 15), "head size of 15")]
#[case::hidden(|it: File| it.count("llama.embedding_length", 65), "has the shape")]
#[case::epsilon(|it: File| it.float("llama.attention.layer_norm_rms_epsilon", f32::NAN), "finite")]
#[case::experts(|it: File| it.count("llama.expert_count", 8), "0 experts are used, of 8")]
#[case::scaling(|it: File| it.text("llama.rope.scaling.type", "yarn"), "`yarn`")]
#[case::bias(|it: File| it.tensor("blk.0.attn_q.bias", &[64], vec![0.0; 64]), "`blk.0.attn_k.bias`")]
#[case::tokens(|it: File| it.texts("tokenizer.ggml.tokens", &["a".to_owned()]), "weights for 320")]
#[case::kinds(|it: File| it.integers("tokenizer.ggml.token_type", &[1]), "token_type")]
#[case::begin(|it: File| it.count("tokenizer.ggml.bos_token_id", 320), "beyond")]
#[case::merges(|it: File| it.texts("tokenizer.ggml.merges", &["q".to_owned()]), "not a pair")]
#[case::model(|it: File| it.text("tokenizer.ggml.model", "bert"), "`bert`")]
#[case::pre(|it: File| it.text("tokenizer.ggml.pre", "unheard"), "`unheard`")]
#[case::scores(|it: File| it.text("tokenizer.ggml.model", "llama"), "scores")]
fn models(#[case] change: fn(File) -> File, #[case] reason: &str) {
    refused(&change(model("llama-3")).bytes(), reason);
}

#[test]
fn every_cut_of_a_file_is_an_error() {
    let bytes = model("gemma-3").bytes();
    for length in (0..bytes.len()).step_by(997) {
        let cut = write(&bytes[..length]);
        assert!(open(cut.path(), Options::default()).is_err(), "{length} of {} bytes", bytes.len());
    }
}

#[test]
fn a_failed_load_is_remembered() {
    let bytes = model("llama-3").bytes();
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

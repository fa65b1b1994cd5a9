//! AWQ's and GPTQ's weights: what is packed comes out exactly, and what nobody can follow is refused.

use std::path::Path;

use half::{bf16, f16};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::checkpoint::Checkpoint;
use crate::decoder::Decoder;
use crate::kernels::grouped::{Grouped, Groups, Packing, Parts};
use crate::kernels::memory::Arena;
use crate::kernels::pack::{Loading, Packed};
use crate::kernels::pool::Pool;

/// A matrix as its quantizer has it.
#[derive(Clone, Debug)]
struct Matrix {
    rows: usize,
    columns: usize,
    group: usize,
    /// `[rows, columns]`.
    q: Vec<u8>,
    /// `[rows, groups]`.
    zeros: Vec<u8>,
    /// `[rows, groups]`, the bits of `f16` or `bf16`.
    scales: Vec<u16>,
    bf16: bool,
    /// Of each column.
    group_of: Vec<u32>,
}

/// Tensors as a file holds them.
#[derive(Default)]
struct Tensors {
    qweight: Vec<u8>,
    qzeros: Vec<u8>,
    scales: Vec<u8>,
    g_idx: Vec<u8>,
}

/// Where the order 0, 2, 4, 6, 1, 3, 5, 7 has each number.
fn interleaved(number: usize) -> usize {
    [0, 2, 4, 6, 1, 3, 5, 7].iter().position(|it| *it == number).unwrap()
}

/// Puts a number of four bits into a tensor of words.
fn put(words: &mut Vec<u8>, word: usize, place: usize, number: u8) {
    let byte = 4 * word + place / 2;
    words.resize(words.len().max(4 * word + 4), 0);
    words[byte] |= number << (4 * (place % 2));
}

impl Matrix {
    fn groups(&self) -> usize {
        self.columns.div_ceil(self.group)
    }

    fn weight(&self, row: usize, column: usize) -> f32 {
        let at = row * self.groups() + self.group_of[column] as usize;
        let (q, zero) = (f32::from(self.q[row * self.columns + column]), f32::from(self.zeros[at]));
        self.scale(at) * (q - zero)
    }

    fn scale(&self, at: usize) -> f32 {
        let bits = self.scales[at];
        if self.bf16 { bf16::from_bits(bits).to_f32() } else { f16::from_bits(bits).to_f32() }
    }

    fn packed(&self, packing: Packing) -> Tensors {
        let (rows, groups) = (self.rows, self.groups());
        let padded = match self.group {
            32 => 32,
            64 => 16,
            _ => 8,
        };
        let width = groups.next_multiple_of(padded);
        let mut tensors = Tensors::default();
        tensors.scales.resize(2 * rows * if packing == Packing::Gemv { width } else { groups }, 0);
        for row in 0..rows {
            for column in 0..self.columns {
                let q = self.q[row * self.columns + column];
                let (word, place) = match packing {
                    Packing::Gemm => (column * rows / 8 + row / 8, interleaved(row % 8)),
                    Packing::Gemv => (row * self.columns / 8 + column / 8, column % 8),
                    Packing::Gptq { .. } => (column / 8 * rows + row, column % 8),
                };
                put(&mut tensors.qweight, word, place, q);
            }
            for group in 0..groups {
                let (zero, scale) = (self.zeros[row * groups + group], self.scales[row * groups + group]);
                let (word, place, at) = match packing {
                    Packing::Gemm => (group * rows / 8 + row / 8, interleaved(row % 8), group * rows + row),
                    Packing::Gemv => (row * width / 8 + group / 8, group % 8, row * width + group),
                    Packing::Gptq { .. } => (group * rows / 8 + row / 8, row % 8, group * rows + row),
                };
                put(&mut tensors.qzeros, word, place, zero);
                tensors.scales[2 * at..2 * at + 2].copy_from_slice(&scale.to_le_bytes());
            }
        }
        if packing == Packing::Gemv {
            tensors.qzeros.resize(rows * width / 2, 0);
        }
        if packing == (Packing::Gptq { one_less: true }) {
            for word in tensors.qzeros.chunks_exact_mut(4) {
                let whole = u32::from_le_bytes(word.try_into().unwrap()).wrapping_sub(0x1111_1111);
                word.copy_from_slice(&whole.to_le_bytes());
            }
        }
        tensors.g_idx = self.group_of.iter().flat_map(|it| it.to_le_bytes()).collect();
        tensors
    }
}

impl Tensors {
    fn read(&self, matrix: &Matrix, packing: Packing) -> Result<Grouped<'_>, String> {
        Grouped::new(Parts {
            packing,
            shape: [matrix.rows, matrix.columns],
            group: matrix.group,
            qweight: &self.qweight,
            qzeros: &self.qzeros,
            scales: &self.scales,
            bf16: matrix.bf16,
            group_of_column: matches!(packing, Packing::Gptq { .. }).then_some(&self.g_idx),
        })
    }
}

const PACKINGS: [Packing; 4] =
    [Packing::Gemm, Packing::Gemv, Packing::Gptq { one_less: true }, Packing::Gptq { one_less: false }];

fn matrices() -> impl Strategy<Value = Matrix> {
    let groups = prop::sample::select(vec![32_usize, 64, 128, 160]);
    (1_usize..6, groups, 1_usize..4, any::<bool>(), any::<bool>()).prop_flat_map(
        |(eights, group, runs, bf16, symmetric)| {
            let (rows, columns) = (8 * eights, group * runs);
            let q = prop::collection::vec(0_u8..16, rows * columns);
            let zeros = prop::collection::vec(if symmetric { 8_u8..9 } else { 0..16 }, rows * runs);
            // Signs and subnormal numbers among them, but for large exponents, which mean no number.
            let scales = prop::collection::vec(any::<u16>().prop_map(|it| it & !0x4000), rows * runs);
            let of = |column: usize| u32::try_from(column / group).unwrap();
            let group_of = Just((0..columns).map(of).collect::<Vec<_>>()).prop_shuffle();
            (q, zeros, scales, group_of).prop_map(move |(q, zeros, scales, group_of)| Matrix {
                rows,
                columns,
                group,
                q,
                zeros,
                scales,
                bf16,
                group_of,
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every weight is `scale * (q - zero)`, to the last bit, in blocks and in `f32`, of two matrices in one.
    #[test]
    fn what_is_packed_comes_out(shuffled in matrices(), reordered: bool) {
        let pool = Pool::new(2).unwrap();
        for packing in PACKINGS {
            let mut matrix = shuffled.clone();
            if !reordered || !matches!(packing, Packing::Gptq { .. }) {
                matrix.group_of.sort_unstable();
            }
            let tensors = matrix.packed(packing);
            let read = || tensors.read(&matrix, packing).unwrap();
            let all = matrix.zeros.iter().all(|it| *it == 8);
            prop_assert_eq!(read().is_symmetric(), all, "{:?}", packing);
            let rows: Vec<usize> = (0..matrix.rows).rev().chain(3..5).collect();
            for dense in [false, true] {
                let mut groups = Groups::new(read(), (0..matrix.rows).rev());
                prop_assert!(groups.join(Groups::new(read(), 3..5)).is_ok());
                prop_assert_eq!(groups.order().is_some(), !matrix.group_of.is_sorted(), "{:?}", packing);
                let loading = Loading { pool: &pool, arena: &Arena::default(), dense, read: &|| {} };
                let packed = Packed::of_groups(loading, groups).unwrap();
                prop_assert_eq!((packed.rows(), packed.is_quantized()), (rows.len(), !dense));
                let mut found = vec![0.0; matrix.columns];
                for (index, row) in rows.iter().enumerate() {
                    packed.row(index, &mut found);
                    let wanted: Vec<f32> = (0..matrix.columns).map(|it| matrix.weight(*row, it)).collect();
                    prop_assert_eq!(&found, &wanted, "{:?} row {} dense {}", packing, row, dense);
                }
            }
        }
    }
}

/// A folder of the fixtures, its settings, header and data changed.
fn changed(name: &str, change: impl FnOnce(&mut Value, &mut Map<String, Value>, &mut Vec<u8>)) -> TempDir {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/quantized").join(name);
    let mut config: Value =
        serde_json::from_str(&std::fs::read_to_string(from.join("config.json")).unwrap()).unwrap();
    let bytes = std::fs::read(from.join("model.safetensors")).unwrap();
    let length = usize::try_from(u64::from_le_bytes(*bytes.first_chunk().unwrap())).unwrap();
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let mut data = bytes[8 + length..].to_vec();
    change(&mut config, header.as_object_mut().unwrap(), &mut data);
    let header = header.to_string();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    folder
}

/// As much as opening a model looks at.
fn open(folder: &Path) -> Result<u64, String> {
    Decoder::weights_bytes(&Checkpoint::open(folder)?, false, crate::Device::Cpu)
}

#[track_caller]
fn refused(folder: &TempDir, reason: &str) {
    let message = open(folder.path()).expect_err("the checkpoint was taken");
    assert!(message.contains(reason), "{message}");
    assert!(message.len() < 1000, "a message of {} bytes", message.len());
}

#[rstest]
#[case::eight_bits("gptq-llama", "bits", json!(8), "gptq weights of 8 bits")]
#[case::no_bits("awq-llama", "bits", json!(null), "no `quantization_config.bits`")]
#[case::many_bits("awq-llama", "bits", json!(1_u64 << 60), "`quantization_config.bits` is 1152921504606846976")]
#[case::method("awq-llama", "quant_method", json!("bitsandbytes"), "`quantization_config.quant_method` is `bitsandbytes`")]
#[case::no_method("awq-llama", "quant_method", json!(null), "no `quantization_config.quant_method`")]
#[case::fast("awq-llama", "version", json!("gemv_fast"), "awq weights in the form `gemv_fast`")]
#[case::marlin("gptq-llama", "checkpoint_format", json!("marlin"), "gptq weights in the form `marlin`")]
#[case::mixed("awq-llama", "version", json!("gptq"), "awq weights in the form `gptq`")]
#[case::llm_awq("awq-llama", "backend", json!("llm-awq"), "in the form of llm-awq")]
#[case::no_zeros("awq-llama", "zero_point", json!(false), "`quantization_config.zero_point` is false")]
#[case::words("gptq-llama", "pack_dtype", json!("int16"), "`quantization_config.pack_dtype` is \"int16\"")]
#[case::overrides("gptq-llama", "dynamic", json!({ "-:head": {}, "+:.*up": { "bits": 8 } }), "settings of their own for `+:.*up`")]
#[case::rotated("gptq-llama", "rotation", json!("hadamard"), "`quantization_config.rotation` is \"hadamard\"")]
#[case::small_groups("gptq-llama", "group_size", json!(16), "groups have 16 columns, where multiples of 32")]
#[case::no_groups("gptq-llama", "group_size", json!(0), "`quantization_config.group_size` is 0")]
#[case::negative_groups("gptq-llama", "group_size", json!(-2), "`quantization_config.group_size` is -2")]
#[case::other_groups("gptq-llama", "group_size", json!(64), "`lm_head.qzeros` has the shape [2, 20], not [1, 20]")]
#[case::wide_groups("awq-llama", "group_size", json!(128), "64 columns do not make groups of 128")]
#[case::other_packing("awq-llama", "version", json!("gemv"), "q_proj.qzeros` has the shape [2, 8], not [64, 4]")]
#[case::other_method("awq-llama", "quant_method", json!("gptq"), "gptq weights in the form `gemm`")]
#[case::wrong_form("gptq-llama", "checkpoint_format", json!("gptq_v2"), "stores 8 as 7")]
#[case::damaged_zeros("gptq-falcon", "meta", json!(null), "which AutoGPTQ damages")]
#[case::no_object("awq-llama", "dynamic", json!([1]), "`quantization_config.dynamic` is no object")]
fn settings(#[case] name: &str, #[case] key: &str, #[case] value: Value, #[case] reason: &str) {
    refused(&changed(name, |config, _, _| config["quantization_config"][key] = value), reason);
}

/// What stands in place of a tensor that is gone: nothing that the model needs.
const BUFFER: &str = "model.layers.0.self_attn.rotary_emb.inv_freq";
const DOWN: &str = "model.layers.1.mlp.down_proj";

type Header = Map<String, Value>;

fn rename(header: &mut Header, part: &str) {
    let tensor = header.remove(&format!("{DOWN}.{part}")).unwrap();
    header.insert(BUFFER.to_owned(), tensor);
}

#[rstest]
#[case::no_zeros("gptq-llama", |it: &mut Header| rename(it, "qzeros"), "no tensor `model.layers.1.mlp.down_proj.qzeros`")]
#[case::no_scales("awq-llama", |it: &mut Header| rename(it, "scales"), "no tensor `model.layers.1.mlp.down_proj.scales`")]
#[case::no_numbers("awq-llama", |it: &mut Header| rename(it, "qweight"), "no tensor `model.layers.1.mlp.down_proj.weight`")]
#[case::no_order("gptq-act-order-qwen2", |it: &mut Header| rename(it, "g_idx"), "no tensor `model.layers.1.mlp.down_proj.g_idx`")]
#[case::shape("gptq-llama", |it: &mut Header| it[&format!("{DOWN}.qweight")]["shape"] = json!([32, 32]), "has the shape [32, 32], not [16, 64]")]
#[case::flat("awq-llama", |it: &mut Header| it[&format!("{DOWN}.qweight")]["shape"] = json!([1024]), "has the shape [1024], not [128, 8]")]
#[case::factors("awq-llama", |it: &mut Header| it[&format!("{DOWN}.scales")]["dtype"] = json!("I16"), "is stored as I16, where F16 or BF16 would be possible")]
#[case::floats("awq-llama", |it: &mut Header| it[&format!("{DOWN}.qweight")]["dtype"] = json!("F32"), "is stored as F32, where I32 would be possible")]
#[case::both("gptq-llama", |it: &mut Header| {
    let bias = it.remove(&format!("{DOWN}.bias")).unwrap();
    it.insert(format!("{DOWN}.weight"), bias);
}, "it holds `model.layers.1.mlp.down_proj.weight`")]
#[case::activations("gptq-llama", |it: &mut Header| {
    let bias = it.remove(&format!("{DOWN}.bias")).unwrap();
    it.insert("model.layers.1.mlp.act.scales".to_owned(), bias);
}, "`model.layers.1.mlp.act.scales`, by which AWQ divides activations")]
fn tensors(#[case] name: &str, #[case] change: fn(&mut Header), #[case] reason: &str) {
    refused(&changed(name, |_, header, _| change(header)), reason);
}

/// Where a tensor begins in the data.
fn begin(header: &Header, part: &str) -> usize {
    usize::try_from(header[&format!("{DOWN}.{part}")]["data_offsets"][0].as_u64().unwrap()).unwrap()
}

#[rstest]
#[case::beyond(4, "names the group 4, where there are 4")]
#[case::negative(u32::MAX, "names the group 4294967295, where there are 4")]
#[case::uneven(1, "do not fill blocks of 32")]
fn groups_of_columns(#[case] group: u32, #[case] reason: &str) {
    let folder = changed("gptq-llama", |_, header, data| {
        let at = begin(header, "g_idx");
        data[at..at + 4].copy_from_slice(&group.to_le_bytes());
    });
    refused(&folder, reason);
}

#[test]
fn a_bias_that_the_model_has_not() {
    let folder = changed("gptq-llama", |_, header, data| data[begin(header, "bias")] = 1);
    refused(&folder, "`model.layers.1.mlp.down_proj.bias` is not zero");
}

#[test]
fn matrices_that_make_no_blocks() {
    let odd = |rows, columns, group| Packing::Gemm.shapes(rows, columns, group).unwrap_err();
    assert!(odd(8, 48, 48).contains("48 columns, where multiples of 32"));
    assert!(odd(12, 64, 64).contains("12 rows, where multiples of 8"));
    assert!(odd(8, 64, 0).contains("groups have 0 columns"));
    assert!(Packing::Gemv.shapes(8, 192, 96).unwrap_err().contains("which AWQ's gemv form has not"));
}

/// Older folders say it in a file of their own.
#[rstest]
#[case::gptq("gptq-llama", "quantize_config.json", "bits", "group_size")]
#[case::awq("awq-llama", "quant_config.json", "w_bit", "q_group_size")]
fn settings_of_their_own(#[case] name: &str, #[case] file: &str, #[case] bits: &str, #[case] group: &str) {
    let whole = changed(name, |_, _, _| {});
    let mut settings = Value::Null;
    let folder = changed(name, |config, _, _| {
        settings = config.as_object_mut().unwrap().remove("quantization_config").unwrap();
    });
    refused(&folder, "has no `quantization_config`");
    let settings = settings.as_object_mut().unwrap();
    settings.remove("quant_method");
    let values = [settings.remove("bits").unwrap(), settings.remove("group_size").unwrap()];
    settings.extend([bits.to_owned(), group.to_owned()].into_iter().zip(values));
    std::fs::write(folder.path().join(file), Value::from(settings.clone()).to_string()).unwrap();
    assert_eq!(open(folder.path()).unwrap(), open(whole.path()).unwrap());
}

/// A row of four bits takes what its blocks take, and its columns' order.
#[test]
fn memory_is_foretold() {
    let bytes = |name: &str| open(changed(name, |_, _, _| {}).path()).unwrap();
    // Half a byte for each number; for each 32, a scale of two bytes, or scale and minimum of eight.
    let numbers: u64 = 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 128);
    let head = 160 * 64;
    let norms = 5 * 64 * 4;
    assert_eq!(bytes("gptq-llama"), 2 * head + (numbers + head) / 32 * 18 + norms);
    assert_eq!(bytes("awq-llama"), 4 * head + numbers / 32 * 24 + norms);
}

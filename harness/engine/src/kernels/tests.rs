//! Each kernel against a plain implementation, and all instruction sets against each other, bit by bit.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use rstest::rstest;

use super::Path;
use super::alibi::Alibi;
use super::attention::{Attention, Place, Turns, attend};
use super::cache::{BLOCK, Cache};
use super::matmul::{Input, Output, multiply};
use super::memory::Arena;
use super::pack::{Loading, Packed};
use super::pool::Pool;
use super::rows::{Norm, Quantized, activate};
use crate::spec::Activation;

/// Numbers from -1 to 1, the same each time.
fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn paths() -> impl Iterator<Item = Path> {
    Path::ALL.into_iter().filter(|it| it.is_here())
}

/// A matrix as stored, and what it means.
fn stored(format: GgmlDType, rows: usize, columns: usize) -> (Vec<u8>, Vec<f32>) {
    let dense = Tensor::from_vec(random(rows * columns, 7), (rows, columns), &Device::Cpu).unwrap();
    let tensor = QTensor::quantize(&dense, format).unwrap();
    let meant = tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    (tensor.data().unwrap().into_owned(), meant)
}

fn pack(pool: &Pool, format: GgmlDType, rows: usize, columns: usize, bytes: &[u8], dense: bool) -> Packed {
    let rows: Vec<&[u8]> = bytes.chunks_exact(bytes.len() / rows).collect();
    let loading = Loading { pool, arena: &Arena::default(), dense, read: &|| {} };
    Packed::new(loading, format, columns, &rows).unwrap()
}

fn product(path: Path, pool: &Pool, weights: &Packed, bias: Option<&[f32]>, input: &[f32]) -> Vec<f32> {
    let mut numbers = vec![0.0; input.len() / weights.columns() * weights.rows()];
    let mut quantized = Quantized::default();
    if weights.is_quantized() {
        quantized.fill(path, pool, input, weights.columns());
    }
    let input = if weights.is_quantized() { Input::Quantized(&quantized) } else { Input::Dense(input) };
    let output = Output { numbers: &mut numbers, stride: weights.rows(), offset: 0 };
    multiply(path, pool, weights, bias, &input, output);
    numbers
}

const FORMATS: [GgmlDType; 13] = [
    GgmlDType::F32,
    GgmlDType::F16,
    GgmlDType::BF16,
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q8_0,
    GgmlDType::Q2K,
    GgmlDType::Q3K,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
];

#[rstest]
fn weights_are_packed_without_loss(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)] format: usize) {
    let (format, pool) = (FORMATS[format], Pool::new(2).unwrap());
    let (rows, columns) = (37, 512);
    let (bytes, meant) = stored(format, rows, columns);
    for dense in [false, true] {
        let packed = pack(&pool, format, rows, columns, &bytes, dense);
        let mut row = vec![0.0; columns];
        for index in 0..rows {
            packed.row(index, &mut row);
            for (column, (is, wanted)) in row.iter().zip(&meant[index * columns..]).enumerate() {
                // `d * q - m` and `d * q + -m` are the same; `d * (sc * q)` may be rounded once more or less.
                let near = (is - wanted).abs() <= 2e-7 * wanted.abs().max(0.5);
                assert!(near, "{format:?} {index} {column}: {is}, not {wanted}");
            }
        }
    }
}

#[rstest]
fn products_are_right_and_the_same_on_every_path(
    #[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)] format: usize,
    #[values(16, 37)] outputs: usize,
    #[values(256, 768)] columns: usize,
) {
    let (format, pool) = (FORMATS[format], Pool::new(2).unwrap());
    let (bytes, meant) = stored(format, outputs, columns);
    let rows = 13;
    let (input, bias) = (random(rows * columns, 3), random(outputs, 5));
    let packed = pack(&pool, format, outputs, columns, &bytes, false);
    let mut first: Option<Vec<f32>> = None;
    for path in paths() {
        let all = product(path, &pool, &packed, Some(&bias), &input);
        for (row, input) in input.chunks_exact(columns).enumerate() {
            let alone = product(path, &pool, &packed, Some(&bias), input);
            assert_eq!(alone, all[row * outputs..][..outputs], "{format:?} on {path:?}, row {row} alone");
            for (output, is) in alone.iter().enumerate() {
                let weights = &meant[output * columns..][..columns];
                let exact: f64 = weights.iter().zip(input).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                let exact = exact + f64::from(bias[output]);
                // An activation of at most 1 is quantized within 1/254.
                let tolerance = if packed.is_quantized() { columns as f64 / 254.0 / 8.0 } else { 1e-4 };
                assert!(
                    (f64::from(*is) - exact).abs() < tolerance,
                    "{format:?} {row} {output}: {is} {exact}"
                );
            }
        }
        assert_eq!(*first.get_or_insert_with(|| all.clone()), all, "{format:?} on {path:?}");
    }
}

#[test]
fn extreme_weights_and_activations_do_not_overflow() {
    let pool = Pool::new(1).unwrap();
    for format in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q5_1, GgmlDType::Q8_0] {
        for byte in [0x00, 0x7f, 0x80, 0xff] {
            // Scale 1, and minimum 1 where there is one; all weights alike.
            let minimum = matches!(format, GgmlDType::Q4_1 | GgmlDType::Q5_1);
            let mut block = vec![byte; format.type_size()];
            block[..2].copy_from_slice(&half::f16::ONE.to_le_bytes());
            if minimum {
                block[2..4].copy_from_slice(&half::f16::ONE.to_le_bytes());
            }
            let row = [&block[..], &block[..]].concat();
            let loading = Loading { pool: &pool, arena: &Arena::default(), dense: false, read: &|| {} };
            let packed = Packed::new(loading, format, 64, &[&row[..]; 16]).unwrap();
            let mut weights = [0.0; 64];
            packed.row(0, &mut weights);
            for sign in [1.0, -1.0] {
                let input: Vec<f32> = weights.iter().map(|it| 127.0 * sign * it.signum()).collect();
                let wanted: f32 = weights.iter().map(|it| 127.0 * sign * it.abs()).sum();
                for path in paths() {
                    let found = product(path, &pool, &packed, None, &input);
                    assert_eq!(found, vec![wanted; 16], "{format:?} {byte} on {path:?}");
                }
            }
        }
    }
}

#[rstest]
fn norms_are_right_and_the_same_on_every_path(
    #[values(1, 16, 20, 576)] size: usize,
    #[values(false, true)] centred: bool,
    #[values(false, true)] biased: bool,
) {
    let pool = Pool::new(2).unwrap();
    let input: Vec<f32> = random(5 * size, 1).iter().map(|it| 3.0 * it + 1.0).collect();
    let (weight, bias) = (random(size, 2), random(size, 3));
    let norm = Norm { weight: weight.clone(), bias: biased.then(|| bias.clone()), centred, epsilon: 1e-5 };
    let mut first: Option<Vec<f32>> = None;
    for path in paths() {
        let mut output = vec![0.0; input.len()];
        norm.apply(path, &pool, &input, &mut output);
        for (input, output) in input.chunks_exact(size).zip(output.chunks_exact(size)) {
            let count = size as f64;
            let mean = if centred { input.iter().map(|it| f64::from(*it)).sum::<f64>() / count } else { 0.0 };
            let variance = input.iter().map(|it| (f64::from(*it) - mean).powi(2)).sum::<f64>() / count;
            for (index, is) in output.iter().enumerate() {
                let scaled = (f64::from(input[index]) - mean) / (variance + 1e-5).sqrt();
                let wanted =
                    scaled * f64::from(weight[index]) + if biased { f64::from(bias[index]) } else { 0.0 };
                assert!((f64::from(*is) - wanted).abs() < 1e-5, "{path:?} {index}: {is} {wanted}");
            }
        }
        assert_eq!(*first.get_or_insert_with(|| output.clone()), output, "{path:?}");
    }
}

#[rstest]
#[case(Activation::Silu, |x: f64| x / (1.0 + (-x).exp()))]
#[case(Activation::GeluTanh, |x: f64| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh()))]
#[case(Activation::Gelu, |x: f64| 0.5 * x * (1.0 + libm::erf(x / 2_f64.sqrt())))]
#[case(Activation::Relu, |x: f64| x.max(0.0))]
fn activations_are_right_and_the_same_on_every_path(
    #[case] activation: Activation,
    #[case] exact: fn(f64) -> f64,
    #[values(false, true)] gated: bool,
) {
    let pool = Pool::new(2).unwrap();
    let size = 37;
    let wide = if gated { 2 * size } else { size };
    let input: Vec<f32> = random(9 * wide, 4).iter().map(|it| it * it * it * 100.0).collect();
    let mut first: Option<Vec<f32>> = None;
    for path in paths() {
        let mut output = vec![0.0; 9 * size];
        activate(path, &pool, activation, gated, size, &input, &mut output);
        for (index, is) in output.iter().enumerate() {
            let row = &input[index / size * wide..][..wide];
            let up = if gated { f64::from(row[size + index % size]) } else { 1.0 };
            let wanted = exact(f64::from(row[index % size])) * up;
            let near = (f64::from(*is) - wanted).abs() < 1e-6 * wanted.abs() + 2e-6 * up.abs().max(1.0);
            assert!(near, "{path:?} {}: {is} {wanted}", row[index % size]);
        }
        assert_eq!(*first.get_or_insert_with(|| output.clone()), output, "{path:?}");
    }
}

#[expect(clippy::struct_field_names, reason = "as in `Attention`")]
struct Heads {
    heads: usize,
    kv_heads: usize,
    head_size: usize,
}

/// Attention of one sequence in `f64`.
#[expect(clippy::cast_possible_truncation, reason = "activations are f32")]
fn plain(of: &Heads, window: Option<usize>, slopes: Option<&[f32]>, qkv: &[f32]) -> Vec<f32> {
    let &Heads { heads, kv_heads, head_size } = of;
    let wide = (heads + 2 * kv_heads) * head_size;
    let tokens = qkv.len() / wide;
    let at =
        |token: usize, head: usize, element: usize| f64::from(qkv[token * wide + head * head_size + element]);
    let mut output = Vec::new();
    for token in 0..tokens {
        for head in 0..heads {
            let shared = head / (heads / kv_heads);
            let from = window.map_or(0, |window| (token + 1).saturating_sub(window));
            let scores: Vec<f64> = (from..=token)
                .map(|key| {
                    let dot: f64 =
                        (0..head_size).map(|it| at(token, head, it) * at(key, heads + shared, it)).sum();
                    let slope = slopes.map_or(0.0, |slopes| f64::from(slopes[head]));
                    dot * 0.5 - slope * (token - key) as f64
                })
                .collect();
            let most = scores.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = scores.iter().map(|it| (it - most).exp()).sum();
            for element in 0..head_size {
                let values = (from..=token).zip(&scores);
                let sum: f64 = values
                    .map(|(key, score)| (score - most).exp() * at(key, heads + kv_heads + shared, element))
                    .sum();
                output.push((sum / total) as f32);
            }
        }
    }
    output
}

#[rstest]
fn attention_is_right_alone_and_beside_others(
    #[values((4, 4, 16), (6, 2, 20), (8, 1, 64), (5, 1, 80), (3, 3, 128))] sizes: (usize, usize, usize),
    #[values(None, Some(5), Some(40))] window: Option<usize>,
    #[values("no alibi", "alibi", "rounded alibi")] alibi: &str,
) {
    let of = Heads { heads: sizes.0, kv_heads: sizes.1, head_size: sizes.2 };
    let (pool, wide) = (Pool::new(2).unwrap(), (of.heads + 2 * of.kv_heads) * of.head_size);
    let slopes: Vec<f32> = (1..).take(of.heads).map(|it| 0.5_f32.powi(it)).collect();
    let slopes_of_heads = (alibi != "no alibi").then_some(&slopes[..]);
    // Such products of powers of two and small numbers need no rounding.
    let rounded = (alibi == "rounded alibi").then_some(1.0);
    let attention = Attention {
        heads: of.heads,
        kv_heads: of.kv_heads,
        head_size: of.head_size,
        scale: 0.5,
        clip: None,
        cap: None,
        query_norms: &[],
        key_norms: &[],
        alibi: slopes_of_heads.map(|slopes| Alibi { slopes, rounded }),
        window,
        turns: None,
    };
    let lengths = [1, 37, 16, 70];
    // Blocks of the sequences are mixed.
    let tables: Vec<Vec<u32>> = (0..4_u32).map(|it| (0..5).map(|block| block * 4 + it).collect()).collect();
    for (dense, tolerance) in [(true, 4e-6), (false, 1e-3)] {
        let mut first: Option<Vec<f32>> = None;
        for path in paths() {
            let mut together = Vec::new();
            let mut places = Vec::new();
            let mut wanted = Vec::new();
            for (sequence, length) in lengths.into_iter().enumerate() {
                let qkv = random(length * wide, 11 + sequence as u64);
                let exact = plain(&of, window, slopes_of_heads, &qkv);
                let mut cache = Cache::new(&Arena::default(), 20, of.kv_heads, of.head_size, dense).unwrap();
                let blocks = &tables[sequence][..];
                // Alone, in chunks.
                let mut alone = Vec::new();
                for (chunk, qkv) in qkv.chunks(3 * wide).enumerate() {
                    let tokens = qkv.len() / wide;
                    let places: Vec<_> =
                        (0..tokens).map(|it| Place { blocks, position: chunk * 3 + it }).collect();
                    let mut output = vec![0.0; tokens * of.heads * of.head_size];
                    attend(path, &pool, &attention, &mut cache, &places, qkv, &mut output);
                    alone.extend(output);
                }
                for (index, (is, exact)) in alone.iter().zip(&exact).enumerate() {
                    assert!((is - exact).abs() < tolerance, "{path:?} {sequence} {index}: {is} {exact}");
                }
                wanted.extend(alone);
                together.extend(qkv);
                places.extend((0..length).map(|position| Place { blocks, position }));
            }
            let mut cache = Cache::new(&Arena::default(), 20, of.kv_heads, of.head_size, dense).unwrap();
            let mut output = vec![0.0; wanted.len()];
            attend(path, &pool, &attention, &mut cache, &places, &together, &mut output);
            assert_eq!(output, wanted, "{path:?}");
            assert_eq!(*first.get_or_insert_with(|| output.clone()), output, "{path:?}");
        }
    }
}

#[test]
fn heads_turn_by_their_positions() {
    let mut turns = Turns::new(vec![1.0, 0.01], 1.0);
    turns.reach(100);
    let attention = Attention {
        heads: 1,
        kv_heads: 1,
        head_size: 6,
        scale: 1.0,
        clip: None,
        cap: None,
        query_norms: &[],
        key_norms: &[],
        alibi: None,
        window: Some(2),
        turns: Some(&turns),
    };
    // A score depends on how far apart query and key are, not on where they are.
    let qkv = random(36, 1);
    let pool = Pool::new(1).unwrap();
    for path in paths() {
        let found: Vec<Vec<f32>> = [(0, 1), (50, 51), (98, 99)]
            .into_iter()
            .map(|(a, b)| {
                let blocks: Vec<u32> = (0..7).collect();
                let mut cache = Cache::new(&Arena::default(), 7, 1, 6, true).unwrap();
                let places = [a, b].map(|position| Place { blocks: &blocks, position });
                let mut output = vec![0.0; 12];
                attend(path, &pool, &attention, &mut cache, &places, &qkv, &mut output);
                // What the first of the two sees before it was never written.
                output.split_off(6)
            })
            .collect();
        for other in &found[1..] {
            for (a, b) in found[0].iter().zip(other) {
                assert!((a - b).abs() < 1e-5, "{path:?} {found:?}");
            }
        }
    }
    assert_eq!(BLOCK, 16);
}

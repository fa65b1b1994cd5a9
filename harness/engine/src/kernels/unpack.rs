//! ggml's quantized blocks, taken apart.
//!
//! Every format becomes blocks of 32 whole numbers with a scale, and perhaps a minimum, for all of them or for each
//! half: `weight = scale * q + minimum`, the same number that the format means. Layouts as in ggml's
//! `ggml-common.h`; the products `scale * q` are those of its `dequantize_row_*`.

use candle_core::quantized::GgmlDType;
use half::f16;

use super::rows::BLOCK;

/// Thirty-two weights of a row.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// Whole numbers.
    pub(super) q: [i8; BLOCK],
    /// Of the halves; equal where one is for all.
    pub(super) scales: [f32; 2],
    /// Of the halves.
    pub(super) minima: [f32; 2],
}

/// What blocks of a format can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub(super) struct Shape {
    /// Whether every `q - lowest` is below 16.
    pub(super) four: bool,
    /// The lowest `q`, where a half byte holds it.
    pub(super) lowest: i8,
    /// Whether there are minima.
    pub(super) minima: bool,
    /// Whether halves have scales of their own.
    pub(super) halves: bool,
    /// Whether scales and minima are products, of more digits than an `f16` has.
    pub(super) products: bool,
}

/// `None` for formats without blocks.
pub(super) fn shape(format: GgmlDType) -> Option<Shape> {
    let shape =
        |four, lowest, minima, halves, products| Some(Shape { four, lowest, minima, halves, products });
    match format {
        GgmlDType::Q4_0 => shape(true, -8, false, false, false),
        GgmlDType::Q4_1 => shape(true, 0, true, false, false),
        GgmlDType::Q5_0 | GgmlDType::Q8_0 => shape(false, 0, false, false, false),
        GgmlDType::Q5_1 => shape(false, 0, true, false, false),
        GgmlDType::Q2K => shape(true, 0, true, true, true),
        GgmlDType::Q3K => shape(true, -4, false, true, true),
        GgmlDType::Q4K => shape(true, 0, true, false, true),
        GgmlDType::Q5K => shape(false, 0, true, false, true),
        GgmlDType::Q6K => shape(false, 0, false, true, true),
        _ => None,
    }
}

/// Block `index` of a row of a format that has a [`shape`].
#[expect(clippy::cast_possible_wrap, reason = "bytes that hold signed numbers")]
#[expect(clippy::cast_possible_truncation, reason = "single bits")]
pub(super) fn block(format: GgmlDType, row: &[u8], index: usize) -> Block {
    let mut new = Block { q: [0; BLOCK], scales: [0.0; 2], minima: [0.0; 2] };
    let size = format.type_size();
    let within = format.block_size() / BLOCK;
    let bytes = &row[index / within * size..][..size];
    // Which of the blocks of 32 in a superblock of 256.
    let sub = index % within;
    let float = |at: usize| f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32();
    match format {
        GgmlDType::Q4_0 => {
            new.scales = [float(0); 2];
            halves_of_bytes(&bytes[2..18], &mut new.q);
            new.q.iter_mut().for_each(|it| *it -= 8);
        }
        GgmlDType::Q4_1 => {
            (new.scales, new.minima) = ([float(0); 2], [float(2); 2]);
            halves_of_bytes(&bytes[4..20], &mut new.q);
        }
        GgmlDType::Q5_0 | GgmlDType::Q5_1 => {
            let with_minimum = format == GgmlDType::Q5_1;
            let at = if with_minimum { 4 } else { 2 };
            new.scales = [float(0); 2];
            halves_of_bytes(&bytes[at + 4..at + 20], &mut new.q);
            let high = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            for (bit, it) in new.q.iter_mut().enumerate() {
                *it |= ((high >> bit & 1) << 4) as i8;
            }
            if with_minimum {
                new.minima = [float(2); 2];
            } else {
                new.q.iter_mut().for_each(|it| *it -= 16);
            }
        }
        GgmlDType::Q8_0 => {
            new.scales = [float(0); 2];
            for (to, from) in new.q.iter_mut().zip(&bytes[2..]) {
                *to = *from as i8;
            }
        }
        GgmlDType::Q2K => {
            // Sixteen bytes of scales and minima, 64 of quarters, d and dmin.
            let (d, least) = (float(80), float(82));
            let quarters = &bytes[16 + sub / 4 * 32..][..32];
            for (to, from) in new.q.iter_mut().zip(quarters) {
                *to = (from >> (2 * (sub % 4)) & 3) as i8;
            }
            for half in 0..2 {
                let scale = bytes[2 * sub + half];
                new.scales[half] = d * f32::from(scale & 15);
                new.minima[half] = -(least * f32::from(scale >> 4));
            }
        }
        GgmlDType::Q3K => {
            // Thirty-two bytes of high bits, 64 of quarters, 12 of scales, d.
            let d = float(108);
            let quarters = &bytes[32 + sub / 4 * 32..][..32];
            for (index, it) in new.q.iter_mut().enumerate() {
                let high = bytes[index] >> sub & 1;
                *it = (quarters[index] >> (2 * (sub % 4)) & 3) as i8 - if high == 1 { 0 } else { 4 };
            }
            for half in 0..2 {
                let which = 2 * sub + half;
                let scales = &bytes[96..108];
                let low = scales[which % 8] >> (4 * (which / 8)) & 15;
                let high = scales[8 + which % 4] >> (2 * (which / 4)) & 3;
                new.scales[half] = d * f32::from((low | high << 4) as i8 - 32);
            }
        }
        GgmlDType::Q4K | GgmlDType::Q5K => {
            // d and dmin, 12 bytes of scales and minima; for Q5_K 32 of high bits; 128 of halves.
            let (d, least) = (float(0), float(2));
            let (scale, minimum) = six_bits(&bytes[4..16], sub);
            new.scales = [d * f32::from(scale); 2];
            new.minima = [-(least * f32::from(minimum)); 2];
            let at = if format == GgmlDType::Q5K { 48 } else { 16 };
            let halves = &bytes[at + sub / 2 * 32..][..32];
            for (index, it) in new.q.iter_mut().enumerate() {
                *it = (halves[index] >> (4 * (sub % 2)) & 15) as i8;
                if format == GgmlDType::Q5K {
                    *it |= ((bytes[16 + index] >> sub & 1) << 4) as i8;
                }
            }
        }
        GgmlDType::Q6K => {
            // 128 bytes of halves, 64 of quarters, 16 scales, d.
            let d = float(208);
            let (part, quarter) = (sub / 4, sub % 4);
            for (index, it) in new.q.iter_mut().enumerate() {
                let low = bytes[part * 64 + quarter % 2 * 32 + index] >> (4 * (quarter / 2)) & 15;
                let high = bytes[128 + part * 32 + index] >> (2 * quarter) & 3;
                *it = (low | high << 4) as i8 - 32;
            }
            for half in 0..2 {
                new.scales[half] = d * f32::from(bytes[192 + 2 * sub + half] as i8);
            }
        }
        _ => unreachable!("formats with a shape stand above"),
    }
    new
}

/// Sixteen bytes to 32 numbers: the low halves, then the high ones.
#[expect(clippy::cast_possible_wrap, reason = "below 16")]
fn halves_of_bytes(bytes: &[u8], q: &mut [i8; BLOCK]) {
    for (index, byte) in bytes.iter().enumerate() {
        q[index] = (byte & 15) as i8;
        q[index + 16] = (byte >> 4) as i8;
    }
}

/// Scale and minimum of a block in a superblock of Q4_K or Q5_K.
fn six_bits(bytes: &[u8], sub: usize) -> (u8, u8) {
    if sub < 4 {
        (bytes[sub] & 63, bytes[sub + 4] & 63)
    } else {
        (bytes[sub + 4] & 15 | bytes[sub - 4] >> 6 << 4, bytes[sub + 4] >> 4 | bytes[sub] >> 6 << 4)
    }
}

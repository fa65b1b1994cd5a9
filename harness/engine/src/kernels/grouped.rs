//! AWQ's and GPTQ's weights of four bits, taken apart.
//!
//! Rows are outputs, columns are inputs. The columns of a row form groups, each with a scale and a zero:
//! `weight = scale * (q - zero)`. Numbers of four bits stand eight to a 32-bit word, the first in its lowest bits.
//!
//! | | `qweight` | `qzeros` | `scales` |
//! |---|---|---|---|
//! | [`Packing::Gemm`] | `[columns, rows / 8]` | `[groups, rows / 8]` | `[groups, rows]` |
//! | [`Packing::Gemv`] | `[rows, columns / 8]` | `[rows, width]` | `[rows, 8 * width]` |
//! | [`Packing::Gptq`] | `[columns / 8, rows]` | `[groups, rows / 8]` | `[groups, rows]` |
//!
//! Layouts as in AutoAWQ's `gemm.py` and `gemv.py` and in GPTQModel's `qlinear`. A block of 32 columns has the
//! group's scale, and `-zero * scale` as minimum: a scale of 16 bits has at most 11 digits, so that its products with
//! numbers of four bits, and their sum, are exact in `f32`. Where every zero is 8, `q - 8` needs no minimum.

use std::borrow::Cow;

use half::{bf16, f16};

use super::Shared;
use super::pool::Pool;
use super::rows::BLOCK;
use super::unpack::{Block, Shape};

/// Numbers in a word.
pub(crate) const IN_WORD: usize = 8;
/// The zero of weights whose range is symmetric.
const MIDDLE: i8 = 8;
/// Where a word has the number of each of eight outputs.
const GEMM_PLACES: [usize; IN_WORD] = [0, 4, 1, 5, 2, 6, 3, 7];

/// How numbers stand in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// AWQ, eight outputs in a word, in the order 0, 2, 4, 6, 1, 3, 5, 7.
    Gemm,
    /// AWQ, eight inputs in a word, and eight groups in a word of zeros.
    Gemv,
    /// GPTQ, eight inputs in a word, and the zeros of eight outputs.
    Gptq {
        /// Whether a word of zeros is stored less one in each of its numbers, subtracted as a whole.
        one_less: bool,
    },
}

/// The shapes of a matrix's tensors.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shapes {
    pub(crate) qweight: [usize; 2],
    pub(crate) qzeros: [usize; 2],
    pub(crate) scales: [usize; 2],
}

impl Packing {
    /// The shapes of a matrix's tensors, `group` columns to a group.
    ///
    /// # Errors
    /// In words, if there cannot be such a matrix.
    pub(crate) fn shapes(self, rows: usize, columns: usize, group: usize) -> Result<Shapes, String> {
        if !columns.is_multiple_of(BLOCK) {
            return Err(format!("it has {columns} columns, where multiples of {BLOCK} are possible"));
        }
        if self != Self::Gemv && !rows.is_multiple_of(IN_WORD) {
            return Err(format!("it has {rows} rows, where multiples of {IN_WORD} are possible"));
        }
        if group == 0 || !group.is_multiple_of(BLOCK) {
            return Err(format!("its groups have {group} columns, where multiples of {BLOCK} are possible"));
        }
        let groups = columns.div_ceil(group);
        if !matches!(self, Self::Gptq { .. }) && !columns.is_multiple_of(group) {
            return Err(format!("its {columns} columns do not make groups of {group}"));
        }
        let (qzeros, scales) = ([groups, rows / IN_WORD], [groups, rows]);
        Ok(match self {
            Self::Gemm => Shapes { qweight: [columns, rows / IN_WORD], qzeros, scales },
            Self::Gptq { .. } => Shapes { qweight: [columns / IN_WORD, rows], qzeros, scales },
            Self::Gemv => {
                // AutoAWQ pads the groups of a row, for its kernel's sake.
                let padded = match group {
                    128.. => 1,
                    64 => 2,
                    32 => 4,
                    _ => {
                        return Err(format!(
                            "its groups have {group} columns, which AWQ's gemv form has not"
                        ));
                    }
                };
                let width = groups.div_ceil(IN_WORD).next_multiple_of(padded);
                let qweight = [rows, columns / IN_WORD];
                Shapes { qweight, qzeros: [rows, width], scales: [rows, width * IN_WORD] }
            }
        })
    }
}

/// A matrix as its tensors hold it.
pub(crate) struct Grouped<'c> {
    packing: Packing,
    columns: usize,
    shapes: Shapes,
    qweight: Cow<'c, [u8]>,
    /// Whether `qweight` is `[rows / 8, columns]` by now.
    turned: bool,
    qzeros: &'c [u8],
    scales: &'c [u8],
    /// Whether scales are `bf16`, not `f16`.
    bf16: bool,
    /// The group of each block of columns, in order.
    groups: Vec<u32>,
    /// Which column comes when, where they do not come as they are stored.
    order: Option<Vec<u32>>,
    symmetric: bool,
}

/// What a [`Grouped`] is made of.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'c> {
    pub(crate) packing: Packing,
    /// `[rows, columns]`.
    pub(crate) shape: [usize; 2],
    /// Columns of a group.
    pub(crate) group: usize,
    pub(crate) qweight: &'c [u8],
    pub(crate) qzeros: &'c [u8],
    pub(crate) scales: &'c [u8],
    /// Whether scales are `bf16`, not `f16`.
    pub(crate) bf16: bool,
    /// GPTQ's `g_idx`: the group of each column, as little-endian words. Where groups are not runs of columns, the
    /// columns were quantized in the order of their importance.
    pub(crate) group_of_column: Option<&'c [u8]>,
}

impl<'c> Grouped<'c> {
    /// Checks all that a block will be read from.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn new(parts: Parts<'c>) -> Result<Self, String> {
        let Parts { packing, shape: [rows, columns], group, qweight, qzeros, scales, bf16, .. } = parts;
        let shapes = packing.shapes(rows, columns, group)?;
        let sizes = [(qweight, shapes.qweight, 4), (qzeros, shapes.qzeros, 4), (scales, shapes.scales, 2)];
        for (bytes, [outer, inner], size) in sizes {
            let wanted = outer.checked_mul(inner).and_then(|it| it.checked_mul(size));
            if wanted != Some(bytes.len()) {
                return Err(format!("{} bytes cannot have the shape [{outer}, {inner}]", bytes.len()));
            }
        }
        let count = columns.div_ceil(group);
        let (groups, order) = match parts.group_of_column {
            None => (each_block(columns, |column| column / group)?, None),
            Some(bytes) => arranged(bytes, columns, count)?,
        };
        let mut new = Self {
            packing,
            columns,
            shapes,
            qweight: Cow::Borrowed(qweight),
            turned: false,
            qzeros,
            scales,
            bf16,
            groups,
            order,
            symmetric: false,
        };
        new.symmetric = (0..count).all(|group| (0..rows).all(|row| new.zero(group, row) == MIDDLE));
        Ok(new)
    }

    /// Whether every zero is 8.
    pub(crate) fn is_symmetric(&self) -> bool {
        self.symmetric
    }

    /// Puts the words of a row one after the other. AWQ's gemm form has them as far apart as a column is long, and to
    /// go there for each block costs more than all else.
    fn turn(&mut self, pool: &Pool) {
        let [columns, inner] = self.shapes.qweight;
        if self.packing != Packing::Gemm || self.turned {
            return;
        }
        let mut turned = vec![0; self.qweight.len()];
        let shared = Shared::new(turned.as_chunks_mut::<4>().0);
        let words = self.qweight.as_chunks::<4>().0;
        // Sixteen words are a line of the processor's cache.
        pool.ranges(inner.div_ceil(16), 1, &|range| {
            for first in range.map(|it| 16 * it) {
                for column in 0..columns {
                    for eight in first..inner.min(first + 16) {
                        // SAFETY: each row of words is written by one thread, within the output.
                        unsafe { *shared.at(eight * columns + column) = words[column * inner + eight] };
                    }
                }
            }
        });
        (self.qweight, self.turned) = (Cow::Owned(turned), true);
    }

    fn shape(&self) -> Shape {
        let (lowest, minima) = if self.symmetric { (-MIDDLE, false) } else { (0, true) };
        // Minima are products; the scales beside them have the same type.
        Shape { four: true, lowest, minima, halves: false, products: self.bf16 || minima }
    }

    /// The word of a number, and its place within.
    fn place(&self, row: usize, column: usize) -> (u32, usize) {
        let [_, inner] = self.shapes.qweight;
        let (word, place) = match self.packing {
            Packing::Gemm => (column * inner + row / IN_WORD, GEMM_PLACES[row % IN_WORD]),
            Packing::Gemv => (row * inner + column / IN_WORD, column % IN_WORD),
            Packing::Gptq { .. } => (column / IN_WORD * inner + row, column % IN_WORD),
        };
        (read_word(&self.qweight, word), place)
    }

    fn q(&self, row: usize, column: usize) -> i8 {
        let (word, place) = self.place(row, column);
        number(word, place)
    }

    /// The numbers of a block.
    fn numbers(&self, row: usize, index: usize) -> [i8; BLOCK] {
        let mut q = [0; BLOCK];
        let first = index * BLOCK;
        match &self.order {
            Some(order) => {
                for (column, it) in order[first..].iter().zip(&mut q) {
                    *it = self.q(row, *column as usize);
                }
            }
            None if self.turned => {
                let words = &self.qweight.as_chunks::<4>().0[row / IN_WORD * self.columns + first..];
                for (word, it) in words.iter().zip(&mut q) {
                    *it = number(u32::from_le_bytes(*word), GEMM_PLACES[row % IN_WORD]);
                }
            }
            None if self.packing == Packing::Gemm => {
                for (column, it) in (first..).zip(&mut q) {
                    *it = self.q(row, column);
                }
            }
            None => {
                for (column, eight) in (first..).step_by(IN_WORD).zip(q.as_chunks_mut::<IN_WORD>().0) {
                    let (word, _) = self.place(row, column);
                    *eight = std::array::from_fn(|place| number(word, place));
                }
            }
        }
        q
    }

    fn zero(&self, group: usize, row: usize) -> i8 {
        let [_, inner] = self.shapes.qzeros;
        match self.packing {
            Packing::Gemm => {
                number(read_word(self.qzeros, group * inner + row / IN_WORD), GEMM_PLACES[row % IN_WORD])
            }
            Packing::Gemv => number(read_word(self.qzeros, row * inner + group / IN_WORD), group % IN_WORD),
            Packing::Gptq { one_less } => {
                let word = read_word(self.qzeros, group * inner + row / IN_WORD);
                number(word.wrapping_add(if one_less { 0x1111_1111 } else { 0 }), row % IN_WORD)
            }
        }
    }

    fn scale(&self, group: usize, row: usize) -> f32 {
        let [_, inner] = self.shapes.scales;
        let at = if self.packing == Packing::Gemv { row * inner + group } else { group * inner + row };
        let bytes = [self.scales[2 * at], self.scales[2 * at + 1]];
        if self.bf16 { bf16::from_le_bytes(bytes).to_f32() } else { f16::from_le_bytes(bytes).to_f32() }
    }

    fn block(&self, row: usize, index: usize) -> Block {
        let group = self.groups[index] as usize;
        let scale = self.scale(group, row);
        let mut q = self.numbers(row, index);
        let minimum = if self.symmetric {
            for it in &mut q {
                *it -= MIDDLE;
            }
            0.0
        } else {
            -(f32::from(self.zero(group, row)) * scale)
        };
        Block { q, scales: [scale; 2], minima: [minimum; 2] }
    }
}

fn read_word(words: &[u8], index: usize) -> u32 {
    let bytes = &words[4 * index..4 * index + 4];
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn number(word: u32, place: usize) -> i8 {
    (word >> (4 * place) & 15) as i8
}

/// The group of each block of columns, of which none may be in two.
fn each_block(columns: usize, group: impl Fn(usize) -> usize) -> Result<Vec<u32>, String> {
    let blocks = (0..columns).step_by(BLOCK).map(|first| {
        let of = group(first);
        match (first..first + BLOCK).find(|it| group(*it) != of) {
            None => u32::try_from(of).map_err(|_| format!("there are {of} groups")),
            Some(_) => Err(format!("the columns of group {of} do not fill blocks of {BLOCK}")),
        }
    });
    blocks.collect()
}

/// The groups of blocks, and the columns in the order of their groups where they are not stored so.
fn arranged(g_idx: &[u8], columns: usize, count: usize) -> Result<(Vec<u32>, Option<Vec<u32>>), String> {
    if g_idx.len() / 4 != columns {
        return Err(format!("`g_idx` has {} numbers, not {columns}", g_idx.len() / 4));
    }
    let groups: Vec<usize> = (0..columns).map(|it| read_word(g_idx, it) as usize).collect();
    if let Some(group) = groups.iter().find(|it| **it >= count) {
        return Err(format!("`g_idx` names the group {group}, where there are {count}"));
    }
    if groups.is_sorted() {
        return Ok((each_block(columns, |column| groups[column])?, None));
    }
    let mut order: Vec<u32> = (0..).take(columns).collect();
    order.sort_by_key(|it| groups[*it as usize]);
    let blocks = each_block(columns, |column| groups[order[column] as usize])?;
    Ok((blocks, Some(order)))
}

/// Rows of such matrices, one after the other.
pub(crate) struct Groups<'c> {
    matrices: Vec<Grouped<'c>>,
    /// Which matrix, and which row of it.
    rows: Vec<(u32, u32)>,
}

impl<'c> Groups<'c> {
    /// Some rows of a matrix, in any order.
    pub(crate) fn new(matrix: Grouped<'c>, rows: impl Iterator<Item = usize>) -> Self {
        let row = |it| (0, u32::try_from(it).expect("rows are few"));
        Self { rows: rows.map(row).collect(), matrices: vec![matrix] }
    }

    /// Puts rows behind these; gives them back where the two cannot stand in one matrix.
    pub(crate) fn join(&mut self, other: Self) -> Result<(), Self> {
        let (ours, theirs) = (&self.matrices[0], &other.matrices[0]);
        if ours.columns != theirs.columns || ours.shape() != theirs.shape() || ours.order != theirs.order {
            return Err(other);
        }
        let first = u32::try_from(self.matrices.len()).expect("parts of a matrix are few");
        self.rows.extend(other.rows.iter().map(|(matrix, row)| (first + matrix, *row)));
        self.matrices.extend(other.matrices);
        Ok(())
    }

    /// Rows of all.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Columns of each.
    pub(crate) fn columns(&self) -> usize {
        self.matrices[0].columns
    }

    /// Which column comes when, where they do not come as they are stored.
    pub(crate) fn order(&self) -> Option<&[u32]> {
        self.matrices[0].order.as_deref()
    }

    /// Makes blocks cheap to read; takes memory, as long as the groups are there.
    pub(super) fn turn(&mut self, pool: &Pool) {
        for matrix in &mut self.matrices {
            matrix.turn(pool);
        }
    }

    pub(super) fn shape(&self) -> Shape {
        self.matrices[0].shape()
    }

    /// A row as numbers, in the order of an input.
    #[cfg(feature = "cuda")]
    pub(super) fn read(&self, row: usize, numbers: &mut [f32]) {
        for index in 0..self.columns() / BLOCK {
            let block = self.block(row, index);
            for (column, number) in (index * BLOCK..).zip(super::pack::dequantized(&block)) {
                numbers[self.order().map_or(column, |it| it[column] as usize)] = number;
            }
        }
    }

    pub(super) fn block(&self, row: usize, index: usize) -> Block {
        let (matrix, row) = self.rows[row];
        self.matrices[matrix as usize].block(row as usize, index)
    }
}

/// The columns of each row in this order.
pub(crate) fn reorder(pool: &Pool, rows: &[f32], order: &[u32]) -> Vec<f32> {
    let columns = order.len();
    assert!(rows.len().is_multiple_of(columns), "whole rows");
    let mut reordered = vec![0.0; rows.len()];
    let shared = Shared::new(&mut reordered);
    pool.ranges(rows.len() / columns, 4, &|range| {
        for row in range {
            let from = &rows[row * columns..][..columns];
            for (index, column) in order.iter().enumerate() {
                // SAFETY: each row is written by one thread, within the output.
                unsafe { *shared.at(row * columns + index) = from[*column as usize] };
            }
        }
    });
    reordered
}

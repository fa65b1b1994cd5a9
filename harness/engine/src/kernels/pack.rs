//! Weights in tiles of sixteen rows, column by column: what sixteen lanes need next stands next.

use std::ops::Range;

use candle_core::quantized::GgmlDType;
use half::{bf16, f16};

use super::Shared;
use super::grouped::Groups;
use super::lanes::LANES;
use super::memory::{Arena, Piece};
use super::pool::Pool;
use super::rows::BLOCK;
use super::unpack::{self, Block, Shape};

/// Bytes of a tile's block of 32 columns, in half bytes and in bytes.
const FOUR: usize = LANES * BLOCK / 2;
const EIGHT: usize = LANES * BLOCK;

/// Bytes of stored weights that are packed before their pages may go.
const READ_AT_ONCE: usize = 16 << 20;

/// What loading a matrix needs.
#[derive(Clone, Copy)]
pub(crate) struct Loading<'p> {
    pub(crate) pool: &'p Pool,
    /// Where packed weights go.
    pub(crate) arena: &'p Arena,
    /// Turns quantized weights into `f32`, which computes without quantized activations.
    pub(crate) dense: bool,
    /// Is called whenever a part of the stored weights was read: a large matrix need not be in memory twice.
    pub(crate) read: &'p dyn Fn(),
}

impl Loading<'_> {
    /// Calls `work` with ranges that together are all tiles, each of so many bytes as it is stored.
    fn tiles(&self, tiles: usize, bytes: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
        let at_once = (READ_AT_ONCE / bytes.max(1)).max(1);
        for first in (0..tiles).step_by(at_once) {
            let count = at_once.min(tiles - first);
            self.pool.ranges(count, 1, &|range| work(first + range.start..first + range.end));
            (self.read)();
        }
    }
}

/// A matrix `[rows, columns]`, to multiply activations by.
pub(crate) struct Packed {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) tiles: Tiles,
    /// Which column of an input each column is for, where they do not stand in the input's order.
    order: Option<Vec<u32>>,
}

/// `[tiles, columns, 16]`; rows beyond the last are zeros.
pub(super) enum Tiles {
    F32(Piece<f32>),
    F16(Piece<f16>),
    Bf16(Piece<bf16>),
    Blocks(Blocks),
}

/// `[tiles, blocks]` of whole numbers, with scales and minima `[tiles, blocks, 16]`, or `[tiles, blocks, 2, 16]`
/// where halves have their own.
pub(super) struct Blocks {
    pub(super) shape: Shape,
    pub(super) q: Piece<u8>,
    pub(super) scales: Factors,
    pub(super) minima: Option<Factors>,
}

/// As many digits as the format has.
pub(super) enum Factors {
    F16(Piece<f16>),
    F32(Piece<f32>),
}

impl Factors {
    fn new(arena: &Arena, count: usize, products: bool) -> Result<Self, String> {
        Ok(if products { Self::F32(arena.zeros(count)?) } else { Self::F16(arena.zeros(count)?) })
    }

    fn get(&self, index: usize) -> f32 {
        match self {
            Self::F16(it) => it[index].to_f32(),
            Self::F32(it) => it[index],
        }
    }

    fn shared(&mut self) -> SharedFactors {
        match self {
            Self::F16(it) => SharedFactors::F16(Shared::new(it)),
            Self::F32(it) => SharedFactors::F32(Shared::new(it)),
        }
    }
}

#[derive(Clone, Copy)]
enum SharedFactors {
    F16(Shared<f16>),
    F32(Shared<f32>),
}

impl SharedFactors {
    unsafe fn set(self, index: usize, value: f32) {
        match self {
            Self::F16(it) => unsafe { *it.at(index) = f16::from_f32(value) },
            Self::F32(it) => unsafe { *it.at(index) = value },
        }
    }
}

impl Packed {
    /// Packs rows as they are stored.
    ///
    /// # Errors
    /// In words, if the format cannot be packed or a row has another length.
    pub(crate) fn new(
        loading: Loading<'_>,
        format: GgmlDType,
        columns: usize,
        rows: &[&[u8]],
    ) -> Result<Self, String> {
        let arena = loading.arena;
        let length = columns / format.block_size() * format.type_size();
        if columns == 0 || !columns.is_multiple_of(format.block_size()) {
            return Err(format!("rows of {columns} columns cannot be stored as {format:?}"));
        }
        if let Some(row) = rows.iter().find(|it| it.len() != length) {
            return Err(format!("a row of {columns} columns has {} bytes, not {length}", row.len()));
        }
        let count = rows.len().div_ceil(LANES) * LANES * columns;
        let tiles = match (format, unpack::shape(format)) {
            (GgmlDType::F32, _) => {
                let mut tiles = arena.zeros(count)?;
                dense_tiles(loading, rows, columns, &mut tiles, |row, column| {
                    f32::from_le_bytes(row[4 * column..4 * column + 4].try_into().expect("four bytes"))
                });
                Tiles::F32(tiles)
            }
            (GgmlDType::F16, _) => {
                let mut tiles = arena.zeros(count)?;
                dense_tiles(loading, rows, columns, &mut tiles, |row, column| {
                    f16::from_le_bytes([row[2 * column], row[2 * column + 1]])
                });
                Tiles::F16(tiles)
            }
            (GgmlDType::BF16, _) => {
                let mut tiles = arena.zeros(count)?;
                dense_tiles(loading, rows, columns, &mut tiles, |row, column| {
                    bf16::from_le_bytes([row[2 * column], row[2 * column + 1]])
                });
                Tiles::Bf16(tiles)
            }
            (_, Some(shape)) => {
                let block = |row: usize, index| unpack::block(format, rows[row], index);
                quantized_tiles(loading, shape, [rows.len(), columns], LANES * length, block)?
            }
            (_, None) => return Err(format!("weights stored as {format:?} are not supported")),
        };
        Ok(Self { rows: rows.len(), columns, tiles, order: None })
    }

    /// Packs AWQ's and GPTQ's weights.
    ///
    /// # Errors
    /// In words, if there is no memory for it.
    pub(crate) fn of_groups(loading: Loading<'_>, mut groups: Groups<'_>) -> Result<Self, String> {
        groups.turn(loading.pool);
        let (rows, columns) = (groups.rows(), groups.columns());
        let block = |row, index| groups.block(row, index);
        // All tiles at once: what a page holds is of many of them.
        let tiles = quantized_tiles(loading, groups.shape(), [rows, columns], 0, block)?;
        Ok(Self { rows, columns, tiles, order: groups.order().map(<[u32]>::to_vec) })
    }

    /// Rows of the matrix: elements of the product.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of the matrix: elements of an input.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Whether activations are quantized to be multiplied by it.
    pub(crate) fn is_quantized(&self) -> bool {
        matches!(self.tiles, Tiles::Blocks(_))
    }

    /// In which order a row of input is multiplied; `None` for as it is.
    pub(crate) fn order(&self) -> Option<&[u32]> {
        self.order.as_deref()
    }

    /// Bytes of memory of a matrix that is packed.
    pub(crate) fn bytes_of(format: GgmlDType, rows: usize, columns: usize, dense: bool) -> usize {
        match unpack::shape(format) {
            Some(shape) => bytes_of_shape(shape, rows, columns, dense),
            None => rows.next_multiple_of(LANES) * columns * format.type_size(),
        }
    }

    /// The same of AWQ's and GPTQ's weights.
    pub(crate) fn bytes_of_groups(groups: &Groups<'_>, dense: bool) -> usize {
        bytes_of_shape(groups.shape(), groups.rows(), groups.columns(), dense)
            + groups.order().map_or(0, size_of_val)
    }

    /// One row as `f32`, as an embedding is looked up.
    pub(crate) fn row(&self, row: usize, output: &mut [f32]) {
        assert!(row < self.rows && output.len() == self.columns, "a row of the matrix");
        let (tile, lane) = (row / LANES, row % LANES);
        let at = |column: usize| (tile * self.columns + column) * LANES + lane;
        for column in 0..self.columns {
            let to = self.order.as_ref().map_or(column, |it| it[column] as usize);
            output[to] = match &self.tiles {
                Tiles::F32(it) => it[at(column)],
                Tiles::F16(it) => it[at(column)].to_f32(),
                Tiles::Bf16(it) => it[at(column)].to_f32(),
                Tiles::Blocks(it) => it.weight(tile * self.columns / BLOCK, lane, column),
            };
        }
    }
}

fn bytes_of_shape(shape: Shape, rows: usize, columns: usize, dense: bool) -> usize {
    let weights = rows.next_multiple_of(LANES) * columns;
    if dense {
        return weights * size_of::<f32>();
    }
    let factor = if shape.products { size_of::<f32>() } else { size_of::<f16>() };
    let kinds = 1 + usize::from(shape.minima);
    let parts = 1 + usize::from(shape.halves);
    weights / (1 + usize::from(shape.four)) + weights / BLOCK * kinds * parts * factor
}

/// Tiles of rows that are blocks: as they are, or as the numbers that they mean. `bytes` as for [`Loading::tiles`].
fn quantized_tiles(
    loading: Loading<'_>,
    shape: Shape,
    [rows, columns]: [usize; 2],
    bytes: usize,
    block: impl Fn(usize, usize) -> Block + Sync,
) -> Result<Tiles, String> {
    if !loading.dense {
        return Ok(Tiles::Blocks(Blocks::new(loading, shape, [rows, columns], bytes, block)?));
    }
    let mut tiles = loading.arena.zeros(rows.next_multiple_of(LANES) * columns)?;
    let shared = Shared::new(&mut tiles);
    loading.tiles(rows.div_ceil(LANES), bytes, &|range| {
        for row in range.start * LANES..rows.min(range.end * LANES) {
            for index in 0..columns / BLOCK {
                let block = block(row, index);
                let to = row / LANES * LANES * columns + index * BLOCK * LANES + row % LANES;
                for (column, weight) in dequantized(&block).enumerate() {
                    // SAFETY: each row writes its own lane of its tile.
                    unsafe { *shared.at(to + column * LANES) = weight };
                }
            }
        }
    });
    Ok(Tiles::F32(tiles))
}

fn dense_tiles<T: Send + Sync>(
    loading: Loading<'_>,
    rows: &[&[u8]],
    columns: usize,
    tiles: &mut [T],
    read: impl Fn(&[u8], usize) -> T + Sync,
) {
    let shared = Shared::new(tiles);
    let bytes = rows.first().map_or(0, |row| LANES * row.len());
    loading.tiles(rows.len().div_ceil(LANES), bytes, &|range| {
        for tile in range {
            for column in 0..columns {
                for (lane, row) in rows[tile * LANES..].iter().take(LANES).enumerate() {
                    // SAFETY: each tile is written by one thread, within its bounds.
                    unsafe { *shared.at((tile * columns + column) * LANES + lane) = read(row, column) };
                }
            }
        }
    });
}

/// The weights of a block.
pub(super) fn dequantized(block: &Block) -> impl Iterator<Item = f32> + '_ {
    block.q.iter().enumerate().map(|(index, q)| {
        let half = index / (BLOCK / 2);
        block.scales[half] * f32::from(*q) + block.minima[half]
    })
}

impl Blocks {
    #[expect(
        clippy::cast_sign_loss,
        reason = "half bytes are counted from the lowest; bytes keep their bits"
    )]
    fn new(
        loading: Loading<'_>,
        shape: Shape,
        [rows, columns]: [usize; 2],
        bytes: usize,
        block: impl Fn(usize, usize) -> Block + Sync,
    ) -> Result<Self, String> {
        let (tiles, blocks) = (rows.div_ceil(LANES), columns / BLOCK);
        let size = if shape.four { FOUR } else { EIGHT };
        let parts = if shape.halves { 2 } else { 1 };
        let arena = loading.arena;
        let factors = || Factors::new(arena, tiles * blocks * parts * LANES, shape.products);
        let mut new = Self {
            shape,
            q: arena.zeros(tiles * blocks * size)?,
            scales: factors()?,
            minima: shape.minima.then(factors).transpose()?,
        };
        let q = Shared::new(&mut new.q);
        let scales = new.scales.shared();
        let minima = new.minima.as_mut().map(Factors::shared);
        loading.tiles(tiles, bytes, &|range| {
            // All rows of a tile at once: AWQ and GPTQ store them side by side.
            for (tile, index) in range.flat_map(|tile| (0..blocks).map(move |index| (tile, index))) {
                let at = tile * blocks + index;
                for (lane, row) in (tile * LANES..rows.min((tile + 1) * LANES)).enumerate() {
                    let block = block(row, index);
                    for part in 0..parts {
                        let to = (at * parts + part) * LANES + lane;
                        // SAFETY: each tile is written by one thread, within its bounds; here and below.
                        unsafe { scales.set(to, block.scales[part]) };
                        if let Some(minima) = minima {
                            unsafe { minima.set(to, block.minima[part]) };
                        }
                    }
                    for (column, it) in block.q.iter().enumerate() {
                        let (group, element) = (column / 4, column % 4);
                        if shape.four {
                            let to = at * FOUR + (group / 2 * LANES + lane) * 4 + element;
                            let half = (it - shape.lowest) as u8;
                            unsafe { *q.at(to) |= half << (4 * (group % 2)) };
                        } else {
                            let to = at * EIGHT + (group * LANES + lane) * 4 + element;
                            unsafe { *q.at(to) = *it as u8 };
                        }
                    }
                }
            }
        });
        Ok(new)
    }

    /// A weight by the first block of its tile, its lane and its column.
    #[expect(clippy::cast_possible_wrap, reason = "bytes that hold signed numbers")]
    fn weight(&self, first: usize, lane: usize, column: usize) -> f32 {
        let at = first + column / BLOCK;
        let (group, element) = (column % BLOCK / 4, column % 4);
        let q = if self.shape.four {
            let byte = self.q[at * FOUR + (group / 2 * LANES + lane) * 4 + element];
            (byte >> (4 * (group % 2)) & 15) as i8 + self.shape.lowest
        } else {
            self.q[at * EIGHT + (group * LANES + lane) * 4 + element] as i8
        };
        let parts = if self.shape.halves { 2 } else { 1 };
        let factor = (at * parts + if self.shape.halves { column % BLOCK / 16 } else { 0 }) * LANES + lane;
        let minimum = self.minima.as_ref().map_or(0.0, |it| it.get(factor));
        self.scales.get(factor) * f32::from(q) + minimum
    }
}

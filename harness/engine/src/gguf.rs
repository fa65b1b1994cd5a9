//! GGUF: a file's metadata, and where its tensors are.
//!
//! The reader is our own because a file is hostile until checked: no count or length is believed before
//! it is compared with the bytes that are left and with what published files have, so a header costs at most
//! some tens of megabytes and ends in an error, never in a panic. Tensor data is not touched.

use std::collections::HashMap;
use std::io::Read;

use candle_core::quantized::GgmlDType;
use thiserror::Error;

/// The alignment of tensor data where the metadata names none.
const DEFAULT_ALIGNMENT: u64 = 32;
/// The longest header: twice that of the published files with the most tokens and merges.
const MAX_HEADER: u64 = 32 << 20;
/// The most metadata values, tensors, and elements of all arrays together; a hundred, ten and two times what published
/// files have.
const MAX_VALUES: u64 = 1 << 13;
const MAX_TENSORS: u64 = 1 << 16;
const MAX_ELEMENTS: u64 = 1 << 22;
/// ggml's own limit on the dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 4;

/// What can be wrong with a GGUF file.
#[derive(Debug, Error)]
pub(crate) enum Malformed {
    #[error("not a GGUF file")]
    Magic,
    #[error("GGUF version {0}, where 2 and 3 are known")]
    Version(u32),
    #[error("the file ends within {0}")]
    Truncated(&'static str),
    #[error("{what} of {claimed} does not fit in the {left} bytes that are left")]
    Oversized { what: &'static str, claimed: u64, left: u64 },
    #[error("{what} of {claimed}, where at most {most} are read")]
    TooMany { what: &'static str, claimed: u64, most: u64 },
    #[error("the header has more than {MAX_HEADER} bytes")]
    LongHeader,
    #[error("{0} is not UTF-8")]
    Encoding(&'static str),
    #[error("the value of `{key}` has the unknown type {kind}")]
    UnknownValue { key: String, kind: u32 },
    #[error("`{0}` is an array of arrays")]
    Nested(String),
    #[error("`{0}` is there twice")]
    Duplicate(String),
    #[error("an alignment of {0}, which is not a power of two up to 65536")]
    Alignment(u64),
    #[error("`{name}` has {count} dimensions, where 1 to 4 are possible")]
    Dimensions { name: String, count: u32 },
    #[error("`{name}` has the impossible shape {shape:?}")]
    Shape { name: String, shape: Vec<u64> },
    #[error("`{name}` has the unknown tensor type {kind}")]
    UnknownTensor { name: String, kind: u32 },
    #[error("`{name}` needs {bytes} bytes at {offset}, but the tensor data has {available}")]
    OutOfBounds { name: String, offset: u64, bytes: u64, available: u64 },
    #[error("`{name}` begins at {offset}, which is not aligned to {alignment}")]
    Misaligned { name: String, offset: u64, alignment: u64 },
    #[error("`{one}` and `{other}` overlap at {offset}")]
    Overlap { one: String, other: String, offset: u64 },
    #[error("`{key}` is not {wanted}")]
    Kind { key: String, wanted: &'static str },
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A metadata value; integers and floats of all widths are one kind each.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Texts),
    Integers(Vec<i64>),
    Floats(Vec<f32>),
}

/// Texts in one piece of memory, so that millions of short ones take no more than they do in the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.all[begin..*end])
    }
}

/// Where a tensor is, and what it holds.
#[derive(Clone, Debug)]
pub(crate) struct TensorInfo {
    pub(crate) kind: GgmlDType,
    /// Outermost dimension first: `[rows, columns]` for a matrix.
    pub(crate) shape: Vec<usize>,
    /// From the beginning of the tensor data.
    offset: u64,
    /// Length of the data.
    pub(crate) bytes: u64,
}

/// A checked header: every tensor lies within the file.
#[derive(Debug)]
pub(crate) struct Gguf {
    metadata: HashMap<String, Value>,
    tensors: HashMap<String, TensorInfo>,
    data: u64,
}

impl Gguf {
    /// Reads the header of a file of `length` bytes.
    pub(crate) fn read(source: impl Read, length: u64) -> Result<Self, Malformed> {
        Self::read_header(source, length).map_err(|err| match err {
            Malformed::Truncated(_) | Malformed::Oversized { .. } if length > MAX_HEADER => {
                Malformed::LongHeader
            }
            err => err,
        })
    }

    fn read_header(source: impl Read, length: u64) -> Result<Self, Malformed> {
        let header = length.min(MAX_HEADER);
        let mut source = Source { inner: source, left: header, length, elements: MAX_ELEMENTS };
        if &source.array::<4>("the magic number").map_err(|_| Malformed::Magic)? != b"GGUF" {
            return Err(Malformed::Magic);
        }
        let version = source.u32("the version")?;
        if !(2..=3).contains(&version) {
            return Err(Malformed::Version(version));
        }
        // The least that an entry takes: its name's length, a type and a byte; or its name's length, a
        // count of dimensions, a dimension, a type and an offset.
        let tensor_count = source.u64("the tensor count")?;
        let metadata_count = source.u64("the metadata count")?;
        source.check("a metadata count", metadata_count, 13)?;
        source.check("a tensor count", tensor_count, 32)?;
        at_most("a metadata count", metadata_count, MAX_VALUES)?;
        at_most("a tensor count", tensor_count, MAX_TENSORS)?;

        let mut metadata = HashMap::new();
        for _ in 0..metadata_count {
            let key = source.text("a metadata key")?;
            let kind = source.u32("a metadata type")?;
            let value = source.value(&key, kind)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(Malformed::Duplicate(key));
            }
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(Value::Unsigned(it)) if it.is_power_of_two() && *it <= 1 << 16 => *it,
            Some(Value::Unsigned(it)) => return Err(Malformed::Alignment(*it)),
            Some(_) => {
                return Err(Malformed::Kind { key: "general.alignment".to_owned(), wanted: "unsigned" });
            }
        };

        let mut tensors = HashMap::new();
        for _ in 0..tensor_count {
            let name = source.text("a tensor name")?;
            let info = source.tensor_info(&name, alignment)?;
            if tensors.insert(name.clone(), info).is_some() {
                return Err(Malformed::Duplicate(name));
            }
        }
        let data = (header - source.left).next_multiple_of(alignment);
        let available = length.saturating_sub(data);
        let mut places = Vec::with_capacity(tensors.len());
        for (name, &TensorInfo { offset, bytes, .. }) in &tensors {
            match offset.checked_add(bytes) {
                Some(end) if end <= available => places.push((offset, end, name)),
                _ => return Err(Malformed::OutOfBounds { name: name.clone(), offset, bytes, available }),
            }
        }
        // Tensors that share bytes would let a small file fill the memory.
        places.sort_unstable();
        if let Some([(_, _, one), (offset, _, other)]) =
            places.array_windows().find(|[(_, end, _), (begin, ..)]| begin < end)
        {
            let (one, other) = ((*one).clone(), (*other).clone());
            return Err(Malformed::Overlap { one, other, offset: *offset });
        }
        Ok(Self { metadata, tensors, data })
    }

    /// Takes a value out, where it is long and needed once.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.metadata.remove(key)
    }

    /// An integer that is not negative; `None` where the key is absent.
    pub(crate) fn count(&self, key: &str) -> Result<Option<usize>, Malformed> {
        let wanted = || Malformed::Kind { key: key.to_owned(), wanted: "a count" };
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Unsigned(it)) => usize::try_from(*it).map(Some).map_err(|_| wanted()),
            Some(Value::Signed(it)) => usize::try_from(*it).map(Some).map_err(|_| wanted()),
            Some(_) => Err(wanted()),
        }
    }

    /// A finite float; `None` where the key is absent.
    pub(crate) fn float(&self, key: &str) -> Result<Option<f64>, Malformed> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Float(it)) if it.is_finite() => Ok(Some(*it)),
            Some(_) => Err(Malformed::Kind { key: key.to_owned(), wanted: "a finite float" }),
        }
    }

    /// A truth value; `None` where the key is absent.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, Malformed> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Bool(it)) => Ok(Some(*it)),
            Some(_) => Err(Malformed::Kind { key: key.to_owned(), wanted: "a boolean" }),
        }
    }

    /// A text; `None` where the key is absent.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>, Malformed> {
        match self.metadata.get(key) {
            None => Ok(None),
            Some(Value::Text(it)) => Ok(Some(it)),
            Some(_) => Err(Malformed::Kind { key: key.to_owned(), wanted: "a text" }),
        }
    }

    /// Where a tensor's data stands in the file.
    pub(crate) fn place(&self, name: &str) -> Option<std::ops::Range<usize>> {
        let info = self.tensors.get(name)?;
        let begin = usize::try_from(self.data + info.offset).ok()?;
        Some(begin..begin.checked_add(usize::try_from(info.bytes).ok()?)?)
    }

    /// The keys of the metadata.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        self.metadata.keys()
    }

    /// How many elements an array has; `None` where there is no array.
    pub(crate) fn length(&self, key: &str) -> Option<usize> {
        match self.metadata.get(key)? {
            Value::Texts(it) => Some(it.len()),
            Value::Integers(it) => Some(it.len()),
            Value::Floats(it) => Some(it.len()),
            _ => None,
        }
    }

    /// All tensors by name.
    pub(crate) fn tensors(&self) -> &HashMap<String, TensorInfo> {
        &self.tensors
    }
}

fn at_most(what: &'static str, claimed: u64, most: u64) -> Result<(), Malformed> {
    if claimed > most { Err(Malformed::TooMany { what, claimed, most }) } else { Ok(()) }
}

/// A reader that knows how many bytes can still come.
struct Source<R> {
    inner: R,
    /// Of the header.
    left: u64,
    /// Of the file.
    length: u64,
    /// Elements of arrays that may still come.
    elements: u64,
}

impl<R: Read> Source<R> {
    /// Refuses a count of things of at least `size` bytes each that cannot all be there.
    fn check(&self, what: &'static str, count: u64, size: u64) -> Result<(), Malformed> {
        if count.checked_mul(size).is_none_or(|bytes| bytes > self.left) {
            return Err(Malformed::Oversized { what, claimed: count, left: self.left });
        }
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8], what: &'static str) -> Result<(), Malformed> {
        let length = buffer.len() as u64;
        if length > self.left {
            return Err(Malformed::Truncated(what));
        }
        self.inner.read_exact(buffer).map_err(|err| match err.kind() {
            std::io::ErrorKind::UnexpectedEof => Malformed::Truncated(what),
            _ => Malformed::Io(err),
        })?;
        self.left -= length;
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    fn text(&mut self, what: &'static str) -> Result<String, Malformed> {
        let length = self.u64(what)?;
        self.check("a text", length, 1)?;
        let length = usize::try_from(length).map_err(|_| Malformed::Truncated(what))?;
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, what)?;
        String::from_utf8(bytes).map_err(|_| Malformed::Encoding(what))
    }

    fn texts(&mut self, count: u64, what: &'static str) -> Result<Texts, Malformed> {
        let mut texts = Texts::default();
        for _ in 0..count {
            let text = self.text(what)?;
            texts.all.push_str(&text);
            texts.ends.push(texts.all.len());
        }
        Ok(texts)
    }

    fn value(&mut self, key: &str, kind: u32) -> Result<Value, Malformed> {
        const WHAT: &str = "a metadata value";
        Ok(match kind {
            0 | 2 | 4 | 10 | 1 | 3 | 5 | 11 => {
                let it = self.integer(kind)?;
                // Only 64 unsigned bits can hold what i64 does not.
                if kind == 10 || it >= 0 { Value::Unsigned(it.cast_unsigned()) } else { Value::Signed(it) }
            }
            6 => Value::Float(f64::from(f32::from_le_bytes(self.array(WHAT)?))),
            12 => Value::Float(f64::from_le_bytes(self.array(WHAT)?)),
            7 => Value::Bool(self.array::<1>(WHAT)?[0] != 0),
            8 => Value::Text(self.text(WHAT)?),
            9 => {
                let element = self.u32(WHAT)?;
                let count = self.u64(WHAT)?;
                let size = match element {
                    0 | 1 | 7 => 1,
                    2 | 3 => 2,
                    4..=6 => 4,
                    8 | 10..=12 => 8,
                    9 => return Err(Malformed::Nested(key.to_owned())),
                    kind => return Err(Malformed::UnknownValue { key: key.to_owned(), kind }),
                };
                self.check("an array", count, size)?;
                at_most("an array", count, self.elements)?;
                self.elements -= count;
                match element {
                    8 => Value::Texts(self.texts(count, WHAT)?),
                    6 => Value::Floats(
                        (0..count)
                            .map(|_| Ok(f32::from_le_bytes(self.array(WHAT)?)))
                            .collect::<Result<_, Malformed>>()?,
                    ),
                    #[expect(clippy::cast_possible_truncation, reason = "nothing here needs more digits")]
                    12 => Value::Floats(
                        (0..count)
                            .map(|_| Ok(f64::from_le_bytes(self.array(WHAT)?) as f32))
                            .collect::<Result<_, Malformed>>()?,
                    ),
                    _ => {
                        Value::Integers((0..count).map(|_| self.integer(element)).collect::<Result<_, _>>()?)
                    }
                }
            }
            kind => return Err(Malformed::UnknownValue { key: key.to_owned(), kind }),
        })
    }

    /// An integer or boolean of the given value type; 64 unsigned bits are kept as they are.
    fn integer(&mut self, kind: u32) -> Result<i64, Malformed> {
        const WHAT: &str = "a metadata value";
        Ok(match kind {
            0 | 7 => i64::from(self.array::<1>(WHAT)?[0]),
            1 => i64::from(i8::from_le_bytes(self.array(WHAT)?)),
            2 => i64::from(u16::from_le_bytes(self.array(WHAT)?)),
            3 => i64::from(i16::from_le_bytes(self.array(WHAT)?)),
            4 => i64::from(self.u32(WHAT)?),
            5 => i64::from(i32::from_le_bytes(self.array(WHAT)?)),
            _ => i64::from_le_bytes(self.array(WHAT)?),
        })
    }

    fn tensor_info(&mut self, name: &str, alignment: u64) -> Result<TensorInfo, Malformed> {
        const WHAT: &str = "a tensor's description";
        let count = self.u32(WHAT)?;
        if count == 0 || count > MAX_DIMENSIONS {
            return Err(Malformed::Dimensions { name: name.to_owned(), count });
        }
        let mut shape = (0..count).map(|_| self.u64(WHAT)).collect::<Result<Vec<_>, _>>()?;
        let kind = self.u32(WHAT)?;
        let Some(kind) = tensor_type(kind) else {
            return Err(Malformed::UnknownTensor { name: name.to_owned(), kind });
        };
        let offset = self.u64(WHAT)?;
        if offset % alignment != 0 {
            return Err(Malformed::Misaligned { name: name.to_owned(), offset, alignment });
        }
        // Rows are stored in blocks, the innermost dimension first.
        let block = kind.block_size() as u64;
        let elements = shape.iter().try_fold(1_u64, |product, &it| product.checked_mul(it));
        let bytes = elements
            .filter(|&it| it > 0 && shape[0] % block == 0)
            .and_then(|it| (it / block).checked_mul(kind.type_size() as u64));
        shape.reverse();
        let Some(bytes) = bytes.filter(|&it| it <= self.length) else {
            return Err(Malformed::Shape { name: name.to_owned(), shape });
        };
        let sizes = shape.iter().map(|&it| usize::try_from(it)).collect::<Result<_, _>>();
        let Ok(sizes) = sizes else { return Err(Malformed::Shape { name: name.to_owned(), shape }) };
        Ok(TensorInfo { kind, shape: sizes, offset, bytes })
    }
}

/// The tensor types that candle can read, by ggml's numbers.
fn tensor_type(number: u32) -> Option<GgmlDType> {
    Some(match number {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

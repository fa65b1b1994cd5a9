//! Arrow's streaming format, which the `datasets` library stores splits in: columns of texts, numbers, truth values,
//! lists and structures, uncompressed.
//!
//! The metadata are flatbuffers. A reader believes no offset or length before it has compared it with the bytes that
//! are there. The format: <https://arrow.apache.org/docs/format/Columnar.html>.

use serde_json::{Map, Number, Value};

/// How deep columns may be nested.
const DEEPEST: usize = 16;

/// The most rows and items of one file.
const MOST: usize = 1 << 22;

/// Reads a file's rows, each with every field.
pub fn rows(bytes: &[u8]) -> Result<Vec<Map<String, Value>>, String> {
    // A file is a stream with a mark before it and an index after it.
    let mut rest = bytes.strip_prefix(b"ARROW1\0\0").unwrap_or(bytes);
    let mut fields: Option<Vec<Field>> = None;
    let mut rows = Vec::new();
    while let Some((message, body, after)) = next_message(rest)? {
        rest = after;
        match (message.kind, &fields) {
            (1, None) => fields = Some(schema(&message.header)?),
            (3, Some(fields)) => batch(&message.header, fields, body, &mut rows)?,
            (1, Some(_)) => return Err("a second schema".to_owned()),
            (2, _) => return Err("columns with a dictionary are not read".to_owned()),
            (_, None) => return Err("data before the schema".to_owned()),
            (kind, _) => return Err(format!("a message of kind {kind} is not read")),
        }
    }
    if fields.is_none() {
        return Err("there is no schema".to_owned());
    }
    Ok(rows)
}

struct Message<'a> {
    kind: u8,
    header: Table<'a>,
}

const CUT: &str = "the file ends too early, or its metadata is damaged";

fn cut<T>(found: Option<T>) -> Result<T, String> {
    found.ok_or_else(|| CUT.to_owned())
}

/// The next message, its body, and what follows.
#[expect(clippy::type_complexity, reason = "three parts of one slice")]
fn next_message(bytes: &[u8]) -> Result<Option<(Message<'_>, &[u8], &[u8])>, String> {
    let Some(bytes) = bytes.strip_prefix(&[0xff; 4]) else {
        return if bytes.is_empty() { Ok(None) } else { Err("this is no stream of Arrow's".to_owned()) };
    };
    let size = cut(number::<4>(bytes, 0).map(u32::from_le_bytes))? as usize;
    if size == 0 {
        return Ok(None);
    }
    let metadata = cut(bytes.get(4..).and_then(|it| it.get(..size)))?;
    let root = cut(Table::root(metadata))?;
    let length = cut(usize::try_from(root.int(3, 8).unwrap_or(0)).ok())?;
    let rest = &bytes[4 + size..];
    let body = cut(rest.get(..length))?;
    let kind = u8::try_from(root.int(1, 1).unwrap_or(0)).unwrap_or(0);
    Ok(Some((Message { kind, header: cut(root.table(2))? }, body, &rest[length..])))
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// A table of a flatbuffer.
#[derive(Clone, Copy)]
struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Table<'a> {
    fn root(bytes: &'a [u8]) -> Option<Self> {
        let at = u32::from_le_bytes(number(bytes, 0)?) as usize;
        (at < bytes.len()).then_some(Self { bytes, at })
    }

    /// Where a field's value is.
    fn field(&self, id: usize) -> Option<usize> {
        let back = i64::from(i32::from_le_bytes(number(self.bytes, self.at)?));
        let table = usize::try_from(i64::try_from(self.at).ok()?.checked_sub(back)?).ok()?;
        let size = usize::from(u16::from_le_bytes(number(self.bytes, table)?));
        let slot = 4 + 2 * id;
        if slot + 2 > size {
            return None;
        }
        let offset = usize::from(u16::from_le_bytes(number(self.bytes, table.checked_add(slot)?)?));
        (offset != 0).then_some(self.at.checked_add(offset)?)
    }

    fn int(&self, id: usize, width: usize) -> Option<i64> {
        let at = self.field(id)?;
        Some(match width {
            1 => i64::from(*self.bytes.get(at)?),
            2 => i64::from(i16::from_le_bytes(number(self.bytes, at)?)),
            4 => i64::from(i32::from_le_bytes(number(self.bytes, at)?)),
            _ => i64::from_le_bytes(number(self.bytes, at)?),
        })
    }

    /// Where an offset that is kept in a place leads.
    fn follow(&self, at: usize) -> Option<usize> {
        at.checked_add(u32::from_le_bytes(number(self.bytes, at)?) as usize)
    }

    fn table(&self, id: usize) -> Option<Self> {
        let at = self.follow(self.field(id)?)?;
        (at < self.bytes.len()).then_some(Self { bytes: self.bytes, at })
    }

    /// Where the items of a vector of this width begin, and how many there are.
    fn vector(&self, id: usize, width: usize) -> Option<(usize, usize)> {
        let at = self.follow(self.field(id)?)?;
        let count = u32::from_le_bytes(number(self.bytes, at)?) as usize;
        let begin = at.checked_add(4)?;
        let end = begin.checked_add(count.checked_mul(width)?)?;
        (end <= self.bytes.len()).then_some((begin, count))
    }

    fn tables(&self, id: usize) -> Option<Vec<Self>> {
        let (begin, count) = self.vector(id, 4)?;
        let table = |index: usize| Some(Self { bytes: self.bytes, at: self.follow(begin + 4 * index)? });
        (0..count).map(table).collect()
    }

    fn text(&self, id: usize) -> Option<&'a str> {
        let (begin, count) = self.vector(id, 1)?;
        std::str::from_utf8(self.bytes.get(begin..begin + count)?).ok()
    }

    /// The items of a vector of pairs of whole numbers.
    fn pairs(&self, id: usize) -> Option<Vec<(i64, i64)>> {
        let Some(_) = self.field(id) else { return Some(Vec::new()) };
        let (begin, count) = self.vector(id, 16)?;
        let pair = |index: usize| {
            let at = begin + 16 * index;
            let first = i64::from_le_bytes(number(self.bytes, at)?);
            Some((first, i64::from_le_bytes(number(self.bytes, at + 8)?)))
        };
        (0..count).map(pair).collect()
    }
}

/// A column as the schema describes it.
struct Field {
    name: String,
    kind: Kind,
}

enum Kind {
    Null,
    Bool,
    Int {
        bytes: usize,
        signed: bool,
    },
    Float {
        bytes: usize,
    },
    /// With offsets of 4 or 8 bytes.
    Text {
        wide: bool,
    },
    List {
        wide: bool,
        of: Box<Field>,
    },
    Struct(Vec<Field>),
}

fn schema(header: &Table<'_>) -> Result<Vec<Field>, String> {
    if header.int(0, 2).unwrap_or(0) != 0 {
        return Err("numbers with the highest byte first are not read".to_owned());
    }
    cut(header.tables(1))?.iter().map(|it| field(it, 0)).collect()
}

fn field(table: &Table<'_>, depth: usize) -> Result<Field, String> {
    if depth > DEEPEST {
        return Err("its columns are nested too deeply".to_owned());
    }
    let name = table.text(0).unwrap_or_default().to_owned();
    if table.field(4).is_some() {
        return Err(format!("the column `{name}` has a dictionary, which is not read"));
    }
    let children = || -> Result<Vec<Field>, String> {
        table.tables(5).unwrap_or_default().iter().map(|it| field(it, depth + 1)).collect()
    };
    let kind = table.table(3);
    let setting = |id: usize, width: usize| kind.and_then(|it| it.int(id, width)).unwrap_or(0);
    let kind = match table.int(2, 1).unwrap_or(0) {
        1 => Kind::Null,
        2 => {
            let bytes = usize::try_from(setting(0, 4)).unwrap_or(0) / 8;
            if ![1, 2, 4, 8].contains(&bytes) {
                return Err(CUT.to_owned());
            }
            Kind::Int { bytes, signed: setting(1, 1) != 0 }
        }
        3 if setting(0, 2) == 1 => Kind::Float { bytes: 4 },
        3 if setting(0, 2) == 2 => Kind::Float { bytes: 8 },
        5 => Kind::Text { wide: false },
        6 => Kind::Bool,
        20 => Kind::Text { wide: true },
        kind @ (12 | 21) => {
            let of = cut(children()?.into_iter().next())?;
            Kind::List { wide: kind == 21, of: Box::new(of) }
        }
        13 => Kind::Struct(children()?),
        kind => return Err(format!("the column `{name}` has Arrow's type {kind}, which is not read")),
    };
    Ok(Field { name, kind })
}

/// A column's values in one batch.
struct Column<'a> {
    length: usize,
    /// A bit for each row, 0 where there is no value; `None` where all have one.
    valid: Option<&'a [u8]>,
    values: Values<'a>,
}

enum Values<'a> {
    Null,
    Bool(&'a [u8]),
    Int { data: &'a [u8], bytes: usize, signed: bool },
    Float { data: &'a [u8], bytes: usize },
    Text { offsets: &'a [u8], wide: bool, data: &'a [u8] },
    List { offsets: &'a [u8], wide: bool, of: Box<Column<'a>> },
    Struct(Vec<(String, Column<'a>)>),
}

struct Batch<'a> {
    nodes: std::vec::IntoIter<(i64, i64)>,
    buffers: std::vec::IntoIter<(i64, i64)>,
    body: &'a [u8],
}

fn batch(
    header: &Table<'_>,
    fields: &[Field],
    body: &[u8],
    rows: &mut Vec<Map<String, Value>>,
) -> Result<(), String> {
    if header.field(3).is_some() {
        return Err("compressed columns are not read".to_owned());
    }
    let count = cut(usize::try_from(header.int(0, 8).unwrap_or(0)).ok())?;
    if rows.len().saturating_add(count) > MOST {
        return Err(format!("more than {MOST} rows"));
    }
    let nodes = cut(header.pairs(1))?.into_iter();
    let mut batch = Batch { nodes, buffers: cut(header.pairs(2))?.into_iter(), body };
    let columns = fields.iter().map(|it| Ok((&it.name, batch.column(&it.kind)?)));
    let columns = columns.collect::<Result<Vec<_>, String>>()?;
    if columns.iter().any(|(_, column)| column.length != count) {
        return Err("columns of unequal length".to_owned());
    }
    for row in 0..count {
        let entry = |(name, column): &(&String, Column<'_>)| Ok(((*name).clone(), column.value(row)?));
        rows.push(columns.iter().map(entry).collect::<Result<Map<_, _>, String>>()?);
    }
    Ok(())
}

impl<'a> Batch<'a> {
    fn buffer(&mut self) -> Result<&'a [u8], String> {
        let (offset, length) = cut(self.buffers.next())?;
        let range = usize::try_from(offset).ok().zip(usize::try_from(length).ok());
        cut(range.and_then(|(offset, length)| self.body.get(offset..offset.checked_add(length)?)))
    }

    fn column(&mut self, kind: &Kind) -> Result<Column<'a>, String> {
        let (length, missing) = cut(self.nodes.next())?;
        let length = cut(usize::try_from(length).ok().filter(|it| *it <= MOST))?;
        if matches!(kind, Kind::Null) {
            return Ok(Column { length, valid: None, values: Values::Null });
        }
        let valid = self.buffer()?;
        let valid = (missing > 0).then_some(valid);
        let values = match kind {
            Kind::Null => Values::Null,
            Kind::Bool => Values::Bool(self.buffer()?),
            Kind::Int { bytes, signed } => {
                Values::Int { data: self.buffer()?, bytes: *bytes, signed: *signed }
            }
            Kind::Float { bytes } => Values::Float { data: self.buffer()?, bytes: *bytes },
            Kind::Text { wide } => {
                let offsets = self.buffer()?;
                Values::Text { offsets, wide: *wide, data: self.buffer()? }
            }
            Kind::List { wide, of } => {
                let offsets = self.buffer()?;
                Values::List { offsets, wide: *wide, of: Box::new(self.column(&of.kind)?) }
            }
            Kind::Struct(fields) => {
                let fields = fields.iter().map(|it| Ok((it.name.clone(), self.column(&it.kind)?)));
                Values::Struct(fields.collect::<Result<_, String>>()?)
            }
        };
        Ok(Column { length, valid, values })
    }
}

/// A number's bytes, padded to 8.
fn padded(data: &[u8], at: usize, bytes: usize) -> Option<[u8; 8]> {
    let begin = at.checked_mul(bytes)?;
    let mut number = [0; 8];
    number[..bytes].copy_from_slice(data.get(begin..begin.checked_add(bytes)?)?);
    Some(number)
}

fn bit(bits: &[u8], at: usize) -> Option<bool> {
    bits.get(at / 8).map(|it| it >> (at % 8) & 1 == 1)
}

/// Where a text or a list begins and ends.
fn range(offsets: &[u8], wide: bool, row: usize) -> Option<std::ops::Range<usize>> {
    let offset =
        |at: usize| usize::try_from(u64::from_le_bytes(padded(offsets, at, if wide { 8 } else { 4 })?)).ok();
    let range = offset(row)?..offset(row + 1)?;
    (range.start <= range.end).then_some(range)
}

impl Column<'_> {
    fn value(&self, row: usize) -> Result<Value, String> {
        if row >= self.length {
            return Err(CUT.to_owned());
        }
        if let Some(valid) = self.valid
            && !cut(bit(valid, row))?
        {
            return Ok(Value::Null);
        }
        Ok(match &self.values {
            Values::Null => Value::Null,
            Values::Bool(bits) => Value::Bool(cut(bit(bits, row))?),
            Values::Int { data, bytes, signed } => {
                let number = u64::from_le_bytes(cut(padded(data, row, *bytes))?);
                if *signed {
                    // Shifted up and down, the sign comes from the number's own highest bit.
                    let empty = 64 - 8 * bytes;
                    Value::from((number.cast_signed() << empty) >> empty)
                } else {
                    Value::from(number)
                }
            }
            Values::Float { data, bytes } => {
                let number = cut(padded(data, row, *bytes))?;
                let float = if *bytes == 4 {
                    f64::from(f32::from_le_bytes([number[0], number[1], number[2], number[3]]))
                } else {
                    f64::from_le_bytes(number)
                };
                Number::from_f64(float).map_or(Value::Null, Value::Number)
            }
            Values::Text { offsets, wide, data } => {
                let text = cut(range(offsets, *wide, row).and_then(|it| data.get(it)))?;
                let text = std::str::from_utf8(text).map_err(|_| "a text is not UTF-8".to_owned())?;
                Value::String(text.to_owned())
            }
            Values::List { offsets, wide, of } => {
                let range = cut(range(offsets, *wide, row))?;
                range.map(|it| of.value(it)).collect::<Result<Vec<_>, _>>().map(Value::Array)?
            }
            Values::Struct(fields) => {
                let entry = |(name, column): &(String, Column<'_>)| Ok((name.clone(), column.value(row)?));
                Value::Object(fields.iter().map(entry).collect::<Result<Map<_, _>, String>>()?)
            }
        })
    }
}

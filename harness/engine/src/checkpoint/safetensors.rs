//! safetensors: what tensors a file holds, and where.
//!
//! The reader is our own because a file is hostile until checked: the header's size is bounded, a name that is there
//! twice is an error (a JSON map would keep the last), and the tensors must fill the data without gap or overlap.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::ops::Range;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The longest header: ten times that of the largest published files.
const MAX_HEADER: u64 = 8 << 20;
/// The longest name, so that messages stay readable.
const MAX_NAME: usize = 256;
/// The most dimensions, as PyTorch's.
const MAX_DIMENSIONS: usize = 8;

/// A tensor as the header describes it, checked.
#[derive(Debug)]
pub(super) struct Described {
    /// The type's name, such as `BF16`.
    pub(super) kind: String,
    /// Outermost dimension first.
    pub(super) shape: Vec<usize>,
    /// From the beginning of the file.
    pub(super) range: Range<usize>,
}

/// All tensors of a file by name.
pub(super) fn read(file: &[u8]) -> Result<HashMap<String, Described>, String> {
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err("it is too short for a safetensors file".to_owned());
    };
    let length = u64::from_le_bytes(*length);
    let Some(header) = usize::try_from(length).ok().and_then(|it| rest.get(..it)) else {
        return Err(format!("its header of {length} bytes does not fit in the {} that follow", rest.len()));
    };
    if length > MAX_HEADER {
        return Err(format!("its header has {length} bytes, where at most {MAX_HEADER} are read"));
    }
    let begin = 8 + header.len();
    let Header(written) =
        serde_json::from_slice(header).map_err(|err| format!("its header is malformed: {err}"))?;

    let mut tensors = HashMap::with_capacity(written.len());
    let mut places = Vec::with_capacity(written.len());
    for (name, it) in written {
        let [from, to] = it.data_offsets;
        if name.len() > MAX_NAME {
            return Err(format!("a tensor's name has {} bytes, where {MAX_NAME} are possible", name.len()));
        }
        if it.shape.len() > MAX_DIMENSIONS {
            return Err(format!(
                "`{name}` has {} dimensions, where {MAX_DIMENSIONS} are possible",
                it.shape.len()
            ));
        }
        let Some(size) = element_size(&it.dtype) else {
            let kind: String = it.dtype.chars().take(20).collect();
            return Err(format!("`{name}` has the unknown type `{kind}`"));
        };
        let bytes = it.shape.iter().try_fold(size, |product, &size| product.checked_mul(size));
        let shape = it.shape.iter().map(|&it| usize::try_from(it)).collect::<Result<Vec<_>, _>>();
        let (Some(bytes @ 1..), Ok(shape)) = (bytes, shape) else {
            return Err(format!("`{name}` has the impossible shape {:?}", it.shape));
        };
        if to.checked_sub(from) != Some(bytes) {
            return Err(format!("`{name}` needs {bytes} bytes, but stands at {from} to {to}"));
        }
        let available = (file.len() - begin) as u64;
        let (Ok(start), Ok(end), true) = (usize::try_from(from), usize::try_from(to), to <= available) else {
            return Err(format!("`{name}` ends at {to}, but the data has {available} bytes"));
        };
        places.push((from, to));
        tensors.insert(name, Described { kind: it.dtype, shape, range: begin + start..begin + end });
    }
    places.sort_unstable();
    let mut last = 0;
    for (from, to) in places {
        if from != last {
            let what = if from < last { "overlap" } else { "leave a gap" };
            return Err(format!("its tensors {what} at {from}"));
        }
        last = to;
    }
    if begin as u64 + last != file.len() as u64 {
        return Err(format!("its tensors end at {last}, but the data has {} bytes", file.len() - begin));
    }
    Ok(tensors)
}

fn element_size(kind: &str) -> Option<u64> {
    Some(match kind {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => 1,
        "F16" | "BF16" | "U16" | "I16" => 2,
        "F32" | "U32" | "I32" => 4,
        "F64" | "U64" | "I64" | "C64" => 8,
        _ => return None,
    })
}

/// One tensor as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

struct Header(HashMap<String, Written>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;

        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = HashMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    match tensors.entry(name) {
                        Entry::Occupied(it) => {
                            return Err(A::Error::custom(format!("`{}` is there twice", it.key())));
                        }
                        Entry::Vacant(it) => it.insert(map.next_value()?),
                    };
                }
                Ok(Header(tensors))
            }
        }

        deserializer.deserialize_map(Tensors)
    }
}

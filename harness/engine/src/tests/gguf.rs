//! A writer of GGUF files, also of files that no converter would write.

/// A GGUF file in the making.
#[derive(Clone, Default)]
pub(super) struct File {
    metadata: Vec<(String, Vec<u8>)>,
    tensors: Vec<Stored>,
}

/// A tensor, outermost dimension first, by the number of its type.
#[derive(Clone)]
struct Stored {
    name: String,
    shape: Vec<usize>,
    kind: u32,
    bytes: Vec<u8>,
}

pub(super) fn text(it: &str) -> Vec<u8> {
    [&(it.len() as u64).to_le_bytes(), it.as_bytes()].concat()
}

impl File {
    /// A value as it stands in the file: its type's number, then its bytes.
    pub(super) fn raw(self, key: &str, kind: u32, bytes: &[u8]) -> Self {
        let mut file = self.without(key);
        file.metadata.push((key.to_owned(), [&kind.to_le_bytes(), bytes].concat()));
        file
    }

    pub(super) fn without(mut self, key: &str) -> Self {
        self.metadata.retain(|(it, _)| it != key);
        self
    }

    pub(super) fn count(self, key: &str, value: u32) -> Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    pub(super) fn float(self, key: &str, value: f32) -> Self {
        self.raw(key, 6, &value.to_le_bytes())
    }

    pub(super) fn flag(self, key: &str, value: bool) -> Self {
        self.raw(key, 7, &[u8::from(value)])
    }

    pub(super) fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, 8, &text(value))
    }

    fn array(self, key: &str, kind: u32, count: usize, bytes: &[u8]) -> Self {
        let head = [&kind.to_le_bytes()[..], &(count as u64).to_le_bytes()].concat();
        self.raw(key, 9, &[&head, bytes].concat())
    }

    pub(super) fn texts(self, key: &str, values: &[String]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|it| text(it)).collect();
        self.array(key, 8, values.len(), &bytes)
    }

    pub(super) fn floats(self, key: &str, values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
        self.array(key, 6, values.len(), &bytes)
    }

    pub(super) fn integers(self, key: &str, values: &[i32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|it| it.to_le_bytes()).collect();
        self.array(key, 5, values.len(), &bytes)
    }

    pub(super) fn tensor(self, name: &str, shape: &[usize], values: Vec<f32>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        self.stored(name, shape, 0, values.into_iter().flat_map(f32::to_le_bytes).collect())
    }

    /// A tensor of any type; one of the same name goes.
    pub(super) fn stored(mut self, name: &str, shape: &[usize], kind: u32, bytes: Vec<u8>) -> Self {
        self.tensors.retain(|it| it.name != name);
        self.tensors.push(Stored { name: name.to_owned(), shape: shape.to_vec(), kind, bytes });
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            bytes.extend(text(key));
            bytes.extend(value);
        }
        let mut data = Vec::new();
        for Stored { name, shape, kind, bytes: stored } in &self.tensors {
            bytes.extend(text(name));
            bytes.extend(u32::try_from(shape.len()).unwrap().to_le_bytes());
            bytes.extend(shape.iter().rev().flat_map(|&it| (it as u64).to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend((data.len() as u64).to_le_bytes());
            data.extend(stored);
            data.resize(data.len().next_multiple_of(32), 0);
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(data);
        bytes
    }
}

//! YAML: text to a tree in which every node knows where it was written, and from the tree to types.
//!
//! Two steps, because serde stops at the first mistake: a file becomes a tree once, then each of
//! its entries is read by itself, so that one wrong entry hides no other.
//! Depth, aliases and size are bounded: hostile input is refused, not expanded.

use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Bytes of the file that a node was written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl From<Span> for miette::SourceSpan {
    fn from(span: Span) -> Self {
        (span.start as usize, span.len as usize).into()
    }
}

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it was written; of a list or a map, where it begins.
    pub span: Span,
    /// What was written.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    String(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order written.
    Map(Vec<(Key, Node)>),
}

/// The key of an entry and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Where it was written.
    pub span: Span,
    /// Its text.
    pub name: String,
}

/// A mistake, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Malformed {
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// Where.
    pub span: Option<Span>,
    /// What to do.
    pub help: Option<String>,
}

/// The largest file that is read, in bytes.
pub const LARGEST_FILE: u64 = 32 << 20;

/// Levels of lists and maps in one another.
const DEEPEST: usize = 64;

/// Aliases, and anchors.
const MOST_ALIASES: usize = 1_000;

/// Reads a file's text into a tree.
pub fn parse(text: &str) -> Result<Node, Malformed> {
    if text.len() as u64 > LARGEST_FILE {
        return Err(Malformed {
            message: format!(
                "{} MiB of YAML in one file, more than the {} MiB that are read",
                text.len() >> 20,
                LARGEST_FILE >> 20
            ),
            span: None,
            help: Some("split the file".to_owned()),
        });
    }
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_events: 8_000_000,
            max_nodes: 4_000_000,
            max_total_scalar_bytes: 64 << 20,
            max_aliases: MOST_ALIASES,
            max_anchors: MOST_ALIASES,
        },
        with_snippet: false,
        strict_booleans: true,
        duplicate_keys: serde_yaml::DuplicateKeyPolicy::Error,
        merge_keys: serde_yaml::MergeKeyPolicy::Error,
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: 1_000,
        },
    };
    match serde_yaml::from_str_with_options::<serde_yaml::Spanned<Tree>>(text, options) {
        Ok(tree) => Ok(node(tree)),
        Err(error) => Err(malformed(&error, text)),
    }
}

fn malformed(error: &serde_yaml::Error, text: &str) -> Malformed {
    use serde_yaml::Error;
    use serde_yaml::budget::BudgetBreach;
    let error = error.without_snippet();
    let span = error.location().and_then(|at| {
        // What the scanner refuses has a line and a column only.
        let span = span_of(&at)
            .or_else(|| Some(Span { start: offset_of(text, at.line(), at.column())?, len: 0 }))?;
        // An error at the end of the file points past its last byte.
        Some(Span { start: span.start.min(u32::try_from(text.len()).unwrap_or(u32::MAX)), ..span })
    });
    let deep = || (format!("lists and mappings are nested more than {DEEPEST} levels deep"), None);
    let cause = match error {
        Error::AliasError { error, .. } => error,
        other => other,
    };
    let (message, help) = match cause {
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => deep(),
        Error::Budget { breach: BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. }, .. } => {
            (format!("more than {MOST_ALIASES} aliases or anchors"), Some("write out what is repeated"))
        }
        Error::Budget { .. } => {
            ("the file holds more values than are read".to_owned(), Some("split it into several files"))
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => {
            ("aliases repeat more than is read".to_owned(), Some("write out what is repeated"))
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => (format!("`{key}` stands twice"), None),
        Error::MergeKeyNotAllowed { .. } => {
            ("merge keys are not read".to_owned(), Some("write the keys out"))
        }
        Error::NonFiniteFloat { value, .. } => (format!("`{value}` is no number that is read"), None),
        other => {
            let mut message = other.to_string();
            // The position is shown by the label.
            if let Some(cut) = message.rfind(" at line ") {
                message.truncate(cut);
            }
            if let Some(head) = message.split_once(": line ").map(|(head, _)| head.to_owned()) {
                message = head;
            }
            if message == "recursion limit exceeded" {
                message = deep().0;
            }
            let help = (message.contains("mapping values are not allowed"))
                .then_some("text with a colon and a space in it stands in quotes");
            (message, help)
        }
    };
    Malformed { message, span, help: help.map(str::to_owned) }
}

/// The byte at which a line and a column, both counted from 1, are.
fn offset_of(text: &str, line: u64, column: u64) -> Option<u32> {
    let before = usize::try_from(line.checked_sub(1)?).ok()?;
    let start = match before {
        0 => 0,
        before => text.match_indices('\n').nth(before - 1)?.0 + 1,
    };
    let line = text[start..].split('\n').next()?;
    let column = usize::try_from(column.saturating_sub(1)).ok()?;
    let within = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
    u32::try_from(start + within).ok()
}

fn span_of(at: &serde_yaml::Location) -> Option<Span> {
    let span = at.span();
    let start = u32::try_from(span.byte_offset()?).ok()?;
    let len = u32::try_from(span.byte_len().unwrap_or(0)).ok()?;
    Some(Span { start, len })
}

fn node(tree: serde_yaml::Spanned<Tree>) -> Node {
    Node { span: span_of(&tree.referenced).unwrap_or_default(), value: tree.value.0 }
}

/// [`Value`], as the YAML crate reads it.
struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Tree)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| Value::Float(value as f64), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<serde_yaml::Spanned<Tree>>()? {
            list.push(node(item));
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<serde_yaml::Spanned<String>>()? {
            let value = node(entries.next_value::<serde_yaml::Spanned<Tree>>()?);
            map.push((Key { span: span_of(&key.referenced).unwrap_or_default(), name: key.value }, value));
        }
        Ok(Value::Map(map))
    }
}

impl Node {
    /// The value under a key of a map.
    pub fn field(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// What the node is, for a message.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::String(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Where the node is, or, for a map, its first key: something that can be underlined.
    pub fn place(&self) -> Span {
        match &self.value {
            Value::Map(entries) => entries.first().map_or(self.span, |(key, _)| key.span),
            Value::List(items) if self.span.len == 0 => items.first().map_or(self.span, Node::place),
            _ => self.span,
        }
    }
}

/// A value with the place it was written at, inside a type that [`read`] gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

/// Names that only [`read`]'s deserializer knows.
const SPANNED: &str = "$proofmark::Spanned";
const SPANNED_FIELDS: &[&str] = &["start", "len", "value"];

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpannedVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
            type Value = Spanned<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Spanned<T>, A::Error> {
                let missing = || de::Error::custom("a spanned value has three parts");
                let start = parts.next_element()?.ok_or_else(missing)?;
                let len = parts.next_element()?.ok_or_else(missing)?;
                let value = parts.next_element()?.ok_or_else(missing)?;
                Ok(Spanned { value, span: Span { start, len } })
            }
        }

        deserializer.deserialize_struct(SPANNED, SPANNED_FIELDS, SpannedVisitor(std::marker::PhantomData))
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

/// Reads a type from a node.
pub fn read<T: DeserializeOwned>(node: &Node) -> Result<T, Malformed> {
    T::deserialize(Reader(node))
        .map_err(|error| Malformed { span: Some(error.0.span.unwrap_or_else(|| node.place())), ..error.0 })
}

/// The one of `known` that was most likely meant by `word`, if any is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|it| (strsim::damerau_levenshtein(&word.to_lowercase(), &it.to_lowercase()), it))
        // Of short words, none is like another just because it is as short.
        .filter(|(distance, it)| {
            let longest = it.len().max(word.len());
            *distance <= 1 + longest / 4 && *distance < longest
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

/// What serde expected, in words for people who do not know our types.
fn expected_words(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" => "a whole number, 0 or more".to_owned(),
        "i64" => "a whole number".to_owned(),
        "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        other if other.starts_with("struct ") => "a mapping".to_owned(),
        other => other.replace("a string", "text"),
    }
}

fn one_of(known: &[&str]) -> String {
    match known {
        [] => "nothing is known here".to_owned(),
        [only] => format!("only `{only}` is known here"),
        many => {
            format!("known here: {}", many.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The error of [`read`]'s deserializer.
#[derive(Debug)]
struct ReadError(Malformed);

impl ReadError {
    fn at(mut self, span: Span) -> Self {
        self.0.span.get_or_insert(span);
        self
    }

    fn unknown(what: &str, word: &str, known: &'static [&'static str]) -> Self {
        let (message, help) = match nearest(word, known.iter().copied()) {
            Some(meant) => (format!("unknown {what} `{word}`: did you mean `{meant}`?"), one_of(known)),
            None => (format!("unknown {what} `{word}`"), one_of(known)),
        };
        Self(Malformed { message, span: None, help: Some(help) })
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Malformed { message: message.to_string(), span: None, help: None })
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let help = match found {
            de::Unexpected::Signed(_)
            | de::Unexpected::Unsigned(_)
            | de::Unexpected::Float(_)
            | de::Unexpected::Bool(_)
                if expected.to_string().contains("string") =>
            {
                Some("put it in quotes to make it text".to_owned())
            }
            _ => None,
        };
        let expected = expected_words(&expected.to_string());
        let found = match found {
            de::Unexpected::Unit | de::Unexpected::Option => "nothing".to_owned(),
            de::Unexpected::Seq => "a list".to_owned(),
            de::Unexpected::Map => "a mapping".to_owned(),
            de::Unexpected::Str(text) => format!("the text `{}`", excerpt(text)),
            de::Unexpected::Signed(number) => format!("the number {number}"),
            de::Unexpected::Unsigned(number) => format!("the number {number}"),
            de::Unexpected::Float(number) => format!("the number {number}"),
            de::Unexpected::Bool(value) => format!("`{value}`"),
            other => other.to_string(),
        };
        Self(Malformed { message: format!("expected {expected}, found {found}"), span: None, help })
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            de::Unexpected::Signed(number) => number.to_string(),
            de::Unexpected::Unsigned(number) => number.to_string(),
            de::Unexpected::Float(number) => number.to_string(),
            other => other.to_string(),
        };
        Self(Malformed {
            message: format!("expected {}, found {found}", expected_words(&expected.to_string())),
            span: None,
            help: None,
        })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("key", field, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("word", variant, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self(Malformed { message: format!("`{field}` is missing"), span: None, help: None })
    }
}

fn excerpt(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

struct Reader<'a>(&'a Node);

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let node = self.0;
        match &node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::String(value) => visitor.visit_str(value),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Map(entries) => {
                let place = node.place();
                visitor
                    .visit_map(Entries { entries: entries.iter(), value: None })
                    .map_err(|error| error.at(place))
            }
        }
        .map_err(|error| error.at(node.place()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == SPANNED {
            return visitor.visit_seq(SpannedParts { node: self.0, next: 0 });
        }
        if let Value::List(_) = self.0.value {
            // serde would take a list for the fields in order.
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &visitor));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let node = self.0;
        match &node.value {
            Value::String(word) => visitor.visit_enum(word.as_str().into_deserializer()),
            Value::Map(entries) if entries.len() == 1 => {
                let entries = Entries { entries: entries.iter(), value: None };
                visitor.visit_enum(de::value::MapAccessDeserializer::new(entries))
            }
            _ => Err(de::Error::custom(format!("expected one word, found {}", node.kind()))),
        }
        .map_err(|error| error.at(node.place()))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        self.0.next().map(|node| seed.deserialize(Reader(node))).transpose()
    }
}

struct Entries<'a> {
    entries: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        let name: de::value::StrDeserializer<'_, ReadError> = key.name.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| error.at(key.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let node = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(Reader(node)).map_err(|error| error.at(node.place()))
    }
}

struct SpannedParts<'a> {
    node: &'a Node,
    next: u8,
}

impl<'de> SeqAccess<'de> for SpannedParts<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let place = self.node.place();
        self.next += 1;
        match self.next {
            1 => seed.deserialize(place.start.into_deserializer()).map(Some),
            2 => seed.deserialize(place.len.into_deserializer()).map(Some),
            3 => seed.deserialize(Reader(self.node)).map(Some),
            _ => Ok(None),
        }
    }
}

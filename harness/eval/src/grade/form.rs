//! Forms: the shapes that a grader's settings may be written in.
//!
//! A template renders to text, so wherever a number is expected, text that holds one does as well.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use super::numeral::Numeral;
use crate::yaml::Spanned;

/// A grader's short form, a plain value, or its long form, a mapping.
#[derive(Clone, Debug)]
pub enum Form<S, L> {
    /// A plain value.
    Short(Spanned<S>),
    /// A mapping.
    Long(L),
}

impl<S, L> Form<S, L> {
    /// The mapping, if it is one.
    pub fn long(&self) -> Option<&L> {
        match self {
            Self::Short(_) => None,
            Self::Long(long) => Some(long),
        }
    }
}

impl<'de, S: Deserialize<'de>, L: Deserialize<'de>> Deserialize<'de> for Form<S, L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let either = Spanned::<Either<S, L>>::deserialize(deserializer)?;
        Ok(match either.value {
            Either::Short(value) => Self::Short(Spanned { value, span: either.span }),
            Either::Long(value) => Self::Long(value),
        })
    }
}

impl<S: JsonSchema, L: JsonSchema> JsonSchema for Form<S, L> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("{}Or{}", S::schema_name(), L::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let short = generator.subschema_for::<S>();
        let long = generator.subschema_for::<L>();
        json_schema!({ "anyOf": [short, long] })
    }
}

/// [`Form`], while its place is still unknown.
enum Either<S, L> {
    Short(S),
    Long(L),
}

impl<'de, S: Deserialize<'de>, L: Deserialize<'de>> Deserialize<'de> for Either<S, L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherVisitor<S, L>(PhantomData<(S, L)>);

        impl<'de, S: Deserialize<'de>, L: Deserialize<'de>> Visitor<'de> for EitherVisitor<S, L> {
            type Value = Either<S, L>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a plain value or a mapping")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
                S::deserialize(de::value::BoolDeserializer::new(value)).map(Either::Short)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                S::deserialize(de::value::I64Deserializer::new(value)).map(Either::Short)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
                S::deserialize(de::value::F64Deserializer::new(value)).map(Either::Short)
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
                S::deserialize(de::value::StrDeserializer::new(value)).map(Either::Short)
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
                L::deserialize(MapAccessDeserializer::new(entries)).map(Either::Long)
            }
        }

        deserializer.deserialize_any(EitherVisitor(PhantomData))
    }
}

/// A long form that has no short one. (By itself serde's `derive` reads a list too, field by field.)
#[derive(Clone, Debug)]
pub struct Mapping<L>(pub L);

impl<'de, L: Deserialize<'de>> Deserialize<'de> for Mapping<L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MappingVisitor<L>(PhantomData<L>);

        impl<'de, L: Deserialize<'de>> Visitor<'de> for MappingVisitor<L> {
            type Value = Mapping<L>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
                L::deserialize(MapAccessDeserializer::new(entries)).map(Mapping)
            }
        }

        deserializer.deserialize_any(MappingVisitor(PhantomData))
    }
}

impl<L: JsonSchema> JsonSchema for Mapping<L> {
    fn inline_schema() -> bool {
        L::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        L::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        L::json_schema(generator)
    }
}

/// A setting that may be left out, but not left empty.
#[derive(Clone, Debug)]
pub struct Given<T>(pub Option<Spanned<T>>);

impl<T> Given<T> {
    /// The value, if one is written.
    pub fn value(&self) -> Option<&T> {
        self.0.as_ref().map(|it| &it.value)
    }
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Some).map(Self)
    }
}

impl<T: JsonSchema> JsonSchema for Given<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A plain value: text, a number, `true` or `false`.
#[derive(Clone, Debug, PartialEq)]
enum Scalar {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text or a number")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(value))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

/// Text. A whole number, `true` and `false` stand for themselves, in their plainest notation; a number with a
/// point or an exponent needs quotes, as YAML forgets how many digits it was written with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(deserializer)? {
            Scalar::Float(value) => {
                Err(de::Error::custom(format!("the number {value} where text is wanted: put it in quotes")))
            }
            scalar => Ok(Self(scalar.to_string())),
        }
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}

/// A number, or text that holds one, such as `"1/3"`, `"2.5e-3"` or `"75%"`.
#[derive(Clone, Debug)]
pub struct Figure {
    /// As it was written.
    pub written: String,
    /// What it is.
    pub(super) numeral: Numeral,
}

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let scalar = Scalar::deserialize(deserializer)?;
        let written = scalar.to_string().trim().to_owned();
        match Numeral::whole(&written) {
            Some(numeral) if !matches!(scalar, Scalar::Bool(_)) => Ok(Self { written, numeral }),
            _ => Err(de::Error::custom(format!("`{}` is not a number", super::cut(&written, 40)))),
        }
    }
}

impl JsonSchema for Figure {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Figure".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"] })
    }
}

/// A whole number from 0, or text that holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Scalar::deserialize(deserializer)?.to_string();
        match written.trim().parse::<u32>() {
            Ok(count) => Ok(Self(count as usize)),
            Err(_) => Err(de::Error::custom(format!(
                "`{}` is not a whole number from 0 to {}",
                super::cut(&written, 40),
                u32::MAX
            ))),
        }
    }
}

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "minimum": 0 })
    }
}

/// A value of a table: text, a number or nothing. `true` and `false` are 1 and 0, as SQLite has them.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// Text.
    Text(String),
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::<Scalar>::deserialize(deserializer)? {
            None => Self::Null,
            Some(Scalar::Bool(value)) => Self::Integer(i64::from(value)),
            Some(Scalar::Integer(value)) => Self::Integer(value),
            Some(Scalar::Float(value)) => Self::Real(value),
            Some(Scalar::Text(value)) => Self::Text(value),
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("NULL"),
            Self::Integer(value) => value.fmt(f),
            Self::Real(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "'{value}'"),
        }
    }
}

impl JsonSchema for Cell {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Cell".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean", "null"] })
    }
}

/// The options of a multiple-choice question, in the order written.
#[derive(Clone, Debug)]
pub struct Options(pub Vec<(String, Spanned<Text>)>);

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OptionsVisitor;

        impl<'de> Visitor<'de> for OptionsVisitor {
            type Value = Options;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping from letters to texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Options, A::Error> {
                let mut options = Vec::new();
                while let Some(option) = entries.next_entry()? {
                    options.push(option);
                }
                Ok(Options(options))
            }
        }

        deserializer.deserialize_map(OptionsVisitor)
    }
}

impl JsonSchema for Options {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Options".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Text>();
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": "^[A-Z]$" },
            "additionalProperties": text,
            "minProperties": 2,
        })
    }
}

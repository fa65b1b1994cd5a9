//! Families: the draws of a case with `generate`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::variants::Templates;
use super::{Origin, Variant};
use crate::generate::value::Value;
use crate::generate::{ATTEMPTS, Attempt, Generator};
use crate::yaml::Malformed;

/// `generate:` as it is written, for the JSON Schema.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "read from its node, in the order written")]
pub(super) struct WrittenGenerate {
    /// How many cases are drawn; 3 unless given.
    draws: Option<u64>,
    /// Variables, each with the expression of its value, over those before it.
    r#let: BTreeMap<String, serde_json::Value>,
    /// Conditions that a draw must meet, or it is drawn again.
    r#where: Option<serde_json::Value>,
}

/// Why attempts at a draw came to nothing.
#[derive(Default)]
struct Refused {
    conditions: BTreeMap<usize, u64>,
    leaks: u64,
    repeats: u64,
}

/// A case whose variants are drawn.
pub(super) struct Family<'a> {
    pub(super) generator: Generator,
    pub(super) id: &'a str,
    pub(super) origin: &'a Origin<'a>,
    /// Whether a prompt may hold its own target.
    pub(super) may_leak: bool,
}

/// A variable of the matrix: its value for expressions, and for templates.
type Outer = (Arc<str>, Value, minijinja::Value);

impl Family<'_> {
    /// The draws for one combination of the matrix, whose values are `outer`.
    pub(super) fn draw(
        &self,
        templates: &Templates,
        outer: &[Outer],
        label: &str,
    ) -> Result<Vec<Variant>, Vec<Malformed>> {
        let mut asked = HashSet::new();
        let mut variants = Vec::new();
        for draw in 1..=self.generator.draws {
            let variant = self.one(draw, templates, outer, label, &asked)?;
            asked.insert(variant.prompt_digest());
            variants.push(variant);
        }
        Ok(variants)
    }

    /// One draw, which asks something else than those before it.
    fn one(
        &self,
        draw: u64,
        templates: &Templates,
        outer: &[Outer],
        label: &str,
        asked: &HashSet<String>,
    ) -> Result<Variant, Vec<Malformed>> {
        let Origin { suite, seed, .. } = self.origin;
        let name = if label.is_empty() { draw.to_string() } else { format!("{label},{draw}") };
        let exact: Vec<(Arc<str>, Value)> =
            outer.iter().map(|(name, value, _)| (Arc::clone(name), value.clone())).collect();
        let mut refused = Refused::default();
        let mut fuel = Generator::fuel();
        for attempt in 1..=ATTEMPTS {
            let id = self.id;
            let key = format!("proofmark draws 1\n{seed}\n{suite}\n{id}\n{label}\n{draw}\n{attempt}\n");
            let drawn = match self.generator.attempt(&key, &exact, &mut fuel).map_err(|it| vec![it])? {
                Attempt::Drawn(drawn) => drawn,
                Attempt::Refused(condition) => {
                    *refused.conditions.entry(condition).or_default() += 1;
                    continue;
                }
            };
            let mut values: Vec<(&str, minijinja::Value)> =
                outer.iter().map(|(name, _, value)| (&**name, value.clone())).collect();
            values.extend(drawn.iter().map(|(name, value)| (&**name, minijinja::Value::from(value))));
            let variant = templates.variant(&values, &name, &told(&drawn))?;
            if !self.may_leak && variant.leak().is_some() {
                refused.leaks += 1;
            } else if asked.contains(&variant.prompt_digest()) {
                refused.repeats += 1;
            } else {
                return Ok(Variant { seed: Some(*seed), ..variant });
            }
        }
        Err(vec![refused.mistake(&self.generator, draw)])
    }
}

/// The values of a draw, for a message.
fn told(drawn: &[(Arc<str>, Value)]) -> String {
    let values: Vec<String> = drawn.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let text = values.join(", ");
    match text.char_indices().nth(200) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

impl Refused {
    /// What is wrong with a family none of whose attempts at a draw can be asked.
    fn mistake(&self, generator: &Generator, draw: u64) -> Malformed {
        let worst = self.conditions.iter().max_by_key(|it| it.1).map_or((0, 0), |(at, times)| (*at, *times));
        // Where some attempt meets all conditions, they are not to blame.
        let met = self.leaks + self.repeats > 0;
        let (message, help, span) = if met && self.leaks >= self.repeats {
            let message = format!(
                "the prompt holds its own target in {} of {ATTEMPTS} attempts at draw {draw}",
                self.leaks
            );
            let help = "ask for something else, or say why it is no gift: `lint: { target_in_prompt: … }`"
                .to_owned();
            (message, help, generator.place())
        } else if met {
            let message = format!(
                "there are fewer than {draw} different cases: attempts at draw {draw} repeat those before it"
            );
            (message, "let more differ, or ask for fewer `draws`".to_owned(), generator.place())
        } else {
            let message = format!(
                "this condition fails in {} of {ATTEMPTS} attempts at draw {draw}, and no attempt meets all",
                worst.1
            );
            (message, "draw so that it holds more often".to_owned(), generator.condition(worst.0))
        };
        Malformed { message, span: Some(span), help: Some(help) }
    }
}

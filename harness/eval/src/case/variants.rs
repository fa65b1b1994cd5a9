//! Variants: a case with a value for each variable of its matrix, and for each that is drawn.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Defaults, Origin, Variant, WrittenCase, family, mistake};
use crate::backend::{Message, Role};
use crate::generate::value::exact;
use crate::generate::{self, Generator};
use crate::grade::Rubric;
use crate::template::Template;
use crate::yaml::{self, Malformed, Node, Span, Spanned, Value};

/// The most variants that a matrix may make.
const MOST_VARIANTS: usize = 10_000;

/// One value of a variable: as templates see it, and as it stands in a trial's name.
type Binding = (String, minijinja::Value, String);

pub(super) fn expand(
    entry: &Node,
    written: &WrittenCase,
    defaults: &Defaults,
    origin: &Origin<'_>,
    mistakes: &mut Vec<Malformed>,
) -> Vec<Variant> {
    let Some(grade) = entry.field("grade") else {
        mistakes.push(mistake("`grade` is missing", written.id.span));
        return Vec::new();
    };
    let turns = turns(written, defaults, mistakes);
    let examples = 2 * written.examples.as_ref().unwrap_or(&defaults.examples).len();
    let (matrix, generate) = (entry.field("matrix"), entry.field("generate"));
    if matrix.is_none() && generate.is_none() {
        let messages =
            turns.iter().map(|(role, text)| Message { role: *role, content: trimmed(&text.value) }).collect();
        let reference = written.reference.as_ref().map(|it| it.value.0.clone());
        return match Rubric::read(grade) {
            Ok(rubric) => {
                let reference = reference.or_else(|| rubric.reference());
                vec![Variant { label: String::new(), seed: None, examples, messages, rubric, reference }]
            }
            Err(wrong) => {
                mistakes.extend(wrong);
                Vec::new()
            }
        };
    }
    let before = mistakes.len();
    let combinations = matrix.map_or_else(|| vec![Vec::new()], |it| combinations(it, mistakes));
    let mut defined: Vec<(Arc<str>, Span)> = match matrix.map(|it| &it.value) {
        Some(Value::Map(entries)) => {
            entries.iter().map(|(key, _)| (Arc::from(key.name.as_str()), key.span)).collect()
        }
        _ => Vec::new(),
    };
    let outer: Vec<Arc<str>> = defined.iter().map(|it| Arc::clone(&it.0)).collect();
    let generator = generate.and_then(|it| Generator::read(it, &origin.file.text, &outer, mistakes));
    let mut used: HashSet<String> = HashSet::new();
    if let Some(generator) = &generator {
        defined.extend(generator.variables.iter().cloned());
        used.extend(generator.used.iter().map(|it| String::from(&**it)));
    } else if generate.is_some() {
        // Its variables are not known, so nothing can be said of templates.
        return Vec::new();
    }
    let mut compile = |text: &str, span: Span| match Template::new(text) {
        Ok(template) => {
            for name in template.variables() {
                let known = defined.iter().any(|it| *it.0 == *name) || Template::is_global(&name);
                if !known && !defined.is_empty() {
                    let meant = yaml::nearest(&name, defined.iter().map(|it| &*it.0));
                    let meant = meant.map_or_else(String::new, |it| format!(": did you mean `{it}`?"));
                    let by = if generate.is_some() { "the case" } else { "the matrix" };
                    let message = format!("{by} defines no variable `{name}`{meant}");
                    mistakes.push(mistake(message, span));
                }
                used.insert(name);
            }
            Some(template)
        }
        Err(message) => {
            mistakes.push(mistake(format!("this is no template: {message}"), span));
            None
        }
    };
    let turns: Vec<(Role, Option<Template>, Span)> =
        turns.iter().map(|(role, text)| (*role, compile(&text.value, text.span), text.span)).collect();
    let reference = written.reference.as_ref();
    let reference = reference.and_then(|it| Some((compile(&it.value.0, it.span)?, it.span)));
    let templates = Templates { turns, grade: Templated::new(grade, &mut compile), examples, reference };
    mistakes.extend(defined.iter().filter(|(name, _)| !used.contains(&**name)).map(|(name, span)| {
        let what = if outer.contains(name) { "matrix variable" } else { "variable" };
        let help = Some(format!("write `{{{{ {name} }}}}` where its value belongs"));
        Malformed { message: format!("the {what} `{name}` is never used"), span: Some(*span), help }
    }));
    if mistakes.len() > before {
        return Vec::new();
    }
    let lint = written.lint.as_ref().or(defaults.lint.as_ref());
    let may_leak = lint.is_some_and(|it| it.target_in_prompt.is_some());
    let family =
        generator.map(|it| family::Family { generator: it, id: &written.id.value, origin, may_leak });
    let mut variants = Vec::new();
    for bindings in combinations {
        match variants_of(&bindings, family.as_ref(), &templates) {
            Ok(drawn) => variants.extend(drawn),
            Err(wrong) => {
                // The other combinations would say the same again.
                mistakes.extend(wrong);
                return Vec::new();
            }
        }
    }
    variants
}

/// The variants of one combination: one, or the draws of a family.
fn variants_of(
    bindings: &[Binding],
    family: Option<&family::Family<'_>>,
    templates: &Templates,
) -> Result<Vec<Variant>, Vec<Malformed>> {
    let label = bindings.iter().map(|(name, _, text)| format!("{name}={text}")).collect::<Vec<_>>().join(",");
    if let Some(family) = family {
        let outer = bindings.iter().map(|(name, value, _)| {
            let exact = exact(value).unwrap_or_else(|| generate::value::Value::text(value.to_string()));
            (Arc::from(name.as_str()), exact, value.clone())
        });
        return family.draw(templates, &outer.collect::<Vec<_>>(), &label);
    }
    let values: Vec<(&str, minijinja::Value)> =
        bindings.iter().map(|(name, value, _)| (name.as_str(), value.clone())).collect();
    templates.variant(&values, &label, &label).map(|it| vec![it])
}

/// What a case says, as templates over its variables.
pub(super) struct Templates {
    turns: Vec<(Role, Option<Template>, Span)>,
    grade: Templated,
    examples: usize,
    reference: Option<(Template, Span)>,
}

impl Templates {
    /// The variant with these values; `told` are the values for a message.
    pub(super) fn variant(
        &self,
        values: &[(&str, minijinja::Value)],
        label: &str,
        told: &str,
    ) -> Result<Variant, Vec<Malformed>> {
        let render = |template: &Template, span: Span| {
            template.render(values).map_err(|message| mistake(format!("{message} (with {told})"), span))
        };
        let mut messages = Vec::new();
        for (role, template, span) in &self.turns {
            let Some(template) = template else { continue };
            let content = trimmed(&render(template, *span).map_err(|it| vec![it])?);
            if content.trim().is_empty() {
                return Err(vec![mistake(format!("this text is empty (with {told})"), *span)]);
            }
            messages.push(Message { role: *role, content });
        }
        let grade = self.grade.render(values, &render).map_err(|it| vec![it])?;
        let rubric = Rubric::read(&grade)?;
        let reference = match &self.reference {
            Some((template, span)) => Some(render(template, *span).map_err(|it| vec![it])?),
            None => rubric.reference(),
        };
        let label = label.to_owned();
        Ok(Variant { label, seed: None, examples: self.examples, messages, rubric, reference })
    }
}

/// A text without the line breaks at its end, which are YAML's and not the author's.
fn trimmed(text: &str) -> String {
    text.trim_end_matches('\n').to_owned()
}

/// The turns of a conversation before templates: system, worked examples, what is asked.
fn turns(
    written: &WrittenCase,
    defaults: &Defaults,
    mistakes: &mut Vec<Malformed>,
) -> Vec<(Role, Spanned<String>)> {
    let mut turns = Vec::new();
    if let Some(system) = written.system.as_ref().or(defaults.system.as_ref()) {
        turns.push((Role::System, system.clone()));
    }
    for example in written.examples.as_ref().unwrap_or(&defaults.examples) {
        turns.push((Role::User, example.user.clone()));
        turns.push((Role::Assistant, example.assistant.clone()));
    }
    match (&written.prompt, &written.messages) {
        (Some(prompt), None) => turns.push((Role::User, prompt.clone())),
        (None, Some(messages)) => {
            if messages.last().is_none_or(|it| it.role != Role::User) {
                let span = messages.last().map_or(written.id.span, |it| it.content.span);
                mistakes.push(mistake("the last message is the user's", span));
            }
            for (index, message) in messages.iter().enumerate() {
                if message.role == Role::System && (index > 0 || !turns.is_empty()) {
                    let text = "a system message comes first, and only once";
                    mistakes.push(mistake(text, message.content.span));
                }
                turns.push((message.role, message.content.clone()));
            }
        }
        (None, None) => mistakes.push(mistake("`prompt` is missing", written.id.span)),
        (Some(prompt), Some(_)) => {
            mistakes.push(mistake("a case has a `prompt` or `messages`, not both", prompt.span));
        }
    }
    for (_, text) in turns.iter().filter(|(_, text)| text.value.trim().is_empty()) {
        mistakes.push(mistake("this text is empty", text.span));
    }
    if let Some(reference) = written.reference.as_ref().filter(|it| it.value.0.trim().is_empty()) {
        mistakes.push(mistake("this text is empty", reference.span));
    }
    turns
}

fn combinations(matrix: &Node, mistakes: &mut Vec<Malformed>) -> Vec<Vec<Binding>> {
    let Value::Map(entries) = &matrix.value else {
        let message = format!("expected variables with lists of values, found {}", matrix.kind());
        mistakes.push(mistake(message, matrix.place()));
        return Vec::new();
    };
    if entries.is_empty() {
        mistakes.push(mistake("the matrix has no variable", matrix.place()));
    }
    let mut combinations: Vec<Vec<Binding>> = vec![Vec::new()];
    for (key, node) in entries {
        let identifier = key.name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
            && !key.name.starts_with(|it: char| it.is_ascii_digit())
            && !key.name.is_empty();
        if !identifier {
            mistakes.push(mistake(format!("`{}` is no name of a variable", key.name), key.span));
        }
        let Value::List(values) = &node.value else {
            mistakes.push(mistake(format!("expected a list of values, found {}", node.kind()), node.place()));
            continue;
        };
        if values.is_empty() {
            mistakes.push(mistake(format!("`{}` has no value: there would be no trial", key.name), key.span));
            continue;
        }
        let mut choices: Vec<Binding> = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let Some((value, text)) = binding(value, index) else {
                let message = format!("a value of a matrix is text or a number, not {}", value.kind());
                mistakes.push(mistake(message, value.place()));
                continue;
            };
            if choices.iter().any(|(_, _, other)| *other == text) {
                mistakes
                    .push(mistake(format!("`{text}` stands twice in `{}`", key.name), values[index].place()));
            }
            choices.push((key.name.clone(), value, text));
        }
        if combinations.len().saturating_mul(choices.len()) > MOST_VARIANTS {
            let message = format!("the matrix makes more than {MOST_VARIANTS} variants");
            mistakes.push(mistake(message, matrix.place()));
            return Vec::new();
        }
        combinations = combinations
            .iter()
            .flat_map(|so_far| choices.iter().map(move |it| so_far.iter().chain([it]).cloned().collect()))
            .collect();
    }
    combinations
}

/// A scalar's value, and its text in a trial's name: itself where that is short and plain, else its number in the list.
fn binding(node: &Node, index: usize) -> Option<(minijinja::Value, String)> {
    let value = match &node.value {
        Value::Bool(it) => minijinja::Value::from(*it),
        Value::Integer(it) => minijinja::Value::from(*it),
        Value::Float(it) => minijinja::Value::from(*it),
        Value::String(it) => minijinja::Value::from(it.as_str()),
        Value::Null | Value::List(_) | Value::Map(_) => return None,
    };
    let text = value.to_string();
    let plain = !text.is_empty()
        && text.len() <= 24
        && text.chars().all(|it| it.is_ascii_alphanumeric() || "-_.+".contains(it));
    let text = if plain { text } else { format!("#{}", index + 1) };
    Some((value, text))
}

/// A node whose texts are templates.
enum Templated {
    Text(Option<Template>, Span),
    /// A text that is `{{ name }}` and nothing else: of a list, it stands for the list.
    Variable(String, Option<Template>, Span),
    List(Vec<Templated>, Span),
    Map(Vec<(yaml::Key, Templated)>, Span),
    Other(Node),
}

impl Templated {
    fn new(node: &Node, compile: &mut impl FnMut(&str, Span) -> Option<Template>) -> Self {
        match &node.value {
            Value::String(text) if text.contains('{') => {
                let template = compile(text, node.span);
                let inner =
                    text.trim().strip_prefix("{{").and_then(|it| it.strip_suffix("}}")).map(str::trim);
                let name = inner.filter(|it| it.chars().all(|it| it.is_ascii_alphanumeric() || it == '_'));
                match name {
                    Some(name) => Self::Variable(name.to_owned(), template, node.span),
                    None => Self::Text(template, node.span),
                }
            }
            Value::List(items) => {
                Self::List(items.iter().map(|it| Self::new(it, compile)).collect(), node.span)
            }
            Value::Map(entries) => Self::Map(
                entries.iter().map(|(key, value)| (key.clone(), Self::new(value, compile))).collect(),
                node.span,
            ),
            _ => Self::Other(node.clone()),
        }
    }

    fn render(
        &self,
        values: &[(&str, minijinja::Value)],
        render: &impl Fn(&Template, Span) -> Result<String, Malformed>,
    ) -> Result<Node, Malformed> {
        let list = |name: &str| {
            let value = values.iter().find(|(it, _)| *it == name).map(|(_, value)| value);
            value.filter(|it| it.kind() == minijinja::value::ValueKind::Seq).and_then(|it| it.try_iter().ok())
        };
        let (value, span) = match self {
            Self::Variable(name, template, span) => match (list(name), template) {
                (Some(items), _) => {
                    let items = items.map(|it| Node { span: *span, value: Value::String(it.to_string()) });
                    (Value::List(items.collect()), *span)
                }
                (None, Some(template)) => (Value::String(render(template, *span)?), *span),
                (None, None) => (Value::Null, *span),
            },
            Self::Text(Some(template), span) => (Value::String(render(template, *span)?), *span),
            Self::Text(None, span) => (Value::Null, *span),
            Self::List(items, span) => {
                let items = items.iter().map(|it| it.render(values, render)).collect::<Result<_, _>>()?;
                (Value::List(items), *span)
            }
            Self::Map(entries, span) => {
                let entries =
                    entries.iter().map(|(key, value)| Ok((key.clone(), value.render(values, render)?)));
                (Value::Map(entries.collect::<Result<_, Malformed>>()?), *span)
            }
            Self::Other(node) => return Ok(node.clone()),
        };
        Ok(Node { span, value })
    }
}

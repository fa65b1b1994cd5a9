//! Templates of case files: Jinja over the variables of a matrix, and over those that are generated.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior};

/// Instructions that one rendering may take: a template that loops for long is a mistake.
const FUEL: u64 = 100_000;

/// The longest expression, in bytes: the parser goes down a level for an operator, and the stack ends.
const LONGEST_EXPRESSION: usize = 2_000;

/// The longest text that a template may give, in bytes.
const LONGEST: usize = 1 << 20;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    crate::generate::filters::add(&mut environment);
    environment
});

/// A text with variables in it.
pub struct Template {
    text: String,
    variables: Vec<String>,
}

impl Template {
    /// Parses a template; the error is a fragment that says what is wrong.
    pub fn new(text: &str) -> Result<Self, String> {
        if longest_expression(text) > LONGEST_EXPRESSION {
            return Err(format!("an expression has more than {LONGEST_EXPRESSION} bytes"));
        }
        let template = ENVIRONMENT.template_from_str(text).map_err(|error| explain(&error))?;
        let variables = template.undeclared_variables(false).into_iter().collect();
        Ok(Self { text: text.to_owned(), variables })
    }

    /// The variables that it reads.
    pub fn variables(&self) -> impl Iterator<Item = String> + '_ {
        self.variables.iter().cloned()
    }

    /// Whether every template has this name without a matrix, as `range`.
    pub fn is_global(name: &str) -> bool {
        ENVIRONMENT.globals().any(|(global, _)| global == name)
    }

    /// The text with these values.
    pub fn render(&self, values: &[(&str, minijinja::Value)]) -> Result<String, String> {
        if !self.text.contains('{') {
            return Ok(self.text.clone());
        }
        // Collected into a `Value`, pairs would be a list.
        let values: BTreeMap<&str, minijinja::Value> =
            values.iter().map(|(name, value)| (*name, value.clone())).collect();
        let template = ENVIRONMENT.template_from_str(&self.text).map_err(|error| explain(&error))?;
        let text = template.render(values).map_err(|error| explain(&error))?;
        if text.len() > LONGEST {
            return Err(format!("the text has {} bytes, more than {LONGEST}", text.len()));
        }
        Ok(text)
    }
}

/// Bytes of the longest `{{ … }}` or `{% … %}`, those in quotes and brackets included; rather too many than too few.
pub(crate) fn longest_expression(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut longest = 0;
    let mut at = 0;
    while let Some(found) = text[at..].find('{') {
        let start = at + found;
        at = start + 1;
        if bytes.get(at) == Some(&b'#') {
            at = text[at..].find("#}").map_or(text.len(), |it| at + it);
        }
        if !matches!(bytes.get(at), Some(b'{' | b'%')) {
            continue;
        }
        at += 1;
        let (mut depth, mut quote) = (0_usize, None);
        while let Some(byte) = bytes.get(at) {
            match (quote, byte) {
                (Some(_), b'\\') => at += 1,
                (Some(open), close) if open == close => quote = None,
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, b'(' | b'[' | b'{') => depth += 1,
                (None, b'}' | b'%') if depth == 0 && bytes.get(at + 1) == Some(&b'}') => break,
                (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
        }
        at = at.min(bytes.len());
        longest = longest.max(at - start);
        // What follows is found from the start of a character.
        while !text.is_char_boundary(at) {
            at += 1;
        }
    }
    longest
}

fn explain(error: &minijinja::Error) -> String {
    use minijinja::ErrorKind;
    let detail = error.detail().map(|it| format!(": {it}")).unwrap_or_default();
    match error.kind() {
        ErrorKind::UndefinedError => "it uses a variable that is not defined".to_owned(),
        ErrorKind::OutOfFuel => "it takes too long".to_owned(),
        kind => format!("{kind}{detail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::longest_expression;

    #[test]
    fn expressions_are_measured() {
        assert_eq!(longest_expression("no expression, { but a brace"), 0);
        assert_eq!(longest_expression("{{ a }} and {{ abc }}"), 7);
        assert_eq!(longest_expression("{# a long remark, 'tis one #}{{ a }}"), 5);
        assert_eq!(longest_expression(r#"{{ "}} \" }}" }}"#), 14);
        assert_eq!(longest_expression("{{ {'a': {'b': 1}} }}é{% if é %}"), 19);
        assert_eq!(longest_expression("{{ never closed é"), 18);
        assert_eq!(longest_expression("{{ 'é"), 6);
    }
}

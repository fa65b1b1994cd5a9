//! Filters: how an answer is read from what a model wrote, in lm-evaluation-harness's steps.

use serde_json::Value;

use super::pattern::Pattern;
use super::python;
use crate::count::counted;

/// What lm-evaluation-harness takes where a pattern is not found and nothing else is said.
pub(super) const FALLBACK: &str = "[invalid]";

/// The steps of one filter, in order.
#[derive(Clone, Debug)]
pub struct Filter {
    /// What it is called.
    pub name: String,
    /// The steps.
    pub steps: Vec<Step>,
}

/// A step from text to answer.
#[derive(Clone, Debug)]
pub enum Step {
    /// Takes what a pattern finds.
    Regex(Search),
    /// The same; else an option's text, else the letter of an option.
    MultiChoice {
        /// The pattern.
        search: Search,
        /// Whether texts of options are looked for in lower case.
        ignore_case: bool,
        /// Whether they are looked for without punctuation.
        ignore_punctuation: bool,
        /// What is taken out before.
        ignored: Vec<Pattern>,
    },
    /// Removes white space at the ends.
    RemoveWhitespace,
    /// Makes small letters.
    Lowercase,
    /// Makes capitals.
    Uppercase,
    /// Looks the text up.
    Map {
        /// What texts become.
        entries: Vec<(String, Value)>,
        /// What any other text becomes.
        otherwise: Value,
    },
    /// Takes the first of several answers: here each repeat is judged by itself.
    TakeFirst,
}

/// A pattern, and which of its matches counts.
#[derive(Clone, Debug)]
pub struct Search {
    /// The pattern.
    pub pattern: Pattern,
    /// The number of the match, from 0, or from the end below 0.
    pub select: i64,
    /// The answer where it is not found.
    pub fallback: String,
}

impl Filter {
    /// The answer; an error says what cannot be done with the text.
    pub fn apply(&self, text: &str, options: &[String]) -> Result<Value, String> {
        let mut answer = Value::from(text);
        for step in &self.steps {
            answer = step.apply(answer, options)?;
        }
        Ok(answer)
    }
}

impl Step {
    fn apply(&self, answer: Value, options: &[String]) -> Result<Value, String> {
        // A pattern takes what is no text for an empty one; nothing else takes it at all.
        let text = |of: &'static str| {
            answer.as_str().ok_or_else(|| format!("`{of}` takes a text, not `{}`", python::repr(&answer)))
        };
        Ok(match self {
            Self::Regex(search) => {
                let found = search.find(answer.as_str().unwrap_or_default())?;
                found
                    .map_or_else(
                        || search.fallback.clone(),
                        |it| {
                            it.unwrap_or_else(|| search.fallback.clone())
                                .trim_matches(python::is_space)
                                .to_owned()
                        },
                    )
                    .into()
            }
            Self::MultiChoice { search, ignore_case, ignore_punctuation, ignored } => {
                let plain = |text: &str| {
                    let mut text = text.to_owned();
                    for pattern in ignored {
                        text = pattern.replace(&text, "", 0);
                    }
                    if *ignore_case {
                        text = text.to_lowercase();
                    }
                    if *ignore_punctuation {
                        text = PUNCTUATION.replace_all(&text, "").into_owned();
                    }
                    text
                };
                multi_choice(search, answer.as_str().unwrap_or_default(), options, plain)?.into()
            }
            Self::RemoveWhitespace => python::strip(text("remove_whitespace")?).into(),
            Self::Lowercase => text("lowercase")?.to_lowercase().into(),
            Self::Uppercase => text("uppercase")?.to_uppercase().into(),
            Self::Map { entries, otherwise } => {
                let found = entries.iter().find(|(from, _)| answer.as_str() == Some(from));
                found.map_or(otherwise, |it| &it.1).clone()
            }
            Self::TakeFirst => answer,
        })
    }
}

static PUNCTUATION: std::sync::LazyLock<regex::Regex> =
    std::sync::LazyLock::new(|| regex::Regex::new(r"\p{P}").expect("a class of Unicode"));

impl Search {
    /// The match that counts: of several groups the first that has a text, or `Some(None)` where none has.
    #[expect(clippy::option_option, reason = "no match, a match without a text, a text")]
    fn find(&self, text: &str) -> Result<Option<Option<String>>, String> {
        selected(&self.pattern, self.select, text)
    }
}

#[expect(clippy::option_option, reason = "no match, a match without a text, a text")]
fn selected(pattern: &Pattern, select: i64, text: &str) -> Result<Option<Option<String>>, String> {
    let mut found = pattern.find_all(text);
    if found.is_empty() {
        return Ok(None);
    }
    let count = found.len();
    let at = if select < 0 { select.checked_add_unsigned(count as u64) } else { Some(select) };
    let at = at.and_then(|it| usize::try_from(it).ok()).filter(|it| *it < count);
    let at = at.ok_or_else(|| {
        format!("`group_select: {select}`, but the pattern is found {}", counted(count, "time"))
    })?;
    let groups = found.swap_remove(at);
    Ok(Some(match <[String; 1]>::try_from(groups) {
        Ok([only]) => Some(only),
        Err(groups) => groups.into_iter().find(|it| !it.is_empty()),
    }))
}

/// The pattern's find; else `(A)` of the first option whose text is found; else `(A)` of a letter after a colon.
fn multi_choice(
    search: &Search,
    text: &str,
    options: &[String],
    plain: impl Fn(&str) -> String,
) -> Result<String, String> {
    let stripped = |found: Option<Option<String>>| {
        found.flatten().map(|it| python::strip(&it).to_owned()).filter(|it| !it.is_empty())
    };
    if let Some(found) = stripped(search.find(text)?) {
        return Ok(found);
    }
    let letter = |index: usize| {
        let code = u32::try_from(index).ok().and_then(|it| char::from_u32('A' as u32 + it));
        code.unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    let texts: Vec<String> = options.iter().map(|it| plain(python::strip(it))).collect();
    let mut longest: Vec<&String> = texts.iter().collect();
    // The longest first, so that no text hides a longer one that begins with it.
    longest.sort_by_key(|it| std::cmp::Reverse(fancy_regex::escape(it).chars().count()));
    let any = longest.iter().map(|it| fancy_regex::escape(it)).collect::<Vec<_>>().join("|");
    if let Some(found) = stripped(selected(&Pattern::new(&any)?, search.select, &plain(text))?) {
        // Of equal texts the last names the letter.
        return Ok(match texts.iter().rposition(|it| *it == found) {
            Some(index) => format!("({})", letter(index)),
            None => found,
        });
    }
    let letters: Vec<String> = (0..options.len()).map(|it| letter(it).to_string()).collect();
    let after_colon = Pattern::new(&format!(r":[\s]*({})", letters.join("|")))?;
    Ok(match stripped(selected(&after_colon, search.select, text)?) {
        Some(found) => format!("({found})"),
        None => search.fallback.clone(),
    })
}

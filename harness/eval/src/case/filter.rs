//! Filters: which models a case is for.

use super::mistake;
use crate::model::Models;
use crate::yaml::{self, Malformed, Span, Spanned};

/// The models that words mean: names, or `tag:NAME`.
pub(super) fn check(
    filter: &[Spanned<String>],
    models: &Models,
    place: Span,
    mistakes: &mut Vec<Malformed>,
) -> Vec<usize> {
    let mut chosen = Vec::new();
    for word in filter {
        let matching = |it: &&(usize, &crate::model::Model)| match word.value.strip_prefix("tag:") {
            Some(tag) => it.1.tags.iter().any(|own| own == tag),
            None => it.1.name == word.value,
        };
        let all: Vec<_> = models.models.iter().enumerate().collect();
        let found: Vec<usize> = all.iter().filter(matching).map(|(index, _)| *index).collect();
        if found.is_empty() {
            let tags = || models.models.iter().flat_map(|it| it.tags.iter().map(String::as_str));
            let message = match word.value.strip_prefix("tag:") {
                Some(tag) => match yaml::nearest(tag, tags()) {
                    Some(meant) => format!("no model has the tag `{tag}`: did you mean `{meant}`?"),
                    None => format!("no model has the tag `{tag}`"),
                },
                None => models.unknown(&word.value),
            };
            let help = Some(format!("{} defines the models", models.path.display()));
            mistakes.push(Malformed { message, span: Some(word.span), help });
        }
        chosen.extend(found);
    }
    if filter.is_empty() {
        mistakes.push(mistake("`models` is empty: the case would be asked of nobody", place));
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

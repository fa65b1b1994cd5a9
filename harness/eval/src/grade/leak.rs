//! Leaks: prompts that give their own target away.

/// Words that questions end with, and that give nothing away: "Answer yes or no."
const PLAIN: [&str; 6] = ["yes", "no", "true", "false", "none", "all"];

/// Whether a text stands in a prompt as whole words, whatever their case and the white space between them.
///
/// A text of one character gives nothing away, nor does one of [`PLAIN`]: questions name what may be answered.
pub(super) fn gives_away(prompt: &str, target: &str) -> bool {
    let target = folded(target);
    if target.chars().nth(1).is_none() || PLAIN.contains(&target.as_str()) {
        return false;
    }
    holds(&folded(prompt), &target)
}

/// Whether the prompt holds a text as whole words; both are folded.
fn holds(prompt: &str, target: &str) -> bool {
    let is_word = |it: char| it.is_alphanumeric() || it == '_';
    let begins_word = target.starts_with(is_word);
    let ends_word = target.ends_with(is_word);
    prompt.match_indices(target).any(|(at, found)| {
        let before = prompt[..at].chars().next_back();
        let after = prompt[at + found.len()..].chars().next();
        !(begins_word && before.is_some_and(is_word) || ends_word && after.is_some_and(is_word))
    })
}

fn folded(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::gives_away;

    #[test]
    fn whole_words_only() {
        let leaks = |prompt, target| gives_away(prompt, target);
        assert!(leaks("What comes after Tuesday?", "tuesday"));
        assert!(leaks("a  red\nball", "Red ball"));
        assert!(leaks("print(x)", "print(x)"));
        assert!(!leaks("catalogue", "cat"));
        assert!(!leaks("cat_1", "cat"));
        assert!(!leaks("A. left", "A"));
        assert!(!leaks("Answer yes or no.", "Yes"));
        assert!(!leaks("", "anything"));
    }
}

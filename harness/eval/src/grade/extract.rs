//! Extraction: the code of an answer.

use sandbox::Language;

/// Words that name a language behind an opening fence.
fn names(language: Language) -> &'static [&'static str] {
    match language {
        Language::Python => &["python", "py", "python3"],
        Language::Rust => &["rust", "rs"],
        Language::JavaScript => &["javascript", "js", "node", "mjs", "cjs"],
        Language::Sql => &["sql", "sqlite", "sqlite3"],
        Language::Shell => &["sh", "bash", "shell", "zsh", "console"],
    }
}

/// A fenced block: what stands behind the opening fence, and the lines between.
#[derive(Debug, PartialEq)]
struct Block {
    word: String,
    code: String,
}

/// The code of an answer in prose.
///
/// Of the fenced blocks, those count that name the language; if none does, those that name none; if there are none
/// of these either, all. Of those that count it is the last in which one of the names is defined, else the last. An
/// answer without blocks is code as a whole.
pub(super) fn block(text: &str, language: Language, defined: &[String]) -> String {
    let blocks = blocks(text);
    let of_language: Vec<&Block> =
        blocks.iter().filter(|it| names(language).contains(&it.word.as_str())).collect();
    let unnamed: Vec<&Block> = blocks.iter().filter(|it| it.word.is_empty()).collect();
    let counting = [of_language, unnamed, blocks.iter().collect()].into_iter().find(|it| !it.is_empty());
    let Some(counting) = counting else { return text.to_owned() };
    let defining = counting.iter().rev().find(|it| defined.iter().any(|name| defines(&it.code, name)));
    defining.or(counting.last()).map(|it| it.code.clone()).unwrap_or_default()
}

/// Whether a line of Python defines a name.
fn defines(code: &str, name: &str) -> bool {
    code.lines().any(|line| {
        let starts = |before: &str| line.strip_prefix(before).and_then(|it| it.strip_prefix(name));
        let defined = ["def ", "async def ", "class "].iter().find_map(|it| starts(it));
        let ends = |rest: &str| !rest.starts_with(|it: char| it.is_alphanumeric() || it == '_');
        let assigned = || starts("").and_then(|rest| rest.trim_start().strip_prefix('='));
        defined.is_some_and(ends) || assigned().is_some_and(|rest| !rest.starts_with('='))
    })
}

/// The fenced blocks of a text. One that is left open ends with the text; a fence inside a list takes its
/// indentation with it.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(char, usize, usize, Block)> = None;
    for line in text.lines() {
        let bare = line.trim_start();
        let mark = bare.chars().next().filter(|it| matches!(it, '`' | '~'));
        let length = mark.map_or(0, |mark| bare.chars().take_while(|it| *it == mark).count());
        let rest = bare.get(length..).unwrap_or_default().trim();
        match &mut open {
            None if length >= 3 && !rest.contains('`') => {
                let word = rest.split([' ', ',', '{', ':']).next().unwrap_or_default().to_lowercase();
                let block = Block { word, code: String::new() };
                open = Some((mark.unwrap_or('`'), length, line.len() - bare.len(), block));
            }
            None => {}
            Some((opened, least, ..)) if mark == Some(*opened) && length >= *least && rest.is_empty() => {
                blocks.extend(open.take().map(|it| it.3));
            }
            Some((.., indent, block)) => {
                let white = line.len() - bare.len();
                block.code.push_str(line.get(white.min(*indent)..).unwrap_or(line));
                block.code.push('\n');
            }
        }
    }
    blocks.extend(open.map(|it| it.3));
    blocks
}

/// What a base model adds to the beginning of a function: the text up to the first line that leaves the function, one
/// that begins with something else than white space. The rest of the line at which the beginning breaks off belongs
/// to it in any case.
pub(super) fn completion(text: &str, breaks_off: bool) -> String {
    let mut code = String::new();
    for (place, line) in text.split_inclusive('\n').enumerate() {
        let goes_on = place == 0 && breaks_off;
        if !goes_on && !line.trim().is_empty() && !line.starts_with([' ', '\t']) {
            break;
        }
        code.push_str(line);
    }
    code
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use sandbox::Language;

    use super::{block, completion};

    #[rstest]
    #[case("def f(): pass", "def f(): pass")]
    #[case("", "")]
    #[case("Here:\n```python\na\n```\nDone.", "a\n")]
    #[case("```py\na\n```\n```python\nb\n```", "b\n")]
    #[case(
        "```python\ndef f(x):\n    return x\n```\nUse it:\n```python\nprint(f(1))\n```",
        "def f(x):\n    return x\n"
    )]
    #[case("```python\ndef f(): 1\n```\nBetter:\n```python\ndef f(): 2\n```", "def f(): 2\n")]
    #[case("```python\nf = lambda x: x\n```\n```python\nf == 1\n```", "f = lambda x: x\n")]
    #[case("```python\ndef fast(): 1\n```\n```python\nfast()\n```", "fast()\n")]
    #[case("```\na\n```\n```text\noutput\n```", "a\n")]
    #[case("```text\noutput\n```", "output\n")]
    #[case("```rust\nfn f() {}\n```\n```python\na\n```\n```json\n{}\n```", "a\n")]
    #[case("```python\na\n", "a\n")]
    #[case("````python\n```\na\n````", "```\na\n")]
    #[case("~~~python\na\n~~~", "a\n")]
    #[case("1. So:\n   ```python\n   def f():\n       pass\n   ```", "def f():\n    pass\n")]
    #[case("```Python title=\"x\"\na\n```", "a\n")]
    #[case("Use `f` or ```inline```.", "Use `f` or ```inline```.")]
    #[case("```python\n```", "")]
    fn finds_the_code_in_prose(#[case] text: &str, #[case] code: &str) {
        assert_eq!(block(text, Language::Python, &["f".to_owned()]), code);
    }

    #[rstest]
    #[case("    return 1\n\ndef g():\n    pass", false, "    return 1\n\n")]
    #[case("    return 1\nprint(f())", false, "    return 1\n")]
    #[case(" 1 + x\n    return x\n# done", true, " 1 + x\n    return x\n")]
    #[case("x + 1\n\tpass\nx", true, "x + 1\n\tpass\n")]
    #[case("return 1", false, "")]
    #[case("", false, "")]
    fn leaves_the_function(#[case] text: &str, #[case] breaks_off: bool, #[case] code: &str) {
        assert_eq!(completion(text, breaks_off), code);
    }
}

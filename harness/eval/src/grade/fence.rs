//! Fences: code in an answer, between lines that begin with three back quotes or tildes.

/// A code fence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fence<'a> {
    /// The first word behind the opening mark, which names the language; may be empty.
    pub(super) name: &'a str,
    /// What stands between the marks.
    pub(super) code: &'a str,
}

/// The fences of a text, in order.
///
/// One is opened by a line that begins, white space aside, with three or more back quotes or tildes, and closed by the
/// next line that is at least as many of the same and nothing else; one that is left open ends with the text.
pub(super) fn fences(text: &str) -> Vec<Fence<'_>> {
    let mut fences = Vec::new();
    let mut open: Option<(&str, usize, &str)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let bare = line.trim();
        let Some((mark, rest)) = mark(bare) else { continue };
        match open {
            None => open = Some((mark, at, rest.split_whitespace().next().unwrap_or(""))),
            Some((opening, from, name)) if rest.is_empty() && mark.starts_with(opening) => {
                fences.push(Fence { name, code: &text[from..start] });
                open = None;
            }
            Some(_) => {}
        }
    }
    fences.extend(open.map(|(_, from, name)| Fence { name, code: &text[from..] }));
    fences
}

/// Whether the last fence is left open.
pub(super) fn is_open(text: &str) -> bool {
    fences(text).last().is_some_and(|it| {
        let end = it.code.as_ptr() as usize + it.code.len() - text.as_ptr() as usize;
        end == text.len()
    })
}

/// The mark that a line begins with, and what follows it.
fn mark(line: &str) -> Option<(&str, &str)> {
    let first = line.chars().next().filter(|it| matches!(it, '`' | '~'))?;
    let rest = line.trim_start_matches(first);
    let length = line.len() - rest.len();
    // A back quote behind the mark: code within a line.
    (length >= 3 && !(first == '`' && rest.contains('`'))).then(|| (&line[..length], rest.trim()))
}

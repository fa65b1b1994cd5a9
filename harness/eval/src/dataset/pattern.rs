//! Python's regular expressions, translated to the syntax of `fancy-regex`.
//!
//! What differs and is translated: `$` is also before a line break at the end, `\Z` is the end, `{,n}` has a lower bound
//! of 0, and within a class `[`, `&&`, `--` and `~~` mean themselves.

use fancy_regex::Regex;

/// Steps back that one search may take: a pattern that needs more finds nothing.
const STEPS: usize = 1_000_000;

/// A regular expression of Python's.
#[derive(Clone, Debug)]
pub struct Pattern {
    written: String,
    regex: Regex,
}

/// What one match gave to `re.findall`: the whole match of a pattern without groups, else every group's text, empty
/// where it took no part.
pub type Groups = Vec<String>;

impl Pattern {
    /// Compiles a pattern; the error is a fragment that says what is wrong.
    pub fn new(written: &str) -> Result<Self, String> {
        let translated = translated(written);
        let regex = fancy_regex::RegexBuilder::new(&translated).backtrack_limit(STEPS).build();
        let regex = regex.map_err(|error| {
            let error = error.to_string();
            format!("this is no regular expression: {}", error.lines().last().unwrap_or_default().trim())
        })?;
        Ok(Self { written: written.to_owned(), regex })
    }

    /// As it was written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Python's `re.findall`.
    pub fn find_all(&self, text: &str) -> Vec<Groups> {
        let mut found = Vec::new();
        self.each(text, |captures| {
            let group =
                |index: usize| captures.get(index).map_or_else(String::new, |it| it.as_str().to_owned());
            let first = usize::from(captures.len() > 1);
            found.push((first..captures.len().max(1)).map(group).collect());
            true
        });
        found
    }

    /// Python's `re.sub`, the replacement with `\1`, `\g<1>` and `\g<name>`; `count` 0 replaces every match.
    pub fn replace(&self, text: &str, replacement: &str, count: usize) -> String {
        let mut out = String::with_capacity(text.len());
        let (mut at, mut done) = (0, 0);
        self.each(text, |captures| {
            if let Some(whole) = captures.get(0) {
                out.push_str(&text[at..whole.start()]);
                expand(replacement, captures, &mut out);
                at = whole.end();
            }
            done += 1;
            done != count
        });
        out.push_str(&text[at..]);
        out
    }

    /// Gives each match, until it is told to stop. As in Python, an empty one may begin where another ended; a search
    /// that was given up found no more.
    fn each<'t>(&self, text: &'t str, mut take: impl FnMut(&fancy_regex::Captures<'t, str>) -> bool) {
        let mut from = 0;
        while from <= text.len() {
            let Ok(Some(captures)) = self.regex.captures_from_pos(text, from) else { return };
            let Some(whole) = captures.get(0) else { return };
            if !take(&captures) {
                return;
            }
            let next = text[whole.end()..].chars().next().map_or(1, char::len_utf8);
            from = if whole.start() == whole.end() { whole.end() + next } else { whole.end() };
        }
    }
}

fn expand(replacement: &str, captures: &fancy_regex::Captures<'_, str>, out: &mut String) {
    let mut rest = replacement;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let named = after.strip_prefix("g<").and_then(|it| it.split_once('>'));
        let digits = after.bytes().take(2).take_while(u8::is_ascii_digit).count();
        if let Some((name, after)) = named {
            let group = match name.parse() {
                Ok(index) => captures.get(index),
                Err(_) => captures.name(name),
            };
            out.push_str(group.map_or("", |it| it.as_str()));
            rest = after;
        } else if digits > 0 {
            let group = after[..digits].parse().ok().and_then(|it| captures.get(it));
            out.push_str(group.map_or("", |it| it.as_str()));
            rest = &after[digits..];
        } else {
            let mut characters = after.chars();
            match characters.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('\\') | None => out.push('\\'),
                Some(other) => out.extend(['\\', other]),
            }
            rest = characters.as_str();
        }
    }
    out.push_str(rest);
}

fn translated(written: &str) -> String {
    let multiline = written.starts_with("(?") && {
        let flags: String = written[2..].chars().take_while(char::is_ascii_alphabetic).collect();
        flags.contains('m')
    };
    let mut out = String::with_capacity(written.len() + 16);
    let mut characters = written.chars().peekable();
    // The place in a class: `None` outside, else how many of its characters came.
    let mut class: Option<usize> = None;
    let mut last = ' ';
    while let Some(character) = characters.next() {
        let in_class = class.is_some();
        match (character, class) {
            ('\\', None) if characters.peek() == Some(&'Z') => {
                characters.next();
                out.push_str(r"\z");
            }
            ('\\', _) => {
                out.push('\\');
                out.extend(characters.next());
                class = class.map(|it| it + 1);
                last = ' ';
                continue;
            }
            ('$', None) if !multiline => out.push_str(r"(?=\n?\z)"),
            ('{', None) if characters.peek() == Some(&',') => out.push_str("{0"),
            ('[', None) => {
                out.push('[');
                if characters.peek() == Some(&'^') {
                    out.extend(characters.next());
                }
                class = Some(0);
            }
            // The first in a class is itself.
            (']', Some(0)) => {
                out.push_str(r"\]");
                class = Some(1);
            }
            (']', Some(_)) => {
                out.push(']');
                class = None;
            }
            ('[', Some(seen)) => {
                out.push_str(r"\[");
                class = Some(seen + 1);
            }
            ('&' | '~' | '-', Some(seen)) if last == character => {
                out.push('\\');
                out.push(character);
                class = Some(seen + 1);
            }
            _ => {
                out.push(character);
                class = class.map(|it| it + 1);
            }
        }
        last = if in_class { character } else { ' ' };
    }
    out
}

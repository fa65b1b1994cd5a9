//! The source of a chat template, made fit for minijinja.
//!
//! - Folding constants takes the square of an expression's length, so a tag's length is bounded.
//! - A sum of lists is lazy: thirty-three doublings cost nothing, and then everything is copied at once. So each
//!   operand of a sum passes through a filter, [`PAY`], which charges for its length.
//! - A list that holds another one twice, and so on, is as small as its depth, but writing or comparing it takes two
//!   to the power of that. So whatever holds values, and whatever is kept under a name, passes through a function,
//!   [`WEIGH`], which bounds what it is written out.
//! - `generation` blocks, which mark what a model is trained on, are for a prompt nothing but a scope of their own,
//!   as `with` is.
//!
//! Tags are found as minijinja's lexer finds them, so that none hides from this.

/// The name of the filter that charges for a list.
pub(crate) const PAY: &str = "__pay";
/// The name of the function that bounds what holds values.
pub(crate) const WEIGH: &str = "__weigh";

/// The longest source, in bytes. The longest published ones have 20 to 30 KB.
const LONGEST: usize = 64 << 10;
/// The most bytes of a tag, without those of its strings. The longest in published templates has 300.
const LONGEST_TAG: usize = 1024;

/// Words at which an operand of a sum ends. `is` is none: it binds tighter.
const BORDERS: [&str; 8] = ["if", "else", "and", "or", "not", "in", "recursive", "as"];

/// The source for minijinja, or what is wrong with it.
pub(crate) fn checked(source: &str) -> Result<String, String> {
    if source.len() > LONGEST {
        return Err(format!("it has {} bytes, more than {LONGEST}", source.len()));
    }
    let mut written = String::with_capacity(source.len());
    let mut rest = source;
    // Brackets that are open: within them a tag does not end. Never reset, as in the lexer.
    let mut open = 0;
    while let Some(at) = rest.find('{') {
        let (before, tag) = rest.split_at(at);
        written.push_str(before);
        let end = match tag.as_bytes().get(1) {
            Some(b'#') => tag.find("#}").map_or(tag.len(), |it| it + 2),
            Some(b'%') if is_tag(tag, "raw") => {
                let mut ends = tag.match_indices("{%").map(|(it, _)| it);
                ends.find(|&it| is_tag(&tag[it..], "endraw")).unwrap_or(tag.len())
            }
            Some(b'%' | b'{') => {
                let (length, paid) = charged(tag, &mut open).ok_or_else(|| {
                    let line = source[..source.len() - tag.len()].matches('\n').count() + 1;
                    format!("a tag has more than {LONGEST_TAG} bytes of code (line {line})")
                })?;
                if is_tag(tag, "generation") || is_tag(tag, "endgeneration") {
                    written.push_str(&paid.replace("generation", "with"));
                } else {
                    written.push_str(&paid);
                }
                rest = &tag[length..];
                continue;
            }
            _ => 1,
        };
        written.push_str(&tag[..end]);
        rest = &tag[end..];
    }
    Ok(written + rest)
}

/// Whether a text begins with the tag of this name alone.
fn is_tag(text: &str, name: &str) -> bool {
    let sign = |it: &str| usize::from(it.starts_with(['-', '+']));
    let Some(head) = text.strip_prefix("{%") else { return false };
    let Some(tail) = head[sign(head)..].trim_start().strip_prefix(name) else { return false };
    let tail = tail.trim_start();
    tail[sign(tail)..].starts_with("%}")
}

/// What stands within one pair of brackets, or within the tag outside all of them.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Where the operand of a sum that is being read begins in what is written.
    begin: usize,
    /// Whether that operand's bracket, which the charge needs, is written.
    charged: bool,
    /// Where a list, dictionary or tuple begins in what is written, if this is one.
    literal: Option<usize>,
    /// Whether a comma was read: without one, parentheses make no tuple.
    comma: bool,
}

/// The length of the tag that a text begins with, and the tag with its sums charged for; `None` where it has too
/// much code.
#[expect(clippy::too_many_lines, reason = "one walk over a tag, by its characters")]
fn charged(text: &str, open: &mut isize) -> Option<(usize, String)> {
    let close = if text.starts_with("{%") { "%}" } else { "}}" };
    let pay = format!(")|{PAY} ");
    // A sign there belongs to the tag.
    let head = 2 + usize::from(text[2..].starts_with(['-', '+']));
    let mut written = text[..head].to_owned();
    let mut levels = vec![Level { begin: head, ..Level::default() }];
    // Where the value of a `set` begins, and whether names are still read that get one.
    let (mut value, mut target) = (None, false);
    // Whether that is an attribute of a namespace.
    let mut within = false;
    let (mut at, mut code) = (head, 0);
    // Whether what stands before can be an operand, and the word there, if it is one.
    let (mut operand, mut word) = (false, "");
    let mut first = close == "%}";
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let signed = rest.strip_prefix(['-', '+']).is_some_and(|it| it.starts_with(close));
        let ends = *open == 0 && (signed || rest.starts_with(close));
        if ends {
            let end = at + close.len() + usize::from(signed);
            if levels.last().is_some_and(|it| it.charged) {
                written.push_str(&pay);
            }
            if let Some(value) = value {
                written.insert_str(value, &format!("{WEIGH}(("));
                written.push_str(if within { "),true)" } else { "))" });
            }
            written.push_str(&text[at..end]);
            return Some((end, written));
        }
        let mut length = character.len_utf8();
        let name = |it: char| it == '_' || it.is_alphanumeric();
        if name(character) {
            length = rest.find(|it| !name(it)).unwrap_or(rest.len());
        } else if matches!(character, '"' | '\'') {
            let mut skip = false;
            let end = rest[1..].find(|it| {
                let ends = it == character && !skip;
                skip = it == '\\' && !skip;
                ends
            });
            length = end.map_or(rest.len(), |it| it + 2);
        }
        let token = &rest[..length];
        code += if matches!(character, '"' | '\'') { 1 } else { length };
        if code > LONGEST_TAG {
            return None;
        }
        at += length;
        let attribute = written.ends_with('.');
        let border = match character {
            '=' | '!' | '<' | '>' | ',' | ':' => true,
            '-' => operand,
            _ if first && name(character) => true,
            _ => BORDERS.contains(&token) && !attribute && !(matches!(token, "not" | "in") && word == "is"),
        };
        let closes = matches!(character, ')' | ']' | '}');
        let outermost = levels.len() == 1;
        let sum = levels.last_mut().expect("the outermost is never taken");
        sum.comma |= character == ',';
        if (border || closes) && sum.charged {
            written.push_str(&pay);
            sum.charged = false;
        }
        if character == '+' {
            if !sum.charged {
                written.insert(sum.begin, '(');
            }
            written.push_str(&pay);
            written.push_str("+(");
            sum.charged = true;
        } else {
            written.push_str(token);
        }
        if border {
            sum.begin = written.len();
        }
        within |= outermost && target && character == '.';
        if first && matches!(token, "set" | "for") {
            target = true;
        } else if outermost && target && matches!(token, "=" | "in") {
            target = false;
            value = (token == "=").then_some(written.len());
        }
        match character {
            '(' | '[' | '{' => {
                *open += 1;
                // After an operand it is a call or an index; `call(…)` names what a macro's caller gets.
                let literal = !operand && !target && word != "call";
                let literal = literal.then_some(written.len() - 1);
                levels.push(Level { begin: written.len(), literal, ..Level::default() });
            }
            ')' | ']' | '}' => {
                *open -= 1;
                if levels.len() > 1
                    && let Some(level) = levels.pop()
                    && let Some(begin) = level.literal.filter(|_| character != ')' || level.comma)
                {
                    written.insert_str(begin, &format!("{WEIGH}("));
                    written.push(')');
                }
            }
            _ => {}
        }
        if !character.is_whitespace() {
            // `is not in` is one test.
            word = if word == "is" && token == "not" { "is" } else { token };
            operand = closes || matches!(character, '"' | '\'') || (name(character) && !border);
            first = false;
        }
    }
    Some((text.len(), written))
}

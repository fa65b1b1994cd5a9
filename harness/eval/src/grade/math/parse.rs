//! Reading: from tokens to a tree, within bounds of length and depth.

use super::line;
use super::token::{Bracket, Relation, Token, tokens};
use super::tree::{Expr, Piece, Thing, Value};
use super::unit::Unit;

mod expression;

/// The longest text that is read, in bytes: no answer to a question of a benchmark is longer.
const LONGEST: usize = 2000;

/// What a text may be read with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// Names that are variables in any case.
    pub(super) declared: &'a [String],
    /// All names that can be variables, in an answer; `None` where any letter is one, in the value itself.
    pub(super) known: Option<&'a [String]>,
    /// Whether commas between groups of three digits are part of a number.
    pub(super) thousands: bool,
}

/// Reads a text as a whole; an error says what cannot be read.
pub(super) fn read(text: &str, context: Context<'_>) -> Result<Thing, String> {
    if text.len() > LONGEST {
        return Err(format!("a text of {} bytes is no expression", text.len()));
    }
    let tokens = tokens(text, context.thousands)?;
    let has_two = tokens.iter().any(|it| matches!(it, Token::PlusMinus | Token::MinusPlus));
    let reader = |plus| Things { context, plus, depth: 0 };
    if has_two {
        let both = vec![reader(true).thing(&tokens)?, reader(false).thing(&tokens)?];
        return Ok(Thing::List(both.into_iter().flat_map(listed).collect()));
    }
    reader(true).thing(&tokens)
}

fn listed(thing: Thing) -> Vec<Thing> {
    match thing {
        Thing::List(items) => items,
        Thing::Equation(_, right) => listed(*right),
        other => vec![other],
    }
}

#[derive(Clone, Copy)]
struct Things<'a> {
    context: Context<'a>,
    /// What `±` means.
    plus: bool,
    depth: usize,
}

/// The nesting of brackets that is read.
const DEEPEST: usize = 24;

impl Things<'_> {
    fn deeper(self) -> Result<Self, String> {
        if self.depth == DEEPEST {
            return Err("an expression that is nested too deep".to_owned());
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn thing(self, tokens: &[Token]) -> Result<Thing, String> {
        let inner = self.deeper()?;
        let tokens = trimmed(tokens);
        // Of a conclusion, the end.
        let tokens = split(tokens, |it| *it == Token::Implies).pop().map_or(tokens, trimmed);
        let parts = split(tokens, is_separator);
        if parts.len() > 1 {
            let parts = parts.into_iter().filter(|it| !it.is_empty());
            let items = parts.map(|it| inner.thing(it)).collect::<Result<Vec<_>, _>>()?;
            if !items.is_empty() && items.iter().all(|it| matches!(it, Thing::Line(_))) {
                let word = |word: &str| tokens_at_top(tokens).any(|it| *it == Token::Word(word.to_owned()));
                return line::joined(&items, word("or"), word("and"));
            }
            return Ok(Thing::List(items));
        }
        let parts = split(tokens, |it| matches!(it, Token::Relation(_)));
        if parts.len() > 1 {
            return inner.related(tokens, &parts);
        }
        let parts = split(tokens, |it| *it == Token::Cup);
        if parts.len() > 1 {
            let things = parts.into_iter().map(|it| inner.thing(it)).collect::<Result<Vec<_>, _>>()?;
            return line::united(&things);
        }
        let parts = split(tokens, |it| *it == Token::Cap);
        if parts.len() > 1 {
            let things = parts.into_iter().map(|it| inner.thing(it)).collect::<Result<Vec<_>, _>>()?;
            return line::common(&things);
        }
        if let [all, without] = split(tokens, |it| *it == Token::Without)[..] {
            return line::without(&inner.thing(all)?, &inner.thing(without)?);
        }
        inner.atom(tokens)
    }

    fn related(self, tokens: &[Token], parts: &[&[Token]]) -> Result<Thing, String> {
        use Relation::{AtLeast, AtMost, Equal, Greater, In, Less, Near, Unequal};
        let relations: Vec<Relation> = tokens_at_top(tokens)
            .filter_map(|it| if let Token::Relation(relation) = it { Some(*relation) } else { None })
            .collect();
        let [first, .., last] = parts else { return Err("a relation with nothing beside it".to_owned()) };
        if relations.iter().all(|it| matches!(it, Equal | Near)) {
            let mut right = self.thing(last)?;
            // What an answer rounds, it says twice.
            if relations.last() == Some(&Near)
                && self.context.known.is_some()
                && let Ok(exact @ Thing::Value(_)) = self.thing(parts[parts.len() - 2])
                && !exact.is_variable()
            {
                right = Thing::Rounded(Box::new(exact), Box::new(right));
                if parts.len() == 2 {
                    return Ok(right);
                }
            }
            let left = self.thing(first).unwrap_or_else(|_| Thing::Words(words(first).unwrap_or_default()));
            return Ok(Thing::Equation(Box::new(left), Box::new(right)));
        }
        if relations[..] == [In] {
            return self.thing(last);
        }
        let number = |tokens: &[Token]| self.value(tokens).map(|it| it.expr);
        let is_variable = |tokens: &[Token]| matches!(number(tokens), Ok(Expr::Variable(_)));
        let low = || Expr::Negative(Box::new(Expr::Infinity));
        let piece =
            |low, low_closed, high, high_closed| Piece { low, high, closed: (low_closed, high_closed) };
        let pieces = match (&relations[..], parts) {
            ([relation], [left, right]) => {
                // With the variable on the left.
                let (relation, bound) = if is_variable(left) {
                    (*relation, number(right)?)
                } else if is_variable(right) {
                    let turned = match relation {
                        Less => Greater,
                        AtMost => AtLeast,
                        Greater => Less,
                        AtLeast => AtMost,
                        other => *other,
                    };
                    (turned, number(left)?)
                } else {
                    return Err("an inequality that no variable stands alone in".to_owned());
                };
                match relation {
                    Less | AtMost => vec![piece(low(), false, bound, relation == AtMost)],
                    Greater | AtLeast => vec![piece(bound, relation == AtLeast, Expr::Infinity, false)],
                    Unequal => vec![
                        piece(low(), false, bound.clone(), false),
                        piece(bound, false, Expr::Infinity, false),
                    ],
                    Equal | Near | In => return Err("a relation that is not understood".to_owned()),
                }
            }
            ([one, other], [left, middle, right]) if is_variable(middle) => match (one, other) {
                (Less | AtMost, Less | AtMost) => {
                    vec![piece(number(left)?, *one == AtMost, number(right)?, *other == AtMost)]
                }
                (Greater | AtLeast, Greater | AtLeast) => {
                    vec![piece(number(right)?, *other == AtLeast, number(left)?, *one == AtLeast)]
                }
                _ => return Err("inequalities in two directions".to_owned()),
            },
            _ => return Err("a chain of relations that is not understood".to_owned()),
        };
        Ok(Thing::Line(pieces))
    }

    fn atom(self, tokens: &[Token]) -> Result<Thing, String> {
        match tokens {
            [] => return Err("nothing".to_owned()),
            [Token::EmptySet] => return Ok(Thing::Set(Vec::new())),
            [Token::Reals] => {
                let low = Expr::Negative(Box::new(Expr::Infinity));
                return Ok(Thing::Line(vec![Piece { low, high: Expr::Infinity, closed: (false, false) }]));
            }
            [Token::Begin(environment), inner @ .., Token::End] => return self.matrix(environment, inner),
            [Token::Open(open), inner @ .., Token::Close(close)]
                if close_of(tokens, 0) == Some(tokens.len() - 1) =>
            {
                let parts = split(inner, |it| matches!(it, Token::Comma | Token::Semicolon));
                let bracket = |it: Bracket, open: char, close: char, is_open: bool| match it {
                    Bracket::Square => Some(if is_open { '[' } else { ']' }),
                    Bracket::Round => Some(if is_open { open } else { close }),
                    Bracket::Angle => Some(if is_open { '<' } else { '>' }),
                    _ => None,
                };
                if *open == Bracket::Curly {
                    if let [_, condition] = &split(inner, |it| matches!(it, Token::Bar | Token::Colon))[..] {
                        return self.thing(condition);
                    }
                    let items = parts.into_iter().filter(|it| !it.is_empty()).map(|it| self.thing(it));
                    return items.collect::<Result<_, _>>().map(Thing::Set);
                }
                let is_nested =
                    matches!(inner, [Token::Open(Bracket::Square), ..]) && *open == Bracket::Square;
                if (parts.len() > 1 || is_nested)
                    && let Some((open, close)) =
                        bracket(*open, '(', ')', true).zip(bracket(*close, '(', ')', false))
                {
                    let items = parts.into_iter().map(|it| self.thing(it)).collect::<Result<_, _>>()?;
                    return Ok(Thing::Tuple(open, items, close));
                }
            }
            _ => {}
        }
        match self.value(tokens) {
            Ok(value) => Ok(Thing::Value(value)),
            Err(error) => words(tokens).map(Thing::Words).ok_or(error),
        }
    }

    fn matrix(self, environment: &str, inner: &[Token]) -> Result<Thing, String> {
        let is_matrix = environment.ends_with("matrix") || environment == "array";
        if !is_matrix || inner.iter().any(|it| matches!(it, Token::Begin(_))) {
            return Err(format!("the environment `{environment}` is no matrix"));
        }
        let rows = split(inner, |it| *it == Token::Row).into_iter().filter(|it| !it.is_empty());
        let cells =
            |row| split(row, |it| *it == Token::And).into_iter().map(|it| Ok(self.value(it)?.expr)).collect();
        rows.map(cells).collect::<Result<_, String>>().map(Thing::Matrix)
    }

    /// An expression with its unit.
    fn value(self, tokens: &[Token]) -> Result<Value, String> {
        let (currency, tokens) = match tokens {
            [Token::Currency(sign), rest @ ..] => (Some(*sign), rest.to_vec()),
            [Token::Minus, Token::Currency(sign), rest @ ..] => {
                (Some(*sign), std::iter::once(Token::Minus).chain(rest.iter().cloned()).collect())
            }
            _ => (None, tokens.to_vec()),
        };
        let (expr, read) = expression::read(&tokens, self.context, self.plus)?;
        let (mut unit, percent) = unit(&tokens[read..])?;
        if let Some(sign) = currency {
            unit = unit.or_else(|| Unit::of(&[(sign.to_string(), 1)]));
        }
        Ok(Value { expr, unit, percent })
    }
}

/// What stands behind an expression: a unit, and whether it is a percentage.
fn unit(tokens: &[Token]) -> Result<(Option<Unit>, bool), String> {
    if let [Token::Percent, rest @ ..] = tokens
        && rest.iter().all(|it| matches!(it, Token::Word(_) | Token::Text(_)))
    {
        return Ok((None, true));
    }
    if let [Token::Word(word) | Token::Text(word)] = tokens
        && word.to_lowercase() == "percent"
    {
        return Ok((None, true));
    }
    Ok((Unit::of(&unit_words(tokens)?), false))
}

/// The words of a unit, each with its power.
fn unit_words(tokens: &[Token]) -> Result<Vec<(String, i32)>, String> {
    let mut named: Vec<(String, i32)> = Vec::new();
    let mut sign = 1;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Word(text) | Token::Text(text) => {
                let words = text.split(|it: char| !it.is_alphabetic()).filter(|it| !it.is_empty());
                named.extend(words.map(|it| (it.to_owned(), sign)));
                if text.contains('/') && named.len() > 1 {
                    // `\text{m/s}`
                    let count = text.split('/').count() - 1;
                    named.iter_mut().rev().take(count).for_each(|it| it.1 = it.1.saturating_neg());
                }
                sign = 1;
            }
            Token::Degree => named.push(("°".to_owned(), 1)),
            Token::Currency(letter) => named.push((letter.to_string(), 1)),
            Token::Name("mu") => named.push(("µ".to_owned(), 1)),
            Token::Times | Token::Dot | Token::Minus => {}
            Token::Slash => sign = -1,
            // `\frac{\text{m}}{\text{s}}`
            Token::Fraction => {
                let mut argument = || {
                    let open = at;
                    let end = close_of(tokens, open).ok_or("a bracket that is not closed")?;
                    at = end + 1;
                    unit_words(&tokens[open + 1..end])
                };
                let (top, bottom) = (argument()?, argument()?);
                named.extend(top.into_iter().map(|(word, power)| (word, power.saturating_mul(sign))));
                named.extend(bottom.into_iter().map(|(word, power)| (word, power.saturating_mul(-sign))));
                sign = 1;
            }
            Token::Caret if tokens[at..].iter().take(2).any(|it| *it == Token::Degree) => {
                named.push(("°".to_owned(), 1));
                at += if tokens.get(at) == Some(&Token::Degree) { 1 } else { 3 };
            }
            Token::Caret => {
                let power = tokens[at..].iter().take(4).find_map(|it| match it {
                    Token::Number(value) if value.is_integer() => value.numer().try_into().ok(),
                    _ => None,
                });
                let is_negative = tokens[at..].iter().take(2).any(|it| *it == Token::Minus);
                let power: i32 = power.ok_or("a unit to a power that is not whole")?;
                let last = named.last_mut().ok_or("a power without a unit")?;
                last.1 = last.1.saturating_mul(if is_negative { -power } else { power });
                while matches!(
                    tokens.get(at),
                    Some(
                        Token::Open(Bracket::Group)
                            | Token::Close(Bracket::Group)
                            | Token::Minus
                            | Token::Number(_)
                    )
                ) {
                    at += 1;
                }
            }
            other => return Err(format!("{} is not understood behind an expression", shown(other))),
        }
    }
    Ok(named)
}

fn shown(token: &Token) -> String {
    match token {
        Token::Number(value) => format!("the number {value}"),
        Token::Word(word) | Token::Text(word) => format!("`{}`", super::super::cut(word, 40)),
        other => format!("`{other:?}`"),
    }
}

/// The text that tokens are, if they are nothing but words.
fn words(tokens: &[Token]) -> Option<String> {
    let words = tokens.iter().map(|it| match it {
        Token::Word(word) | Token::Text(word) => Some(word.clone()),
        Token::Minus => Some("-".to_owned()),
        Token::Dot | Token::Bang | Token::Comma => Some(String::new()),
        _ => None,
    });
    let words: Vec<String> = words.collect::<Option<_>>()?;
    let text = words.join(" ");
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

fn is_separator(token: &Token) -> bool {
    match token {
        Token::Comma | Token::Semicolon => true,
        Token::Word(word) => matches!(word.as_str(), "or" | "and"),
        _ => false,
    }
}

/// Without what ends a sentence.
fn trimmed(mut tokens: &[Token]) -> &[Token] {
    while let [rest @ .., Token::Dot | Token::Comma | Token::Semicolon] = tokens {
        tokens = rest;
    }
    while let [Token::Dot | Token::Comma | Token::Semicolon, rest @ ..] = tokens {
        tokens = rest;
    }
    tokens
}

/// The depth of brackets before each token that stands outside all of them.
fn tokens_at_top(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    let mut depth = 0_usize;
    tokens.iter().filter(move |it| {
        match it {
            Token::Open(_) | Token::Begin(_) => depth += 1,
            Token::Close(_) | Token::End => {
                depth = depth.saturating_sub(1);
                return false;
            }
            _ => {}
        }
        depth == 0
    })
}

/// The tokens between those at the top that part them.
fn split(tokens: &[Token], parts: impl Fn(&Token) -> bool) -> Vec<&[Token]> {
    let mut depth = 0_usize;
    let mut found = Vec::new();
    let mut start = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open(_) | Token::Begin(_) => depth += 1,
            Token::Close(_) | Token::End => depth = depth.saturating_sub(1),
            _ if depth == 0 && parts(token) => {
                found.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&tokens[start..]);
    found
}

/// Where the bracket that opens at a place is closed.
fn close_of(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Open(_) | Token::Begin(_) => depth += 1,
            Token::Close(_) | Token::End => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

impl Thing {
    fn is_variable(&self) -> bool {
        matches!(self, Self::Value(Value { expr: Expr::Variable(_), .. }))
    }

    /// The rows that it is, if it can be read as a matrix; a tuple is a column.
    pub(super) fn rows(&self) -> Option<Vec<Vec<Expr>>> {
        let cell = |thing: &Thing| match thing {
            Self::Value(value) => Some(value.expr.clone()),
            _ => None,
        };
        match self {
            Self::Matrix(rows) => Some(rows.clone()),
            Self::Tuple(_, items, _) => items
                .iter()
                .map(|it| match it {
                    Self::Tuple(_, cells, _) => cells.iter().map(cell).collect(),
                    other => cell(other).map(|it| vec![it]),
                })
                .collect(),
            _ => None,
        }
    }

    /// Calls for each expression in it.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&Expr)) {
        match self {
            Self::Value(value) => visit(&value.expr),
            Self::Words(_) => {}
            Self::Equation(left, right) | Self::Rounded(left, right) => {
                left.each(visit);
                right.each(visit);
            }
            Self::Line(pieces) => pieces.iter().for_each(|it| {
                visit(&it.low);
                visit(&it.high);
            }),
            Self::Tuple(_, items, _) | Self::Set(items) | Self::List(items) => {
                for item in items {
                    item.each(visit);
                }
            }
            Self::Matrix(rows) => rows.iter().flatten().for_each(visit),
        }
    }
}

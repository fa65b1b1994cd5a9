//! Tokens: LaTeX, plain text and Unicode, brought to one notation.

mod number;
mod signs;

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

use self::number::digits;
use self::signs::{greek, lowered, named, raised, sign, vulgar, word_token};
use super::tree::Function;

/// What an expression is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(BigRational),
    /// Letters that stand together: a variable, a function, a unit or words.
    Word(String),
    /// What LaTeX sets as text.
    Text(String),
    /// A variable that has a name: a Greek letter.
    Name(&'static str),
    Pi,
    Infinity,
    Function(Function),
    Fraction,
    Binomial,
    /// A root sign, with its index where the sign itself says so.
    Root(Option<u32>),
    Open(Bracket),
    Close(Bracket),
    Bar,
    Plus,
    Minus,
    PlusMinus,
    MinusPlus,
    Times,
    Slash,
    Caret,
    Under,
    Bang,
    Percent,
    Degree,
    Currency(char),
    Comma,
    Semicolon,
    Dot,
    /// Between the cells of a row.
    And,
    /// Between the rows of a matrix.
    Row,
    Relation(Relation),
    Cup,
    Cap,
    /// `\setminus`: without what follows.
    Without,
    Colon,
    /// `\implies`: what stands before it is not the result.
    Implies,
    EmptySet,
    Reals,
    Begin(String),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    Round,
    Square,
    /// Of a set.
    Curly,
    /// LaTeX's own, which only groups.
    Group,
    Angle,
    Floor,
    Ceil,
    /// A bar of which LaTeX says that it opens or closes.
    Bar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    /// `≈`: rounded.
    Near,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Unequal,
    In,
}

/// The tokens of a text; an error says what is no part of an expression. Without `thousands` a comma between digits
/// parts two numbers, as it always does within brackets.
pub(super) fn tokens(text: &str, thousands: bool) -> Result<Vec<Token>, String> {
    let text: String = text.chars().map(folded).collect();
    let mut lexer = Lexer { text: &text, at: 0, open: Vec::new(), thousands, tokens: Vec::new() };
    while let Some(next) = lexer.rest().chars().next() {
        lexer.step(next)?;
    }
    Ok(lexer.tokens)
}

/// A character without its typeface: full width and mathematical letters and digits are the plain ones.
fn folded(letter: char) -> char {
    let code = u32::from(letter);
    let plain = match code {
        0xff01..=0xff5e => code - 0xff01 + 0x21,
        // Thirteen alphabets of 52 letters each, then digits.
        0x1d400..=0x1d6a3 => {
            let place = (code - 0x1d400) % 52;
            if place < 26 { 0x41 + place } else { 0x61 + place - 26 }
        }
        0x1d7ce..=0x1d7ff => 0x30 + (code - 0x1d7ce) % 10,
        _ => code,
    };
    char::from_u32(plain).unwrap_or(letter)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Brackets that are open.
    open: Vec<Bracket>,
    thousands: bool,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, mut token: Token, length: usize) {
        match &token {
            Token::Open(bracket) => {
                let begins = matches!(
                    self.tokens.last(),
                    None | Some(
                        Token::Relation(_)
                            | Token::Cup
                            | Token::Cap
                            | Token::Without
                            | Token::Implies
                            | Token::Comma
                            | Token::Open(Bracket::Curly)
                    )
                );
                // Braces that follow nothing they could be an argument of are a set's.
                let bracket = if *bracket == Bracket::Group && begins { Bracket::Curly } else { *bracket };
                self.open.push(bracket);
                token = Token::Open(bracket);
            }
            Token::Close(bracket) => {
                let opened = self.open.pop();
                let is_set = *bracket == Bracket::Group && opened == Some(Bracket::Curly);
                let bracket = if is_set { Bracket::Curly } else { *bracket };
                token = Token::Close(bracket);
            }
            _ => {}
        }
        self.tokens.push(token);
        self.at += length;
    }

    fn step(&mut self, next: char) -> Result<(), String> {
        let rest = self.rest();
        let length = next.len_utf8();
        if next.is_whitespace() || "$~\u{200b}\u{2060}\u{2061}\u{2062}".contains(next) {
            self.at += length;
        } else if next == '\\' {
            self.command()?;
        } else if next.is_ascii_digit() || next == '.' && digits(&rest[1..]) > 0 {
            self.number()?;
        } else if let Some((top, bottom)) = vulgar(next) {
            // As it would be written in LaTeX, so that `1½` is a mixed number.
            self.tokens.push(Token::Fraction);
            for number in [top, bottom] {
                self.tokens.push(Token::Open(Bracket::Group));
                self.tokens.push(Token::Number(BigRational::from_integer(number.into())));
                self.tokens.push(Token::Close(Bracket::Group));
            }
            self.at += length;
        } else if raised(next).is_some() {
            self.raised();
        } else if let Some(sign) = lowered(next) {
            self.tokens.push(Token::Under);
            self.push(Token::Number(BigRational::from_integer(sign.into())), length);
        } else if next.is_alphabetic() && greek(next).is_none() && next != 'π' && next != '∞' {
            let end = rest.find(|it: char| !it.is_alphabetic() || greek(it).is_some() || it == 'π');
            let word = &rest[..end.unwrap_or(rest.len())];
            self.word(word);
        } else {
            let two = |token| Some((token, 2));
            let known = if rest.starts_with("**") {
                two(Token::Caret)
            } else if rest.starts_with("<=") {
                two(Token::Relation(Relation::AtMost))
            } else if rest.starts_with(">=") {
                two(Token::Relation(Relation::AtLeast))
            } else if rest.starts_with("!=") {
                two(Token::Relation(Relation::Unequal))
            } else if rest.starts_with("==") {
                two(Token::Relation(Relation::Equal))
            } else if rest.starts_with("+-") || rest.starts_with("+/-") {
                Some((Token::PlusMinus, if rest.starts_with("+-") { 2 } else { 3 }))
            } else {
                sign(next).map(|it| (it, length))
            };
            let (token, length) = known.ok_or_else(|| format!("`{next}` is no part of an expression"))?;
            self.push(token, length);
        }
        Ok(())
    }

    /// `²`, `⁻¹`, `¹⁰`: a power.
    fn raised(&mut self) {
        self.tokens.push(Token::Caret);
        self.tokens.push(Token::Open(Bracket::Group));
        let mut value = BigInt::zero();
        while let Some((letter, sign)) = self.rest().chars().next().and_then(|it| Some((it, raised(it)?))) {
            match sign {
                '-' => self.tokens.push(Token::Minus),
                '+' => {}
                digit => value = value * 10 + digit.to_digit(10).unwrap_or(0),
            }
            self.at += letter.len_utf8();
        }
        self.tokens.push(Token::Number(BigRational::from_integer(value)));
        self.tokens.push(Token::Close(Bracket::Group));
    }

    /// Letters.
    fn word(&mut self, word: &str) {
        match word {
            "lg" => self.decimal_logarithm(word.len()),
            _ => self.push(word_token(word), word.len()),
        }
        if word == "log" {
            self.base();
        }
    }

    fn decimal_logarithm(&mut self, length: usize) {
        let ten = BigRational::from_integer(BigInt::from(10));
        self.push(Token::Function(Function::Log), length);
        self.push(Token::Under, 0);
        self.push(Token::Number(ten), 0);
    }

    /// The base of a logarithm where it is written as programs do: `log2(x)`, `log10 x`.
    fn base(&mut self) {
        let rest = self.rest();
        let base = ["10", "2"].into_iter().find(|it| {
            let behind = rest.strip_prefix(it).unwrap_or_default();
            behind.starts_with('(') || behind.starts_with(' ') && behind[1..].starts_with(char::is_alphabetic)
        });
        if let Some(base) = base {
            let value = base.parse().unwrap_or_else(|_| BigInt::zero());
            self.push(Token::Under, 0);
            self.push(Token::Number(BigRational::from_integer(value)), base.len());
        }
    }

    fn command(&mut self) -> Result<(), String> {
        let rest = &self.rest()[1..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        if letters == 0 {
            let Some(letter) = rest.chars().next() else {
                return Err("a `\\` with nothing behind it".to_owned());
            };
            if let Some(space) = rest.strip_prefix("\\[").and_then(|it| it.split_once(']'))
                && space.0.len() < 8
                && space.0.ends_with(|it: char| it.is_ascii_lowercase())
                && digits(space.0) > 0
            {
                // Room between two rows: `\\[4pt]`.
                self.push(Token::Row, self.rest().len() - space.1.len());
                return Ok(());
            }
            let token = match letter {
                '{' => Some(Token::Open(Bracket::Curly)),
                '}' => Some(Token::Close(Bracket::Curly)),
                '%' => Some(Token::Percent),
                '$' => Some(Token::Currency('$')),
                '|' => Some(Token::Bar),
                '\\' => Some(Token::Row),
                // Spaces, and the marks around mathematics.
                ',' | ';' | ':' | '!' | ' ' | '\n' | '(' | ')' | '[' | ']' => None,
                other => return Err(format!("`\\{other}` is no part of an expression")),
            };
            let length = 1 + letter.len_utf8();
            match token {
                Some(token) => self.push(token, length),
                None => self.at += length,
            }
            return Ok(());
        }
        let name = &rest[..letters];
        let length = letters + 1;
        if name == "mathbb" && rest[letters..].trim_start_matches([' ', '{']).starts_with('R') {
            let end = rest[letters..].find('R').map_or(letters, |it| letters + it + 1);
            let closed = rest[end..].starts_with('}') && rest[letters..end].contains('{');
            self.push(Token::Reals, 1 + end + usize::from(closed));
            return Ok(());
        }
        if let Some(token) = named(name) {
            self.push(token, length);
            if name == "log" {
                self.base();
            }
            return Ok(());
        }
        match name {
            "text" | "mathrm" | "textbf" | "mbox" | "textrm" | "textit" | "operatorname" | "rm"
            | "mathbf" | "mathit" | "boldsymbol" | "bf" | "textnormal" | "mathsf" | "emph" | "vec"
            | "hat" | "overrightarrow" => {
                self.at += length;
                self.text(name);
            }
            "begin" | "end" => {
                let after = &rest[letters..];
                let close = after.find('}').filter(|it| after.starts_with('{') && *it < 24);
                let close = close.ok_or_else(|| format!("`\\{name}` without a name"))?;
                let environment = after[1..close].trim_end_matches('*').to_owned();
                // The columns of an array.
                let columns =
                    (environment == "array" && name == "begin").then(|| after[close + 1..].trim_start());
                let columns =
                    columns.filter(|it| it.starts_with('{')).and_then(|it| it.find('}').map(|end| (it, end)));
                let end =
                    columns.map_or(length + close + 1, |(it, end)| self.rest().len() - it.len() + end + 1);
                let token = if name == "begin" { Token::Begin(environment) } else { Token::End };
                self.push(token, end);
            }
            "left" | "right" | "middle" | "bigl" | "bigr" | "Bigl" | "Bigr" | "biggl" | "biggr" | "Biggl"
            | "Biggr" | "big" | "Big" | "bigg" | "Bigg" => {
                self.at += length;
                let after = self.rest().trim_start();
                if after.starts_with('.') {
                    // A bracket that is not drawn.
                    self.at = self.text.len() - after.len() + 1;
                } else if after.starts_with('|') && matches!(name, "left" | "right") {
                    self.at = self.text.len() - after.len();
                    let bar =
                        if name == "left" { Token::Open(Bracket::Bar) } else { Token::Close(Bracket::Bar) };
                    self.push(bar, 1);
                }
            }
            "displaystyle" | "textstyle" | "quad" | "qquad" | "limits" | "thinspace" | "enspace"
            | "space" | "boxed" | "fbox" | "mathcal" | "tiny" | "large" | "Large" | "nolimits" => {
                self.at += length;
            }
            // What is in their braces is not there to be read.
            "hspace" | "vspace" | "phantom" | "hphantom" | "vphantom" | "color" | "textcolor" | "tag"
            | "label" => {
                self.at += length;
                let braced = self.rest().strip_prefix('{').and_then(|it| it.find('}'));
                self.at += braced.map_or(0, |it| it + 2);
                if name.ends_with("color") && self.rest().starts_with('{') {
                    // What is coloured is no set.
                    self.open.push(Bracket::Group);
                    self.tokens.push(Token::Open(Bracket::Group));
                    self.at += 1;
                }
            }
            "lg" => self.decimal_logarithm(length),
            _ => return Err(format!("`\\{name}` is unknown")),
        }
        Ok(())
    }

    /// The argument of `\text` and the like. One that is a single letter or a function is mathematics in another typeface.
    fn text(&mut self, command: &str) {
        let rest = self.rest();
        let trimmed = rest.trim_start();
        if !trimmed.starts_with('{') {
            return;
        }
        let mut depth = 0_usize;
        let close = trimmed.char_indices().find(|(_, letter)| {
            depth = match letter {
                '{' => depth + 1,
                '}' => depth - 1,
                _ => depth,
            };
            depth == 0
        });
        let Some((close, _)) = close else { return };
        let inner = trimmed[1..close].trim();
        let is_words =
            inner.chars().all(|it| it.is_alphabetic() || it.is_whitespace() || "-'’/.,()".contains(it));
        let is_text = command.starts_with("text")
            || matches!(command, "mbox" | "emph" | "mathrm" | "rm" | "operatorname");
        let length = rest.len() - trimmed.len() + close + 1;
        if inner.is_empty() {
            self.at += length;
        } else if let Some(function) = Function::named(inner) {
            self.push(Token::Function(function), length);
        } else if matches!(inner.to_lowercase().as_str(), "or" | "and") {
            self.push(Token::Word(inner.to_lowercase()), length);
        } else if is_text
            && is_words
            && !(command == "mathrm" && inner.chars().count() == 1 && "ei".contains(inner))
        {
            self.push(Token::Text(inner.to_owned()), length);
        } else {
            // Read as what it holds.
            self.at += rest.len() - trimmed.len();
        }
    }
}

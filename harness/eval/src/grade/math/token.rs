//! Tokens: LaTeX, plain text and Unicode, brought to one notation.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

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
    Less,
    AtMost,
    Greater,
    AtLeast,
    Unequal,
    In,
}

/// What a number may have as its power of ten.
const LARGEST_EXPONENT: i64 = 400;

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
                    None | Some(Token::Relation(_) | Token::Cup | Token::Comma | Token::Open(Bracket::Curly))
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
            self.push(word_token(word), word.len());
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

    fn number(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let whole = digits(rest);
        let mut written = rest[..whole].to_owned();
        let mut end = whole;
        if (1..=3).contains(&whole) && !rest.starts_with('0') {
            let comma = self.thousands && self.open.iter().all(|it| *it == Bracket::Group);
            for separator in [",", "{,}", "\\,", "\\!", "\u{2009}", "\u{202f}", "\u{a0}", "\\ ", ",\\!"] {
                if matches!(separator, "," | ",\\!") && !comma {
                    continue;
                }
                let group = |end: usize| {
                    let after = rest[end..].strip_prefix(separator)?;
                    (digits(after) == 3).then(|| (end + separator.len() + 3, &after[..3]))
                };
                while let Some((next, group)) = group(end) {
                    written += group;
                    end = next;
                }
                if end > whole {
                    break;
                }
            }
        }
        let mut scale = 0_i64;
        let mut repeating = 0;
        if let Some(part) = rest[end..].strip_prefix('.') {
            let count = digits(part);
            written += &part[..count];
            scale = i64::try_from(count).unwrap_or(i64::MAX);
            let after = &part[count..];
            let bar =
                ["\\overline{", "\\overline", "\\bar{", "\\bar"].iter().find(|it| after.starts_with(**it));
            if let Some(bar) = bar {
                let inner = &after[bar.len()..];
                let period = if bar.ends_with('{') { digits(inner) } else { digits(inner).min(1) };
                if period > 0 && (!bar.ends_with('{') || inner[period..].starts_with('}')) {
                    written += &inner[..period];
                    repeating = period;
                    end += bar.len() + period + usize::from(bar.ends_with('{'));
                }
            }
            // A point with nothing behind it ends a sentence.
            if count > 0 || repeating > 0 {
                end += 1 + count;
            }
        }
        let mut value = BigRational::from_integer(written.parse().unwrap_or_else(|_| BigInt::zero()));
        if repeating > 0 {
            // With all digits and without the period, over as many nines.
            let short = &written[..written.len() - repeating];
            let short = BigRational::from_integer(short.parse().unwrap_or_else(|_| BigInt::zero()));
            let nines = ten_to(i64::try_from(repeating).unwrap_or(0))? - BigRational::one();
            value = (value - short) / nines;
        }
        if let Some((length, exponent)) = exponent(&rest[end..]) {
            end += length;
            scale = scale.checked_sub(exponent).unwrap_or(i64::MAX);
        }
        value = if scale > 0 { value / ten_to(scale)? } else { value * ten_to(-scale)? };
        self.push(Token::Number(value), end);
        Ok(())
    }

    fn command(&mut self) -> Result<(), String> {
        let rest = &self.rest()[1..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        if letters == 0 {
            let Some(letter) = rest.chars().next() else {
                return Err("a `\\` with nothing behind it".to_owned());
            };
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
            "left" | "right" | "bigl" | "bigr" | "Bigl" | "Bigr" | "big" | "Big" | "bigg" | "Bigg" => {
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
            | "space" | "boxed" | "fbox" | "mathcal" | "tiny" | "large" | "Large" | "nolimits" | "hspace"
            | "phantom" => {
                self.at += length;
            }
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

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn ten_to(power: i64) -> Result<BigRational, String> {
    let small = u32::try_from(power).ok().filter(|it| i64::from(*it) <= 4 * LARGEST_EXPONENT);
    let power = small.ok_or("a number that is too large or too small")?;
    Ok(BigRational::from_integer(BigInt::from(10).pow(power)))
}

/// `e-3` behind digits: its length and value.
fn exponent(text: &str) -> Option<(usize, i64)> {
    let after = text.strip_prefix(['e', 'E'])?;
    let unsigned = after.strip_prefix(['-', '+', '−']).unwrap_or(after);
    let count = digits(unsigned);
    let ends = !unsigned[count..].starts_with(char::is_alphabetic);
    let value: i64 = unsigned[..count].parse().ok().filter(|_| ends)?;
    let value = if after.starts_with(['-', '−']) { -value } else { value };
    Some((text.len() - unsigned.len() + count, value))
}

fn word_token(word: &str) -> Token {
    match word {
        "pi" | "Pi" | "PI" => Token::Pi,
        "inf" | "infinity" | "Infinity" | "oo" => Token::Infinity,
        "sqrt" | "root" => Token::Root(None),
        "cbrt" => Token::Root(Some(3)),
        "U" => Token::Cup,
        _ => Function::named(word).map_or_else(|| Token::Word(word.to_owned()), Token::Function),
    }
}

fn named(command: &str) -> Option<Token> {
    use Relation::{AtLeast, AtMost, Equal, Greater, In, Less, Unequal};
    Some(match command {
        "frac" | "dfrac" | "tfrac" | "cfrac" => Token::Fraction,
        "binom" | "dbinom" | "tbinom" => Token::Binomial,
        "sqrt" => Token::Root(None),
        "pi" => Token::Pi,
        "infty" => Token::Infinity,
        "cdot" | "times" | "ast" | "cdotp" => Token::Times,
        "div" => Token::Slash,
        "pm" => Token::PlusMinus,
        "mp" => Token::MinusPlus,
        "cup" | "bigcup" => Token::Cup,
        "emptyset" | "varnothing" => Token::EmptySet,
        "le" | "leq" | "leqslant" => Token::Relation(AtMost),
        "ge" | "geq" | "geqslant" => Token::Relation(AtLeast),
        "lt" => Token::Relation(Less),
        "gt" => Token::Relation(Greater),
        "ne" | "neq" => Token::Relation(Unequal),
        "approx" | "equiv" | "simeq" => Token::Relation(Equal),
        "in" => Token::Relation(In),
        "langle" => Token::Open(Bracket::Angle),
        "rangle" => Token::Close(Bracket::Angle),
        "lfloor" => Token::Open(Bracket::Floor),
        "rfloor" => Token::Close(Bracket::Floor),
        "lceil" => Token::Open(Bracket::Ceil),
        "rceil" => Token::Close(Bracket::Ceil),
        "lvert" => Token::Open(Bracket::Bar),
        "rvert" => Token::Close(Bracket::Bar),
        "lbrace" => Token::Open(Bracket::Curly),
        "rbrace" => Token::Close(Bracket::Curly),
        "vert" | "mid" => Token::Bar,
        "circ" | "degree" => Token::Degree,
        "lor" | "vee" => Token::Word("or".to_owned()),
        "land" | "wedge" => Token::Word("and".to_owned()),
        _ => {
            let function = Function::named(command).map(Token::Function);
            return function.or_else(|| GREEK.iter().find(|it| it.1 == command).map(|it| Token::Name(it.1)));
        }
    })
}

fn sign(letter: char) -> Option<Token> {
    use Relation::{AtLeast, AtMost, Equal, Greater, In, Less, Unequal};
    Some(match letter {
        'π' => Token::Pi,
        '∞' => Token::Infinity,
        '√' => Token::Root(None),
        '∛' => Token::Root(Some(3)),
        '∜' => Token::Root(Some(4)),
        '(' => Token::Open(Bracket::Round),
        ')' => Token::Close(Bracket::Round),
        '[' => Token::Open(Bracket::Square),
        ']' => Token::Close(Bracket::Square),
        '{' => Token::Open(Bracket::Group),
        '}' => Token::Close(Bracket::Group),
        '⟨' | '〈' => Token::Open(Bracket::Angle),
        '⟩' | '〉' => Token::Close(Bracket::Angle),
        '⌊' => Token::Open(Bracket::Floor),
        '⌋' => Token::Close(Bracket::Floor),
        '⌈' => Token::Open(Bracket::Ceil),
        '⌉' => Token::Close(Bracket::Ceil),
        '|' => Token::Bar,
        '+' => Token::Plus,
        '-' | '−' | '–' | '‐' | '‑' => Token::Minus,
        '±' => Token::PlusMinus,
        '∓' => Token::MinusPlus,
        '*' | '×' | '·' | '⋅' | '∙' | '•' => Token::Times,
        '/' | '÷' | '∕' | '⁄' => Token::Slash,
        '^' => Token::Caret,
        '_' => Token::Under,
        '!' => Token::Bang,
        '%' => Token::Percent,
        '°' | 'º' => Token::Degree,
        '€' | '£' | '¥' | '₹' => Token::Currency(letter),
        ',' | '，' | '、' => Token::Comma,
        ';' | '；' => Token::Semicolon,
        '.' | '。' => Token::Dot,
        '&' => Token::And,
        '=' | '≈' | '≡' | '≃' => Token::Relation(Equal),
        '<' => Token::Relation(Less),
        '>' => Token::Relation(Greater),
        '≤' | '⩽' => Token::Relation(AtMost),
        '≥' | '⩾' => Token::Relation(AtLeast),
        '≠' => Token::Relation(Unequal),
        '∈' => Token::Relation(In),
        '∪' => Token::Cup,
        '∅' => Token::EmptySet,
        'ℝ' => Token::Reals,
        _ => Token::Name(greek(letter)?),
    })
}

const GREEK: [(char, &str); 20] = [
    ('α', "alpha"),
    ('β', "beta"),
    ('γ', "gamma"),
    ('δ', "delta"),
    ('ε', "epsilon"),
    ('ζ', "zeta"),
    ('η', "eta"),
    ('θ', "theta"),
    ('κ', "kappa"),
    ('λ', "lambda"),
    ('μ', "mu"),
    ('ν', "nu"),
    ('ξ', "xi"),
    ('ρ', "rho"),
    ('σ', "sigma"),
    ('τ', "tau"),
    ('φ', "phi"),
    ('χ', "chi"),
    ('ψ', "psi"),
    ('ω', "omega"),
];

fn greek(letter: char) -> Option<&'static str> {
    GREEK.iter().find(|it| it.0 == letter).map(|it| it.1)
}

fn vulgar(letter: char) -> Option<(u32, u32)> {
    Some(match letter {
        '½' => (1, 2),
        '⅓' => (1, 3),
        '⅔' => (2, 3),
        '¼' => (1, 4),
        '¾' => (3, 4),
        '⅕' => (1, 5),
        '⅖' => (2, 5),
        '⅗' => (3, 5),
        '⅘' => (4, 5),
        '⅙' => (1, 6),
        '⅚' => (5, 6),
        '⅛' => (1, 8),
        '⅜' => (3, 8),
        '⅝' => (5, 8),
        '⅞' => (7, 8),
        _ => return None,
    })
}

fn raised(letter: char) -> Option<char> {
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺".chars().zip("0123456789-+".chars()).find(|it| it.0 == letter).map(|it| it.1)
}

fn lowered(letter: char) -> Option<u32> {
    "₀₁₂₃₄₅₆₇₈₉".chars().zip(0..).find(|it| it.0 == letter).map(|it| it.1)
}

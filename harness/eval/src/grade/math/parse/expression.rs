//! Expressions: sums of products of powers.

use num_rational::BigRational;
use num_traits::{One, Zero};

use super::super::token::{Bracket, Token};
use super::super::tree::{Expr, Function};
use super::super::unit::Unit;
use super::{Context, close_of, shown};

/// The nesting that is read: brackets, powers and functions.
const DEEPEST: usize = 40;

/// Reads an expression from the first token on; gives it and how many tokens it has.
pub(super) fn read(tokens: &[Token], context: Context<'_>, plus: bool) -> Result<(Expr, usize), String> {
    let mut reader = Reader { tokens, at: 0, context, plus, depth: 0, calls: 0, bars: 0 };
    let expr = reader.sum()?;
    Ok((expr, reader.at))
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    context: Context<'a>,
    plus: bool,
    depth: usize,
    /// Functions whose argument is being read.
    calls: usize,
    /// Bars that are open.
    bars: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    /// Reads one level deeper.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth == DEEPEST {
            return Err("an expression that is nested too deep".to_owned());
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// `+`, `-` and their kin: whether it subtracts.
    fn sign(&mut self) -> Option<bool> {
        let negative = match self.peek()? {
            Token::Plus => false,
            Token::Minus => true,
            Token::PlusMinus => !self.plus,
            Token::MinusPlus => self.plus,
            _ => return None,
        };
        self.at += 1;
        Some(negative)
    }

    fn sum(&mut self) -> Result<Expr, String> {
        self.deeper(|it| {
            let mut terms = Vec::new();
            loop {
                let negative = it.sign();
                if negative.is_none() && !terms.is_empty() {
                    break;
                }
                let term = it.product()?;
                terms.push(if negative == Some(true) { Expr::Negative(Box::new(term)) } else { term });
            }
            Ok(if terms.len() == 1 { terms.remove(0) } else { Expr::Sum(terms) })
        })
    }

    fn product(&mut self) -> Result<Expr, String> {
        let mut factors = vec![self.factor()?];
        loop {
            if self.take(&Token::Times) {
                factors.push(self.factor()?);
            } else if self.take(&Token::Slash) {
                let bottom = self.factor()?;
                let top = one(factors);
                factors = vec![Expr::Quotient(Box::new(top), Box::new(bottom))];
            } else if let ([Expr::Number(top)], [Token::Colon, Token::Number(bottom), rest @ ..]) =
                (&factors[..], &self.tokens[self.at..])
                && rest.first() != Some(&Token::Colon)
            {
                // A ratio; `1:2:3` is none.
                let (top, bottom) = (Expr::Number(top.clone()), Expr::Number(bottom.clone()));
                factors = vec![Expr::Quotient(Box::new(top), Box::new(bottom))];
                self.at += 2;
            } else if self.is_operand(factors.last()) {
                factors.push(self.power()?);
            } else {
                return Ok(one(factors));
            }
        }
    }

    /// A power with signs before it.
    fn factor(&mut self) -> Result<Expr, String> {
        let mut negative = false;
        while let Some(sign) = self.sign() {
            negative ^= sign;
        }
        let power = self.power()?;
        Ok(if negative { Expr::Negative(Box::new(power)) } else { power })
    }

    /// Whether what follows is a factor without a sign of multiplication.
    fn is_operand(&self, last: Option<&Expr>) -> bool {
        let is_number = matches!(last, Some(Expr::Number(_)));
        match self.peek() {
            Some(Token::Number(_)) => !is_number,
            Some(Token::Word(word)) => self.is_variable(word, is_number),
            Some(Token::Bar) => self.bars == 0,
            Some(Token::Open(bracket)) => !matches!(bracket, Bracket::Curly | Bracket::Angle),
            // A fraction of units: `\frac{\text{m}}{\text{s}}`.
            Some(Token::Fraction)
                if matches!(
                    self.tokens[self.at + 1..],
                    [Token::Open(Bracket::Group), Token::Text(_), ..]
                ) =>
            {
                false
            }
            Some(
                Token::Name(_)
                | Token::Pi
                | Token::Infinity
                | Token::Function(_)
                | Token::Fraction
                | Token::Binomial
                | Token::Root(_),
            ) => true,
            _ => false,
        }
    }

    fn is_known(&self, name: &str) -> bool {
        let Context { declared, known, .. } = self.context;
        declared.iter().chain(known.unwrap_or(&[])).any(|it| it == name)
    }

    /// Whether a word is a variable, or several, rather than a unit or text.
    fn is_variable(&self, word: &str, follows_number: bool) -> bool {
        if self.is_known(word) {
            return true;
        }
        let is_letter = word.chars().nth(1).is_none();
        match (self.context.known, is_letter) {
            (Some(_), true) => !(follows_number && Unit::is_known(word)),
            (Some(_), false) => word.chars().all(|it| self.is_known(&it.to_string())),
            (None, true) => true,
            (None, false) => {
                word.len() <= 3 && word.bytes().all(|it| it.is_ascii_lowercase()) && !Unit::is_known(word)
            }
        }
    }

    fn power(&mut self) -> Result<Expr, String> {
        self.deeper(|it| {
            let mut base = it.primary()?;
            loop {
                if it.take(&Token::Bang) {
                    base = Expr::Call(Function::Factorial, vec![base]);
                } else if it.calls > 0 && it.degree() {
                    let share = Expr::Quotient(Box::new(Expr::Pi), Box::new(Expr::whole(180)));
                    base = Expr::Product(vec![base, share]);
                } else {
                    break;
                }
            }
            if it.peek() == Some(&Token::Caret) && !it.is_degree() {
                it.at += 1;
                let exponent = it.exponent()?;
                base = Expr::Power(Box::new(base), Box::new(exponent));
            }
            Ok(base)
        })
    }

    /// Whether a degree sign follows, be it raised.
    fn is_degree(&self) -> bool {
        matches!(
            &self.tokens[self.at..],
            [Token::Degree, ..]
                | [Token::Caret, Token::Degree, ..]
                | [
                    Token::Caret,
                    Token::Open(Bracket::Group),
                    Token::Degree,
                    Token::Close(Bracket::Group),
                    ..
                ]
        )
    }

    fn degree(&mut self) -> bool {
        let found = self.is_degree();
        if found {
            let length = self.tokens[self.at..].iter().position(|it| *it == Token::Degree).unwrap_or(0);
            self.at += length + 1;
            // The brace that was opened before it.
            self.at += usize::from(length == 2);
        }
        found
    }

    fn exponent(&mut self) -> Result<Expr, String> {
        if self.peek() == Some(&Token::Open(Bracket::Group)) {
            return self.bracketed();
        }
        self.factor()
    }

    /// What stands in brackets.
    fn bracketed(&mut self) -> Result<Expr, String> {
        let end = close_of(self.tokens, self.at).ok_or("a bracket that is not closed")?;
        let open = self.peek().cloned();
        self.at += 1;
        let bars = std::mem::take(&mut self.bars);
        let inner = self.sum()?;
        self.bars = bars;
        if self.at != end {
            return Err(self.unexpected());
        }
        self.at += 1;
        Ok(match open {
            Some(Token::Open(Bracket::Floor)) => Expr::Call(Function::Floor, vec![inner]),
            Some(Token::Open(Bracket::Ceil)) => Expr::Call(Function::Ceil, vec![inner]),
            Some(Token::Open(Bracket::Bar)) => Expr::Call(Function::Abs, vec![inner]),
            _ => inner,
        })
    }

    fn unexpected(&self) -> String {
        match self.peek() {
            Some(token) => format!("{} is not understood here", shown(token)),
            None => "an expression that breaks off".to_owned(),
        }
    }

    fn primary(&mut self) -> Result<Expr, String> {
        let Some(token) = self.peek() else { return Err(self.unexpected()) };
        if let Token::Open(bracket) = token {
            if matches!(bracket, Bracket::Curly | Bracket::Angle) {
                return Err("a set or vector within an expression".to_owned());
            }
            return self.bracketed();
        }
        self.at += 1;
        match token {
            // A numeral of another base stands for itself: what is asked is how it is written.
            Token::Number(value) if self.take(&Token::Under) => {
                let base = self.index()?;
                Ok(Expr::Variable(format!("{value}_{base}")))
            }
            Token::Number(value) => Ok(Expr::Number(self.mixed(value))),
            Token::Word(word) if self.is_variable(word, false) => self.variables(word),
            Token::Name(name) => self.variables(name),
            Token::Pi => Ok(Expr::Pi),
            Token::Infinity => Ok(Expr::Infinity),
            Token::Bar => {
                self.bars += 1;
                let inner = self.sum()?;
                self.bars -= 1;
                if !self.take(&Token::Bar) {
                    return Err("a bar that is not closed".to_owned());
                }
                Ok(Expr::Call(Function::Abs, vec![inner]))
            }
            Token::Fraction => {
                let (top, bottom) = self.two_arguments()?;
                Ok(Expr::Quotient(Box::new(top), Box::new(bottom)))
            }
            Token::Binomial => {
                let (top, bottom) = self.two_arguments()?;
                Ok(Expr::Call(Function::Binomial, vec![top, bottom]))
            }
            Token::Root(index) => self.root(*index),
            Token::Function(function) => self.call(*function),
            _ => {
                self.at -= 1;
                Err(self.unexpected())
            }
        }
    }

    /// A number, with the fraction behind it if that makes it a mixed one.
    fn mixed(&mut self, whole: &BigRational) -> BigRational {
        let start = self.at;
        let fraction = match &self.tokens[start..] {
            [Token::Fraction, ..] => {
                self.at += 1;
                self.two_arguments().ok()
            }
            [Token::Number(top), Token::Slash, Token::Number(bottom), ..] => {
                self.at += 3;
                Some((Expr::Number(top.clone()), Expr::Number(bottom.clone())))
            }
            _ => None,
        };
        if let Some((Expr::Number(top), Expr::Number(bottom))) = fraction
            && [whole, &top, &bottom].iter().all(|it| it.is_integer())
            && top > BigRational::zero()
            && top < bottom
            && !whole.is_zero()
        {
            return whole + top / bottom;
        }
        self.at = start;
        whole.clone()
    }

    /// The variables that a word names, each letter one unless the whole word is.
    fn variables(&mut self, word: &str) -> Result<Expr, String> {
        let is_whole = self.is_known(word) || word.chars().nth(1).is_none() || word.len() > 3;
        let is_greek = matches!(self.tokens.get(self.at - 1), Some(Token::Name(_)));
        let names: Vec<String> = if is_whole || is_greek {
            vec![word.to_owned()]
        } else {
            word.chars().map(String::from).collect()
        };
        let mut factors: Vec<Expr> = names
            .into_iter()
            .map(|name| match name.as_str() {
                "e" if !self.is_known("e") => Expr::Euler,
                "i" if !self.is_known("i") => Expr::Imaginary,
                _ => Expr::Variable(name),
            })
            .collect();
        if self.take(&Token::Under) {
            let index = self.index()?;
            match factors.last_mut() {
                Some(Expr::Variable(name)) => *name = format!("{name}_{index}"),
                _ => return Err("an index on what is no variable".to_owned()),
            }
        }
        // What is raised is the last letter alone.
        if factors.len() > 1 && self.peek() == Some(&Token::Caret) && !self.is_degree() {
            self.at += 1;
            let exponent = self.exponent()?;
            let last = factors.pop().unwrap_or(Expr::Imaginary);
            factors.push(Expr::Power(Box::new(last), Box::new(exponent)));
        }
        Ok(one(factors))
    }

    /// What stands below the line, as a part of a name.
    fn index(&mut self) -> Result<String, String> {
        let end = match self.peek() {
            Some(Token::Open(Bracket::Group)) => {
                close_of(self.tokens, self.at).ok_or("a bracket that is not closed")?
            }
            _ => self.at,
        };
        let inner = self.tokens.get(self.at..=end).ok_or("an index that breaks off")?;
        self.at = end + 1;
        let mut index = String::new();
        for token in inner {
            match token {
                Token::Number(value) => index += &value.to_string(),
                Token::Word(word) | Token::Text(word) => index += word,
                Token::Name(name) => index += name,
                Token::Open(Bracket::Group) | Token::Close(Bracket::Group) => {}
                Token::Plus => index.push('+'),
                Token::Minus => index.push('-'),
                other => return Err(format!("{} is not understood in an index", shown(other))),
            }
        }
        Ok(index)
    }

    /// The arguments of `\frac`: in braces, or a digit or letter each.
    fn two_arguments(&mut self) -> Result<(Expr, Expr), String> {
        if let Some(Token::Number(value)) = self.peek()
            && value.is_integer()
            && *value >= BigRational::from_integer(10.into())
        {
            let digits = value.to_string();
            let [top, bottom] = digits.as_bytes() else { return Err("a fraction without braces".to_owned()) };
            self.at += 1;
            return Ok((Expr::whole(i64::from(top - b'0')), Expr::whole(i64::from(bottom - b'0'))));
        }
        if let Some(Token::Word(word)) = self.peek()
            && let [top, bottom] = word.chars().collect::<Vec<_>>()[..]
        {
            self.at += 1;
            return Ok((Expr::Variable(top.to_string()), Expr::Variable(bottom.to_string())));
        }
        let top = self.argument()?;
        Ok((top, self.argument()?))
    }

    /// One argument: what is in brackets, else a single operand.
    fn argument(&mut self) -> Result<Expr, String> {
        match self.peek() {
            Some(Token::Open(_)) => self.bracketed(),
            // No mixed number: `\log_2\frac18`.
            Some(Token::Number(value)) => {
                self.at += 1;
                Ok(Expr::Number(value.clone()))
            }
            _ => self.deeper(Self::primary),
        }
    }

    fn root(&mut self, index: Option<u32>) -> Result<Expr, String> {
        let mut index = Expr::whole(i64::from(index.unwrap_or(2)));
        if self.peek() == Some(&Token::Open(Bracket::Square))
            && let Some(end) = close_of(self.tokens, self.at)
            && matches!(self.tokens.get(end + 1), Some(Token::Open(_) | Token::Number(_)))
        {
            index = self.bracketed()?;
        }
        let inner = self.argument()?;
        Ok(Expr::Root(Box::new(index), Box::new(inner)))
    }

    fn call(&mut self, function: Function) -> Result<Expr, String> {
        let base =
            if function == Function::Log && self.take(&Token::Under) { Some(self.argument()?) } else { None };
        let power = if self.take(&Token::Caret) { Some(self.exponent()?) } else { None };
        self.calls += 1;
        let argument = match self.peek() {
            Some(Token::Open(_)) => self.bracketed(),
            _ => self.deeper(|it| {
                let mut factors = vec![it.factor()?];
                while !matches!(it.peek(), Some(Token::Function(_))) && it.is_operand(factors.last()) {
                    factors.push(it.power()?);
                }
                Ok(one(factors))
            }),
        };
        self.calls -= 1;
        let argument = argument?;
        let is_inverse = power
            .as_ref()
            .is_some_and(|it| *it == Expr::Negative(Box::new(Expr::Number(BigRational::one()))));
        let (function, power) = match (function, is_inverse) {
            (Function::Sin, true) => (Function::Arcsin, None),
            (Function::Cos, true) => (Function::Arccos, None),
            (Function::Tan, true) => (Function::Arctan, None),
            _ => (function, power),
        };
        let arguments = std::iter::once(argument).chain(base).collect();
        let call = Expr::Call(function, arguments);
        Ok(match power {
            Some(power) => Expr::Power(Box::new(call), Box::new(power)),
            None => call,
        })
    }
}

fn one(mut factors: Vec<Expr>) -> Expr {
    if factors.len() == 1 { factors.remove(0) } else { Expr::Product(factors) }
}

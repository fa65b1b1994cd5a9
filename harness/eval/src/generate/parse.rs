//! Expressions: from text to a tree.

use std::ops::Range;
use std::sync::Arc;

use super::Wrong;
use super::functions::{self, Function};
use super::lex::{Kind, Token, WORDS, tokens};
use super::value::Value;
use crate::yaml::nearest;

/// The longest expression, in bytes.
const LONGEST: usize = 8_000;

/// The most levels of expressions in one another: their evaluation goes down as far.
const DEEPEST: u16 = 64;

/// A checked expression.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) node: Node,
    /// Bytes of the text that it was read from.
    pub(super) span: Range<usize>,
    /// Levels of expressions, itself included.
    pub(super) height: u16,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Constant(Value),
    Name(Arc<str>),
    List(Vec<Expression>),
    Negative(Box<Expression>),
    Not(Box<Expression>),
    Binary(Operator, Box<[Expression; 2]>),
    And(Box<[Expression; 2]>),
    Or(Box<[Expression; 2]>),
    /// `a < b <= c`: the first, and what follows it.
    Comparison(Box<Expression>, Vec<(Relation, Expression)>),
    /// Condition, then, else.
    If(Box<[Expression; 3]>),
    Index(Box<[Expression; 2]>),
    Call(&'static Function, Vec<Argument>),
    Comprehension(Box<Expression>, Vec<Clause>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Floor,
    Modulo,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
    NotIn,
}

/// What a function is given.
#[derive(Clone, Debug)]
pub(super) enum Argument {
    Value(Expression),
    /// `(a, b) => expression`: has no name and is no value, so that nothing can call itself.
    Arrow(Arrow),
}

#[derive(Clone, Debug)]
pub(super) struct Arrow {
    pub(super) names: Vec<Arc<str>>,
    pub(super) body: Expression,
    pub(super) span: Range<usize>,
}

/// `for a, b in list if condition`.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    pub(super) names: Vec<Arc<str>>,
    pub(super) list: Expression,
    pub(super) conditions: Vec<Expression>,
}

impl Expression {
    /// Reads an expression. Names are not looked at: [`Expression::check`] does.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        if text.len() > LONGEST {
            return Err(Wrong::new(format!("an expression has at most {LONGEST} bytes"), 0..text.len()));
        }
        let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0 };
        if parser.peek() == &Kind::End {
            return Err(Wrong::new("an empty expression", 0..text.len()));
        }
        let expression = parser.expression()?;
        match parser.peek() {
            Kind::End => Ok(expression),
            Kind::Name(_) | Kind::Number(_) | Kind::Text(_) => Err(parser
                .unexpected("an operator")
                .help("text stands in quotes, also within YAML: 'choice([\"a\", \"b\"])'")),
            Kind::Sign(_) => Err(parser.unexpected("the end of the expression")),
        }
    }

    /// Looks whether every name is known, and marks those that are used.
    pub(super) fn check(&self, known: &[Arc<str>], used: &mut Vec<Arc<str>>, wrong: &mut Vec<Wrong>) {
        self.walk(&mut known.to_vec(), known.len(), used, wrong);
    }

    fn walk(
        &self,
        known: &mut Vec<Arc<str>>,
        outer: usize,
        used: &mut Vec<Arc<str>>,
        wrong: &mut Vec<Wrong>,
    ) {
        let mut all = |parts: &[Self], known: &mut Vec<Arc<str>>| {
            for it in parts {
                it.walk(known, outer, used, wrong);
            }
        };
        match &self.node {
            Node::Constant(_) => {}
            Node::Name(name) => match known.iter().rposition(|it| it == name) {
                Some(at) if at < outer => used.push(Arc::clone(name)),
                Some(_) => {}
                None => wrong.push(unknown(name, known, self.span.clone())),
            },
            Node::List(items) => all(items, known),
            Node::Negative(inner) | Node::Not(inner) => inner.walk(known, outer, used, wrong),
            Node::Binary(_, both) | Node::And(both) | Node::Or(both) | Node::Index(both) => {
                all(&**both, known);
            }
            Node::If(three) => all(&**three, known),
            Node::Comparison(first, rest) => {
                first.walk(known, outer, used, wrong);
                for (_, it) in rest {
                    it.walk(known, outer, used, wrong);
                }
            }
            Node::Call(_, arguments) => {
                for argument in arguments {
                    match argument {
                        Argument::Value(value) => value.walk(known, outer, used, wrong),
                        Argument::Arrow(arrow) => {
                            let before = known.len();
                            known.extend(arrow.names.iter().cloned());
                            arrow.body.walk(known, outer, used, wrong);
                            known.truncate(before);
                        }
                    }
                }
            }
            Node::Comprehension(item, clauses) => {
                let before = known.len();
                for Clause { names, list, conditions } in clauses {
                    list.walk(known, outer, used, wrong);
                    known.extend(names.iter().cloned());
                    for it in conditions {
                        it.walk(known, outer, used, wrong);
                    }
                }
                item.walk(known, outer, used, wrong);
                known.truncate(before);
            }
        }
    }
}

fn unknown(name: &str, known: &[Arc<str>], span: Range<usize>) -> Wrong {
    let wrong = Wrong::new(format!("nothing is called `{name}`"), span);
    if functions::find(name).is_some() {
        return Wrong {
            message: format!("`{name}` is a function: it needs its arguments in brackets"),
            ..wrong
        };
    }
    match nearest(name, known.iter().map(AsRef::as_ref)) {
        Some(meant) => {
            Wrong { message: format!("nothing is called `{name}`: did you mean `{meant}`?"), ..wrong }
        }
        None if known.is_empty() => {
            wrong.help("variables are defined from top to bottom; text stands in quotes")
        }
        None => {
            let names = known.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
            wrong.help(format!("known so far: {names}; text stands in quotes"))
        }
    }
}

/// An expression of its parts, unless they are too deep.
fn new(node: Node, span: Range<usize>) -> Result<Expression, Wrong> {
    let most = |parts: &[Expression]| parts.iter().map(|it| it.height).max().unwrap_or(0);
    let inner = match &node {
        Node::Constant(_) | Node::Name(_) => 0,
        Node::List(items) => most(items),
        Node::Negative(inner) | Node::Not(inner) => inner.height,
        Node::Binary(_, both) | Node::And(both) | Node::Or(both) | Node::Index(both) => most(&**both),
        Node::If(three) => most(&**three),
        Node::Comparison(first, rest) => {
            rest.iter().map(|it| it.1.height).max().unwrap_or(0).max(first.height)
        }
        Node::Call(_, arguments) => arguments
            .iter()
            .map(|it| match it {
                Argument::Value(it) => it.height,
                Argument::Arrow(it) => it.body.height,
            })
            .max()
            .unwrap_or(0),
        Node::Comprehension(item, clauses) => {
            let clauses = clauses.iter().map(|it| most(&it.conditions).max(it.list.height)).max();
            clauses.unwrap_or(0).max(item.height)
        }
    };
    if inner >= DEEPEST {
        return Err(deep(span));
    }
    Ok(Expression { node, span, height: inner + 1 })
}

fn deep(span: Range<usize>) -> Wrong {
    Wrong::new(format!("expressions are nested more than {DEEPEST} levels deep"), span)
        .help("give a part of it a name of its own under `let`, or add up with `sum([…])`")
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    /// Levels that the parser itself is down.
    depth: u16,
}

impl Parser<'_> {
    fn peek(&self) -> &Kind {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> &Kind {
        self.tokens.get(self.at + by).map_or(&Kind::End, |it| &it.kind)
    }

    fn span(&self) -> Range<usize> {
        self.tokens.get(self.at).map_or(self.text.len()..self.text.len(), |it| it.span.clone())
    }

    /// The end of the last word that was taken.
    fn end(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |it| self.tokens[it].span.end)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Kind::Sign(it) if *it == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Wrong> {
        if self.takes(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn unexpected(&self, wanted: &str) -> Wrong {
        let span = self.span();
        match self.peek() {
            Kind::End => Wrong::new(format!("expected {wanted}, and the expression ends"), span),
            _ => Wrong::new(format!("expected {wanted}, found `{}`", &self.text[span.clone()]), span),
        }
    }

    fn down<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Wrong>) -> Result<T, Wrong> {
        if self.depth >= DEEPEST {
            return Err(deep(self.span()));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn expression(&mut self) -> Result<Expression, Wrong> {
        self.down(|it| {
            let value = it.any()?;
            if !it.takes("if") {
                return Ok(value);
            }
            let condition = it.any()?;
            it.expect("else")?;
            let other = it.expression()?;
            let span = value.span.start..other.span.end;
            new(Node::If(Box::new([condition, value, other])), span)
        })
    }

    fn any(&mut self) -> Result<Expression, Wrong> {
        let mut left = self.all()?;
        while self.takes("or") {
            left = pair(Node::Or, left, self.all()?)?;
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Expression, Wrong> {
        let mut left = self.negated()?;
        while self.takes("and") {
            left = pair(Node::And, left, self.negated()?)?;
        }
        Ok(left)
    }

    fn negated(&mut self) -> Result<Expression, Wrong> {
        let start = self.span().start;
        if self.takes("not") {
            let inner = self.down(Self::negated)?;
            let span = start..inner.span.end;
            return new(Node::Not(Box::new(inner)), span);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expression, Wrong> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        while let Some(relation) = self.relation() {
            rest.push((relation, self.sum()?));
        }
        let Some((_, last)) = rest.last() else { return Ok(first) };
        let span = first.span.start..last.span.end;
        new(Node::Comparison(Box::new(first), rest), span)
    }

    fn relation(&mut self) -> Option<Relation> {
        let (relation, words) = match (self.peek(), self.ahead(1)) {
            (Kind::Sign("=="), _) => (Relation::Equal, 1),
            (Kind::Sign("!="), _) => (Relation::Unequal, 1),
            (Kind::Sign("<"), _) => (Relation::Less, 1),
            (Kind::Sign("<="), _) => (Relation::AtMost, 1),
            (Kind::Sign(">"), _) => (Relation::Greater, 1),
            (Kind::Sign(">="), _) => (Relation::AtLeast, 1),
            (Kind::Sign("in"), _) => (Relation::In, 1),
            (Kind::Sign("not"), Kind::Sign("in")) => (Relation::NotIn, 2),
            _ => return None,
        };
        self.at += words;
        Some(relation)
    }

    fn sum(&mut self) -> Result<Expression, Wrong> {
        let mut left = self.product()?;
        loop {
            let operator = match self.peek() {
                Kind::Sign("+") => Operator::Add,
                Kind::Sign("-") => Operator::Subtract,
                _ => return Ok(left),
            };
            self.at += 1;
            left = pair(|both| Node::Binary(operator, both), left, self.product()?)?;
        }
    }

    fn product(&mut self) -> Result<Expression, Wrong> {
        let mut left = self.signed()?;
        loop {
            let operator = match self.peek() {
                Kind::Sign("*") => Operator::Multiply,
                Kind::Sign("/") => Operator::Divide,
                Kind::Sign("//") => Operator::Floor,
                Kind::Sign("%") => Operator::Modulo,
                _ => return Ok(left),
            };
            self.at += 1;
            left = pair(|both| Node::Binary(operator, both), left, self.signed()?)?;
        }
    }

    fn signed(&mut self) -> Result<Expression, Wrong> {
        let start = self.span().start;
        if self.takes("-") {
            let inner = self.down(Self::signed)?;
            let span = start..inner.span.end;
            return new(Node::Negative(Box::new(inner)), span);
        }
        let base = self.postfix()?;
        if self.takes("**") {
            let exponent = self.down(Self::signed)?;
            return pair(|both| Node::Binary(Operator::Power, both), base, exponent);
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Result<Expression, Wrong> {
        let mut value = self.atom()?;
        loop {
            if self.takes("[") {
                let index = self.expression()?;
                self.expect("]")?;
                let span = value.span.start..self.end();
                value = new(Node::Index(Box::new([value, index])), span)?;
            } else if self.peek() == &Kind::Sign(".") {
                let wrong = Wrong::new("values have no parts that are named", self.span());
                return Err(wrong.help("functions stand before what they are given: `len(list)`"));
            } else {
                return Ok(value);
            }
        }
    }

    fn atom(&mut self) -> Result<Expression, Wrong> {
        let span = self.span();
        match self.peek().clone() {
            Kind::Number(number) => {
                self.at += 1;
                new(Node::Constant(Value::Number(number)), span)
            }
            Kind::Text(text) => {
                self.at += 1;
                new(Node::Constant(Value::text(text)), span)
            }
            Kind::Sign(word @ ("true" | "false")) => {
                self.at += 1;
                new(Node::Constant(Value::Boolean(word == "true")), span)
            }
            Kind::Name(name) => {
                self.at += 1;
                if self.takes("(") { self.call(&name, span) } else { new(Node::Name(name.into()), span) }
            }
            Kind::Sign("(") => {
                self.at += 1;
                let inner = self.expression()?;
                if self.peek() == &Kind::Sign(",") {
                    return Err(self.unexpected("`)`").help("a list stands in square brackets"));
                }
                self.expect(")")?;
                Ok(Expression { span: span.start..self.end(), ..inner })
            }
            Kind::Sign("[") => {
                self.at += 1;
                self.list(span.start)
            }
            Kind::Sign(word) if WORDS.contains(&word) => {
                Err(self.unexpected("a value").help(format!("`{word}` is a word of the language, no name")))
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    fn list(&mut self, start: usize) -> Result<Expression, Wrong> {
        let mut items = Vec::new();
        if self.takes("]") {
            return new(Node::List(items), start..self.end());
        }
        loop {
            items.push(self.expression()?);
            if items.len() == 1 && self.peek() == &Kind::Sign("for") {
                let clauses = self.clauses()?;
                self.expect("]")?;
                let item = items.pop().expect("there is one");
                return new(Node::Comprehension(Box::new(item), clauses), start..self.end());
            }
            if self.takes("]") {
                return new(Node::List(items), start..self.end());
            }
            if !self.takes(",") {
                return Err(self.unexpected("`,` or `]`"));
            }
            if self.takes("]") {
                return new(Node::List(items), start..self.end());
            }
        }
    }

    fn clauses(&mut self) -> Result<Vec<Clause>, Wrong> {
        let mut clauses = Vec::new();
        while self.takes("for") {
            let mut names = vec![self.name()?];
            while self.takes(",") {
                names.push(self.name()?);
            }
            self.expect("in")?;
            // Without `if … else`, whose `if` would be the clause's.
            let list = self.any()?;
            let mut conditions = Vec::new();
            while self.takes("if") {
                conditions.push(self.any()?);
            }
            clauses.push(Clause { names, list, conditions });
        }
        Ok(clauses)
    }

    fn name(&mut self) -> Result<Arc<str>, Wrong> {
        let Kind::Name(name) = self.peek() else { return Err(self.unexpected("a name")) };
        let name = Arc::from(name.as_str());
        self.at += 1;
        Ok(name)
    }

    fn call(&mut self, name: &str, span: Range<usize>) -> Result<Expression, Wrong> {
        let Some(function) = functions::find(name) else {
            let wrong = Wrong::new(format!("there is no function `{name}`"), span);
            return Err(match nearest(name, functions::all().map(Function::name)) {
                Some(meant) => Wrong {
                    message: format!("there is no function `{name}`: did you mean `{meant}`?"),
                    ..wrong
                },
                None => wrong.help("docs/generate.md lists them all"),
            });
        };
        let mut arguments = Vec::new();
        while !self.takes(")") {
            if !arguments.is_empty() {
                if !self.takes(",") {
                    return Err(self.unexpected("`,` or `)`"));
                }
                if self.takes(")") {
                    break;
                }
            }
            arguments.push(self.argument()?);
        }
        let whole = span.start..self.end();
        function.accepts(&arguments).map_err(|message| {
            Wrong::new(message, whole.clone()).help(format!("it is `{}`: {}", function.form, function.what))
        })?;
        new(Node::Call(function, arguments), whole)
    }

    fn argument(&mut self) -> Result<Argument, Wrong> {
        let start = self.span().start;
        let mut names = Vec::new();
        let mut by = 0;
        if let (Kind::Name(name), Kind::Sign("=>")) = (self.peek(), self.ahead(1)) {
            names.push(Arc::from(name.as_str()));
            by = 2;
        } else if self.peek() == &Kind::Sign("(") {
            // `(a, b) =>` or an expression in brackets: told apart by what follows.
            let mut ahead = 1;
            let mut found = Vec::new();
            while let Kind::Name(name) = self.ahead(ahead) {
                found.push(Arc::from(name.as_str()));
                ahead += 1;
                if self.ahead(ahead) == &Kind::Sign(",") {
                    ahead += 1;
                }
            }
            if self.ahead(ahead) == &Kind::Sign(")") && self.ahead(ahead + 1) == &Kind::Sign("=>") {
                names = found;
                by = ahead + 2;
            }
        }
        if by == 0 {
            return self.expression().map(Argument::Value);
        }
        self.at += by;
        let body = self.expression()?;
        let span = start..body.span.end;
        Ok(Argument::Arrow(Arrow { names, body, span }))
    }
}

fn pair(
    node: impl FnOnce(Box<[Expression; 2]>) -> Node,
    left: Expression,
    right: Expression,
) -> Result<Expression, Wrong> {
    let span = left.span.start..right.span.end;
    new(node(Box::new([left, right])), span)
}

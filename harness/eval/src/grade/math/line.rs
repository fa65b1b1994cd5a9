//! The real line: intervals, what several of them have together or in common.

use std::cmp::Ordering;

use super::approximate::approximate;
use super::tree::{Expr, Piece, Thing};

/// The union of intervals, or of sets.
pub(super) fn united(things: &[Thing]) -> Result<Thing, String> {
    if things.iter().all(|it| matches!(it, Thing::Set(_))) {
        let members = things.iter().flat_map(|it| if let Thing::Set(items) = it { &items[..] } else { &[] });
        return Ok(Thing::Set(members.cloned().collect()));
    }
    Ok(Thing::Line(all_pieces(things)?.concat()))
}

/// What intervals have in common.
pub(super) fn common(things: &[Thing]) -> Result<Thing, String> {
    let all = all_pieces(things)?;
    let shared = all.split_first().and_then(|(first, rest)| {
        rest.iter().try_fold(first.clone(), |shared, next| intersection(&shared, next))
    });
    match shared {
        None => Err("intervals whose ends have no order".to_owned()),
        Some(pieces) if pieces.is_empty() => Ok(Thing::Set(Vec::new())),
        Some(pieces) => Ok(Thing::Line(pieces)),
    }
}

/// A part of the real line without some of its points.
pub(super) fn without(all: &Thing, points: &Thing) -> Result<Thing, String> {
    let Thing::Set(points) = points else { return Err("what is left out is no set of points".to_owned()) };
    let mut things = vec![all.clone()];
    for point in points {
        let Thing::Value(value) = point else {
            return Err("what is left out is no set of points".to_owned());
        };
        things.push(Thing::Line(beside(&value.expr)));
    }
    common(&things)
}

/// The real line without a point.
pub(super) fn beside(point: &Expr) -> Vec<Piece> {
    let piece = |low, high| Piece { low, high, closed: (false, false) };
    let below = Expr::Negative(Box::new(Expr::Infinity));
    vec![piece(below, point.clone()), piece(point.clone(), Expr::Infinity)]
}

/// Inequalities beside one another. An "or" unites them, an "and" demands them all. With commas alone they must all hold if
/// they can (`x > 2, x < 5`); else they are alternatives (`x < 2, x > 5`).
pub(super) fn joined(lines: &[Thing], or: bool, and: bool) -> Result<Thing, String> {
    match (or, and) {
        (true, true) => Err("inequalities with an `or` and an `and`".to_owned()),
        (true, false) => united(lines),
        (false, true) => common(lines),
        (false, false) => match common(lines) {
            Ok(shared @ Thing::Line(_)) => Ok(shared),
            _ => united(lines),
        },
    }
}

fn all_pieces(things: &[Thing]) -> Result<Vec<Vec<Piece>>, String> {
    let pieces = things.iter().map(Thing::pieces).collect::<Option<Vec<_>>>();
    pieces.ok_or_else(|| "a union of what are no intervals".to_owned())
}

/// The most pieces that are compared with each other.
const MOST: usize = 40;

/// `None` where the ends of some have no order.
fn intersection(a: &[Piece], b: &[Piece]) -> Option<Vec<Piece>> {
    if a.len() > MOST || b.len() > MOST {
        return None;
    }
    let mut shared = Vec::new();
    for (one, other) in a.iter().flat_map(|one| b.iter().map(move |other| (one, other))) {
        let (low, low_closed) = match order(&one.low, &other.low)? {
            Ordering::Less => (&other.low, other.closed.0),
            Ordering::Equal => (&one.low, one.closed.0 && other.closed.0),
            Ordering::Greater => (&one.low, one.closed.0),
        };
        let (high, high_closed) = match order(&one.high, &other.high)? {
            Ordering::Less => (&one.high, one.closed.1),
            Ordering::Equal => (&one.high, one.closed.1 && other.closed.1),
            Ordering::Greater => (&other.high, other.closed.1),
        };
        let is_some = match order(low, high)? {
            Ordering::Less => true,
            Ordering::Equal => low_closed && high_closed,
            Ordering::Greater => false,
        };
        if is_some {
            shared.push(Piece { low: low.clone(), high: high.clone(), closed: (low_closed, high_closed) });
        }
    }
    Some(shared)
}

/// Which of two ends is less: by floats, those that cannot be told apart being equal.
fn order(a: &Expr, b: &Expr) -> Option<Ordering> {
    let place = |expr: &Expr| match expr {
        Expr::Infinity => Some((f64::INFINITY, 0.0)),
        Expr::Negative(inner) if **inner == Expr::Infinity => Some((f64::NEG_INFINITY, 0.0)),
        _ => approximate(expr, &[]).filter(|it| it.value.im == 0.0).map(|it| (it.value.re, it.error)),
    };
    let (a, b) = (place(a)?, place(b)?);
    if (a.0 - b.0).abs() <= a.1 + b.1 + 1e-12 * a.0.abs().max(b.0.abs()).min(f64::MAX) {
        return Some(Ordering::Equal);
    }
    a.0.partial_cmp(&b.0)
}

impl Thing {
    /// The pieces of the real line that it is, if it can be read so.
    pub(super) fn pieces(&self) -> Option<Vec<Piece>> {
        let point = |thing: &Thing| match thing {
            Self::Value(value) => Some(value.expr.clone()),
            _ => None,
        };
        match self {
            Self::Line(pieces) => Some(pieces.clone()),
            Self::Tuple(open @ ('(' | '['), items, close @ (')' | ']')) => {
                let [low, high] = &items[..] else { return None };
                Some(vec![Piece {
                    low: point(low)?,
                    high: point(high)?,
                    closed: (*open == '[', *close == ']'),
                }])
            }
            Self::Set(items) => items
                .iter()
                .map(|it| point(it).map(|it| Piece { low: it.clone(), high: it, closed: (true, true) }))
                .collect(),
            _ => None,
        }
    }
}

//! Whether an answer is what is wanted, as a whole.

use num_traits::One;

use super::super::exact::fold;
use super::approximate::approximate;
use super::equal::{Domains, equal, proportional};
use super::tree::{Expr, Piece, Thing, Value};

/// What counts, beside the value.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) domains: Vec<(String, super::super::written::Domain)>,
    pub(super) ordered: bool,
    pub(super) unit: bool,
}

/// Words in any case, without what stands around them: `(C)`, `Yes.`
fn plain(words: &str) -> String {
    let folded = fold(words, true);
    let bare = folded.trim_matches(|it: char| !it.is_alphanumeric());
    if bare.is_empty() { folded } else { bare.to_owned() }
}

/// How far a value may be from what it is rounded to, as a share.
const ROUNDED: f64 = 0.01;

/// Whether the second can be the first, rounded.
fn is_rounded(exact: &Thing, rounded: &Thing) -> bool {
    let value = |thing: &Thing| match thing {
        Thing::Value(value) => approximate(&value.expr, &[]).map(|it| it.value),
        _ => None,
    };
    value(exact).zip(value(rounded)).is_some_and(|(a, b)| (a - b).norm() <= ROUNDED * a.norm().max(b.norm()))
}

/// The most parts of a list, set or union that are compared.
const MOST: usize = 200;

impl Rules {
    fn domains(&self) -> &Domains {
        &self.domains
    }

    pub(super) fn same(&self, wanted: &Thing, found: &Thing) -> bool {
        use Thing::{Equation, Line, List, Matrix, Rounded, Set, Tuple, Words};
        match (wanted, found) {
            (wanted, Rounded(exact, rounded)) => {
                self.same(wanted, rounded) || is_rounded(exact, rounded) && self.same(wanted, exact)
            }
            (Equation(left, right), Equation(other_left, other_right)) => {
                if let [Thing::Value(a), Thing::Value(b), Thing::Value(c), Thing::Value(d)] =
                    [&**left, &**right, &**other_left, &**other_right]
                {
                    return proportional((&a.expr, &b.expr), (&c.expr, &d.expr), self.domains());
                }
                self.same(left, other_left) && self.same(right, other_right)
            }
            // `y = 2x` is also met by `2x`.
            (Equation(left, right), other) => {
                matches!(&**left, Thing::Value(Value { expr: Expr::Variable(_), .. }))
                    && self.same(right, other)
            }
            (wanted, Equation(_, right)) => self.same(wanted, right),
            (List(items), List(other)) => self.lists(items, other),
            (wanted, List(items)) if items.len() == 1 => self.same(wanted, &items[0]),
            (Set(items), Set(other) | List(other)) | (List(items), Set(other)) => self.sets(items, other),
            (List(items), Tuple(_, other, _)) | (Tuple(_, items, _), List(other)) => {
                items.len() == other.len() && items.iter().zip(other).all(|(a, b)| self.same(a, b))
            }
            (Thing::Value(wanted), Thing::Value(found)) => self.values(wanted, found),
            (Words(wanted), Words(found)) => plain(wanted) == plain(found),
            // `\text{(C)}` is met by `C`, which is a variable where none is known.
            (
                Words(wanted),
                Thing::Value(Value { expr: Expr::Variable(name), unit: None, percent: false }),
            ) => plain(wanted) == plain(name),
            (Line(pieces), other) | (other @ Tuple(..), Line(pieces)) => {
                other.pieces().is_some_and(|it| self.lines(pieces, &it))
            }
            (Tuple(open, items, close), Tuple(other_open, other, other_close)) => {
                // Of two, the brackets may tell an interval's ends.
                let alike = (open, close) == (other_open, other_close)
                    || items.len() != 2
                    || *open == '<'
                    || *other_open == '<';
                alike && items.len() == other.len() && items.iter().zip(other).all(|(a, b)| self.same(a, b))
            }
            (Matrix(_), other) | (other, Matrix(_)) => {
                let rows = if matches!(wanted, Matrix(_)) {
                    (wanted.rows(), other.rows())
                } else {
                    (other.rows(), found.rows())
                };
                rows.0.zip(rows.1).is_some_and(|(a, b)| self.matrices(&a, &b))
            }
            _ => false,
        }
    }

    fn equal(&self, a: &Expr, b: &Expr) -> bool {
        equal(a, b, self.domains())
    }

    fn values(&self, wanted: &Value, found: &Value) -> bool {
        if let Some(unit) = &wanted.unit {
            return match &found.unit {
                None => !self.unit && self.equal(&wanted.expr, &found.expr),
                Some(other) => {
                    let times = |expr: &Expr, factor: &num_rational::BigRational| {
                        if factor.is_one() {
                            return expr.clone();
                        }
                        Expr::Product(vec![expr.clone(), Expr::Number(factor.clone())])
                    };
                    other.bases == unit.bases
                        && self.equal(&times(&wanted.expr, &unit.factor), &times(&found.expr, &other.factor))
                }
            };
        }
        let share = || Expr::Quotient(Box::new(wanted.expr.clone()), Box::new(Expr::whole(100)));
        self.equal(&wanted.expr, &found.expr)
            || wanted.percent && !found.percent && self.equal(&share(), &found.expr)
    }

    fn lists(&self, wanted: &[Thing], found: &[Thing]) -> bool {
        if wanted.len() != found.len() || wanted.len() > MOST {
            return false;
        }
        if self.ordered {
            return wanted.iter().zip(found).all(|(a, b)| self.same(a, b));
        }
        let mut left: Vec<&Thing> = found.iter().collect();
        wanted.iter().all(|wanted| {
            let at = left.iter().position(|it| self.same(wanted, it));
            at.map(|it| left.swap_remove(it)).is_some()
        })
    }

    fn sets(&self, wanted: &[Thing], found: &[Thing]) -> bool {
        wanted.len() <= MOST
            && found.len() <= 2 * wanted.len()
            && wanted.iter().all(|a| found.iter().any(|b| self.same(a, b)))
            && found.iter().all(|b| wanted.iter().any(|a| self.same(a, b)))
    }

    fn lines(&self, wanted: &[Piece], found: &[Piece]) -> bool {
        if wanted.len() > MOST || found.len() > MOST {
            return false;
        }
        let (wanted, found) = (self.joined(wanted), self.joined(found));
        wanted.len() == found.len()
            && wanted.iter().all(|a| {
                found.iter().any(|b| {
                    a.closed == b.closed && self.equal(&a.low, &b.low) && self.equal(&a.high, &b.high)
                })
            })
    }

    /// Pieces that meet, as one: `[1, 2) ∪ [2, 3]` is `[1, 3]`. Those that overlap are not looked for.
    fn joined(&self, pieces: &[Piece]) -> Vec<Piece> {
        let mut joined: Vec<Piece> = pieces.to_vec();
        let mut again = joined.len() > 1;
        while again {
            again = false;
            'all: for a in 0..joined.len() {
                for b in 0..joined.len() {
                    let meets = a != b
                        && (joined[a].closed.1 || joined[b].closed.0)
                        && self.equal(&joined[a].high, &joined[b].low);
                    if meets {
                        let second = joined[b].clone();
                        joined[a].high = second.high;
                        joined[a].closed.1 = second.closed.1;
                        joined.remove(b);
                        again = true;
                        break 'all;
                    }
                }
            }
        }
        joined
    }

    /// A row is also a column: a vector is written as either.
    fn matrices(&self, wanted: &[Vec<Expr>], found: &[Vec<Expr>]) -> bool {
        let same = |a: &[&Expr], b: &[&Expr]| {
            a.len() == b.len() && a.len() <= MOST && a.iter().zip(b).all(|(a, b)| self.equal(a, b))
        };
        let shape = |rows: &[Vec<Expr>]| rows.iter().map(Vec::len).collect::<Vec<_>>();
        let is_vector = |rows: &[Vec<Expr>]| rows.len() == 1 || rows.iter().all(|it| it.len() == 1);
        let flat = |rows: &[Vec<Expr>]| {
            same(&wanted.iter().flatten().collect::<Vec<_>>(), &rows.iter().flatten().collect::<Vec<_>>())
        };
        (shape(wanted) == shape(found) || is_vector(wanted) && is_vector(found)) && flat(found)
    }
}

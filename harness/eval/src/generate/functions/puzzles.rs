//! Logic puzzles: every solution, found by trying all of them.

use super::{Call, Function, Outcome};
use crate::count::counted;
use crate::generate::Wrong;
use crate::generate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "knights(people, claims)",
        what: "every way in which each person is a knight, who says the truth, or a knave, who lies, as lists of truth values in the \
               order of `people`. A claim is [speaker, kind, who, other?] with a kind of \"knight\", \"knave\" (who is one), \"same\", \
               \"different\" (who and other are), \"knights\" (so many of all are knights: who is a number)",
        run: knights,
    },
    Function {
        form: "orders(items, clues)",
        what: "every order of up to 7 items that all clues allow. A clue is [kind, a, b?] with a kind of \"before\", \"directly before\", \
               \"next to\", \"not next to\" (of a and b), \"at\", \"not at\" (a, and a place b counted from 1)",
        run: orders,
    },
    Function {
        form: "matchings(items, values, clues)",
        what: "every way to give each of up to 7 items a value of its own that all clues allow, as lists of values in the order of \
               `items`. A clue is [\"is\", item, value], [\"not\", item, value], or [\"one of\", item, values]",
        run: matchings,
    },
];

fn knights(call: &mut Call<'_, '_>) -> Outcome {
    let people = call.list(0)?;
    if people.is_empty() || people.len() > 12 {
        return Err(call.wrong(0, "1 to 12 people"));
    }
    let claims = clues(call, 1)?;
    let mut worlds = Vec::new();
    for world in 0..1_usize << people.len() {
        call.pay(people.len() as u64 + claims.len() as u64)?;
        let is_knight = |it: usize| world >> it & 1 == 1;
        let mut holds = true;
        for claim in &claims {
            let speaker = place(call, 1, &people, claim.first())?;
            let kind = kind(call, claim.get(1))?;
            let said = match kind.as_str() {
                "knight" => is_knight(place(call, 1, &people, claim.get(2))?),
                "knave" => !is_knight(place(call, 1, &people, claim.get(2))?),
                "same" | "different" => {
                    let (a, b) =
                        (place(call, 1, &people, claim.get(2))?, place(call, 1, &people, claim.get(3))?);
                    (is_knight(a) == is_knight(b)) == (kind == "same")
                }
                "knights" => {
                    let wanted = claim.get(2).map(|it| call.small_of(1, it)).transpose()?;
                    wanted == Some(i64::from(world.count_ones()))
                }
                other => return Err(call.wrong(1, format!("no kind of claim is called `{other}`"))),
            };
            holds = holds && said == is_knight(speaker);
        }
        if holds {
            worlds.push(Value::list((0..people.len()).map(|it| Value::Boolean(is_knight(it))).collect()));
        }
    }
    call.new_list(worlds)
}

fn orders(call: &mut Call<'_, '_>) -> Outcome {
    let items = call.list(0)?;
    let clues = clues(call, 1)?;
    let mut parsed = Vec::new();
    for clue in &clues {
        let kind = kind(call, clue.first())?;
        let a = place(call, 1, &items, clue.get(1))?;
        let b = match (kind.as_str(), clue.get(2)) {
            ("at" | "not at", Some(place)) => call.small_of(1, place)? - 1,
            ("before" | "directly before" | "next to" | "not next to", b) => {
                i64::try_from(place(call, 1, &items, b)?).unwrap_or(0)
            }
            (other, _) => return Err(call.wrong(1, format!("no kind of clue is called `{other}`"))),
        };
        parsed.push((kind, a, b));
    }
    let allows = |order: &[usize]| {
        let at = |item: i64| {
            order.iter().zip(0_i64..).find(|(it, _)| i64::try_from(**it) == Ok(item)).map_or(-1, |it| it.1)
        };
        parsed.iter().all(|(kind, a, b)| {
            let first = at(i64::try_from(*a).unwrap_or(-1));
            match kind.as_str() {
                "at" => first == *b,
                "not at" => first != *b,
                "before" => first < at(*b),
                "directly before" => first + 1 == at(*b),
                "next to" => (first - at(*b)).abs() == 1,
                _ => (first - at(*b)).abs() != 1,
            }
        })
    };
    let found = arrangements(call, items.len(), 1 + clues.len(), allows)?;
    let found =
        found.iter().map(|order| Value::list(order.iter().map(|it| items[*it].clone()).collect())).collect();
    call.new_list(found)
}

fn matchings(call: &mut Call<'_, '_>) -> Outcome {
    let (items, values) = (call.list(0)?, call.list(1)?);
    if items.len() != values.len() {
        let items = counted(items.len(), "item");
        return Err(call.wrong(1, format!("{} for {items}", counted(values.len(), "value"))));
    }
    let clues = clues(call, 2)?;
    let mut parsed = Vec::new();
    for clue in &clues {
        let kind = kind(call, clue.first())?;
        let item = place(call, 2, &items, clue.get(1))?;
        let allowed: Vec<usize> = match (kind.as_str(), clue.get(2)) {
            ("one of", Some(Value::List(list))) => {
                list.iter().map(|it| place(call, 2, &values, Some(it))).collect::<Result<_, _>>()?
            }
            ("is", value) => vec![place(call, 2, &values, value)?],
            ("not", value) => {
                let not = place(call, 2, &values, value)?;
                (0..values.len()).filter(|it| *it != not).collect()
            }
            (other, _) => return Err(call.wrong(2, format!("no kind of clue is called `{other}`"))),
        };
        parsed.push((item, allowed));
    }
    let allows = |order: &[usize]| parsed.iter().all(|(item, allowed)| allowed.contains(&order[*item]));
    let found = arrangements(call, items.len(), 1 + clues.len(), allows)?;
    let found =
        found.iter().map(|order| Value::list(order.iter().map(|it| values[*it].clone()).collect())).collect();
    call.new_list(found)
}

/// The orders of so many places that are allowed; each is tried.
fn arrangements(
    call: &mut Call<'_, '_>,
    count: usize,
    cost: usize,
    allows: impl Fn(&[usize]) -> bool,
) -> Result<Vec<Vec<usize>>, Wrong> {
    if count == 0 || count > 7 {
        return Err(call.wrong(0, "1 to 7 items"));
    }
    call.pay((1..=count).product::<usize>() as u64 * cost as u64)?;
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..count {
        orders = orders
            .iter()
            .flat_map(|order| {
                (0..count).filter(|it| !order.contains(it)).map(|it| [&order[..], &[it]].concat())
            })
            .collect();
    }
    orders.retain(|it| allows(it));
    Ok(orders)
}

/// Lists of at least two values.
fn clues(call: &Call<'_, '_>, at: usize) -> Result<Vec<Vec<Value>>, Wrong> {
    let list = call.list(at)?;
    let clues = list.iter().map(|it| match it {
        Value::List(parts) if parts.len() >= 2 => Ok(parts.to_vec()),
        other => Err(call.wrong(at, format!("expected a list for each, found {}", other.told()))),
    });
    clues.collect()
}

fn kind(call: &Call<'_, '_>, value: Option<&Value>) -> Result<String, Wrong> {
    match value {
        Some(Value::Text(kind)) => Ok(kind.to_string()),
        other => {
            let found = other.map_or_else(|| "nothing".to_owned(), Value::told);
            Err(call.fails(format!("expected a kind as text, found {found}")))
        }
    }
}

/// The place of a value among those known.
fn place(call: &Call<'_, '_>, at: usize, known: &[Value], value: Option<&Value>) -> Result<usize, Wrong> {
    let Some(value) = value else { return Err(call.wrong(at, "something is missing at the end of a list")) };
    let found = known.iter().position(|it| it == value);
    found.ok_or_else(|| call.wrong(at, format!("{} is none of those named", value.told())))
}

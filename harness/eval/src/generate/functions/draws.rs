//! Draws: what differs from case to case.

use super::{Call, Function, Outcome};
use crate::count::counted;
use crate::generate::Wrong;
use crate::generate::value::Value;

/// Short names, of which no two begin with the same letter.
const NAMES: [&str; 20] = [
    "Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gita", "Hugo", "Ines", "Jon", "Kira", "Leo", "Mona", "Nils",
    "Olga", "Paul", "Rosa", "Sven", "Tara", "Vera",
];

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "int(from, to)",
        what: "a whole number from `from` to `to`, both included, each as likely",
        run: |call| {
            let (from, to) = bounds(call, 0)?;
            Ok(Value::whole(one(call, from, to)))
        },
    },
    Function {
        form: "ints(n, from, to)",
        what: "a list of n such numbers; one may occur twice",
        run: |call| {
            let n = call.count(0, 10_000)?;
            let (from, to) = bounds(call, 1)?;
            let drawn: Vec<i64> = (0..n).map(|_| one(call, from, to)).collect();
            call.new_list(drawn.into_iter().map(Value::whole).collect())
        },
    },
    Function {
        form: "distinct(n, from, to)",
        what: "a list of n such numbers, no two of them equal, in the order drawn",
        run: |call| {
            let n = call.count(0, 10_000)?;
            let (from, to) = bounds(call, 1)?;
            let room = to - from + 1;
            if i64::try_from(n).is_ok_and(|n| n > room) {
                return Err(call.wrong(0, format!("from {from} to {to} there are fewer numbers: {room}")));
            }
            let mut drawn: Vec<i64> = Vec::with_capacity(n);
            // Floyd: each step adds one number, and every set is as likely.
            for most in to - i64::try_from(n).unwrap_or(0) + 1..=to {
                call.pay(drawn.len() as u64)?;
                let it = one(call, from, most);
                drawn.push(if drawn.contains(&it) { most } else { it });
            }
            call.machine.source.shuffle(&mut drawn);
            call.new_list(drawn.into_iter().map(Value::whole).collect())
        },
    },
    Function {
        form: "choice(list)",
        what: "one item of a list, each as likely",
        run: |call| {
            let list = call.list(0)?;
            if list.is_empty() {
                return Err(call.wrong(0, "nothing can be chosen from an empty list"));
            }
            Ok(list[call.machine.source.place(list.len())].clone())
        },
    },
    Function {
        form: "sample(list, n)",
        what: "n items of a list, from n different places, in the order drawn",
        run: |call| {
            let mut list = call.list(0)?.to_vec();
            let n = call.count(1, list.len())?;
            call.machine.source.shuffle(&mut list);
            list.truncate(n);
            call.new_list(list)
        },
    },
    Function {
        form: "shuffle(list)",
        what: "the items of a list in an order of which each is as likely",
        run: |call| {
            let mut list = call.list(0)?.to_vec();
            call.machine.source.shuffle(&mut list);
            call.new_list(list)
        },
    },
    Function {
        form: "chance(p)",
        what: "`true` with probability p, a number from 0 to 1 with a denominator below 2^31",
        run: |call| {
            let p = call.number(0)?;
            let p = num_traits::ToPrimitive::to_u64(p.numer())
                .zip(num_traits::ToPrimitive::to_u64(p.denom()))
                .filter(|(top, bottom)| top <= bottom && *bottom < 1 << 31);
            let Some((top, bottom)) = p else {
                return Err(call.wrong(0, "a probability lies between 0 and 1"));
            };
            Ok(Value::Boolean(call.machine.source.below(bottom) < top))
        },
    },
    Function {
        form: "names(n)",
        what: "n of 20 short names of people, no two with the same first letter",
        run: |call| {
            let n = call.count(0, NAMES.len())?;
            let mut names = NAMES;
            call.machine.source.shuffle(&mut names);
            call.new_list(names[..n].iter().map(Value::text).collect())
        },
    },
    Function {
        form: "draw_matrix(rows, columns, from, to)",
        what: "a matrix of whole numbers from `from` to `to`",
        run: |call| {
            let (rows, columns) = (call.count(0, 12)?, call.count(1, 12)?);
            let (from, to) = bounds(call, 2)?;
            let mut matrix = Vec::new();
            for _ in 0..rows {
                matrix.push(Value::wholes((0..columns).map(|_| one(call, from, to))));
            }
            call.new_list(matrix)
        },
    },
    Function {
        form: "draw_graph(nodes, edges, from, to)",
        what: "a connected graph without loops over a list of nodes: that many edges [a, b, weight], a before b in the list, no two \
               of the same nodes, with whole weights from `from` to `to`",
        run: graph,
    },
];

/// The bounds of a draw.
fn bounds(call: &Call<'_, '_>, at: usize) -> Result<(i64, i64), Wrong> {
    let (from, to) = (call.small(at)?, call.small(at + 1)?);
    if from > to {
        return Err(call.wrong(at, format!("there is no number from {from} to {to}")));
    }
    Ok((from, to))
}

/// A number between bounds of 32 bits.
fn one(call: &mut Call<'_, '_>, from: i64, to: i64) -> i64 {
    let width = u64::try_from(to - from + 1).unwrap_or(0);
    from + i64::try_from(call.machine.source.below(width)).unwrap_or(0)
}

fn graph(call: &mut Call<'_, '_>) -> Outcome {
    let nodes = call.list(0)?;
    let count = nodes.len();
    if !(2..=50).contains(&count) {
        return Err(call.wrong(0, "a graph has 2 to 50 nodes"));
    }
    let wanted = call.count(1, count * (count - 1) / 2)?;
    if wanted < count - 1 {
        let edges = counted(count - 1, "edge");
        return Err(call.wrong(1, format!("{count} nodes are connected by at least {edges}")));
    }
    let (from, to) = bounds(call, 2)?;
    call.pay((count * count) as u64)?;
    // A tree first: each node, in a drawn order, hangs on one before it.
    let mut order: Vec<usize> = (0..count).collect();
    call.machine.source.shuffle(&mut order);
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for at in 1..count {
        let other = order[call.machine.source.place(at)];
        pairs.push((order[at].min(other), order[at].max(other)));
    }
    let mut others: Vec<(usize, usize)> =
        (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))).collect();
    others.retain(|it| !pairs.contains(it));
    call.machine.source.shuffle(&mut others);
    pairs.extend(others.into_iter().take(wanted + 1 - count));
    pairs.sort_unstable();
    let mut edges = Vec::new();
    for (a, b) in pairs {
        let weight = Value::whole(one(call, from, to));
        edges.push(call.new_list(vec![nodes[a].clone(), nodes[b].clone(), weight])?);
    }
    call.new_list(edges)
}

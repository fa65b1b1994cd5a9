//! Optimisation: the best, found among all.

use num_rational::BigRational;
use num_traits::Zero as _;

use super::{Call, Function, Outcome};
use crate::generate::value::{MOST_BITS, Value, bits, compared};

/// The largest capacity or amount: a table has a row for each.
const LARGEST: usize = 10_000;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "knapsack(items, capacity)",
        what: "the greatest worth of items [weight, worth], each taken once or not at all, whose weights, whole and above 0, add up to \
               the capacity at most",
        run: |call| {
            let capacity = call.count(1, LARGEST)?;
            let mut best = vec![BigRational::zero(); capacity + 1];
            for item in call.tuples(0, 2, "items [weight, worth]")? {
                let (weight, worth) =
                    (call.small_of(0, &item[0])?, call.numbers_of(0, &Value::list(item))?.swap_remove(1));
                let Some(weight) = usize::try_from(weight).ok().filter(|it| *it > 0) else {
                    return Err(call.wrong(0, "a weight is above 0"));
                };
                call.pay(capacity as u64)?;
                for room in (weight..=capacity).rev() {
                    let with = call.sum(&best[room - weight], &worth)?;
                    if compared(&with, &best[room]).is_gt() {
                        best[room] = with;
                    }
                }
            }
            call.new_number(best.swap_remove(capacity))
        },
    },
    Function {
        form: "coins(values, amount)",
        what: "the fewest coins of these values that add up to the amount; a mistake if none do",
        run: |call| {
            let (values, amount) = (values(call)?, call.count(1, LARGEST)?);
            call.pay((values.len() * amount) as u64)?;
            let mut fewest = vec![Some(0_u64)];
            for so_far in 1..=amount {
                let before =
                    values.iter().filter_map(|it| so_far.checked_sub(*it)).filter_map(|it| fewest[it]);
                fewest.push(before.min().map(|it| it + 1));
            }
            fewest[amount].map(Value::whole).ok_or_else(|| call.fails("no coins add up to this amount"))
        },
    },
    Function {
        form: "coin_ways(values, amount)",
        what: "how many multisets of coins of these values add up to the amount",
        run: |call| {
            let (values, amount) = (values(call)?, call.count(1, LARGEST)?);
            call.pay((values.len() * amount) as u64)?;
            let mut ways = vec![num_bigint::BigInt::zero(); amount + 1];
            ways[0] += 1;
            for value in values {
                for so_far in value..=amount {
                    let before = ways[so_far - value].clone();
                    ways[so_far] += before;
                }
            }
            call.new_number(BigRational::from_integer(ways.swap_remove(amount)))
        },
    },
    Function {
        form: "linear_program(objective, constraints)",
        what: "for [a, b], the greatest a x + b y with x, y >= 0 and every constraint [p, q, r]: p x + q y <= r; as a list of [value, x, y], \
               one for each corner that has it, none if nothing satisfies the constraints. A mistake if there is no greatest value",
        run: linear_program,
    },
    Function {
        form: "common_subsequence(a, b)",
        what: "the length of the longest text whose characters stand in both texts in this order",
        run: |call| {
            let (a, b) = texts(call)?;
            let mut last = vec![0_u32; b.len() + 1];
            for x in &a {
                let mut row = vec![0];
                for (at, y) in b.iter().enumerate() {
                    row.push(if x == y { last[at] + 1 } else { last[at + 1].max(row[at]) });
                }
                last = row;
            }
            Ok(Value::whole(last[b.len()]))
        },
    },
    Function {
        form: "edit_distance(a, b)",
        what: "the fewest insertions, deletions and replacements of a character that make one text the other",
        run: |call| {
            let (a, b) = texts(call)?;
            let mut last: Vec<usize> = (0..=b.len()).collect();
            for (done, x) in a.iter().enumerate() {
                let mut row = vec![done + 1];
                for (at, y) in b.iter().enumerate() {
                    row.push((last[at] + usize::from(x != y)).min(last[at + 1] + 1).min(row[at] + 1));
                }
                last = row;
            }
            Ok(Value::whole(last[b.len()]))
        },
    },
];

fn values(call: &Call<'_, '_>) -> Result<Vec<usize>, crate::generate::Wrong> {
    let values = call.smalls(0)?;
    let values: Option<Vec<usize>> =
        values.into_iter().map(|it| usize::try_from(it).ok().filter(|it| *it > 0)).collect();
    values.ok_or_else(|| call.wrong(0, "a coin's value is above 0"))
}

fn texts(call: &mut Call<'_, '_>) -> Result<(Vec<char>, Vec<char>), crate::generate::Wrong> {
    let (a, b): (Vec<char>, Vec<char>) = (call.text(0)?.chars().collect(), call.text(1)?.chars().collect());
    call.pay((a.len() * b.len()) as u64)?;
    Ok((a, b))
}

fn linear_program(call: &mut Call<'_, '_>) -> Outcome {
    let objective = call.numbers(0)?;
    if objective.len() != 2 {
        return Err(call.wrong(0, "expected two numbers [a, b]"));
    }
    let mut limits: Vec<[BigRational; 3]> = Vec::new();
    for it in call.tuples(1, 3, "constraints [p, q, r]")? {
        limits.extend(<[BigRational; 3]>::try_from(call.numbers_of(1, &Value::list(it))?));
    }
    if limits.len() > 20 {
        return Err(call.wrong(1, "at most 20 constraints"));
    }
    let (zero, one) = (BigRational::zero(), super::super::value::one());
    limits.push([-one.clone(), zero.clone(), zero.clone()]);
    limits.push([zero.clone(), -one, zero.clone()]);
    // Corners are products of three numbers, compared with products of as many.
    let longest = limits.iter().flatten().chain(&objective).map(bits).max().unwrap_or(0);
    if longest > MOST_BITS / 8 {
        return Err(call.fails(format!("a number has more than {} bits", MOST_BITS / 8)));
    }
    call.pay((limits.len() as u64).pow(3) * (1 + (3 * longest / 64).pow(2)))?;
    let product =
        |line: &[BigRational], point: &[BigRational; 2]| &line[0] * &point[0] + &line[1] * &point[1];
    // What is left to go on in for ever lies between directions along constraints: none may make the objective greater.
    let recedes = |way: &[BigRational; 2]| limits.iter().all(|it| product(it, way) <= zero);
    let along =
        limits.iter().flat_map(|it| [[it[1].clone(), -it[0].clone()], [-it[1].clone(), it[0].clone()]]);
    let endless = along.into_iter().any(|way| product(&objective, &way) > zero && recedes(&way));
    let mut corners: Vec<(BigRational, [BigRational; 2])> = Vec::new();
    for (at, first) in limits.iter().enumerate() {
        for second in &limits[..at] {
            let det = &first[0] * &second[1] - &first[1] * &second[0];
            if det.is_zero() {
                continue;
            }
            let across = (&first[2] * &second[1] - &first[1] * &second[2]) / &det;
            let up = (&first[0] * &second[2] - &first[2] * &second[0]) / &det;
            let corner = [across, up];
            let within = limits.iter().all(|it| product(it, &corner) <= it[2]);
            if within && corners.iter().all(|it| it.1 != corner) {
                corners.push((product(&objective, &corner), corner));
            }
        }
    }
    if endless && !corners.is_empty() {
        return Err(call.fails("there is no greatest value"));
    }
    let greatest = corners.iter().map(|it| it.0.clone()).max();
    corners.retain(|it| Some(&it.0) == greatest.as_ref());
    let corners = corners.into_iter().map(|(value, [across, up])| {
        Value::list([value, across, up].into_iter().map(Value::Number).collect())
    });
    let corners = corners.collect();
    call.new_list(corners)
}

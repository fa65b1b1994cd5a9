//! Lists: building, searching, folding; every loop runs over one.

use std::cmp::Ordering;

use super::{Call, Function, Outcome};
use crate::generate::Wrong;
use crate::generate::evaluate::LONGEST_LIST;
use crate::generate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "len(x)",
        what: "how many items a list has, or characters a text",
        run: |call| match call.value(0) {
            Value::Text(text) => Ok(Value::whole(text.chars().count())),
            _ => Ok(Value::whole(call.list(0)?.len())),
        },
    },
    Function {
        form: "range(from, to?, step?)",
        what: "the whole numbers from `from`, step by step, below `to` (above it, if the step is negative); `range(n)` is 0 to n - 1",
        run: range,
    },
    Function {
        form: "sorted(list)",
        what: "the items, the least first: numbers by size, texts by their characters, lists by their first difference",
        run: |call| {
            let keyed = call.list(0)?.iter().map(|it| (it.clone(), it.clone())).collect();
            sorted(call, keyed)
        },
    },
    Function {
        form: "sort_by(list, x => …)",
        what: "the items, those with the least key first; those with equal keys in their order",
        run: |call| {
            let mut keyed = Vec::new();
            for it in call.list(0)?.iter() {
                keyed.push((call.apply(1, std::slice::from_ref(it))?, it.clone()));
            }
            sorted(call, keyed)
        },
    },
    Function {
        form: "min_by(list, x => …)",
        what: "the first item with the least key",
        run: |call| best_by(call, Ordering::is_lt),
    },
    Function {
        form: "max_by(list, x => …)",
        what: "the first item with the greatest key",
        run: |call| best_by(call, Ordering::is_gt),
    },
    Function {
        form: "reversed(list)",
        what: "the items from the last to the first; of a text, its characters",
        run: |call| {
            if let Value::Text(text) = call.value(0) {
                let text = text.chars().rev().collect();
                return call.new_text(text);
            }
            let items = call.list(0)?.iter().rev().cloned().collect();
            call.new_list(items)
        },
    },
    Function {
        form: "unique(list)",
        what: "the items without those that stand before already",
        run: |call| {
            let mut items: Vec<Value> = Vec::new();
            for it in call.list(0)?.iter() {
                call.pay(items.len() as u64 * (1 + it.size() / 16))?;
                if !items.contains(it) {
                    items.push(it.clone());
                }
            }
            call.new_list(items)
        },
    },
    Function {
        form: "index(list, item)",
        what: "the place of the first such item, from 0; a mistake if there is none",
        run: |call| {
            let found = call.list(0)?.iter().position(|it| it == call.value(1));
            found
                .map(Value::whole)
                .ok_or_else(|| call.fails(format!("{} is not in the list", call.value(1).told())))
        },
    },
    Function {
        form: "count(list, item)",
        what: "how often the item is in the list",
        run: |call| Ok(Value::whole(call.list(0)?.iter().filter(|it| *it == call.value(1)).count())),
    },
    Function {
        form: "take(list, n)",
        what: "the first n items; all, if there are fewer. Of a text, its characters",
        run: |call| part(call, |length, n| (0, n.min(length))),
    },
    Function {
        form: "drop(list, n)",
        what: "the items without the first n",
        run: |call| part(call, |length, n| (n.min(length), length)),
    },
    Function {
        form: "replace_at(list, place, item)",
        what: "the list with another item at a place, from 0",
        run: |call| {
            let mut items = call.list(0)?.to_vec();
            let at = call.count(1, items.len().saturating_sub(1))?;
            match items.get_mut(at) {
                Some(place) => *place = call.value(2).clone(),
                None => return Err(call.wrong(0, "an empty list has no place")),
            }
            call.new_list(items)
        },
    },
    Function {
        form: "concat(lists)",
        what: "the items of a list's lists, one after another",
        run: |call| {
            let mut items = Vec::new();
            for it in call.list(0)?.iter() {
                match it {
                    Value::List(inner) => items.extend(inner.iter().cloned()),
                    other => {
                        return Err(
                            call.wrong(0, format!("expected a list of lists, found {}", other.told()))
                        );
                    }
                }
            }
            call.new_list(items)
        },
    },
    Function {
        form: "zip(a, b, …)",
        what: "lists of the first items, of the second items, and so on, up to the end of the shortest list",
        run: |call| {
            let lists = (0..call.len()).map(|at| call.list(at)).collect::<Result<Vec<_>, _>>()?;
            let shortest = lists.iter().map(|it| it.len()).min().unwrap_or(0);
            let mut items = Vec::new();
            for at in 0..shortest {
                items.push(call.new_list(lists.iter().map(|it| it[at].clone()).collect())?);
            }
            call.new_list(items)
        },
    },
    Function {
        form: "all(list)",
        what: "whether every item is true; so it is of none",
        run: |call| truths(call).map(|it| Value::Boolean(it.into_iter().all(|it| it))),
    },
    Function {
        form: "any(list)",
        what: "whether some item is true",
        run: |call| truths(call).map(|it| Value::Boolean(it.into_iter().any(|it| it))),
    },
    Function {
        form: "only(list)",
        what: "the one item of a list; a mistake if it has none or several: an answer that is not unique is no answer",
        run: |call| match &call.list(0)?[..] {
            [only] => Ok(only.clone()),
            items => Err(call.fails(format!("there are {} solutions, not one", items.len()))),
        },
    },
    Function {
        form: "lookup(pairs, key)",
        what: "the second item of the first pair whose first item is the key; a mistake if there is none",
        run: |call| {
            let pairs = call.tuples(0, 2, "pairs [key, value]")?;
            let found = pairs.into_iter().find(|it| it[0] == *call.value(1));
            let found = found.map(|mut it| it.swap_remove(1));
            found.ok_or_else(|| call.wrong(1, format!("no pair has the key {}", call.value(1).told())))
        },
    },
    Function {
        form: "fold(list, start, (so_far, item) => …)",
        what: "what is left after the items were taken in one by one",
        run: |call| {
            let mut so_far = call.value(1).clone();
            for it in call.list(0)?.iter() {
                so_far = call.apply(2, &[so_far, it.clone()])?;
            }
            Ok(so_far)
        },
    },
    Function {
        form: "scan(list, start, (so_far, item) => …)",
        what: "the start, and what there is after each item",
        run: |call| {
            let mut states = vec![call.value(1).clone()];
            for it in call.list(0)?.iter() {
                let last = states.last().cloned().expect("it begins with one");
                states.push(call.apply(2, &[last, it.clone()])?);
            }
            call.new_list(states)
        },
    },
    Function {
        form: "iterate(start, n, x => …)",
        what: "the start, and what there is after each of n steps",
        run: |call| {
            let n = call.count(1, LONGEST_LIST - 1)?;
            let mut states = vec![call.value(0).clone()];
            for _ in 0..n {
                let last = states.last().cloned().expect("it begins with one");
                states.push(call.apply(2, &[last])?);
            }
            call.new_list(states)
        },
    },
    Function {
        form: "until(start, x => …, x => …, most)",
        what: "the start, and what there is after each step (the second `=>`) until the first `=>` is true, at most `most` steps; a \
               mistake if it is not true then",
        run: |call| {
            let most = call.count(3, LONGEST_LIST - 1)?;
            let mut states = vec![call.value(0).clone()];
            for _ in 0..=most {
                let last = states.last().cloned().expect("it begins with one");
                if call.test(1, std::slice::from_ref(&last))? {
                    return call.new_list(states);
                }
                states.push(call.apply(2, &[last])?);
            }
            Err(call.fails(format!("it does not end within {most} steps")))
        },
    },
    Function {
        form: "table(n, (i, so_far) => …)",
        what: "a list of n values, each computed from its place and the list of those before it: a recurrence",
        run: |call| {
            let n = call.count(0, 5_000)?;
            let mut items: Vec<Value> = Vec::new();
            for at in 0..n {
                let so_far = call.new_list(items.clone())?;
                items.push(call.apply(1, &[Value::whole(at), so_far])?);
            }
            call.new_list(items)
        },
    },
    Function {
        form: "permutations(list)",
        what: "every order of up to 7 items, by their places",
        run: |call| {
            let list = call.list(0)?;
            if list.len() > 7 {
                return Err(call.wrong(0, "at most 7 items are put into every order"));
            }
            let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
            for _ in 0..list.len() {
                orders = orders
                    .iter()
                    .flat_map(|order| {
                        (0..list.len())
                            .filter(|it| !order.contains(it))
                            .map(|it| [&order[..], &[it]].concat())
                    })
                    .collect();
            }
            chosen(call, &list, &orders)
        },
    },
    Function {
        form: "combinations(list, k)",
        what: "every choice of k items in the order of the list, by their places",
        run: |call| {
            let list = call.list(0)?;
            let k = call.count(1, list.len())?;
            if super::numbers::more_sets_than(list.len(), k, 20_000) {
                return Err(call.fails("there are more than 20 000 choices"));
            }
            let mut choices: Vec<Vec<usize>> = vec![Vec::new()];
            for chosen in 0..k {
                call.pay((choices.len() * list.len()) as u64)?;
                choices = choices
                    .iter()
                    .flat_map(|choice| {
                        let from = choice.last().map_or(0, |it| it + 1);
                        // So that enough are left for those still to choose.
                        (from..=list.len() - (k - chosen)).map(|it| [&choice[..], &[it]].concat())
                    })
                    .collect();
            }
            chosen(call, &list, &choices)
        },
    },
    Function {
        form: "tuples(list, n)",
        what: "every list of n items of a list, one item perhaps several times",
        run: |call| {
            let list = call.list(0)?;
            let n = call.count(1, 16)?;
            let many =
                u32::try_from(n).ok().and_then(|n| list.len().checked_pow(n)).filter(|it| *it <= 20_000);
            if many.is_none() {
                return Err(call.fails("there are more than 20 000 such lists"));
            }
            let mut tuples: Vec<Vec<usize>> = vec![Vec::new()];
            for _ in 0..n {
                tuples = tuples
                    .iter()
                    .flat_map(|tuple| (0..list.len()).map(|it| [&tuple[..], &[it]].concat()))
                    .collect();
            }
            chosen(call, &list, &tuples)
        },
    },
];

fn range(call: &mut Call<'_, '_>) -> Outcome {
    let (from, to) = if call.len() == 1 { (0, call.small(0)?) } else { (call.small(0)?, call.small(1)?) };
    let step = if call.len() > 2 { call.small(2)? } else { 1 };
    let distance = if step < 0 { from - to } else { to - from };
    if step == 0 {
        return Err(call.wrong(2, "a step of 0 leads nowhere"));
    }
    let length =
        usize::try_from(distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs())).unwrap_or(usize::MAX);
    if length > LONGEST_LIST {
        return Err(call.fails(format!("a list has at most {LONGEST_LIST} items")));
    }
    let items = std::iter::successors(Some(from), |it| Some(it + step)).take(length);
    call.new_list(items.map(Value::whole).collect())
}

fn sorted(call: &mut Call<'_, '_>, mut keyed: Vec<(Value, Value)>) -> Outcome {
    let size = keyed.iter().map(|it| 1 + it.0.size() / 16).fold(0, u64::saturating_add);
    call.pay(size.saturating_mul(u64::from(keyed.len().max(1).ilog2() + 1)))?;
    keyed.sort_by(|a, b| a.0.total(&b.0));
    if let Some((a, b)) = keyed.windows(2).map(|it| (&it[0].0, &it[1].0)).find(|(a, b)| a.order(b).is_none())
    {
        return Err(call.wrong(0, format!("{} and {} have no order", a.told(), b.told())));
    }
    call.new_list(keyed.into_iter().map(|it| it.1).collect())
}

fn best_by(call: &mut Call<'_, '_>, better: fn(Ordering) -> bool) -> Outcome {
    let mut best: Option<(Value, Value)> = None;
    for it in call.list(0)?.iter() {
        let key = call.apply(1, std::slice::from_ref(it))?;
        let wins = match &best {
            None => true,
            Some((least, _)) => match key.order(least) {
                Some(order) => better(order),
                None => {
                    return Err(call.wrong(1, format!("{} and {} have no order", key.told(), least.told())));
                }
            },
        };
        if wins {
            best = Some((key, it.clone()));
        }
    }
    best.map(|it| it.1).ok_or_else(|| call.wrong(0, "an empty list has no best item"))
}

fn part(call: &mut Call<'_, '_>, of: fn(usize, usize) -> (usize, usize)) -> Outcome {
    let n = call.count(1, usize::MAX)?;
    if let Value::Text(text) = call.value(0) {
        let letters: Vec<char> = text.chars().collect();
        let (from, to) = of(letters.len(), n);
        return call.new_text(letters[from..to].iter().collect());
    }
    let list = call.list(0)?;
    let (from, to) = of(list.len(), n);
    call.new_list(list[from..to].to_vec())
}

fn truths(call: &Call<'_, '_>) -> Result<Vec<bool>, Wrong> {
    let list = call.list(0)?;
    let truths = list.iter().map(|it| match it {
        Value::Boolean(truth) => Ok(*truth),
        other => Err(call.wrong(0, format!("expected truth values, found {}", other.told()))),
    });
    truths.collect()
}

/// The items at these places, as lists.
fn chosen(call: &mut Call<'_, '_>, list: &[Value], choices: &[Vec<usize>]) -> Outcome {
    let mut items = Vec::with_capacity(choices.len());
    for choice in choices {
        items.push(call.new_list(choice.iter().map(|it| list[*it].clone()).collect())?);
    }
    call.new_list(items)
}

//! Graphs: lists of edges, and what is asked of them.

use std::collections::{BTreeMap, BTreeSet};

use num_rational::BigRational;
use num_traits::{Signed as _, Zero as _};

use super::{Call, Function, Outcome};
use crate::generate::Wrong;
use crate::generate::value::{Value, compared};

/// The most nodes and edges.
const MOST: usize = 500;

/// The most ways and chains that share a length.
const MOST_WAYS: usize = 100;

/// Edges between numbered nodes, from, to, weight.
struct Graph {
    nodes: Vec<Value>,
    edges: Vec<(usize, usize, BigRational)>,
}

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "both_ways(edges)",
        what: "the edges [a, b, weight] and each of them back again: what has no direction as what has one",
        run: |call| {
            let mut all = Vec::new();
            for edge in call.tuples(0, 3, "edges [from, to, weight]")? {
                let back = vec![edge[1].clone(), edge[0].clone(), edge[2].clone()];
                all.push(call.new_list(edge)?);
                all.push(call.new_list(back)?);
            }
            call.new_list(all)
        },
    },
    Function {
        form: "shortest(edges, from, to)",
        what: "every shortest way along edges [from, to, weight], with weights above 0, as a list of [length, nodes]; at most 100, none if \
               no way leads there",
        run: shortest,
    },
    Function {
        form: "distance(edges, from, to)",
        what: "the length of the shortest way, however many are as short",
        run: |call| {
            let (graph, from, to) = between(call)?;
            let distances = distances(call, &graph, from)?;
            distances[to].clone().map(Value::Number).ok_or_else(|| call.fails("there is no way"))
        },
    },
    Function {
        form: "spanning_tree(edges)",
        what: "the least total weight of edges, taken without direction, that connect all nodes",
        run: |call| {
            let mut graph = graph(call, 0)?;
            graph.edges.sort_by(|a, b| compared(&a.2, &b.2));
            let mut group: Vec<usize> = (0..graph.nodes.len()).collect();
            let mut total = BigRational::zero();
            for (from, to, weight) in &graph.edges {
                let (a, b) = (group[*from], group[*to]);
                if a != b {
                    call.pay(group.len() as u64)?;
                    group.iter_mut().filter(|it| **it == b).for_each(|it| *it = a);
                    total = call.sum(&total, weight)?;
                }
            }
            if group.iter().any(|it| *it != group[0]) {
                return Err(call.fails("the edges do not connect all nodes"));
            }
            Ok(Value::Number(total))
        },
    },
    Function {
        form: "components(nodes, pairs)",
        what: "the groups of nodes that pairs [a, b] connect, each in the order of `nodes`",
        run: |call| {
            let nodes = call.list(0)?;
            let pairs = indexed_pairs(call, &nodes)?;
            let mut group: Vec<usize> = (0..nodes.len()).collect();
            for (a, b) in pairs {
                let (a, b) = (group[a].min(group[b]), group[a].max(group[b]));
                call.pay(group.len() as u64)?;
                group.iter_mut().filter(|it| **it == b).for_each(|it| *it = a);
            }
            let mut groups: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
            for (at, it) in group.into_iter().enumerate() {
                groups.entry(it).or_default().push(nodes[at].clone());
            }
            let groups = groups.into_values().map(Value::list).collect();
            call.new_list(groups)
        },
    },
    Function {
        form: "reachable(pairs, from)",
        what: "the nodes to which a way leads from a node along pairs [from, to], itself first, the nearest next",
        run: |call| {
            let pairs = call.tuples(0, 2, "pairs [from, to]")?;
            let cost = call.value(0).cost();
            let mut found = vec![call.value(1).clone()];
            let mut next = 0;
            while next < found.len() {
                call.pay(cost)?;
                for pair in &pairs {
                    if pair[0] == found[next] && !found.contains(&pair[1]) {
                        found.push(pair[1].clone());
                    }
                }
                next += 1;
            }
            call.new_list(found)
        },
    },
    Function {
        form: "topological(nodes, pairs)",
        what: "every order of up to 9 nodes in which, for each pair [a, b], a stands before b; at most 2 000, none if they go round",
        run: |call| {
            let nodes = call.list(0)?;
            if nodes.len() > 9 {
                return Err(call.wrong(0, "at most 9 nodes"));
            }
            let pairs = indexed_pairs(call, &nodes)?;
            let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
            for _ in 0..nodes.len() {
                call.pay((orders.len() * nodes.len() * (1 + pairs.len())) as u64)?;
                let ready = |order: &Vec<usize>, it: usize| {
                    !order.contains(&it) && pairs.iter().all(|(a, b)| *b != it || order.contains(a))
                };
                orders = orders
                    .iter()
                    .flat_map(|order| {
                        (0..nodes.len()).filter(|it| ready(order, *it)).map(|it| [&order[..], &[it]].concat())
                    })
                    .collect();
                if orders.len() > 2_000 {
                    return Err(call.fails("there are more than 2 000 such orders"));
                }
            }
            let orders =
                orders.iter().map(|order| Value::list(order.iter().map(|it| nodes[*it].clone()).collect()));
            let orders = orders.collect();
            call.new_list(orders)
        },
    },
    Function {
        form: "max_flow(edges, source, sink)",
        what: "the most that flows from source to sink along edges [from, to, capacity]",
        run: max_flow,
    },
    Function {
        form: "critical_path(tasks)",
        what: "every longest chain of tasks [name, duration, names of those before it], as a list of [length, names]: the shortest time in \
               which all can be done. At most 100; a mistake if tasks wait for one another in a circle",
        run: critical_path,
    },
];

fn graph(call: &Call<'_, '_>, at: usize) -> Result<Graph, Wrong> {
    let mut graph = Graph { nodes: Vec::new(), edges: Vec::new() };
    let rows = call.tuples(at, 3, "edges [from, to, weight]")?;
    if rows.is_empty() || rows.len() > MOST {
        return Err(call.wrong(at, format!("a graph has 1 to {MOST} edges")));
    }
    for row in rows {
        let Value::Number(weight) = &row[2] else {
            return Err(call.wrong(at, format!("a weight is a number, not {}", row[2].told())));
        };
        if weight.is_negative() {
            return Err(call.wrong(at, "a weight is not below 0"));
        }
        let mut node = |value: &Value| {
            graph.nodes.iter().position(|it| it == value).unwrap_or_else(|| {
                graph.nodes.push(value.clone());
                graph.nodes.len() - 1
            })
        };
        let (from, to) = (node(&row[0]), node(&row[1]));
        graph.edges.push((from, to, weight.clone()));
    }
    Ok(graph)
}

fn between(call: &Call<'_, '_>) -> Result<(Graph, usize, usize), Wrong> {
    let graph = graph(call, 0)?;
    let node = |at: usize| {
        let found = graph.nodes.iter().position(|it| it == call.value(at));
        found.ok_or_else(|| call.wrong(at, format!("no edge has the node {}", call.value(at).told())))
    };
    let (from, to) = (node(1)?, node(2)?);
    Ok((graph, from, to))
}

fn indexed_pairs(call: &mut Call<'_, '_>, nodes: &[Value]) -> Result<Vec<(usize, usize)>, Wrong> {
    if nodes.len() > MOST {
        return Err(call.wrong(0, format!("at most {MOST} nodes")));
    }
    let size = nodes.iter().map(|it| 1 + it.size() / 16).sum::<u64>();
    call.pay(size.saturating_mul(call.list(1)?.len() as u64))?;
    let place = |value: &Value| {
        let found = nodes.iter().position(|it| it == value);
        found.ok_or_else(|| call.wrong(1, format!("{} is none of the nodes", value.told())))
    };
    call.tuples(1, 2, "pairs [a, b]")?.iter().map(|it| Ok((place(&it[0])?, place(&it[1])?))).collect()
}

/// The distance of each node from one: Bellman and Ford, as there are few edges.
fn distances(call: &mut Call<'_, '_>, graph: &Graph, from: usize) -> Result<Vec<Option<BigRational>>, Wrong> {
    let mut distances: Vec<Option<BigRational>> = vec![None; graph.nodes.len()];
    distances[from] = Some(BigRational::zero());
    for _ in 0..graph.nodes.len() {
        call.pay(graph.edges.len() as u64)?;
        let mut changed = false;
        for (a, b, weight) in &graph.edges {
            let Some(so_far) = &distances[*a] else { continue };
            let through = call.sum(so_far, weight)?;
            if distances[*b].as_ref().is_none_or(|it| compared(&through, it).is_lt()) {
                distances[*b] = Some(through);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    Ok(distances)
}

fn shortest(call: &mut Call<'_, '_>) -> Outcome {
    let (graph, from, to) = between(call)?;
    if graph.edges.iter().any(|it| it.2.is_zero()) {
        return Err(call.wrong(0, "a weight of 0: ways could go round for nothing"));
    }
    let distances = distances(call, &graph, from)?;
    let Some(length) = distances[to].clone() else { return call.new_list(Vec::new()) };
    // Back from the end along edges that lose nothing: weights are above 0, so that no way goes round.
    let mut ways = vec![vec![to]];
    while let Some(at) = ways.iter().position(|it| it.last() != Some(&from)) {
        call.pay(graph.edges.len() as u64)?;
        let way = ways.swap_remove(at);
        let last = *way.last().expect("a way has a node");
        for (a, b, weight) in &graph.edges {
            let tight =
                distances[*a].as_ref().is_some_and(|it| distances[last].as_ref() == Some(&(it + weight)));
            if *b == last && tight {
                ways.push([&way[..], &[*a]].concat());
            }
        }
        if ways.len() > MOST_WAYS {
            return Err(call.fails(format!("there are more than {MOST_WAYS} shortest ways")));
        }
    }
    let nodes =
        |way: Vec<usize>| Value::list(way.into_iter().rev().map(|it| graph.nodes[it].clone()).collect());
    let ways =
        ways.into_iter().map(|way| Value::list(vec![Value::Number(length.clone()), nodes(way)])).collect();
    call.new_list(ways)
}

/// Edmonds and Karp: along the way with the fewest edges, as long as there is one.
fn max_flow(call: &mut Call<'_, '_>) -> Outcome {
    let (graph, source, sink) = between(call)?;
    if source == sink {
        return Err(call.fails("the source is the sink"));
    }
    let count = graph.nodes.len();
    if count > 50 {
        return Err(call.wrong(0, "at most 50 nodes"));
    }
    let mut room = vec![vec![BigRational::zero(); count]; count];
    for (from, to, capacity) in &graph.edges {
        room[*from][*to] = call.sum(&room[*from][*to], capacity)?;
    }
    let mut flow = BigRational::zero();
    loop {
        call.pay((count * count) as u64)?;
        let mut before: Vec<Option<usize>> = vec![None; count];
        before[source] = Some(source);
        let mut queue = vec![source];
        let mut next = 0;
        while let Some(at) = queue.get(next).copied() {
            for to in 0..count {
                if before[to].is_none() && room[at][to].is_positive() {
                    before[to] = Some(at);
                    queue.push(to);
                }
            }
            next += 1;
        }
        let mut way = Vec::new();
        let mut at = sink;
        while let Some(from) = before[at].filter(|_| at != source) {
            way.push((from, at));
            at = from;
        }
        let most = way.iter().map(|(from, to)| &room[*from][*to]).min_by(|a, b| compared(a, b)).cloned();
        let Some(most) = most else { break };
        for (from, to) in way {
            room[from][to] = call.difference(&room[from][to], &most)?;
            room[to][from] = call.sum(&room[to][from], &most)?;
        }
        flow = call.sum(&flow, &most)?;
    }
    Ok(Value::Number(flow))
}

fn critical_path(call: &mut Call<'_, '_>) -> Outcome {
    let tasks = call.tuples(0, 3, "tasks [name, duration, names of those before it]")?;
    if tasks.len() > MOST {
        return Err(call.wrong(0, format!("at most {MOST} tasks")));
    }
    let mut parsed = Vec::new();
    for task in &tasks {
        let (Value::Number(duration), Value::List(before)) = (&task[1], &task[2]) else {
            return Err(call.wrong(0, "a task is [name, duration, names of those before it]"));
        };
        let before = before.iter().map(|name| tasks.iter().position(|it| it[0] == *name));
        let Some(before) = before.collect::<Option<Vec<usize>>>() else {
            return Err(call.wrong(0, format!("{} waits for a task that is not there", task[0].told())));
        };
        parsed.push((duration.clone(), before));
    }
    let mut ends: Vec<Option<BigRational>> = vec![None; tasks.len()];
    let mut left: BTreeSet<usize> = (0..tasks.len()).collect();
    while !left.is_empty() {
        call.pay((left.len() * tasks.len()) as u64)?;
        let ready =
            left.iter().copied().find(|it| parsed[*it].1.iter().all(|before| ends[*before].is_some()));
        let Some(at) = ready else { return Err(call.wrong(0, "the tasks wait for one another in a circle")) };
        left.remove(&at);
        let (duration, before) = &parsed[at];
        let begins = before.iter().filter_map(|it| ends[*it].as_ref()).max_by(|a, b| compared(a, b));
        ends[at] = Some(call.sum(begins.unwrap_or(&BigRational::zero()), duration)?);
    }
    let last = ends.iter().flatten().max_by(|a, b| compared(a, b)).cloned();
    let Some(length) = last else { return call.new_list(Vec::new()) };
    // Back from the last, along what each really waited for.
    let mut chains: Vec<Vec<usize>> =
        (0..tasks.len()).filter(|it| ends[*it].as_ref() == Some(&length)).map(|it| vec![it]).collect();
    let mut whole = Vec::new();
    while let Some(chain) = chains.pop() {
        call.pay(tasks.len() as u64)?;
        let first = *chain.last().expect("a chain has a task");
        let (duration, before) = &parsed[first];
        let begins = ends[first].as_ref().map(|it| it - duration);
        if before.is_empty() {
            whole.push(chain);
        } else {
            let awaited = before.iter().filter(|it| ends[**it] == begins);
            chains.extend(awaited.map(|it| [&chain[..], &[*it]].concat()));
        }
        if whole.len() + chains.len() > MOST_WAYS {
            return Err(call.fails(format!("there are more than {MOST_WAYS} longest chains")));
        }
    }
    let names =
        |chain: Vec<usize>| Value::list(chain.into_iter().rev().map(|it| tasks[it][0].clone()).collect());
    let chains =
        whole.into_iter().map(|it| Value::list(vec![Value::Number(length.clone()), names(it)])).collect();
    call.new_list(chains)
}

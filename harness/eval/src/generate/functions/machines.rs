//! Schedules, caches and state machines, step by step.

use super::{Call, Function, Outcome};
use crate::generate::Wrong;
use crate::generate::value::{Value, compared};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "fcfs(jobs)",
        what: "when each job [arrival, length] is done on one processor, first come, first served; of equal arrivals, the first in the \
               list. In the order of the list, as are all below",
        run: |call| {
            let jobs = jobs(call)?;
            let ends = one_by_one(call, &jobs, |waiting| *waiting.first().expect("one waits"))?;
            call.new_list(ends.into_iter().map(Value::whole).collect())
        },
    },
    Function {
        form: "sjf(jobs)",
        what: "the same, taking the shortest of those that have arrived, and never interrupting one; of equal ones, the earliest arrival",
        run: |call| {
            let jobs = jobs(call)?;
            let shortest = |waiting: &[(usize, Job)]| {
                *waiting.iter().min_by_key(|(_, job)| job.length).expect("one waits")
            };
            let ends = one_by_one(call, &jobs, shortest)?;
            call.new_list(ends.into_iter().map(Value::whole).collect())
        },
    },
    Function {
        form: "srtf(jobs)",
        what: "the same, always running the job with the least left to do; of equal ones, the earliest arrival",
        run: |call| {
            let jobs = jobs(call)?;
            let mut left: Vec<i64> = jobs.iter().map(|it| it.length).collect();
            let mut ends = vec![0; jobs.len()];
            let mut time = 0;
            while left.iter().any(|it| *it > 0) {
                call.pay(1 + jobs.len() as u64)?;
                let ready = (0..jobs.len()).filter(|it| left[*it] > 0 && jobs[*it].arrival <= time);
                match ready.min_by_key(|it| (left[*it], jobs[*it].arrival)) {
                    Some(at) => {
                        left[at] -= 1;
                        time += 1;
                        ends[at] = time;
                    }
                    None => time += 1,
                }
            }
            call.new_list(ends.into_iter().map(Value::whole).collect())
        },
    },
    Function {
        form: "round_robin(jobs, quantum)",
        what: "the same, each job in turn for at most `quantum`; one that arrives stands before one whose quantum ends then",
        run: round_robin,
    },
    Function {
        form: "makespan(lengths, workers)",
        what: "when the last is done of jobs that start in the order of the list, each on the worker that is free first",
        run: |call| {
            let lengths = call.numbers(0)?;
            let workers = call.count(1, 1_000)?;
            if workers == 0 {
                return Err(call.wrong(1, "nobody works"));
            }
            call.pay((lengths.len() * workers) as u64)?;
            let mut free = vec![num_rational::BigRational::from_integer(0.into()); workers];
            for it in lengths {
                if let Some(next) = free.iter_mut().min_by(|a, b| compared(a, b)) {
                    *next = call.sum(next, &it)?;
                }
            }
            let last = free.into_iter().max_by(compared).expect("there are workers");
            Ok(Value::Number(last))
        },
    },
    Function {
        form: "cache(policy, size, requests)",
        what: "for each request whether it hits a cache of `size` places, empty at first. `policy` is what makes room: \"lru\", the least \
               recently used, \"fifo\", the one there longest, or \"direct\", the one at place request % size, of whole requests from 0",
        run: cache,
    },
    Function {
        form: "states(transitions, start, word)",
        what: "the states that a machine goes through, the start first: transitions are [state, sign, next state], and the word is a \
               text or a list of signs. A mistake if there is no transition, or several",
        run: |call| {
            let transitions = call.tuples(0, 3, "transitions [state, sign, next state]")?;
            let word = match call.value(2) {
                Value::Text(text) => text.chars().map(|it| Value::text(it.to_string())).collect(),
                _ => call.list(2)?.to_vec(),
            };
            let cost = call.value(0).cost();
            let mut states = vec![call.value(1).clone()];
            for sign in &word {
                call.pay(cost)?;
                let state = states.last().cloned().expect("it begins with one");
                let mut next = transitions.iter().filter(|it| it[0] == state && it[1] == *sign);
                match (next.next(), next.next()) {
                    (Some(only), None) => states.push(only[2].clone()),
                    (None, _) => {
                        let message = format!("no transition from {} with {}", state.told(), sign.told());
                        return Err(call.wrong(0, message));
                    }
                    (Some(_), Some(_)) => {
                        let message =
                            format!("several transitions from {} with {}", state.told(), sign.told());
                        return Err(call.wrong(0, message));
                    }
                }
            }
            call.new_list(states)
        },
    },
    Function {
        form: "master(a, b, d)",
        what: "how T(n) = a T(n / b) + n^d grows, for whole a >= 1, b >= 2, d >= 0, as a text: \"n^2\", \"n log n\", \"log n\", \"n\", \
               \"1\". A mistake where the exponent is no whole number",
        run: |call| {
            let (a, b, d) = (call.count(0, 1_000_000)?, call.count(1, 1_000_000)?, call.count(2, 20)?);
            if a == 0 || b < 2 {
                return Err(call.fails("a is at least 1, and b at least 2"));
            }
            let mut critical = 0;
            let mut power = 1_usize;
            while power < a {
                power *= b;
                critical += 1;
            }
            let whole = power == a;
            let polynomial = |exponent: usize| match exponent {
                0 => "1".to_owned(),
                1 => "n".to_owned(),
                more => format!("n^{more}"),
            };
            // Only whether b^d is above a matters where log_b a is no whole number.
            let growth = if whole && critical == d {
                if d == 0 { "log n".to_owned() } else { format!("{} log n", polynomial(d)) }
            } else if d >= critical {
                polynomial(d)
            } else if whole {
                polynomial(critical)
            } else {
                return Err(call.fails(format!("log of {a} in base {b} is no whole number")));
            };
            call.new_text(growth)
        },
    },
];

/// When a job comes, and how long it takes.
#[derive(Clone, Copy)]
struct Job {
    arrival: i64,
    length: i64,
}

fn jobs(call: &Call<'_, '_>) -> Result<Vec<Job>, Wrong> {
    let mut jobs = Vec::new();
    for it in call.tuples(0, 2, "jobs [arrival, length]")? {
        let (arrival, length) = (call.small_of(0, &it[0])?, call.small_of(0, &it[1])?);
        if arrival < 0 || length < 1 {
            return Err(call.wrong(0, "a job arrives at 0 or later, and its length is at least 1"));
        }
        jobs.push(Job { arrival, length });
    }
    Ok(jobs)
}

/// The ends of jobs, each run as a whole; those that wait are given by arrival.
fn one_by_one(
    call: &mut Call<'_, '_>,
    jobs: &[Job],
    next: impl Fn(&[(usize, Job)]) -> (usize, Job),
) -> Result<Vec<i64>, Wrong> {
    let mut left: Vec<(usize, Job)> = jobs.iter().copied().enumerate().collect();
    left.sort_by_key(|(_, job)| job.arrival);
    let mut ends = vec![0; jobs.len()];
    let mut time = 0;
    while let Some((_, first)) = left.first() {
        call.pay(left.len() as u64)?;
        time = time.max(first.arrival);
        let waiting = left.partition_point(|(_, job)| job.arrival <= time);
        let (at, job) = next(&left[..waiting]);
        time += job.length;
        ends[at] = time;
        left.retain(|(other, _)| *other != at);
    }
    Ok(ends)
}

fn round_robin(call: &mut Call<'_, '_>) -> Outcome {
    let jobs = jobs(call)?;
    let quantum = call.small(1)?;
    if quantum < 1 {
        return Err(call.wrong(1, "a quantum is at least 1"));
    }
    let mut coming: Vec<usize> = (0..jobs.len()).collect();
    coming.sort_by_key(|it| jobs[*it].arrival);
    let mut coming = coming.into_iter().peekable();
    let mut left: Vec<i64> = jobs.iter().map(|it| it.length).collect();
    let mut ends = vec![0; jobs.len()];
    let mut queue = std::collections::VecDeque::new();
    let mut time = 0;
    loop {
        call.pay(1)?;
        while let Some(at) = coming.next_if(|it| jobs[*it].arrival <= time) {
            queue.push_back(at);
        }
        let Some(at) = queue.pop_front() else {
            let Some(next) = coming.peek() else { break };
            time = jobs[*next].arrival;
            continue;
        };
        let ran = quantum.min(left[at]);
        time += ran;
        left[at] -= ran;
        while let Some(it) = coming.next_if(|it| jobs[*it].arrival <= time) {
            queue.push_back(it);
        }
        if left[at] > 0 {
            queue.push_back(at);
        } else {
            ends[at] = time;
        }
    }
    call.new_list(ends.into_iter().map(Value::whole).collect())
}

fn cache(call: &mut Call<'_, '_>) -> Outcome {
    let policy = call.text(0)?;
    let size = call.count(1, 10_000)?;
    if size == 0 {
        return Err(call.wrong(1, "a cache has at least one place"));
    }
    if !["lru", "fifo", "direct"].contains(&policy.as_str()) {
        let wrong = call.wrong(0, format!("no policy `{policy}`"));
        return Err(wrong.help("known are \"lru\", \"fifo\" and \"direct\""));
    }
    let requests = call.list(2)?;
    let mut hits = Vec::new();
    // For those that order what they hold: the next to go is the first.
    let mut held: Vec<Value> = Vec::new();
    let mut places: Vec<Option<Value>> = vec![None; size];
    for request in requests.iter() {
        call.pay(1 + held.len() as u64 * (1 + request.size() / 16))?;
        if policy == "direct" {
            let Ok(number) = usize::try_from(call.small_of(2, request)?) else {
                return Err(call.wrong(2, "a request is a number from 0"));
            };
            let before = places[number % size].replace(request.clone());
            hits.push(Value::Boolean(before.as_ref() == Some(request)));
            continue;
        }
        let found = held.iter().position(|it| it == request);
        if let Some(at) = found {
            if policy == "lru" {
                let it = held.remove(at);
                held.push(it);
            }
        } else {
            if held.len() == size {
                held.remove(0);
            }
            held.push(request.clone());
        }
        hits.push(Value::Boolean(found.is_some()));
    }
    call.new_list(hits)
}

//! Numbers to cells: the tables that every format shows.

use serde_json::Value;

use super::text::{self, NONE, or_dash};
use super::{Change, Distribution, Model, Report, Run, Scores};

/// A table of cells as text, not escaped.
pub(super) struct Table {
    /// What it shows.
    pub title: String,
    /// What a reader has to know; empty if nothing.
    pub note: String,
    /// The first column has names, the others have values.
    pub head: Vec<&'static str>,
    /// The rows, from top to bottom.
    pub rows: Vec<Row>,
}

/// A row of a table.
pub(super) struct Row {
    /// Whether it belongs to the row above that does not.
    pub part: bool,
    /// One for each column.
    pub cells: Vec<String>,
}

fn row(cells: Vec<String>) -> Row {
    Row { part: false, cells }
}

/// One row for each model: quality, accounting, speed, resources.
pub(super) fn overview(report: &Report) -> Vec<Table> {
    let rows = |cells: fn(&Model) -> Vec<String>| {
        let cells = |it: &Model| {
            let mut all = vec![it.name.clone()];
            all.extend(cells(it));
            row(all)
        };
        report.models.iter().map(cells).collect::<Vec<_>>()
    };
    let meters: Vec<&str> = report.models.iter().filter_map(|it| it.meter.as_deref()).collect();
    let energy = match meters.first() {
        Some(meter) => {
            format!("Energy: measured by {meter}, with up to {} in flight.", report.run.concurrency)
        }
        None => "Energy: not measured.".to_owned(),
    };
    vec![
        Table {
            title: "Scores".to_owned(),
            note: "n counts trials; repeats and clusters are not accounted for in the interval.".to_owned(),
            head: vec!["model", "score", "95 % interval", "n", "passed", "failed", "change since golden"],
            rows: rows(|it| {
                let mut cells = scored(&it.scores);
                cells.extend([count(it.scores.passed), count(it.scores.failed), changed(&it.scores)]);
                cells
            }),
        },
        Table {
            title: "Beside the goldens".to_owned(),
            note: "Every scored trial is in one of these columns. Better, same and worse are by score."
                .to_owned(),
            head: vec!["model", "better", "same", "worse", "undecided", "stale", "new"],
            rows: rows(|it| {
                let Change { better, same, worse, undecided, stale, new, .. } = it.scores.change;
                [better, same, worse, undecided, stale, new].map(count).to_vec()
            }),
        },
        Table {
            title: "Speed".to_owned(),
            note: report.load_note(),
            head: vec!["model", "prefill p50 (tokens/s)", "decode p50 (tokens/s)"],
            rows: rows(|it| {
                [&it.prefill_speed, &it.decode_speed].map(|it| or_dash(it.p50, text::significant)).to_vec()
            }),
        },
        Table {
            title: "Latency (ms)".to_owned(),
            note: String::new(),
            head: vec!["model", "TTFT p50", "TTFT p90", "TTFT p99", "TPOT p50", "TPOT p90", "TPOT p99"],
            rows: rows(|it| [percentiles(&it.ttft), percentiles(&it.tpot)].concat()),
        },
        Table {
            title: "Resources".to_owned(),
            note: energy,
            head: vec!["model", "output tokens", "load", "peak memory", "energy", "J / output token", "cost"],
            rows: rows(|it| {
                vec![
                    or_dash(it.output_tokens, text::count),
                    or_dash(it.load_seconds, text::seconds),
                    or_dash(it.peak_memory_bytes, text::bytes),
                    or_dash(it.energy_joules, text::joules),
                    or_dash(it.joules_per_output_token, text::significant),
                    or_dash(it.cost_dollars, text::dollars),
                ]
            }),
        },
        Table {
            title: "Accounting".to_owned(),
            note: "Trials = scored + unscored + errored + skipped.".to_owned(),
            head: vec!["model", "trials", "scored", "unscored", "errored", "skipped", "numerics"],
            rows: rows(|it| {
                let Scores { trials, scored, unscored, errored, skipped, .. } = it.scores;
                let mut cells = [trials, scored, unscored, errored, skipped].map(count).to_vec();
                cells.push(or_dash(it.numerics.as_deref(), str::to_owned));
                cells
            }),
        },
    ]
}

/// A model's categories, each followed by its topics.
pub(super) fn topics(model: &Model) -> Table {
    let cells = |name: &str, it: &Scores| {
        let mut cells = vec![name.to_owned()];
        cells.extend(scored(it));
        cells.extend([it.unscored, it.errored, it.skipped].map(count));
        cells.push(changed(it));
        cells
    };
    let mut rows = Vec::new();
    for category in &model.categories {
        rows.push(row(cells(&category.name, &category.scores)));
        let part = |it: &super::Topic| Row { part: true, cells: cells(&it.name, &it.scores) };
        rows.extend(category.topics.iter().map(part));
    }
    Table {
        title: model.name.clone(),
        note: String::new(),
        head: vec![
            "category, topic",
            "score",
            "95 % interval",
            "n",
            "unscored",
            "errored",
            "skipped",
            "change",
        ],
        rows,
    }
}

/// What was run, when and where: labels and values.
pub(super) fn header(run: &Run) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("started", run.started.clone()),
        ("ended", or_dash(run.ended.as_deref(), str::to_owned)),
        ("in flight", format!("up to {}", run.concurrency)),
        ("machine", machine(&run.machine)),
        ("versions", fields(&run.versions)),
    ];
    if let Some(gate) = run.options.get("gate") {
        lines.push(("gate", plain(gate)));
    }
    lines.push(("commit", or_dash(run.commit.as_deref(), str::to_owned)));
    lines
}

fn machine(machine: &Value) -> String {
    let field = |name: &str| machine.get(name).filter(|it| !it.is_null());
    let mut parts: Vec<String> = field("cpu").map(plain).into_iter().collect();
    parts.extend(field("cores").map(|it| format!("{} cores", plain(it))));
    parts.extend(field("vectors").map(plain));
    parts.extend(field("memory").and_then(Value::as_u64).map(text::bytes));
    parts.extend(field("os").map(plain));
    match field("gpus").and_then(Value::as_array) {
        Some(gpus) if gpus.is_empty() => parts.push("no GPU".to_owned()),
        Some(gpus) => parts.extend(gpus.iter().map(plain)),
        None => {}
    }
    if parts.is_empty() { fields(machine) } else { parts.join(", ") }
}

fn fields(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => NONE.to_owned(),
        Value::Object(map) => {
            map.iter().map(|(name, it)| format!("{name} {}", plain(it))).collect::<Vec<_>>().join(", ")
        }
        other => plain(other),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(it) => it.clone(),
        Value::Null => NONE.to_owned(),
        other => other.to_string(),
    }
}

fn scored(scores: &Scores) -> Vec<String> {
    vec![or_dash(scores.mean, text::score), or_dash(scores.interval, text::interval), count(scores.scored)]
}

/// The mean change, and how many trials it is over.
fn changed(scores: &Scores) -> String {
    let Change { better, same, worse, mean, .. } = scores.change;
    or_dash(mean, |it| format!("{} (n {})", text::difference(it), better + same + worse))
}

fn percentiles(it: &Distribution) -> Vec<String> {
    [it.p50, it.p90, it.p99].map(|it| or_dash(it, text::milliseconds)).to_vec()
}

fn count(it: usize) -> String {
    text::count(it as u64)
}

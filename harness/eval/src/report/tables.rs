//! Numbers to cells: the tables that every format shows.

use serde_json::Value;

use super::text::{self, NONE, or_dash};
use super::{AtK, Change, Distribution, Model, Repeats, Report, Run, Scores, Temperature};
use crate::stats::Estimate;

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
            note: "n counts trials; the interval is over clusters, which stand or fall together.".to_owned(),
            head: vec![
                "model",
                "score",
                "95 % interval",
                "n",
                "clusters",
                "passed",
                "failed",
                "change since golden",
            ],
            rows: rows(|it| {
                let mut cells = scored(&it.scores);
                cells.extend([it.scores.clusters, it.scores.passed, it.scores.failed].map(count));
                cells.push(changed(&it.scores));
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

/// What several answers to one question come to: by temperature, over repeats, over wordings.
pub(super) fn several(report: &Report) -> Vec<Table> {
    [temperatures(report), repeats(report), wordings(report)].into_iter().flatten().collect()
}

/// How far answers to one question in several wordings agree. `None` where none was asked so.
fn wordings(report: &Report) -> Option<Table> {
    let cells = |model: &Model| {
        let it = model.wordings?;
        let mean = text::score(it.mean);
        Some(row(vec![
            model.name.clone(),
            mean,
            text::interval(it.interval),
            count(it.n),
            count(it.clusters),
        ]))
    };
    let rows: Vec<Row> = report.models.iter().filter_map(cells).collect();
    (!rows.is_empty()).then(|| Table {
        title: "Over wordings".to_owned(),
        note: "n counts questions.".to_owned(),
        head: vec!["model", "agreement", "95 % interval", "n", "clusters"],
        rows,
    })
}

/// Score by temperature: for each model, as a whole and by category. `None` where nothing was asked at several.
fn temperatures(report: &Report) -> Option<Table> {
    let cells = |name: &str, it: &Temperature| {
        let changed = it.changed.as_ref();
        vec![
            format!("{name}, {}", it.temperature),
            text::score(it.score.mean),
            text::interval(it.score.interval),
            count(it.score.n),
            count(it.score.clusters),
            or_dash(changed, |it| text::score(it.mean)),
            or_dash(changed, |it| text::interval(it.interval)),
        ]
    };
    let mut rows = Vec::new();
    for model in &report.models {
        rows.extend(model.temperatures.iter().map(|it| row(cells(&model.name, it))));
        for category in &model.categories {
            let part = |it| Row { part: true, cells: cells(&category.name, it) };
            rows.extend(category.temperatures.iter().map(part));
        }
    }
    (!rows.is_empty()).then(|| Table {
        title: "By temperature".to_owned(),
        note: "Over questions that were asked at several temperatures. Changed: not the greedy answer."
            .to_owned(),
        head: vec![
            "model or category",
            "score",
            "95 % interval",
            "n",
            "clusters",
            "changed",
            "95 % interval",
        ],
        rows,
    })
}

/// What repeats come to: for each model, as a whole and by category. `None` where nothing was repeated.
fn repeats(report: &Report) -> Option<Table> {
    let with_interval = |it: &Estimate| format!("{} {}", text::score(it.mean), text::interval(it.interval));
    let rows_of = |name: &str, part: bool, it: &Repeats| {
        let row = |at: &AtK| {
            // What is over all repeats stands beside the most of them.
            let all =
                |of: Option<Estimate>| or_dash(of.filter(|_| at.k == it.most), |of| text::score(of.mean));
            let cells = vec![
                format!("{name}, {}", at.k),
                count(at.pass_at_k.n),
                with_interval(&at.pass_at_k),
                with_interval(&at.pass_hat_k),
                all(it.majority),
                all(it.agreement),
            ];
            Row { part, cells }
        };
        it.at_k.iter().map(row).collect::<Vec<_>>()
    };
    let mut rows = Vec::new();
    for model in &report.models {
        rows.extend(model.repeats.iter().flat_map(|it| rows_of(&model.name, false, it)));
        for category in &model.categories {
            rows.extend(category.repeats.iter().flat_map(|it| rows_of(&category.name, true, it)));
        }
    }
    (!rows.is_empty()).then(|| Table {
        title: "Over repeats".to_owned(),
        note: "Over questions that were asked at least k times in the same way; a try passes with a score of 1. Majority and \
               agreement are over all tries of a question."
            .to_owned(),
        head: vec!["model or category, k", "questions", "pass@k", "pass^k", "majority", "agreement"],
        rows,
    })
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

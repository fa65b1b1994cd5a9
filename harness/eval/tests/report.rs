//! Reports, from rows that are made by hand.

mod rows;

use eval::gate::Standing;
use eval::report::{self, Report, Status};
use eval::response::Response;
use eval::stats::Method;
use eval::store::{ModelRow, NewRun, Outcome, RunRow, TrialRow};
use rstest::rstest;
use serde_json::{Value, json};

use rows::{model, response, run, sample, scored, trial};

/// One model, one suite, a trial for each outcome.
fn of(outcomes: Vec<Outcome>) -> Report {
    let trials: Vec<TrialRow> = outcomes
        .into_iter()
        .enumerate()
        .map(|(at, it)| trial("tiny", "maths/sums", &format!("case-{at}"), it))
        .collect();
    report::build(&run(trials.len()), &[model("tiny", trials.len())], &trials)
}

fn formats(report: &Report) -> [(&'static str, String); 4] {
    [
        ("terminal", report.terminal()),
        ("markdown", report.markdown()),
        ("html", report.html()),
        ("json", report.json()),
    ]
}

#[test]
fn outcomes_are_counted_apart() {
    let report = of(vec![
        scored(1.0),
        scored(0.0),
        scored(0.5),
        Outcome::Unscored("no number".to_owned()),
        Outcome::Errored("it broke".to_owned()),
        Outcome::Skipped("no weights".to_owned()),
    ]);
    assert_eq!(report.problems(), Vec::<String>::new());
    let scores = &report.models[0].scores;
    assert_eq!(
        (scores.trials, scores.scored, scores.unscored, scores.errored, scores.skipped),
        (6, 3, 1, 1, 1)
    );
    assert_eq!((scores.passed, scores.failed), (1, 4));
    assert_eq!(scores.mean, Some(0.5));
    let interval = scores.interval.unwrap();
    // One trial a cluster, but not only 0 and 1.
    assert_eq!((scores.clusters, scores.method), (3, Some(Method::Clustered)));
    assert!(interval.low < 0.5 && 0.5 < interval.high);
    assert_eq!(&report.models[0].categories[0].scores, scores);
    assert_eq!(&report.models[0].categories[0].topics[0].scores, scores);
}

#[rstest]
#[case::better(1.0, Some(0.0), Standing::Fresh, "better", Some(1.0))]
#[case::same(0.5, Some(0.5), Standing::Fresh, "same", Some(0.0))]
#[case::worse(0.25, Some(1.0), Standing::Fresh, "worse", Some(-0.75))]
#[case::other_numerics(0.0, Some(1.0), Standing::OtherNumerics, "undecided", None)]
#[case::drawn(0.0, Some(1.0), Standing::Sampled, "undecided", None)]
#[case::stale_prompt(0.0, None, Standing::PromptChanged, "stale", None)]
#[case::stale_case(0.0, None, Standing::CaseChanged, "stale", None)]
#[case::stale_template(0.0, None, Standing::TemplateChanged, "stale", None)]
#[case::new(0.0, None, Standing::None, "new", None)]
fn change_since_the_golden(
    #[case] score: f64,
    #[case] golden: Option<f64>,
    #[case] standing: Standing,
    #[case] column: &str,
    #[case] mean: Option<f64>,
) {
    let mut row = trial("tiny", "maths/sums", "carry", scored(score));
    row.golden = golden;
    standing.words().clone_into(&mut row.standing);
    let report = report::build(&run(1), &[model("tiny", 1)], &[row]);
    let change = serde_json::to_value(&report.models[0].scores.change).unwrap();
    for name in ["better", "same", "worse", "undecided", "stale", "new"] {
        assert_eq!(change[name], json!(usize::from(name == column)), "{name}");
    }
    assert_eq!(report.models[0].scores.change.mean, mean);
}

#[rstest]
#[case::none(&[], None, None, None)]
#[case::one(&[200], Some(0.2), None, None)]
#[case::many(&[100, 200, 300, 400], Some(0.25), Some(0.37), None)]
fn times(
    #[case] first_arrivals: &[u64],
    #[case] p50: Option<f64>,
    #[case] p90: Option<f64>,
    #[case] p99: Option<f64>,
) {
    let trials: Vec<TrialRow> = first_arrivals
        .iter()
        .map(|first| {
            let mut row = trial("tiny", "maths/sums", &format!("at-{first}"), scored(1.0));
            row.response = Some(response(0, 100, &[*first, first + 20]));
            row
        })
        .collect();
    let report = report::build(&run(trials.len()), &[model("tiny", trials.len().max(1))], &trials);
    let ttft = &report.models[0].ttft;
    let near = |found: Option<f64>, wanted: Option<f64>| match (found, wanted) {
        (Some(found), Some(wanted)) => (found - wanted).abs() < 1e-9,
        (found, wanted) => found == wanted,
    };
    assert_eq!(ttft.n, first_arrivals.len());
    assert!(near(ttft.p50, p50), "{ttft:?}");
    if first_arrivals.len() > 1 {
        assert!(near(ttft.p90, p90), "{ttft:?}");
    }
    assert_eq!(ttft.p99, p99);
    assert!(near(report.models[0].tpot.p50, p50.map(|_| 0.02)));
}

#[test]
fn the_99th_percentile_needs_100_values() {
    for (n, there) in [(99, false), (100, true)] {
        let report = of(vec![scored(1.0); n]);
        assert_eq!(report.models[0].ttft.p99.is_some(), there, "{n}");
    }
}

#[test]
fn prefill_speed_excludes_the_queue() {
    // 100 tokens from 10 ms to 200 ms.
    let report = of(vec![scored(1.0)]);
    let speed = report.models[0].prefill_speed.p50.unwrap();
    assert!((speed - 100.0 / 0.19).abs() < 1e-9, "{speed}");
    assert!(report.html().contains("TTFT includes the time in the queue"));
}

#[rstest]
#[case::by_token(json!({ "input": 2.0, "output": 10.0 }), Some((200.0 * 2.0 + 6.0 * 10.0) / 1e6))]
#[case::free(json!({ "input": 0.0, "output": 0.0 }), Some(0.0))]
#[case::in_part(json!({ "input": 2.0, "output": null }), None)]
#[case::by_hour(json!({ "per_hour": 1.5 }), None)]
#[case::unknown(Value::Null, None)]
fn cost(#[case] price: Value, #[case] dollars: Option<f64>) {
    let trials = ["a", "b"].map(|it| trial("tiny", "maths/sums", it, scored(1.0)));
    let priced = ModelRow { info: json!({ "price": price }).to_string(), ..model("tiny", 2) };
    let report = report::build(&run(2), &[priced], &trials);
    assert_eq!(report.models[0].cost_dollars, dollars);
}

#[test]
fn energy_is_by_output_token_or_not_measured() {
    let trials = ["a", "b"].map(|it| trial("tiny", "maths/sums", it, scored(1.0)));
    let metered = ModelRow { joules: Some(12.0), meter: Some("GPU 0 (NVML)".to_owned()), ..model("tiny", 2) };
    let report = report::build(&run(2), &[metered], &trials);
    assert_eq!(report.models[0].joules_per_output_token, Some(2.0));
    assert!(report.terminal().contains("measured by GPU 0 (NVML), with up to 16 in flight"));
    let report = report::build(&run(2), &[model("tiny", 2)], &trials);
    assert_eq!(report.models[0].joules_per_output_token, None);
    assert!(report.terminal().contains("Energy: not measured."));
}

#[test]
fn totals_that_do_not_add_up_are_problems() {
    let rows = [trial("tiny", "maths/sums", "a", scored(1.0))];
    let problems =
        |run: &RunRow, models: &[ModelRow], rows: &[TrialRow]| report::build(run, models, rows).problems();
    let missing = "tiny: 2 trials planned, but 1 scored + 0 unscored + 0 errored + 0 skipped = 1";
    assert_eq!(problems(&run(2), &[model("tiny", 2)], &rows), [missing]);
    assert!(report::build(&run(2), &[model("tiny", 2)], &rows).html().contains("does not add up"));
    let going = RunRow { ended_at: None, ..run(2) };
    assert_eq!(problems(&going, &[model("tiny", 2)], &rows), Vec::<String>::new());
    let twice = [rows[0].clone(), rows[0].clone()];
    assert_eq!(problems(&run(2), &[model("tiny", 2)], &twice), ["maths/sums/a::tiny: counted twice"]);
    assert_eq!(problems(&run(5), &[model("tiny", 1)], &rows), ["the run planned 5 trials, its models 1"]);
    let strange = problems(&run(0), &[], &rows);
    assert_eq!(strange, ["maths/sums/a::tiny: its model is not in the run"]);
    let above = [trial("tiny", "maths/sums", "a", scored(1.5))];
    assert_eq!(
        problems(&run(1), &[model("tiny", 1)], &above),
        ["maths/sums/a::tiny: its score 1.5 is not between 0 and 1"]
    );
}

#[test]
fn a_skipped_model_has_no_rows_and_adds_up() {
    let absent = ModelRow {
        skipped: Some("no weights: run `cargo xtask fetch absent`".to_owned()),
        ..model("absent", 3)
    };
    let rows = [trial("tiny", "maths/sums", "a", scored(1.0))];
    let report = report::build(&run(4), &[model("tiny", 1), absent], &rows);
    assert_eq!(report.problems(), Vec::<String>::new());
    assert_eq!((report.models.len(), report.skipped.len(), report.run.accounted), (1, 1, 4));
    for (format, text) in formats(&report) {
        assert!(text.contains("cargo xtask fetch absent"), "{format}");
    }
}

#[rstest]
#[case::nothing(vec![], None)]
#[case::complete_before_newer_partial(vec![(3, true, true), (2, true, false), (1, true, false)], Some(2))]
#[case::complete_before_newer_unfinished(vec![(3, false, false), (1, true, false)], Some(1))]
#[case::only_partial(vec![(1, true, true), (2, true, true)], Some(2))]
#[case::only_unfinished(vec![(5, false, false), (4, true, true)], Some(5))]
fn the_run_to_show(#[case] runs: Vec<(i64, bool, bool)>, #[case] chosen: Option<i64>) {
    let row = |(id, ended, partial): (i64, bool, bool)| RunRow {
        id,
        ended_at: ended.then_some(1),
        begun: NewRun { partial, ..run(0).begun },
        ..run(0)
    };
    let rows: Vec<RunRow> = runs.into_iter().map(row).collect();
    assert_eq!(report::choose(&rows).map(|it| it.id), chosen);
}

#[test]
fn an_empty_run_is_a_page() {
    let report = report::build(&run(0), &[], &[]);
    assert_eq!(report.problems(), Vec::<String>::new());
    for (format, text) in formats(&report) {
        assert!(!text.contains("NaN") && !text.contains("inf"), "{format}");
    }
    assert!(report.terminal().contains("No model was asked."));
}

#[test]
fn what_errored_has_no_score() {
    let mut rows = [trial("tiny", "maths/sums", "a", Outcome::Errored("the backend failed".to_owned()))];
    rows[0].response = None;
    let report = report::build(&run(1), &[model("tiny", 1)], &rows);
    let tiny = &report.models[0];
    assert_eq!((tiny.scores.mean, tiny.scores.interval, tiny.output_tokens), (None, None, None));
    assert_eq!(report.verdict, ["Nothing was scored, so there is nothing to compare."]);
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["models"][0]["scores"]["mean"], Value::Null);
    assert_eq!(json["models"][0]["ttft"]["p50"], Value::Null);
    for (format, text) in formats(&report) {
        assert!(!text.contains("NaN"), "{format}");
        assert!(text.contains("the backend failed"), "{format}");
    }
}

/// Scores of two models on the same cases.
fn two(one: &[f64], other: &[f64]) -> Report {
    let rows = |name: &'static str, scores: &[f64]| {
        let row = move |(at, score): (usize, &f64)| {
            trial(name, "maths/sums", &format!("case-{at}"), scored(*score))
        };
        scores.iter().enumerate().map(row).collect::<Vec<_>>()
    };
    let trials = [rows("one", one), rows("two", other)].concat();
    report::build(&run(trials.len()), &[model("one", one.len()), model("two", other.len())], &trials)
}

#[rstest]
#[case::apart(&[1.0; 20], &[0.0; 20], "one scores highest: 1.000 [0.839, 1.000] against 0.000 [0.000, 0.161] of two on the same 20 trials; the difference is +1.000 [+0.663, +1.000] over 20 clusters, which chance alone would hardly make.")]
#[case::overlap(&[1.0, 0.0, 0.0], &[1.0, 1.0, 0.0], "two scores highest: 0.667 [0.208, 0.939] against 0.333 [0.061, 0.792] of one on the same 3 trials; the difference is +0.333 [−1.000, +1.000] over 3 clusters, so this run cannot tell them apart.")]
#[case::equal(&[1.0, 0.0], &[0.0, 1.0], "one and two score the same: 0.500 [0.095, 0.905] on the same 2 trials.")]
#[case::fewer(&[1.0, 0.0, 1.0], &[1.0, 1.0], "two scores highest: 1.000 [0.342, 1.000] against 0.500 [0.095, 0.905] of one on the same 2 trials")]
#[case::too_few(&[1.0, 0.0, 1.0], &[1.0], "one scores 0.667 [0.208, 0.939] on 3 trials; there is no other model")]
fn who_wins(#[case] one: &[f64], #[case] other: &[f64], #[case] sentence: &str) {
    let report = two(one, other);
    assert!(report.verdict[0].starts_with(sentence), "{:#?}", report.verdict);
}

#[test]
fn pairs_and_what_is_left_out_are_said() {
    let report = two(&[1.0, 0.0, 1.0], &[1.0, 1.0]);
    assert_eq!(
        report.verdict[1],
        "Trial by trial, two scores above one on 1 of 2, below it on 0, and the same on 1."
    );
    assert_eq!(report.verdict[2], "Left out of this comparison: 1 trial not scored for every model in it.");
    let report = two(&[1.0, 0.0, 1.0], &[1.0]);
    assert_eq!(report.verdict[1], "Not compared, for too few of the same scored trials: two.");
}

/// A question at a temperature: the answer, and whether it is right.
fn drawn(entry: &str, temperature: f64, answer: &str, score: f64) -> TrialRow {
    let mut row = trial("tiny", "maths/sums", entry, scored(score));
    if let Outcome::Scored(grade) = &mut row.outcome {
        grade.answer = Some(answer.to_owned());
    }
    row.sampling.temperature = temperature;
    entry.split(['[', '@']).next().unwrap_or_default().clone_into(&mut row.cluster);
    row
}

#[test]
fn score_and_answers_by_temperature() {
    let rows = [
        drawn("a", 0.0, "42", 1.0),
        drawn("a@t0.7#1", 0.7, "42", 1.0),
        drawn("a@t0.7#2", 0.7, "43", 0.0),
        drawn("b", 0.0, "7", 0.0),
        drawn("b@t0.7#1", 0.7, "7", 0.0),
        drawn("b@t0.7#2", 0.7, "7", 0.0),
        // Asked at one temperature only: in no curve.
        drawn("c", 0.0, "1", 1.0),
    ];
    let report = report::build(&run(rows.len()), &[model("tiny", rows.len())], &rows);
    let tiny = &report.models[0];
    let [greedy, warm] = &tiny.temperatures[..] else { panic!("{:?}", tiny.temperatures) };
    assert_eq!((greedy.temperature, greedy.score.mean, greedy.score.n, greedy.changed), (0.0, 0.5, 2, None));
    assert_eq!((warm.temperature, warm.score.mean, warm.score.n, warm.score.clusters), (0.7, 0.25, 4, 2));
    assert_eq!(warm.changed.map(|it| it.mean), Some(0.25));
    assert_eq!(tiny.categories[0].temperatures, tiny.temperatures);
    let repeats = tiny.repeats.as_ref().unwrap();
    let found: Vec<(usize, f64, f64)> =
        repeats.at_k.iter().map(|it| (it.k, it.pass_at_k.mean, it.pass_hat_k.mean)).collect();
    assert_eq!(found, [(1, 0.25, 0.25), (2, 0.5, 0.0)]);
    assert_eq!((repeats.majority.unwrap().mean, repeats.agreement.unwrap().mean), (0.25, 0.5));
    for (format, text) in formats(&report) {
        let title = if format == "json" { "\"temperatures\"" } else { "By temperature" };
        assert!(text.contains(title) && !text.contains("NaN"), "{format}");
    }
    assert!(report.html().contains("id=\"plot-temperature-all-t\""));
}

#[test]
fn wordings_agree_or_not() {
    let rows = [
        drawn("a[wording=#1,n=3]", 0.0, "42", 1.0),
        drawn("a[wording=#2,n=3]", 0.0, "42", 1.0),
        drawn("a[wording=#3,n=3]", 0.0, "43", 0.0),
        drawn("a[wording=#1,n=5]", 0.0, "1", 0.0),
    ];
    let report = report::build(&run(rows.len()), &[model("tiny", rows.len())], &rows);
    let found = report.models[0].wordings.unwrap();
    assert_eq!((found.n, found.mean), (1, 1.0 / 3.0));
    assert!(report.terminal().contains("Over wordings"));
}

fn partial(run: RunRow) -> RunRow {
    RunRow { begun: NewRun { partial: true, ..run.begun }, ..run }
}

#[rstest]
#[case::partial(partial(run(1)), Status::Partial, "a filter left trials out")]
#[case::unfinished(RunRow { ended_at: None, ..run(3) }, Status::Unfinished, "1 of 3 trials; PROOFMARK_RESUME=1 goes on")]
fn no_verdict_without_all_trials(#[case] run: RunRow, #[case] status: Status, #[case] words: &str) {
    let rows = [trial("tiny", "maths/sums", "a", scored(1.0))];
    let report = report::build(&run, &[model("tiny", run.begun.planned)], &rows);
    assert_eq!(report.run.status, status);
    assert_eq!(report.verdict, Vec::<String>::new());
    for text in [report.terminal(), report.html()] {
        assert!(text.contains(words), "{text}");
    }
}

const HOSTILE: &str = "</script><img src=x onerror=\"alert('1')\"> | a\n# b `c` ```` @all \u{202e}txt.exe\0\u{1b}[2J &amp; https://x.test";

/// A run in which every foreign text is hostile.
fn hostile() -> Report {
    let mut row = trial(HOSTILE, "maths/<b>sums", HOSTILE, scored(0.0));
    row.prompt = Some(HOSTILE.to_owned());
    row.response = row.response.map(|it| Response { text: HOSTILE.to_owned(), ..it });
    let grade = json!({ "score": 0.0, "answer": HOSTILE, "wanted": HOSTILE, "reason": HOSTILE, "parts": [] });
    row.outcome = Outcome::Scored(serde_json::from_value(grade).expect("it has every field of a grade"));
    let asked = ModelRow {
        numerics: Some(HOSTILE.to_owned()),
        meter: Some(HOSTILE.to_owned()),
        info: HOSTILE.to_owned(),
        ..model(HOSTILE, 1)
    };
    let skipped = ModelRow { skipped: Some(HOSTILE.to_owned()), ..model(&format!("{HOSTILE}2"), 1) };
    let begun = NewRun {
        machine: json!({ "cpu": HOSTILE, "gpus": [HOSTILE] }).to_string(),
        versions: HOSTILE.to_owned(),
        options: json!({ "gate": HOSTILE }).to_string(),
        git_commit: Some(HOSTILE.to_owned()),
        ..run(3).begun
    };
    let run = RunRow { begun, ..run(3) };
    report::build(&run, &[asked, skipped], &[row])
}

#[test]
fn nothing_hostile_gets_through() {
    let report = hostile();
    for (format, text) in
        [("html", report.html()), ("markdown", report.markdown()), ("terminal", report.terminal())]
    {
        for it in ['\0', '\u{1b}', '\u{202e}'] {
            assert!(!text.contains(it), "{format}: {it:?}");
        }
        assert!(text.contains("⟨U+202E⟩txt.exe⟨U+0000⟩⟨U+001B⟩"), "{format}");
    }
    let html = report.html();
    for it in ["<img", "</script", "<script", "<b>sums", "onerror=\"", "alert('"] {
        assert!(!html.contains(it), "{it}");
    }
    assert!(html.contains("&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;"));
    assert!(html.contains("&amp;amp;"));
    let markdown = report.markdown();
    // A fence is longer than any in it; all else is escaped.
    let outside: String = markdown.split("\n`````").step_by(2).collect();
    assert_eq!(markdown.matches("\n`````").count(), 2);
    // Inside a tag Markdown is not read.
    let outside: String = outside.lines().filter(|it| !it.starts_with("<details>")).collect();
    for it in ["<img", "</script", " | a", "\n# b", "@all", "https://x", " `c`"] {
        assert!(!outside.contains(it), "{it}: {outside}");
    }
}

#[test]
fn nothing_is_fetched() {
    for html in [hostile().html(), sample().html()] {
        assert!(html.contains("default-src 'none'"));
        for it in ["<script", "<link", "@import", "url(", " src=\"", "href=\"http"] {
            assert!(!html.contains(it), "{it}");
        }
    }
}

#[test]
fn lines_fit_the_terminal() {
    for report in [sample(), hostile()] {
        for line in report.terminal().lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

#[test]
fn the_same_rows_give_the_same_report() {
    assert_eq!(formats(&sample()), formats(&sample()));
}

#[test]
fn json_has_a_version_raw_numbers_and_definitions() {
    let json: Value = serde_json::from_str(&sample().json()).unwrap();
    assert_eq!(json["version"], 2);
    assert_eq!(json["run"]["machine"]["cores"], 8);
    assert_eq!(json["models"][0]["peak_memory_bytes"], 412_000_000);
    assert_eq!(json["models"][0]["energy_joules"], Value::Null);
    assert_eq!(json["trials"].as_array().unwrap().len(), 240);
    let trials = json["trials"].as_array().unwrap();
    let times = trials.iter().filter_map(|it| it["ttft_seconds"].as_f64()).filter(|it| *it < 10.0);
    assert!(times.count() > 200);
    assert!(json["metrics"].as_array().unwrap().iter().all(|it| it["definition"].is_string()));
}

/// To look at: `cargo test -p eval --test report -- --ignored`, then `target/tmp/report.*`.
#[test]
#[ignore = "writes files to look at"]
fn write_the_sample() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (report, name) in [(sample(), "report"), (hostile(), "hostile")] {
        std::fs::write(folder.join(name).with_extension("html"), report.html()).unwrap();
        std::fs::write(folder.join(name).with_extension("md"), report.markdown()).unwrap();
        std::fs::write(folder.join(name).with_extension("txt"), report.terminal()).unwrap();
        std::fs::write(folder.join(name).with_extension("json"), report.json()).unwrap();
    }
}

/// Trials whose names have a length and a depth are drawn as a map: here of two scored cells, one of them twice, and
/// one that was not answered.
#[test]
fn lengths_and_depths_make_a_heat_map() {
    let cells = [
        ("length=256,depth=0,1", scored(1.0)),
        ("length=256,depth=0,2", scored(0.5)),
        ("length=1024,depth=100,1", scored(0.0)),
        ("length=1024,depth=0,1", Outcome::Errored("too long".to_owned())),
    ];
    let trials: Vec<TrialRow> = cells
        .into_iter()
        .map(|(label, outcome)| {
            trial("tiny", "context-retention/needle", &format!("locker[{label}]"), outcome)
        })
        .collect();
    let report = report::build(&run(trials.len()), &[model("tiny", trials.len())], &trials);
    let markdown = report.markdown();
    let rows = ["| depth \\\\ length | 256 | 1024 |", "| 0 % | 0.750 | – |", "| 100 % | – | 0.000 |"];
    for row in rows {
        assert!(markdown.contains(row), "{row} is not in\n{markdown}");
    }
    let html = report.html();
    assert!(html.contains("256 tokens, depth 0 %: 0.750. 1024 tokens, depth 0 %: –."), "{html}");
    let terminal = report.terminal();
    assert!(terminal.contains("Length and depth: tiny: context-retention/needle/locker"), "{terminal}");
    // Without such names there is none.
    let without = of(vec![scored(1.0)]);
    assert!(formats(&without).iter().all(|(_, text)| !text.contains("Length and depth")));
}

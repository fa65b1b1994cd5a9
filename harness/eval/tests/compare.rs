//! Two sides on the same trials: tables, JSON, exit codes.

#[expect(dead_code, reason = "other tests use more of it")]
mod rows;

use eval::report;
use eval::report::compare::{self, By, Compared, Side};
use eval::stats::compare::Verdict;
use eval::store::{Outcome, TrialRow};
use rstest::rstest;
use serde_json::Value;

use rows::{model, run, scored, trial};

/// So many cases of a topic with each score.
fn topic(name: &str, scores: &[(f64, usize)]) -> Vec<TrialRow> {
    let all = scores.iter().flat_map(|(score, count)| std::iter::repeat_n(*score, *count));
    all.enumerate().map(|(at, score)| trial("tiny", name, &format!("case-{at}"), scored(score))).collect()
}

fn side(number: i64, topics: &[Vec<TrialRow>]) -> Side {
    Side::of_run(number, &topics.concat()).remove(0)
}

#[track_caller]
fn compared(old: &Side, new: &Side, by: By) -> Compared {
    Compared::of(old, new, by, 0.05).expect("they have trials in common")
}

#[rstest]
#[case::not_worse(&[(1.0, 90), (0.0, 10)], Verdict::NotWorse, 0)]
#[case::regressed(&[(1.0, 60), (0.0, 40)], Verdict::Regressed, 3)]
#[case::cannot_tell(&[(1.0, 87), (0.0, 13)], Verdict::CannotTell, 4)]
#[case::better(&[(1.0, 100)], Verdict::NotWorse, 0)]
fn verdicts_and_exit_codes(#[case] new: &[(f64, usize)], #[case] verdict: Verdict, #[case] code: u8) {
    let old = side(1, &[topic("maths/sums", &[(1.0, 90), (0.0, 10)])]);
    let found = compared(&old, &side(2, &[topic("maths/sums", new)]), By::Category);
    assert_eq!(found.analysis.verdict, verdict, "{}", found.text());
    assert_eq!(compare::exit_code(&[found]), code);
}

/// What the whole does not show: one category lost much, another gained as much.
#[test]
fn a_category_that_regressed_is_told() {
    let old =
        side(1, &[topic("code/bugs", &[(1.0, 20), (0.0, 80)]), topic("maths/sums", &[(1.0, 80), (0.0, 20)])]);
    let new =
        side(2, &[topic("code/bugs", &[(1.0, 60), (0.0, 40)]), topic("maths/sums", &[(1.0, 50), (0.0, 50)])]);
    let found = compared(&old, &new, By::Category);
    assert_eq!(found.analysis.whole.verdict, Verdict::NotWorse);
    assert_eq!(found.analysis.verdict, Verdict::Regressed);
    assert!(
        found.analysis.sentence().starts_with("regressed in maths; as a whole not worse"),
        "{}",
        found.text()
    );
}

#[test]
fn a_table_says_how_sure_it_is() {
    let old = side(1, &[topic("maths/sums", &[(1.0, 90), (0.0, 10)])]);
    let new = side(2, &[topic("maths/sums", &[(1.0, 87), (0.0, 13)])]);
    let text = compared(&old, &new, By::Topic).text();
    for it in [
        "n",
        "clusters",
        "interval",
        "finds",
        "settled by",
        "verdict",
        "maths/sums",
        "cannot tell",
        "McNemar",
    ] {
        assert!(text.contains(it), "{it}: {text}");
    }
    assert!(text.lines().all(|it| it.chars().count() <= 100), "{text}");
}

/// Within a cluster its trials are the units.
#[test]
fn clusters_are_compared_by_their_trials() {
    let family = |number, score: f64| {
        let mut rows = topic("maths/sums", &[(score, 30)]);
        for row in &mut rows {
            row.cluster = "family".to_owned();
        }
        side(number, &[rows])
    };
    let found = compared(&family(1, 1.0), &family(2, 0.0), By::Cluster);
    let [group] = &found.analysis.groups[..] else { panic!("{found:?}") };
    assert_eq!((group.name.as_str(), group.comparison.difference.clusters), ("maths/sums/family", 30));
    // As a whole it is one cluster, of which nothing can be told.
    assert_eq!(found.analysis.whole.difference.clusters, 1);
    assert_eq!(found.analysis.whole.verdict, Verdict::CannotTell);
}

#[test]
fn what_one_side_lacks_is_counted_and_in_no_mean() {
    let old = side(1, &[topic("maths/sums", &[(1.0, 10)])]);
    let mut rows = topic("maths/sums", &[(1.0, 8)]);
    rows[0].outcome = Outcome::Errored("it broke".to_owned());
    let found = compared(&old, &side(2, &[rows]), By::Category);
    assert_eq!((found.analysis.whole.difference.n, found.alone), (7, 3));
    let other = side(3, &[topic("maths/other", &[(1.0, 3)])]);
    assert_eq!(Compared::of(&old, &other, By::Category, 0.05), None);
}

/// A report that was written as JSON says the same as the run that it was made from.
#[test]
fn reports_are_sides_too() {
    let rows = topic("maths/sums", &[(1.0, 90), (0.0, 10)]);
    let json = report::build(&run(100), &[model("tiny", 100)], &rows).json();
    let [read] = &Side::of_json("old.json", &json).unwrap()[..] else { panic!() };
    let new = side(2, &[topic("maths/sums", &[(1.0, 60), (0.0, 40)])]);
    let from_file = compared(read, &new, By::Category);
    assert_eq!(from_file.analysis, compared(&side(1, &[rows]), &new, By::Category).analysis);
    let json: Value = serde_json::from_str(&compare::json(&[from_file])).unwrap();
    assert_eq!(json["comparisons"][0]["analysis"]["verdict"], "regressed");
    assert_eq!(json["comparisons"][0]["old"], "old.json, tiny");
}

#[rstest]
#[case::no_json("{", "a.json is no JSON")]
#[case::no_report("{}", "a.json is no report")]
#[case::older("{\"version\": 1}", "a.json has version 1, this is version 2")]
#[case::no_trials("{\"version\": 2}", "a.json has no `trials`")]
#[case::no_name("{\"version\": 2, \"trials\": [{}]}", "a.json: trial 1 has no `name`")]
#[case::other_model(
    "{\"version\": 2, \"trials\": [{\"name\": \"a::b\", \"model\": \"c\"}]}",
    "a.json: `a::b` is not of its model"
)]
#[case::beyond(
    "{\"version\": 2, \"trials\": [{\"name\": \"a::b\", \"model\": \"b\", \"score\": 7}]}",
    "a.json: the score of `a::b` is 7"
)]
fn what_is_no_report_is_told(#[case] text: &str, #[case] message: &str) {
    let error = Side::of_json("a.json", text).unwrap_err();
    assert!(error.starts_with(message), "{error}");
}

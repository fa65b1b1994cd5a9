//! `cargo xtask`, as its users meet it: what it accepts, shows, lists and refuses.

use crate::place::Place;

const GOLDEN: &str = "golden/sums/small@tiny.snap";
const NEW: &str = "golden/sums/small@tiny.snap.new";
const CASES: &str = "cases/sums/small.yaml";

#[test]
fn blessing_accepts_a_run() {
    let place = Place::with_two_cases();
    place.run(&[]).passed();
    let proposed = place.text(NEW);
    place.xtask(&["bless"]).passed().says("accepted a").says("accepted b");
    assert_eq!(place.text(GOLDEN), proposed, "as `cargo insta accept` writes it");
    assert!(!place.path(NEW).exists());
    place.run(&[]).passed().says("beside the goldens: 2 same");
    place.xtask(&["bless"]).passed().says("gave what is accepted already");
}

#[test]
fn blessing_one_case_leaves_the_others() {
    let place = Place::with_two_cases();
    place.run(&[]).passed();
    place.xtask(&["bless"]).passed();
    let before = place.text(GOLDEN);
    place.put("tiny.yaml", "version: 1\notherwise: Surely 42.\n");
    place.run(&[]).passed().says("2 drifted");
    place.xtask(&["bless", "small/a"]).passed().says("accepted a").never_says("accepted b");
    let after = place.text(GOLDEN);
    assert_eq!(after.matches("Surely").count(), 1, "{after}");
    assert_eq!(after.split("case: \"b\"").nth(1), before.split("case: \"b\"").nth(1));
    assert!(place.path(NEW).exists(), "what was proposed of `b` still waits");
    place.run(&[]).passed().says("1 same, 1 drifted");
    place.xtask(&["bless", "small/b"]).passed().says("accepted b");
    assert!(!place.path(NEW).exists(), "nothing waits any more");
}

#[test]
fn blessing_drops_what_has_no_case() {
    let place = Place::with_two_cases();
    place.run(&[]).passed();
    place.xtask(&["bless"]).passed();
    place.edit(CASES, "id: b", "id: c");
    place.run(&[]).passed();
    place.xtask(&["bless"]).passed().says("accepted c").says("dropped  b");
}

#[test]
fn blessing_what_was_changed_since_is_refused() {
    let place = Place::with_two_cases();
    place.run(&[]).passed();
    place.edit(CASES, "What is 6 * 7?", "What is, please, 6 * 7?");
    place
        .xtask(&["bless"])
        .refused()
        .says("accepted a")
        .says("sums/small/b::tiny: not accepted, as its case was changed since run 1: run it again");
    assert!(!place.text(GOLDEN).contains("\"b\""));
}

#[test]
fn blessing_nothing_is_refused() {
    let place = Place::with_two_cases();
    place.xtask(&["bless"]).refused().says("the store runs.db cannot be read: there is no such file");
    place.run(&[]).passed();
    place
        .xtask(&["bless", "smal/a"])
        .refused()
        .says("run 1 scored no trial whose name contains `smal/a`: there is nothing to accept");
    place.xtask(&["bless", "--run", "7"]).refused().says("there is no such run");
    place.edit(CASES, "prompt: What is 6", "promt: What is 6");
    place.xtask(&["bless"]).refused().says("unknown key `promt`: did you mean `prompt`?");
    assert!(!place.path(GOLDEN).exists());
}

#[test]
fn a_report_has_four_formats() {
    let place = Place::with_two_cases();
    place.xtask(&["report"]).refused().says("run `cargo test --test quality`, or set PROOFMARK_STORE");
    place.put("tiny.yaml", "version: 1\notherwise: <script>alert(42)</script>\n");
    place.run(&[]).passed();
    place.xtask(&["report"]).passed().says("Proofmark report: run 1");
    place.xtask(&["report", "--format", "md"]).passed().says("| **tiny** | 1.000 |");
    let json = place.xtask(&["report", "--format", "json"]).passed().stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON and nothing else");
    assert_eq!(json["models"][0]["scores"]["scored"], 2);
    place
        .xtask(&["report", "--format", "html", "--output", "page/report.html"])
        .passed()
        .says("the report of run 1 is in page/report.html");
    let page = place.text("page/report.html");
    assert!(
        page.contains("&lt;script&gt;alert(42)") && !page.contains("<script>alert"),
        "what a model says is text"
    );
    place.xtask(&["report", "--run", "9"]).refused().says("there is no run 9; the newest are 1");
    place.xtask(&["report", "--output", "tiny.yaml/report.md"]).refused().says("cannot be written");
}

/// Forty cases, each its own: `Place::many` has them in one suite.
#[test]
fn runs_models_and_reports_are_compared() {
    let place = Place::many(40);
    place
        .xtask(&["compare", "1", "2"])
        .refused()
        .says("run `cargo test --test quality`, or set PROOFMARK_STORE");
    place.run(&[]).passed();
    place.run(&[]).passed();
    let ended = |arguments: &[&str]| place.xtask(&[&["compare"], arguments].concat());
    let same = ended(&["1", "2"]);
    assert_eq!(same.code, Some(4), "{}", same.told());
    same.says("run 2, tiny beside run 1, tiny").says("cannot tell: difference 0.000");
    assert_eq!(ended(&["1", "2", "--margin", "0.5"]).code, Some(0));
    let report = place.xtask(&["report", "--run", "1", "--format", "json", "--output", "old.json"]);
    report.passed();
    place.put("tiny.yaml", "version: 1\notherwise: no idea\n");
    place.run(&[]).failed();
    for sides in [["old.json", "3:tiny"], ["1:tiny", "3"], ["2", "tiny"]] {
        let ran = ended(&sides);
        assert_eq!(ran.code, Some(3), "{sides:?} {}", ran.told());
        ran.says("regressed: difference −1.000").says("40 trials of 40 clusters");
    }
    let json = ended(&["1", "3", "--by", "topic", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON and nothing else");
    assert_eq!(json["comparisons"][0]["analysis"]["verdict"], "regressed");
    ended(&["1", "9"]).refused().says("there is no run 9; the newest are 3, 2, 1");
    ended(&["1", "none"])
        .refused()
        .says("`none` is no file, no number of a run, and no model that a stored run asked");
    ended(&["1", "2:none"]).refused().says("run 2 did not ask `none`; it asked tiny");
    ended(&["1", "new.json"]).refused().says("there is no file new.json");
    ended(&["1", "2", "--margin", "5"]).refused().says("five points are 0.05");
    assert_eq!(ended(&["1"]).code, Some(2));
}

#[test]
fn every_model_is_listed_with_what_it_needs() {
    let place = Place::with_two_cases();
    place.edit(
        "models.yaml",
        "models:\n",
        "models:\n  absent: { backend: candle, sources: [{ file: absent.gguf }] }\n",
    );
    place
        .xtask(&["models"])
        .passed()
        .says("absent  not fetched: run `cargo xtask fetch absent`")
        .says("tiny    fetched");
    place.edit("models.yaml", "family: none", "familly: none");
    place.xtask(&["models"]).refused().says("unknown key `familly`: did you mean `family`?");
}

const FETCHED: &str = "
version: 1
defaults: { family: none, class: small, sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }
models:
  free: { sources: [{ pypi: p==1, path: p/free.gguf }], tags: [default] }
  bound:
    sources: [{ pypi: q==1, path: q/bound.gguf }]
    terms: { name: gemma, url: 'https://example.org/terms' }
";

#[test]
fn fetching_says_why_it_does_not() {
    let place = Place::with_two_cases().write("models.yaml", FETCHED);
    place.xtask(&["fetch"]).refused().says("name the models to fetch, or `--all-default`");
    place.xtask(&["fetch", "fre"]).refused().says("unknown model `fre`: did you mean `free`?");
    place.xtask(&["fetch", "free", "--offline"]).refused().says("free: ").says("--offline");
    place
        .xtask(&["fetch", "bound", "--offline"])
        .refused()
        .says("https://example.org/terms")
        .says("--accept-license gemma");
    // Accepted, it is only the network that is missing.
    let ran = place.xtask(&["fetch", "bound", "--offline", "--accept-license", "gemma"]).refused();
    ran.never_says("example.org").says("--offline");
    assert!(!place.path("models.lock").exists());
}

#[test]
fn schemas_are_written_and_checked() {
    let place = Place::new();
    place.xtask(&["schema", "--check"]).refused().says("docs/schema/cases.json is not up to date");
    place.xtask(&["schema"]).passed().says("wrote docs/schema/models.json");
    place.xtask(&["schema", "--check"]).passed();
}

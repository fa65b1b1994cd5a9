//! Two sides beside each other, on the trials that both have: a table, JSON and a verdict.
//!
//! The same analysis for `verdict::MODEL`, whose old side is the goldens, and for `cargo xtask compare A B`.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::tables::{Row, Table};
use super::text::{self, NONE, or_dash};
use super::{VERSION, build, terminal};
use crate::stats::compare::{self, Comparison, Group, Verdict};
use crate::stats::{CONFIDENCE, Method, Observation, Range, Sample};
use crate::store::TrialRow;

/// What a comparison is broken down by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The first part of a suite's name.
    #[default]
    Category,
    /// The suite.
    Topic,
    /// What stands or falls together. Within one cluster its trials are the units.
    Cluster,
}

/// A trial that both sides have.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// `category/topic`.
    pub suite: String,
    /// What it stands or falls with.
    pub cluster: String,
    /// The score on the old side.
    pub old: f64,
    /// The score on the new side.
    pub new: f64,
}

/// One side: a model's scores in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// `run 7, smollm2-135m`.
    pub name: String,
    /// The model.
    pub model: String,
    /// By `category/topic/case…`, without the model: cluster, suite, and the score of what was scored.
    trials: BTreeMap<String, Scored>,
}

#[derive(Clone, Debug, PartialEq)]
struct Scored {
    suite: String,
    cluster: String,
    score: Option<f64>,
}

/// What a comparison comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// What is told: *regressed* if the whole or any group did.
    pub verdict: Verdict,
    /// All pairs.
    pub whole: Comparison,
    /// What the groups are.
    pub by: By,
    /// The pairs by group; *regressed* is by Holm over all of them.
    pub groups: Vec<Group>,
}

/// Two sides, and what their comparison comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The old side's name.
    pub old: String,
    /// The new side's name.
    pub new: String,
    /// Trials that are scored on one side only: they are not in it.
    pub alone: usize,
    /// What it comes to.
    pub analysis: Analysis,
}

impl Compared {
    /// Compares the new side with the old one; `None` if they have no scored trial in common.
    pub fn of(old: &Side, new: &Side, by: By, margin: f64) -> Option<Self> {
        let (pairs, alone) = pairs(old, new);
        let analysis = analyse(&pairs, by, margin)?;
        Some(Self { old: old.name.clone(), new: new.name.clone(), alone, analysis })
    }

    /// A table and a sentence, as plain text of at most 100 columns.
    pub fn text(&self) -> String {
        let Self { old, new, alone, analysis } = self;
        let mut out = analysis.table(&format!("{new} beside {old}"));
        if *alone > 0 {
            let trials = text::counted(*alone, "trial");
            let _ = writeln!(out, "  Not in it, as scored on one side only: {trials}.");
        }
        out.push('\n');
        terminal::paragraph(&mut out, &analysis.sentence(), 0, 0);
        out
    }
}

/// Comparisons as JSON.
pub fn json(compared: &[Compared]) -> String {
    let json = serde_json::json!({ "version": VERSION, "comparisons": compared });
    serde_json::to_string_pretty(&json).expect("a comparison has only text keys") + "\n"
}

/// What `cargo xtask compare` ends with: 0 not worse, 3 regressed, 4 cannot tell, by the worst of them.
pub fn exit_code(compared: &[Compared]) -> u8 {
    let any = |verdict| compared.iter().any(|it| it.analysis.verdict == verdict);
    match () {
        () if any(Verdict::Regressed) => 3,
        () if any(Verdict::CannotTell) => 4,
        () => 0,
    }
}

impl Side {
    /// The models of a stored run.
    pub fn of_run(run: i64, rows: &[TrialRow]) -> Vec<Self> {
        let trials = rows.iter().map(|it| {
            let scored =
                Scored { suite: it.suite.clone(), cluster: it.cluster.clone(), score: it.outcome.score() };
            (it.model.clone(), format!("{}/{}", it.suite, it.entry), scored)
        });
        Self::by_model(&format!("run {run}"), trials)
    }

    /// The models of a report that was written as JSON; what is wrong with the text is a message for the user.
    pub fn of_json(name: &str, text: &str) -> Result<Vec<Self>, String> {
        let json: Value = serde_json::from_str(text).map_err(|it| format!("{name} is no JSON: {it}"))?;
        match json.get("version").and_then(Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err(format!("{name} has version {version}, this is version {VERSION}")),
            None => {
                return Err(format!("{name} is no report: `cargo xtask report --format json` writes one"));
            }
        }
        let Some(trials) = json.get("trials").and_then(Value::as_array) else {
            return Err(format!("{name} has no `trials`"));
        };
        let mut found = Vec::new();
        for (index, trial) in trials.iter().enumerate() {
            let word = |field: &str| {
                let value = trial.get(field).and_then(Value::as_str);
                value
                    .map(str::to_owned)
                    .ok_or_else(|| format!("{name}: trial {} has no `{field}`", index + 1))
            };
            let (trial_name, model) = (word("name")?, word("model")?);
            let key = trial_name.strip_suffix(&format!("::{model}")).map(str::to_owned);
            let key = key.ok_or_else(|| format!("{name}: `{trial_name}` is not of its model, {model}"))?;
            let score = match trial.get("score") {
                None | Some(Value::Null) => None,
                Some(it) => match it.as_f64().filter(|it| (0.0..=1.0).contains(it)) {
                    Some(score) => Some(score),
                    None => return Err(format!("{name}: the score of `{trial_name}` is {it}, not 0 to 1")),
                },
            };
            found.push((model, key, Scored { suite: word("suite")?, cluster: word("cluster")?, score }));
        }
        Ok(Self::by_model(name, found))
    }

    fn by_model(source: &str, trials: impl IntoIterator<Item = (String, String, Scored)>) -> Vec<Self> {
        let mut sides: Vec<Self> = Vec::new();
        for (model, key, scored) in trials {
            let side = if let Some(place) = sides.iter().position(|it| it.model == model) {
                &mut sides[place]
            } else {
                let name = format!("{source}, {model}");
                sides.push(Self { name, model, trials: BTreeMap::new() });
                sides.last_mut().expect("one was pushed")
            };
            side.trials.insert(key, scored);
        }
        sides
    }
}

/// The trials that are scored on both sides, and how many are on one alone.
fn pairs(old: &Side, new: &Side) -> (Vec<Pair>, usize) {
    let mut pairs = Vec::new();
    let keys: HashSet<&String> = old.trials.keys().chain(new.trials.keys()).collect();
    for (key, before) in &old.trials {
        let Some(after) = new.trials.get(key) else { continue };
        if let (Some(old), Some(new)) = (before.score, after.score) {
            pairs.push(Pair { suite: after.suite.clone(), cluster: after.cluster.clone(), old, new });
        }
    }
    let scored = |side: &Side, key: &String| side.trials.get(key).is_some_and(|it| it.score.is_some());
    let alone = keys.into_iter().filter(|key| scored(old, key) != scored(new, key)).count();
    (pairs, alone)
}

/// Compares the new scores with the old ones; `None` of no pair.
pub fn analyse(pairs: &[Pair], by: By, margin: f64) -> Option<Analysis> {
    let sample = |pairs: &[&Pair], within: bool| {
        let names: Vec<String> = (0..pairs.len()).map(|it| it.to_string()).collect();
        let values = pairs.iter().zip(&names).map(|(it, name)| Observation {
            stratum: &it.suite,
            cluster: if within { name } else { &it.cluster },
            value: it.new - it.old,
        });
        Sample::new(Range::DIFFERENCE, values)
    };
    let whole = compare::compare(&sample(&pairs.iter().collect::<Vec<_>>(), false), margin, CONFIDENCE)?;
    let mut groups: BTreeMap<String, Vec<&Pair>> = BTreeMap::new();
    for pair in pairs {
        let name = match by {
            By::Category => build::split(&pair.suite).0.to_owned(),
            By::Topic => pair.suite.clone(),
            By::Cluster => format!("{}/{}", pair.suite, pair.cluster),
        };
        groups.entry(name).or_default().push(pair);
    }
    let groups = groups.into_iter().map(|(name, pairs)| (name, sample(&pairs, by == By::Cluster))).collect();
    let groups = compare::groups(groups, margin);
    let regressed = groups.iter().any(|it| it.comparison.verdict == Verdict::Regressed);
    let verdict = if regressed { Verdict::Regressed } else { whole.verdict };
    Some(Analysis { verdict, whole, by, groups })
}

impl Analysis {
    /// The verdict in a sentence.
    pub fn sentence(&self) -> String {
        let Comparison { difference, margin, verdict, settled_by, .. } = &self.whole;
        let range = text::differences(difference.interval);
        let margin = text::points(*margin);
        let over = format!(
            "{} of {}",
            text::counted(difference.n, "trial"),
            text::counted(difference.clusters, "cluster")
        );
        let found = format!("difference {} {range} over {over}", text::difference(difference.mean));
        let mut sentence = match verdict {
            Verdict::NotWorse => format!("not worse within {margin}: {found}"),
            Verdict::Regressed => format!("regressed: {found}"),
            Verdict::CannotTell => {
                let settled = or_dash(*settled_by, |it| text::count(it as u64));
                format!(
                    "cannot tell: {found}, margin {margin}; about {settled} clusters like these would settle it"
                )
            }
        };
        let regressed: Vec<&str> = self
            .groups
            .iter()
            .filter(|it| it.comparison.verdict == Verdict::Regressed)
            .map(|it| it.name.as_str())
            .collect();
        if !regressed.is_empty() && *verdict != Verdict::Regressed {
            sentence = format!("regressed in {}; as a whole {sentence}", regressed.join(", "));
        } else if !regressed.is_empty() {
            let _ = write!(sentence, "; also in {} by itself", regressed.join(", "));
        }
        sentence
    }

    /// The table, as plain text of at most 100 columns.
    pub fn table(&self, title: &str) -> String {
        let mut out = String::new();
        terminal::table(&mut out, &self.cells(title));
        out
    }

    fn cells(&self, title: &str) -> Table {
        let cells = |name: &str, it: &Comparison| {
            vec![
                name.to_owned(),
                text::count(it.difference.n as u64),
                text::count(it.difference.clusters as u64),
                text::difference(it.difference.mean),
                text::differences(it.difference.interval),
                format!("{}/{}", it.better, it.worse),
                or_dash(it.detectable, text::score),
                it.settled_by.map_or_else(|| NONE.to_owned(), |it| text::count(it as u64)),
                it.verdict.words().to_owned(),
            ]
        };
        let mut rows = vec![Row { part: false, cells: cells("all", &self.whole) }];
        rows.extend(self.groups.iter().map(|it| Row { part: true, cells: cells(&it.name, &it.comparison) }));
        Table {
            title: title.to_owned(),
            note: self.note(),
            head: vec![
                "new − old",
                "n",
                "clusters",
                "change",
                "interval",
                "+/−",
                "finds",
                "settled by",
                "verdict",
            ],
            rows,
        }
    }

    fn note(&self) -> String {
        let Comparison { margin, mcnemar, difference, .. } = &self.whole;
        let mut note = format!(
            "n: trials scored on both sides. interval: {} for all of them; {} together for what is below, {} each \
             (Bonferroni); there `regressed` is by Holm. +/−: trials scored higher and lower. finds: the smallest loss that \
             as many cases find in 80 of 100 runs. settled by: clusters at which 80 of 100 runs would be told, if the change \
             is as found. Margin: {}.",
            text::percent(CONFIDENCE),
            text::percent(CONFIDENCE),
            text::percent(self.groups.first().map_or(CONFIDENCE, |it| it.comparison.confidence)),
            text::points(*margin),
        );
        match difference.method {
            Method::Exact => note.push_str(
                " No cluster differs from the others: the interval is binomial, n the number of clusters.",
            ),
            Method::Clustered | Method::Wilson => {}
        }
        if let Some(p) = mcnemar {
            let _ = write!(note, " McNemar's exact p: {}.", text::score(*p));
        }
        if self.by == By::Cluster {
            note.push_str(
                " Within a cluster its trials are the units: what is said of it holds for it alone.",
            );
        }
        note
    }
}

//! Heat maps: scores by the length of a text and the depth at which a fact stands in it.
//!
//! A case has one if its matrix has the variables `length` and `depth`: they stand in the names of its trials.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::html::escaped;
use super::text::{self, NONE};
use super::{Report, Trial};

/// Scores of one model and case.
pub(super) struct Map {
    model: String,
    /// `category/topic/case`.
    case: String,
    /// Lengths in tokens, the least first.
    lengths: Vec<u64>,
    /// Depths in percent of the text, the least first.
    depths: Vec<u64>,
    /// Sum of the scores, and how many were scored, by length and depth.
    cells: BTreeMap<(u64, u64), (f64, usize)>,
}

/// What a reader has to know.
const NOTE: &str = "Mean score by the length of the text, in tokens, and the depth at which the fact stands in it, in percent: at 0 it comes \
                    first, at 100 last.";

/// The maps of a report, by model, then by case, in the order of the trials.
pub(super) fn maps(report: &Report) -> Vec<Map> {
    let mut maps: Vec<Map> = Vec::new();
    for trial in &report.trials {
        let Some((case, length, depth)) = place(trial) else { continue };
        let found = maps.iter().position(|it| it.model == trial.model && it.case == case);
        let at = found.unwrap_or_else(|| {
            let (model, case) = (trial.model.clone(), case.to_owned());
            maps.push(Map { model, case, lengths: Vec::new(), depths: Vec::new(), cells: BTreeMap::new() });
            maps.len() - 1
        });
        let cell = maps[at].cells.entry((length, depth)).or_default();
        if let Some(score) = trial.score {
            cell.0 += score;
            cell.1 += 1;
        }
    }
    // A model that was not asked has trials, too.
    maps.retain(|it| it.cells.values().any(|(_, scored)| *scored > 0));
    for map in &mut maps {
        let lengths: BTreeSet<u64> = map.cells.keys().map(|it| it.0).collect();
        let depths: BTreeSet<u64> = map.cells.keys().map(|it| it.1).collect();
        (map.lengths, map.depths) = (lengths.into_iter().collect(), depths.into_iter().collect());
    }
    maps
}

/// The case of a trial, and the length and the depth in its name: `case[length=256,depth=50,1]::model`.
fn place(trial: &Trial) -> Option<(&str, u64, u64)> {
    let (case, rest) = trial.name.split_once('[')?;
    let (label, _) = rest.split_once(']')?;
    let of = |name: &str| {
        let value = label.split(',').find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|it| it.parse().ok())
    };
    Some((case, of("length")?, of("depth")?))
}

impl Map {
    fn mean(&self, length: u64, depth: u64) -> Option<f64> {
        let (sum, scored) = self.cells.get(&(length, depth))?;
        (*scored > 0).then(|| sum / *scored as f64)
    }

    fn title(&self) -> String {
        format!("{}: {}", self.model, self.case)
    }

    /// Names of the columns, and rows of cells with the depth first.
    fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let head =
            std::iter::once("depth \\ length".to_owned()).chain(self.lengths.iter().map(u64::to_string));
        let rows = self.depths.iter().map(|depth| {
            let cells = self
                .lengths
                .iter()
                .map(|length| self.mean(*length, *depth).map_or_else(|| NONE.to_owned(), text::score));
            std::iter::once(format!("{depth} %")).chain(cells).collect()
        });
        (head.collect(), rows.collect())
    }
}

pub(super) fn markdown(out: &mut String, maps: &[Map], escaped: fn(&str) -> String) {
    if maps.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## Length and depth\n\n{}", escaped(NOTE));
    for map in maps {
        let (head, rows) = map.table();
        let _ = writeln!(out, "\n### {}\n", escaped(&map.title()));
        let head: Vec<String> = head.iter().map(|it| escaped(it)).collect();
        let _ = writeln!(out, "| {} |\n|---|{}", head.join(" | "), "--:|".repeat(head.len() - 1));
        for row in rows {
            let _ = writeln!(out, "| {} |", row.join(" | "));
        }
    }
}

pub(super) fn terminal(out: &mut String, maps: &[Map]) {
    for map in maps {
        let (head, rows) = map.table();
        let _ = writeln!(out, "\nLength and depth: {}", text::line(&map.title()));
        for row in std::iter::once(head).chain(rows) {
            let cells: Vec<String> = row[1..].iter().map(|it| format!("{it:>8}")).collect();
            let _ = writeln!(out, "  {:<16}{}", row[0], cells.concat());
        }
    }
}

pub(super) fn html(out: &mut String, maps: &[Map]) {
    if maps.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "<h2 id=\"depth\">Length and depth</h2>\n<p class=\"note\">{NOTE}</p>\n<div class=\"plots\">"
    );
    for (at, map) in maps.iter().enumerate() {
        let title = escaped(&map.title());
        let _ = writeln!(
            out,
            "<figure><figcaption><strong>{title}</strong></figcaption>{}</figure>",
            svg(map, at)
        );
    }
    out.push_str("</div>\n");
}

/// A cell for each length and depth, the fuller the better, with its score on it.
fn svg(map: &Map, at: usize) -> String {
    const LEFT: f64 = 62.0;
    const WIDTH: f64 = 480.0;
    const ROW: f64 = 34.0;
    const TOP: f64 = 24.0;
    let column = (WIDTH - LEFT) / map.lengths.len() as f64;
    let bottom = TOP + ROW * map.depths.len() as f64;
    let mut description = String::new();
    let mut cells = String::new();
    for (row, depth) in map.depths.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let _ = write!(
            cells,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{depth} %</text>"#,
            LEFT - 8.0,
            y + ROW / 2.0 + 5.0
        );
        for (place, length) in map.lengths.iter().enumerate() {
            let x = LEFT + column * place as f64;
            let mean = map.mean(*length, *depth);
            let shown = mean.map_or_else(|| NONE.to_owned(), text::score);
            let _ = write!(description, "{length} tokens, depth {depth} %: {shown}. ");
            let (class, opacity) = mean.map_or(("empty", 1.0), |it| ("cell", 0.06 + 0.84 * it));
            let _ = write!(
                cells,
                r#"<rect class="{class}" x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="4" fill-opacity="{opacity:.2}"/><text class="value" x="{:.1}" y="{:.1}" text-anchor="middle">{shown}</text>"#,
                x + 2.0,
                y + 2.0,
                column - 4.0,
                ROW - 4.0,
                x + column / 2.0,
                y + ROW / 2.0 + 5.0
            );
        }
    }
    for (place, length) in map.lengths.iter().enumerate() {
        let _ = write!(
            cells,
            r#"<text class="tick" x="{:.1}" y="16" text-anchor="middle">{length}</text>"#,
            LEFT + column * (place as f64 + 0.5)
        );
    }
    format!(
        r#"<svg class="s2" viewBox="0 0 {WIDTH} {:.1}" role="img" aria-labelledby="heat{at}-t heat{at}-d"><title id="heat{at}-t">{}</title><desc id="heat{at}-d">{}</desc>{cells}</svg>"#,
        bottom + 8.0,
        escaped(&map.title()),
        escaped(&description)
    )
}

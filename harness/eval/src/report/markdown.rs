//! The report as GitHub's Markdown.

use std::fmt::Write as _;

use super::tables::{self, Table};
use super::{METRICS, Report, text};

/// Failing trials that are shown: a step summary holds 1 MiB.
const FAILING: usize = 50;
/// Characters of a response that are shown.
const EXCERPT: usize = 500;

pub(super) fn write(report: &Report) -> String {
    let mut out = format!("# Proofmark report: run {}\n\n{}\n", report.run.number, escaped(&report.status()));
    if !report.problems.is_empty() {
        out.push_str("\n> [!CAUTION]\n> This run does not add up:\n");
        for it in &report.problems {
            let _ = writeln!(out, "> - {}", escaped(it));
        }
    }
    if !report.verdict.is_empty() {
        let _ = writeln!(out, "\n**{}**", escaped(&report.verdict.join(" ")));
    }
    out.push('\n');
    for (label, value) in tables::header(&report.run) {
        let _ = writeln!(out, "- {label}: {}", escaped(&value));
    }
    if report.models.is_empty() {
        out.push_str("\nNo model was asked.\n");
    } else {
        for it in tables::overview(report) {
            table(&mut out, &it, "##");
        }
        out.push_str("\n## By category and topic\n");
        for model in &report.models {
            table(&mut out, &tables::topics(model), "###");
        }
        super::heat::markdown(&mut out, &super::heat::maps(report), escaped);
        for it in tables::several(report) {
            table(&mut out, &it, "##");
        }
    }
    if !report.skipped.is_empty() {
        out.push_str("\n## Skipped models\n\n");
        for it in &report.skipped {
            let trials = text::counted(it.trials, "trial");
            let _ = writeln!(out, "- {} ({trials}): {}", escaped(&it.name), escaped(&it.reason));
        }
    }
    failing(&mut out, report);
    out.push_str("\n<details><summary>What the numbers mean</summary>\n\n");
    for it in METRICS {
        let _ =
            writeln!(out, "- **{}** ({}): {}", escaped(it.name), escaped(it.unit), escaped(it.definition));
    }
    out.push_str("\n</details>\n");
    out
}

fn table(out: &mut String, table: &Table, level: &str) {
    let _ = writeln!(out, "\n{level} {}\n", escaped(&table.title));
    let _ = writeln!(out, "| {} |", table.head.join(" | "));
    let _ = writeln!(out, "|---|{}", "--:|".repeat(table.head.len() - 1));
    for row in &table.rows {
        let mut cells: Vec<String> = row.cells.iter().map(|it| escaped(it)).collect();
        cells[0] = if row.part { format!("&emsp;{}", cells[0]) } else { format!("**{}**", cells[0]) };
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    if !table.note.is_empty() {
        let _ = writeln!(out, "\n{}", escaped(&table.note));
    }
}

fn failing(out: &mut String, report: &Report) {
    let failing = report.failing();
    if failing.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n## Failing trials: {}", text::count(failing.len() as u64));
    for trial in failing.iter().take(FAILING) {
        let _ = writeln!(
            out,
            "\n<details><summary>{}: {}</summary>\n",
            html(&trial.name),
            html(&trial.held_against())
        );
        if let Some(wanted) = &trial.wanted {
            let _ = writeln!(out, "- wanted: {}", escaped(wanted));
            let _ = writeln!(out, "- found: {}", escaped(trial.answer.as_deref().unwrap_or("nothing")));
        }
        let _ = writeln!(out, "- because: {}", escaped(&trial.reason));
        if let Some(response) = &trial.response {
            let _ = writeln!(out, "\n{}", fenced(&text::excerpt(response, EXCERPT)));
        }
        out.push_str("\n</details>\n");
    }
    if failing.len() > FAILING {
        let _ = writeln!(out, "\n{} more: `--format html` shows them.", failing.len() - FAILING);
    }
}

/// Foreign text as itself, on one line: nothing in it is markup, a mention or a cell's end.
fn escaped(foreign: &str) -> String {
    let mut out = String::new();
    let mut before = ' ';
    for it in text::line(foreign).chars() {
        match it {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // An empty comment parts the sign from the name that it would call.
            '@' if !before.is_alphanumeric() => out.push_str("@<!-- -->"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '$' => out.extend(['\\', it]),
            _ => out.push(it),
        }
        before = it;
    }
    // The same for an address, which would become a link.
    out.replace("://", ":<!-- -->//").replace("www.", "www<!-- -->.")
}

/// Foreign text inside a tag, where Markdown is not read.
fn html(foreign: &str) -> String {
    let text = text::line(foreign).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('@', "@<!-- -->")
}

/// Foreign text as a block of code, in a fence that it cannot close.
fn fenced(foreign: &str) -> String {
    let text = text::visible(foreign.trim_end_matches('\n'));
    let longest = text.split(|it| it != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{text}\n{fence}")
}

//! The report as plain text.

use std::fmt::Write as _;

use super::tables::{self, Table};
use super::{METRICS, Report, text};

/// Columns.
const WIDTH: usize = 100;
/// Failing trials that are shown.
const FAILING: usize = 20;
/// Characters of a response that are shown.
const EXCERPT: usize = 500;

pub(super) fn write(report: &Report) -> String {
    let mut out = String::new();
    paragraph(&mut out, &format!("Proofmark report: run {}", report.run.number), 0, 2);
    paragraph(&mut out, &report.status(), 2, 4);
    for (label, value) in tables::header(&report.run) {
        paragraph(&mut out, &format!("{label:<10}{value}"), 2, 12);
    }
    section(&mut out, "Does not add up", &report.problems);
    if !report.verdict.is_empty() {
        out.push('\n');
        paragraph(&mut out, &report.verdict.join(" "), 0, 0);
    }
    if report.models.is_empty() {
        out.push_str("\nNo model was asked.\n");
    } else {
        for it in tables::overview(report) {
            table(&mut out, &it);
        }
        for model in &report.models {
            table(&mut out, &tables::topics(model));
        }
        super::heat::terminal(&mut out, &super::heat::maps(report));
        for it in tables::several(report) {
            table(&mut out, &it);
        }
    }
    let skipped = report.skipped.iter();
    let skipped: Vec<String> = skipped
        .map(|it| format!("{} ({}): {}", it.name, text::counted(it.trials, "trial"), it.reason))
        .collect();
    section(&mut out, "Skipped models", &skipped);
    failing(&mut out, report);
    out.push_str("\nWhat the numbers mean\n");
    for it in METRICS {
        paragraph(&mut out, &format!("{} ({}): {}", it.name, it.unit, it.definition), 2, 4);
    }
    out
}

fn section(out: &mut String, title: &str, lines: &[String]) {
    if !lines.is_empty() {
        let _ = writeln!(out, "\n{title}");
        for line in lines {
            paragraph(out, line, 2, 4);
        }
    }
}

fn failing(out: &mut String, report: &Report) {
    let failing = report.failing();
    if failing.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nFailing trials: {}", text::count(failing.len() as u64));
    for trial in failing.iter().take(FAILING) {
        out.push('\n');
        paragraph(out, &trial.name, 2, 4);
        let mut line = |label: &str, value: &str| paragraph(out, &format!("{label:<10}{value}"), 4, 14);
        line("score", &trial.held_against());
        if let Some(wanted) = &trial.wanted {
            line("wanted", wanted);
            line("found", trial.answer.as_deref().unwrap_or("nothing"));
        }
        line("because", &trial.reason);
        if let Some(response) = &trial.response {
            line("response", &text::excerpt(response, EXCERPT));
        }
    }
    if failing.len() > FAILING {
        let _ = writeln!(out, "\n  {} more: `--format html` shows them", failing.len() - FAILING);
    }
}

pub(super) fn table(out: &mut String, table: &Table) {
    let _ = writeln!(out, "\n{}", cut(text::line(&table.title), WIDTH));
    let name = |row: &tables::Row| {
        let indent = if row.part { "  " } else { "" };
        format!("{indent}{}", text::line(&row.cells[0]))
    };
    let columns = table.head.len();
    let mut widths: Vec<usize> = table.head.iter().map(|it| it.chars().count()).collect();
    for row in &table.rows {
        widths[0] = widths[0].max(name(row).chars().count());
        for (width, cell) in widths.iter_mut().zip(&row.cells).skip(1) {
            *width = (*width).max(text::line(cell).chars().count());
        }
    }
    // Names and what stands in the last column give way; numbers do not.
    let gaps = 2 * (columns - 1) + 2;
    let over = (widths.iter().sum::<usize>() + gaps).saturating_sub(WIDTH);
    let from_name = over.min(widths[0].saturating_sub(20));
    widths[0] -= from_name;
    let last = widths[columns - 1];
    widths[columns - 1] = last.saturating_sub(over - from_name).max(last.min(8));
    let mut line = |cells: Vec<String>| {
        let mut cells = cells.into_iter().zip(&widths).map(|(cell, width)| (cut(cell, *width), *width));
        if let Some((first, width)) = cells.next() {
            let _ = write!(out, "  {first:<width$}");
        }
        for (cell, width) in cells {
            let _ = write!(out, "  {cell:>width$}");
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
    };
    line(table.head.iter().map(|it| (*it).to_owned()).collect());
    for row in &table.rows {
        let mut cells = vec![name(row)];
        cells.extend(row.cells.iter().skip(1).map(|it| text::line(it)));
        line(cells);
    }
    if !table.note.is_empty() {
        paragraph(out, &table.note, 2, 2);
    }
}

fn cut(text: String, most: usize) -> String {
    let long = text.chars().count() > most;
    if long { text.chars().take(most - 1).chain(['…']).collect() } else { text }
}

/// Foreign text in lines of at most [`WIDTH`]; the first is indented by `first`, the others by `rest`.
pub(super) fn paragraph(out: &mut String, foreign: &str, first: usize, rest: usize) {
    let mut indent = first;
    for line in text::visible(foreign.trim_end_matches('\n')).replace('\t', "    ").split('\n') {
        let mut line = line;
        loop {
            let room = WIDTH - indent;
            let Some((end, _)) = line.char_indices().nth(room) else { break };
            // A word that is longer than a line is cut.
            let cut =
                line[..end].rfind(' ').filter(|it| *it > 0 && !line[..*it].trim().is_empty()).unwrap_or(end);
            let _ = writeln!(out, "{:indent$}{}", "", line[..cut].trim_end());
            line = line[cut..].trim_start();
            indent = rest;
        }
        let _ = writeln!(out, "{:indent$}{line}", "");
        indent = rest;
    }
}

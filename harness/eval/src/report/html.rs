//! The report as one page that needs nothing else: no network, no script.

use std::fmt::Write as _;

use super::svg::{self, Caption, Line, Point, Range, Scale};
use super::tables::{self, Table};
use super::text::{self, NONE, or_dash};
use super::{METRICS, Model, Report, Scores, Status, Temperature, Trial};
use crate::stats::{self, Estimate};

const STYLE: &str = include_str!("style.css");
/// Failing trials that are shown.
const FAILING: usize = 200;
/// Trials that are listed; beyond it, those that failed come first.
const TRIALS: usize = 2_000;
/// Characters of a failing trial's response that are shown.
const EXCERPT: usize = 500;
/// Characters of a prompt, or of a response, in the list of all trials.
const SHOWN: usize = 4_000;

/// Foreign text as itself: nothing in it is markup, and nothing hides.
pub(super) fn escaped(foreign: &str) -> String {
    let mut out = String::with_capacity(foreign.len());
    for it in text::visible(foreign).chars() {
        match it {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(it),
        }
    }
    out
}

pub(super) fn write(report: &Report) -> String {
    let number = report.run.number;
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Proofmark report: run {number}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<div class=\"page\">\n"
    );
    header(&mut out, report);
    out.push_str("<main>\n");
    if report.models.is_empty() {
        out.push_str("<p>No model was asked.</p>\n");
    } else {
        results(&mut out, report);
    }
    skipped(&mut out, report);
    failing(&mut out, report);
    trials(&mut out, report);
    out.push_str("<h2 id=\"meanings\">What the numbers mean</h2>\n<dl class=\"meanings\">\n");
    for it in METRICS {
        let (name, unit) = (escaped(it.name), escaped(it.unit));
        let _ = writeln!(out, "<dt>{name}<span>{unit}</span></dt><dd>{}</dd>", escaped(it.definition));
    }
    out.push_str("</dl>\n</main>\n<footer>Made by Proofmark from its store. ");
    out.push_str("A dash means that a value was not measured, or cannot be: it is not zero, and in no mean.</footer>\n");
    out + "</div>\n</body>\n</html>\n"
}

fn header(out: &mut String, report: &Report) {
    let (class, word) = match report.run.status {
        Status::Complete if report.problems.is_empty() => ("good", "complete"),
        Status::Complete => ("bad", "does not add up"),
        Status::Partial => ("bad", "partial"),
        Status::Unfinished => ("bad", "unfinished"),
    };
    let _ = write!(
        out,
        "<header>\n<p class=\"brand\">Proofmark report</p>\n<div class=\"title\"><h1>Run {}</h1>\
         <span class=\"badge {class}\">{word}</span></div>\n<p class=\"soft\">{}</p>\n",
        report.run.number,
        escaped(&report.status())
    );
    if !report.problems.is_empty() {
        out.push_str("<div class=\"alert\"><strong>This run does not add up.</strong><ul>");
        for it in &report.problems {
            let _ = write!(out, "<li>{}</li>", escaped(it));
        }
        out.push_str("</ul></div>\n");
    }
    if !report.verdict.is_empty() {
        out.push_str("<div class=\"verdict\">");
        let _ = write!(out, "<p>{}</p>", escaped(&report.verdict[0]));
        if report.verdict.len() > 1 {
            let _ = write!(out, "<p>{}</p>", escaped(&report.verdict[1..].join(" ")));
        }
        out.push_str("</div>\n");
    }
    out.push_str("<dl class=\"facts\">\n");
    for (label, value) in tables::header(&report.run) {
        let wide = if value.chars().count() > 32 { " class=\"wide\"" } else { "" };
        let _ = writeln!(out, "<div{wide}><dt>{label}</dt><dd>{}</dd></div>", escaped(&value));
    }
    out.push_str("</dl>\n<nav aria-label=\"Parts of this page\">");
    let mut link = |shown: bool, id: &str, name: &str| {
        if shown {
            let _ = write!(out, "<a href=\"#{id}\">{name}</a>");
        }
    };
    let any = !report.models.is_empty();
    for (id, name) in
        [("scores", "Scores"), ("topics", "Categories"), ("speed", "Speed"), ("resources", "Resources")]
    {
        link(any, id, name);
    }
    link(!report.skipped.is_empty(), "skipped", "Skipped");
    link(report.trials.iter().any(Trial::failed), "failing", "Failing");
    link(!report.trials.is_empty(), "trials", "Trials");
    link(true, "meanings", "What the numbers mean");
    out.push_str("</nav>\n</header>\n");
}

fn results(out: &mut String, report: &Report) {
    let [scores, beside, speed, latency, resources, accounting] = &tables::overview(report)[..] else {
        return;
    };
    out.push_str("<h2 id=\"scores\">Scores</h2>\n");
    out.push_str("<div class=\"plots\">\n<div class=\"stack\">\n");
    figure(out, "Score by model", "Mean, with its 95 % interval.", &scores_plot(report));
    figure(
        out,
        "Score and speed",
        "Score upwards, decode speed to the right, 95 % interval of the score.",
        &scatter(report),
    );
    out.push_str("</div>\n");
    figure(out, "Score by category", "Mean, with its 95 % interval.", &categories_plot(report));
    out.push_str("</div>\n");
    for it in [scores, beside, accounting] {
        titled(out, it);
    }
    out.push_str("<h2 id=\"topics\">By category and topic</h2>\n");
    // More than a few would push all else out of sight.
    let open = if report.models.len() <= 3 { " open" } else { "" };
    for (series, model) in report.models.iter().enumerate() {
        let (class, name) = (series % 6, escaped(&model.name));
        let _ = writeln!(
            out,
            "<details class=\"model\"{open}><summary><span class=\"swatch s{class}\"></span>{name}</summary>"
        );
        let nested = model
            .categories
            .iter()
            .flat_map(|it| std::iter::once(&it.scores).chain(it.topics.iter().map(|topic| &topic.scores)));
        let plots: Vec<String> = nested.map(|it| small(series, it)).collect();
        table(out, &tables::topics(model), &plots);
        out.push_str("</details>\n");
    }
    super::heat::html(out, &super::heat::maps(report));
    several(out, report);
    let _ = writeln!(out, "<h2 id=\"speed\">Speed</h2>\n<p class=\"note\">{}</p>", escaped(&speed.note));
    out.push_str("<div class=\"plots\">\n");
    let what = "Mark: median. Box: middle half of the trials. Line: 10th to 90th percentile.";
    figure(out, "Time to first token", what, &times_plot(report, "ttft", "TTFT", |it| it.ttft_seconds));
    figure(out, "Time per output token", what, &times_plot(report, "tpot", "TPOT", |it| it.tpot_seconds));
    out.push_str("</div>\n");
    table(out, speed, &[]);
    titled(out, latency);
    out.push_str("<h2 id=\"resources\">Resources</h2>\n");
    let _ = writeln!(out, "<p class=\"note\">{}</p>", escaped(&resources.note));
    table(out, resources, &[]);
}

/// What several answers to one question come to.
fn several(out: &mut String, report: &Report) {
    let all = report.models.iter().enumerate().map(|(series, it)| (series, &it.name, &it.temperatures));
    let score = |it: &Temperature| Some(it.score);
    if report.models.iter().any(|it| !it.temperatures.is_empty()) {
        out.push_str("<h2 id=\"temperature\">Temperature</h2>\n<div class=\"plots\">\n");
        let note = "Mean, with its 95 % interval.";
        figure(out, "Score by temperature", note, &curve("all", "score", all.clone(), score));
        let note = "Share of answers that are not the greedy one, with its 95 % interval.";
        figure(out, "Changed answers", note, &curve("changed", "changed answers", all, |it| it.changed));
        let mut names: Vec<&str> = Vec::new();
        for it in report.models.iter().flat_map(|it| &it.categories).filter(|it| !it.temperatures.is_empty())
        {
            if !names.contains(&it.name.as_str()) {
                names.push(&it.name);
            }
        }
        for (index, name) in names.into_iter().enumerate() {
            let of = report.models.iter().enumerate().filter_map(|(series, model)| {
                let category = model.categories.iter().find(|it| it.name == name)?;
                Some((series, &model.name, &category.temperatures))
            });
            let plot = curve(&format!("category-{index}"), "score", of, score);
            figure(out, &escaped(name), "Score by temperature.", &plot);
        }
        out.push_str("</div>\n");
    }
    for it in tables::several(report) {
        titled(out, &it);
    }
}

/// A value by temperature, for each model that has it.
fn curve<'a>(
    id: &str,
    what: &str,
    models: impl Iterator<Item = (usize, &'a String, &'a Vec<Temperature>)>,
    value: impl Fn(&Temperature) -> Option<Estimate>,
) -> String {
    let mut points = Vec::new();
    let mut words = Vec::new();
    for (series, name, temperatures) in models {
        let mut label = name.as_str();
        for it in temperatures {
            let Some(estimate) = value(it) else { continue };
            let whisker = Some((estimate.interval.low, estimate.interval.high));
            points.push(Point { series, label, x: it.temperature, y: estimate.mean, whisker });
            label = "";
            let (mean, range) = (text::score(estimate.mean), text::interval(estimate.interval));
            words.push(format!("{name} at {}: {mean} {range}.", it.temperature));
        }
    }
    let Some(scale) = Scale::around(&points.iter().map(|it| it.x).collect::<Vec<_>>()) else {
        return "<p class=\"soft\">Not measured.</p>".to_owned();
    };
    let caption = Caption {
        id: &format!("plot-temperature-{id}"),
        title: &format!("{what} by temperature"),
        description: words.join(" "),
        axis: format!("temperature{}", scale.note()),
    };
    svg::curves(&caption, scale, &points)
}

fn small(series: usize, scores: &Scores) -> String {
    let interval = scores.mean.zip(scores.interval);
    or_dash(interval, |(mean, it)| svg::small(series, mean, (it.low, it.high)))
}

fn figure(out: &mut String, title: &str, note: &str, plot: &str) {
    let _ = writeln!(out, "<figure><figcaption><strong>{title}</strong>{note}</figcaption>{plot}</figure>");
}

fn titled(out: &mut String, it: &Table) {
    let _ = writeln!(out, "<h3>{}</h3>", escaped(&it.title));
    table(out, it, &[]);
    if !it.note.is_empty() {
        let _ = writeln!(out, "<p class=\"note\">{}</p>", escaped(&it.note));
    }
}

/// A table in a box of its own, which scrolls; with a small plot for each row after the names, if any are given.
fn table(out: &mut String, table: &Table, plots: &[String]) {
    let title = escaped(&table.title);
    let _ = write!(
        out,
        "<div class=\"box\" role=\"region\" aria-label=\"{title}\" tabindex=\"0\"><table><thead><tr>"
    );
    for (column, name) in table.head.iter().enumerate() {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escaped(name));
        if column == 0 && !plots.is_empty() {
            out.push_str("<th scope=\"col\">0 to 1</th>");
        }
    }
    out.push_str("</tr></thead><tbody>\n");
    for (index, row) in table.rows.iter().enumerate() {
        let class = if row.part { " class=\"part\"" } else { "" };
        let _ = write!(out, "<tr{class}>{}", cell("th scope=\"row\"", "th", &row.cells[0]));
        if let Some(plot) = plots.get(index) {
            let _ = write!(out, "<td>{plot}</td>");
        }
        for value in &row.cells[1..] {
            out.push_str(&cell("td", "td", value));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

/// A cell; what is too long for it is whole in its tooltip.
fn cell(open: &str, close: &str, foreign: &str) -> String {
    let value = escaped(foreign);
    let tooltip = if foreign.chars().count() > 30 { format!(" title=\"{value}\"") } else { String::new() };
    format!("<{open}{tooltip}>{value}</{close}>")
}

fn score_line(series: usize, label: &str, scores: &Scores) -> Line {
    let interval = scores.interval;
    Line::Range(Range {
        series,
        label: label.to_owned(),
        value: match scores.mean.zip(interval) {
            Some((mean, it)) => format!("{} {}, n {}", text::score(mean), text::interval(it), scores.scored),
            None => format!("{NONE} (nothing scored)"),
        },
        whisker: interval.map(|it| (it.low, it.high)),
        body: None,
        mark: scores.mean,
    })
}

/// The lines of a plot in words.
fn described(lines: &[Line]) -> String {
    let words = lines.iter().map(|it| match it {
        Line::Heading(name) => format!("{name}."),
        Line::Range(it) => format!("{}: {}.", it.label, it.value),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn scores_plot(report: &Report) -> String {
    let models = report.models.iter().enumerate();
    let lines: Vec<Line> = models.map(|(series, it)| score_line(series, &it.name, &it.scores)).collect();
    let caption = Caption {
        id: "plot-scores",
        title: "Score by model",
        description: described(&lines),
        axis: "score".to_owned(),
    };
    svg::ranges(&caption, Scale::UNIT, &lines)
}

fn categories_plot(report: &Report) -> String {
    let mut names: Vec<&str> = Vec::new();
    for it in report.models.iter().flat_map(|it| &it.categories) {
        if !names.contains(&it.name.as_str()) {
            names.push(&it.name);
        }
    }
    let mut lines = Vec::new();
    for name in names {
        lines.push(Line::Heading(name.to_owned()));
        for (series, model) in report.models.iter().enumerate() {
            if let Some(it) = model.categories.iter().find(|it| it.name == name) {
                lines.push(score_line(series, &model.name, &it.scores));
            }
        }
    }
    let caption = Caption {
        id: "plot-categories",
        title: "Score by category and model",
        description: described(&lines),
        axis: "score".to_owned(),
    };
    svg::ranges(&caption, Scale::UNIT, &lines)
}

fn scatter(report: &Report) -> String {
    let point = |(series, it): (usize, &'_ Model)| Some((series, it.decode_speed.p50?, it.scores.mean?));
    let found: Vec<(usize, f64, f64)> = report.models.iter().enumerate().filter_map(point).collect();
    let Some(scale) = Scale::around(&found.iter().map(|it| it.1).collect::<Vec<_>>()) else {
        return "<p class=\"soft\">Not measured.</p>".to_owned();
    };
    let points: Vec<Point<'_>> = found
        .iter()
        .map(|(series, x, y)| {
            let model = &report.models[*series];
            let whisker = model.scores.interval.map(|it| (it.low, it.high));
            Point { series: *series, label: &model.name, x: *x, y: *y, whisker }
        })
        .collect();
    let words = |it: &Point<'_>| {
        format!("{}: score {} at {} tokens/s.", it.label, text::score(it.y), text::significant(it.x))
    };
    let caption = Caption {
        id: "plot-speed",
        title: "Score by decode speed",
        description: points.iter().map(words).collect::<Vec<_>>().join(" "),
        axis: format!("decode speed, p50, tokens/s{}", scale.note()),
    };
    svg::scatter(&caption, scale, &points)
}

/// A time's distribution by model, in milliseconds.
fn times_plot(report: &Report, id: &str, name: &str, time: fn(&Trial) -> Option<f64>) -> String {
    let sorted = |model: &str| {
        let mine = report.trials.iter().filter(|it| it.model == model);
        let mut values: Vec<f64> = mine.filter_map(time).map(|it| it * 1e3).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let mut lines = Vec::new();
    let mut ends = Vec::new();
    for (series, model) in report.models.iter().enumerate() {
        let values = sorted(&model.name);
        let at = |it| stats::percentile(&values, it);
        let whisker = at(10.0).zip(at(90.0));
        ends.extend(whisker.map(|it| [it.0, it.1]).into_iter().flatten());
        lines.push(Line::Range(Range {
            series,
            label: model.name.clone(),
            value: match at(50.0) {
                Some(median) => format!("{} ms, n {}", text::significant(median), values.len()),
                None => format!("{NONE} (not measured)"),
            },
            whisker,
            body: at(25.0).zip(at(75.0)),
            mark: at(50.0),
        }));
    }
    let Some(scale) = Scale::around(&ends) else { return "<p class=\"soft\">Not measured.</p>".to_owned() };
    let caption = Caption {
        id: &format!("plot-{id}"),
        title: &format!("{name} by model"),
        description: format!("Medians. {}", described(&lines)),
        axis: format!("{name}, ms{}", scale.note()),
    };
    svg::ranges(&caption, scale, &lines)
}

fn skipped(out: &mut String, report: &Report) {
    if report.skipped.is_empty() {
        return;
    }
    out.push_str("<h2 id=\"skipped\">Skipped models</h2>\n<ul>\n");
    for it in &report.skipped {
        let (name, reason) = (escaped(&it.name), escaped(&text::line(&it.reason)));
        let trials = text::counted(it.trials, "trial");
        let _ = writeln!(out, "<li><span class=\"name\">{name}</span> ({trials}): {reason}</li>");
    }
    out.push_str("</ul>\n");
}

fn failing(out: &mut String, report: &Report) {
    let failing = report.failing();
    if failing.is_empty() {
        return;
    }
    let count = text::count(failing.len() as u64);
    let _ = writeln!(out, "<h2 id=\"failing\">Failing trials: {count}</h2>\n<div class=\"failing\">");
    for trial in failing.iter().take(FAILING) {
        let _ = write!(out, "<article><h3><span class=\"name\">{}</span></h3>", escaped(&trial.name));
        let _ = write!(out, "<dl class=\"trial\">{}", judged(trial));
        if let Some(response) = &trial.response {
            entry(out, "response", &block(&text::excerpt(response, EXCERPT)));
        }
        out.push_str("</dl></article>\n");
    }
    out.push_str("</div>\n");
    if failing.len() > FAILING {
        let more = text::count((failing.len() - FAILING) as u64);
        let _ = writeln!(
            out,
            "<p class=\"note\">{more} more are in the store, and in <code>--format json</code>.</p>"
        );
    }
}

fn trials(out: &mut String, report: &Report) {
    if report.trials.is_empty() {
        return;
    }
    let mut room = TRIALS.saturating_sub(report.failing().len());
    let mut shown: Vec<&Trial> = Vec::new();
    for it in &report.trials {
        if !it.failed() {
            let Some(less) = room.checked_sub(1) else { continue };
            room = less;
        }
        shown.push(it);
    }
    shown.truncate(TRIALS);
    out.push_str("<div class=\"all\"><h2 id=\"trials\">All trials</h2>\n");
    if shown.len() < report.trials.len() {
        let _ = writeln!(
            out,
            "<p class=\"note\">{} of {}, those that failed first of all. The others are in the store, and in \
             <code>--format json</code>.</p>",
            text::count(shown.len() as u64),
            text::counted(report.trials.len(), "trial")
        );
    }
    for (series, model) in report.models.iter().enumerate() {
        let mine: Vec<&&Trial> = shown.iter().filter(|it| it.model == model.name).collect();
        let (name, count) = (escaped(&model.name), text::counted(mine.len(), "trial"));
        let _ = writeln!(
            out,
            "<details class=\"model\"><summary><span class=\"swatch s{}\"></span>{name}: {count}</summary>\
             <div class=\"trials\">",
            series % 6
        );
        for it in mine {
            trial(out, it);
        }
        out.push_str("</div></details>\n");
    }
    out.push_str("</div>\n");
}

fn trial(out: &mut String, it: &Trial) {
    let (class, word) = match () {
        () if it.failed() => ("bad", "failed"),
        () if it.passed => ("good", "passed"),
        () => ("even", "skipped"),
    };
    let score = or_dash(it.score, text::score);
    let name = escaped(&it.name);
    let _ = write!(
        out,
        "<details><summary><span class=\"name\">{name}</span> <span class=\"badge {class}\">{word}</span> \
         <span class=\"soft\">{score}</span></summary><dl class=\"trial\">{}",
        judged(it)
    );
    let measured = [
        ("prompt tokens", it.prompt_tokens.map(|it| text::count(it.into()))),
        ("output tokens", it.output_tokens.map(|it| text::count(it.into()))),
        ("TTFT ms", it.ttft_seconds.map(text::milliseconds)),
        ("TPOT ms", it.tpot_seconds.map(text::milliseconds)),
    ];
    let measured = measured.map(|(name, value)| format!("{name} {}", value.as_deref().unwrap_or(NONE)));
    entry(out, "measured", &escaped(&measured.join(" · ")));
    if let Some(prompt) = &it.prompt {
        entry(out, "prompt", &block(&text::excerpt(prompt, SHOWN)));
    }
    if let Some(response) = &it.response {
        entry(out, "response", &block(&text::excerpt(response, SHOWN)));
    }
    out.push_str("</dl></details>\n");
}

/// How a trial was judged, and why.
fn judged(it: &Trial) -> String {
    let mut out = String::new();
    entry(&mut out, "score", &escaped(&it.held_against()));
    if let Some(wanted) = &it.wanted {
        entry(&mut out, "wanted", &escaped(wanted));
        entry(&mut out, "found", &escaped(it.answer.as_deref().unwrap_or("nothing")));
    }
    entry(&mut out, "because", &escaped(&it.reason));
    out
}

/// A label, and what is already markup.
fn entry(out: &mut String, label: &str, markup: &str) {
    let _ = write!(out, "<dt>{label}</dt><dd>{markup}</dd>");
}

fn block(foreign: &str) -> String {
    format!("<pre>{}</pre>", escaped(foreign))
}

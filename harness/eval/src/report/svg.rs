//! Plots, as SVG inside the page: its style sheet gives the colours, of the light or of the dark.

use std::fmt::Write as _;

use super::html::escaped;

/// Drawn at this width and scaled down, never up, so that its text stays legible at 400 px.
const WIDTH: f64 = 480.0;
const LEFT: f64 = 14.0;
const RIGHT: f64 = WIDTH - 14.0;
/// Colours and shapes, before they come again.
const SERIES: usize = 6;

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    /// Scores.
    pub(super) const UNIT: Self = Self { low: 0.0, high: 1.0, logarithmic: false };

    /// From 0 to the greatest value; logarithmic if values lie far apart.
    pub(super) fn around(values: &[f64]) -> Option<Self> {
        let low = values.iter().copied().filter(|it| *it > 0.0).reduce(f64::min)?;
        let high = values.iter().copied().reduce(f64::max)?;
        if high / low > 30.0 {
            return Some(Self { low: low / 1.2, high: high * 1.2, logarithmic: true });
        }
        let step = step(high);
        Some(Self { low: 0.0, high: (high * 1.02 / step).ceil() * step, logarithmic: false })
    }

    /// What has to be said of it.
    pub(super) fn note(self) -> &'static str {
        if self.logarithmic { ", logarithmic" } else { "" }
    }

    fn fraction(self, value: f64) -> f64 {
        let place = |it: f64| if self.logarithmic { it.ln() } else { it };
        let value = if self.logarithmic { value.max(self.low) } else { value };
        ((place(value) - place(self.low)) / (place(self.high) - place(self.low))).clamp(0.0, 1.0)
    }

    fn ticks(self) -> Vec<f64> {
        if self.logarithmic {
            let mut ticks: Vec<f64> = Vec::new();
            let mut power = 10f64.powf(self.low.log10().floor());
            while power <= self.high {
                ticks.extend([1.0, 3.0].map(|it| it * power));
                power *= 10.0;
            }
            ticks.retain(|it| (self.low..=self.high).contains(it));
            return ticks;
        }
        let step = if self == Self::UNIT { 0.25 } else { step(self.high) };
        let mut ticks = Vec::new();
        let mut tick = self.low;
        while tick <= self.high + step * 1e-6 {
            ticks.push(tick);
            tick += step;
        }
        ticks
    }
}

/// 1, 2 or 5 by a power of ten: four to ten of them reach `high`.
fn step(high: f64) -> f64 {
    let power = 10f64.powf((high / 4.0).log10().floor());
    [5.0, 2.0].into_iter().map(|it| it * power).find(|it| it * 4.0 <= high).unwrap_or(power)
}

fn tick_label(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A line of a [`ranges`] plot.
pub(super) enum Line {
    /// Names those below it.
    Heading(String),
    /// A value with its spread.
    Range(Range),
}

/// A value with its spread.
pub(super) struct Range {
    /// Which colour and shape.
    pub series: usize,
    /// Stands above it, left.
    pub label: String,
    /// Stands above it, right.
    pub value: String,
    /// Ends of the thin line.
    pub whisker: Option<(f64, f64)>,
    /// Ends of the thick line.
    pub body: Option<(f64, f64)>,
    /// Where the mark is.
    pub mark: Option<f64>,
}

/// What a plot is, for all readers.
pub(super) struct Caption<'a> {
    /// Unique in the page.
    pub id: &'a str,
    /// What it shows.
    pub title: &'a str,
    /// The same in words, for those who do not see it.
    pub description: String,
    /// Along the axis.
    pub axis: String,
}

fn open(out: &mut String, caption: &Caption<'_>, height: f64) {
    let Caption { id, title, description, .. } = caption;
    let _ = write!(
        out,
        r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{}</title><desc id="{id}-d">{}</desc>"#,
        escaped(title),
        escaped(description)
    );
}

fn axis(out: &mut String, scale: Scale, top: f64, bottom: f64, label: &str) {
    for tick in scale.ticks() {
        let x = along(scale, tick);
        let _ = write!(
            out,
            r#"<path class="grid" d="M{x:.1} {top:.1}V{bottom:.1}"/><text class="tick" x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            bottom + 17.0,
            tick_label(tick)
        );
    }
    let _ = write!(
        out,
        r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
        WIDTH / 2.0,
        bottom + 36.0,
        escaped(label)
    );
}

fn along(scale: Scale, value: f64) -> f64 {
    LEFT + scale.fraction(value) * (RIGHT - LEFT)
}

/// Values with their spread, one below the other on one axis.
pub(super) fn ranges(caption: &Caption<'_>, scale: Scale, lines: &[Line]) -> String {
    let height = |it: &Line| match it {
        Line::Heading(_) => 34.0,
        Line::Range(_) => 40.0,
    };
    let bottom: f64 = lines.iter().map(height).sum::<f64>() + 4.0;
    let mut out = String::new();
    open(&mut out, caption, bottom + 44.0);
    axis(&mut out, scale, 2.0, bottom, &caption.axis);
    let mut y = 0.0;
    for line in lines {
        match line {
            Line::Heading(name) => {
                let _ = write!(
                    out,
                    r#"<text class="heading" x="{LEFT}" y="{:.1}">{}</text>"#,
                    y + 24.0,
                    shortened(name, 52)
                );
            }
            Line::Range(it) => range(&mut out, scale, it, y),
        }
        y += height(line);
    }
    out + "</svg>"
}

fn range(out: &mut String, scale: Scale, it: &Range, y: f64) {
    let Range { series, label, value, .. } = it;
    let room = 56_usize.saturating_sub(value.chars().count()).max(8);
    let _ = write!(
        out,
        r#"<text class="label" x="{LEFT}" y="{:.1}">{}</text><text class="value" x="{RIGHT}" y="{:.1}" text-anchor="end">{}</text>"#,
        y + 17.0,
        shortened(label, room),
        y + 17.0,
        escaped(value)
    );
    let middle = y + 29.0;
    let _ = write!(out, r#"<g class="s{}">"#, series % SERIES);
    if let Some((low, high)) = it.whisker {
        let (low, high) = (along(scale, low), along(scale, high));
        let (top, bottom) = (middle - 4.0, middle + 4.0);
        let _ = write!(
            out,
            r#"<path class="whisker" d="M{low:.1} {top:.1}V{bottom:.1}M{low:.1} {middle:.1}H{high:.1}M{high:.1} {top:.1}V{bottom:.1}"/>"#
        );
    }
    if let Some((low, high)) = it.body {
        let (low, high) = (along(scale, low), along(scale, high));
        let _ = write!(
            out,
            r#"<rect class="body" x="{low:.1}" y="{:.1}" width="{:.1}" height="10" rx="2"/>"#,
            middle - 5.0,
            (high - low).max(1.0)
        );
    }
    if let Some(mark) = it.mark {
        shape(out, *series, along(scale, mark), middle);
    }
    out.push_str("</g>");
}

/// A mark that is known by its shape too, for those who do not tell the colours apart.
fn shape(out: &mut String, series: usize, x: f64, y: f64) {
    let path = match series % 4 {
        0 => format!("M{:.1} {y:.1}a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0 -11 0Z", x - 5.5),
        1 => format!("M{:.1} {:.1}h10v10h-10Z", x - 5.0, y - 5.0),
        2 => format!("M{x:.1} {:.1}l6.5 6.5l-6.5 6.5l-6.5 -6.5Z", y - 6.5),
        _ => format!("M{x:.1} {:.1}l6.5 11h-13Z", y - 6.5),
    };
    let _ = write!(out, r#"<path class="mark" d="{path}"/>"#);
}

/// A model in a [`scatter`] plot.
pub(super) struct Point<'a> {
    /// Which colour and shape.
    pub series: usize,
    /// Stands beside it.
    pub label: &'a str,
    /// Along.
    pub x: f64,
    /// Up: a score.
    pub y: f64,
    /// The score's interval.
    pub whisker: Option<(f64, f64)>,
}

/// The top and the bottom of a plane of scores.
const PLANE: (f64, f64) = (10.0, 270.0);

fn up(score: f64) -> f64 {
    PLANE.1 - Scale::UNIT.fraction(score) * (PLANE.1 - PLANE.0)
}

/// Score by speed: up and to the right is better.
pub(super) fn scatter(caption: &Caption<'_>, scale: Scale, points: &[Point<'_>]) -> String {
    plane(caption, scale, points, "")
}

/// Score by something that was varied: the points of a series, one after the other, are joined. Only the first of them
/// has a label.
pub(super) fn curves(caption: &Caption<'_>, scale: Scale, points: &[Point<'_>]) -> String {
    let mut lines = String::new();
    for pair in points.windows(2).filter(|it| it[0].series == it[1].series) {
        let [from, to] = [&pair[0], &pair[1]].map(|it| (along(scale, it.x), up(it.y)));
        // Writing to a String cannot fail.
        let _ = write!(
            lines,
            r#"<g class="s{}"><path class="whisker" d="M{:.1} {:.1}L{:.1} {:.1}"/></g>"#,
            pair[0].series % SERIES,
            from.0,
            from.1,
            to.0,
            to.1
        );
    }
    plane(caption, scale, points, &lines)
}

fn plane(caption: &Caption<'_>, scale: Scale, points: &[Point<'_>], below: &str) -> String {
    let (top, bottom) = PLANE;
    let mut out = String::new();
    open(&mut out, caption, bottom + 44.0);
    for tick in Scale::UNIT.ticks() {
        let y = up(tick);
        let _ = write!(
            out,
            r#"<path class="grid" d="M{LEFT} {y:.1}H{RIGHT}"/><text class="tick" x="{LEFT}" y="{:.1}">{}</text>"#,
            if tick > 0.9 { y + 14.0 } else { y - 4.0 },
            tick_label(tick)
        );
    }
    axis(&mut out, scale, top, bottom, &caption.axis);
    out += below;
    let mut taken: Vec<(f64, f64)> = Vec::new();
    for it in points {
        let (x, y) = (along(scale, it.x), up(it.y));
        let _ = write!(out, r#"<g class="s{}">"#, it.series % SERIES);
        if let Some((low, high)) = it.whisker {
            let (low, high) = (up(low), up(high));
            let (left, right) = (x - 4.0, x + 4.0);
            let _ = write!(
                out,
                r#"<path class="whisker" d="M{left:.1} {low:.1}H{right:.1}M{x:.1} {low:.1}V{high:.1}M{left:.1} {high:.1}H{right:.1}"/>"#
            );
        }
        shape(&mut out, it.series, x, y);
        out.push_str("</g>");
        if it.label.is_empty() {
            continue;
        }
        // A label goes down until it covers no other.
        let mut beside = y - 8.0;
        while taken.iter().any(|(x2, y2)| (x - x2).abs() < 180.0 && (beside - y2).abs() < 15.0) {
            beside += 15.0;
        }
        taken.push((x, beside));
        let (at, anchor) = if x > WIDTH * 0.55 { (x - 11.0, "end") } else { (x + 11.0, "start") };
        let _ = write!(
            out,
            r#"<text class="label" x="{at:.1}" y="{beside:.1}" text-anchor="{anchor}">{}</text>"#,
            shortened(it.label, 28)
        );
    }
    out + "</svg>"
}

/// A foreign name that fits, escaped.
fn shortened(name: &str, most: usize) -> String {
    let mut short: String = name.chars().take(most).collect();
    if short.len() < name.len() {
        short.pop();
        short.push('…');
    }
    escaped(&short)
}

/// A score with its interval, small, for a cell of a table.
pub(super) fn small(series: usize, mean: f64, interval: (f64, f64)) -> String {
    let x = |it: f64| 4.0 + it.clamp(0.0, 1.0) * 92.0;
    format!(
        r#"<svg class="small s{}" viewBox="0 0 100 14" aria-hidden="true"><path class="grid" d="M4 1V13M50 1V13M96 1V13"/><path class="whisker" d="M{:.1} 7H{:.1}"/><circle class="mark" cx="{:.1}" cy="7" r="3.5"/></svg>"#,
        series % SERIES,
        x(interval.0),
        x(interval.1),
        x(mean)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_hold_their_values() {
        for (values, ticks) in [
            (&[0.4, 1.0][..], &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2][..]),
            (&[31.0, 90.0][..], &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0][..]),
            (&[1.0, 100.0][..], &[1.0, 3.0, 10.0, 30.0, 100.0][..]),
        ] {
            let found = Scale::around(values).unwrap().ticks();
            assert_eq!(found.len(), ticks.len(), "{found:?}");
            assert!(found.iter().zip(ticks).all(|(one, other)| (one - other).abs() < 1e-9), "{found:?}");
        }
        assert_eq!(Scale::around(&[]), None);
        assert_eq!(Scale::around(&[0.0]), None);
    }
}

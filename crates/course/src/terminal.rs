//! Verdicts for people. Colours are left out where the output is no terminal.

use crate::catalogue::{Catalogue, Exercise};
use crate::check::Verdict;
use crate::progress::{Progress, State};
use anstyle::{AnsiColor, Style};
use std::fmt::Write;
use verdict::{Heatmap, Outcome, Report};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const NOTE: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Resolves a label to what a reference prints, such as "section 8.3".
pub type Resolve<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The verdict on the exercise `name`, over several lines, with ANSI colours.
#[must_use]
pub fn verdict(name: &str, verdict: &Verdict, resolve: &Resolve<'_>) -> String {
    match verdict {
        Verdict::Report(report) => self::report(name, report, resolve),
        Verdict::Uncompiled { messages, errors } => {
            let s = if *errors == 1 { "" } else { "s" };
            format!(
                "{} {} does not compile: {errors} error{s}\n\n{}",
                paint(BAD, "✗"),
                paint(BOLD, name),
                messages.trim_end()
            )
        }
        Verdict::Endless => format!(
            "{} {} did not end within {} seconds and was stopped. Is there a loop that never ends?",
            paint(BAD, "✗"),
            paint(BOLD, name),
            verdict::channel::TIME_LIMIT.as_secs()
        ),
        Verdict::Loud => format!(
            "{} {} printed more than {} MiB and was stopped. Is there a loop that never ends?",
            paint(BAD, "✗"),
            paint(BOLD, name),
            crate::process::MOST_PRINTED >> 20
        ),
        Verdict::Missing { message } => {
            format!("{} {}: {message}", paint(NOTE, "○"), paint(BOLD, name))
        }
        Verdict::Lost { message } => format!(
            "{} {} ended without a verdict: {message}",
            paint(BAD, "✗"),
            paint(BOLD, name)
        ),
    }
}

/// What the exercise printed, if it did.
#[must_use]
pub fn printed(text: &str) -> String {
    let mut out = String::new();
    if !text.trim().is_empty() {
        let _ = write!(out, "\n\n    {}", paint(DIM, "It printed:"));
        for line in text.trim_end().lines() {
            let _ = write!(out, "\n    {line}");
        }
    }
    out
}

fn report(name: &str, report: &Report, resolve: &Resolve<'_>) -> String {
    let (style, mark) = match report.outcome {
        Outcome::Passed => (GOOD, "✓"),
        Outcome::Unwritten => (NOTE, "○"),
        Outcome::Wrong | Outcome::Panicked => (BAD, "✗"),
    };
    let mut out = format!(
        "{} {}: {}",
        paint(style, mark),
        paint(BOLD, name),
        report.headline
    );
    if let Some(section) = report.section.as_deref().and_then(resolve) {
        let _ = write!(out, " {}", paint(DIM, &format!("[{section}]")));
    }
    let width = report
        .lines
        .iter()
        .map(|l| l.name.chars().count())
        .max()
        .unwrap_or(0);
    for line in &report.lines {
        let mark = if line.right {
            paint(GOOD, "✓")
        } else {
            paint(BAD, "✗")
        };
        let _ = write!(
            out,
            "\n    {mark} {:width$}  {}",
            line.name,
            paint(DIM, &line.detail)
        );
    }
    for note in &report.notes {
        let _ = write!(out, "\n    {note}");
    }
    if let Some(map) = &report.heatmap {
        let _ = write!(out, "\n{}", heatmap(map));
    }
    out
}

/// The error of each element relative to the largest right one, in five shades.
fn heatmap(map: &Heatmap) -> String {
    let scale = map
        .expected
        .iter()
        .fold(0.0_f64, |m, v| m.max(v.abs()))
        .max(f64::MIN_POSITIVE);
    let mut out = format!("    error of {}, row n, column c:", map.name);
    for row in 0..map.rows {
        out.push_str("\n      ");
        for column in 0..map.columns {
            let at = row * map.columns + column;
            let shade = match map.found.get(at).copied().flatten() {
                None => '!',
                Some(found) => shade((found - map.expected[at]).abs() / scale),
            };
            out.push(shade);
            out.push(' ');
        }
    }
    let _ = write!(
        out,
        "\n    {}",
        paint(
            DIM,
            "· under 10⁻⁶   ░ under 1 %   ▒ under 10 %   ▓ under 50 %   █ more   ! not a number"
        )
    );
    out
}

fn shade(error: f64) -> char {
    match error {
        e if e < 1e-6 => '·',
        e if e < 0.01 => '░',
        e if e < 0.1 => '▒',
        e if e < 0.5 => '▓',
        _ => '█',
    }
}

/// What a reader is told after success.
#[must_use]
pub fn after_success(exercise: &Exercise) -> String {
    format!(
        "\n{}\n{}\n\n{} {}",
        paint(BOLD, "Why"),
        plain(&exercise.explanation),
        paint(BOLD, "Read next:"),
        plain(&exercise.read_next)
    )
}

/// One line for each exercise; `file` says how its file is now.
#[must_use]
pub fn list(
    catalogue: &Catalogue,
    progress: &Progress,
    file: impl Fn(&Exercise) -> Option<String>,
) -> String {
    let names = catalogue.exercises.iter().map(|e| e.name.len());
    let width = names.max().unwrap_or(0);
    let mut out = String::new();
    for exercise in &catalogue.exercises {
        let entry = progress.get(&exercise.name);
        let (mark, word) = match entry.state {
            State::Open => (paint(DIM, "○"), "open"),
            State::Tried => (paint(NOTE, "◐"), "tried"),
            State::Passed => (paint(GOOD, "✓"), "passed"),
        };
        let title = plain(&exercise.title);
        let now = file(exercise);
        let note = match (&now, &entry.passed) {
            (None, _) => " (its file is gone)",
            (Some(now), Some(passed)) if now != passed => " (changed since it passed)",
            _ => "",
        };
        let _ = writeln!(
            out,
            "{mark} {:width$}  {word:<6}  {title}{}",
            exercise.name,
            paint(DIM, note)
        );
    }
    let total = catalogue.exercises.len();
    let _ = write!(out, "{} of {total} passed", progress.passed(catalogue));
    out
}

/// Markdown for a terminal: references and link targets are left out, lines are kept.
#[must_use]
pub fn plain(markdown: &str) -> String {
    let mut out = String::new();
    let mut rest = markdown.trim();
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        let link = after
            .split_once("](")
            .filter(|(text, _)| !text.contains(['[', ']']));
        let Some((text, target)) = link else {
            out.push('[');
            rest = after;
            continue;
        };
        let (target, after) = target.split_once(')').unwrap_or((target, ""));
        // A reference without a text prints its label's name: `sec:three-terms`.
        out.push_str(if text.is_empty() {
            target.trim_start_matches('#')
        } else {
            text
        });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lose_their_targets() {
        assert_eq!(
            plain("In x[n], see [the proof](a.md#b)."),
            "In x[n], see the proof."
        );
        assert_eq!(plain("See [](#sec:eps)."), "See sec:eps.");
    }

    #[test]
    fn the_map_shades_each_element() {
        let map = Heatmap {
            name: "dx".into(),
            rows: 2,
            columns: 2,
            expected: vec![1.0, -2.0, 0.0, 0.5],
            found: vec![Some(1.0), Some(2.0), None, Some(0.51)],
        };
        let text = anstream::adapter::strip_str(&heatmap(&map)).to_string();
        assert!(text.contains("\n      · █ \n      ! ░ \n"), "{text}");
    }

    #[test]
    fn a_verdict_names_the_section() {
        let mut report = Report::new("bn", Outcome::Wrong, "the path is missing");
        report.section = Some("sec:three-terms".into());
        let resolve = |label: &str| (label == "sec:three-terms").then(|| "section 8.3".to_owned());
        let text = verdict("bn", &Verdict::Report(Box::new(report)), &resolve);
        let text = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(text, "✗ bn: the path is missing [section 8.3]");
    }
}

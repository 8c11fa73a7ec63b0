//! Verdicts for people. Colours are left out where the output is no terminal.

use crate::catalogue::{Catalogue, Exercise};
use crate::check::Verdict;
use crate::progress::{Progress, State};
use crate::prose::Layout;
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use std::fmt::Write;
use std::ops::RangeInclusive;
use verdict::{Heatmap, Line, Moment, Outcome, Report, command};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const NOTE: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// The verdict on the exercise `name`, over several lines, with ANSI colours.
#[must_use]
pub fn verdict(name: &str, verdict: &Verdict, layout: &Layout<'_>) -> String {
    let wrong = |text: &str| {
        let text = format!("{} {} {text}", paint(BAD, "✗"), paint(BOLD, name));
        layout.wrap(&text, "", "  ")
    };
    match verdict {
        Verdict::Report(report) => self::report(name, report, layout),
        Verdict::Uncompiled { messages, errors } => {
            let s = if *errors == 1 { "" } else { "s" };
            let head = wrong(&format!("does not compile: {errors} error{s}"));
            format!("{head}\n\n{}", messages.trim_end())
        }
        Verdict::Endless { seconds } => wrong(&format!(
            "did not end within {seconds} seconds and was stopped. Is there a loop that never ends?"
        )),
        Verdict::Stopped => layout.wrap(
            &format!("{} {}: {STOPPED}", paint(NOTE, "○"), paint(BOLD, name)),
            "",
            "  ",
        ),
        Verdict::Loud => wrong(&format!(
            "printed more than {} MiB and was stopped. Is there a loop that never ends?",
            crate::process::MOST_PRINTED >> 20
        )),
        Verdict::Missing { message } => {
            let text = format!("{} {}: {message}", paint(NOTE, "○"), paint(BOLD, name));
            layout.wrap(&text, "", "  ")
        }
        Verdict::Lost { message } => {
            let message = layout.said(message);
            let (first, rest) = message.split_once('\n').unwrap_or((&message, ""));
            let head = wrong(&format!("ended without a verdict: {first}"));
            format!("{head}\n{rest}").trim_end().to_owned()
        }
    }
}

/// What is said of a run that made room for another.
const STOPPED: &str =
    "it was stopped before its end, for another exercise was saved; save it again to run it anew";

/// How far an exercise is that takes its time, in a line with a bar.
#[must_use]
pub fn moment(name: &str, moment: &Moment) -> String {
    const CELLS: u64 = 20;
    let full = CELLS * moment.done.min(moment.of) / moment.of.max(1);
    let bar: String = (0..CELLS)
        .map(|cell| if cell < full { '█' } else { '░' })
        .collect();
    let (done, of, told) = (moment.done, moment.of, &moment.told);
    format!("{} {bar} {done} of {of}: {told}", paint(BOLD, name))
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

fn report(name: &str, report: &Report, layout: &Layout<'_>) -> String {
    let (style, mark) = match report.outcome {
        Outcome::Passed => (GOOD, "✓"),
        Outcome::Unwritten => (NOTE, "○"),
        Outcome::Wrong | Outcome::Panicked => (BAD, "✗"),
    };
    let mut head = format!(
        "{} {}: {}",
        paint(style, mark),
        paint(BOLD, name),
        layout.said(&report.headline)
    );
    if let Some(label) = &report.section {
        let _ = write!(
            head,
            " {}",
            paint(DIM, &format!("[{}]", layout.reference(label)))
        );
    }
    let mut out = layout.wrap(&head, "", "  ");
    let rows = folded(&report.lines);
    let width = rows.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0).min(LONGEST_NAME);
    for (name, line) in &rows {
        let mark = if line.right {
            paint(GOOD, "✓")
        } else {
            paint(BAD, "✗")
        };
        let detail = layout.said(&line.detail);
        let row = format!("{:width$}  {}", layout.said(name), paint(DIM, &detail));
        let indent = " ".repeat(6 + width + 2);
        let _ = write!(
            out,
            "\n{}",
            layout.wrap(&row, &format!("    {mark} "), &indent)
        );
    }
    for note in &report.notes {
        let _ = write!(out, "\n{}", layout.wrap(&layout.said(note), "    ", "    "));
    }
    for weight in &report.weights {
        let weight = format!("{:6.3} of {}", weight.weight, layout.said(&weight.path));
        let _ = write!(out, "\n{}", layout.wrap(&weight, "    ", "           "));
    }
    if let Some(map) = &report.heatmap {
        let _ = write!(out, "\n{}", heatmap(map, layout));
    }
    out
}

/// A column of names is no wider; a longer name moves its own detail only.
const LONGEST_NAME: usize = 24;

/// The rows of a report, each with its name. Where several in a row are right and say the
/// same of themselves, one row says it of all of them.
fn folded(lines: &[Line]) -> Vec<(String, &Line)> {
    let alike = |a: &Line, b: &Line| a.right && b.right && a.detail == b.detail;
    let groups = lines.chunk_by(alike);
    groups
        .flat_map(|group| match group {
            [first, _, _, ..] => {
                let names: Vec<&str> = group.iter().map(|line| line.name.as_str()).collect();
                vec![(names.join(", "), first)]
            }
            few => few.iter().map(|line| (line.name.clone(), line)).collect(),
        })
        .collect()
}

/// The error of each element relative to the largest right one, in five shades.
fn heatmap(map: &Heatmap, layout: &Layout<'_>) -> String {
    let scale = map
        .expected
        .iter()
        .fold(0.0_f64, |m, v| m.max(v.abs()))
        .max(f64::MIN_POSITIVE);
    let fits = (layout.width().saturating_sub(6) / 2).max(1);
    let columns = map.columns.min(fits);
    let mut title = format!("error of {}", layout.said(&map.name));
    if map.blocks.is_empty() && map.rows > 1 {
        title += ", row by row";
    }
    if columns < map.columns {
        let _ = write!(title, " (the first {columns} of {} columns)", map.columns);
    }
    let mut out = layout.wrap(&format!("{title}:"), "    ", "    ");
    let rows = map.rows / map.blocks.len().max(1);
    for row in 0..map.rows {
        if let Some(block) = map.blocks.get(row / rows.max(1))
            && row.is_multiple_of(rows.max(1))
        {
            let _ = write!(
                out,
                "\n    {}",
                paint(DIM, &format!("{}:", layout.said(block)))
            );
        }
        out.push_str("\n      ");
        for column in 0..columns {
            let at = row * map.columns + column;
            let expected = map.expected.get(at).copied().unwrap_or(f64::NAN);
            let error = |found: &f64| shade((found - expected).abs() / scale);
            out.push(map.found.get(at).map_or('!', error));
            out.push(' ');
        }
    }
    let legend = "· under 10⁻⁶   ░ under 1 %   ▒ under 10 %   ▓ under 50 %   █ more   ∞ infinite   ! not a number";
    let _ = write!(
        out,
        "\n{}",
        layout.wrap(&paint(DIM, legend), "    ", "    ")
    );
    out
}

fn shade(error: f64) -> char {
    match error {
        e if e < 1e-6 => '·',
        e if e < 0.01 => '░',
        e if e < 0.1 => '▒',
        e if e < 0.5 => '▓',
        e if e.is_finite() => '█',
        e if e.is_nan() => '!',
        _ => '∞',
    }
}

/// What a reader is told after success: why the solution is what it is, where to read on,
/// how many exercises have passed, and which comes next.
#[must_use]
pub fn after_success(
    exercise: &Exercise,
    catalogue: &Catalogue,
    progress: &Progress,
    layout: &Layout<'_>,
) -> String {
    let paragraph = |text: &str| layout.wrap(text, "", "");
    let read_next = format!(
        "{} {}",
        paint(BOLD, "Read next:"),
        layout.phrase(&exercise.read_next)
    );
    let total = catalogue.exercises.len();
    let count = format!(
        "{} of {total} exercises passed.",
        catalogue.passed(progress)
    );
    let count = match catalogue.after(&exercise.name, progress) {
        Some(next) => format!(
            "{count} {} {}, in book/exercises/{}.rs",
            paint(BOLD, "Next:"),
            layout.phrase(&next.title),
            next.name
        ),
        None => format!("{count} That was the last one."),
    };
    format!(
        "\n{}\n{}\n\n{}\n\n{}",
        paint(BOLD, "Why"),
        layout.markdown(&exercise.explanation),
        paragraph(&read_next),
        paragraph(&count)
    )
}

/// The hints of an exercise with these numbers, from 1, and how to get more than these.
#[must_use]
pub fn hints(exercise: &Exercise, numbers: RangeInclusive<usize>, layout: &Layout<'_>) -> String {
    let (name, count) = (&exercise.name, exercise.hints.len());
    let mut out = String::new();
    for (number, hint) in (1..).zip(&exercise.hints) {
        if numbers.contains(&number) {
            let head = paint(BOLD, &format!("{name}, hint {number} of {count}"));
            let _ = write!(out, "{head}\n{}\n\n", layout.markdown(hint));
        }
    }
    let more = if *numbers.end() < count {
        format!("`{}` shows the next one.", command(&format!("hint {name}")))
    } else {
        let solution = command(&format!("solution {name}"));
        format!("That was the last hint; `{solution}` prints the solution.")
    };
    out + &layout.wrap(&more, "", "")
}

/// One line for each exercise; `file` says how its file is now.
#[must_use]
pub fn list(
    catalogue: &Catalogue,
    progress: &Progress,
    file: impl Fn(&Exercise) -> Result<Option<String>>,
    layout: &Layout<'_>,
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
        let title = layout.phrase(&exercise.title);
        let note = match (file(exercise), &entry.passed) {
            (Err(_), _) => " (its file cannot be read)",
            (Ok(None), _) => " (its file is gone)",
            (Ok(Some(now)), Some(passed)) if now != *passed => " (changed since it passed)",
            _ => "",
        };
        let row = format!(
            "{mark} {:width$}  {word:<6}  {title}{}",
            exercise.name,
            paint(DIM, note)
        );
        let _ = writeln!(out, "{}", layout.wrap(&row, "", &" ".repeat(width + 12)));
    }
    let total = catalogue.exercises.len();
    let _ = write!(out, "{} of {total} passed", catalogue.passed(progress));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::labels::{Labels, Target};

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn map(rows: usize, columns: usize) -> Heatmap {
        let count = rows * columns;
        Heatmap {
            name: "dx".into(),
            rows,
            columns,
            blocks: Vec::new(),
            expected: vec![1.0; count],
            found: vec![1.0; count],
        }
    }

    #[test]
    fn a_bar_is_as_long_as_what_is_done() {
        let told = |done, of| {
            let moment = Moment {
                done,
                of,
                told: "the loss is 0.3".into(),
                ..Moment::default()
            };
            plain(&self::moment("digits", &moment))
        };
        let bar = |full: usize| "█".repeat(full) + &"░".repeat(20 - full);
        for (done, of, full) in [(0, 8, 0), (3, 8, 7), (8, 8, 20), (9, 8, 20), (0, 0, 0)] {
            let wanted = format!("digits {} {done} of {of}: the loss is 0.3", bar(full));
            assert_eq!(told(done, of), wanted);
        }
    }

    #[test]
    fn the_map_shades_each_element() {
        let map = Heatmap {
            expected: vec![1.0, -2.0, 0.0, 0.5, 0.0, 0.0],
            found: vec![1.0, 2.0, f64::NAN, 0.51, f64::NEG_INFINITY, 0.0],
            ..map(2, 3)
        };
        let labels = Labels::new();
        let text = plain(&heatmap(&map, &Layout::of_width(&labels, None)));
        assert!(
            text.starts_with("    error of dx, row by row:\n      · █ ! \n      ░ ∞ · \n"),
            "{text}"
        );
    }

    #[test]
    fn a_vector_has_no_rows() {
        let labels = Labels::new();
        let text = plain(&heatmap(&map(1, 3), &Layout::of_width(&labels, None)));
        assert!(
            text.starts_with("    error of dx:\n      · · · \n"),
            "{text}"
        );
    }

    #[test]
    fn the_blocks_of_a_map_are_told_apart() {
        let map = Heatmap {
            blocks: ["image 0", "image 1"].map(str::to_owned).to_vec(),
            ..map(4, 2)
        };
        let labels = Labels::new();
        let text = plain(&heatmap(&map, &Layout::of_width(&labels, None)));
        let block = "      · · \n      · · \n";
        let told = format!("error of dx:\n    image 0:\n{block}    image 1:\n{block}    · under");
        assert!(text.contains(&told), "{text}");
    }

    /// Arrays that are shorter than the map says are no numbers, not an end of the course.
    #[test]
    fn a_map_may_be_wide_and_its_arrays_short() {
        let labels = Labels::new();
        let short = Heatmap {
            expected: vec![1.0],
            ..map(2, 100)
        };
        let text = plain(&heatmap(&short, &Layout::of_width(&labels, Some(60))));
        assert!(text.contains("the first 27 of 100"), "{text}");
        for line in text.lines() {
            assert!(line.trim_end().chars().count() <= 60, "{line}");
        }
    }

    #[test]
    fn a_verdict_names_the_section() {
        let mut report = Report::new("bn", Outcome::Wrong, "the path is missing");
        report.section = Some("sec:three-terms".into());
        let target = Target {
            page: "a.html".into(),
            text: "section 8.3".into(),
            title: Some("The three terms".into()),
        };
        let labels = Labels::from([("sec:three-terms".into(), target)]);
        let layout = Layout::of_width(&labels, None);
        let text = plain(&verdict("bn", &Verdict::Report(Box::new(report)), &layout));
        assert_eq!(
            text,
            "✗ bn: the path is missing [section 8.3, “The three terms”]"
        );
    }

    #[test]
    fn rows_that_say_the_same_are_one() {
        let line = |name: &str, right: bool, detail: &str| Line {
            name: name.into(),
            right,
            detail: detail.into(),
        };
        let mut report = Report::new("bn", Outcome::Wrong, "dx is wrong");
        report.lines = vec![
            line("mean", true, "equal to the last bit"),
            line("var", true, "equal to the last bit"),
            line("x_hat", true, "equal to the last bit"),
            line("y", true, "off by 1 ulp"),
            line("dx", false, "equal to nothing"),
        ];
        let labels = Labels::new();
        let text = self::report("bn", &report, &Layout::of_width(&labels, None));
        assert_eq!(
            plain(&text),
            "✗ bn: dx is wrong\n    ✓ mean, var, x_hat  equal to the last bit\n    ✓ y                 off by 1 ulp\n    ✗ dx                equal to nothing"
        );
    }
}

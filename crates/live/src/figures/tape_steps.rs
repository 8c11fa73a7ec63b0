//! A tape that is watched while it grows and while the sweep takes it apart, record by record.
//!
//! Two figures: the slots of chapter 2, and the memory of chapter 4.

use crate::draw::{Place, Sheet};
use crate::expression::Program;
use crate::figure::{Control, Figure, Form, Group, Shown, Values};
use crate::words::{and, fixed, scientific};
use tape::{Line, Tape, Tensor};

/// Records that there is room for.
const MOST: usize = 12;
/// Rows that are always there, so that a longer program seldom moves what is below.
const FEWEST: usize = 9;

const TITLE: &str = "A tape as a table: one row for each record, with its value, the bytes that it \
                     keeps, its slot in the sweep, and the number of routes that lead to it; on \
                     the left an arc from each record to each of its inputs";

/// Forward to the last record there may be, and back.
const fn step(start: f64) -> Control {
    Control::slider("step", "step", [0.0, 2.0 * MOST as f64], 1.0, start)
}

const fn leaves(start: &'static str) -> Control {
    Control::text("leaves", "leaves", start, 60)
}

const fn program(start: &'static str) -> Control {
    Control::text("program", "result", start, 80)
}

const SWEEP: Group = Group {
    legend: "What the sweep does with a gradient",
    controls: &[Control::choice(
        "put",
        "What the sweep does with a gradient",
        &["slot += gradient", "slot = gradient"],
        0,
    )],
};

/// The entry of chapter 2.
pub const STEPS: Figure = Figure {
    name: "tape-steps",
    title: TITLE,
    groups: &[
        Group {
            legend: "Forward, then back",
            controls: &[step(9.0)],
        },
        SWEEP,
        Group {
            legend: "Program",
            controls: &[
                leaves("w = 1.5; x = 2; b = -2"),
                program("e = tanh(w*x + b) - 0.5; e*e"),
            ],
        },
    ],
    show,
};

/// The entry of chapter 4.
pub const MEMORY: Figure = Figure {
    name: "tape-memory",
    title: TITLE,
    groups: &[
        Group {
            legend: "Forward, then back",
            controls: &[step(9.0)],
        },
        SWEEP,
        Group {
            legend: "Program",
            controls: &[
                leaves("w = 0.5; v = -0.4"),
                program("h = relu(3*w + 1); e = exp(v*h) - 1; e*e"),
            ],
        },
    ],
    show,
};

/// What one step of the sweep gives to an input.
struct Gift {
    input: usize,
    gradient: f64,
    /// What was in the slot before, if anything was.
    before: Option<f64>,
    /// What is in it after.
    after: f64,
}

/// A record, as it was when the sweep took it off.
struct Taken {
    gradient: Option<f64>,
    gifts: Vec<Gift>,
}

/// A tape and its sweep, all of it.
struct Tour {
    lines: Vec<Line>,
    values: Vec<f64>,
    /// How many ways lead from the result to each record.
    routes: Vec<u64>,
    result: usize,
    /// What each record had and gave, by record.
    taken: Vec<Taken>,
}

impl Tour {
    /// Records a program, and runs the sweep by hand, with `+=` or with `=`.
    fn new(program: &Program, overwrite: bool) -> Result<Self, String> {
        let params = program.params();
        let (mut steps, (lines, values)) = Tape::new().steps(|t| {
            let (result, values) = program.run(t, &params);
            (result, (t.lines(), values))
        });
        let count = lines.len();
        if count > MOST {
            return Err(format!(
                "it takes {count} records, and there is room for {MOST}"
            ));
        }
        let result = steps.result().unwrap_or_default();
        let mut slots: Vec<Option<f64>> = vec![None; count];
        slots[result] = Some(1.0);
        let mut taken = Vec::new();
        for id in (0..count).rev() {
            let gradient = slots[id];
            let mut gifts = Vec::new();
            for (input, dx) in steps.step(gradient.map(Tensor::scalar)) {
                let (gradient, before) = (dx.item(), slots[input]);
                let after = match before {
                    Some(before) if !overwrite => before + gradient,
                    _ => gradient,
                };
                slots[input] = Some(after);
                gifts.push(Gift {
                    input,
                    gradient,
                    before,
                    after,
                });
            }
            taken.push(Taken { gradient, gifts });
        }
        taken.reverse();
        Ok(Self {
            routes: routes(&lines, result),
            lines,
            values,
            result,
            taken,
        })
    }

    fn count(&self) -> usize {
        self.lines.len()
    }

    /// Bytes that the first so many records keep.
    fn kept(&self, records: usize) -> usize {
        self.lines[..records].iter().map(|line| line.saved).sum()
    }

    /// The gradients of the leaves that got one, when the sweep is over.
    fn gradients(&self) -> Vec<(&str, f64)> {
        let leaves = self.lines.iter().zip(&self.taken);
        let leaves = leaves.filter(|(line, _)| line.is_param);
        leaves
            .filter_map(|(line, taken)| Some((&*line.label, taken.gradient?)))
            .collect()
    }
}

/// How many ways lead from the result to each record.
fn routes(lines: &[Line], result: usize) -> Vec<u64> {
    let mut routes = vec![0; lines.len()];
    routes[result] = 1;
    for (id, line) in lines.iter().enumerate().rev() {
        for &input in line.inputs.iter().flatten() {
            routes[input] += routes[id];
        }
    }
    routes
}

/// Where the reader is.
struct Found {
    tour: Tour,
    step: usize,
    overwrite: bool,
    /// The gradients that `+=` would have found.
    right: Vec<f64>,
}

/// A number as this figure prints it.
fn short(value: f64) -> String {
    match value.abs() {
        0.0..99_999.5 => fixed(value, 3),
        _ => scientific(value, 2),
    }
}

impl Found {
    fn new(values: &Values) -> Result<Self, String> {
        let program = Program::read(values.text("leaves"), values.text("program"))?;
        let overwrite = values.chosen("put") == 1;
        let tour = Tour::new(&program, overwrite)?;
        let right = Tour::new(&program, false)?;
        let right = right.gradients().into_iter().map(|(_, gradient)| gradient);
        Ok(Self {
            step: (values.number("step") as usize).min(2 * tour.count()),
            tour,
            overwrite,
            right: right.collect(),
        })
    }

    /// How many records there are at this step.
    fn records(&self) -> usize {
        let count = self.tour.count();
        count - self.step.abs_diff(count)
    }

    /// The record that the sweep has just taken off.
    fn current(&self) -> Option<usize> {
        (self.step > self.tour.count()).then(|| self.records())
    }

    /// What is in a slot at this step, and who put it there last.
    fn slot(&self, id: usize) -> Option<f64> {
        if self.step < self.tour.count() {
            return None;
        }
        let gifts = self.tour.taken[self.records()..].iter().rev();
        let gifts = gifts.flat_map(|taken| &taken.gifts);
        let mut gifts = gifts.filter(|gift| gift.input == id);
        match gifts.next_back() {
            Some(gift) => Some(gift.after),
            None => (id == self.tour.result).then_some(1.0),
        }
    }

    fn name(&self, id: usize) -> String {
        format!("{id}, {}", self.tour.lines[id].label)
    }

    fn text(&self) -> String {
        let (tour, count) = (&self.tour, self.tour.count());
        match self.current() {
            None if self.step == 0 => {
                "Nothing is recorded yet. Each step to the right computes one number.".to_owned()
            }
            None => {
                let id = self.step - 1;
                let line = &tour.lines[id];
                let value = short(tour.values[id]);
                let mut text = format!("Forward, {} of {count}: record {}", id + 1, self.name(id));
                text += &match (line.is_param, line.saved) {
                    (true, _) => format!(", a leaf with the value {value}."),
                    (_, 0) => format!(
                        ", has the value {value} and keeps nothing that is not kept already."
                    ),
                    (_, bytes) => format!(", has the value {value} and keeps {bytes} bytes."),
                };
                if self.step == count {
                    text += " The slot of the result is set to 1, and the sweep can begin.";
                }
                text
            }
            Some(id) => {
                let taken = &tour.taken[id];
                let mut text = format!(
                    "Back, {} of {count}: record {}, is taken off",
                    count - id,
                    self.name(id)
                );
                text += &self.gifts(id, taken);
                if id == 0 {
                    text += &self.over();
                }
                text
            }
        }
    }

    /// What a record does with its gradient.
    fn gifts(&self, id: usize, taken: &Taken) -> String {
        let Some(gradient) = taken.gradient else {
            return ", at which no gradient has arrived.".to_owned();
        };
        if self.tour.lines[id].is_param {
            return format!(". It is a leaf, so its slot stays: {}.", short(gradient));
        }
        let each = taken.gifts.iter().map(|gift| {
            let (given, to) = (short(gift.gradient), gift.input);
            match gift.before {
                None => format!("{given} to slot {to}"),
                Some(before) if self.overwrite => {
                    format!(
                        "{given} to slot {to}, over the {} that was there",
                        short(before)
                    )
                }
                Some(_) => format!("{given} to slot {to}, which makes {}", short(gift.after)),
            }
        });
        let each: Vec<String> = each.collect();
        let each: Vec<&str> = each.iter().map(String::as_str).collect();
        format!(
            ". With {} in its slot it gives {}.",
            short(gradient),
            and(&each)
        )
    }

    /// What the sweep has found.
    fn over(&self) -> String {
        let found = self.tour.gradients();
        let list = |values: &mut dyn Iterator<Item = (&str, f64)>| {
            let each: Vec<String> = values
                .map(|(name, gradient)| format!("d{name} = {}", short(gradient)))
                .collect();
            and(&each.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let mut text = format!(" The sweep is over: {}.", list(&mut found.iter().copied()));
        let same = found
            .iter()
            .zip(&self.right)
            .all(|((_, found), right)| found == right);
        if !same {
            let right = found.iter().zip(&self.right);
            let mut right = right.map(|((name, _), right)| (*name, *right));
            text += &format!(" With += it would have been {}.", list(&mut right));
        }
        text
    }
}

const MUTED: &str = "fill=\"var(--fig-muted)\"";
const INK: &str = "fill=\"var(--fig-ink)\"";
const TOP: f64 = 30.0;
const ROW: f64 = 27.0;

/// Where the columns stand; all but the ops end there.
struct Columns {
    /// The line from which arcs go to the left, and how far at most.
    anchor: f64,
    reach: f64,
    id: f64,
    op: f64,
    value: f64,
    kept: f64,
    slot: f64,
    routes: f64,
}

impl Columns {
    fn of(form: Form) -> Self {
        match form {
            Form::Wide => Self {
                anchor: 128.0,
                reach: 116.0,
                id: 162.0,
                op: 182.0,
                value: 352.0,
                kept: 440.0,
                slot: 570.0,
                routes: 690.0,
            },
            Form::Narrow => Self {
                anchor: 40.0,
                reach: 34.0,
                id: 64.0,
                op: 74.0,
                value: 172.0,
                kept: 210.0,
                slot: 280.0,
                routes: 334.0,
            },
        }
    }
}

fn height(rows: usize) -> f64 {
    TOP + ROW * rows.max(FEWEST) as f64 + 40.0
}

fn draw(found: &Found, form: Form) -> String {
    let rows = found.tour.count();
    let mut sheet = Sheet::new(form.width(), height(rows));
    let columns = Columns::of(form);
    head(&mut sheet, &columns);
    for id in 0..rows {
        behind(&mut sheet, found, &columns, form, id);
    }
    for id in 0..rows {
        arcs(&mut sheet, found, &columns, id);
    }
    for id in 0..rows {
        row(&mut sheet, found, &columns, id);
    }
    let y = TOP + ROW * rows as f64 + 26.0;
    let kept = found.tour.kept(found.records());
    let end = format!("{INK} text-anchor=\"end\"");
    let sum = format!("{end} font-weight=\"600\"");
    sheet.text((columns.value, y), &end, "kept for the sweep");
    sheet.text((columns.kept, y), &sum, &kept.to_string());
    sheet.line(
        (columns.value + 12.0, y - 17.0),
        (columns.kept + 2.0, y - 17.0),
        "stroke=\"var(--fig-rule)\"",
    );
    let bytes = format!("{MUTED} font-size=\"12\"");
    sheet.text((columns.kept + 5.0, y), &bytes, "bytes");
    sheet.svg(TITLE)
}

fn head(sheet: &mut Sheet, columns: &Columns) {
    let look = format!("{MUTED} font-size=\"12\"");
    let end = format!("{look} text-anchor=\"end\"");
    let y = TOP - 12.0;
    sheet.text((columns.op, y), &look, "op");
    sheet.text((columns.value, y), &end, "value");
    sheet.text((columns.kept, y), &end, "keeps");
    sheet.text((columns.slot, y), &end, "slot");
    sheet.text((columns.routes, y), &end, "routes");
    let left = columns.anchor;
    let rule = "stroke=\"var(--fig-rule)\"";
    sheet.line((left, TOP - 4.0), (columns.routes + 6.0, TOP - 4.0), rule);
}

fn middle(id: usize) -> f64 {
    TOP + ROW * (id as f64 + 0.5)
}

/// The colour behind a row: of the record that is new, or that is taken off; and behind the slots
/// that it fills.
fn behind(sheet: &mut Sheet, found: &Found, columns: &Columns, form: Form, id: usize) {
    let (top, bottom) = (middle(id) - 12.5, middle(id) + 12.5);
    let right = columns.routes + if form == Form::Wide { 10.0 } else { 6.0 };
    let current = found.current();
    let colour = match current {
        Some(taken) if taken == id => Some("--fig-accent-soft"),
        None if found.step == id + 1 => Some("--fig-direct-soft"),
        _ => None,
    };
    if let Some(colour) = colour {
        let look = format!("fill=\"var({colour})\"");
        sheet.rect((columns.anchor, top), (right, bottom), &look);
    }
    let gifts = current.map(|taken| &found.tour.taken[taken].gifts);
    let mut gifts = gifts.into_iter().flatten().filter(|gift| gift.input == id);
    if let Some(first) = gifts.next() {
        let lost = found.overwrite && (first.before.is_some() || gifts.next().is_some());
        let colour = if lost {
            "--fig-wrong-soft"
        } else {
            "--fig-direct-soft"
        };
        let look = format!("fill=\"var({colour})\"");
        let left = columns.kept + 8.0;
        sheet.rect((left, top), (columns.slot + 6.0, bottom), &look);
    }
}

/// From a record to its inputs: an arc for each use.
fn arcs(sheet: &mut Sheet, found: &Found, columns: &Columns, id: usize) {
    let (there, current) = (found.records(), found.current());
    let on_tape = id < there;
    let look = if current == Some(id) {
        "stroke=\"var(--fig-accent)\" stroke-width=\"2\""
    } else if current.is_none() && found.step == id + 1 {
        "stroke=\"var(--fig-direct)\" stroke-width=\"2\""
    } else if on_tape {
        "stroke=\"var(--fig-muted)\" stroke-width=\"1.2\""
    } else if current.is_some() {
        "stroke=\"var(--fig-rule)\" stroke-width=\"1\""
    } else {
        return;
    };
    let mut before = None;
    for &input in found.tour.lines[id].inputs.iter().flatten() {
        let rows = (id - input) as f64;
        let again = if before == Some(input) { 0.72 } else { 1.0 };
        before = Some(input);
        let depth = columns.reach * again * (rows / (rows + 2.5)).min(1.0);
        let (from, to) = (middle(id), middle(input));
        let places: Vec<Place> = (0..=20)
            .map(|at| {
                // Half of an ellipse, without a function of the C library.
                let t = f64::from(at) / 10.0 - 1.0;
                let (sine, cosine) = (t * (1.5 - 0.5 * t * t), 1.0 - t * t);
                let y = 0.5 * (from + to) + 0.5 * (to - from) * sine;
                (columns.anchor - depth * cosine, y)
            })
            .collect();
        sheet.curve(&places, look);
    }
}

/// What a record says of itself at this step.
fn row(sheet: &mut Sheet, found: &Found, columns: &Columns, id: usize) {
    let tour = &found.tour;
    let line = &tour.lines[id];
    let (there, current) = (found.records(), found.current());
    let gone = id >= there && found.step > tour.count() && current != Some(id);
    let y = middle(id) + 5.0;
    let dot = if id < there || current == Some(id) {
        "fill=\"var(--fig-ink)\""
    } else {
        "fill=\"var(--fig-rule)\""
    };
    sheet.disc((columns.anchor, middle(id)), 3.2, dot);
    if id >= found.step {
        return;
    }
    let ink = if gone { MUTED } else { INK };
    let end = format!("{ink} text-anchor=\"end\"");
    let faint = format!("{MUTED} text-anchor=\"end\"");
    sheet.text((columns.id, y), &faint, &id.to_string());
    let weight = if line.is_param {
        " font-weight=\"600\""
    } else {
        ""
    };
    sheet.text((columns.op, y), &format!("{ink}{weight}"), &line.label);
    sheet.text((columns.value, y), &end, &short(tour.values[id]));
    let (kept, look) = match line.saved {
        _ if line.is_param => (String::new(), &faint),
        // What was kept is free.
        _ if id >= there => ("–".to_owned(), &faint),
        0 => ("0".to_owned(), &faint),
        bytes => (bytes.to_string(), &end),
    };
    sheet.text((columns.kept, y), look, &kept);
    if let Some(slot) = found.slot(id) {
        let stays = line.is_param || id < there || current == Some(id);
        let bold = if line.is_param {
            " font-weight=\"600\""
        } else {
            ""
        };
        let look = if stays {
            format!("{INK} text-anchor=\"end\"{bold}")
        } else {
            faint.clone()
        };
        sheet.text((columns.slot, y), &look, &short(slot));
    } else if found.step >= tour.count() {
        sheet.text((columns.slot, y), &faint, "·");
    }
    sheet.text((columns.routes, y), &faint, &tour.routes[id].to_string());
}

/// The table without a tape, and why.
fn refused(form: Form) -> String {
    let mut sheet = Sheet::new(form.width(), height(0));
    let columns = Columns::of(form);
    head(&mut sheet, &columns);
    sheet.svg(TITLE)
}

fn show(values: &Values) -> Shown {
    match Found::new(values) {
        Ok(found) => {
            let last = 2 * found.tour.count();
            let said = format!("{} of {last}", found.step);
            Shown::new(values, |form| draw(&found, form), found.text())
                .say("step", said)
                .limit("step", last as f64)
        }
        Err(why) => Shown::new(values, refused, format!("This cannot be recorded: {why}."))
            .say("step", "–")
            .limit("step", 2.0 * MOST as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: usize, put: usize, leaves: &str, program: &str) -> Result<Found, String> {
        let (step, put) = (step.to_string(), put.to_string());
        Found::new(&STEPS.values(&[&*step, &put, leaves, program]))
    }

    const LEAVES: &str = "w = 1.5; x = 2; b = -2";
    const NEURON: &str = "e = tanh(w*x + b) - 0.5; e*e";

    fn gradients(put: usize, leaves: &str, program: &str) -> Vec<(String, f64)> {
        let found = at(24, put, leaves, program).unwrap();
        let each = found.tour.gradients().into_iter();
        each.map(|(name, gradient)| (name.to_owned(), gradient))
            .collect()
    }

    /// The sweep by hand, with `+=`, is the sweep of the tape.
    #[test]
    fn the_steps_find_what_the_tape_finds() {
        for (leaves, text) in [
            (LEAVES, NEURON),
            (
                "w = 0.5; v = -0.4",
                "h = relu(3*w + 1); e = exp(v*h) - 1; e*e",
            ),
            ("x = 1.1", "a = x*x; b = a*a; c = b*b; c*c"),
            ("x = 0.3; z = 2", "ln(x/z)^3 - x*exp(z)"),
        ] {
            let program = Program::read(leaves, text).unwrap();
            let params = program.params();
            let (_, grads) = Tape::new().grad(|t| program.run(t, &params).0);
            let found = gradients(0, leaves, text);
            assert!(!found.is_empty());
            for ((name, found), param) in found.iter().zip(&params) {
                assert_eq!(name, param.name());
                assert_eq!(*found, grads.of(param).item(), "{text}");
            }
        }
    }

    /// The text of chapter 2: with `=`, half of every gradient is gone, and nothing else.
    #[test]
    fn one_equals_sign_costs_half_of_each_gradient() {
        let (right, wrong) = (gradients(0, LEAVES, NEURON), gradients(1, LEAVES, NEURON));
        assert_eq!(right.len(), 3);
        for ((name, right), (_, wrong)) in right.iter().zip(&wrong) {
            assert_eq!(*wrong, 0.5 * right, "{name}");
        }
        let text = at(16, 1, LEAVES, NEURON).unwrap().text();
        assert!(text.contains("With += it would have been dw = "), "{text}");
        // Where every value is used once, nobody sees it.
        let once = "(tanh(w*x + b) - 0.5)^2";
        assert_eq!(gradients(0, LEAVES, once), gradients(1, LEAVES, once));
        assert_eq!(gradients(0, LEAVES, once), right);
    }

    /// The text of chapter 2: four squares have 16 routes and eight products.
    #[test]
    fn every_square_doubles_the_routes_and_adds_one_record() {
        let found = at(0, 0, "x = 1.1", "a = x*x; b = a*a; c = b*b; c*c").unwrap();
        assert_eq!(found.tour.routes, [16, 8, 4, 2, 1]);
        let gifts: usize = found.tour.taken.iter().map(|taken| taken.gifts.len()).sum();
        assert_eq!(gifts, 8);
    }

    /// The text of chapter 4.
    #[test]
    fn what_is_kept_is_counted_once_and_falls_as_the_sweep_passes() {
        let kept = |step: usize| {
            let found = Found::new(&MEMORY.values(&[step.to_string()])).unwrap();
            (found.tour.count(), found.tour.kept(found.records()))
        };
        let (count, all) = kept(9);
        assert_eq!(count, 9);
        let bytes: Vec<usize> = (0..=18).map(|step| kept(step).1).collect();
        assert!(bytes[..=9].is_sorted() && bytes[9..].is_sorted_by(|a, b| a >= b));
        assert_eq!((bytes[0], all, bytes[18]), (0, 40, 0));
        let saved = |program: &str| {
            let found = at(0, 0, "w = 0.5; v = -0.4", program).unwrap();
            let lines = found.tour.lines.iter().map(|line| line.saved);
            lines.collect::<Vec<_>>()
        };
        // The number 3; nothing; its result; v beside it; its result; nothing; its operand, once.
        let start = "h = relu(3*w + 1); e = exp(v*h) - 1; e*e";
        assert_eq!(saved(start), [0, 0, 8, 0, 8, 8, 8, 0, 8]);
        // Without the subtraction, the last product keeps what exp keeps already.
        let shared = "h = relu(3*w + 1); e = exp(v*h); e*e";
        assert_eq!(saved(shared), [0, 0, 8, 0, 8, 8, 8, 0]);
    }

    #[test]
    fn the_sentence_says_what_happened() {
        let text = |step, put| at(step, put, LEAVES, NEURON).unwrap().text();
        assert!(text(0, 0).starts_with("Nothing is recorded yet."));
        assert_eq!(
            text(1, 0),
            "Forward, 1 of 8: record 0, w, a leaf with the value 1.500."
        );
        assert_eq!(
            text(9, 0),
            "Back, 1 of 8: record 7, mul, is taken off. With 1.000 in its slot it gives 0.262 to \
             slot 6 and 0.262 to slot 6, which makes 0.523."
        );
        assert!(text(9, 1).ends_with("0.262 to slot 6, over the 0.262 that was there."));
        assert!(text(8, 0).ends_with(
            "keeps 8 bytes. The slot of the result is set to 1, and the sweep can begin."
        ));
        assert_eq!(
            text(16, 0),
            "Back, 8 of 8: record 0, w, is taken off. It is a leaf, so its slot stays: 0.439. The \
             sweep is over: dw = 0.439, dx = 0.330 and db = 0.220."
        );
        assert_eq!(STEPS.start().text, text(9, 0));
    }

    #[test]
    fn what_cannot_be_recorded_is_refused_in_words() {
        let said = |program: &str| at(3, 0, LEAVES, program).err();
        let long = "c=w*w; d=c*c; e=d*d; f=e*e; g=f*f; h=g*g; i=h*h; j=i*i; j*j*j";
        assert_eq!(
            said(long).as_deref(),
            Some("it takes 13 records, and there is room for 12")
        );
        let shown = show(&STEPS.values(&["9", "0", LEAVES, "w +"]));
        assert_eq!(
            shown.text,
            "This cannot be recorded: something is missing at the end."
        );
    }
}

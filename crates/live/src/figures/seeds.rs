//! Results of two methods seed by seed, and what three rules say of them.

use crate::comparisons::{COMPARISONS, Comparison, Method};
use crate::draw::{Place, Scale, Sheet};
use crate::figure::{Control, Figure, Form, Group, Shown, Values};
use crate::words::{and, decimal, fixed};

/// The numbers, a line for each method of [`COMPARISONS`]: written by `press` from the results.
const RESULTS: &str = include_str!("seeds.txt");

const CALLED: [&str; COMPARISONS.len()] = {
    let mut called = [""; COMPARISONS.len()];
    let mut at = 0;
    while at < called.len() {
        called[at] = COMPARISONS[at].called;
        at += 1;
    }
    called
};

/// The entry in the list of figures.
pub const FIGURE: Figure = Figure {
    name: "seeds",
    title: "The results of two methods, a dot for each seed, joined in pairs; and the differences \
            of the pairs in order, with the interval that the rule reads",
    groups: &[
        Group {
            legend: "Seed i of one is paired with seed i + k of the other",
            controls: &[Control::slider("shift", "k", [0.0, 12.0], 1.0, 0.0)],
        },
        Group {
            legend: "Rule",
            controls: &[Control::choice("rule", "Rule", &RULES, 0)],
        },
        Group {
            legend: "Experiment",
            controls: &[Control::choice("experiment", "Experiment", &CALLED, 0)],
        },
    ],
    show,
};

const RULES: [&str; 3] = ["pairs", "quartiles", "means"];

/// How often chance may decide, at most, in one direction.
const CHANCE: f64 = 0.012;

/// Of so many pairs, how many may be against a difference that is called clear, as in 16.1.
fn may_be_against(pairs: usize) -> Option<usize> {
    let mut chance = (0..pairs).fold(1.0, |chance, _| 0.5 * chance);
    let mut so_far = 0.0;
    let within = (0..pairs).take_while(|&heads| {
        so_far += chance;
        chance *= (pairs - heads) as f64 / (heads + 1) as f64;
        so_far <= CHANCE
    });
    within.last()
}

/// The value below which this share of the sorted values lies, as everywhere in the book.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, part) = (place.floor() as usize, place - place.floor());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] * (1.0 - part) + sorted[above] * part
}

/// One method's results.
struct Side {
    method: Method,
    by_seed: Vec<f64>,
    quartiles: [f64; 2],
    mean: f64,
}

impl Side {
    fn new(method: Method, line: &str, scale: f64) -> Self {
        let numbers = line.split(' ').filter_map(decimal);
        let by_seed: Vec<f64> = numbers.map(|number| scale * number).collect();
        let mut sorted = by_seed.clone();
        sorted.sort_by(f64::total_cmp);
        Self {
            method,
            quartiles: [0.25, 0.75].map(|share| quantile(&sorted, share)),
            mean: by_seed.iter().sum::<f64>() / by_seed.len() as f64,
            by_seed,
        }
    }
}

/// Which of the two is ahead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ahead {
    First,
    Second,
    Neither,
}

impl Ahead {
    fn of(difference: f64) -> Self {
        if difference > 0.0 {
            Self::First
        } else if difference < 0.0 {
            Self::Second
        } else {
            Self::Neither
        }
    }
}

struct Found {
    comparison: Comparison,
    sides: [Side; 2],
    rule: usize,
    shift: usize,
    /// By how much the first is ahead in each pair: in points of accuracy, or in hundredths of
    /// loss.
    differences: Vec<f64>,
    sorted: Vec<f64>,
    against: Option<usize>,
}

impl Found {
    fn new(values: &Values) -> Self {
        let which = values.chosen("experiment");
        let comparison = COMPARISONS[which];
        let mut lines = RESULTS.lines().skip(1 + 2 * which);
        let scale = if comparison.loss { 1.0 } else { 100.0 };
        let sides = comparison
            .methods
            .map(|method| Side::new(method, lines.next().unwrap_or_default(), scale));
        let shift = values.chosen("shift");
        let [a, b] = sides.each_ref().map(|side| &side.by_seed);
        let sign = if comparison.loss { -1.0 } else { 1.0 };
        let difference = |at: usize| {
            let (a, b) = (a[at], b[(at + shift) % b.len()]);
            sign * (a - b)
        };
        let differences: Vec<f64> = (0..a.len()).map(difference).collect();
        let mut sorted = differences.clone();
        sorted.sort_by(f64::total_cmp);
        Self {
            comparison,
            rule: values.chosen("rule"),
            shift,
            against: may_be_against(sorted.len()),
            differences,
            sorted,
            sides,
        }
    }

    fn count(&self, ahead: Ahead) -> usize {
        let each = self.differences.iter();
        each.filter(|&&difference| Ahead::of(difference) == ahead)
            .count()
    }

    /// The ends of the interval: the differences that the rule of pairs reads.
    fn interval(&self) -> [f64; 2] {
        match self.against {
            Some(against) => [against, self.sorted.len() - 1 - against].map(|at| self.sorted[at]),
            None => [f64::NEG_INFINITY, f64::INFINITY],
        }
    }

    fn says(&self, rule: usize) -> Ahead {
        let sign = if self.comparison.loss { -1.0 } else { 1.0 };
        let [a, b] = &self.sides;
        let between = |low: f64, high: f64| match (low > 0.0, high < 0.0) {
            (true, _) => Ahead::First,
            (_, true) => Ahead::Second,
            _ => Ahead::Neither,
        };
        match rule {
            0 => between(self.interval()[0], self.interval()[1]),
            1 => {
                let apart = [
                    a.quartiles[0] - b.quartiles[1],
                    a.quartiles[1] - b.quartiles[0],
                ];
                let [one, other] = apart.map(|apart| sign * apart);
                between(one.min(other), one.max(other))
            }
            _ => Ahead::of(sign * (a.mean - b.mean)),
        }
    }

    fn winner(&self, ahead: Ahead) -> &'static str {
        match ahead {
            Ahead::First => self.sides[0].method.name,
            Ahead::Second => self.sides[1].method.name,
            Ahead::Neither => "neither",
        }
    }

    /// A difference with its sign: in points, or in loss.
    fn signed(&self, difference: f64) -> String {
        let text = if self.comparison.loss {
            fixed(difference, 3)
        } else {
            fixed(difference, 1)
        };
        if text.starts_with('−') || text.chars().all(|c| matches!(c, '0' | '.')) {
            text
        } else {
            format!("+{text}")
        }
    }

    fn unit(&self) -> &'static str {
        if self.comparison.loss { "" } else { " points" }
    }

    fn text(&self) -> String {
        let [a, b] = self.sides.each_ref().map(|side| side.method.name);
        let ahead = self.says(self.rule);
        let mut text = match self.rule {
            0 => {
                let (first, second) = (self.count(Ahead::First), self.count(Ahead::Second));
                let count = self.sorted.len();
                let behind = match second {
                    0 => String::new(),
                    _ => format!(", and behind in {second}"),
                };
                let [low, high] = self.interval().map(|end| self.signed(end));
                format!(
                    "{a} is ahead of {b} in {first} of {count} pairs{behind}; the interval reaches \
                     from {low} to {high}{}: ",
                    self.unit()
                )
            }
            1 => match ahead {
                Ahead::Neither => {
                    "The middle halves of the two heaps touch or overlap: ".to_owned()
                }
                _ => "The middle halves of the two heaps lie apart: ".to_owned(),
            },
            _ => {
                let difference = self.sides[0].mean - self.sides[1].mean;
                let sign = if self.comparison.loss { -1.0 } else { 1.0 };
                format!(
                    "The mean of {a} is ahead by {}{}: ",
                    self.signed(sign * difference),
                    self.unit()
                )
            }
        };
        text += &match ahead {
            Ahead::Neither => "neither is clearly ahead.".to_owned(),
            _ => format!("{} is ahead.", self.winner(ahead)),
        };
        let others: Vec<usize> = (0..RULES.len())
            .filter(|&rule| rule != self.rule && self.says(rule) != ahead)
            .collect();
        if !others.is_empty() {
            let each: Vec<String> = others
                .iter()
                .map(|&rule| format!("the {} say {}", RULES[rule], self.winner(self.says(rule))))
                .collect();
            let each: Vec<&str> = each.iter().map(String::as_str).collect();
            text += &format!(" But {}.", and(&each));
        }
        if self.shift > 0 && self.rule == 0 {
            text += " These pairs have no seed in common.";
        }
        text
    }
}

const MUTED: &str = "fill=\"var(--fig-muted)\"";
const INK: &str = "fill=\"var(--fig-ink)\"";

fn draw(found: &Found, form: Form) -> String {
    let wide = form == Form::Wide;
    let mut sheet = Sheet::new(form.width(), if wide { 390.0 } else { 690.0 });
    let (left, right) = match form {
        Form::Wide => ((0.0, 0.0, 318.0), (372.0, 0.0, 328.0)),
        Form::Narrow => ((0.0, 0.0, 340.0), (0.0, 310.0, 340.0)),
    };
    heaps(&mut sheet, found, left);
    pairs(&mut sheet, found, right);
    let at = if wide { (0.0, 318.0) } else { (0.0, 618.0) };
    verdicts(&mut sheet, found, at, form.width());
    sheet.svg(FIGURE.title)
}

const TOP: f64 = 34.0;
const BOTTOM: f64 = 268.0;

/// A scale over all of these values, and where it is marked.
fn scale_of(
    values: impl Iterator<Item = f64> + Clone,
    places: [f64; 2],
) -> (Scale, Vec<f64>, usize) {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    let width = (high - low).max(1e-6);
    const STEPS: [(f64, usize); 11] = [
        (20.0, 0),
        (10.0, 0),
        (5.0, 0),
        (2.0, 0),
        (1.0, 0),
        (0.5, 1),
        (0.2, 1),
        (0.1, 1),
        (0.05, 2),
        (0.02, 2),
        (0.01, 2),
    ];
    let fits = STEPS.into_iter().find(|(step, _)| 2.6 * step <= width);
    let (step, places_after) = fits.unwrap_or(STEPS[STEPS.len() - 1]);
    let margin = 0.06 * width;
    let scale = Scale {
        values: [low - margin, high + margin],
        places,
    };
    let first = ((low - margin) / step).ceil() as i64;
    let last = ((high + margin) / step).floor() as i64;
    let marks = (first..=last).map(|mark| mark as f64 * step).collect();
    (scale, marks, places_after)
}

/// The results of both, each seed a dot, and a line from a seed to its partner.
fn heaps(sheet: &mut Sheet, found: &Found, (left, top, width): (f64, f64, f64)) {
    let [a, b] = &found.sides;
    let all = a.by_seed.iter().chain(&b.by_seed).copied();
    let (up, marks, places) = scale_of(all, [top + BOTTOM, top + TOP + 6.0]);
    let look = format!("{MUTED} font-size=\"12\"");
    let what = if found.comparison.loss {
        "test loss"
    } else {
        "test accuracy, %"
    };
    sheet.text((left, top + 12.0), &look, what);
    let (start, end) = (left + 44.0, left + width);
    for mark in marks {
        let y = up.at(mark);
        sheet.line((start, y), (end, y), "stroke=\"var(--fig-rule)\"");
        let look = format!("{look} text-anchor=\"end\"");
        sheet.text((start - 7.0, y + 4.0), &look, &fixed(mark, places));
    }
    let columns = [start + 0.26 * (end - start), start + 0.74 * (end - start)];
    let paired = found.rule == 0;
    let places = [a, b].map(|side| dodged(&side.by_seed, &up));
    let at = |side: usize, seed: usize| {
        let (aside, y) = places[side][seed];
        let inward = if side == 0 { -1.0 } else { 1.0 };
        (columns[side] + inward * aside, y)
    };
    let opacity = if paired { 0.75 } else { 0.18 };
    for (seed, &difference) in found.differences.iter().enumerate() {
        let partner = (seed + found.shift) % b.by_seed.len();
        let colour = colour_of(found, Ahead::of(difference));
        let look =
            format!("stroke=\"var({colour})\" stroke-width=\"1.4\" stroke-opacity=\"{opacity}\"");
        sheet.line(at(0, seed), at(1, partner), &look);
    }
    for (which, side) in found.sides.iter().enumerate() {
        let (x, colour) = (columns[which], side.method.colour);
        if found.rule == 1 {
            let [low, high] = side.quartiles.map(|quartile| up.at(quartile));
            let look =
                format!("fill=\"var({colour})\" fill-opacity=\"0.2\" stroke=\"var({colour})\"");
            sheet.rect((x - 42.0, low), (x + 42.0, high), &look);
            // On to the other side, for the eye to compare.
            let look = format!("stroke=\"var({colour})\" stroke-dasharray=\"3 4\"");
            for y in [low, high] {
                sheet.line((start, y), (end, y), &look);
            }
        }
        for seed in 0..side.by_seed.len() {
            let look = format!("fill=\"var({colour})\" stroke=\"var(--fig-paper)\"");
            sheet.disc(at(which, seed), 4.6, &look);
        }
        if found.rule == 2 {
            let y = up.at(side.mean);
            let look = format!("stroke=\"var({colour})\" stroke-width=\"3\"");
            sheet.line((x - 46.0, y), (x + 46.0, y), &look);
        }
        let look = format!("fill=\"var({colour})\" font-weight=\"600\" text-anchor=\"middle\"");
        sheet.text((x, top + BOTTOM + 24.0), &look, side.method.name);
    }
}

/// Places of equal values beside each other: how far to the side, and how high.
fn dodged(values: &[f64], up: &Scale) -> Vec<Place> {
    let near = |a: f64, b: f64| (up.at(a) - up.at(b)).abs() < 4.0;
    let place = |(seed, &value): (usize, &f64)| {
        let before = values[..seed].iter().filter(|&&other| near(other, value));
        (9.0 * before.count() as f64, up.at(value))
    };
    values.iter().enumerate().map(place).collect()
}

fn colour_of(found: &Found, ahead: Ahead) -> &'static str {
    match ahead {
        Ahead::First => found.sides[0].method.colour,
        Ahead::Second => found.sides[1].method.colour,
        Ahead::Neither => "--fig-muted",
    }
}

/// The differences in order, with zero and the interval.
fn pairs(sheet: &mut Sheet, found: &Found, (left, top, width): (f64, f64, f64)) {
    let with_zero = found.sorted.iter().copied().chain([0.0]);
    let (up, marks, places) = scale_of(with_zero, [top + BOTTOM, top + TOP + 6.0]);
    let look = format!("{MUTED} font-size=\"12\"");
    let title = format!(
        "{} ahead by{}",
        found.sides[0].method.name,
        if found.comparison.loss {
            ""
        } else {
            ", points"
        }
    );
    sheet.text((left, top + 12.0), &look, &title);
    let (start, end) = (left + 44.0, left + width);
    for mark in marks {
        let y = up.at(mark);
        sheet.line((start, y), (end, y), "stroke=\"var(--fig-rule)\"");
        let look = format!("{look} text-anchor=\"end\"");
        sheet.text((start - 7.0, y + 4.0), &look, &fixed(mark, places));
    }
    let paired = found.rule == 0;
    let count = found.sorted.len();
    let across = |at: usize| start + (end - start) * (at as f64 + 0.5) / count as f64;
    let interval = found.interval();
    if paired && interval[0].is_finite() {
        let [low, high] = interval.map(|value| up.at(value));
        let colour = colour_of(found, found.says(0));
        let look = format!("fill=\"var({colour})\" fill-opacity=\"0.16\"");
        sheet.rect((start, low), (end, high), &look);
    }
    let zero = up.at(0.0);
    let look = "stroke=\"var(--fig-ink)\" stroke-width=\"1.5\"";
    sheet.line((start, zero), (end, zero), look);
    for (at, &difference) in found.sorted.iter().enumerate() {
        let (x, y) = (across(at), up.at(difference));
        let colour = colour_of(found, Ahead::of(difference));
        let opacity = if paired { 1.0 } else { 0.35 };
        let stem =
            format!("stroke=\"var({colour})\" stroke-width=\"2\" stroke-opacity=\"{opacity}\"");
        sheet.line((x, zero), (x, y), &stem);
        let look = format!("fill=\"var({colour})\" fill-opacity=\"{opacity}\"");
        sheet.disc((x, y), 4.6, &look);
        let read = found
            .against
            .is_some_and(|against| at == against || at + 1 + against == count);
        if paired && read {
            let ring = "fill=\"none\" stroke=\"var(--fig-ink)\" stroke-width=\"1.6\"";
            sheet.disc((x, y), 8.0, ring);
        }
    }
    let look = format!("{MUTED} text-anchor=\"middle\" font-size=\"12\"");
    let what = if found.shift == 0 {
        "the pairs, in order".to_owned()
    } else {
        format!("seed i and seed i + {}, in order", found.shift)
    };
    sheet.text((0.5 * (start + end), top + BOTTOM + 24.0), &look, &what);
}

/// What each rule says.
fn verdicts(sheet: &mut Sheet, found: &Found, (left, top): Place, right: f64) {
    let names = [
        match found.against {
            Some(against) => {
                let count = found.sorted.len();
                format!("pairs: {} of {count} on one side", count - against)
            }
            None => "pairs: too few".to_owned(),
        },
        "quartiles: middle halves apart".to_owned(),
        "means: one is larger".to_owned(),
    ];
    for (rule, name) in names.iter().enumerate() {
        let y = top + 14.0 + 25.0 * rule as f64;
        let (ink, weight) = if rule == found.rule {
            (INK, " font-weight=\"600\"")
        } else {
            (MUTED, "")
        };
        let ahead = found.says(rule);
        let end = if right > 400.0 { left + 420.0 } else { right };
        sheet.sets("rule", rule as f64, |sheet| {
            let row = "fill=\"transparent\"";
            sheet.rect((left, y - 17.0), (end, y + 8.0), row);
            sheet.text((left, y), &format!("{ink}{weight}"), name);
            let fill = match ahead {
                Ahead::Neither => ink.to_owned(),
                _ => format!("fill=\"var({})\"", colour_of(found, ahead)),
            };
            let look = format!("{fill}{weight} text-anchor=\"end\"");
            sheet.text((end, y), &look, found.winner(ahead));
        });
    }
}

fn show(values: &Values) -> Shown {
    let found = Found::new(values);
    Shown::new(values, |form| draw(&found, form), found.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(shift: usize, rule: usize, experiment: usize) -> Found {
        let values = [shift, rule, experiment].map(|value| value.to_string());
        Found::new(&FIGURE.values(&values))
    }

    #[test]
    fn thirteen_pairs_may_have_two_against_and_five_may_have_none() {
        assert_eq!(may_be_against(13), Some(2));
        assert_eq!(may_be_against(7), Some(0));
        assert_eq!(may_be_against(5), None);
    }

    #[test]
    fn every_line_of_results_has_a_number_for_each_seed() {
        let lines: Vec<&str> = RESULTS.lines().skip(1).collect();
        assert_eq!(lines.len(), 2 * COMPARISONS.len());
        for line in lines {
            let numbers: Option<Vec<f64>> = line.split(' ').map(decimal).collect();
            assert_eq!(numbers.map(|numbers| numbers.len()), Some(13), "{line}");
        }
    }

    /// The text: with batches of 4 the pairs see what the quartiles do not, and with other pairs
    /// than those of equal seeds it is mostly gone.
    #[test]
    fn pairs_see_what_heaps_hide() {
        let found = at(0, 0, 0);
        assert_eq!(
            (found.count(Ahead::First), found.count(Ahead::Second)),
            (12, 1)
        );
        assert_eq!(
            [0, 1, 2].map(|rule| found.says(rule)),
            [Ahead::First, Ahead::Neither, Ahead::First]
        );
        let clear = (1..13).filter(|&shift| at(shift, 0, 0).says(0) != Ahead::Neither);
        assert_eq!(clear.count(), 2);
        for shift in 1..13 {
            // The other rules see no pairs.
            assert_eq!(at(shift, 1, 0).says(1), found.says(1));
            assert_eq!(at(shift, 2, 0).says(2), found.says(2));
        }
    }

    /// The text: in the CNN it is the other way about.
    #[test]
    fn quartiles_may_be_apart_where_the_pairs_are_not_clear() {
        let found = at(0, 0, 1);
        assert_eq!(
            [0, 1].map(|rule| found.says(rule)),
            [Ahead::Neither, Ahead::First]
        );
        assert_eq!(
            (found.count(Ahead::First), found.count(Ahead::Second)),
            (9, 4)
        );
    }

    /// The text: a mean is always larger than another.
    #[test]
    fn means_always_name_a_winner() {
        for experiment in 0..COMPARISONS.len() {
            assert_ne!(at(0, 2, experiment).says(2), Ahead::Neither);
        }
        let same = at(0, 2, 5);
        assert_eq!([0, 1].map(|rule| same.says(rule)), [Ahead::Neither; 2]);
    }

    #[test]
    fn a_smaller_loss_is_ahead() {
        let found = at(0, 0, 4);
        assert!(found.sides[0].mean < found.sides[1].mean);
        assert_eq!(found.says(0), Ahead::First);
        assert_eq!(found.count(Ahead::First), 11);
    }

    #[test]
    fn the_sentence_says_who_is_ahead_and_who_disagrees() {
        assert_eq!(
            at(0, 0, 0).text(),
            "Layer Norm is ahead of Batch Norm in 12 of 13 pairs, and behind in 1; the interval \
             reaches from +0.3 to +1.6 points: Layer Norm is ahead. But the quartiles say neither."
        );
        assert!(
            at(3, 0, 0)
                .text()
                .ends_with("These pairs have no seed in common.")
        );
        assert_eq!(FIGURE.start().text, at(0, 0, 0).text());
    }
}

//! A gradient of Batch Normalization made wrong on purpose, and what the diagnosis says of it.

use crate::draw::{Drag, Place, Scale, Sheet};
use crate::figure::{Control, Figure, Form, Group, Shown, Values};
use crate::words::{fixed, signs};
use batchnorm::staged::{Forward, forward_channel};
use gradcheck::attribution::Verdict;
use gradcheck::attribution::norm::{Given, Norm, Probe, Target, explain};

/// How many examples, and how many channels.
const N: usize = 8;
const C: usize = 5;
const EPS: f64 = 1e-5;
/// The scales of the channels: none is 1, and none is as large as another.
const GAMMA: [f64; C] = [0.6, -1.4, 1.7, -0.8, 1.2];
/// From the wrong sign to a sum in place of the mean.
const WEIGHTS: [f64; 2] = [-1.0, N as f64];

const fn weight(name: &'static str, label: &'static str, start: f64) -> Control {
    Control::slider(name, label, WEIGHTS, 0.5, start)
}

/// The entry in the list of figures.
pub const FIGURE: Figure = Figure {
    name: "break-gradient",
    title: "The error of a gradient in each element of a batch as a table, and the weights of the \
            three routes that fit the gradient best",
    groups: &[
        Group {
            legend: "Weights of the routes in your gradient",
            controls: &[
                weight("direct", "direct", 1.0),
                weight("mean", "mean", 1.0),
                weight("variance", "variance", 0.0),
            ],
        },
        Group {
            legend: "Another mistake",
            controls: &[Control::choice("mistake", "Another mistake", &MISTAKES, 0)],
        },
        Group {
            legend: "Data",
            controls: &[Control::switch("plain", "every γ is 1", false)],
        },
    ],
    show,
};

const MISTAKES: [&str; 7] = [
    "none",
    "γ forgotten",
    "r forgotten",
    "r squared",
    "ε left out of r",
    "variance: N − 1 in place of N",
    "means taken over the channels",
];

/// A route: its control, what it is called, and its colour.
const ROUTES: [(&str, &str, &str); 3] = [
    ("direct", "direct", "--fig-direct"),
    ("mean", "mean", "--fig-mean"),
    ("variance", "variance", "--fig-var"),
];

/// The three terms of every element, `[N, C]`, with a mistake in them.
fn terms(probe: &Probe, mistake: usize) -> Vec<[f64; 3]> {
    let eps = if mistake == 4 { 0.0 } else { EPS };
    let channels: Vec<Forward<f64>> = (0..C)
        .map(|c| {
            let x: Vec<f64> = probe.x.iter().skip(c).step_by(C).copied().collect();
            forward_channel(&x, probe.gamma[c], 0.0, eps)
        })
        .collect();
    let (x_hat, r) = (
        |n: usize, c: usize| channels[c].x_hat[n],
        |c: usize| channels[c].rstd,
    );
    let gamma = |c: usize| match mistake {
        1 => 1.0,
        _ => probe.gamma[c],
    };
    let g = |n: usize, c: usize| gamma(c) * probe.dy[n * C + c];
    let mean = |n: usize, c: usize, of: &dyn Fn(usize, usize) -> f64| match mistake {
        6 => (0..C).map(|c| of(n, c)).sum::<f64>() / C as f64,
        _ => (0..N).map(|n| of(n, c)).sum::<f64>() / N as f64,
    };
    let element = |k: usize| {
        let (n, c) = (k / C, k % C);
        let front = match mistake {
            2 => 1.0,
            3 => r(c) * r(c),
            _ => r(c),
        };
        let of_variance = match mistake {
            5 => N as f64 / (N - 1) as f64,
            _ => 1.0,
        };
        [
            front * g(n, c),
            -front * mean(n, c, &g),
            -of_variance * front * x_hat(n, c) * mean(n, c, &|n, c| g(n, c) * x_hat(n, c)),
        ]
    };
    (0..N * C).map(element).collect()
}

/// Numbers between −1 and 1 that are the same everywhere.
fn draws() -> impl FnMut() -> f64 {
    let mut state = 5_u64;
    move || {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    }
}

/// A batch whose channels differ in their means and in their deviations, which are a few times
/// the root of eps, so that it shows where eps is left out.
fn probe(gamma: [f64; C]) -> Probe {
    let mut draw = draws();
    let size = [1.5, 3.0, 2.0, 5.0, 4.0].map(|size| size * EPS.sqrt());
    let centre = [1.0, -1.5, 2.0, 0.5, -1.0];
    let mut x = Vec::with_capacity(N * C);
    let mut dy = Vec::with_capacity(N * C);
    for k in 0..N * C {
        let place = draw();
        x.push(size[k % C] * (centre[k % C] + place));
        // With a part along x, so that the route through the variance carries something.
        dy.push(draw() + place);
    }
    let given = Given {
        x,
        gamma: gamma.to_vec(),
        beta: vec![0.5; C],
        dy,
    };
    Probe::given(Norm::Batch, &[N, C], EPS, given).expect("the arrays have the shape")
}

struct Found {
    weights: [f64; 3],
    plain: bool,
    gamma: [f64; C],
    /// The error of each element, in per cent of the largest of the right gradient.
    errors: Vec<f64>,
    /// How far the gradient is off as a whole: ‖dx − right‖ / ‖right‖.
    relative: f64,
    verdict: Verdict,
    /// What the checker says of the data.
    refused: Option<String>,
}

impl Found {
    fn new(values: &Values) -> Self {
        let weights = values.numbers(ROUTES.map(|(control, ..)| control));
        let (mistake, plain) = (values.chosen("mistake"), values.on("plain"));
        let gamma = if plain { [1.0; C] } else { GAMMA };
        let probe = probe(gamma);
        let weighed = |terms: &[f64; 3]| terms.iter().zip(&weights).map(|(t, w)| w * t).sum();
        let dx: Vec<f64> = terms(&probe, mistake).iter().map(weighed).collect();
        let right = probe.dx();
        let size = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
        let off: Vec<f64> = dx
            .iter()
            .zip(&right)
            .map(|(dx, right)| dx - right)
            .collect();
        let largest = right.iter().fold(0.0_f64, |a, v| a.max(v.abs()));
        Self {
            weights,
            plain,
            gamma,
            errors: off.iter().map(|off| 100.0 * off / largest).collect(),
            relative: size(&off) / size(&right),
            verdict: explain(&probe, Target::Dx, &dx),
            refused: probe.vacuous().first().map(ToString::to_string),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("The diagnosis: {}.", self.verdict);
        if let Some(why) = &self.refused {
            text += &format!(" But it refuses these data: {why}");
        }
        signs(&text)
    }

    /// Whether everything of the gradient is right but for rounding.
    fn right(&self) -> bool {
        self.relative < 1e-10
    }

    /// The share that three weights cannot explain.
    fn left_over(&self) -> String {
        match self.verdict.residual {
            rounding if rounding < 1e-10 => "0 %".to_owned(),
            share if share < 0.001 => "below 0.1 %".to_owned(),
            share => format!("{} %", fixed(100.0 * share, 1)),
        }
    }
}

const MUTED: &str = "fill=\"var(--fig-muted)\"";
const INK: &str = "fill=\"var(--fig-ink)\"";

fn draw(found: &Found, form: Form) -> String {
    let wide = form == Form::Wide;
    let height = if wide { 300.0 } else { 590.0 };
    let mut sheet = Sheet::new(form.width(), height);
    heat(&mut sheet, found, if wide { 330.0 } else { 340.0 });
    let place = if wide { (384.0, 0.0) } else { (0.0, 316.0) };
    fitted(&mut sheet, found, place, form.width());
    sheet.svg(FIGURE.title)
}

/// The error of each element: one column for each channel, one row for each example.
fn heat(sheet: &mut Sheet, found: &Found, right: f64) {
    sheet.text(
        (0.0, 14.0),
        &format!("{INK} font-weight=\"600\""),
        "error of dx",
    );
    let look = format!("{MUTED} font-size=\"12\" text-anchor=\"end\"");
    sheet.text((right, 14.0), &look, "in % of the largest |dx|");
    let (left, top, row) = (26.0, 46.0, 31.0);
    let column = (right - left) / C as f64;
    let middle = format!("{MUTED} font-size=\"12\" text-anchor=\"middle\"");
    for (c, gamma) in found.gamma.iter().enumerate() {
        let x = left + column * (c as f64 + 0.5);
        let places = if found.plain { 0 } else { 1 };
        sheet.text(
            (x, top - 8.0),
            &middle,
            &format!("γ = {}", fixed(*gamma, places)),
        );
    }
    let end = format!("{MUTED} font-size=\"12\" text-anchor=\"end\"");
    for n in 0..N {
        let y = top + row * n as f64;
        sheet.text(
            (left - 8.0, y + row / 2.0 + 4.0),
            &end,
            &(n + 1).to_string(),
        );
        for c in 0..C {
            let error = found.errors[n * C + c];
            let x = left + column * c as f64;
            let corners = ((x + 1.0, y + 1.0), (x + column - 1.0, y + row - 1.0));
            let paper = "fill=\"none\" stroke=\"var(--fig-rule)\"";
            sheet.rect(corners.0, corners.1, paper);
            let share = (error.abs() / 100.0).min(1.0);
            if share > 1e-9 {
                // The eye is fair to areas of little colour when it grows like the root.
                let opacity = fixed(0.04 + 0.46 * share.sqrt(), 2);
                let look = format!("fill=\"var(--fig-wrong)\" fill-opacity=\"{opacity}\"");
                sheet.rect(corners.0, corners.1, &look);
            }
            let look = format!("{INK} font-size=\"13\" text-anchor=\"middle\"");
            let text = match error.abs() {
                0.0..1e-8 => "0".to_owned(),
                0.0..0.05 => "< 0.1".to_owned(),
                0.0..9.95 => fixed(error, 1),
                _ => fixed(error, 0),
            };
            sheet.text((x + column / 2.0, y + row / 2.0 + 4.5), &look, &text);
        }
    }
}

/// The weights that fit best, on a line for each route, and what they do not explain.
fn fitted(sheet: &mut Sheet, found: &Found, (left, top): Place, right: f64) {
    sheet.text(
        (left, top + 14.0),
        &format!("{INK} font-weight=\"600\""),
        "weights that fit it best",
    );
    let across = Scale {
        values: WEIGHTS,
        places: [left + 70.0, right - 62.0],
    };
    let (first, step) = (top + 66.0, 50.0);
    let last = first + 2.0 * step;
    for mark in [-1.0, 0.0, 1.0, 2.0, 4.0, 8.0] {
        let x = across.at(mark);
        let look = if mark == 1.0 {
            "stroke=\"var(--fig-ink)\" stroke-width=\"1.5\""
        } else {
            "stroke=\"var(--fig-rule)\""
        };
        sheet.line((x, first - 20.0), (x, last + 18.0), look);
        let look = format!("{MUTED} font-size=\"12\" text-anchor=\"middle\"");
        sheet.text((x, first - 26.0), &look, &fixed(mark, 0));
    }
    for (route, (control, called, colour)) in ROUTES.iter().enumerate() {
        let y = first + step * route as f64;
        sheet.text((left, y + 5.0), &format!("fill=\"var({colour})\""), called);
        let look = format!("stroke=\"var({colour})\" stroke-opacity=\"0.4\"");
        sheet.line((across.places[0], y), (across.places[1], y), &look);
        let drag = Drag {
            control,
            min: across.places[0],
            max: across.places[1],
        };
        let ring =
            format!("fill=\"var(--fig-paper)\" stroke=\"var({colour})\" stroke-width=\"1.6\"");
        sheet.handle(
            (across.at(found.weights[route]), y),
            Some(drag),
            None,
            &ring,
        );
        if let Some(&weight) = found.verdict.coefficients.get(route) {
            let x = across.at(weight.clamp(WEIGHTS[0], WEIGHTS[1]));
            let look = format!("fill=\"var({colour})\" pointer-events=\"none\"");
            sheet.disc((x, y), 4.5, &look);
            let text = match weight.abs() {
                0.0..9.9995 => fixed(weight, 3),
                0.0..9999.5 => fixed(weight, 1),
                _ => fixed(weight, 0),
            };
            let look = format!("{INK} text-anchor=\"end\"");
            sheet.text((right, y + 5.0), &look, &text);
        }
    }
    let mut y = last + 66.0;
    let off = if found.right() {
        "0".to_owned()
    } else {
        fixed(found.relative, if found.relative < 0.01 { 4 } else { 2 })
    };
    for (what, value) in [
        ("what these weights leave over", found.left_over()),
        ("relative error of the whole", off),
    ] {
        sheet.text((left, y), INK, what);
        let look = format!("{INK} text-anchor=\"end\" font-weight=\"600\"");
        sheet.text((right, y), &look, &value);
        y += 25.0;
    }
}

fn show(values: &Values) -> Shown {
    let found = Found::new(values);
    Shown::new(values, |form| draw(&found, form), found.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONES: [f64; 3] = [1.0; 3];

    fn at(weights: [f64; 3], mistake: usize, plain: bool) -> Found {
        let others = [mistake as f64, f64::from(u8::from(plain))];
        let written = [&weights[..], &others].concat();
        let written: Vec<String> = written.iter().map(f64::to_string).collect();
        Found::new(&FIGURE.values(&written))
    }

    fn id(weights: [f64; 3], mistake: usize) -> String {
        at(weights, mistake, false).verdict.id
    }

    #[test]
    fn it_begins_without_the_route_through_the_variance() {
        let found = at([1.0, 1.0, 0.0], 0, false);
        assert_eq!(found.verdict.id, "variance-path-missing");
        assert_eq!(FIGURE.start().text, found.text());
        assert_eq!(found.left_over(), "0 %");
        assert!(found.refused.is_none());
    }

    /// The text: a weight of 0 is a missing route, −1 a sign, ½ the square, 8 a sum.
    #[test]
    fn every_weight_that_has_a_meaning_is_named() {
        assert_eq!(id(ONES, 0), "correct");
        for (route, path) in ["direct-path", "mean-path", "variance-path"]
            .into_iter()
            .enumerate()
        {
            let mut kinds = vec![(0.0, "missing"), (-1.0, "sign")];
            if route > 0 {
                kinds.extend([(N as f64, "summed"), (0.5, "halved"), (2.0, "doubled")]);
            }
            for (weight, kind) in kinds {
                let mut weights = ONES;
                weights[route] = weight;
                assert_eq!(id(weights, 0), format!("{path}-{kind}"), "{weight}");
            }
        }
        let unknown = at([1.0, 1.0, 3.5], 0, false);
        assert!(
            unknown.text().contains("has weight 3.5"),
            "{}",
            unknown.text()
        );
    }

    #[test]
    fn every_other_mistake_is_named_for_what_it_is() {
        for (mistake, named) in [
            (1, "gamma-forgotten"),
            (2, "rstd-missing"),
            (3, "rstd-extra"),
            (4, "eps-left-out"),
            (5, "variance-path-bessel"),
            (6, "axes"),
        ] {
            let found = at(ONES, mistake, false);
            assert!(
                found.verdict.id.contains(named),
                "{}: {}",
                MISTAKES[mistake],
                found.verdict.id
            );
            assert!(!found.right(), "{}", MISTAKES[mistake]);
        }
    }

    /// The text: no three weights fit where gamma is forgotten. And with a gamma of 1 nothing is
    /// there to be seen, so the check refuses the data.
    #[test]
    fn a_gamma_of_one_hides_one_mistake_and_no_other() {
        let forgotten = at(ONES, 1, false);
        assert!(
            forgotten.verdict.residual > 0.1,
            "{}",
            forgotten.verdict.residual
        );
        assert!(forgotten.errors.iter().all(|error| error.abs() > 1e-3));
        let hidden: Vec<&str> = (1..MISTAKES.len())
            .filter(|&mistake| at(ONES, mistake, true).right())
            .map(|mistake| MISTAKES[mistake])
            .collect();
        assert_eq!(hidden, ["γ forgotten"]);
        let found = at(ONES, 1, true);
        assert!(found.verdict.is_correct());
        assert!(found.errors.iter().all(|error| error.abs() < 1e-8));
        let text = found.text();
        assert!(
            text.starts_with("The diagnosis: dx: it is right. But it refuses these data: "),
            "{text}"
        );
    }

    /// The terms are those of the crate's backward pass.
    #[test]
    fn without_a_mistake_it_is_the_gradient_of_the_crate() {
        let probe = probe(GAMMA);
        let terms = terms(&probe, 0);
        for c in 0..C {
            let column = |values: &[f64]| {
                values
                    .iter()
                    .skip(c)
                    .step_by(C)
                    .copied()
                    .collect::<Vec<_>>()
            };
            let stages = forward_channel(&column(&probe.x), GAMMA[c], 0.0, EPS);
            let dx = batchnorm::staged::backward_channel(&stages, GAMMA[c], &column(&probe.dy)).dx;
            for (n, wanted) in dx.iter().enumerate() {
                let found: f64 = terms[n * C + c].iter().sum();
                assert!(
                    (found - wanted).abs() <= 1e-12 * wanted.abs().max(1.0),
                    "{found} {wanted}"
                );
            }
        }
    }
}

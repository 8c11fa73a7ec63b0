//! Checks the exercise `lstm_backward`.

use crate::Report;
use crate::engine::{Axis, Case, Checker, Order, Part, field};
use crate::harness;
use gradcheck::Check;
use layernorm::staged;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::process::ExitCode;

const NAME: &str = "lstm_backward";
const EPS: f64 = 1e-5;

/// What the forward pass of one step has kept: H numbers each.
#[derive(Clone, Debug)]
pub struct Step {
    /// The input gate, after its sigmoid.
    pub i: Vec<f64>,
    /// The forget gate, after its sigmoid.
    pub f: Vec<f64>,
    /// The candidate, after its tanh.
    pub g: Vec<f64>,
    /// The output gate, after its sigmoid.
    pub o: Vec<f64>,
    /// The memory before the step.
    pub c: Vec<f64>,
    /// `tanh(LN(c'))`.
    pub tanh: Vec<f64>,
    norm: staged::Forward<f64>,
    gamma: Vec<f64>,
}

impl Step {
    /// The backward pass of the Layer Norm: from the gradient of `LN(c')` to that of what
    /// went in.
    #[must_use]
    pub fn norm_backward(&self, dy: &[f64]) -> Vec<f64> {
        staged::backward(&self.norm, &self.gamma, dy).dx
    }
}

/// The gradients of a step: H numbers each.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// Of the new memory `c'`.
    pub dc_next: Vec<f64>,
    /// Of the input gate, before its sigmoid.
    pub da_i: Vec<f64>,
    /// Of the forget gate, before its sigmoid.
    pub da_f: Vec<f64>,
    /// Of the candidate, before its tanh.
    pub da_g: Vec<f64>,
    /// Of the output gate, before its sigmoid.
    pub da_o: Vec<f64>,
    /// Of the memory before the step.
    pub dc: Vec<f64>,
}

/// `(dh, dc_later, step)` to the gradients.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &[f64], &Step) -> Gradients;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], &[f64], &Step) -> Gradients) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// The report on `candidate`, from random gates of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let all = "all gradients of the step are right, and finite differences confirm them";
    let run = |p: &Probe, answer: &mut Gradients| *answer = candidate(&p.dh, &p.dc_later, &p.step);
    part().report(NAME, all, &run, seed)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

/// A step, and what is given backward.
struct Probe {
    step: Step,
    dh: Vec<f64>,
    dc_later: Vec<f64>,
}

impl Case for Probe {
    fn title(&self) -> String {
        format!("a state of {} features", self.dh.len())
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("H", self.dh.len())]
    }
}

const FEATURES: &[Axis] = &[Axis("H", "feature")];

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The step with these gates before their nonlinearities, each of H numbers, and its
/// results `h'` and `c'`.
fn forward(gates: [&[f64]; 4], c: &[f64], gamma: &[f64]) -> (Step, Vec<f64>, Vec<f64>) {
    let [i, f, o] = [0, 1, 3].map(|k| -> Vec<f64> {
        let gate: &[f64] = gates[k];
        gate.iter().map(|a| sigmoid(*a)).collect()
    });
    let g: Vec<f64> = gates[2].iter().map(|a| a.tanh()).collect();
    let next: Vec<f64> = (0..c.len()).map(|j| f[j] * c[j] + i[j] * g[j]).collect();
    let norm = staged::forward(&next, gamma, &vec![0.0; c.len()], EPS);
    let tanh: Vec<f64> = norm.y.iter().map(|y| y.tanh()).collect();
    let h = o.iter().zip(&tanh).map(|(o, t)| o * t).collect();
    let step = Step {
        i,
        f,
        g,
        o,
        c: c.to_vec(),
        tanh,
        norm,
        gamma: gamma.to_vec(),
    };
    (step, h, next)
}

fn probes(seed: u64) -> Vec<Probe> {
    let rng = &mut StdRng::seed_from_u64(seed);
    [5, 8, 6]
        .map(|h| {
            let mut draw = |low: f64, high: f64| -> Vec<f64> {
                (0..h).map(|_| rng.random_range(low..high)).collect()
            };
            let gates: [Vec<f64>; 4] = std::array::from_fn(|_| draw(-1.5, 1.5));
            let (c, gamma) = (draw(-2.0, 2.0), draw(0.5, 2.0));
            let gates = gates.each_ref().map(|gate| &gate[..]);
            Probe {
                step: forward(gates, &c, &gamma).0,
                dh: draw(-1.0, 1.0),
                dc_later: draw(-1.0, 1.0),
            }
        })
        .into()
}

impl Probe {
    fn each(&self, f: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..self.dh.len()).map(f).collect()
    }

    /// The gradient of `LN(c')`, from this value for the output gate and this slope.
    fn shown(&self, o: &[f64], slope: fn(f64) -> f64) -> Vec<f64> {
        self.each(|j| self.dh[j] * o[j] * slope(self.step.tanh[j]))
    }

    /// What comes to `c'` from the state.
    fn through_norm(&self) -> Vec<f64> {
        let shown = self.shown(&self.step.o, tanh_slope);
        self.step.norm_backward(&shown)
    }

    /// The gradient of the new memory, complete, from these.
    fn next(&self, o: &[f64], slope: Slope) -> Vec<f64> {
        plus(
            &self.dc_later,
            &self.step.norm_backward(&self.shown(o, slope)),
        )
    }

    fn memory(&self) -> Vec<f64> {
        self.next(&self.step.o, tanh_slope)
    }

    /// What comes back to the product in which `way` has its gate: dh, or the gradient of the
    /// new memory.
    fn upstream(&self, way: &Way) -> Vec<f64> {
        if way.feeds_the_state() {
            self.dh.clone()
        } else {
            self.memory()
        }
    }

    /// The gradient at the end of `way`, from what comes back and what it is multiplied by.
    fn along(&self, way: &Way, upstream: &[f64], beside: &[f64]) -> Vec<f64> {
        self.sloped(way.own, way.slope, upstream, beside)
    }

    /// The same with the slope of any gate.
    fn sloped(&self, own: &str, slope: Slope, upstream: &[f64], beside: &[f64]) -> Vec<f64> {
        let own = self.value(own);
        self.each(|j| upstream[j] * beside[j] * slope(own[j]))
    }

    fn right(&self, way: &Way) -> Vec<f64> {
        self.along(way, &self.upstream(way), self.value(way.beside))
    }

    /// What the step has kept, by its letter.
    fn value(&self, letter: &str) -> &[f64] {
        let Step {
            i,
            f,
            g,
            o,
            c,
            tanh,
            ..
        } = &self.step;
        match letter {
            "i" => i,
            "f" => f,
            "g" => g,
            "o" => o,
            "c" => c,
            _ => tanh,
        }
    }
}

/// The letters of [`Probe::value`].
const VALUES: [&str; 6] = ["i", "f", "g", "o", "c", "tanh"];

fn plus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// A slope, from the value after the nonlinearity.
type Slope = fn(f64) -> f64;

fn sigmoid_slope(y: f64) -> f64 {
    y * (1.0 - y)
}

fn tanh_slope(y: f64) -> f64 {
    1.0 - y * y
}

fn one(_: f64) -> f64 {
    1.0
}

/// The way back to a gate, or to the memory before the step: through the product in which it
/// stands beside another value, and through its nonlinearity.
struct Way {
    target: &'static str,
    own: &'static str,
    beside: &'static str,
    slope: Slope,
}

impl Way {
    fn feeds_the_state(&self) -> bool {
        self.own == "o"
    }

    /// The equation of the product.
    fn product(&self) -> &'static str {
        if self.feeds_the_state() {
            "h' = o tanh(LN(c'))"
        } else {
            "c' = f c + i g"
        }
    }
}

const fn way([target, own, beside]: [&'static str; 3], slope: Slope) -> Way {
    Way {
        target,
        own,
        beside,
        slope,
    }
}

const I: &Way = &way(["da_i", "i", "g"], sigmoid_slope);
const F: &Way = &way(["da_f", "f", "c"], sigmoid_slope);
const G: &Way = &way(["da_g", "g", "i"], tanh_slope);
const O: &Way = &way(["da_o", "o", "tanh"], sigmoid_slope);
const C: &Way = &way(["dc", "c", "f"], one);

const STEP: &str = "sec:lstm";
const NORM: &str = "sec:ln-cell";

fn blank(_: &Probe) -> Gradients {
    Gradients {
        dc_next: vec![],
        da_i: vec![],
        da_f: vec![],
        da_g: vec![],
        da_o: vec![],
        dc: vec![],
    }
}

fn part() -> Part<Probe, Gradients> {
    const MEMORY: &str = "c' = f c + i g";
    let part = Part::new("backward", Order::Together, probes, blank)
        .target("dc_next", STEP, FEATURES, Probe::memory, field!(dc_next))
        .target("da_i", STEP, FEATURES, |p| p.right(I), field!(da_i))
        .contains("g", MEMORY, |p| p.step.g.clone())
        .target("da_f", STEP, FEATURES, |p| p.right(F), field!(da_f))
        .contains("c", MEMORY, |p| p.step.c.clone())
        .target("da_g", STEP, FEATURES, |p| p.right(G), field!(da_g))
        .contains("i", MEMORY, |p| p.step.i.clone())
        .target("da_o", STEP, FEATURES, |p| p.right(O), field!(da_o))
        .contains("tanh", O.product(), |p| p.step.tanh.clone())
        .target("dc", STEP, FEATURES, |p| p.right(C), field!(dc))
        .contains("f", MEMORY, |p| p.step.f.clone());
    let part = [I, F, G, O, C]
        .into_iter()
        .fold(of_memory(part), on_the_way);
    part.mistake_in(
        NORM,
        &["dc"],
        "through-the-norm",
        "the memory does not pass the Layer Norm from step to step, it is only shown through it: dc is dc_next times f",
        |p, _| p.along(C, &p.step.norm_backward(&p.memory()), &p.step.f),
    )
    .mistake_in(
        NORM,
        &["dc"],
        "through-the-norm",
        "the memory does not pass the Layer Norm from step to step, it is only shown through it: dc is dc_next times f",
        |p, _| p.step.norm_backward(&p.right(C)),
    )
    .numeric(against_differences)
}

/// The new memory.
fn of_memory(part: Part<Probe, Gradients>) -> Part<Probe, Gradients> {
    let mut part = part
        .mistake(
            &["dc_next"],
            "later-forgotten",
            "what the next step sends is missing: c' is used twice",
            |p, _| p.through_norm(),
        )
        .mistake(
            &["dc_next"],
            "state-forgotten",
            "what comes from the state h' is missing: c' is used twice",
            |p, _| p.dc_later.clone(),
        )
        .mistake_in(
            NORM,
            &["dc_next"],
            "norm-forgotten",
            "what comes from h' must go back through the Layer Norm",
            |p, _| plus(&p.dc_later, &p.shown(&p.step.o, tanh_slope)),
        )
        .mistake_in(
            NORM,
            &["dc_next"],
            "later-through-the-norm",
            "what the next step sends must not go through the Layer Norm: the next step used c' before it",
            |p, _| {
                let shown = p.shown(&p.step.o, tanh_slope);
                p.step.norm_backward(&plus(&p.dc_later, &shown))
            },
        )
        .mistake_in(
            NORM,
            &["dc_next"],
            "tanh-slope-after-the-norm",
            "the slope of the tanh comes after the Layer Norm, and must come before it: forward the tanh is applied last, so backward it is first",
            |p, _| {
                let through = p.step.norm_backward(&p.shown(&p.step.o, one));
                p.each(|j| p.dc_later[j] + through[j] * tanh_slope(p.step.tanh[j]))
            },
        )
        .mistake_in(
            NORM,
            &["dc_next"],
            "output-gate-after-the-norm",
            "the output gate comes after the Layer Norm, and must come before it: forward the gate is applied last, so backward it is first",
            |p, _| {
                let shown = p.each(|j| p.dh[j] * tanh_slope(p.step.tanh[j]));
                let through = p.step.norm_backward(&shown);
                p.each(|j| p.dc_later[j] + through[j] * p.step.o[j])
            },
        )
        .mistake(
            &["dc_next"],
            "tanh-slope-forgotten",
            "the slope of the tanh is missing, 1 minus its square",
            |p, _| p.next(&p.step.o, one),
        )
        .mistake(
            &["dc_next"],
            "sigmoid-slope",
            "it has the slope of a sigmoid, and the normalized memory goes through a tanh: 1 minus its square",
            |p, _| p.next(&p.step.o, sigmoid_slope),
        )
        .mistake(
            &["dc_next"],
            "output-gate-forgotten",
            "the output gate is missing: h' is o times the tanh",
            |p, _| p.next(&vec![1.0; p.dh.len()], tanh_slope),
        );
    for other in VALUES.into_iter().filter(|letter| *letter != "o") {
        let what = format!(
            "dh is multiplied by {other}, and must be by o: {}",
            O.product()
        );
        part = part.knows("dc_next", "other-factor", &what, STEP, move |p| {
            p.next(p.value(other), tanh_slope)
        });
    }
    part
}

/// What may be wrong on the way back to a gate, or to the memory before.
fn on_the_way(mut part: Part<Probe, Gradients>, way: &'static Way) -> Part<Probe, Gradients> {
    let Way {
        target,
        own,
        beside,
        ..
    } = *way;
    for other in VALUES.into_iter().filter(|letter| *letter != beside) {
        let what = format!(
            "it is multiplied by {other}, and must be by {beside}: {}",
            way.product()
        );
        part = part.knows(target, "other-factor", &what, STEP, move |p| {
            p.along(way, &p.upstream(way), p.value(other))
        });
    }
    /// What may be taken for what comes back.
    type Taken = (&'static str, &'static str, fn(&Probe) -> Vec<f64>);
    const INCOMPLETE: &str = "the gradient of the memory is not complete: add what comes from h' to what comes later, then pass it on";
    let taken: &[Taken] = if way.feeds_the_state() {
        &[(
            "memory-for-state",
            "it is made of the gradient of the memory: the output gate is used in h' only",
            Probe::memory,
        )]
    } else {
        &[
            ("memory-incomplete", INCOMPLETE, |p| p.dc_later.clone()),
            ("memory-incomplete", INCOMPLETE, Probe::through_norm),
            (
                "state-for-memory",
                "it is made of dh, and must be made of dc_next: it enters c' = f c + i g, and h' only by way of it",
                |p| p.dh.clone(),
            ),
        ]
    };
    for (id, what, upstream) in taken {
        part = part.knows(target, id, what, STEP, |p| {
            p.along(way, &upstream(p), p.value(beside))
        });
    }
    let (name, formula, other, slope): (_, _, _, Slope) = match own {
        // It passes no nonlinearity.
        "c" => return part,
        "g" => ("tanh", "1 - g²".to_owned(), "sigmoid", sigmoid_slope),
        _ => ("sigmoid", format!("{own} (1 - {own})"), "tanh", tanh_slope),
    };
    let missing = format!("the slope of the {name} is missing, {formula}");
    let wrong = format!("it has the slope of a {other}, and {own} is a {name}: {formula}");
    let mut slopes = vec![
        ("slope-forgotten".to_owned(), missing, own, one as Slope),
        (format!("{other}-slope"), wrong, own, slope),
    ];
    for gate in [I, F, G, O].into_iter().filter(|gate| gate.own != own) {
        let what = format!(
            "its slope is made of {}, and must be made of {own}: {formula}",
            gate.own
        );
        slopes.push(("other-slope".to_owned(), what, gate.own, gate.slope));
    }
    for (id, what, of, slope) in slopes {
        part = part.knows(target, &id, &what, STEP, move |p| {
            p.sloped(of, slope, &p.upstream(way), p.value(beside))
        });
    }
    part
}

/// Right, so finite differences are asked too, by the gates and the memory.
fn against_differences(run: &dyn Fn(&Probe, &mut Gradients), seed: u64) -> gradcheck::Report {
    let h = 5;
    let rng = &mut StdRng::seed_from_u64(seed + 1);
    let mut draw =
        |low: f64, high: f64| -> Vec<f64> { (0..h).map(|_| rng.random_range(low..high)).collect() };
    let gamma = draw(0.5, 2.0);
    let step = |v: &[Vec<f64>]| forward([&v[0], &v[1], &v[2], &v[3]], &v[4], &gamma);
    let mut check = Check::new("LSTM step with Layer Norm").seed(seed);
    for name in ["a_i", "a_f", "a_g", "a_o", "c"] {
        check = check.input(name, &[h], draw(-1.5, 1.5));
    }
    check.run(
        // h' and c' side by side, so that the upstream gradient is dh and dc_later.
        |v| {
            let (_, state, memory) = step(v);
            [state, memory].concat()
        },
        |v, dy| {
            let probe = Probe {
                step: step(v).0,
                dh: dy[..h].to_vec(),
                dc_later: dy[h..].to_vec(),
            };
            let mut found = blank(&probe);
            run(&probe, &mut found);
            vec![found.da_i, found.da_f, found.da_g, found.da_o, found.dc]
        },
    )
}

#[cfg(test)]
mod tests;

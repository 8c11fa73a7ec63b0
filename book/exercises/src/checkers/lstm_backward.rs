//! Checks the exercise `lstm_backward`.

use crate::Report;
use crate::compare::{compare_all, heatmap, unusable};
use crate::engine::Checker;
use crate::gradients;
use crate::harness;
use crate::known::Known;
use crate::mistake::{self, Mistake, find, listed};
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

impl Gradients {
    fn get(&self, name: &str) -> &[f64] {
        match name {
            "dc_next" => &self.dc_next,
            "da_i" => &self.da_i,
            "da_f" => &self.da_f,
            "da_g" => &self.da_g,
            "da_o" => &self.da_o,
            _ => &self.dc,
        }
    }
}

/// `(dh, dc_later, step)` to the gradients.
pub type Candidate<'a> = &'a dyn Fn(&[f64], &[f64], &Step) -> Gradients;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(&[f64], &[f64], &Step) -> Gradients) -> ExitCode {
    harness::run(NAME, || report(&candidate, 0))
}

/// A step, and what is given backward.
struct Probe {
    step: Step,
    dh: Vec<f64>,
    dc_later: Vec<f64>,
}

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

    /// The gradient of `LN(c')`.
    fn shown(&self) -> Vec<f64> {
        let Step { o, tanh, .. } = &self.step;
        self.each(|j| self.dh[j] * o[j] * (1.0 - tanh[j] * tanh[j]))
    }

    /// What comes to `c'` from the state.
    fn through_norm(&self) -> Vec<f64> {
        self.step.norm_backward(&self.shown())
    }

    /// That of the new memory, complete.
    fn memory(&self) -> Vec<f64> {
        plus(&self.dc_later, &self.through_norm())
    }
}

fn plus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// Of each gate that feeds the memory: its values, what it is multiplied by, and its slope.
fn gate<'a>(p: &'a Probe, name: &str) -> [&'a [f64]; 2] {
    let Step { i, f, g, c, .. } = &p.step;
    match name {
        "da_i" => [i, g],
        "da_f" => [f, c],
        _ => [g, i],
    }
}

/// The gradient of a gate from that of the memory.
fn gated(p: &Probe, name: &str, memory: &[f64], slope: fn(f64) -> f64) -> Vec<f64> {
    let [values, other] = gate(p, name);
    p.each(|j| memory[j] * other[j] * slope(values[j]))
}

fn sigmoid_slope(y: f64) -> f64 {
    y * (1.0 - y)
}

fn tanh_slope(y: f64) -> f64 {
    1.0 - y * y
}

fn one(_: f64) -> f64 {
    1.0
}

/// What the gradient of the memory becomes on its way to a gate, or to the memory before.
fn from_memory(p: &Probe, target: &str, memory: &[f64]) -> Vec<f64> {
    match target {
        "dc" => p.each(|j| memory[j] * p.step.f[j]),
        "da_g" => gated(p, target, memory, tanh_slope),
        _ => gated(p, target, memory, sigmoid_slope),
    }
}

const TARGETS: [&str; 6] = ["dc_next", "da_i", "da_f", "da_g", "da_o", "dc"];

fn right(p: &Probe, target: &str) -> Vec<f64> {
    let Step { o, tanh, .. } = &p.step;
    match target {
        "dc_next" => p.memory(),
        "da_o" => p.each(|j| p.dh[j] * tanh[j] * sigmoid_slope(o[j])),
        _ => from_memory(p, target, &p.memory()),
    }
}

const STEP: &str = "sec:lstm";
const NORM: &str = "sec:ln-cell";

const MISTAKES: &[Mistake<Probe>] = &[
    Mistake {
        targets: &["dc_next"],
        id: "later-forgotten",
        sentence: "what the next step sends is missing: c' is used twice",
        section: STEP,
        wrong: |p, _| Probe::through_norm(p),
    },
    Mistake {
        targets: &["dc_next"],
        id: "state-forgotten",
        sentence: "what comes from the state h' is missing: c' is used twice",
        section: STEP,
        wrong: |p, _| p.dc_later.clone(),
    },
    Mistake {
        targets: &["dc_next"],
        id: "norm-forgotten",
        sentence: "what comes from h' must go back through the Layer Norm",
        section: NORM,
        wrong: |p, _| plus(&p.dc_later, &p.shown()),
    },
    Mistake {
        targets: &["dc_next"],
        id: "later-through-the-norm",
        sentence: "what the next step sends must not go through the Layer Norm: the next step used c' before it",
        section: NORM,
        wrong: |p, _| p.step.norm_backward(&plus(&p.dc_later, &p.shown())),
    },
    Mistake {
        targets: &["dc_next"],
        id: "tanh-slope-forgotten",
        sentence: "the slope of the tanh is missing, 1 minus its square",
        section: STEP,
        wrong: |p, _| {
            let shown = p.each(|j| p.dh[j] * p.step.o[j]);
            plus(&p.dc_later, &p.step.norm_backward(&shown))
        },
    },
    Mistake {
        targets: &["dc_next"],
        id: "output-gate-forgotten",
        sentence: "the output gate is missing: h' is o times the tanh",
        section: STEP,
        wrong: |p, _| {
            let shown = p.each(|j| p.dh[j] * tanh_slope(p.step.tanh[j]));
            plus(&p.dc_later, &p.step.norm_backward(&shown))
        },
    },
    Mistake {
        targets: &["da_i", "da_f"],
        id: "slope-forgotten",
        sentence: "the slope of the sigmoid is missing",
        section: STEP,
        wrong: |p, target| gated(p, target, &p.memory(), one),
    },
    Mistake {
        targets: &["da_i"],
        id: "tanh-slope",
        sentence: "it has the slope of a tanh, and the gate is a sigmoid: i times 1 - i",
        section: STEP,
        wrong: |p, _| gated(p, "da_i", &p.memory(), tanh_slope),
    },
    Mistake {
        targets: &["da_i"],
        id: "other-factor",
        sentence: "the input gate stands beside the candidate g, so its gradient is dc' times g, and not times c",
        section: STEP,
        wrong: |p, _| {
            let memory = p.memory();
            p.each(|j| memory[j] * p.step.c[j] * sigmoid_slope(p.step.i[j]))
        },
    },
    Mistake {
        targets: &["da_f"],
        id: "tanh-slope",
        sentence: "it has the slope of a tanh, and the gate is a sigmoid: f times 1 - f",
        section: STEP,
        wrong: |p, _| gated(p, "da_f", &p.memory(), tanh_slope),
    },
    Mistake {
        targets: &["da_f"],
        id: "other-factor",
        sentence: "the forget gate stands beside the old memory c, so its gradient is dc' times c, and not times g",
        section: STEP,
        wrong: |p, _| {
            let memory = p.memory();
            p.each(|j| memory[j] * p.step.g[j] * sigmoid_slope(p.step.f[j]))
        },
    },
    Mistake {
        targets: &["da_g"],
        id: "slope-forgotten",
        sentence: "the slope of the tanh is missing",
        section: STEP,
        wrong: |p, _| gated(p, "da_g", &p.memory(), one),
    },
    Mistake {
        targets: &["da_g"],
        id: "sigmoid-slope",
        sentence: "it has the slope of a sigmoid, and the candidate is a tanh: 1 minus its square",
        section: STEP,
        wrong: |p, _| gated(p, "da_g", &p.memory(), sigmoid_slope),
    },
    Mistake {
        targets: &["da_o"],
        id: "slope-forgotten",
        sentence: "the slope of the sigmoid is missing",
        section: STEP,
        wrong: |p, _| p.each(|j| p.dh[j] * p.step.tanh[j]),
    },
    Mistake {
        targets: &["da_o"],
        id: "tanh-slope",
        sentence: "it has the slope of a tanh, and the gate is a sigmoid: o times 1 - o",
        section: STEP,
        wrong: |p, _| p.each(|j| p.dh[j] * p.step.tanh[j] * tanh_slope(p.step.o[j])),
    },
    Mistake {
        targets: &["da_o"],
        id: "memory-for-state",
        sentence: "it is made of the gradient of the memory: the output gate is used in h' only",
        section: STEP,
        wrong: |p, _| {
            let memory = p.memory();
            p.each(|j| memory[j] * p.step.tanh[j] * sigmoid_slope(p.step.o[j]))
        },
    },
    Mistake {
        targets: &["dc"],
        id: "forget-gate-forgotten",
        sentence: "the forget gate is missing: c' is f times c",
        section: STEP,
        wrong: |p, _| Probe::memory(p),
    },
    Mistake {
        targets: &["da_i", "da_f", "da_g", "dc"],
        id: "memory-incomplete",
        sentence: "the gradient of the memory is not complete: add what comes from h' to what comes later, then pass it on",
        section: STEP,
        wrong: |p, target| from_memory(p, target, &p.dc_later),
    },
    Mistake {
        targets: &["dc"],
        id: "input-gate",
        sentence: "it is multiplied by the input gate, and c stands beside the forget gate",
        section: STEP,
        wrong: |p, _| {
            let memory = p.memory();
            p.each(|j| memory[j] * p.step.i[j])
        },
    },
];

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    listed(NAME, MISTAKES)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`, from random gates of this seed.
#[must_use]
pub fn report(candidate: Candidate<'_>, seed: u64) -> Report {
    let probes = probes(seed);
    let found: Vec<Gradients> = probes
        .iter()
        .map(|p| candidate(&p.dh, &p.dc_later, &p.step))
        .collect();
    let (lines, first) = compare_all(&TARGETS, probes.len(), |name, k| {
        let title = format!("{name}, {} features", probes[k].dh.len());
        (title, right(&probes[k], name), found[k].get(name))
    });
    let Some((name, k, expected)) = first else {
        return confirmed(candidate, seed, lines);
    };
    let known = find(
        MISTAKES,
        name,
        probes.iter().zip(found.iter().map(|g| g.get(name))),
    );
    let values = found[k].get(name);
    let unusable = unusable(name, expected.len(), values, "[H]");
    let otherwise = format!("{name} is wrong");
    let mut report = mistake::report(NAME, name, known, unusable, otherwise);
    report.lines = lines;
    report.heatmap = heatmap(name, 1, expected.len(), &expected, values);
    report
}

/// All is right: so say finite differences too, by the gates and the memory.
fn confirmed(candidate: Candidate<'_>, seed: u64, lines: Vec<crate::Line>) -> Report {
    let h = 5;
    let rng = &mut StdRng::seed_from_u64(seed + 1);
    let mut draw =
        |low: f64, high: f64| -> Vec<f64> { (0..h).map(|_| rng.random_range(low..high)).collect() };
    let gamma = draw(0.5, 2.0);
    let run = |v: &[Vec<f64>]| forward([&v[0], &v[1], &v[2], &v[3]], &v[4], &gamma);
    let mut check = Check::new("LSTM step with Layer Norm").seed(seed);
    for name in ["a_i", "a_f", "a_g", "a_o", "c"] {
        check = check.input(name, &[h], draw(-1.5, 1.5));
    }
    let checked = check.run(
        // h' and c' side by side, so that the upstream gradient is dh and dc_later.
        |v| {
            let (_, state, memory) = run(v);
            [state, memory].concat()
        },
        |v, dy| {
            let found = candidate(&dy[..h], &dy[h..], &run(v).0);
            vec![found.da_i, found.da_f, found.da_g, found.da_o, found.dc]
        },
    );
    gradients::settled(
        NAME,
        lines,
        checked.passed(),
        "all gradients of the step are right, and finite differences confirm them",
        gradients::APART,
    )
}

#[cfg(test)]
mod tests;

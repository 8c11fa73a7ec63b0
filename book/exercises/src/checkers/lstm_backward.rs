//! Checks the exercise `lstm_backward`.

use crate::arrays::{Array, Draws};
use judge::{Axis, Differences, Formulas, Order, Part, case, exercise, of, slips};
use layernorm::staged;

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
#[derive(Clone, Debug, Default)]
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

exercise! {
    /// `(dh, dc_later, step)` to the gradients.
    check(backward: Fn(&[f64], &[f64], &Step) -> Gradients),
    right: "all gradients of the step are right, and finite differences confirm them",
    parts: [part() => |p, answer| {
        let (dh, dc_later) = p.upstream.split_at(p.features());
        *answer = backward(dh, dc_later, &p.forward().0);
    }],
}

/// A step, and what is given backward.
#[derive(Clone)]
struct Probe {
    /// Before their nonlinearities: input gate, forget gate, candidate and output gate.
    gates: [Vec<f64>; 4],
    c: Vec<f64>,
    gamma: Vec<f64>,
    /// Of `h'`, and what comes later, of `c'`.
    upstream: Vec<f64>,
}

case!(
    Probe,
    |p| format!("a state of {} features", p.features()),
    sizes: ["H": p.features()],
);

const FEATURES: &[Axis] = &[Axis("H", "feature")];

fn probes(seed: u64) -> Vec<Probe> {
    let draws = &mut Draws::new(seed);
    let probe = |h| Probe {
        gates: std::array::from_fn(|_| draws.numbers(h, -1.5..1.5)),
        c: draws.numbers(h, -2.0..2.0),
        gamma: draws.numbers(h, 0.5..2.0),
        upstream: draws.numbers(2 * h, -1.0..1.0),
    };
    [5, 8, 6].map(probe).into()
}

impl Probe {
    fn features(&self) -> usize {
        self.c.len()
    }

    /// The step, and its results `h'` and `c'`.
    fn forward(&self) -> (Step, Array, Array) {
        let [i, f, g, o] = self.gates.each_ref().map(Array::from);
        let [i, f, o] = [i, f, o].map(|a| a.map(|a| 1.0 / (1.0 + (-a).exp())));
        let g = g.map(f64::tanh);
        let next = &f * &self.c + &i * &g;
        let norm = staged::forward(
            &next.values(),
            &self.gamma,
            &vec![0.0; self.features()],
            EPS,
        );
        let tanh = Array::from(&norm.y).map(f64::tanh);
        let h = &o * &tanh;
        let [i, f, g, o, tanh] = [i, f, g, o, tanh].map(Vec::from);
        let step = Step {
            i,
            f,
            g,
            o,
            c: self.c.clone(),
            tanh,
            norm,
            gamma: self.gamma.clone(),
        };
        (step, h, next)
    }

    /// What the step has kept, by its letter.
    fn kept(&self, letter: &str) -> Vec<f64> {
        let step = self.forward().0;
        match letter {
            "i" => step.i,
            "f" => step.f,
            "g" => step.g,
            "o" => step.o,
            "c" => step.c,
            _ => step.tanh,
        }
    }

    fn value(&self, letter: &str) -> Array {
        Array::from(&self.kept(letter))
    }

    fn dh(&self) -> Array {
        Array::from(&self.upstream[..self.features()].to_vec())
    }

    fn dc_later(&self) -> Array {
        Array::from(&self.upstream[self.features()..].to_vec())
    }

    /// The slope of the tanh behind the norm, or what stands for it.
    fn slope(&self, slope: Slope) -> Array {
        self.value("tanh").map(slope)
    }

    fn norm_backward(&self, dy: Array) -> Array {
        Array::from(&self.forward().0.norm_backward(&dy.values()))
    }

    /// The gradient of `LN(c')`, with what stands for the output gate and for the slope.
    fn shown(&self, o: &str, slope: Slope) -> Array {
        self.dh() * self.value(o) * self.slope(slope)
    }

    /// What comes to `c'` from the state.
    fn through_norm(&self) -> Array {
        self.norm_backward(self.shown("o", TANH.slope))
    }

    /// The gradient of the new memory, complete, from these.
    fn next(&self, o: &str, slope: Slope) -> Array {
        self.norm_backward(self.shown(o, slope)) + self.dc_later()
    }

    fn memory(&self) -> Array {
        self.next("o", TANH.slope)
    }

    /// What comes back to the product in which `way` has its gate: dh, or the gradient of the
    /// new memory.
    fn upstream(&self, way: &Way) -> Array {
        if way.feeds_the_state() {
            self.dh()
        } else {
            self.memory()
        }
    }

    /// The gradient at the end of `way`, from what comes back and what it is multiplied by.
    fn along(&self, way: &Way, upstream: Array, beside: &str) -> Array {
        upstream * self.value(beside) * self.value(way.own).map(way.slope())
    }

    fn right(&self, way: &Way) -> Vec<f64> {
        self.along(way, self.upstream(way), way.beside).into()
    }
}

/// The letters of [`Probe::value`].
const VALUES: [&str; 6] = ["i", "f", "g", "o", "c", "tanh"];

/// A slope, from the value after the nonlinearity.
type Slope = fn(f64) -> f64;

struct Nonlinearity {
    name: &'static str,
    slope: Slope,
}

const SIGMOID: Nonlinearity = Nonlinearity {
    name: "sigmoid",
    slope: |y| y * (1.0 - y),
};
const TANH: Nonlinearity = Nonlinearity {
    name: "tanh",
    slope: |y| 1.0 - y * y,
};
const ONE: Slope = |_| 1.0;

/// The way back to a gate, or to the memory before the step: through the product in which it
/// stands beside another value, and through its nonlinearity, of which the memory has none.
struct Way {
    target: &'static str,
    own: &'static str,
    beside: &'static str,
    through: Option<&'static Nonlinearity>,
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
            MEMORY
        }
    }

    fn slope(&self) -> Slope {
        self.through.map_or(ONE, |through| through.slope)
    }
}

const fn way(
    [target, own, beside]: [&'static str; 3],
    through: Option<&'static Nonlinearity>,
) -> Way {
    Way {
        target,
        own,
        beside,
        through,
    }
}

const I: &Way = &way(["da_i", "i", "g"], Some(&SIGMOID));
const F: &Way = &way(["da_f", "f", "c"], Some(&SIGMOID));
const G: &Way = &way(["da_g", "g", "i"], Some(&TANH));
const O: &Way = &way(["da_o", "o", "tanh"], Some(&SIGMOID));
const C: &Way = &way(["dc", "c", "f"], None);

const MEMORY: &str = "c' = f c + i g";
const STEP: &str = "sec:lstm";
const NORM: &str = "sec:ln-cell";

fn part() -> Part<Probe, Gradients> {
    let part = Part::<_, Gradients>::new("backward", Order::Together, probes)
        .asks(of!(dc_next), STEP, FEATURES, Probe::memory)
        .asks(of!(da_i), STEP, FEATURES, |p| p.right(I))
        .contains("g", MEMORY, |p| p.kept("g"))
        .asks(of!(da_f), STEP, FEATURES, |p| p.right(F))
        .contains("c", MEMORY, |p| p.kept("c"))
        .asks(of!(da_g), STEP, FEATURES, |p| p.right(G))
        .contains("i", MEMORY, |p| p.kept("i"))
        .asks(of!(da_o), STEP, FEATURES, |p| p.right(O))
        .contains("tanh", O.product(), |p| p.kept("tanh"))
        .asks(of!(dc), STEP, FEATURES, |p| p.right(C))
        .contains("f", MEMORY, |p| p.kept("f"))
        .formulas(&["dc_next"], FORGOTTEN)
        .formulas_in(NORM, &["dc_next"], AROUND_THE_NORM)
        .formulas(&["dc_next"], SHOWN);
    let part = of_others(part, "dc_next", "dh", "o", O.product(), |p, other| {
        p.next(other, TANH.slope)
    });
    [I, F, G, O, C]
        .into_iter()
        .fold(part, on_the_way)
        .formulas_in(NORM, &["dc"], OF_DC)
        .differentiates(Differences {
            name: "LSTM step with Layer Norm",
            case: |seed| probes(seed + 1).swap_remove(0),
            inputs: vec![
                ("a_i", |p| &mut p.gates[0]),
                ("a_f", |p| &mut p.gates[1]),
                ("a_g", |p| &mut p.gates[2]),
                ("a_o", |p| &mut p.gates[3]),
                ("c", |p| &mut p.c),
            ],
            dy: |p| &mut p.upstream,
            // Side by side, as the upstream gradient is.
            y: |p| {
                let (_, h, c) = p.forward();
                [h, c].map(Vec::from).concat()
            },
        })
}

/// What may be in the place of a gradient.
type Table = Formulas<Probe, Array>;

const FORGOTTEN: Table = slips![
    "later-forgotten: what the next step sends is missing: c' is used twice" => Probe::through_norm,
    "state-forgotten: what comes from the state h' is missing: c' is used twice" => Probe::dc_later,
];

const AROUND_THE_NORM: Table = slips![
    "norm-forgotten: what comes from h' must go back through the Layer Norm" =>
        |p| p.shown("o", TANH.slope) + p.dc_later(),
    "later-through-the-norm: what the next step sends must not go through the Layer Norm: the next step used c' before it" =>
        |p| p.norm_backward(p.shown("o", TANH.slope) + p.dc_later()),
    "tanh-slope-after-the-norm: the slope of the tanh comes after the Layer Norm, and must come before it: forward the tanh is applied last, so backward it is first" =>
        |p| p.norm_backward(p.shown("o", ONE)) * p.slope(TANH.slope) + p.dc_later(),
    "output-gate-after-the-norm: the output gate comes after the Layer Norm, and must come before it: forward the gate is applied last, so backward it is first" =>
        |p| {
            let shown = p.dh() * p.slope(TANH.slope);
            p.norm_backward(shown) * p.value("o") + p.dc_later()
        },
];

const SHOWN: Table = slips![
    "tanh-slope-forgotten: the slope of the tanh is missing, 1 minus its square" =>
        |p| p.next("o", ONE),
    "sigmoid-slope: it has the slope of a sigmoid, and the normalized memory goes through a tanh: 1 minus its square" =>
        |p| p.next("o", SIGMOID.slope),
    "output-gate-forgotten: the output gate is missing: h' is o times the tanh" =>
        |p| p.norm_backward(p.dh() * p.slope(TANH.slope)) + p.dc_later(),
];

const THROUGH_THE_NORM: &str = "through-the-norm: the memory does not pass the Layer Norm from step to step, it is only shown through it: dc is dc_next times f";
const OF_DC: Table = slips![
    THROUGH_THE_NORM => |p| p.along(C, p.norm_backward(p.memory()), "f"),
    THROUGH_THE_NORM => |p| p.norm_backward(p.along(C, p.memory(), "f")),
];

/// What `subject` may be multiplied by in place of `right`.
fn of_others(
    part: Part<Probe, Gradients>,
    target: &'static str,
    subject: &str,
    right: &str,
    product: &str,
    with: impl Fn(&Probe, &str) -> Array + Copy + 'static,
) -> Part<Probe, Gradients> {
    let others = VALUES.into_iter().filter(|letter| *letter != right);
    others.fold(part, |part, other| {
        let what = format!("{subject} is multiplied by {other}, and must be by {right}");
        let text = format!("other-factor: {what}: {product}");
        part.wrong(target, STEP, &text, move |p| with(p, other).into())
    })
}

const OF_STATE: Table = slips![
    "memory-for-state: it is made of the gradient of the memory: the output gate is used in h' only" =>
        Probe::memory,
];
const INCOMPLETE: &str = "memory-incomplete: the gradient of the memory is not complete: add what comes from h' to what comes later, then pass it on";
const OF_MEMORY: Table = slips![
    INCOMPLETE => Probe::dc_later,
    INCOMPLETE => Probe::through_norm,
    "state-for-memory: it is made of dh, and must be made of dc_next: it enters c' = f c + i g, and h' only by way of it" =>
        Probe::dh,
];

/// What may be wrong on the way back to a gate, or to the memory before.
fn on_the_way(part: Part<Probe, Gradients>, way: &'static Way) -> Part<Probe, Gradients> {
    let Way {
        target,
        own,
        beside,
        ..
    } = *way;
    let part = of_others(part, target, "it", beside, way.product(), |p, other| {
        p.along(way, p.upstream(way), other)
    });
    let taken = if way.feeds_the_state() {
        OF_STATE
    } else {
        OF_MEMORY
    };
    let part = taken.iter().fold(part, |part, (text, taken)| {
        part.wrong(target, STEP, text, |p| {
            p.along(way, taken(p), beside).into()
        })
    });
    let Some(Nonlinearity { name, .. }) = way.through else {
        return part;
    };
    let (formula, other) = match own {
        "g" => ("1 - g²".to_owned(), &SIGMOID),
        _ => (format!("{own} (1 - {own})"), &TANH),
    };
    let other_slope = format!(
        "{0}-slope: it has the slope of a {0}, and {own} is a {name}: {formula}",
        other.name
    );
    let forgotten = format!("slope-forgotten: the slope of the {name} is missing, {formula}");
    let mut slopes = vec![(forgotten, own, ONE), (other_slope, own, other.slope)];
    for gate in [I, F, G, O].into_iter().filter(|gate| gate.own != own) {
        let what = format!(
            "its slope is made of {}, and must be made of {own}",
            gate.own
        );
        slopes.push((
            format!("other-slope: {what}: {formula}"),
            gate.own,
            gate.slope(),
        ));
    }
    slopes.into_iter().fold(part, |part, (text, of, slope)| {
        part.wrong(target, STEP, &text, move |p| {
            (p.upstream(way) * p.value(beside) * p.value(of).map(slope)).into()
        })
    })
}

#[cfg(test)]
mod tests;

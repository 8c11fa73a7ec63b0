//! Why a check accuses what is right, or lets through what is wrong: what it asked of the layers
//! tells.

use super::layer::{Inputs, Seen};
use super::tried::Tried;
use judge::claims::Gradients;
use judge::shared::short;

/// A reason, by which all of some layers may be explained.
pub(super) struct Cause {
    /// `its-name: what is said`, where the first blanks stand for how many layers, and of how many.
    pub(super) text: &'static str,
    pub(super) section: &'static str,
    /// Whether it holds of some layers, of which there is one at least.
    holds: fn(&[&Tried<'_>]) -> bool,
    /// What stands in the third blank.
    pub(super) value: fn(&[&Tried<'_>]) -> String,
}

impl Cause {
    pub(super) fn explains(&self, tried: &[&Tried<'_>]) -> bool {
        !tried.is_empty() && (self.holds)(tried)
    }
}

/// A difference of two values of a loss whose size is 1 has no digit left for a gradient check
/// below the first step, and is truncated too early above the second.
const STEPS: [f64; 2] = [1e-8, 5e-4];

/// Why right gradients are accused; the last always holds.
pub(super) const ACCUSED: &[Cause] = &[
    Cause {
        text: "not-moved: … of … right gradients are accused, although no input was moved: there is nothing that they were compared with",
        section: "sec:secant",
        holds: |tried| tried[0].seen.steps().is_empty(),
        value: |_| String::new(),
    },
    Cause {
        text: "step-too-small: … of … right gradients are accused: with a step of … the difference of two values is mostly what was rounded away in them",
        section: "sec:roundoff",
        holds: |tried| smallest(tried) <= STEPS[0],
        value: |tried| format!("{:.0e}", smallest(tried)),
    },
    Cause {
        text: "in-f32: … of … right gradients are accused: every input that was evaluated is a number of f32, whose roundings a quotient blows up; compute in f64",
        section: "sec:roundoff",
        holds: |tried| tried.iter().all(|t| t.seen.in_f32()),
        value: |_| String::new(),
    },
    Cause {
        text: "one-sided: … of … right gradients are accused: the inputs are moved to one side only, and the error of such a quotient falls with the step, not with its square",
        section: "sec:truncation",
        holds: |tried| tried[0].seen.one_sided(),
        value: |_| String::new(),
    },
    Cause {
        text: "step-too-large: … of … right gradients are accused: with a step of … the secant is not yet the tangent",
        section: "sec:truncation",
        holds: |tried| largest(tried) >= STEPS[1],
        value: |tried| format!("{:.0e}", largest(tried)),
    },
    Cause {
        text: "too-strict: … of … right gradients are accused: more is asked than a quotient with a step of … can know; mind elements that are nearly zero, of which no relative error is small",
        section: "sec:u-curve",
        holds: |_| true,
        value: |tried| format!("{:.0e}", smallest(tried)),
    },
];

/// Why wrong gradients survive; the last always holds.
pub(super) const SURVIVED: &[Cause] = &[
    Cause {
        text: "not-asked: … of … wrong gradients survive: the layer was not asked for its gradients, or not for its values at two points",
        section: "sec:secant",
        holds: |tried| (tried[0].seen).backward.is_empty() || tried[0].seen.steps().is_empty(),
        value: |_| String::new(),
    },
    Cause {
        text: "constant-upstream: … of … wrong gradients survive: dy is the same for all examples of a channel, and what the norm makes of a constant does not depend on x or gamma. The right dx and dgamma are zero, and so are all wrong ones that are a multiple of them, or of a term that is zero too",
        section: "sec:vacuous",
        holds: |tried| tried[0].all_of_backward(constant),
        value: |_| String::new(),
    },
    Cause {
        text: "upstream-of-y: … of … wrong gradients survive: your dy is one that the norm sends back as next to nothing, as it does with y itself, the dy of sum(y²)/2. Where the right dx vanishes, nothing can be told from it",
        section: "sec:vacuous",
        holds: |tried| any_dx(tried) && tried[0].dx_vanishes(),
        value: |_| String::new(),
    },
    Cause {
        text: "elements-left-out: … of … wrong gradients survive: … never moved, so that its gradient was compared with nothing",
        section: "sec:vjp",
        holds: |tried| unmoved(tried).is_some(),
        value: |tried| unmoved(tried).unwrap_or_default(),
    },
    Cause {
        text: "gamma-one: … of … wrong gradients survive: gamma is 1 everywhere, and nobody misses a factor of 1, or one too many",
        section: "sec:vacuous",
        holds: |tried| tried[0].all_of_gamma(|gamma| gamma == 1.0),
        value: |_| String::new(),
    },
    Cause {
        text: "nan-passes: … of … wrong gradients survive: they are not numbers, and a comparison with NaN is false. Ask whether the gradient is near enough, not whether it is too far away",
        section: "sec:derivatives-check",
        holds: |tried| every(tried, |id| id == "not-a-number"),
        value: |_| String::new(),
    },
    Cause {
        text: "eps-unseen: … of … wrong gradients survive: eps changes dx too little to be seen. Draw x from a smaller range, so that its variance comes nearer to eps, or be stricter",
        section: "sec:eps",
        holds: |tried| every(tried, |id| id.starts_with("eps")) && furthest(tried) <= UNSEEN,
        value: |_| String::new(),
    },
    Cause {
        text: "too-loose: … of … wrong gradients survive, up to one that is off by … of its largest element: the tolerance lets them through, and a central difference in f64 knows more digits than that",
        section: "sec:u-curve",
        holds: |tried| furthest(tried) <= LOOSE,
        value: |tried| format!("{} %", short(100.0 * furthest(tried))),
    },
    Cause {
        text: "not-compared: … of … wrong gradients survive, such as …, which no tolerance can excuse: not every element is compared with its own difference",
        section: "sec:vjp",
        holds: |_| true,
        value: |tried| {
            let off = |t: &&&Tried<'_>| t.error();
            let worst = tried.iter().max_by(|a, b| off(a).total_cmp(&off(b)));
            let worst = worst.and_then(|t| t.wrong());
            worst.map_or_else(String::new, |(target, id)| format!("{target}: {id}"))
        },
    },
];

/// Tolerances are not larger.
const LOOSE: f64 = 0.3;

/// What changes a gradient by less is best made larger.
const UNSEEN: f64 = 1e-5;

fn smallest(tried: &[&Tried<'_>]) -> f64 {
    let steps = tried.iter().flat_map(|t| t.seen.steps());
    steps.fold(f64::INFINITY, f64::min)
}

fn largest(tried: &[&Tried<'_>]) -> f64 {
    let steps = tried.iter().flat_map(|t| t.seen.steps());
    steps.fold(0.0, f64::max)
}

fn any_dx(tried: &[&Tried<'_>]) -> bool {
    tried.iter().any(|t| t.target() == "dx")
}

fn every(tried: &[&Tried<'_>], id: fn(&str) -> bool) -> bool {
    let mut wrong = tried.iter().filter_map(|t| t.wrong());
    wrong.all(|(_, name)| id(name))
}

/// Whether a table has the same value in all rows.
fn constant(table: &[f64], columns: usize) -> bool {
    let (first, rest) = table.split_at(columns.min(table.len()));
    let mut rows = rest.chunks(columns);
    rows.all(|row| row == first)
}

/// An input that was left where it was, of which a wrong gradient survived.
fn unmoved(tried: &[&Tried<'_>]) -> Option<String> {
    let names = [("dx", "x"), ("dgamma", "gamma"), ("dbeta", "beta")];
    let each = names.iter().enumerate();
    let mut found = each.filter_map(|(input, (target, name))| {
        let of_target = tried.iter().find(|t| t.target() == *target)?;
        let moved = of_target.seen.moved(input);
        let still = moved.iter().position(|moved| !moved)?;
        Some(match moved.iter().any(|moved| *moved) {
            true => format!("{name}[{still}] was"),
            false => format!("{name} was"),
        })
    });
    found.next()
}

/// How far the furthest is from what is right.
fn furthest(tried: &[&Tried<'_>]) -> f64 {
    tried.iter().map(|t| t.error()).fold(0.0, f64::max)
}

impl Tried<'_> {
    fn all_of_backward(&self, holds: impl Fn(&[f64], usize) -> bool) -> bool {
        let [_, c] = self.suite.shape;
        self.seen.backward.iter().all(|(_, dy)| holds(dy, c))
    }

    fn all_of_gamma(&self, holds: impl Fn(f64) -> bool) -> bool {
        let mut gammas = self.seen.backward.iter().flat_map(|(inputs, _)| &inputs[1]);
        gammas.all(|gamma| holds(*gamma))
    }

    /// Whether the right dx is next to nothing beside its terms.
    fn dx_vanishes(&self) -> bool {
        self.seen.backward.iter().all(|(inputs, dy)| {
            let probe = self.suite.probe(inputs, dy);
            let rstd = probe.rstd();
            let terms = dy.iter().zip(&rstd).map(|(dy, rstd)| dy * rstd);
            let gamma = size(inputs[1].iter().copied());
            size(probe.dx().into_iter()) < 0.02 * gamma * size(terms)
        })
    }

    /// How far the claim was from what is right, as a share of the largest element.
    fn error(&self) -> f64 {
        let at_one = |(inputs, dy): &(Inputs, Vec<f64>)| {
            let right = Gradients::right(&self.suite.probe(inputs, dy));
            let claimed = self.suite.claimed(self.claim, inputs, dy);
            let pairs = claimed.iter().zip(right.named());
            let errors = pairs.map(|(claimed, (_, right))| {
                let apart = claimed.iter().zip(right).map(|(a, b)| a - b);
                size(apart) / size(right.iter().copied())
            });
            errors.filter(|e| !e.is_nan()).fold(0.0, f64::max)
        };
        let errors = self.seen.backward.iter().map(at_one);
        errors.fold(0.0, f64::max)
    }
}

fn size(values: impl Iterator<Item = f64>) -> f64 {
    let sizes = values.map(|v| if v.is_nan() { f64::INFINITY } else { v.abs() });
    sizes.fold(0.0, f64::max)
}

fn apart(a: &Inputs, b: &Inputs) -> f64 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).sum()
}

impl Seen {
    /// How far each value of an input was moved, wherever it was evaluated: from the nearest of
    /// the points at which a gradient was asked for.
    fn moves(&self, input: usize) -> Vec<Vec<f64>> {
        let moves = |inputs: &Inputs| {
            let points = self.backward.iter().map(|(at, _)| at);
            let at = points.min_by(|a, b| apart(inputs, a).total_cmp(&apart(inputs, b)))?;
            let pairs = inputs[input].iter().zip(&at[input]);
            Some(pairs.map(|(to, from)| to - from).collect())
        };
        self.forward.iter().filter_map(moves).collect()
    }

    /// Which values of an input were moved.
    fn moved(&self, input: usize) -> Vec<bool> {
        let moves = self.moves(input);
        let count = self.backward.first().map_or(0, |(at, _)| at[input].len());
        (0..count)
            .map(|at| moves.iter().any(|step| step[at] != 0.0))
            .collect()
    }

    /// The distances by which inputs were moved.
    fn steps(&self) -> Vec<f64> {
        let all = (0..3).flat_map(|input| self.moves(input)).flatten();
        all.map(f64::abs).filter(|step| *step > 0.0).collect()
    }

    /// Whether nothing that was moved was moved to both sides.
    fn one_sided(&self) -> bool {
        (0..3).all(|input| {
            let moves = self.moves(input);
            let both = |at: usize| {
                let has = |sign: f64| moves.iter().any(|step| step[at] * sign > 0.0);
                has(1.0) && has(-1.0)
            };
            let count = moves.first().map_or(0, Vec::len);
            !(0..count).any(both)
        })
    }

    fn in_f32(&self) -> bool {
        let mut all = self.forward.iter().flatten().flatten();
        all.all(|value| f64::from(*value as f32) == *value)
    }
}

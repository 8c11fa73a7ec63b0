//! Checks the exercise `kept_bytes`: the counts against a tape that has recorded the
//! network.

use crate::compare::wrong_at;
use crate::engine::Checker;
use crate::harness;
use crate::known::{BLANK, Known, fill};
use crate::{Line, Outcome, Report};
use batchnorm::BatchNorm;
use layernorm::LayerNorm;
use std::fmt;
use std::process::ExitCode;
use tape::{Param, Tape, Tensor};

const NAME: &str = "kept_bytes";

/// What stands between a linear layer and its ReLU.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Norm {
    /// Nothing.
    None,
    /// Batch Norm in training.
    Batch,
    /// Layer Norm.
    Layer,
}

/// A network and its batch. All linear layers but the last have a norm and a ReLU behind
/// them.
#[derive(Clone, Debug)]
pub struct Network {
    /// Examples in the batch.
    pub rows: usize,
    /// Features of the input, of each hidden layer, and of the output.
    pub sizes: Vec<usize>,
    /// What stands before each ReLU.
    pub norm: Norm,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<String> = self.sizes.iter().map(ToString::to_string).collect();
        let norm = match self.norm {
            Norm::None => "no norm",
            Norm::Batch => "Batch Norm",
            Norm::Layer => "Layer Norm",
        };
        write!(f, "{}, {norm}, {} rows", sizes.join("-"), self.rows)
    }
}

/// Bytes of `f32` arrays that are kept, each array counted once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kept {
    /// Inputs of the linear layers; the results of the ReLUs are among them.
    pub activations: usize,
    /// Weights of the linear layers.
    pub weights: usize,
    /// What the norms keep, which nothing else does.
    pub norms: usize,
}

/// What the reader writes: from the rows of the batch, the sizes and the norm of a
/// [`Network`].
pub type Candidate<'a> = &'a dyn Fn(usize, &[usize], Norm) -> Kept;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(usize, &[usize], Norm) -> Kept) -> ExitCode {
    harness::run(NAME, || report(&candidate))
}

/// Records the network and asks the tape, op by op, what has been added.
fn measured(net: &Network) -> Kept {
    let ones = |shape: [usize; 2]| Tensor::<f32>::ones(shape);
    let mut kept = Kept {
        activations: 0,
        weights: 0,
        norms: 0,
    };
    let weights: Vec<Param<f32>> = net
        .sizes
        .windows(2)
        .map(|size| Param::new("weight", ones([size[0], size[1]])))
        .collect();
    let biases: Vec<Param<f32>> = net.sizes[1..]
        .iter()
        .map(|&size| Param::new("bias", Tensor::ones([size])))
        .collect();
    let hidden = &net.sizes[1..net.sizes.len() - 1];
    let mut batch: Vec<BatchNorm<f32>> = hidden.iter().map(|&c| BatchNorm::new(c)).collect();
    let layer: Vec<LayerNorm<f32>> = hidden.iter().map(|&d| LayerNorm::new([d])).collect();
    Tape::new().grad(|t| {
        let mut before = 0;
        let mut added = || {
            let now = t.saved_bytes();
            now - std::mem::replace(&mut before, now)
        };
        let mut x = t.constant(ones([net.rows, net.sizes[0]]));
        for (i, (weight, bias)) in weights.iter().zip(&biases).enumerate() {
            x = x.matmul(&t.param(weight)) + t.param(bias);
            // The first keeps the data. The input of the others is a ReLU's result.
            let of_linear = if i == 0 {
                &mut kept.activations
            } else {
                &mut kept.weights
            };
            *of_linear += added();
            if i < hidden.len() {
                x = match net.norm {
                    Norm::None => x,
                    Norm::Batch => batch[i].train(&x),
                    Norm::Layer => layer[i].forward(&x),
                };
                kept.norms += added();
                x = x.relu();
                kept.activations += added();
            }
        }
        (x.sum_all(), ())
    });
    kept
}

/// What is counted in a network, in numbers; not in bytes.
struct Counts {
    data: usize,
    /// Units of the hidden layers.
    units: usize,
    hidden: usize,
    rows: usize,
    outputs: usize,
    first: usize,
    behind: usize,
    norm: Norm,
}

impl Counts {
    fn of(net: &Network) -> Self {
        let hidden = &net.sizes[1..net.sizes.len() - 1];
        let products = net.sizes.windows(2).map(|pair| pair[0] * pair[1]);
        let first = net.sizes[0] * net.sizes[1];
        Counts {
            data: net.sizes[0],
            units: hidden.iter().sum(),
            hidden: hidden.len(),
            rows: net.rows,
            outputs: net.sizes[net.sizes.len() - 1],
            first,
            behind: products.sum::<usize>() - first,
            norm: net.norm,
        }
    }

    fn activations(&self) -> usize {
        self.rows * (self.data + self.units)
    }

    fn norms(&self) -> usize {
        match self.norm {
            Norm::None => 0,
            Norm::Batch => (self.rows + 1) * self.units,
            Norm::Layer => (self.rows + 1) * self.units + 2 * self.rows * self.hidden,
        }
    }

    /// `extra` more in a network with this norm, or with any.
    fn norms_with(&self, norm: Option<Norm>, extra: isize) -> usize {
        let counts = self.norm != Norm::None && norm.is_none_or(|norm| norm == self.norm);
        let extra = if counts { extra } else { 0 };
        self.norms().saturating_add_signed(extra)
    }
}

/// A wrong count.
type Count = fn(&Counts) -> usize;

/// Wrong counts of activations, and what to say.
const ACTIVATIONS: &[(&str, &str, Count)] = &[
    (
        "data-forgotten",
        "the batch itself is missing: the first linear layer keeps its input, for its weight",
        |n| n.rows * n.units,
    ),
    (
        "relu-twice",
        "the results of the ReLUs count twice; a ReLU keeps its result and the next linear layer \
         its input, and that is one array",
        |n| n.rows * (n.data + 2 * n.units),
    ),
    (
        "output-too",
        "the output of the last layer is counted; no op of the network needs it",
        |n| n.activations() + n.rows * n.outputs,
    ),
    (
        "first-layer-only",
        "only the batch itself is counted; each ReLU keeps its result",
        |n| n.rows * n.data,
    ),
];

/// Wrong counts of weights, and what to say.
const WEIGHTS: &[(&str, &str, Count)] = &[
    (
        "first-weight-too",
        "the first layer's weight is counted; it is needed for the gradient of the data, which \
         nobody asks for",
        |n| n.first + n.behind,
    ),
    (
        "biases-too",
        "the biases are counted; the slope of a sum is 1, and needs nothing",
        |n| n.behind + n.units + n.outputs,
    ),
    (
        "weights-forgotten",
        "a linear layer keeps its weight, for the gradient of its input",
        |_| 0,
    ),
];

/// Wrong counts for the norms, and what to say.
const NORMS: &[(&str, &str, Count)] = &[
    (
        "input-forgotten",
        "the input of the norm is missing; without it there is no x_hat, and without a norm nobody \
         would have kept it",
        |n| n.norms_with(None, -((n.rows * n.units) as isize)),
    ),
    (
        "x-hat-too",
        "one array as large as the input is too many; x_hat is computed again from x, and the \
         result of the norm is kept by nobody",
        |n| n.norms_with(None, (n.rows * n.units) as isize),
    ),
    (
        "gamma-forgotten",
        "gamma is missing; dx has it as a factor",
        |n| n.norms_with(None, -(n.units as isize)),
    ),
    (
        "beta-too",
        "beta is counted; no gradient depends on it",
        |n| n.norms_with(None, n.units as isize),
    ),
    (
        "row-statistics-forgotten",
        "mean and rstd of each row are missing with Layer Norm, two numbers a row",
        |n| n.norms_with(Some(Norm::Layer), -((2 * n.rows * n.hidden) as isize)),
    ),
    (
        "one-row-statistic",
        "Layer Norm keeps two numbers a row, mean and rstd; here it is one",
        |n| n.norms_with(Some(Norm::Layer), -((n.rows * n.hidden) as isize)),
    ),
    (
        "statistics-per-feature",
        "Layer Norm's mean and rstd are counted for each feature; they belong to rows",
        |n| {
            let (by_feature, by_row) = (2 * n.units, 2 * n.rows * n.hidden);
            let extra = by_feature as isize - by_row as isize;
            n.norms_with(Some(Norm::Layer), extra)
        },
    ),
    (
        "channel-statistics-too",
        "two numbers for each channel are too many with Batch Norm: running statistics are state \
         of the layer, and the batch's own are no tensors, so that the tape does not count them",
        |n| n.norms_with(Some(Norm::Batch), 2 * n.units as isize),
    ),
];

/// A part of what is kept.
struct Part {
    name: &'static str,
    of: fn(&Kept) -> usize,
    mistakes: &'static [(&'static str, &'static str, Count)],
}

const PARTS: [Part; 3] = [
    Part {
        name: "activations",
        of: |kept| kept.activations,
        mistakes: ACTIVATIONS,
    },
    Part {
        name: "weights",
        of: |kept| kept.weights,
        mistakes: WEIGHTS,
    },
    Part {
        name: "norms",
        of: |kept| kept.norms,
        mistakes: NORMS,
    },
];

/// Networks in which no two mistakes look alike.
fn networks() -> Vec<Network> {
    let with = |rows: usize, sizes: &[usize]| {
        [Norm::None, Norm::Batch, Norm::Layer].map(|norm| Network {
            rows,
            sizes: sizes.to_vec(),
            norm,
        })
    };
    let all = [
        with(20, &[784, 40, 24, 10]),
        with(5, &[64, 33, 10]),
        with(7, &[12, 9, 8, 11, 3]),
    ];
    all.into_iter().flatten().collect()
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`.
#[must_use]
pub fn report(candidate: Candidate<'_>) -> Report {
    let mut lines = Vec::new();
    for net in networks() {
        let (found, right) = (candidate(net.rows, &net.sizes, net.norm), measured(&net));
        lines.push(Line {
            name: net.to_string(),
            right: found == right,
            detail: if found == right {
                let total: usize = PARTS.iter().map(|part| (part.of)(&right)).sum();
                format!("{total} bytes, as the tape counts them")
            } else {
                "not what the tape counts".to_owned()
            },
        });
        let wrong = PARTS.iter().find(|p| (p.of)(&found) != (p.of)(&right));
        if let Some(part) = wrong {
            let (id, sentence) = mistake(&net, part, (part.of)(&found), (part.of)(&right));
            let mut report = wrong_at(NAME, &id, sentence, SECTION);
            report.lines = lines;
            return report;
        }
    }
    let headline = "every byte accounted for, in nine networks";
    let mut report = Report::new(NAME, Outcome::Passed, headline);
    report.lines = lines;
    report
}

/// What to say of a part that is wrong: which, of what network, its bytes, the right ones, and
/// why.
const SENTENCE: &str = "… of …: … bytes, and the tape counts …; …";
const SECTION: &str = "sec:cost-bytes";

const ELEMENTS: (&str, &str) = ("elements", "these are numbers; an f32 has 4 bytes");
const EIGHT_BYTES: (&str, &str) = ("eight-bytes", "an f32 has 4 bytes, not 8");
const UNKNOWN: (&str, &str) = ("unknown", "go through the ops one by one");

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let known = |part: &str, id, why: &str| {
        let sentence = fill(SENTENCE, &[&part, &BLANK, &BLANK, &BLANK, &why]);
        Known::new(NAME, id, sentence, SECTION)
    };
    let in_parts = PARTS.iter().flat_map(|part| {
        let of_part = |(id, why, _): &(&'static str, &str, Count)| known(part.name, id, why);
        part.mistakes.iter().map(of_part)
    });
    let units = [ELEMENTS, EIGHT_BYTES].map(|(id, why)| known(BLANK, id, why));
    in_parts.chain(units).collect()
}

/// What is wrong with a part, by name and in a sentence.
fn mistake(net: &Network, part: &Part, found: usize, right: usize) -> (String, String) {
    let counts = Counts::of(net);
    let tell = |(id, why): (&str, &str)| {
        let sentence = fill(SENTENCE, &[&part.name, &net, &found, &right, &why]);
        (id.to_owned(), sentence)
    };
    if let Some((id, why, _)) = part
        .mistakes
        .iter()
        .find(|(_, _, count)| 4 * count(&counts) == found)
    {
        return tell((id, why));
    }
    match found {
        _ if 4 * found == right => tell(ELEMENTS),
        _ if found == 2 * right => tell(EIGHT_BYTES),
        _ => tell(UNKNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::assert_listed;

    fn right(net: &Network) -> Kept {
        let counts = Counts::of(net);
        Kept {
            activations: 4 * counts.activations(),
            weights: 4 * counts.behind,
            norms: 4 * counts.norms(),
        }
    }

    /// The report on a candidate that takes a network as a whole.
    fn report_on(candidate: impl Fn(&Network) -> Kept) -> Report {
        report(&|rows, sizes, norm| {
            candidate(&Network {
                rows,
                sizes: sizes.to_vec(),
                norm,
            })
        })
    }

    #[test]
    fn what_the_tape_counts_passes() {
        let report = report_on(right);
        assert!(report.passed(), "{report}");
        assert_eq!(report.lines.len(), 9);
        assert!(report_on(measured).passed());
    }

    #[test]
    fn every_mistake_is_named() {
        for (which, part) in PARTS.iter().enumerate() {
            for (id, _, wrong) in part.mistakes {
                let candidate = |net: &Network| {
                    let mut kept = right(net);
                    let place = match which {
                        0 => &mut kept.activations,
                        1 => &mut kept.weights,
                        _ => &mut kept.norms,
                    };
                    *place = 4 * wrong(&Counts::of(net));
                    kept
                };
                let report = report_on(candidate);
                assert_eq!(report.outcome, Outcome::Wrong, "{id}");
                assert_eq!(report.mistake.as_deref(), Some(*id), "{report}");
                assert_listed(&report);
                assert!(report.lines.iter().any(|line| !line.right));
            }
        }
    }

    /// In no network is one mistake taken for another.
    #[test]
    fn no_two_mistakes_look_alike() {
        for net in networks() {
            let counts = Counts::of(&net);
            for part in &PARTS {
                let made: Vec<usize> = part.mistakes.iter().map(|(_, _, m)| m(&counts)).collect();
                let right = (part.of)(&right(&net)) / 4;
                for (i, a) in made.iter().enumerate().filter(|(_, a)| **a != right) {
                    assert!(made[i + 1..].iter().all(|b| a != b), "{net}, {}", part.name);
                }
            }
        }
    }

    #[test]
    fn units_and_unknown_mistakes_are_told() {
        let scaled = |by: fn(usize) -> usize| {
            move |net: &Network| {
                let kept = right(net);
                Kept {
                    activations: by(kept.activations),
                    ..kept
                }
            }
        };
        for (by, id) in [
            ((|n| n / 4) as fn(usize) -> usize, "elements"),
            (|n| 2 * n, "eight-bytes"),
            (|n| n + 4, "unknown"),
        ] {
            let report = report_on(scaled(by));
            assert_eq!(report.mistake.as_deref(), Some(id));
            if id != "unknown" {
                assert_listed(&report);
            }
        }
    }
}

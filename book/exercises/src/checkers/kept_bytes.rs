//! Checks the exercise `kept_bytes`: the counts against a tape that has recorded the
//! network.

use crate::Report;
use crate::engine::{Case, Checker, Order, Part, field};
use crate::harness;
use batchnorm::BatchNorm;
use layernorm::LayerNorm;
use std::fmt;
use std::process::ExitCode;
use std::sync::LazyLock;
use tape::{Param, Tape, Tensor};

const NAME: &str = "kept_bytes";
const SECTION: &str = "sec:cost-bytes";

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
        write!(f, "{} with {norm} and {} rows", sizes.join("-"), self.rows)
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

/// The report on `candidate`.
#[must_use]
pub fn report(candidate: Candidate<'_>) -> Report {
    let run = |m: &Measured, answer: &mut Bytes| {
        let net = &m.network;
        *answer = Bytes::of(candidate(net.rows, &net.sizes, net.norm));
    };
    part().report(NAME, "every byte accounted for, in nine networks", &run, 0)
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::of(part())
}

/// A network, and what a tape keeps of it.
#[derive(Clone)]
struct Measured {
    network: Network,
    kept: Kept,
}

/// [`Kept`], as numbers of any kind.
struct Bytes {
    activations: f64,
    weights: f64,
    norms: f64,
}

impl Bytes {
    fn of(kept: Kept) -> Self {
        Bytes {
            activations: kept.activations as f64,
            weights: kept.weights as f64,
            norms: kept.norms as f64,
        }
    }
}

impl Case for Measured {
    fn title(&self) -> String {
        self.network.to_string()
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        vec![("N", self.network.rows)]
    }
}

/// Networks in which no two mistakes look alike, each recorded once.
static MEASURED: LazyLock<Vec<Measured>> = LazyLock::new(|| {
    let sizes: [(usize, &[usize]); 3] = [
        (20, &[784, 40, 24, 10]),
        (5, &[64, 33, 10]),
        (7, &[12, 9, 8, 11, 3]),
    ];
    let with = |(rows, sizes): (usize, &[usize])| {
        [Norm::None, Norm::Batch, Norm::Layer].map(|norm| {
            let network = Network {
                rows,
                sizes: sizes.to_vec(),
                norm,
            };
            let kept = measured(&network);
            Measured { network, kept }
        })
    };
    sizes.into_iter().flat_map(with).collect()
});

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
    last: usize,
    first_units: usize,
    norm: Norm,
}

impl Counts {
    fn of(net: &Network) -> Self {
        let hidden = &net.sizes[1..net.sizes.len() - 1];
        let products = net.sizes.windows(2).map(|pair| pair[0] * pair[1]);
        let first = net.sizes[0] * net.sizes[1];
        let [.., inputs, outputs] = net.sizes[..] else {
            unreachable!("a network has a layer");
        };
        Counts {
            data: net.sizes[0],
            units: hidden.iter().sum(),
            hidden: hidden.len(),
            rows: net.rows,
            outputs,
            first,
            behind: products.sum::<usize>() - first,
            last: inputs * outputs,
            first_units: net.sizes[1],
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
            Norm::Layer => (self.rows + 1) * self.units + A_ROW * self.rows * self.hidden,
        }
    }

    /// `extra` more in a network with this norm, or with any.
    fn norms_with(&self, norm: Option<Norm>, extra: isize) -> usize {
        let counts = self.norm != Norm::None && norm.is_none_or(|norm| norm == self.norm);
        let extra = if counts { extra } else { 0 };
        self.norms().saturating_add_signed(extra)
    }
}

/// What Layer Norm keeps of a row: the mean in two pieces, and rstd.
const A_ROW: usize = 3;

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
        "relu-input-too",
        "without a norm, the input of each ReLU is counted; its slope is read off the result, and \
         nobody else keeps the input",
        |n| match n.norm {
            Norm::None => n.rows * (n.data + 2 * n.units),
            Norm::Batch | Norm::Layer => n.activations(),
        },
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
        "biases-too",
        "the biases of the layers behind the first are counted; the slope of a sum is 1, and \
         needs nothing",
        |n| n.behind + n.units + n.outputs - n.first_units,
    ),
    (
        "last-weight-forgotten",
        "the last layer's weight is missing; no norm and no ReLU follow it, and its input has a \
         gradient all the same",
        |n| n.behind - n.last,
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
        "input-without-norm",
        "without a norm, the input of each ReLU is counted, which is the norm's where there is one; \
         nobody keeps it then",
        |n| match n.norm {
            Norm::None => n.rows * n.units,
            Norm::Batch | Norm::Layer => n.norms(),
        },
    ),
    (
        "norm-behind-the-last",
        "a norm behind the last layer is counted; there is none",
        |n| {
            let more = ((n.rows + 1) * n.outputs) as isize;
            let with_rows = more + (A_ROW * n.rows) as isize;
            n.norms_with(Some(Norm::Batch), more) + n.norms_with(Some(Norm::Layer), with_rows)
                - n.norms()
        },
    ),
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
        "what Layer Norm keeps of each row is missing: the mean, in two pieces, and rstd",
        |n| n.norms_with(Some(Norm::Layer), -((A_ROW * n.rows * n.hidden) as isize)),
    ),
    (
        "row-statistics-once",
        "what Layer Norm keeps of each row is counted once; every hidden layer has a norm, which keeps its own",
        |n| {
            n.norms_with(
                Some(Norm::Layer),
                -((A_ROW * n.rows * (n.hidden - 1)) as isize),
            )
        },
    ),
    (
        "one-row-statistic",
        "Layer Norm keeps three numbers a row, the mean in two pieces and rstd; here it is one",
        |n| n.norms_with(Some(Norm::Layer), -((2 * n.rows * n.hidden) as isize)),
    ),
    (
        "two-row-statistics",
        "Layer Norm keeps three numbers a row, since the mean comes in two pieces; here it is two",
        |n| n.norms_with(Some(Norm::Layer), -((n.rows * n.hidden) as isize)),
    ),
    (
        "statistics-per-feature",
        "Layer Norm's mean and rstd are counted for each feature; they belong to rows",
        |n| {
            let (by_feature, by_row) = (2 * n.units, A_ROW * n.rows * n.hidden);
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

/// What any part may be taken for.
const UNITS: [(&str, &str, f64); 2] = [
    ("elements", "these are numbers; an f32 has 4 bytes", 0.25),
    ("eight-bytes", "an f32 has 4 bytes, not 8", 2.0),
];

fn part() -> Part<Measured, Bytes> {
    let blank = |_: &Measured| Bytes {
        activations: f64::NAN,
        weights: f64::NAN,
        norms: f64::NAN,
    };
    let part = Part::new("kept", Order::Together, |_| MEASURED.clone(), blank)
        .target(
            "activations",
            SECTION,
            &[],
            |m| vec![Bytes::of(m.kept).activations],
            field!(number activations),
        )
        .target(
            "weights",
            SECTION,
            &[],
            |m| vec![Bytes::of(m.kept).weights],
            field!(number weights),
        )
        .target(
            "norms",
            SECTION,
            &[],
            |m| vec![Bytes::of(m.kept).norms],
            field!(number norms),
        );
    let tables = [
        ("activations", ACTIVATIONS),
        ("weights", WEIGHTS),
        ("norms", NORMS),
    ];
    let counts = tables
        .into_iter()
        .flat_map(|(target, table)| table.iter().map(move |m| (target, m)));
    let part = counts.fold(part, |part, (target, (id, what, count))| {
        part.knows(target, id, what, SECTION, |m| {
            vec![4.0 * count(&Counts::of(&m.network)) as f64]
        })
    });
    let targets = tables
        .into_iter()
        .flat_map(|(target, _)| UNITS.map(|unit| (target, unit)));
    targets.fold(part, |part, (target, (id, what, share))| {
        part.knows(target, id, what, SECTION, move |m| {
            let bytes = Bytes::of(m.kept);
            let of_part = match target {
                "activations" => bytes.activations,
                "weights" => bytes.weights,
                _ => bytes.norms,
            };
            vec![share * of_part]
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

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
        assert_eq!(MEASURED.len(), 9);
        assert!(report_on(measured).passed());
    }

    /// A network that has a norm behind the last layer too, counted as a reader would.
    #[test]
    fn what_is_typed_wrong_is_named() {
        let last_too = |net: &Network| {
            let (mut kept, units) = (right(net), net.sizes[1..].iter().sum::<usize>());
            let layers = net.sizes.len() - 1;
            kept.norms = 4 * match net.norm {
                Norm::None => 0,
                Norm::Batch => (net.rows + 1) * units,
                Norm::Layer => (net.rows + 1) * units + A_ROW * net.rows * layers,
            };
            kept
        };
        let once = |net: &Network| {
            let mut kept = right(net);
            if net.norm == Norm::Layer {
                let units: usize = net.sizes[1..net.sizes.len() - 1].iter().sum();
                kept.norms = 4 * (net.rows * units + units + 3 * net.rows);
            }
            kept
        };
        let known = report_on(once);
        assert_eq!(
            known.mistake.as_deref(),
            Some("row-statistics-once"),
            "{known}"
        );
        let one_more = |net: &Network| {
            let kept = right(net);
            Kept {
                activations: kept.activations + 4,
                ..kept
            }
        };
        let known = report_on(last_too);
        assert_eq!(
            known.mistake.as_deref(),
            Some("norm-behind-the-last"),
            "{known}"
        );
        assert!(
            known.notes[0].contains("with Batch Norm and 20 rows, norms is "),
            "{known}"
        );
        let shifted = report_on(one_more);
        assert_eq!(shifted.outcome, Outcome::Wrong);
        assert_eq!(shifted.mistake.as_deref(), Some("shifted"), "{shifted}");
    }
}

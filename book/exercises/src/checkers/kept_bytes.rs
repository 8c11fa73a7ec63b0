//! Checks the exercise `kept_bytes`: the counts against a tape that has recorded the
//! network.

use batchnorm::BatchNorm;
use judge::{Found, Order, Part, Slip, case, exercise, found, slips};
use layernorm::LayerNorm;
use std::sync::LazyLock;
use tape::{Param, Tape, Tensor};

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
#[derive(Clone)]
struct Network {
    /// Examples in the batch.
    rows: usize,
    /// Features of the input, of each hidden layer, and of the output.
    sizes: Vec<usize>,
    /// What stands before each ReLU.
    norm: Norm,
}

/// Bytes of `f32` arrays that are kept, each array counted once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Kept {
    /// Inputs of the linear layers; the results of the ReLUs are among them.
    pub activations: usize,
    /// Weights of the linear layers.
    pub weights: usize,
    /// What the norms keep, which nothing else does.
    pub norms: usize,
}

exercise! {
    /// From the rows of a batch, the sizes of the layers and the norm to bytes.
    check(kept: Fn(usize, &[usize], Norm) -> Kept),
    right: "every byte accounted for, in nine networks",
    parts: [part() => |m, bytes| {
        let net = &m.network;
        *bytes = kept(net.rows, &net.sizes, net.norm).found();
    }],
}

impl Kept {
    fn found(self) -> Found {
        let mut found = Found::default();
        found.set("activations", [self.activations as f64]);
        found.set("weights", [self.weights as f64]);
        found.set("norms", [self.norms as f64]);
        found
    }
}

/// A network, and what a tape keeps of it.
#[derive(Clone)]
struct Measured {
    network: Network,
    kept: Found,
}

case!(
    Measured,
    |m| {
        let Network { rows, sizes, norm } = &m.network;
        let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        let norm = match norm {
            Norm::None => "no norm",
            Norm::Batch => "Batch Norm",
            Norm::Layer => "Layer Norm",
        };
        format!("{} with {norm} and {rows} rows", sizes.join("-"))
    },
    sizes: ["N": m.network.rows],
);

/// Networks in which no two mistakes look alike, each recorded once.
static MEASURED: LazyLock<Vec<Measured>> = LazyLock::new(|| {
    let sizes: [(usize, &[usize]); 3] = [
        (20, &[784, 40, 24, 10]),
        (5, &[64, 33, 10]),
        (7, &[12, 9, 8, 11, 3]),
    ];
    let with = |(rows, sizes): (usize, &[usize])| {
        [Norm::None, Norm::Batch, Norm::Layer].map(|norm| {
            let sizes = sizes.to_vec();
            let network = Network { rows, sizes, norm };
            let kept = measured(&network).found();
            Measured { network, kept }
        })
    };
    sizes.into_iter().flat_map(with).collect()
});

/// Records the network and asks the tape, op by op, what has been added.
fn measured(net: &Network) -> Kept {
    let ones = |shape: &[usize]| Tensor::<f32>::ones(shape);
    let mut kept = Kept::default();
    let params = |name: &str, axes: usize| -> Vec<Param<f32>> {
        let shapes = net.sizes.windows(2).map(|shape| &shape[2 - axes..]);
        shapes.map(|shape| Param::new(name, ones(shape))).collect()
    };
    let (weights, biases) = (params("weight", 2), params("bias", 1));
    let hidden = &net.sizes[1..net.sizes.len() - 1];
    let mut batch: Vec<BatchNorm<f32>> = hidden.iter().map(|&c| BatchNorm::new(c)).collect();
    let layer: Vec<LayerNorm<f32>> = hidden.iter().map(|&d| LayerNorm::new([d])).collect();
    Tape::new().grad(|t| {
        let mut before = 0;
        let mut added = || {
            let now = t.saved_bytes();
            now - std::mem::replace(&mut before, now)
        };
        let mut x = t.constant(ones(&[net.rows, net.sizes[0]]));
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
        x.sum_all()
    });
    kept
}

/// What is counted in a network, in numbers; not in bytes.
struct Counts {
    rows: f64,
    data: f64,
    /// Units of the hidden layers, and of the first of them.
    units: f64,
    first_units: f64,
    hidden: f64,
    outputs: f64,
    /// Weights of the first layer and of the last.
    first: f64,
    last: f64,
    /// Weights of all layers behind the first.
    behind: f64,
}

impl Counts {
    fn of(net: &Network) -> Self {
        let sizes: Vec<f64> = net.sizes.iter().map(|size| *size as f64).collect();
        let [data, hidden @ .., outputs] = &*sizes else {
            unreachable!("a network has a layer");
        };
        let weights: Vec<f64> = sizes.windows(2).map(|pair| pair[0] * pair[1]).collect();
        Counts {
            rows: net.rows as f64,
            data: *data,
            units: hidden.iter().sum(),
            first_units: hidden[0],
            hidden: hidden.len() as f64,
            outputs: *outputs,
            first: weights[0],
            last: weights[weights.len() - 1],
            behind: weights[1..].iter().sum(),
        }
    }
}

/// What Layer Norm keeps of a row: the mean in two pieces, and rstd.
const A_ROW: f64 = 3.0;

/// How much more is counted than there is: without a norm, with Batch Norm, with Layer Norm.
type More = fn(&Counts) -> [f64; 3];

const ACTIVATIONS: &[Slip<More>] = slips![
    "data-forgotten: the batch itself is missing: the first linear layer keeps its input, for its weight" =>
        |n| [-n.rows * n.data; 3],
    "relu-twice: the results of the ReLUs count twice; a ReLU keeps its result and the next linear layer its input, and that is one array" =>
        |n| [n.rows * n.units; 3],
    "relu-input-too: without a norm, the input of each ReLU is counted; its slope is read off the result, and nobody else keeps the input" =>
        |n| [n.rows * n.units, 0.0, 0.0],
    "output-too: the output of the last layer is counted; no op of the network needs it" =>
        |n| [n.rows * n.outputs; 3],
    "first-layer-only: only the batch itself is counted; each ReLU keeps its result" =>
        |n| [-n.rows * n.units; 3],
];

const WEIGHTS: &[Slip<More>] = slips![
    "first-weight-too: the first layer's weight is counted; it is needed for the gradient of the data, which nobody asks for" =>
        |n| [n.first; 3],
    "biases-too: the biases are counted; the slope of a sum is 1, and needs nothing" =>
        |n| [n.units + n.outputs; 3],
    "biases-too: the biases of the layers behind the first are counted; the slope of a sum is 1, and needs nothing" =>
        |n| [n.units + n.outputs - n.first_units; 3],
    "last-weight-forgotten: the last layer's weight is missing; no norm and no ReLU follow it, and its input has a gradient all the same" =>
        |n| [-n.last; 3],
    "weights-forgotten: a linear layer keeps its weight, for the gradient of its input" =>
        |n| [-n.behind; 3],
];

const NORMS: &[Slip<More>] = slips![
    "input-without-norm: without a norm, the input of each ReLU is counted, which is the norm's where there is one; nobody keeps it then" =>
        |n| [n.rows * n.units, 0.0, 0.0],
    "norm-behind-the-last: a norm behind the last layer is counted; there is none" =>
        |n| {
            let more = (n.rows + 1.0) * n.outputs;
            [0.0, more, more + A_ROW * n.rows]
        },
    "input-forgotten: the input of the norm is missing; without it there is no x_hat, and without a norm nobody would have kept it" =>
        |n| with_a_norm(-n.rows * n.units),
    "x-hat-too: one array as large as the input is too many; x_hat is computed again from x, and the result of the norm is kept by nobody" =>
        |n| with_a_norm(n.rows * n.units),
    "gamma-forgotten: gamma is missing; dx has it as a factor" => |n| with_a_norm(-n.units),
    "beta-too: beta is counted; no gradient depends on it" => |n| with_a_norm(n.units),
    "row-statistics-forgotten: what Layer Norm keeps of each row is missing: the mean, in two pieces, and rstd" =>
        |n| [0.0, 0.0, -A_ROW * n.rows * n.hidden],
    "row-statistics-once: what Layer Norm keeps of each row is counted once; every hidden layer has a norm, which keeps its own" =>
        |n| [0.0, 0.0, -A_ROW * n.rows * (n.hidden - 1.0)],
    "one-row-statistic: Layer Norm keeps three numbers a row, the mean in two pieces and rstd; here it is one" =>
        |n| [0.0, 0.0, -2.0 * n.rows * n.hidden],
    "two-row-statistics: Layer Norm keeps three numbers a row, since the mean comes in two pieces; here it is two" =>
        |n| [0.0, 0.0, -n.rows * n.hidden],
    "statistics-per-feature: Layer Norm's mean and rstd are counted for each feature; they belong to rows" =>
        |n| [0.0, 0.0, 2.0 * n.units - A_ROW * n.rows * n.hidden],
    "channel-statistics-too: two numbers for each channel are too many with Batch Norm: running statistics are state of the layer, and the batch's own are no tensors, so that the tape does not count them" =>
        |n| [0.0, 2.0 * n.units, 0.0],
];

fn with_a_norm(more: f64) -> [f64; 3] {
    [0.0, more, more]
}

/// What any part may be taken for, as a share of it.
const UNITS: &[Slip<f64>] = slips![
    "elements: these are numbers; an f32 has 4 bytes" => 0.25,
    "eight-bytes: an f32 has 4 bytes, not 8" => 2.0,
];

fn part() -> Part<Measured, Found> {
    const SECTION: &str = "sec:cost-bytes";
    let more = |m: &Measured, target: &str, more: &More| {
        let elements = more(&Counts::of(&m.network))[m.network.norm as usize];
        vec![m.kept.get(target)[0] + 4.0 * elements]
    };
    let share = |m: &Measured, target: &str, share: &f64| vec![share * m.kept.get(target)[0]];
    Part::new("kept", Order::Together, |_| MEASURED.clone())
        .asks(found!("activations"), SECTION, &[], |m| {
            m.kept.get("activations")
        })
        .variants(&["activations"], ACTIVATIONS, more)
        .asks(found!("weights"), SECTION, &[], |m| m.kept.get("weights"))
        .variants(&["weights"], WEIGHTS, more)
        .asks(found!("norms"), SECTION, &[], |m| m.kept.get("norms"))
        .variants(&["norms"], NORMS, more)
        .variants(&["activations", "weights", "norms"], UNITS, share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use judge::testing::{named, passes};
    use verdict::Report;

    /// The counts of the chapter.
    fn right(net: &Network) -> Kept {
        let n = Counts::of(net);
        let norms = match net.norm {
            Norm::None => 0.0,
            Norm::Batch => (n.rows + 1.0) * n.units,
            Norm::Layer => (n.rows + 1.0) * n.units + A_ROW * n.rows * n.hidden,
        };
        let bytes = |elements: f64| 4 * elements as usize;
        Kept {
            activations: bytes(n.rows * (n.data + n.units)),
            weights: bytes(n.behind),
            norms: bytes(norms),
        }
    }

    type Typed = fn(&Network) -> Kept;

    /// The report on a candidate that takes a network as a whole.
    fn report_on(candidate: Typed, seed: u64) -> Report {
        let kept = |rows, sizes: &[usize], norm| {
            let sizes = sizes.to_vec();
            candidate(&Network { rows, sizes, norm })
        };
        report(&kept, seed)
    }

    #[test]
    fn what_the_tape_counts_passes() {
        assert_eq!(MEASURED.len(), 9);
        passes(3, |seed| report_on(right, seed));
        passes(3, |seed| report_on(measured, seed));
    }

    #[test]
    fn what_is_typed_wrong_is_named() {
        let typed: [(&str, Typed); 3] = [
            ("norms: row-statistics-once", |net| {
                let mut kept = right(net);
                if net.norm == Norm::Layer {
                    let units: usize = net.sizes[1..net.sizes.len() - 1].iter().sum();
                    kept.norms = 4 * (net.rows * units + units + 3 * net.rows);
                }
                kept
            }),
            // A network that has a norm behind the last layer too, counted as a reader would.
            ("norms: norm-behind-the-last", |net| {
                let (mut kept, units) = (right(net), net.sizes[1..].iter().sum::<usize>());
                kept.norms = 4 * match net.norm {
                    Norm::None => 0,
                    Norm::Batch => (net.rows + 1) * units,
                    Norm::Layer => (net.rows + 1) * units + 3 * net.rows * (net.sizes.len() - 1),
                };
                kept
            }),
            ("activations: shifted", |net| {
                let mut kept = right(net);
                kept.activations += 4;
                kept
            }),
        ];
        named(&typed, report_on);
        let last_too = report_on(typed[1].1, 0);
        let place = "with Batch Norm and 20 rows, norms is ";
        assert!(last_too.notes[0].contains(place), "{last_too}");
    }
}

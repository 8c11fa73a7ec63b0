//! What a stack of layers does to the size of a signal, and to that of a gradient on its way back.

use crate::draw::{Place, Scale, Sheet};
use crate::figure::{Control, Figure, Form, Group, Shown, Values};
use crate::words::{fixed, power_of_ten, scientific};
use batchnorm::Layout;
use std::sync::LazyLock;

const EXAMPLES: usize = 32;
const WIDTH: usize = 24;
const DEEPEST: usize = 24;
const EPS: f64 = 1e-5;
/// The powers of ten that are drawn; what is beyond is drawn at the end.
const SIZES: [f64; 2] = [-6.0, 6.0];

/// The entry in the list of figures.
pub const FIGURE: Figure = Figure {
    name: "depth",
    title: "The size of the signal in front of each block of a network, and of the gradient \
            there, on logarithmic axes, without a norm, with Batch Norm and with Layer Norm",
    groups: &[
        Group {
            legend: "Network",
            controls: &[
                Control::slider("gain", "gain", [-1.0, 1.0], 0.05, -0.25),
                Control::slider("depth", "blocks", [2.0, DEEPEST as f64], 1.0, 12.0),
            ],
        },
        Group {
            legend: "In front of each ReLU",
            controls: &[Control::choice(
                "norm",
                "In front of each ReLU",
                &["no norm", "Batch Norm", "Layer Norm"],
                0,
            )],
        },
        Group {
            legend: "Around each block",
            controls: &[Control::switch("residual", "a residual connection", false)],
        },
    ],
    show,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Norm {
    None,
    Batch,
    Layer,
}

/// The norms, what they are called, and their colours.
const NORMS: [(Norm, &str, &str); 3] = [
    (Norm::None, "no norm", "--fig-none"),
    (Norm::Batch, "Batch Norm", "--fig-batch"),
    (Norm::Layer, "Layer Norm", "--fig-layer"),
];

/// Numbers that are nearly normal, with variance 1: sums of four even draws.
struct Draws(u64);

impl Draws {
    fn even(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64 - 0.5
    }

    fn take(&mut self, count: usize) -> Vec<f64> {
        let mut next = || 3.0_f64.sqrt() * (0..4).map(|_| self.even()).sum::<f64>();
        (0..count).map(|_| next()).collect()
    }
}

/// What goes into the first block, the gradient that comes to the last, and the matrices of all
/// blocks, before they have their sizes. They are drawn once: while a slider moves, a network is
/// asked for as often as the page is drawn.
static DRAWN: LazyLock<[Vec<f64>; 3]> = LazyLock::new(|| {
    let mut draws = Draws(5);
    let batch = EXAMPLES * WIDTH;
    [batch, batch, DEEPEST * WIDTH * WIDTH].map(|count| draws.take(count))
});

/// A network, but for its norm.
#[derive(Clone, Copy)]
struct Network {
    gain: f64,
    depth: usize,
    residual: bool,
}

impl Network {
    /// The matrices of its blocks, which are all of one size.
    fn weights(&self) -> impl Iterator<Item = &'static [[f64; WIDTH]]> {
        let rows = DRAWN[2].as_chunks::<WIDTH>().0;
        rows.chunks_exact(WIDTH).take(self.depth)
    }

    fn size(&self) -> f64 {
        self.gain / (WIDTH as f64).sqrt()
    }
}

/// Every row of `x` times a matrix; rows are added up in one order everywhere, which a kernel for
/// matrix products would not promise. Half of what a ReLU lets through is 0, and adds nothing.
fn times(x: &[f64], matrix: &[[f64; WIDTH]], size: f64) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    let x = x.as_chunks::<WIDTH>().0;
    for (row, out) in x.iter().zip(out.as_chunks_mut::<WIDTH>().0) {
        for (&x, weights) in row.iter().zip(matrix) {
            if x == 0.0 {
                continue;
            }
            // Four at a time: a compiler that saves bytes does not unroll.
            let x = size * x;
            let weights = weights.as_chunks::<4>().0;
            for ([a, b, c, d], weights) in out.as_chunks_mut::<4>().0.iter_mut().zip(weights) {
                *a += x * weights[0];
                *b += x * weights[1];
                *c += x * weights[2];
                *d += x * weights[3];
            }
        }
    }
    out
}

/// Every row of `dy` times the turned matrix, where a ReLU let something through; 0 elsewhere.
fn back(dy: &[f64], matrix: &[[f64; WIDTH]], size: f64, normed: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; dy.len()];
    let [dy, normed] = [dy, normed].map(|all| all.as_chunks::<WIDTH>().0);
    let rows = dy.iter().zip(normed);
    for ((dy, normed), out) in rows.zip(out.as_chunks_mut::<WIDTH>().0) {
        for ((out, &normed), weights) in out.iter_mut().zip(normed).zip(matrix) {
            if normed <= 0.0 {
                continue;
            }
            let mut sums = [0.0; 4];
            let pairs = dy.as_chunks::<4>().0.iter().zip(weights.as_chunks::<4>().0);
            for (dy, weights) in pairs {
                sums[0] += dy[0] * weights[0];
                sums[1] += dy[1] * weights[1];
                sums[2] += dy[2] * weights[2];
                sums[3] += dy[3] * weights[3];
            }
            *out = size * ((sums[0] + sums[1]) + (sums[2] + sums[3]));
        }
    }
    out
}

fn rms(x: &[f64]) -> f64 {
    (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt()
}

/// A norm that has run forward, ready to run backward.
enum Normed {
    None,
    Batch(Vec<batchnorm::staged::Forward<f64>>),
    Layer(layernorm::staged::Forward<f64>),
}

impl Normed {
    fn forward(norm: Norm, x: &[f64]) -> (Vec<f64>, Self) {
        let [one, zero] = [[1.0; WIDTH], [0.0; WIDTH]];
        match norm {
            Norm::None => (x.to_vec(), Self::None),
            Norm::Batch => {
                let layout = Layout::of(&[EXAMPLES, WIDTH]);
                let (y, stages) = batchnorm::staged::forward(&layout, x, &one, &zero, EPS);
                (y, Self::Batch(stages))
            }
            Norm::Layer => {
                let stages = layernorm::staged::forward(x, &one, &zero, EPS);
                (stages.y.clone(), Self::Layer(stages))
            }
        }
    }

    fn backward(&self, dy: Vec<f64>) -> Vec<f64> {
        let one = [1.0; WIDTH];
        match self {
            Self::None => dy,
            Self::Batch(stages) => {
                let layout = Layout::of(&[EXAMPLES, WIDTH]);
                batchnorm::staged::backward(&layout, stages, &one, &dy).0
            }
            Self::Layer(stages) => layernorm::staged::backward(stages, &one, &dy).dx,
        }
    }
}

/// Root mean squares in front of each block and behind the last.
struct Sizes {
    /// Where that in front of the first block is 1.
    signal: Vec<f64>,
    /// Of the gradient with respect to the same values, where that behind the last block is 1.
    gradient: Vec<f64>,
}

/// A block is `[h +] relu(norm(h)) W`.
fn run(norm: Norm, network: Network) -> Sizes {
    let around = |block: Vec<f64>, past: &[f64]| {
        if network.residual {
            sum(past, &block)
        } else {
            block
        }
    };
    let [signal, gradient, _] = &*DRAWN;
    // As large as what a block puts out, or the first block would differ from the others.
    let first = network.gain / 2.0_f64.sqrt();
    let mut h: Vec<f64> = signal.iter().map(|one| first * one).collect();
    let start = rms(&h);
    let mut signal = vec![1.0];
    let mut blocks = Vec::new();
    for weights in network.weights() {
        let (normed, record) = Normed::forward(norm, &h);
        let rectified = |x: &f64| if *x > 0.0 { *x } else { 0.0 };
        let rectified: Vec<f64> = normed.iter().map(rectified).collect();
        h = around(times(&rectified, weights, network.size()), &h);
        signal.push(rms(&h) / start);
        blocks.push((record, normed, weights));
    }
    let mut d = gradient.clone();
    let end = rms(&d);
    let mut gradient = vec![1.0];
    for (record, normed, weights) in blocks.iter().rev() {
        let dy = back(&d, weights, network.size(), normed);
        d = around(record.backward(dy), &d);
        gradient.push(rms(&d) / end);
    }
    gradient.reverse();
    Sizes { signal, gradient }
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

struct Found {
    gain: f64,
    depth: usize,
    norm: usize,
    residual: bool,
    all: [Sizes; 3],
}

impl Found {
    fn new(values: &Values) -> Self {
        let gain = libm::pow(10.0, values.number("gain"));
        let depth = values.number("depth") as usize;
        let residual = values.on("residual");
        let network = Network {
            gain,
            depth,
            residual,
        };
        Self {
            gain,
            depth,
            norm: values.chosen("norm"),
            residual,
            all: NORMS.map(|(norm, ..)| run(norm, network)),
        }
    }

    /// The factor by which the gradient of the chosen norm changes from each block to the one
    /// before it, on average.
    fn growth(&self) -> f64 {
        let gradient = &self.all[self.norm].gradient;
        let steps = self.depth as f64;
        libm::pow(gradient[0], 1.0 / steps)
    }

    fn text(&self) -> String {
        let (_, name, _) = NORMS[self.norm];
        let sizes = &self.all[self.norm];
        let form = if self.residual {
            "residual blocks"
        } else {
            "blocks"
        };
        format!(
            "{} {form}, {name}, gain {}: from front to back, the signal changes by a factor of {}. \
             The gradient changes by a factor of {} on its way to the front, which is {} for each \
             block.",
            self.depth,
            fixed(self.gain, 2),
            size(sizes.signal[self.depth]),
            size(sizes.gradient[0]),
            fixed(self.growth(), 2),
        )
    }
}

/// A size in two digits.
fn size(value: f64) -> String {
    match value {
        value if (10.0..1000.0).contains(&value) => fixed(value, 0),
        value if (0.1..10.0).contains(&value) => fixed(value, 1),
        value => scientific(value, 0),
    }
}

const MUTED: &str = "fill=\"var(--fig-muted)\"";
const INK: &str = "fill=\"var(--fig-ink)\"";

fn draw(found: &Found, form: Form) -> String {
    let wide = form == Form::Wide;
    let height = if wide { 324.0 } else { 546.0 };
    let mut sheet = Sheet::new(form.width(), height);
    let (places, size) = if wide {
        ([(0.0, 0.0), (362.0, 0.0)], (338.0, 284.0))
    } else {
        ([(0.0, 0.0), (0.0, 262.0)], (340.0, 246.0))
    };
    let titles = ["signal, forward →", "gradient, backward ←"];
    for (side, (at, title)) in places.into_iter().zip(titles).enumerate() {
        panel(&mut sheet, found, at, size, side == 1, title);
    }
    let mut at = (if wide { 44.0 } else { 0.0 }, height - 10.0);
    for (norm, (_, name, colour)) in NORMS.iter().enumerate() {
        let chosen = norm == found.norm;
        let width = if chosen { 3.5 } else { 1.5 };
        let look = format!("stroke=\"var({colour})\" stroke-width=\"{width}\"");
        sheet.line((at.0, at.1 - 5.0), (at.0 + 20.0, at.1 - 5.0), &look);
        let look = if chosen {
            format!("{INK} font-weight=\"600\"")
        } else {
            MUTED.to_owned()
        };
        sheet.text((at.0 + 26.0, at.1), &look, name);
        at.0 += [92.0, 124.0, 0.0][norm];
    }
    sheet.svg(FIGURE.title)
}

fn panel(
    sheet: &mut Sheet,
    found: &Found,
    (left, top): Place,
    (width, height): Place,
    backward: bool,
    title: &str,
) {
    let bold = format!("{INK} font-weight=\"600\"");
    sheet.text((left, top + 14.0), &bold, title);
    let across = Scale {
        values: [0.0, found.depth as f64],
        places: [left + 44.0, left + width - 8.0],
    };
    let up = Scale {
        values: SIZES,
        places: [top + height - 34.0, top + 34.0],
    };
    let [first, last] = across.places;
    let [bottom, _] = up.places;
    for power in [-6, -3, 0, 3, 6] {
        let y = up.at(f64::from(power));
        let look = if power == 0 {
            "stroke=\"var(--fig-muted)\""
        } else {
            "stroke=\"var(--fig-rule)\""
        };
        sheet.line((first, y), (last, y), look);
        let look = format!("{MUTED} font-size=\"12\" text-anchor=\"end\"");
        let label = if power == 0 {
            "1".to_owned()
        } else {
            power_of_ten(power)
        };
        sheet.text((first - 6.0, y + 4.0), &look, &label);
    }
    let small = format!("{MUTED} font-size=\"12\"");
    sheet.text((first, bottom + 20.0), &small, "in front");
    let look = format!("{small} text-anchor=\"end\"");
    let behind = format!("behind block {}", found.depth);
    sheet.text((last, bottom + 20.0), &look, &behind);

    let order = (0..NORMS.len()).filter(|norm| *norm != found.norm);
    for norm in order.chain([found.norm]) {
        let (_, _, colour) = NORMS[norm];
        let sizes = &found.all[norm];
        let sizes = if backward {
            &sizes.gradient
        } else {
            &sizes.signal
        };
        let places: Vec<Place> = sizes
            .iter()
            .enumerate()
            .map(|(at, size)| {
                let power = libm::log10(size.max(1e-300)).clamp(SIZES[0], SIZES[1]);
                (across.at(at as f64), up.at(power))
            })
            .collect();
        let chosen = norm == found.norm;
        let width = if chosen { 2.6 } else { 1.4 };
        let look =
            format!("stroke=\"var({colour})\" stroke-width=\"{width}\" stroke-linejoin=\"round\"");
        sheet.curve(&places, &look);
        if chosen {
            let look = format!("fill=\"var({colour})\" stroke=\"var(--fig-paper)\"");
            for place in places {
                sheet.disc(place, 4.5, &look);
            }
        }
    }
}

fn show(values: &Values) -> Shown {
    let found = Found::new(values);
    Shown::new(values, |form| draw(&found, form), found.text()).say("gain", fixed(found.gain, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(gain: f64, depth: usize, norm: usize, residual: bool) -> Found {
        let written = [
            gain,
            depth as f64,
            norm as f64,
            f64::from(u8::from(residual)),
        ];
        Found::new(&FIGURE.values(&written.map(|value| value.to_string())))
    }

    /// It begins near PyTorch's gain, where a signal is lost over twelve blocks.
    #[test]
    fn it_begins_with_a_signal_that_is_lost() {
        let found = Found::new(&FIGURE.values(&[] as &[&str]));
        let Sizes { signal, gradient } = &found.all[0];
        assert!(
            signal[12] < 2e-5 && gradient[0] < 2e-5,
            "{} {}",
            signal[12],
            gradient[0]
        );
        let found = at(0.15, 12, 0, false);
        let Sizes { signal, gradient } = &found.all[0];
        for size in [signal[12], gradient[0]] {
            assert!((0.2..5.0).contains(&size), "{size}");
        }
    }

    fn per_block(found: &Found, forward: bool) -> f64 {
        let sizes = &found.all[found.norm];
        let whole = if forward {
            sizes.signal[found.depth]
        } else {
            sizes.gradient[0]
        };
        libm::pow(whole, 1.0 / found.depth as f64)
    }

    /// Without a norm, signal and gradient are multiplied by g/√2 in every block.
    #[test]
    fn without_a_norm_sizes_multiply_up() {
        for gain in [-1.0, -0.5, -0.25, 0.15, 0.5, 1.0] {
            for depth in [8, 12, 24] {
                let found = at(gain, depth, 0, false);
                let wanted = found.gain / 2.0_f64.sqrt();
                for forward in [true, false] {
                    let factor = per_block(&found, forward) / wanted;
                    assert!((0.85..1.15).contains(&factor), "{gain} {depth}: {factor}");
                }
            }
        }
    }

    /// Batch Norm holds the signal, and its gradients grow toward the input, whatever the gain is;
    /// those of Layer Norm do not.
    #[test]
    fn batch_norms_gradients_grow_toward_the_input() {
        for gain in [-1.0, -0.5, -0.25, 0.0, 0.15, 0.5, 1.0] {
            for depth in [12, 18, 24] {
                let [batch, layer] = [1, 2].map(|norm| at(gain, depth, norm, false));
                for found in [&batch, &layer] {
                    let level = found.all[found.norm].signal[depth];
                    assert!((0.5..1.6).contains(&level), "{gain} {depth}: {level}");
                }
                let (up, level) = (batch.growth(), layer.growth());
                assert!((1.15..1.22).contains(&up), "{gain} {depth}: {up}");
                assert!((0.93..1.05).contains(&level), "{gain} {depth}: {level}");
                // Residual blocks add to a stream that grows: the later, the less they change.
                let gradient = &at(gain, depth, 1, true).all[1].gradient;
                let [front, back] = [(0, depth / 2), (depth / 2, depth)]
                    .map(|(from, to)| gradient[from] / gradient[to]);
                assert!(back < 1.8 && front > back, "{gain} {depth}: {front} {back}");
            }
            let front = at(gain, 24, 1, false).all[1].gradient[0];
            assert!((20.0..100.0).contains(&front), "{gain}: {front}");
        }
    }
}

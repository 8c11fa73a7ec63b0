//! One value far larger than all others of its row or channel: how exact the others stay,
//! beside PyTorch.

use batchnorm::BatchNorm;
use layernorm::LayerNorm;
use tape::{Param, Real, Tape, Tensor};
use tests::golden::{self, Case};

/// The numbers that `drawn` in `generate.py` draws.
fn drawn(seed: u64, count: usize) -> Vec<f32> {
    let number = |i: u64| {
        let mut z = ((i + 1 + 1_000_003 * seed) * 2_654_435_761) & 0xFFFF_FFFF;
        z ^= z >> 16;
        z = (z * 2_246_822_519) & 0xFFFF_FFFF;
        z ^= z >> 13;
        (z as f64 / f64::from(1_u32 << 31) - 1.0) as f32
    };
    (0..count as u64).map(number).collect()
}

/// Rows of values, and where each of them stands in the tensor.
struct Rows {
    values: usize,
    places: Vec<usize>,
}

impl Rows {
    fn of(norm: &str, shape: &[usize]) -> Rows {
        let count: usize = shape.iter().product();
        if norm == "layer" {
            let places = (0..count).collect();
            return Rows {
                values: shape[1],
                places,
            };
        }
        let (channels, positions) = (shape[1], shape[2..].iter().product::<usize>());
        let values = count / channels;
        let place = |i: usize| {
            let (c, n, l) = (i / values, i % values / positions, i % positions);
            (n * channels + c) * positions + l
        };
        Rows {
            values,
            places: (0..count).map(place).collect(),
        }
    }

    fn scatter(&self, rows: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; rows.len()];
        for (&place, &value) in self.places.iter().zip(rows) {
            out[place] = value;
        }
        out
    }

    fn gather(&self, x: &[f64]) -> Vec<f64> {
        self.places.iter().map(|&place| x[place]).collect()
    }
}

/// y and dx in `T`.
fn run<T: Real>(norm: &str, x: &Tensor<f32>, dy: &Tensor<f32>) -> [Vec<f64>; 2] {
    let param = Param::new("x", x.cast::<T>());
    let (y, grads) = Tape::new().vjp(&dy.cast(), |t| {
        let x = t.param(&param);
        match norm {
            "layer" => LayerNorm::new([x.shape()[1]]).forward(&x),
            _ => BatchNorm::new(x.shape()[1]).train(&x),
        }
    });
    [y, grads.of(&param)].map(|t| t.cast::<f64>().to_vec())
}

/// How far y and dx are off at the others, in units of their spread, and how far five
/// halves of the last digit of the largest of them would be. The worst row of each.
fn errors(case: &Case) -> [[f64; 2]; 2] {
    let (norm, shape, at) = (case.text("norm"), case.counts("shape"), case.count("at"));
    let rows = Rows::of(norm, &shape);
    let mut x = drawn(1, rows.places.len());
    for row in x.chunks_mut(rows.values) {
        row[at] = case.number("magnitude") as f32;
    }
    let [x, dy] =
        [x, drawn(2, rows.places.len())].map(|v| Tensor::new(&shape[..], rows.scatter(&v)));
    let [exact, got] = [run::<f64>(norm, &x, &dy), run::<f32>(norm, &x, &dy)]
        .map(|results| results.map(|r| rows.gather(&r)));
    [0, 1].map(|k| {
        let pairs = exact[k].chunks(rows.values).zip(got[k].chunks(rows.values));
        pairs.fold([0.0; 2], |worst: [f64; 2], (exact, got)| {
            let others = || (0..rows.values).filter(|&i| i != at);
            let n = (rows.values - 1) as f64;
            let mean = others().map(|i| exact[i]).sum::<f64>() / n;
            let spread = others().map(|i| (exact[i] - mean).powi(2)).sum::<f64>() / n;
            let apart = others().map(|i| (exact[i] - got[i]).abs());
            let size = others().map(|i| exact[i].abs()).fold(0.0, f64::max);
            let digit = 2.5 * f64::from(f32::EPSILON) * size;
            [
                worst[0].max(apart.fold(0.0, f64::max) / spread.sqrt()),
                worst[1].max(digit / spread.sqrt()),
            ]
        })
    })
}

/// The mean of such a row is far from the others, and to subtract it is to round them by
/// its digits: that much is lost whoever does it. Nothing more may be.
#[test]
fn beside_an_outlier_the_others_are_as_exact_as_pytorchs() {
    for case in golden::load("outliers").cases {
        for (name, [ours, digit]) in ["y", "dx"].into_iter().zip(errors(&case)) {
            let theirs = case.tensor::<f64>(name).item();
            assert!(
                ours <= theirs.max(digit),
                "{}: {name} is {ours:.1e} of the spread off, PyTorch's {theirs:.1e}, and the \
                 digits of {name} itself allow {digit:.1e}",
                case.name
            );
        }
    }
}

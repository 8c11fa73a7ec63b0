//! A sum in sixteen bits, in one of two kernels, of which the test ran the other.

use super::case::{Close, Trial, given, times};
use crate::random::Draws;
use diagnose::Dtype;
use gradcheck::attribution::norm::{Given, Norm, Probe};

/// Rows from which the second kernel takes over, and rows that it adds up at once.
const MANY: usize = 32_768;
const BLOCK: usize = 16;

fn narrow(value: f64) -> f64 {
    Dtype::Bf16.round(value)
}

/// RMS Norm's `dgamma`, from `x_hat` and `dy` in bf16, by blocks of so many rows.
pub fn by_blocks(x_hat: &[f64], dy: &[f64], d: usize, block: usize) -> Vec<f64> {
    let mut sums = vec![0.0; d];
    let terms: Vec<f64> = times(dy, x_hat).iter().map(|t| narrow(*t)).collect();
    for terms in terms.chunks(block * d) {
        for (i, sum) in sums.iter_mut().enumerate() {
            // The block has the type of its terms. The total has more digits, too late.
            let block = terms.iter().skip(i).step_by(d);
            let block = block.fold(0.0, |sum, t| narrow(sum + t));
            *sum = Dtype::F32.round(*sum + block);
        }
    }
    sums
}

/// The kernel that the shape asks for.
fn dgamma(probe: &Probe) -> Vec<f64> {
    let d = probe.gamma.len();
    let block = if probe.x.len() / d < MANY { 1 } else { BLOCK };
    let x_hat: Vec<f64> = probe.x_hat().iter().map(|h| narrow(*h)).collect();
    by_blocks(&x_hat, &probe.dy, d, block)
}

/// The second kernel, on as many rows as a diagnosis likes.
pub fn second(probe: &Probe) -> Vec<f64> {
    by_blocks(&probe.x_hat(), &probe.dy, probe.gamma.len(), BLOCK)
}

/// An input in bf16.
fn input(rows: usize, d: usize) -> Probe {
    let mut draws = Draws::new(9);
    let values = Given {
        x: draws.normals(rows * d).into_iter().map(narrow).collect(),
        gamma: vec![1.0; d],
        beta: vec![0.0; d],
        dy: draws.normals(rows * d).into_iter().map(narrow).collect(),
    };
    given(Norm::Rms { normalized: 1 }, &[rows, d], 1e-6, values)
}

fn tested(rows: usize, d: usize) -> Trial {
    let probe = input(rows, d);
    let found: Vec<f64> = dgamma(&probe).into_iter().map(narrow).collect();
    Close {
        rtol: 2e-2,
        atol: 2e-1,
    }
    .compare(&found, &probe.dgamma())
}

/// The larger of the shapes that the test had: 615 rows.
pub fn shipped() -> Trial {
    tested(615, 123)
}

/// As many rows as the second kernel needs.
pub fn changed() -> Trial {
    tested(MANY, 16)
}

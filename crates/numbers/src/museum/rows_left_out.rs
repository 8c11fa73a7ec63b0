//! A buffer for one row less than there are programs that write into it.

use super::case::{Close, Trial, given, normalize};
use crate::random::Draws;
use gradcheck::attribution::norm::{Given, Norm, Probe};

/// Rows that one program adds up.
const BLOCK: usize = 8;

/// Layer Norm's `dgamma`: every program adds up a block of rows and writes what it has into a
/// row of `parts`, and the parts are added up.
pub fn dgamma(x: &[f64], dy: &[f64], d: usize, eps: f64) -> Vec<f64> {
    let rows = x.len() / d;
    let mut parts = vec![vec![0.0; d]; rows / BLOCK];
    for (program, (x, dy)) in x.chunks(BLOCK * d).zip(dy.chunks(BLOCK * d)).enumerate() {
        let mut part = vec![0.0; d];
        for (x, dy) in x.chunks(d).zip(dy.chunks(d)) {
            let (x_hat, _) = normalize(x, eps);
            for i in 0..d {
                part[i] += dy[i] * x_hat[i];
            }
        }
        // A GPU writes it behind the buffer, and nobody reads it there.
        if let Some(place) = parts.get_mut(program) {
            *place = part;
        }
    }
    (0..d)
        .map(|i| parts.iter().map(|part| part[i]).sum())
        .collect()
}

pub fn kernel(probe: &Probe) -> Vec<f64> {
    dgamma(&probe.x, &probe.dy, probe.gamma.len(), probe.eps)
}

fn tested(rows: usize) -> Trial {
    let (d, mut draws) = (32, Draws::new(6));
    let values = Given {
        x: draws.normals(rows * d),
        gamma: draws.normals(d),
        beta: draws.normals(d),
        dy: draws.normals(rows * d),
    };
    let probe = given(Norm::Layer { normalized: 1 }, &[rows, d], 1e-5, values);
    Close {
        rtol: 1e-3,
        atol: 1e-3,
    }
    .compare(&kernel(&probe), &probe.dgamma())
}

/// A shape of the test: 8096 is 8 times 1012.
pub fn shipped() -> Trial {
    tested(8096)
}

/// Three rows more.
pub fn changed() -> Trial {
    tested(8099)
}

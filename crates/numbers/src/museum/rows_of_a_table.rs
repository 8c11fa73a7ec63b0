//! A backward pass that takes the first axis for the rows.

use super::case::{Close, Trial, given, mean, times};
use crate::random::Draws;
use gradcheck::attribution::norm::{Given, Norm, Probe};

/// Layer Norm's `dx` over the last axis, from the mean and `rstd` of each row.
pub fn dx(shape: &[usize], x: &[f64], gamma: &[f64], dy: &[f64], saved: &[[f64; 2]]) -> Vec<f64> {
    // A table has its rows along the first axis. What has three axes has more of them.
    let rows = shape[0];
    let columns = x.len() / rows;
    let mut dx = Vec::new();
    for (n, [mu, rstd]) in saved.iter().take(rows).enumerate() {
        let row = n * columns..(n + 1) * columns;
        let x_hat: Vec<f64> = x[row.clone()].iter().map(|x| (x - mu) * rstd).collect();
        // The kernel read on behind the end of gamma; here it begins again.
        let g: Vec<f64> = dy[row]
            .iter()
            .zip(gamma.iter().cycle())
            .map(|(dy, g)| dy * g)
            .collect();
        let (plain, along) = (mean(&g), mean(&times(&g, &x_hat)));
        dx.extend(
            g.iter()
                .zip(&x_hat)
                .map(|(g, x_hat)| rstd * (g - plain - x_hat * along)),
        );
    }
    dx
}

pub fn kernel(probe: &Probe) -> Vec<f64> {
    let d = probe.gamma.len();
    let rstd = probe.rstd();
    let rows = probe.x.chunks(d).enumerate();
    let saved: Vec<[f64; 2]> = rows.map(|(n, row)| [mean(row), rstd[n * d]]).collect();
    dx(&probe.shape, &probe.x, &probe.gamma, &probe.dy, &saved)
}

fn tested(shape: &[usize]) -> Trial {
    let mut draws = Draws::new(7);
    let (n, d) = (shape.iter().product(), shape[shape.len() - 1]);
    let values = Given {
        x: draws.normals(n),
        gamma: draws.normals(d),
        beta: draws.normals(d),
        dy: draws.normals(n),
    };
    let probe = given(Norm::Layer { normalized: 1 }, shape, 1e-5, values);
    Close {
        rtol: 1.3e-6,
        atol: 1e-4,
    }
    .compare(&kernel(&probe), &probe.dx())
}

/// A shape of the test; all of them were tables.
pub fn shipped() -> Trial {
    tested(&[200, 36])
}

/// The same numbers with one axis more.
pub fn changed() -> Trial {
    tested(&[20, 10, 36])
}

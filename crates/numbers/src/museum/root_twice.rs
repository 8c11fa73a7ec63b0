//! A saved `rstd` that is read as a variance, by a kernel and by its test.

use super::case::{Close, Trial, by_channel, given, mean, times};
use crate::random::Draws;
use gradcheck::attribution::norm::{Given, Norm, Probe};

/// Batch Norm's `dx` of one channel, from the mean and from what the forward pass saved beside
/// it.
pub fn dx(x: &[f64], gamma: f64, dy: &[f64], [mu, saved]: [f64; 2], eps: f64) -> Vec<f64> {
    // What was saved is 1/sqrt(var + eps) already.
    let rstd = 1.0 / (saved + eps).sqrt();
    let x_hat: Vec<f64> = x.iter().map(|x| (x - mu) * rstd).collect();
    let (plain, along) = (mean(dy), mean(&times(dy, &x_hat)));
    let element = |(dy, x_hat): (&f64, &f64)| gamma * rstd * (dy - plain - x_hat * along);
    dy.iter().zip(&x_hat).map(element).collect()
}

pub fn kernel(probe: &Probe) -> Vec<f64> {
    let rstd = probe.rstd();
    let of = |c: usize| {
        probe
            .groups
            .of
            .iter()
            .position(|g| *g == c)
            .expect("a value")
    };
    by_channel(probe, |x, c, dy| {
        dx(x, probe.gamma[c], dy, [mean(x), rstd[of(c)]], probe.eps)
    })
}

const SHAPE: [usize; 2] = [16, 3];

fn input(dy: impl Fn(&mut Draws) -> f64) -> Probe {
    let mut draws = Draws::new(4);
    let n = SHAPE[0] * SHAPE[1];
    let values = Given {
        x: draws.normals(n).iter().map(|z| 3.0 * z).collect(),
        gamma: vec![1.0; SHAPE[1]],
        beta: vec![1.0; SHAPE[1]],
        dy: (0..n).map(|_| dy(&mut draws)).collect(),
    };
    given(Norm::Batch, &SHAPE, 1e-5, values)
}

const CLOSE: Close = Close {
    rtol: 1.3e-6,
    atol: 1e-4,
};

/// Against what is right, with an upstream gradient of ones.
pub fn shipped() -> Trial {
    let probe = input(|_| 1.0);
    CLOSE.compare(&kernel(&probe), &probe.dx())
}

/// The same with an upstream gradient that is not constant.
pub fn changed() -> Trial {
    let probe = input(Draws::normal);
    CLOSE.compare(&kernel(&probe), &probe.dx())
}

/// And with it, against a reference that reads what was saved in the same way.
pub fn mirrored() -> Trial {
    let probe = input(Draws::normal);
    let reference = kernel(&probe);
    CLOSE.compare(&kernel(&probe), &reference)
}

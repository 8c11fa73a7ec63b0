//! A gamma that is multiplied into a variable which nobody reads again.

use super::case::{Close, Trial, by_channel, given, mean, normalize, times};
use crate::random::Draws;
use gradcheck::attribution::norm::{Given, Norm, Probe};

/// Batch Norm's `dx` of one channel.
pub fn dx(x: &[f64], gamma: f64, dy: &[f64], eps: f64) -> Vec<f64> {
    let (x_hat, rstd) = normalize(x, eps);
    // What is used below was computed before gamma came in.
    let scaled: Vec<f64> = dy.iter().map(|dy| dy * rstd).collect();
    let _dy: Vec<f64> = dy.iter().map(|dy| gamma * dy).collect();
    let (plain, along) = (mean(&scaled), mean(&times(&scaled, &x_hat)));
    let element = |(scaled, x_hat): (&f64, &f64)| scaled - plain - x_hat * along;
    scaled.iter().zip(&x_hat).map(element).collect()
}

pub fn kernel(probe: &Probe) -> Vec<f64> {
    by_channel(probe, |x, c, dy| dx(x, probe.gamma[c], dy, probe.eps))
}

/// As the test had it: ten examples of five features between 0 and 5, and a gradient that may
/// be off by a tenth.
fn tested(gamma: impl Fn(&mut Draws) -> f64) -> Trial {
    let mut draws = Draws::new(2);
    let values = Given {
        x: draws.uniforms(50, 0.0, 5.0),
        gamma: (0..5).map(|_| gamma(&mut draws)).collect(),
        beta: vec![0.0; 5],
        dy: draws.normals(50),
    };
    let probe = given(Norm::Batch, &[10, 5], 1e-5, values);
    Close {
        rtol: 0.1,
        atol: 0.0,
    }
    .compare(&kernel(&probe), &probe.dx())
}

/// With the gamma of a layer that was just made.
pub fn shipped() -> Trial {
    tested(|_| 1.0)
}

pub fn changed() -> Trial {
    tested(|draws| draws.uniform(0.5, 2.0))
}

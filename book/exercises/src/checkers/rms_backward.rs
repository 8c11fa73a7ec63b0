//! Checks the exercise `rms_backward`.

use crate::batch::RMS;
use crate::gradients::part;
use judge::exercise;

/// What RMS Norm's backward pass returns.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// With respect to the input, `[N, D]`.
    pub dx: Vec<f64>,
    /// With respect to the scale, `[D]`.
    pub dgamma: Vec<f64>,
}

exercise! {
    /// `(dy, x, rstd, gamma, n, d)` to the gradients.
    check(backward: Fn(&[f64], &[f64], &[f64], &[f64], usize, usize) -> Gradients),
    right: "both gradients are right",
    parts: [part(RMS) => |b, out| {
        let p = &b.probe;
        let found = backward(&p.dy, &p.x, &b.rstd().values(), &p.gamma, b.rows(), b.columns());
        (out.dx, out.dgamma) = (found.dx, found.dgamma);
    }],
}

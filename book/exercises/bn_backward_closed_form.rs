//! Exercise: Batch Norm, backward in closed form (chapter 8).
//! `dy` and `x_hat` are `[N, C]`, row-major; `rstd` and `gamma` are `[C]`.

use exercises::bn_backward_closed_form::{Gradients, check};

/// The three gradients, without any intermediate of the forward pass but x_hat and rstd.
pub(crate) fn bn_backward_closed_form(
    dy: &[f64],
    x_hat: &[f64],
    rstd: &[f64],
    gamma: &[f64],
    n: usize,
    c: usize,
) -> Gradients {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(bn_backward_closed_form)
}

//! Exercise: Layer Norm, backward in closed form (chapter 13).
//! `dy` and `x_hat` are `[N, D]`, row-major; `rstd` is `[N]`, `gamma` is `[D]`.

use exercises::ln_backward_closed_form::{Gradients, check};

/// The three gradients, without any intermediate of the forward pass but x_hat and rstd.
fn ln_backward_closed_form(
    dy: &[f64],
    x_hat: &[f64],
    rstd: &[f64],
    gamma: &[f64],
    n: usize,
    d: usize,
) -> Gradients {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(ln_backward_closed_form)
}

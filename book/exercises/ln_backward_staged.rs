//! Exercise: Layer Norm, backward in stages (chapter 13).
//! `[N, D]`, row-major: feature `i` of row `r` is at `r * d + i`.

use exercises::ln_backward_staged::{Saved, Stages, check};

/// One line of backward for each line of forward. `gamma` is `[D]`, `saved.rstd` is `[N]`, and
/// `out` holds zeros.
fn ln_backward_staged(dy: &[f64], saved: &Saved, gamma: &[f64], out: &mut Stages) {
    let (n, d) = (saved.rstd.len(), gamma.len());
    todo!()
}

fn main() -> std::process::ExitCode {
    check(ln_backward_staged)
}

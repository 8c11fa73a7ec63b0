//! Exercise: one step of an LSTM with Layer Norm, backward (chapter 14). `dh` is the gradient
//! of h', `dc_later` what the next step sends to c'; `s` holds i, f, g, o, c and
//! tanh = tanh(LN(c')), H numbers each. `s.norm_backward(dy)` goes back through the norm.

use exercises::lstm_backward::{Gradients, Step, check};

fn backward(dh: &[f64], dc_later: &[f64], s: &Step) -> Gradients {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(backward)
}

//! Exercise: one step of an LSTM with Layer Norm, backward (chapter 14). `dh` is the gradient
//! of h', `dc_later` what the next step sends to c'; `s` holds i, f, g, o, c and
//! tanh = tanh(LN(c')), H numbers each. `s.norm_backward(dy)` goes back through the norm.

use exercises::lstm_backward::{Gradients, Step, check};

fn backward(dh: &[f64], dc_later: &[f64], s: &Step) -> Gradients {
    // ANCHOR: solution
    let each = |f: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..dh.len()).map(f).collect() };
    let shown = each(&|j| dh[j] * s.o[j] * (1.0 - s.tanh[j] * s.tanh[j]));
    let through = s.norm_backward(&shown);
    let dc_next = each(&|j| dc_later[j] + through[j]);
    Gradients {
        da_i: each(&|j| dc_next[j] * s.g[j] * s.i[j] * (1.0 - s.i[j])),
        da_f: each(&|j| dc_next[j] * s.c[j] * s.f[j] * (1.0 - s.f[j])),
        da_g: each(&|j| dc_next[j] * s.i[j] * (1.0 - s.g[j] * s.g[j])),
        da_o: each(&|j| dh[j] * s.tanh[j] * s.o[j] * (1.0 - s.o[j])),
        dc: each(&|j| dc_next[j] * s.f[j]),
        dc_next,
    }
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(backward)
}

//! Exercise: the backward pass of a convolution (chapter 10). Row-major, `x` is
//! `[N, C, H, W]`, `w` is `[O, K]` and `dy` is `[N, O, L]`, with K taps and L positions.
//! `s.reads(k, p)` is the pixel of an image, from 0 to `s.pixels()`, that tap `k` reads at
//! position `p`, and `None` in the padding.

use exercises::conv2d_backward::{Gradients, Sizes, check};

fn backward(dy: &[f64], x: &[f64], w: &[f64], s: &Sizes) -> Gradients {
    let (taps, positions, pixels) = (s.taps(), s.positions(), s.pixels());
    todo!()
}

fn main() -> std::process::ExitCode {
    check(backward)
}

//! Exercise: the backward pass of a convolution (chapter 10). Row-major, `x` is
//! `[N, C, H, W]`, `w` is `[O, K]` and `dy` is `[N, O, L]`, with K taps and L positions.
//! `s.reads(k, p)` is the pixel of an image, from 0 to `s.pixels()`, that tap `k` reads at
//! position `p`, and `None` in the padding.

use exercises::conv2d_backward::{Gradients, Sizes, check};

fn backward(dy: &[f64], x: &[f64], w: &[f64], s: &Sizes) -> Gradients {
    let (taps, positions, pixels) = (s.taps(), s.positions(), s.pixels());
    // ANCHOR: solution
    let [mut dx, mut dw, mut db] = [x.len(), w.len(), s.outputs].map(|n| vec![0.0; n]);
    for n in 0..s.images {
        for (o, db) in db.iter_mut().enumerate() {
            for p in 0..positions {
                let dy = dy[(n * s.outputs + o) * positions + p];
                *db += dy;
                for k in 0..taps {
                    if let Some(i) = s.reads(k, p) {
                        dw[o * taps + k] += dy * x[n * pixels + i];
                        dx[n * pixels + i] += dy * w[o * taps + k];
                    }
                }
            }
        }
    }
    Gradients { dx, dw, db }
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(backward)
}

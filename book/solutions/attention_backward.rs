//! Exercise: causal attention of one head, backward (chapter 15). `h.q`, `h.k` and `h.v` are
//! `[T, d]`, row by row, with T = `h.steps` and d = `h.width`; `dout` is the gradient of the
//! output, `[T, d]`. Nothing else is kept: compute the weights again.

use exercises::attention_backward::{Gradients, Head, check};

fn backward(h: &Head, dout: &[f64]) -> Gradients {
    // ANCHOR: solution
    let (steps, d) = (h.steps, h.width);
    let scale = 1.0 / (d as f64).sqrt();
    let dot = |a: &[f64], i: usize, b: &[f64], j: usize| -> f64 {
        (0..d).map(|c| a[i * d + c] * b[j * d + c]).sum()
    };
    let mut g = Gradients::zeros(h);
    for i in 0..steps {
        // Row i of the scores, of P and of dP: as far as it sees.
        let s: Vec<f64> = (0..=i).map(|j| scale * dot(&h.q, i, &h.k, j)).collect();
        let largest = s.iter().fold(f64::NEG_INFINITY, |m, s| s.max(m));
        let e: Vec<f64> = s.iter().map(|s| (s - largest).exp()).collect();
        let total: f64 = e.iter().sum();
        let p: Vec<f64> = e.iter().map(|e| e / total).collect();
        let dp: Vec<f64> = (0..=i).map(|j| dot(dout, i, &h.v, j)).collect();
        let along: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
        for j in 0..=i {
            let ds = scale * p[j] * (dp[j] - along);
            for c in 0..d {
                g.dv[j * d + c] += p[j] * dout[i * d + c];
                g.dq[i * d + c] += ds * h.k[j * d + c];
                g.dk[j * d + c] += ds * h.q[i * d + c];
            }
        }
    }
    g
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(backward)
}

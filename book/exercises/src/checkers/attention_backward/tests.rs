use super::*;
use crate::predictions::passed;
use judge::compare::same;
use judge::testing::{named, passes};
use tape::Tensor;

/// What may be typed otherwise in the loops over positions.
struct Typed {
    /// The positions that position i of so many sees.
    sees: fn(usize, usize) -> std::ops::Range<usize>,
    /// The positions over which its softmax runs.
    softmax: fn(usize, usize) -> std::ops::Range<usize>,
    scale: fn(&Head) -> f64,
    normalize: bool,
    /// dS without the scale: from p, dP and the sums of p dP and of dP over the row.
    ds: fn(f64, f64, f64, f64) -> f64,
    /// What a value receives, from p.
    weight: fn(f64) -> f64,
    add: fn(&mut f64, f64),
}

const RIGHT: Typed = Typed {
    sees: |i, _| 0..i + 1,
    softmax: |i, _| 0..i + 1,
    scale: |h| 1.0 / (h.width as f64).sqrt(),
    normalize: true,
    ds: |p, dp, along, _| p * (dp - along),
    weight: |p| p,
    add: |sum, term| *sum += term,
};

impl Typed {
    /// Written with loops over indices, as a reader may.
    fn run(&self, h: &Head, dout: &[f64]) -> Gradients {
        let (t, d, scale) = (h.steps, h.width, (self.scale)(h));
        let mut g = Gradients::zeros(h);
        for i in 0..t {
            let dot = |a: &[f64], i: usize, b: &[f64], j: usize| -> f64 {
                (0..d).map(|c| a[i * d + c] * b[j * d + c]).sum()
            };
            let e = |j: usize| (scale * dot(&h.q, i, &h.k, j)).exp();
            let total: f64 = if self.normalize {
                (self.softmax)(i, t).map(e).sum()
            } else {
                1.0
            };
            let p = |j: usize| e(j) / total;
            let dp = |j: usize| dot(dout, i, &h.v, j);
            let along: f64 = (self.sees)(i, t).map(|j| p(j) * dp(j)).sum();
            let sum: f64 = (self.sees)(i, t).map(dp).sum();
            for j in (self.sees)(i, t) {
                let ds = scale * (self.ds)(p(j), dp(j), along, sum);
                for c in 0..d {
                    (self.add)(&mut g.dv[j * d + c], (self.weight)(p(j)) * dout[i * d + c]);
                    (self.add)(&mut g.dq[i * d + c], ds * h.k[j * d + c]);
                    (self.add)(&mut g.dk[j * d + c], ds * h.q[i * d + c]);
                }
            }
        }
        g
    }
}

#[test]
fn what_is_right_passes() {
    passes(4, |seed| report(&|h, dout| RIGHT.run(h, dout), seed));
}

/// The checker's own gradients are those of ops on the tape.
#[test]
fn the_targets_are_the_tapes() {
    for p in probes(3) {
        let h = &p.head;
        let (t, d) = (h.steps, h.width);
        let of = |values: &Vec<f64>| Tensor::new([t, d], values.clone());
        let later = Tensor::from_fn([t, t], |at| f64::from(u8::from(at % t > at / t)));
        let inputs = [&h.q, &h.k, &h.v].map(of);
        let (out, found) = passed(inputs.each_ref(), &of(&p.dout), |[q, k, v]| {
            let s = q.matmul(&k.transpose(0, 1)) * h.scale();
            let w = s.masked_fill(&later, f64::NEG_INFINITY).softmax(1);
            w.matmul(v)
        });
        assert!(same(&out, &h.output()));
        let [dq, dk] = ["dq", "dk"].map(|side| p.of_ds(side, &p.ds()));
        for (found, right) in found.iter().zip([dq, dk, p.dv_of(&p.w())]) {
            assert!(same(found, &right.values()));
        }
    }
}

#[test]
fn what_is_typed_wrong_is_named() {
    /// One line of the loops exchanged.
    type Slip = fn(&mut Typed);
    let typed: &[(&str, Slip)] = &[
        ("dv: mask-after-softmax", |t| t.softmax = |_, t| 0..t),
        ("dv: mask-strict", |t| {
            (t.sees, t.softmax) = (|i, _| 0..i, |i, _| 0..i);
        }),
        ("dv: mask-reversed", |t| {
            (t.sees, t.softmax) = (|i, t| i..t, |i, t| i..t);
        }),
        ("dv: mask-ignored", |t| {
            (t.sees, t.softmax) = (|_, t| 0..t, |_, t| 0..t);
        }),
        ("dv: not-normalized", |t| t.normalize = false),
        ("dv: scale-by-steps", |t| {
            t.scale = |h| 1.0 / (h.steps as f64).sqrt();
        }),
        ("dv: scale-missing", |t| t.scale = |_| 1.0),
        ("dv: weights-forgotten", |t| t.weight = |_| 1.0),
        ("dv: overwritten", |t| t.add = |sum, term| *sum = term),
        ("dq: diagonal-only", |t| {
            t.ds = |p, dp, _, _| dp * p * (1.0 - p)
        }),
        ("dq: softmax-skipped", |t| t.ds = |_, dp, _, _| dp),
        ("dq: row-sum-unweighted", |t| {
            t.ds = |p, dp, _, sum| p * (dp - sum)
        }),
        ("dq: row-sum-missing", |t| t.ds = |p, dp, _, _| p * dp),
        ("dq: weight-forgotten", |t| {
            t.ds = |_, dp, along, _| dp - along
        }),
    ];
    named(typed, |slip, seed| {
        let mut typed = RIGHT;
        slip(&mut typed);
        report(&|h, dout| typed.run(h, dout), seed)
    });
}

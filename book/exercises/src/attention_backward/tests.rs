use super::*;
use crate::compare::same;
use crate::mistake::{assert_named, every};
use tape::{Param, Tape, Tensor};

/// Written with loops over indices, as a reader may.
fn right(h: &Head, dout: &[f64]) -> Gradients {
    let (t, d) = (h.steps, h.width);
    let scale = 1.0 / (d as f64).sqrt();
    let mut g = Gradients::zeros(h);
    for i in 0..t {
        let row = |x: &[f64], i: usize| x[i * d..][..d].to_vec();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let scores: Vec<f64> = (0..=i)
            .map(|j| scale * dot(&row(&h.q, i), &row(&h.k, j)))
            .collect();
        let total: f64 = scores.iter().map(|s| s.exp()).sum();
        let p: Vec<f64> = scores.iter().map(|s| s.exp() / total).collect();
        let dp: Vec<f64> = (0..=i).map(|j| dot(&row(dout, i), &row(&h.v, j))).collect();
        let along = dot(&p, &dp);
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
}

fn set(gradients: &mut Gradients, name: &str, values: Vec<f64>) {
    match name {
        "dq" => gradients.dq = values,
        "dk" => gradients.dk = values,
        _ => gradients.dv = values,
    }
}

#[test]
fn what_is_right_passes() {
    for seed in 0..10 {
        let report = report(&right, seed);
        assert!(report.passed(), "{report}");
    }
}

/// The checker's own gradients are those of ops on the tape.
#[test]
fn the_targets_are_the_tapes() {
    for p in probes(3) {
        let h = &p.head;
        let (t, d) = (h.steps, h.width);
        let [q, k, v] = [&h.q, &h.k, &h.v].map(|x| Param::new("x", Tensor::new([t, d], x.clone())));
        let later = Tensor::from_fn([t, t], |at| f64::from(u8::from(at % t > at / t)));
        let dout = Tensor::new([t, d], p.dout.clone());
        let (out, (), grads) = Tape::new().vjp(&dout, |tape| {
            let s = tape.param(&q).matmul(&tape.param(&k).transpose(0, 1)) * h.scale();
            let w = s.masked_fill(&later, f64::NEG_INFINITY).softmax(1);
            (w.matmul(&tape.param(&v)), ())
        });
        assert!(same(out.data(), &h.output()));
        for ((_, right), param) in TARGETS.iter().zip([&v, &q, &k]) {
            assert!(same(grads.of(param).data(), &right(&p)));
        }
    }
}

#[test]
fn every_mistake_is_named() {
    for seed in 0..10 {
        for (target, mistake) in every(MISTAKES) {
            let candidate = |head: &Head, dout: &[f64]| {
                let probe = Probe {
                    head: head.clone(),
                    dout: dout.to_vec(),
                };
                let mut gradients = right(head, dout);
                set(&mut gradients, target, (mistake.wrong)(&probe, target));
                gradients
            };
            let report = report(&candidate, seed);
            assert_named(&report, seed, target, mistake);
        }
    }
}

#[test]
fn what_has_no_name_is_shown() {
    let with = |change: &dyn Fn(&mut Gradients)| {
        report(
            &|head, dout| {
                let mut gradients = right(head, dout);
                change(&mut gradients);
                gradients
            },
            0,
        )
    };
    let short = with(&|g| g.dv.truncate(1));
    assert_eq!(short.mistake.as_deref(), Some("shape"));
    let nan = with(&|g| g.dk[0] = f64::NAN);
    assert_eq!(nan.mistake.as_deref(), Some("not-finite"));
    let doubled = with(&|g| g.dq.iter_mut().for_each(|v| *v *= 2.0));
    assert_eq!(doubled.mistake.as_deref(), Some("unknown"));
    assert!(doubled.heatmap.is_some());
}

use super::*;
use crate::compare::same;
use crate::mistake::{assert_named, every};

fn right(dy: &[f64], x: &[f64], w: &[f64], s: &Sizes) -> Gradients {
    let (taps, positions, pixels) = (s.taps(), s.positions(), s.pixels());
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
}

#[test]
fn the_right_gradients_pass() {
    for seed in 0..10 {
        let report = report(&right, seed);
        assert!(report.passed(), "{report}");
    }
}

/// The checker's own convolution is the tape's.
#[test]
fn the_forward_pass_is_the_tapes() {
    use tape::{Tape, Tensor};
    for p in probes(1) {
        let s = p.s;
        let b: Vec<f64> = (0..s.outputs).map(|o| o as f64).collect();
        let y = Tape::eval(|t| {
            let [h, w] = s.input;
            let x = t.constant(Tensor::new([s.images, s.channels, h, w], p.x.clone()));
            let [kh, kw] = s.kernel;
            let w = t.constant(Tensor::new([s.outputs, s.channels, kh, kw], p.w.clone()));
            let b = t.constant(Tensor::new([s.outputs], b.clone()));
            x.conv2d(&w, Some(&b), s.stride, s.padding).value().to_vec()
        });
        assert!(same(&y, &forward(&p.x, &p.w, &b, &s)));
    }
}

#[test]
fn every_mistake_is_named() {
    for seed in 0..10 {
        for (target, mistake) in every(MISTAKES) {
            let candidate = |dy: &[f64], x: &[f64], w: &[f64], s: &Sizes| {
                let probe = Probe {
                    s: *s,
                    x: x.to_vec(),
                    w: w.to_vec(),
                    dy: dy.to_vec(),
                };
                let mut gradients = right(dy, x, w, s);
                let wrong = (mistake.wrong)(&probe, target);
                match target {
                    "dx" => gradients.dx = wrong,
                    "dw" => gradients.dw = wrong,
                    _ => gradients.db = wrong,
                }
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
            &|dy, x, w, s| {
                let mut gradients = right(dy, x, w, s);
                change(&mut gradients);
                gradients
            },
            0,
        )
    };
    let short = with(&|g| g.dw.truncate(1));
    assert_eq!(short.mistake.as_deref(), Some("shape"));
    let nan = with(&|g| g.dx[1] = f64::NAN);
    assert_eq!(nan.mistake.as_deref(), Some("not-finite"));
    let doubled = with(&|g| g.db.iter_mut().for_each(|v| *v *= 2.0));
    assert_eq!(doubled.mistake.as_deref(), Some("unknown"));
    assert!(doubled.heatmap.is_some());
}

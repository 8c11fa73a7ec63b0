use super::*;
use crate::known::assert_listed;
use batchnorm::{BatchNorm, RunningStats};
use tape::{Param, Tape, Tensor};

const SEEDS: std::ops::Range<u64> = 0..12;

/// The right gradients, from what the reader is given.
fn right(bn: &Frozen, x: &[f64], dy: &[f64]) -> Gradients {
    probe(bn, x, dy).right()
}

fn probe(bn: &Frozen, x: &[f64], dy: &[f64]) -> Probe {
    Probe {
        bn: bn.clone(),
        x: x.to_vec(),
        dy: dy.to_vec(),
    }
}

#[test]
fn what_is_right_passes() {
    for seed in SEEDS {
        let report = report(&right, seed);
        assert!(report.passed(), "seed {seed}: {report}");
        assert_eq!(report.lines.len(), 3);
    }
}

/// What is called right here is what the layer of the crate does.
#[test]
fn what_is_right_is_the_gradient_of_the_layer() {
    let p = Probe::new(5, 3, &mut StdRng::seed_from_u64(3));
    let mut bn = BatchNorm::<f64>::new(3).with_eps(p.bn.eps);
    let [gamma, beta] = [&p.bn.gamma, &p.bn.beta].map(|v| Tensor::new([3], v.clone()));
    for (param, value) in bn.params_mut().into_iter().zip([gamma, beta]) {
        *param.value_mut() = value;
    }
    bn.set_running(RunningStats {
        mean: Tensor::new([3], p.bn.running_mean.clone()),
        var: Tensor::new([3], p.bn.running_var.clone()),
        num_batches_tracked: 1,
    });
    let x = Param::new("x", Tensor::new([5, 3], p.x.clone()));
    let dy = Tensor::new([5, 3], p.dy.clone());
    let (_, _, grads) = Tape::new().vjp(&dy, |t| (bn.eval(&t.param(&x)), ()));
    let found = p.right();
    assert!(same(grads.of(&x).data(), &found.dx));
    let params = bn.params_mut();
    for (param, found) in params.into_iter().zip([found.dgamma, found.dbeta]) {
        assert!(same(grads.of(param).data(), &found));
    }
}

#[test]
fn every_mistake_is_named() {
    for seed in SEEDS {
        for (id, _, wrong) in DX {
            let candidate = |bn: &Frozen, x: &[f64], dy: &[f64]| Gradients {
                dx: probe(bn, x, dy).elements(wrong),
                ..right(bn, x, dy)
            };
            let report = report(&candidate, seed);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(report.mistake.as_deref(), Some(*id), "seed {seed}");
            assert_listed(&report);
            assert!(report.heatmap.is_some());
        }
        for (id, _, wrong) in DGAMMA {
            let candidate = |bn: &Frozen, x: &[f64], dy: &[f64]| Gradients {
                dgamma: probe(bn, x, dy).per_channel(wrong),
                ..right(bn, x, dy)
            };
            let report = report(&candidate, seed);
            assert_eq!(report.mistake.as_deref(), Some(*id), "seed {seed}");
            assert_listed(&report);
        }
        for (id, _, wrong) in DBETA {
            let candidate = |bn: &Frozen, x: &[f64], dy: &[f64]| Gradients {
                dbeta: probe(bn, x, dy).per_channel(wrong),
                ..right(bn, x, dy)
            };
            let report = report(&candidate, seed);
            assert_eq!(report.mistake.as_deref(), Some(*id), "seed {seed}");
            assert_listed(&report);
        }
    }
}

#[test]
fn wrong_lengths_and_unknown_mistakes_are_told() {
    let short = |bn: &Frozen, x: &[f64], dy: &[f64]| Gradients {
        dbeta: vec![0.0; x.len()],
        ..right(bn, x, dy)
    };
    assert_eq!(report(&short, 0).mistake.as_deref(), Some("shape"));
    let nan = |bn: &Frozen, x: &[f64], dy: &[f64]| Gradients {
        dx: vec![f64::NAN; x.len()],
        ..right(bn, x, dy)
    };
    assert_eq!(report(&nan, 0).mistake.as_deref(), Some("not-finite"));
    let odd = |bn: &Frozen, x: &[f64], dy: &[f64]| Gradients {
        dx: dy.iter().map(|dy| 3.3 * dy).collect(),
        ..right(bn, x, dy)
    };
    assert_eq!(report(&odd, 0).mistake.as_deref(), Some("unknown"));
}

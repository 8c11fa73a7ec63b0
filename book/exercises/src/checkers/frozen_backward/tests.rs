use super::*;
use crate::Outcome;
use crate::compare::same;
use batchnorm::{BatchNorm, RunningStats};
use tape::{Param, Tape, Tensor};

/// One element: gamma, running_mean, 1/deviation, x and dy to what is added to dx, dgamma and
/// dbeta.
type Step = fn(f64, f64, f64, f64, f64) -> [f64; 3];

/// The loop of the solution around `step`; the sums are kept by `add`.
fn with(
    step: Step,
    add: fn(&mut f64, f64),
    rstd: fn(f64, f64) -> f64,
) -> impl Fn(&Frozen, &[f64], &[f64]) -> Gradients {
    move |bn, x, dy| {
        let channels = bn.gamma.len();
        let mut g = Gradients {
            dx: vec![0.0; x.len()],
            dgamma: vec![0.0; channels],
            dbeta: vec![0.0; channels],
        };
        for (k, (x, dy)) in x.iter().zip(dy).enumerate() {
            let c = k % channels;
            let rstd = rstd(bn.running_var[c], bn.eps);
            let [dx, dgamma, dbeta] = step(bn.gamma[c], bn.running_mean[c], rstd, *x, *dy);
            g.dx[k] = dx;
            add(&mut g.dgamma[c], dgamma);
            add(&mut g.dbeta[c], dbeta);
        }
        g
    }
}

/// A candidate that is wrong.
type Wrong = Box<dyn Fn(&Frozen, &[f64], &[f64]) -> Gradients>;

const STEP: Step = |gamma, mean, rstd, x, dy| [gamma * rstd * dy, dy * (x - mean) * rstd, dy];

fn add(sum: &mut f64, term: f64) {
    *sum += term;
}

#[test]
fn what_is_right_passes() {
    for seed in 0..12 {
        let report = report(&with(STEP, add, rstd), seed);
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
    assert!(same(grads.of(&x).data(), &p.dx()));
    let params = bn.params_mut();
    for (param, right) in params.into_iter().zip([p.dgamma(), p.dbeta()]) {
        assert!(same(grads.of(param).data(), &right));
    }
}

/// Loops as they are typed, each with the target in which it shows first and its name.
#[test]
fn what_is_typed_wrong_is_named() {
    let cases: [(&str, &str, Wrong); 8] = [
        (
            "dbeta",
            "overwritten",
            Box::new(with(STEP, |sum, term| *sum = term, rstd)),
        ),
        (
            "dgamma",
            "eps-outside",
            Box::new(with(STEP, add, |var, eps| 1.0 / (var.sqrt() + eps))),
        ),
        (
            "dgamma",
            "root-missing",
            Box::new(with(STEP, add, |var, eps| 1.0 / (var + eps))),
        ),
        (
            "dgamma",
            "eps-missing",
            Box::new(with(STEP, add, |var, _| 1.0 / var.sqrt())),
        ),
        (
            "dx",
            "slope-missing",
            Box::new(with(
                |_, mean, rstd, x, dy| [dy, dy * (x - mean) * rstd, dy],
                add,
                rstd,
            )),
        ),
        (
            "dx",
            "gamma-forgotten",
            Box::new(with(
                |_, mean, rstd, x, dy| [rstd * dy, dy * (x - mean) * rstd, dy],
                add,
                rstd,
            )),
        ),
        (
            "dbeta",
            "zero",
            Box::new(with(|_, _, _, _, _| [0.0; 3], add, rstd)),
        ),
        (
            "dgamma",
            "dgamma-is-of-y",
            Box::new(|bn, x, dy| {
                let mut g = with(STEP, add, rstd)(bn, x, dy);
                let c = bn.gamma.len();
                g.dgamma.fill(0.0);
                for k in 0..x.len() {
                    let rstd = rstd(bn.running_var[k % c], bn.eps);
                    let x_hat = (x[k] - bn.running_mean[k % c]) * rstd;
                    g.dgamma[k % c] += dy[k] * (bn.gamma[k % c] * x_hat + bn.beta[k % c]);
                }
                g
            }),
        ),
    ];
    for (target, id, candidate) in &cases {
        for seed in 0..6 {
            let report = report(&**candidate, seed);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(
                report.mistake.as_deref(),
                Some(*id),
                "seed {seed}: {report}"
            );
            assert!(
                report.headline.starts_with(&format!("{target}: ")),
                "{report}"
            );
        }
    }
}

use super::*;
use batchnorm::{BatchNorm, RunningStats};
use judge::compare::same;
use judge::testing::{named, passes};
use tape::{Param, Tape, Tensor};

/// One element: gamma, running_mean, 1/deviation, x and dy to what is added to dx, dgamma and
/// dbeta.
type Step = fn(f64, f64, f64, f64, f64) -> [f64; 3];

/// The loop of the solution around `step`; the sums are kept by `add`.
fn with(
    step: Step,
    add: fn(&mut f64, f64),
    rstd: Deviation,
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

const STEP: Step = |gamma, mean, rstd, x, dy| [gamma * rstd * dy, dy * (x - mean) * rstd, dy];

fn add(sum: &mut f64, term: f64) {
    *sum += term;
}

#[test]
fn what_is_right_passes() {
    passes(3, |seed| report(&with(STEP, add, rstd), seed));
}

/// What is called right here is what the layer of the crate does.
#[test]
fn what_is_right_is_the_gradient_of_the_layer() {
    let p = Probe::new([5, 3], &mut Draws::new(3));
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
    let x = Param::new("x", Tensor::new([5, 3], p.x.values()));
    let dy = Tensor::new([5, 3], p.dy.values());
    let (_, grads) = Tape::new().vjp(&dy, |t| bn.eval(&t.param(&x)));
    assert!(same(grads.of(&x).data(), &p.right_dx().values()));
    let params = bn.params_mut();
    for (param, right) in params.into_iter().zip([p.dgamma(p.x_hat()), p.dy.sum(0)]) {
        assert!(same(grads.of(param).data(), &right.values()));
    }
}

/// Loops as they are typed, each with the target in which it shows first and its name.
#[test]
fn what_is_typed_wrong_is_named() {
    let deviations: [(&str, Deviation); 3] = [
        ("dgamma: eps-outside", |var, eps| 1.0 / (var.sqrt() + eps)),
        ("dgamma: root-missing", |var, eps| 1.0 / (var + eps)),
        ("dgamma: eps-missing", |var, _| 1.0 / var.sqrt()),
    ];
    named(&deviations, |wrong, seed| {
        report(&with(STEP, add, wrong), seed)
    });
    let steps: [(&str, Step); 3] = [
        ("dx: slope-missing", |_, mean, rstd, x, dy| {
            [dy, dy * (x - mean) * rstd, dy]
        }),
        ("dx: gamma-forgotten", |_, mean, rstd, x, dy| {
            [rstd * dy, dy * (x - mean) * rstd, dy]
        }),
        ("dbeta: zero", |_, _, _, _, _| [0.0; 3]),
    ];
    named(&steps, |step, seed| report(&with(step, add, rstd), seed));
    let assigned = with(STEP, |sum, term| *sum = term, rstd);
    let of_y = |bn: &Frozen, x: &[f64], dy: &[f64]| {
        let mut g = with(STEP, add, rstd)(bn, x, dy);
        let c = bn.gamma.len();
        g.dgamma.fill(0.0);
        for k in 0..x.len() {
            let rstd = rstd(bn.running_var[k % c], bn.eps);
            let x_hat = (x[k] - bn.running_mean[k % c]) * rstd;
            g.dgamma[k % c] += dy[k] * (bn.gamma[k % c] * x_hat + bn.beta[k % c]);
        }
        g
    };
    let typed: [(&str, Candidate<'_>); 2] = [
        ("dbeta: overwritten", &assigned),
        ("dgamma: dgamma-is-of-y", &of_y),
    ];
    named(&typed, report);
}

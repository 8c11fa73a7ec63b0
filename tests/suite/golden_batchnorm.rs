//! Batch Norm against PyTorch: training at inputs at which it is easily wrong and in f32, running
//! statistics in every layout, frozen.

use batchnorm::BatchNorm;
use tape::{Param, Tape, Tensor};
use tests::golden::{self, Case};

/// The layer of a case, with its gamma and beta if it has them.
fn layer<T: tape::Real>(case: &Case, channels: usize) -> BatchNorm<T> {
    let mut bn = BatchNorm::new(channels).with_eps(case.number("eps"));
    if !case.has("gamma") {
        return bn.without_affine();
    }
    for (param, name) in bn.params_mut().into_iter().zip(["gamma", "beta"]) {
        param.set(case.tensor(name));
    }
    bn
}

/// Value and gradients of one training step: y, dx, and dgamma and dbeta if there are any.
fn train<T: tape::Real>(case: &Case) -> Vec<(&'static str, Tensor<T>)> {
    let x: Param<T> = case.param("x");
    let mut bn = layer(case, x.value().shape()[1]);
    let (y, grads) = Tape::new().vjp(&case.tensor("dy"), |t| bn.train(&t.param(&x)));
    let mut results = vec![("y", y), ("dx", grads.of(&x))];
    for (param, name) in bn.params().into_iter().zip(["dgamma", "dbeta"]) {
        results.push((name, grads.get(param).expect("a gradient").clone()));
    }
    results
}

#[test]
fn training_at_hard_inputs() {
    for case in golden::load("batchnorm")
        .cases
        .iter()
        .filter(|c| c.dtype == "f64")
    {
        for (name, got) in train::<f64>(case) {
            // eps 1e-12 on x of size 0.05: rstd is about 20, and a rounding of x reaches
            // x_hat multiplied with it.
            case.assert_within(name, &got, 20.0 * golden::EPSILONS * f64::EPSILON);
        }
    }
}

/// Eight roundings, whatever the offset: the kernels measure a channel from one of its own
/// values, so the size of the mean costs no digits. PyTorch loses them: at 10⁶ its y is off
/// in the second digit.
#[test]
fn large_offsets_in_f32() {
    for case in golden::load("batchnorm")
        .cases
        .iter()
        .filter(|c| c.dtype == "f32")
    {
        for (name, got) in train::<f32>(case) {
            case.assert_within(name, &got, 8.0 * f64::from(f32::EPSILON));
            if case.number("offset") >= 1e3 && ["y", "dx"].contains(&name) {
                let theirs = case.tensor::<f32>(&format!("{name}_f32"));
                assert!(case.distance(name, &got) < case.distance(name, &theirs));
            }
        }
    }
}

#[test]
fn running_statistics_after_each_batch_and_the_frozen_layer() {
    for case in golden::load("batchnorm_running").cases {
        let channels = case.tensor::<f64>("running_mean0").len();
        let mut bn = layer(&case, channels).with_momentum(case.optional_number("momentum"));
        for i in 0..case.count("batches") {
            let y = Tape::eval(|t| {
                bn.train(&t.constant(case.tensor(&format!("x{i}"))))
                    .value()
                    .clone()
            });
            case.assert_close(&format!("y{i}"), &y);
            case.assert_close(&format!("running_mean{i}"), &bn.running().mean);
            case.assert_close(&format!("running_var{i}"), &bn.running().var);
            assert_eq!(bn.running().num_batches_tracked, i as u64 + 1);
        }

        let x: Param<f64> = case.param("x_eval");
        let dy = case.tensor("dy_eval");
        let before = bn.running().clone();
        let (y, grads) = Tape::new().vjp(&dy, |t| bn.eval(&t.param(&x)));
        assert_eq!(
            bn.running(),
            &before,
            "evaluation changed the running statistics"
        );
        case.assert_close("y_eval", &y);
        case.assert_close("dx_eval", &grads.of(&x));
        for (param, name) in bn.params().into_iter().zip(["dgamma_eval", "dbeta_eval"]) {
            case.assert_close(name, grads.get(param).expect("a gradient"));
        }
    }
}

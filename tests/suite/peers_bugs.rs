//! Mistakes found in other libraries and courses, each held against our code by name.
//!
//! The point is not theirs but ours: every one of these passed somebody's tests.

use batchnorm::BatchNorm;
use gradcheck::{Check, Fault};
use layernorm::LayerNorm;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Tape, Tensor};

fn normal(shape: &[usize], seed: u64) -> Tensor<f64> {
    Tensor::randn(shape, &mut StdRng::seed_from_u64(seed))
}

/// candle: the default path of its Layer Norm returns no gradient and no error.
#[test]
fn candle_layer_norm_without_a_gradient() {
    let layer = LayerNorm::<f64>::new([8]);
    let x = Param::new("x", normal(&[4, 8], 1));
    let dy = normal(&[4, 8], 2);
    let (_, grads) = Tape::new().vjp(&dy, |t| layer.forward(&t.param(&x)));
    let largest = |t: &Tensor<f64>| t.data().iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    assert!(largest(grads.get(&x).expect("x has a gradient")) > 0.1);
    for param in layer.params() {
        assert!(largest(grads.get(param).expect("so has every parameter")) > 0.1);
    }
}

/// candle: an `f32` variance of E[x²] − E[x]² turns the row 10⁴ + 0..7 into ±1106.8.
#[test]
fn candle_variance_by_the_difference_of_two_large_numbers() {
    let row: Vec<f32> = (0..8).map(|i| 1e4 + i as f32).collect();
    let layer = LayerNorm::<f32>::new([8]);
    let y = Tape::eval(|t| {
        let x = t.constant(Tensor::new([1, 8], row));
        layer.forward(&x).value().to_vec()
    });
    // (i − 3.5) / √5.25
    for (i, y) in y.iter().enumerate() {
        let expected = (i as f64 - 3.5) / (5.25_f64 + 1e-5).sqrt();
        assert!(
            (f64::from(*y) - expected).abs() < 1e-5,
            "element {i}: {y}, not {expected}"
        );
    }
}

/// candle: a chain of 100,000 ops overflows the stack, since its backward pass recurses.
#[test]
fn candle_stack_overflow_on_a_long_chain() {
    let x = Param::new("x", Tensor::scalar(0.5_f32));
    let (_, grads) = Tape::new().grad(|t| {
        let mut y = t.param(&x);
        for _ in 0..100_000 {
            y = &y + &y * 1e-6;
        }
        y
    });
    assert!((grads.of(&x).item() - 1.105).abs() < 1e-2);
}

/// candle and dfdx: one value per channel gives a NaN variance; burn says nothing at all.
#[test]
#[should_panic(expected = "every channel needs at least 2 values")]
fn one_value_per_channel_is_refused() {
    let mut layer = BatchNorm::<f32>::new(3);
    Tape::eval(|t| {
        layer.train(&t.constant(Tensor::zeros([1, 3])));
    });
}

/// burn 0.20: the running variance takes in the biased estimate.
#[test]
fn burn_biased_running_variance() {
    let mut layer = BatchNorm::<f64>::new(1);
    // Mean 2.5; squared deviations add up to 5: biased 1.25, unbiased 5/3.
    let batch = Tensor::new([4, 1], vec![1.0, 2.0, 3.0, 4.0]);
    Tape::eval(|t| {
        layer.train(&t.constant(batch));
    });
    let var = layer.running().var.data()[0];
    assert!((var - (0.9 + 0.1 * 5.0 / 3.0)).abs() < 1e-15, "{var}");
}

/// burn: a frozen Batch Norm cannot be expressed. dfdx: evaluating with a tape panics.
#[test]
fn frozen_batch_norm_is_differentiable() {
    let mut layer = BatchNorm::<f64>::new(2);
    Tape::eval(|t| {
        layer.train(&t.constant(normal(&[16, 2], 1)));
    });
    let before = layer.running().clone();
    let x = Param::new("x", normal(&[3, 2], 2));
    let dy = normal(&[3, 2], 3);
    let (_, grads) = Tape::new().vjp(&dy, |t| layer.eval(&t.param(&x)));
    for (i, (dx, dy)) in grads.of(&x).data().iter().zip(dy.data()).enumerate() {
        let var = before.var.data()[i % 2];
        // gamma is 1: dx = dy / √(running_var + eps).
        assert!((dx - dy / (var + 1e-5).sqrt()).abs() < 1e-14);
    }
    assert_eq!(
        layer.running().var,
        before.var,
        "evaluation must not move the statistics"
    );
}

/// dfdx: `x * x` panics.
#[test]
fn dfdx_a_value_times_itself() {
    let x = Param::new("x", Tensor::new([2], vec![3.0_f32, -2.0]));
    let (_, grads) = Tape::new().grad(|t| {
        let x = t.param(&x);
        (&x * &x).sum_all()
    });
    assert_eq!(grads.of(&x).data(), [6.0, -4.0]);
}

/// d2l: "LN(x) ≈ LN(αx) for any α ≠ 0". A negative α flips the sign.
#[test]
fn d2l_a_negative_scale_flips_the_sign() {
    let layer = LayerNorm::<f64>::new([16]).with_eps(1e-290);
    let x = normal(&[2, 16], 5);
    let out = |x: Tensor<f64>| Tape::eval(|t| layer.forward(&t.constant(x)).value().to_vec());
    let (plain, flipped) = (out(x.clone()), out(x.map(|v| -3.0 * v)));
    for (a, b) in plain.iter().zip(&flipped) {
        assert!((a + b).abs() < 1e-12 && a.abs() > 1e-3);
    }
}

/// minitorch: checked through the `sum()` of the output, `dx = 0` passes for Batch Norm,
/// because the true gradient is zero too. Our checker refuses to call that a check.
#[test]
fn minitorch_a_constant_upstream_gradient_proves_nothing() {
    let (n, c) = (6, 2);
    let x = normal(&[n, c], 7).to_vec();
    let forward = |inputs: &[Vec<f64>]| {
        let mut layer = BatchNorm::<f64>::new(c);
        Tape::eval(|t| {
            layer
                .train(&t.constant(Tensor::new([n, c], inputs[0].clone())))
                .value()
                .to_vec()
        })
    };
    let report = Check::new("batch norm through sum()")
        .input("x", &[n, c], x.clone())
        .upstream(vec![1.0; n * c])
        .run(forward, |_, dy| vec![vec![0.0; dy.len()]]);
    assert!(!report.passed(), "a vacuous check must not pass:\n{report}");

    // With a random upstream gradient the same wrong gradient is caught.
    let report = Check::new("batch norm, random upstream")
        .input("x", &[n, c], x)
        .run(forward, |_, dy| vec![vec![0.0; dy.len()]]);
    assert!(!report.passed());
}

/// makemore part 4: the comparison broadcasts, so a gradient of the wrong shape passes.
#[test]
fn makemore_a_gradient_of_the_wrong_shape() {
    let report = Check::new("row sums")
        .input("x", &[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .run(
            |x| x[0].iter().map(|v| v * v).collect(),
            // One row instead of two.
            |x, dy| vec![(0..3).map(|i| 2.0 * x[0][i] * dy[i]).collect()],
        );
    assert!(!report.passed());
    let shape_fault = report
        .faults
        .iter()
        .any(|fault| matches!(fault, Fault::Shape { .. }));
    assert!(shape_fault, "{report}");
}

//! What Layer Norm does not see: a shift of a row, and a positive scale.

use layernorm::{LayerNorm, RmsNorm};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Tape, Tensor};

const D: usize = 50;

fn x() -> Tensor<f64> {
    Tensor::randn([4, D], &mut StdRng::seed_from_u64(1))
}

/// Layer Norm without parameters; a variance of about 1 makes eps = 10⁻¹² invisible.
fn ln(x: &Tensor<f64>) -> Tensor<f64> {
    let ln = LayerNorm::new([D]).without_affine().with_eps(1e-12);
    Tape::eval(|t| ln.forward(&t.constant(x.clone())).value().clone())
}

fn rms(x: &Tensor<f64>) -> Tensor<f64> {
    let rms = RmsNorm::new([D]).without_affine().with_eps(1e-12);
    Tape::eval(|t| rms.forward(&t.constant(x.clone())).value().clone())
}

/// The largest difference between two tensors.
fn distance(a: &Tensor<f64>, b: &Tensor<f64>) -> f64 {
    let differences = a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f64::max)
}

#[test]
fn a_shift_is_not_seen() {
    for shift in [-7.0, 0.1, 1000.0] {
        let shifted = x().map(|x| x + shift);
        assert!(distance(&ln(&shifted), &ln(&x())) < 1e-11, "shift {shift}");
        assert!(
            distance(&rms(&shifted), &rms(&x())) > 0.01,
            "RMS Norm sees shift {shift}"
        );
    }
}

#[test]
fn a_positive_scale_is_not_seen() {
    for scale in [0.01, 3.0, 1e6] {
        let scaled = x().map(|x| x * scale);
        assert!(distance(&ln(&scaled), &ln(&x())) < 1e-7, "scale {scale}");
        assert!(distance(&rms(&scaled), &rms(&x())) < 1e-7, "scale {scale}");
    }
}

/// Dive into Deep Learning writes that LN(x) ≈ LN(αx) for any α ≠ 0. A negative α flips
/// the sign of every output.
#[test]
fn d2l_forgot_that_a_negative_scale_flips_the_sign() {
    for scale in [-1.0, -0.01, -1e6] {
        let scaled = x().map(|x| x * scale);
        let flipped = ln(&x()).map(|y| -y);
        assert!(distance(&ln(&scaled), &flipped) < 1e-7, "scale {scale}");
        assert!(distance(&ln(&scaled), &ln(&x())) > 1.0, "scale {scale}");
        let flipped = rms(&x()).map(|y| -y);
        assert!(distance(&rms(&scaled), &flipped) < 1e-7, "scale {scale}");
    }
}

/// eps is added to a variance: where the variance is no larger, the scale is seen.
#[test]
fn eps_breaks_the_scale_invariance_of_small_rows() {
    let ln = LayerNorm::new([D]).without_affine().with_eps(1e-5);
    let run = |scale: f64| {
        let x = x().map(|x| x * scale);
        Tape::eval(|t| ln.forward(&t.constant(x.clone())).value().clone())
    };
    let deviation = |y: &Tensor<f64>| {
        let row = &y.data()[..D];
        (row.iter().map(|y| y * y).sum::<f64>() / D as f64).sqrt()
    };
    assert!((deviation(&run(1.0)) - 1.0).abs() < 1e-4);
    // Variance about 10⁻⁸ against eps 10⁻⁵: the deviation is about √(10⁻³).
    assert!(deviation(&run(1e-4)) < 0.05);
}

/// The gradient lives where the output can change: across a shift and a scale of the row
/// it must vanish.
#[test]
fn the_gradient_is_orthogonal_to_what_is_not_seen() {
    let ln = LayerNorm::new([D]).without_affine().with_eps(1e-290);
    let x = Param::new("x", x());
    let dy = Tensor::randn([4, D], &mut StdRng::seed_from_u64(2));
    let (_, grads) = Tape::new().vjp(&dy, |t| ln.forward(&t.param(&x)));
    let dx = grads.of(&x);
    for (dx, x) in dx.data().chunks(D).zip(x.value().data().chunks(D)) {
        assert!(dx.iter().any(|dx| dx.abs() > 0.1));
        assert!(dx.iter().sum::<f64>().abs() < 1e-12);
        assert!(dx.iter().zip(x).map(|(dx, x)| dx * x).sum::<f64>().abs() < 1e-12);
    }
}

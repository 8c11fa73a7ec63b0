//! f32 against f64, where the mean of a row dwarfs its deviation; and what peers get
//! wrong there.

use layernorm::{LayerNorm, RmsNorm, fused, rms, staged};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Real, Tape, Tensor};

const D: usize = 96;
const ROWS: usize = 70;

fn normal(n: usize, seed: u64) -> Vec<f32> {
    Tensor::randn([n], &mut StdRng::seed_from_u64(seed)).to_vec()
}

fn widen(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// The largest difference, and the largest true value.
fn error(got: &[f32], truth: &[f64]) -> (f64, f64) {
    let differences = got
        .iter()
        .zip(truth)
        .map(|(g, t)| (f64::from(*g) - t).abs());
    let sizes = truth.iter().map(|t| t.abs());
    (differences.fold(0.0, f64::max), sizes.fold(0.0, f64::max))
}

/// Layer Norm in `f32` held against staged in `f64`, whose exponents reach eight times as
/// far: how far off each result is, in epsilons of its largest value.
fn layer_norm_off(x: &[f32], gamma: &[f32], dy: &[f32]) -> [(&'static str, f64); 4] {
    let (rows, d) = (x.len() / gamma.len(), gamma.len());
    let beta = normal(d, 3);
    let (mut y, mut stats) = (vec![0.0; rows * d], vec![[0.0; 3]; rows]);
    fused::forward(x, gamma, &beta, 1e-5, &mut y, &mut stats);
    let (mut dx, mut dgamma, mut dbeta) = (dy.to_vec(), vec![0.0; d], vec![0.0; d]);
    let saved = fused::Saved {
        x,
        gamma,
        stats: &stats,
    };
    fused::backward(saved, None, &mut dx, &mut dgamma, &mut dbeta);

    let [x, gamma, beta, dy] = [x, gamma, &beta, dy].map(widen);
    let f = staged::forward(&x, &gamma, &beta, 1e-5);
    let b = staged::backward(&f, &gamma, &dy);
    [
        ("y", epsilons(&y, &f.y)),
        ("dx", epsilons(&dx, &b.dx)),
        ("dgamma", epsilons(&dgamma, &b.dgamma)),
        ("dbeta", epsilons(&dbeta, &b.dbeta)),
    ]
}

/// The same for RMS Norm.
fn rms_norm_off(x: &[f32], gamma: &[f32], dy: &[f32]) -> [(&'static str, f64); 3] {
    let (rows, d) = (x.len() / gamma.len(), gamma.len());
    let (mut y, mut rstd) = (vec![0.0; rows * d], vec![0.0; rows]);
    rms::fused::forward(x, gamma, 1e-5, &mut y, &mut rstd);
    let (mut dx, mut dgamma) = (dy.to_vec(), vec![0.0; d]);
    let saved = rms::fused::Saved {
        x,
        gamma,
        rstd: &rstd,
    };
    rms::fused::backward(saved, None, &mut dx, &mut dgamma);

    let [x, gamma, dy] = [x, gamma, dy].map(widen);
    let f = rms::staged::forward(&x, &gamma, 1e-5);
    let b = rms::staged::backward(&f, &x, &gamma, &dy);
    [
        ("y", epsilons(&y, &f.y)),
        ("dx", epsilons(&dx, &b.dx)),
        ("dgamma", epsilons(&dgamma, &b.dgamma)),
    ]
}

fn epsilons(got: &[f32], truth: &[f64]) -> f64 {
    let (error, size) = error(got, truth);
    error / size / f64::from(f32::EPSILON)
}

/// Rows with deviation 4 around `offset`, exact in f32: the f32 kernel may be off by
/// rounding of its results, and by nothing that grows with the offset.
#[test]
fn a_large_mean_costs_no_accuracy() {
    for offset in [0.0, 1e3, 1e4, 1e6, -1e6] {
        let x: Vec<f32> = normal(ROWS * D, 1)
            .iter()
            .map(|x| 4.0 * x + offset)
            .collect();
        for (name, off) in layer_norm_off(&x, &normal(D, 2), &normal(ROWS * D, 4)) {
            assert!(off < 4.0, "{name} is {off:.1} ulps off at offset {offset}");
        }
    }
}

/// A variance computed as E[x²] − E[x]² in f32 cancels: candle returns ±1106.8 for
/// these rows. The true values are ±1.53.
#[test]
fn candle_lost_the_variance_of_large_means() {
    let x = Tensor::from_fn([2, 8], |i| 1e4 + (i % 8) as f32);
    let ln = LayerNorm::<f32>::new([8]);
    let y = Tape::eval(|t| ln.forward(&t.constant(x.clone())).value().clone());
    for row in y.data().chunks(8) {
        for (i, y) in row.iter().enumerate() {
            // Deviations −3.5 … 3.5 in units of their root mean square, √5.25.
            let truth = (i as f64 - 3.5) / (5.25_f64 + 1e-5).sqrt();
            assert!(
                (f64::from(*y) - truth).abs() < 1e-6,
                "{y} instead of {truth}"
            );
        }
    }
    assert!((y.data()[7] - 1.53).abs() < 0.01);
}

/// candle's default layer norm is an op without a backward: the call succeeds, and the
/// parameters below it get no gradient at all.
#[test]
fn candle_returned_no_gradient_through_layer_norm() {
    let w = Param::new("w", Tensor::new([1, 3], vec![0.5_f32, -1.0, 2.0]));
    let (ln, rms) = (LayerNorm::<f32>::new([3]), RmsNorm::<f32>::new([3]));
    let dy = Tensor::new([1, 3], vec![1.0, 0.0, 0.0]);
    let (_, grads) = Tape::new().vjp(&dy, |t| ln.forward(&t.param(&w)));
    let dw = grads.get(&w).expect("a gradient below the layer");
    assert!(dw.data().iter().all(|dw| dw.abs() > 1e-3), "{dw:?}");
    assert!(ln.params().iter().all(|p| grads.get(p).is_some()));
    let (_, grads) = Tape::new().vjp(&dy, |t| rms.forward(&t.param(&w)));
    let dw = grads.get(&w).expect("a gradient below the layer");
    assert!(dw.data().iter().all(|dw| dw.abs() > 1e-3), "{dw:?}");
}

/// Squares overflow `f32` from 1.8·10¹⁹ on. PyTorch returns `beta` for such rows, and no
/// gradient.
#[test]
fn regression_pytorch_huge_rows_are_normalized_like_others() {
    // A single row, so that dgamma is not a sum of small and large.
    for exponent in [-18, -3, 0, 6, 18, 19, 20, 30, 37] {
        let x: Vec<f32> = normal(D, 1)
            .iter()
            .map(|x| x * 10_f32.powi(exponent))
            .collect();
        let (gamma, dy) = (normal(D, 2), normal(D, 4));
        let layer = layer_norm_off(&x, &gamma, &dy);
        for (name, off) in layer.into_iter().chain(rms_norm_off(&x, &gamma, &dy)) {
            // Of a dx near 10⁻³⁸, f32 holds only the leading digits.
            let bound = if name == "dx" && exponent > 36 {
                1e4
            } else {
                6.0
            };
            assert!(off < bound, "{name} of 10^{exponent} is {off:.1} ulps off");
        }
    }
}

#[test]
fn a_row_from_end_to_end_of_the_type_is_normalized() {
    let x: Vec<f32> = (0..D).map(|i| [f32::MAX, -f32::MAX][i % 2]).collect();
    let (y, _) = forward(&x, 1e-5);
    let signed = y.iter().zip(&x).map(|(y, x)| y * x.signum());
    assert!(signed.clone().all(|y| (y - 1.0).abs() < 1e-6), "{y:?}");
    // In f64, squares overflow later.
    let (y, stats) = forward(&[1e200, 3e200, 5e200, 3e200], 1e-5);
    assert!(
        (y[2] - 2_f64.sqrt()).abs() < 1e-15 && y[1].abs() < 1e-15,
        "{y:?}"
    );
    assert!((stats[0][2] * 1e200 - 0.5_f64.sqrt()).abs() < 1e-15);
    // One value is further from the mean than the type reaches, backward as well.
    let mut x = [f32::MAX; D];
    x[D / 2] = -f32::MAX;
    for (name, off) in layer_norm_off(&x, &normal(D, 2), &normal(D, 4)) {
        // Of a dx near 10⁻³⁸, f32 holds only the leading digits.
        let bound = if name == "dx" { 1e4 } else { 6.0 };
        assert!(off < bound, "{name} is {off:.1} ulps off");
    }
}

/// Output, and `[shift, offset, rstd]`, of one row without scale and shift.
fn forward<T: Real>(x: &[T], eps: T) -> (Vec<T>, Vec<[T; 3]>) {
    let (mut y, mut stats) = (vec![T::NAN; x.len()], vec![[T::NAN; 3]]);
    let (gamma, beta) = (vec![T::ONE; x.len()], vec![T::ZERO; x.len()]);
    fused::forward(x, &gamma, &beta, eps, &mut y, &mut stats);
    (y, stats)
}

#[test]
fn a_huge_constant_row_is_beta_and_its_variance_is_0() {
    for constant in [1e18, 1e20, 3e38, f32::MAX, -f32::MAX] {
        let (y, stats) = forward(&[constant; D], 1e-5);
        assert_eq!(y, [0.0; D], "{constant:e}");
        assert_eq!(stats, [[constant, 0.0, 1.0 / 1e-5_f32.sqrt()]]);
    }
}

#[test]
fn a_row_that_is_not_finite_becomes_nan() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = normal(D, 1);
        x[D / 2] = bad;
        let (y, _) = forward(&x, 1e-5);
        assert!(y.iter().all(|y| y.is_nan()), "{bad}: {y:?}");
        let (mut y, mut rstd) = (vec![0.0; D], [0.0]);
        rms::fused::forward(&x, &[1.0; D], 1e-5, &mut y, &mut rstd);
        assert!(y[D / 2].is_nan(), "{bad}: {y:?}");
    }
}

/// The values next to 0, whose squares are 0: eps decides, and the row is scaled by 1/√eps.
#[test]
fn tiny_rows_keep_their_digits() {
    for exponent in [-20, -30, -37] {
        let x: Vec<f32> = normal(D, 1)
            .iter()
            .map(|x| x * 10_f32.powi(exponent))
            .collect();
        let (gamma, dy) = (normal(D, 2), normal(D, 4));
        let (y, _) = forward(&x, 1e-5);
        let mean = widen(&x).iter().sum::<f64>() / D as f64;
        let truth: Vec<f64> = (widen(&x).iter())
            .map(|x| (x - mean) / f64::from(1e-5_f32).sqrt())
            .collect();
        let off = epsilons(&y, &truth);
        assert!(off < 4.0, "y of 10^{exponent} is {off:.1} ulps off");
        for (name, off) in layer_norm_off(&x, &gamma, &dy) {
            assert!(off < 6.0, "{name} of 10^{exponent} is {off:.1} ulps off");
        }
    }
}

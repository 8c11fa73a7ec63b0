//! f32 against f64, where the mean of a row dwarfs its deviation; and what peers get
//! wrong there.

use layernorm::{LayerNorm, RmsNorm, fused, staged};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Tape, Tensor};

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

/// Rows with deviation 4 around `offset`, exact in f32: the f32 kernel may be off by
/// rounding of its results, and by nothing that grows with the offset.
#[test]
fn a_large_mean_costs_no_accuracy() {
    for offset in [0.0, 1e3, 1e4, 1e6, -1e6] {
        let x: Vec<f32> = normal(ROWS * D, 1)
            .iter()
            .map(|x| 4.0 * x + offset)
            .collect();
        let (gamma, beta, dy) = (normal(D, 2), normal(D, 3), normal(ROWS * D, 4));

        let (mut y, mut mean, mut rstd) = (vec![0.0; ROWS * D], vec![0.0; ROWS], vec![0.0; ROWS]);
        fused::forward(&x, &gamma, &beta, 1e-5, &mut y, &mut mean, &mut rstd);
        let (mut dx, mut dgamma, mut dbeta) = (dy.clone(), vec![0.0; D], vec![0.0; D]);
        let saved = fused::Saved {
            x: &x,
            gamma: &gamma,
            mean: &mean,
            rstd: &rstd,
        };
        fused::backward(saved, None, &mut dx, &mut dgamma, &mut dbeta);

        let (x, gamma, beta, dy) = (widen(&x), widen(&gamma), widen(&beta), widen(&dy));
        let f = staged::forward(&x, &gamma, &beta, 1e-5);
        let b = staged::backward(&f, &gamma, &dy);
        for (name, got, truth) in [
            ("y", &y, &f.y),
            ("rstd", &rstd, &f.rstd),
            ("dx", &dx, &b.dx),
            ("dgamma", &dgamma, &b.dgamma),
            ("dbeta", &dbeta, &b.dbeta),
        ] {
            let (error, size) = error(got, truth);
            let ulps = error / size / f64::from(f32::EPSILON);
            assert!(
                ulps < 4.0,
                "{name} is {ulps:.1} ulps off at offset {offset}"
            );
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
    let (_, _, grads) = Tape::new().vjp(&dy, |t| (ln.forward(&t.param(&w)), ()));
    let dw = grads.get(&w).expect("a gradient below the layer");
    assert!(dw.data().iter().all(|dw| dw.abs() > 1e-3), "{dw:?}");
    assert!(ln.params().iter().all(|p| grads.get(p).is_some()));
    let (_, _, grads) = Tape::new().vjp(&dy, |t| (rms.forward(&t.param(&w)), ()));
    let dw = grads.get(&w).expect("a gradient below the layer");
    assert!(dw.data().iter().all(|dw| dw.abs() > 1e-3), "{dw:?}");
}

/// An outlier in first place, from which the row is measured, must not spoil the rest.
#[test]
fn an_outlier_in_first_place_is_no_worse_than_elsewhere() {
    let worst = |place: usize| {
        let mut x = normal(D, 1);
        x[place] = 1e6;
        let (gamma, beta) = (vec![1.0; D], vec![0.0; D]);
        let (mut y, mut mean, mut rstd) = (vec![0.0; D], [0.0], [0.0]);
        fused::forward(&x, &gamma, &beta, 1e-5, &mut y, &mut mean, &mut rstd);
        let truth = staged::forward(&widen(&x), &widen(&gamma), &widen(&beta), 1e-5);
        let (error, size) = error(&y, &truth.y);
        error / size / f64::from(f32::EPSILON)
    };
    assert!(worst(0) < 4.0, "{} ulps", worst(0));
    assert!(worst(D / 2) < 4.0, "{} ulps", worst(D / 2));
}

/// The same row with values of any size: only a variance that overflows f32 is lost.
#[test]
fn rows_of_every_size_are_normalized() {
    for exponent in [-15, -3, 0, 6, 18] {
        let x: Vec<f32> = normal(D, 1)
            .iter()
            .map(|x| x * 10_f32.powi(exponent))
            .collect();
        let ln = LayerNorm::<f32>::new([D]).with_eps(0.0);
        let x = Tensor::new([1, D], x);
        let y = Tape::eval(|t| ln.forward(&t.constant(x.clone())).value().clone());
        let mean_square = y.data().iter().map(|y| y * y).sum::<f32>() / D as f32;
        assert!(
            (mean_square - 1.0).abs() < 1e-5,
            "10^{exponent}: {mean_square}"
        );
    }
}

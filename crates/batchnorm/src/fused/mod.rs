//! Batch Norm in closed form, in kernels that read memory as seldom as they can.
//!
//! Forward, each channel is read for its statistics and once more for `y`; backward, for
//! the two sums and once more for `dx`. The second reading comes right after the first
//! and finds the channel in a cache, as long as it fits one. Only `x` is kept for the
//! backward pass, and it is shared with whoever made it; `x̂` is computed again from the
//! C means and variances. `dx` is written over `dy`. (Book, chapters 8 and 9.)
//!
//! These functions work on slices and know nothing of the tape; [`op`](crate::op)
//! records them. All take a batch laid out as `layout` says, and one value of `gamma`
//! and `beta` per channel.
//!
//! `passes` are made of three kernels for each `walk`: along `planes` where a channel has
//! many positions, along `rows` where it has few. `columns`: the arithmetic for one value.
//! `slab`: the part of a batch that one thread writes. `extremes`: channels whose values are
//! too large to be squared.

mod columns;
mod extremes;
mod passes;
mod planes;
mod rows;
mod slab;
mod walk;

use tape::Real;

use crate::moments::Moments;
use crate::{Layout, staged};

pub use passes::{Batch, ParameterGradients};

/// Normalizes a batch by its own statistics: writes `y` and returns the statistics.
///
/// A channel of finite values has a finite `y`, however large or small they are, unless
/// gamma and beta make it infinite. A channel that holds an infinity or NaN becomes NaN.
///
/// # Panics
/// If a slice's length does not fit the layout.
#[track_caller]
pub fn forward<T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
    y: &mut [T],
) -> Moments<T::Wide> {
    layout.check("x", x.len());
    layout.check("y", y.len());
    layout.check_channels("gamma", gamma.len());
    layout.check_channels("beta", beta.len());
    let mut moments = passes::forward(layout, x, gamma, beta, eps, y);
    for c in extremes::channels::<T>(&moments) {
        extremes::forward(layout, x, c, [gamma[c], beta[c]], eps, y, &mut moments);
    }
    moments
}

/// The gradients of [`forward`] for an upstream gradient `dy`: writes `dx`, and returns the
/// others. Without a `dy`, `dx` holds the upstream gradient on entry and is overwritten: the
/// pass then touches less memory.
///
/// # Panics
/// If a slice's length does not fit the layout.
#[track_caller]
pub fn backward<T: Real>(
    batch: Batch<'_, T>,
    dy: Option<&[T]>,
    dx: &mut [T],
) -> ParameterGradients<T> {
    let Batch {
        layout,
        x,
        gamma,
        moments,
    } = batch;
    layout.check("x", x.len());
    layout.check("dy", dy.map_or(dx.len(), <[T]>::len));
    layout.check("dx", dx.len());
    layout.check_channels("gamma", gamma.len());
    moments.check(layout);
    // Before dx is written over dy, perhaps.
    let extremes: Vec<_> = (extremes::channels::<T>(moments).into_iter())
        .map(|c| (c, staged::gather(layout, dy.unwrap_or(dx), c)))
        .collect();
    let mut parameters = passes::backward(batch, dy, dx);
    for (c, mut channel) in extremes {
        let x = staged::gather(layout, x, c);
        parameters.dgamma[c] = extremes::backward(x, gamma[c], moments, c, &mut channel);
        staged::scatter(layout, &channel, c, dx);
    }
    parameters
}

/// Normalizes a batch by given statistics, such as running ones: a straight line for
/// each channel.
///
/// # Panics
/// If a slice's length does not fit the layout.
#[track_caller]
pub fn forward_frozen<T: Real>(
    layout: &Layout,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    moments: &Moments<T::Wide>,
    y: &mut [T],
) {
    layout.check("x", x.len());
    layout.check("y", y.len());
    layout.check_channels("gamma", gamma.len());
    layout.check_channels("beta", beta.len());
    moments.check(layout);
    passes::forward_frozen(layout, x, gamma, beta, moments, y);
}

/// The gradient of [`forward_frozen`] by `x`: writes `dx = dy · γ·rstd`. The statistics
/// do not depend on `x`, so there is no other path.
///
/// # Panics
/// If a slice's length does not fit the layout.
#[track_caller]
pub fn backward_frozen<T: Real>(
    layout: &Layout,
    gamma: &[T],
    moments: &Moments<T::Wide>,
    dy: &[T],
    dx: &mut [T],
) {
    layout.check("dy", dy.len());
    layout.check("dx", dx.len());
    layout.check_channels("gamma", gamma.len());
    moments.check(layout);
    passes::backward_frozen(layout, gamma, moments, dy, dx);
}

/// The gradients of [`forward`] and of [`forward_frozen`] by `gamma` and `beta` alone.
///
/// # Panics
/// If a slice's length does not fit the layout.
#[track_caller]
pub fn parameter_gradients<T: Real>(
    layout: &Layout,
    x: &[T],
    moments: &Moments<T::Wide>,
    dy: &[T],
) -> ParameterGradients<T> {
    layout.check("x", x.len());
    layout.check("dy", dy.len());
    moments.check(layout);
    let mut parameters = passes::parameter_gradients(layout, x, moments, dy);
    for c in extremes::channels::<T>(moments) {
        let [x, mut dy] = [x, dy].map(|batch| staged::gather(layout, batch, c));
        parameters.dgamma[c] = extremes::backward(x, T::ONE, moments, c, &mut dy);
    }
    parameters
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::passes::{normalize, project};
    use super::planes::Planes;
    use super::rows::Rows;
    use super::walk::Walk;
    use super::*;
    use crate::moments::Seen;
    use crate::testing::{Case, Results, SHAPES, check_gradients, distance};

    const EPS: f64 = 1e-3;

    fn run<T: Real>(case: &Case<T>) -> Results<T> {
        let mut y = vec![T::NAN; case.x.len()];
        let moments = forward(&case.layout, &case.x, &case.gamma, &case.beta, EPS, &mut y);
        let mut dx = case.dy.clone();
        let parameters = backward(case.batch(&moments), None, &mut dx);
        (y, [dx, parameters.dgamma, parameters.dbeta])
    }

    /// Along one walk, whatever the layout.
    fn run_along<W: Walk, T: Real<Wide = f64>>(case: &Case<T>) -> Results<T> {
        let layout = &case.layout;
        let values = layout.values_per_channel() as f64;
        let mut y = vec![T::NAN; case.x.len()];
        let mut seen = vec![Seen::default(); layout.channels];
        let (x, gamma, beta) = (&case.x, &case.gamma, &case.beta);
        normalize::<W, T>(layout, x, gamma, beta, EPS, &mut y, &mut seen);
        let moments = Moments::new(
            seen.iter().map(|seen| seen.mean).collect(),
            seen.iter().map(|seen| seen.squares / values).collect(),
            EPS,
        );
        let mut dx = case.dy.clone();
        let mut sums = vec![[0.0; 2]; layout.channels];
        project::<W, T>(case.batch(&moments), None, &mut dx, &mut sums);
        let ParameterGradients { dgamma, dbeta } = ParameterGradients::from_sums(&sums);
        (y, [dx, dgamma, dbeta])
    }

    fn run_staged<T: Real>(case: &Case<T>) -> Results<T> {
        let (layout, gamma) = (&case.layout, &case.gamma);
        let (y, stages) = staged::forward(layout, &case.x, gamma, &case.beta, EPS);
        let (dx, stages) = staged::backward(layout, &stages, gamma, &case.dy);
        let dgamma = stages.iter().map(|stage| stage.dgamma).collect();
        let dbeta = stages.iter().map(|stage| stage.dbeta).collect();
        (y, [dx, dgamma, dbeta])
    }

    #[track_caller]
    fn assert_close<T: Real, U: Real>(a: &Results<T>, b: &Results<U>, bound: f64, what: &str) {
        let apart = distance(&a.0, &b.0);
        assert!(apart < bound, "{what}: y is {apart:e} off");
        for (name, (a, b)) in ["dx", "dgamma", "dbeta"].iter().zip(a.1.iter().zip(&b.1)) {
            let apart = distance(a, b);
            assert!(apart < bound, "{what}: {name} is {apart:e} off");
        }
    }

    #[test]
    fn gradient() {
        check_gradients(run);
    }

    #[test]
    fn gradient_along_either_walk() {
        check_gradients(run_along::<Planes, f64>);
        check_gradients(run_along::<Rows, f64>);
    }

    #[test]
    fn dy_can_be_kept() {
        for shape in SHAPES {
            let case = Case::<f32>::new(shape, 8);
            let (x, dy) = (&case.x, &case.dy);
            let mut y = vec![0.0; x.len()];
            let moments = forward(&case.layout, x, &case.gamma, &case.beta, EPS, &mut y);
            let (mut over, mut apart) = (dy.clone(), vec![f32::NAN; dy.len()]);
            let first = backward(case.batch(&moments), None, &mut over);
            let second = backward(case.batch(&moments), Some(dy), &mut apart);
            assert_eq!((over, first), (apart, second));
        }
    }

    #[test]
    fn statistics_are_returned() {
        let layout = Layout::of(&[2, 1, 2]);
        let mut y = [0.0; 4];
        let moments = forward(&layout, &[1.0, 3.0, 5.0, 3.0], &[10.0], &[7.0], 2.0, &mut y);
        assert_eq!(moments, Moments::new(vec![3.0], vec![2.0], 2.0));
        assert_eq!(y, [-3.0, 7.0, 17.0, 7.0]);
    }

    /// Sizes at and around every edge in the kernels: lanes, blocks, rows walked
    /// together, groups of columns, planes in a block and pieces of a plane.
    #[test]
    fn equals_staged_at_every_edge() {
        let shapes: [&[usize]; 14] = [
            &[2, 1],
            &[3, 33],
            &[4, 32],
            &[32, 5],
            &[33, 5],
            &[67, 3],
            &[3, 2049],
            &[2, 100, 49],
            &[9, 3, 16],
            &[40, 2, 127],
            &[9, 2, 128],
            &[17, 2, 129],
            &[2, 2, 2048],
            &[3, 2, 4099],
        ];
        for shape in shapes {
            let case = Case::<f64>::new(shape, 11);
            let staged = run_staged(&case);
            let what = format!("{shape:?}");
            assert_close(&run(&case), &staged, 1e-11, &what);
            assert_close(&run_along::<Rows, _>(&case), &staged, 1e-11, &what);
            assert_close(&run_along::<Planes, _>(&case), &staged, 1e-11, &what);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn equals_staged_on_random_batches(
            n in 1_usize..40,
            c in 1_usize..6,
            l in prop_oneof![Just(1), 1_usize..20, 1_usize..400],
            mean in -50.0..50.0,
            deviation in 0.1..10.0,
            seed: u64,
        ) {
            prop_assume!(n * l > 2);
            let case = Case::<f64>::around(&[n, c, l], mean, deviation, seed);
            assert_close(&run(&case), &run_staged(&case), 1e-9, "");
        }
    }

    /// The mean of f32 values near 10⁶ is known to 0.03 in f32, and they lie 4 apart.
    #[test]
    fn f32_loses_nothing_to_a_large_mean() {
        for shape in [&[64, 3][..], &[16, 3, 25], &[5, 3, 700], &[1, 2, 5000]] {
            for offset in [0.0, 1e3, 1e4, 1e6, -1e6] {
                let case = Case::<f32>::around(shape, offset, 4.0, 5);
                let exact = run_staged(&case.wide());
                assert_close(&run(&case), &exact, 4e-6, &format!("{shape:?} at {offset}"));
            }
        }
    }

    /// candle computes f32 variances as E[x²] − E[x]²: rows of 1e4 + 0..7 come out
    /// between ±1106.8 instead of ±1.53.
    #[test]
    fn regression_candle_variance_of_a_ramp_far_from_zero() {
        for shape in [&[8, 1][..], &[1, 1, 8]] {
            let layout = Layout::of(shape);
            let x: Vec<f32> = (0..8_u8).map(|i| 1e4 + f32::from(i)).collect();
            let mut y = [0.0; 8];
            let moments = forward(&layout, &x, &[1.0], &[0.0], 1e-5, &mut y);
            assert_eq!((moments.mean[0], moments.var[0]), (10_003.5, 5.25));
            assert!((y[7] - 1.527_524).abs() < 1e-6 && y[0] == -y[7], "{y:?}");
        }
    }

    #[test]
    fn a_constant_channel_becomes_beta() {
        for shape in [&[7, 2][..], &[7, 2, 9], &[70, 2, 300]] {
            let layout = Layout::of(shape);
            for constant in [0.0, 0.1, 1e-20, -1e6, 16_777_213.0] {
                let x = vec![constant; layout.count()];
                let mut y = vec![f32::NAN; x.len()];
                let moments = forward(&layout, &x, &[3.0, 1.0], &[0.5, 0.5], 1e-5, &mut y);
                assert_eq!(moments.var, [0.0, 0.0], "{constant}");
                assert!(y.iter().all(|&y| y == 0.5), "{constant}");
                let mut dx: Vec<f32> = (0..x.len()).map(|i| (i % 5) as f32).collect();
                let batch = Batch {
                    layout: &layout,
                    x: &x,
                    gamma: &[3.0, 1.0],
                    moments: &moments,
                };
                backward(batch, None, &mut dx);
                assert!(dx.iter().all(|dx| dx.is_finite()), "{constant}");
            }
        }
    }

    #[test]
    fn a_nan_stays_in_its_channel() {
        for shape in [&[5, 3][..], &[5, 3, 4], &[5, 3, 300]] {
            let mut case = Case::<f32>::new(shape, 9);
            let layout = case.layout;
            case.x[layout.range(2, 1..2).start] = f32::NAN;
            let (y, [dx, dgamma, _]) = run(&case);
            for values in [y, dx] {
                for n in 0..5 {
                    assert!(values[layout.range(n, 0..1)].iter().all(|v| v.is_finite()));
                    assert!(values[layout.range(n, 1..2)].iter().all(|v| v.is_nan()));
                    assert!(values[layout.range(n, 2..3)].iter().all(|v| v.is_finite()));
                }
            }
            assert!(dgamma[0].is_finite() && dgamma[1].is_nan() && dgamma[2].is_finite());
        }
    }

    /// Book, section 8.4: `dx` is a projection. It sums to zero, because every column of
    /// `I − 11ᵀ/M` does. Against x̂ only what eps leaves remains: since
    /// `Σ x̂² = M σ²/(σ² + eps)`, `Σ dx·x̂ = γ·rstd·dgamma · eps/(σ² + eps)`.
    #[test]
    fn dx_is_orthogonal_to_constants_and_nearly_to_x_hat() {
        for eps in [1e-12, 1e-5, 0.5] {
            for shape in [&[9, 2][..], &[4, 2, 5], &[3, 2, 300]] {
                let case = Case::<f64>::new(shape, 21);
                let Case {
                    layout, x, gamma, ..
                } = &case;
                let mut y = vec![0.0; x.len()];
                let moments = forward(layout, x, gamma, &case.beta, eps, &mut y);
                let mut dx = case.dy.clone();
                let dgamma = backward(case.batch(&moments), None, &mut dx).dgamma;
                for c in 0..layout.channels {
                    let (mean, var, rstd) = (moments.mean[c], moments.var[c], moments.rstd[c]);
                    let (mut sum, mut product, mut size) = (0.0, 0.0, 0.0);
                    for i in (0..layout.examples).flat_map(|n| layout.range(n, c..c + 1)) {
                        sum += dx[i];
                        product += dx[i] * (x[i] - mean) * rstd;
                        size += dx[i].abs();
                    }
                    let left = gamma[c] * rstd * dgamma[c] * eps / (var + eps);
                    assert!(sum.abs() < 1e-14 * size, "{shape:?}: the sum is {sum:e}");
                    assert!((product - left).abs() < 1e-13 * size, "{shape:?}, {eps}");
                }
            }
        }
    }

    fn run_frozen(case: &Case<f64>) -> Results<f64> {
        let layout = &case.layout;
        let channels = 0..layout.channels;
        let moments = Moments::new(
            channels.clone().map(|c| c as f64 - 0.4).collect(),
            channels.map(|c| c as f64 + 0.8).collect(),
            EPS,
        );
        let mut y = vec![f64::NAN; case.x.len()];
        forward_frozen(layout, &case.x, &case.gamma, &case.beta, &moments, &mut y);
        let parameters = parameter_gradients(layout, &case.x, &moments, &case.dy);
        let mut dx = vec![f64::NAN; case.x.len()];
        backward_frozen(layout, &case.gamma, &moments, &case.dy, &mut dx);
        (y, [dx, parameters.dgamma, parameters.dbeta])
    }

    #[test]
    fn gradient_frozen() {
        check_gradients(run_frozen);
    }

    #[test]
    fn nothing_in_nothing_out() {
        let moments = Moments::new(vec![1.0; 2], vec![3.0; 2], EPS);
        for shape in [&[0, 2][..], &[0, 2, 300], &[3, 2, 0], &[0, 2, 0]] {
            let layout = Layout::of(shape);
            forward_frozen::<f32>(&layout, &[], &[1.0; 2], &[0.0; 2], &moments, &mut []);
            backward_frozen::<f32>(&layout, &[1.0; 2], &moments, &[], &mut []);
            let zeros = ParameterGradients {
                dgamma: vec![0.0; 2],
                dbeta: vec![0.0; 2],
            };
            assert_eq!(
                parameter_gradients::<f32>(&layout, &[], &moments, &[]),
                zeros
            );
        }
        let moments = Moments::new(vec![], vec![], EPS);
        forward_frozen::<f32>(&Layout::of(&[3, 0]), &[], &[], &[], &moments, &mut []);
    }

    #[test]
    fn frozen_is_a_line_per_channel() {
        let layout = Layout::of(&[2, 2, 2]);
        let moments = Moments::new(vec![1.0, -2.0], vec![3.0, 15.0], 1.0);
        let mut y = [0.0; 8];
        let x = [1.0, 3.0, 2.0, 6.0, 5.0, 1.0, -2.0, -10.0];
        forward_frozen(&layout, &x, &[2.0, 4.0], &[10.0, 0.0], &moments, &mut y);
        assert_eq!(y, [10.0, 12.0, 4.0, 8.0, 14.0, 10.0, 0.0, -8.0]);
    }

    #[test]
    fn statistics_of_the_batch_given_as_fixed_ones_change_no_value() {
        let case = Case::<f32>::around(&[6, 3, 50], 1e5, 2.0, 3);
        let Case {
            layout,
            x,
            gamma,
            beta,
            dy,
            ..
        } = &case;
        let (mut y, mut fixed) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let moments = forward(layout, x, gamma, beta, EPS, &mut y);
        forward_frozen(layout, x, gamma, beta, &moments, &mut fixed);
        assert_eq!(y, fixed);
        let both = backward(case.batch(&moments), None, &mut dy.clone());
        assert_eq!(parameter_gradients(layout, x, &moments, dy), both);
    }

    #[test]
    #[should_panic(expected = "y has 5 values, but the layout N = 3, C = 2, L = 1 holds 6")]
    fn y_is_as_long_as_x() {
        let layout = Layout::of(&[3, 2]);
        forward(&layout, &[1.0; 6], &[1.0; 2], &[0.0; 2], EPS, &mut [0.0; 5]);
    }

    #[test]
    #[should_panic(expected = "beta has 3 values, but the layout has C = 2 channels")]
    fn beta_has_one_value_per_channel() {
        let layout = Layout::of(&[3, 2]);
        forward(&layout, &[1.0; 6], &[1.0; 2], &[0.0; 3], EPS, &mut [0.0; 6]);
    }

    #[test]
    #[should_panic(expected = "mean has 1 values, but the layout has C = 2 channels")]
    fn statistics_have_one_entry_per_channel() {
        let layout = Layout::of(&[3, 2]);
        let moments = Moments::new(vec![0.0], vec![1.0], EPS);
        backward_frozen(&layout, &[1.0; 2], &moments, &[0.0; 6], &mut [0.0; 6]);
    }
}

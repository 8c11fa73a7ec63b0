//! Channels whose values are too large to be squared.
//!
//! Their `rstd` gives them away. Each of them is taken out of the batch, multiplied by a
//! power of two, which rounds nothing, sent through the same kernels as a batch of one
//! channel, and put back. That is slow, and rare.

use tape::Real;
use tape::magnitude::{largest_to_one, squares_fit, to_one};

use super::passes::{self, Batch, ParameterGradients};
use crate::staged::{gather, scatter};
use crate::{Layout, Moments};

/// The channels that need it.
pub(super) fn channels<T: Real>(moments: &Moments<T::Wide>) -> Vec<usize> {
    let rstd = moments.rstd.iter().enumerate();
    rstd.filter(|(_, rstd)| !squares_fit(T::narrow(**rstd)))
        .map(|(c, _)| c)
        .collect()
}

/// A batch of one channel with that many values.
fn alone(values: usize) -> Layout {
    Layout {
        examples: 1,
        channels: 1,
        positions: values,
    }
}

/// Normalizes channel `c`: writes its `y` and its entries of `moments`.
pub(super) fn forward<T: Real>(
    layout: &Layout,
    x: &[T],
    c: usize,
    [gamma, beta]: [T; 2],
    eps: f64,
    y: &mut [T],
    moments: &mut Moments<T::Wide>,
) {
    let mut x = gather(layout, x, c);
    let unit = largest_to_one(&x);
    for x in &mut x {
        *x *= unit;
    }
    let (unit, eps_unit) = (unit.widen(), unit.to_f64());
    let mut channel = vec![beta; x.len()];
    let found = passes::forward(
        &alone(x.len()),
        &x,
        &[gamma],
        &[beta],
        eps * eps_unit * eps_unit,
        &mut channel,
    );
    moments.mean[c] = found.mean[0] / unit;
    moments.var[c] = found.var[0] / unit / unit;
    moments.rstd[c] = found.rstd[0] * unit;
    if found.var[0] == T::Wide::ZERO {
        // A constant: x̂ is 0, while its rstd in these units need not be a T.
        channel.fill(beta);
    }
    scatter(layout, &channel, c, y);
}

/// The gradients of a channel with these `x` and statistics: turns its `dy` into `dx`, and
/// returns `dgamma`.
pub(super) fn backward<T: Real>(
    mut x: Vec<T>,
    gamma: T,
    moments: &Moments<T::Wide>,
    c: usize,
    dy: &mut [T],
) -> T {
    let unit = T::Wide::ONE / to_one(moments.rstd[c]);
    for x in &mut x {
        *x *= T::narrow(unit);
    }
    let moments = Moments {
        mean: vec![moments.mean[c] * unit],
        var: vec![moments.var[c] * unit * unit],
        rstd: vec![moments.rstd[c] / unit],
    };
    let batch = Batch {
        layout: &alone(x.len()),
        x: &x,
        gamma: &[gamma],
        moments: &moments,
    };
    let ParameterGradients { dgamma, .. } = passes::backward(batch, None, dy);
    for dx in dy {
        *dx *= T::narrow(unit);
    }
    dgamma[0]
}

#[cfg(test)]
mod tests {
    use crate::testing::{Case, distance, wide};
    use crate::{Layout, fused, staged};

    /// One channel among others is multiplied by `factor`; everything is held against
    /// staged in `f64`, whose exponents reach twice as far as those of `f32`.
    fn check(shape: &[usize], factor: f32, eps: f64) {
        let mut case = Case::<f32>::new(shape, 3);
        let layout = case.layout;
        for n in 0..layout.examples {
            for x in &mut case.x[layout.plane(n, 1)] {
                *x *= factor;
            }
        }
        let Case {
            x, gamma, beta, dy, ..
        } = &case;
        let mut y = vec![f32::NAN; x.len()];
        let moments = fused::forward(&layout, x, gamma, beta, eps, &mut y);
        let mut dx = vec![f32::NAN; x.len()];
        let batch = fused::Batch {
            layout: &layout,
            x,
            gamma,
            moments: &moments,
        };
        let grads = fused::backward(batch, Some(dy), &mut dx);
        let mut over = dy.clone();
        assert_eq!(fused::backward(batch, None, &mut over), grads);
        assert_eq!(over, dx);
        assert_eq!(fused::parameter_gradients(&layout, x, &moments, dy), grads);

        let exact = case.wide();
        let (y_exact, stages) = staged::forward(&layout, &exact.x, &exact.gamma, &exact.beta, eps);
        let (dx_exact, back) = staged::backward(&layout, &stages, &exact.gamma, &exact.dy);
        for c in 0..layout.channels {
            let of = |values: &[f64]| staged::gather(&layout, values, c);
            let what = format!("{shape:?} times {factor:e}, channel {c}");
            // dx of a huge channel is so small that f32 has not all of its digits.
            let [near, coarse] = [1e-5, 3e-5];
            let apart = distance(&of(&wide(&y)), &of(&y_exact));
            assert!(apart < near, "{what}: y is {apart:e} off");
            let apart = distance(&of(&wide(&dx)), &of(&dx_exact));
            let bound = if factor > 1e37 { 0.02 } else { coarse };
            assert!(apart < bound, "{what}: dx is {apart:e} off");
            let apart = (f64::from(grads.dgamma[c]) / back[c].dgamma - 1.0).abs();
            assert!(apart < coarse, "{what}: dgamma is {apart:e} off");
            for (name, found, exact) in [
                ("mean", moments.mean[c], stages[c].mean),
                ("var", moments.var[c], stages[c].var),
                ("rstd", moments.rstd[c], stages[c].rstd),
            ] {
                let apart = (found / exact - 1.0).abs();
                assert!(apart < near, "{what}: {name} is {apart:e} off");
            }
        }
    }

    #[test]
    fn channels_of_every_size_are_normalized() {
        for shape in [&[9, 3][..], &[40, 3, 5], &[4, 3, 300]] {
            for factor in [1e15, 1e18, 1e19, 1e20, 1e30, 5e37] {
                check(shape, factor, 1e-5);
            }
            // With an eps that lets values be tiny.
            for factor in [1e-10, 1e-14] {
                check(shape, factor, 1e-30);
            }
        }
    }

    #[test]
    fn a_channel_from_end_to_end_of_the_type_is_normalized() {
        for shape in [&[4, 1][..], &[2, 1, 150]] {
            let layout = Layout::of(shape);
            let ends = |i| if i % 2 == 0 { f32::MAX } else { -f32::MAX };
            let x: Vec<f32> = (0..layout.count()).map(ends).collect();
            let mut y = vec![f32::NAN; x.len()];
            fused::forward(&layout, &x, &[1.0], &[0.0], 1e-5, &mut y);
            for (i, y) in y.iter().enumerate() {
                let size = y * ends(i).signum();
                assert!((size - 1.0).abs() < 1e-6, "y[{i}] is {y} in {shape:?}");
            }
        }
    }

    #[test]
    fn a_huge_constant_becomes_beta_and_its_variance_is_0() {
        for constant in [1e18, 1e20, 3e38, f32::MAX, -f32::MAX] {
            for shape in [&[40, 1][..], &[2, 1, 3000]] {
                let layout = Layout::of(shape);
                let x = vec![constant; layout.count()];
                let mut y = vec![f32::NAN; x.len()];
                let moments = fused::forward(&layout, &x, &[2.0], &[0.5], 1e-5, &mut y);
                assert!(y.iter().all(|&y| y == 0.5), "{constant:e}");
                assert_eq!(moments.mean, [f64::from(constant)]);
                assert_eq!(moments.var, [0.0]);
                assert!((moments.rstd[0] / 1e-5_f64.powf(-0.5) - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn f64_has_its_own_limits() {
        let layout = Layout::of(&[4, 1]);
        for scale in [1e100, 1e155, 1e300] {
            let x = [1.0, 3.0, 5.0, 3.0].map(|x| x * scale);
            let mut y = [f64::NAN; 4];
            let moments = fused::forward(&layout, &x, &[1.0], &[0.0], 1e-5, &mut y);
            assert!(distance(&y, &[-(2.0_f64.sqrt()), 0.0, 2.0_f64.sqrt(), 0.0]) < 1e-15);
            assert!((moments.rstd[0] * scale * 2.0_f64.sqrt() - 1.0).abs() < 1e-14);
        }
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let layout = Layout::of(&[3, 1]);
            let mut y = [0.0; 3];
            let moments = fused::forward(&layout, &[1.0, bad, 2.0], &[1.0], &[0.0], 1e-5, &mut y);
            assert!(y.iter().all(|y| y.is_nan()), "{bad}: {y:?}");
            assert!(moments.var[0].is_nan());
        }
    }
}

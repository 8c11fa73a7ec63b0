//! Batch Norm composed of tape primitives: the forward pass alone.
//!
//! This is the definition, written down. No line of it speaks of gradients; the tape
//! finds them, op by op. What it costs is memory and time: every intermediate is a
//! batch of its own (book, section 8.1).

use tape::magnitude::checked_eps;
use tape::{Real, Shape, Var};

use crate::op::layout;

/// Normalizes `x` by its own statistics.
///
/// `x` has shape `[N, C]`, `[N, C, L]`, `[N, C, H, W]` or `[N, C, D, H, W]` and the
/// result the same; `gamma` and `beta` have shape `[C]`.
///
/// # Panics
/// If the shapes do not fit, or [`checked_eps`] refuses `eps`.
// ANCHOR: composed
#[track_caller]
pub fn batch_norm<'t, T: Real>(
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
    eps: f64,
) -> Var<'t, T> {
    let eps: T = checked_eps("batch norm", eps);
    let [gamma, beta] = per_channel(x, gamma, beta);
    let axes = all_but_channels(x.shape());

    let mean = x.mean_keep(&axes);
    let centered = x - mean;
    let var = (&centered * &centered).mean_keep(&axes);
    let x_hat = centered / (var + eps).sqrt();
    x_hat * gamma + beta
}

/// Every axis but the one that counts channels.
fn all_but_channels(shape: &Shape) -> Vec<usize> {
    (0..shape.len()).filter(|&axis| axis != 1).collect()
}

/// `gamma` and `beta` with trailing axes of length 1, so that they broadcast along the
/// channels of `x`.
#[track_caller]
fn per_channel<'t, T: Real>(
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
) -> [Var<'t, T>; 2] {
    let mut shape = vec![layout(x, gamma, beta).channels];
    shape.resize(x.shape().len() - 1, 1);
    [gamma.reshape(&shape[..]), beta.reshape(&shape[..])]
}
// ANCHOR_END: composed

/// Which paths from `x` to `y` let a gradient through.
///
/// `x` reaches `x̂ = (x − μ) / √(σ² + eps)` three times: by itself, through the mean,
/// and through the variance. The gradient of `x` is the sum over the three paths, so
/// each part can be had by closing the other two (book, section 8.3).
// ANCHOR: paths
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paths {
    /// `x → x − μ → x̂`.
    pub direct: bool,
    /// `x → μ → x − μ → x̂`.
    pub mean: bool,
    /// `x → σ² → x̂`.
    pub variance: bool,
}

/// Like [`batch_norm`], with a gradient along the chosen paths only. The value is the
/// same whichever are open.
///
/// # Panics
/// If the shapes do not fit, or [`checked_eps`] refuses `eps`.
#[track_caller]
pub fn batch_norm_along<'t, T: Real>(
    paths: Paths,
    x: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
    eps: f64,
) -> Var<'t, T> {
    let eps: T = checked_eps("batch norm", eps);
    let [gamma, beta] = per_channel(x, gamma, beta);
    let axes = all_but_channels(x.shape());
    let gate = |open: bool, v: &Var<'t, T>| if open { v.clone() } else { v.stop_gradient() };

    let mean = x.mean_keep(&axes);
    let centered = gate(paths.direct, x) - gate(paths.mean, &mean);
    let around_mean = x - mean;
    let var = (&around_mean * &around_mean).mean_keep(&axes);
    let x_hat = centered / (gate(paths.variance, &var) + eps).sqrt();
    x_hat * gamma + beta
}
// ANCHOR_END: paths

#[cfg(test)]
mod tests {
    use tape::{Param, Tape, Tensor};

    use super::*;
    use crate::testing::{Case, Op, SHAPES, check_gradients, distance, on_tape};

    #[test]
    fn gradient() {
        check_gradients(|case| on_tape(|x, gamma, beta| batch_norm(x, gamma, beta, 1e-3), case));
    }

    const ALL: Paths = Paths {
        direct: true,
        mean: true,
        variance: true,
    };
    const NONE: Paths = Paths {
        direct: false,
        mean: false,
        variance: false,
    };

    #[test]
    fn the_gradient_is_the_sum_over_the_paths() {
        let along: [Op<f64>; 3] = [
            |x, gamma, beta| {
                let direct = Paths {
                    direct: true,
                    ..NONE
                };
                batch_norm_along(direct, x, gamma, beta, 1e-3)
            },
            |x, gamma, beta| {
                let mean = Paths { mean: true, ..NONE };
                batch_norm_along(mean, x, gamma, beta, 1e-3)
            },
            |x, gamma, beta| {
                let variance = Paths {
                    variance: true,
                    ..NONE
                };
                batch_norm_along(variance, x, gamma, beta, 1e-3)
            },
        ];
        for shape in SHAPES {
            let case = Case::new(shape, 3);
            let whole = on_tape(|x, gamma, beta| batch_norm(x, gamma, beta, 1e-3), &case);
            let mut sum = vec![0.0; case.x.len()];
            for op in along {
                let (y, [dx, ..]) = on_tape(op, &case);
                assert_eq!(y, whole.0);
                for (sum, dx) in sum.iter_mut().zip(dx) {
                    *sum += dx;
                }
            }
            assert!(distance(&sum, &whole.1[0]) < 1e-13);
        }
    }

    #[test]
    fn each_path_has_its_own_term() {
        // dx = gamma/sigma · (dy − mean(dy) − x̂ · mean(dy·x̂)), term by term: x is
        // -1 1 -1 1 with mean 0 and variance 1, so that x̂ = x and gamma/sigma = 2.
        let x = [-1.0, 1.0, -1.0, 1.0];
        let dy = [4.0, 0.0, 0.0, 0.0];
        let dx = |paths| {
            let x = Param::new("x", Tensor::new([4, 1], x.to_vec()));
            let dy = Tensor::new([4, 1], dy.to_vec());
            let (_, grads) = Tape::new().vjp(&dy, |t| {
                let gamma = t.constant(Tensor::full([1], 2.0));
                let beta = t.constant(Tensor::zeros([1]));
                batch_norm_along(paths, &t.param(&x), &gamma, &beta, 1e-290)
            });
            grads.of(&x).to_vec()
        };
        let direct = Paths {
            direct: true,
            ..NONE
        };
        let mean = Paths { mean: true, ..NONE };
        let variance = Paths {
            variance: true,
            ..NONE
        };
        assert_eq!(dx(direct), [8.0, 0.0, 0.0, 0.0]);
        assert_eq!(dx(mean), [-2.0; 4]);
        assert_eq!(dx(variance), [-2.0, 2.0, -2.0, 2.0]);
        assert_eq!(dx(ALL), [4.0, 0.0, -4.0, 0.0]);
        assert_eq!(dx(NONE), [0.0; 4]);
    }

    #[test]
    #[should_panic(expected = "the input has shape [4, 3], so axis 1 counts 3 channels, but gamma")]
    fn gamma_has_one_value_per_channel() {
        Tape::eval(|t| {
            let [x, gamma] = [[4, 3], [1, 4]].map(|shape| t.constant(Tensor::<f32>::ones(shape)));
            batch_norm(&x, &gamma.reshape([4]), &gamma.reshape([4]), 1e-5);
        });
    }
}

//! Initial weights: how large they are, counted in the width of the layer.
//!
//! A linear layer sums `fan_in` products. If its weights have variance `g²/fan_in`, the
//! sum has the variance of the inputs times `g²`, whatever the width: signals neither die
//! out nor blow up from layer to layer (LeCun et al., "Efficient BackProp", 1998). ReLU
//! sets half of them to zero, and `g = √2` makes up for that (He et al., "Delving deep
//! into rectifiers", 2015). Gradients sum over `fan_out` instead; Glorot and Bengio
//! ("Understanding the difficulty of training deep feedforward neural networks", 2010)
//! take the average of the two.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};
use tape::{Real, Shape, Tensor};

/// A distribution of initial weights: mean 0, variance `gain² / fan`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Init {
    /// The deviation of the weights times `√fan`.
    pub gain: f64,
    /// What the variance is divided by.
    pub fan: Fan,
    /// The shape of the distribution.
    pub draw: Draw,
}

/// What the variance of a weight is divided by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fan {
    /// The inputs that one output sums over.
    In,
    /// The outputs that one input takes part in.
    Out,
    /// The average of both.
    Average,
    /// 1: the deviation is `gain`, whatever the width.
    One,
}

/// The shape of a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Draw {
    /// The normal distribution.
    Normal,
    /// The uniform distribution, on ±√3 deviations.
    Uniform,
}

impl Init {
    /// PyTorch's default for `Linear` and `Conv2d`: uniform on `±1/√fan_in`, which it
    /// writes as `kaiming_uniform_(a=√5)`. The variance is a third of `1/fan_in`.
    pub const PYTORCH: Init = Init {
        gain: 0.577_350_269_189_625_8,
        fan: Fan::In,
        draw: Draw::Uniform,
    };

    /// He et al. (2015), for layers that ReLU follows: `N(0, 2/fan_in)`.
    pub const KAIMING_NORMAL: Init = Init {
        gain: std::f64::consts::SQRT_2,
        fan: Fan::In,
        draw: Draw::Normal,
    };

    /// He et al. (2015), uniform on `±√(6/fan_in)`.
    pub const KAIMING_UNIFORM: Init = Init {
        draw: Draw::Uniform,
        ..Init::KAIMING_NORMAL
    };

    /// Glorot and Bengio (2010): `N(0, 2/(fan_in + fan_out))`.
    pub const XAVIER_NORMAL: Init = Init {
        gain: 1.0,
        fan: Fan::Average,
        draw: Draw::Normal,
    };

    /// Glorot and Bengio (2010), uniform on `±√(6/(fan_in + fan_out))`.
    pub const XAVIER_UNIFORM: Init = Init {
        draw: Draw::Uniform,
        ..Init::XAVIER_NORMAL
    };

    /// `N(0, gain²/fan_in)`: 1 keeps the variance through a linear layer, √2 through one
    /// that ReLU follows; anything else starts from a badly scaled network on purpose.
    pub fn scaled_normal(gain: f64) -> Init {
        Init {
            gain,
            fan: Fan::In,
            draw: Draw::Normal,
        }
    }

    /// `N(0, deviation²)`, whatever the width.
    pub fn normal(deviation: f64) -> Init {
        Init {
            gain: deviation,
            fan: Fan::One,
            draw: Draw::Normal,
        }
    }

    /// Draws a weight of shape `[out, in, ..]`; further axes are a receptive field, and
    /// multiply both fans.
    ///
    /// # Panics
    /// If the shape has fewer than two axes, or a fan is 0.
    #[track_caller]
    pub fn sample<T: Real>(self, shape: impl Into<Shape>, rng: &mut impl Rng) -> Tensor<T> {
        let shape = shape.into();
        assert!(
            shape.len() >= 2 && shape.count() > 0,
            "init: a weight has shape [out, in, ..] and no empty axis, got {shape}"
        );
        let field: usize = shape[2..].iter().product();
        let (fan_in, fan_out) = ((shape[1] * field) as f64, (shape[0] * field) as f64);
        let fan = match self.fan {
            Fan::In => fan_in,
            Fan::Out => fan_out,
            Fan::Average => 0.5 * (fan_in + fan_out),
            Fan::One => 1.0,
        };
        self.draw.sample(shape, self.gain / fan.sqrt(), rng)
    }
}

impl Draw {
    /// Independent draws with mean 0 and the given standard deviation.
    pub fn sample<T: Real>(
        self,
        shape: impl Into<Shape>,
        deviation: f64,
        rng: &mut impl Rng,
    ) -> Tensor<T> {
        match self {
            Draw::Normal => Tensor::from_fn(shape, |_| {
                let unit: f64 = StandardNormal.sample(rng);
                T::from_f64(deviation * unit)
            }),
            Draw::Uniform => {
                let unit = Uniform::new(-1.0, 1.0).expect("-1 is below 1");
                let bound = deviation * 3f64.sqrt();
                Tensor::from_fn(shape, |_| T::from_f64(bound * unit.sample(rng)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    /// Largest magnitude and variance of a large draw.
    fn moments(init: Init, shape: &[usize]) -> (f64, f64) {
        let w: Tensor<f64> = init.sample(shape, &mut StdRng::seed_from_u64(3));
        let n = w.len() as f64;
        let mean = w.data().iter().sum::<f64>() / n;
        // Six standard errors.
        let variance = w.data().iter().map(|x| x * x).sum::<f64>() / n;
        assert!(mean.abs() < 6.0 * (variance / n).sqrt(), "mean {mean}");
        (w.data().iter().fold(0.0, |m, x| x.abs().max(m)), variance)
    }

    #[test]
    fn variances_follow_the_fans() {
        // fan_in 250, fan_out 500; both times 4 for a receptive field of 2 x 2.
        let cases = [
            (Init::PYTORCH, 1.0 / 3.0 / 250.0),
            (Init::KAIMING_NORMAL, 2.0 / 250.0),
            (Init::KAIMING_UNIFORM, 2.0 / 250.0),
            (Init::XAVIER_NORMAL, 2.0 / 750.0),
            (Init::XAVIER_UNIFORM, 2.0 / 750.0),
            (Init::scaled_normal(0.1), 0.01 / 250.0),
        ];
        for (init, variance) in cases {
            for (shape, field) in [(&[500, 250][..], 1.0), (&[500, 250, 2, 2], 4.0)] {
                let (_, measured) = moments(init, shape);
                let relative = measured * field / variance - 1.0;
                assert!(relative.abs() < 0.03, "{init:?} {shape:?}: {relative}");
            }
        }
        let (_, measured) = moments(Init::normal(0.02), &[500, 250]);
        assert!((measured / 0.0004 - 1.0).abs() < 0.03);
        let out = Init {
            fan: Fan::Out,
            ..Init::KAIMING_NORMAL
        };
        let (_, measured) = moments(out, &[500, 250]);
        assert!((measured * 250.0 - 1.0).abs() < 0.03);
    }

    #[test]
    fn uniform_draws_fill_their_interval_and_stay_in_it() {
        for (init, bound) in [
            (Init::PYTORCH, 250f64.sqrt().recip()),
            (Init::KAIMING_UNIFORM, (6.0 / 250f64).sqrt()),
            (Init::XAVIER_UNIFORM, (6.0 / 750f64).sqrt()),
        ] {
            let (largest, _) = moments(init, &[500, 250]);
            assert!(largest <= bound && largest > 0.999 * bound, "{init:?}");
        }
    }

    #[test]
    fn the_seed_is_the_draw() {
        let draw = |seed| -> Tensor<f32> {
            Init::PYTORCH.sample([3, 4], &mut StdRng::seed_from_u64(seed))
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    #[should_panic(expected = "a weight has shape [out, in, ..] and no empty axis, got [3]")]
    fn a_vector_has_no_fans() {
        let _: Tensor<f32> = Init::PYTORCH.sample([3], &mut StdRng::seed_from_u64(0));
    }
}

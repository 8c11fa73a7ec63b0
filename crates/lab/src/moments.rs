//! What a layer sees: mean and deviation of every unit over the examples, and of every example
//! over the units.

use nn::{Layer, Mlp, Pass, State, each_state};
use tape::{Tape, Tensor, Var};

/// Mean and deviation of every unit, or of every example.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Moments {
    /// One for each.
    pub(crate) mean: Vec<f64>,
    /// The biased deviation, one for each.
    pub(crate) deviation: Vec<f64>,
}

/// The root of the mean square.
pub(crate) fn rms(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value * value;
        count += 1.0;
    }
    f64::sqrt(sum / count)
}

/// The root of the mean square of all that is in `x`.
pub(crate) fn size_of(x: &Tensor<f32>) -> f64 {
    rms(x.data().iter().map(|&x| f64::from(x)))
}

impl Moments {
    /// Of the columns of `x`, of shape `[N, units]`, over its rows.
    pub(crate) fn of(x: &Tensor<f32>) -> Self {
        let units = x.shape()[1];
        let count = x.shape()[0] as f64;
        let rows = || x.data().chunks_exact(units);
        let mut mean = vec![0.0; units];
        for row in rows() {
            let add = |(sum, &x): (&mut f64, &f32)| *sum += f64::from(x) / count;
            mean.iter_mut().zip(row).for_each(add);
        }
        let mut variance = vec![0.0; units];
        for row in rows() {
            for ((sum, &x), mean) in variance.iter_mut().zip(row).zip(&mean) {
                *sum += (f64::from(x) - mean).powi(2) / count;
            }
        }
        let deviation = variance.into_iter().map(f64::sqrt).collect();
        Moments { mean, deviation }
    }

    /// Of the rows of `x`, over its columns.
    pub(crate) fn of_rows(x: &Tensor<f32>) -> Self {
        Moments::of(&Tape::eval(|t| {
            t.constant(x.clone()).transpose(0, 1).value().clone()
        }))
    }

    /// How far the means are from those of `before`, in deviations of `before`: the root
    /// mean square over the units of one, over that of the other.
    pub(crate) fn shift_from(&self, before: &Moments) -> f64 {
        let moves = self.mean.iter().zip(&before.mean).map(|(a, b)| a - b);
        rms(moves) / rms(before.deviation.iter().copied())
    }
}

/// What goes into the nonlinearities of an MLP for these images, as in training, in the order of
/// the layers: of shape `[N, units]` each.
pub(crate) fn before_nonlinearities(
    model: &impl Layer<f32>,
    images: &Tensor<f32>,
) -> Vec<Tensor<f32>> {
    let mut seen = Vec::new();
    let mut last: Option<Tensor<f32>> = None;
    let mut look = |name: &str, value: &Var<'_, f32>| {
        if name.ends_with("relu") {
            seen.extend(last.take());
        }
        last = Some(value.value().clone());
    };
    Tape::eval(|t| {
        let images = t.constant(images.clone());
        model.forward(&images, &mut Pass::train().probed(&mut look));
    });
    seen
}

/// Puts the statistics over these images in the place of the running ones. In one pass in training
/// mode each norm normalizes by just these, so what the next one sees is what it will see.
pub(crate) fn make_precise(model: &mut Mlp<f32>, images: &Tensor<f32>) {
    let mut seen = Vec::new();
    let mut look = |name: &str, x: &Var<'_, f32>| {
        if let Some(layer) = name.strip_suffix(".linear") {
            seen.push((layer.to_owned(), Moments::of(x.value())));
        }
    };
    Tape::eval(|t| {
        let images = t.constant(images.clone());
        model.forward(&images, &mut Pass::train().probed(&mut look));
    });
    let count = images.shape()[0] as f64;
    each_state(model, |path, state| {
        let Some((layer, statistic)) = path.split_once(".norm.running_") else {
            return;
        };
        let (_, moments) = seen
            .iter()
            .find(|(name, _)| name == layer)
            .expect("it was passed");
        let State::Buffer(buffer) = state else {
            unreachable!("running statistics are buffers")
        };
        let values: Vec<f32> = match statistic {
            "mean" => moments.mean.iter().map(|&mean| mean as f32).collect(),
            _ => {
                let unbiased = count / (count - 1.0);
                let variance = |deviation: &f64| (unbiased * deviation * deviation) as f32;
                moments.deviation.iter().map(variance).collect()
            }
        };
        buffer.data_mut().copy_from_slice(&values);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::{MlpSpec, NormKind};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn moments_by_hand() {
        let x = Tensor::new([2, 2], vec![1.0, 5.0, 3.0, 5.0]);
        let at = Moments::of(&x);
        assert_eq!(
            (at.mean.as_slice(), at.deviation.as_slice()),
            (&[2.0, 5.0][..], &[1.0, 0.0][..])
        );
        let before = Moments {
            mean: vec![2.0, 1.0],
            deviation: vec![3.0, 4.0],
        };
        // Moves of 0 and 4, against deviations of 3 and 4.
        assert!((at.shift_from(&before) - 4.0 / 5.0).abs() < 1e-15);
    }

    #[test]
    fn a_normalized_layer_sees_mean_0_and_deviation_1() {
        let rng = &mut StdRng::seed_from_u64(1);
        let spec = MlpSpec::new(&[3, 8, 8, 2]).norm(NormKind::Batch);
        let mlp = spec.build::<f32>(rng);
        let x = Tensor::randn([100, 3], rng);
        let seen = before_nonlinearities(&mlp, &x);
        assert_eq!(seen.len(), 2);
        for x in seen {
            let (moments, examples) = (Moments::of(&x), Moments::of_rows(&x));
            assert_eq!((moments.mean.len(), examples.mean.len()), (8, 100));
            assert!(rms(moments.mean) < 1e-5);
            assert!((rms(moments.deviation) - 1.0).abs() < 1e-2);
        }
    }

    /// In evaluation, a network with precise statistics of a batch does with it what it does in
    /// training, but for the variance, which is unbiased.
    #[test]
    fn precise_statistics_are_those_of_the_whole() {
        let rng = &mut StdRng::seed_from_u64(1);
        let spec = MlpSpec::new(&[3, 8, 8, 2]).norm(NormKind::Batch);
        let mut model = spec.build::<f32>(rng);
        let images = Tensor::randn([500, 3], rng);
        let apart = |model: &Mlp<f32>| {
            Tape::eval(|t| {
                let images = t.constant(images.clone());
                let evaluated = model.eval(&images);
                let trained = model.forward(&images, &mut Pass::train());
                let values = evaluated.value().data().iter();
                let pairs = values.zip(trained.value().data());
                pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
            })
        };
        let before = apart(&model);
        make_precise(&mut model, &images);
        let after = apart(&model);
        assert!(before > 0.1 && after < 0.01, "{before} and {after}");
    }
}

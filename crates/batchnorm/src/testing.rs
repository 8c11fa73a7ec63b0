//! What the tests of this crate share: random batches, and one gradient check for every
//! implementation.

use gradcheck::Input;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Real, Tape, Tensor, Var};

use crate::fused::Batch;
use crate::{Layout, Moments};

/// A batch, parameters and an upstream gradient, all random.
#[derive(Clone)]
pub(crate) struct Case<T> {
    pub(crate) shape: Vec<usize>,
    pub(crate) layout: Layout,
    pub(crate) x: Vec<T>,
    pub(crate) gamma: Vec<T>,
    pub(crate) beta: Vec<T>,
    pub(crate) dy: Vec<T>,
}

impl<T: Real> Case<T> {
    pub(crate) fn new(shape: &[usize], seed: u64) -> Self {
        Case::around(shape, 0.7, 1.3, seed)
    }

    /// Values of `x` with this mean and deviation.
    pub(crate) fn around(shape: &[usize], mean: f64, deviation: f64, seed: u64) -> Self {
        let layout = Layout::of(shape);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut normal = |count: usize, mean: f64, deviation: f64| -> Vec<T> {
            let draws = Tensor::<f64>::randn([count], &mut rng);
            let scaled = draws.data().iter().map(|z| mean + deviation * z);
            scaled.map(T::from_f64).collect()
        };
        Case {
            shape: shape.to_vec(),
            layout,
            x: normal(layout.count(), mean, deviation),
            gamma: normal(layout.channels, 0.0, 1.5),
            beta: normal(layout.channels, 0.0, 1.0),
            dy: normal(layout.count(), 0.3, 1.0),
        }
    }

    /// The case as the backward pass takes it.
    pub(crate) fn batch<'a>(&'a self, moments: &'a Moments<T::Wide>) -> Batch<'a, T> {
        Batch {
            layout: &self.layout,
            x: &self.x,
            gamma: &self.gamma,
            moments,
        }
    }

    /// The same numbers, widened.
    pub(crate) fn wide(&self) -> Case<f64> {
        Case {
            shape: self.shape.clone(),
            layout: self.layout,
            x: wide(&self.x),
            gamma: wide(&self.gamma),
            beta: wide(&self.beta),
            dy: wide(&self.dy),
        }
    }
}

pub(crate) fn wide<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

/// One shape for each layout and each walk, and more: one example with many positions,
/// planes of one value more than the short ones have, rows that are no multiple of four.
pub(crate) const SHAPES: [&[usize]; 7] = [
    &[5, 3],
    &[3, 2, 4],
    &[3, 2, 2, 3],
    &[2, 2, 2, 1, 2],
    &[1, 2, 7],
    &[39, 2],
    &[2, 1, 129],
];

/// `y` and the gradients by x, gamma and beta, as one implementation has them.
pub(crate) type Results<T> = (Vec<T>, [Vec<T>; 3]);

/// An op on x, gamma and beta.
pub(crate) type Op<T> = for<'t> fn(&Var<'t, T>, &Var<'t, T>, &Var<'t, T>) -> Var<'t, T>;

/// The results of an op on the tape.
pub(crate) fn on_tape<T: Real>(op: Op<T>, case: &Case<T>) -> Results<T> {
    let channels = [case.layout.channels];
    let x = Param::new("x", Tensor::new(&case.shape[..], case.x.clone()));
    let gamma = Param::new("gamma", Tensor::new(channels, case.gamma.clone()));
    let beta = Param::new("beta", Tensor::new(channels, case.beta.clone()));
    let dy = Tensor::new(&case.shape[..], case.dy.clone());
    let (y, grads) = Tape::new().vjp(&dy, |t| op(&t.param(&x), &t.param(&gamma), &t.param(&beta)));
    let gradients = [&x, &gamma, &beta].map(|param| grads.of(param).to_vec());
    (y.to_vec(), gradients)
}

/// Checks the gradients of an implementation for every one of [`SHAPES`].
#[track_caller]
pub(crate) fn check_gradients(run: impl Fn(&Case<f64>) -> Results<f64>) {
    for (seed, shape) in SHAPES.iter().enumerate() {
        let case = Case::<f64>::new(shape, seed as u64);
        let channels = [case.layout.channels];
        let inputs = [
            Input::new("x", shape, case.x.clone()),
            Input::new("gamma", &channels, case.gamma.clone()),
            Input::new("beta", &channels, case.beta.clone()),
        ];
        let at = |inputs: &[Vec<f64>], dy: &[f64]| Case {
            x: inputs[0].clone(),
            gamma: inputs[1].clone(),
            beta: inputs[2].clone(),
            dy: dy.to_vec(),
            ..case.clone()
        };
        gradcheck::vjp(
            &inputs,
            |inputs| run(&at(inputs, &case.dy)).0,
            |inputs, dy| run(&at(inputs, dy)).1.to_vec(),
        )
        .assert_passes();
    }
}

/// The largest difference, as a share of the largest value.
#[track_caller]
pub(crate) fn distance<T: Real, U: Real>(a: &[T], b: &[U]) -> f64 {
    assert_eq!(a.len(), b.len());
    let largest = b.iter().fold(0.0, |m: f64, b| m.max(b.to_f64().abs()));
    let pairs = a.iter().zip(b);
    let apart = pairs.map(|(a, b)| (a.to_f64() - b.to_f64()).abs());
    // A NaN must not be lost in a maximum.
    apart.fold(0.0, |m: f64, d| if d > m || d.is_nan() { d } else { m }) / largest
}

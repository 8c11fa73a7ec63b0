//! `y = (1/M) Σ x` over chosen axes, M elements for each mean.
//!
//! Each element enters its mean with weight 1/M, so `dx = dy / M`, repeated along the
//! axes that were averaged.

use super::without;
use crate::broadcast::{sum_axes, zip};
use crate::{Axes, Backward, InputGrads, Real, Shape, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// The mean over `axes`, which vanish: `[2, 3, 4]` averaged over `[0, 2]` is `[3]`.
    /// The mean of no element is NaN.
    ///
    /// # Panics
    /// If an axis is out of range or listed twice.
    #[track_caller]
    pub fn mean(&self, axes: &[usize]) -> Self {
        let set = Axes::new("mean", axes, self.shape());
        mean(self, set, without(self.shape(), set))
    }

    /// The mean over `axes`, which stay with length 1: `[2, 3, 4]` averaged over
    /// `[0, 2]` is `[1, 3, 1]` and broadcasts against the original.
    ///
    /// # Panics
    /// If an axis is out of range or listed twice.
    #[track_caller]
    pub fn mean_keep(&self, axes: &[usize]) -> Self {
        let set = Axes::new("mean", axes, self.shape());
        mean(self, set, self.shape().with_ones(set))
    }

    /// The mean of all elements, a scalar.
    pub fn mean_all(&self) -> Self {
        let axes: Vec<usize> = (0..self.shape().len()).collect();
        self.mean(&axes)
    }
}

/// The mean over `axes`, under `shape`: with or without the averaged axes.
fn mean<'t, T: Real>(x: &Var<'t, T>, axes: Axes, shape: Shape) -> Var<'t, T> {
    let sum = sum_axes(x.value(), axes);
    let count = (0..x.shape().len())
        .filter(|&axis| axes.contains(axis))
        .map(|axis| x.shape()[axis])
        .product();
    let mean = Mean {
        shape: *x.shape(),
        kept: *sum.shape(),
        count,
    };
    let m = T::from_usize(count);
    let y = sum.map_in_place(|sum| sum / m).reshape(shape);
    x.tape().record(&[x], y, || mean)
}

struct Mean {
    shape: Shape,
    /// The input's shape with the averaged axes at length 1.
    kept: Shape,
    /// M.
    count: usize,
}

impl<T: Real> Backward<T> for Mean {
    fn name(&self) -> &'static str {
        "mean"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let m = T::from_usize(self.count);
        let dy = dy.map_in_place(|dy| dy / m).reshape(self.kept);
        dx.add(0, zip(&self.shape, &dy, &dy, |dy, _| dy));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn averages_over_each_axis() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([2, 3], vec![1.0, 2.0, 6.0, 10.0, 20.0, 60.0]));
            assert_eq!(
                x.mean(&[0]).value(),
                &Tensor::new([3], vec![5.5, 11.0, 33.0])
            );
            assert_eq!(x.mean(&[1]).value(), &Tensor::new([2], vec![3.0, 30.0]));
            assert_eq!(
                x.mean_keep(&[1]).value(),
                &Tensor::new([2, 1], vec![3.0, 30.0])
            );
            assert_eq!(x.mean_all().value(), &Tensor::scalar(16.5));
            assert_eq!(x.mean(&[]).value(), x.value());
        });
    }

    #[test]
    fn the_mean_of_nothing_is_nan() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::<f32>::zeros([2, 0]));
            let y = x.mean(&[1]);
            assert_eq!(y.shape()[..], [2]);
            assert!(y.value().data().iter().all(|y| y.is_nan()));
            assert_eq!(x.mean(&[0]).value(), &Tensor::zeros([0]));
        });
    }

    #[test]
    #[should_panic(expected = "mean: axis 2 is out of range for shape [2, 3]")]
    fn an_axis_must_exist() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2, 3])).mean(&[2]);
        });
    }

    #[test]
    #[should_panic(expected = "mean: axis 1 is listed twice in [1, 1]")]
    fn an_axis_is_listed_once() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2, 3])).mean_keep(&[1, 1]);
        });
    }
}

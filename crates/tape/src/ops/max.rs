//! `y = max x` over chosen axes.
//!
//! Only the largest element moves the maximum, with weight 1. Where k elements tie there
//! is no derivative; each of them receives `dy / k`, as in PyTorch's `amax`: the average
//! over all ways of breaking the tie. The others receive 0.

use super::without;
use crate::broadcast::{sum_axes, zip};
use crate::strided::Loops;
use crate::{Axes, Backward, InputGrads, Real, Shape, Tensor, Var, vector};

impl<'t, T: Real> Var<'t, T> {
    /// The largest element over `axes`, which vanish: `[2, 3, 4]` over `[0, 2]` is
    /// `[3]`. NaN wins over every number. PyTorch's `amax`.
    ///
    /// # Panics
    /// If an axis is out of range, listed twice, or of length 0.
    #[track_caller]
    pub fn max(&self, axes: &[usize]) -> Self {
        let set = Axes::new("max", axes, self.shape());
        max(self, set, without(self.shape(), set))
    }

    /// The largest element over `axes`, which stay with length 1: `[2, 3, 4]` over
    /// `[0, 2]` is `[1, 3, 1]` and broadcasts against the original.
    ///
    /// # Panics
    /// If an axis is out of range, listed twice, or of length 0.
    #[track_caller]
    pub fn max_keep(&self, axes: &[usize]) -> Self {
        let set = Axes::new("max", axes, self.shape());
        max(self, set, self.shape().with_ones(set))
    }

    /// The largest of all elements, a scalar.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn max_all(&self) -> Self {
        let axes: Vec<usize> = (0..self.shape().len()).collect();
        self.max(&axes)
    }
}

/// The maximum over `axes`, under `shape`: with or without the axes it was taken over.
#[track_caller]
fn max<'t, T: Real>(x: &Var<'t, T>, axes: Axes, shape: Shape) -> Var<'t, T> {
    for axis in 0..x.shape().len() {
        assert!(
            !axes.contains(axis) || x.shape()[axis] > 0,
            "max: axis {axis} of shape {} has no element, so there is no largest one",
            x.shape()
        );
    }
    let y = max_axes(x.value(), axes);
    x.tape().record(&[x], y.reshape(shape), || Max {
        x: x.value().clone(),
        y,
        axes,
    })
}

/// The largest elements over `axes`, which stay as axes of length 1.
fn max_axes<T: Real>(x: &Tensor<T>, axes: Axes) -> Tensor<T> {
    let shape = x.shape().with_ones(axes);
    let mut out = Tensor::full(shape, T::NEG_INFINITY);
    let loops = Loops::new(x.shape(), [x.shape(), &shape]);
    let (length, stride) = loops.inner();
    let (data, largest) = (x.data(), out.data_mut());
    loops.for_each_row(|[i, j]| {
        let row = &data[i..i + length];
        if stride[1] == 0 {
            largest[j] = largest[j].max(vector::max(row));
        } else {
            vector::zip_assign(&mut largest[j..], row, T::max);
        }
    });
    out
}

struct Max<T: Real> {
    x: Tensor<T>,
    /// The axes stay, with length 1.
    y: Tensor<T>,
    axes: Axes,
}

impl<T: Real> Backward<T> for Max<T> {
    fn name(&self) -> &'static str {
        "max"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let is_largest = |x, y| if x == y { T::ONE } else { T::ZERO };
        let largest = zip(self.x.shape(), &self.x, &self.y, is_largest);
        let ties = sum_axes(&largest, self.axes);
        let share = dy
            .reshape(self.y.shape())
            .zip_in_place(&ties, |dy, k| dy / k);
        // A product, not a choice: where y is NaN, so is the gradient.
        dx.add(0, zip(self.x.shape(), &largest, &share, |l, s| l * s));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.x, &self.y]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Param, Tape};

    #[test]
    fn finds_the_largest_along_each_axis() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([2, 3], vec![1.0, 7.0, -3.0, 4.0, -5.0, -6.0]));
            assert_eq!(x.max(&[0]).value(), &Tensor::new([3], vec![4.0, 7.0, -3.0]));
            assert_eq!(x.max(&[1]).value(), &Tensor::new([2], vec![7.0, 4.0]));
            assert_eq!(
                x.max_keep(&[1]).value(),
                &Tensor::new([2, 1], vec![7.0, 4.0])
            );
            assert_eq!(x.max_all().value(), &Tensor::scalar(7.0));
            assert_eq!(x.max(&[]).value(), x.value());
        });
    }

    fn slope(x: &[f64], dy: f64) -> Vec<f64> {
        let x = Param::new("x", Tensor::new([x.len()], x.to_vec()));
        let dy = Tensor::scalar(dy);
        let (_, grads) = Tape::new().vjp(&dy, |t| t.param(&x).max(&[0]));
        grads.of(&x).to_vec()
    }

    #[test]
    fn ties_share_the_gradient_evenly() {
        assert_eq!(slope(&[3.0, 1.0, 3.0, 2.0], 5.0), [2.5, 0.0, 2.5, 0.0]);
        assert_eq!(slope(&[f64::NEG_INFINITY; 2], 1.0), [0.5, 0.5]);
    }

    #[test]
    fn a_nan_is_not_hidden() {
        assert!(slope(&[1.0, f64::NAN], 1.0).iter().all(|d| d.is_nan()));
    }

    #[test]
    fn an_empty_axis_that_stays_is_no_obstacle() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::<f32>::zeros([0, 2]));
            assert_eq!(x.max(&[1]).value(), &Tensor::zeros([0]));
        });
    }

    #[track_caller]
    fn max_of(shape: &[usize], axes: &[usize]) {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros(shape)).max(axes);
        });
    }

    #[test]
    #[should_panic(expected = "max: axis 1 of shape [2, 0] has no element")]
    fn nothing_has_no_maximum() {
        max_of(&[2, 0], &[1]);
    }

    #[test]
    #[should_panic(expected = "max: axis 2 is out of range for shape [2, 3]")]
    fn an_axis_must_exist() {
        max_of(&[2, 3], &[2]);
    }
}

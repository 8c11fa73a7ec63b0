//! `y = Σ x` over chosen axes, which vanish from the shape or stay with length 1.
//!
//! Each element enters its sum with weight 1, so `dx = dy`, repeated along the axes
//! that were summed. Summing and repeating are each other's adjoint.

use crate::broadcast::{sum_axes, zip};
use crate::{Axes, Backward, InputGrads, Real, Shape, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// The sum over `axes`, which vanish: `[2, 3, 4]` summed over `[0, 2]` is `[3]`.
    ///
    /// # Panics
    /// If an axis is out of range or listed twice.
    #[track_caller]
    pub fn sum(&self, axes: &[usize]) -> Self {
        let set = Axes::new("sum", axes, self.shape());
        let kept: Vec<usize> = (0..self.shape().len())
            .filter(|&a| !set.contains(a))
            .map(|a| self.shape()[a])
            .collect();
        let y = sum_axes(self.value(), set).reshape(&kept[..]);
        let backward = || Sum {
            shape: *self.shape(),
            kept: self.shape().with_ones(set),
        };
        self.tape().record(&[self], y, backward)
    }

    /// The sum over `axes`, which stay with length 1: `[2, 3, 4]` summed over `[0, 2]`
    /// is `[1, 3, 1]` and broadcasts against the original.
    ///
    /// # Panics
    /// If an axis is out of range or listed twice.
    #[track_caller]
    pub fn sum_keep(&self, axes: &[usize]) -> Self {
        let set = Axes::new("sum", axes, self.shape());
        let y = sum_axes(self.value(), set);
        let backward = || Sum {
            shape: *self.shape(),
            kept: *y.shape(),
        };
        self.tape().record(&[self], y.clone(), backward)
    }

    /// The sum of all elements, a scalar.
    pub fn sum_all(&self) -> Self {
        let axes: Vec<usize> = (0..self.shape().len()).collect();
        self.sum(&axes)
    }
}

struct Sum {
    shape: Shape,
    /// The input's shape with the summed axes at length 1.
    kept: Shape,
}

impl<T: Real> Backward<T> for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let dy = dy.reshape(self.kept);
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
    fn sums_over_each_axis() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([2, 3], vec![1.0, 2.0, 3.0, 10.0, 20.0, 30.0]));
            assert_eq!(
                x.sum(&[0]).value(),
                &Tensor::new([3], vec![11.0, 22.0, 33.0])
            );
            assert_eq!(x.sum(&[1]).value(), &Tensor::new([2], vec![6.0, 60.0]));
            assert_eq!(
                x.sum_keep(&[1]).value(),
                &Tensor::new([2, 1], vec![6.0, 60.0])
            );
            assert_eq!(x.sum_all().value(), &Tensor::scalar(66.0));
            assert_eq!(x.sum(&[]).value(), x.value());
        });
    }

    #[test]
    #[should_panic(expected = "sum: axis 2 is out of range for shape [2, 3]")]
    fn an_axis_must_exist() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2, 3])).sum(&[2]);
        });
    }
}

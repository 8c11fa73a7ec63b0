//! `y = x` under another shape, row-major order unchanged.
//!
//! No element moves, in either direction: `dx = dy` under the shape of x.

use crate::{Backward, InputGrads, Real, Shape, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// The same elements, in the same row-major order, under another shape.
    ///
    /// # Panics
    /// If the number of elements differs.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Self {
        let y = self.value().reshape(shape);
        let shape = *self.shape();
        self.tape().record(&[self], y, || Reshape { shape })
    }
}

struct Reshape {
    /// The input's.
    shape: Shape,
}

impl<T: Real> Backward<T> for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        dx.add(0, dy.reshape(self.shape));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn keeps_the_order_and_copies_nothing() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::from_fn([2, 3], |i| i as f32));
            let y = x.reshape([3, 2]);
            assert_eq!(y.value(), &Tensor::from_fn([3, 2], |i| i as f32));
            assert_eq!(y.value().address(), x.value().address());
        });
    }

    #[test]
    #[should_panic(expected = "reshape: [2, 3] has 6 elements and cannot become [4], which has 4")]
    fn the_count_must_not_change() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2, 3])).reshape([4]);
        });
    }
}

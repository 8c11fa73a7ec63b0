//! `y = x`, repeated to a larger shape.
//!
//! A value that was repeated is used several times, so its gradient is the sum over its
//! uses: `dx = Σ dy` over the axes along which it was repeated.

use crate::broadcast::zip;
use crate::{Backward, InputGrads, Real, Shape, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// The value repeated to `shape`, by NumPy's rules: shapes are aligned at the last
    /// axis, and only axes of length 1, or missing ones, are repeated.
    ///
    /// The operators broadcast by themselves; this is for ops that do not.
    ///
    /// # Panics
    /// If the shape cannot be broadcast to `shape`.
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        assert!(
            self.shape().broadcast(&shape) == Some(shape),
            "broadcast_to: shape {} cannot be repeated to {shape}: aligned at the last axis, \
             each length must be equal or 1",
            self.shape()
        );
        let y = zip(&shape, self.value(), self.value(), |x, _| x);
        self.tape().record(&[self], y, || BroadcastTo)
    }
}

struct BroadcastTo;

impl<T: Real> Backward<T> for BroadcastTo {
    fn name(&self) -> &'static str {
        "broadcast_to"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        dx.add_broadcast(0, dy);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn repeats() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([2, 1], vec![1.0_f32, 2.0]));
            assert_eq!(
                x.broadcast_to([2, 2, 3]).value(),
                &Tensor::new(
                    [2, 2, 3],
                    vec![1., 1., 1., 2., 2., 2., 1., 1., 1., 2., 2., 2.]
                )
            );
            assert_eq!(x.broadcast_to([2, 1]).value(), x.value());
        });
    }

    #[test]
    #[should_panic(expected = "broadcast_to: shape [2, 3] cannot be repeated to [3]")]
    fn never_shrinks() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2, 3])).broadcast_to([3]);
        });
    }

    #[test]
    #[should_panic(expected = "broadcast_to: shape [2] cannot be repeated to [4]")]
    fn never_tiles() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2])).broadcast_to([4]);
        });
    }
}

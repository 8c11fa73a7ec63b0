//! `y = value where the mask is set, else x`.
//!
//! Where the mask is set y does not depend on x: `dx = 0` there, and `dy` elsewhere.
//!
//! With `value` −∞ before a softmax, this is how attention keeps a position from seeing
//! the ones after it (Vaswani et al., 2017, section 3.2.3).

use crate::broadcast::zip;
use crate::{Backward, InputGrads, Real, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// `value` wherever the mask is not 0, and this elsewhere. The mask broadcasts: one
    /// of `[T, T]` serves scores of `[B, H, T, T]`, one of `[B, 1, 1, T]` hides the
    /// padding of each example.
    ///
    /// # Panics
    /// If the mask cannot be broadcast to the shape of this.
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor<T>, value: T) -> Self {
        let shape = self.shape();
        assert!(
            mask.shape().broadcast(shape) == Some(*shape),
            "masked_fill: a mask of shape {} does not broadcast to shape {shape}: aligned at \
             the last axis, each length must be equal or 1",
            mask.shape()
        );
        let y = fill(self.value(), mask, value);
        self.tape()
            .record(&[self], y, || MaskedFill { mask: mask.clone() })
    }
}

fn fill<T: Real>(x: &Tensor<T>, mask: &Tensor<T>, value: T) -> Tensor<T> {
    let select = |x, m| if m != T::ZERO { value } else { x };
    zip(x.shape(), x, mask, select)
}

struct MaskedFill<T: Real> {
    mask: Tensor<T>,
}

impl<T: Real> Backward<T> for MaskedFill<T> {
    fn name(&self) -> &'static str {
        "masked_fill"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        dx.add(0, fill(&dy, &self.mask, T::ZERO));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.mask]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    fn causal() -> Tensor<f64> {
        Tensor::new([3, 3], vec![0., 1., 1., 0., 0., 1., 0., 0., 0.])
    }

    #[test]
    fn fills_where_the_mask_is_set() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::from_fn([2, 2, 2], |i| i as f64));
            let mask = Tensor::new([2, 2], vec![0.0, 1.0, 0.0, -0.5]);
            assert_eq!(
                x.masked_fill(&mask, 9.0).value().data(),
                [0., 9., 2., 9., 4., 9., 6., 9.]
            );
        });
    }

    #[test]
    fn a_masked_position_has_no_weight_in_a_softmax() {
        Tape::eval(|t| {
            let scores = t.constant(Tensor::zeros([3, 3]));
            let weights = scores.masked_fill(&causal(), f64::NEG_INFINITY).softmax(1);
            let third = 1.0 / 3.0;
            assert_eq!(
                weights.value().data(),
                [1., 0., 0., 0.5, 0.5, 0., third, third, third]
            );
        });
    }

    #[test]
    #[should_panic(
        expected = "masked_fill: a mask of shape [2, 3] does not broadcast to shape [3]"
    )]
    fn the_mask_must_not_enlarge_the_tensor() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::<f32>::zeros([3]));
            x.masked_fill(&Tensor::zeros([2, 3]), 0.0);
        });
    }
}

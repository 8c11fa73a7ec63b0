//! `y = (1/M) Σ (a − b)²`: the mean squared error over all M elements.
//!
//! With d = a − b, ∂y/∂a = 2d/M and ∂y/∂b = −2d/M: `da = dy · 2d/M`, `db = −da`. The
//! difference is all that must be saved, and it is turned into the gradient in place.

use crate::broadcast::zip;
use crate::{Backward, InputGrads, Real, Tensor, Var, vector};

impl<'t, T: Real> Var<'t, T> {
    /// The mean squared difference to `target`, a scalar. PyTorch's `mse_loss`, but
    /// shapes must be equal: a prediction `[N, 1]` against a target `[N]` would
    /// broadcast to `[N, N]` and train on nonsense.
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn mse(&self, target: &Var<'t, T>) -> Self {
        assert!(
            self.shape() == target.shape(),
            "mse: shapes {} and {} differ; all lengths must be equal, nothing is broadcast",
            self.shape(),
            target.shape()
        );
        let d = zip(self.shape(), self.value(), target.value(), |a, b| a - b);
        let y = vector::dot(d.data(), d.data()) / T::from_usize(d.len());
        self.tape()
            .record(&[self, target], Tensor::scalar(y), || Mse { d })
    }
}

struct Mse<T: Real> {
    /// a − b.
    d: Tensor<T>,
}

impl<T: Real> Backward<T> for Mse<T> {
    fn name(&self) -> &'static str {
        "mse"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let scale = (dy.item() + dy.item()) / T::from_usize(self.d.len());
        let da = self.d.map_in_place(|d| d * scale);
        if dx.needs(1) {
            dx.add(1, da.map(|da| -da));
        }
        dx.add(0, da);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.d]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn averages_the_squares() {
        Tape::eval(|t| {
            let a = t.constant(Tensor::new([2, 2], vec![1.0_f32, 2.0, 3.0, 4.0]));
            let b = t.constant(Tensor::new([2, 2], vec![1.0_f32, 0.0, 4.0, 1.0]));
            assert_eq!(a.mse(&b).value(), &Tensor::scalar(3.5));
            let nothing = t.constant(Tensor::<f32>::zeros([0]));
            assert!(nothing.mse(&nothing).value().item().is_nan());
        });
    }

    #[test]
    #[should_panic(expected = "mse: shapes [3, 1] and [3] differ")]
    fn nothing_is_broadcast() {
        Tape::eval(|t| {
            let a = t.constant(Tensor::<f32>::zeros([3, 1]));
            a.mse(&t.constant(Tensor::zeros([3])));
        });
    }
}

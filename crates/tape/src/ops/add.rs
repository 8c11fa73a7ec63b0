//! `y = a + b`, with broadcasting.
//!
//! ∂y/∂a = ∂y/∂b = 1, so both inputs receive `dy`, summed over the axes along which
//! they were repeated.

use super::elementwise::binary;
use crate::broadcast::zip_operands;
use crate::{Real, Var};

/// `a + b`; also written `&a + &b`.
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn add<'t, T: Real>(a: &Var<'t, T>, b: &Var<'t, T>) -> Var<'t, T> {
    let y = zip_operands("add", a.value(), b.value(), |a, b| a + b);
    binary(
        || "add",
        [a, b],
        y,
        || [],
        |[], dy, dx| {
            if dx.needs(1) {
                dx.add_broadcast(1, dy.clone());
            }
            dx.add_broadcast(0, dy);
        },
    )
}

super::operator!(Add, add);

#[cfg(test)]
mod tests {
    use crate::{Param, Tape, Tensor};

    #[test]
    fn adds_with_broadcasting() {
        Tape::eval(|t| {
            let a = t.constant(Tensor::new([2, 1], vec![1.0, 2.0]));
            let b = t.constant(Tensor::new([3], vec![10.0, 20.0, 30.0]));
            let y = &a + &b;
            assert_eq!(
                y.value(),
                &Tensor::new([2, 3], vec![11., 21., 31., 12., 22., 32.])
            );
            assert_eq!((a + 0.5).value().data(), [1.5, 2.5]);
        });
    }

    #[test]
    #[should_panic(expected = "add: shapes [2, 3] and [2] do not broadcast")]
    fn names_both_shapes() {
        Tape::eval(|t| {
            let _ = t.constant(Tensor::<f32>::zeros([2, 3])) + t.constant(Tensor::zeros([2]));
        });
    }

    #[test]
    fn an_untracked_operand_costs_no_gradient() {
        let x = Param::new("x", Tensor::new([2], vec![1.0_f64, 2.0]));
        let (_, grads) =
            Tape::new().grad(|t| (t.param(&x) + t.constant(Tensor::ones([2]))).sum(&[0]));
        assert_eq!(grads.of(&x).data(), [1.0, 1.0]);
    }
}

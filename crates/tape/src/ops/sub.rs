//! `y = a − b`, with broadcasting.
//!
//! ∂y/∂a = 1 and ∂y/∂b = −1: `a` receives `dy`, `b` receives `−dy`, each summed over
//! the axes along which it was repeated.

use super::elementwise::binary;
use crate::broadcast::zip_operands;
use crate::{Real, Var};

/// `a − b`; also written `&a - &b`.
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn sub<'t, T: Real>(a: &Var<'t, T>, b: &Var<'t, T>) -> Var<'t, T> {
    let y = zip_operands("sub", a.value(), b.value(), |a, b| a - b);
    binary(
        || "sub",
        [a, b],
        y,
        || [],
        |[], dy, dx| {
            if dx.needs(1) {
                dx.add_broadcast(1, dy.map(|dy| -dy));
            }
            dx.add_broadcast(0, dy);
        },
    )
}

super::operator!(Sub, sub);

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn subtracts_with_broadcasting() {
        Tape::eval(|t| {
            let a = t.constant(Tensor::new([2, 2], vec![5.0, 6.0, 7.0, 8.0]));
            let b = t.constant(Tensor::new([2], vec![1.0, 10.0]));
            assert_eq!((&a - &b).value().data(), [4.0, -4.0, 6.0, -2.0]);
            assert_eq!((a - 1.0).value().data(), [4.0, 5.0, 6.0, 7.0]);
        });
    }

    #[test]
    #[should_panic(expected = "sub: shapes [2, 3] and [2] do not broadcast")]
    fn names_both_shapes() {
        Tape::eval(|t| {
            let _ = t.constant(Tensor::<f32>::zeros([2, 3])) - t.constant(Tensor::zeros([2]));
        });
    }
}

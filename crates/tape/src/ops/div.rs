//! `y = a / b`, element by element, with broadcasting.
//!
//! ∂y/∂a = 1/b and ∂y/∂b = −a/b² = −y/b. So `da = dy / b` and `db = −da · y`, each
//! summed over the axes along which the input was repeated.

use super::elementwise::binary;
use crate::broadcast::{zip, zip_operands};
use crate::{Real, Var};

/// `a / b` element by element; also written `&a / &b`.
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn div<'t, T: Real>(a: &Var<'t, T>, b: &Var<'t, T>) -> Var<'t, T> {
    let y = zip_operands("div", a.value(), b.value(), |a, b| a / b);
    let quotient = y.clone();
    // y is needed for `db` only.
    let saved = || [Some(b.value().clone()), b.is_tracked().then_some(quotient)];
    binary(
        || "div",
        [a, b],
        y,
        saved,
        |[b, y], dy, dx| {
            let b = b.as_ref().expect("it was saved");
            let da = zip(dy.shape(), &dy, b, |dy, b| dy / b);
            if let Some(y) = y {
                dx.add_broadcast(1, zip(dy.shape(), &da, y, |da, y| -da * y));
            }
            dx.add_broadcast(0, da);
        },
    )
}

super::operator!(Div, div);

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};

    #[test]
    fn divides_with_broadcasting() {
        Tape::eval(|t| {
            let a = t.constant(Tensor::new([2, 2], vec![5.0, 6.0, 7.0, 8.0]));
            let b = t.constant(Tensor::new([2, 1], vec![1.0, 2.0]));
            assert_eq!((&a / &b).value().data(), [5.0, 6.0, 3.5, 4.0]);
            assert_eq!((a / 2.0).value().data(), [2.5, 3.0, 3.5, 4.0]);
        });
    }

    #[test]
    #[should_panic(expected = "div: shapes [2, 3] and [2] do not broadcast")]
    fn names_both_shapes() {
        Tape::eval(|t| {
            let _ = t.constant(Tensor::<f32>::zeros([2, 3])) / t.constant(Tensor::ones([2]));
        });
    }
}

//! `y = a · b`, element by element, with broadcasting.
//!
//! ∂y/∂a = b and ∂y/∂b = a: `da = dy · b`, `db = dy · a`, each summed over the axes
//! along which the input was repeated. An operand is saved only if the other one needs
//! a gradient.

use super::elementwise::binary;
use crate::broadcast::{zip, zip_operands};
use crate::{Real, Tensor, Var};

/// `a · b` element by element; also written `&a * &b`.
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn mul<'t, T: Real>(a: &Var<'t, T>, b: &Var<'t, T>) -> Var<'t, T> {
    let y = zip_operands("mul", a.value(), b.value(), |a, b| a * b);
    // The gradient of an operand is `dy` times the other one.
    let others = || {
        [
            a.is_tracked().then(|| b.value().clone()),
            b.is_tracked().then(|| a.value().clone()),
        ]
    };
    binary(
        || "mul",
        [a, b],
        y,
        others,
        |[b, a], dy, dx| {
            if let (Some(b), Some(_)) = (b, a) {
                dx.add_broadcast(0, times(dy.clone(), b));
            }
            // The last product takes the place of dy.
            match (a, b) {
                (Some(a), _) => dx.add_broadcast(1, times(dy, a)),
                (None, Some(b)) => dx.add_broadcast(0, times(dy, b)),
                (None, None) => {}
            }
        },
    )
}

/// `dy · v`, over `dy` where it can be.
fn times<T: Real>(dy: Tensor<T>, v: &Tensor<T>) -> Tensor<T> {
    if dy.shape() == v.shape() {
        dy.zip_in_place(v, |dy, v| dy * v)
    } else {
        zip(dy.shape(), &dy, v, |dy, v| dy * v)
    }
}

super::operator!(Mul, mul);

#[cfg(test)]
mod tests {
    use crate::{Param, Tape, Tensor};

    #[test]
    fn multiplies_with_broadcasting() {
        Tape::eval(|t| {
            let a = t.constant(Tensor::new([2, 2], vec![5.0, 6.0, 7.0, 8.0]));
            let b = t.constant(Tensor::new([2, 1], vec![1.0, 10.0]));
            assert_eq!((&a * &b).value().data(), [5.0, 6.0, 70.0, 80.0]);
            assert_eq!((a * 2.0).value().data(), [10.0, 12.0, 14.0, 16.0]);
        });
    }

    #[test]
    fn saves_only_what_the_other_operand_needs() {
        let x = Param::new("x", Tensor::<f64>::ones([8]));
        Tape::new().grad(|t| {
            let y = t.param(&x) * t.constant(Tensor::ones([2, 8]));
            assert_eq!(t.saved_bytes(), 2 * 8 * 8);
            y.sum(&[0, 1])
        });
    }

    #[test]
    #[should_panic(expected = "mul: shapes [2, 3] and [2] do not broadcast")]
    fn names_both_shapes() {
        Tape::eval(|t| {
            let _ = t.constant(Tensor::<f32>::zeros([2, 3])) * t.constant(Tensor::zeros([2]));
        });
    }
}

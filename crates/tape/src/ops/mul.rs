//! `y = a · b`, element by element, with broadcasting.
//!
//! ∂y/∂a = b and ∂y/∂b = a: `da = dy · b`, `db = dy · a`, each summed over the axes
//! along which the input was repeated. An operand is saved only if the other one needs
//! a gradient.

use crate::broadcast::{zip, zip_operands};
use crate::{Backward, InputGrads, Real, Tensor, Var};

// ANCHOR: mul
/// `a · b` element by element; also written `&a * &b`.
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn mul<'t, T: Real>(a: &Var<'t, T>, b: &Var<'t, T>) -> Var<'t, T> {
    let y = zip_operands("mul", a.value(), b.value(), |a, b| a * b);
    a.tape().record(&[a, b], y, || Mul {
        a: b.is_tracked().then(|| a.value().clone()),
        b: a.is_tracked().then(|| b.value().clone()),
    })
}
// ANCHOR_END: mul

// ANCHOR: mul_backward
super::operator!(Mul, mul);

struct Mul<T: Real> {
    a: Option<Tensor<T>>,
    b: Option<Tensor<T>>,
}

impl<T: Real> Backward<T> for Mul<T> {
    fn name(&self) -> &'static str {
        "mul"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        for (input, other) in [(0, &self.b), (1, &self.a)] {
            if let Some(other) = other {
                dx.add_broadcast(input, zip(dy.shape(), &dy, other, |dy, v| dy * v));
            }
        }
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        self.a.iter().chain(&self.b).collect()
    }
}
// ANCHOR_END: mul_backward

#[cfg(test)]
mod tests {
    use crate::testing::{check_gradient, normal};
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
    fn gradient() {
        for (a, b) in [
            (vec![3, 4], vec![3, 4]),
            (vec![4], vec![3, 4]),
            (vec![3, 1], vec![2, 1, 4]),
        ] {
            check_gradient(&[normal(&a[..], 1), normal(&b[..], 2)], |x| &x[0] * &x[1]);
        }
        check_gradient(&[normal([3], 3)], |x| &x[0] * &x[0]);
    }

    #[test]
    fn saves_only_what_the_other_operand_needs() {
        let x = Param::new("x", Tensor::<f64>::ones([8]));
        Tape::new().grad(|t| {
            let y = t.param(&x) * t.constant(Tensor::ones([2, 8]));
            assert_eq!(t.saved_bytes(), 2 * 8 * 8);
            (y.sum(&[0, 1]), ())
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

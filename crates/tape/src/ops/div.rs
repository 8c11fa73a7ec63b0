//! `y = a / b`, element by element, with broadcasting.
//!
//! ∂y/∂a = 1/b and ∂y/∂b = −a/b² = −y/b. So `da = dy / b` and `db = −da · y`, each
//! summed over the axes along which the input was repeated.

use crate::broadcast::{zip, zip_operands};
use crate::{Backward, InputGrads, Real, Tensor, Var};

// ANCHOR: op
/// `a / b` element by element; also written `&a / &b`.
///
/// # Panics
/// If the shapes do not broadcast.
#[track_caller]
pub fn div<'t, T: Real>(a: &Var<'t, T>, b: &Var<'t, T>) -> Var<'t, T> {
    let y = zip_operands("div", a.value(), b.value(), |a, b| a / b);
    a.tape().record(&[a, b], y.clone(), || Div {
        b: b.value().clone(),
        y: b.is_tracked().then_some(y),
    })
}

super::operator!(Div, div);

struct Div<T: Real> {
    b: Tensor<T>,
    /// Needed for `db` only.
    y: Option<Tensor<T>>,
}

impl<T: Real> Backward<T> for Div<T> {
    fn name(&self) -> &'static str {
        "div"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let da = zip(dy.shape(), &dy, &self.b, |dy, b| dy / b);
        if let Some(y) = &self.y {
            dx.add_broadcast(1, zip(dy.shape(), &da, y, |da, y| -da * y));
        }
        dx.add_broadcast(0, da);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        [&self.b].into_iter().chain(&self.y).collect()
    }
}
// ANCHOR_END: op

#[cfg(test)]
mod tests {
    use crate::testing::{check_gradient, normal, uniform};
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
    fn gradient() {
        for (a, b) in [
            (vec![3, 4], vec![3, 4]),
            (vec![4], vec![3, 4]),
            (vec![3, 1], vec![2, 1, 4]),
        ] {
            let b = uniform(&b[..], 0.5, 2.0, 2);
            check_gradient(&[normal(&a[..], 1), b], |x| &x[0] / &x[1]);
        }
        check_gradient(&[normal([3], 1)], |x| &x[0] / 3.0);
        // A negative denominator, and one operand used twice: y = x / (x·x).
        check_gradient(&[uniform([4], -2.0, -0.5, 5)], |x| &x[0] / &(&x[0] * &x[0]));
    }

    #[test]
    #[should_panic(expected = "div: shapes [2, 3] and [2] do not broadcast")]
    fn names_both_shapes() {
        Tape::eval(|t| {
            let _ = t.constant(Tensor::<f32>::zeros([2, 3])) / t.constant(Tensor::ones([2]));
        });
    }
}

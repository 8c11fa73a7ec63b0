//! The ops: one file each, with formula, derivative, kernel and tests.
//!
//! | op | y | what its backward adds to the inputs |
//! |---|---|---|
//! | [`add`] | a + b | da = dy, db = dy |
//! | [`sub`] | a − b | da = dy, db = −dy |
//! | [`mul`] | a · b | da = dy · b, db = dy · a |
//! | [`div`] | a / b | da = dy / b, db = −dy · y / b |
//! | [`neg`] | −x | dx = −dy |
//! | [`exp`] | eˣ | dx = dy · y |
//! | [`tanh`] | tanh x | dx = dy · (1 − y²) |
//! | [`sum`] | Σ x | dx = dy, repeated |
//! | [`matmul`] | A B | dA = dY Bᵀ, dB = Aᵀ dY |

pub mod add;
pub mod div;
pub mod exp;
pub mod matmul;
pub mod mul;
pub mod neg;
pub mod sub;
pub mod sum;
pub mod tanh;

/// Makes a binary op out of a function on two handles, for every way to write it:
/// handles by value or reference, and a plain number on the right.
macro_rules! operator {
    ($Trait:ident, $method:ident) => {
        impl<'t, T: crate::Real> std::ops::$Trait<&crate::Var<'t, T>> for &crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            #[track_caller]
            fn $method(self, other: &crate::Var<'t, T>) -> crate::Var<'t, T> {
                $method(self, other)
            }
        }
        impl<'t, T: crate::Real> std::ops::$Trait<crate::Var<'t, T>> for &crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            #[track_caller]
            fn $method(self, other: crate::Var<'t, T>) -> crate::Var<'t, T> {
                $method(self, &other)
            }
        }
        impl<'t, T: crate::Real> std::ops::$Trait<&crate::Var<'t, T>> for crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            #[track_caller]
            fn $method(self, other: &crate::Var<'t, T>) -> crate::Var<'t, T> {
                $method(&self, other)
            }
        }
        impl<'t, T: crate::Real> std::ops::$Trait<crate::Var<'t, T>> for crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            #[track_caller]
            fn $method(self, other: crate::Var<'t, T>) -> crate::Var<'t, T> {
                $method(&self, &other)
            }
        }
        impl<'t, T: crate::Real> std::ops::$Trait<T> for &crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            fn $method(self, number: T) -> crate::Var<'t, T> {
                $method(self, &self.constant(crate::Tensor::scalar(number)))
            }
        }
        impl<'t, T: crate::Real> std::ops::$Trait<T> for crate::Var<'t, T> {
            type Output = crate::Var<'t, T>;
            fn $method(self, number: T) -> crate::Var<'t, T> {
                $method(&self, &self.constant(crate::Tensor::scalar(number)))
            }
        }
    };
}
pub(crate) use operator;

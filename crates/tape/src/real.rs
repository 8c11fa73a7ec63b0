//! The numbers a tensor may hold: [`f32`], [`f64`], and whatever else behaves like a number.
//!
//! One trait over both means that the very code which trains in `f32` is checked
//! in `f64`, where finite differences are sharp enough to trust. And as other crates may
//! implement it, the same code runs on numbers that are made for a check: a number that
//! carries its derivative, or one of a finite field, where nothing is rounded.

use std::fmt::{Debug, Display, LowerExp};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::buffer::Pooled;
use crate::elementary;
use crate::gemm::Gemm;

/// A type that tensors are made of: `f32`, `f64`, or a number of your own.
///
/// Kernels compare numbers, for a maximum or to see whether squares would overflow. So a type of
/// your own, whatever it computes, needs an order and a size ([`Real::to_f64`]) that a
/// floating-point number in its place would have. Its `Default` is 0. It gets buffers that are not
/// pooled, and products of matrices by the definition: `impl Pooled for Mine` with two constants,
/// and `impl Gemm for Mine {}`.
pub trait Real:
    Copy
    + Default
    + Debug
    + Display
    + LowerExp
    + PartialOrd
    + Send
    + Sync
    + Sum
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Pooled
    + Gemm
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Distance from 1 to the next larger number.
    const EPSILON: Self;
    /// The smallest positive number with all its digits.
    const MIN_POSITIVE: Self;
    /// −∞.
    const NEG_INFINITY: Self;
    /// Not a number.
    const NAN: Self;
    /// The type's name, such as `"f32"`.
    const NAME: &'static str;

    /// What sums are kept in where the digits of this type are too few: `f64` for both
    /// floating-point types, or else the type itself.
    type Wide: Real<Wide = Self::Wide>;

    /// This number as one with more digits; exact.
    fn widen(self) -> Self::Wide;
    /// The number rounded to this type.
    fn narrow(wide: Self::Wide) -> Self;

    /// The constant `x`, rounded to this type.
    fn from_f64(x: f64) -> Self;
    /// How large the number is, for decisions and for people; exact for `f32` and `f64`.
    fn to_f64(self) -> f64;
    /// Rounds a count to this type.
    fn from_usize(n: usize) -> Self;
    /// eˣ.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// ln(1 + x), exact where x is so small that it vanishes beside 1.
    fn ln_1p(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Integer power.
    fn powi(self, n: i32) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// The larger of two numbers; NaN wins, so that it cannot be hidden.
    fn max(self, other: Self) -> Self;
    /// The error function, 2/√π ∫₀ˣ e^(−t²) dt.
    fn erf(self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Whether it is no number at all.
    fn is_nan(self) -> bool;
}

// ANCHOR: impls
macro_rules! real {
    ($t:ident, $exp:path, $tanh:path, $erf:path) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const EPSILON: Self = $t::EPSILON;
            const MIN_POSITIVE: Self = $t::MIN_POSITIVE;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;
            const NAN: Self = $t::NAN;
            const NAME: &'static str = stringify!($t);

            type Wide = f64;

            #[inline(always)]
            fn widen(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn narrow(wide: f64) -> Self {
                wide as $t
            }
            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn from_usize(n: usize) -> Self {
                n as $t
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                $t::ln(self)
            }
            #[inline(always)]
            fn ln_1p(self) -> Self {
                $t::ln_1p(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
            #[inline(always)]
            fn powi(self, n: i32) -> Self {
                $t::powi(self, n)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if self >= other || self.is_nan() {
                    self
                } else {
                    other
                }
            }
            #[inline(always)]
            fn erf(self) -> Self {
                $erf(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $t::is_finite(self)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
        }
    };
}

real!(f32, elementary::exp, elementary::tanh, elementary::erf);
real!(f64, f64::exp, f64::tanh, libm::erf);
// ANCHOR_END: impls

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn max_does_not_hide_a_nan() {
        assert!(Real::max(f32::NAN, 1.0).is_nan());
        assert!(Real::max(1.0, f32::NAN).is_nan());
        assert_eq!(Real::max(1.0, 2.0), 2.0);
        assert_eq!(Real::max(-1.0, -2.0), -1.0);
    }

    #[test]
    fn erf_matches_tabulated_values() {
        // Abramowitz & Stegun, table 7.1.
        assert!((Real::erf(0.5_f64) - 0.520_499_877_813_046_5).abs() < 1e-15);
        assert!((Real::erf(2.0_f64) - 0.995_322_265_018_952_7).abs() < 1e-15);
        assert!((Real::erf(-0.5_f32) + 0.520_499_9).abs() < 1e-7);
    }
}

//! Numbers that are too large to be squared.
//!
//! Every norm divides by the root of a mean of squares. A square has twice the exponent
//! of its number: in `f32` it is infinite from 1.8·10¹⁹ on, although numbers go up to
//! 3.4·10³⁸. A norm that did not look would divide by infinity, and give 0 for a row of
//! large numbers that is like any other. No norm sees the scale of its input, so the cure
//! is to multiply such numbers by a power of two first, which rounds nothing. These
//! functions say when, and by which. At the other end, where squares become 0, eps takes
//! over.

use crate::Real;

/// Whether numbers that were normalized by `rstd`, which is `1/√(mean square + eps)`,
/// have squares that `T` holds. Not so if `rstd` is 0 or NaN, as after an overflow.
#[inline]
pub fn squares_fit<T: Real>(rstd: T) -> bool {
    rstd * rstd >= T::MIN_POSITIVE
}

/// One over the power of two that is as large as `x`: the product of both is at least 1
/// and less than 2, and products with it are exact.
pub fn to_one<T: Real>(x: T) -> T {
    // Without the digits of its fraction, a number is a power of two.
    let exponent = f64::INFINITY.to_bits();
    let x = x.to_f64().max(f64::MIN_POSITIVE);
    T::from_f64(1.0 / f64::from_bits(x.to_bits() & exponent))
}

/// One over the power of two that is as large as the largest of `x`; 1 if none is larger than 1,
/// as where it is eps whose root is too large.
pub fn largest_to_one<T: Real>(x: &[T]) -> T {
    to_one(x.iter().fold(T::ONE, |largest, x| largest.max(x.abs())))
}

/// The number that a norm adds to a variance, as a `T`.
///
/// # Panics
/// Unless it is finite and at least 10⁻³¹ in `f32`, 10⁻²⁹² in `f64`. A smaller one says
/// nothing beside squares that `T` rounds to 0, and where it is 0 itself, as 10⁻⁵⁰ is in
/// `f32`, a constant row would be divided by 0.
#[track_caller]
pub fn checked_eps<T: Real>(op: &str, eps: f64) -> T {
    let (rounded, least) = (T::from_f64(eps), T::MIN_POSITIVE / T::EPSILON);
    assert!(
        rounded >= least && rounded.is_finite(),
        "{op}: eps is {eps:?}, but it keeps a constant from being divided by 0, and in {} \
         must be finite and at least {least:.0e}; the usual value is 1e-5",
        T::NAME
    );
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_fit_up_to_the_limit_of_the_type() {
        for rstd in [1e-18_f32, 1.0, 316.0, 1e15] {
            assert!(squares_fit(rstd), "{rstd:e}");
        }
        for rstd in [0.0_f32, 1e-39, 1e-20, f32::NAN] {
            assert!(!squares_fit(rstd), "{rstd:e}");
        }
        assert!(squares_fit(1e-150_f64) && !squares_fit(1e-160_f64));
    }

    #[test]
    fn every_number_is_brought_to_one_exactly() {
        for x in [1.0_f32, 1.999, 0.1, 3.4e38, 1.5e19, 1e-20, 2e-38] {
            let one = x * to_one(x);
            assert!((1.0..2.0).contains(&one), "{x:e} becomes {one}");
            assert_eq!(one / to_one(x), x);
        }
        for x in [f64::MAX, 1e155, 1e-160, f64::MIN_POSITIVE] {
            let one = x * to_one(x);
            assert!((1.0..2.0).contains(&one), "{x:e} becomes {one}");
        }
    }

    #[test]
    fn the_largest_decides_whatever_its_sign() {
        assert_eq!(largest_to_one(&[3.0, -8.0, 5.0]), 0.125);
    }

    #[test]
    fn small_numbers_are_left_as_they_are() {
        assert_eq!(largest_to_one(&[0.0_f32, 1e-39]), 1.0);
        assert_eq!(largest_to_one(&[-0.25]), 1.0);
    }

    #[test]
    fn eps_is_rounded() {
        assert_eq!(checked_eps::<f32>("norm", 1e-5), 1e-5_f32);
        assert_eq!(checked_eps::<f32>("norm", 1e-30), 1e-30_f32);
        assert_eq!(checked_eps::<f64>("norm", 1e-290), 1e-290);
    }

    #[test]
    #[should_panic(
        expected = "norm: eps is 1e-50, but it keeps a constant from being divided \
                               by 0, and in f32 must be finite and at least 1e-31; the usual"
    )]
    fn an_eps_that_rounds_to_zero_is_refused() {
        checked_eps::<f32>("norm", 1e-50);
    }

    #[test]
    fn no_other_eps_is_taken() {
        for eps in [0.0, -1e-5, f64::NAN, f64::INFINITY, 1e39, 1e-40] {
            let refused = std::panic::catch_unwind(|| checked_eps::<f32>("norm", eps));
            assert!(refused.is_err(), "{eps}");
        }
    }
}

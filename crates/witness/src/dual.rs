//! Dual numbers: a number that carries its derivative.
//!
//! `a + b ε` with `ε² = 0`, as Clifford wrote them in 1873. Every function of one is the function
//! of its value, and the chain rule for its tangent: `f(a + b ε) = f(a) + f′(a) b ε`. A program
//! that is run on numbers whose tangents are `v` ends with `J v` in the tangents of its results,
//! without a step whose size would have to be chosen.

use std::cmp::Ordering;
use std::fmt;

use tape::gemm::Gemm;
use tape::{Pooled, Real};

use crate::number::number;

/// A number and its derivative in a direction.
///
/// Comparisons look at the value alone, so that a program takes the branches that it takes
/// without tangents.
#[derive(Clone, Copy, Default, Debug)]
pub struct Dual<T> {
    /// What is computed.
    pub value: T,
    /// Its derivative.
    pub tangent: T,
}

impl<T: Real> Dual<T> {
    /// A number that does not move.
    pub const fn constant(value: T) -> Self {
        Dual {
            value,
            tangent: T::ZERO,
        }
    }

    /// `f` of it, whose slope there is `slope`.
    #[inline(always)]
    fn chain(self, value: T, slope: T) -> Self {
        Dual {
            value,
            tangent: self.tangent * slope,
        }
    }
}

number!(Dual<T> where T: Real);

impl<T: Real> Dual<T> {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Dual {
            value: self.value + other.value,
            tangent: self.tangent + other.tangent,
        }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Dual {
            value: self.value - other.value,
            tangent: self.tangent - other.tangent,
        }
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        Dual {
            value: self.value * other.value,
            tangent: self.tangent * other.value + self.value * other.tangent,
        }
    }

    #[inline(always)]
    fn over(self, other: Self) -> Self {
        let value = self.value / other.value;
        Dual {
            value,
            tangent: (self.tangent - value * other.tangent) / other.value,
        }
    }

    #[inline(always)]
    fn negative(self) -> Self {
        Dual {
            value: -self.value,
            tangent: -self.tangent,
        }
    }
}

impl<T: Real> PartialEq for Dual<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Real> PartialOrd for Dual<T> {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Real> fmt::Display for Dual<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)?;
        f.write_str(" + ")?;
        fmt::Display::fmt(&self.tangent, f)?;
        f.write_str(" ε")
    }
}

impl<T: Real> fmt::LowerExp for Dual<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerExp::fmt(&self.value, f)?;
        f.write_str(" + ")?;
        fmt::LowerExp::fmt(&self.tangent, f)?;
        f.write_str(" ε")
    }
}

impl<T: Real> Pooled for Dual<T> {
    const NEW: Self = Dual::ZERO;
    const POISON: Self = Dual::NAN;
}

impl<T: Real> Gemm for Dual<T> {}

impl<T: Real> Real for Dual<T> {
    const ZERO: Self = Dual::constant(T::ZERO);
    const ONE: Self = Dual::constant(T::ONE);
    const EPSILON: Self = Dual::constant(T::EPSILON);
    const MIN_POSITIVE: Self = Dual::constant(T::MIN_POSITIVE);
    const NEG_INFINITY: Self = Dual::constant(T::NEG_INFINITY);
    const NAN: Self = Dual {
        value: T::NAN,
        tangent: T::NAN,
    };
    const NAME: &'static str = "dual numbers";

    type Wide = Dual<T::Wide>;

    #[inline(always)]
    fn widen(self) -> Self::Wide {
        Dual {
            value: self.value.widen(),
            tangent: self.tangent.widen(),
        }
    }
    #[inline(always)]
    fn narrow(wide: Self::Wide) -> Self {
        Dual {
            value: T::narrow(wide.value),
            tangent: T::narrow(wide.tangent),
        }
    }
    fn from_f64(x: f64) -> Self {
        Dual::constant(T::from_f64(x))
    }
    fn to_f64(self) -> f64 {
        self.value.to_f64()
    }
    fn from_usize(n: usize) -> Self {
        Dual::constant(T::from_usize(n))
    }
    fn exp(self) -> Self {
        let y = self.value.exp();
        self.chain(y, y)
    }
    fn ln(self) -> Self {
        self.chain(self.value.ln(), T::ONE / self.value)
    }
    fn ln_1p(self) -> Self {
        self.chain(self.value.ln_1p(), T::ONE / (T::ONE + self.value))
    }
    fn sqrt(self) -> Self {
        let y = self.value.sqrt();
        self.chain(y, T::ONE / (y + y))
    }
    fn tanh(self) -> Self {
        let y = self.value.tanh();
        self.chain(y, T::ONE - y * y)
    }
    fn powi(self, n: i32) -> Self {
        if n == 0 {
            return Dual::ONE;
        }
        let below = match n.checked_sub(1) {
            Some(below) => self.value.powi(below),
            None => self.value.powi(n) / self.value,
        };
        let slope = T::from_f64(f64::from(n)) * below;
        self.chain(self.value.powi(n), slope)
    }
    fn abs(self) -> Self {
        if self.value < T::ZERO { -self } else { self }
    }
    fn max(self, other: Self) -> Self {
        if self.value >= other.value || self.value.is_nan() {
            self
        } else {
            other
        }
    }
    fn erf(self) -> Self {
        // erf′(x) = 2/√π · e^(−x²)
        let slope = T::from_f64(std::f64::consts::FRAC_2_SQRT_PI);
        let x = self.value;
        self.chain(x.erf(), slope * (-(x * x)).exp())
    }
    fn is_finite(self) -> bool {
        self.value.is_finite()
    }
    fn is_nan(self) -> bool {
        self.value.is_nan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every function of one number, its derivative by a central difference.
    #[test]
    fn tangents_are_slopes() {
        type F = fn(Dual<f64>) -> Dual<f64>;
        let functions: [(&str, F); 14] = [
            ("exp", Real::exp),
            ("ln", Real::ln),
            ("ln_1p", Real::ln_1p),
            ("sqrt", Real::sqrt),
            ("tanh", Real::tanh),
            ("erf", Real::erf),
            ("powi 3", |x| x.powi(3)),
            ("powi -2", |x| x.powi(-2)),
            ("powi 1", |x| x.powi(1)),
            ("powi 0", |x| x.powi(0)),
            ("|-x|", |x| (-x).abs()),
            ("max", |x| Real::max(x * x, Dual::ZERO - x)),
            ("x / (x x + 1)", |x| x / (x * x + Dual::ONE)),
            ("(1 - x) x", |x| (Dual::ONE - x) * x),
        ];
        for (name, f) in functions {
            for at in [0.3_f64, 1.7] {
                let h = 1e-5;
                let value = |x| f(Dual::constant(x)).value;
                let slope = (value(at + h) - value(at - h)) / (2.0 * h);
                let y = f(Dual {
                    value: at,
                    tangent: 2.0,
                });
                assert_eq!(y.value, value(at), "{name}");
                assert!(
                    (y.tangent - 2.0 * slope).abs() < 1e-7 * (1.0 + slope.abs()),
                    "{name} at {at}: {} is not twice {slope}",
                    y.tangent
                );
            }
        }
    }

    #[test]
    fn branches_look_at_values_alone() {
        let moved = Dual {
            value: 1.0,
            tangent: 9.0,
        };
        assert_eq!(moved, Dual::ONE);
        assert!(moved <= Dual::ONE && Real::max(moved, Dual::from_f64(2.0)).tangent == 0.0);
        assert_eq!(format!("{moved} {moved:.0e}"), "1 + 9 ε 1e0 + 9e0 ε");
    }
}

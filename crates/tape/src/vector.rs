//! Whole loops over slices, compiled for several instruction sets ([`macro@vectorized`]). Loops
//! that stand inside of others are in [`lanes`].

use vectorized::vectorized;

use crate::Real;
use crate::lanes::{self, LANES};

/// Below so many elements a loop is over before the choice between its versions would pay.
const FEW: usize = LANES;

/// The loop of this name over the elements of the first slice: as it stands in [`lanes`] if they
/// are few, or else as [`many`] has it.
macro_rules! fitting {
    ($name:ident($first:ident $(, $other:ident)*)) => {
        if $first.len() < FEW {
            lanes::$name($first $(, $other)*)
        } else {
            many::$name($first $(, $other)*)
        }
    };
}

/// `y = f(x)`, element by element; as many as the shorter slice has, as in all of these.
#[inline]
pub fn map<T: Real>(y: &mut [T], x: &[T], f: impl Fn(T) -> T) {
    fitting!(map(y, x, f));
}

/// `y = f(y)`.
#[inline]
pub fn map_assign<T: Real>(y: &mut [T], f: impl Fn(T) -> T) {
    fitting!(map_assign(y, f));
}

/// `y = f(a, b)`.
#[inline]
pub fn zip<T: Real>(y: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    fitting!(zip(y, a, b, f));
}

/// `y = f(y, x)`.
#[inline]
pub fn zip_assign<T: Real>(y: &mut [T], x: &[T], f: impl Fn(T, T) -> T) {
    fitting!(zip_assign(y, x, f));
}

/// `y += x`.
#[inline]
pub fn add<T: Real>(y: &mut [T], x: &[T]) {
    zip_assign(y, x, |y, x| y + x);
}

/// `Σ xᵢ`, in the order of [`lanes::sum`].
#[inline]
pub fn sum<T: Real>(x: &[T]) -> T {
    fitting!(sum(x))
}

/// `Σ aᵢ bᵢ`, in the order of [`lanes::dot`].
///
/// # Panics
/// If the slices differ in length.
#[vectorized]
pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    lanes::dot(a, b)
}

/// The largest element, NaN if there is one, and −∞ if there is none.
#[vectorized]
pub fn max<T: Real>(x: &[T]) -> T {
    lanes::max(x)
}

/// The loops compiled for several instruction sets, between which every call chooses.
mod many {
    use super::*;

    #[vectorized]
    pub fn map<T: Real, F: Fn(T) -> T>(y: &mut [T], x: &[T], f: F) {
        lanes::map(y, x, f);
    }

    #[vectorized]
    pub fn map_assign<T: Real, F: Fn(T) -> T>(y: &mut [T], f: F) {
        lanes::map_assign(y, f);
    }

    #[vectorized]
    pub fn zip<T: Real, F: Fn(T, T) -> T>(y: &mut [T], a: &[T], b: &[T], f: F) {
        lanes::zip(y, a, b, f);
    }

    #[vectorized]
    pub fn sum<T: Real>(x: &[T]) -> T {
        lanes::sum(x)
    }

    #[vectorized]
    pub fn zip_assign<T: Real, F: Fn(T, T) -> T>(y: &mut [T], x: &[T], f: F) {
        lanes::zip_assign(y, x, f);
    }
}

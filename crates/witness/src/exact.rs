//! Numbers that are never rounded: elements of a finite field.
//!
//! A backward pass is made of sums, products, quotients and roots, and so is the derivative that
//! it should compute. Whether two such formulas are the same function can be settled by trying
//! them at a random point of a field with finitely many elements, where every operation is exact:
//! either they are the same, and then they agree, or they agree by chance at no more than a few of
//! 2⁶¹ points (Schwartz, 1980; Zippel, 1979). No tolerance is involved.
//!
//! The field is that of the integers modulo the prime `p = 2⁶¹ − 1`, with a root of −1 adjoined as
//! the complex numbers have one, because half of all elements have no root without it.

use std::cmp::Ordering;
use std::fmt;

use tape::gemm::Gemm;
use tape::{Pooled, Real};

use crate::number::number;

/// The prime `2⁶¹ − 1`.
pub const PRIME: u64 = (1 << 61) - 1;

/// An element `re + im · i` of the field of `p²` elements, with `i² = −1`.
///
/// Beside it stands what a floating-point number in its place would be, [`Exact::size`]. Only
/// comparisons look at that: which of two is the larger, whether squares would overflow. Elements
/// of a field have no order, and a program must branch somehow; as long as both sides of a
/// comparison branch alike, the formulas of that branch are compared.
///
/// It also knows how complicated it is: the degrees of a numerator and a denominator, as
/// polynomials in the numbers that were drawn, that it may have at most.
#[derive(Clone, Copy, Default, Debug)]
pub struct Exact {
    re: u64,
    im: u64,
    size: f64,
    top: u32,
    bottom: u32,
    /// Which denominator it is: the sum of what its factors hash to.
    below: u64,
    depth: u8,
    undefined: bool,
}

impl Exact {
    /// A number drawn at random: any integer modulo p, of the given size.
    ///
    /// # Panics
    /// If the integer is not below [`PRIME`].
    #[track_caller]
    pub fn drawn(integer: u64, size: f64) -> Self {
        assert!(
            integer < PRIME,
            "{integer} is no integer modulo {PRIME}; draw one below it"
        );
        Exact {
            re: integer,
            size,
            top: 1,
            ..Exact::default()
        }
    }

    /// The element itself, `[re, im]`.
    pub fn element(self) -> [u64; 2] {
        [self.re, self.im]
    }

    /// What a floating-point number in its place would be, roughly.
    pub fn size(self) -> f64 {
        self.size
    }

    /// Whether both are the same element. `==` compares sizes, as `<` does.
    pub fn is(self, other: Self) -> bool {
        self.element() == other.element()
    }

    /// The largest degree that its numerator and its denominator may have, in the numbers drawn.
    /// A root counts as half of what it is the root of.
    pub fn degrees(self) -> [u32; 2] {
        [self.top, self.bottom]
    }

    /// Whether the field has the number: that it is not 1/0, nor a root which does not exist, nor
    /// made of one of these.
    pub fn is_defined(self) -> bool {
        !self.undefined && self.size.is_finite()
    }

    /// How deeply roots are nested in it.
    pub fn depth(self) -> u8 {
        self.depth
    }

    /// A number that the field does not have, such as 1/0.
    fn undefined(self) -> Self {
        Exact {
            undefined: true,
            ..self
        }
    }

    /// The element `[re, im]` with what else is known of the result of two others.
    #[inline(always)]
    fn of(self, other: Self, [re, im]: [u64; 2], size: f64, fraction: Fraction) -> Self {
        Exact {
            re,
            im,
            size,
            top: fraction.0,
            bottom: fraction.1,
            below: fraction.2,
            depth: self.depth.max(other.depth),
            undefined: self.undefined | other.undefined,
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        let fraction = if self.below == other.below {
            let bottom = self.bottom.max(other.bottom);
            (self.top.max(other.top), bottom, self.below)
        } else {
            let top = cross(self, other).max(cross(other, self));
            (
                top,
                self.bottom.saturating_add(other.bottom),
                self.below.wrapping_add(other.below),
            )
        };
        let sum = [add(self.re, other.re), add(self.im, other.im)];
        self.of(other, sum, self.size + other.size, fraction)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.plus(other.negative())
    }

    #[inline(always)]
    fn negative(self) -> Self {
        Exact {
            re: negate(self.re),
            im: negate(self.im),
            size: -self.size,
            ..self
        }
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        let product = product(self.element(), other.element());
        let fraction = (
            self.top.saturating_add(other.top),
            self.bottom.saturating_add(other.bottom),
            self.below.wrapping_add(other.below),
        );
        self.of(other, product, self.size * other.size, fraction)
    }

    #[inline]
    fn over(self, other: Self) -> Self {
        // 1/(a + bi) = (a − bi)/(a² + b²), and a² + b² is 0 for 0 alone, as −1 has no root.
        let norm = add(mul(other.re, other.re), mul(other.im, other.im));
        let inverse = power(norm, PRIME - 2);
        let inverse = [mul(other.re, inverse), negate(mul(other.im, inverse))];
        let quotient = product(self.element(), inverse);
        // A constant divisor is no polynomial that could vanish.
        let divisor = if other.top == 0 {
            0
        } else {
            other.hash(DIVISOR, other.below)
        };
        let fraction = (
            cross(self, other),
            self.bottom.saturating_add(other.top),
            self.below.wrapping_add(divisor),
        );
        let quotient = self.of(other, quotient, self.size / other.size, fraction);
        if norm == 0 {
            quotient.undefined()
        } else {
            quotient
        }
    }

    /// The element, hashed with a name and something beside it.
    fn hash(self, name: u64, beside: u64) -> u64 {
        [self.re, self.im, beside]
            .iter()
            .fold(mix(name), |hash, part| mix(hash ^ part))
    }

    /// A function that the field does not have, as a symbol: any element, but always the same for
    /// the same argument. Where two arguments are equal by chance their symbols are too, so the
    /// degree of the argument counts.
    fn symbol(self, name: u64, size: f64) -> Self {
        Exact {
            re: self.hash(name, 0) % PRIME,
            im: 0,
            size,
            top: 1_u32.saturating_add(self.top).saturating_add(self.bottom),
            bottom: 0,
            below: 0,
            depth: self.depth,
            undefined: self.undefined || !self.size.is_finite(),
        }
    }
}

/// What is hashed, so that nothing is taken for something else.
const DIVISOR: u64 = 1;
const ROOT: u64 = 2;
const EXP: u64 = 3;
const LN: u64 = 4;
const TANH: u64 = 5;
const ERF: u64 = 6;

/// The finalizer of SplitMix (Steele, Lea & Flood, 2014), after its increment.
fn mix(hash: u64) -> u64 {
    let mut hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb)] {
        hash = (hash ^ (hash >> shift)).wrapping_mul(factor);
    }
    hash ^ (hash >> 31)
}

/// The degree of a root; one that was too large to be counted stays so.
fn half(degree: u32) -> u32 {
    if degree == u32::MAX {
        degree
    } else {
        degree.div_ceil(2)
    }
}

/// The degrees of numerator and denominator, and which denominator it is.
type Fraction = (u32, u32, u64);

/// The degree that a's numerator has over b's denominator.
#[inline(always)]
fn cross(a: Exact, b: Exact) -> u32 {
    a.top.saturating_add(b.bottom)
}

#[inline(always)]
const fn add(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= PRIME { sum - PRIME } else { sum }
}

#[inline(always)]
const fn negate(a: u64) -> u64 {
    if a == 0 { 0 } else { PRIME - a }
}

/// As 2⁶¹ is 1, the upper half of a product is added to the lower.
#[inline(always)]
const fn mul(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    let (low, high) = (product as u64 & PRIME, (product >> 61) as u64);
    add(low, high)
}

#[inline(always)]
fn product([a, b]: [u64; 2], [c, d]: [u64; 2]) -> [u64; 2] {
    if b == 0 && d == 0 {
        return [mul(a, c), 0];
    }
    [add(mul(a, c), negate(mul(b, d))), add(mul(a, d), mul(b, c))]
}

fn power(mut a: u64, mut n: u64) -> u64 {
    let mut result = 1;
    while n > 0 {
        if n & 1 == 1 {
            result = mul(result, a);
        }
        a = mul(a, a);
        n >>= 1;
    }
    result
}

/// The root of an integer modulo p, if it has one. As p is 3 modulo 4, it is a power; of the two,
/// this one is a square itself.
fn real_root(a: u64) -> Option<u64> {
    let root = power(a, PRIME.div_ceil(4));
    (mul(root, root) == a).then_some(root)
}

/// A root of `a + b i`, if it has one. Every integer modulo p has one, perhaps times i.
fn root([a, b]: [u64; 2]) -> Option<[u64; 2]> {
    if b == 0 {
        return match real_root(a) {
            Some(root) => Some([root, 0]),
            None => real_root(negate(a)).map(|root| [0, root]),
        };
    }
    // (x + yi)² = a + bi: x² is half of a plus or minus the root of a² + b², and y is b/2x.
    let norm = real_root(add(mul(a, a), mul(b, b)))?;
    let half = power(2, PRIME - 2);
    let candidates = [norm, negate(norm)].map(|norm| mul(add(a, norm), half));
    let x = candidates.into_iter().find_map(real_root)?;
    let y = mul(mul(b, half), power(x, PRIME - 2));
    Some([x, y])
}

number!(Exact);

impl PartialEq for Exact {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size
    }
}

impl PartialOrd for Exact {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.size.partial_cmp(&other.size)
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.im {
            0 => write!(f, "{} mod p", self.re),
            im => write!(f, "{} + {im} i mod p", self.re),
        }
    }
}

impl fmt::LowerExp for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerExp::fmt(&self.size, f)
    }
}

impl Pooled for Exact {
    const NEW: Self = Exact::ZERO;
    const POISON: Self = Exact::NAN;
}

impl Gemm for Exact {}

/// A constant: the element that an `f64`, a whole number times a power of two, is in the field.
const fn constant(x: f64) -> Exact {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64;
    let fraction = bits & ((1 << 52) - 1);
    let (integer, exponent) = match exponent {
        0 => (fraction, -1074),
        // Infinite or not a number: nothing is multiplied by it that counts.
        0x7ff => (0, 0),
        _ => (fraction | 1 << 52, exponent - 1075),
    };
    // 2⁶¹ is 1, so no power of two is beyond 2⁶⁰.
    let re = mul(integer, 1 << exponent.rem_euclid(61));
    let re = if x < 0.0 && re != 0 { PRIME - re } else { re };
    Exact {
        re,
        im: 0,
        size: x,
        top: 0,
        bottom: 0,
        below: 0,
        depth: 0,
        undefined: false,
    }
}

impl Real for Exact {
    const ZERO: Self = constant(0.0);
    const ONE: Self = constant(1.0);
    const EPSILON: Self = constant(f64::EPSILON);
    const MIN_POSITIVE: Self = constant(f64::MIN_POSITIVE);
    const NEG_INFINITY: Self = constant(f64::NEG_INFINITY);
    const NAN: Self = constant(f64::NAN);
    const NAME: &'static str = "a finite field";

    type Wide = Self;

    fn widen(self) -> Self {
        self
    }
    fn narrow(wide: Self) -> Self {
        wide
    }
    fn from_f64(x: f64) -> Self {
        constant(x)
    }
    fn to_f64(self) -> f64 {
        self.size
    }
    fn from_usize(n: usize) -> Self {
        Exact {
            re: (n as u64) % PRIME,
            size: n as f64,
            ..Exact::default()
        }
    }
    fn exp(self) -> Self {
        match self.size {
            // A weight that is masked out.
            f64::NEG_INFINITY => Exact {
                undefined: self.undefined,
                depth: self.depth,
                ..Exact::ZERO
            },
            size => self.symbol(EXP, size.exp()),
        }
    }
    fn ln(self) -> Self {
        self.symbol(LN, self.size.ln())
    }
    fn ln_1p(self) -> Self {
        (Exact::ONE + self).ln()
    }
    fn sqrt(self) -> Self {
        let found = root(self.element());
        let [re, im] = found.unwrap_or_default();
        let root = Exact {
            re,
            im,
            size: self.size.sqrt(),
            top: half(self.top),
            bottom: half(self.bottom),
            // The root of a denominator is another one.
            below: if self.bottom == 0 {
                0
            } else {
                self.hash(ROOT, self.below)
            },
            depth: (self.depth).saturating_add(u8::from(self.top > 0 || self.bottom > 0)),
            ..self
        };
        match found {
            Some(_) => root,
            None => root.undefined(),
        }
    }
    fn tanh(self) -> Self {
        self.symbol(TANH, self.size.tanh())
    }
    fn powi(self, n: i32) -> Self {
        let (mut power, mut square, mut rest) = (Exact::ONE, self, n.unsigned_abs());
        while rest > 0 {
            if rest % 2 == 1 {
                power *= square;
            }
            rest /= 2;
            if rest > 0 {
                square *= square;
            }
        }
        if n < 0 { Exact::ONE / power } else { power }
    }
    fn abs(self) -> Self {
        if self.size < 0.0 { -self } else { self }
    }
    fn max(self, other: Self) -> Self {
        if self.size >= other.size || self.size.is_nan() {
            self
        } else {
            other
        }
    }
    fn erf(self) -> Self {
        self.symbol(ERF, Real::erf(self.size))
    }
    fn is_finite(self) -> bool {
        self.size.is_finite()
    }
    fn is_nan(self) -> bool {
        self.size.is_nan()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Exact> {
        let mut state = 12345_u64;
        let mut draw = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            Exact::drawn((state >> 3) % PRIME, 1.0)
        };
        let mut all: Vec<Exact> = (0..20).map(|_| draw()).collect();
        let i = Exact {
            size: 1.0,
            ..(-Exact::ONE).sqrt()
        };
        all.extend((0..20).map(|_| draw() + draw() * i));
        all
    }

    #[test]
    fn the_laws_of_a_field_hold() {
        let all = some();
        for (a, b) in all.iter().zip(&all[7..]) {
            let (a, b) = (*a, *b);
            for c in [all[3], all[33]] {
                assert!(((a + b) * c).is(a * c + b * c));
                assert!(((a * b) * c).is(a * (b * c)));
                assert!((a / c * c).is(a));
                assert!((a - b + b).is(a));
            }
            assert!((a.powi(3) * a.powi(-2)).is(a));
        }
    }

    #[test]
    fn constants_are_what_they_are_as_fractions() {
        let whole = |n| Exact::from_usize(n);
        for (x, top, bottom) in [
            (0.75, 3, 4),
            (1.5, 3, 2),
            (1024.0, 1024, 1),
            (0.0, 0, 1),
            (3.0 / 65536.0, 3, 65536),
        ] {
            assert!((whole(bottom) * Exact::from_f64(x)).is(whole(top)), "{x}");
            assert!((whole(bottom) * Exact::from_f64(-x)).is(-whole(top)), "{x}");
        }
        // Sums and products of fractions with powers of two below are exact in f64 too.
        for (a, b) in [
            (1e-5_f64, 4.0),
            (0.1, 2.0_f64.powi(70)),
            (1e300, 0.5),
            (5e-324, 4.0),
        ] {
            assert!((Exact::from_f64(a) * Exact::from_f64(b)).is(Exact::from_f64(a * b)));
        }
        // One tenth is not 1/10 in f64, and not here.
        assert!(!(Exact::from_f64(0.1) * whole(10)).is(Exact::ONE));
    }

    #[test]
    fn roots_are_roots_where_there_are_some() {
        let mut roots = [0, 0];
        for (k, a) in some().into_iter().enumerate() {
            let root = a.sqrt();
            if k < 20 {
                assert!((root * root).is(a), "an integer has a root");
            } else if root.is_defined() {
                roots[0] += 1;
                assert!((root * root).is(a));
            } else {
                // Then one of a and any other without a root has.
                roots[1] += 1;
            }
            let square = a * a;
            let root = square.sqrt();
            assert!(root.is(a) || root.is(-a), "a square has a root");
            // Whatever is multiplied by a power of two, its root is too.
            assert!((square * Exact::from_f64(4.0)).sqrt().is(root + root));
        }
        assert!(
            roots.iter().all(|&n| n > 3),
            "about half have one: {roots:?}"
        );
        assert!(Exact::ZERO.sqrt().is(Exact::ZERO));
    }

    #[test]
    fn what_the_field_does_not_have_is_not_defined() {
        assert!(!(Exact::ONE / Exact::ZERO).is_defined());
        let zero = some()[0] - some()[0];
        assert!(!(Exact::ONE / zero + Exact::ONE).is_defined());
        assert!(Exact::NAN.is_nan() && !Exact::NAN.is_defined());
        assert!(!Exact::NEG_INFINITY.is_finite());
        assert!(Exact::NEG_INFINITY.exp().is(Exact::ZERO));
        // What was undefined stays so, whatever is made of it.
        let undefined = Exact::from_f64(-1.0) / Exact::ZERO;
        for made in [
            undefined.exp(),
            undefined.tanh(),
            undefined.sqrt(),
            undefined * Exact::ZERO,
        ] {
            assert!(!made.is_defined());
        }
        assert!(!Exact::NEG_INFINITY.tanh().is_defined());
    }

    #[test]
    fn degrees_are_those_of_fractions() {
        let [x, y] = [some()[0], some()[1]];
        assert_eq!((x * x + y).degrees(), [2, 0]);
        assert_eq!((x / y + y / x).degrees(), [2, 2]);
        // Over one denominator, however often it stands there.
        assert_eq!((x / y + (x * x) / y + x / y).degrees(), [2, 1]);
        assert_eq!((x / (x + y) / y + y / y / (x + y)).degrees(), [1, 2]);
        assert_eq!(
            (x / (x + Exact::ONE - Exact::ONE) - y / x).degrees(),
            [1, 1]
        );
        assert_eq!((x * x + y * y).sqrt().degrees(), [1, 0]);
        assert_eq!((x * Exact::from_f64(3.0) + Exact::ONE).degrees(), [1, 0]);
        // A root of a fraction stands over another denominator than its inverse.
        let v = x / y;
        assert_eq!((Exact::ONE / v + v.sqrt()).degrees(), [2, 2]);
        // A symbol may be the same for two arguments where these are equal by chance.
        assert_eq!((x * x).exp().degrees(), [3, 0]);
        let large = (0..32).fold(x, |x, _| x * x);
        assert_eq!(large.sqrt().degrees()[0], u32::MAX);
        assert_eq!(large.exp().degrees()[0], u32::MAX);
        assert_eq!((x.sqrt() + y).depth(), 1);
        assert_eq!((x.sqrt() + y).sqrt().depth(), 2);
        assert_eq!(Exact::from_f64(2.0).sqrt().depth(), 0);
    }

    #[test]
    fn a_symbol_is_a_function() {
        let [x, y] = [some()[0], some()[1]];
        assert!(x.exp().is((x + y - y).exp()) && !x.exp().is(y.exp()));
        assert!(!x.exp().is(x.tanh()) && !x.exp().is(x.ln()) && !x.erf().is(x.tanh()));
        assert!((x - Exact::ONE).ln_1p().is(x.ln()));
        // Small arguments have symbols of their own too.
        let whole = Exact::from_usize;
        let mut all: Vec<_> = (0..9)
            .flat_map(|n| {
                [
                    whole(n).exp(),
                    whole(n).tanh(),
                    whole(n).ln(),
                    whole(n).erf(),
                ]
            })
            .map(Exact::element)
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 36);
    }

    #[test]
    #[should_panic(expected = "2305843009213693951 is no integer modulo 2305843009213693951")]
    fn a_draw_is_below_the_prime() {
        Exact::drawn(PRIME, 1.0);
    }
}

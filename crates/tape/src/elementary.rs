//! The exponential, the hyperbolic tangent and the error function for `f32`, as straight
//! arithmetic without a branch or a call.
//!
//! The C library's versions work on one number at a time, which costs 5 to 16 ns for each
//! element of a tensor, and they choose their instructions by the machine they run on.
//! These are inlined into the loop over a slice, where the compiler makes vectors of
//! them, and give the same bits on every machine. `f64`, in which gradients are checked,
//! keeps the library's last half digit.
//!
//! Each polynomial is the minimax approximation (Remez' exchange algorithm) to what its
//! comment says; its own error is below 5e-9, so that roundings decide: the result is
//! within 1.25 units in the last place, which a test measures.

/// Σ cₖ xᵏ, by Horner's rule.
#[inline(always)]
fn polynomial<const N: usize>(c: [f32; N], x: f32) -> f32 {
    let mut sum = c[N - 1];
    for k in (0..N - 1).rev() {
        sum = sum * x + c[k];
    }
    sum
}

/// 2ⁿ for −126 ≤ n ≤ 127: n goes to the bits of the exponent.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// eˣ = 2ⁿ eʳ with n the integer nearest to x / ln 2, so that |r| ≤ ½ ln 2.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Beyond these, eˣ is 0 or ∞. NaN stays NaN.
    let x = x.clamp(-104.0, 89.0);
    // A number of this size has no digits after the point: adding it rounds to an
    // integer, and leaves that integer in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    // ln 2 in two parts: n times the first is exact, and so is the difference.
    let r = (x - n * 0.693_359_4) - n * -2.121_944_4e-4;
    // (eʳ − 1 − r) / r²
    const C: [f32; 5] = [
        0.499_999_93,
        0.166_665_2,
        0.041_668_394,
        0.008_368_78,
        0.001_381_446_7,
    ];
    let power = 1.0 + (r + r * r * polynomial(C, r));
    // In two steps: 2ⁿ alone may be too large or too small for an f32 where eˣ is not.
    let n = (rounded.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    power * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// tanh x, from the exponential where |x| is large and from a polynomial where the
/// exponential would cancel.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let large = 1.0 - 2.0 / (exp(size + size) + 1.0);
    // (tanh x − x) / x³ over x², for |x| ≤ 0.625
    const C: [f32; 5] = [
        -0.333_332_8,
        0.133_314_42,
        -0.053_739_715,
        0.020_639_087,
        -0.005_704_987,
    ];
    let square = x * x;
    let small = size + size * (square * polynomial(C, square));
    let result = if size < 0.625 { small } else { large };
    result.copysign(x)
}

/// erf x = 2/√π ∫₀ˣ e^(−t²) dt.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let size = x.abs();
    // ln(1 − erf x), for 0.97 ≤ x ≤ 3.95; from there on, erf x rounds to 1.
    const L: [f32; 7] = [
        -0.000_281_098_2,
        -1.127_328_5,
        -0.637_757_66,
        -0.103_433_98,
        0.021_990_316,
        -0.002_984_611,
        0.000_190_032_33,
    ];
    let large = 1.0 - exp(polynomial(L, size.clamp(0.0, 3.95)));
    // erf x / x − 1 over x², for |x| ≤ 1
    const S: [f32; 7] = [
        0.128_379_17,
        -0.376_126_26,
        0.112_835_88,
        -0.026_853_917,
        0.005_188_500_3,
        -0.000_801_156_07,
        7.858_032e-5,
    ];
    let small = size + size * polynomial(S, x * x);
    let result = if size < 1.0 { small } else { large };
    result.copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of `f` against `exact` over the numbers between `low` and
    /// `high`, in units in the last place of the exact result.
    fn worst(f: fn(f32) -> f32, exact: fn(f64) -> f64, low: f32, high: f32) -> f64 {
        let mut worst: f64 = 0.0;
        let mut x = low;
        while x <= high {
            let y = exact(f64::from(x));
            let unit = f64::from((y.abs() as f32).next_up()) - f64::from(y.abs() as f32);
            worst = worst.max((f64::from(f(x)) - y).abs() / unit);
            // Some 100 steps for each power of two, and one at least.
            x = (x + x.abs() / 97.3).max(x.next_up());
        }
        worst
    }

    #[test]
    fn results_are_within_one_and_a_quarter_units_in_the_last_place() {
        for (name, f, exact, high) in [
            (
                "exp",
                exp as fn(f32) -> f32,
                f64::exp as fn(f64) -> f64,
                88.7,
            ),
            ("tanh", tanh, f64::tanh, 100.0),
            ("erf", erf, libm::erf, 100.0),
        ] {
            for (low, high) in [(-high, -1e-30), (1e-30, high)] {
                let worst = worst(f, exact, low, high);
                assert!(worst < 1.25, "{name} on [{low}, {high}]: {worst:.2} units");
            }
        }
    }
    #[test]
    fn the_ends_of_the_range_are_right() {
        let (infinite, nan) = (f32::INFINITY, f32::NAN);
        let nans = [
            exp(nan),
            exp(-nan),
            tanh(nan),
            tanh(-nan),
            erf(nan),
            erf(-nan),
        ];
        assert!(nans.iter().all(|y| y.is_nan()), "{nans:?}");
        assert_eq!([exp(0.0), exp(-0.0)], [1.0; 2]);
        assert_eq!([exp(infinite), exp(1e30), exp(88.73)], [infinite; 3]);
        assert_eq!([exp(-infinite), exp(-1e30), exp(-104.0)], [0.0; 3]);
        // The largest result, and the smallest, which has one bit left.
        let x = 88.72_f32;
        assert!((f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs() < 1e-6);
        assert_eq!(exp(-103.0), f32::from_bits(1));
        for f in [tanh as fn(f32) -> f32, erf] {
            assert_eq!([f(infinite), f(1e30), f(20.0)], [1.0; 3]);
            assert_eq!([f(-infinite), f(-1e30), f(-20.0)], [-1.0; 3]);
            assert_eq!(f(-0.0).to_bits(), (-0.0_f32).to_bits());
            assert_eq!(f(0.0).to_bits(), 0);
        }
    }
    #[test]
    fn the_bits_are_the_same_on_every_machine() {
        // At the seams, the two ways to the result differ in their last bit.
        let results = [
            exp(1.0),
            exp(-20.0),
            tanh(0.625),
            tanh(0.3),
            erf(1.0),
            erf(-0.5),
        ];
        let bits = results.map(f32::to_bits);
        let expected = [
            0x402d_f854,
            0x310d_a433,
            0x3f0d_fa40,
            0x3e95_26ee,
            0x3f57_bb3e,
            0xbf05_3f7b,
        ];
        assert_eq!(bits, expected);
    }
}

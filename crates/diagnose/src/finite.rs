//! What to say of an array that is not finite.

use crate::array::Array;
use crate::dtype::Dtype;
use crate::subject::place;
use crate::tolerance::length_of;
use half::f16;

/// The share of the largest f16 from which on a step of the computation may exceed it.
const LARGE: f64 = 0.01;
/// So many elements are enough to read a factor off.
const ENOUGH: usize = 4;

/// How many elements are NaN or infinite, where the first is, and what may be behind it; nothing for
/// an array that is finite.
pub fn not_finite(array: &Array, right: &[f64], allowed: f64) -> Option<String> {
    let values = &array.values;
    let first = values.iter().position(|v| !v.is_finite())?;
    let count = |is: fn(&f64) -> bool| values.iter().filter(|v| is(v)).count();
    let (nan, infinite, all) = (
        count(|v| v.is_nan()),
        count(|v| v.is_infinite()),
        values.len(),
    );
    let what = match (nan, infinite) {
        (nan, 0) => format!("{nan} of {all} elements {} NaN", verb(nan)),
        (0, infinite) => format!("{infinite} of {all} elements {} infinite", verb(infinite)),
        _ => format!(
            "of {all} elements {nan} {} NaN and {infinite} infinite",
            verb(nan)
        ),
    };
    let mut told = format!("{what}, the first at {:?}", place(&array.shape, first));
    let factor = factor(values, right, allowed);
    if let Some(factor) = factor {
        told += &format!("; all others are {} times what is right", short(factor));
    }
    let largest = right.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    if array.dtype == Dtype::F16 {
        let end = f16::MAX.to_f64();
        if largest * factor.unwrap_or(1.0).abs() > end {
            told += &format!(", which f16 cannot hold above {end}");
        } else if largest > LARGE * end {
            told += &format!(
                "; f16 ends at {end}, and what is right reaches {largest:.0}: a sum or a \
                 product on the way may have overflowed"
            );
        }
    }
    Some(told)
}

/// A number with up to four decimals.
fn short(value: f64) -> String {
    let decimals = format!("{value:.4}");
    decimals
        .trim_end_matches('0')
        .trim_end_matches('.')
        .to_owned()
}

fn verb(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// The one factor, not 1, by which all finite elements differ from what is right.
fn factor(values: &[f64], right: &[f64], allowed: f64) -> Option<f64> {
    let finite = || {
        values
            .iter()
            .zip(right)
            .filter(|(found, _)| found.is_finite())
    };
    let along: f64 = finite().map(|(found, right)| found * right).sum();
    let square: f64 = finite().map(|(_, right)| right * right).sum();
    let factor = along / square;
    // A whole one is likelier than one beside it.
    let whole = factor.round();
    let factor = if (whole - factor).abs() <= allowed * factor.abs() {
        whole
    } else {
        factor
    };
    let left = length_of(finite().map(|(found, right)| found - factor * right));
    let size = length_of(finite().map(|(found, _)| *found));
    let tells = finite().count() >= ENOUGH && left <= allowed * size;
    (tells && size > 0.0 && (factor - 1.0).abs() > 2.0 * allowed).then_some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(dtype: Dtype, values: Vec<f64>) -> Array {
        let shape = vec![2, values.len() / 2];
        Array {
            shape,
            dtype,
            values,
        }
    }

    #[test]
    fn what_is_not_finite_is_counted_and_an_overflow_recognized() {
        let right: Vec<f64> = (0..20).map(|k| 7.0 * f64::from(k) - 30.0).collect();
        assert_eq!(
            not_finite(&array(Dtype::F32, right.clone()), &right, 1e-6),
            None
        );
        let all = array(Dtype::F32, vec![f64::NAN; 20]);
        let told = not_finite(&all, &right, 1e-6).unwrap();
        assert_eq!(told, "20 of 20 elements are NaN, the first at [0, 0]");
        let mut mixed = right.clone();
        (mixed[13], mixed[4], mixed[5]) = (f64::NAN, f64::INFINITY, f64::NEG_INFINITY);
        let told = not_finite(&array(Dtype::F32, mixed), &right, 1e-6).unwrap();
        assert_eq!(
            told,
            "of 20 elements 1 is NaN and 2 infinite, the first at [0, 4]"
        );
        let scaled = right.iter().map(|v| Dtype::F16.round(1024.0 * v)).collect();
        let told = not_finite(&array(Dtype::F16, scaled), &right, 1e-3).unwrap();
        let wanted = "6 of 20 elements are infinite, the first at [1, 4]; all others are 1024 \
                      times what is right, which f16 cannot hold above 65504";
        assert_eq!(told, wanted);
        let large: Vec<f64> = right.iter().map(|v| 100.0 * v).collect();
        let told = not_finite(&array(Dtype::F16, vec![f64::NAN; 20]), &large, 1e-3).unwrap();
        assert!(
            told.ends_with("a sum or a product on the way may have overflowed"),
            "{told}"
        );
    }
}

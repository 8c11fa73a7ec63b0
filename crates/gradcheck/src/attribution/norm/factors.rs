//! Weights that mean something, for the numbers of one probe.

use super::probe::Probe;
use crate::attribution::Factor;

/// Weights any term can have: missing, wrong sign, counted twice or by half.
pub fn common() -> Vec<Factor> {
    vec![
        Factor::anywhere("missing", 0.0, "is missing"),
        Factor::anywhere("sign", -1.0, "has the wrong sign"),
        Factor::anywhere("doubled", 2.0, "is counted twice"),
        Factor::anywhere("halved", 0.5, "is counted by half"),
    ]
}

/// Weights of a mean over `m` values in the paths of these numbers: summed, or divided by
/// the wrong number.
pub fn of_a_mean(probe: &Probe, m: usize, paths: &[usize]) -> Vec<Factor> {
    let factor = |id: &str, divisor: f64, clause: String| {
        let value = m as f64 / divisor;
        let otherwise = if value > 1.0 {
            format!("is {value:.4} times too large")
        } else {
            format!("is {:.4} times too small", 1.0 / value)
        };
        let (id, otherwise, about) = (id.to_string(), Some(otherwise), paths.to_vec());
        Factor {
            id,
            clause,
            otherwise,
            about,
            value,
        }
    };
    let mut factors = vec![
        factor(
            "summed",
            1.0,
            format!("is summed where it must be averaged over {m} values"),
        ),
        factor(
            "bessel",
            m as f64 - 1.0,
            format!(
                "is divided by {}, not {m}: Bessel's correction does not belong here",
                m - 1
            ),
        ),
        factor(
            "averaged-twice",
            (m as f64).powi(2),
            format!("is divided by {m} once too often"),
        ),
    ];
    for divisor in divisors(probe) {
        let clause = format!("is divided by {divisor} in place of {m}");
        factors.push(factor(
            &format!("divided-by-{divisor}"),
            divisor as f64,
            clause,
        ));
    }
    distinct(factors)
}

/// Weights of a sum over `m` values: averaged, or divided by another number.
pub fn of_a_sum(probe: &Probe, m: usize) -> Vec<Factor> {
    let averaged = format!("is averaged where it must be summed over {m} values");
    let mut factors = vec![Factor::anywhere("averaged", 1.0 / m as f64, averaged)];
    for divisor in divisors(probe) {
        let id = format!("divided-by-{divisor}");
        let clause = format!("is divided by {divisor} where it must be summed");
        factors.push(Factor::anywhere(id, 1.0 / divisor as f64, clause));
    }
    distinct(factors)
}

/// Numbers a learner may divide by: each axis, each product of axes, everything.
fn divisors(probe: &Probe) -> Vec<usize> {
    let mut divisors: Vec<usize> = probe.shape.clone();
    divisors.extend(probe.others.iter().map(|o| o.groups.size()));
    divisors.push(probe.x.len());
    divisors.sort_unstable();
    divisors.dedup();
    divisors.retain(|&d| d > 2);
    divisors
}

/// Of weights with the same value the first, and none that is 1 or a common one.
fn distinct(factors: Vec<Factor>) -> Vec<Factor> {
    let mut taken: Vec<f64> = common().iter().map(|f| f.value).chain([1.0]).collect();
    let mut kept = Vec::new();
    for f in factors {
        if taken.iter().all(|t| (t - f.value).abs() > 1e-9 * t.abs()) {
            taken.push(f.value);
            kept.push(f);
        }
    }
    kept
}

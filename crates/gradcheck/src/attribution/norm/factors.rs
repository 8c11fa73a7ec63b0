//! Weights that mean something, for the numbers of one probe.

use super::probe::Probe;
use crate::attribution::Factor;

fn factor(id: impl Into<String>, value: f64, clause: impl Into<String>) -> Factor {
    Factor {
        id: id.into(),
        clause: clause.into(),
        value,
    }
}

/// Weights any term can have: missing, wrong sign, counted twice or by half.
pub fn common() -> Vec<Factor> {
    vec![
        factor("missing", 0.0, "is missing"),
        factor("sign", -1.0, "has the wrong sign"),
        factor("doubled", 2.0, "is counted twice"),
        factor("halved", 0.5, "is counted by half"),
    ]
}

/// Weights of a mean over `m` values: summed, or divided by the wrong number.
pub fn of_a_mean(probe: &Probe, m: usize) -> Vec<Factor> {
    let mut factors = vec![factor(
        "summed",
        m as f64,
        format!("is summed where it must be averaged over {m} values"),
    )];
    let ratio = m as f64 / (m as f64 - 1.0);
    factors.push(factor(
        "bessel",
        ratio,
        format!(
            "is divided by {} in place of {m}: Bessel's correction does not belong here",
            m - 1
        ),
    ));
    factors.push(factor(
        "averaged-twice",
        1.0 / m as f64,
        format!("is divided by {m} once too often"),
    ));
    for divisor in divisors(probe) {
        let ratio = m as f64 / divisor as f64;
        factors.push(factor(
            format!("divided-by-{divisor}"),
            ratio,
            format!("is divided by {divisor} in place of {m}"),
        ));
    }
    distinct(factors)
}

/// Weights of a sum over `m` values: averaged, or divided by another number.
pub fn of_a_sum(probe: &Probe, m: usize) -> Vec<Factor> {
    let mut factors = vec![factor(
        "averaged",
        1.0 / m as f64,
        format!("is averaged where it must be summed over {m} values"),
    )];
    for divisor in divisors(probe) {
        factors.push(factor(
            format!("divided-by-{divisor}"),
            1.0 / divisor as f64,
            format!("is divided by {divisor} where it must be summed"),
        ));
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

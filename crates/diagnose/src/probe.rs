//! An input on which mistakes show, as a file.

use crate::array::{Array, Contents, Entry};
use crate::dtype::Dtype;
use crate::subject::facts_of;
use gradcheck::attribution::norm::{Given, Kind, Norm, Probe};

/// x, gamma, beta and dy with the facts that belong to them, each number rounded to `dtype`.
///
/// # Errors
/// One line, when the norm does not fit the shape, or the shape is so small that no mistake
/// could show.
pub fn probe(
    norm: Norm,
    shape: &[usize],
    eps: f64,
    dtype: Dtype,
    seed: u64,
) -> Result<Contents, String> {
    refuse(norm, shape, eps)?;
    let probe = Probe::new(norm, shape, eps, seed);
    let rounded = |values: &[f64]| -> Vec<f64> { values.iter().map(|v| dtype.round(*v)).collect() };
    let given = Given {
        x: rounded(&probe.x),
        gamma: rounded(&probe.gamma),
        beta: rounded(&probe.beta),
        dy: rounded(&probe.dy),
    };
    let probe = Probe::given(norm, shape, eps, given)?;
    // In sixteen bits the numbers that suit a tiny eps are hardly any, and their gradients are
    // too large.
    let advice = format!("with eps = {eps:e}, in {dtype}; take a larger eps or another type");
    if let Some(why) = probe.vacuous().first() {
        return Err(format!("no probe can be made {advice}: {why}"));
    }
    let results = [
        ("y", probe.y()),
        ("dx", probe.dx()),
        ("dgamma", probe.dgamma()),
    ];
    for (name, right) in results {
        let largest = right.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        if !dtype.round(largest).is_finite() {
            return Err(format!(
                "{name} would reach {largest:.1e}, which overflows, {advice}"
            ));
        }
    }
    let array = |shape: &[usize], values: &[f64]| {
        Entry::Array(Array {
            shape: shape.to_vec(),
            dtype,
            values: values.to_vec(),
        })
    };
    let of_parameters = match norm {
        Norm::Layer { normalized } | Norm::Rms { normalized } => {
            shape[shape.len() - normalized..].to_vec()
        }
        Norm::Batch | Norm::Group { .. } => vec![shape[1]],
    };
    let mut contents = Contents::default();
    let mut add = |name: &str, entry: Entry| drop(contents.entries.insert(name.to_owned(), entry));
    add("x", array(shape, &probe.x));
    add("dy", array(shape, &probe.dy));
    add("gamma", array(&of_parameters, &probe.gamma));
    if probe.kind != Kind::Rms {
        add("beta", array(&of_parameters, &probe.beta));
    }
    let facts = facts_of(norm).into_iter().chain([
        ("eps", eps.to_string()),
        ("dtype", dtype.to_string()),
        ("seed", seed.to_string()),
    ]);
    contents.facts = facts.map(|(name, fact)| (name.to_owned(), fact)).collect();
    Ok(contents)
}

/// Why no values of this shape could show a mistake.
fn refuse(norm: Norm, shape: &[usize], eps: f64) -> Result<(), String> {
    if !(eps.is_finite() && eps >= 0.0) {
        return Err(format!("eps is {eps}, and must be 0 or more"));
    }
    let total = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
    let Some(total) = total.filter(|n| (1..=LARGEST).contains(n)) else {
        return Err(format!(
            "the shape {shape:?} holds nothing, or more than {LARGEST} numbers"
        ));
    };
    let parameters = match norm {
        Norm::Layer { normalized } | Norm::Rms { normalized } => {
            let rows = shape.len().saturating_sub(normalized);
            shape[rows..].iter().product()
        }
        Norm::Batch | Norm::Group { .. } => shape.get(1).copied().unwrap_or(0),
    };
    let varied = |n: usize| (0..n).map(|k| (1.0 + k as f64).sin()).collect::<Vec<f64>>();
    let given = Given {
        x: varied(total),
        gamma: varied(parameters),
        beta: varied(parameters),
        dy: varied(total),
    };
    let refused = Probe::given(norm, shape, eps, given)?.vacuous();
    match refused.first() {
        Some(why) => Err(format!(
            "no values of shape {shape:?} could show a mistake: {why}"
        )),
        None => Ok(()),
    }
}

/// What is held in memory in several copies of f64.
const LARGEST: usize = 1 << 26;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_show_nothing_is_refused_with_the_reason() {
        let layer = |normalized| Norm::Layer { normalized };
        for (norm, shape, eps, dtype, reason) in [
            (layer(1), &[6, 2][..], 1e-5, Dtype::F32, "whatever x is"),
            (layer(2), &[6, 4], 1e-5, Dtype::F32, "normalize"),
            (Norm::Batch, &[6], 1e-5, Dtype::F32, "[N, C, ...]"),
            (Norm::Group { groups: 3 }, &[2, 4, 3], 1e-5, Dtype::F32, "3"),
            (layer(1), &[6, 0], 1e-5, Dtype::F32, "holds nothing"),
            (layer(1), &[1 << 40, 1 << 40], 1e-5, Dtype::F32, "more than"),
            (layer(1), &[6, 8], f64::NAN, Dtype::F32, "eps is NaN"),
            (layer(1), &[6, 8], 1e-30, Dtype::F16, "take a larger eps"),
            (layer(1), &[6, 8], 1e-11, Dtype::F16, "overflows"),
        ] {
            let why = probe(norm, shape, eps, dtype, 0).unwrap_err();
            assert!(
                why.contains(reason) && !why.contains('\n'),
                "{reason}: {why}"
            );
        }
    }

    #[test]
    fn the_numbers_are_of_the_type_and_the_seed_decides_them() {
        let norm = Norm::Group { groups: 2 };
        let made = |seed| probe(norm, &[3, 4, 5], 1e-5, Dtype::Bf16, seed).unwrap();
        let first = made(0);
        assert_eq!(first, made(0));
        assert_ne!(first, made(1));
        let Some(Entry::Array(x)) = first.entries.get("x") else {
            panic!("{first:?}")
        };
        assert!(x.values.iter().all(|v| Dtype::Bf16.round(*v) == *v));
        assert_eq!(first.facts["groups"], "2");
        assert_eq!(first.facts["eps"].parse(), Ok(1e-5));
    }
}

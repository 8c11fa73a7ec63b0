//! What a backward pass of a norm may claim: the right gradients, or gradients with one thing
//! wrong. A check of gradients is judged by these: which of them it catches, which survive it,
//! and whether it accuses the right ones.

use gradcheck::attribution::norm::{Kind, Probe, Target, mistakes};

/// The section on faults that are no mistakes in the formula.
pub const EXECUTION: &str = "sec:mistakes-execution";

/// The gradients of a norm.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// With respect to x.
    pub dx: Vec<f64>,
    /// With respect to gamma.
    pub dgamma: Vec<f64>,
    /// With respect to beta; empty for RMS Norm, which has none.
    pub dbeta: Vec<f64>,
}

impl Gradients {
    /// The right ones.
    #[must_use]
    pub fn right(probe: &Probe) -> Self {
        let dbeta = match probe.kind {
            Kind::Rms => Vec::new(),
            _ => probe.dbeta(),
        };
        Self {
            dx: probe.dx(),
            dgamma: probe.dgamma(),
            dbeta,
        }
    }

    /// Each with its name, in the order of their targets.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Vec<f64>); 3] {
        [
            ("dx", &self.dx),
            ("dgamma", &self.dgamma),
            ("dbeta", &self.dbeta),
        ]
    }

    fn of(&mut self, target: Target) -> &mut Vec<f64> {
        match target {
            Target::Dgamma => &mut self.dgamma,
            Target::Dbeta => &mut self.dbeta,
            _ => &mut self.dx,
        }
    }
}

/// Gradients with one thing wrong.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// Which of them is wrong, `dx`, `dgamma` or `dbeta`.
    pub target: &'static str,
    /// The mistake's name, as the attribution has it.
    pub id: String,
    /// What is wrong, as a clause.
    pub sentence: String,
    /// The section of the book on it.
    pub section: &'static str,
    /// What is claimed.
    pub gradients: Gradients,
}

impl Wrong {
    /// `dx: mean-path-missing`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}: {}", self.target, self.id)
    }
}

/// The gradients that a wrong backward pass may claim at this point: those of [`mistaken`] but for
/// what changes nothing at this shape, such as rows that are shifted where there is one. Their
/// number and their order depend on the norm, its shape and eps alone.
#[must_use]
pub fn wrong(probe: &Probe) -> Vec<Wrong> {
    let elsewhere = ordinary(probe);
    let right = Gradients::right(&elsewhere);
    let shows = |wrong: &Wrong| {
        let mut pairs = wrong.gradients.named().into_iter().zip(right.named());
        pairs.any(|((_, claimed), (_, right))| !is_same(claimed, right))
    };
    let both = mistaken(probe).into_iter().zip(mistaken(&elsewhere));
    both.filter(|(_, there)| shows(there))
        .map(|(here, _)| here)
        .collect()
}

/// The gradients that a mistaken backward pass claims at this point: every mistake that the
/// attribution knows by name, and faults of a loop that has the formula right. Where the data hide
/// a mistake, as a gamma of 1 does, what it claims is right. Their number and their order depend
/// on the norm and its shape alone.
#[must_use]
pub fn mistaken(probe: &Probe) -> Vec<Wrong> {
    let right = Gradients::right(probe);
    let claimed = |target: Target, values: Vec<f64>| {
        let mut gradients = right.clone();
        *gradients.of(target) = values;
        gradients
    };
    let mut all: Vec<Wrong> = Vec::new();
    for (target, name) in targets(probe.kind) {
        for (finding, values) in mistakes(probe, target) {
            // A mistake that can be made in two ways has one name, and the first way stands for it.
            let known = |wrong: &Wrong| wrong.target == name && wrong.id == finding.id;
            if all.iter().any(known) {
                continue;
            }
            all.push(Wrong {
                target: name,
                sentence: finding.sentence,
                section: finding.section.unwrap_or(EXECUTION),
                gradients: claimed(target, values),
                id: finding.id,
            });
        }
        for (id, sentence, values) in slips(probe, target, &right) {
            all.push(Wrong {
                target: name,
                id: id.to_owned(),
                sentence: sentence.to_owned(),
                section: EXECUTION,
                gradients: claimed(target, values),
            });
        }
    }
    all
}

/// Values of this norm and shape at which nothing is hidden but what the shape hides, the same for
/// every point: which claims there are must not follow from where somebody looks.
fn ordinary(probe: &Probe) -> Probe {
    let unit = if probe.eps > 0.0 {
        probe.eps.sqrt()
    } else {
        1.0
    };
    let wave = |k: usize, by: f64| ((k * k) as f64 * by + k as f64 + 1.0).sin();
    let filled = |count: usize, of: &dyn Fn(usize) -> f64| (0..count).map(of).collect();
    let (all, some) = (probe.x.len(), probe.gamma.len());
    let mut ordinary = probe.clone();
    ordinary.x = filled(all, &|k| unit * (1.5 + 2.0 * wave(k, 0.37)));
    ordinary.dy = filled(all, &|k| 0.3 + wave(k, 0.71));
    ordinary.gamma = filled(some, &|p| 1.7 + wave(p, 0.53));
    ordinary.beta = match probe.kind {
        Kind::Rms => vec![0.0; some],
        _ => filled(some, &|p| 0.4 + wave(p, 0.91)),
    };
    ordinary
}

/// Whether two arrays are the same but for rounding in `f64`.
fn is_same(a: &[f64], b: &[f64]) -> bool {
    let size = b.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-12 * size)
}

/// The gradients that a norm has.
fn targets(kind: Kind) -> Vec<(Target, &'static str)> {
    let mut targets = vec![(Target::Dx, "dx"), (Target::Dgamma, "dgamma")];
    if kind != Kind::Rms {
        targets.push((Target::Dbeta, "dbeta"));
    }
    targets
}

type Slip = (&'static str, &'static str, Vec<f64>);

/// Faults of a loop that has the formula right.
fn slips(probe: &Probe, target: Target, right: &Gradients) -> Vec<Slip> {
    match target {
        Target::Dx => of_dx(probe, &right.dx),
        Target::Dgamma => of_sums(probe, &right.dgamma, &probe.x_hat()),
        _ => of_sums(probe, &right.dbeta, &vec![1.0; probe.x.len()]),
    }
}

fn of_dx(probe: &Probe, right: &[f64]) -> Vec<Slip> {
    let count = right.len();
    let row = count / probe.shape[0];
    let rstd = probe.rstd();
    let zero_from = |from: usize| {
        let mut dx = right.to_vec();
        dx[from..].fill(0.0);
        dx
    };
    let mut swapped = right.to_vec();
    swapped.swap(0, count - 1);
    let mut not_a_number = right.to_vec();
    not_a_number[count / 2] = f64::NAN;
    vec![
        ("not-a-number", "one element is not a number", not_a_number),
        (
            "last-row-unwritten",
            "the last row is not written",
            zero_from(count - row),
        ),
        (
            "last-unwritten",
            "the last element is not written",
            zero_from(count - 1),
        ),
        (
            "ends-exchanged",
            "the first element and the last are exchanged",
            swapped,
        ),
        (
            "rows-shifted",
            "each row holds the gradient of the next",
            (0..count).map(|k| right[(k + row) % count]).collect(),
        ),
        (
            "first-rstd",
            "all is divided by the deviation of the first group",
            (0..count).map(|k| right[k] * rstd[0] / rstd[k]).collect(),
        ),
        (
            "added-to-dy",
            "it is added to the dy that its buffer held",
            right
                .iter()
                .zip(&probe.dy)
                .map(|(dx, dy)| dx + dy)
                .collect(),
        ),
    ]
}

/// Of a sum of dy times these factors for each parameter.
fn of_sums(probe: &Probe, right: &[f64], factors: &[f64]) -> Vec<Slip> {
    let count = factors.len();
    let row = count / probe.shape[0];
    let rows = |kept: &dyn Fn(usize) -> bool| {
        let term = |k: usize| match kept(k / row) {
            true => probe.dy[k] * factors[k],
            false => 0.0,
        };
        probe.params.sums(&(0..count).map(term).collect::<Vec<_>>())
    };
    let last = probe.shape[0] - 1;
    let mut unwritten = right.to_vec();
    if let Some(last) = unwritten.last_mut() {
        *last = 0.0;
    }
    vec![
        (
            "last-row-left-out",
            "the last row is left out of the sum",
            rows(&|at| at < last),
        ),
        (
            "second-rows-left-out",
            "every second row is left out of the sum",
            rows(&|at| at % 2 == 0),
        ),
        (
            "last-row-only",
            "only the last row is there, as when `=` stands where `+=` belongs",
            rows(&|at| at == last),
        ),
        (
            "last-unwritten",
            "the last element is not written",
            unwritten,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradcheck::attribution::norm::Norm;
    use std::collections::BTreeSet;

    fn probes(seed: u64) -> Vec<Probe> {
        let row = |normalized| [Norm::Layer { normalized }, Norm::Rms { normalized }];
        let tables = [Norm::Batch].into_iter().chain(row(1)).chain(row(2));
        let images = [Norm::Batch, Norm::Group { groups: 2 }];
        let of = |norm, shape: &[usize]| Probe::new(norm, shape, 1e-4, seed);
        let tables = tables.map(|norm| match norm {
            Norm::Layer { normalized: 2 } | Norm::Rms { normalized: 2 } => of(norm, &[5, 2, 3]),
            _ => of(norm, &[5, 4]),
        });
        tables
            .chain(images.map(|norm| of(norm, &[3, 4, 5])))
            .collect()
    }

    /// By so much of its size.
    fn distance(a: &[f64], b: &[f64]) -> f64 {
        let size = b.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        // What is no number is as far away as can be.
        let apart = apart.map(|d| if d.is_nan() { f64::INFINITY } else { d });
        apart.fold(0.0, f64::max) / size
    }

    /// Each is wrong in what it says and nowhere else, and no two have one name.
    #[test]
    fn what_is_called_wrong_is_wrong_in_one_array() {
        for probe in (0..6).flat_map(probes) {
            let (right, all) = (Gradients::right(&probe), wrong(&probe));
            let names: BTreeSet<String> = all.iter().map(Wrong::name).collect();
            assert_eq!(names.len(), all.len(), "{:?}", probe.kind);
            for claim in &all {
                let which = format!("{:?} {:?}, {}", probe.kind, probe.shape, claim.name());
                let pairs = claim.gradients.named().into_iter().zip(right.named());
                for ((name, claimed), (_, right)) in pairs {
                    assert_eq!(claimed.len(), right.len(), "{which}");
                    if name == claim.target {
                        assert!(distance(claimed, right) > 1e-4, "{which}");
                    } else {
                        assert_eq!(claimed, right, "{which}");
                    }
                }
            }
        }
    }

    /// With one row, or one group, some mistakes change nothing.
    #[test]
    fn what_is_right_at_a_shape_is_not_called_wrong_there() {
        let row = |normalized| [Norm::Layer { normalized }, Norm::Rms { normalized }];
        let tables = row(1).map(|norm| (norm, &[1, 6][..]));
        let images = [
            (Norm::Batch, &[1, 2, 5][..]),
            (Norm::Group { groups: 1 }, &[1, 3, 4]),
            (Norm::Group { groups: 3 }, &[2, 3, 4]),
        ];
        for (norm, shape) in tables.into_iter().chain(images) {
            let names = [0, 1].map(|seed| {
                let probe = Probe::new(norm, shape, 1e-4, seed);
                let right = Gradients::right(&probe);
                let all = wrong(&probe);
                for claim in &all {
                    let pairs = claim.gradients.named().into_iter().zip(right.named());
                    let apart = pairs.map(|((_, claimed), (_, right))| distance(claimed, right));
                    let apart = apart.filter(|d| !d.is_nan()).fold(0.0, f64::max);
                    assert!(apart > 1e-6, "{norm:?} {shape:?}: {}", claim.name());
                }
                all.iter().map(Wrong::name).collect::<Vec<_>>()
            });
            assert_eq!(names[0], names[1]);
            let shifted = names[0].contains(&"dx: rows-shifted".to_owned());
            assert_eq!(shifted, shape[0] > 1, "{norm:?} {shape:?}");
        }
    }

    /// A claim is found again by its place at another point of the same shape, though much be
    /// hidden there: where dy is constant, where gamma is 1.
    #[test]
    fn the_values_decide_neither_the_number_nor_the_order() {
        for (a, b) in probes(0).iter().zip(&probes(1)) {
            let names = |probe: &Probe| wrong(probe).iter().map(Wrong::name).collect::<Vec<_>>();
            assert_eq!(names(a), names(b));
            let mut hidden = b.clone();
            hidden.dy.fill(1.0);
            assert_eq!(names(a), names(&hidden));
            hidden.gamma.fill(1.0);
            hidden.x.iter_mut().for_each(|x| *x *= 1e6);
            assert_eq!(names(a), names(&hidden));
            assert!(names(a).len() > 40, "{:?}", a.kind);
        }
    }
}

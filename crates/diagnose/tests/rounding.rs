//! Right results are never called wrong, in whatever type and order they were computed, and
//! every mistake of the catalogue is named through the rounding of every type.

use diagnose::{Array, Candidate, Dtype, Outcome, Subject};
use gradcheck::attribution::norm::{Given, Norm, Probe, Target, mistakes};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use std::collections::BTreeMap;

/// In which order a sum is taken.
#[derive(Clone, Copy, Debug)]
enum Order {
    Forward,
    Backward,
    Pairwise,
    Lanes,
}

/// A way to compute a right result.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// The type in which terms are added up.
    sums: Dtype,
    /// The type to which every operation rounds, and a sum when it is complete.
    steps: Dtype,
    /// The type in which dgamma and dbeta are added up.
    columns: Dtype,
    /// The type in which arrays are stored.
    stored: Dtype,
    order: Order,
    welford: bool,
    /// rstd as `sqrt(1 / (var + eps))`.
    inverse_first: bool,
    /// y as `x * scale + shift`, and dx from the sums of `g * x` and of `g`.
    folded: bool,
    /// dx backwards through mean, variance and rstd, as a tape goes.
    taped: bool,
    /// mu, rstd and x_hat stored between forward and backward as arrays are.
    kept: bool,
}

impl Way {
    fn r(&self, v: f64) -> f64 {
        self.steps.round(v)
    }

    fn sum(&self, terms: &[f64]) -> f64 {
        self.r(self.added_up(terms))
    }

    fn added_up(&self, terms: &[f64]) -> f64 {
        let add = |a: f64, b: &f64| self.sums.round(a + b);
        match self.order {
            Order::Forward => terms.iter().fold(0.0, add),
            Order::Backward => terms.iter().rev().fold(0.0, add),
            Order::Lanes => {
                let mut lanes = [0.0; 8];
                for (k, term) in terms.iter().enumerate() {
                    lanes[k % 8] = add(lanes[k % 8], term);
                }
                lanes.iter().fold(0.0, add)
            }
            Order::Pairwise => match terms.len() {
                0 => 0.0,
                1 => terms[0],
                n => {
                    let (a, b) = terms.split_at(n / 2);
                    self.sums.round(self.added_up(a) + self.added_up(b))
                }
            },
        }
    }

    /// Mean and variance.
    fn moments(&self, x: &[f64], centred: bool) -> (f64, f64) {
        let n = x.len() as f64;
        if self.welford && centred {
            let (mut mean, mut squares) = (0.0, 0.0);
            for (k, x) in x.iter().enumerate() {
                let off = self.r(x - mean);
                mean = self.r(mean + self.r(off / (k + 1) as f64));
                squares = self.r(squares + self.r(off * self.r(x - mean)));
            }
            return (mean, self.r(squares / n));
        }
        let mean = if centred {
            self.r(self.sum(x) / n)
        } else {
            0.0
        };
        let off = x.iter().map(|x| self.r(self.r(x - mean).powi(2)));
        let squares: Vec<f64> = off.collect();
        (mean, self.r(self.sum(&squares) / n))
    }

    /// y, dx, dgamma and dbeta.
    fn compute(&self, probe: &Probe) -> [(&'static str, Vec<f64>); 4] {
        let r = |v: f64| self.r(v);
        let store = |v: f64| self.stored.round(v);
        let between = |v: f64| if self.kept { store(v) } else { v };
        let total = probe.x.len();
        let centred = probe.kind.is_centred();
        let mut groups = vec![Vec::new(); probe.groups.count];
        let mut params = vec![Vec::new(); probe.params.count];
        for k in 0..total {
            groups[probe.groups.of[k]].push(k);
            params[probe.params.of[k]].push(k);
        }
        let gamma = |k: usize| probe.gamma[probe.params.of[k]];
        let beta = |k: usize| probe.beta[probe.params.of[k]];
        let (mut y, mut dx) = (vec![0.0; total], vec![0.0; total]);
        let mut hat = vec![0.0; total];
        for group in &groups {
            let m = group.len() as f64;
            let x: Vec<f64> = group.iter().map(|k| probe.x[*k]).collect();
            let (mean, var) = self.moments(&x, centred);
            let var = r(var + probe.eps);
            let rstd = if self.inverse_first {
                r(r(1.0 / var).sqrt())
            } else {
                r(1.0 / r(var.sqrt()))
            };
            for &k in group {
                y[k] = if self.folded {
                    let scale = r(rstd * gamma(k));
                    r(r(probe.x[k] * scale) + r(beta(k) - r(mean * scale)))
                } else {
                    let hat = between(r(r(probe.x[k] - mean) * rstd));
                    r(r(hat * gamma(k)) + beta(k))
                };
            }
            let (mean, rstd) = (between(mean), between(rstd));
            for &k in group {
                hat[k] = between(r(r(probe.x[k] - mean) * rstd));
            }
            let g: Vec<f64> = group
                .iter()
                .map(|&k| between(r(gamma(k) * probe.dy[k])))
                .collect();
            let times = |other: &dyn Fn(usize) -> f64| -> Vec<f64> {
                group
                    .iter()
                    .zip(&g)
                    .map(|(&k, g)| r(g * other(k)))
                    .collect()
            };
            let sum = if centred { self.sum(&g) } else { 0.0 };
            if self.folded {
                // As PyTorch does it: dx = a g + b x + c.
                let with_x = self.sum(&times(&|k| probe.x[k]));
                let cube = r(r(rstd * rstd) * rstd);
                let b = r(r(r(sum * mean) - with_x) * cube);
                let b = r(b / m);
                let c = r(-r(b * mean) - r(r(sum * rstd) / m));
                for (&k, g) in group.iter().zip(&g) {
                    dx[k] = r(r(r(rstd * g) + r(b * probe.x[k])) + c);
                }
            } else if self.taped {
                // x - mu has one gradient from x_hat, and one from the variance.
                let off: Vec<f64> = group.iter().map(|&k| r(probe.x[k] - mean)).collect();
                let of_rstd: Vec<f64> = g.iter().zip(&off).map(|(g, off)| r(g * off)).collect();
                let cube = r(r(rstd * rstd) * rstd);
                let of_var = r(r(-0.5 * self.sum(&of_rstd)) * cube);
                let of_square = r(of_var / m);
                let of_off: Vec<f64> = g
                    .iter()
                    .zip(&off)
                    .map(|(g, off)| r(r(g * rstd) + r(r(2.0 * of_square) * off)))
                    .collect();
                let of_mean = if centred {
                    r(self.sum(&of_off) / m)
                } else {
                    0.0
                };
                for (&k, of_off) in group.iter().zip(&of_off) {
                    dx[k] = r(of_off - of_mean);
                }
            } else {
                let a = r(sum / m);
                let b = r(self.sum(&times(&|k| hat[k])) / m);
                for (&k, g) in group.iter().zip(&g) {
                    dx[k] = r(rstd * r(r(g - a) - r(hat[k] * b)));
                }
            }
        }
        let down = Way {
            sums: self.columns,
            ..*self
        };
        let column = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
            params
                .iter()
                .map(|all| down.sum(&all.iter().map(|k| r(of(*k))).collect::<Vec<_>>()))
                .collect()
        };
        let stored = |values: Vec<f64>| values.into_iter().map(store).collect();
        [
            ("y", stored(y)),
            ("dx", stored(dx)),
            ("dgamma", stored(column(&|k| probe.dy[k] * hat[k]))),
            ("dbeta", stored(column(&|k| probe.dy[k]))),
        ]
    }
}

fn layer(normalized: usize) -> Norm {
    Norm::Layer { normalized }
}

fn rms(normalized: usize) -> Norm {
    Norm::Rms { normalized }
}

fn group(groups: usize) -> Norm {
    Norm::Group { groups }
}

/// Values of a probe with its numbers rounded to a type.
fn rounded(norm: Norm, shape: &[usize], probe: &Probe, dtype: Dtype) -> Probe {
    let round = |values: &[f64]| values.iter().map(|v| dtype.round(*v)).collect();
    let given = Given {
        x: round(&probe.x),
        gamma: round(&probe.gamma),
        beta: round(&probe.beta),
        dy: round(&probe.dy),
    };
    Probe::given(norm, shape, probe.eps, given).expect("the same shape")
}

fn subject(
    norm: Norm,
    probe: Probe,
    input: Dtype,
    name: &'static str,
    values: Vec<f64>,
) -> Subject {
    let shape = match name {
        "y" | "dx" => probe.shape.clone(),
        _ => vec![values.len()],
    };
    let array = Array {
        shape,
        dtype: input,
        values,
    };
    let candidate = Candidate {
        name,
        array,
        running: None,
    };
    Subject {
        norm,
        probe,
        input,
        candidates: vec![candidate],
        notes: Vec::new(),
        has_beta: true,
        unclear: Vec::new(),
    }
}

/// Data as they come: unit deviation, a mean of a few deviations, gamma around 1.
fn ordinary(norm: Norm, shape: &[usize], seed: u64) -> Probe {
    let mut rng = StdRng::seed_from_u64(seed);
    let total = shape.iter().product();
    let likeness = Probe::new(norm, shape, 1e-5, seed);
    let mean = rng.random_range(-20.0..20.0);
    let mut normal = |n: usize, mean: f64, size: f64| -> Vec<f64> {
        let one = |_| mean + size * Distribution::<f64>::sample(&StandardNormal, &mut rng);
        (0..n).map(one).collect()
    };
    let given = Given {
        x: normal(total, mean, 1.0),
        gamma: normal(likeness.gamma.len(), 1.0, 0.2),
        beta: normal(likeness.beta.len(), 0.0, 0.2),
        dy: normal(total, 0.0, 0.01),
    };
    Probe::given(norm, shape, 1e-5, given).expect("the same shape")
}

/// The same in other units: of a size at which sixteen bits come to their smallest step, or far
/// above.
fn in_units(mut probe: Probe, norm: Norm, shape: &[usize], seed: u64) -> Probe {
    let mut rng = StdRng::seed_from_u64(seed);
    let (of_x, of_dy) = (rng.random_range(-5.0..1.0), rng.random_range(-5.0..1.0));
    let scaled = |values: &mut Vec<f64>, power: f64| {
        let by = 10_f64.powf(power);
        std::mem::take(values).into_iter().map(|v| v * by).collect()
    };
    let given = Given {
        x: scaled(&mut probe.x, of_x),
        gamma: probe.gamma,
        beta: probe.beta,
        dy: scaled(&mut probe.dy, of_dy),
    };
    Probe::given(norm, shape, probe.eps, given).expect("the same shape")
}

/// A number from the environment, for longer runs by hand.
fn from_env(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn right_results_are_never_called_wrong() {
    let draws = from_env("DRAWS", 180);
    let mut rng = StdRng::seed_from_u64(from_env("SEED", 1));
    let mut closest: BTreeMap<String, f64> = BTreeMap::new();
    let mut said: BTreeMap<String, u64> = BTreeMap::new();
    for draw in 0..draws {
        let (a, b, c) = (
            rng.random_range(3..9),
            rng.random_range(2..5) * 2,
            rng.random_range(3..40),
        );
        let (norm, shape) = match draw % 6 {
            0 => (layer(1), vec![a, 2 * c]),
            1 => (layer(2), vec![a, b, c]),
            2 => (rms(1), vec![a, b, c]),
            3 => (group(2), vec![a, b, c]),
            4 => (Norm::Batch, vec![c, b]),
            _ => (Norm::Batch, vec![a, b, c]),
        };
        let pick = rng.random_range(0..4);
        let stored = Dtype::ALL[pick];
        let units = rng.random_range(0..3);
        let probe = match units {
            0 => Probe::new(norm, &shape, 1e-5, draw),
            1 => ordinary(norm, &shape, draw),
            _ => in_units(ordinary(norm, &shape, draw), norm, &shape, draw),
        };
        let probe = rounded(norm, &shape, &probe, stored);
        let sixteen = stored.roundoff() > Dtype::F32.roundoff();
        // Where every operation rounds to f16, sums of squares have to fit into it, and a gradient
        // that is divided by their number must not fall below it: then a path is missing in fact.
        let square = probe.x.iter().fold(0.0, |most: f64, x| most.max(x * x));
        let fits =
            square * (probe.groups.size() as f64) < 6e4 && (stored != Dtype::F16 || units < 2);
        let alone = sixteen && fits && rng.random_bool(0.3);
        let way = Way {
            sums: stored.accumulator(),
            steps: if alone { stored } else { stored.accumulator() },
            // What is composed of ops adds up as an op does.
            columns: match !alone && rng.random() {
                true => stored,
                false => stored.accumulator(),
            },
            stored,
            order: [
                Order::Forward,
                Order::Backward,
                Order::Pairwise,
                Order::Lanes,
            ][rng.random_range(0..4)],
            welford: !alone && rng.random(),
            // 1 / (var + eps) is soon too large for f16.
            inverse_first: !alone && rng.random(),
            folded: !alone && rng.random(),
            taped: rng.random(),
            kept: sixteen && rng.random(),
        };
        for (name, values) in way.compute(&probe) {
            if name == "dbeta" && matches!(norm, Norm::Rms { .. }) {
                continue;
            }
            if values.iter().any(|v| !v.is_finite()) {
                continue;
            }
            let judged = &subject(norm, probe.clone(), stored, name, values).judge()[0];
            assert!(
                judged.outcome != Outcome::Wrong,
                "{norm:?} {shape:?} draw {draw} {way:?}: {} {:?} allowed {:?}, worst {:?}",
                judged.sentence,
                judged.error,
                judged.allowed,
                judged.worst
            );
            let key = format!("{stored} {name}");
            let ratio = judged.excess.iter().map(|e| e.abs()).fold(0.0, f64::max);
            let known = closest.entry(key.clone()).or_default();
            *known = known.max(ratio);
            let outcome = format!("{key} {:?} {}", judged.outcome, judged.id == "correct");
            *said.entry(outcome).or_default() += 1;
        }
    }
    println!("the largest share of a bound that was used: {closest:#?}");
    println!("what was said (correct or not): {said:#?}");
    // Bounds that nothing comes near would let mistakes pass.
    for (key, ratio) in closest {
        assert!(ratio > 0.01, "{key}: {ratio}");
    }
}

/// Roundings of the same two values over and over are no independent draws: they add up.
#[test]
fn rows_of_two_values_are_never_called_wrong() {
    let shape = [3, 1025];
    for draw in 0..from_env("DRAWS", 24) {
        let mut rng = StdRng::seed_from_u64(draw);
        let mut given = ordinary(layer(1), &shape, draw);
        for row in [0, 2] {
            let value: f64 = rng.random_range(-2.0..2.0);
            let share = rng.random_range(0.05..0.95);
            for x in &mut given.x[row * shape[1]..][..shape[1]] {
                *x = if rng.random_bool(share) {
                    value
                } else {
                    value - 0.02
                };
            }
        }
        let stored = [Dtype::F64, Dtype::F32][draw as usize % 2];
        let probe = rounded(layer(1), &shape, &given, stored);
        for order in [
            Order::Forward,
            Order::Backward,
            Order::Pairwise,
            Order::Lanes,
        ] {
            let way = Way {
                sums: stored,
                steps: stored,
                columns: stored,
                stored,
                order,
                welford: false,
                inverse_first: true,
                folded: false,
                taped: false,
                kept: false,
            };
            for (name, values) in way.compute(&probe) {
                let judged = &subject(layer(1), probe.clone(), stored, name, values).judge()[0];
                assert!(
                    judged.outcome != Outcome::Wrong,
                    "draw {draw} {way:?}: {name}: {}",
                    judged.sentence
                );
            }
        }
    }
}

/// How a mistake was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Rightly,
    AmongSeveral,
    Unseen,
    Unknown,
    Refused,
    Wrongly,
}

#[test]
fn every_mistake_is_named_through_the_rounding_of_every_type() {
    let seeds = from_env("SEEDS", 1);
    let mut rates: BTreeMap<(&str, Named), usize> = BTreeMap::new();
    let mut precision: BTreeMap<String, f64> = BTreeMap::new();
    let targets = [Target::Y, Target::Dx, Target::Dgamma, Target::Dbeta];
    for (norm, shape) in [
        (layer(1), &[6, 8][..]),
        (rms(1), &[5, 9]),
        (group(2), &[3, 4, 5]),
        (Norm::Batch, &[8, 6]),
        (Norm::Batch, &[3, 4, 5]),
    ] {
        for (seed, dtype) in (0..seeds).flat_map(|s| Dtype::ALL.map(|d| (s, d))) {
            let made = Probe::new(norm, shape, 1e-5, seed);
            let probe = rounded(norm, shape, &made, dtype);
            for (target, name) in targets.into_iter().zip(["y", "dx", "dgamma", "dbeta"]) {
                if name == "dbeta" && matches!(norm, Norm::Rms { .. }) {
                    continue;
                }
                for (mistake, values) in mistakes(&probe, target) {
                    let values: Vec<f64> = values.iter().map(|v| dtype.round(*v)).collect();
                    if values.iter().any(|v| !v.is_finite()) {
                        continue;
                    }
                    let zero = values.iter().all(|v| v.abs() < 1e-12);
                    let judged = &subject(norm, probe.clone(), dtype, name, values).judge()[0];
                    let allowed = judged.allowed.unwrap_or(f64::NAN);
                    precision.insert(format!("{norm:?} {shape:?} {dtype} {name}"), allowed);
                    let among = judged.findings.iter().any(|f| f.id == mistake.id);
                    let named = match judged.outcome {
                        Outcome::Refused => Named::Refused,
                        Outcome::Right if judged.id == "ambiguous" && among => Named::Unseen,
                        _ if judged.id == mistake.id => Named::Rightly,
                        // All zero is what it is.
                        _ if judged.id == "zero" && zero => Named::Rightly,
                        // Called ambiguous, or by the simplest name, with the others beside it.
                        _ if among => Named::AmongSeveral,
                        _ if judged.id == "unknown" => Named::Unknown,
                        _ => Named::Wrongly,
                    };
                    if matches!(named, Named::Wrongly | Named::Unknown) {
                        println!(
                            "{norm:?} {shape:?} seed {seed} {dtype} {name} {}: {}",
                            mistake.id, judged.sentence
                        );
                    }
                    *rates.entry((dtype.name(), named)).or_default() += 1;
                }
            }
        }
    }
    println!("what rounding may do: {precision:#?}");
    println!("{rates:#?}");
    let wrongly = rates
        .iter()
        .filter(|((_, named), _)| *named == Named::Wrongly);
    assert_eq!(wrongly.map(|(_, n)| n).sum::<usize>(), 0);
}

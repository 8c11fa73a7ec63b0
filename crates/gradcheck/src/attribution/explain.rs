//! The search for the simplest set of mistakes that reproduces a candidate.

use super::least_squares::{least_squares, norm};
use super::verdict::{Explanation, Finding, Verdict, listed, number};

/// One part of a right answer, such as a route through the graph of a derivative.
#[derive(Clone, Debug)]
pub struct Path {
    /// The start of its slugs, such as `variance-path`.
    pub id: String,
    /// Its name in a sentence, such as "the path x -> sigma² -> x_hat".
    pub name: String,
}

/// One way to compute all the parts, right or with a known mistake.
#[derive(Clone, Debug)]
pub struct Basis {
    /// The mistakes in it; none in the right one.
    pub mistakes: Vec<Mistake>,
    /// One array for each path. Their sum is what the mistakes would produce.
    pub terms: Vec<Vec<f64>>,
}

/// A known mistake.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// How it is reported.
    pub finding: Finding,
    /// The paths it changes: a candidate without these says nothing about it.
    pub paths: Vec<usize>,
}

/// A weight that means something when a path has it in place of 1.
#[derive(Clone, Debug)]
pub struct Factor {
    /// The end of the slug: `missing`, `sign`, `summed`.
    pub id: String,
    /// What follows the name of the path: "is missing".
    pub clause: String,
    /// The same for a path without a mean or a sum, and for the whole, when the clause
    /// speaks of one.
    pub otherwise: Option<String>,
    /// The paths that the clause is about; all when `otherwise` is empty.
    pub about: Vec<usize>,
    /// The weight.
    pub value: f64,
}

impl Factor {
    /// A weight that can stand on any path.
    pub fn anywhere(id: impl Into<String>, value: f64, clause: impl Into<String>) -> Self {
        let (id, clause) = (id.into(), clause.into());
        Self {
            id,
            clause,
            otherwise: None,
            about: Vec::new(),
            value,
        }
    }

    fn clause(&self, paths: &[usize]) -> &str {
        match &self.otherwise {
            Some(otherwise) if !paths.iter().all(|p| self.about.contains(p)) => otherwise,
            _ => &self.clause,
        }
    }
}

/// What a candidate is compared with.
#[derive(Clone, Debug)]
pub struct Question {
    /// What the candidate claims to be, such as `dx`.
    pub target: String,
    /// The parts of the right answer.
    pub paths: Vec<Path>,
    /// The weights that mean something.
    pub factors: Vec<Factor>,
    /// The relative rounding error that a candidate may carry.
    pub precision: f64,
}

/// Rounding that a candidate in `f64` may carry on a well-conditioned probe.
pub const F64_PRECISION: f64 = 1e-10;

/// A weight is never read as one further away than this share of it.
const MOST_OFF: f64 = 0.02;

/// What is left over in one element is at most this many times the precision, of its own size or
/// of the usual one, whichever is larger.
const SLACK: f64 = 4.0;

/// What comes no nearer than this share of what the right values leave over explains nothing.
const WORSE: f64 = 0.5;

/// A mistake counts one. One factor on everything, which no known mistake makes, is worse than any
/// of them; a weight of that kind on one of several paths is worse than any three.
const NAMED: usize = 1;
const FACTOR: usize = 2;
const NO_MEANING: usize = 4;

/// The end of the slug of a weight that was read off the candidate.
const WEIGHT: &str = "weight";
/// One factor on everything is told when it is off from 1 by this many times the precision.
const FAR: f64 = 16.0;
/// A factor that is a power of two from here on is more likely a loss scale than a slip.
const LOSS_SCALE: f64 = 128.0;

impl Question {
    /// Explains `candidate` by the simplest of `bases`, of which the first is right.
    ///
    /// Every basis is tried with all weights 1, then with the weights that least squares
    /// finds. A basis explains the candidate when the residual is within the precision, as a
    /// whole and in each element, and at most half of what the right values leave over.
    /// Among those that do, the ones with the fewest mistakes count; when several
    /// different ones remain, the verdict says so.
    ///
    /// # Panics
    /// When a term has another length than the candidate; check shapes first.
    #[track_caller]
    pub fn explain(&self, candidate: &[f64], bases: impl Iterator<Item = Basis>) -> Verdict {
        let mut verdict = Verdict::plain(&self.target, "unknown", String::new());
        verdict.paths = self.paths.iter().map(|p| p.name.clone()).collect();
        if let Some(at) = candidate.iter().position(|v| !v.is_finite()) {
            let value = candidate[at];
            let sentence = format!("element {at} is {value}");
            return Verdict::plain(&self.target, "not-finite", sentence);
        }
        let (mut zero, mut truth, mut off) = (false, 0.0, f64::INFINITY);
        let mut zeros: Vec<String> = Vec::new();
        let mut least = (usize::MAX, 0);
        let mut simplest: Vec<Explanation> = Vec::new();
        for (number, basis) in bases.enumerate() {
            let right = number == 0;
            for term in &basis.terms {
                assert!(
                    term.len() == candidate.len(),
                    "gradcheck: a term of {} elements cannot explain a candidate of {}; \
                     compare shapes first",
                    term.len(),
                    candidate.len()
                );
            }
            let columns: Vec<&[f64]> = basis.terms.iter().map(Vec::as_slice).collect();
            let size = norm(&(sum_of(&columns)));
            if right {
                zero = norm(candidate) <= self.precision.min(F64_PRECISION) * size;
                truth = size;
            }
            if zero {
                if size <= self.precision * truth {
                    zeros.extend(basis.mistakes.iter().map(|m| m.finding.sentence.clone()));
                }
                continue;
            }
            let fit = least_squares(&columns, candidate);
            if right && let Some(fit) = &fit {
                verdict.coefficients.clone_from(&fit.coefficients);
                verdict.residual = fit.residual;
            }
            let plain = vec![1.0; columns.len()];
            let exact = misfit(&columns, &plain, candidate);
            if right {
                off = exact;
            }
            // One factor is simpler than a weight for each path.
            let factor = match right && exact > self.precision {
                true => self.factor(&columns, candidate, exact),
                false => None,
            };
            let (coefficients, residual) = match fit {
                _ if exact <= self.precision => (plain, exact),
                _ if let Some((factor, left)) = factor => (vec![factor; columns.len()], left),
                Some(fit) if fit.residual <= self.precision => (fit.coefficients, fit.residual),
                _ => continue,
            };
            // A path that adds nothing, by its weight or by its size, tells nothing.
            let negligible = 10.0 * self.precision * norm(candidate);
            let gone = |p: &usize| {
                let (weight, term) = (coefficients[*p], &basis.terms[*p]);
                self.is(weight, 0.0) || (weight * norm(term)).abs() <= negligible
            };
            let moot = |m: &Mistake| m.paths.iter().all(gone);
            let ways = match factor {
                Some((factor, _)) => self.read_factor(factor),
                None => self.read(&coefficients),
            };
            for (readings, weights) in ways {
                // Weights may be anything like what they are read as; they must also do it.
                let done = misfit(&columns, &weights, candidate);
                if done > self.precision.max(residual) * (1.0 + f64::EPSILON) {
                    continue;
                }
                let is_right = right && readings.is_empty();
                let tells =
                    done <= WORSE * off && self.is_everywhere(&columns, &weights, candidate);
                if !is_right && !tells {
                    continue;
                }
                let meaningless = readings.iter().any(|r| r.cost > NAMED);
                if basis.mistakes.iter().any(moot) || (meaningless && !right) {
                    continue;
                }
                let cost = basis.mistakes.len() + readings.iter().map(|r| r.cost).sum::<usize>();
                // A missing path cannot tell whether a mistake was made in it too. Then
                // the more general mistake, which covers it, is the simpler one.
                let outside = |m: &Mistake| {
                    let not_covered = |p: &usize| gone(p) && !m.paths.contains(p);
                    (0..coefficients.len()).filter(not_covered).count()
                };
                let rank = (cost, basis.mistakes.iter().map(outside).sum());
                if rank > least {
                    continue;
                }
                if rank < least {
                    (least, simplest) = (rank, Vec::new());
                }
                let named = basis.mistakes.iter().map(|m| m.finding.clone());
                simplest.push(Explanation {
                    findings: named
                        .chain(readings.into_iter().map(|r| r.finding))
                        .collect(),
                    coefficients: coefficients.clone(),
                    residual,
                    cost,
                });
            }
        }
        if zero {
            let as_when = match zeros.as_slice() {
                [] => String::new(),
                some => format!(", as it would be if {}", listed(some, ", or ")),
            };
            let sentence = format!("it is zero everywhere{as_when}");
            return Verdict::plain(&self.target, "zero", sentence);
        }
        let share = norm(candidate) / truth;
        if share <= self.precision && simplest.is_empty() {
            let sentence = format!(
                "no known mistake explains it; it is not zero, but as small as rounding may leave \
                 of zero, {share:.1e} of what is right"
            );
            return Verdict::plain(&self.target, "unknown", sentence);
        }
        verdict.explained(simplest)
    }

    /// Whether what the terms leave over is within the precision in each element.
    fn is_everywhere(&self, columns: &[&[f64]], weights: &[f64], candidate: &[f64]) -> bool {
        let usual = norm(candidate) / (candidate.len() as f64).sqrt();
        (0..candidate.len()).all(|k| {
            let made: f64 = columns.iter().zip(weights).map(|(c, w)| w * c[k]).sum();
            let size = candidate[k].abs().max(usual);
            (candidate[k] - made).abs() <= SLACK * self.precision * size
        })
    }

    /// Every mistake that is a weight on one path, or on all, with the weights it makes.
    pub(crate) fn single_weights(&self) -> Vec<(Finding, Vec<f64>)> {
        let count = self.paths.len();
        let all: Vec<usize> = (0..count).collect();
        let mut list = Vec::new();
        for factor in &self.factors {
            for path in 0..count {
                let mut weights = vec![1.0; count];
                weights[path] = factor.value;
                list.push((self.one(path, factor), weights));
            }
            if count > 1 {
                list.push((self.several(&all, factor), vec![factor.value; count]));
            }
        }
        list
    }

    /// The one factor that all terms have in the candidate, with what it leaves over.
    fn factor(&self, columns: &[&[f64]], candidate: &[f64], exact: f64) -> Option<(f64, f64)> {
        let sum = sum_of(columns);
        let fit = least_squares(&[&sum], candidate)?;
        let factor = fit.coefficients[0];
        let fits = fit.residual <= self.precision.min(WORSE * exact);
        (factor != 0.0 && fits).then_some((factor, fit.residual))
    }

    /// What one factor on everything says. It is as precise as the candidate.
    fn read_factor(&self, factor: f64) -> Vec<(Vec<Reading>, Vec<f64>)> {
        let all: Vec<usize> = (0..self.paths.len()).collect();
        let is = |f: &&Factor| (f.value - factor).abs() <= 2.0 * self.precision * factor.abs();
        let named = |f: &Factor| {
            let finding = match all.as_slice() {
                [one] => self.one(*one, f),
                several => self.several(several, f),
            };
            (vec![Reading::named(finding)], vec![f.value; all.len()])
        };
        let meanings: Vec<_> = self.factors.iter().filter(is).map(named).collect();
        if !meanings.is_empty() {
            return meanings;
        }
        if (factor - 1.0).abs() <= FAR * self.precision {
            return Vec::new();
        }
        // A whole number, or one part of so many, is likelier than one beside it.
        let near = |exact: f64| (exact - factor).abs() <= self.precision * factor.abs();
        let whole = [factor.round(), 1.0 / (1.0 / factor).round()];
        let whole = whole.into_iter().find(|v| v.abs() != 1.0 && near(*v));
        let factor = whole.unwrap_or(factor);
        let target = &self.target;
        let mut sentence = match factor {
            ..0.0 => format!(
                "the whole of {target} is {} times what is right",
                times(factor)
            ),
            ..1.0 => format!(
                "the whole of {target} is {} times too small",
                times(1.0 / factor)
            ),
            _ => format!("the whole of {target} is {} times too large", times(factor)),
        };
        let (size, power) = (factor.abs(), factor.abs().log2().round());
        if power.abs() >= LOSS_SCALE.log2() && (size / power.exp2() - 1.0).abs() <= self.precision {
            sentence += match power > 0.0 {
                true => ", as when a loss scale is not divided out",
                false => ", as when it is divided by a loss scale that it never had",
            };
        }
        let finding = Finding::new(format!("whole-{WEIGHT}"), sentence);
        let cost = FACTOR;
        vec![(vec![Reading { finding, cost }], vec![factor; all.len()])]
    }

    /// What the weights say, in every way they can be read, and the weights that it means.
    fn read(&self, coefficients: &[f64]) -> Vec<(Vec<Reading>, Vec<f64>)> {
        let ones = vec![1.0; coefficients.len()];
        let off: Vec<usize> = (0..coefficients.len())
            .filter(|&p| !self.is(coefficients[p], 1.0))
            .collect();
        let Some(&first) = off.first() else {
            return vec![(Vec::new(), ones)];
        };
        let shared = off.len() > 1
            && off
                .iter()
                .all(|&p| self.is(coefficients[p], coefficients[first]));
        if shared {
            // One mistake made in several places is one mistake.
            let meanings = self.meanings(coefficients[first]);
            if !meanings.is_empty() {
                let name = |f: &Factor| {
                    let mut weights = ones.clone();
                    off.iter().for_each(|&p| weights[p] = f.value);
                    (vec![Reading::named(self.several(&off, f))], weights)
                };
                return meanings.into_iter().map(name).collect();
            }
        }
        let mut ways = vec![(Vec::new(), ones)];
        for &p in &off {
            let options: Vec<(Reading, f64)> = match self.meanings(coefficients[p]) {
                none if none.is_empty() => {
                    vec![(self.weight(p, coefficients[p]), coefficients[p])]
                }
                some => some
                    .into_iter()
                    .map(|f| (Reading::named(self.one(p, f)), f.value))
                    .collect(),
            };
            let extend = |(way, weights): &(Vec<Reading>, Vec<f64>)| {
                let join = |(option, value): &(Reading, f64)| {
                    let mut weights = weights.clone();
                    weights[p] = *value;
                    (way.iter().chain([option]).cloned().collect(), weights)
                };
                options.iter().map(join).collect::<Vec<_>>()
            };
            ways = ways.iter().flat_map(extend).collect();
        }
        ways
    }

    fn is(&self, coefficient: f64, value: f64) -> bool {
        // The weights of nearly parallel terms carry more rounding than the candidate.
        let off = (1e3 * self.precision).min(MOST_OFF);
        (coefficient - value).abs() <= off * (1.0 + value.abs())
    }

    fn meanings(&self, coefficient: f64) -> Vec<&Factor> {
        self.factors
            .iter()
            .filter(|f| self.is(coefficient, f.value))
            .collect()
    }

    fn one(&self, path: usize, factor: &Factor) -> Finding {
        let Path { id, name } = &self.paths[path];
        let clause = factor.clause(&[path]);
        Finding::new(format!("{id}-{}", factor.id), format!("{name} {clause}"))
    }

    pub(crate) fn several(&self, paths: &[usize], factor: &Factor) -> Finding {
        if paths.len() == self.paths.len() {
            let sentence = format!("the whole of {} {}", self.target, factor.clause(paths));
            return Finding::new(format!("whole-{}", factor.id), sentence);
        }
        let ids: Vec<&str> = paths.iter().map(|&p| self.paths[p].id.as_str()).collect();
        let names: Vec<String> = paths
            .iter()
            .map(|&p| format!("{} {}", self.paths[p].name, factor.clause(&[p])))
            .collect();
        let id = format!("{}-{}", ids.join("-and-"), factor.id);
        Finding::new(id, names.join(", and "))
    }

    fn weight(&self, path: usize, coefficient: f64) -> Reading {
        let Path { id, name } = &self.paths[path];
        let sentence = format!("{name} has weight {} in place of 1", number(coefficient, 6));
        Reading {
            finding: Finding::new(format!("{id}-{WEIGHT}"), sentence),
            cost: NO_MEANING,
        }
    }
}

/// What one weight says.
#[derive(Clone, Debug)]
struct Reading {
    finding: Finding,
    /// How much it takes to believe: more than a known mistake, where none explains the weight.
    cost: usize,
}

impl Reading {
    fn named(finding: Finding) -> Self {
        Self {
            finding,
            cost: NAMED,
        }
    }
}

/// A factor, with as many decimals as it takes to tell it from 1.
fn times(factor: f64) -> String {
    let apart = (factor.abs() - 1.0).abs();
    let decimals = if apart > 0.0 {
        2.0 - apart.log10().min(-2.0)
    } else {
        4.0
    };
    number(factor, decimals.clamp(4.0, 12.0) as usize)
}

fn sum_of(columns: &[&[f64]]) -> Vec<f64> {
    let sum = |k: usize| columns.iter().map(|c| c[k]).sum();
    (0..columns[0].len()).map(sum).collect()
}

/// The share of `candidate` that the terms, each with its weight, miss or invent.
fn misfit(columns: &[&[f64]], weights: &[f64], candidate: &[f64]) -> f64 {
    let sum = |k: usize| {
        columns
            .iter()
            .zip(weights)
            .map(|(c, w)| w * c[k])
            .sum::<f64>()
    };
    let rest: Vec<f64> = (0..candidate.len())
        .map(|k| candidate[k] - sum(k))
        .collect();
    norm(&rest) / norm(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_misfit_is_a_share_of_the_candidate() {
        for size in [1e-6, 1.0, 1e6] {
            let term = [2.0 * size, -size];
            let candidate = [size, -size];
            let share = misfit(&[&term], &[1.0], &candidate);
            assert!((share - 0.5_f64.sqrt()).abs() < 1e-12, "{size:e}: {share}");
        }
    }
}

//! Each array judged: right, wrong in a way that has a name, or not to be judged.

use crate::array::Array;
use crate::evidence::Comparison;
use crate::finite::not_finite;
use crate::sample::{self, Sample};
use crate::search::{Outcome, READABLE, Search, Told, explained, right};
use crate::shown;
use crate::subject::{Candidate, Running, Subject, place};
use crate::tolerance::{HOPELESS, Measured, Tolerance, Types, length_of};
use gradcheck::attribution::norm::{
    Target, diagnose_part, except_in, explain_running_mean_to, explain_running_var_to,
};
use gradcheck::attribution::{Finding, Verdict};
use serde::Serialize;
use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

/// The place of the largest error, measured by what is allowed there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worst {
    /// The indices.
    pub at: Vec<usize>,
    /// What stands there.
    pub found: f64,
    /// What belongs there.
    pub right: f64,
}

impl Worst {
    /// What stands there and what belongs there, in as many digits as show that they differ.
    pub(crate) fn told(&self) -> [String; 2] {
        let both = [self.found, self.right];
        let [found, right] = both.map(|v| format!("{v:.6e}"));
        match found == right {
            true => both.map(|v| format!("{v:e}")),
            false => [found, right],
        }
    }
}

/// The judgement of one array.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// Its name.
    pub target: &'static str,
    /// Its type.
    pub dtype: &'static str,
    /// What is concluded.
    pub outcome: Outcome,
    /// `correct`, the slug of the mistake, `ambiguous`, `unknown`, and what else the engine
    /// says; `refused`.
    pub id: String,
    /// The verdict in one sentence.
    pub sentence: String,
    /// The mistakes in it; under `ambiguous` those that cannot be told apart.
    pub findings: Vec<Finding>,
    /// The length of the error as a share of the length of what is right.
    pub error: Option<f64>,
    /// How long rounding may make it.
    pub allowed: Option<f64>,
    /// How many elements are further off than rounding may take them.
    pub off: usize,
    /// Of so many.
    pub elements: usize,
    /// The element that is furthest off.
    pub worst: Option<Worst>,
    /// The error of each element as a share of the bound on it, for the picture.
    #[serde(skip)]
    pub excess: Vec<f64>,
}

/// Rounding errors of `n` elements that lie anywhere within their bounds, with the same probability,
/// have this share of the length of the bounds, but for four standard deviations: the square of one
/// has the mean 1/3 and the variance 4/45.
fn usual_share(n: usize) -> f64 {
    (1.0 / 3.0 + 4.0 * (4.0 / 45.0 / n as f64).sqrt()).sqrt()
}

impl Subject {
    /// Judges every array, each in a thread of its own.
    pub fn judge(&self) -> Vec<Judged> {
        let measured = &Measured::of(&self.probe);
        let one = |candidate| self.one(candidate, measured);
        std::thread::scope(|scope| {
            let begin = |candidate| scope.spawn(move || one(candidate));
            let begun: Vec<_> = self.candidates.iter().map(begin).collect();
            let end = |judged: ScopedJoinHandle<'_, Judged>| {
                judged.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            begun.into_iter().map(end).collect()
        })
    }

    fn one(&self, candidate: &Candidate, measured: &Measured<'_>) -> Judged {
        let stored = candidate.array.dtype;
        let name = candidate.name;
        let target = match name {
            "y" => Target::Y,
            "dx" => Target::Dx,
            "dgamma" => Target::Dgamma,
            "dbeta" => Target::Dbeta,
            _ => {
                let types = Types {
                    input: self.input,
                    stored,
                    between: self.input.coarser(stored),
                    sums: stored.accumulator(),
                    steps: stored.accumulator(),
                };
                return self.running(candidate, types);
            }
        };
        let right = right(&self.probe, target);
        let array = &candidate.array;
        if let Some(why) = shown::refused(&self.probe, target, &right) {
            return Judged::refused(candidate, &why);
        }
        let ladder = Types::ladder(self.input, stored, target);
        // What coarse sums excuse is right and told apart; what is wrong is wrong without them.
        let plain = ladder
            .iter()
            .rposition(|types| types.sums == ladder[0].sums);
        let plain = plain.unwrap_or(0);
        if array.values.len() != right.len() || array.values.iter().any(|v| !v.is_finite()) {
            if let Some(refused) = overflowing(candidate, &right) {
                return refused;
            }
            let tolerance = measured.tolerance(target, &right, ladder[plain]);
            let precision = tolerance.relative().clamp(READABLE, HOPELESS);
            let verdict = diagnose_part(&self.probe, target, &array.values, precision, 0);
            let mut judged = Judged::of(candidate, verdict);
            if array.values.len() != right.len() {
                return judged;
            }
            if judged.id == "not-finite"
                && let Some(told) = not_finite(array, &right, precision)
            {
                judged.sentence = format!("{name}: {told}");
            }
            // The picture shows where.
            let compared = Judged::compare(candidate, &right, &tolerance);
            return Judged {
                off: compared.off,
                excess: compared.excess,
                ..judged
            };
        }
        let compare = |types: &Types| {
            let tolerance = measured.tolerance(target, &right, *types);
            let compared = Judged::compare(candidate, &right, &tolerance);
            (*types, tolerance, compared)
        };
        let mut tried: Vec<(Types, Tolerance<'_>, Judged)> = ladder.iter().map(compare).collect();
        // The finest arithmetic under which it is right.
        let fits = tried.iter().position(|(.., compared)| compared.off == 0);
        let decided = fits.unwrap_or(plain);
        if let Some(refused) = tried[decided].2.hopeless() {
            return refused;
        }
        let left_out = tried[decided].1.left_out();
        // Nothing is looked for in what is left out.
        let known = (!left_out.is_empty()).then(|| {
            let tolerance = &tried[decided].1;
            let pairs = array.values.iter().zip(&right).enumerate();
            let value = |(k, (found, right)): (usize, (&f64, &f64))| match tolerance.leaves_out(k) {
                true => *right,
                false => *found,
            };
            Array {
                values: pairs.map(value).collect(),
                ..array.clone()
            }
        });
        let left_out = shown::left_out(&self.probe, left_out);
        let beyond = |one: &&(Types, Tolerance<'_>, Judged)| one.2.is_off_only_where(&one.1);
        if let (None, Some((.., compared))) = (fits, tried.iter().find(beyond)) {
            let why = "holds what no mean and variance could make of it";
            let mut judged = compared.clone().told(Told::unknown(name, why));
            judged.sentence += &judged.furthest();
            judged.sentence += &left_out;
            return judged;
        }
        let in_steps = Types::step_by_step(self.input, stored);
        let array = known.as_ref().unwrap_or(array);
        let (sample, mut told) = match fits {
            Some(at) => self.told(target, array, &right, &tried[at]),
            None => self.named(target, array, &right, &tried, decided),
        };
        if told.id == "unknown"
            && let Some(one) = in_steps.as_ref().map(compare)
            && one.2.off == 0
        {
            // Where that may change so much, it is right or wrong for all that is known.
            let refused = one.2.hopeless();
            let judged = || {
                let told = self.told(target, array, &right, &one).1;
                one.2.clone().told(told.step_by_step(one.0.steps.name()))
            };
            let mut judged = refused.unwrap_or_else(judged);
            judged.sentence += &left_out;
            return judged;
        }
        let (types, _, compared) = tried.swap_remove(decided);
        if told.outcome == Outcome::Right {
            told = match (types.sums, types.between) {
                (sums, _) if sums != ladder[0].sums => told.coarse(sums.name()),
                (_, between) if between != ladder[0].between => told.narrow(between.name()),
                _ => told,
            };
        }
        let mut judged = compared.told(told);
        let in_part = sample.as_ref().is_some_and(Sample::is_part);
        if judged.id == "unknown" && !in_part {
            let off = |k: &usize| judged.excess[*k].abs() > 1.0;
            let off: Vec<usize> = (0..right.len()).filter(off).collect();
            judged.sentence += &except_in(&self.probe, target, &off);
        }
        if let Some(sample) = sample.filter(|_| judged.outcome == Outcome::Wrong) {
            judged.sentence += &sample.note;
        }
        if judged.id == "unknown" {
            judged.sentence += &judged.furthest();
        }
        if judged.id == "unknown" && target == Target::Y && !self.has_beta {
            let why = "there is no beta in the files, and without one it is not right";
            return Judged::refused(candidate, why);
        }
        judged.sentence += &left_out;
        judged
    }

    /// The mistake in an array that is wrong, looked for in the finest arithmetic first: the finer it
    /// is, the fewer mistakes look alike.
    fn named<'a>(
        &'a self,
        target: Target,
        array: &'a Array,
        right: &[f64],
        tried: &[(Types, Tolerance<'_>, Judged)],
        decided: usize,
    ) -> (Option<Sample<'a>>, Told) {
        let usual = usual_share(right.len());
        let mut unknown = None;
        for (at, one) in tried.iter().enumerate() {
            if one.2.hopeless().is_some() {
                continue;
            }
            let (sample, told) = self.told(target, array, right, one);
            // In the coarser ones errors are mostly far from their bounds.
            let share = if at == 0 { usual } else { 0.5 * usual };
            if told.id != "unknown" && told.leaves_at_most(share * one.1.relative()) {
                return (sample, told);
            }
            if at <= decided {
                unknown = Some((sample, told));
            }
        }
        match unknown {
            Some((sample, told)) if told.id == "unknown" => (sample, told),
            other => {
                let told = Told::unknown(target.name(), "no known mistake explains it");
                (other.and_then(|(sample, _)| sample), told)
            }
        }
    }

    /// What is found in an array, or in the part of it that it was looked for in.
    fn told<'a>(
        &'a self,
        target: Target,
        array: &'a Array,
        right: &[f64],
        (types, tolerance, compared): &(Types, Tolerance<'_>, Judged),
    ) -> (Option<Sample<'a>>, Told) {
        let is_right = compared.off == 0;
        let sample = sample::of(self, target, array, &compared.excess, is_right);
        let told = match &sample {
            Some(sample) => sample.explained(target, *types, is_right),
            None => {
                let comparison = Comparison {
                    array,
                    right,
                    tolerance,
                    is_right,
                };
                explained(&self.probe, target, &comparison, Search::All)
            }
        };
        (sample, told)
    }

    fn running(&self, candidate: &Candidate, types: Types) -> Judged {
        let Some(Running { old, momentum }) = &candidate.running else {
            unreachable!("a running statistic is read with where it started")
        };
        let (probe, values) = (&self.probe, &candidate.array.values);
        let explain = match candidate.name {
            "running_mean" => explain_running_mean_to,
            _ => explain_running_var_to,
        };
        let verdict = |precision| explain(probe, old, *momentum, values, precision);
        if values.len() != old.len() || values.iter().any(|v| !v.is_finite()) {
            return Judged::of(candidate, verdict(READABLE));
        }
        let m = probe.groups.size() as f64;
        let mut sums = vec![0.0; old.len()];
        let mut sizes = vec![0.0; old.len()];
        let (mean, _) = probe.statistics();
        for (k, &group) in probe.groups.of.iter().enumerate() {
            let off = probe.x[k] - mean[group];
            let (term, size) = match candidate.name {
                "running_mean" => (probe.x[k] / m, probe.x[k].abs() / m),
                // In one pass or by a recursion the mean comes into its error.
                _ => (
                    off * off / (m - 1.0),
                    (off.abs() * (off.abs() + mean[group].abs())) / (m - 1.0),
                ),
            };
            sums[group] += term;
            sizes[group] += size;
        }
        let step = |old: f64, new: f64| (1.0 - momentum) * old + momentum * new;
        let all = 0..old.len();
        let right: Vec<f64> = all.clone().map(|g| step(old[g], sums[g])).collect();
        let terms: Vec<f64> = all.map(|g| step(old[g].abs(), sizes[g])).collect();
        let tolerance = Tolerance::of_running(probe, &right, &terms, types);
        let compared = Judged::compare(candidate, &right, &tolerance);
        if compared.off == 0 {
            return compared.told(Told::right(candidate.name, Vec::new(), ""));
        }
        let precision = tolerance.relative().min(READABLE);
        compared.told(Told::of(verdict(precision), candidate.name))
    }
}

/// What is right may not fit into the type: then an infinity stands there rightly.
fn overflowing(candidate: &Candidate, right: &[f64]) -> Option<Judged> {
    let Array { dtype, values, .. } = &candidate.array;
    let over =
        |(found, right): (&f64, &f64)| !found.is_finite() && !dtype.round(*right).is_finite();
    let at = values.iter().zip(right).position(over)?;
    let why = format!(
        "what is right, {:.1e} at {:?}, is too large for {dtype}",
        right[at],
        place(&candidate.array.shape, at)
    );
    Some(Judged::refused(candidate, &why))
}

impl Judged {
    fn blank(candidate: &Candidate) -> Self {
        Self {
            target: candidate.name,
            dtype: candidate.array.dtype.name(),
            outcome: Outcome::Wrong,
            id: String::new(),
            sentence: String::new(),
            findings: Vec::new(),
            error: None,
            allowed: None,
            off: 0,
            elements: candidate.array.values.len(),
            worst: None,
            excess: Vec::new(),
        }
    }

    fn of(candidate: &Candidate, verdict: Verdict) -> Self {
        Self::blank(candidate).told(Told::of(verdict, candidate.name))
    }

    fn refused(candidate: &Candidate, why: &str) -> Self {
        Self::blank(candidate).told(Told {
            outcome: Outcome::Refused,
            id: "refused".to_owned(),
            sentence: format!("{}: not judged: {why}", candidate.name),
            findings: Vec::new(),
            left: None,
        })
    }

    fn told(mut self, told: Told) -> Self {
        self.outcome = told.outcome;
        self.id = told.id;
        self.sentence = told.sentence;
        self.findings = told.findings;
        self
    }

    /// The errors, beside the bounds on them.
    fn compare(candidate: &Candidate, right: &[f64], tolerance: &Tolerance<'_>) -> Self {
        let found = &candidate.array.values;
        let known = |k: &usize| !tolerance.leaves_out(*k);
        let error = |k: usize| found[k] - right[k];
        let all = 0..right.len();
        let share = |k: usize| tolerance.share(k, found[k], right[k]);
        let excess: Vec<f64> = all.clone().map(share).collect();
        let worst = all
            .clone()
            .max_by(|a, b| excess[*a].abs().total_cmp(&excess[*b].abs()));
        let errors = all.clone().filter(known).map(error);
        let rights = all.clone().filter(known).map(|k| right[k]);
        Self {
            error: Some(length_of(errors) / length_of(rights)),
            allowed: Some(tolerance.relative()),
            off: all
                .filter(|k| excess[*k].is_nan() || excess[*k].abs() > 1.0)
                .count(),
            worst: worst.map(|k| Worst {
                at: place(&candidate.array.shape, k),
                // Zero has no sign here.
                found: found[k] + 0.0,
                right: right[k] + 0.0,
            }),
            excess,
            ..Self::blank(candidate)
        }
    }

    /// Whether everything is as it may be but for what is left out.
    fn is_off_only_where(&self, left_out: &Tolerance<'_>) -> bool {
        let mut all = self.excess.iter().enumerate();
        self.off > 0 && all.all(|(k, share)| share.abs() <= 1.0 || left_out.leaves_out(k))
    }

    /// How many elements are off, and which of them most.
    fn furthest(&self) -> String {
        let Some(worst) = &self.worst else {
            return String::new();
        };
        let [found, right] = worst.told();
        format!(
            "; {} of {} elements are further off than rounding can take them, the furthest at \
             {:?}: {found} where {right} belongs",
            self.off, self.elements, worst.at
        )
    }

    /// When rounding alone may change too much of it.
    fn hopeless(&self) -> Option<Self> {
        let allowed = self.allowed?;
        if allowed <= HOPELESS {
            return None;
        }
        let mut refused = self.clone();
        refused.outcome = Outcome::Refused;
        refused.id = "refused".to_owned();
        refused.sentence = format!(
            "{}: not judged: on these data rounding may change {:.0}% of what is right; |x| is \
             much larger than the deviation, or the terms of a sum cancel",
            self.target,
            100.0 * allowed.min(1.0)
        );
        Some(refused)
    }
}

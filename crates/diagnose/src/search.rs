//! The search for a name for what is wrong.

use crate::evidence::{Against, Comparison};
use crate::tolerance::length;
use gradcheck::attribution::norm::{
    Probe, Target, constant_statistics, diagnose_part, explain_to, is_missing_path, mistakes_near,
};
use gradcheck::attribution::{F64_PRECISION, Finding, Verdict, listed};
use serde::Serialize;

/// What is concluded about an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is right, as far as its type can show.
    Right,
    /// It is wrong.
    Wrong,
    /// These data prove nothing about it.
    Refused,
}

/// The coarsest precision at which the engine can read weights: those of terms that are nearly
/// parallel carry a thousand times more rounding than the candidate, and 2 must not look like 1.
pub const READABLE: f64 = 1e-4;

/// The right values.
pub fn right(probe: &Probe, target: Target) -> Vec<f64> {
    match target {
        Target::Y => probe.y(),
        Target::Dx => probe.dx(),
        Target::Dgamma => probe.dgamma(),
        Target::Dbeta => probe.dbeta(),
    }
}

/// What the search for a mistake found.
pub struct Told {
    pub outcome: Outcome,
    pub id: String,
    pub sentence: String,
    pub findings: Vec<Finding>,
    /// What a mistake leaves over, as a share of what it makes, where that is known.
    pub left: Option<f64>,
}

impl Told {
    /// Right, but for mistakes that these data do not show.
    pub fn right(name: &str, unseen: Vec<Finding>, dtype: &str) -> Self {
        let (id, sentence) = match unseen.as_slice() {
            [] => ("correct", format!("{name}: it is right")),
            [one] => {
                let sentence = format!(
                    "{name}: it is right; {dtype} is too coarse to tell on these data whether {}",
                    brief(one)
                );
                ("ambiguous", sentence)
            }
            [first, others @ ..] => {
                let others = match others.len() {
                    1 => "one other mistake".to_owned(),
                    count => format!("{count} other mistakes"),
                };
                let sentence = format!(
                    "{name}: it is right; {dtype} is too coarse to tell on these data whether {}, or \
                     to show {others} as small",
                    brief(first)
                );
                ("ambiguous", sentence)
            }
        };
        Self {
            outcome: Outcome::Right,
            id: id.to_owned(),
            sentence,
            findings: unseen,
            left: None,
        }
    }

    /// Right, if what passes between the steps has few bits.
    pub fn narrow(mut self, dtype: &str) -> Self {
        self.sentence += &format!(
            "; it has the digits that are left where x_hat, a mean or rstd is kept in {dtype}"
        );
        self
    }

    /// Right, though the sums were taken in a type of few bits.
    pub fn coarse(mut self, dtype: &str) -> Self {
        if self.id == "correct" {
            self.id = format!("summed-in-{dtype}");
        }
        self.sentence += &format!(
            "; this holds if it was added up in {dtype}, which loses digits that sums in f32 keep"
        );
        self
    }

    /// Right, if every operation stores its result in a type of few bits.
    pub fn step_by_step(mut self, dtype: &str) -> Self {
        if self.outcome != Outcome::Right {
            return self;
        }
        if self.id == "correct" {
            self.id = format!("rounded-in-{dtype}");
        }
        self.sentence += &format!(
            "; this holds if every operation rounds to {dtype}, as in a program that is composed \
             of ops, which loses digits that f32 between the steps keeps"
        );
        self
    }

    /// Whether what is left over is no more than rounding mostly leaves.
    pub fn leaves_at_most(&self, share: f64) -> bool {
        self.left.is_none_or(|left| left <= share)
    }

    /// Wrong, for no reason that is known.
    pub fn unknown(name: &str, why: &str) -> Self {
        Self {
            outcome: Outcome::Wrong,
            id: "unknown".to_owned(),
            sentence: format!("{name}: it is wrong, and {why}"),
            findings: Vec::new(),
            left: None,
        }
    }

    pub fn of(verdict: Verdict, name: &str) -> Self {
        // Right to the engine, which looks at the whole, but not in every element.
        if verdict.is_correct() {
            return Self::unknown(name, "no known mistake explains it");
        }
        // Few digits leave over what they leave over.
        let digits = ["stored-in-", "digits-of-"];
        let left = match digits.iter().any(|id| verdict.id.starts_with(id)) {
            true => None,
            false => verdict
                .explanations
                .iter()
                .map(|e| e.residual)
                .min_by(f64::total_cmp),
        };
        let explanations = verdict.explanations.into_iter();
        Self {
            left,
            outcome: Outcome::Wrong,
            id: verdict.id,
            sentence: verdict.sentence,
            findings: explanations.flat_map(|e| e.findings).collect(),
        }
    }

    /// The first of several mistakes that look the same.
    fn simplest(name: &str, findings: Vec<Finding>) -> Self {
        let list = sentences(&findings);
        let sentence = format!(
            "{name}: {}; on these data it looks the same if {}",
            list[0],
            listed(&list[1..], "; or ")
        );
        Self {
            outcome: Outcome::Wrong,
            id: findings[0].id.clone(),
            sentence,
            findings,
            left: None,
        }
    }

    fn several(name: &str, findings: Vec<Finding>) -> Self {
        let count = findings.len();
        let (id, sentence) = match findings.as_slice() {
            [one] => (one.id.clone(), one.sentence.clone()),
            all => {
                let list = listed(&sentences(all), "; or ");
                (
                    "ambiguous".to_owned(),
                    format!("{count} mistakes fit equally well: {list}"),
                )
            }
        };
        Self {
            outcome: Outcome::Wrong,
            id,
            sentence: format!("{name}: {sentence}"),
            findings,
            left: None,
        }
    }
}

/// A mistake without what would be right in its place.
fn brief(finding: &Finding) -> &str {
    let sentence = &finding.sentence;
    sentence
        .split_once(": ")
        .map_or(sentence, |(mistake, _)| mistake)
}

fn sentences(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| f.sentence.clone()).collect()
}

/// How far a mistake is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Single ones, pairs, and faults of execution.
    All,
    /// The same in a part of an array, whose first slice has this number.
    Part(usize),
    /// Single ones.
    Singles,
    /// Not at all.
    Nothing,
}

/// A mistake, or none, and what it makes of a target.
struct Hypothesis {
    finding: Option<Finding>,
    distance: f64,
    values: Vec<f64>,
}

/// Finds the mistake in an array, or what could be one unseen in an array that is `right`.
///
/// Every single mistake is a hypothesis, and so is that there is none. Those are kept that lie
/// within the tolerance, the nearest of them is held against each other one: how far the array
/// lies on the way from one to the other is 0 or 1, but for what rounding can do in this very
/// direction. Where that leaves both, the verdict does. What no single mistake makes goes to
/// the engine, which knows pairs of them and faults of execution; and so does what one makes only
/// nearly.
pub fn explained(
    probe: &Probe,
    target: Target,
    comparison: &Comparison<'_>,
    search: Search,
) -> Told {
    let comparison = *comparison;
    let Comparison {
        array,
        right,
        tolerance,
        is_right,
    } = comparison;
    let name = target.name();
    let (found, allowed) = (&array.values, tolerance.relative());
    let precision = allowed.min(READABLE);
    let size = length(right);
    if search == Search::Nothing {
        return match is_right {
            true => Told::right(name, Vec::new(), ""),
            false => Told::unknown(name, "no mistake was looked for"),
        };
    }
    if length(found) <= F64_PRECISION * size {
        return Told::of(explain_to(probe, target, found, F64_PRECISION), name);
    }
    let minus =
        |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
    let none = Hypothesis {
        finding: None,
        distance: length(&minus(found, right)),
        values: right.to_vec(),
    };
    // What a mistake makes too small is lost below the range of f16.
    let lost = array.dtype.underflow() * (right.len() as f64).sqrt();
    let mut fitting: Vec<Hypothesis> = Vec::new();
    fitting.extend(is_right.then_some(none));
    // What is off by at most this share of itself, and by what is lost, is off by at most that much
    // of the candidate. Where rounding may take all, nothing is too far.
    let reach = match allowed < 1.0 {
        true => (allowed * length(found) + lost) / (1.0 - allowed),
        false => f64::INFINITY,
    };
    let (near, all) = mistakes_near(probe, target, found, reach);
    let against = Against::new(probe, target, &comparison, all);
    for (finding, values) in near.into_iter().chain(constant_statistics(probe, target)) {
        let distance = length(&minus(found, &values));
        // What makes no difference at all on these data is none here: eps left out where it
        // is 0.
        let idle = length(&minus(&values, right)) <= 1e-13 * size;
        let fits = distance <= allowed * length(&values) + lost && !idle;
        if fits && (is_right || against.accounts(&values)) {
            fitting.push(Hypothesis {
                finding: Some(finding),
                distance,
                values,
            });
        }
    }
    let first = match search {
        Search::Part(first) => first,
        _ => 0,
    };
    let engine = || diagnose_part(probe, target, found, allowed, first);
    let nearest = |h: &&Hypothesis| h.distance;
    let Some(best) = fitting
        .iter()
        .min_by(|a, b| nearest(a).total_cmp(&nearest(b)))
    else {
        if search == Search::Singles {
            return Told::unknown(name, "no single known mistake explains it");
        }
        return Told::of(engine(), name);
    };
    // What rounding allows is far more than it mostly does: a fault of execution may be nearer.
    let unclear = !is_right && search != Search::Singles && against.is_unclear(best.distance);
    if unclear {
        let verdict = engine();
        let left = verdict.explanations.iter().map(|e| e.residual);
        let left = left.fold(f64::INFINITY, f64::min) * length(found);
        if against.is_clearly_nearer(left, best.distance) {
            return Told::of(verdict, name);
        }
    }
    let off = minus(found, &best.values);
    let stands = |other: &Hypothesis| {
        let way = minus(&other.values, &best.values);
        let squared = way.iter().map(|d| d * d).sum::<f64>();
        if squared <= (1e-13 * size).powi(2) {
            return true;
        }
        let along = off.iter().zip(&way).map(|(o, w)| o * w).sum::<f64>() / squared;
        let rounding = length(&best.values) / size * tolerance.along(&way) + lost * squared.sqrt();
        (along - 1.0).abs() <= rounding / squared
    };
    let mut alike: Vec<&Hypothesis> = fitting.iter().filter(|h| stands(h)).collect();
    alike.sort_by(|a, b| nearest(a).total_cmp(&nearest(b)));
    // What is right is within the bounds of each element; only a nearer mistake, in whose
    // direction rounding cannot have led so far, speaks against it.
    let right_left =
        is_right && (best.finding.is_none() || alike.iter().any(|h| h.finding.is_none()));
    let mut findings: Vec<Finding> = Vec::new();
    for finding in alike
        .iter()
        .chain([&best])
        .filter_map(|h| h.finding.clone())
    {
        if findings.iter().all(|f| f.id != finding.id) {
            findings.push(finding);
        }
    }
    if right_left {
        return Told::right(name, findings, array.dtype.name());
    }
    let left = Some(best.distance / length(&best.values));
    if let Some(at) = simplest(&findings) {
        findings[..=at].rotate_right(1);
        return Told {
            left,
            ..Told::simplest(name, findings)
        };
    }
    if findings.len() > 1 && allowed <= READABLE {
        // Where numbers are precise enough, the engine knows which is the simplest.
        let simplest = explain_to(probe, target, found, precision).id;
        if let Some(at) = findings.iter().position(|f| f.id == simplest) {
            findings[..=at].rotate_right(1);
            return Told {
                left,
                ..Told::simplest(name, findings)
            };
        }
    }
    Told {
        left,
        ..Told::several(name, findings)
    }
}

/// Of several mistakes that look the same: a path that is missing, rather than one in which
/// factors are wrong that make it too small to be seen.
fn simplest(findings: &[Finding]) -> Option<usize> {
    let mut found = findings
        .iter()
        .enumerate()
        .filter(|(_, f)| is_missing_path(&f.id));
    match (findings.len(), found.next(), found.next()) {
        (2.., Some((at, _)), None) => Some(at),
        _ => None,
    }
}

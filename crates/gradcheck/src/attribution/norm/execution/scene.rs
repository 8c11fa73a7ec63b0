//! A candidate beside what is right, and how far the two may differ.

use super::values::Values;
use crate::attribution::Finding;
use crate::attribution::least_squares::norm;
use crate::attribution::norm::probe::{Probe, Target};
use std::cell::RefCell;

/// An element may be off by this many times the precision, of its own size or of the usual one,
/// whichever is larger.
const SLACK: f64 = 4.0;

/// What fits up to this many times worse fits as well.
pub(super) const ALIKE: f64 = 1.25;
/// An explanation leaves over at most this share of what is off.
pub(super) const WORSE: f64 = 0.5;
/// What is left over is rounding of `f64`, and all alike, up to this share.
pub(super) const ROUNDING: f64 = 1e-11;

/// A fault that explains the candidate.
pub(super) struct Found {
    pub finding: Finding,
    /// What it leaves over, as a share of what it makes.
    pub left: f64,
    made: Vec<f64>,
}

impl Found {
    /// Whether both make the same values, as far as both say what these are.
    fn makes_as(&self, other: &Self) -> bool {
        let usual = usual(&self.made);
        self.made
            .iter()
            .zip(&other.made)
            .all(|(a, b)| a.is_nan() || b.is_nan() || (a - b).abs() <= 1e-6 * usual)
    }
}

pub(super) struct Scene<'a> {
    pub probe: &'a Probe,
    pub target: Target,
    pub candidate: &'a [f64],
    pub precision: f64,
    pub right: Vec<f64>,
    pub values: Values,
    /// The usual size of a right element.
    usual: f64,
    /// How far the candidate is off, as a share of what is right; without bound when it is not
    /// finite.
    pub off: f64,
    found: RefCell<Vec<Found>>,
}

impl<'a> Scene<'a> {
    pub fn new(probe: &'a Probe, target: Target, candidate: &'a [f64], precision: f64) -> Self {
        let values = Values::of(probe);
        let right = values.target(probe, target);
        let usual = usual(&right);
        let off: Vec<f64> = candidate.iter().zip(&right).map(|(c, r)| c - r).collect();
        let off = norm(&off) / norm(&right);
        Self {
            probe,
            target,
            candidate,
            precision,
            right,
            values,
            usual,
            off: if off.is_nan() { f64::INFINITY } else { off },
            found: RefCell::default(),
        }
    }

    /// Whether element `k` of the candidate is `value`, but for rounding.
    pub fn is(&self, k: usize, value: f64) -> bool {
        self.near(k, value, self.usual)
    }

    /// The same, when elements are usually of this size.
    pub fn near(&self, k: usize, value: f64, usual: f64) -> bool {
        let off = (self.candidate[k] - value).abs();
        off <= SLACK * self.precision * value.abs().max(usual)
    }

    pub fn is_right(&self, k: usize) -> bool {
        self.is(k, self.right[k])
    }

    /// The elements that are wrong, in order.
    pub fn wrong(&self) -> Vec<usize> {
        let all = 0..self.candidate.len();
        all.filter(|&k| !self.is_right(k)).collect()
    }

    /// A fault, which is found when these values, that it makes, are the candidate.
    pub fn propose(&self, made: Vec<f64>, fault: impl FnOnce() -> (String, String)) {
        if !made.iter().any(|v| v.is_nan()) {
            self.propose_in_part(made, fault);
        }
    }

    /// The same for a fault that leaves open what some elements are: those that are NaN.
    pub fn propose_in_part(&self, made: Vec<f64>, fault: impl FnOnce() -> (String, String)) {
        let usual = usual(&made);
        // Most hypotheses fail in their first elements.
        if !(0..made.len()).all(|k| made[k].is_nan() || self.near(k, made[k], usual)) {
            return;
        }
        let known = (0..made.len()).filter(|&k| !made[k].is_nan());
        let off: Vec<f64> = known.map(|k| self.candidate[k] - made[k]).collect();
        let left = norm(&off) / usual / (made.len() as f64).sqrt();
        // What hardly comes closer than the right values do explains nothing.
        if left > WORSE * self.off {
            return;
        }
        let (id, sentence) = fault();
        self.found.borrow_mut().push(Found {
            finding: Finding::new(id, sentence),
            left,
            made,
        });
    }

    /// The faults that explain the candidate best. There are several only when they make
    /// different values, and rounding hides which.
    pub fn best(self) -> Vec<Found> {
        let found = self.found.into_inner();
        let least = found.iter().map(|f| f.left).fold(f64::INFINITY, f64::min);
        let mut best: Vec<Found> = Vec::new();
        for one in found {
            let fits = one.left <= (ALIKE * least).max(ROUNDING);
            if fits && !best.iter().any(|other| other.makes_as(&one)) {
                best.push(one);
            }
        }
        best
    }

    /// Whether the target has an element for each one of `x`.
    pub fn is_spread(&self) -> bool {
        matches!(self.target, Target::Y | Target::Dx)
    }
}

/// The usual size of an element, those left out that may be anything.
pub(super) fn usual(values: &[f64]) -> f64 {
    let known: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    norm(&known) / (known.len() as f64).sqrt()
}

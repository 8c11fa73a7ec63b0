//! How much of what is wrong in an array a mistake accounts for.
//!
//! Rounding hides small mistakes, and what it hides may not explain what it does not hide: of an
//! array with one element of garbage, a mistake too small to be seen is not the cause. So a mistake
//! has to make every element as nearly as rounding allows, and to come far nearer than what is
//! right, by more than the best of so many mistakes does by chance.

use crate::array::Array;
use crate::tolerance::{Tolerance, length};
use gradcheck::Groups;
use gradcheck::attribution::norm::{Probe, Target};

/// An array beside what is right.
#[derive(Clone, Copy)]
pub struct Comparison<'a> {
    pub array: &'a Array,
    pub right: &'a [f64],
    pub tolerance: &'a Tolerance<'a>,
    /// Whether each element is as near as rounding allows.
    pub is_right: bool,
}

/// What a mistake changes is rounded too: by this many times what is allowed of the change, of an
/// element or of all, whichever is larger.
const SLACK: f64 = 4.0;
/// What comes no nearer than this share of the way to the right values explains nothing.
const WORSE: f64 = 0.5;
/// Bits by which the evidence has to exceed the choice: by chance one mistake is found in less than
/// one search in a hundred.
const MARGIN: f64 = 7.0;
/// Bits of a choice among all faults of execution.
const MANY: f64 = 11.0;
/// A wrong group has a wrong mean and a wrong rstd: so many of its elements say something new.
const EACH: usize = 2;

/// What a mistake is held against.
pub struct Against<'a> {
    comparison: Comparison<'a>,
    /// How far each element is from what is right.
    errors: Vec<f64>,
    /// What shares the numbers that a mistake changes, where that is not the element itself.
    groups: Option<&'a Groups>,
    /// The bits that it took to choose one mistake.
    chosen: f64,
}

impl<'a> Against<'a> {
    /// For mistakes of which there are so many.
    pub fn new(
        probe: &'a Probe,
        target: Target,
        comparison: &Comparison<'a>,
        mistakes: usize,
    ) -> Self {
        let pairs = comparison.array.values.iter().zip(comparison.right);
        Self {
            comparison: *comparison,
            errors: pairs.map(|(found, right)| found - right).collect(),
            groups: matches!(target, Target::Y | Target::Dx).then_some(&probe.groups),
            chosen: (mistakes.max(1) as f64).log2(),
        }
    }

    /// Whether a mistake that makes these values is what is wrong.
    pub fn accounts(&self, made: &[f64]) -> bool {
        self.is_near(made) && self.bits(made) >= self.chosen + MARGIN
    }

    /// Whether what a mistake leaves over is more than rounding mostly leaves.
    pub fn is_unclear(&self, left: f64) -> bool {
        let Comparison {
            array, tolerance, ..
        } = self.comparison;
        let size = length(&array.values);
        left > size * (array.dtype.roundoff().max(tolerance.relative() / 8.0))
    }

    /// Whether one that leaves over `left` is nearer than one that leaves over `other` by more than
    /// the choice of one among very many brings about.
    pub fn is_clearly_nearer(&self, left: f64, other: f64) -> bool {
        let array = self.comparison.array;
        let stored = array.dtype.roundoff() * length(&array.values) / 2.0;
        let all = array.values.len();
        let numbers = self.groups.map_or(all, |g| all.min(EACH * g.count));
        numbers as f64 * (other / left.max(stored)).log2() >= MANY + MARGIN
    }

    /// Whether each element is as near as rounding allows.
    fn is_near(&self, made: &[f64]) -> bool {
        let Comparison {
            array,
            right,
            tolerance,
            ..
        } = self.comparison;
        let changes: Vec<f64> = made.iter().zip(right).map(|(m, r)| m - r).collect();
        let usual = length(&changes) / (changes.len() as f64).sqrt();
        let share = SLACK * tolerance.relative();
        (0..made.len()).all(|k| {
            let bound = tolerance.at(k) + share * changes[k].abs().max(usual);
            (array.values[k] - made[k]).abs() <= bound
        })
    }

    /// The bits of the array that a mistake accounts for: by chance a value as far off as element
    /// `k` comes as near as what is left over once in `off / left` times.
    fn bits(&self, made: &[f64]) -> f64 {
        let array = self.comparison.array;
        let left: Vec<f64> = array.values.iter().zip(made).map(|(f, m)| f - m).collect();
        let left = length(&left);
        if left > WORSE * length(&self.errors) {
            return 0.0;
        }
        let stored = array.dtype.roundoff() * length(made) / 2.0;
        let least = left.max(stored) / (made.len() as f64).sqrt() + array.dtype.underflow();
        let of = |k: usize| (self.errors[k].abs() / least).log2().max(0.0);
        let Some(groups) = self.groups else {
            let all = (0..made.len()).map(of);
            // One number is one piece of evidence, however often it stands there.
            return match made.windows(2).all(|pair| pair[0] == pair[1]) {
                true => all.fold(0.0, f64::max),
                false => all.sum(),
            };
        };
        let mut bits = vec![Vec::new(); groups.count];
        (0..made.len()).for_each(|k| bits[groups.of[k]].push(of(k)));
        let most = |bits: &mut Vec<f64>| -> f64 {
            bits.sort_by(|a, b| b.total_cmp(a));
            bits.iter().take(EACH).sum()
        };
        bits.iter_mut().map(most).sum()
    }
}

//! A candidate beside what is right, and how far the two may differ.

use super::kernel::Statistics;
use crate::attribution::Finding;
use crate::attribution::least_squares::norm;
use crate::attribution::norm::probe::{Probe, Target};
use std::cell::{Cell, RefCell};

/// What is to be explained.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub probe: &'a Probe,
    pub target: Target,
    pub candidate: &'a [f64],
    pub precision: f64,
    /// The number that the first group has in a larger array of which this is a part.
    pub first: usize,
}

/// An element may be off by this many times the precision, of its own size or of the usual one,
/// whichever is larger.
pub(super) const SLACK: f64 = 4.0;

/// What fits up to this many times worse fits as well.
pub(super) const ALIKE: f64 = 1.25;
/// An explanation leaves over at most this share of what is off.
pub(super) const WORSE: f64 = 0.5;
/// What is left over is rounding of `f64`, and all alike, up to this share.
pub(super) const ROUNDING: f64 = 1e-11;
/// Bits by which what an explanation accounts for exceeds what was tried to find it: by chance
/// one fits in less than one search in a hundred.
const MARGIN: f64 = 7.0;
/// Of more elements than these, what is left over of at most this share of what was off, and
/// accounts for so many bits, ends the search.
const MANY: usize = 1 << 15;
const CLEARLY: f64 = 1e-3;
const SETTLED: f64 = 200.0;
/// A hypothesis is held against this many elements before it is made in full.
const WITNESSES: usize = 4;

/// What counts as evidence for a fault.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// Of the elements that share a unit so many say something new: a wrong mean and rstd are two
    /// numbers, however many elements show them.
    each: usize,
    of: Unit,
    /// Numbers of the fault that were read off the candidate.
    fitted: usize,
    /// Bits of choices that were.
    chosen: f64,
}

/// What shares the numbers that a fault changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Group,
    Parameter,
}

impl Evidence {
    /// Every element is evidence.
    pub const ELEMENTS: Self = Self {
        each: usize::MAX,
        of: Unit::Group,
        fitted: 0,
        chosen: 0.0,
    };
    /// Two numbers of each group are.
    pub const GROUPS: Self = Self {
        each: 2,
        ..Self::ELEMENTS
    };
    /// Gamma is, or beta.
    pub const PARAMETERS: Self = Self {
        each: 1,
        of: Unit::Parameter,
        ..Self::ELEMENTS
    };

    pub fn fitted(self, numbers: usize) -> Self {
        Self {
            fitted: numbers,
            ..self
        }
    }

    /// Of the fitted numbers so many could have been anything, and are within `near` of a whole
    /// one.
    pub fn whole_numbers(self, numbers: usize, near: f64) -> Self {
        let chosen = self.chosen - numbers as f64 * (0.5 / near).log2();
        Self { chosen, ..self }
    }

    /// One of `ways`, chosen so many times.
    pub fn chosen(self, ways: usize, times: usize) -> Self {
        let chosen = (ways.max(1) as f64).log2() * times as f64;
        Self { chosen, ..self }
    }
}

/// A fault that explains the candidate.
pub(super) struct Found {
    pub finding: Finding,
    pub fit: Fit,
}

/// How a fault fits the candidate.
pub(super) struct Fit {
    /// What it leaves over, as a share of what it makes.
    pub left: f64,
    /// Bits of the candidate that it accounts for.
    bits: f64,
    made: Vec<f64>,
}

impl Found {
    /// Whether both make the same values, as far as both say what these are.
    fn makes_as(&self, other: &Self) -> bool {
        let [made, others] = [self, other].map(|found| &found.fit.made);
        let usual = usual(made);
        made.iter()
            .zip(others)
            .all(|(a, b)| a.is_nan() || b.is_nan() || (a - b).abs() <= 1e-6 * usual)
    }
}

pub(super) struct Scene<'a> {
    pub probe: &'a Probe,
    pub target: Target,
    pub candidate: &'a [f64],
    pub precision: f64,
    /// The number that the first group has in a larger array of which this is a part.
    pub first: usize,
    pub right: Vec<f64>,
    pub own: Statistics,
    /// The elements of each group, and of each parameter.
    pub groups: Vec<Vec<usize>>,
    pub params: Vec<Vec<usize>>,
    /// The elements that are wrong, in order.
    pub wrong: Vec<usize>,
    /// How far the candidate is off, as a share of what is right; without bound when it is not
    /// finite.
    pub off: f64,
    /// The usual size of a right element, and of any that is made and fits.
    usual: f64,
    loosely: f64,
    witnesses: Vec<usize>,
    tried: Cell<usize>,
    found: RefCell<Vec<Found>>,
}

impl<'a> Scene<'a> {
    pub fn new(asked: Asked<'a>) -> Self {
        let Asked {
            probe,
            target,
            candidate,
            precision,
            first,
        } = asked;
        let groups = probe.groups.members();
        let finite: Vec<f64> = candidate
            .iter()
            .copied()
            .filter(|v| v.is_finite())
            .collect();
        let mut scene = Self {
            probe,
            target,
            candidate,
            precision,
            first,
            right: right_of(probe, target),
            own: Statistics::of(probe, &groups),
            groups,
            params: probe.params.members(),
            wrong: Vec::new(),
            off: 0.0,
            usual: 0.0,
            loosely: 0.0,
            witnesses: Vec::new(),
            tried: Cell::default(),
            found: RefCell::default(),
        };
        scene.usual = usual(&scene.right);
        scene.loosely = scene.usual.max(usual(&finite));
        let off: Vec<f64> = scene.errors().collect();
        let share = norm(&off) / norm(&scene.right);
        scene.off = if share.is_nan() { f64::INFINITY } else { share };
        let all = 0..candidate.len();
        scene.wrong = all.filter(|&k| !scene.is_right(k)).collect();
        // The most telling first, and no two of the same group.
        let mut order = scene.wrong.clone();
        order.sort_by(|&a, &b| off[b].abs().total_cmp(&off[a].abs()));
        let mut groups = Vec::new();
        order.retain(|&k| {
            let group = if scene.is_spread() {
                probe.groups.of[k]
            } else {
                k
            };
            let new = groups.len() < WITNESSES && !groups.contains(&group);
            groups.push(group);
            new
        });
        scene.witnesses = order;
        scene
    }

    /// How far each element is off.
    pub fn errors(&self) -> impl Iterator<Item = f64> {
        self.candidate.iter().zip(&self.right).map(|(c, r)| c - r)
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

    /// A fault, which is found when these values, that it makes, are the candidate.
    pub fn propose(
        &self,
        evidence: Evidence,
        made: impl Fn(usize) -> f64,
        fault: impl FnOnce() -> (String, String),
    ) {
        self.take_down(self.try_out(evidence, &made, false), fault);
    }

    /// The same for a fault that leaves open what some elements are: those that are NaN.
    pub fn propose_in_part(
        &self,
        evidence: Evidence,
        made: impl Fn(usize) -> f64,
        fault: impl FnOnce() -> (String, String),
    ) {
        self.take_down(self.try_out(evidence, &made, true), fault);
    }

    /// Takes a fault down that fits.
    fn take_down(&self, fit: Option<Fit>, fault: impl FnOnce() -> (String, String)) {
        if let Some(fit) = fit {
            let (id, sentence) = fault();
            let finding = Finding::new(id, sentence);
            self.found.borrow_mut().push(Found { finding, fit });
        }
    }

    /// How these values fit, if they do.
    fn try_out(
        &self,
        evidence: Evidence,
        made: &dyn Fn(usize) -> f64,
        in_part: bool,
    ) -> Option<Fit> {
        self.tried.set(self.tried.get() + 1);
        let fits = |k: usize, value: f64, usual: f64| match value.is_nan() {
            true => in_part,
            false => self.near(k, value, usual),
        };
        // Most hypotheses fail in their first elements.
        if !self
            .witnesses
            .iter()
            .all(|&k| fits(k, made(k), self.loosely))
        {
            return None;
        }
        let made: Vec<f64> = (0..self.candidate.len()).map(made).collect();
        let size = usual(&made);
        if !(0..made.len()).all(|k| fits(k, made[k], size)) {
            return None;
        }
        // What is open was not made right; where it is right all the same, this is no such fault.
        let open = |k: &usize| made[*k].is_nan();
        let all = (0..made.len()).filter(open).count();
        if 2 * (0..made.len())
            .filter(|k| open(k) && self.is_right(*k))
            .count()
            > all
        {
            return None;
        }
        let off: Vec<f64> = (0..made.len())
            .filter(|k| !open(k))
            .map(|k| self.candidate[k] - made[k])
            .collect();
        let left = norm(&off) / size / (made.len() as f64).sqrt();
        // What hardly comes closer than the right values do explains nothing.
        if left > WORSE * self.off {
            return None;
        }
        let bits = self.bits(evidence, left * size, &open);
        Some(Fit { left, bits, made })
    }

    /// The bits of the candidate that a fault accounts for: by chance a value as far off as
    /// element `k` comes as near as `left` once in `off / left` times.
    fn bits(&self, evidence: Evidence, left: f64, open: &dyn Fn(&usize) -> bool) -> f64 {
        let least = left.max(self.precision * self.usual / 8.0);
        let units = match (self.is_spread(), evidence.of) {
            (false, _) => None,
            (_, Unit::Group) => Some(&self.probe.groups),
            (_, Unit::Parameter) => Some(&self.probe.params),
        };
        let mut bits = vec![Vec::new(); units.map_or(1, |units| units.count)];
        for &k in self.wrong.iter().filter(|k| !open(k)) {
            let off = (self.candidate[k] - self.right[k]).abs();
            let unit = units.map_or(0, |units| units.of[k]);
            bits[unit].push((off / least).log2().max(0.0));
        }
        let each = if units.is_some() {
            evidence.each
        } else {
            usize::MAX
        };
        let mut most = 0.0_f64;
        let mut sum = -evidence.chosen;
        for unit in &mut bits {
            unit.sort_by(|a, b| b.total_cmp(a));
            sum += unit.iter().take(each).sum::<f64>();
            most = most.max(unit.first().copied().unwrap_or(0.0));
        }
        sum - evidence.fitted as f64 * most
    }

    /// Whether what a fault accounts for is more than a search among so many finds by chance.
    fn is_enough(&self, bits: f64, tried: usize) -> bool {
        bits >= (tried.max(1) as f64).log2() + MARGIN
    }

    /// The same for a formula, found among `tried`, with weights that were `fitted`.
    pub fn is_formula(&self, residual: f64, tried: usize, fitted: usize) -> bool {
        let left = residual * usual(self.candidate);
        let bits = self.bits(Evidence::GROUPS.fitted(fitted), left, &|_| false);
        self.is_enough(bits, tried)
    }

    pub fn has_found(&self) -> bool {
        !self.found.borrow().is_empty()
    }

    /// Takes a fault down that needs no counting: nothing else looks like it.
    pub fn plainly(&self, id: &str, sentence: String) {
        self.found.borrow_mut().push(Found {
            finding: Finding::new(id, sentence),
            fit: Fit {
                left: 0.0,
                bits: f64::INFINITY,
                made: vec![f64::NAN; self.right.len()],
            },
        });
    }

    /// Whether something was found that nothing else can be.
    pub fn is_plain(&self) -> bool {
        self.found
            .borrow()
            .iter()
            .any(|f| f.fit.bits == f64::INFINITY)
    }

    /// Whether something was found so clearly that among many elements nothing else is worth the
    /// time of looking: what fits as well makes the same values.
    pub fn is_settled(&self) -> bool {
        let clear = |f: &Found| f.fit.left <= CLEARLY * self.off && f.fit.bits >= SETTLED;
        self.probe.x.len() > MANY && self.found.borrow().iter().any(clear)
    }

    /// The faults that explain the candidate best. There are several only when they make
    /// different values, and rounding hides which; and none when as much would be found by chance.
    pub fn best(&self) -> Vec<Found> {
        let found = self.found.take();
        let least = found
            .iter()
            .map(|f| f.fit.left)
            .fold(f64::INFINITY, f64::min);
        let mut best: Vec<Found> = Vec::new();
        for one in found {
            let fits = one.fit.left <= (ALIKE * least).max(ROUNDING);
            let enough = self.is_enough(one.fit.bits, self.tried.get());
            if fits && enough && !best.iter().any(|other| other.makes_as(&one)) {
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

/// The right values.
pub(super) fn right_of(probe: &Probe, target: Target) -> Vec<f64> {
    match target {
        Target::Y => probe.y(),
        Target::Dx => probe.dx(),
        Target::Dgamma => probe.dgamma(),
        Target::Dbeta => probe.dbeta(),
    }
}

/// The usual size of an element, those left out that may be anything.
pub(super) fn usual(values: &[f64]) -> f64 {
    let known: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    norm(&known) / (known.len() as f64).sqrt()
}

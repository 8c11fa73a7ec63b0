//! Values and sums of fewer digits than the arithmetic should have.

use super::scene::Scene;
use crate::attribution::Finding;
use crate::attribution::norm::probe::Target;

/// A format, its significant bits, and half a unit in its last place, relative.
pub(super) const FORMATS: [(&str, u32); 3] = [("bf16", 8), ("f16", 11), ("f32", 24)];

/// `value` rounded to `bits` significant bits, half to even; f16 has no smaller steps than 2⁻²⁴.
pub(super) fn rounded(value: f64, bits: u32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    const STEP: f64 = 1.0 / (1 << 24) as f64;
    if bits == 11 && value.abs() < STEP * 1024.0 {
        return (value / STEP).round_ties_even() * STEP;
    }
    // Veltkamp's splitting keeps the upper digits.
    let factor = (1_u64 << (53 - bits)) as f64 + 1.0;
    let up = factor * value;
    up - (up - value)
}

/// The noise of fewer sums says nothing of its cause.
const FEWEST: usize = 4;
/// The least rounding error that is told from none, in units.
const LEAST: f64 = 0.05;

/// Parts of a sum have a step that is finer than that of the sum, by so many powers of two.
const FINER: i32 = 8;
/// Bits by which sums lie nearer to a grid than they would by chance.
const CERTAIN: f64 = 12.0;

/// The distance of two numbers of a format that are next to each other.
fn step(value: f64, bits: u32) -> f64 {
    match value.abs() {
        0.0 => f64::MIN_POSITIVE,
        size => 2.0_f64.powf(size.log2().floor() + 1.0) * unit(bits),
    }
}

pub(super) fn unit(bits: u32) -> f64 {
    0.5_f64.powi(bits as i32)
}

impl Scene<'_> {
    /// Right, but stored in a format with fewer digits than it is checked to.
    pub fn stored_low(&self) -> Option<Finding> {
        let largest = self.right.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        // The size that an element's rounding is a share of.
        let scale = |k: usize| self.right[k].abs().max(0.1 * largest);
        for (name, bits) in FORMATS {
            let all = |is: &dyn Fn(usize) -> bool| (0..self.right.len()).all(is);
            let near =
                |k: usize| (self.candidate[k] - self.right[k]).abs() <= 4.0 * unit(bits) * scale(k);
            if unit(bits) > self.precision
                && all(&|k| rounded(self.candidate[k], bits) == self.candidate[k])
                && all(&near)
            {
                // TF32 has the bits of f16, in a wider range.
                let known = if name == "f16" { "f16 or TF32" } else { name };
                let sentence = format!(
                    "it is right to the digits of {known}: every value has {bits} significant bits \
                     and no more, so the result was rounded to {known} on its way"
                );
                return Some(Finding::new(format!("stored-in-{name}"), sentence));
            }
        }
        None
    }

    /// Sums that are off by what a sum in few digits leaves, and that lie on its grid.
    ///
    /// Errors of that size alone may have any cause. What was added up in a format, or in parts
    /// that were, is a multiple of a step of it.
    pub fn summed_low(&self) -> Option<Finding> {
        let right = self.kernel();
        // What was summed, into how many sums, and what came out.
        type Sums = (Vec<Vec<f64>>, Vec<f64>);
        let (sums, blur): (Vec<Sums>, f64) = match self.target {
            Target::Y => return None,
            Target::Dgamma | Target::Dbeta => {
                let term = |k: usize| match self.target {
                    Target::Dgamma => (right.dy)(k) * right.x_hat(k),
                    _ => (right.dy)(k),
                };
                // These are what was stored.
                (
                    vec![(pick(&self.params, &term), self.candidate.to_vec())],
                    0.0,
                )
            }
            Target::Dx => {
                let size = self.probe.groups.size() as f64;
                let found = self.means_of_the_backward()?;
                let sums = |(number, terms): (usize, &Vec<f64>)| {
                    let sums = found.iter().map(|means| means[number] * size).collect();
                    (pick(&self.groups, &|k| terms[k]), sums)
                };
                let summed = self.summed();
                let all = summed.iter().enumerate().map(sums);
                let all = all.filter(|(terms, _)| terms.iter().flatten().any(|t| *t != 0.0));
                // These follow from it.
                (all.collect(), self.precision)
            }
        };
        // What is checked to so few bits is stored in them, and lies on their grid whatever was
        // added up.
        let stored = |bits: u32| {
            let all = self.candidate.iter().all(|v| rounded(*v, bits) == *v);
            !self.is_spread() && unit(bits) <= self.precision && all
        };
        let stored = FORMATS.into_iter().find(|(_, bits)| stored(*bits));
        for (name, bits) in FORMATS.into_iter().rev() {
            let u = unit(bits);
            if u <= self.precision {
                continue;
            }
            // The rounding of partial sums that walk at random comes to half a unit of the
            // size of all terms, however many there are. The formats are 8 and 8192 times
            // apart, so that five times that much tells them apart, nearly always. And it is
            // everywhere: a few sums that are off among others that are exact have another
            // cause.
            let all: Vec<(&Vec<f64>, f64)> = sums
                .iter()
                .flat_map(|(terms, sums)| terms.iter().zip(sums.iter().copied()))
                .collect();
            let size = |terms: &[f64]| terms.iter().map(|t| t.abs()).sum::<f64>();
            let off = |(terms, sum): &(&Vec<f64>, f64)| {
                (sum - terms.iter().sum::<f64>()).abs() / (u * size(terms))
            };
            let sizes: Vec<f64> = all.iter().map(off).collect();
            if sizes.len() < FEWEST {
                return None;
            }
            let noisy = sizes.iter().filter(|size| **size > LEAST).count();
            let likely = sizes.iter().all(|size| *size <= 2.5) && 2 * noisy >= sizes.len();
            let on_grid = |finer: i32| {
                let each = all.iter().map(|(terms, sum)| {
                    let blur = blur * size(terms);
                    let own = stored.map_or(0.0, |(_, bits)| step(*sum, bits));
                    let step = step(*sum, bits) * 0.5_f64.powi(finer);
                    let apart = (sum - (sum / step).round() * step).abs();
                    // Anything is this near to a multiple of the step once in so many times.
                    let least = blur.max(self.precision * sum.abs() / 8.0);
                    let least = least.max(0.5 * own);
                    (apart <= blur).then(|| (step / (2.0 * least)).log2().max(0.0))
                });
                let bits = each.sum::<Option<f64>>();
                bits.is_some_and(|bits| bits >= CERTAIN)
            };
            if likely && (0..=FINER).any(on_grid) {
                let sentence = format!(
                    "it was added up in {name}: its sums lie on the grid of {name}, with errors as \
                     large as {name} leaves in a sum; add up in a wider format, and round the \
                     result"
                );
                return Some(Finding::new(format!("digits-of-{name}"), sentence));
            }
        }
        None
    }
}

fn pick(members: &[Vec<usize>], term: &dyn Fn(usize) -> f64) -> Vec<Vec<f64>> {
    let of = |group: &Vec<usize>| group.iter().map(|&k| term(k)).collect();
    members.iter().map(of).collect()
}

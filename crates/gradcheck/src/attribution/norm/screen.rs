//! What a few elements tell of all.
//!
//! A distance over some of the elements is no larger than over all of them, and so is the least
//! that any weights leave over. What is too far from a candidate there need not be computed
//! elsewhere: of thousands of hypotheses a handful are.

use std::cmp::Ordering;

use crate::attribution::least_squares;
use crate::attribution::least_squares::norm;

/// So many elements are looked at first, and then so many, where there are several times more. The
/// first are one more than a target has paths: fewer would be met by weights, whatever they are.
const SIZES: [usize; 3] = [4, 32, 512];
const SEVERAL: usize = 4;
/// What rounding may add to a distance, as a share of it and of the candidate.
const ROUNDING: (f64, f64) = (2.0, 1e-11);

/// A candidate, and elements that are looked at first.
pub(super) struct Screen<'a> {
    candidate: &'a [f64],
    /// How far a hypothesis may be from the candidate.
    distance: f64,
    samples: Vec<Vec<usize>>,
}

impl<'a> Screen<'a> {
    /// For what leaves over at most this share of the candidate. Where that is zero beside what is
    /// `right`, all hypotheses have something to say.
    pub fn new(candidate: &'a [f64], right: &[f64], precision: f64) -> Self {
        let size = norm(candidate);
        let distance = match size <= precision * norm(right) {
            true => f64::INFINITY,
            false => precision * size,
        };
        Self::within(candidate, distance)
    }

    /// For what is within this distance of the candidate.
    pub fn within(candidate: &'a [f64], distance: f64) -> Self {
        let sizes = SIZES.into_iter().filter(|n| SEVERAL * n <= candidate.len());
        Self {
            candidate,
            distance: ROUNDING.0 * distance + ROUNDING.1 * norm(candidate),
            samples: sizes.map(|n| spread(n, candidate.len())).collect(),
        }
    }

    /// Whether this is near enough. A distance that is no number rules nothing out.
    fn reaches(&self, distance: f64) -> bool {
        distance.partial_cmp(&self.distance) != Some(Ordering::Greater)
    }

    /// Whether these values may be near enough.
    pub fn may_be(&self, value: impl Fn(usize) -> f64) -> bool {
        self.samples.iter().all(|at| {
            let off = |&k: &usize| (self.candidate[k] - value(k)).powi(2);
            let square: f64 = at.iter().map(off).sum();
            self.reaches(square.sqrt())
        })
    }

    /// Whether the first `count` of these terms, each with some weight, may be near enough.
    pub fn may_fit(&self, count: usize, terms: impl Fn(usize) -> [f64; 3]) -> bool {
        self.samples.iter().all(|at| {
            let found: Vec<f64> = at.iter().map(|&k| self.candidate[k]).collect();
            let mut all = vec![0.0; count * at.len()];
            for (place, &k) in at.iter().enumerate() {
                for (path, value) in terms(k).into_iter().take(count).enumerate() {
                    all[path * at.len() + place] = value;
                }
            }
            // What is zero in all of these elements comes no nearer to the candidate.
            let some = |column: &&[f64]| column.iter().any(|v| *v != 0.0);
            let columns: Vec<&[f64]> = all.chunks_exact(at.len()).filter(some).collect();
            let Some(fit) = least_squares(&columns, &found) else {
                return true;
            };
            self.reaches(fit.residual * norm(&found))
        })
    }
}

/// So many numbers below `end`, in no step that an array may have.
fn spread(count: usize, end: usize) -> Vec<usize> {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let at = |i: usize| ((i as f64 + 0.5) * GOLDEN).fract() * end as f64;
    let mut all: Vec<usize> = (0..count).map(|i| at(i) as usize).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(k: usize, by: f64) -> f64 {
        (k as f64 * by).sin() + 1.5
    }

    /// A screen never rules out what is as near as it asks for, and does so with the rest.
    #[test]
    fn only_what_is_too_far_is_ruled_out() {
        let candidate: Vec<f64> = (0..4096).map(|k| wave(k, 0.7)).collect();
        let size = norm(&candidate);
        for precision in [1e-10, 1e-6, 1e-3, 1e-1] {
            let right = vec![1.0; 4096];
            let screen = Screen::new(&candidate, &right, precision);
            // All of what may be off lies in one place, or is spread.
            for at in (0..4096).step_by(97) {
                let near = |k: usize| candidate[k] + if k == at { precision * size } else { 0.0 };
                assert!(screen.may_be(near), "{precision} {at}");
                let terms = |k: usize| [0.5 * near(k), wave(k, 0.3), 0.0];
                assert!(screen.may_fit(2, terms), "{precision} {at}");
            }
            let off =
                |by: f64| move |k: usize| wave(k, 0.7) * (1.0 + by * precision * wave(k, 2.1));
            assert!(screen.may_be(off(0.5)));
            assert!(!screen.may_be(off(20.0)), "{precision}");
            // With a weight of its own, what is off by a factor may come near.
            let far = |k: usize| [off(20.0)(k), wave(k, 0.3), wave(k, 3.0)];
            assert!(!screen.may_fit(3, far) || precision == 1e-1, "{precision}");
        }
    }

    #[test]
    fn beside_a_zero_candidate_nothing_is_ruled_out() {
        let candidate = vec![1e-14; 4096];
        let screen = Screen::new(&candidate, &vec![1.0; 4096], 1e-10);
        assert!(screen.may_fit(1, |k| [wave(k, 0.7), 0.0, 0.0]));
    }
}

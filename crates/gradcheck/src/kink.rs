//! What a gradient may be where the slopes on the left and on the right differ.
//!
//! Each output may choose: at `x = 0` the slope of `relu(x)` is as well 0 as 1. One output
//! alone may even choose what lies between. But where many outputs have a kink at once, as in
//! `relu(w * x + b)` with all rows of `x` zero, the sum of all ranges is so wide that a gradient
//! which forgets something else fits into it as well. So of several outputs no more is taken than
//! what a program does: each takes one of its two slopes, or all take the middle.

use crate::secant::{Secant, Target};
use serde::Serialize;

/// So many outputs may each choose a side of their own. More have to agree on a rule: all to the
/// right, all to the left, all the slope that is nearer to 0, or all the other one.
const FEW: usize = 8;

/// The outputs that have a kink at one point of a line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Kink {
    /// Half the distance between the slopes on the left and on the right: every subgradient
    /// lies within the value in the middle and this.
    pub gap: f64,
    /// How many outputs have it.
    pub outputs: usize,
    /// What the first of them add to the middle when they take the slope on the right.
    right: [f64; FEW],
    /// What all add to the middle when they take the slope on the right, and when they take
    /// that which is nearer to 0.
    together: [f64; 2],
    /// By how much the kink looks different from further away: it is not quite at this point.
    pub beside: f64,
}

/// The outputs that have a kink here, each with half the gap between its left and its right
/// slope, weighted by its upstream gradient.
///
/// On a smooth function `jump` is `h * f''` and shrinks with `h`; noise in it grows as
/// `1 / h`; at a kink it stays.
pub(crate) fn gaps(wide: &Secant, close: &Secant, target: Target<'_>) -> Vec<(usize, f64)> {
    let mut gaps = Vec::new();
    for (i, dy) in target.dy.iter().enumerate() {
        let (far, near) = (wide.jump[i], close.jump[i]);
        let stays = near / far > 0.5 && near / far < 2.0;
        let gap = 0.5 * (dy * near).abs();
        if stays && near.abs() > 4.0 * close.jump_noise[i] && gap > 0.0 {
            gaps.push((i, gap));
        }
    }
    gaps
}

impl Kink {
    /// The kink that two differences show, of which one is much shorter.
    pub(crate) fn between(wide: &Secant, close: &Secant, target: Target<'_>) -> Option<Self> {
        let gaps = gaps(wide, close, target);
        let mut kink = Self {
            gap: 0.0,
            outputs: gaps.len(),
            right: [0.0; FEW],
            together: [0.0; 2],
            beside: 0.0,
        };
        for (k, (i, gap)) in gaps.into_iter().enumerate() {
            let (middle, half) = (close.slopes[i], 0.5 * close.jump[i]);
            let side = target.dy[i] * half;
            if let Some(right) = kink.right.get_mut(k) {
                *right = side;
            }
            let nearer = if (middle + half).abs() < (middle - half).abs() {
                side
            } else {
                -side
            };
            kink.gap += gap;
            kink.together[0] += side;
            kink.together[1] += nearer;
            kink.beside += 0.5 * (target.dy[i] * (wide.jump[i] - close.jump[i])).abs();
        }
        (kink.outputs > 0).then_some(kink)
    }

    /// Whether the outputs can choose so that they are `off` the middle, by no more than the gap
    /// and but for `rounding`.
    pub(crate) fn allows(&self, off: f64, rounding: f64) -> bool {
        let is = |sum: f64| (off - sum).abs() <= rounding;
        let few = self.right.get(..self.outputs).unwrap_or_default();
        let signed = |choice: u32| {
            let side = |(k, side): (usize, &f64)| if choice >> k & 1 == 1 { *side } else { -side };
            few.iter().enumerate().map(side).sum()
        };
        self.outputs == 1
            || is(0.0)
            || self.together.iter().any(|&sum| is(sum) || is(-sum))
            || (!few.is_empty() && (0..1 << few.len()).any(|choice| is(signed(choice))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_that_changes_with_the_step_is_no_kink() {
        let secant = |jump| Secant {
            slope: 0.0,
            magnitude: 0.0,
            noise: 0.0,
            width: 1.0,
            slopes: vec![0.0],
            jump: vec![jump],
            jump_noise: vec![1e-3],
        };
        let target = Target {
            y: &[0.0],
            dy: &[2.0],
            noise: &[0.0],
        };
        let gap = |far, near| gaps(&secant(far), &secant(near), target);
        assert_eq!(gap(1.0, 1.0), [(0, 1.0)]);
        assert_eq!(gap(-1.0, -1.5), [(0, 1.5)]);
        for (far, near) in [(1.0, 0.25), (1.0, 3.0), (-2.0, -6.0), (1.0, -1.0)] {
            assert_eq!(gap(far, near), [], "{far} and then {near}");
        }
        assert_eq!(gap(3e-3, 3e-3), [], "no more than noise");
    }
}

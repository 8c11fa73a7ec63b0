//! Over what distance does a function change? Found from the function, element by element.
//!
//! The size of an input says little about it: of `exp(-x²)` at `x = 0.7`, beside an element of
//! 10⁶ in the same input, or at a time of `1.7e9` seconds, whatever happens happens over a
//! distance of 1. A step of a tenth of the deviation leaps over it, and all differences that
//! follow agree about a slope that is not there.
//!
//! So the slopes on one side are looked at, at steps that shrink by a factor of 64 at a time,
//! from an eighth of the input's deviation down to the last places of `x`. How far apart are two
//! that follow one another? Where the function is smooth, that shrinks as fast as the step,
//! until rounding makes it grow again. A feature shows in between: above it the slopes are those
//! of what it sits on, below it they are its own, and so two neighbours stand out. The shortest
//! feature counts, and no ladder starts above it.
//!
//! Rounding has features, too. A value that has passed through a coarser one stays as it is
//! over some steps and then jumps. So where a feature seems to begin, the interval is halved:
//! what is smooth changes there little by little, what is rounded jumps.

use crate::secant::{EPS, Sample, Target};

/// The first step of a ladder, as a share of the scale.
pub(crate) const FIRST_STEP: f64 = 0.125;
/// How much longer each step is than the one before.
const LONGER: f64 = 64.0;
/// Steps are no powers of two, which may all fall on one and the same phase of a wave.
pub(crate) const OUT_OF_STEP: f64 = 1.371;
/// Where a function is smooth, slopes at the next shorter steps come closer by a factor of 64,
/// or of more; near a singularity such as that of `|x|^1.5`, by less. By so much, at least:
const CLOSER: f64 = 32.0;
/// Slopes that come closer by this factor are not those of noise, which spread.
const AGREE: f64 = 4.0;
/// Steps beside the shortest, as shares of it.
const BESIDE: [f64; 3] = [1.7, 2.9, 4.3];
/// The interval in which a feature begins is halved down to this share of it.
const SHORT: f64 = 1.0 / (1u64 << 12) as f64;
/// No simple fraction, which a jump of several equal ones could meet to the last place.
const ABOUT_HALF: f64 = 0.4142;
/// How much more of a feature than of the interval may be left, if it is not a jump.
const STEEP: f64 = 8.0;
/// How much larger a feature is than rounding, of the outputs or of the input.
const CLEAR: f64 = 64.0;
/// The outputs may change by this multiple of themselves over the scale.
const DROWNED: f64 = (1u64 << 16) as f64;
/// The shortest step, in units in the last place of the element that moves.
const SHORTEST: f64 = 4.0;
/// The shortest step from an element that is 0, as a share of the scale of its input.
const FROM_ZERO: f64 = 1.0 / (1u64 << 60) as f64;

/// The power of two at or below `x`, so that adding it to a number rarely rounds.
pub(crate) fn power_of_two(x: f64) -> f64 {
    // Sign and digits cleared, what remains is the exponent: exact on every machine.
    const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
    f64::from_bits(x.to_bits() & EXPONENT).max(f64::MIN_POSITIVE)
}

/// The shortest step along a line that moves an element by its own length.
pub(crate) fn finest(x: f64, widest: f64) -> f64 {
    if x == 0.0 {
        FROM_ZERO * widest
    } else {
        (SHORTEST * EPS * x.abs()).max(f64::MIN_POSITIVE)
    }
}

/// The steps between which the derivative along a line is to be found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    /// The distance over which the outputs may be expected to change noticeably.
    pub scale: f64,
    /// The shortest step that moves the line by about its own length.
    pub finest: f64,
    /// A longer step would leave a feature that was seen.
    pub longest: f64,
}

/// The distance over which `sum(dy * f)` changes along a line, at most `widest`.
pub(crate) fn of_line(
    line: &mut dyn FnMut(f64) -> Sample,
    target: Target<'_>,
    mut widest: f64,
    finest: f64,
) -> Reach {
    let mut bound = f64::INFINITY;
    let longest = OUT_OF_STEP * FIRST_STEP * widest;
    let count = ((longest / finest).log2() / LONGER.log2()).floor().max(0.0) as i32;
    // From the longest step to the shortest, each with its slopes.
    let mut looks: Vec<Look> = (0..=count)
        .map(|k| Look::new(line, target, longest / LONGER.powi(k)))
        .collect();
    // Beyond the edge of its domain a function says nothing about this side of it.
    if let Some(last) = looks.iter().rposition(|look| !look.is_finite()) {
        looks.drain(..=last);
        if let Some(look) = looks.first() {
            bound = look.t;
            widest = look.t / (OUT_OF_STEP * FIRST_STEP);
        }
    }
    let apart: Vec<f64> = looks
        .windows(2)
        .map(|two| two[0].apart(&two[1], target))
        .collect();
    let size = |each: &[f64]| target.size(each.iter().copied());
    // The shortest feature first: what is above it does not matter.
    for k in (1..apart.len()).rev() {
        let (near, far) = (&looks[k + 1], &looks[k]);
        let stands_out = apart[k] * CLOSER > apart[k - 1];
        // An output that does not move has no part in it, and neither has its rounding.
        let moves = |(i, y): (usize, &f64)| if far.slopes[i] == 0.0 { 0.0 } else { *y };
        let rounding = EPS * target.size(target.y.iter().enumerate().map(moves));
        let clear = apart[k] * far.t > CLEAR * (rounding + finest * size(&near.slopes));
        if !(stands_out && clear) {
            continue;
        }
        let agreed = match apart.get(k + 1) {
            Some(below) => below * AGREE < apart[k],
            // The shortest step of all has none below to agree with, but some beside it.
            None => BESIDE.iter().all(|beside| {
                let look = Look::new(line, target, beside * near.t);
                look.apart(near, target) * AGREE < apart[k]
            }),
        };
        if agreed && is_smooth(line, target, near, far, finest) {
            return Reach {
                // The first step lies between the last that agreed and the one that did not.
                scale: looks[k].t / (OUT_OF_STEP * FIRST_STEP * LONGER.sqrt()),
                finest,
                longest: looks[k].t,
            };
        }
    }
    // Far along a straight line, only rounding would be left of the outputs here.
    let slope = looks.first().map_or(0.0, |look| size(&look.slopes));
    let drowned = DROWNED * size(target.y) / slope;
    Reach {
        scale: if drowned > 0.0 {
            widest.min(drowned)
        } else {
            widest
        },
        finest,
        longest: bound,
    }
}

/// The slopes from the start of a line to a point of it.
struct Look {
    t: f64,
    slopes: Vec<f64>,
}

impl Look {
    fn new(line: &mut dyn FnMut(f64) -> Sample, target: Target<'_>, t: f64) -> Self {
        let Sample { t, y } = line(t);
        let slope = |(y, start): (&f64, &f64)| (y - start) / t;
        let slopes = y.iter().zip(target.y).map(slope).collect();
        Self { t, slopes }
    }

    fn is_finite(&self) -> bool {
        self.slopes.iter().all(|slope| slope.is_finite())
    }

    fn apart(&self, other: &Self, target: Target<'_>) -> f64 {
        let both = self.slopes.iter().zip(&other.slopes);
        target.size(both.map(|(a, b)| a - b))
    }
}

/// Whether the output that leaves the straight line of the slopes at `near` most, on the way to
/// `far`, leaves it little by little or by a jump, as rounded ones do.
fn is_smooth(
    line: &mut dyn FnMut(f64) -> Sample,
    target: Target<'_>,
    near: &Look,
    far: &Look,
    finest: f64,
) -> bool {
    let share = |i: &usize| (target.dy[*i] * (far.slopes[*i] - near.slopes[*i])).abs();
    let by_share = |a: &usize, b: &usize| share(a).total_cmp(&share(b));
    let Some(i) = (0..target.y.len()).max_by(by_share) else {
        return false;
    };
    let off = |look: &Look| (look.slopes[i] - near.slopes[i]) * look.t;
    let mut ends = [(near.t, 0.0), (far.t, off(far))];
    let all = off(far);
    let mut left = 1.0;
    while left > SHORT && ends[1].0 - ends[0].0 > finest {
        let middle = Look::new(line, target, 0.5 * (ends[0].0 + ends[1].0));
        let off = off(&middle);
        ends[usize::from(off / all >= ABOUT_HALF)] = (middle.t, off);
        left *= 0.5;
    }
    (ends[1].1 - ends[0].1).abs() <= STEEP * left * all.abs()
}

//! Numerical derivatives that know how wrong they are.
//!
//! A central difference `(f(x + h) - f(x - h)) / 2h` has two errors. Truncation falls
//! as `h²` when `h` shrinks; rounding grows as `1/h`. No single `h` is right for every
//! function, so none is chosen here. A ladder of steps, each half the one before, feeds
//! a Richardson table (Ridders, "Accurate computation of F′(x) and F′(x)F″(x)", 1982):
//! each column cancels one more power of `h²`, and neighbours in the table that disagree
//! show how much truncation is left. The rounding of `f` is measured, not guessed (see
//! [`crate::noise`]). Their sum is the [`Estimate::error`] that comes with each value.
//!
//! The ladder starts near the scale of the input, or higher up where rounding is all that
//! a step of that length shows. Two more looks, at a step 1024 times smaller, guard the
//! result: one confirms that the ladder did not step over a feature narrower than its
//! steps, the other compares the slopes on the left and on the right and so finds a kink.

use serde::Serialize;

// ANCHOR: constants
/// The relative spacing of `f64` numbers, 2⁻⁵².
pub(crate) const EPS: f64 = f64::EPSILON;

/// The first step of a ladder, as a share of the scale of the input.
const FIRST_STEP: f64 = 0.125;
/// No ladder has more rungs than this; it starts at the scale of the input and halves.
const RUNGS: usize = 64;
/// Columns beyond the seventh cancel truncation that is already below rounding.
const COLUMNS: usize = 7;
/// How much a first step grows at a time when it is too short, and how often at most.
const WIDER: f64 = 8.0;
const WIDENINGS: usize = 10;
/// A slope whose noise is below this share needs no longer step.
const ENOUGH: f64 = 1e3 * EPS;
/// A function whose slope changes by less than this share looks straight.
const STRAIGHT: f64 = 1e-2;
/// How much smaller the confirming step is.
const CLOSER: f64 = 1024.0;
/// How often the ladder may start again, that much lower each time.
const RESTARTS: usize = 3;
// ANCHOR_END: constants

// ANCHOR: estimate
/// A derivative, and how far from the truth it may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The derivative of `sum(dy * f)` along the line.
    pub value: f64,
    /// Estimated bound on `|value - truth|`: truncation plus rounding.
    pub error: f64,
    /// `sum |dy_i * df_i|`: what the terms of `value` add up to when none cancel.
    pub magnitude: f64,
    /// The step of the last difference that entered `value`.
    pub step: f64,
    /// At a kink, half the distance between the slopes on the left and on the right:
    /// every subgradient lies within `value ± kink`.
    pub kink: Option<f64>,
}

/// What `f` returns at one point of a line through the input.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The distance really travelled: `(x + t) - x`, which rounding keeps from being `t`.
    pub t: f64,
    /// The outputs there.
    pub y: Vec<f64>,
}

/// The fixed part of a derivative along a line: where it starts, and what is asked.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The outputs at the start of the line.
    pub y: &'a [f64],
    /// The upstream gradient, one weight for each output.
    pub dy: &'a [f64],
    /// The standard deviation of the rounding noise of each output.
    pub noise: &'a [f64],
}

/// The function is not finite on one side of the point, however small the step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EdgeOfDomain {
    /// The smallest step that was tried.
    pub step: f64,
}
// ANCHOR_END: estimate

/// The central difference of a function of one number.
///
/// Truncation `h²/6 · f‴`, rounding about `2⁻⁵³ · |f| / h`.
// ANCHOR: central_difference
pub fn central_difference(f: impl Fn(f64) -> f64, x: f64, h: f64) -> f64 {
    // Rounding may keep x + h from being h away from x: divide by what was travelled.
    let (right, left) = (x + h, x - h);
    (f(right) - f(left)) / (right - left)
}
// ANCHOR_END: central_difference

// ANCHOR: derivative
/// The derivative of a function of one number, with its estimated error.
///
/// `x` sets the scale of the first step; at 0 the scale is 1.
///
/// # Errors
/// [`EdgeOfDomain`] where `f` is NaN or infinite next to `x`.
pub fn derivative(f: impl Fn(f64) -> f64, x: f64) -> Result<Estimate, EdgeOfDomain> {
    let scale = if x == 0.0 { 1.0 } else { x.abs() };
    let at = |inputs: &[Vec<f64>]| vec![f(inputs[0][0])];
    let noise = crate::noise::measure(&at, &[vec![x]], &[scale], EPS, 16, 0);
    let target = Target {
        y: &[f(x)],
        dy: &[1.0],
        noise: &noise,
    };
    let mut line = |t: f64| Sample {
        t: (x + t) - x,
        y: vec![f(x + t)],
    };
    derivative_along(&mut line, target, scale)
}
// ANCHOR_END: derivative

// ANCHOR: along
/// The derivative of `sum(dy * f)` along a line, with its estimated error.
///
/// `line(t)` gives the outputs a distance `t` from the start; `scale` is the distance
/// over which the outputs may be expected to change noticeably. A wrong guess costs
/// evaluations, not accuracy.
///
/// # Errors
/// [`EdgeOfDomain`] where an output is NaN or infinite on one side of the start.
pub fn derivative_along(
    line: &mut dyn FnMut(f64) -> Sample,
    target: Target<'_>,
    scale: f64,
) -> Result<Estimate, EdgeOfDomain> {
    let first = FIRST_STEP * power_of_two(scale);
    let (mut step, mut close) = (widen(line, target, first), first);
    let mut doubted: Option<Found> = None;
    for _ in 0..=RESTARTS {
        let mut found = match ladder(line, target, step) {
            Ok(found) => found,
            Err(edge) => return doubted.map(|found| found.estimate(None)).ok_or(edge),
        };
        close = found.step.min(close) / CLOSER;
        let Some(closer) = Secant::new(line, target, close) else {
            return Ok(found.estimate(None));
        };
        let left_over = (found.value - found.secant.slope).abs() / CLOSER;
        let allowed = found.error + 4.0 * closer.noise + left_over;
        let apart = (closer.slope - found.value).abs();
        if apart <= allowed {
            return Ok(found.estimate(kink(&found.secant, &closer, target)));
        }
        // Is there a feature down here that the ladder stepped over? A ladder that starts
        // here will tell. If none confirms another, there is more noise than was measured.
        found.error = apart;
        doubted.get_or_insert(found);
        step = close;
    }
    doubted
        .map(|found| found.estimate(None))
        .ok_or(EdgeOfDomain { step })
}
// ANCHOR_END: along

// ANCHOR: widen
/// A first step that is long enough for more than rounding to show.
///
/// While the function looks straight over a step, and the slope is not yet known to
/// twelve digits, a longer step is better. Where nothing moves at all, none is.
fn widen(line: &mut dyn FnMut(f64) -> Sample, target: Target<'_>, first: f64) -> f64 {
    let mut h = first;
    let mut short = Secant::new(line, target, h);
    for _ in 0..WIDENINGS {
        let Some(secant) = &short else { break };
        if secant.magnitude == 0.0 || secant.noise <= ENOUGH * secant.magnitude {
            break;
        }
        let long = Secant::new(line, target, WIDER * h);
        let straight = long.as_ref().is_some_and(|long| {
            let bend = (long.slope - secant.slope).abs();
            bend <= (2.0 * secant.noise).max(STRAIGHT * secant.magnitude)
        });
        if !straight {
            break;
        }
        (h, short) = (WIDER * h, long);
    }
    h
}
// ANCHOR_END: widen

// ANCHOR: secant
/// One central difference, with what is needed to judge it.
struct Secant {
    /// `sum(dy * slope_i)`.
    slope: f64,
    /// `sum |dy * slope_i|`.
    magnitude: f64,
    /// How much of `slope` may be rounding noise.
    noise: f64,
    /// For each output, the slope on the right minus the slope on the left.
    jump: Vec<f64>,
    /// For each output, how much of `jump` may be rounding noise.
    jump_noise: Vec<f64>,
}

impl Secant {
    /// `None` when an output is not finite at one of the two ends.
    fn new(line: &mut dyn FnMut(f64) -> Sample, at: Target<'_>, h: f64) -> Option<Self> {
        let (right, left) = (line(h), line(-h));
        let width = right.t - left.t;
        let mut secant = Self {
            slope: 0.0,
            magnitude: 0.0,
            noise: 0.0,
            jump: Vec::with_capacity(at.y.len()),
            jump_noise: Vec::with_capacity(at.y.len()),
        };
        let mut unseen = 0.0;
        for (i, (&up, &down)) in right.y.iter().zip(&left.y).enumerate() {
            let (y, dy) = (at.y[i], at.dy[i]);
            if !(up.is_finite() && down.is_finite()) {
                return None;
            }
            let rounding = 0.5 * EPS * up.abs().max(down.abs());
            let noise = at.noise[i].max(rounding);
            let slope = (up - down) / width;
            secant.slope += dy * slope;
            secant.magnitude += (dy * slope).abs();
            let share = dy.abs() * 2.0 * noise / width;
            if up == y && down == y {
                // It does not depend on this input, or by less than rounding shows.
                // Such losses are independent of each other: they add as squares.
                unseen += share * share;
            } else {
                // Outputs that move together may share a rounding: they add in full.
                secant.noise += share;
            }
            secant.jump.push((up - y) / right.t - (down - y) / left.t);
            secant.jump_noise.push(8.0 * noise / width);
        }
        secant.noise += unseen.sqrt();
        let finite = secant.slope.is_finite() && width > 0.0;
        finite.then_some(secant)
    }
}
// ANCHOR_END: secant

// ANCHOR: found
/// The best entry of a Richardson table.
struct Found {
    value: f64,
    error: f64,
    step: f64,
    secant: Secant,
}

impl Found {
    fn estimate(&self, kink: Option<f64>) -> Estimate {
        Estimate {
            value: self.value,
            error: self.error,
            magnitude: self.secant.magnitude,
            step: self.step,
            kink,
        }
    }
}
// ANCHOR_END: found

/// Halves the step until rounding outweighs what another halving could gain.
// ANCHOR: ladder
fn ladder(
    line: &mut dyn FnMut(f64) -> Sample,
    target: Target<'_>,
    first: f64,
) -> Result<Found, EdgeOfDomain> {
    let mut h = first;
    let mut above: Vec<f64> = Vec::new();
    let (mut best, mut latest): (Option<Found>, Option<Found>) = (None, None);
    for _ in 0..RUNGS {
        let Some(secant) = Secant::new(line, target, h) else {
            // A step out of the domain: start again, much closer.
            (above, best, latest) = (Vec::new(), None, None);
            h /= 16.0;
            continue;
        };
        let row = neville(&above, secant.slope);
        let rounding = 2.0 * secant.noise + 2.0 * EPS * secant.magnitude;

        // An entry is trusted as far as it agrees with its two parents. The one above is
        // always the farther: row[j] lies beyond row[j - 1], seen from above[j - 1].
        let trusted = (1..row.len())
            .map(|j| (row[j], (row[j] - above[j - 1]).abs() + rounding))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        above = row;
        // The noise of the next rung is twice this one's.
        let next_rounding = 4.0 * secant.noise;
        if let Some((value, error)) = trusted {
            let found = Found {
                value,
                error,
                step: h,
                secant,
            };
            // Parents may agree by chance: an entry counts once the next row has spoken.
            if let Some(mut entry) = latest.replace(found) {
                let apart = (value - entry.value).abs();
                if apart > entry.error + rounding {
                    entry.error = apart;
                }
                if best.as_ref().is_none_or(|b| entry.error < b.error) {
                    best = Some(entry);
                }
            }
        }
        if best.as_ref().is_some_and(|b| next_rounding >= b.error) {
            break;
        }
        h /= 2.0;
    }
    best.or(latest).ok_or(EdgeOfDomain { step: h })
}
// ANCHOR_END: ladder

/// The next row of the table: column `j` cancels the error term in `h^(2j)`.
// ANCHOR: neville
fn neville(above: &[f64], slope: f64) -> Vec<f64> {
    let mut row = vec![slope];
    let mut factor = 1.0;
    for (j, &older) in above.iter().take(COLUMNS - 1).enumerate() {
        factor *= 4.0;
        row.push(row[j] + (row[j] - older) / (factor - 1.0));
    }
    row
}
// ANCHOR_END: neville

/// Half the gap between left and right slopes, summed over the outputs that have one.
///
/// On a smooth function `jump` is `h · f″` and shrinks with `h`; noise in it grows as
/// `1/h`; at a kink it stays.
// ANCHOR: kink
fn kink(wide: &Secant, close: &Secant, target: Target<'_>) -> Option<f64> {
    let mut gap = 0.0;
    for (i, dy) in target.dy.iter().enumerate() {
        let (far, near) = (wide.jump[i], close.jump[i]);
        let stays = near / far > 0.5 && near / far < 2.0;
        if stays && near.abs() > 4.0 * close.jump_noise[i] {
            gap += 0.5 * (dy * near).abs();
        }
    }
    (gap > 0.0).then_some(gap)
}
// ANCHOR_END: kink

// ANCHOR: power_of_two
/// The power of two at or below `x`, so that adding it to a number rarely rounds.
fn power_of_two(x: f64) -> f64 {
    // Sign and digits cleared, what remains is the exponent: exact on every machine.
    const EXPONENT: u64 = 0x7ff0_0000_0000_0000;
    f64::from_bits(x.to_bits() & EXPONENT).max(f64::MIN_POSITIVE)
}
// ANCHOR_END: power_of_two

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_cancels_one_more_power() {
        let slope = |h: f64| 1.0 + 2.0 * h * h + 3.0 * h.powi(4);
        let first = neville(&[], slope(1.0));
        let second = neville(&first, slope(0.5));
        let third = neville(&second, slope(0.25));
        assert_eq!(second[1], 1.0 - 0.75, "the fourth power, times -1/4");
        assert_eq!(third[2], 1.0);
        let long = neville(&[1.0; 9], 1.0);
        assert_eq!(long, [1.0; COLUMNS]);
    }

    #[test]
    fn a_gap_that_changes_with_the_step_is_no_kink() {
        let secant = |jump| Secant {
            slope: 0.0,
            magnitude: 0.0,
            noise: 0.0,
            jump: vec![jump],
            jump_noise: vec![1e-3],
        };
        let target = Target {
            y: &[0.0],
            dy: &[2.0],
            noise: &[0.0],
        };
        let gap = |far, near| kink(&secant(far), &secant(near), target);
        assert_eq!(gap(1.0, 1.0), Some(1.0));
        assert_eq!(gap(-1.0, -1.5), Some(1.5));
        for (far, near) in [(1.0, 0.25), (1.0, 3.0), (-2.0, -6.0), (1.0, -1.0)] {
            assert_eq!(gap(far, near), None, "{far} and then {near}");
        }
        assert_eq!(gap(3e-3, 3e-3), None, "no more than noise");
    }
}

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
//! The ladder starts near the scale that was found for the element (see `scale.rs`), or higher
//! up where rounding is all that a step of that length shows. More looks guard the result: the
//! first at a step some 750 times smaller than the last of the ladder, and each further one at a
//! step 1024 times smaller than the one before, down to the last places of `x`. They
//! confirm that the ladder did not step over a feature narrower than its steps. The first of
//! them also compares the slopes on the left and on the right and so finds a kink.

use crate::kink::Kink;
use crate::noise::{self, Positions};
use crate::scale::{self, FIRST_STEP, OUT_OF_STEP, power_of_two};
use crate::secant::{EPS, Secant};
use serde::Serialize;

pub use crate::scale::Reach;
pub use crate::secant::{Sample, Target};

/// No ladder has more rungs than this; it starts at the scale of the input and halves.
const RUNGS: usize = 64;
/// Columns beyond the seventh cancel truncation that is already below rounding.
const COLUMNS: usize = 7;
/// How much a first step grows at a time when it is too short, and how often at most.
const WIDER: f64 = 8.0;
const WIDENINGS: i32 = 10;
/// A slope whose noise is below this share needs no longer step.
const ENOUGH: f64 = 1e3 * EPS;
/// A function whose slope changes by less than this share looks straight.
const STRAIGHT: f64 = 1e-2;
/// How much smaller each confirming step is than the one before; for the first, which is out
/// of step with the ladder, it is that over [`OUT_OF_STEP`].
const CLOSER: f64 = 1024.0;
/// How often the ladder may start again, that much lower each time.
const RESTARTS: usize = 3;

/// A derivative, and how far from the truth it may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The derivative of `sum(dy * f)` along the line.
    pub value: f64,
    /// Estimated bound on `|value - truth|`: truncation plus rounding.
    pub error: f64,
    /// `sum |dy_i * df_i|`: what the terms of `value` add up to when none cancel.
    pub magnitude: f64,
    /// What the rounding noise of the outputs does to a derivative that is computed from them.
    pub carried: f64,
    /// The step of the last difference that entered `value`.
    pub step: f64,
    /// What else the derivative may be, at a kink: `value` is the middle then.
    pub kink: Option<Kink>,
    /// Why it could not be found, where `error` is all that is known of it.
    pub doubt: Option<Doubt>,
}

/// Why no step gives a derivative that shorter steps confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The outputs change by as much over a short step as over a long one.
    Jump,
    /// Shorter and longer steps tell of different slopes, down to the last places of `x`.
    Unsettled,
    /// The gradient is off, but by no more than one rounding of `x` inside the function could
    /// move the slope.
    Blurred,
}

/// The function is not finite on one side of the point, however small the step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EdgeOfDomain {
    /// The smallest step that was tried.
    pub step: f64,
}

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

/// The derivative of a function of one number, with its estimated error.
///
/// # Errors
/// [`EdgeOfDomain`] where `f` is NaN or infinite next to `x`.
pub fn derivative(f: impl Fn(f64) -> f64, x: f64) -> Result<Estimate, EdgeOfDomain> {
    let widest = if x == 0.0 { 1.0 } else { x.abs() };
    let finest = scale::finest(x, widest);
    let mut line = |t: f64| Sample {
        t: (x + t) - x,
        y: vec![f(x + t)],
    };
    let mut target = Target {
        y: &[f(x)],
        dy: &[1.0],
        noise: &[0.0],
    };
    let reach = scale::of_line(&mut line, target, widest, finest);
    let at = |inputs: &[Vec<f64>]| vec![f(inputs[0][0])];
    let noise = noise::measure(
        &at,
        &[vec![x]],
        &[vec![reach.scale]],
        EPS,
        16,
        Positions::Exact,
        0,
    );
    target.noise = &noise;
    derivative_along(&mut line, target, reach)
}

/// The derivative of `sum(dy * f)` along a line, with its estimated error.
///
/// `line(t)` gives the outputs a distance `t` from the start. A wrong guess of its reach
/// costs evaluations, not accuracy.
///
/// # Errors
/// [`EdgeOfDomain`] where an output is NaN or infinite on one side of the start.
pub fn derivative_along(
    line: &mut dyn FnMut(f64) -> Sample,
    target: Target<'_>,
    mut reach: Reach,
) -> Result<Estimate, EdgeOfDomain> {
    let mut first = FIRST_STEP * power_of_two(reach.scale);
    let mut doubted: Option<(Found, Doubt)> = None;
    for _ in 0..=RESTARTS {
        let step = widen(line, target, first, reach.longest);
        let mut found = match ladder(line, target, step, reach.finest) {
            Ok(found) => found,
            Err(edge) => {
                let doubted = doubted.map(|(found, doubt)| found.doubtful(doubt));
                return doubted.ok_or(edge);
            }
        };
        let looks = Looks::new(line, target, &found, reach.finest);
        let Some((longest, shortest)) = looks.contradicting else {
            let closer = looks.first.as_ref();
            let kink = closer.and_then(|closer| Kink::between(&found.secant, closer, target));
            // A kink that is not quite here moves the middle.
            found.error += kink.map_or(0.0, |kink| kink.beside);
            return Ok(Estimate {
                carried: found.secant.carried(target, reach.scale),
                ..found.estimate(kink)
            });
        };
        // Is there a feature down here that the ladder stepped over? A ladder that starts
        // here will tell. If none confirms another, there is more noise than was measured.
        (first, reach.longest) = (shortest, longest);
        found.error = looks.apart;
        doubted.get_or_insert((found, looks.doubt()));
    }
    doubted
        .map(|(found, doubt)| found.doubtful(doubt))
        .ok_or(EdgeOfDomain { step: first })
}

/// Central differences at steps far below those of a ladder, which have to agree with it.
struct Looks {
    /// The widest of them, if the outputs are finite there.
    first: Option<Secant>,
    /// The longest and the shortest step of those that contradict.
    contradicting: Option<(f64, f64)>,
    /// By how much, at most.
    apart: f64,
    /// What the outputs change by, at each.
    changes: Vec<f64>,
}

impl Looks {
    fn new(
        line: &mut dyn FnMut(f64) -> Sample,
        target: Target<'_>,
        found: &Found,
        finest: f64,
    ) -> Self {
        let mut looks = Self {
            first: None,
            contradicting: None,
            apart: 0.0,
            changes: Vec::new(),
        };
        let left_over = (found.value - found.secant.slope).abs() / CLOSER;
        let mut step = (OUT_OF_STEP * found.step / CLOSER).max(finest);
        while step >= finest {
            let Some(closer) = Secant::new(line, target, step) else {
                break;
            };
            let allowed = found.error + 4.0 * closer.noise + left_over;
            let apart = (closer.slope - found.value).abs();
            if apart > allowed {
                let longest = looks.contradicting.map_or(step, |(longest, _)| longest);
                looks.contradicting = Some((longest, step));
                looks.apart = looks.apart.max(apart);
            }
            looks.changes.push(closer.magnitude * closer.width);
            looks.first.get_or_insert(closer);
            step /= CLOSER;
        }
        looks
    }

    /// Why they contradict, if no ladder further down resolves it.
    fn doubt(&self) -> Doubt {
        let least = self.changes.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.changes.iter().copied().fold(0.0, f64::max);
        if self.changes.len() > 1 && least > 0.9 * most {
            Doubt::Jump
        } else {
            Doubt::Unsettled
        }
    }
}

/// A first step that is long enough for more than rounding to show.
///
/// While the function looks straight over a step, and the slope is not yet known to
/// twelve digits, a longer step is better. Where nothing moves even at the longest, none is.
fn widen(line: &mut dyn FnMut(f64) -> Sample, target: Target<'_>, first: f64, longest: f64) -> f64 {
    let mut h = first;
    let mut short = Secant::new(line, target, h);
    let moves = |secant: &Option<Secant>| secant.as_ref().is_some_and(|s| s.magnitude > 0.0);
    if !moves(&short) {
        let far = longest.min(WIDER.powi(WIDENINGS) * h);
        if !moves(&Secant::new(line, target, far)) {
            return first;
        }
    }
    for _ in 0..WIDENINGS {
        let Some(secant) = &short else { break };
        let enough = secant.noise <= ENOUGH * secant.magnitude;
        if enough || WIDER * h > longest {
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
    // Of a function that is noise and bounded, every slope is as straight as the next.
    let seen = short.is_some_and(|secant| secant.noise < secant.magnitude);
    if seen { h } else { first }
}

/// The best entry of a Richardson table.
struct Found {
    value: f64,
    error: f64,
    step: f64,
    secant: Secant,
}

impl Found {
    fn estimate(&self, kink: Option<Kink>) -> Estimate {
        Estimate {
            value: self.value,
            error: self.error,
            magnitude: self.secant.magnitude,
            carried: 0.0,
            step: self.step,
            kink,
            doubt: None,
        }
    }

    /// The same where no ladder was confirmed.
    fn doubtful(&self, doubt: Doubt) -> Estimate {
        Estimate {
            doubt: Some(doubt),
            ..self.estimate(None)
        }
    }
}

/// Halves the step until rounding outweighs what another halving could gain, or until the next
/// would not move the line by its own length.
// ANCHOR: ladder
fn ladder(
    line: &mut dyn FnMut(f64) -> Sample,
    target: Target<'_>,
    first: f64,
    finest: f64,
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
        let enough = best.as_ref().is_some_and(|b| next_rounding >= b.error);
        if enough || h < 2.0 * finest {
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
}

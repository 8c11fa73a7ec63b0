//! One central difference along a line, and how far rounding may have moved it.

/// The relative spacing of `f64` numbers, 2⁻⁵².
pub(crate) const EPS: f64 = f64::EPSILON;
/// The smallest number there is: nothing but zero is rounded by less.
const LEAST: f64 = f64::from_bits(1);

/// The root of the sum of squares, of numbers whose squares may be out of range.
pub(crate) fn norm(v: &[f64]) -> f64 {
    v.iter().copied().fold(0.0, f64::hypot)
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

impl Target<'_> {
    /// What numbers that belong to the outputs add up to, when none cancel.
    pub(crate) fn size(&self, each: impl IntoIterator<Item = f64>) -> f64 {
        let terms = each.into_iter().zip(self.dy).map(|(y, dy)| (y * dy).abs());
        terms.sum()
    }
}

/// One central difference, with what is needed to judge it.
pub(crate) struct Secant {
    /// `sum(dy * slope_i)`.
    pub slope: f64,
    /// `sum |dy * slope_i|`.
    pub magnitude: f64,
    /// How much of `slope` may be rounding noise.
    pub noise: f64,
    /// The distance between the two points.
    pub width: f64,
    /// The slope of each output.
    pub slopes: Vec<f64>,
    /// For each output, the slope on the right minus the slope on the left.
    pub jump: Vec<f64>,
    /// For each output, how much of `jump` may be rounding noise.
    pub jump_noise: Vec<f64>,
}

impl Secant {
    /// `None` when an output is not finite at one of the two ends.
    pub fn new(line: &mut dyn FnMut(f64) -> Sample, at: Target<'_>, h: f64) -> Option<Self> {
        let (right, left) = (line(h), line(-h));
        let width = right.t - left.t;
        let mut secant = Self {
            slope: 0.0,
            magnitude: 0.0,
            noise: 0.0,
            width,
            slopes: Vec::with_capacity(at.y.len()),
            jump: Vec::with_capacity(at.y.len()),
            jump_noise: Vec::with_capacity(at.y.len()),
        };
        let mut unseen = 0.0;
        for (i, (&up, &down)) in right.y.iter().zip(&left.y).enumerate() {
            let (y, dy) = (at.y[i], at.dy[i]);
            if !(up.is_finite() && down.is_finite()) {
                return None;
            }
            let largest = up.abs().max(down.abs());
            let least = if largest > 0.0 { LEAST } else { 0.0 };
            let rounding = least.max(0.5 * EPS * largest);
            let noise = at.noise[i].max(rounding);
            let slope = (up - down) / width;
            secant.slope += dy * slope;
            secant.magnitude += (dy * slope).abs();
            let share = dy.abs() * 2.0 * noise / width;
            if up == y && down == y {
                // It does not depend on this input, or by less than rounding shows.
                // Such losses are independent of each other: they add as squares.
                unseen = f64::hypot(unseen, share);
            } else {
                // Outputs that move together may share a rounding: they add in full.
                secant.noise += share;
            }
            secant.slopes.push(slope);
            secant.jump.push((up - y) / right.t - (down - y) / left.t);
            secant.jump_noise.push(8.0 * noise / width);
        }
        secant.noise += unseen;
        let finite = secant.slope.is_finite() && width > 0.0;
        finite.then_some(secant)
    }

    /// How far the rounding noise of the outputs may move a derivative that is computed from
    /// them: `y` by its noise is `x` by as much over the slope, and the slope there is another.
    /// No more than if it changed by all of itself over the distance `scale`.
    pub fn carried(&self, at: Target<'_>, scale: f64) -> f64 {
        let share = |(i, slope): (usize, &f64)| {
            let still = *slope == 0.0 && self.jump[i] == 0.0;
            let bend = (2.0 * self.jump[i] / self.width / slope).abs();
            let noise = at.dy[i] * at.noise[i];
            if still {
                0.0
            } else {
                noise * bend.min(1.0 / scale)
            }
        };
        let all = self.slopes.iter().enumerate();
        norm(&all.map(share).collect::<Vec<_>>())
    }
}

//! What is left of Batch Norm once the sums over a channel are known: a straight line.

use std::iter::repeat_n;

use tape::Real;

/// The forward pass of a group of channels: `y = (x − shift) · scale + offset`.
///
/// `shift` is the mean rounded to `T`. What the rounding left over is made up for in
/// `offset`, so `y` is right to the last digits even where the mean is a million times
/// the deviation.
// ANCHOR: line
pub(crate) struct Lines<T> {
    pub(crate) shift: Vec<T>,
    pub(crate) scale: Vec<T>,
    pub(crate) offset: Vec<T>,
}

impl<T: Real> Lines<T> {
    /// No channel yet.
    pub(crate) fn new() -> Self {
        Lines {
            shift: Vec::new(),
            scale: Vec::new(),
            offset: Vec::new(),
        }
    }

    /// Adds the line of the next channel, once for each of its columns.
    pub(crate) fn push(&mut self, columns: usize, mean: f64, rstd: f64, gamma: T, beta: T) {
        let (shift, rest) = round::<T>(mean);
        let scale = gamma.to_f64() * rstd;
        self.shift.extend(repeat_n(shift, columns));
        self.scale.extend(repeat_n(T::from_f64(scale), columns));
        self.offset
            .extend(repeat_n(T::from_f64(beta.to_f64() - rest * scale), columns));
    }
}
// ANCHOR_END: line

/// The backward pass of a group of channels:
/// `dx = ((dy − level) − (x − shift) · slope) · scale`.
///
/// This is `γ·rstd · (dy − mean(dy) − x̂ · mean(dy·x̂))` with `x̂ = (x − μ)·rstd` put in,
/// so that x̂ need not be stored.
// ANCHOR: slope
pub(crate) struct Slopes<T> {
    pub(crate) shift: Vec<T>,
    pub(crate) level: Vec<T>,
    pub(crate) slope: Vec<T>,
    pub(crate) scale: Vec<T>,
}

impl<T: Real> Slopes<T> {
    /// No channel yet.
    pub(crate) fn new() -> Self {
        Slopes {
            shift: Vec::new(),
            level: Vec::new(),
            slope: Vec::new(),
            scale: Vec::new(),
        }
    }

    /// Adds the next channel, once for each of its columns, given the averages over it of
    /// `dy` and of `dy · x̂`.
    pub(crate) fn push(
        &mut self,
        columns: usize,
        mean: f64,
        rstd: f64,
        gamma: T,
        dy: f64,
        dy_x_hat: f64,
    ) {
        let (shift, rest) = round::<T>(mean);
        let slope = rstd * dy_x_hat;
        self.shift.extend(repeat_n(shift, columns));
        self.level
            .extend(repeat_n(T::from_f64(dy - rest * slope), columns));
        self.slope.extend(repeat_n(T::from_f64(slope), columns));
        self.scale
            .extend(repeat_n(T::from_f64(gamma.to_f64() * rstd), columns));
    }
}
// ANCHOR_END: slope

/// A number as a `T` and what is lost by that: `x = rounded + rest`.
// ANCHOR: round
pub(crate) fn round<T: Real>(x: f64) -> (T, f64) {
    let rounded = T::from_f64(x);
    (rounded, x - rounded.to_f64())
}
// ANCHOR_END: round

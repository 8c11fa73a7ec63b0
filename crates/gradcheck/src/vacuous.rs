//! Checks that cannot fail, and so prove nothing.

use crate::groups::Groups;
use crate::input::Place;
use crate::numeric::Doubt;
use serde::Serialize;
use std::fmt;

/// Why a probe is refused: under it a wrong gradient would pass as well as a right one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Vacuous {
    /// There is nothing to differentiate by, or nothing to differentiate.
    Empty,
    /// Every element of the upstream gradient is 0.
    UpstreamZero,
    /// The true gradient of this input is numerically zero: an all-zero answer passes.
    ZeroGradient {
        /// The input.
        input: String,
    },
    /// The numerical gradient is too uncertain to contradict anything.
    TooCoarse {
        /// The input.
        input: String,
        /// The bound on the disagreement, as a share of the largest gradient.
        relative: f64,
    },
    /// The derivative could not be found at all.
    Unknown {
        /// The input.
        input: String,
        /// The element, or the direction.
        place: Place,
        /// Why.
        why: Doubt,
    },
    /// The gradient fits between the slopes on the left and on the right, but only because many
    /// outputs have a kink here at once.
    Kinks {
        /// The input.
        input: String,
        /// The element, or the direction.
        place: Place,
        /// How many outputs have a kink.
        outputs: usize,
    },
    /// `f` is not finite beside this element, so it has no derivative on both sides.
    EdgeOfDomain {
        /// The input.
        input: String,
        /// The element, or the direction.
        place: Place,
    },
    /// The upstream gradient has one and the same value all over a normalized group.
    UpstreamConstant {
        /// The number of the group: a channel for Batch Norm, a row for Layer Norm.
        group: usize,
    },
    /// All elements of gamma are equal.
    GammaAllEqual {
        /// Their value.
        value: f64,
    },
    /// A normalized group has so few values that its gradient is zero.
    TooFewPerGroup {
        /// Values in the group.
        values: usize,
    },
    /// All values of a normalized group are equal, so its variance is zero.
    GroupConstant {
        /// The number of the group.
        group: usize,
    },
}

/// Of a group of so many values or fewer that are normalized by their mean and variance, the
/// gradient is zero, but for eps: two become -1 and 1 whatever they were.
pub(crate) const SILENT: usize = 2;

/// Reasons why a normalization of these values could not show a mistake. `x` and `dy` have one
/// value for each element of the groups, and groups of up to `silent` values show nothing.
pub(crate) fn of_normalization(
    silent: usize,
    groups: &Groups,
    x: &[f64],
    dy: &[f64],
) -> Vec<Vacuous> {
    let mut refused = Vec::new();
    if groups.size() <= silent {
        refused.push(Vacuous::TooFewPerGroup {
            values: groups.size(),
        });
    }
    if let Some(group) = groups.constant(x) {
        refused.push(Vacuous::GroupConstant { group });
    }
    if let Some(group) = groups.constant(dy) {
        refused.push(Vacuous::UpstreamConstant { group });
    }
    refused
}

/// The reason why a gamma could not show that it is forgotten or misplaced. A single one
/// cannot be misplaced.
pub(crate) fn of_gamma(gamma: &[f64]) -> Option<Vacuous> {
    let value = *gamma.first()?;
    let equal = gamma.iter().all(|g| *g == value);
    let blind = equal && (gamma.len() > 1 || value == 1.0);
    blind.then_some(Vacuous::GammaAllEqual { value })
}

impl fmt::Display for Vacuous {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(out, "There is no element to check."),
            Self::UpstreamZero => write!(
                out,
                "The upstream gradient is all zero, so every gradient is zero too."
            ),
            Self::ZeroGradient { input } => write!(
                out,
                "The true gradient of `{input}` is numerically zero here, \
                 so a backward that returns zeros would pass."
            ),
            Self::TooCoarse { input, relative } if *relative >= 1.0 => write!(
                out,
                "The gradient of `{input}` cannot be told from the rounding of the function here, \
                 so any other of its size would pass."
            ),
            Self::TooCoarse { input, relative } => write!(
                out,
                "The gradient of `{input}` is known only to {relative:.0e} of its size here, \
                 so a wrong one could pass."
            ),
            Self::Unknown { input, place, why } => match why {
                Doubt::Jump => write!(
                    out,
                    "The function jumps at this value of `{input}` {place}, by as much over a \
                     short step as over a long one, so it has no derivative there; move the input \
                     away."
                ),
                Doubt::Unsettled => write!(
                    out,
                    "The derivative by `{input}` {place} could not be found: the shorter the step, \
                     the more different the slope, down to the last places of the input."
                ),
                Doubt::Blurred => write!(
                    out,
                    "At `{input}` {place} the function changes over so short a distance that one \
                     rounding of this value inside it moves the slope by as much as the two sides \
                     differ, so either may be right; move the input away."
                ),
            },
            Self::Kinks {
                input,
                place,
                outputs,
            } => write!(
                out,
                "At this value of `{input}` {place}, {outputs} outputs have a kink, and between \
                 their slopes on the left and on the right is room for a wrong gradient; it is \
                 none that each of them would choose by itself. Move the input away."
            ),
            Self::EdgeOfDomain { input, place } => write!(
                out,
                "The function is not finite on both sides of `{input}` {place}, \
                 so it has no derivative there; move the input away from the edge."
            ),
            Self::UpstreamConstant { group } => write!(
                out,
                "The upstream gradient is constant over normalized group {group}; \
                 normalization sends constants to zero, so every path could be wrong unseen."
            ),
            Self::GammaAllEqual { value } => write!(
                out,
                "Every gamma is {value}; \
                 a gamma that is forgotten, or taken from the wrong place, would not be seen."
            ),
            Self::TooFewPerGroup { values } => write!(
                out,
                "A normalized group has {values} value{}, of which x_hat is -1 or 1 whatever x \
                 is, and the gradient is zero.",
                if *values == 1 { "" } else { "s" }
            ),
            Self::GroupConstant { group } => write!(
                out,
                "All values of normalized group {group} are equal, \
                 so x_hat and the variance path are zero."
            ),
        }
    }
}

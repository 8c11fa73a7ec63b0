//! The list of the live figures, one file each.

pub mod cancellation;
pub mod depth;
pub mod paths;
pub mod projection;
pub mod share;
pub mod trial;
pub mod u_curve;

use crate::figure::Figure;

/// All of them.
pub const ALL: [Figure; 7] = [
    u_curve::FIGURE,
    cancellation::FIGURE,
    depth::FIGURE,
    trial::FIGURE,
    paths::FIGURE,
    projection::FIGURE,
    share::FIGURE,
];

/// The figure of this name.
#[must_use]
pub fn find(name: &str) -> Option<Figure> {
    ALL.into_iter().find(|figure| figure.name == name)
}

//! Naming the mistake in a wrong gradient.
//!
//! A gradient that flows along several paths is a sum of one term per path. A wrong
//! gradient is then, almost always, the same sum with a wrong weight on a path (0 when
//! it is forgotten, -1 when its sign is wrong, M when a mean became a sum), or with a
//! known change in its terms (gamma forgotten, the wrong axis). Least squares finds the
//! weights; when nothing remains unexplained, the weights say what is wrong.
//!
//! [`Question::explain`] is the general machine; [`norm`] is the catalogue for
//! normalization.

mod explain;
mod least_squares;
pub mod norm;
mod verdict;

pub use explain::{Basis, F64_PRECISION, Factor, Mistake, Path, Question};
pub use least_squares::{Fit, least_squares};
pub use verdict::{Explanation, Finding, Verdict, listed};

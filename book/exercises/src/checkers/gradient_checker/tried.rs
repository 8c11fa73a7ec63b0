//! The reader's check, tried on layers.

use super::layer::{Claim, Layer, RIGHT, Seen, Suite};
use judge::harness::{Thrown, attempt};

/// From a layer to whether its gradients are right.
pub type Candidate<'a> = &'a dyn Fn(&Layer<'_>) -> bool;

/// What the reader's check said of one layer.
pub(super) struct Tried<'a> {
    pub(super) suite: &'a Suite,
    pub(super) claim: Claim,
    /// Whether it called the gradients right.
    pub(super) believed: bool,
    /// What it asked of the layer.
    pub(super) seen: Seen,
}

impl Tried<'_> {
    pub(super) fn is_right(&self) -> bool {
        matches!(self.claim, Claim::Right(_))
    }

    /// The gradient that is wrong, and the name of the mistake.
    pub(super) fn wrong(&self) -> Option<(&'static str, &str)> {
        match self.claim {
            Claim::Right(_) => None,
            Claim::Wrong(at) => Some(self.suite.wrong(at)),
        }
    }

    pub(super) fn target(&self) -> &'static str {
        self.wrong().map_or("", |(target, _)| target)
    }
}

/// Runs the reader's check on every layer of the suite, the right ones first.
pub(super) fn try_all<'a>(
    candidate: Candidate<'_>,
    suite: &'a Suite,
) -> Result<Vec<Tried<'a>>, Thrown> {
    let right = (0..RIGHT.len()).map(Claim::Right);
    let claims = right.chain((0..suite.count()).map(Claim::Wrong));
    let tried = claims.map(|claim| {
        let layer = Layer::new(suite, claim);
        let believed = attempt(|| candidate(&layer))?;
        Ok(Tried {
            suite,
            claim,
            believed,
            seen: layer.into_seen(),
        })
    });
    tried.collect()
}

//! What is known to be wrong, or other than in PyTorch, in the versions of `Cargo.lock`.

use crate::judged::Finding;

/// A finding that is no news.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub framework: &'static str,
    pub layer: &'static str,
    pub about: &'static str,
    pub id: &'static str,
    /// Where it is spoken of.
    pub thread: &'static str,
}

impl Known {
    fn is(&self, finding: &Finding) -> bool {
        self.framework == finding.framework
            && self.layer == finding.layer
            && self.about == finding.about
            && self.id == finding.id
    }
}

/// Findings that are not known, and what was known and is not found any more.
pub fn news<'a>(found: &'a [Finding], known: &'a [Known]) -> (Vec<&'a Finding>, Vec<&'a Known>) {
    let new = found.iter().filter(|f| !known.iter().any(|k| k.is(f)));
    let gone = known.iter().filter(|k| !found.iter().any(|f| k.is(f)));
    (new.collect(), gone.collect())
}

/// Where a finding is spoken of.
pub fn thread_of(finding: &Finding, known: &[Known]) -> Option<&'static str> {
    known.iter().find(|k| k.is(finding)).map(|k| k.thread)
}

pub const KNOWN: &[Known] = &[
    Known {
        framework: "candle",
        layer: "LayerNorm, x contiguous",
        about: "dx",
        id: "missing",
        thread: "https://github.com/huggingface/candle/issues/2977",
    },
    Known {
        framework: "candle",
        layer: "LayerNorm, x contiguous",
        about: "dgamma",
        id: "missing",
        thread: "https://github.com/huggingface/candle/issues/2977",
    },
    Known {
        framework: "candle",
        layer: "LayerNorm, x contiguous",
        about: "dbeta",
        id: "missing",
        thread: "https://github.com/huggingface/candle/issues/2977",
    },
    Known {
        framework: "candle",
        layer: "LayerNorm, x contiguous",
        about: "y",
        id: "rstd-off",
        thread: "no thread known; the variance is E[x²] - E[x]² in f32, ops.rs",
    },
    Known {
        framework: "candle",
        layer: "LayerNorm, x contiguous",
        about: "y",
        id: "error",
        thread: "no thread known; the fused kernel has no f64, ops.rs",
    },
    Known {
        framework: "candle",
        layer: "RmsNorm, x contiguous",
        about: "dx",
        id: "missing",
        thread: "https://github.com/huggingface/candle/issues/2168",
    },
    Known {
        framework: "candle",
        layer: "RmsNorm, x contiguous",
        about: "dgamma",
        id: "missing",
        thread: "https://github.com/huggingface/candle/issues/2168",
    },
    Known {
        framework: "candle",
        layer: "RmsNorm, x contiguous",
        about: "y",
        id: "error",
        thread: "no thread known; the fused kernel has no f64, ops.rs",
    },
    Known {
        framework: "candle",
        layer: "max_pool2d(2)",
        about: "dx",
        id: "gradient-divided",
        thread: "no report known; so since https://github.com/huggingface/candle/pull/652",
    },
    Known {
        framework: "candle",
        layer: "softmax_last_dim",
        about: "dx",
        id: "missing",
        thread: "https://github.com/huggingface/candle/issues/3569",
    },
    Known {
        framework: "burn",
        layer: "RmsNorm",
        about: "y",
        id: "rstd-off",
        thread: "the root mean square is taken in f32 since https://github.com/tracel-ai/burn/pull/2193",
    },
    Known {
        framework: "burn",
        layer: "RmsNorm",
        about: "dx",
        id: "unknown",
        thread: "the root mean square is taken in f32 since https://github.com/tracel-ai/burn/pull/2193",
    },
    Known {
        framework: "burn",
        layer: "RmsNorm",
        about: "dgamma",
        id: "digits-of-f32",
        thread: "the root mean square is taken in f32 since https://github.com/tracel-ai/burn/pull/2193",
    },
    Known {
        framework: "burn",
        layer: "RmsNorm",
        about: "eps",
        id: "default",
        thread: "PyTorch's follows the type: https://github.com/pytorch/pytorch/issues/155527",
    },
    Known {
        framework: "burn",
        layer: "BatchNorm",
        about: "running_var",
        id: "biased",
        thread: "no thread known; batch_norm_train returns the biased variance, and its documentation says so",
    },
];

//! The weights that a network starts from.

use chart::Ink;
use nn::Init;
use serde::{Deserialize, Serialize};

/// How the weights are drawn at the start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Start {
    /// PyTorch's default, which is what people use; in deep networks with ReLU and without a
    /// norm the signal dies out under it (chapter 6).
    #[default]
    Usual,
    /// As He et al. (2015) draw them for ReLU: deviation √(2/fan_in), biases 0. It keeps the size
    /// of the signal, and so gives a network without a norm a fair start.
    He,
}

impl Start {
    /// The distribution, where it is not the layers' own.
    pub(crate) fn init(self) -> Option<Init> {
        match self {
            Start::Usual => None,
            Start::He => Some(Init::KAIMING_NORMAL),
        }
    }

    /// What a linear layer drawn so makes of the mean square of signals that a ReLU comes before:
    /// g²/2, where its weights have the variance g² over their number.
    pub(crate) fn squares_through_relu(self) -> f64 {
        let gain = self.init().unwrap_or(Init::PYTORCH).gain;
        0.5 * gain * gain
    }

    /// Whether results leave it out.
    pub(crate) fn is_usual(&self) -> bool {
        *self == Start::Usual
    }

    /// What a text calls a method that starts so.
    pub(crate) fn named(self, method: &str) -> String {
        match self {
            Start::Usual => method.to_owned(),
            Start::He => format!("{method}, He weights"),
        }
    }

    /// What a method that starts so is drawn in.
    pub(crate) fn ink(self, ink: Ink) -> Ink {
        match self {
            Start::Usual => ink,
            Start::He => ink.second(),
        }
    }
}

//! The nonlinearity between two layers, chosen by a value.

use std::fmt;

use tape::{Real, Var};

/// A function that is applied to every element.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// tanh x.
    Tanh,
    /// 1/(1 + e^(−x)).
    Sigmoid,
    /// x Φ(x), with Φ the distribution function of the normal distribution.
    Gelu,
}

impl Activation {
    /// The function of `x`.
    pub fn apply<'t, T: Real>(self, x: &Var<'t, T>) -> Var<'t, T> {
        match self {
            Activation::Relu => x.relu(),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => x.sigmoid(),
            Activation::Gelu => x.gelu(),
        }
    }
}

/// 1/(1 + e^(−x)) of a number.
#[inline(always)]
pub(crate) fn sigmoid<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Activation::Relu => "relu",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::Gelu => "gelu",
        })
    }
}

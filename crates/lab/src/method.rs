//! The methods that are compared: what they are called, and how they are drawn.

use nn::NormKind;

use crate::chart::Ink;

/// No norm, Batch Norm and Layer Norm: what most claims are about.
pub(crate) const METHODS: [NormKind; 3] = [NormKind::None, NormKind::Batch, NormKind::Layer];

/// What a text calls the method.
pub(crate) fn name(method: NormKind) -> &'static str {
    match method {
        NormKind::None => "no norm",
        NormKind::Batch => "Batch Norm",
        NormKind::Layer => "Layer Norm",
        NormKind::Rms => "RMS Norm",
        NormKind::Group(_) => "Group Norm",
    }
}

/// What the method is drawn in.
pub(crate) fn ink(method: NormKind) -> Ink {
    match method {
        NormKind::None => Ink::None,
        NormKind::Batch => Ink::Batch,
        NormKind::Layer => Ink::Layer,
        NormKind::Rms => Ink::Rms,
        NormKind::Group(_) => Ink::Group,
    }
}

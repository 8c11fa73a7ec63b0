//! Where the book explains each mistake.

use crate::checkers::ALL;
use std::collections::BTreeSet;

/// The label of the section on the mistake `id` in `target`, where `backward` tells the
/// chapter on the gradient from the chapter on the forward pass.
#[must_use]
pub fn section(target: &str, id: &str, backward: bool) -> &'static str {
    let has = |part: &str| id.contains(part);
    match target {
        "running_mean" => return "sec:momentum",
        "running_var" if has("biased") => return "sec:unbiased",
        "running_var" => return "sec:momentum",
        _ => {}
    }
    if has("eps") {
        "sec:eps"
    } else if has("axes") || has("layout") || has("summed-over") {
        "sec:bn-layouts"
    } else if !backward {
        match id {
            _ if has("cancellation") => "sec:two-pass",
            _ if has("bessel") => "sec:unbiased",
            _ if has("gamma") || has("beta") => "sec:identity",
            _ => "sec:bn-stages",
        }
    } else if matches!(target, "dgamma" | "dbeta") {
        "sec:staged"
    } else if has("variance-path") || has("mean-path") || has("direct-path") {
        "sec:three-terms"
    } else {
        "sec:signatures"
    }
}

/// The same for Layer Norm.
#[must_use]
pub fn layer_section(target: &str, id: &str) -> &'static str {
    let has = |part: &str| id.contains(part);
    if has("cancellation") {
        "sec:two-pass"
    } else if has("eps-") {
        "sec:eps"
    } else if matches!(target, "dgamma" | "dbeta") {
        "sec:ln-parameters"
    } else if target == "dx" && (has("parameter-sums") || has("gamma")) {
        "sec:ln-closed-form"
    } else if has("axes") || has("layout") || has("summed-over") || has("by-row") {
        "sec:ln-layouts"
    } else if target == "y" && (has("gamma") || has("beta") || has("shift")) {
        "sec:ln-identity"
    } else if target == "dx" && (has("-path-") || has("whole")) {
        "sec:ln-closed-form"
    } else if target.starts_with('d') {
        "sec:ln-staged"
    } else {
        "sec:ln-stages"
    }
}

/// The same for RMS Norm.
#[must_use]
pub fn rms_section(target: &str, id: &str) -> &'static str {
    match layer_section(target, id) {
        eps_or_sum @ ("sec:eps" | "sec:ln-parameters") => eps_or_sum,
        _ => "sec:rms-norm",
    }
}

/// Every label that a verdict may refer to; the book must have them all.
#[must_use]
pub fn labels() -> BTreeSet<&'static str> {
    let of_checkers = ALL
        .iter()
        .flat_map(|(name, checker)| checker().sections(name));
    of_checkers.chain(SAID).collect()
}

/// The labels of what is said by attribution and on predictions.
const SAID: [&str; 60] = [
    "sec:adjoint",
    "sec:attention",
    "sec:attention-backward",
    "sec:attention-scale",
    "sec:bn-layouts",
    "sec:bn-stages",
    "sec:claims-rule",
    "sec:conv-backward",
    "sec:conv-bias",
    "sec:conv-block",
    "sec:conv-scale",
    "sec:conv-statistics",
    "sec:cost-bytes",
    "sec:cost-frozen",
    "sec:cross-entropy",
    "sec:cross-entropy-backward",
    "sec:elementwise",
    "sec:eps",
    "sec:family-axes",
    "sec:freezing",
    "sec:group-norm",
    "sec:identity",
    "sec:im2col",
    "sec:lengths",
    "sec:ln-bit",
    "sec:ln-cell",
    "sec:ln-closed-form",
    "sec:ln-identity",
    "sec:ln-invariance",
    "sec:ln-layouts",
    "sec:ln-parameters",
    "sec:ln-place",
    "sec:ln-staged",
    "sec:ln-stages",
    "sec:lstm",
    "sec:masked",
    "sec:momentum",
    "sec:one-reading",
    "sec:product-backward",
    "sec:projection",
    "sec:reductions",
    "sec:rms-norm",
    "sec:running-stats",
    "sec:saved",
    "sec:scalar-ops",
    "sec:secant",
    "sec:signal-size",
    "sec:signatures",
    "sec:stable",
    "sec:staged",
    "sec:step-norm",
    "sec:sweep",
    "sec:synchronized",
    "sec:synchronized-backward",
    "sec:tape-sweep",
    "sec:three-terms",
    "sec:truncation",
    "sec:two-pass",
    "sec:unbiased",
    "sec:weak-checks",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_is_in_the_list() {
        for target in [
            "y",
            "dx",
            "dgamma",
            "dbeta",
            "mean",
            "running_mean",
            "running_var",
        ] {
            for id in [
                "eps-left-out",
                "axes-per-example",
                "summed-over-rows",
                "cancellation",
                "bessel-statistics",
                "gamma-forgotten",
                "biased",
                "variance-path-missing",
                "whole-sign",
                "parameter-sums-for-means",
                "unknown",
            ] {
                for backward in [false, true] {
                    let label = section(target, id, backward);
                    assert!(labels().contains(label), "{label}");
                }
                for label in [layer_section(target, id), rms_section(target, id)] {
                    assert!(labels().contains(label), "{label}");
                }
            }
        }
    }
}

//! Where the book explains what a mistake touches.

use super::{Kind, Target};

// ANCHOR: sections
/// The anchor of the section to read again.
pub(super) fn of(kind: Kind, target: Target, id: &str) -> Option<&'static str> {
    Some(match kind {
        Kind::Batch => of_batch_norm(target, id),
        Kind::Layer | Kind::Rms => of_rows(kind, target, id),
    })
}

fn of_batch_norm(target: Target, id: &str) -> &'static str {
    let about = |what: &str| id.contains(what);
    match target {
        _ if about("eps-") => "sec:eps",
        _ if about("axes") || about("layout") || about("summed-over") => "sec:bn-layouts",
        _ if about("bessel-statistics") => "sec:unbiased",
        Target::Y if about("gamma") || about("beta") || about("shift") => "sec:identity",
        Target::Y => "sec:bn-stages",
        Target::Dx if about("-path-") => "sec:three-terms",
        Target::Dx if about("whole") => "sec:closed-form",
        Target::Dx | Target::Dgamma | Target::Dbeta => "sec:staged",
    }
}

/// Layer Norm and RMS Norm, whose groups are rows.
fn of_rows(kind: Kind, target: Target, id: &str) -> &'static str {
    let about = |what: &str| id.contains(what);
    match target {
        _ if about("eps-") => "sec:eps",
        Target::Dgamma | Target::Dbeta => "sec:ln-parameters",
        _ if kind == Kind::Rms => "sec:rms-norm",
        Target::Dx if about("parameter-sums") || about("gamma") => "sec:ln-closed-form",
        _ if about("axes") || about("layout") => "sec:ln-layouts",
        Target::Y if about("gamma") || about("beta") || about("shift") => "sec:ln-identity",
        Target::Y => "sec:ln-stages",
        Target::Dx if about("-path-") || about("whole") => "sec:ln-closed-form",
        Target::Dx => "sec:ln-staged",
    }
}

/// The same for running statistics.
pub(super) fn of_running(id: &str) -> &'static str {
    if id == "biased" {
        "sec:unbiased"
    } else {
        "sec:momentum"
    }
}
// ANCHOR_END: sections

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_leads_to_the_section_that_explains_it() {
        use Kind::{Batch, Layer, Rms};
        use Target::{Dbeta, Dgamma, Dx, Y};
        for (kind, target, id, section) in [
            (Batch, Dx, "eps-left-out", "sec:eps"),
            (Batch, Dx, "axes-exchanged", "sec:bn-layouts"),
            (Batch, Dx, "layout-read-wrong", "sec:bn-layouts"),
            (Batch, Dgamma, "summed-over-all", "sec:bn-layouts"),
            (Batch, Dx, "bessel-statistics", "sec:unbiased"),
            (Batch, Y, "gamma-forgotten", "sec:identity"),
            (Batch, Y, "beta-forgotten", "sec:identity"),
            (Batch, Y, "shift-sign", "sec:identity"),
            (Batch, Y, "mean-missing", "sec:bn-stages"),
            (Batch, Dx, "variance-path-missing", "sec:three-terms"),
            (Batch, Dx, "whole-sign", "sec:closed-form"),
            (Batch, Dx, "rstd-missing", "sec:staged"),
            (Batch, Dgamma, "gamma-forgotten", "sec:staged"),
            (Batch, Dbeta, "averaged", "sec:staged"),
            (Layer, Y, "eps-left-out", "sec:eps"),
            (Layer, Dgamma, "averaged", "sec:ln-parameters"),
            (Rms, Dbeta, "averaged", "sec:ln-parameters"),
            (Rms, Dx, "variance-path-missing", "sec:rms-norm"),
            (Layer, Dx, "parameter-sums", "sec:ln-closed-form"),
            (Layer, Dx, "gamma-outside-mean", "sec:ln-closed-form"),
            (Layer, Dx, "axes-exchanged", "sec:ln-layouts"),
            (Layer, Y, "layout-read-wrong", "sec:ln-layouts"),
            (Layer, Y, "gamma-forgotten", "sec:ln-identity"),
            (Layer, Y, "beta-forgotten", "sec:ln-identity"),
            (Layer, Y, "shift-sign", "sec:ln-identity"),
            (Layer, Y, "mean-missing", "sec:ln-stages"),
            (Layer, Dx, "mean-path-missing", "sec:ln-closed-form"),
            (Layer, Dx, "whole-sign", "sec:ln-closed-form"),
            (Layer, Dx, "rstd-missing", "sec:ln-staged"),
        ] {
            assert_eq!(
                of(kind, target, id),
                Some(section),
                "{kind:?} {target:?} {id}"
            );
        }
        assert_eq!(of_running("biased"), "sec:unbiased");
        assert_eq!(of_running("momentum-exchanged"), "sec:momentum");
    }
}

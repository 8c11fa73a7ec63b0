//! Where the book explains what a mistake touches.

use super::{Kind, Target};

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

//! Where the book explains what a mistake touches.

use super::Target;

/// The anchor of the section to read again.
pub(super) fn of(target: Target, id: &str) -> Option<&'static str> {
    let about = |what: &str| id.contains(what);
    Some(match target {
        _ if about("eps-") => "sec:eps",
        _ if about("axes") || about("layout") || about("summed-over") => "sec:bn-layouts",
        _ if about("bessel-statistics") => "sec:unbiased",
        Target::Y if about("gamma") || about("beta") || about("shift") => "sec:identity",
        Target::Y => "sec:bn-stages",
        Target::Dx if about("-path-") => "sec:three-terms",
        Target::Dx if about("whole") => "sec:closed-form",
        Target::Dx | Target::Dgamma | Target::Dbeta => "sec:staged",
    })
}

/// The same for running statistics.
pub(super) fn of_running(id: &str) -> &'static str {
    if id == "biased" {
        "sec:unbiased"
    } else {
        "sec:momentum"
    }
}

//! Where the book explains what a mistake touches.

use super::layout::Kind;
use super::probe::Target;

/// A slug in its parts, such as `mean-path-and-variance-path`, `axes`, `per-feature`.
struct Slug<'a> {
    /// The paths it is about; none when it is not about some paths only.
    paths: Vec<&'a str>,
    /// The weight of all paths together.
    whole: bool,
    /// The mistake.
    what: &'a str,
}

/// The paths of dx and of y.
const PATHS: [&str; 5] = [
    "direct-path",
    "mean-path",
    "variance-path",
    "scaled",
    "shift",
];

/// Mistakes that a grouping follows: over what it was.
const OVER: [&str; 4] = ["statistics-axes", "axes", "layout", "summed-over"];

/// `rest` after the word or words `first`, and the hyphen behind them.
fn after<'a>(rest: &'a str, first: &str) -> Option<&'a str> {
    rest.strip_prefix(first)?.strip_prefix('-')
}

impl<'a> Slug<'a> {
    fn of(id: &'a str) -> Self {
        let (mut paths, mut rest) = (Vec::new(), id);
        while let Some((path, behind)) = PATHS.iter().find_map(|p| Some((*p, after(rest, p)?))) {
            paths.push(path);
            rest = after(behind, "and").unwrap_or(behind);
        }
        let (whole, rest) = after(rest, "whole").map_or((false, rest), |rest| (true, rest));
        let over = OVER.into_iter().find(|over| after(rest, over).is_some());
        let what = over.unwrap_or(rest);
        Self { paths, whole, what }
    }

    fn is(&self, any: &[&str]) -> bool {
        any.contains(&self.what)
    }

    fn of_gamma_or_beta(&self) -> bool {
        self.paths.contains(&"shift")
            || self.is(&["beta-scaled", "gamma-beta-swapped"])
            || self.of_gamma()
    }

    fn of_gamma(&self) -> bool {
        self.is(&[
            "gamma-forgotten",
            "gamma-squared",
            "gamma-divided",
            "gamma-outside-mean",
            "gamma-again-in-front",
        ])
    }
}

/// Whether the mistake with this slug is that paths are missing: the simplest of all that look like
/// it, which make these paths too small to be seen.
pub fn is_missing_path(id: &str) -> bool {
    let slug = Slug::of(id);
    !slug.paths.is_empty() && slug.is(&["missing"])
}

/// The anchor of the section to read again.
pub(super) fn of(kind: Kind, target: Target, id: &str) -> &'static str {
    let slug = Slug::of(id);
    if slug.is(&["eps-left-out", "eps-outside-root"]) {
        return "sec:eps";
    }
    match kind {
        Kind::Batch => of_batch_norm(target, &slug),
        Kind::Layer | Kind::Rms => of_rows(kind, target, &slug),
        Kind::Group => "sec:group-norm",
    }
}

fn of_batch_norm(target: Target, slug: &Slug<'_>) -> &'static str {
    match target {
        _ if slug.is(&OVER) => "sec:bn-layouts",
        _ if slug.is(&["bessel-statistics"]) => "sec:unbiased",
        Target::Y if slug.of_gamma_or_beta() => "sec:identity",
        Target::Y => "sec:bn-stages",
        Target::Dx if !slug.paths.is_empty() => "sec:three-terms",
        Target::Dx if slug.whole => "sec:closed-form",
        Target::Dx | Target::Dgamma | Target::Dbeta => "sec:staged",
    }
}

/// Layer Norm and RMS Norm, whose groups are rows.
fn of_rows(kind: Kind, target: Target, slug: &Slug<'_>) -> &'static str {
    match target {
        Target::Dgamma | Target::Dbeta => "sec:ln-parameters",
        _ if kind == Kind::Rms => "sec:rms-norm",
        Target::Dx if slug.of_gamma() || slug.is(&["parameter-sums-for-means"]) => {
            "sec:ln-closed-form"
        }
        _ if slug.is(&OVER) => "sec:ln-layouts",
        Target::Y if slug.of_gamma_or_beta() => "sec:ln-identity",
        Target::Y => "sec:ln-stages",
        Target::Dx if slug.whole || !slug.paths.is_empty() => "sec:ln-closed-form",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_leads_to_the_section_that_explains_it() {
        use Kind::{Batch, Layer, Rms};
        use Target::{Dbeta, Dgamma, Dx, Y};
        for (kind, target, id, section) in [
            (Batch, Dx, "eps-left-out", "sec:eps"),
            (Batch, Dx, "axes-per-example", "sec:bn-layouts"),
            (Batch, Dx, "layout-channels-last", "sec:bn-layouts"),
            (Batch, Dgamma, "summed-over-everything", "sec:bn-layouts"),
            (Batch, Dx, "bessel-statistics", "sec:unbiased"),
            (Batch, Y, "gamma-forgotten", "sec:identity"),
            (Batch, Y, "beta-scaled", "sec:identity"),
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
            (Layer, Dx, "parameter-sums-for-means", "sec:ln-closed-form"),
            (Layer, Dx, "gamma-outside-mean", "sec:ln-closed-form"),
            (Layer, Dx, "axes-per-feature", "sec:ln-layouts"),
            (Layer, Y, "layout-channels-last", "sec:ln-layouts"),
            (Layer, Y, "gamma-forgotten", "sec:ln-identity"),
            (Layer, Y, "beta-scaled", "sec:ln-identity"),
            (Layer, Y, "shift-sign", "sec:ln-identity"),
            (Layer, Y, "mean-missing", "sec:ln-stages"),
            (Layer, Dx, "mean-path-missing", "sec:ln-closed-form"),
            (Layer, Dx, "whole-sign", "sec:ln-closed-form"),
            (Layer, Dx, "rstd-missing", "sec:ln-staged"),
            (Layer, Dx, "mean-path-gamma-forgotten", "sec:ln-closed-form"),
            (
                Layer,
                Dx,
                "mean-path-and-variance-path-axes-per-feature",
                "sec:ln-layouts",
            ),
            (
                Batch,
                Dx,
                "mean-path-and-variance-path-axes-per-example",
                "sec:bn-layouts",
            ),
            (
                Batch,
                Dx,
                "variance-path-x-hat-missing-inside",
                "sec:three-terms",
            ),
            (Batch, Dx, "statistics-axes-per-example", "sec:bn-layouts"),
            // A name that another begins or ends with is another name.
            (Batch, Y, "eps-left", "sec:bn-stages"),
            (Batch, Y, "no-gamma-forgotten", "sec:bn-stages"),
            (Batch, Dx, "wholesale", "sec:staged"),
            (Batch, Dx, "sigma-path-missing", "sec:staged"),
            (Layer, Dx, "taxes-per-feature", "sec:ln-staged"),
        ] {
            assert_eq!(of(kind, target, id), section, "{kind:?} {target:?} {id}");
        }
        assert_eq!(of_running("biased"), "sec:unbiased");
        assert_eq!(of_running("momentum-exchanged"), "sec:momentum");
    }
}

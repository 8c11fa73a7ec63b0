//! Changes to a recipe, each of which reproduces a mistake.

use super::layout::Kind;
use super::probe::Probe;
use super::recipe::{Eps, Recipe};
use crate::attribution::{Finding, Mistake};

/// A known mistake, as a change to a recipe.
pub(super) struct Change {
    pub mistake: Mistake,
    pub apply: Box<dyn Fn(&mut Recipe)>,
    /// Two changes to the same part of a recipe cannot stand together.
    pub part: &'static str,
    /// Whether it is tried together with a second mistake.
    pub pairs: bool,
}

/// A list of changes in preparation.
#[derive(Default)]
pub(super) struct Changes(pub Vec<Change>);

impl Changes {
    /// Adds a mistake that changes the paths of these numbers.
    pub fn add(
        &mut self,
        part: &'static str,
        paths: &[usize],
        finding: Finding,
        apply: impl Fn(&mut Recipe) + 'static,
    ) {
        let paths = paths.to_vec();
        let mistake = Mistake { finding, paths };
        let apply = Box::new(apply);
        self.0.push(Change {
            mistake,
            apply,
            part,
            pairs: true,
        });
    }

    /// The change added last is rare: it is not tried together with a second mistake.
    pub fn rare(&mut self) {
        if let Some(last) = self.0.last_mut() {
            last.pairs = false;
        }
    }

    /// Adds the mistakes in the statistics, which change the paths of these numbers.
    pub fn add_statistics(&mut self, probe: &Probe, paths: &[usize]) {
        let mut add = |id: &str, sentence: &str, apply: fn(&mut Recipe)| {
            self.add("statistics", paths, Finding::new(id, sentence), apply);
        };
        add(
            "eps-left-out",
            "eps is left out: rstd must be 1/sqrt(var + eps)",
            |r| {
                r.eps = Eps::LeftOut;
            },
        );
        add(
            "eps-outside-root",
            "eps is added to the standard deviation: it must stand under the root, beside \
             the variance",
            |r| r.eps = Eps::OutsideRoot,
        );
        add(
            "bessel-statistics",
            "the variance is divided by M-1: it must be divided by M, the number of values",
            |r| r.bessel = true,
        );
        if probe.kind == Kind::Rms {
            add(
                "mean-subtracted",
                "the mean is subtracted: RMS Norm must divide x itself by its root mean square",
                |r| r.flip_centre = true,
            );
        } else {
            add(
                "mean-not-subtracted",
                "the mean is not subtracted: x_hat must be (x - mu) * rstd, and the variance \
                 that of x - mu",
                |r| r.flip_centre = true,
            );
        }
        for (k, other) in probe.others.iter().enumerate() {
            let number = k + 1;
            let over = |what: &str| format!("{what} taken over {}", other.over);
            let finding =
                |id: &str, what: &str| Finding::new(format!("{id}-{}", other.id), over(what));
            let whole = finding("axes", "mean and variance are");
            self.add("statistics", paths, whole, move |r| {
                (r.statistics, r.backward) = (number, [number, number]);
            });
        }
    }

    /// Adds channels looked for in the wrong places, with their gamma and beta.
    pub fn add_layout(&mut self, probe: &Probe, paths: &[usize]) {
        for (k, other) in probe.others.iter().enumerate() {
            let number = k + 1;
            if !["channels-last", "channels-first"].contains(&other.id) {
                continue;
            }
            let what = format!(
                "mean, variance, gamma and beta are taken over {}",
                other.over
            );
            let finding = Finding::new(format!("layout-{}", other.id), what);
            self.add("statistics", paths, finding, move |r| {
                (r.statistics, r.backward) = (number, [number, number]);
                r.gamma_by = number;
            });
        }
    }

    /// Adds the variance that stands for the deviation, which changes these paths.
    pub fn add_root(&mut self, paths: &[usize]) {
        let what = "the square root is missing: the variance stands where the standard \
                    deviation belongs";
        self.add(
            "statistics",
            paths,
            Finding::new("root-missing", what),
            |r| {
                r.no_root = true;
            },
        );
    }
}

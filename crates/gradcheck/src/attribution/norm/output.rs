//! The catalogue for the output y.

use super::catalogue::Catalogue;
use super::change::Changes;
use super::factors;
use super::layout::Kind;
use super::probe::Probe;
use super::recipe::{DIRECT, Recipe, Shared, XHat};
use crate::attribution::{Finding, Path, Question};

const SCALED: usize = 0;
const SHIFT: usize = 1;

/// The mistakes in y.
pub(super) fn catalogue(probe: &Probe, precision: f64) -> Catalogue<'_> {
    let path = |id: &str, name: &str| Path {
        id: id.into(),
        name: name.into(),
    };
    let mut paths = vec![
        path("scaled", "gamma * x_hat"),
        path("shift", "the shift by beta"),
    ];
    // RMS Norm has no beta.
    paths.truncate(if probe.kind == Kind::Rms { 1 } else { 2 });
    let question = Question {
        target: "y".into(),
        paths,
        factors: factors::common(),
        precision,
    };
    Catalogue {
        question,
        changes: changes(probe),
        shared: Shared::new(probe),
        terms: Box::new(|recipe, shared| {
            let terms = recipe.y(shared);
            Box::new(move |k| {
                let [scaled, shift] = terms(k);
                [scaled, shift, 0.0]
            })
        }),
        length: (probe.x.len(), "one for each element of x".into()),
    }
}

fn changes(probe: &Probe) -> Changes {
    let mut changes = Changes::default();
    changes.add_statistics(probe, &[SCALED]);
    changes.add_root(&[SCALED]);
    changes.add_layout(probe, &[SCALED]);
    let mut add = |part, id: &str, what: &str, apply: fn(&mut Recipe)| {
        changes.add(part, &[SCALED], Finding::new(id, what), apply);
    };
    add("gamma", "gamma-forgotten", "gamma is forgotten", |r| {
        r.gamma[DIRECT] = 0
    });
    add(
        "gamma",
        "gamma-squared",
        "gamma is multiplied in twice",
        |r| r.gamma[DIRECT] = 2,
    );
    add(
        "gamma",
        "gamma-divided",
        "it is divided by gamma where it must be multiplied",
        |r| {
            r.gamma[DIRECT] = -1;
        },
    );
    add(
        "rstd",
        "rstd-missing",
        "rstd is missing: x - mu is not divided by sigma",
        |r| {
            r.rstd[DIRECT] = -1;
        },
    );
    add(
        "rstd",
        "rstd-inverted",
        "it is multiplied by sigma, not divided",
        |r| {
            r.rstd[DIRECT] = -2;
        },
    );
    if probe.kind != Kind::Rms {
        add(
            "x_hat",
            "x-hat-uncentred",
            "the mean is not subtracted from x, though the variance is right",
            |r| r.x_hat[0] = XHat::Uncentred,
        );
        add(
            "x_hat",
            "mean-added",
            "the mean is added to x, not subtracted",
            |r| {
                r.x_hat[0] = XHat::MeanAdded;
            },
        );
        let both = [SCALED, SHIFT];
        let finding = Finding::new("gamma-beta-swapped", "gamma and beta have changed places");
        changes.add("gamma", &both, finding, |r| r.swapped = true);
        let what = "beta is multiplied by gamma: y must be gamma * x_hat + beta";
        let finding = Finding::new("beta-scaled", what);
        changes.add("beta", &[SHIFT], finding, |r| r.beta_scaled = true);
    }
    changes
}

//! The catalogue for dgamma and dbeta.

use super::catalogue::Catalogue;
use super::change::Changes;
use super::factors;
use super::layout::Kind;
use super::probe::Probe;
use super::recipe::{DIRECT, Recipe, Shared, XHat};
use crate::attribution::{Finding, Path, Question};

/// The mistakes in dgamma.
pub(super) fn dgamma(probe: &Probe, precision: f64) -> Catalogue<'_> {
    let mut changes = shared(probe);
    changes.add_statistics(probe, &[0]);
    let what = "there is a factor rstd too many, as when the square root is left out of it";
    changes.add("statistics", &[0], Finding::new("rstd-extra", what), |r| {
        r.no_root = true;
    });
    let mut add = |part, id: &str, what: &str, apply: fn(&mut Recipe)| {
        changes.add(part, &[0], Finding::new(id, what), apply);
    };
    add(
        "x_hat",
        "dgamma-is-dbeta",
        "x_hat is left out: this is dbeta",
        |r| {
            r.x_hat[0] = XHat::One;
        },
    );
    add(
        "x_hat",
        "x-for-x-hat",
        "dy is multiplied by x where x_hat belongs",
        |r| {
            r.x_hat[0] = XHat::X;
        },
    );
    // In RMS Norm, y is gamma * x_hat and x is x_hat without its rstd.
    if probe.kind != Kind::Rms {
        add(
            "x_hat",
            "y-for-x-hat",
            "dy is multiplied by y where x_hat belongs",
            |r| {
                r.x_hat[0] = XHat::Y;
            },
        );
        add(
            "x_hat",
            "uncentred-for-x-hat",
            "dy is multiplied by x * rstd (the mean not subtracted) where x_hat belongs",
            |r| r.x_hat[0] = XHat::Uncentred,
        );
        add(
            "rstd",
            "rstd-missing",
            "dy is multiplied by x - mu, a factor rstd is missing",
            |r| {
                r.rstd[DIRECT] = -1;
            },
        );
    }
    catalogue(probe, "dgamma", XHat::Right, changes, precision)
}

/// The mistakes in dbeta.
pub(super) fn dbeta(probe: &Probe, precision: f64) -> Catalogue<'_> {
    let mut changes = shared(probe);
    let mut add = |part, id: &str, what: &str, apply: fn(&mut Recipe)| {
        changes.add(part, &[0], Finding::new(id, what), apply);
    };
    add(
        "x_hat",
        "dbeta-is-dgamma",
        "dy is multiplied by x_hat: this is dgamma",
        |r| {
            // Right means "what the target asks for", and dbeta asks for 1.
            r.x_hat[0] = XHat::Normalized;
        },
    );
    add(
        "x_hat",
        "x-multiplied",
        "dy is multiplied by x: beta is only added, so dy must stand alone",
        |r| {
            r.x_hat[0] = XHat::X;
        },
    );
    add(
        "rstd",
        "rstd-multiplied",
        "dy is multiplied by rstd: beta is added after it, so dy must stand alone",
        |r| {
            r.rstd[DIRECT] = 1;
        },
    );
    catalogue(probe, "dbeta", XHat::One, changes, precision)
}

/// Mistakes that dgamma and dbeta share.
fn shared(probe: &Probe) -> Changes {
    let mut changes = Changes::default();
    let mut add = |part, id: &str, what: &str, apply: fn(&mut Recipe)| {
        changes.add(part, &[0], Finding::new(id, what), apply);
    };
    add(
        "gamma",
        "gamma-multiplied",
        "it is multiplied by gamma, which does not belong here",
        |r| {
            r.gamma[DIRECT] = 2;
        },
    );
    add(
        "dy",
        "dy-ignored",
        "dy is ignored: it is taken to be all ones",
        |r| r.dy_ones = true,
    );
    let others = probe
        .others
        .iter()
        .map(|o| (o.id, o.over.as_str(), &o.groups));
    let rows = match probe.kind {
        Kind::Group => ("per-group", "each group, over its channels", &probe.groups),
        _ => ("per-row", "each row, over its features", &probe.groups),
    };
    for (number, (id, over, groups)) in std::iter::once(rows).chain(others).enumerate() {
        // Sums over other elements can only be mistaken when there are equally many, or
        // one, which broadcasts.
        let fits = groups.count == probe.gamma.len() || groups.count == 1;
        if fits && *groups != probe.params {
            let what = format!("the sum is taken over {over}");
            let finding = Finding::new(format!("summed-over-{id}"), what);
            changes.add("sum", &[0], finding, move |r| r.summed = Some(number));
        }
    }
    changes
}

fn catalogue<'a>(
    probe: &'a Probe,
    target: &str,
    what: XHat,
    changes: Changes,
    precision: f64,
) -> Catalogue<'a> {
    let sums = factors::of_a_sum(probe, probe.params.size());
    let question = Question {
        target: target.into(),
        paths: vec![Path {
            id: target.into(),
            name: "the sum".into(),
        }],
        factors: [factors::common(), sums].concat(),
        precision,
    };
    let unit = probe.kind.parameter();
    let why = format!(
        "one for each {unit}, summed over all {}",
        probe.params.size()
    );
    Catalogue {
        question,
        changes,
        shared: Shared::new(probe),
        terms: Box::new(move |recipe, shared| {
            let sums = recipe.sums(shared, what);
            Box::new(move |p| [sums(p), 0.0, 0.0])
        }),
        length: (probe.gamma.len(), why),
    }
}

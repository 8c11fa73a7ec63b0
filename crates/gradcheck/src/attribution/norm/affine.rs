//! The catalogue for dgamma and dbeta.

use super::change::{Changes, wrong_length};
use super::factors;
use super::probe::{Kind, Probe};
use super::recipe::{DIRECT, Recipe, XHat};
use crate::attribution::{Finding, Path, Question, Verdict};

/// Names the mistake in a candidate for dgamma.
pub(super) fn explain_dgamma(probe: &Probe, candidate: &[f64], precision: f64) -> Verdict {
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
    explain(probe, "dgamma", XHat::Right, &changes, candidate, precision)
}

/// Names the mistake in a candidate for dbeta.
pub(super) fn explain_dbeta(probe: &Probe, candidate: &[f64], precision: f64) -> Verdict {
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
        "dy is multiplied by x; beta is added, so dy is alone",
        |r| {
            r.x_hat[0] = XHat::X;
        },
    );
    add(
        "rstd",
        "rstd-multiplied",
        "dy is multiplied by rstd; beta is added after it",
        |r| {
            r.rstd[DIRECT] = 1;
        },
    );
    explain(probe, "dbeta", XHat::One, &changes, candidate, precision)
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
        "it is multiplied by gamma, which does not belong",
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
    for (k, other) in probe.others.iter().enumerate() {
        // Sums over other elements can only be mistaken when there are equally many, or
        // one, which broadcasts.
        if other.groups.count != probe.gamma.len() && other.groups.count != 1 {
            continue;
        }
        let what = format!("the sum is taken over {}", other.over);
        let finding = Finding::new(format!("summed-over-{}", other.id), what);
        changes.add("sum", &[0], finding, move |r| r.summed = k + 1);
    }
    changes
}

fn explain(
    probe: &Probe,
    target: &str,
    what: XHat,
    changes: &Changes,
    candidate: &[f64],
    precision: f64,
) -> Verdict {
    let unit = if probe.kind == Kind::Batch {
        "channel"
    } else {
        "feature"
    };
    let why = if candidate.len() == probe.x.len() {
        format!("one for each {unit}: it is not summed yet")
    } else {
        format!("one for each {unit}")
    };
    if let Some(verdict) = wrong_length(target, probe.gamma.len(), candidate, &why) {
        return verdict;
    }
    let count = probe.params.size();
    let question = Question {
        target: target.into(),
        paths: vec![Path {
            id: target.into(),
            name: "the sum".into(),
        }],
        factors: [factors::common(), factors::of_a_sum(probe, count)].concat(),
        precision,
    };
    let terms = |recipe: &Recipe| {
        let each = recipe.affine(probe, what);
        let sums = match recipe.summed {
            0 => probe.params.sums(&each),
            // One sum over everything is the same for every parameter.
            k => match probe.grouping(k).sums(&each).as_slice() {
                &[one] => vec![one; probe.gamma.len()],
                several => several.to_vec(),
            },
        };
        vec![sums]
    };
    changes.explain(&question, candidate, &terms)
}

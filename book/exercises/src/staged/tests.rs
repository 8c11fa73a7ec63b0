use super::*;
use crate::batch::{BATCH, LAYER};
use crate::checkers::{bn_backward_staged as bn, ln_backward_staged as ln};
use judge::testing::{named, passes};

const NORMS: [&Norm; 2] = [BATCH, LAYER];

/// What is changed after a line, by its name, before the next is computed from it.
type Slip = fn(&str, &mut Stages, &Given);

const RIGHT: Slip = |_, _, _| ();

/// The lines in loops, as the chapters write them.
fn stages(g: &Given, slip: Slip) -> Stages {
    let [dy, x_hat, centered, rstd, gamma] =
        [&g.dy, &g.x_hat, &g.centered, &g.rstd, &g.gamma].map(Array::values);
    let (size, d, all) = (g.dy.length(1), gamma.len(), 0..dy.len());
    let mut s = Stages::over(g);
    for k in all.clone() {
        s.dbeta[k % d] += dy[k];
        s.dgamma[k % d] += dy[k] * x_hat[k];
        s.dx_hat[k] = dy[k] * gamma[k % d];
    }
    slip("dx_hat", &mut s, g);
    for k in all.clone() {
        s.drstd[k / size] += s.dx_hat[k] * centered[k];
    }
    slip("drstd", &mut s, g);
    for (r, rstd) in rstd.iter().enumerate() {
        s.dvar[r] = -0.5 * s.drstd[r] * rstd * rstd * rstd;
    }
    for k in all.clone() {
        let second = 2.0 * centered[k] * s.dvar[k / size] / size as f64;
        s.dcentered[k] = s.dx_hat[k] * rstd[k / size] + second;
        s.dmean[k / size] -= s.dcentered[k];
    }
    slip("dmean", &mut s, g);
    for k in all {
        s.dx[k] = s.dcentered[k] + s.dmean[k / size] / size as f64;
    }
    slip("dx", &mut s, g);
    s
}

/// A stage as the groups are given: a row each.
fn rows(g: &Given, stage: &[f64]) -> Array {
    Array::new(g.dy.shape(), stage)
}

/// The report of the exercise on this norm.
fn report(norm: &Norm, slip: Slip, seed: u64) -> Report {
    let made = |values: [&[f64]; 3], rstd: &[f64], gamma: &[f64]| {
        let (rows, all) = (rstd.len(), values[0].len());
        let values = values.map(|values| Array::new([rows, all / rows], values));
        let rstd = Array::new([rows, 1], rstd);
        stages(
            &Given::new(String::new(), ["N", "D"], values, rstd, gamma),
            slip,
        )
    };
    if norm.of_rows() {
        let all_rows = |dy: &[f64], saved: &ln::Saved, gamma: &[f64], out: &mut Stages| {
            *out = made([&saved.centered, &saved.x_hat, dy], &saved.rstd, gamma);
        };
        return ln::report(&all_rows, seed);
    }
    let one_channel = |dy: &[f64], saved: &bn::Saved, gamma: f64| {
        let s = made([&saved.centered, &saved.x_hat, dy], &[saved.rstd], &[gamma]);
        bn::Stages {
            dbeta: s.dbeta[0],
            dgamma: s.dgamma[0],
            dx_hat: s.dx_hat,
            drstd: s.drstd[0],
            dvar: s.dvar[0],
            dsquare: s.dvar[0] / dy.len() as f64,
            dcentered: s.dcentered,
            dmean: s.dmean[0],
            dx: s.dx,
        }
    };
    bn::report(&one_channel, seed)
}

/// `dmean` along the direct path alone differs by rounding: `centered` adds up to zero.
#[test]
fn what_is_right_passes_and_is_the_gradient_of_the_norm() {
    let shorter: Slip = |line, s, g| {
        if line == "dmean" {
            s.dmean = (-(rows(g, &s.dx_hat) * &g.rstd).sum(1)).into();
        }
    };
    for (norm, lines) in NORMS.into_iter().zip([9, 8]) {
        passes(lines, |seed| report(norm, RIGHT, seed));
        passes(lines, |seed| report(norm, shorter, seed));
        for b in norm.batches(3) {
            let columns = if norm.of_rows() { 1 } else { b.columns() };
            let dx: Vec<Vec<f64>> = Given::of(&b).iter().map(|g| g.dx().into()).collect();
            let dx = (0..b.probe.x.len()).map(|k| dx[k % columns][k / columns]);
            let verdict = explain(&b.probe, Target::Dx, &dx.collect::<Vec<_>>());
            assert!(verdict.is_correct(), "{}", verdict.sentence);
        }
    }
}

#[test]
fn what_is_typed_wrong_is_named() {
    let typed: [(&str, Slip); 9] = [
        ("dbeta: first-only", |_, s, g| {
            s.dbeta = g.dy.values()[..s.dbeta.len()].to_vec();
        }),
        ("dbeta: overwritten", |_, s, g| {
            let dy = g.dy.values();
            s.dbeta = dy[dy.len() - s.dbeta.len()..].to_vec();
        }),
        ("dgamma: gamma-too-many", |line, s, g| {
            if line == "dx_hat" {
                s.dgamma = (Array::from(&s.dgamma) * &g.gamma).into();
            }
        }),
        // Changed in place: what it was before is lost.
        ("dx_hat: rstd-too-many", |line, s, g| {
            if line == "dx" {
                s.dx_hat = (rows(g, &s.dx_hat) * &g.rstd).into();
            }
        }),
        ("dx_hat: other", |line, s, _| {
            if line == "dx" {
                s.dx_hat.clone_from(&s.dcentered);
            }
        }),
        ("dx_hat: shape", |line, s, _| {
            if line == "dx" {
                s.dx_hat.push(0.0);
            }
        }),
        ("dx_hat: halved", |line, s, _| {
            if line == "dx_hat" {
                s.dx_hat.iter_mut().for_each(|d| *d *= 0.5);
            }
        }),
        ("drstd: gamma-forgotten", |line, s, g| {
            if line == "drstd" {
                s.drstd = (&g.dy * &g.centered).sum(1).into();
            }
        }),
        // As it is written where x_hat is taken for x - mean.
        ("dmean: rstd-missing", |line, s, g| {
            if line == "dmean" {
                s.dmean = (-rows(g, &s.dx_hat).sum(1)).into();
            }
        }),
    ];
    for norm in NORMS {
        named(&typed, |slip, seed| report(norm, slip, seed));
    }
    // With more rows than features, a place for each row is out of bounds: the mistake is named
    // from the batches in which it is not.
    let by_row: Slip = |_, s, g| {
        s.dbeta.fill(0.0);
        let sums = g.dy.sum(1).values();
        (0..sums.len()).for_each(|row| s.dbeta[row] = sums[row]);
    };
    named(&[("dbeta: summed-over-the-row", by_row)], |slip, seed| {
        report(LAYER, slip, seed)
    });
}

/// What a mistake does in the end is said as well, if that is another thing.
#[test]
fn the_end_of_a_mistake_is_told() {
    let halved: Slip = |line, s, _| {
        if line == "dx_hat" {
            s.dx_hat.iter_mut().for_each(|d| *d *= 0.5);
        }
    };
    // Gamma is forgotten in one line, and all that follows is computed from it.
    let forgotten: Slip = |line, s, g| match line {
        "dx_hat" => s.dx_hat = g.dy.values(),
        "dx" => s.dx_hat = g.dx_hat().into(),
        _ => (),
    };
    // What comes back through the deviation is lost.
    let lost: Slip = |line, s, g| match line {
        "drstd" => s.drstd.fill(0.0),
        "dx" => s.drstd = (&g.dy * &g.centered).sum(1).into(),
        _ => (),
    };
    let later = [
        "dx_hat",
        "drstd",
        "dvar",
        "dsquare",
        "dcentered",
        "dmean",
        "dx",
    ];
    let through_var = ["drstd", "dvar", "dcentered", "dx"];
    let told: [(_, Slip, _, _, Option<&[&str]>); 3] = [
        (BATCH, halved, "halved", true, Some(&later)),
        (BATCH, forgotten, "gamma-forgotten", false, None),
        (LAYER, lost, "gamma-forgotten", true, Some(&through_var)),
    ];
    for (norm, slip, id, told, wrong) in told {
        let report = report(norm, slip, 0);
        assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
        let mut notes = report.notes.iter();
        let found = notes.any(|note| note.starts_with("In the end, dx: "));
        assert_eq!(found, told, "{report}");
        let lines = report.lines.iter().filter(|line| !line.right);
        let names: Vec<&str> = lines.map(|line| line.name.as_str()).collect();
        assert!(wrong.is_none_or(|wrong| names == wrong), "{report}");
    }
}

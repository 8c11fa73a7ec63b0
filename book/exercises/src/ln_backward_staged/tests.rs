use super::*;
use crate::known::assert_listed;

const SEEDS: std::ops::Range<u64> = 0..6;

#[test]
fn what_is_right_passes() {
    for seed in SEEDS {
        let report = report(&stages, seed);
        assert!(report.passed(), "{report}");
        assert_eq!(report.lines.len(), STAGES.len());
    }
}

/// `dmean` along the direct path alone differs by rounding: `centered` adds up to zero.
#[test]
fn a_shorter_way_to_the_same_dmean_passes() {
    let shorter = |dy: &[f64], saved: &Saved, gamma: &[f64]| {
        let mut out = stages(dy, saved, gamma);
        let d = gamma.len();
        for (r, rstd) in saved.rstd.iter().enumerate() {
            out.dmean[r] = -out.dx_hat[r * d..(r + 1) * d].iter().sum::<f64>() * rstd;
        }
        out
    };
    for seed in SEEDS {
        let report = report(&shorter, seed);
        assert!(report.passed(), "{report}");
    }
}

fn replace(stages: &mut Stages, name: &str, values: Vec<f64>) {
    let place = match name {
        "dbeta" => &mut stages.dbeta,
        "dgamma" => &mut stages.dgamma,
        "dx_hat" => &mut stages.dx_hat,
        "drstd" => &mut stages.drstd,
        "dvar" => &mut stages.dvar,
        "dcentered" => &mut stages.dcentered,
        "dmean" => &mut stages.dmean,
        _ => &mut stages.dx,
    };
    *place = values;
}

#[test]
fn every_mistake_is_named_at_its_line() {
    for (name, id, _, formula) in MISTAKES {
        let candidate = |dy: &[f64], saved: &Saved, gamma: &[f64]| {
            let given = Given {
                dy: dy.to_vec(),
                saved: saved.clone(),
                gamma: gamma.to_vec(),
                right: stages(dy, saved, gamma),
            };
            let mut out = given.right.clone();
            replace(&mut out, name, formula(&given));
            out
        };
        for seed in SEEDS {
            let report = report(&candidate, seed);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(
                report.mistake.as_deref(),
                Some(*id),
                "{name}, seed {seed}: {report}"
            );
            assert_listed(&report);
        }
    }
}

#[test]
fn plain_factors_are_named_in_every_line() {
    for (name, read, _) in STAGES {
        for (value, id) in [(-1.0, "sign"), (0.0, "missing"), (3.7, "unknown")] {
            let candidate = |dy: &[f64], saved: &Saved, gamma: &[f64]| {
                let mut out = stages(dy, saved, gamma);
                let values = scaled(read(&out), value);
                replace(&mut out, name, values);
                out
            };
            let report = report(&candidate, 1);
            assert_eq!(report.mistake.as_deref(), Some(id), "{name}: {report}");
            assert!(report.heatmap.is_some());
            // For all stages there is one entry, with the section of most of them.
            if id != "unknown" && section(name) == section(BLANK) {
                assert_listed(&report);
            }
        }
    }
}

/// What a mistake does in the end is said as well, here for a gamma taken out of drstd.
#[test]
fn the_end_of_a_mistake_is_told() {
    let candidate = |dy: &[f64], saved: &Saved, gamma: &[f64]| {
        let mut out = stages(dy, saved, gamma);
        let d = gamma.len();
        for k in 0..dy.len() {
            out.dcentered[k] = out.dx_hat[k] * saved.rstd[k / d];
        }
        for r in 0..saved.rstd.len() {
            let row = r * d..(r + 1) * d;
            out.dmean[r] = -out.dcentered[row.clone()].iter().sum::<f64>();
            for k in row {
                out.dx[k] = out.dcentered[k] + out.dmean[r] / d as f64;
            }
        }
        out
    };
    let report = report(&candidate, 0);
    assert_eq!(report.mistake.as_deref(), Some("variance-path-missing"));
    let wrong = report.lines.iter().filter(|l| !l.right);
    let names: Vec<&str> = wrong.map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["dcentered", "dx"]);
}

#[test]
fn a_length_that_is_wrong_is_told() {
    for (name, read, _) in STAGES {
        let candidate = |dy: &[f64], saved: &Saved, gamma: &[f64]| {
            let mut out = stages(dy, saved, gamma);
            let mut values = read(&out).clone();
            values.extend([0.0; 40]);
            replace(&mut out, name, values);
            out
        };
        let report = report(&candidate, 0);
        assert_eq!(report.mistake.as_deref(), Some("shape"), "{name}: {report}");
    }
}

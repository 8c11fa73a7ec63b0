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

/// `dmean` computed along the direct path alone differs by rounding: the other part is
/// the sum of `centered`, which is zero.
#[test]
fn a_shorter_way_to_the_same_dmean_passes() {
    let shorter = |dy: &[f64], saved: &Saved, gamma: f64| {
        let mut out = stages(dy, saved, gamma);
        out.dmean = -out.dx_hat.iter().sum::<f64>() * saved.rstd;
        let n = dy.len() as f64;
        out.dx = out.dcentered.iter().map(|d| d + out.dmean / n).collect();
        out
    };
    for seed in SEEDS {
        let report = report(&shorter, seed);
        assert!(report.passed(), "{report}");
    }
}

fn replace(stages: &mut Stages, name: &str, values: &[f64]) {
    match name {
        "dbeta" => stages.dbeta = values[0],
        "dgamma" => stages.dgamma = values[0],
        "dx_hat" => stages.dx_hat = values.to_vec(),
        "drstd" => stages.drstd = values[0],
        "dvar" => stages.dvar = values[0],
        "dsquare" => stages.dsquare = values[0],
        "dcentered" => stages.dcentered = values.to_vec(),
        "dmean" => stages.dmean = values[0],
        _ => stages.dx = values.to_vec(),
    }
}

#[test]
fn every_mistake_is_named_at_its_line() {
    for (name, id, _, formula) in MISTAKES {
        let candidate = |dy: &[f64], saved: &Saved, gamma: f64| {
            let right = stages(dy, saved, gamma);
            let mut out = right.clone();
            let channel = Channel {
                dy: dy.to_vec(),
                saved: saved.clone(),
                gamma,
                right,
            };
            replace(&mut out, name, &formula(&channel, dy.len() as f64));
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
            assert!(report.heatmap.is_some());
        }
    }
}

#[test]
fn plain_factors_are_named_in_every_line() {
    for (name, read) in STAGES {
        let factors = [
            (-1.0, "sign"),
            (0.0, "missing"),
            (2.0, "doubled"),
            (0.5, "halved"),
            (3.7, "unknown"),
        ];
        for (value, id) in factors {
            let candidate = |dy: &[f64], saved: &Saved, gamma: f64| {
                let mut out = stages(dy, saved, gamma);
                let scaled: Vec<f64> = read(&out).iter().map(|v| v * value).collect();
                replace(&mut out, name, &scaled);
                out
            };
            let report = report(&candidate, 1);
            // A stage may have a name of its own for what doubles or halves it.
            let own = MISTAKES
                .iter()
                .any(|(stage, own, ..)| *stage == name && Some(*own) == report.mistake.as_deref());
            assert!(
                own || report.mistake.as_deref() == Some(id),
                "{name}: {report}"
            );
            if id != "unknown" {
                assert_listed(&report);
            }
        }
    }
}

/// What a mistake does in the end is said as well: here the variance path is dropped, and
/// all that follows is computed from it.
#[test]
fn the_end_of_a_dropped_path_is_told() {
    let candidate = |dy: &[f64], saved: &Saved, gamma: f64| {
        let mut out = stages(dy, saved, gamma);
        out.dcentered = out.dx_hat.iter().map(|d| d * saved.rstd).collect();
        out.dmean = -out.dcentered.iter().sum::<f64>();
        out.dx = out
            .dcentered
            .iter()
            .map(|d| d + out.dmean / dy.len() as f64)
            .collect();
        out
    };
    let report = report(&candidate, 0);
    assert_eq!(
        report.mistake.as_deref(),
        Some("variance-path-missing"),
        "{report}"
    );
    let names: Vec<&str> = report
        .lines
        .iter()
        .filter(|l| !l.right)
        .map(|l| l.name.as_str())
        .collect();
    assert_eq!(names, ["dcentered", "dx"]);
}

#[test]
fn a_length_that_is_wrong_is_told_before_values_are_compared() {
    let candidate = |dy: &[f64], saved: &Saved, gamma: f64| {
        let mut out = stages(dy, saved, gamma);
        out.dx_hat.push(0.0);
        out
    };
    assert_eq!(report(&candidate, 0).mistake.as_deref(), Some("shape"));
}

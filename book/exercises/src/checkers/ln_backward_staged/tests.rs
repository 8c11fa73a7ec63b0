use super::*;
use crate::Outcome;
use gradcheck::attribution::norm::{Target, explain};

const SEEDS: std::ops::Range<u64> = 0..6;

/// The stages of the checker.
fn stages(dy: &[f64], saved: &Saved, gamma: &[f64]) -> Stages {
    let values = [&saved.centered, &saved.x_hat, dy].map(<[f64]>::to_vec);
    let rstd = saved.rstd.clone();
    Given::new(String::new(), ["N", "D"], values, rstd, gamma.to_vec()).right
}

/// The same, as a candidate.
fn right(dy: &[f64], saved: &Saved, gamma: &[f64], out: &mut Stages) {
    *out = stages(dy, saved, gamma);
}

#[test]
fn what_is_right_passes_and_is_the_gradient_of_the_norm() {
    for seed in SEEDS {
        let report = report(&right, seed);
        assert!(report.passed(), "{report}");
        assert_eq!(report.lines.len(), 8);
        for probe in probes(seed) {
            let verdict = explain(&probe, Target::Dx, &given(&probe).right.dx);
            assert!(verdict.is_correct(), "{}", verdict.sentence);
        }
    }
}

/// `dmean` along the direct path alone differs by rounding: `centered` adds up to zero.
#[test]
fn a_shorter_way_to_the_same_dmean_passes() {
    let shorter = |dy: &[f64], saved: &Saved, gamma: &[f64], out: &mut Stages| {
        right(dy, saved, gamma, out);
        let d = gamma.len();
        for (r, rstd) in saved.rstd.iter().enumerate() {
            out.dmean[r] = -out.dx_hat[r * d..(r + 1) * d].iter().sum::<f64>() * rstd;
        }
    };
    for seed in SEEDS {
        let report = report(&shorter, seed);
        assert!(report.passed(), "{report}");
    }
}

/// As it is written where x_hat is taken for x - mean.
#[test]
fn a_dmean_without_rstd_is_named() {
    let without = |dy: &[f64], saved: &Saved, gamma: &[f64], out: &mut Stages| {
        right(dy, saved, gamma, out);
        let rows = out.dx_hat.chunks_exact(gamma.len());
        out.dmean = rows.map(|row| -row.iter().sum::<f64>()).collect();
    };
    for seed in SEEDS {
        let report = report(&without, seed);
        assert_eq!(report.mistake.as_deref(), Some("rstd-missing"), "{report}");
        assert!(report.headline.contains("dmean: dx_hat is summed"));
    }
}

/// What is typed otherwise in loops over rows and features.
#[derive(Clone, Copy)]
struct Typed {
    add: fn(&mut f64, f64),
    /// The place of a parameter's gradient, from row and feature.
    place: fn(usize, usize) -> usize,
    /// What dgamma adds, from dy, x_hat and gamma.
    dgamma: fn(f64, f64, f64) -> f64,
    /// At which stage it is not written.
    open: usize,
}

const RIGHT: Typed = Typed {
    add: |sum, term| *sum += term,
    place: |_, i| i,
    dgamma: |dy, x_hat, _| dy * x_hat,
    open: usize::MAX,
};

impl Typed {
    /// Stage by stage, as the chapter writes them.
    fn run(&self, dy: &[f64], saved: &Saved, gamma: &[f64], out: &mut Stages) {
        let d = gamma.len();
        let whole = stages(dy, saved, gamma);
        let elements = || (0..dy.len()).map(|k| (k, k / d, k % d));
        let written = |stage: usize| assert!(stage < self.open, "not yet implemented");
        for (k, r, i) in elements() {
            (self.add)(&mut out.dbeta[(self.place)(r, i)], dy[k]);
        }
        written(1);
        for (k, r, i) in elements() {
            let product = (self.dgamma)(dy[k], saved.x_hat[k], gamma[i]);
            (self.add)(&mut out.dgamma[(self.place)(r, i)], product);
        }
        written(2);
        out.dx_hat.clone_from(&whole.dx_hat);
        written(3);
        for (k, r, _) in elements() {
            (self.add)(&mut out.drstd[r], out.dx_hat[k] * saved.centered[k]);
        }
        written(4);
        out.dvar.clone_from(&whole.dvar);
        out.dcentered.clone_from(&whole.dcentered);
        out.dmean.clone_from(&whole.dmean);
        out.dx.clone_from(&whole.dx);
    }
}

fn typed(typed: Typed, seed: u64) -> Report {
    report(
        &|dy, saved, gamma, out: &mut Stages| typed.run(dy, saved, gamma, out),
        seed,
    )
}

/// With more rows than features, a place for each row is out of bounds: the mistake is named
/// from the batches in which it is not.
#[test]
fn what_is_typed_wrong_is_named() {
    for (target, id, wrong) in [
        (
            "dbeta",
            "overwritten",
            Typed {
                add: |sum, term| *sum = term,
                ..RIGHT
            },
        ),
        (
            "dbeta",
            "summed-over-the-row",
            Typed {
                place: |r, _| r,
                ..RIGHT
            },
        ),
        (
            "dgamma",
            "gamma-too-many",
            Typed {
                dgamma: |dy, x_hat, gamma| gamma * dy * x_hat,
                ..RIGHT
            },
        ),
    ] {
        for seed in SEEDS {
            let report = typed(wrong, seed);
            assert_eq!(report.outcome, Outcome::Wrong, "{report}");
            assert_eq!(report.mistake.as_deref(), Some(id), "seed {seed}: {report}");
            let begin = format!("the first wrong line is {target}: ");
            assert!(report.headline.starts_with(&begin), "{report}");
        }
    }
}

#[test]
fn what_is_written_before_a_todo_counts() {
    for (open, right) in [(1, 1), (2, 2), (3, 3), (4, 4)] {
        let report = typed(Typed { open, ..RIGHT }, 0);
        assert_eq!(report.outcome, Outcome::Unwritten, "{report}");
        assert_eq!(
            report.lines.iter().filter(|l| l.right).count(),
            right,
            "{report}"
        );
        assert!(report.headline.contains("right already: dbeta"), "{report}");
    }
}

/// What a mistake does in the end is said as well, here for a gamma taken out of drstd.
#[test]
fn the_end_of_a_mistake_is_told() {
    let candidate = |dy: &[f64], saved: &Saved, gamma: &[f64], out: &mut Stages| {
        right(dy, saved, gamma, out);
        let d = gamma.len();
        out.drstd.fill(0.0);
        for (k, (dy, centered)) in dy.iter().zip(&saved.centered).enumerate() {
            out.drstd[k / d] += dy * centered;
        }
        for r in 0..saved.rstd.len() {
            let row = r * d..(r + 1) * d;
            out.dvar[r] = 0.0;
            for k in row.clone() {
                out.dcentered[k] = out.dx_hat[k] * saved.rstd[r];
            }
            out.dmean[r] = -out.dcentered[row.clone()].iter().sum::<f64>();
            for k in row {
                out.dx[k] = out.dcentered[k] + out.dmean[r] / d as f64;
            }
        }
    };
    let report = report(&candidate, 0);
    assert_eq!(report.mistake.as_deref(), Some("gamma-forgotten"));
    let told = report
        .notes
        .iter()
        .any(|note| note.starts_with("In the end, dx: "));
    assert!(told, "{report}");
    let wrong = report.lines.iter().filter(|l| !l.right);
    let names: Vec<&str> = wrong.map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["drstd", "dvar", "dcentered", "dx"]);
}

use super::*;
use crate::Outcome;
use gradcheck::attribution::norm::{Target, explain};

const SEEDS: std::ops::Range<u64> = 0..6;

/// The stages as the chapter writes them; `slip` may change what is there after each line, by
/// its name, before the next is computed from it.
fn stages(dy: &[f64], saved: &Saved, gamma: f64, slip: fn(&str, &mut Stages, &[f64])) -> Stages {
    let (n, rstd) = (dy.len() as f64, saved.rstd);
    let mut s = Stages {
        dbeta: dy.iter().sum(),
        dgamma: dy.iter().zip(&saved.x_hat).map(|(dy, h)| dy * h).sum(),
        dx_hat: dy.iter().map(|dy| dy * gamma).collect(),
        drstd: 0.0,
        dvar: 0.0,
        dsquare: 0.0,
        dcentered: Vec::new(),
        dmean: 0.0,
        dx: Vec::new(),
    };
    slip("parameters", &mut s, &[gamma, dy[0], saved.rstd]);
    for (d, c) in s.dx_hat.iter().zip(&saved.centered) {
        s.drstd += d * c;
    }
    s.dvar = -0.5 * s.drstd * rstd * rstd * rstd;
    s.dsquare = s.dvar / n;
    let pairs = s.dx_hat.iter().zip(&saved.centered);
    s.dcentered = pairs.map(|(d, c)| d * rstd + 2.0 * c * s.dsquare).collect();
    slip("dcentered", &mut s, &[rstd]);
    s.dmean = -s.dcentered.iter().sum::<f64>();
    slip("dmean", &mut s, &[rstd]);
    s.dx = s.dcentered.iter().map(|d| d + s.dmean / n).collect();
    slip("dx", &mut s, &[rstd]);
    s
}

fn checked(slip: fn(&str, &mut Stages, &[f64]), seed: u64) -> Report {
    report(&|dy, saved, gamma| stages(dy, saved, gamma, slip), seed)
}

#[test]
fn what_is_right_passes_and_is_the_gradient_of_the_norm() {
    for seed in SEEDS {
        let report = checked(|_, _, _| (), seed);
        assert!(report.passed(), "{report}");
        assert_eq!(report.lines.len(), 9);
        for probe in probes(seed) {
            let (c, channels) = (probe.shape[1], channels(&probe));
            let dx: Vec<f64> = (0..probe.dy.len())
                .map(|k| channels[k % c].right.dx[k / c])
                .collect();
            let verdict = explain(&probe, Target::Dx, &dx);
            assert!(verdict.is_correct(), "{}", verdict.sentence);
        }
    }
}

/// `dmean` computed along the direct path alone differs by rounding: the other part is
/// the sum of `centered`, which is zero.
#[test]
fn a_shorter_way_to_the_same_dmean_passes() {
    for seed in SEEDS {
        let report = checked(
            |line, s, with| {
                if line == "dmean" {
                    s.dmean = -s.dx_hat.iter().sum::<f64>() * with[0];
                }
            },
            seed,
        );
        assert!(report.passed(), "{report}");
    }
}

#[test]
fn what_is_typed_wrong_is_named() {
    type Slip = fn(&str, &mut Stages, &[f64]);
    let slips: [(&str, &str, Slip); 5] = [
        ("dgamma", "gamma-too-many", |line, s, with| {
            if line == "parameters" {
                s.dgamma *= with[0];
            }
        }),
        ("dbeta", "first-only", |line, s, with| {
            if line == "parameters" {
                s.dbeta = with[1];
            }
        }),
        // Changed in place: what it was before is lost.
        ("dx_hat", "rstd-too-many", |line, s, with| {
            if line == "dx" {
                s.dx_hat.iter_mut().for_each(|d| *d *= with[0]);
            }
        }),
        ("dx_hat", "other", |line, s, _| {
            if line == "dx" {
                s.dx_hat = s.dcentered.clone();
            }
        }),
        ("dx_hat", "shape", |line, s, _| {
            if line == "dx" {
                s.dx_hat.push(0.0);
            }
        }),
    ];
    for (target, id, slip) in slips {
        for seed in SEEDS {
            let report = checked(slip, seed);
            assert_eq!(report.outcome, Outcome::Wrong, "{report}");
            assert_eq!(report.mistake.as_deref(), Some(id), "seed {seed}: {report}");
            let begin = format!("the first wrong line is {target}: ");
            assert!(report.headline.starts_with(&begin), "{report}");
        }
    }
}

/// What a mistake does in the end is said as well, if that is another thing: here gamma is
/// forgotten in one line, and all that follows is computed from it.
#[test]
fn the_end_of_a_mistake_is_told() {
    let told = |report: &Report| {
        let mut notes = report.notes.iter();
        notes.any(|note| note.starts_with("In the end, dx: "))
    };
    let report = report(
        &|dy, saved, gamma| {
            let mut s = stages(dy, saved, 1.0, |_, _, _| ());
            s.dx_hat = dy.iter().map(|dy| dy * gamma).collect();
            s
        },
        0,
    );
    assert_eq!(
        report.mistake.as_deref(),
        Some("gamma-forgotten"),
        "{report}"
    );
    assert!(!told(&report), "{report}");
    let halved = checked(
        |line, s, _| {
            if line == "parameters" {
                s.dx_hat.iter_mut().for_each(|d| *d *= 0.5);
            }
        },
        0,
    );
    assert_eq!(halved.mistake.as_deref(), Some("halved"), "{halved}");
    assert!(told(&halved), "{halved}");
    let names: Vec<&str> = (halved.lines.iter().filter(|l| !l.right))
        .map(|l| l.name.as_str())
        .collect();
    let later = [
        "dx_hat",
        "drstd",
        "dvar",
        "dsquare",
        "dcentered",
        "dmean",
        "dx",
    ];
    assert_eq!(names, later);
}

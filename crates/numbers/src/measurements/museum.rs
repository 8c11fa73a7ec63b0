//! The exhibits of the museum of shipped bugs: which tests let them pass, and what the diagnosis
//! says of each.

use gradcheck::Check;
use gradcheck::attribution::Verdict;
use gradcheck::attribution::norm::{Given, Norm, Probe, Target, diagnose, explain_running_var};
use serde_json::{Value, json};

use crate::kit::{APPENDIX, Measurement, Output, each};
use crate::museum::{
    Close, EXHIBITS, Exhibit, OTHERS, Trial, assigned, biased_running, coarse_sum, eps_outside,
    given, mean_twice, root_twice,
};
use crate::random::{Draws, length};

pub const MEASUREMENT: Measurement = Measurement {
    name: "museum",
    chapter: APPENDIX,
    about: "shipped bugs made again: the tests that let them pass, and what the diagnosis says",
    run,
};

const SEED: u64 = 13;
const EPS: f64 = 1e-5;
/// How close an array must come that was computed in `f64`.
const PRECISION: f64 = 1e-10;
/// Runs of the test that the mean subtracted twice had.
const RUNS: u64 = 200;

/// A test that somebody writes: the shape, what the arrays are drawn from, and a tolerance.
struct Habit {
    name: &'static str,
    says: &'static str,
    /// Of a norm over rows, and of Batch Norm.
    shapes: [&'static [usize]; 2],
    gamma: fn(&mut Draws) -> f64,
    dy: fn(&mut Draws) -> f64,
    close: Close,
}

const TIDY: [&[usize]; 2] = [&[32, 16], &[32, 16]];
const TIGHT: Close = Close {
    rtol: 1e-4,
    atol: 1e-4,
};

const HABITS: [Habit; 4] = [
    Habit {
        name: "sum",
        says: "the gradient of a fresh layer's sum",
        shapes: TIDY,
        gamma: |_| 1.0,
        dy: |_| 1.0,
        close: TIGHT,
    },
    Habit {
        name: "fresh",
        says: "random upstream gradient, fresh layer",
        shapes: TIDY,
        gamma: |_| 1.0,
        dy: Draws::normal,
        close: TIGHT,
    },
    Habit {
        name: "loose",
        says: "everything random, tolerance 0.5",
        shapes: TIDY,
        gamma: |draws| draws.uniform(0.5, 2.0),
        dy: Draws::normal,
        close: Close {
            rtol: 1e-3,
            atol: 0.5,
        },
    },
    Habit {
        name: "tidy",
        says: "everything random, a tidy table",
        shapes: TIDY,
        gamma: |draws| draws.uniform(0.5, 2.0),
        dy: Draws::normal,
        close: TIGHT,
    },
];

fn is_batch(exhibit: &Exhibit) -> bool {
    exhibit.norm == Norm::Batch
}

fn right(probe: &Probe, target: Target) -> Vec<f64> {
    match target {
        Target::Y => probe.y(),
        Target::Dx => probe.dx(),
        Target::Dgamma => probe.dgamma(),
        Target::Dbeta => probe.dbeta(),
    }
}

impl Habit {
    fn trial(&self, exhibit: &Exhibit) -> Trial {
        let shape = self.shapes[usize::from(is_batch(exhibit))];
        let (n, mut draws) = (shape.iter().product::<usize>(), Draws::new(SEED));
        // Rows of a table have one gamma for each column, and so has Batch Norm.
        let columns = shape[1];
        let values = Given {
            x: draws.normals(n),
            gamma: (0..columns).map(|_| (self.gamma)(&mut draws)).collect(),
            beta: vec![0.0; columns],
            dy: (0..n).map(|_| (self.dy)(&mut draws)).collect(),
        };
        let probe = given(exhibit.norm, shape, EPS, values);
        let found = (exhibit.kernel)(&probe);
        self.close.compare(&found, &right(&probe, exhibit.target))
    }
}

/// What `probe` would write: three axes, no size a multiple of another.
fn probe(exhibit: &Exhibit) -> Probe {
    match is_batch(exhibit) {
        true => Probe::new(exhibit.norm, &[7, 4, 3], EPS, SEED),
        false => Probe::new(exhibit.norm, &[3, 5, 7], EPS, SEED),
    }
}

fn verdict(exhibit: &Exhibit) -> (Verdict, f64) {
    let probe = probe(exhibit);
    let (found, right) = ((exhibit.kernel)(&probe), right(&probe, exhibit.target));
    let apart: Vec<f64> = found.iter().zip(&right).map(|(f, r)| f - r).collect();
    let verdict = diagnose(&probe, exhibit.target, &found, PRECISION);
    (verdict, length(&apart) / length(&right))
}

/// The kernel that adds up in sixteen bits, on two of its blocks.
fn coarse() -> Verdict {
    let probe = Probe::new(Norm::Rms { normalized: 1 }, &[32, 8], EPS, SEED);
    diagnose(
        &probe,
        Target::Dgamma,
        &coarse_sum::second(&probe),
        PRECISION,
    )
}

fn word(passes: bool) -> &'static str {
    if passes { "passes" } else { "caught" }
}

fn trial(trial: Trial) -> Value {
    json!({
        "error": trial.error, "size": trial.size,
        "passes": trial.passes, "verdict": word(trial.passes),
    })
}

fn exhibit(exhibit: &Exhibit) -> Value {
    let (verdict, error) = verdict(exhibit);
    let [shipped, changed] = exhibit.trials.map(|run| trial(run()));
    let mut row = json!({
        "name": exhibit.name,
        "shipped": shipped,
        "changed": changed,
        "id": verdict.id,
        "sentence": verdict.sentence,
        // The length of the error as a share of the length of what is right.
        "error": error,
        "probe": word(verdict.is_correct()),
    });
    for habit in &HABITS {
        row[habit.name] = word(habit.trial(exhibit).passes).into();
    }
    row
}

/// The running variance, asked of the diagnosis.
fn running() -> Verdict {
    let probe = Probe::batch_norm(&[5, 4], EPS, SEED);
    let channel = |c: usize| {
        probe
            .x
            .iter()
            .skip(c)
            .step_by(4)
            .copied()
            .collect::<Vec<f64>>()
    };
    let old = [0.7, 1.0, 1.3, 1.6];
    let found: Vec<f64> = (0..4)
        .map(|c| biased_running::step(old[c], &channel(c), 0.1))
        .collect();
    explain_running_var(&probe, &old, 0.1, &found)
}

/// Max pooling, checked against finite differences.
fn pooled() -> gradcheck::Report {
    let x = Draws::new(12).normals(8);
    let forward = |x: &[f64]| {
        assigned::max_pool(x, 2)
            .into_iter()
            .map(|(_, y)| y)
            .collect()
    };
    Check::new("max pooling, windows of two")
        .input("x", &[8], x)
        .run(|v| forward(&v[0]), |v, dy| vec![assigned::dx(&v[0], dy, 2)])
}

fn run() -> Output {
    let missed = |habit: &Habit| {
        let seen = EXHIBITS.iter().filter(|e| !habit.trial(e).passes).count();
        json!({
            "name": habit.name, "says": habit.says,
            "caught": seen, "of": EXHIBITS.len(),
            "rtol": habit.close.rtol, "atol": habit.close.atol,
        })
    };
    let others = each(OTHERS, |(name, trials)| {
        let [shipped, changed] = trials.map(|run| trial(run()));
        json!({ "name": name, "shipped": shipped, "changed": changed })
    });
    let report = pooled();
    let named = |verdict: Verdict| json!({ "id": verdict.id, "sentence": verdict.sentence });
    Output::new(json!({
        "about": "Bugs that shipped, made again: what let them pass, and what the diagnosis says",
        "seed": SEED,
        "exhibits": each(&EXHIBITS, exhibit),
        "others": others,
        "habits": each(&HABITS, missed),
        "probe_caught": EXHIBITS.iter().filter(|e| !verdict(e).0.is_correct()).count(),
        // How often the whole test of the mean subtracted twice sees nothing.
        "runs": RUNS,
        "unseen": mean_twice::unseen(RUNS),
        "mirrored": trial(root_twice::mirrored()),
        "two_features": trial(eps_outside::two_features()),
        "coarse": named(coarse()),
        "running": named(running()),
        "pool_passes": report.passed(),
    }))
    .text("museum_pool", report.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every test of the museum let its exhibit pass, and sees it when one thing is changed.
    #[test]
    fn each_test_lets_its_exhibit_pass_and_the_changed_one_does_not() {
        let norms = EXHIBITS.iter().map(|e| (e.name, e.trials));
        for (name, [shipped, changed]) in norms.chain(OTHERS) {
            assert!(shipped().passes, "{name}: {:?}", shipped());
            assert!(!changed().passes, "{name}: {:?}", changed());
        }
    }

    /// What the page says of each verdict.
    #[test]
    fn each_verdict_is_the_one_that_the_page_tells() {
        let found = EXHIBITS.each_ref().map(|e| (e.name, verdict(e).0.id));
        let found = found.each_ref().map(|(name, id)| (*name, id.as_str()));
        assert_eq!(
            found,
            [
                ("mean_detached", "mean-path-missing"),
                ("mean_twice", "mean-path-doubled"),
                ("gamma_forgotten", "gamma-forgotten"),
                ("root_twice", "root-of-rstd"),
                ("eps_outside", "eps-outside-root"),
                ("rows_left_out", "partial-sum"),
                ("rows_of_a_table", "unknown"),
                ("workers", "means-off"),
                ("no_gradient", "zero"),
            ]
        );
        assert_eq!(coarse().id, "digits-of-bf16");
        assert_eq!(running().id, "biased");
        assert!(!pooled().passed());
    }
}

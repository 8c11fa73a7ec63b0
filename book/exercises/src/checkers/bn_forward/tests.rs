use super::*;
use crate::Outcome;
use crate::norm_forward::tests::right;

const SEEDS: std::ops::Range<u64> = 0..6;

pub(crate) fn update(running: &mut Running, batch: &Forward, n: usize, momentum: f64) {
    step(running, batch, momentum, n as f64 / (n as f64 - 1.0));
}

fn step(running: &mut Running, batch: &Forward, momentum: f64, factor: f64) {
    for ch in 0..batch.mean.len() {
        running.mean[ch] = (1.0 - momentum) * running.mean[ch] + momentum * batch.mean[ch];
        running.var[ch] = (1.0 - momentum) * running.var[ch] + momentum * batch.var[ch] * factor;
    }
}

#[test]
fn every_wrong_running_statistic_is_named() {
    type Slip = fn(&mut Running, &Forward, usize, f64);
    let cases: [(Slip, &str); 7] = [
        (
            |r, b, n, m| {
                let mean_twice = Forward {
                    var: b.mean.clone(),
                    ..b.clone()
                };
                update(r, &mean_twice, n, m);
            },
            "from-the-mean",
        ),
        (|r, b, _, m| step(r, b, m, 1.0), "biased"),
        (
            |r, b, n, m| step(r, b, 1.0 - m, n as f64 / (n as f64 - 1.0)),
            "momentum-swapped",
        ),
        (|_, _, _, _| {}, "unchanged"),
        (
            |r, b, n, m| step(r, b, m, (n as f64 - 1.0) / n as f64),
            "bessel-inverted",
        ),
        (
            |r, b, n, m| {
                let old = r.mean.clone();
                update(r, b, n, m);
                r.mean
                    .iter_mut()
                    .zip(old)
                    .for_each(|(new, old)| *new -= (1.0 - m) * old);
            },
            "old-missing",
        ),
        (
            |r, b, n, m| {
                update(r, b, n, m);
                r.var
                    .iter_mut()
                    .zip(&b.var)
                    .for_each(|(new, var)| *new += (1.0 - m) * var * n as f64 / (n as f64 - 1.0));
            },
            "batch-unweighted",
        ),
    ];
    for (step, id) in cases {
        for seed in SEEDS {
            let report = report(&right(Kind::Batch), &step, seed);
            assert_eq!(report.mistake.as_deref(), Some(id), "seed {seed}: {report}");
        }
    }
}

#[test]
fn a_second_function_that_is_not_written_is_said_to_be() {
    let report = report(&right(Kind::Batch), &|_, _, _, _| todo!(), 0);
    assert_eq!(report.outcome, Outcome::Unwritten);
    assert!(
        report
            .headline
            .starts_with("update_running: not written yet"),
        "{report}"
    );
    assert_eq!(
        report.notes,
        ["Right already: forward and forward far from zero."]
    );
    assert!(report.lines.iter().all(|line| line.right));
}

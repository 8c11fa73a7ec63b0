use super::*;
use crate::batch::BATCH;
use crate::norm_forward::tests::right;
use judge::testing::{named, tells};

/// The step of the solution.
pub(crate) fn update(running: &mut Running, batch: &Forward, n: usize, momentum: f64) {
    step(running, batch, momentum, UNBIASED(n as f64));
}

fn step(running: &mut Running, batch: &Forward, momentum: f64, factor: f64) {
    for ch in 0..batch.mean.len() {
        running.mean[ch] = (1.0 - momentum) * running.mean[ch] + momentum * batch.mean[ch];
        running.var[ch] = (1.0 - momentum) * running.var[ch] + momentum * batch.var[ch] * factor;
    }
}

#[test]
fn every_wrong_running_statistic_is_named() {
    type Typed = fn(&mut Running, &Forward, usize, f64);
    let typed: [(&str, Typed); 7] = [
        ("running_var: from-the-mean", |r, b, n, m| {
            let (mean, var) = (b.mean.clone(), b.mean.clone());
            let mean_twice = Forward {
                mean,
                var,
                ..b.clone()
            };
            update(r, &mean_twice, n, m);
        }),
        ("running_var: biased", |r, b, _, m| step(r, b, m, 1.0)),
        ("running_mean: momentum-swapped", |r, b, n, m| {
            update(r, b, n, 1.0 - m)
        }),
        ("running_mean: unchanged", |_, _, _, _| {}),
        ("running_var: bessel-inverted", |r, b, n, m| {
            step(r, b, m, (n as f64 - 1.0) / n as f64);
        }),
        ("running_mean: old-missing", |r, b, n, m| {
            update(r, b, n, m);
            r.mean = b.mean.iter().map(|mean| m * mean).collect();
        }),
        ("running_var: batch-unweighted", |r, b, n, m| {
            let old = r.var.clone();
            update(r, b, n, m);
            let pairs = old.iter().zip(&b.var);
            r.var = pairs
                .map(|(old, var)| (1.0 - m) * old + var * UNBIASED(n as f64))
                .collect();
        }),
    ];
    named(&typed, |typed, seed| report(&right(BATCH), &typed, seed));
}

#[test]
fn a_second_function_that_is_not_written_is_said_to_be() {
    let report = report(&right(BATCH), &|_, _, _, _| todo!(), 0);
    let already = "\nRight already: forward and forward far from zero.";
    let told = ["update_running: not written yet", already];
    tells(&report, "Unwritten", &told);
    assert!(report.lines.iter().all(|line| line.right));
}

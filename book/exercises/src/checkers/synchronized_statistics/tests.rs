use super::*;
use judge::compare::same;
use judge::testing::{named, passes, tells};

const SEEDS: std::ops::Range<u64> = 0..10;

/// Joins worker by worker, by the formula for two parts; without a look at who has rows it is 0
/// over 0 while nobody had any.
fn joined(parts: &[Part], looks: bool) -> Part {
    let mut all = parts[0].clone();
    for part in parts[1..].iter().filter(|part| !looks || part.count > 0) {
        let count = all.count + part.count;
        let share = part.count as f64 / count as f64;
        for c in 0..all.mean.len() {
            let apart = part.mean[c] - all.mean[c];
            all.mean[c] += apart * share;
            all.squares[c] += part.squares[c] + apart * apart * all.count as f64 * share;
        }
        all.count = count;
    }
    all
}

fn right_merge(parts: &[Part]) -> Part {
    joined(parts, true)
}

fn right_backward(workers: &[Worker], gamma: &[f64], rstd: &[f64]) -> Gradients {
    let channels = gamma.len();
    let mut g = Gradients {
        dx: workers.iter().map(|w| vec![0.0; w.dy.len()]).collect(),
        dgamma: vec![0.0; channels],
        dbeta: vec![0.0; channels],
    };
    let rows: usize = workers.iter().map(|w| w.dy.len() / channels).sum();
    for c in 0..channels {
        let own = |w: &Worker| -> (f64, f64) {
            let at = (c..w.dy.len()).step_by(channels);
            (
                at.clone().map(|k| w.dy[k]).sum(),
                at.map(|k| w.dy[k] * w.x_hat[k]).sum(),
            )
        };
        g.dbeta[c] = workers.iter().map(|w| own(w).0).sum();
        g.dgamma[c] = workers.iter().map(|w| own(w).1).sum();
        let m = rows as f64;
        for (w, dx) in workers.iter().zip(&mut g.dx) {
            for k in (c..w.dy.len()).step_by(channels) {
                let inner = w.dy[k] - g.dbeta[c] / m - w.x_hat[k] * g.dgamma[c] / m;
                dx[k] = gamma[c] * rstd[c] * inner;
            }
        }
    }
    g
}

#[test]
fn what_is_right_passes() {
    passes(6, |seed| report(&right_merge, &right_backward, seed));
}

/// The right values are those of the crate's Batch Norm on the rows of all workers.
#[test]
fn the_right_values_are_those_of_the_crate() {
    use batchnorm::op::batch_norm;
    use tape::{Param, Tape, Tensor};
    for p in SEEDS.flat_map(probes) {
        let x = Param::new("x", Tensor::new(p.x.shape(), p.x.values()));
        let [gamma, beta] = [("gamma", &p.gamma), ("beta", &p.beta)]
            .map(|(name, v)| Param::new(name, Tensor::new([v.len()], v.clone())));
        let dy = Tensor::new(p.dy.shape(), p.dy.values());
        let (y, moments, grads) = Tape::new().vjp_with(&dy, |t| {
            batch_norm(&t.param(&x), &t.param(&gamma), &t.param(&beta), EPS)
        });
        assert!(same(&moments.mean, &p.mean().values()));
        assert!(same(&moments.var, &(p.squares() / p.all()).values()));
        assert!(same(&y.to_vec(), &p.y().values()));
        let [dgamma, dbeta] = ["dgamma", "dbeta"].map(|target| p.adds(target).sum(0));
        for (param, right) in [(&x, p.right_dx()), (&gamma, dgamma), (&beta, dbeta)] {
            assert!(same(&grads.of(param).to_vec(), &right.values()));
        }
    }
}

/// What a reader writes in place of a line that is right.
#[test]
fn a_wrong_merge_is_named() {
    /// What is wrong in the right statistics of a channel.
    type Change = fn(&[Part], &mut Part, usize);
    let changes: &[(&str, Change)] = &[
        // The variances of the workers divided by their counts, with a worker that has none.
        ("squares: variances-averaged", |parts, all, c| {
            let var = |p: &Part| p.squares[c] / p.count as f64;
            let sum: f64 = parts.iter().map(var).sum();
            all.squares[c] = sum / parts.len() as f64 * all.count as f64;
        }),
        ("mean: empty-worker", |parts, all, c| {
            let joined = joined(parts, false);
            (all.mean[c], all.squares[c]) = (joined.mean[c], joined.squares[c]);
        }),
        // The same with a mean that is right.
        ("squares: empty-worker", |parts, all, c| {
            all.squares[c] = joined(parts, false).squares[c];
        }),
        // Right near zero: the squares of all values less that of the mean, however it is added
        // up.
        ("squares: cancellation", |parts, all, c| {
            let raw = |p: &Part| p.squares[c] + p.count as f64 * p.mean[c] * p.mean[c];
            let sum: f64 = parts.iter().rev().map(raw).sum();
            all.squares[c] = sum - all.count as f64 * all.mean[c] * all.mean[c];
        }),
        // The mean of each worker is weighed while it is still being added up.
        ("squares: around-a-mean-in-the-making", |parts, all, c| {
            let (mut mean, mut squares) = (0.0, 0.0);
            for p in parts {
                mean += p.count as f64 * p.mean[c] / all.count as f64;
                squares += p.squares[c] + p.count as f64 * (p.mean[c] - mean).powi(2);
            }
            all.squares[c] = squares;
        }),
    ];
    named(changes, |change, seed| {
        let merge = |parts: &[Part]| {
            let mut all = right_merge(parts);
            (0..all.mean.len()).for_each(|c| change(parts, &mut all, c));
            all
        };
        let report = report(&merge, &right_backward, seed);
        let right =
            |note: &String| note.starts_with("Right already") && note.ends_with("backward.");
        assert!(report.notes.iter().any(right), "{report}");
        report
    });
}

#[test]
fn a_dx_that_is_not_cut_as_the_batch_is_told() {
    let returned = |change: &dyn Fn(&mut Gradients)| {
        let backward = |workers: &[Worker], gamma: &[f64], rstd: &[f64]| {
            let mut g = right_backward(workers, gamma, rstd);
            change(&mut g);
            g
        };
        report(&right_merge, &backward, 0)
    };
    let fewer = returned(&|g| g.dx.truncate(1));
    let told = "lengths of dx has 1 value, and must have 3";
    tells(&fewer, "shape", &[told]);
    // As many values as there must be, but not where they belong.
    let moved = returned(&|g| {
        if let Some(last) = g.dx[0].pop() {
            g.dx[1].insert(0, last);
        }
    });
    let told = "lengths of dx[0] (worker 0) is 14, and must be 15";
    tells(&moved, "unknown", &[told]);
}

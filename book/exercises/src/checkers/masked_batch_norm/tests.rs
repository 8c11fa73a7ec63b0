use super::*;
use crate::predictions::made;
use judge::compare::same;
use judge::testing::{passes, tells};

fn right(batch: &Batch, dy: &[f64]) -> Stages {
    let mut s = Stages::zeros(batch);
    let channels = batch.channels;
    let rows: Vec<usize> = (0..batch.mask.len()).filter(|&r| batch.mask[r]).collect();
    let m = rows.len() as f64;
    for c in 0..channels {
        let places = || rows.iter().map(|r| r * channels + c);
        s.mean[c] = places().map(|at| batch.x[at]).sum::<f64>() / m;
        s.var[c] = places()
            .map(|at| (batch.x[at] - s.mean[c]).powi(2))
            .sum::<f64>()
            / m;
        let rstd = 1.0 / (s.var[c] + batch.eps).sqrt();
        for at in places() {
            let x_hat = (batch.x[at] - s.mean[c]) * rstd;
            s.y[at] = batch.gamma[c] * x_hat + batch.beta[c];
            s.dgamma[c] += dy[at] * x_hat;
            s.dbeta[c] += dy[at];
        }
        for at in places() {
            let x_hat = (batch.x[at] - s.mean[c]) * rstd;
            let inner = dy[at] - s.dbeta[c] / m - x_hat * s.dgamma[c] / m;
            s.dx[at] = batch.gamma[c] * rstd * inner;
        }
    }
    s
}

#[test]
fn what_is_right_passes() {
    passes(7, |seed| report(&right, seed));
}

/// The checker's own output is that of the crate's Batch Norm on the rows that count.
#[test]
fn the_forward_pass_is_the_crates_on_packed_rows() {
    use batchnorm::op::batch_norm;
    use tape::Tensor;
    for p in probes(1) {
        let packed = p.counting(&p.x());
        let x = Tensor::new(packed.shape(), packed.values());
        let [gamma, beta] =
            [&p.batch.gamma, &p.batch.beta].map(|v| Tensor::new([v.len()], v.clone()));
        let y = made([&x, &gamma, &beta], |[x, gamma, beta]| {
            batch_norm(x, gamma, beta, p.batch.eps).0
        });
        assert!(same(&y, &p.counting(&p.right_y()).values()));
    }
}

/// Right for every finite padding: each sum multiplies by the mask.
#[test]
fn padding_that_is_multiplied_by_zero_is_named() {
    let candidate = |batch: &Batch, dy: &[f64]| {
        let mut stages = right(batch, dy);
        for c in 0..batch.channels {
            let rows = batch.x.chunks_exact(batch.channels).zip(&batch.mask);
            let masked = rows.map(|(x, m)| f64::from(u8::from(*m)) * x[c]);
            let count = batch.mask.iter().filter(|m| **m).count();
            stages.mean[c] = masked.sum::<f64>() / count as f64;
        }
        stages
    };
    let gets_in = "mean: NaN in the padding gets in";
    let told = [gets_in, "NaN in the padding, mean[0]"];
    tells(&report(&candidate, 0), "padding-multiplied", &told);
}

//! A random batch, on which the exercises on a norm as a whole are tried.

use crate::engine::{Axis, Case};
use gradcheck::attribution::norm::{Kind, Probe};

/// A table of rows. Batch Norm normalizes its columns, the others normalize its rows.
pub(crate) struct Batch {
    pub(crate) probe: Probe,
    pub(crate) x_hat: Vec<f64>,
    /// One for each group: a channel, or a row.
    pub(crate) rstd: Vec<f64>,
}

/// Shapes, never square, and `eps`: `[N, C]` of Batch Norm, `[N, D]` of the others.
const CHANNELS: [(usize, usize, f64); 4] = [(6, 4, 1e-3), (5, 3, 1e-5), (7, 5, 1e-3), (4, 6, 1e-5)];
const ROWS: [(usize, usize, f64); 4] = [(4, 6, 1e-3), (6, 5, 1e-5), (5, 8, 1e-3), (7, 4, 1e-5)];

impl Batch {
    pub(crate) fn of(probe: Probe) -> Self {
        let (x_hat, all) = (probe.x_hat(), probe.rstd());
        let columns = probe.gamma.len();
        let rstd = match probe.kind {
            Kind::Batch => all[..columns].to_vec(),
            Kind::Layer | Kind::Rms => all.iter().step_by(columns).copied().collect(),
        };
        Self { probe, x_hat, rstd }
    }

    pub(crate) fn random(kind: Kind, (n, columns): (usize, usize), eps: f64, seed: u64) -> Self {
        let shape = [n, columns];
        Self::of(match kind {
            Kind::Batch => Probe::batch_norm(&shape, eps, seed),
            Kind::Layer => Probe::layer_norm(&shape, 1, eps, seed),
            Kind::Rms => Probe::rms_norm(&shape, 1, eps, seed),
        })
    }

    pub(crate) fn all(kind: Kind, seed: u64) -> Vec<Self> {
        let shapes = if kind == Kind::Batch { CHANNELS } else { ROWS };
        let numbered = shapes.into_iter().zip(seed * 100..);
        numbered
            .map(|((n, columns, eps), seed)| Self::random(kind, (n, columns), eps, seed))
            .collect()
    }

    pub(crate) fn rows(&self) -> usize {
        self.probe.shape[0]
    }

    pub(crate) fn columns(&self) -> usize {
        self.probe.shape[1]
    }
}

impl Case for Batch {
    fn title(&self) -> String {
        let [of, each] = if self.probe.kind == Kind::Batch {
            ["examples", "channels"]
        } else {
            ["rows", "features"]
        };
        format!("{} {of} of {} {each}", self.rows(), self.columns())
    }

    fn sizes(&self) -> Vec<(&'static str, usize)> {
        let [rows, columns] = elements(self.probe.kind) else {
            unreachable!("a batch has two axes")
        };
        vec![(rows.0, self.rows()), (columns.0, self.columns())]
    }
}

/// The axes of a batch.
pub(crate) fn elements(kind: Kind) -> &'static [Axis] {
    match kind {
        Kind::Batch => &[Axis("N", "example"), Axis("C", "channel")],
        Kind::Layer | Kind::Rms => &[Axis("N", "row"), Axis("D", "feature")],
    }
}

/// The axis of its parameters.
pub(crate) fn parameters(kind: Kind) -> &'static [Axis] {
    &elements(kind)[1..]
}

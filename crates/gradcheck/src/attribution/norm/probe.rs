//! An input on which every mistake of the catalogue shows.

use crate::groups::Groups;
use crate::vacuous::{Vacuous, of_gamma, of_normalization};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// What a candidate claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The output `y`.
    Y,
    /// The gradient with respect to the input.
    Dx,
    /// The gradient with respect to gamma.
    Dgamma,
    /// The gradient with respect to beta.
    Dbeta,
}

/// Which normalization.
// ANCHOR: probe
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Per channel, over the batch and all positions; gamma per channel.
    Batch,
    /// Per row, over the trailing axes; gamma per feature.
    Layer,
    /// As [`Kind::Layer`], by the root mean square, without subtracting the mean.
    Rms,
}

impl Kind {
    /// Whether the mean is subtracted.
    pub fn is_centred(self) -> bool {
        self != Self::Rms
    }
}

/// A grouping that a learner may take by mistake.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub id: &'static str,
    pub over: String,
    pub groups: Groups,
}

/// Everything that goes into a normalization and its backward.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Which normalization.
    pub kind: Kind,
    /// The shape of `x` and of `dy`.
    pub shape: Vec<usize>,
    /// The input, row-major.
    pub x: Vec<f64>,
    /// The scale, one per channel or feature.
    pub gamma: Vec<f64>,
    /// The shift, as long as gamma. Zero for RMS Norm.
    pub beta: Vec<f64>,
    /// The upstream gradient, row-major.
    pub dy: Vec<f64>,
    /// What is added to the variance.
    pub eps: f64,
    /// The elements that are normalized together.
    pub groups: Groups,
    /// The elements that share a gamma.
    pub params: Groups,
    pub(crate) others: Vec<Other>,
}
// ANCHOR_END: probe

impl Probe {
    /// For Batch Norm on `[N, C, ...]`.
    ///
    /// # Panics
    /// When a channel has two values or fewer, or there are fewer than two channels.
    #[track_caller]
    pub fn batch_norm(shape: &[usize], eps: f64, seed: u64) -> Self {
        assert!(
            shape.len() >= 2 && shape[1] >= 2,
            "gradcheck: a Batch Norm probe needs shape [N, C, ...] with C >= 2, got {shape:?}"
        );
        let axes: Vec<usize> = (0..shape.len()).filter(|&a| a != 1).collect();
        let groups = Groups::over(shape, &axes);
        let params = groups.clone();
        let mut others = Others::new(shape, &groups);
        let inner: Vec<usize> = (1..shape.len()).collect();
        let spatial: Vec<usize> = (2..shape.len()).collect();
        others.over(
            "per-example",
            "each example, over its channels and positions",
            &inner,
        );
        others.over("batch-only", "the batch alone, position by position", &[0]);
        others.over(
            "spatial-only",
            "the positions alone, example by example",
            &spatial,
        );
        others.over(
            "channels-only",
            "the channels at each position of each example",
            &[1],
        );
        let every: Vec<usize> = (0..shape.len()).collect();
        others.over("everything", "the whole array at once", &every);
        let (c, m) = (shape[1], groups.size());
        let total = c * m;
        let last = (0..total).map(|k| k % c).collect();
        others.of(
            "channels-last",
            "the wrong elements: the array read as [N, ..., C]",
            last,
            c,
        );
        let first = (0..total).map(|k| k / m).collect();
        others.of(
            "channels-first",
            "the wrong elements: the array read as [C, N, ...]",
            first,
            c,
        );
        let others = others.found;
        Self::fill(Kind::Batch, shape, eps, seed, groups, params, others)
    }

    /// For Layer Norm over the last `normalized` axes.
    ///
    /// # Panics
    /// When a row has two values or fewer, or there are fewer than two rows.
    #[track_caller]
    pub fn layer_norm(shape: &[usize], normalized: usize, eps: f64, seed: u64) -> Self {
        Self::rows(Kind::Layer, shape, normalized, eps, seed)
    }

    /// For RMS Norm over the last `normalized` axes.
    ///
    /// # Panics
    /// When a row has two values or fewer, or there are fewer than two rows.
    #[track_caller]
    pub fn rms_norm(shape: &[usize], normalized: usize, eps: f64, seed: u64) -> Self {
        Self::rows(Kind::Rms, shape, normalized, eps, seed)
    }

    #[track_caller]
    fn rows(kind: Kind, shape: &[usize], normalized: usize, eps: f64, seed: u64) -> Self {
        assert!(
            normalized >= 1 && normalized < shape.len(),
            "gradcheck: cannot normalize over the last {normalized} axes of {shape:?}; \
             at least one axis must be normalized and one must remain"
        );
        let lead = shape.len() - normalized;
        let features: Vec<usize> = (lead..shape.len()).collect();
        let rows: Vec<usize> = (0..lead).collect();
        let groups = Groups::over(shape, &features);
        let params = Groups::over(shape, &rows);
        let mut others = Others::new(shape, &groups);
        others.over("per-feature", "each feature, over the rows", &rows);
        others.over("last-only", "the last axis alone", &[shape.len() - 1]);
        let inner: Vec<usize> = (1..shape.len()).collect();
        others.over("per-example", "all rows of an example together", &inner);
        let every: Vec<usize> = (0..shape.len()).collect();
        others.over("everything", "the whole array at once", &every);
        let others = others.found;
        Self::fill(kind, shape, eps, seed, groups, params, others)
    }

    #[track_caller]
    fn fill(
        kind: Kind,
        shape: &[usize],
        eps: f64,
        seed: u64,
        groups: Groups,
        params: Groups,
        others: Vec<Other>,
    ) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let total = tape::elements(shape);
        let shape_of = |k: usize| -> f64 { if k.is_multiple_of(2) { 1.0 } else { -1.0 } };
        let dy: Vec<f64> = (0..total).map(|_| normal()).collect();
        let noise: Vec<f64> = (0..total).map(|_| normal()).collect();
        let mut rng = StdRng::seed_from_u64(seed ^ 0x005c_a1e5);
        // Groups differ in mean and in size, and so do parameters: a statistic taken
        // over the wrong elements comes out different. The deviation is a few times
        // sqrt(eps), so that leaving eps out, or putting it elsewhere, shows.
        let unit = if eps > 0.0 { eps.sqrt() } else { 1.0 };
        let mut draw = |count: usize, low: f64, high: f64| -> Vec<f64> {
            (0..count).map(|_| rng.random_range(low..high)).collect()
        };
        let size = draw(groups.count, 0.7, 4.0);
        let mean: Vec<f64> = draw(groups.count, 0.5, 2.0)
            .iter()
            .enumerate()
            .map(|(g, m)| shape_of(g) * m)
            .collect();
        let tilt = draw(params.count, -0.7, 0.7);
        let gamma: Vec<f64> = draw(params.count, 0.5, 2.0)
            .iter()
            .enumerate()
            .map(|(p, g)| shape_of(p) * g)
            .collect();
        let beta = match kind {
            Kind::Rms => vec![0.0; params.count],
            _ => draw(params.count, 0.3, 1.5),
        };
        let x = (0..total)
            .map(|k| {
                let (g, p) = (groups.of[k], params.of[k]);
                unit * size[g] * (mean[g] + tilt[p] + noise[k])
            })
            .collect();
        let shape = shape.to_vec();
        let probe = Self {
            kind,
            shape,
            x,
            gamma,
            beta,
            dy,
            eps,
            groups,
            params,
            others,
        };
        let refused = probe.vacuous();
        assert!(
            refused.is_empty(),
            "gradcheck: no probe of shape {:?} can prove anything: {}; choose a larger shape",
            probe.shape,
            refused[0]
        );
        probe
    }

    /// Reasons why this probe could not show a mistake; empty for a generated one.
    pub fn vacuous(&self) -> Vec<Vacuous> {
        let mut refused = of_normalization(&self.groups, &self.x, &self.dy);
        refused.extend(of_gamma(&self.gamma));
        refused
    }

    pub(crate) fn gamma_at(&self, k: usize) -> f64 {
        self.gamma[self.params.of[k]]
    }

    pub(crate) fn beta_at(&self, k: usize) -> f64 {
        self.beta[self.params.of[k]]
    }

    /// Grouping 0 is the right one, `k` the wrong one number `k - 1`.
    pub(crate) fn grouping(&self, number: usize) -> &Groups {
        match number {
            0 => &self.groups,
            k => &self.others[k - 1].groups,
        }
    }
}

/// Collects groupings that differ from the right one and from each other.
struct Others<'a> {
    shape: &'a [usize],
    right: &'a Groups,
    found: Vec<Other>,
}

impl<'a> Others<'a> {
    fn new(shape: &'a [usize], right: &'a Groups) -> Self {
        Self {
            shape,
            right,
            found: Vec::new(),
        }
    }

    fn over(&mut self, id: &'static str, over: &str, axes: &[usize]) {
        if !axes.is_empty() {
            let groups = Groups::over(self.shape, axes);
            self.of(id, over, groups.of, groups.count);
        }
    }

    fn of(&mut self, id: &'static str, over: &str, of: Vec<usize>, count: usize) {
        let groups = Groups { of, count };
        // A group of one is its own mean: nothing can be computed from it.
        let known = self.found.iter().any(|o| o.groups == groups);
        if groups.size() > 1 && groups != *self.right && !known {
            self.found.push(Other {
                id,
                over: over.to_string(),
                groups,
            });
        }
    }
}

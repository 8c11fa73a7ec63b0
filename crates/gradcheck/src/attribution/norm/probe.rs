//! An input on which every mistake of the catalogue shows.

use super::layout::{Kind, Layout, Norm, Other};
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

impl Target {
    /// What it is called: `y`, `dx`, `dgamma` or `dbeta`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Y => "y",
            Self::Dx => "dx",
            Self::Dgamma => "dgamma",
            Self::Dbeta => "dbeta",
        }
    }
}

// ANCHOR: probe
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

/// Values of one's own, to be judged instead of random ones; all row-major.
#[derive(Clone, Debug)]
pub struct Given {
    /// The input.
    pub x: Vec<f64>,
    /// The scale, one per channel or feature.
    pub gamma: Vec<f64>,
    /// The shift, as long as gamma.
    pub beta: Vec<f64>,
    /// The upstream gradient, as long as `x`.
    pub dy: Vec<f64>,
}

impl Probe {
    /// For Batch Norm on `[N, C, ...]`.
    ///
    /// # Panics
    /// When a channel has two values or fewer, or there are fewer than two channels.
    #[track_caller]
    pub fn batch_norm(shape: &[usize], eps: f64, seed: u64) -> Self {
        Self::new(Norm::Batch, shape, eps, seed)
    }

    /// For Layer Norm over the last `normalized` axes.
    ///
    /// # Panics
    /// When a row has two values or fewer, or there are fewer than two rows.
    #[track_caller]
    pub fn layer_norm(shape: &[usize], normalized: usize, eps: f64, seed: u64) -> Self {
        Self::new(Norm::Layer { normalized }, shape, eps, seed)
    }

    /// For RMS Norm over the last `normalized` axes.
    ///
    /// # Panics
    /// When a row has two values or fewer, or there are fewer than two rows.
    #[track_caller]
    pub fn rms_norm(shape: &[usize], normalized: usize, eps: f64, seed: u64) -> Self {
        Self::new(Norm::Rms { normalized }, shape, eps, seed)
    }

    /// Random values on which every mistake in this normalization shows.
    ///
    /// # Panics
    /// When the normalization does not fit the shape, or what is normalized together has
    /// two values or fewer, so that no values of this shape could show a mistake.
    #[track_caller]
    pub fn new(norm: Norm, shape: &[usize], eps: f64, seed: u64) -> Self {
        let layout = norm
            .layout(shape)
            .unwrap_or_else(|why| panic!("gradcheck: {why}"));
        let given = layout.fill(shape, eps, seed);
        let probe = layout.probe(shape, eps, given);
        let refused = probe.vacuous();
        assert!(
            refused.is_empty(),
            "gradcheck: no probe of shape {:?} can prove anything: {}; choose a larger shape",
            probe.shape,
            refused[0]
        );
        probe
    }

    /// Values of one's own. Ask for [`Probe::vacuous`] before they are used: they may be such
    /// that a mistake would not show.
    ///
    /// # Errors
    /// One line, when the normalization does not fit the shape, or an array has another
    /// length than the shape asks for.
    pub fn given(norm: Norm, shape: &[usize], eps: f64, given: Given) -> Result<Self, String> {
        let layout = norm.layout(shape)?;
        let (all, some) = (layout.groups.of.len(), layout.params.count);
        for (name, values, wanted) in [
            ("x", &given.x, all),
            ("dy", &given.dy, all),
            ("gamma", &given.gamma, some),
            ("beta", &given.beta, some),
        ] {
            if values.len() != wanted {
                let (got, unit) = (values.len(), layout.kind.parameter());
                let why = match wanted == all {
                    true => format!("as x has, whose shape is {shape:?}"),
                    false => format!("one for each {unit} of {shape:?}"),
                };
                return Err(format!(
                    "{name} has {got} elements and must have {wanted}, {why}"
                ));
            }
        }
        Ok(layout.probe(shape, eps, given))
    }

    /// Reasons why this probe could not show a mistake; empty for a generated one.
    pub fn vacuous(&self) -> Vec<Vacuous> {
        let mut refused = of_normalization(self.kind.silent(), &self.groups, &self.x, &self.dy);
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

impl Layout {
    fn probe(self, shape: &[usize], eps: f64, given: Given) -> Probe {
        let Given { x, gamma, beta, dy } = given;
        Probe {
            kind: self.kind,
            shape: shape.to_vec(),
            x,
            gamma,
            beta,
            dy,
            eps,
            groups: self.groups,
            params: self.params,
            others: self.others,
        }
    }

    fn fill(&self, shape: &[usize], eps: f64, seed: u64) -> Given {
        let Self { groups, params, .. } = self;
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
        let beta = match self.kind {
            Kind::Rms => vec![0.0; params.count],
            _ => draw(params.count, 0.3, 1.5),
        };
        let x = (0..total)
            .map(|k| {
                let (g, p) = (groups.of[k], params.of[k]);
                unit * size[g] * (mean[g] + tilt[p] + noise[k])
            })
            .collect();
        Given { x, gamma, beta, dy }
    }
}

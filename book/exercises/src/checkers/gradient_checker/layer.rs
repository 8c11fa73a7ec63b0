//! The layers on which a check is tried: they do what a Batch Norm does, and claim gradients that
//! are right, or wrong in one thing. They remember what they were asked.

use crate::arrays::Draws;
use batchnorm::fused::{self, Batch};
use batchnorm::{Layout, staged};
use gradcheck::attribution::norm::{Given, Norm, Probe};
use judge::claims::{Gradients, wrong};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;

/// x, gamma and beta; or the gradients with respect to them.
pub type Inputs = [Vec<f64>; 3];

/// A Batch Norm layer, whose gradients may be wrong.
pub struct Layer<'a> {
    /// The number of examples.
    pub n: usize,
    /// The number of channels.
    pub c: usize,
    suite: &'a Suite,
    claim: Claim,
    draws: RefCell<Draws>,
    seen: RefCell<Seen>,
}

impl Layer<'_> {
    /// `y` of the inputs `[x, gamma, beta]`, as the layer computes it: rightly.
    ///
    /// # Panics
    /// If an input has not as many values as the layer asks for.
    #[must_use]
    #[track_caller]
    pub fn forward(&self, inputs: &Inputs) -> Vec<f64> {
        self.suite.fits(inputs);
        self.seen.borrow_mut().forward.push(inputs.clone());
        self.suite.y(inputs)
    }

    /// What the layer claims to be the gradients `[dx, dgamma, dbeta]` of `sum(dy * y)`.
    ///
    /// # Panics
    /// If an input, or `dy`, has not as many values as the layer asks for.
    #[must_use]
    #[track_caller]
    pub fn backward(&self, inputs: &Inputs, dy: &[f64]) -> Inputs {
        self.suite.fits(inputs);
        self.suite.has("dy", dy.len(), self.n * self.c);
        let asked = (inputs.clone(), dy.to_vec());
        self.seen.borrow_mut().backward.push(asked);
        self.suite.claimed(self.claim, inputs, dy)
    }

    /// So many random numbers from `range`.
    #[must_use]
    pub fn random(&self, count: usize, range: Range<f64>) -> Vec<f64> {
        self.draws.borrow_mut().numbers(count, range)
    }
}

impl<'a> Layer<'a> {
    pub(super) fn new(suite: &'a Suite, claim: Claim) -> Self {
        let [n, c] = suite.shape;
        Self {
            n,
            c,
            suite,
            claim,
            draws: RefCell::new(Draws::new(suite.seed)),
            seen: RefCell::default(),
        }
    }

    pub(super) fn into_seen(self) -> Seen {
        self.seen.into_inner()
    }
}

/// What a layer claims, by its place in a list.
#[derive(Clone, Copy)]
pub(super) enum Claim {
    Right(usize),
    Wrong(usize),
}

/// What a layer was asked.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) forward: Vec<Inputs>,
    pub(super) backward: Vec<(Inputs, Vec<f64>)>,
}

/// The layers of one shape.
pub(super) struct Suite {
    /// Examples and channels.
    pub(super) shape: [usize; 2],
    pub(super) eps: f64,
    seed: u64,
    /// Of each wrong claim the gradient that is wrong, and the name of the mistake.
    names: Vec<(&'static str, String)>,
    /// The points that were asked for last.
    asked: RefCell<VecDeque<Asked>>,
}

/// All wrong claims at one point. A check that draws its points asks for the same ones of every
/// layer.
struct Asked {
    inputs: Inputs,
    dy: Vec<f64>,
    claims: Vec<Inputs>,
}

/// So many points are remembered.
const KEPT: usize = 4;

type Form = fn(&Suite, &Inputs, &[f64]) -> Inputs;

/// Three ways to compute the right gradients, which differ by rounding.
pub(super) const RIGHT: [Form; 3] = [
    |suite, inputs, dy| as_inputs(Gradients::right(&suite.probe(inputs, dy))),
    |suite, inputs, dy| {
        let layout = Layout::of(&suite.shape);
        let [x, gamma, beta] = inputs;
        let (_, forward) = staged::forward(&layout, x, gamma, beta, suite.eps);
        let (dx, each) = staged::backward(&layout, &forward, gamma, dy);
        let dgamma = each.iter().map(|channel| channel.dgamma).collect();
        [
            dx,
            dgamma,
            each.iter().map(|channel| channel.dbeta).collect(),
        ]
    },
    |suite, inputs, dy| {
        let layout = &Layout::of(&suite.shape);
        let [x, gamma, beta] = inputs;
        let mut y = vec![0.0; x.len()];
        let moments = &fused::forward(layout, x, gamma, beta, suite.eps, &mut y);
        let batch = Batch {
            layout,
            x,
            gamma,
            moments,
        };
        let mut dx = vec![0.0; x.len()];
        let parameters = fused::backward(batch, Some(dy), &mut dx);
        [dx, parameters.dgamma, parameters.dbeta]
    },
];

fn as_inputs(gradients: Gradients) -> Inputs {
    let Gradients { dx, dgamma, dbeta } = gradients;
    [dx, dgamma, dbeta]
}

impl Suite {
    pub(super) fn all(seed: u64) -> Vec<Self> {
        [([6, 4], 1e-3), ([5, 3], 1e-5)]
            .map(|(shape, eps)| {
                let any = Probe::batch_norm(&shape, eps, 0);
                let name = |wrong: judge::claims::Wrong| (wrong.target, wrong.id);
                Self {
                    shape,
                    eps,
                    seed,
                    names: wrong(&any).into_iter().map(name).collect(),
                    asked: RefCell::default(),
                }
            })
            .into()
    }

    /// How many wrong claims there are.
    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    pub(super) fn wrong(&self, at: usize) -> (&'static str, &str) {
        let (target, id) = &self.names[at];
        (target, id)
    }

    pub(super) fn probe(&self, [x, gamma, beta]: &Inputs, dy: &[f64]) -> Probe {
        let given = Given {
            x: x.clone(),
            gamma: gamma.clone(),
            beta: beta.clone(),
            dy: dy.to_vec(),
        };
        Probe::given(Norm::Batch, &self.shape, self.eps, given).expect("lengths that fit")
    }

    fn y(&self, [x, gamma, beta]: &Inputs) -> Vec<f64> {
        staged::forward(&Layout::of(&self.shape), x, gamma, beta, self.eps).0
    }

    pub(super) fn claimed(&self, claim: Claim, inputs: &Inputs, dy: &[f64]) -> Inputs {
        let at = match claim {
            Claim::Right(form) => return RIGHT[form](self, inputs, dy),
            Claim::Wrong(at) => at,
        };
        let mut asked = self.asked.borrow_mut();
        let known = asked
            .iter()
            .find(|point| point.inputs == *inputs && point.dy == dy);
        if let Some(known) = known {
            return known.claims[at].clone();
        }
        let all = wrong(&self.probe(inputs, dy)).into_iter();
        let claims: Vec<Inputs> = all.map(|wrong| as_inputs(wrong.gradients)).collect();
        let claimed = claims[at].clone();
        if asked.len() == KEPT {
            asked.pop_front();
        }
        asked.push_back(Asked {
            inputs: inputs.clone(),
            dy: dy.to_vec(),
            claims,
        });
        claimed
    }

    #[track_caller]
    fn fits(&self, inputs: &Inputs) {
        let [n, c] = self.shape;
        let wanted = [("x", n * c), ("gamma", c), ("beta", c)];
        for (input, (name, wanted)) in inputs.iter().zip(wanted) {
            self.has(name, input.len(), wanted);
        }
    }

    #[track_caller]
    fn has(&self, name: &str, found: usize, wanted: usize) {
        let [n, c] = self.shape;
        assert!(
            found == wanted,
            "{name} has {found} values, and a layer of {n} examples and {c} channels asks for {wanted}"
        );
    }
}

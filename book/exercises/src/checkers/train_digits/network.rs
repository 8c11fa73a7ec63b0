//! What is trained, and the functions of the reader that train it.

use crate::bn_forward::Running;
use crate::tensor_products::Tape;
use crate::tensor_tape::Tensor;

/// Stands beside the variance, under the root.
pub const EPS: f64 = 1e-5;
/// How far the running statistics move towards those of a batch.
pub const MOMENTUM: f64 = 0.1;
/// How much of the velocity is left at the next step.
pub const INERTIA: f64 = 0.9;
/// How much of the velocity a step takes.
pub const RATE: f64 = 0.02;

/// A network of two layers, with Batch Norm and ReLU between them.
#[derive(Clone)]
pub struct Network {
    /// `w1` `[pixels, hidden]`, `gamma` and `beta` `[hidden]`, `w2` `[hidden, 10]`, `b2` `[10]`.
    pub params: [Tensor; 5],
    /// What is left of earlier gradients, in the same shapes; zeros at first.
    pub velocity: [Tensor; 5],
    /// What evaluation normalizes by.
    pub running: Running,
}

impl Tape {
    /// Appends a record without inputs, and returns its place.
    pub fn leaf(&mut self, value: Tensor) -> usize {
        self.push(value, &[], |_| vec![])
    }
}

/// `(tape, [x, gamma, beta], running)` to the place of the output.
pub(super) type Norm<'a> = &'a dyn Fn(&mut Tape, [usize; 3], &mut Running) -> usize;
/// `(tape, scores, labels)` to the place of the loss.
pub(super) type Loss<'a> = &'a dyn Fn(&mut Tape, usize, &[usize]) -> usize;
/// `(tape, x, params, running)` to the place of the scores.
pub(super) type Forward<'a> = &'a dyn Fn(&mut Tape, usize, [usize; 5], &mut Running) -> usize;
/// `(network, images, labels)` to the loss.
pub(super) type Step<'a> = &'a dyn Fn(&mut Network, &Tensor, &[usize]) -> f64;
/// `(network, images)` to the scores.
pub(super) type Evaluate<'a> = &'a dyn Fn(&Network, &Tensor) -> Tensor;

/// The reader's functions.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) batch_norm: Norm<'a>,
    pub(super) loss: Loss<'a>,
    pub(super) network: Forward<'a>,
    pub(super) step: Step<'a>,
    pub(super) evaluate: Evaluate<'a>,
}

//! Stochastic gradient descent, with momentum and weight decay.
//!
//! In PyTorch's convention, with momentum μ, weight decay λ and learning rate η:
//!
//! ```text
//! g ← g + λ p
//! v ← μ v + g                 (v starts at 0)
//! p ← p − η v                 or, with Nesterov's momentum,  p ← p − η (g + μ v)
//! ```
//!
//! The learning rate is outside of `v`: a change of rate acts on the whole past at once.
//! (Sutskever et al., "On the importance of initialization and momentum", 2013, have it
//! inside.)

use tape::parallel::rows;
use tape::{Grads, Real, vector};
use vectorized::vectorized;

use super::memory::{Memory, in_parts};
use super::optimizer::Optimizer;
use crate::module::Module;

/// Stochastic gradient descent, with momentum and weight decay.
#[derive(Debug)]
pub struct Sgd<T: Real> {
    momentum: f64,
    nesterov: bool,
    weight_decay: f64,
    velocity: Memory<T, 1>,
    plain: Memory<T, 0>,
}

impl<T: Real> Sgd<T> {
    /// Without momentum and weight decay.
    pub fn new() -> Self {
        Sgd {
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
            velocity: Memory::new(),
            plain: Memory::new(),
        }
    }

    /// With momentum μ, usually 0.9.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// With Nesterov's momentum: the step looks ahead along the velocity.
    pub fn nesterov(mut self) -> Self {
        self.nesterov = true;
        self
    }

    /// With weight decay λ: the gradient of `λ/2 · ‖p‖²` is added.
    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }
}

impl<T: Real> Default for Sgd<T> {
    fn default() -> Self {
        Sgd::new()
    }
}

impl<T: Real> Optimizer<T> for Sgd<T> {
    fn step_scaled(
        &mut self,
        module: &mut dyn Module<T>,
        grads: &Grads<T>,
        rate: f64,
        grad_scale: f64,
    ) {
        let [rate, scale, mu, lambda] =
            [rate, grad_scale, self.momentum, self.weight_decay].map(T::from_f64);
        if self.momentum == 0.0 {
            return self.plain.update(module, grads, |p, g, [], _| {
                let step = |p: T, g: T| p - rate * (scale * g + lambda * p);
                in_parts(g.len(), rows(p, 1), |at, p| {
                    vector::zip_assign(p, &g[at], step)
                });
            });
        }
        let nesterov = self.nesterov;
        self.velocity.update(module, grads, |p, g, [v], _| {
            let step = |p: T, g: T, v: T| {
                let g = scale * g + lambda * p;
                let v = mu * v + g;
                (p - rate * if nesterov { g + mu * v } else { v }, v)
            };
            in_parts(g.len(), (rows(p, 1), rows(v, 1)), |at, (p, v)| {
                with_velocity(p, &g[at], v, step);
            });
        });
    }
}

/// `(p, v) = step(p, g, v)`, element by element.
#[vectorized]
fn with_velocity<T: Real, F: Fn(T, T, T) -> (T, T)>(p: &mut [T], g: &[T], v: &mut [T], step: F) {
    for ((p, &g), v) in p.iter_mut().zip(g).zip(v) {
        (*p, *v) = step(*p, g, *v);
    }
}

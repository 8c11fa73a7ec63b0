//! Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019).
//!
//! Two averages of the gradient, of its value and of its square, corrected for their
//! start at 0; with learning rate η, at step t:
//!
//! ```text
//! m ← β₁ m + (1 − β₁) g       m̂ = m / (1 − β₁ᵗ)
//! v ← β₂ v + (1 − β₂) g²      v̂ = v / (1 − β₂ᵗ)
//! p ← p − η m̂ / (√v̂ + ε)
//! ```
//!
//! Weight decay λ comes in two kinds: added to the gradient, `g ← g + λ p`, where the
//! division by `√v̂` undoes most of it, or decoupled, `p ← p − η λ p`.

use tape::parallel::rows;
use tape::{Grads, Real};
use vectorized::vectorized;

use super::memory::{Memory, in_parts};
use super::optimizer::Optimizer;
use crate::module::Module;

/// Adam and AdamW.
#[derive(Debug)]
pub struct Adam<T: Real> {
    betas: (f64, f64),
    eps: f64,
    decay: Decay,
    memory: Memory<T, 2>,
}

/// How weights decay.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Decay {
    /// `λ p` is added to the gradient: Adam's `weight_decay` in PyTorch.
    Coupled(f64),
    /// `η λ p` is subtracted from the parameter: AdamW's.
    Decoupled(f64),
}

impl<T: Real> Adam<T> {
    /// Without weight decay; β₁ = 0.9, β₂ = 0.999, ε = 1e-8.
    pub fn new() -> Self {
        Adam {
            betas: (0.9, 0.999),
            eps: 1e-8,
            decay: Decay::Coupled(0.0),
            memory: Memory::new(),
        }
    }

    /// With other decay rates of the two averages.
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Self {
        self.betas = (beta1, beta2);
        self
    }

    /// With another ε.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// With weight decay. [`Decay::Decoupled`] makes it AdamW.
    pub fn decay(mut self, decay: Decay) -> Self {
        self.decay = decay;
        self
    }
}

impl<T: Real> Default for Adam<T> {
    fn default() -> Self {
        Adam::new()
    }
}

impl<T: Real> Optimizer<T> for Adam<T> {
    fn step_scaled(
        &mut self,
        module: &mut dyn Module<T>,
        grads: &Grads<T>,
        rate: f64,
        grad_scale: f64,
    ) {
        let (coupled, keep) = match self.decay {
            Decay::Coupled(lambda) => (lambda, 1.0),
            Decay::Decoupled(lambda) => (0.0, 1.0 - rate * lambda),
        };
        let (beta1, beta2) = self.betas;
        let [scale, coupled, keep, eps] = [grad_scale, coupled, keep, self.eps].map(T::from_f64);
        let [b1, b2, c1, c2] = [beta1, beta2, 1.0 - beta1, 1.0 - beta2].map(T::from_f64);
        self.memory.update(module, grads, |p, g, [m, v], t| {
            let step = T::from_f64(rate / (1.0 - beta1.powi(t)));
            let correct = T::from_f64((1.0 - beta2.powi(t)).sqrt().recip());
            let moments = move |p: T, g: T, m: T, v: T| {
                let g = scale * g + coupled * p;
                let (m, v) = (b1 * m + c1 * g, b2 * v + c2 * g * g);
                (keep * p - step * m / (v.sqrt() * correct + eps), m, v)
            };
            let buffers = (rows(p, 1), (rows(m, 1), rows(v, 1)));
            in_parts(g.len(), buffers, |at, (p, (m, v))| {
                with_moments(p, &g[at], m, v, moments);
            });
        });
    }
}

/// `(p, m, v) = step(p, g, m, v)`, element by element.
#[vectorized]
fn with_moments<T: Real, F: Fn(T, T, T, T) -> (T, T, T)>(
    p: &mut [T],
    g: &[T],
    m: &mut [T],
    v: &mut [T],
    step: F,
) {
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        (*p, *m, *v) = step(*p, g, *m, *v);
    }
}

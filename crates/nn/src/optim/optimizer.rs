//! What an optimizer is.

use tape::{Grads, Real, vector};

use crate::module::{Module, each_param};

/// Moves the parameters of a module against their gradients.
pub trait Optimizer<T: Real> {
    /// One step of size `rate`, the learning rate, along gradients that are multiplied
    /// with `grad_scale` first. A parameter without a gradient stays as it is.
    ///
    /// # Panics
    /// If the module's parameters are not those of the first step.
    fn step_scaled(
        &mut self,
        module: &mut dyn Module<T>,
        grads: &Grads<T>,
        rate: f64,
        grad_scale: f64,
    );

    /// One step of size `rate`, the learning rate.
    ///
    /// # Panics
    /// If the module's parameters are not those of the first step.
    fn step(&mut self, module: &mut dyn Module<T>, grads: &Grads<T>, rate: f64) {
        self.step_scaled(module, grads, rate, 1.0);
    }

    /// One step along gradients scaled down to a norm of at most `max_norm`, all
    /// parameters together: multiplied with `min(1, max_norm / (norm + 1e-6))`, as
    /// PyTorch's `clip_grad_norm_` has it. Returns the norm before.
    ///
    /// # Panics
    /// If the module's parameters are not those of the first step.
    fn step_clipped(
        &mut self,
        module: &mut dyn Module<T>,
        grads: &Grads<T>,
        rate: f64,
        max_norm: f64,
    ) -> f64 {
        let norm = grad_norm(module, grads);
        self.step_scaled(module, grads, rate, (max_norm / (norm + 1e-6)).min(1.0));
        norm
    }
}

/// The Euclidean norm of all gradients of the module together.
pub fn grad_norm<T: Real>(module: &mut (impl Module<T> + ?Sized), grads: &Grads<T>) -> f64 {
    let mut square = 0.0;
    each_param(module, |param| {
        if let Some(grad) = grads.get(param) {
            square += vector::dot(grad.data(), grad.data()).to_f64();
        }
    });
    square.sqrt()
}

//! Optimizers: one pass over each parameter, in place, and nothing allocated per step.
//!
//! An optimizer keeps its state in the order in which the module shows its parameters.
//! The first step learns that order; later steps hold every parameter to it.

mod adam;
mod sgd;

pub use adam::{Adam, Decay};
pub use sgd::Sgd;

use tape::{Grads, ParamId, Real, Tensor, lanes};

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

/// What an optimizer remembers of each parameter: `N` tensors of its shape, zeros at
/// first, and how many steps it has made.
#[derive(Debug)]
struct Memory<T: Real, const N: usize> {
    slots: Vec<Slot<T, N>>,
}

#[derive(Debug)]
struct Slot<T: Real, const N: usize> {
    param: ParamId,
    steps: i32,
    tensors: [Tensor<T>; N],
}

impl<T: Real, const N: usize> Memory<T, N> {
    fn new() -> Self {
        Memory { slots: Vec::new() }
    }

    /// Calls `f` with value, gradient, memory and step number of every parameter that
    /// has a gradient. Steps count from 1.
    fn update(
        &mut self,
        module: &mut dyn Module<T>,
        grads: &Grads<T>,
        mut f: impl FnMut(&mut [T], &[T], [&mut [T]; N], i32),
    ) {
        let mut next = 0;
        each_param(module, |param| {
            if next == self.slots.len() {
                let shape = *param.value().shape();
                self.slots.push(Slot {
                    param: param.id(),
                    steps: 0,
                    tensors: std::array::from_fn(|_| Tensor::zeros(shape)),
                });
            }
            let slot = &mut self.slots[next];
            assert_eq!(
                slot.param,
                param.id(),
                "optimizer: parameter {next} is {:?}, which is not the one of the steps before; \
                 make a new optimizer for another model",
                param.name()
            );
            next += 1;
            if let Some(grad) = grads.get(param) {
                slot.steps = slot.steps.saturating_add(1);
                let memory = slot.tensors.each_mut().map(Tensor::data_mut);
                f(
                    param.value_mut().data_mut(),
                    grad.data(),
                    memory,
                    slot.steps,
                );
            }
        });
    }
}

/// The Euclidean norm of all gradients of the module together.
pub fn grad_norm<T: Real>(module: &mut (impl Module<T> + ?Sized), grads: &Grads<T>) -> f64 {
    let mut square = 0.0;
    each_param(module, |param| {
        if let Some(grad) = grads.get(param) {
            square += lanes::dot(grad.data(), grad.data()).to_f64();
        }
    });
    square.sqrt()
}

#[cfg(test)]
mod tests;

//! What an optimizer keeps from step to step.

use std::ops::Range;

use tape::parallel::{self, Split};
use tape::{Grads, ParamId, Real, Tensor};

use crate::module::{Module, each_param};

/// What an optimizer remembers of each parameter: `N` tensors of its shape, zeros at
/// first, and how many steps it has made.
#[derive(Debug)]
pub(super) struct Memory<T: Real, const N: usize> {
    slots: Vec<Slot<T, N>>,
}

#[derive(Debug)]
struct Slot<T: Real, const N: usize> {
    param: ParamId,
    steps: i32,
    tensors: [Tensor<T>; N],
}

impl<T: Real, const N: usize> Memory<T, N> {
    pub(super) fn new() -> Self {
        Memory { slots: Vec::new() }
    }

    /// Calls `f` with value, gradient, memory and step number of every parameter that
    /// has a gradient. Steps count from 1.
    pub(super) fn update(
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

/// Calls `f` on all `n` elements of the buffers, or of a large parameter on a part for each
/// thread; with the range that it is given.
pub(super) fn in_parts<B: Split>(n: usize, buffers: B, f: impl Fn(Range<usize>, B::Slices) + Sync) {
    parallel::for_each_part(n, n, buffers, |at, buffers| f(at, buffers.slices()));
}

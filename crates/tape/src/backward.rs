//! The contract of an op: what its backward half receives and where it puts its results.

use crate::broadcast::sum_to;
use crate::tape::{NodeId, Record};
use crate::{Real, Shape, Tensor};

// ANCHOR: backward
/// The backward half of one recorded op: a vector-Jacobian product (VJP).
///
/// For an op `y = f(x₀, x₁, …)` inside a computation that ends in a scalar `L`, it
/// receives the upstream gradient `dy = ∂L/∂y`, of the shape of `y`, and adds
/// `∂L/∂xᵢ`, of the shape of `xᵢ`, to each input that needs it.
///
/// The value is consumed: whatever it saved may be overwritten and becomes free
/// memory as soon as it returns.
pub trait Backward<T: Real> {
    /// The op's name as it stands in printed tapes and messages.
    fn name(&self) -> &'static str;

    /// Adds the gradient of every input that needs one to `dx`.
    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>);

    /// The tensors kept from the forward pass, for the account of memory in
    /// [`Tape`](crate::Tape)'s printout. A buffer that several ops save counts once.
    fn saved(&self) -> Vec<&Tensor<T>>;
}
// ANCHOR_END: backward

// ANCHOR: input_grads
/// Where a backward pass puts the gradients of its inputs.
pub struct InputGrads<'a, T: Real> {
    pub(crate) op: &'static str,
    pub(crate) inputs: &'a [Option<NodeId>],
    pub(crate) records: &'a [Record<T>],
    pub(crate) grads: &'a mut [Option<Tensor<T>>],
}
// ANCHOR_END: input_grads

impl<T: Real> InputGrads<'_, T> {
    // ANCHOR: add
    /// Whether input `i` depends on a parameter. When it does not, its gradient need
    /// not be computed.
    pub fn needs(&self, i: usize) -> bool {
        self.inputs[i].is_some()
    }

    /// Adds `grad` to the gradient of input `i`. The first one is moved in, later ones
    /// are added in place. Does nothing when the input needs no gradient.
    ///
    /// # Panics
    /// If `grad` has another shape than the input.
    #[inline]
    #[track_caller]
    pub fn add(&mut self, i: usize, grad: Tensor<T>) {
        let Some(node) = self.inputs[i] else { return };
        let shape = &self.records[node.index()].shape;
        assert_eq!(
            grad.shape(),
            shape,
            "{}: the gradient of input {i} has shape {}, but the input has shape {shape}",
            self.op,
            grad.shape()
        );
        self.accumulate(node, grad);
    }

    #[inline]
    fn accumulate(&mut self, node: NodeId, grad: Tensor<T>) {
        match &mut self.grads[node.index()] {
            Some(sum) => sum.zip_assign(&grad, |a, b| a + b),
            slot => *slot = Some(grad),
        }
    }
    // ANCHOR_END: add

    // ANCHOR: more
    /// Like [`InputGrads::add`] for an input that the op broadcast: sums `grad` over the
    /// axes along which the input was repeated.
    #[inline]
    #[track_caller]
    pub fn add_broadcast(&mut self, i: usize, grad: Tensor<T>) {
        let Some(node) = self.inputs[i] else { return };
        let shape = &self.records[node.index()].shape;
        if grad.shape() == shape {
            self.accumulate(node, grad);
        } else {
            self.accumulate(node, sum_to(&grad, shape));
        }
    }

    /// Lets `kernel(beta, out)` write the gradient of input `i` where it belongs:
    /// `out = gradient + beta · out`, row-major. With `beta` 0 there is nothing yet and
    /// `out` holds anything; with `beta` 1 there is a sum to add to. Made for GEMM,
    /// which accumulates for free. Does nothing when the input needs no gradient.
    pub fn write(&mut self, i: usize, kernel: impl FnOnce(T, &mut [T])) {
        let Some(node) = self.inputs[i] else { return };
        let shape: &Shape = &self.records[node.index()].shape;
        let slot = &mut self.grads[node.index()];
        match slot {
            Some(sum) => kernel(T::ONE, sum.data_mut()),
            None => kernel(T::ZERO, slot.insert(Tensor::scratch(shape)).data_mut()),
        }
    }
    // ANCHOR_END: more
}

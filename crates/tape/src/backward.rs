//! The contract of an op: what its backward half receives and where it puts its results; and
//! the record of an op on the tape.

use std::num::NonZeroU32;

use smallvec::{SmallVec, smallvec};

use crate::broadcast::sum_to;
use crate::{Real, Shape, Tensor};

/// The place of a record in its tape, counted from 1: so an `Option` of it has the place 0 for
/// `None`, and takes four bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NodeId(NonZeroU32);

impl NodeId {
    #[inline]
    pub(crate) fn new(index: usize) -> Self {
        let place = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        NodeId(place.expect("a tape holds less than 2^32 records"))
    }

    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// The inputs of an op: where the gradient of each goes, or `None` if it depends on no
/// parameter and wants none. Every op of a fixed number of inputs has at most three; there is room
/// for four without an allocation, and a list that holds less would be no smaller.
pub(crate) type Inputs = SmallVec<[Option<NodeId>; 4]>;

/// One line of the tape.
pub(crate) struct Record<T: Real> {
    pub(crate) inputs: Inputs,
    pub(crate) shape: Shape,
    pub(crate) kind: Kind<T>,
    /// Whether the caller wants to see the gradient that arrives here.
    pub(crate) watched: bool,
}

/// What a record is.
pub(crate) enum Kind<T: Real> {
    /// A parameter: gradients arrive and stay.
    Leaf { name: String },
    /// The result of an op: gradients arrive and are passed on.
    Op(Box<dyn Backward<T>>),
}

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

    /// Adds the gradient of every input that needs one to `dx`, or says with
    /// [`InputGrads::none`] that there is none.
    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>);

    /// The tensors kept from the forward pass, for the account of memory in
    /// [`Tape`](crate::Tape)'s printout. A buffer that several ops save counts once.
    fn saved(&self) -> Vec<&Tensor<T>>;
}

/// Where a backward pass puts the gradients of its inputs.
pub struct InputGrads<'a, T: Real> {
    op: &'static str,
    inputs: &'a [Option<NodeId>],
    /// Which inputs have been given their gradient.
    served: SmallVec<[bool; 16]>,
    records: &'a [Record<T>],
    grads: &'a mut [Option<Tensor<T>>],
}

impl<'a, T: Real> InputGrads<'a, T> {
    #[inline]
    pub(crate) fn new(
        op: &'static str,
        inputs: &'a [Option<NodeId>],
        records: &'a [Record<T>],
        grads: &'a mut [Option<Tensor<T>>],
    ) -> Self {
        // All of the array is written at once, for what is read right after a write of another
        // width waits for it.
        let served = match inputs.len() {
            n @ ..=16 => SmallVec::from_buf_and_len([false; 16], n),
            n => smallvec![false; n],
        };
        InputGrads {
            op,
            inputs,
            served,
            records,
            grads,
        }
    }

    /// Whether input `i` depends on a parameter. When it does not, its gradient need
    /// not be computed.
    ///
    /// # Panics
    /// If the op was recorded without an input `i`, as everything here that takes one.
    #[track_caller]
    pub fn needs(&self, i: usize) -> bool {
        self.check_input(i);
        self.inputs[i].is_some()
    }

    /// The place of input `i`, if it needs a gradient, which is now taken to be given.
    #[inline]
    #[track_caller]
    fn serve(&mut self, i: usize) -> Option<NodeId> {
        self.check_input(i);
        self.served[i] = true;
        self.inputs[i]
    }

    #[track_caller]
    fn check_input(&self, i: usize) {
        assert!(
            i < self.inputs.len(),
            "{}: there is no input {i}; it was recorded with {}",
            self.op,
            self.inputs.len()
        );
    }

    /// Panics if an input that needs a gradient was left out: its gradient would be taken
    /// for 0, and whatever is learned below it would never move.
    pub(crate) fn check_served(&self) {
        for (i, (node, served)) in self.inputs.iter().zip(&self.served).enumerate() {
            assert!(
                *served || node.is_none(),
                "{}: its backward pass left out input {i}, which needs a gradient; add one, or \
                 say with InputGrads::none that there is none",
                self.op
            );
        }
    }

    /// Adds `grad` to the gradient of input `i`. The first one is moved in, later ones
    /// are added in place. Does nothing when the input needs no gradient.
    ///
    /// # Panics
    /// If `grad` has another shape than the input.
    #[inline]
    #[track_caller]
    pub fn add(&mut self, i: usize, grad: Tensor<T>) {
        let Some(node) = self.serve(i) else { return };
        let shape = &self.records[node.index()].shape;
        let given = grad.shape();
        assert!(
            given == shape,
            "{}: the gradient of input {i} has shape {given}, but the input has shape {shape}",
            self.op
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

    /// Like [`InputGrads::add`] for an input that the op broadcast: sums `grad` over the
    /// axes along which the input was repeated.
    #[inline]
    #[track_caller]
    pub fn add_broadcast(&mut self, i: usize, grad: Tensor<T>) {
        let Some(node) = self.serve(i) else { return };
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
    #[track_caller]
    pub fn write(&mut self, i: usize, kernel: impl FnOnce(T, &mut [T])) {
        let Some(node) = self.serve(i) else { return };
        let shape: &Shape = &self.records[node.index()].shape;
        let slot = &mut self.grads[node.index()];
        match slot {
            Some(sum) => kernel(T::ONE, sum.data_mut()),
            None => kernel(T::ZERO, slot.insert(Tensor::scratch(shape)).data_mut()),
        }
    }

    /// Says that the value does not depend on input `i`, whatever `dy` is. To leave an
    /// input out without a word is taken for a mistake.
    #[track_caller]
    pub fn none(&mut self, i: usize) {
        self.serve(i);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn four_inputs_take_no_more_room_than_one() {
        type List<const N: usize> = SmallVec<[Option<NodeId>; N]>;
        assert_eq!(size_of::<Option<NodeId>>(), 4);
        assert_eq!(Inputs::new().inline_size(), 4);
        assert_eq!(size_of::<Inputs>(), size_of::<List<1>>());
        assert!(size_of::<Inputs>() < size_of::<List<5>>());
    }
}

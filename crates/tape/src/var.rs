//! The handle of a value during a recording.

use crate::backward::NodeId;
use crate::grads::Watch;
use crate::tape::Tape;
use crate::{Real, Shape, Tensor};

/// A value and, when it depends on a parameter, its place on the tape.
///
/// Ops are methods and operators: `(&x * &w + &b).tanh()`. They live in
/// [`ops`](crate::ops), one file each. Cloning a handle copies no data; dropping it
/// frees the value unless an op saved it.
#[derive(Clone)]
pub struct Var<'t, T: Real> {
    pub(crate) tape: &'t Tape<T>,
    pub(crate) node: Option<NodeId>,
    pub(crate) value: Tensor<T>,
}

impl<'t, T: Real> Var<'t, T> {
    /// The value computed when this handle was made.
    pub fn value(&self) -> &Tensor<T> {
        &self.value
    }

    /// The lengths of the value's axes.
    pub fn shape(&self) -> &Shape {
        self.value.shape()
    }

    /// The tape this value belongs to.
    pub fn tape(&self) -> &'t Tape<T> {
        self.tape
    }

    /// Whether the value depends on a parameter, so that a gradient may reach it.
    pub fn is_tracked(&self) -> bool {
        self.node.is_some()
    }

    /// Asks for the gradient that arrives at this value; redeem the receipt with
    /// [`Grads::at`](crate::Grads::at).
    ///
    /// # Panics
    /// If the value depends on no parameter.
    #[track_caller]
    pub fn watch(&self) -> Watch {
        let why_not = "watch: this value depends on no parameter, so no gradient reaches it";
        let node = self.node.expect(why_not);
        self.tape.records.borrow_mut()[node.index()].watched = true;
        Watch {
            recording: self.tape.id,
            node,
            shape: *self.shape(),
        }
    }
}

//! The tape: a list of backward records, and the one loop that runs them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::backward::{InputGrads, Inputs, Kind, NodeId, Record};
use crate::grads::Grads;
use crate::param::unique;
use crate::{ParamId, Real, Shape, Tensor};

/// A recording of one forward computation.
///
/// [`Tape::grad`] records a computation, differentiates it and empties the tape, so one
/// tape serves a whole training run and its memory is reused. The handles it lends out
/// cannot outlive the recording: keeping one is a compile error.
///
/// ```compile_fail
/// # use tape::{Param, Tape, Tensor};
/// let x = Param::new("x", Tensor::scalar(1.0_f32));
/// let mut stale = None;
/// Tape::new().grad(|t| {
///     let y = t.param(&x).exp();
///     stale = Some(y.clone()); // the handle would survive its tape
///     y
/// });
/// ```
///
/// First derivatives only; one backward pass per recording.
// ANCHOR: tape
#[derive(Default)]
pub struct Tape<T: Real> {
    pub(crate) records: RefCell<Vec<Record<T>>>,
    pub(crate) params: RefCell<HashMap<ParamId, NodeId>>,
    /// Whether nothing is recorded, as inside [`Tape::eval`].
    pub(crate) evaluating: Cell<bool>,
    /// Which recording this is, so that a receipt of one is not mistaken for that of another.
    pub(crate) id: u64,
    /// Slots for gradients, kept between recordings for their memory.
    slots: Vec<Option<Tensor<T>>>,
}
// ANCHOR_END: tape

impl<T: Real> Tape<T> {
    /// An empty tape.
    pub fn new() -> Self {
        Tape::default()
    }

    /// Starts a recording, on an empty tape: a closure that panicked may have left records.
    pub(crate) fn start(&mut self) {
        self.records.get_mut().clear();
        self.params.get_mut().clear();
        self.slots.clear();
        self.id = unique();
    }

    /// Always inlined, for a record that is handed over as an argument is put together in one
    /// place of memory and then copied to another. A module for a browser is to be small.
    #[cfg_attr(not(target_family = "wasm"), inline(always))]
    pub(crate) fn push(&self, inputs: Inputs, shape: Shape, kind: Kind<T>) -> NodeId {
        let mut records = self.records.borrow_mut();
        let node = NodeId::new(records.len());
        records.push(Record {
            inputs,
            shape,
            kind,
            watched: false,
        });
        node
    }

    /// The backward pass: one loop, last record first. Every record finds its upstream
    /// gradient complete, since all that used its value came later on the tape.
    pub(crate) fn sweep(&mut self, from: Option<NodeId>, dy: Tensor<T>) -> Grads<T> {
        let mut watched = Vec::new();
        let records = self.records.get_mut();
        self.slots.resize(records.len(), None);
        if let Some(node) = from {
            self.slots[node.index()] = Some(dy);
        }
        while let Some(record) = records.pop() {
            let index = records.len();
            if record.watched {
                watched.push((NodeId::new(index), self.slots[index].clone()));
            }
            // A leaf keeps its gradient; an op consumes it and passes it on.
            if let Kind::Op(backward) = record.kind
                && let Some(dy) = self.slots[index].take()
            {
                let name = backward.name();
                let mut dx = InputGrads::new(name, &record.inputs, records, &mut self.slots);
                backward.backward(dy, &mut dx);
                dx.check_served();
            }
        }
        let leaves = self.params.get_mut().drain();
        let grads = leaves.filter_map(|(id, node)| Some((id, self.slots[node.index()].take()?)));
        Grads {
            recording: self.id,
            params: grads.collect(),
            watched,
        }
    }
}

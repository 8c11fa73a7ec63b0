//! What a backward pass returns.

use std::collections::HashMap;

use crate::backward::NodeId;
use crate::{Param, ParamId, Real, Shape, Tensor};

/// The gradients of one recording, filed under the parameters it used.
#[derive(Debug)]
pub struct Grads<T: Real> {
    /// Which recording it is of: a number that no other has in the life of the process.
    pub(crate) recording: u64,
    pub(crate) params: HashMap<ParamId, Tensor<T>>,
    pub(crate) watched: Vec<(NodeId, Option<Tensor<T>>)>,
}

/// A receipt for the gradient of an intermediate value, from [`Var::watch`](crate::Var::watch).
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// Which recording it is of: a number that no other has in the life of the process.
    pub(crate) recording: u64,
    pub(crate) node: NodeId,
    pub(crate) shape: Shape,
}

impl<T: Real> Grads<T> {
    /// The gradient with respect to `param`, of its shape; `None` when the result did
    /// not depend on it.
    pub fn get(&self, param: &Param<T>) -> Option<&Tensor<T>> {
        self.params.get(&param.id())
    }

    /// The gradient with respect to `param`; zeros when the result did not depend on it.
    pub fn of(&self, param: &Param<T>) -> Tensor<T> {
        let zeros = || Tensor::zeros(param.value().shape());
        self.get(param).cloned().unwrap_or_else(zeros)
    }

    /// The gradient with respect to a watched intermediate value of the same recording;
    /// zeros when the result did not depend on it.
    ///
    /// # Panics
    /// If the receipt is from another recording.
    #[track_caller]
    pub fn at(&self, watch: Watch) -> Tensor<T> {
        assert!(
            watch.recording == self.recording,
            "this value was not watched in the recording these gradients come from"
        );
        let watched = self.watched.iter().find(|(node, _)| *node == watch.node);
        let (_, grad) = watched.expect("whatever is watched is kept");
        grad.clone().unwrap_or_else(|| Tensor::zeros(watch.shape))
    }
}

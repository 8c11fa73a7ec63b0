//! Parameters: the tensors that gradients are taken with respect to.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Real, Tensor};

/// Names one [`Param`] for the life of the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ParamId(u64);

/// A number that was never given before.
pub(crate) fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A tensor that lives outside the tape and can be differentiated with respect to.
///
/// The same parameter used twice in one recording is one node, so its gradients add.
/// A parameter cannot be cloned: a copy would have another identity, and its gradient
/// would be looked for in vain.
#[derive(Debug)]
pub struct Param<T: Real> {
    id: ParamId,
    name: String,
    value: Tensor<T>,
}

impl<T: Real> Param<T> {
    /// A parameter holding `value`. The name appears in printed tapes and messages.
    pub fn new(name: impl Into<String>, value: Tensor<T>) -> Self {
        let (id, name) = (ParamId(unique()), name.into());
        Param { id, name, value }
    }

    /// What gradients are filed under.
    pub fn id(&self) -> ParamId {
        self.id
    }

    /// The name given at construction or by [`Param::rename`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the parameter another name; its identity stays.
    pub fn rename(&mut self, name: impl Into<String>) {
        self.name = name.into();
    }

    /// The present value.
    pub fn value(&self) -> &Tensor<T> {
        &self.value
    }

    /// The value for an optimizer to update in place.
    pub fn value_mut(&mut self) -> &mut Tensor<T> {
        &mut self.value
    }

    /// Replaces the value.
    ///
    /// # Panics
    /// If the new value has another shape.
    #[track_caller]
    pub fn set(&mut self, value: Tensor<T>) {
        let (own, given) = (self.value.shape(), value.shape());
        assert!(
            own == given,
            "parameter {:?} has shape {own}; a value of shape {given} cannot replace its own",
            self.name
        );
        self.value = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_has_its_own_identity() {
        let a = Param::new("a", Tensor::scalar(1.0_f32));
        let b = Param::new("a", Tensor::scalar(1.0_f32));
        assert_ne!(a.id(), b.id());
    }

    #[test]
    fn a_renamed_parameter_stays_the_same() {
        let mut a = Param::new("a", Tensor::scalar(1.0_f32));
        let id = a.id();
        a.rename("b");
        assert_eq!((a.name(), a.id()), ("b", id));
    }

    #[test]
    #[should_panic(expected = "parameter \"w\" has shape [2]; a value of shape [3]")]
    fn a_value_of_another_shape_is_refused() {
        Param::new("w", Tensor::<f32>::zeros([2])).set(Tensor::zeros([3]));
    }
}

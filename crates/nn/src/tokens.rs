//! Models of sequences of tokens.

use tape::{Real, Tape, Var};

use crate::lengths::Lengths;
use crate::module::{Mode, Module, Probe};

/// A module that maps every position of sequences of tokens to a row of outputs.
///
/// Sequences come packed: the tokens of all of them one after the other, M together, and
/// beside them the lengths. Row m of the outputs belongs to token m, so a language model
/// is trained by the cross-entropy of its outputs with the M tokens that come next.
pub trait TokenModel<T: Real>: Module<T> {
    /// The outputs `[M, V]`, and the values on the way to them shown to `probe`, in order
    /// and by name.
    ///
    /// # Panics
    /// If there is not one token for each step, or the model does not know a token.
    fn forward_probed<'t>(
        &mut self,
        tape: &'t Tape<T>,
        tokens: &[usize],
        lengths: &Lengths,
        mode: Mode,
        probe: &mut Probe<'_, T>,
    ) -> Var<'t, T>;

    /// The outputs `[M, V]`.
    ///
    /// # Panics
    /// As [`TokenModel::forward_probed`].
    #[track_caller]
    fn forward<'t>(
        &mut self,
        tape: &'t Tape<T>,
        tokens: &[usize],
        lengths: &Lengths,
        mode: Mode,
    ) -> Var<'t, T> {
        self.forward_probed(tape, tokens, lengths, mode, &mut |_, _| {})
    }
}

//! Models of sequences of tokens.

use tape::{Real, Tape, Var};

use crate::lengths::Lengths;
use crate::module::Module;
use crate::pass::Pass;

/// A module that maps every position of sequences of tokens to a row of outputs.
///
/// Sequences come packed: the tokens of all of them one after the other, M together, and
/// beside them the lengths. Row m of the outputs belongs to token m, so a language model
/// is trained by the cross-entropy of its outputs with the M tokens that come next.
pub trait TokenModel<T: Real>: Module<T> {
    /// The outputs `[M, V]`.
    ///
    /// # Panics
    /// If there is not one token for each step, or the model does not know a token.
    fn forward<'t>(
        &self,
        tape: &'t Tape<T>,
        tokens: &[usize],
        lengths: &Lengths,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T>;

    /// The outputs in training. Running statistics take in the batch at the end, as in
    /// [`Layer::train`](crate::Layer::train).
    ///
    /// # Panics
    /// As [`TokenModel::forward`].
    #[track_caller]
    fn train<'t>(&mut self, tape: &'t Tape<T>, tokens: &[usize], lengths: &Lengths) -> Var<'t, T> {
        let mut pass = Pass::train();
        let y = self.forward(tape, tokens, lengths, &mut pass);
        pass.finish(self);
        y
    }

    /// The outputs in evaluation, which changes nothing.
    ///
    /// # Panics
    /// As [`TokenModel::forward`].
    #[track_caller]
    fn eval<'t>(&self, tape: &'t Tape<T>, tokens: &[usize], lengths: &Lengths) -> Var<'t, T> {
        self.forward(tape, tokens, lengths, &mut Pass::eval())
    }
}

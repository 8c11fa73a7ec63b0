//! A model of sequences of tokens on a recurrent network.

use rand::Rng;
use tape::{Real, Tape, Var};

use super::network::Recurrent;
use super::spec::RecurrentSpec;
use crate::embedding::Embedding;
use crate::layer::Layer;
use crate::lengths::Lengths;
use crate::linear::Linear;
use crate::module::{Module, Visitor, name_params};
use crate::pass::Pass;
use crate::tokens::TokenModel;

/// What a recurrent model of tokens is made of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RecurrentLmSpec {
    /// V, how many tokens there are.
    pub tokens: usize,
    /// How many outputs: V for a language model, else the classes.
    pub outputs: usize,
    /// The network; a token's row has the width of its inputs.
    pub network: RecurrentSpec,
}

impl RecurrentLmSpec {
    /// A language model of `tokens` tokens.
    pub fn new(tokens: usize, network: RecurrentSpec) -> Self {
        RecurrentLmSpec {
            tokens,
            outputs: tokens,
            network,
        }
    }

    /// With another number of outputs.
    pub fn outputs(mut self, outputs: usize) -> Self {
        self.outputs = outputs;
        self
    }

    /// Draws the weights as PyTorch draws those of its layers.
    ///
    /// # Panics
    /// If a count is 0.
    #[track_caller]
    pub fn build<T: Real>(&self, rng: &mut impl Rng) -> RecurrentLm<T> {
        let mut model = RecurrentLm {
            embedding: Embedding::new(self.tokens, self.network.inputs, rng),
            rnn: self.network.build(rng),
            head: Linear::new(self.network.hidden, self.outputs, rng),
        };
        name_params(&mut model);
        model
    }
}

/// A model of tokens on a recurrent network, made by [`RecurrentLmSpec::build`].
///
/// Its parameters are `embedding.weight` `[V, I]`, `rnn.weight_ih_l0`, …, `head.weight`
/// and `head.bias`.
#[derive(Debug)]
pub struct RecurrentLm<T: Real> {
    embedding: Embedding<T>,
    rnn: Recurrent<T>,
    head: Linear<T>,
}

impl<T: Real> RecurrentLm<T> {
    /// One row of outputs for each sequence, `[B, outputs]`, from the state at its end: the
    /// model as a classifier.
    ///
    /// # Panics
    /// If there is not one token for each step, or a token is V or more.
    #[track_caller]
    pub fn classify<'t>(
        &self,
        tape: &'t Tape<T>,
        tokens: &[usize],
        lengths: &Lengths,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let states = self.states(tape, tokens, None, lengths, pass);
        let last = Recurrent::last(&states, lengths);
        self.head.forward_as(&"head", &last, pass)
    }

    /// As [`TokenModel::forward`], but from the states `start`, `[B, H]`, a row for each
    /// sequence, and not from zeros.
    ///
    /// # Panics
    /// As [`TokenModel::forward`], or if `start` has another shape.
    #[track_caller]
    pub fn forward_from<'t>(
        &self,
        tape: &'t Tape<T>,
        tokens: &[usize],
        start: &Var<'t, T>,
        lengths: &Lengths,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let states = self.states(tape, tokens, Some(start), lengths, pass);
        self.head.forward_as(&"head", &states, pass)
    }

    #[track_caller]
    fn states<'t>(
        &self,
        tape: &'t Tape<T>,
        tokens: &[usize],
        start: Option<&Var<'t, T>>,
        lengths: &Lengths,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let x = self.embedding.forward(tape, tokens);
        pass.show("embedding", &x);
        self.rnn
            .forward_from(&x, start, lengths, &mut pass.within("rnn"))
    }
}

impl<T: Real> Module<T> for RecurrentLm<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.child("embedding", &mut self.embedding);
        v.child("rnn", &mut self.rnn);
        v.child("head", &mut self.head);
    }
}

impl<T: Real> TokenModel<T> for RecurrentLm<T> {
    /// Shows `embedding`, the steps inside such as `rnn.l0.step3.h`, and `head`.
    #[track_caller]
    fn forward<'t>(
        &self,
        tape: &'t Tape<T>,
        tokens: &[usize],
        lengths: &Lengths,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let states = self.states(tape, tokens, None, lengths, pass);
        self.head.forward_as(&"head", &states, pass)
    }
}

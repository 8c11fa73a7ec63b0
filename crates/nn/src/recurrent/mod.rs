//! Recurrent networks: RNN, GRU and LSTM, with Layer Norm or Batch Norm inside, over
//! sequences of different lengths (book, chapter 14).
//!
//! At each step a cell maps the step's input x and its last state h to a new state:
//!
//! ```text
//! gates = norm_ih(W_ih x) + b_ih + norm_hh(W_hh h) + b_hh
//! ```
//!
//! and what it makes of the gates distinguishes [`CellKind`]s. The norms are those of
//! [`CellNorm`], as their authors put them; without them, equations, parameters and their
//! names are PyTorch's.
//!
//! Sequences come packed ([`Lengths`]). Inside they are sorted by length and laid out
//! step by step, so that the rows of the sequences that are not over at a step lie side
//! by side, and nothing is computed for those that are. So each step's statistics are
//! those of the sequences that reach it.

mod cell;
mod from_state;
mod gru;
mod lstm;
mod lstm_sequence;
mod model;
mod schedule;
mod step_norm;

use std::fmt;

use rand::Rng;
use tape::{Real, Var};

use crate::lengths::Lengths;
use crate::module::{Layer, Mode, Module, Probe, Visitor, name_params};
use cell::Cell;
pub use model::{RecurrentLm, RecurrentLmSpec};
use schedule::Schedule;

/// What a cell makes of its gates.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CellKind {
    /// `h' = tanh(gates)` (Elman, 1990).
    Rnn,
    /// A reset gate, an update gate and a candidate: `h' = (1 − z) n + z h` (Cho et al.,
    /// 2014).
    Gru,
    /// Input, forget and output gates around a state of its own: `c' = σ(f) c + σ(i)
    /// tanh(g)`, `h' = σ(o) tanh(c')` (Hochreiter & Schmidhuber, 1997).
    Lstm,
}

impl CellKind {
    /// How many vectors of the width of the state the gates are.
    fn gates(self) -> usize {
        match self {
            CellKind::Rnn => 1,
            CellKind::Gru => 3,
            CellKind::Lstm => 4,
        }
    }
}

impl fmt::Display for CellKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            CellKind::Rnn => "rnn",
            CellKind::Gru => "gru",
            CellKind::Lstm => "lstm",
        })
    }
}

/// The normalization inside a cell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CellNorm {
    /// None.
    None,
    /// Layer Norm, as in Ba, Kiros & Hinton (2016): of `W_ih x` and of `W_hh h`, each over
    /// all its gates together, and of the LSTM's `c'` on its way to the output. In a GRU
    /// the candidate is normalized apart from the two gates; in an RNN it is the sum that
    /// is normalized. The cell's biases are the shifts of the norms.
    Layer,
    /// Batch Norm, as in Cooijmans et al. (2017), at the same places, with statistics for
    /// each step of time; those of the last step serve all that come after it.
    Batch {
        /// How many steps have statistics of their own. 1: all steps share them.
        steps: usize,
    },
}

impl fmt::Display for CellNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            CellNorm::None => "none",
            CellNorm::Layer => "layer",
            CellNorm::Batch { .. } => "batch",
        })
    }
}

/// What a recurrent network is made of.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RecurrentSpec {
    /// Which cell.
    pub kind: CellKind,
    /// I, the features of an input.
    pub inputs: usize,
    /// H, the features of the state.
    pub hidden: usize,
    /// How many cells stand on each other.
    pub layers: usize,
    /// What is normalized inside of each.
    pub norm: CellNorm,
}

impl RecurrentSpec {
    /// One layer of cells without a norm.
    pub fn new(kind: CellKind, inputs: usize, hidden: usize) -> Self {
        RecurrentSpec {
            kind,
            inputs,
            hidden,
            layers: 1,
            norm: CellNorm::None,
        }
    }

    /// With this many cells on each other: each takes the states of the one below.
    pub fn layers(mut self, layers: usize) -> Self {
        self.layers = layers;
        self
    }

    /// With a norm inside of each cell.
    pub fn norm(mut self, norm: CellNorm) -> Self {
        self.norm = norm;
        self
    }

    /// Draws the weights as PyTorch draws them: all uniform on `±1/√H`. The scales of
    /// Layer Norm start at 1, those of Batch Norm at 0.1.
    ///
    /// # Panics
    /// If a count is 0.
    #[track_caller]
    pub fn build<T: Real>(&self, rng: &mut impl Rng) -> Recurrent<T> {
        let steps = match self.norm {
            CellNorm::Batch { steps } => steps,
            _ => 1,
        };
        assert!(
            self.inputs > 0 && self.hidden > 0 && self.layers > 0 && steps > 0,
            "recurrent network: every count must be at least 1, got {self:?}"
        );
        let cells = (0..self.layers).map(|layer| {
            let inputs = if layer == 0 { self.inputs } else { self.hidden };
            Cell::new(self, inputs, rng)
        });
        let mut network = Recurrent {
            cells: cells.collect(),
        };
        name_params(&mut network);
        network
    }
}

/// A recurrent network, made by [`RecurrentSpec::build`]. Every sequence starts from a
/// state of zeros.
///
/// Its parameters are called as those of PyTorch's `RNN`, `GRU` and `LSTM`:
/// `weight_ih_l0` `[G H, I]`, `weight_hh_l0` `[G H, H]`, `bias_ih_l0` and `bias_hh_l0`
/// `[G H]`, `weight_ih_l1`, …, with G vectors of gates: 1, 3 (r, z, n) or 4 (i, f, g, o).
/// Norms add `norm_ih_l0.gamma` and `norm_hh_l0.gamma`, and `norm_c_l0.gamma` and
/// `bias_c_l0` in an LSTM.
#[derive(Debug)]
pub struct Recurrent<T: Real> {
    cells: Vec<Cell<T>>,
}

impl<T: Real> Recurrent<T> {
    /// H, the features of the state.
    pub fn hidden(&self) -> usize {
        self.cells[0].hidden()
    }

    /// The states of the upper cell at every step, packed `[M, H]`, for packed inputs
    /// `[M, I]`. Shows, for every cell and step, what came from the last state, as
    /// `l0.step3.hh`, and the new state, as `l0.step3.h`; of an LSTM without a norm, whose
    /// steps are one op, the states of all steps, in order of time, as `l0.h`.
    ///
    /// # Panics
    /// If the shape does not go with the lengths and the weights, or Batch Norm trains on
    /// a single sequence.
    #[track_caller]
    pub fn forward_packed<'t>(
        &mut self,
        x: &Var<'t, T>,
        lengths: &Lengths,
        mode: Mode,
        probe: &mut Probe<'_, T>,
    ) -> Var<'t, T> {
        let (shape, weight) = (x.shape(), self.cells[0].weight_ih.value().shape());
        assert!(
            **shape == [lengths.rows(), weight[1]],
            "recurrent network: x of shape {shape} does not go with weight_ih_l0 of shape \
             {weight} and sequences of lengths {:?}: [{}, {}] is needed",
            lengths.each(),
            lengths.rows(),
            weight[1]
        );
        let schedule = Schedule::new(lengths);
        let mut x = x.index_select(0, &schedule.to_steps);
        for (layer, cell) in self.cells.iter_mut().enumerate() {
            x = cell.forward(&x, &schedule, mode, &mut |name, value| {
                probe(&format_args!("l{layer}.{name}"), value);
            });
        }
        x.index_select(0, &schedule.to_sequences)
    }

    /// Of packed states `[M, H]`, those at the end of each sequence, `[B, H]`.
    ///
    /// # Panics
    /// If there are not M rows.
    #[track_caller]
    pub fn last<'t>(states: &Var<'t, T>, lengths: &Lengths) -> Var<'t, T> {
        let shape = states.shape();
        assert!(
            !shape.is_empty() && shape[0] == lengths.rows(),
            "last: states of shape {shape} do not go with sequences of lengths {:?}, which \
             together have {} steps",
            lengths.each(),
            lengths.rows()
        );
        let mut end = 0;
        let ends: Vec<usize> = lengths
            .each()
            .iter()
            .map(|n| (end += n, end - 1).1)
            .collect();
        states.index_select(0, &ends)
    }
}

impl<T: Real> Module<T> for Recurrent<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        for (layer, cell) in self.cells.iter_mut().enumerate() {
            cell.visit(layer, v);
        }
    }
}

impl<T: Real> Layer<T> for Recurrent<T> {
    /// The states, `[B, T, H]`, for sequences of equal length `[B, T, I]`.
    #[track_caller]
    fn forward<'t>(&mut self, x: &Var<'t, T>, mode: Mode) -> Var<'t, T> {
        self.forward_probed(x, mode, &mut |_, _| {})
    }

    #[track_caller]
    fn forward_probed<'t>(
        &mut self,
        x: &Var<'t, T>,
        mode: Mode,
        probe: &mut Probe<'_, T>,
    ) -> Var<'t, T> {
        let (shape, weight) = (x.shape(), self.cells[0].weight_ih.value().shape());
        assert!(
            shape.len() == 3 && shape[2] == weight[1],
            "recurrent network: x of shape {shape} does not go with weight_ih_l0 of shape \
             {weight}: [B, T, {}] is needed",
            weight[1]
        );
        let lengths = Lengths::full(shape[0], shape[1]);
        let states = self.forward_packed(&lengths.pack(x), &lengths, mode, probe);
        lengths.unpack(&states)
    }
}

#[cfg(test)]
mod tests;

//! What a recurrent network is made of.

use std::fmt;

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
    pub(super) fn gates(self) -> usize {
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
}

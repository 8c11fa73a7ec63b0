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

mod from_state;
mod gru;
mod lstm;
mod model;
mod step_norm;

use std::fmt;
use std::ops::Range;

use layernorm::layer_norm;
use rand::Rng;
use tape::{InputGrads, Param, Real, Tensor, Var};

use crate::init::Draw;
use crate::lengths::Lengths;
use crate::linear::linear;
use crate::module::{Layer, Mode, Module, Probe, Visitor, name_params};
use from_state::FromState;
use gru::gru_cell;
use lstm::{lstm_output, lstm_state};
pub use model::{RecurrentLm, RecurrentLmSpec};
use step_norm::StepBatchNorm;

const EPS: f64 = 1e-5;

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
    /// `l0.step3.hh`, and the new state, as `l0.step3.h`.
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
            v.param(format_args!("weight_ih_l{layer}"), &mut cell.weight_ih);
            v.param(format_args!("weight_hh_l{layer}"), &mut cell.weight_hh);
            v.param(format_args!("bias_ih_l{layer}"), &mut cell.bias_ih);
            v.param(format_args!("bias_hh_l{layer}"), &mut cell.bias_hh);
            let mut norm = |name: &str, norm: &mut StepNorm<T>| match norm {
                StepNorm::None => {}
                StepNorm::Layer(gamma) => {
                    v.param(format_args!("norm_{name}_l{layer}.gamma"), gamma)
                }
                StepNorm::Batch(norm) => v.child(format_args!("norm_{name}_l{layer}"), norm),
            };
            norm("ih", &mut cell.norm_ih);
            norm("hh", &mut cell.norm_hh);
            norm("c", &mut cell.norm_c);
            if let Some(bias) = &mut cell.bias_c {
                v.param(format_args!("bias_c_l{layer}"), bias);
            }
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

// ANCHOR: schedule
/// Where the steps of the sequences lie: sorted by length, step after step.
struct Schedule {
    /// The row of each step among the packed rows, in order of time.
    to_steps: Vec<usize>,
    /// The inverse.
    to_sequences: Vec<usize>,
    /// The rows of each step.
    steps: Vec<Rows>,
    /// Whether there is one sequence only.
    alone: bool,
}

impl Schedule {
    fn new(lengths: &Lengths) -> Self {
        let mut start = 0;
        let mut sequences: Vec<(usize, usize)> = lengths
            .each()
            .iter()
            .map(|&length| (length, (start += length, start - length).1))
            .collect();
        sequences.sort_by_key(|&(length, _)| std::cmp::Reverse(length));
        let mut to_steps = Vec::with_capacity(lengths.rows());
        let mut steps = Vec::with_capacity(lengths.steps());
        for t in 0..lengths.steps() {
            let start = to_steps.len();
            let running = sequences.iter().take_while(|&&(length, _)| length > t);
            to_steps.extend(running.map(|&(_, start)| start + t));
            let count = to_steps.len() - start;
            steps.push(Rows { start, count });
        }
        let mut to_sequences = vec![0; to_steps.len()];
        for (step, &row) in to_steps.iter().enumerate() {
            to_sequences[row] = step;
        }
        Schedule {
            to_steps,
            to_sequences,
            steps,
            alone: lengths.batch() == 1,
        }
    }
}
// ANCHOR_END: schedule

/// Consecutive rows of what came from the inputs: those of one step.
#[derive(Clone, Copy, Debug)]
struct Rows {
    start: usize,
    count: usize,
}

impl Rows {
    fn range(self) -> Range<usize> {
        self.start..self.start + self.count
    }

    fn of<T>(self, data: &[T], width: usize) -> &[T] {
        &data[self.start * width..][..self.count * width]
    }

    /// The width H of the state, after a look at the shapes.
    #[track_caller]
    fn check<T: Real>(
        self,
        op: &str,
        gates: usize,
        gates_x: &Var<'_, T>,
        gates_h: &Var<'_, T>,
        state: &Var<'_, T>,
    ) -> usize {
        let (xs, hs, ss) = (gates_x.shape(), gates_h.shape(), state.shape());
        assert!(
            ss.len() == 2
                && ss[0] == self.count
                && hs[..] == [self.count, gates * ss[1]]
                && xs.len() == 2
                && xs[1] == hs[1]
                && self.range().end <= xs[0],
            "{op}: rows {:?} of gates of shape {xs}, gates of shape {hs} and a state of shape {ss} \
             do not go together: [M, {gates} H], [n, {gates} H] and [n, H] are needed",
            self.range()
        );
        ss[1]
    }

    /// Adds gradients of the gates `parts`, of `gates` all together, to both sides.
    fn add_gates<T: Real>(
        self,
        dx: &mut InputGrads<'_, T>,
        grads: &[T],
        h: usize,
        gates: usize,
        parts: Range<usize>,
    ) {
        self.add_x(dx, grads, h, gates, parts.clone());
        let here = Rows { start: 0, ..self };
        here.add_to(dx, 1, grads, h, gates, parts);
    }

    /// Adds them to the side of the inputs.
    fn add_x<T: Real>(
        self,
        dx: &mut InputGrads<'_, T>,
        grads: &[T],
        h: usize,
        gates: usize,
        parts: Range<usize>,
    ) {
        self.add_to(dx, 0, grads, h, gates, parts);
    }

    fn add_to<T: Real>(
        self,
        dx: &mut InputGrads<'_, T>,
        input: usize,
        grads: &[T],
        h: usize,
        gates: usize,
        parts: Range<usize>,
    ) {
        dx.write(input, |beta, out| {
            if beta == T::ZERO {
                out.fill(T::ZERO);
            }
            let rows = &mut out[self.start * gates * h..][..self.count * gates * h];
            let rows = rows.chunks_exact_mut(gates * h);
            for (row, grad) in rows.zip(grads.chunks_exact(parts.len() * h)) {
                for (sum, &grad) in row[parts.start * h..parts.end * h].iter_mut().zip(grad) {
                    *sum += grad;
                }
            }
        });
    }
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exp())
}

/// A norm at one place of a cell; its shift is a bias of the cell.
#[derive(Debug)]
enum StepNorm<T: Real> {
    None,
    Layer(Param<T>),
    Batch(StepBatchNorm<T>),
}

impl<T: Real> StepNorm<T> {
    fn new(norm: CellNorm, width: usize) -> Self {
        match norm {
            CellNorm::None => StepNorm::None,
            CellNorm::Layer => StepNorm::Layer(Param::new("gamma", Tensor::ones([width]))),
            CellNorm::Batch { steps } => StepNorm::Batch(StepBatchNorm::new(width, steps)),
        }
    }
}

/// When a step is computed.
#[derive(Clone, Copy)]
struct Moment {
    step: usize,
    mode: Mode,
    alone: bool,
}

/// One layer of a recurrent network.
#[derive(Debug)]
struct Cell<T: Real> {
    kind: CellKind,
    weight_ih: Param<T>,
    weight_hh: Param<T>,
    bias_ih: Param<T>,
    bias_hh: Param<T>,
    norm_ih: StepNorm<T>,
    norm_hh: StepNorm<T>,
    norm_c: StepNorm<T>,
    bias_c: Option<Param<T>>,
}

impl<T: Real> Cell<T> {
    fn new(spec: &RecurrentSpec, inputs: usize, rng: &mut impl Rng) -> Self {
        let (h, width) = (spec.hidden, spec.kind.gates() * spec.hidden);
        // Uniform on ±1/√H, whose deviation is that over √3.
        let deviation = (1.0 / (3.0 * h as f64)).sqrt();
        let mut draw = |name: &str, shape: &[usize]| {
            Param::new(name, Draw::Uniform.sample(shape, deviation, rng))
        };
        let normed_sum = spec.kind == CellKind::Rnn && spec.norm == CellNorm::Layer;
        let normed_c = spec.kind == CellKind::Lstm && spec.norm != CellNorm::None;
        let on =
            |on: bool, width| StepNorm::new(if on { spec.norm } else { CellNorm::None }, width);
        Cell {
            kind: spec.kind,
            weight_ih: draw("weight_ih", &[width, inputs]),
            weight_hh: draw("weight_hh", &[width, h]),
            bias_ih: draw("bias_ih", &[width]),
            bias_hh: draw("bias_hh", &[width]),
            norm_ih: on(!normed_sum, width),
            norm_hh: on(true, width),
            norm_c: on(normed_c, h),
            bias_c: normed_c.then(|| Param::new("bias_c", Tensor::zeros([h]))),
        }
    }

    fn hidden(&self) -> usize {
        self.weight_hh.value().shape()[1]
    }

    /// The states at all steps, for inputs at all steps, both in order of time.
    fn forward<'t>(
        &mut self,
        x: &Var<'t, T>,
        schedule: &Schedule,
        mode: Mode,
        probe: &mut Probe<'_, T>,
    ) -> Var<'t, T> {
        let tape = x.tape();
        let (kind, h) = (self.kind, self.hidden());
        let [w_ih, w_hh, b_ih, b_hh] = [
            &self.weight_ih,
            &self.weight_hh,
            &self.bias_ih,
            &self.bias_hh,
        ]
        .map(|p| tape.param(p));
        let normed_sum = kind == CellKind::Rnn && matches!(self.norm_hh, StepNorm::Layer(_));
        let b_c = self.bias_c.as_ref().map(|bias| tape.param(bias));
        let moments = schedule.steps.iter().enumerate().map(|(step, &rows)| {
            let alone = schedule.alone;
            (rows, Moment { step, mode, alone })
        });

        // What comes from the inputs is made for all steps at once.
        let gates_x = match &mut self.norm_ih {
            StepNorm::None => linear(x, &w_ih, Some(&b_ih)),
            StepNorm::Layer(gamma) => {
                layer_norm_gates(kind, &linear(x, &w_ih, None), &tape.param(gamma), &b_ih)
            }
            StepNorm::Batch(norm) => {
                let raw = linear(x, &w_ih, None);
                let steps = moments.clone().map(|(rows, at)| {
                    let raw = raw.slice(0, rows.range());
                    norm.forward(&raw, &b_ih, at.step, at.mode, at.alone)
                });
                Var::concat(&steps.collect::<Vec<_>>(), 0)
            }
        };

        // ANCHOR: steps
        let plain = matches!(self.norm_hh, StepNorm::None);
        let from_state = FromState::new(&w_hh, plain.then_some(&b_hh));
        let zeros = || tape.constant(Tensor::zeros([schedule.steps[0].count, h]));
        let (mut state, mut memory) = (zeros(), zeros());
        let mut states = Vec::with_capacity(schedule.steps.len());
        for (rows, at) in moments {
            if state.shape()[0] > rows.count {
                // The shortest sequences are over; they stand last.
                state = state.slice(0, 0..rows.count);
                if kind == CellKind::Lstm {
                    memory = memory.slice(0, 0..rows.count);
                }
            }
            let raw = from_state.at_step(&state);
            let gates_h = match &mut self.norm_hh {
                StepNorm::None => raw,
                StepNorm::Layer(_) if normed_sum => raw,
                StepNorm::Layer(gamma) => layer_norm_gates(kind, &raw, &tape.param(gamma), &b_hh),
                StepNorm::Batch(norm) => norm.forward(&raw, &b_hh, at.step, at.mode, at.alone),
            };
            let step = at.step;
            probe(&format_args!("step{step}.hh"), &gates_h);
            state = match kind {
                CellKind::Rnn => {
                    let sum = gates_x.slice(0, rows.range()) + gates_h;
                    match &self.norm_hh {
                        StepNorm::Layer(gamma) => layer_norm(&sum, &tape.param(gamma), &b_hh, EPS),
                        _ => sum,
                    }
                    .tanh()
                }
                CellKind::Gru => gru_cell(&gates_x, rows, &gates_h, &state),
                CellKind::Lstm => {
                    memory = lstm_state(&gates_x, rows, &gates_h, &memory);
                    let shown = match (&mut self.norm_c, &b_c) {
                        (StepNorm::Layer(gamma), Some(b)) => {
                            layer_norm(&memory, &tape.param(gamma), b, EPS)
                        }
                        (StepNorm::Batch(norm), Some(b)) => {
                            norm.forward(&memory, b, at.step, at.mode, at.alone)
                        }
                        _ => memory.clone(),
                    };
                    lstm_output(&gates_x, rows, &gates_h, &shown)
                }
            };
            probe(&format_args!("step{step}.h"), &state);
            states.push(state.clone());
        }
        Var::concat(&states, 0)
        // ANCHOR_END: steps
    }
}

// ANCHOR: gates
/// Layer Norm of the gates `[n, G H]`: over all together, but in a GRU the candidate apart
/// from the two gates.
fn layer_norm_gates<'t, T: Real>(
    kind: CellKind,
    raw: &Var<'t, T>,
    gamma: &Var<'t, T>,
    beta: &Var<'t, T>,
) -> Var<'t, T> {
    if kind != CellKind::Gru {
        return layer_norm(raw, gamma, beta, EPS);
    }
    let h = raw.shape()[1] / 3;
    let parts = [0..2 * h, 2 * h..3 * h].map(|part| {
        let [gamma, beta] = [gamma, beta].map(|v| v.slice(0, part.clone()));
        layer_norm(&raw.slice(1, part), &gamma, &beta, EPS)
    });
    Var::concat(&parts, 1)
}
// ANCHOR_END: gates

#[cfg(test)]
mod tests;

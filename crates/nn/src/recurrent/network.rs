//! Cells on each other.

use rand::Rng;
use tape::{Real, Var};

use super::cell::Cell;
use super::schedule::Schedule;
use super::spec::{CellNorm, RecurrentSpec};
use crate::layer::Layer;
use crate::lengths::Lengths;
use crate::module::{Module, Visitor, name_params};
use crate::pass::Pass;

impl RecurrentSpec {
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
/// state of zeros, if no other is given.
///
/// Its parameters are called as those of PyTorch's `RNN`, `GRU` and `LSTM`:
/// `weight_ih_l0` `[G H, I]`, `weight_hh_l0` `[G H, H]`, `bias_ih_l0` and `bias_hh_l0`
/// `[G H]`, `weight_ih_l1`, …, with G vectors of gates: 1, 3 (r, z, n) or 4 (i, f, g, o).
/// Norms add `norm_ih_l0.gamma` and `norm_hh_l0.gamma`, and `norm_c_l0.gamma` and
/// `bias_c_l0` in an LSTM.
#[derive(Debug)]
pub struct Recurrent<T: Real> {
    pub(super) cells: Vec<Cell<T>>,
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
        &self,
        x: &Var<'t, T>,
        lengths: &Lengths,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        self.forward_from(x, None, lengths, pass)
    }

    /// The same from another state than zeros: `start`, `[B, H]`, holds a row for each
    /// sequence, from which every cell begins. The memory of an LSTM begins with zeros all the
    /// same.
    ///
    /// # Panics
    /// As [`Recurrent::forward_packed`], or if `start` does not go with the lengths and the
    /// weights.
    #[track_caller]
    pub fn forward_from<'t>(
        &self,
        x: &Var<'t, T>,
        start: Option<&Var<'t, T>>,
        lengths: &Lengths,
        pass: &mut Pass<'_, T>,
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
        let (batch, hidden) = (lengths.batch(), self.hidden());
        if let Some(start) = start {
            assert!(
                **start.shape() == [batch, hidden],
                "recurrent network: a start of shape {} does not go with {batch} sequences and \
                 states of {hidden} features: [{batch}, {hidden}] is needed",
                start.shape()
            );
        }
        let schedule = Schedule::new(lengths);
        let start = start.map(|start| start.index_select(0, &schedule.order));
        let mut x = x.index_select(0, &schedule.to_steps);
        for (layer, cell) in self.cells.iter().enumerate() {
            let pass = &mut pass.within(format_args!("l{layer}"));
            x = cell.forward(&x, start.as_ref(), &schedule, pass);
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
    fn forward<'t>(&self, x: &Var<'t, T>, pass: &mut Pass<'_, T>) -> Var<'t, T> {
        let (shape, weight) = (x.shape(), self.cells[0].weight_ih.value().shape());
        assert!(
            shape.len() == 3 && shape[2] == weight[1],
            "recurrent network: x of shape {shape} does not go with weight_ih_l0 of shape \
             {weight}: [B, T, {}] is needed",
            weight[1]
        );
        let lengths = Lengths::full(shape[0], shape[1]);
        let states = self.forward_packed(&lengths.pack(x), &lengths, pass);
        lengths.unpack(&states)
    }
}

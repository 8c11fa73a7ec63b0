//! One layer of a recurrent network: the parameters of a cell and its steps.

use layernorm::layer_norm;
use rand::Rng;
use tape::{Param, Real, Tensor, Var};

use super::from_state::FromState;
use super::gru::gru_cell;
use super::lstm::{lstm_output, lstm_state};
use super::lstm_sequence::lstm_sequence;
use super::schedule::Schedule;
use super::spec::{CellKind, CellNorm, RecurrentSpec};
use super::step_norm::StepBatchNorm;
use crate::init::Draw;
use crate::linear::linear;
use crate::module::Visitor;
use crate::pass::Pass;

const EPS: f64 = 1e-5;

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

/// One layer of a recurrent network.
#[derive(Debug)]
pub(super) struct Cell<T: Real> {
    kind: CellKind,
    pub(super) weight_ih: Param<T>,
    pub(super) weight_hh: Param<T>,
    pub(super) bias_ih: Param<T>,
    pub(super) bias_hh: Param<T>,
    norm_ih: StepNorm<T>,
    norm_hh: StepNorm<T>,
    norm_c: StepNorm<T>,
    bias_c: Option<Param<T>>,
}

impl<T: Real> Cell<T> {
    pub(super) fn new(spec: &RecurrentSpec, inputs: usize, rng: &mut impl Rng) -> Self {
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

    pub(super) fn hidden(&self) -> usize {
        self.weight_hh.value().shape()[1]
    }

    /// Visits what belongs to it, as the cell of this layer.
    pub(super) fn visit(&mut self, layer: usize, v: &mut Visitor<'_, T>) {
        v.param(format_args!("weight_ih_l{layer}"), &mut self.weight_ih);
        v.param(format_args!("weight_hh_l{layer}"), &mut self.weight_hh);
        v.param(format_args!("bias_ih_l{layer}"), &mut self.bias_ih);
        v.param(format_args!("bias_hh_l{layer}"), &mut self.bias_hh);
        let mut norm = |name: &str, norm: &mut StepNorm<T>| match norm {
            StepNorm::None => {}
            StepNorm::Layer(gamma) => v.param(format_args!("norm_{name}_l{layer}.gamma"), gamma),
            StepNorm::Batch(norm) => v.child(format_args!("norm_{name}_l{layer}"), norm),
        };
        norm("ih", &mut self.norm_ih);
        norm("hh", &mut self.norm_hh);
        norm("c", &mut self.norm_c);
        if let Some(bias) = &mut self.bias_c {
            v.param(format_args!("bias_c_l{layer}"), bias);
        }
    }

    /// The states at all steps, for inputs at all steps, both in order of time, from `start`
    /// `[B, H]`, with rows as at the first step, or from zeros.
    pub(super) fn forward<'t>(
        &self,
        x: &Var<'t, T>,
        start: Option<&Var<'t, T>>,
        schedule: &Schedule,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let gates_x = self.gates_from_inputs(x, schedule, pass);
        let plain = matches!(self.norm_hh, StepNorm::None);
        if self.kind == CellKind::Lstm && plain && start.is_none() {
            let [w, b] = [&self.weight_hh, &self.bias_hh].map(|p| x.tape().param(p));
            let states = lstm_sequence(&gates_x, &w, &b, &schedule.steps);
            pass.show("h", &states);
            return states;
        }
        self.step_by_step(&gates_x, start, schedule, pass)
    }

    /// What comes from the inputs, which can be made for all steps at once.
    pub(super) fn gates_from_inputs<'t>(
        &self,
        x: &Var<'t, T>,
        schedule: &Schedule,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let tape = x.tape();
        let [w, b] = [&self.weight_ih, &self.bias_ih].map(|p| tape.param(p));
        match &self.norm_ih {
            StepNorm::None => linear(x, &w, Some(&b)),
            StepNorm::Layer(gamma) => {
                layer_norm_gates(self.kind, &linear(x, &w, None), &tape.param(gamma), &b)
            }
            StepNorm::Batch(norm) => {
                let raw = linear(x, &w, None);
                let steps = schedule.steps.iter().enumerate().map(|(step, rows)| {
                    let raw = raw.slice(0, rows.range());
                    norm.forward(&raw, &b, step, schedule.alone, pass)
                });
                Var::concat(&steps.collect::<Vec<_>>(), 0)
            }
        }
    }

    /// The states at all steps, one after the other.
    pub(super) fn step_by_step<'t>(
        &self,
        gates_x: &Var<'t, T>,
        start: Option<&Var<'t, T>>,
        schedule: &Schedule,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let tape = gates_x.tape();
        let (kind, h) = (self.kind, self.hidden());
        let [w_hh, b_hh] = [&self.weight_hh, &self.bias_hh].map(|p| tape.param(p));
        let normed_sum = kind == CellKind::Rnn && matches!(self.norm_hh, StepNorm::Layer(_));
        let b_c = self.bias_c.as_ref().map(|bias| tape.param(bias));

        let plain = matches!(self.norm_hh, StepNorm::None);
        let from_state = FromState::new(&w_hh, plain.then_some(&b_hh));
        let zeros = || tape.constant(Tensor::zeros([schedule.steps[0].count, h]));
        let (mut state, mut memory) = (start.cloned().unwrap_or_else(zeros), zeros());
        let mut states = Vec::with_capacity(schedule.steps.len());
        for (step, &rows) in schedule.steps.iter().enumerate() {
            if state.shape()[0] > rows.count {
                // The shortest sequences are over; they stand last.
                state = state.slice(0, 0..rows.count);
                if kind == CellKind::Lstm {
                    memory = memory.slice(0, 0..rows.count);
                }
            }
            let raw = from_state.at_step(&state);
            let gates_h = match &self.norm_hh {
                StepNorm::None => raw,
                StepNorm::Layer(_) if normed_sum => raw,
                StepNorm::Layer(gamma) => layer_norm_gates(kind, &raw, &tape.param(gamma), &b_hh),
                StepNorm::Batch(norm) => norm.forward(&raw, &b_hh, step, schedule.alone, pass),
            };
            pass.show(format_args!("step{step}.hh"), &gates_h);
            state = match kind {
                CellKind::Rnn => {
                    let sum = gates_x.slice(0, rows.range()) + gates_h;
                    match &self.norm_hh {
                        StepNorm::Layer(gamma) => layer_norm(&sum, &tape.param(gamma), &b_hh, EPS),
                        _ => sum,
                    }
                    .tanh()
                }
                CellKind::Gru => gru_cell(gates_x, rows, &gates_h, &state),
                CellKind::Lstm => {
                    memory = lstm_state(gates_x, rows, &gates_h, &memory);
                    let shown = match (&self.norm_c, &b_c) {
                        (StepNorm::Layer(gamma), Some(b)) => {
                            layer_norm(&memory, &tape.param(gamma), b, EPS)
                        }
                        (StepNorm::Batch(norm), Some(b)) => {
                            norm.forward(&memory, b, step, schedule.alone, pass)
                        }
                        _ => memory.clone(),
                    };
                    lstm_output(gates_x, rows, &gates_h, &shown)
                }
            };
            pass.show(format_args!("step{step}.h"), &state);
            states.push(state.clone());
        }
        Var::concat(&states, 0)
    }
}

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

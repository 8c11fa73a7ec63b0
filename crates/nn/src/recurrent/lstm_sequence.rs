//! All steps of an LSTM without a norm, as one op.
//!
//! The equations are those of `lstm`. A norm may mix the sequences of a batch; without one
//! no sequence sees another. So each thread takes some of the sequences through all steps,
//! forward and backward, and waits for no other. And what the steps have in common is done
//! once:
//!
//! - A step's gates are made where they stay. The product with the last state is added to
//!   what came from the input, and backward their gradients take their place.
//! - `dW = Σ daᵀ h` is a single product, over the rows of all steps.

use std::ops::Range;

use tape::gemm::{Matrix, gemm};
use tape::parallel::{self, split_mut};
use tape::{Backward, InputGrads, Real, Tensor, Var};

use super::lstm::{gates, output, output_backward, state, state_backward};
use super::schedule::Rows;
use crate::linear::{add_rows, add_to};

/// `h'` of all steps, `[M, H]`, from what came from the inputs, `gates_x` `[M, 4 H]`, and
/// the weights `w` `[4 H, H]` and `bias` `[4 H]` of the last state.
pub(super) fn lstm_sequence<'t, T: Real>(
    gates_x: &Var<'t, T>,
    w: &Var<'t, T>,
    bias: &Var<'t, T>,
    steps: &[Rows],
) -> Var<'t, T> {
    let (rows, h) = (gates_x.shape()[0], w.shape()[1]);
    let (x, bias_row) = (gates_x.value().data(), bias.value().data());
    // Each thread multiplies by Wᵀ at every step. Its rows are read faster than columns of W.
    let tape = gates_x.tape();
    let transposed = tape.constant(w.value().clone()).transpose(0, 1);
    let weights = Matrix::new(transposed.value().data(), h, 4 * h);

    let mut acts = Tensor::scratch([rows, 4 * h]);
    let [mut c, mut tanh, mut y] = [(); 3].map(|()| Tensor::scratch([rows, h]));
    let parts = parts(steps, acts.len());
    let work = parts
        .iter()
        .zip(by_step(acts.data_mut(), 4 * h, &parts))
        .zip(by_step(c.data_mut(), h, &parts))
        .zip(by_step(tanh.data_mut(), h, &parts))
        .zip(by_step(y.data_mut(), h, &parts))
        .collect::<Vec<_>>();
    parallel::for_each(work, |((((part, mut acts), mut c), mut tanh), mut y)| {
        let start = Tensor::zeros([part[0].len(), h]);
        for (t, rows) in part.iter().enumerate() {
            let (acts, x) = (&mut *acts[t], &x[rows.start * 4 * h..rows.end * 4 * h]);
            for (acts, x) in acts.chunks_exact_mut(4 * h).zip(x.chunks_exact(4 * h)) {
                for ((a, &x), &b) in acts.iter_mut().zip(x).zip(bias_row) {
                    *a = x + b;
                }
            }
            let (c_before, c) = c.split_at_mut(t);
            let (y_before, y) = y.split_at_mut(t);
            if let Some(state) = y_before.last() {
                // The sequences that were over stood last.
                let state = &state[..rows.len() * h];
                gemm(Matrix::new(state, rows.len(), h), weights, T::ONE, acts);
            }
            let c_before = c_before.last().map_or(start.data(), |c| c);
            let to = c[0].chunks_exact_mut(h).zip(tanh[t].chunks_exact_mut(h));
            let to = to.zip(y[0].chunks_exact_mut(h));
            let from = acts.chunks_exact_mut(4 * h).zip(c_before.chunks_exact(h));
            for ((acts, c), ((next, tanh), y)) in from.zip(to) {
                let [i, f, g, o] = gates(acts);
                state(i, f, g, c, next);
                output(o, next, tanh, y);
            }
        }
    });
    let states = y.clone();
    tape.record(&[gates_x, w, bias], y, || LstmSequence {
        steps: steps.to_vec(),
        w: w.value().clone(),
        acts,
        c,
        tanh,
        states,
    })
}

/// Some of the sequences: their rows at each step.
type Part = Vec<Range<usize>>;

/// Cuts the sequences, which are sorted by length, into one part for each thread, with
/// about as many rows in each.
fn parts(steps: &[Rows], elements: usize) -> Vec<Part> {
    let sequences = steps[0].count;
    let length = |s| steps.partition_point(|step| step.count > s);
    let total: usize = steps.iter().map(|step| step.count).sum();
    let count = parallel::ranges(sequences, elements).len();
    let (mut end, mut rows) = (0, 0);
    let cut = |p| {
        let start = end;
        while end < sequences && rows * count < total * (p + 1) {
            rows += length(end);
            end += 1;
        }
        let rows = |step: &Rows| {
            let [from, to] = [start, end].map(|s| step.start + s.min(step.count));
            from..to
        };
        steps.iter().map(rows).collect()
    };
    (0..count).map(cut).collect()
}

/// The rows of each part, step by step, of an array of rows of this width.
fn by_step<'a, T>(data: &'a mut [T], width: usize, parts: &[Part]) -> Vec<Vec<&'a mut [T]>> {
    let steps = parts[0].len();
    let lengths = (0..steps).flat_map(|t| parts.iter().map(move |part| part[t].len() * width));
    let mut pieces = split_mut(data, lengths).into_iter();
    let mut out: Vec<_> = parts.iter().map(|_| Vec::with_capacity(steps)).collect();
    for _ in 0..steps {
        for (out, piece) in out.iter_mut().zip(&mut pieces) {
            out.push(piece);
        }
    }
    out
}

struct LstmSequence<T: Real> {
    steps: Vec<Rows>,
    w: Tensor<T>,
    /// σ(i), σ(f), tanh(g) and σ(o) side by side.
    acts: Tensor<T>,
    /// c'.
    c: Tensor<T>,
    /// tanh(c').
    tanh: Tensor<T>,
    /// h'.
    states: Tensor<T>,
}

impl<T: Real> LstmSequence<T> {
    // ANCHOR: gates_backward
    /// The gradients of the gates before their nonlinearities, in place of the
    /// activations.
    fn gates_backward(&mut self, dy: &Tensor<T>) {
        let h = self.w.shape()[1];
        let weights = Matrix::new(self.w.data(), 4 * h, h);
        let (dy, c, tanh) = (dy.data(), self.c.data(), self.tanh.data());
        let parts = parts(&self.steps, self.acts.len());
        let acts = by_step(self.acts.data_mut(), 4 * h, &parts);
        parallel::for_each(parts.iter().zip(acts).collect(), |(part, mut acts)| {
            // What the next step sends. It begins with nothing, for every sequence.
            let zeros = || Tensor::zeros([part[0].len(), h]);
            let (start, mut dh, mut dc) = (zeros(), zeros(), zeros());
            for (t, rows) in part.iter().enumerate().rev() {
                let here = rows.start * h..rows.end * h;
                let c_before = match t {
                    0 => start.data(),
                    _ => &c[part[t - 1].start * h..][..here.len()],
                };
                let acts = &mut *acts[t];
                let dh = &mut dh.data_mut()[..here.len()];
                let dc = &mut dc.data_mut()[..here.len()];
                add_to(dh, &dy[here.clone()]);
                let from = tanh[here].chunks_exact(h).zip(c_before.chunks_exact(h));
                let to = dh.chunks_exact_mut(h).zip(dc.chunks_exact_mut(h));
                let to = acts.chunks_exact_mut(4 * h).zip(to);
                for ((tanh, c), (acts, (dh, dc))) in from.zip(to) {
                    let [i, f, g, o] = gates(acts);
                    output_backward(o, tanh, dh);
                    add_to(dc, dh);
                    state_backward(i, f, g, c, dc);
                }
                if t > 0 {
                    gemm(Matrix::new(acts, rows.len(), 4 * h), weights, T::ZERO, dh);
                }
            }
        });
    }
    // ANCHOR_END: gates_backward

    /// The states before each step but the first, `[later, H]`: rows that go with the gates.
    fn states_before(&self) -> Tensor<T> {
        let h = self.w.shape()[1];
        let later = self.states.shape()[0] - self.steps[0].count;
        let mut before = Tensor::scratch([later, h]);
        let rows = self.steps[1..].iter().map(|step| step.count * h);
        let to = split_mut(before.data_mut(), rows);
        for (step, to) in self.steps.iter().zip(to) {
            to.copy_from_slice(&self.states.data()[step.start * h..][..to.len()]);
        }
        before
    }
}

impl<T: Real> Backward<T> for LstmSequence<T> {
    fn name(&self) -> &'static str {
        "lstm_sequence"
    }

    fn backward(mut self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        self.gates_backward(&dy);
        let (da, h) = (&self.acts, self.w.shape()[1]);
        dx.write(1, |beta, out| {
            let before = self.states_before();
            let later = before.shape()[0];
            let da = &da.data()[da.len() - later * 4 * h..];
            let da = Matrix::new(da, later, 4 * h);
            gemm(da.t(), Matrix::new(before.data(), later, h), beta, out);
        });
        dx.write(2, |beta, out| add_rows(da.data(), beta, out));
        dx.add(0, self.acts);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.w, &self.acts, &self.c, &self.tanh, &self.states]
    }
}

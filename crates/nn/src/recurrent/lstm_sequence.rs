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
use tape::parallel::{self, Split, interleaved};
use tape::{Backward, InputGrads, Real, Tensor, Var, vector};

use super::lstm::{gates, output, output_backward, set_sum, state, state_backward};
use super::schedule::Rows;
use crate::linear::add_rows;

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
    let parts = Parts::new(steps, acts.len());
    let gates_and_c = (
        parts.by_step(acts.data_mut(), 4 * h),
        parts.by_step(c.data_mut(), h),
    );
    let outputs = (
        parts.by_step(tanh.data_mut(), h),
        parts.by_step(y.data_mut(), h),
    );
    let buffers = (gates_and_c, outputs);
    parallel::for_each_item(parts.count(), usize::MAX, buffers, |p, buffers| {
        let ((mut acts, mut c), (mut tanh, mut y)) = buffers;
        let start = Tensor::zeros([parts.rows(0, p).len(), h]);
        for t in 0..steps.len() {
            let rows = parts.rows(t, p);
            let (acts, x) = (&mut *acts[t], &x[rows.start * 4 * h..rows.end * 4 * h]);
            for (acts, x) in acts.chunks_exact_mut(4 * h).zip(x.chunks_exact(4 * h)) {
                set_sum(acts, x, bias_row);
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

/// The sequences, which are sorted by length, cut into one part for each thread, with about
/// as many rows in each.
struct Parts<'a> {
    steps: &'a [Rows],
    /// The first sequence of each part, and at the end the number of all.
    first: Vec<usize>,
}

impl<'a> Parts<'a> {
    fn new(steps: &'a [Rows], elements: usize) -> Self {
        let sequences = steps[0].count;
        let length = |s| steps.partition_point(|step| step.count > s);
        let total: usize = steps.iter().map(|step| step.count).sum();
        let count = parallel::ranges(sequences, elements).len();
        let (mut first, mut end, mut rows) = (vec![0], 0, 0);
        for p in 1..=count {
            while end < sequences && rows * count < total * p {
                rows += length(end);
                end += 1;
            }
            first.push(end);
        }
        Parts { steps, first }
    }

    fn count(&self) -> usize {
        self.first.len() - 1
    }

    /// Where the rows of part `p` start at step `t`.
    fn start(&self, t: usize, p: usize) -> usize {
        let step = self.steps[t];
        step.start + self.first[p].min(step.count)
    }

    /// The rows of part `p` at step `t`.
    fn rows(&self, t: usize, p: usize) -> Range<usize> {
        self.start(t, p)..self.start(t, p + 1)
    }

    /// The rows of each part, step by step, of an array of rows of this width.
    fn by_step<'d, T: Send>(
        &self,
        data: &'d mut [T],
        width: usize,
    ) -> impl Split<Slices = Vec<&'d mut [T]>> {
        let start = move |t, p| self.start(t, p) * width;
        interleaved(data, self.steps.len(), self.count(), start)
    }
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
    /// The gradients of the gates before their nonlinearities, in place of the
    /// activations.
    fn gates_backward(&mut self, dy: &Tensor<T>) {
        let h = self.w.shape()[1];
        let weights = Matrix::new(self.w.data(), 4 * h, h);
        let (dy, c, tanh) = (dy.data(), self.c.data(), self.tanh.data());
        let parts = Parts::new(&self.steps, self.acts.len());
        let acts = parts.by_step(self.acts.data_mut(), 4 * h);
        parallel::for_each_item(parts.count(), usize::MAX, acts, |p, mut acts| {
            // What the next step sends. It begins with nothing, for every sequence.
            let zeros = || Tensor::zeros([parts.rows(0, p).len(), h]);
            let (start, mut dh, mut dc) = (zeros(), zeros(), zeros());
            for t in (0..acts.len()).rev() {
                let rows = parts.rows(t, p);
                let here = rows.start * h..rows.end * h;
                let c_before = match t {
                    0 => start.data(),
                    _ => &c[parts.start(t - 1, p) * h..][..here.len()],
                };
                let acts = &mut *acts[t];
                let dh = &mut dh.data_mut()[..here.len()];
                let dc = &mut dc.data_mut()[..here.len()];
                vector::add(dh, &dy[here.clone()]);
                let from = tanh[here].chunks_exact(h).zip(c_before.chunks_exact(h));
                let to = dh.chunks_exact_mut(h).zip(dc.chunks_exact_mut(h));
                let to = acts.chunks_exact_mut(4 * h).zip(to);
                for ((tanh, c), (acts, (dh, dc))) in from.zip(to) {
                    let [i, f, g, o] = gates(acts);
                    output_backward(o, tanh, dh);
                    vector::add(dc, dh);
                    state_backward(i, f, g, c, dc);
                }
                if t > 0 {
                    gemm(Matrix::new(acts, rows.len(), 4 * h), weights, T::ZERO, dh);
                }
            }
        });
    }

    /// The states before each step but the first, `[later, H]`: rows that go with the gates.
    fn states_before(&self) -> Tensor<T> {
        let h = self.w.shape()[1];
        let later = self.states.shape()[0] - self.steps[0].count;
        let mut before = Tensor::scratch([later, h]);
        let mut rest = before.data_mut();
        for pair in self.steps.windows(2) {
            let from = &self.states.data()[pair[0].start * h..][..pair[1].count * h];
            let to = rest.split_off_mut(..from.len()).expect("rows are left");
            to.copy_from_slice(from);
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

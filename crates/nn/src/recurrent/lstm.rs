//! The elementwise half of a step of an LSTM, as two ops:
//!
//! ```text
//! c' = σ(f) c + σ(i) tanh(g)         lstm_state
//! h' = σ(o) tanh(c')                 lstm_output
//! ```
//!
//! where `i`, `f`, `g`, `o`, in this order, are the gates: what came from the input plus
//! what came from the last state (Hochreiter & Schmidhuber, 1997; Gers et al., 2000). They
//! are two ops so that a norm can stand between `c'` and its tanh.
//!
//! Backward, with dh' and then dc' given:
//!
//! ```text
//! do = dh' tanh(c') σ(o) (1 − σ(o))      dc' = dh' σ(o) (1 − tanh(c')²)
//! df = dc' c σ(f) (1 − σ(f))             dc  = dc' σ(f)
//! di = dc' tanh(g) σ(i) (1 − σ(i))
//! dg = dc' σ(i) (1 − tanh(g)²)
//! ```
//!
//! What came from the input is one array for all steps, of which a step uses a range of
//! rows: no step copies its part, and gradients are added where they belong.
//!
//! The four row functions below are the equations. `lstm_sequence` uses them too.

use tape::{Backward, InputGrads, Real, Tensor, Var, vector};
use vectorized::vectorized;

use super::schedule::Rows;
use crate::activation::sigmoid;

/// `c'` of one row in `next`, from c and the gates i, f and g, which become σ(i),
/// σ(f) and tanh(g).
#[vectorized]
pub(super) fn state<T: Real>(i: &mut [T], f: &mut [T], g: &mut [T], c: &[T], next: &mut [T]) {
    let h = c.len();
    let (i, f, g, next) = (&mut i[..h], &mut f[..h], &mut g[..h], &mut next[..h]);
    for j in 0..h {
        i[j] = sigmoid(i[j]);
        f[j] = sigmoid(f[j]);
        g[j] = g[j].tanh();
        next[j] = f[j] * c[j] + i[j] * g[j];
    }
}

/// From `dc'` in `dc`: dc there, and di, df, dg in place of the activations.
#[vectorized]
pub(super) fn state_backward<T: Real>(
    i: &mut [T],
    f: &mut [T],
    g: &mut [T],
    c: &[T],
    dc: &mut [T],
) {
    let h = c.len();
    let (i, f, g, dc) = (&mut i[..h], &mut f[..h], &mut g[..h], &mut dc[..h]);
    for j in 0..h {
        let (ij, fj, gj, d) = (i[j], f[j], g[j], dc[j]);
        i[j] = d * gj * (ij * (T::ONE - ij));
        f[j] = d * c[j] * (fj * (T::ONE - fj));
        g[j] = d * ij * (T::ONE - gj * gj);
        dc[j] = d * fj;
    }
}

/// `h'` of one row in `y`, and `tanh(c')`, from `c'` and the gate o, which becomes
/// σ(o).
#[vectorized]
pub(super) fn output<T: Real>(o: &mut [T], c: &[T], tanh: &mut [T], y: &mut [T]) {
    let h = c.len();
    let (o, tanh, y) = (&mut o[..h], &mut tanh[..h], &mut y[..h]);
    for j in 0..h {
        o[j] = sigmoid(o[j]);
        tanh[j] = c[j].tanh();
        y[j] = o[j] * tanh[j];
    }
}

/// From `dh'` in `dh`: what it gives to `dc'` there, and do in place of σ(o).
#[vectorized]
pub(super) fn output_backward<T: Real>(o: &mut [T], tanh: &[T], dh: &mut [T]) {
    let h = tanh.len();
    let (o, dh) = (&mut o[..h], &mut dh[..h]);
    for j in 0..h {
        let (oj, d) = (o[j], dh[j]);
        o[j] = d * tanh[j] * (oj * (T::ONE - oj));
        dh[j] = d * oj * (T::ONE - tanh[j] * tanh[j]);
    }
}

/// The gates of one row, which lie side by side.
pub(super) fn gates<T, const N: usize>(row: &mut [T]) -> [&mut [T]; N] {
    let mut parts = row.chunks_exact_mut(row.len() / N);
    std::array::from_fn(|_| parts.next().expect("N parts make up a row"))
}

/// `out = a + b`, as far as `out` reaches.
pub(super) fn set_sum<T: Real>(out: &mut [T], a: &[T], b: &[T]) {
    vector::zip(out, a, b, |a, b| a + b);
}

/// `c'`, `[n, H]`, from the rows `rows` of `gates_x` `[M, 4 H]`, `gates_h` `[n, 4 H]` and
/// `c` `[n, H]`.
#[track_caller]
pub(super) fn lstm_state<'t, T: Real>(
    gates_x: &Var<'t, T>,
    rows: Rows,
    gates_h: &Var<'t, T>,
    c: &Var<'t, T>,
) -> Var<'t, T> {
    let h = rows.check("lstm_state", 4, gates_x, gates_h, c);
    let (mut next, mut acts) = (
        Tensor::scratch([rows.count, h]),
        Tensor::scratch([rows.count, 3 * h]),
    );
    let from = rows.of(gates_x.value().data(), 4 * h).chunks_exact(4 * h);
    let from = from.zip(gates_h.value().data().chunks_exact(4 * h));
    let to = next
        .data_mut()
        .chunks_exact_mut(h)
        .zip(acts.data_mut().chunks_exact_mut(3 * h));
    for (((x, from_state), c), (next, acts)) in from.zip(c.value().data().chunks_exact(h)).zip(to) {
        set_sum(acts, x, from_state);
        let [i, f, g] = gates(acts);
        state(i, f, g, c, next);
    }
    let tape = gates_x.tape();
    tape.record(&[gates_x, gates_h, c], next, || LstmState {
        rows,
        acts,
        c: c.value().clone(),
    })
}

struct LstmState<T: Real> {
    rows: Rows,
    /// σ(i), σ(f) and tanh(g) side by side.
    acts: Tensor<T>,
    c: Tensor<T>,
}

impl<T: Real> Backward<T> for LstmState<T> {
    fn name(&self) -> &'static str {
        "lstm_state"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let h = self.c.shape()[1];
        let (mut acts, mut dc) = (self.acts, dy);
        let given = dc.data_mut().chunks_exact_mut(h);
        let given = given.zip(self.c.data().chunks_exact(h));
        for (acts, (dc, c)) in acts.data_mut().chunks_exact_mut(3 * h).zip(given) {
            let [i, f, g] = gates(acts);
            state_backward(i, f, g, c, dc);
        }
        self.rows.add_gates(dx, acts.data(), h, 4, 0..3);
        dx.add(2, dc);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.acts, &self.c]
    }
}

/// `h'`, `[n, H]`, from the same gates and `c'` `[n, H]`, normalized or not.
#[track_caller]
pub(super) fn lstm_output<'t, T: Real>(
    gates_x: &Var<'t, T>,
    rows: Rows,
    gates_h: &Var<'t, T>,
    c: &Var<'t, T>,
) -> Var<'t, T> {
    let h = rows.check("lstm_output", 4, gates_x, gates_h, c);
    let shape = [rows.count, h];
    let [mut y, mut open, mut tanh] = [(); 3].map(|()| Tensor::scratch(shape));
    let from = rows.of(gates_x.value().data(), 4 * h).chunks_exact(4 * h);
    let from = from.zip(gates_h.value().data().chunks_exact(4 * h));
    let to = y
        .data_mut()
        .chunks_exact_mut(h)
        .zip(open.data_mut().chunks_exact_mut(h));
    let to = to.zip(tanh.data_mut().chunks_exact_mut(h));
    for (((x, from_state), c), ((y, o), tanh)) in from.zip(c.value().data().chunks_exact(h)).zip(to)
    {
        set_sum(o, &x[3 * h..], &from_state[3 * h..]);
        output(o, c, tanh, y);
    }
    let tape = gates_x.tape();
    tape.record(&[gates_x, gates_h, c], y, || LstmOutput {
        rows,
        open,
        tanh,
    })
}

struct LstmOutput<T: Real> {
    rows: Rows,
    /// σ(o).
    open: Tensor<T>,
    /// tanh(c').
    tanh: Tensor<T>,
}

impl<T: Real> Backward<T> for LstmOutput<T> {
    fn name(&self) -> &'static str {
        "lstm_output"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let h = self.open.shape()[1];
        let (mut gate, mut dc) = (self.open, dy);
        // Nothing here depends on where a row ends.
        output_backward(gate.data_mut(), self.tanh.data(), dc.data_mut());
        self.rows.add_gates(dx, gate.data(), h, 4, 3..4);
        dx.add(2, dc);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.open, &self.tanh]
    }
}

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

use tape::{Backward, InputGrads, Real, Tensor, Var};

use super::{Rows, sigmoid};

// ANCHOR: state
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
    for (((x, g), c), (next, acts)) in from.zip(c.value().data().chunks_exact(h)).zip(to) {
        let [xi, xf, xg, _] = parts(x, h);
        let [gi, gf, gg, _] = parts(g, h);
        let (ai, rest) = acts.split_at_mut(h);
        let (af, ag) = rest.split_at_mut(h);
        for j in 0..h {
            ai[j] = sigmoid(xi[j] + gi[j]);
            af[j] = sigmoid(xf[j] + gf[j]);
            ag[j] = (xg[j] + gg[j]).tanh();
            next[j] = af[j] * c[j] + ai[j] * ag[j];
        }
    }
    let tape = gates_x.tape();
    tape.record(&[gates_x, gates_h, c], next, || LstmState {
        rows,
        acts,
        c: c.value().clone(),
    })
}
// ANCHOR_END: state

/// The four gates of one row.
fn parts<T>(row: &[T], h: usize) -> [&[T]; 4] {
    [0, 1, 2, 3].map(|part| &row[part * h..][..h])
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

    // ANCHOR: state_backward
    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let h = self.c.shape()[1];
        let mut gates = self.acts;
        let rows = gates.data_mut().chunks_exact_mut(3 * h);
        let mut dc = dy;
        let given = dc
            .data_mut()
            .chunks_exact_mut(h)
            .zip(self.c.data().chunks_exact(h));
        for (acts, (dc, c)) in rows.zip(given) {
            let (ai, rest) = acts.split_at_mut(h);
            let (af, ag) = rest.split_at_mut(h);
            for j in 0..h {
                let (i, f, g, d) = (ai[j], af[j], ag[j], dc[j]);
                ai[j] = d * g * (i * (T::ONE - i));
                af[j] = d * c[j] * (f * (T::ONE - f));
                ag[j] = d * i * (T::ONE - g * g);
                dc[j] = d * f;
            }
        }
        self.rows.add_gates(dx, gates.data(), h, 4, 0..3);
        dx.add(2, dc);
    }
    // ANCHOR_END: state_backward

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.acts, &self.c]
    }
}

// ANCHOR: output
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
    for (((x, g), c), ((y, open), tanh)) in from.zip(c.value().data().chunks_exact(h)).zip(to) {
        let (x, g) = (&x[3 * h..][..h], &g[3 * h..][..h]);
        for j in 0..h {
            open[j] = sigmoid(x[j] + g[j]);
            tanh[j] = c[j].tanh();
            y[j] = open[j] * tanh[j];
        }
    }
    let tape = gates_x.tape();
    tape.record(&[gates_x, gates_h, c], y, || LstmOutput {
        rows,
        open,
        tanh,
    })
}
// ANCHOR_END: output

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

    // ANCHOR: output_backward
    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let h = self.open.shape()[1];
        let (mut gate, mut dc) = (self.open, dy);
        let each = gate.data_mut().iter_mut().zip(dc.data_mut());
        for ((gate, dc), &tanh) in each.zip(self.tanh.data()) {
            let (open, d) = (*gate, *dc);
            *gate = d * tanh * (open * (T::ONE - open));
            *dc = d * open * (T::ONE - tanh * tanh);
        }
        self.rows.add_gates(dx, gate.data(), h, 4, 3..4);
        dx.add(2, dc);
    }
    // ANCHOR_END: output_backward

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.open, &self.tanh]
    }
}

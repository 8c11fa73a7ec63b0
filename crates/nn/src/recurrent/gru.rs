//! The elementwise half of a step of a GRU, as one op (Cho et al., 2014, in PyTorch's
//! form):
//!
//! ```text
//! r = σ(xr + hr)      z = σ(xz + hz)      n = tanh(xn + r hn)
//! h' = (1 − z) n + z h
//! ```
//!
//! where `xr`, `xz`, `xn` came from the input and `hr`, `hz`, `hn` from the last state h.
//! Backward, with dh' given:
//!
//! ```text
//! dan = dh' (1 − z) (1 − n²)       into xn;  times r into hn
//! daz = dh' (h − n) z (1 − z)      into xz and hz
//! dar = dan hn r (1 − r)           into xr and hr
//! dh  = dh' z
//! ```

use tape::{Backward, InputGrads, Real, Tensor, Var};
use vectorized::vectorized;

use super::schedule::Rows;
use crate::activation::sigmoid;

/// `h'`, `[n, H]`, from the rows `rows` of `gates_x` `[M, 3 H]`, `gates_h` `[n, 3 H]` and
/// `h` `[n, H]`.
#[track_caller]
pub(super) fn gru_cell<'t, T: Real>(
    gates_x: &Var<'t, T>,
    rows: Rows,
    gates_h: &Var<'t, T>,
    state: &Var<'t, T>,
) -> Var<'t, T> {
    let h = rows.check("gru_cell", 3, gates_x, gates_h, state);
    let (mut y, mut acts) = (
        Tensor::scratch([rows.count, h]),
        Tensor::scratch([rows.count, 3 * h]),
    );
    let from = rows.of(gates_x.value().data(), 3 * h).chunks_exact(3 * h);
    let from = from.zip(gates_h.value().data().chunks_exact(3 * h));
    let to = y
        .data_mut()
        .chunks_exact_mut(h)
        .zip(acts.data_mut().chunks_exact_mut(3 * h));
    for (((x, g), state), (y, acts)) in from.zip(state.value().data().chunks_exact(h)).zip(to) {
        cell(x, g, state, acts, y);
    }
    let tape = gates_x.tape();
    tape.record(&[gates_x, gates_h, state], y, || GruCell {
        rows,
        acts,
        gates_h: gates_h.value().clone(),
        state: state.value().clone(),
    })
}

/// One row of `h'` in `y`, and r, z and n in `acts`.
#[vectorized]
fn cell<T: Real>(x: &[T], g: &[T], state: &[T], acts: &mut [T], y: &mut [T]) {
    let h = state.len();
    let ((xr, rest), (gr, from_state)) = (x.split_at(h), g.split_at(h));
    let ((xz, xn), (gz, gn)) = (rest.split_at(h), from_state.split_at(h));
    let (r, rest) = acts.split_at_mut(h);
    let (z, n) = rest.split_at_mut(h);
    for j in 0..h {
        r[j] = sigmoid(xr[j] + gr[j]);
        z[j] = sigmoid(xz[j] + gz[j]);
        n[j] = (xn[j] + r[j] * gn[j]).tanh();
        y[j] = (T::ONE - z[j]) * n[j] + z[j] * state[j];
    }
}

/// From `dh'` of a row in `dh`: dh there, the gradients of the gates from the input in place of
/// r, z and n, and those of the gates from the state in `into_h`.
#[vectorized]
fn cell_backward<T: Real>(
    gates: &[T],
    state: &[T],
    acts: &mut [T],
    into_h: &mut [T],
    dh: &mut [T],
) {
    let h = state.len();
    let (r, rest) = acts.split_at_mut(h);
    let (z, n) = rest.split_at_mut(h);
    let gn = &gates[2 * h..][..h];
    for j in 0..h {
        let (rj, zj, nj, d) = (r[j], z[j], n[j], dh[j]);
        n[j] = d * (T::ONE - zj) * (T::ONE - nj * nj);
        z[j] = d * (state[j] - nj) * (zj * (T::ONE - zj));
        r[j] = n[j] * gn[j] * (rj * (T::ONE - rj));
        into_h[j] = r[j];
        into_h[h + j] = z[j];
        into_h[2 * h + j] = n[j] * rj;
        dh[j] = d * zj;
    }
}

struct GruCell<T: Real> {
    rows: Rows,
    /// r, z and n side by side.
    acts: Tensor<T>,
    /// Needed for hn.
    gates_h: Tensor<T>,
    state: Tensor<T>,
}

impl<T: Real> Backward<T> for GruCell<T> {
    fn name(&self) -> &'static str {
        "gru_cell"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let h = self.state.shape()[1];
        let mut into_x = self.acts;
        let mut into_h = Tensor::scratch(into_x.shape());
        let mut dh = dy;
        let to = into_x.data_mut().chunks_exact_mut(3 * h);
        let to = to.zip(into_h.data_mut().chunks_exact_mut(3 * h));
        let from = self.gates_h.data().chunks_exact(3 * h);
        let from = from.zip(self.state.data().chunks_exact(h));
        for (((acts, into_h), dh), (gates, state)) in
            to.zip(dh.data_mut().chunks_exact_mut(h)).zip(from)
        {
            cell_backward(gates, state, acts, into_h, dh);
        }
        self.rows.add_x(dx, into_x.data(), h, 3, 0..3);
        dx.add(1, into_h);
        dx.add(2, dh);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.acts, &self.gates_h, &self.state]
    }
}

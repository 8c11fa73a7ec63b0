//! What comes from the last state, `Y = H Wᵀ + b`, at every step with the same weights.
//!
//! As a linear layer of its own, each step would add its share to the gradient of W, one
//! small product after the other. Here backward keeps dY of each step until the first step
//! is done, and then adds all products to `dW = Σ dYᵀ H` at one go, which is enough work to
//! be shared by threads.

use std::cell::RefCell;
use std::rc::Rc;

use tape::gemm::{Matrix, gemm};
use tape::parallel::{self, Split};
use tape::{Backward, InputGrads, Real, Tensor, Var};

use crate::linear::{add_rows, set_rows};

/// The weights `[G H, H]`, and the bias `[G H]` if there is one, for all steps.
pub(super) struct FromState<'t, T: Real> {
    weights: Rc<Weights<T>>,
    /// Stands for W and b in the records of the steps. It has no elements: what it passes
    /// on is in `Weights::uses`.
    all_steps: Var<'t, T>,
}

struct Weights<T: Real> {
    w: Tensor<T>,
    bias: Option<Tensor<T>>,
    /// dY and H of every step, last step first.
    uses: RefCell<Vec<(Tensor<T>, Tensor<T>)>>,
}

impl<'t, T: Real> FromState<'t, T> {
    pub(super) fn new(w: &Var<'t, T>, bias: Option<&Var<'t, T>>) -> Self {
        let tape = w.tape();
        let weights = Rc::new(Weights {
            w: w.value().clone(),
            bias: bias.map(|b| b.value().clone()),
            uses: RefCell::default(),
        });
        let none = Tensor::zeros([0]);
        let record = || AllSteps(weights.clone());
        let all_steps = match bias {
            Some(bias) => tape.record(&[w, bias], none, record),
            None => tape.record(&[w], none, record),
        };
        FromState { weights, all_steps }
    }

    /// `[n, G H]` from the states `[n, H]` of one step.
    pub(super) fn at_step(&self, state: &Var<'t, T>) -> Var<'t, T> {
        let (weights, rows) = (&self.weights, state.shape()[0]);
        let mut y = Tensor::scratch([rows, weights.w.shape()[0]]);
        let beta = set_rows(y.data_mut(), weights.bias.as_ref());
        let h = by_rows(state.value());
        gemm(h, by_rows(&weights.w).t(), beta, y.data_mut());
        let tape = state.tape();
        tape.record(&[state, &self.all_steps], y, || Step {
            weights: weights.clone(),
            state: state.value().clone(),
        })
    }
}

struct Step<T: Real> {
    weights: Rc<Weights<T>>,
    state: Tensor<T>,
}

impl<T: Real> Backward<T> for Step<T> {
    fn name(&self) -> &'static str {
        "from_state"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let Step { weights, state } = *self;
        dx.write(0, |beta, out| {
            gemm(by_rows(&dy), by_rows(&weights.w), beta, out);
        });
        if dx.needs(1) {
            weights.uses.borrow_mut().push((dy, state));
            dx.add(1, Tensor::zeros([0]));
        }
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.state]
    }
}

struct AllSteps<T: Real>(Rc<Weights<T>>);

impl<T: Real> Backward<T> for AllSteps<T> {
    fn name(&self) -> &'static str {
        "from_states"
    }

    fn backward(self: Box<Self>, _: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let uses = self.0.uses.take();
        if self.0.bias.is_some() {
            dx.write(1, |mut beta, out| {
                for (dy, _) in &uses {
                    add_rows(dy.data(), beta, out);
                    beta = T::ONE;
                }
            });
        }
        let (outputs, inputs) = (self.0.w.shape()[0], self.0.w.shape()[1]);
        dx.write(0, |beta, out| {
            let steps: usize = uses.iter().map(|(dy, _)| dy.len()).sum();
            let rows = parallel::rows(out, inputs);
            parallel::for_each_part(outputs, steps, rows, |band, out| {
                let (mut beta, out) = (beta, out.slices());
                for (dy, state) in &uses {
                    let dy = by_rows(dy).t().rows(band.clone());
                    gemm(dy, by_rows(state), beta, out);
                    beta = T::ONE;
                }
            });
        });
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.0.w]
    }
}

fn by_rows<T: Real>(x: &Tensor<T>) -> Matrix<'_, T> {
    Matrix::new(x.data(), x.shape()[0], x.shape()[1])
}

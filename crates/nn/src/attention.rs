//! Attention: every position of a sequence looks at others and takes from them what fits
//! (Vaswani et al., "Attention is all you need", 2017; book, chapter 15).
//!
//! Of each position there is a query, a key and a value. For one head, with d the width
//! of a head:
//!
//! ```text
//! S = Q Kᵀ / √d      P = softmax(S), each row      O = P V
//! ```
//!
//! Backward, with dO given, each line of forward in turn:
//!
//! ```text
//! dV = Pᵀ dO         dP = dO Vᵀ
//! dSᵢⱼ = Pᵢⱼ (dPᵢⱼ − Σₖ dPᵢₖ Pᵢₖ)
//! dQ = dS K / √d     dK = dSᵀ Q / √d
//! ```
//!
//! A *causal* head keeps each position from looking at later ones: row i of the softmax
//! runs over the first i + 1 scores, and the others of P are 0. No mask is stored for it,
//! nor for sequences of different lengths: they come packed, and each is by itself.
//!
//! As one op, heads need not be moved apart and together again by transposes of the whole
//! batch, and of the T × T arrays P alone is kept.

use std::array;
use std::ops::Range;

use rand::Rng;
use tape::gemm::{Matrix, gemm, gemm_columns};
use tape::parallel::{self, Split, starting};
use tape::{Backward, InputGrads, Param, Real, Tensor, Var, elements, lanes};
use vectorized::vectorized;

use crate::init::Init;
use crate::layer::Layer;
use crate::lengths::Lengths;
use crate::linear::{Linear, linear};
use crate::module::{Module, Visitor, name_params};
use crate::norm::{Norm, NormKind};
use crate::pass::Pass;

/// Attention of packed positions: `qkv` of shape `[M, 3 E]` holds queries, keys and values
/// of width E side by side, each divided among `heads` heads; the result is `[M, E]`.
/// Every sequence attends to itself only.
///
/// # Panics
/// If the shape does not go with lengths and heads.
#[track_caller]
pub fn attention<'t, T: Real>(
    qkv: &Var<'t, T>,
    lengths: &Lengths,
    heads: usize,
    causal: bool,
) -> Var<'t, T> {
    let shape = qkv.shape();
    assert!(
        shape.len() == 2
            && shape[0] == lengths.rows()
            && shape[1].is_multiple_of(3)
            && heads > 0
            && (shape[1] / 3).is_multiple_of(heads),
        "attention: qkv of shape {shape} does not go with {heads} heads on sequences of lengths \
         {:?}: [{}, 3 E] is needed, with E a multiple of {heads}",
        lengths.each(),
        lengths.rows()
    );
    let plan = Plan::new(lengths.each(), heads, shape[1] / 3, causal);
    let mut y = Tensor::scratch([shape[0], plan.width]);
    let mut weights = Tensor::scratch([plan.weight(plan.lengths.len())]);
    plan.forward(qkv.value().data(), weights.data_mut(), y.data_mut());
    qkv.tape().record(&[qkv], y, || Attention {
        qkv: qkv.value().clone(),
        weights,
        plan,
    })
}

/// Sizes.
struct Plan {
    /// The length of each sequence.
    lengths: Vec<usize>,
    /// Before each sequence, and after the last: how many rows there are, and how many
    /// weights.
    before: Vec<[usize; 2]>,
    heads: usize,
    /// E, all heads together.
    width: usize,
    causal: bool,
}

impl Plan {
    #[track_caller]
    fn new(lengths: &[usize], heads: usize, width: usize, causal: bool) -> Self {
        let mut before = vec![[0; 2]];
        let [mut row, mut weight] = [0_usize; 2];
        for &t in lengths {
            row += t;
            // A sum that does not fit is larger than any tensor, and refused as one.
            weight = weight.saturating_add(elements(&[heads, t, t]));
            before.push([row, weight]);
        }
        Plan {
            lengths: lengths.to_vec(),
            before,
            heads,
            width,
            causal,
        }
    }

    /// Where the rows of a sequence start.
    fn row(&self, sequence: usize) -> usize {
        self.before[sequence][0]
    }

    /// Where the weights of its heads start.
    fn weight(&self, sequence: usize) -> usize {
        self.before[sequence][1]
    }

    /// The rows of a sequence in an array of rows of this width.
    fn rows<'a, T>(&self, data: &'a [T], sequence: usize, width: usize) -> &'a [T] {
        &data[self.row(sequence) * width..self.row(sequence + 1) * width]
    }

    /// Queries, keys and values of one head of a sequence, as they lie in `qkv`: columns of its
    /// rows, which are not moved.
    fn head<'a, T: Real>(&self, qkv: &'a [T], sequence: usize, head: usize) -> [Matrix<'a, T>; 3] {
        let (width, d) = (3 * self.width, self.head_width());
        let rows = self.rows(qkv, sequence, width);
        let all = Matrix::new(rows, self.lengths[sequence], width);
        array::from_fn(|part| {
            let at = part * self.width + head * d;
            all.columns(at..at + d)
        })
    }

    /// Features of one head.
    fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// 1/√d.
    fn scale<T: Real>(&self) -> T {
        T::ONE / T::from_usize(self.head_width()).sqrt()
    }

    /// The size of the whole work, by which its threads are chosen.
    fn work(&self) -> usize {
        let products = (self.lengths.iter())
            .map(|&t| t.saturating_mul(t).saturating_mul(self.width))
            .fold(0, usize::saturating_add);
        products / 4
    }

    /// The longest of some sequences.
    fn longest(&self, sequences: Range<usize>) -> usize {
        let lengths = self.lengths[sequences].iter();
        lengths.copied().max().unwrap_or(0)
    }

    fn forward<T: Real>(&self, qkv: &[T], weights: &mut [T], y: &mut [T]) {
        let (d, scale) = (self.head_width(), self.scale::<T>());
        let buffers = (
            starting(weights, |s| self.weight(s)),
            starting(y, |s| self.row(s) * self.width),
        );
        parallel::for_each_part(
            self.lengths.len(),
            self.work(),
            buffers,
            |range, buffers| {
                for (s, (mut weights, y)) in buffers.items(range) {
                    let steps = self.lengths[s];
                    // ANCHOR: forward
                    for h in 0..self.heads {
                        let p = weights
                            .split_off_mut(..steps * steps)
                            .expect("heads are left");
                        let [q, k, v] = self.head(qkv, s, h);
                        gemm(q, k.t(), T::ZERO, p);
                        for (i, row) in p.chunks_exact_mut(steps).enumerate() {
                            let seen = if self.causal { i + 1 } else { steps };
                            let (seen, hidden) = row.split_at_mut(seen);
                            softmax(seen, scale);
                            hidden.fill(T::ZERO);
                        }
                        let p = Matrix::new(p, steps, steps);
                        gemm_columns(p, v, T::ZERO, y, self.width, h * d);
                    }
                    // ANCHOR_END: forward
                }
            },
        );
    }

    fn backward<T: Real>(&self, qkv: &[T], weights: &[T], dy: &[T], dqkv: &mut [T]) {
        let (d, scale) = (self.head_width(), self.scale::<T>());
        let dqkv = starting(dqkv, |s| self.row(s) * 3 * self.width);
        parallel::for_each_part(self.lengths.len(), self.work(), dqkv, |range, dqkv| {
            let longest = self.longest(range.clone());
            let mut ds = Tensor::scratch([longest * longest]);
            for (s, dqkv) in dqkv.items(range) {
                let steps = self.lengths[s];
                let dy = Matrix::new(self.rows(dy, s, self.width), steps, self.width);
                let weights = &weights[self.weight(s)..self.weight(s + 1)];
                let ds = &mut ds.data_mut()[..steps * steps];
                // ANCHOR: backward
                for h in 0..self.heads {
                    let p = &weights[h * steps * steps..][..steps * steps];
                    let [q, k, v] = self.head(qkv, s, h);
                    let dout = dy.columns(h * d..(h + 1) * d);
                    gemm(dout, v.t(), T::ZERO, ds);
                    for (ds, p) in ds.chunks_exact_mut(steps).zip(p.chunks_exact(steps)) {
                        softmax_backward(ds, p, scale);
                    }
                    let (p, ds) = (Matrix::new(p, steps, steps), Matrix::new(ds, steps, steps));
                    for (part, (a, b)) in [(ds, k), (ds.t(), q), (p.t(), dout)]
                        .into_iter()
                        .enumerate()
                    {
                        let at = part * self.width + h * d;
                        gemm_columns(a, b, T::ZERO, dqkv, 3 * self.width, at);
                    }
                }
                // ANCHOR_END: backward
            }
        });
    }
}

/// The softmax of `scale · row`, in place. The largest is subtracted first, so that
/// nothing overflows.
#[vectorized]
fn softmax<T: Real>(row: &mut [T], scale: T) {
    let largest = lanes::max(row);
    lanes::map_assign(row, |x| (scale * (x - largest)).exp());
    let norm = T::ONE / lanes::sum(row);
    lanes::map_assign(row, |x| x * norm);
}

/// From the gradient of a row of weights, in `ds`, to that of its scores, which were scaled.
#[vectorized]
fn softmax_backward<T: Real>(ds: &mut [T], p: &[T], scale: T) {
    let along = lanes::dot(ds, p);
    lanes::zip_assign(ds, p, |ds, p| p * (ds - along) * scale);
}

struct Attention<T: Real> {
    qkv: Tensor<T>,
    /// P of every head of every sequence, one after the other.
    weights: Tensor<T>,
    plan: Plan,
}

impl<T: Real> Backward<T> for Attention<T> {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let mut dqkv = Tensor::scratch(self.qkv.shape());
        let (qkv, weights) = (self.qkv.data(), self.weights.data());
        self.plan.backward(qkv, weights, dy.data(), dqkv.data_mut());
        dx.add(0, dqkv);
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![&self.qkv, &self.weights]
    }
}

/// Self-attention with several heads: a linear layer makes queries, keys and values, heads
/// attend, and a linear layer mixes what they bring.
///
/// Parameters are `in_proj_weight` `[3 E, E]`, `in_proj_bias` `[3 E]`, `out_proj.weight`
/// `[E, E]` and `out_proj.bias` `[E]`, as in PyTorch's `MultiheadAttention`; and those of the
/// norms on queries and keys, if there are any: `q_norm.gamma` `[d]`, `k_norm.gamma`, ….
#[derive(Debug)]
pub struct MultiHeadAttention<T: Real> {
    /// `[3 E, E]`: the rows that make queries, then keys, then values.
    pub in_proj_weight: Param<T>,
    /// `[3 E]`.
    pub in_proj_bias: Param<T>,
    /// From E to E features.
    pub out_proj: Linear<T>,
    /// On the queries and on the keys, each over the features of a head.
    qk_norm: [Norm<T>; 2],
    heads: usize,
    causal: bool,
}

impl<T: Real> MultiHeadAttention<T> {
    /// `heads` heads on positions of `width` features, drawn as PyTorch draws them: Glorot
    /// and Bengio's uniform weights on the way in, `±1/√E` on the way out, biases 0.
    ///
    /// # Panics
    /// If the width cannot be dealt out to the heads in equal shares.
    #[track_caller]
    pub fn new(width: usize, heads: usize, rng: &mut impl Rng) -> Self {
        assert!(
            heads > 0 && width > 0 && width.is_multiple_of(heads),
            "attention: {width} features do not make {heads} heads of equal width; the number of \
             heads must divide the number of features"
        );
        let weight = Init::XAVIER_UNIFORM.sample([3 * width, width], rng);
        let mut attention = MultiHeadAttention {
            in_proj_weight: Param::new("in_proj_weight", weight),
            in_proj_bias: Param::new("in_proj_bias", Tensor::zeros([3 * width])),
            out_proj: Linear::with_init(width, width, Init::PYTORCH, rng),
            qk_norm: [Norm::None, Norm::None],
            heads,
            causal: false,
        };
        name_params(&mut attention);
        attention
    }

    /// Normalizes each query and each key of each head over its features, so that no score is
    /// larger than what the scales of the norms allow, whatever the weights (Henry et al.,
    /// "Query-key normalization for Transformers", 2020; Dehghani et al., 2023). All heads share
    /// the scales, and the shifts if there are any.
    pub fn qk_norm(mut self, kind: NormKind) -> Self {
        let d = self.out_proj.inputs() / self.heads;
        self.qk_norm = [(); 2].map(|()| Norm::new(kind, [d]));
        name_params(&mut self);
        self
    }

    /// Keeps each position from looking at later ones.
    pub fn causal(mut self, causal: bool) -> Self {
        self.causal = causal;
        self
    }

    /// The result for packed positions `[M, E]`.
    ///
    /// # Panics
    /// If the shape does not go with the lengths and the width.
    #[track_caller]
    pub fn forward_packed<'t>(
        &self,
        x: &Var<'t, T>,
        lengths: &Lengths,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let weight = x.tape().param(&self.in_proj_weight);
        let bias = x.tape().param(&self.in_proj_bias);
        let qkv = self.normalized(linear(x, &weight, Some(&bias)), pass);
        let mixed = attention(&qkv, lengths, self.heads, self.causal);
        self.out_proj.forward(&mixed, pass)
    }

    /// Queries, keys and values, the first two behind their norms.
    fn normalized<'t>(&self, qkv: Var<'t, T>, pass: &mut Pass<'_, T>) -> Var<'t, T> {
        if self.qk_norm.iter().all(|norm| matches!(norm, Norm::None)) {
            return qkv;
        }
        // ANCHOR: qk_norm
        let (rows, width) = (qkv.shape()[0], qkv.shape()[1] / 3);
        let part = |i: usize| qkv.slice(1, i * width..(i + 1) * width);
        let mut normalize = |norm: &Norm<T>, part: Var<'t, T>| {
            let by_head = part.reshape([rows * self.heads, width / self.heads]);
            norm.forward(&by_head, pass).reshape([rows, width])
        };
        let [q_norm, k_norm] = &self.qk_norm;
        let (q, k) = (normalize(q_norm, part(0)), normalize(k_norm, part(1)));
        Var::concat(&[q, k, part(2)], 1)
        // ANCHOR_END: qk_norm
    }
}

impl<T: Real> Module<T> for MultiHeadAttention<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.param("in_proj_weight", &mut self.in_proj_weight);
        v.param("in_proj_bias", &mut self.in_proj_bias);
        v.child("out_proj", &mut self.out_proj);
        let [q_norm, k_norm] = &mut self.qk_norm;
        v.child("q_norm", q_norm);
        v.child("k_norm", k_norm);
    }
}

impl<T: Real> Layer<T> for MultiHeadAttention<T> {
    /// The result, `[B, T, E]`, for sequences of equal length `[B, T, E]`.
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, pass: &mut Pass<'_, T>) -> Var<'t, T> {
        let shape = *x.shape();
        let width = self.out_proj.inputs();
        assert!(
            shape.len() == 3 && shape[2] == width,
            "attention: x of shape {shape} does not go with in_proj_weight of shape {}: \
             [B, T, {width}] is needed",
            self.in_proj_weight.value().shape()
        );
        let lengths = Lengths::full(shape[0], shape[1]);
        let y = self.forward_packed(&lengths.pack(x), &lengths, pass);
        y.reshape(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{
        CheckLayer, attention_of_ops, check_op, check_qk_norm, normal, small_qk_norm,
    };
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tape::Tape;

    #[test]
    fn is_what_its_parts_make_forward_and_backward() {
        for lengths in [&[4, 4][..], &[3, 1, 5]] {
            let lengths = Lengths::new(lengths);
            for (heads, causal) in [(1, false), (2, true), (3, false), (6, true)] {
                let qkv = Param::new("qkv", normal([lengths.rows(), 18], 1));
                let dy = normal([lengths.rows(), 6], 2);
                let run = |op: &dyn for<'t> Fn(&Var<'t, f64>) -> Var<'t, f64>| {
                    let (y, grads) = Tape::new().vjp(&dy, |t| op(&t.param(&qkv)));
                    (y, grads.of(&qkv))
                };
                let (y, dx) = run(&|x| attention(x, &lengths, heads, causal));
                let (y2, dx2) = run(&|x| attention_of_ops(x, &lengths, heads, causal));
                for (a, b) in [(y, y2), (dx, dx2)] {
                    for (a, b) in a.data().iter().zip(b.data()) {
                        assert!((a - b).abs() < 1e-13, "{a} is not {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn gradient() {
        for causal in [false, true] {
            check_op("attention", &[normal([6, 12], 1)], |x| {
                attention(&x[0], &Lengths::new(&[2, 4]), 2, causal)
            })
            .assert_passes();
        }
    }

    #[test]
    fn layer_gradient() {
        for causal in [false, true] {
            let make = || {
                let layer = MultiHeadAttention::new(4, 2, &mut StdRng::seed_from_u64(1));
                layer.causal(causal)
            };
            CheckLayer::new("attention", normal([2, 3, 4], 2))
                .run(make)
                .assert_passes();
        }
    }

    #[test]
    fn layer_gradient_with_norms_on_queries_and_keys() {
        for kind in [NormKind::Layer, NormKind::Rms] {
            check_qk_norm("attention", kind)
                .run(|| small_qk_norm(kind))
                .assert_passes();
        }
    }

    /// However large the weights of queries and keys are made, the result is the same.
    #[test]
    fn behind_their_norms_queries_and_keys_have_no_size() {
        let y = |kind: NormKind, size: f64| {
            let mut layer = small_qk_norm::<f64>(kind);
            let values = layer.in_proj_weight.value_mut().data_mut();
            let both = values.len() / 3 * 2;
            values[..both].iter_mut().for_each(|w| *w *= size);
            Tape::eval(|t| {
                layer
                    .eval(&t.constant(normal([2, 3, 6], 1)))
                    .value()
                    .to_vec()
            })
        };
        let apart = |kind| {
            let pairs = y(kind, 1.0).into_iter().zip(y(kind, 10.0));
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        assert!(apart(NormKind::Layer) < 1e-3);
        assert!(apart(NormKind::Rms) < 1e-9);
        assert!(apart(NormKind::None) > 1e-2);
    }

    #[test]
    fn a_causal_head_sees_nothing_of_what_comes_later() {
        let mut layer = MultiHeadAttention::<f64>::new(4, 2, &mut StdRng::seed_from_u64(1));
        let mut run = |causal, last: f64| {
            let mut x = normal([1, 3, 4], 2);
            x.data_mut()[8..].fill(last);
            layer.causal = causal;
            Tape::eval(|t| layer.eval(&t.constant(x)).value().to_vec())
        };
        assert_eq!(run(true, 0.0)[..8], run(true, 9.0)[..8]);
        assert_ne!(run(false, 0.0)[..8], run(false, 9.0)[..8]);
    }

    #[test]
    fn large_scores_do_not_overflow() {
        let mut row = [1e30_f32, 1e30, -1e30];
        softmax(&mut row, 1.0);
        assert_eq!(row, [0.5, 0.5, 0.0]);
    }

    #[test]
    #[should_panic(
        expected = "qkv of shape [5, 12] does not go with 2 heads on sequences of \
                               lengths [2, 4]"
    )]
    fn rows_must_agree_with_the_lengths() {
        Tape::eval(|t| {
            let qkv = t.constant(normal([5, 12], 1));
            attention(&qkv, &Lengths::new(&[2, 4]), 2, true);
        });
    }

    #[test]
    #[should_panic(
        expected = "x of shape [2, 3, 5] does not go with in_proj_weight of shape \
                               [12, 4]"
    )]
    fn the_width_must_agree() {
        let layer = MultiHeadAttention::<f64>::new(4, 2, &mut StdRng::seed_from_u64(1));
        Tape::eval(|t| drop(layer.eval(&t.constant(normal([2, 3, 5], 1)))));
    }

    #[test]
    #[should_panic(expected = "6 features do not make 4 heads of equal width")]
    fn heads_must_divide_the_width() {
        let _ = MultiHeadAttention::<f64>::new(6, 4, &mut StdRng::seed_from_u64(1));
    }
}

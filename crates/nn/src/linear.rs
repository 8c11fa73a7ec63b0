//! `Y = X Wᵀ + b`: the affine map of a layer, as one op, and the layer that owns it.
//!
//! `Yᵢⱼ = Σₚ Xᵢₚ Wⱼₚ + bⱼ`. Hence `dX = dY W`, `dW = dYᵀ X`, and `b`, which every row
//! uses, receives the sum over rows: `dbⱼ = Σᵢ dYᵢⱼ`.
//!
//! Composed of ops this would transpose `W`, make the product and add `b` in a pass of
//! its own. As one op the transpose is a matter of strides, and the bias is written
//! first so that the product adds to it.

use rand::Rng;
use tape::gemm::{Matrix, gemm};
use tape::{Backward, InputGrads, Param, Real, Tensor, Var, vector};

use crate::init::{Draw, Init};
use crate::layer::Layer;
use crate::module::{Module, Visitor};
use crate::pass::Pass;

/// `x Wᵀ + b` for `x` of shape `[.., in]`, `weight` of shape `[out, in]` and `bias` of
/// shape `[out]`; the result has shape `[.., out]`.
///
/// # Panics
/// If the shapes do not go together.
#[track_caller]
pub fn linear<'t, T: Real>(
    x: &Var<'t, T>,
    weight: &Var<'t, T>,
    bias: Option<&Var<'t, T>>,
) -> Var<'t, T> {
    let (xs, ws) = (x.shape(), weight.shape());
    assert!(
        ws.len() == 2 && !xs.is_empty() && xs[xs.len() - 1] == ws[1],
        "linear: x of shape {xs} and weight of shape {ws} do not go together: \
         [.., in] and [out, in] are needed"
    );
    let (outputs, inputs) = (ws[0], ws[1]);
    if let Some(bias) = bias {
        assert!(
            **bias.shape() == [outputs],
            "linear: weight of shape {ws} needs a bias of shape [{outputs}], got {}",
            bias.shape()
        );
    }
    let rows = xs[..xs.len() - 1].iter().product();
    let mut shape = xs.to_vec();
    *shape.last_mut().expect("x has an axis") = outputs;
    let mut y = Tensor::scratch(&shape[..]);
    let out = y.data_mut();
    let beta = set_rows(out, bias.map(Var::value));
    let w = Matrix::new(weight.value().data(), outputs, inputs);
    gemm(
        Matrix::new(x.value().data(), rows, inputs),
        w.t(),
        beta,
        out,
    );
    let backward = || LinearBackward {
        rows,
        inputs,
        outputs,
        biased: bias.is_some(),
        x: weight.is_tracked().then(|| x.value().clone()),
        weight: x.is_tracked().then(|| weight.value().clone()),
    };
    match bias {
        Some(bias) => x.tape().record(&[x, weight, bias], y, backward),
        None => x.tape().record(&[x, weight], y, backward),
    }
}

struct LinearBackward<T: Real> {
    rows: usize,
    inputs: usize,
    outputs: usize,
    biased: bool,
    x: Option<Tensor<T>>,
    weight: Option<Tensor<T>>,
}

impl<T: Real> Backward<T> for LinearBackward<T> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        if self.biased {
            dx.write(2, |beta, out| add_rows(dy.data(), beta, out));
        }
        let dy = Matrix::new(dy.data(), self.rows, self.outputs);
        if let Some(weight) = &self.weight {
            let w = Matrix::new(weight.data(), self.outputs, self.inputs);
            dx.write(0, |beta, out| gemm(dy, w, beta, out));
        }
        if let Some(x) = &self.x {
            let x = Matrix::new(x.data(), self.rows, self.inputs);
            dx.write(1, |beta, out| gemm(dy.t(), x, beta, out));
        }
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        self.x.iter().chain(&self.weight).collect()
    }
}

/// Makes every row of `out` the bias if there is one; the `beta` of the product to come.
pub(crate) fn set_rows<T: Real>(out: &mut [T], bias: Option<&Tensor<T>>) -> T {
    let Some(bias) = bias else { return T::ZERO };
    for row in out.chunks_exact_mut(bias.len().max(1)) {
        row.copy_from_slice(bias.data());
    }
    T::ONE
}

/// `out = Σ rows + beta · out`, for rows of the length of `out`.
pub(crate) fn add_rows<T: Real>(rows: &[T], beta: T, out: &mut [T]) {
    if beta == T::ZERO {
        out.fill(T::ZERO);
    }
    for row in rows.chunks_exact(out.len().max(1)) {
        vector::add(out, row);
    }
}

/// A linear layer with parameters `weight` of shape `[out, in]` and `bias` of shape
/// `[out]`.
#[derive(Debug)]
pub struct Linear<T: Real> {
    /// `[out, in]`.
    pub weight: Param<T>,
    /// `[out]`.
    pub bias: Option<Param<T>>,
}

impl<T: Real> Linear<T> {
    /// A layer from `inputs` to `outputs` features, drawn as PyTorch draws it: weight and
    /// bias uniform on `±1/√inputs`.
    ///
    /// # Panics
    /// If either count is 0.
    #[track_caller]
    pub fn new(inputs: usize, outputs: usize, rng: &mut impl Rng) -> Self {
        let weight = Init::PYTORCH.sample([outputs, inputs], rng);
        let deviation = Init::PYTORCH.gain / (inputs as f64).sqrt();
        let bias = Draw::Uniform.sample([outputs], deviation, rng);
        Linear {
            weight: Param::new("weight", weight),
            bias: Some(Param::new("bias", bias)),
        }
    }

    /// A layer whose weight is drawn from `init` and whose bias is 0.
    ///
    /// # Panics
    /// If either count is 0.
    #[track_caller]
    pub fn with_init(inputs: usize, outputs: usize, init: Init, rng: &mut impl Rng) -> Self {
        Linear {
            weight: Param::new("weight", init.sample([outputs, inputs], rng)),
            bias: Some(Param::new("bias", Tensor::zeros([outputs]))),
        }
    }

    /// The same layer without its bias. A normalization over the batch that follows would
    /// subtract it again.
    pub fn without_bias(mut self) -> Self {
        self.bias = None;
        self
    }

    /// How many features go in.
    pub fn inputs(&self) -> usize {
        self.weight.value().shape()[1]
    }

    /// How many features come out.
    pub fn outputs(&self) -> usize {
        self.weight.value().shape()[0]
    }
}

impl<T: Real> Module<T> for Linear<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        v.param("weight", &mut self.weight);
        if let Some(bias) = &mut self.bias {
            v.param("bias", bias);
        }
    }
}

impl<T: Real> Layer<T> for Linear<T> {
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, _: &mut Pass<'_, T>) -> Var<'t, T> {
        let weight = x.tape().param(&self.weight);
        let bias = self.bias.as_ref().map(|bias| x.tape().param(bias));
        linear(x, &weight, bias.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckLayer, check_op, normal};
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use tape::Tape;

    #[test]
    fn every_output_is_a_row_of_the_weight_times_the_input_plus_its_bias() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::new([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
            let w = t.constant(Tensor::new([2, 3], vec![1.0, 0.0, 0.0, 1.0, 1.0, 1.0]));
            let b = t.constant(Tensor::new([2], vec![10.0, 20.0]));
            let y = linear(&x, &w, Some(&b));
            assert_eq!(
                y.value(),
                &Tensor::new([2, 2], vec![11.0, 26.0, 14.0, 35.0])
            );
            let y = linear(&x, &w, None);
            assert_eq!(y.value(), &Tensor::new([2, 2], vec![1.0, 6.0, 4.0, 15.0]));
        });
    }

    #[test]
    fn any_number_of_leading_axes_is_kept() {
        Tape::eval(|t| {
            let w = t.constant(Tensor::<f32>::ones([4, 3]));
            for shape in [&[3][..], &[2, 3], &[2, 5, 3], &[0, 3]] {
                let y = linear(&t.constant(Tensor::ones(shape)), &w, None);
                let lead = &shape[..shape.len() - 1];
                assert_eq!(**y.shape(), *[lead, &[4]].concat());
                assert!(y.value().data().iter().all(|&y| y == 3.0));
            }
        });
    }

    #[test]
    fn gradient() {
        for shape in [&[5, 3][..], &[3], &[2, 4, 3]] {
            let (x, w, b) = (normal(shape, 1), normal([4, 3], 2), normal([4], 3));
            let with = check_op("linear", &[x.clone(), w.clone(), b], |v| {
                linear(&v[0], &v[1], Some(&v[2]))
            });
            with.assert_passes();
            check_op("linear", &[x, w], |v| linear(&v[0], &v[1], None)).assert_passes();
        }
    }

    #[test]
    fn gradients_of_a_weight_used_twice_add() {
        check_op(
            "twice",
            &[normal([5, 3], 1), normal([3, 3], 2), normal([3], 3)],
            |v| linear(&linear(&v[0], &v[1], Some(&v[2])), &v[1], Some(&v[2])),
        )
        .assert_passes();
    }

    #[test]
    fn layer_gradient() {
        let make = || Linear::new(3, 4, &mut StdRng::seed_from_u64(1));
        CheckLayer::new("linear", normal([5, 3], 2))
            .run(make)
            .assert_passes();
        CheckLayer::new("linear", normal([5, 3], 2))
            .run(|| make().without_bias())
            .assert_passes();
    }

    #[test]
    fn nothing_is_saved_for_gradients_nobody_wants() {
        let w = Param::new("w", Tensor::<f32>::ones([4, 3]));
        Tape::new().grad(|t| {
            let x = t.constant(Tensor::ones([2, 3]));
            let y = linear(&x, &t.param(&w), None);
            assert_eq!(t.saved_bytes(), x.value().bytes());
            y.sum(&[0, 1])
        });
    }

    #[test]
    fn the_default_draw_is_within_one_over_the_root_of_the_inputs() {
        let layer: Linear<f64> = Linear::new(100, 50, &mut StdRng::seed_from_u64(1));
        assert_eq!((layer.inputs(), layer.outputs()), (100, 50));
        let bias = layer.bias.as_ref().expect("there is a bias");
        for tensor in [layer.weight.value(), bias.value()] {
            let largest = tensor.data().iter().fold(0.0_f64, |m, x| m.max(x.abs()));
            assert!(largest <= 0.1 && largest > 0.09, "{largest}");
        }
    }

    #[test]
    #[should_panic(expected = "linear: x of shape [2, 3] and weight of shape [4, 2]")]
    fn widths_must_agree() {
        Tape::eval(|t| {
            let (x, w) = (Tensor::<f32>::ones([2, 3]), Tensor::ones([4, 2]));
            linear(&t.constant(x), &t.constant(w), None);
        });
    }

    #[test]
    #[should_panic(expected = "needs a bias of shape [4], got [3]")]
    fn the_bias_has_the_width_of_the_output() {
        Tape::eval(|t| {
            let (x, w, b) = (
                Tensor::<f32>::ones([2, 3]),
                Tensor::ones([4, 3]),
                Tensor::ones([3]),
            );
            linear(&t.constant(x), &t.constant(w), Some(&t.constant(b)));
        });
    }
}

//! Gradient checks of ops and layers: the tape against finite differences, in `f64`.
//!
//! The checks themselves are [`gradcheck`]'s: every element, a random upstream gradient,
//! no tolerance picked by hand. This module feeds them from the tape, and makes of a layer what
//! other judges can look at, in whatever arithmetic they need ([`witness`]).

use std::sync::Arc;

use gradcheck::{Check, Report};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Real, Shape, Tape, Tensor, Var};
use witness::{Argument, Subject};

use crate::attention::MultiHeadAttention;
use crate::layer::Layer;
use crate::lengths::Lengths;
use crate::module::{Module, each_param};
use crate::norm::NormKind;
use crate::pass::Pass;
use crate::tokens::TokenModel;
use crate::transformer::{BlockSpec, NormPlace};

/// Checks the gradient of `op` at `inputs` with respect to all of them, which the report
/// names `x0`, `x1`, ….
pub fn check_op(
    name: &str,
    inputs: &[Tensor<f64>],
    op: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
) -> Report {
    let mut check = Check::new(name);
    for (i, x) in inputs.iter().enumerate() {
        check = check.input(format!("x{i}"), x.shape(), x.to_vec());
    }
    check.run_tape(op)
}

/// The check of a layer's gradient with respect to its input and all its parameters.
///
/// Parameters are moved away from their initial values first: where every gamma is 1 and
/// every beta 0, a gradient that forgets them would pass.
#[derive(Clone, Debug)]
pub struct CheckLayer {
    name: String,
    x: Tensor<f64>,
    trains: bool,
    zero: Vec<&'static str>,
}

impl CheckLayer {
    /// A check at the input `x`, in training.
    pub fn new(name: &str, x: Tensor<f64>) -> Self {
        CheckLayer {
            name: name.to_owned(),
            x,
            trains: true,
            zero: Vec::new(),
        }
    }

    /// Whether the forward pass trains or evaluates.
    pub fn training(mut self, trains: bool) -> Self {
        self.trains = trains;
        self
    }

    /// Accepts that the gradient of this parameter is zero, and checks that it is: a bias
    /// that a Batch Norm subtracts again, for example.
    pub fn may_be_zero(mut self, param: &'static str) -> Self {
        self.zero.push(param);
        self
    }

    /// Runs the check. `make` makes the layer, the same every time; a fresh one serves
    /// each evaluation, so that random states do not move on.
    pub fn run<L: Layer<f64>>(&self, make: impl Fn() -> L + Send + Sync) -> Report {
        self.of(make).differences(Check::new(&self.name))
    }

    /// Runs the check of a module that is no layer: `forward` maps the input to the
    /// output.
    pub fn run_with<M: Module<f64>>(
        &self,
        make: impl Fn() -> M + Send + Sync,
        forward: impl for<'t> Fn(&M, &Var<'t, f64>, &mut Pass<'_, f64>) -> Var<'t, f64> + Send + Sync,
    ) -> Report {
        self.of_module(make, forward)
            .differences(Check::new(&self.name))
    }

    /// The layer as a function of its input and its parameters.
    pub fn of<'a, T: Real, L: Layer<T>>(
        &self,
        make: impl Fn() -> L + Send + Sync + 'a,
    ) -> Subject<'a, T> {
        self.of_module(make, |layer, x, pass| layer.forward(x, pass))
    }

    /// The same of a module that is no layer.
    pub fn of_module<'a, T: Real, M: Module<T>>(
        &self,
        make: impl Fn() -> M + Send + Sync + 'a,
        forward: impl for<'t> Fn(&M, &Var<'t, T>, &mut Pass<'_, T>) -> Var<'t, T> + Send + Sync + 'a,
    ) -> Subject<'a, T> {
        let argument = |name: &str, value: Tensor<T>| Argument {
            name: name.to_owned(),
            value,
            may_be_zero: self.zero.contains(&name),
        };
        let mut arguments = vec![argument("x", self.x.cast())];
        let mut rng = StdRng::seed_from_u64(0x6c61_7965);
        each_param(&mut make(), |p| {
            let step = Tensor::<T>::randn(*p.value().shape(), &mut rng);
            let size = T::from_f64(0.3);
            let moved = p.value().clone();
            let moved = moved.zip_in_place(&step, |p, step| p + size * step);
            arguments.push(argument(p.name(), moved));
        });
        for name in &self.zero {
            assert!(
                arguments.iter().any(|a| a.may_be_zero && a.name == *name),
                "{}: there is no parameter {name} that could be zero",
                self.name
            );
        }
        let make = Arc::new(make);
        let at = move |values: &[Tensor<T>]| {
            let mut layer = make();
            let mut rest = values[1..].iter();
            each_param(&mut layer, |p| {
                p.set(rest.next().expect("one value for each parameter").clone());
            });
            (Param::new("x", values[0].clone()), layer)
        };
        let (trains, forward) = (self.trains, Arc::new(forward));
        let (at_too, forward_too) = (at.clone(), forward.clone());
        Subject::new(
            arguments,
            move |values| {
                let (x, layer) = at(values);
                Tape::eval(|t| {
                    let pass = &mut Pass::new(trains);
                    forward(&layer, &t.param(&x), pass).value().clone()
                })
            },
            move |values, dy| {
                let (x, mut layer) = at_too(values);
                let (_, grads) = Tape::new().vjp(dy, |t| {
                    forward_too(&layer, &t.param(&x), &mut Pass::new(trains))
                });
                let mut all = vec![grads.of(&x).clone()];
                each_param(&mut layer, |p| all.push(grads.of(p).clone()));
                all
            },
        )
    }
}

/// The check of the gradient of a [`TokenModel`] with respect to its parameters.
#[derive(Clone, Debug)]
pub struct CheckTokens {
    name: String,
    tokens: Vec<usize>,
    lengths: Lengths,
    zero: Vec<&'static str>,
}

impl CheckTokens {
    /// A check in training on sequences of the given lengths, in which the tokens from
    /// 0 up to `tokens` follow each other in a fixed disorder.
    pub fn new(name: &str, tokens: usize, lengths: &[usize]) -> Self {
        let lengths = Lengths::new(lengths);
        CheckTokens {
            name: name.to_owned(),
            tokens: (0..lengths.rows()).map(|i| (i * i + 1) % tokens).collect(),
            lengths,
            zero: Vec::new(),
        }
    }

    /// As [`CheckLayer::may_be_zero`].
    pub fn may_be_zero(mut self, param: &'static str) -> Self {
        self.zero.push(param);
        self
    }

    /// Runs the check, as [`CheckLayer::run`] does. The outputs are multiplied by an input,
    /// elementwise, so that the report has an `x` too.
    pub fn run<M: TokenModel<f64>>(&self, make: impl Fn() -> M + Send + Sync) -> Report {
        self.of(make).differences(Check::new(&self.name))
    }

    /// The model as a function of that input and its parameters.
    pub fn of<'a, T: Real, M: TokenModel<T>>(
        &self,
        make: impl Fn() -> M + Send + Sync + 'a,
    ) -> Subject<'a, T> {
        let Self {
            tokens, lengths, ..
        } = self.clone();
        let shape = Tape::eval(|t| *make().eval(t, &tokens, &lengths).shape());
        let mut check = CheckLayer::new(&self.name, normal(shape, 7));
        check.zero.clone_from(&self.zero);
        check.of_module(make, move |model, x, pass| {
            model.forward(x.tape(), &tokens, &lengths, pass) * x
        })
    }
}

/// The forms of a Transformer block that are checked: without a norm, and with each norm in each
/// place.
pub const BLOCK_FORMS: [(NormKind, NormPlace); 8] = [
    (NormKind::None, NormPlace::Pre),
    (NormKind::Layer, NormPlace::Pre),
    (NormKind::Layer, NormPlace::Post),
    (NormKind::Batch, NormPlace::Pre),
    (NormKind::Batch, NormPlace::Post),
    (NormKind::Rms, NormPlace::Pre),
    (NormKind::Rms, NormPlace::Post),
    (NormKind::DynamicTanh, NormPlace::Pre),
];

/// The small block of this form that [`check_block`] checks: four features, two heads.
pub fn small_block(norm: NormKind, place: NormPlace) -> BlockSpec {
    BlockSpec::new(4, 2).hidden(5).norm(norm, place)
}

/// The check of a [`small_block`] on two sequences of three steps.
pub fn check_block(name: &str, norm: NormKind, place: NormPlace, trains: bool) -> CheckLayer {
    let check = CheckLayer::new(name, normal([2, 3, 4], 1)).training(trains);
    if norm == NormKind::Batch && place == NormPlace::Post && trains {
        // Only a norm behind a sum has biases right in front of it. Batch Norm subtracts the
        // mean, and any bias with it: of the biases on the way in, those of the values. Those
        // of the keys never count, for they add the same to all scores of a row.
        check
            .may_be_zero("self_attn.in_proj_bias")
            .may_be_zero("self_attn.out_proj.bias")
            .may_be_zero("linear2.bias")
    } else {
        check
    }
}

/// Attention of six features in two heads with this norm on queries and keys, which
/// [`check_qk_norm`] checks.
pub fn small_qk_norm<T: Real>(norm: NormKind) -> MultiHeadAttention<T> {
    let layer = MultiHeadAttention::new(6, 2, &mut StdRng::seed_from_u64(4));
    layer.causal(true).qk_norm(norm)
}

/// The check of [`small_qk_norm`] on two sequences of three steps. A shift that all keys get adds
/// the same to all scores of a row, so its gradient is zero.
pub fn check_qk_norm(name: &str, norm: NormKind) -> CheckLayer {
    let check = CheckLayer::new(name, normal([2, 3, 6], 1));
    match norm {
        NormKind::Layer => check.may_be_zero("k_norm.beta"),
        _ => check,
    }
}

/// Attention made of ops of the tape, one sequence and one head at a time.
pub fn attention_of_ops<'t, T: Real>(
    qkv: &Var<'t, T>,
    lengths: &Lengths,
    heads: usize,
    causal: bool,
) -> Var<'t, T> {
    let width = qkv.shape()[1] / 3;
    let d = width / heads;
    let scale = T::from_f64(1.0 / (d as f64).sqrt());
    let mut start = 0;
    let mut sequences = Vec::new();
    for &steps in lengths.each() {
        let rows = qkv.slice(0, start..start + steps);
        let head = |h| {
            let [q, k, v] = [0, 1, 2].map(|part| {
                let at = part * width + h * d;
                rows.slice(1, at..at + d)
            });
            let mut scores = q.matmul(&k.transpose(0, 1)) * scale;
            if causal {
                let later = |i: usize| T::from_f64(f64::from(u8::from(i % steps > i / steps)));
                let later = Tensor::from_fn([steps, steps], later);
                scores = scores.masked_fill(&later, T::NEG_INFINITY);
            }
            scores.softmax(1).matmul(&v)
        };
        sequences.push(Var::concat(&(0..heads).map(head).collect::<Vec<_>>(), 1));
        start += steps;
    }
    Var::concat(&sequences, 0)
}

/// A tensor of independent normal draws.
pub fn normal(shape: impl Into<Shape>, seed: u64) -> Tensor<f64> {
    Tensor::randn(shape, &mut StdRng::seed_from_u64(seed))
}

//! Gradient checks of ops and layers: the tape against finite differences, in `f64`.
//!
//! The checks themselves are [`gradcheck`]'s: every element, a random upstream gradient,
//! no tolerance picked by hand. This module feeds them from the tape.

use gradcheck::{Check, Report};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Shape, Tape, Tensor, Var};

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
    pub fn run<L: Layer<f64>>(&self, make: impl Fn() -> L) -> Report {
        self.run_with(make, |layer, x, pass| layer.forward(x, pass))
    }

    /// Runs the check of a module that is no layer: `forward` maps the input to the
    /// output.
    pub fn run_with<L: Module<f64>>(
        &self,
        make: impl Fn() -> L,
        forward: impl for<'t> Fn(&L, &Var<'t, f64>, &mut Pass<'_, f64>) -> Var<'t, f64>,
    ) -> Report {
        let pass = || Pass::new(self.trains);
        let x = Param::new("x", self.x.clone());
        let mut check = Check::new(&self.name).input("x", x.value().shape(), x.value().to_vec());
        let mut start = vec![self.x.to_vec()];
        let mut rng = StdRng::seed_from_u64(0x6c61_7965);
        each_param(&mut make(), |p| {
            let step = Tensor::<f64>::randn(*p.value().shape(), &mut rng);
            let moved = p
                .value()
                .clone()
                .zip_in_place(&step, |p, step| p + 0.3 * step);
            check = check.clone().input(p.name(), moved.shape(), moved.to_vec());
            start.push(moved.to_vec());
        });
        for param in &self.zero {
            check = check.may_be_zero(param);
        }
        let at = |data: &[Vec<f64>]| {
            let mut layer = make();
            let mut values = data[1..].iter();
            each_param(&mut layer, |p| {
                let value = values.next().expect("one value for each parameter");
                p.set(Tensor::new(*p.value().shape(), value.clone()));
            });
            (
                Param::new("x", Tensor::new(*self.x.shape(), data[0].clone())),
                layer,
            )
        };
        let value = |data: &[Vec<f64>]| {
            let (x, layer) = at(data);
            Tape::eval(|t| forward(&layer, &t.param(&x), &mut pass()).value().clone())
        };
        let shape = *value(&start).shape();
        check.output_shape(&shape).run(
            |data| value(data).to_vec(),
            |data, dy| {
                let (x, mut layer) = at(data);
                let dy = Tensor::new(shape, dy.to_vec());
                let (_, grads) =
                    Tape::new().vjp(&dy, |t| forward(&layer, &t.param(&x), &mut pass()));
                let mut all = vec![grads.of(&x).to_vec()];
                each_param(&mut layer, |p| all.push(grads.of(p).to_vec()));
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
    pub fn run<M: TokenModel<f64>>(&self, make: impl Fn() -> M) -> Report {
        let shape = Tape::eval(|t| {
            let y = make().eval(t, &self.tokens, &self.lengths);
            *y.shape()
        });
        let mut check = CheckLayer::new(&self.name, normal(shape, 7));
        check.zero.clone_from(&self.zero);
        check.run_with(make, |model, x, pass| {
            model.forward(x.tape(), &self.tokens, &self.lengths, pass) * x
        })
    }
}

/// The forms of a Transformer block that are checked: without a norm, and with each norm in each
/// place.
pub const BLOCK_FORMS: [(NormKind, NormPlace); 7] = [
    (NormKind::None, NormPlace::Pre),
    (NormKind::Layer, NormPlace::Pre),
    (NormKind::Layer, NormPlace::Post),
    (NormKind::Batch, NormPlace::Pre),
    (NormKind::Batch, NormPlace::Post),
    (NormKind::Rms, NormPlace::Pre),
    (NormKind::Rms, NormPlace::Post),
];

/// The small block of this form that [`check_block`] checks: four features, two heads.
pub fn small_block(norm: NormKind, place: NormPlace) -> BlockSpec {
    BlockSpec::new(4, 2).hidden(5).norm(norm, place)
}

/// Checks the gradient of a [`small_block`] on two sequences of three steps.
pub fn check_block(name: &str, norm: NormKind, place: NormPlace, trains: bool) -> Report {
    let mut check = CheckLayer::new(name, normal([2, 3, 4], 1)).training(trains);
    if norm == NormKind::Batch && place == NormPlace::Post && trains {
        // Only a norm behind a sum has biases right in front of it. Batch Norm subtracts the
        // mean, and any bias with it: of the biases on the way in, those of the values. Those
        // of the keys never count, for they add the same to all scores of a row.
        check = check
            .may_be_zero("self_attn.in_proj_bias")
            .may_be_zero("self_attn.out_proj.bias")
            .may_be_zero("linear2.bias");
    }
    check.run(|| small_block(norm, place).build(&mut StdRng::seed_from_u64(4)))
}

/// A tensor of independent normal draws.
pub fn normal(shape: impl Into<Shape>, seed: u64) -> Tensor<f64> {
    Tensor::randn(shape, &mut StdRng::seed_from_u64(seed))
}

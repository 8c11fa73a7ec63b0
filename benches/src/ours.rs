//! Our side of every case.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use batchnorm::BatchNorm;
use layernorm::LayerNorm;
use nn::{
    BlockSpec, CellKind, CnnSpec, Init, Layer, Linear, Mlp, MlpSpec, Module, NormKind, Optimizer,
    Recurrent, RecurrentSpec, Sgd, Visitor, each_param, loss,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Grads, Param, Tape, Tensor, Var};

use crate::cases::{
    BATCH, CLASSES, CNN_BATCH, CNN_CHANNELS, CNN_SIDE, Case, EPS, LSTM, MLP, Network, Norm, Pass,
    RATE, TRANSFORMER,
};
use crate::inputs;
use crate::protocol::{Job, Outputs};

/// Makes `case` ready.
pub fn job(case: &Case) -> Job {
    larger(case, 1)
}

/// The same; a network gets batches `times` as large as usual.
pub fn larger(case: &Case, times: usize) -> Job {
    match case {
        Case::Kernel(norm, shape, Pass::Forward) => forward(*norm, shape),
        Case::Kernel(norm, shape, Pass::Both) => both(*norm, shape),
        Case::Chain(ops) => chain(*ops),
        Case::Mlp(norm) => mlp(*norm, times),
        Case::Network(Network::Cnn) => cnn(times),
        Case::Network(Network::Lstm) => lstm(times),
        Case::Network(Network::Transformer) => transformer(times),
    }
}

/// A job that times `work` and, to be checked, does it once more and reads off its result.
fn of<R: 'static>(
    work: impl FnMut() -> R + 'static,
    outputs: impl FnOnce(R) -> Outputs + 'static,
) -> Job {
    let work = Rc::new(RefCell::new(work));
    let checked = work.clone();
    Job {
        run: Box::new(move || drop(black_box((work.borrow_mut())()))),
        check: Box::new(move || outputs((checked.borrow_mut())())),
    }
}

/// Either norm, as a layer.
enum AnyNorm {
    Batch(BatchNorm<f32>),
    Layer(LayerNorm<f32>),
}

impl AnyNorm {
    fn new(norm: Norm, features: usize) -> Self {
        match norm {
            Norm::Batch => AnyNorm::Batch(BatchNorm::new(features).with_eps(EPS)),
            Norm::Layer => AnyNorm::Layer(LayerNorm::new([features]).with_eps(EPS)),
        }
    }

    /// With the scale and shift that all sides use for a kernel on its own.
    fn for_kernel(norm: Norm, shape: &[usize]) -> Self {
        let features = match norm {
            Norm::Batch => shape[1],
            Norm::Layer => shape[shape.len() - 1],
        };
        let mut made = AnyNorm::new(norm, features);
        let [gamma, beta] = made.params_mut();
        gamma.set(Tensor::new([features], inputs::gamma(features)));
        beta.set(Tensor::new([features], inputs::beta(features)));
        made
    }

    fn train<'t>(&mut self, x: &Var<'t, f32>) -> Var<'t, f32> {
        match self {
            AnyNorm::Batch(bn) => bn.train(x),
            AnyNorm::Layer(ln) => ln.forward(x),
        }
    }

    /// gamma and beta.
    fn params_mut(&mut self) -> [&mut Param<f32>; 2] {
        let params = match self {
            AnyNorm::Batch(bn) => bn.params_mut(),
            AnyNorm::Layer(ln) => ln.params_mut(),
        };
        params.try_into().expect("a norm with scale and shift")
    }
}

fn forward(norm: Norm, shape: &[usize]) -> Job {
    let mut layer = AnyNorm::for_kernel(norm, shape);
    let x = Tensor::new(shape, inputs::x(shape.iter().product()));
    let work = move || Tape::eval(|t| layer.train(&t.constant(x.clone())).value().clone());
    of(work, |y| vec![("y", y.to_vec())])
}

fn both(norm: Norm, shape: &[usize]) -> Job {
    let mut layer = AnyNorm::for_kernel(norm, shape);
    let n = shape.iter().product();
    let x = Rc::new(Param::new("x", Tensor::new(shape, inputs::x(n))));
    let dy = Tensor::new(shape, inputs::dy(n));
    let mut tape = Tape::new();
    let input = x.clone();
    let work = move || {
        let (y, grads) = tape.vjp(&dy, |t| layer.train(&t.param(&input)));
        let [gamma, beta] = layer.params_mut();
        let (dgamma, dbeta) = (grads.of(gamma), grads.of(beta));
        (y, grads, dgamma, dbeta)
    };
    of(
        work,
        move |(y, grads, dgamma, dbeta): (Tensor<f32>, Grads<f32>, _, _)| {
            let named = [
                ("y", y),
                ("dx", grads.of(&x)),
                ("dgamma", dgamma),
                ("dbeta", dbeta),
            ];
            named
                .into_iter()
                .map(|(name, t)| (name, t.to_vec()))
                .collect()
        },
    )
}

fn chain(ops: usize) -> Job {
    let x = Rc::new(Param::new("x", Tensor::new([4, 4], inputs::x(16))));
    let scale = Tensor::full([4, 4], 0.999);
    let shift = Tensor::full([4, 4], 0.001);
    let dy = Tensor::ones([4, 4]);
    let mut tape = Tape::new();
    let input = x.clone();
    let work = move || {
        let (y, grads) = tape.vjp(&dy, |t| {
            let (scale, shift) = (t.constant(scale.clone()), t.constant(shift.clone()));
            let mut y = t.param(&input);
            for i in 0..ops {
                y = if i % 2 == 0 { &y * &scale } else { &y + &shift };
            }
            y
        });
        (y, grads)
    };
    of(work, move |(y, grads)| {
        vec![("y", y.to_vec()), ("dx", grads.of(&x).to_vec())]
    })
}

/// Gives `net` the weights that all sides start from: weights by number, in the order in
/// which the network shows them, scales 1 and biases 0.
fn with_weights<M: Module<f32>>(mut net: M) -> M {
    let mut layer = 0;
    each_param(&mut net, |param| {
        let shape = *param.value().shape();
        if let [out, rest @ ..] = &shape[..]
            && !rest.is_empty()
        {
            let weights = inputs::weights(layer, *out, rest.iter().product());
            param.set(Tensor::new(shape, weights));
            layer += 1;
        } else if !param.name().ends_with("gamma") {
            param.set(Tensor::zeros(shape));
        }
    });
    net
}

/// A job that times one training step, and is checked by the losses of five.
fn steps<M, F>(mut net: M, forward: F) -> Job
where
    M: Module<f32> + 'static,
    F: for<'t> Fn(&mut M, &'t Tape<f32>) -> Var<'t, f32> + 'static,
{
    let mut sgd = Sgd::new();
    let mut tape = Tape::new();
    let step = move || {
        let (loss, grads) = tape.grad(|t| forward(&mut net, t));
        sgd.step(&mut net, &grads, RATE);
        loss
    };
    let step = Rc::new(RefCell::new(step));
    let checked = step.clone();
    Job {
        run: Box::new(move || {
            black_box((step.borrow_mut())());
        }),
        check: Box::new(move || vec![("loss", (0..5).map(|_| (checked.borrow_mut())()).collect())]),
    }
}

/// What is drawn here is replaced.
fn rng() -> StdRng {
    StdRng::seed_from_u64(0)
}

fn mlp(norm: Norm, times: usize) -> Job {
    let batch = times * BATCH;
    let kind = match norm {
        Norm::Batch => NormKind::Batch,
        Norm::Layer => NormKind::Layer,
    };
    let net: Mlp<f32> = MlpSpec::new(&MLP)
        .norm(kind)
        .init(Init::PYTORCH)
        .build(&mut rng());
    let x = Tensor::new([batch, MLP[0]], inputs::x(batch * MLP[0]));
    let target = inputs::targets(batch, MLP[MLP.len() - 1]);
    steps(with_weights(net), move |net, t| {
        let logits = net.train(&t.constant(x.clone()));
        loss::cross_entropy(&logits, &target)
    })
}

fn cnn(times: usize) -> Job {
    let spec = CnnSpec::new(&CNN_CHANNELS, CNN_SIDE, CLASSES).norm(NormKind::Batch);
    let batch = times * CNN_BATCH;
    let shape = [batch, CNN_CHANNELS[0], CNN_SIDE, CNN_SIDE];
    let x = Tensor::new(shape, inputs::x(shape.iter().product()));
    let target = inputs::targets(batch, CLASSES);
    steps(with_weights(spec.build(&mut rng())), move |net, t| {
        let logits = net.train(&t.constant(x.clone()));
        loss::cross_entropy(&logits, &target)
    })
}

struct LstmClassifier {
    rnn: Recurrent<f32>,
    head: Linear<f32>,
}

impl Module<f32> for LstmClassifier {
    fn visit(&mut self, v: &mut Visitor<'_, f32>) {
        v.child("rnn", &mut self.rnn);
        v.child("head", &mut self.head);
    }
}

fn lstm(times: usize) -> Job {
    let [batch, time, features, hidden] = LSTM;
    let batch = times * batch;
    let net = LstmClassifier {
        rnn: RecurrentSpec::new(CellKind::Lstm, features, hidden).build(&mut rng()),
        head: Linear::new(hidden, CLASSES, &mut rng()),
    };
    let x = Tensor::new([batch, time, features], inputs::x(batch * time * features));
    let target = inputs::targets(batch, CLASSES);
    steps(with_weights(net), move |net, t| {
        let states = net.rnn.train(&t.constant(x.clone()));
        let logits = net.head.train(&states.select(1, time - 1));
        loss::cross_entropy(&logits, &target)
    })
}

fn transformer(times: usize) -> Job {
    let [batch, time, width, heads] = TRANSFORMER;
    let batch = times * batch;
    let block = BlockSpec::new(width, heads).build(&mut rng());
    let shape = [batch, time, width];
    let x = Tensor::new(shape, inputs::x(shape.iter().product()));
    let zeros = Tensor::zeros(shape);
    steps(with_weights(block), move |block, t| {
        let y = block.train(&t.constant(x.clone()));
        loss::mse(&y, &zeros)
    })
}

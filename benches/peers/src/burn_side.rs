//! The cases in Burn, on Flex, its CPU backend.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d,
};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation, module};

use crate::cases::{
    BATCH, CLASSES, CNN_BATCH, CNN_CHANNELS, CNN_SIDE, Case, EPS, MLP, Network, Norm, Pass, RATE,
    TRANSFORMER,
};
use crate::inputs;
use crate::protocol::{Job, Outputs};

/// Makes `case` ready.
pub fn job(case: &Case) -> Job {
    match case {
        Case::Kernel(norm, shape, pass) => match *shape.as_slice() {
            [n, c] => kernel(*norm, [n, c], *pass),
            [n, c, h, w] => kernel(*norm, [n, c, h, w], *pass),
            _ => unreachable!("every case has two or four axes"),
        },
        Case::Chain(ops) => chain(*ops),
        Case::Mlp(norm) => mlp(*norm),
        Case::Network(Network::Cnn) => cnn(),
        Case::Network(Network::Transformer) => transformer(),
        Case::Network(Network::Lstm) => unreachable!("this side does not have it"),
    }
}

fn tensor<const D: usize>(data: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(data, shape), device)
}

fn values<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_to_vec().expect("an f32 tensor")
}

#[derive(Module, Debug)]
struct Layer {
    batch: Option<BatchNorm>,
    layer: Option<LayerNorm>,
}

impl Layer {
    fn new(norm: Norm, features: usize, device: &Device) -> Layer {
        match norm {
            Norm::Batch => Layer {
                batch: Some(
                    BatchNormConfig::new(features)
                        .with_epsilon(EPS)
                        .init(device),
                ),
                layer: None,
            },
            Norm::Layer => Layer {
                batch: None,
                layer: Some(
                    LayerNormConfig::new(features)
                        .with_epsilon(EPS)
                        .init(device),
                ),
            },
        }
    }

    fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match (&self.batch, &self.layer) {
            (Some(norm), _) => norm.forward(x),
            (_, Some(norm)) => norm.forward(x),
            _ => unreachable!("a layer has one norm"),
        }
    }
}

fn kernel<const D: usize>(norm: Norm, shape: [usize; D], pass: Pass) -> Job {
    let n: usize = shape.iter().product();
    let features = match norm {
        Norm::Batch => shape[1],
        Norm::Layer => shape[D - 1],
    };
    let (gamma, beta) = (inputs::gamma(features), inputs::beta(features));
    if pass == Pass::Forward {
        let device = Device::flex();
        let x = tensor(inputs::x(n), shape, &device);
        let gamma = tensor(gamma, [features], &device);
        let beta = tensor(beta, [features], &device);
        let forward = move || match norm {
            Norm::Batch => {
                module::batch_norm_train(x.clone(), gamma.clone(), beta.clone(), EPS).output
            }
            Norm::Layer => module::layer_norm(x.clone(), gamma.clone(), Some(beta.clone()), EPS),
        };
        let checked = forward.clone();
        return Job {
            run: Box::new(move || drop(black_box(forward()))),
            check: Box::new(move || vec![("y", values(checked()))]),
        };
    }
    let device = Device::flex().autodiff();
    let mut layer = Layer::new(norm, features, &device);
    let gamma = Param::from_tensor(tensor(gamma, [features], &device));
    let beta = Param::from_tensor(tensor(beta, [features], &device));
    if let Some(norm) = &mut layer.batch {
        (norm.gamma, norm.beta) = (gamma.clone(), beta.clone());
    }
    if let Some(norm) = &mut layer.layer {
        (norm.gamma, norm.beta) = (gamma.clone(), Some(beta.clone()));
    }
    let x = tensor(inputs::x(n), shape, &device).require_grad();
    let dy = tensor(inputs::dy(n), shape, &device);
    let (l, xc) = (layer.clone(), x.clone());
    let check = move || -> Outputs {
        let y = l.forward(xc.clone());
        let grads = (y.clone() * dy).sum().backward();
        let what = "burn returned no gradient";
        vec![
            ("y", values(y)),
            ("dx", values(xc.grad(&grads).expect(what))),
            ("dgamma", values(gamma.val().grad(&grads).expect(what))),
            ("dbeta", values(beta.val().grad(&grads).expect(what))),
        ]
    };
    Job {
        run: Box::new(move || drop(black_box(layer.forward(x.clone()).backward()))),
        check: Box::new(check),
    }
}

fn chain(ops: usize) -> Job {
    let device = Device::flex().autodiff();
    let x = tensor(inputs::x(16), [4, 4], &device).require_grad();
    let scale = tensor(vec![0.999; 16], [4, 4], &device);
    let shift = tensor(vec![0.001; 16], [4, 4], &device);
    let xc = x.clone();
    let forward = move || {
        let mut y = x.clone();
        for i in 0..ops {
            y = if i % 2 == 0 {
                y * scale.clone()
            } else {
                y + shift.clone()
            };
        }
        y
    };
    let checked = forward.clone();
    Job {
        run: Box::new(move || drop(black_box(forward().backward()))),
        check: Box::new(move || {
            let y = checked();
            let grads = y.backward();
            vec![
                ("y", values(y)),
                ("dx", values(xc.grad(&grads).expect("a gradient"))),
            ]
        }),
    }
}

#[derive(Module, Debug)]
struct Mlp {
    linears: Vec<Linear>,
    norms: Vec<Layer>,
}

impl Mlp {
    fn new(norm: Norm, device: &Device) -> Mlp {
        let mut net = Mlp {
            linears: Vec::new(),
            norms: Vec::new(),
        };
        for (i, pair) in MLP.windows(2).enumerate() {
            let (fan_in, out) = (pair[0], pair[1]);
            net.linears.push(linear(i, fan_in, out, device));
            if i + 2 < MLP.len() {
                net.norms.push(Layer::new(norm, out, device));
            }
        }
        net
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let mut h = x;
        for (i, linear) in self.linears.iter().enumerate() {
            h = linear.forward(h);
            if let Some(norm) = self.norms.get(i) {
                h = activation::relu(norm.forward(h));
            }
        }
        h
    }
}

fn mlp(norm: Norm) -> Job {
    let device = Device::flex().autodiff();
    let net = Mlp::new(norm, &device);
    let criterion: CrossEntropyLoss = CrossEntropyLossConfig::new().init(&device);
    let x = tensor(inputs::x(BATCH * MLP[0]), [BATCH, MLP[0]], &device);
    let classes = MLP[MLP.len() - 1];
    let target: Vec<i32> = inputs::targets(BATCH, classes)
        .iter()
        .map(|&t| t as i32)
        .collect();
    let target: Tensor<1, Int> = Tensor::from_data(TensorData::new(target, [BATCH]), &device);
    steps(net, move |net: &Mlp| {
        criterion.forward(net.forward(x.clone()), target.clone())
    })
}

fn linear(number: usize, inputs: usize, outputs: usize, device: &Device) -> Linear {
    let mut linear = LinearConfig::new(inputs, outputs).init(device);
    // Burn keeps a weight as [in, out].
    let weight = tensor(
        inputs::weights(number, outputs, inputs),
        [outputs, inputs],
        device,
    );
    let weight = values(weight.transpose());
    linear.weight = Param::from_tensor(tensor(weight, [inputs, outputs], device));
    linear.bias = Some(Param::from_tensor(Tensor::zeros([outputs], device)));
    linear
}

#[derive(Module, Debug)]
struct Cnn {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    pool: MaxPool2d,
    head: Linear,
}

fn cnn() -> Job {
    let device = Device::flex().autodiff();
    let (mut convs, mut norms, mut side) = (Vec::new(), Vec::new(), CNN_SIDE);
    for (i, pair) in CNN_CHANNELS.windows(2).enumerate() {
        let (c, o) = (pair[0], pair[1]);
        let config = Conv2dConfig::new([c, o], [3, 3]);
        let config = config.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
        let mut conv = config.init(&device);
        let weight = tensor(inputs::weights(i, o, 9 * c), [o, c, 3, 3], &device);
        conv.weight = Param::from_tensor(weight);
        conv.bias = Some(Param::from_tensor(Tensor::zeros([o], &device)));
        convs.push(conv);
        norms.push(BatchNormConfig::new(o).with_epsilon(EPS).init(&device));
        side /= 2;
    }
    let features = CNN_CHANNELS[CNN_CHANNELS.len() - 1] * side * side;
    let net = Cnn {
        head: linear(convs.len(), features, CLASSES, &device),
        pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
        convs,
        norms,
    };
    let shape = [CNN_BATCH, CNN_CHANNELS[0], CNN_SIDE, CNN_SIDE];
    let x: Tensor<4> = tensor(inputs::x(shape.iter().product()), shape, &device);
    let criterion: CrossEntropyLoss = CrossEntropyLossConfig::new().init(&device);
    let target = inputs::targets(CNN_BATCH, CLASSES);
    let target: Vec<i32> = target.iter().map(|&t| t as i32).collect();
    let target: Tensor<1, Int> = Tensor::from_data(TensorData::new(target, [CNN_BATCH]), &device);
    steps(net, move |net: &Cnn| {
        let mut h = x.clone();
        for (conv, norm) in net.convs.iter().zip(&net.norms) {
            h = net
                .pool
                .forward(activation::relu(norm.forward(conv.forward(h))));
        }
        criterion.forward(net.head.forward(h.flatten(1, 3)), target.clone())
    })
}

#[derive(Module, Debug)]
struct Block {
    qkv: Linear,
    out: Linear,
    into: Linear,
    back: Linear,
    norm1: LayerNorm,
    norm2: LayerNorm,
}

fn transformer() -> Job {
    let [batch, time, width, heads] = TRANSFORMER;
    let device = Device::flex().autodiff();
    let norm = || LayerNormConfig::new(width).with_epsilon(EPS).init(&device);
    let net = Block {
        qkv: linear(0, width, 3 * width, &device),
        out: linear(1, width, width, &device),
        into: linear(2, width, 4 * width, &device),
        back: linear(3, 4 * width, width, &device),
        norm1: norm(),
        norm2: norm(),
    };
    let x: Tensor<3> = tensor(
        inputs::x(batch * time * width),
        [batch, time, width],
        &device,
    );
    let later = (0..time * time).map(|i| if i % time > i / time { -1e30 } else { 0.0 });
    let later: Tensor<4> = tensor(later.collect(), [1, 1, time, time], &device);
    let scale = 1.0 / ((width / heads) as f64).sqrt();
    steps(net, move |net: &Block| {
        let all = net.qkv.forward(net.norm1.forward(x.clone()));
        let part = |i: usize| {
            let part = all.clone().narrow(2, i * width, width);
            part.reshape([batch, time, heads, width / heads])
                .swap_dims(1, 2)
        };
        let scores = part(0).matmul(part(1).swap_dims(2, 3)) * scale + later.clone();
        let y = activation::softmax(scores, 3).matmul(part(2));
        let y = net
            .out
            .forward(y.swap_dims(1, 2).reshape([batch, time, width]));
        let x = x.clone() + y;
        let y = activation::gelu(net.into.forward(net.norm2.forward(x.clone())));
        let y = x + net.back.forward(y);
        (y.clone() * y).mean()
    })
}

/// A job that times one training step, and is checked by the losses of five.
fn steps<M: Module + 'static>(net: M, loss_of: impl Fn(&M) -> Tensor<1> + 'static) -> Job {
    let mut net = Some(net);
    let mut sgd = SgdConfig::new().init();
    let step = move || {
        let model = net.take().expect("put back after every step");
        let loss = loss_of(&model);
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        net = Some(sgd.step(RATE, model, grads));
        loss
    };
    let step = Rc::new(RefCell::new(step));
    let checked = step.clone();
    Job {
        run: Box::new(move || drop(black_box((step.borrow_mut())()))),
        check: Box::new(move || {
            let losses = (0..5).map(|_| values((checked.borrow_mut())())[0]);
            vec![("loss", losses.collect())]
        }),
    }
}

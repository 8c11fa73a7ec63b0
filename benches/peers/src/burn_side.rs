//! The cases in Burn, on Flex, its CPU backend.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

use burn::module::{Module, Param};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation, module};

use crate::cases::{BATCH, Case, EPS, MLP, Norm, Pass, RATE};
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
        Case::Network(_) => unreachable!("the runner asks for cases that this side has"),
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
            let mut linear = LinearConfig::new(fan_in, out).init(device);
            // Burn keeps a weight as [in, out].
            let weight = tensor(inputs::weights(i, out, fan_in), [out, fan_in], device);
            let weight = values(weight.transpose());
            linear.weight = Param::from_tensor(tensor(weight, [fan_in, out], device));
            linear.bias = Some(Param::from_tensor(Tensor::zeros([out], device)));
            net.linears.push(linear);
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
    let mut net = Some(Mlp::new(norm, &device));
    let mut sgd = SgdConfig::new().init();
    let criterion: CrossEntropyLoss = CrossEntropyLossConfig::new().init(&device);
    let x = tensor(inputs::x(BATCH * MLP[0]), [BATCH, MLP[0]], &device);
    let classes = MLP[MLP.len() - 1];
    let target: Vec<i32> = inputs::targets(BATCH, classes)
        .iter()
        .map(|&t| t as i32)
        .collect();
    let target: Tensor<1, Int> = Tensor::from_data(TensorData::new(target, [BATCH]), &device);
    let step = move || {
        let model = net.take().expect("put back after every step");
        let loss = criterion.forward(model.forward(x.clone()), target.clone());
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

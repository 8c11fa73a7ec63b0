//! The cases in Candle.

use std::hint::black_box;

use candle_core::{Device, Result, Tensor, Var};
use candle_nn::ops::layer_norm_slow;
use candle_nn::{BatchNorm, Linear, Module, Optimizer, SGD};

use crate::cases::{BATCH, Case, EPS, MLP, Norm, Pass, RATE};
use crate::inputs;
use crate::protocol::{Job, Outputs};

/// Makes `case` ready.
pub fn job(case: &Case) -> Result<Job> {
    match case {
        Case::Kernel(norm, shape, pass) => kernel(*norm, shape, *pass),
        Case::Chain(ops) => chain(*ops),
        Case::Mlp(norm) => mlp(*norm),
        Case::Network(_) => unreachable!("the runner asks for cases that this side has"),
    }
}

fn tensor(data: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(data, shape, &Device::Cpu)
}

fn var(data: Vec<f32>, shape: &[usize]) -> Result<Var> {
    Var::from_tensor(&tensor(data, shape)?)
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all()
        .and_then(|t| t.to_vec1())
        .expect("an f32 tensor")
}

fn batch_norm(c: usize, gamma: Tensor, beta: Tensor) -> Result<BatchNorm> {
    let mean = Tensor::zeros(c, candle_core::DType::F32, &Device::Cpu)?;
    let var = Tensor::ones(c, candle_core::DType::F32, &Device::Cpu)?;
    BatchNorm::new(c, mean, var, gamma, beta, EPS)
}

/// A norm layer that can be trained. `LayerNorm::forward` cannot: its fused kernel returns
/// no gradient, so training needs the composed form.
enum Layer {
    Batch(BatchNorm),
    Layer(Tensor, Tensor),
}

impl Layer {
    fn new(norm: Norm, gamma: Tensor, beta: Tensor) -> Result<Layer> {
        Ok(match norm {
            Norm::Batch => Layer::Batch(batch_norm(gamma.elem_count(), gamma, beta)?),
            Norm::Layer => Layer::Layer(gamma, beta),
        })
    }

    fn train(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Layer::Batch(bn) => bn.forward_train(x),
            Layer::Layer(gamma, beta) => layer_norm_slow(x, gamma, beta, EPS as f32),
        }
    }

    /// Forward with nothing tracked: here the fused LayerNorm can be used.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Layer::Batch(bn) => bn.forward_train(x),
            Layer::Layer(gamma, beta) => candle_nn::ops::layer_norm(x, gamma, beta, EPS as f32),
        }
    }
}

fn kernel(norm: Norm, shape: &[usize], pass: Pass) -> Result<Job> {
    let n: usize = shape.iter().product();
    let features = match norm {
        Norm::Batch => shape[1],
        Norm::Layer => shape[shape.len() - 1],
    };
    let (gamma, beta) = (inputs::gamma(features), inputs::beta(features));
    if pass == Pass::Forward {
        let x = tensor(inputs::x(n), shape)?;
        let layer = Layer::new(
            norm,
            tensor(gamma, &[features])?,
            tensor(beta, &[features])?,
        )?;
        let layer = std::rc::Rc::new(layer);
        let (l, xc) = (layer.clone(), x.clone());
        return Ok(Job {
            run: Box::new(move || drop(black_box(layer.forward(&x).unwrap()))),
            check: Box::new(move || vec![("y", values(&l.forward(&xc).unwrap()))]),
        });
    }
    let x = var(inputs::x(n), shape)?;
    let dy = tensor(inputs::dy(n), shape)?;
    let (gamma, beta) = (var(gamma, &[features])?, var(beta, &[features])?);
    let layer = Layer::new(norm, gamma.as_tensor().clone(), beta.as_tensor().clone())?;
    let layer = std::rc::Rc::new(layer);
    let (l, xc) = (layer.clone(), x.clone());
    let check = move || -> Result<Outputs> {
        let y = l.train(&xc)?;
        let grads = (&y * dy)?.sum_all()?.backward()?;
        let grad = |v: &Var| values(grads.get(v).expect("candle returned no gradient"));
        Ok(vec![
            ("y", values(&y)),
            ("dx", grad(&xc)),
            ("dgamma", grad(&gamma)),
            ("dbeta", grad(&beta)),
        ])
    };
    Ok(Job {
        run: Box::new(move || drop(black_box(layer.train(&x).unwrap().backward().unwrap()))),
        check: Box::new(move || check().unwrap()),
    })
}

fn chain(ops: usize) -> Result<Job> {
    let x = var(inputs::x(16), &[4, 4])?;
    let scale = tensor(vec![0.999; 16], &[4, 4])?;
    let shift = tensor(vec![0.001; 16], &[4, 4])?;
    let forward = move |x: &Var| -> Tensor {
        let mut y = x.as_tensor().clone();
        for i in 0..ops {
            y = if i % 2 == 0 {
                (&y * &scale).unwrap()
            } else {
                (&y + &shift).unwrap()
            };
        }
        y
    };
    let (f, xc) = (forward.clone(), x.clone());
    Ok(Job {
        run: Box::new(move || drop(black_box(forward(&x).backward().unwrap()))),
        check: Box::new(move || {
            let y = f(&xc);
            let grads = y.backward().unwrap();
            vec![("y", values(&y)), ("dx", values(grads.get(&xc).unwrap()))]
        }),
    })
}

fn mlp(norm: Norm) -> Result<Job> {
    let mut vars = Vec::new();
    let mut param = |data: Vec<f32>, shape: &[usize]| -> Result<Tensor> {
        vars.push(var(data, shape)?);
        Ok(vars[vars.len() - 1].as_tensor().clone())
    };
    let mut linears = Vec::new();
    let mut norms = Vec::new();
    for (i, pair) in MLP.windows(2).enumerate() {
        let (fan_in, out) = (pair[0], pair[1]);
        let w = param(inputs::weights(i, out, fan_in), &[out, fan_in])?;
        linears.push(Linear::new(w, Some(param(vec![0.0; out], &[out])?)));
        if i + 2 < MLP.len() {
            let gamma = param(vec![1.0; out], &[out])?;
            norms.push(Layer::new(norm, gamma, param(vec![0.0; out], &[out])?)?);
        }
    }
    let x = tensor(inputs::x(BATCH * MLP[0]), &[BATCH, MLP[0]])?;
    let classes = MLP[MLP.len() - 1];
    let target: Vec<u32> = inputs::targets(BATCH, classes)
        .iter()
        .map(|&t| t as u32)
        .collect();
    let target = Tensor::from_vec(target, BATCH, &Device::Cpu)?;
    let mut sgd = SGD::new(vars, RATE)?;
    let step = move || -> Result<Tensor> {
        let mut h = x.clone();
        for (i, linear) in linears.iter().enumerate() {
            h = linear.forward(&h)?;
            if let Some(norm) = norms.get(i) {
                h = norm.train(&h)?.relu()?;
            }
        }
        let loss = candle_nn::loss::cross_entropy(&h, &target)?;
        sgd.backward_step(&loss)?;
        Ok(loss)
    };
    let step = std::rc::Rc::new(std::cell::RefCell::new(step));
    let checked = step.clone();
    Ok(Job {
        run: Box::new(move || drop(black_box((step.borrow_mut())().unwrap()))),
        check: Box::new(move || {
            let losses = (0..5).map(|_| values(&(checked.borrow_mut())().unwrap())[0]);
            vec![("loss", losses.collect())]
        }),
    })
}

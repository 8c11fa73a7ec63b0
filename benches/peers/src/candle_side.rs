//! The cases in Candle.

use std::hint::black_box;

use candle_core::{Device, Result, Tensor, Var};
use candle_nn::ops::layer_norm_slow;
use candle_nn::rnn::{LSTMConfig, RNN};
use candle_nn::{BatchNorm, Linear, Module, Optimizer, SGD, VarBuilder};

use crate::cases::{
    BATCH, CLASSES, CNN_BATCH, CNN_CHANNELS, CNN_SIDE, Case, EPS, LSTM, MLP, Network, Norm, Pass,
    RATE, TRANSFORMER,
};
use crate::inputs;
use crate::protocol::{Job, Outputs};

/// Makes `case` ready.
pub fn job(case: &Case) -> Result<Job> {
    match case {
        Case::Kernel(norm, shape, pass) => kernel(*norm, shape, *pass),
        Case::Chain(ops) => chain(*ops),
        Case::Mlp(norm) => mlp(*norm),
        Case::Network(Network::Cnn) => cnn(),
        Case::Network(Network::Lstm) => lstm(),
        Case::Network(Network::Transformer) => transformer(),
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
    let forward = move || -> Result<Tensor> {
        let mut h = x.clone();
        for (i, linear) in linears.iter().enumerate() {
            h = linear.forward(&h)?;
            if let Some(norm) = norms.get(i) {
                h = norm.train(&h)?.relu()?;
            }
        }
        candle_nn::loss::cross_entropy(&h, &target)
    };
    steps(vars, forward)
}

/// A job that times one training step, and is checked by the losses of five.
fn steps(vars: Vec<Var>, loss_of: impl Fn() -> Result<Tensor> + 'static) -> Result<Job> {
    let mut sgd = SGD::new(vars, RATE)?;
    let step = move || -> Result<Tensor> {
        let loss = loss_of()?;
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

/// The parameters of a network: weights by number, in order.
#[derive(Default)]
struct Params {
    vars: Vec<Var>,
    weights: usize,
}

impl Params {
    fn add(&mut self, data: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        let var = var(data, shape)?;
        self.vars.push(var.clone());
        Ok(var.as_tensor().clone())
    }

    fn weight(&mut self, shape: &[usize]) -> Result<Tensor> {
        let data = inputs::weights(self.weights, shape[0], shape[1..].iter().product());
        self.weights += 1;
        self.add(data, shape)
    }

    fn full(&mut self, value: f32, n: usize) -> Result<Tensor> {
        self.add(vec![value; n], &[n])
    }

    fn linear(&mut self, inputs: usize, outputs: usize) -> Result<Linear> {
        let weight = self.weight(&[outputs, inputs])?;
        Ok(Linear::new(weight, Some(self.full(0.0, outputs)?)))
    }

    fn norm(&mut self, norm: Norm, features: usize) -> Result<Layer> {
        let gamma = self.full(1.0, features)?;
        Layer::new(norm, gamma, self.full(0.0, features)?)
    }
}

fn classes(n: usize) -> Result<Tensor> {
    let target: Vec<u32> = inputs::targets(n, CLASSES)
        .iter()
        .map(|&t| t as u32)
        .collect();
    Tensor::from_vec(target, n, &Device::Cpu)
}

/// The largest value of each window of 2 by 2. `Tensor::max_pool2d` cannot be trained:
/// its gradient is multiplied by the share of the window that is largest, a quarter.
fn max_pool(x: &Tensor) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    x.reshape(&[n, c, h / 2, 2, w / 2, 2])?.max(5)?.max(3)
}

fn cnn() -> Result<Job> {
    let mut params = Params::default();
    let mut stages = Vec::new();
    let mut side = CNN_SIDE;
    for pair in CNN_CHANNELS.windows(2) {
        let weight = params.weight(&[pair[1], pair[0], 3, 3])?;
        let bias = params.full(0.0, pair[1])?;
        stages.push((weight, bias, params.norm(Norm::Batch, pair[1])?));
        side /= 2;
    }
    let head = params.linear(CNN_CHANNELS[CNN_CHANNELS.len() - 1] * side * side, CLASSES)?;
    let shape = [CNN_BATCH, CNN_CHANNELS[0], CNN_SIDE, CNN_SIDE];
    let x = tensor(inputs::x(shape.iter().product()), &shape)?;
    let target = classes(CNN_BATCH)?;
    steps(params.vars, move || {
        let mut h = x.clone();
        for (weight, bias, norm) in &stages {
            let bias = bias.reshape((1, (), 1, 1))?;
            h = h.conv2d(weight, 1, 1, 1, 1)?.broadcast_add(&bias)?;
            h = max_pool(&norm.train(&h)?.relu()?)?;
        }
        candle_nn::loss::cross_entropy(&head.forward(&h.flatten_from(1)?)?, &target)
    })
}

fn lstm() -> Result<Job> {
    let [batch, time, features, hidden] = LSTM;
    let mut params = Params::default();
    let gates = 4 * hidden;
    let mut named = std::collections::HashMap::new();
    named.insert(
        "weight_ih_l0".to_owned(),
        params.weight(&[gates, features])?,
    );
    named.insert("weight_hh_l0".to_owned(), params.weight(&[gates, hidden])?);
    named.insert("bias_ih_l0".to_owned(), params.full(0.0, gates)?);
    named.insert("bias_hh_l0".to_owned(), params.full(0.0, gates)?);
    let builder = VarBuilder::from_tensors(named, candle_core::DType::F32, &Device::Cpu);
    let rnn = candle_nn::rnn::lstm(features, hidden, LSTMConfig::default(), builder)?;
    let head = params.linear(hidden, CLASSES)?;
    let x = tensor(inputs::x(batch * time * features), &[batch, time, features])?;
    let target = classes(batch)?;
    steps(params.vars, move || {
        let states = rnn.seq(&x)?;
        let last = states[time - 1].h();
        candle_nn::loss::cross_entropy(&head.forward(last)?, &target)
    })
}

fn transformer() -> Result<Job> {
    let [batch, time, width, heads] = TRANSFORMER;
    let mut params = Params::default();
    let qkv = params.linear(width, 3 * width)?;
    let out = params.linear(width, width)?;
    let (into, back) = (
        params.linear(width, 4 * width)?,
        params.linear(4 * width, width)?,
    );
    let norm1 = params.norm(Norm::Layer, width)?;
    let norm2 = params.norm(Norm::Layer, width)?;
    let x = tensor(inputs::x(batch * time * width), &[batch, time, width])?;
    let zeros = x.zeros_like()?;
    let later = (0..time * time).map(|i| {
        if i % time > i / time {
            f32::NEG_INFINITY
        } else {
            0.0
        }
    });
    let later = tensor(later.collect(), &[time, time])?;
    let scale = 1.0 / ((width / heads) as f64).sqrt();
    steps(params.vars, move || {
        let all = qkv.forward(&norm1.train(&x)?)?;
        let all = all.reshape((batch, time, 3, heads, width / heads))?;
        let part = |i| {
            all.narrow(2, i, 1)?
                .squeeze(2)?
                .transpose(1, 2)?
                .contiguous()
        };
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scores = (q.matmul(&k.t()?)? * scale)?.broadcast_add(&later)?;
        let y = candle_nn::ops::softmax(&scores, 3)?.matmul(&v)?;
        let y = y.transpose(1, 2)?.reshape((batch, time, width))?;
        let x = (&x + out.forward(&y)?)?;
        let y = back.forward(&into.forward(&norm2.train(&x)?)?.gelu_erf()?)?;
        candle_nn::loss::mse(&(x + y)?, &zeros)
    })
}

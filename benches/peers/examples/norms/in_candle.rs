//! Candle's layers.

use crate::layer::{Fresh, Inputs, Layer, Op, Outputs, Result};
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{
    BatchNorm, BatchNormConfig, GroupNorm, LayerNorm, LayerNormConfig, Module, ModuleT, RmsNorm,
    VarBuilder, VarMap, ops,
};
use diagnose::Dtype;
use gradcheck::attribution::norm::Norm;

const GROUPS: usize = 2;

pub fn layers() -> Vec<Layer> {
    let row = Norm::Layer { normalized: 1 };
    let rms = Norm::Rms { normalized: 1 };
    let groups = Norm::Group { groups: GROUPS };
    vec![
        Layer {
            fresh: Some(fresh_layer_norm),
            ..layer("LayerNorm, x contiguous", row, |i| {
                trained(i, |x, gamma, beta| {
                    LayerNorm::new(gamma, beta, i.eps).forward(x)
                })
            })
        },
        layer("LayerNorm, x transposed", row, |i| {
            transposed(i, |x, gamma, beta| {
                LayerNorm::new(gamma, beta, i.eps).forward(x)
            })
        }),
        layer("ops::layer_norm_slow", row, |i| {
            trained(i, |x, gamma, beta| {
                ops::layer_norm_slow(x, &gamma, &beta, i.eps as f32)
            })
        }),
        layer("RmsNorm, x contiguous", rms, |i| {
            trained(i, |x, gamma, _| RmsNorm::new(gamma, i.eps).forward(x))
        }),
        layer("RmsNorm, x transposed", rms, |i| {
            transposed(i, |x, gamma, _| RmsNorm::new(gamma, i.eps).forward(x))
        }),
        layer("RmsNorm::forward_diff", rms, |i| {
            trained(i, |x, gamma, _| RmsNorm::new(gamma, i.eps).forward_diff(x))
        }),
        Layer {
            fresh: Some(fresh_batch_norm),
            ..layer("BatchNorm", Norm::Batch, batch_norm)
        },
        layer("GroupNorm", groups, |i| {
            trained(i, |x, gamma, beta| {
                GroupNorm::new(gamma, beta, i.shape[1], GROUPS, i.eps)?.forward(x)
            })
        }),
    ]
}

pub fn others() -> Vec<Op> {
    let op = |name, shape, output, call| Op {
        framework: "candle",
        name,
        shape,
        output,
        call,
    };
    vec![
        op(
            "max_pool2d(2)",
            &[2, 3, 4, 6],
            &[2, 3, 2, 3],
            |op, x, dy| traced(op, x, dy, |x| x.max_pool2d(2)),
        ),
        op(
            "avg_pool2d(2)",
            &[2, 3, 4, 6],
            &[2, 3, 2, 3],
            |op, x, dy| traced(op, x, dy, |x| x.avg_pool2d(2)),
        ),
        op("softmax_last_dim", &[4, 7], &[4, 7], |op, x, dy| {
            traced(op, x, dy, ops::softmax_last_dim)
        }),
        op("softmax", &[4, 7], &[4, 7], |op, x, dy| {
            traced(op, x, dy, |x| ops::softmax(x, 1))
        }),
    ]
}

fn layer(name: &'static str, norm: Norm, call: fn(&Inputs) -> Result<Outputs>) -> Layer {
    Layer {
        framework: "candle",
        name,
        norm,
        trains: true,
        call,
        fresh: None,
    }
}

pub fn tensor(values: &[f64], shape: &[usize], dtype: Dtype) -> candle_core::Result<Tensor> {
    let dtype = match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::Bf16 => DType::BF16,
    };
    Tensor::from_slice(values, shape, &Device::Cpu)?.to_dtype(dtype)
}

pub fn values(t: &Tensor) -> candle_core::Result<Vec<f64>> {
    t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

/// A layer on x as it lies in memory, and its gradients.
pub fn trained(
    i: &Inputs,
    forward: impl Fn(&Tensor, Tensor, Tensor) -> candle_core::Result<Tensor>,
) -> Result<Outputs> {
    let x = Var::from_tensor(&tensor(&i.x, &i.shape, i.dtype)?)?;
    gradients(i, &x, |x| x.copy(), forward)
}

/// The same layer on a view of another array, in which the last two axes are exchanged.
fn transposed(
    i: &Inputs,
    forward: impl Fn(&Tensor, Tensor, Tensor) -> candle_core::Result<Tensor>,
) -> Result<Outputs> {
    let last = i.shape.len() - 1;
    let exchange = |t: &Tensor| t.transpose(last - 1, last);
    let x = exchange(&tensor(&i.x, &i.shape, i.dtype)?)?.contiguous()?;
    gradients(i, &Var::from_tensor(&x)?, exchange, forward)
}

fn gradients(
    i: &Inputs,
    x: &Var,
    view: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
    forward: impl Fn(&Tensor, Tensor, Tensor) -> candle_core::Result<Tensor>,
) -> Result<Outputs> {
    let parameter = |values: &[f64]| Var::from_tensor(&tensor(values, &[values.len()], i.dtype)?);
    let (gamma, beta) = (parameter(&i.gamma)?, parameter(&i.beta)?);
    let y = forward(
        &view(x)?,
        gamma.as_tensor().clone(),
        beta.as_tensor().clone(),
    )?;
    let dy = tensor(&i.dy, &i.shape, i.dtype)?;
    let grads = (&y * dy)?.sum_all()?.backward()?;
    let of = |var: &Var| grads.get(var).map(values).transpose();
    let dx = grads.get(x).map(|dx| values(&view(dx)?)).transpose()?;
    Ok(Outputs {
        y: values(&y)?,
        dx,
        dgamma: of(&gamma)?,
        dbeta: of(&beta)?,
        running: None,
    })
}

fn batch_norm(i: &Inputs) -> Result<Outputs> {
    let channels = i.gamma.len();
    let statistic = |values: &[f64]| tensor(values, &[channels], i.dtype);
    let (mean, var) = (statistic(&i.running_mean)?, statistic(&i.running_var)?);
    let made = std::cell::RefCell::new(None);
    let outputs = trained(i, |x, gamma, beta| {
        let (mean, var) = (mean.clone(), var.clone());
        let layer =
            BatchNorm::new_with_momentum(channels, mean, var, gamma, beta, i.eps, i.momentum)?;
        let y = layer.forward_t(x, true)?;
        *made.borrow_mut() = Some(layer);
        Ok(y)
    })?;
    let layer = made.into_inner().expect("forward was called");
    let running = (values(layer.running_mean())?, values(layer.running_var())?);
    Ok(Outputs {
        running: Some(running),
        ..outputs
    })
}

fn fresh_layer_norm(i: &Inputs) -> Result<Fresh> {
    let (vars, x) = (VarMap::new(), tensor(&i.x, &i.shape, i.dtype)?);
    let builder = VarBuilder::from_varmap(&vars, x.dtype(), &Device::Cpu);
    let layer = candle_nn::layer_norm(i.gamma.len(), LayerNormConfig::default(), builder)?;
    Ok(Fresh {
        y: values(&layer.forward(&x)?)?,
        running_mean: None,
    })
}

fn fresh_batch_norm(i: &Inputs) -> Result<Fresh> {
    let (vars, x) = (VarMap::new(), tensor(&i.x, &i.shape, i.dtype)?);
    let builder = VarBuilder::from_varmap(&vars, x.dtype(), &Device::Cpu);
    let layer = candle_nn::batch_norm(i.gamma.len(), BatchNormConfig::default(), builder)?;
    let before = values(layer.running_mean())?;
    let y = values(&layer.forward_t(&x, true)?)?;
    let after = values(layer.running_mean())?;
    Ok(Fresh {
        y,
        running_mean: Some((before, after)),
    })
}

fn traced(
    op: &Op,
    x: &[f64],
    dy: &[f64],
    forward: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
) -> Result<(Vec<f64>, Option<Vec<f64>>)> {
    let x = Var::from_tensor(&tensor(x, op.shape, Dtype::F64)?)?;
    let y = forward(&x)?;
    let dy = tensor(dy, op.output, Dtype::F64)?;
    let grads = (&y * dy)?.sum_all()?.backward()?;
    Ok((values(&y)?, grads.get(&x).map(values).transpose()?))
}

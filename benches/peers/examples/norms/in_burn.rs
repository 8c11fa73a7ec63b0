//! Burn's layers, on Flex, its CPU backend.

use crate::layer::{Fresh, Inputs, Layer, Op, Outputs, Result};
use burn::module::{Param, RunningState};
use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{
    BatchNormConfig, GroupNormConfig, InstanceNormConfig, LayerNormConfig, RmsNormConfig,
};
use burn::tensor::{DType, Device, Tensor, TensorData, activation};
use diagnose::Dtype;
use gradcheck::attribution::norm::Norm;
use std::cell::RefCell;

const GROUPS: usize = 2;

type Parameter = Param<Tensor<1>>;

pub fn layers(channels_of_instance_norm: usize) -> Vec<Layer> {
    let row = Norm::Layer { normalized: 1 };
    let rms = Norm::Rms { normalized: 1 };
    let instances = Norm::Group {
        groups: channels_of_instance_norm,
    };
    let layer = |name, norm, call, fresh| Layer {
        framework: "burn",
        name,
        norm,
        trains: true,
        call,
        fresh: Some(fresh),
    };
    vec![
        layer("LayerNorm", row, layer_norm, |i| {
            fresh(i, |x: Tensor<3>, features, device| {
                LayerNormConfig::new(features).init(device).forward(x)
            })
        }),
        Layer {
            trains: false,
            ..layer("LayerNorm, inference", row, inferring_layer_norm, |i| {
                let device = Device::flex();
                let layer = LayerNormConfig::new(i.gamma.len()).init(&device);
                let y = layer.forward::<3>(tensor(&i.x, &i.shape, i.dtype, &device));
                Ok(Fresh {
                    y: values(y),
                    running_mean: None,
                })
            })
        },
        layer("RmsNorm", rms, rms_norm, |i| {
            fresh(i, |x: Tensor<3>, features, device| {
                RmsNormConfig::new(features).init(device).forward(x)
            })
        }),
        layer("BatchNorm", Norm::Batch, batch_norm, fresh_batch_norm),
        layer(
            "GroupNorm",
            Norm::Group { groups: GROUPS },
            group_norm,
            |i| {
                fresh(i, |x: Tensor<3>, channels, device| {
                    GroupNormConfig::new(GROUPS, channels)
                        .init(device)
                        .forward(x)
                })
            },
        ),
        layer("InstanceNorm", instances, instance_norm, |i| {
            fresh(i, |x: Tensor<3>, channels, device| {
                InstanceNormConfig::new(channels).init(device).forward(x)
            })
        }),
    ]
}

pub fn others() -> Vec<Op> {
    vec![
        Op {
            framework: "burn",
            name: "MaxPool2d, 2 by 2",
            shape: &[2, 3, 4, 6],
            output: &[2, 3, 2, 3],
            call: |op, x, dy| {
                let pool = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
                traced(op, x, dy, |x: Tensor<4>| pool.forward(x))
            },
        },
        Op {
            framework: "burn",
            name: "softmax",
            shape: &[4, 7],
            output: &[4, 7],
            call: |op, x, dy| traced(op, x, dy, |x: Tensor<2>| activation::softmax(x, 1)),
        },
    ]
}

fn tensor<const D: usize>(
    values: &[f64],
    shape: &[usize],
    dtype: Dtype,
    device: &Device,
) -> Tensor<D> {
    let dtype = match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::Bf16 => DType::BF16,
    };
    Tensor::from_data(
        TensorData::new(values.to_vec(), shape.to_vec()),
        (device, dtype),
    )
}

fn values<const D: usize>(t: Tensor<D>) -> Vec<f64> {
    let data = t.into_data_dtype(DType::F64);
    data.try_to_vec().expect("converted")
}

/// A layer and its gradients.
fn trained<const D: usize>(
    i: &Inputs,
    forward: impl Fn(Tensor<D>, &Parameter, &Parameter, &Device) -> Tensor<D>,
) -> Result<Outputs> {
    let device = Device::flex().autodiff();
    let parameter =
        |values: &[f64]| Param::from_tensor(tensor(values, &[values.len()], i.dtype, &device));
    let (gamma, beta) = (parameter(&i.gamma), parameter(&i.beta));
    let x: Tensor<D> = tensor(&i.x, &i.shape, i.dtype, &device).require_grad();
    let y = forward(x.clone(), &gamma, &beta, &device);
    let dy = tensor(&i.dy, &i.shape, i.dtype, &device);
    let grads = (y.clone() * dy).sum().backward();
    Ok(Outputs {
        y: values(y),
        dx: x.grad(&grads).map(values),
        dgamma: gamma.val().grad(&grads).map(values),
        dbeta: beta.val().grad(&grads).map(values),
        running: None,
    })
}

/// The output of a layer with its defaults.
fn fresh<const D: usize>(
    i: &Inputs,
    forward: impl Fn(Tensor<D>, usize, &Device) -> Tensor<D>,
) -> Result<Fresh> {
    let device = Device::flex().autodiff();
    let x = tensor(&i.x, &i.shape, i.dtype, &device);
    Ok(Fresh {
        y: values(forward(x, i.gamma.len(), &device)),
        running_mean: None,
    })
}

fn layer_norm(i: &Inputs) -> Result<Outputs> {
    trained(i, |x: Tensor<3>, gamma, beta, device| {
        let config = LayerNormConfig::new(i.gamma.len()).with_epsilon(i.eps);
        let mut layer = config.init(device);
        (layer.gamma, layer.beta) = (gamma.clone(), Some(beta.clone()));
        layer.forward(x)
    })
}

fn inferring_layer_norm(i: &Inputs) -> Result<Outputs> {
    let device = Device::flex();
    let parameter =
        |values: &[f64]| Param::from_tensor(tensor(values, &[values.len()], i.dtype, &device));
    let config = LayerNormConfig::new(i.gamma.len()).with_epsilon(i.eps);
    let mut layer = config.init(&device);
    (layer.gamma, layer.beta) = (parameter(&i.gamma), Some(parameter(&i.beta)));
    let x: Tensor<3> = tensor(&i.x, &i.shape, i.dtype, &device);
    Ok(Outputs {
        y: values(layer.forward(x)),
        ..Outputs::default()
    })
}

fn rms_norm(i: &Inputs) -> Result<Outputs> {
    trained(i, |x: Tensor<3>, gamma, _, device| {
        let config = RmsNormConfig::new(i.gamma.len()).with_epsilon(i.eps);
        let mut layer = config.init(device);
        layer.gamma = gamma.clone();
        layer.forward(x)
    })
}

fn group_norm(i: &Inputs) -> Result<Outputs> {
    trained(i, |x: Tensor<3>, gamma, beta, device| {
        let config = GroupNormConfig::new(GROUPS, i.gamma.len()).with_epsilon(i.eps);
        let mut layer = config.init(device);
        (layer.gamma, layer.beta) = (Some(gamma.clone()), Some(beta.clone()));
        layer.forward(x)
    })
}

fn instance_norm(i: &Inputs) -> Result<Outputs> {
    trained(i, |x: Tensor<3>, gamma, beta, device| {
        let config = InstanceNormConfig::new(i.gamma.len()).with_epsilon(i.eps);
        let mut layer = config.init(device);
        (layer.gamma, layer.beta) = (Some(gamma.clone()), Some(beta.clone()));
        layer.forward(x)
    })
}

fn batch_norm(i: &Inputs) -> Result<Outputs> {
    let made = RefCell::new(None);
    let outputs = trained(i, |x: Tensor<4>, gamma, beta, device| {
        let config = BatchNormConfig::new(i.gamma.len()).with_epsilon(i.eps);
        let mut layer = config.with_momentum(i.momentum).init(device);
        (layer.gamma, layer.beta) = (gamma.clone(), beta.clone());
        let statistic =
            |values: &[f64]| RunningState::new(tensor(values, &[values.len()], i.dtype, device));
        layer.running_mean = statistic(&i.running_mean);
        layer.running_var = statistic(&i.running_var);
        let y = layer.forward(x);
        *made.borrow_mut() = Some(layer);
        y
    })?;
    let layer = made.into_inner().expect("forward was called");
    let statistic = |state: &RunningState<Tensor<1>>| values(state.value_sync());
    Ok(Outputs {
        running: Some((
            statistic(&layer.running_mean),
            statistic(&layer.running_var),
        )),
        ..outputs
    })
}

fn fresh_batch_norm(i: &Inputs) -> Result<Fresh> {
    let device = Device::flex().autodiff();
    let layer = BatchNormConfig::new(i.gamma.len()).init(&device);
    let mean = || values(layer.running_mean.value_sync());
    let before = mean();
    let x: Tensor<4> = tensor(&i.x, &i.shape, i.dtype, &device);
    let y = values(layer.forward(x));
    Ok(Fresh {
        y,
        running_mean: Some((before, mean())),
    })
}

fn traced<const D: usize>(
    op: &Op,
    x: &[f64],
    dy: &[f64],
    forward: impl Fn(Tensor<D>) -> Tensor<D>,
) -> Result<(Vec<f64>, Option<Vec<f64>>)> {
    let device = Device::flex().autodiff();
    let x: Tensor<D> = tensor(x, op.shape, Dtype::F64, &device).require_grad();
    let y = forward(x.clone());
    let dy = tensor(dy, op.output, Dtype::F64, &device);
    let grads = (y.clone() * dy).sum().backward();
    Ok((values(y), x.grad(&grads).map(values)))
}

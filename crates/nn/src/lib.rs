//! Layers, losses, optimizers and data, on the tape.
//!
//! A network is a [`Layer`]: it maps one value to another, in training by
//! [`train(&mut self, x)`](Layer::train) and in evaluation by
//! [`eval(&self, x)`](Layer::eval), and shows its parameters and other state by name. Both are
//! one forward pass ([`Pass`]), through which one can look at the values inside. From that follow
//! the optimizers ([`Sgd`], [`Adam`]), [`save`] and [`load`], and the gradient check of a
//! whole network ([`check`]). A model of sequences of tokens is a [`TokenModel`] instead.
//!
//! | network | made by | its parts |
//! |---|---|---|
//! | [`Mlp`] | [`MlpSpec`] | [`Linear`], [`Norm`] |
//! | [`Cnn`] | [`CnnSpec`] | [`Conv2d`], [`Norm`], pools |
//! | [`Recurrent`]: RNN, GRU, LSTM | [`RecurrentSpec`] | cells with a [`CellNorm`] inside |
//! | [`RecurrentLm`] | [`RecurrentLmSpec`] | [`Embedding`], [`Recurrent`] |
//! | [`TransformerBlock`] | [`BlockSpec`] | [`MultiHeadAttention`], [`Linear`], [`Norm`] |
//! | [`Transformer`] | [`TransformerSpec`] | [`Embedding`], [`TransformerBlock`] |
//!
//! [`checkpoint`] makes a segment of a network compute again in the backward pass what it would
//! otherwise keep. Sequences of different lengths come packed, with their [`Lengths`] beside them. Names
//! of parameters are those of PyTorch, but for the scale and shift of a norm, which are
//! called gamma and beta; in files they have PyTorch's names too ([`torch_name`]).
//!
//! ```
//! use nn::{Layer, MlpSpec, NormKind, Optimizer, Sgd, loss};
//! use rand::SeedableRng;
//! use tape::{Tape, Tensor};
//!
//! let rng = &mut rand::rngs::StdRng::seed_from_u64(0);
//! let mut mlp = MlpSpec::new(&[2, 16, 2]).norm(NormKind::Batch).build::<f32>(rng);
//! // Inside the circle, or outside of it?
//! let points = Tensor::randn([64, 2], rng);
//! let classes: Vec<usize> = points.data().chunks(2)
//!     .map(|p| usize::from(p[0] * p[0] + p[1] * p[1] < 1.0))
//!     .collect();
//! let mut sgd = Sgd::new().momentum(0.9);
//! let mut tape = Tape::new();
//! let mut losses = Vec::new();
//! for _ in 0..50 {
//!     let (loss, grads) = tape.grad(|t| {
//!         let logits = mlp.train(&t.constant(points.clone()));
//!         loss::cross_entropy(&logits, &classes)
//!     });
//!     sgd.step(&mut mlp, &grads, 0.1);
//!     losses.push(loss);
//! }
//! assert!(losses[49] < 0.5 * losses[0]);
//! ```
#![forbid(unsafe_code)]

mod activation;
mod attention;
pub mod check;
mod checkpoint;
mod cnn;
#[cfg(debug_assertions)]
#[doc(hidden)]
pub mod compiled;
mod conv;
pub mod data;
mod dynamic_tanh;
mod embedding;
mod file;
mod finite;
mod group_norm;
pub mod init;
mod layer;
mod lengths;
mod linear;
pub mod loss;
mod mlp;
mod module;
mod norm;
pub mod optim;
mod pass;
mod pool;
mod recurrent;
mod save;
mod schedule;
mod tokens;
mod transformer;

pub use activation::Activation;
pub use attention::{MultiHeadAttention, attention};
pub use checkpoint::checkpoint;
pub use cnn::{Cnn, CnnSpec};
pub use conv::Conv2d;
pub use dynamic_tanh::DynamicTanh;
pub use embedding::Embedding;
pub use file::write_atomically;
pub use finite::{Diverged, first_not_finite};
pub use group_norm::GroupNorm;
pub use init::Init;
pub use layer::Layer;
pub use lengths::Lengths;
pub use linear::{Linear, linear};
pub use mlp::{Mlp, MlpSpec};
pub use module::{
    Module, State, StatsId, Visitor, count_params, each_param, each_state, forget_statistics,
    name_params,
};
pub use norm::{Norm, NormKind};
pub use optim::{Adam, Decay, Optimizer, Sgd};
pub use pass::{Pass, Probe, Within};
pub use pool::{AvgPool2d, MaxPool2d};
pub use recurrent::{CellKind, CellNorm, Recurrent, RecurrentLm, RecurrentLmSpec, RecurrentSpec};
pub use save::{LoadError, load, save, torch_name};
pub use schedule::Schedule;
pub use tokens::TokenModel;
pub use transformer::{BlockSpec, NormPlace, Transformer, TransformerBlock, TransformerSpec};

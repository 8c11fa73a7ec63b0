//! The layers beside PyTorch's: names and shapes of their parameters, here and in a file.
//!
//! What PyTorch calls its own comes from `tests/golden/names.json`, which a script writes
//! with PyTorch; a test of the package `tests` compares the two.

use nn::{
    BlockSpec, CellKind, Conv2d, Embedding, GroupNorm, Linear, Module, MultiHeadAttention,
    RecurrentSpec, State, each_state, torch_name,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;

use batchnorm::BatchNorm;
use layernorm::{LayerNorm, RmsNorm};

use super::Output;

#[derive(Serialize)]
struct Results {
    about: &'static str,
    layers: Vec<Layer>,
    states: Vec<Piece>,
    /// Defaults of the norms, in `f32`.
    defaults: Vec<Defaults>,
}

/// A layer here, and the expression that makes the same in PyTorch.
#[derive(Serialize)]
struct Layer {
    ours: &'static str,
    torch: &'static str,
}

/// A parameter, buffer or counter of a layer.
#[derive(Serialize)]
struct Piece {
    torch: &'static str,
    ours: String,
    /// What it is called in a file, and by PyTorch.
    file: String,
    shape: String,
}

#[derive(Serialize)]
struct Defaults {
    torch: &'static str,
    eps: f64,
    /// The weight of the newest batch, or a dash.
    momentum: String,
}

fn state(torch: &'static str, module: &mut dyn Module<f32>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    each_state(module, |name, state| {
        let shape = match state {
            State::Param(param) => param.value().shape().to_string(),
            State::Buffer(tensor) => tensor.shape().to_string(),
            State::Count(_) => "[]".to_owned(),
        };
        pieces.push(Piece {
            torch,
            ours: name.to_owned(),
            file: torch_name(name).into_owned(),
            shape,
        });
    });
    pieces
}

pub fn run() -> Output {
    let rng = &mut StdRng::seed_from_u64(0);
    let (batch, layer, rms) = (BatchNorm::new(3), LayerNorm::new([3]), RmsNorm::new([3]));
    let plain = |torch, eps: f64| Defaults {
        torch,
        eps,
        momentum: "–".to_owned(),
    };
    let defaults = vec![
        Defaults {
            torch: "torch.nn.BatchNorm1d(3)",
            eps: batch.eps(),
            momentum: batch.momentum().map_or("–".to_owned(), |m| m.to_string()),
        },
        plain("torch.nn.LayerNorm([3])", layer.eps()),
        plain("torch.nn.RMSNorm([3])", rms.eps()),
    ];
    let modules: Vec<(&str, &str, Box<dyn Module<f32>>)> = vec![
        (
            "Linear::new(2, 3, rng)",
            "torch.nn.Linear(2, 3)",
            Box::new(Linear::new(2, 3, rng)),
        ),
        (
            "Conv2d::new(2, 3, 5, rng)",
            "torch.nn.Conv2d(2, 3, 5)",
            Box::new(Conv2d::new(2, 3, 5, rng)),
        ),
        (
            "Embedding::new(5, 3, rng)",
            "torch.nn.Embedding(5, 3)",
            Box::new(Embedding::new(5, 3, rng)),
        ),
        (
            "BatchNorm::new(3)",
            "torch.nn.BatchNorm1d(3)",
            Box::new(batch),
        ),
        (
            "LayerNorm::new([3])",
            "torch.nn.LayerNorm([3])",
            Box::new(layer),
        ),
        ("RmsNorm::new([3])", "torch.nn.RMSNorm([3])", Box::new(rms)),
        (
            "GroupNorm::new(2, 4)",
            "torch.nn.GroupNorm(2, 4)",
            Box::new(GroupNorm::new(2, 4)),
        ),
        (
            "RecurrentSpec::new(CellKind::Rnn, 2, 3)",
            "torch.nn.RNN(2, 3)",
            Box::new(RecurrentSpec::new(CellKind::Rnn, 2, 3).build(rng)),
        ),
        (
            "RecurrentSpec::new(CellKind::Gru, 2, 3)",
            "torch.nn.GRU(2, 3)",
            Box::new(RecurrentSpec::new(CellKind::Gru, 2, 3).build(rng)),
        ),
        (
            "RecurrentSpec::new(CellKind::Lstm, 2, 3)",
            "torch.nn.LSTM(2, 3)",
            Box::new(RecurrentSpec::new(CellKind::Lstm, 2, 3).build(rng)),
        ),
        (
            "MultiHeadAttention::new(4, 2, rng)",
            "torch.nn.MultiheadAttention(4, 2)",
            Box::new(MultiHeadAttention::new(4, 2, rng)),
        ),
        (
            "BlockSpec::new(4, 2).hidden(8)",
            "torch.nn.TransformerEncoderLayer(4, 2, 8)",
            Box::new(BlockSpec::new(4, 2).hidden(8).build(rng)),
        ),
    ];
    let (mut layers, mut states) = (Vec::new(), Vec::new());
    for (ours, torch, mut module) in modules {
        layers.push(Layer { ours, torch });
        states.extend(state(torch, &mut *module));
    }
    Output::new(&Results {
        about: "Names and shapes of the layers' parameters, here and in PyTorch",
        layers,
        states,
        defaults,
    })
}

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
use serde_json::{Value, json};

use batchnorm::BatchNorm;
use layernorm::{LayerNorm, RmsNorm};

use crate::kit::{Measurement, Output};

pub const MEASUREMENT: Measurement = Measurement {
    name: "pytorch",
    chapter: crate::kit::APPENDIX,
    about: "names and shapes of the layers' parameters, here and in PyTorch",
    run,
};

/// The parameters, buffers and counters of a layer.
fn states(torch: &str, module: &mut dyn Module<f32>) -> Vec<Value> {
    let mut pieces = Vec::new();
    each_state(module, |name, state| {
        let shape = match state {
            State::Param(param) => param.value().shape().to_string(),
            State::Buffer(tensor) => tensor.shape().to_string(),
            State::Count(_) => "[]".to_owned(),
        };
        pieces.push(json!({
            "torch": torch,
            "ours": name,
            // What it is called in a file, and by PyTorch.
            "file": torch_name(name),
            "shape": shape,
        }));
    });
    pieces
}

fn run() -> Output {
    let rng = &mut StdRng::seed_from_u64(0);
    let (batch, layer, rms) = (
        BatchNorm::<f32>::new(3),
        LayerNorm::<f32>::new([3]),
        RmsNorm::<f32>::new([3]),
    );
    // In `f32`; the momentum is the weight of the newest batch, where there is one.
    let defaults = [
        ("torch.nn.BatchNorm1d(3)", batch.eps(), batch.momentum()),
        ("torch.nn.LayerNorm([3])", layer.eps(), None),
        ("torch.nn.RMSNorm([3])", rms.eps(), None),
    ];
    // A layer here, as its text and as itself, beside the expression that makes the same in
    // PyTorch.
    macro_rules! ours {
        ($layer:expr => $torch:literal) => {
            (
                stringify!($layer),
                $torch,
                Box::new($layer) as Box<dyn Module<f32>>,
            )
        };
        ($spec:expr, built => $torch:literal) => {
            (
                stringify!($spec),
                $torch,
                Box::new($spec.build(rng)) as Box<dyn Module<f32>>,
            )
        };
    }
    let modules = [
        ours!(Linear::new(2, 3, rng) => "torch.nn.Linear(2, 3)"),
        ours!(Conv2d::new(2, 3, 5, rng) => "torch.nn.Conv2d(2, 3, 5)"),
        ours!(Embedding::new(5, 3, rng) => "torch.nn.Embedding(5, 3)"),
        ours!(BatchNorm::new(3) => "torch.nn.BatchNorm1d(3)"),
        ours!(LayerNorm::new([3]) => "torch.nn.LayerNorm([3])"),
        ours!(RmsNorm::new([3]) => "torch.nn.RMSNorm([3])"),
        ours!(GroupNorm::new(2, 4) => "torch.nn.GroupNorm(2, 4)"),
        ours!(RecurrentSpec::new(CellKind::Rnn, 2, 3), built => "torch.nn.RNN(2, 3)"),
        ours!(RecurrentSpec::new(CellKind::Gru, 2, 3), built => "torch.nn.GRU(2, 3)"),
        ours!(RecurrentSpec::new(CellKind::Lstm, 2, 3), built => "torch.nn.LSTM(2, 3)"),
        ours!(MultiHeadAttention::new(4, 2, rng) => "torch.nn.MultiheadAttention(4, 2)"),
        ours!(BlockSpec::new(4, 2).hidden(8), built => "torch.nn.TransformerEncoderLayer(4, 2, 8)"),
    ];
    let mut pieces = Vec::new();
    let mut layers = Vec::new();
    for (ours, torch, mut module) in modules {
        layers.push(json!({ "ours": ours, "torch": torch }));
        pieces.extend(states(torch, &mut *module));
    }
    let default = |(torch, eps, momentum): (&str, f64, Option<f64>)| json!({ "torch": torch, "eps": eps, "momentum": momentum });
    Output::new(json!({
        "about": "Names and shapes of the layers' parameters, here and in PyTorch",
        "layers": layers,
        "states": pieces,
        "defaults": defaults.map(default),
    }))
}

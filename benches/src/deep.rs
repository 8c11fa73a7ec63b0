//! A deep network with its layers in segments, each of which computes itself again in the
//! backward pass: what that saves in memory, and what it costs in time.

use std::time::Instant;

use nn::{checkpoint, linear};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tape::{Param, Tape, Tensor, Var};

use crate::inputs;
use crate::protocol::memory;
use crate::timing::median;

/// Layers, each a linear map, a Layer Norm and a ReLU.
pub const LAYERS: usize = 64;
/// Features of each.
pub const WIDTH: usize = 192;
/// Examples in a batch.
pub const BATCH: usize = 1024;
/// In how many segments the layers are, from one that holds all of them to one for each.
pub const SEGMENTS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Steps that are timed; the median counts.
const STEPS: usize = 5;

/// `x[0]` through as many layers as there are pairs of a weight and a shift behind it.
fn layers<'t>(x: &[Var<'t, f32>]) -> Var<'t, f32> {
    x[1..].chunks(3).fold(x[0].clone(), |x, p| {
        let z = linear(&x, &p[0], None);
        layernorm::layer_norm(&z, &p[1], &p[2], 1e-5).relu()
    })
}

/// A step, forward and backward, with the layers in this many segments; without any if 0: its
/// time, the bytes on the tape after the forward pass, the peak of memory above what the process
/// had before, and the sums of some gradients, by which results are compared.
///
/// # Errors
/// Where the system does not tell of memory.
///
/// # Panics
/// If the layers cannot be cut into so many equal segments.
pub fn measure(segments: usize) -> Result<Value, String> {
    assert!(
        segments == 0 || LAYERS.is_multiple_of(segments),
        "{LAYERS} layers make no {segments} equal segments"
    );
    let start = memory::resident()?;
    let mut rng = StdRng::seed_from_u64(0);
    let mut params = Vec::new();
    for layer in 0..LAYERS {
        let scale = (2.0 / WIDTH as f32).sqrt();
        let weight = Tensor::randn([WIDTH, WIDTH], &mut rng).map(|w: f32| scale * w);
        let gamma = Tensor::new([WIDTH], inputs::gamma(WIDTH));
        let beta = Tensor::new([WIDTH], inputs::beta(WIDTH));
        for (name, value) in [("weight", weight), ("gamma", gamma), ("beta", beta)] {
            params.push(Param::new(format!("{layer}.{name}"), value));
        }
    }
    let x = Tensor::new([BATCH, WIDTH], inputs::x(BATCH * WIDTH));
    let dy = Tensor::new([BATCH, WIDTH], inputs::dy(BATCH * WIDTH));
    let mut tape = Tape::new();
    let mut step = || {
        let begin = Instant::now();
        let (_, bytes, grads) = tape.vjp_with(&dy, |t| {
            let p: Vec<_> = params.iter().map(|p| t.param(p)).collect();
            let x = t.constant(x.clone());
            let y = match segments {
                0 => layers(&[x].into_iter().chain(p).collect::<Vec<_>>()),
                _ => p.chunks(p.len() / segments).fold(x, |x, part| {
                    let inputs: Vec<_> = [&x].into_iter().chain(part).collect();
                    checkpoint(&inputs, layers)
                }),
            };
            (y, t.saved_bytes())
        });
        (begin.elapsed().as_nanos() as f64, bytes, grads)
    };
    let (mut bytes, mut times, mut prints) = (0, Vec::new(), Vec::new());
    let peak = memory::peak(|| {
        step();
        for _ in 0..STEPS {
            let (ns, on_tape, grads) = step();
            times.push(ns);
            bytes = on_tape;
            prints = [0, LAYERS / 2, LAYERS - 1]
                .map(|layer| inputs::fingerprint(grads.of(&params[3 * layer]).data()))
                .to_vec();
        }
    })?;
    Ok(json!({
        "segments": segments,
        "median_ns": median(&mut times),
        "tape_bytes": bytes,
        "peak_bytes": peak.saturating_sub(start),
        "gradients": prints,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layers_are_cut_evenly() {
        assert!(
            SEGMENTS
                .iter()
                .all(|&segments| LAYERS.is_multiple_of(segments))
        );
    }
}

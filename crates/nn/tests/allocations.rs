//! What a training step asks for: no new buffer, no page of the system, and of the optimizer
//! nothing at all.

use std::alloc::System;

use nn::{
    Adam, BlockSpec, CellKind, CellNorm, CnnSpec, Layer, MlpSpec, NormKind, NormPlace, Optimizer,
    RecurrentSpec, Sgd, loss,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tape::{Tape, Tensor, pooled_bytes};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The first steps make the buffers that later ones reuse.
const WARM_UP: usize = 3;

type Make = fn() -> Box<dyn Optimizer<f32>>;

/// One test, for other threads would be counted too.
#[test]
fn steps_reuse_their_memory() {
    // Until it has freed something large, glibc gives back what lies free at the end of its heap
    // as soon as that is 128 KiB. A program that has read its data is past that.
    drop(std::hint::black_box(vec![0_u8; 1 << 20]));
    mlps_reuse_their_memory();
    networks_reuse_their_memory();
}

/// A step of each network makes no new tensor buffer: all come from the pool and go back.
fn networks_reuse_their_memory() {
    let rng = &mut StdRng::seed_from_u64(1);
    for norm in [
        NormKind::None,
        NormKind::Batch,
        NormKind::Layer,
        NormKind::Group(4),
    ] {
        let mut cnn = CnnSpec::new(&[1, 8, 16], 28, 10).norm(norm).build(rng);
        steady(&format!("cnn, {norm}"), &mut cnn, &[16, 784]);
        let block = BlockSpec::new(64, 4).norm(norm, NormPlace::Pre);
        steady(
            &format!("block, {norm}"),
            &mut block.build(rng),
            &[8, 32, 64],
        );
    }
    for norm in [
        CellNorm::None,
        CellNorm::Layer,
        CellNorm::Batch { steps: 12 },
    ] {
        for kind in [CellKind::Rnn, CellKind::Gru, CellKind::Lstm] {
            let mut rnn = RecurrentSpec::new(kind, 32, 64).norm(norm).build(rng);
            steady(&format!("{kind}, {norm}"), &mut rnn, &[32, 12, 32]);
        }
    }
}

fn steady(name: &str, net: &mut impl Layer<f32>, shape: &[usize]) {
    let x = Tensor::randn(shape, &mut StdRng::seed_from_u64(2));
    let mut sgd = Sgd::new().momentum(0.9);
    let mut tape = Tape::new();
    let (mut pooled, mut faults) = (Vec::new(), Vec::new());
    for step in 0..WARM_UP + 20 {
        let before = page_faults();
        let (_, grads) = tape.grad(|t| {
            let y = net.train(&t.constant(x.clone()));
            y.powi(2).mean_all()
        });
        sgd.step(net, &grads, 0.001);
        drop(grads);
        let after = page_faults();
        if step >= WARM_UP {
            pooled.push(pooled_bytes::<f32>());
            faults.extend(before.zip(after).map(|(before, after)| after - before));
        }
    }
    // A new buffer in a step would be in the pool after it.
    assert!(pooled.iter().all(|&p| p == pooled[0]), "{name}: {pooled:?}");
    assert!(pooled[0] > 0);
    // The allocator still makes records, lists of shapes and the places of a max-pool, of
    // memory that it has: the system is asked for none.
    faults.sort_unstable();
    let median = faults.get(faults.len() / 2);
    assert!(
        median.is_none_or(|&n| n == 0),
        "{name}: page faults {faults:?}"
    );
}

/// How many pages this process has asked the system for, where it tells.
fn page_faults() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name in parentheses: state, parent, …; the eighth is the number.
    stat.rsplit(')')
        .next()?
        .split_whitespace()
        .nth(7)?
        .parse()
        .ok()
}

fn mlps_reuse_their_memory() {
    let optimizers: [Make; 3] = [
        || Box::new(Sgd::new()),
        || Box::new(Sgd::new().momentum(0.9)),
        || Box::new(Adam::new()),
    ];
    for make in optimizers {
        for norm in [NormKind::None, NormKind::Batch, NormKind::Layer] {
            let mut optimizer = make();
            let rng = &mut StdRng::seed_from_u64(1);
            let mut mlp = MlpSpec::new(&[64, 128, 10]).norm(norm).build::<f32>(rng);
            let x = Tensor::randn([32, 64], rng);
            let classes: Vec<usize> = (0..32).map(|i| i % 10).collect();
            let mut tape = Tape::new();
            let mut pooled = Vec::new();
            for step in 0..WARM_UP + 5 {
                let (_, grads) = tape.grad(|t| {
                    let logits = mlp.train(&t.constant(x.clone()));
                    loss::cross_entropy(&logits, &classes)
                });
                let update = Region::new(ALLOCATOR);
                optimizer.step(&mut mlp, &grads, 0.01);
                let bytes = update.change().bytes_allocated;
                drop(grads);
                if step >= WARM_UP {
                    // A norm lends its parameters in a list of two.
                    let most = if norm == NormKind::None { 0 } else { 64 };
                    assert!(
                        bytes <= most,
                        "norm {norm}: the optimizer allocated {bytes} bytes"
                    );
                    pooled.push(pooled_bytes::<f32>());
                }
            }
            // A new buffer in a step would be in the pool after it.
            assert!(
                pooled.iter().all(|&p| p == pooled[0]),
                "norm {norm}: {pooled:?}"
            );
            assert!(pooled[0] > 0);
        }
    }
}

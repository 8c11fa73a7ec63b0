//! One SGD step of an MLP 784-512-256-10 at batch 128, with Batch Norm and Layer Norm.

use benches::cases::{BATCH, Case, Norm};
use benches::ours;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn steps(c: &mut Criterion) {
    let mut group = c.benchmark_group("mlp step");
    for norm in [Norm::Batch, Norm::Layer] {
        let mut run = ours::job(&Case::Mlp(norm)).run;
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(norm.to_string(), |b| b.iter(&mut run));
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);

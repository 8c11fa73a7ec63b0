//! What the tape costs for each recorded op: a chain of 1,000 on a 4 x 4 tensor, forward
//! and backward. Criterion's elements per second are ops per second.

use benches::cases::Case;
use benches::ours;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn chain(c: &mut Criterion) {
    let mut group = c.benchmark_group("tape");
    let ops = 1000;
    let mut run = ours::job(&Case::Chain(ops)).run;
    group.throughput(Throughput::Elements(ops as u64));
    group.bench_function("1,000 ops on 4 x 4, forward+backward", |b| b.iter(&mut run));
    group.finish();
}

criterion_group!(benches, chain);
criterion_main!(benches);

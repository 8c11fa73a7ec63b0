//! One SGD step of a CNN, an LSTM and a Transformer block.

use benches::cases::{CNN_BATCH, Case, LSTM, Network, TRANSFORMER};
use benches::ours;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn steps(c: &mut Criterion) {
    for (network, examples) in [
        (Network::Cnn, CNN_BATCH),
        (Network::Lstm, LSTM[0]),
        (Network::Transformer, TRANSFORMER[0]),
    ] {
        let case = Case::Network(network);
        let mut run = ours::job(&case).run;
        let mut group = c.benchmark_group("network");
        group.throughput(Throughput::Elements(examples as u64));
        group.bench_function(case.to_string(), |b| b.iter(&mut run));
        group.finish();
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);

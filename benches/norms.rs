//! Every norm kernel, forward and forward with backward, in bytes per second.
//!
//! The bytes are the compulsory ones of [`compulsory_bytes`]; the group `bandwidth`
//! is what this machine can do at best: all bytes that move, as its module counts them.

use benches::bandwidth::{Probe, compulsory_bytes};
use benches::cases::{self, Case};
use benches::ours;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn memory(c: &mut Criterion) {
    let mut group = c.benchmark_group("bandwidth");
    for threads in [1, tape::parallel::threads()] {
        let mut probe = Probe::new(threads);
        group.throughput(Throughput::Bytes(probe.bytes(4) as u64));
        group.bench_function(format!("triad, {threads} thread(s)"), |b| {
            b.iter(|| probe.triad())
        });
    }
    group.finish();
}

fn kernels(c: &mut Criterion) {
    let mut group = c.benchmark_group("norms");
    for case in cases::all() {
        let (Case::Kernel(..), Some(bytes)) = (&case, compulsory_bytes(&case)) else {
            continue;
        };
        let mut run = ours::job(&case).run;
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(case.to_string(), |b| b.iter(&mut run));
    }
    group.finish();
}

criterion_group!(benches, memory, kernels);
criterion_main!(benches);

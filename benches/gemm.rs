//! Matrix products of the sizes that the networks need, on one thread: ours, and those of
//! the library `matrixmultiply`.

use benches::reference_gemm;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tape::gemm::{Matrix, gemm};

/// `[m, k, n]`: two layers of the MLP, a weight gradient, one step of the LSTM, a
/// Transformer's projection, an image in the first convolution and in the second.
const SIZES: [[usize; 3]; 7] = [
    [128, 784, 512],
    [128, 512, 256],
    [784, 128, 512],
    [32, 128, 512],
    [1024, 128, 128],
    [16, 9, 784],
    [32, 144, 196],
];

fn products(c: &mut Criterion) {
    tape::parallel::set_threads(1);
    let mut rng = StdRng::seed_from_u64(0);
    for [m, k, n] in SIZES {
        let mut draw =
            |len: usize| -> Vec<f32> { (0..len).map(|_| rng.random_range(-1.0..1.0)).collect() };
        let (a, b, mut out) = (draw(m * k), draw(k * n), draw(m * n));
        let mut group = c.benchmark_group(format!("gemm/{m}x{k}x{n}"));
        group.throughput(Throughput::Elements(2 * (m * k * n) as u64));
        group.bench_function("ours", |bencher| {
            bencher.iter(|| gemm(Matrix::new(&a, m, k), Matrix::new(&b, k, n), 0.0, &mut out));
        });
        group.bench_function("matrixmultiply", |bencher| {
            bencher.iter(|| reference_gemm::product(&a, &b, [m, k, n], &mut out));
        });
        group.finish();
    }
}

criterion_group!(benches, products);
criterion_main!(benches);

//! What rounding does to the norms: `f32` against `f64` far from zero, constant rows,
//! and results that no batch and no number of threads may change.

use batchnorm::BatchNorm;
use layernorm::{LayerNorm, RmsNorm};
use nn::{CellKind, Lengths, Pass, RecurrentSpec, each_param};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Real, Slide, Tape, Tensor, parallel};

const OFFSETS: [f64; 4] = [0.0, 1e3, 1e4, 1e6];

/// Output and input gradient of a norm applied to the same `f32` numbers in type `T`.
fn run<T: Real>(
    x: &Tensor<f32>,
    dy: &Tensor<f32>,
    norm: impl for<'t> FnOnce(&tape::Var<'t, T>) -> tape::Var<'t, T>,
) -> [Vec<f64>; 2] {
    let param = Param::new("x", x.cast::<T>());
    let (y, grads) = Tape::new().vjp(&dy.cast(), |t| norm(&t.param(&param)));
    [y, grads.of(&param)].map(|t| t.cast::<f64>().to_vec())
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |worst: f64, (a, b)| {
        assert!(a.is_finite() && b.is_finite(), "{a} against {b}");
        worst.max((a - b).abs())
    })
}

fn batch(shape: &[usize], offset: f64, seed: u64) -> [Tensor<f32>; 2] {
    let mut rng = StdRng::seed_from_u64(seed);
    let noise = Tensor::<f64>::randn(shape, &mut rng);
    [
        noise.map(|v| v + offset).cast(),
        Tensor::randn(shape, &mut rng),
    ]
}

// The values are exact in f32 (both types see the same numbers), their deviation is about
// 1, and the outputs are of that size: 2e-5 is some hundred roundings of f32.
const TOLERANCE: f64 = 2e-5;

#[test]
fn batch_norm_in_f32_stays_close_to_f64_far_from_zero() {
    for shape in [&[64, 5][..], &[16, 5, 9], &[8, 5, 4, 6]] {
        for offset in OFFSETS {
            let [x, dy] = batch(shape, offset, 3);
            let single = run::<f32>(&x, &dy, |x| BatchNorm::new(5).train(x));
            let double = run::<f64>(&x, &dy, |x| BatchNorm::new(5).train(x));
            for (single, double) in single.iter().zip(&double) {
                let worst = worst(single, double);
                assert!(
                    worst < TOLERANCE,
                    "{shape:?} at {offset}: off by {worst:.1e}"
                );
            }
        }
    }
}

#[test]
fn layer_norm_in_f32_stays_close_to_f64_far_from_zero() {
    for offset in OFFSETS {
        let [x, dy] = batch(&[16, 100], offset, 4);
        let single = run::<f32>(&x, &dy, |x| LayerNorm::new([100]).forward(x));
        let double = run::<f64>(&x, &dy, |x| LayerNorm::new([100]).forward(x));
        for (single, double) in single.iter().zip(&double) {
            let worst = worst(single, double);
            assert!(worst < TOLERANCE, "at {offset}: off by {worst:.1e}");
        }
    }
}

#[test]
fn constant_channels_and_rows_become_beta() {
    for offset in OFFSETS {
        let x = Tensor::<f32>::full([32, 3], offset as f32 + 0.1);
        let y = Tape::eval(|t| {
            let x = t.constant(x);
            let bn = BatchNorm::new(3).train(&x).value().clone();
            let ln = LayerNorm::new([3]).forward(&x).value().clone();
            [bn, ln]
        });
        for y in y {
            assert!(y.data().iter().all(|y| *y == 0.0), "at {offset}: {y:?}");
        }
    }
}

#[test]
fn layer_norm_of_an_example_does_not_depend_on_its_batch() {
    let mut rng = StdRng::seed_from_u64(8);
    let x = Tensor::<f32>::randn([37, 130], &mut rng);
    let (ln, rms) = (LayerNorm::new([130]), RmsNorm::new([130]));
    let out = |x: Tensor<f32>| {
        Tape::eval(|t| {
            let x = t.constant(x);
            [
                ln.forward(&x).value().to_vec(),
                rms.forward(&x).value().to_vec(),
            ]
        })
    };
    let whole = out(x.clone());
    for start in [0, 5, 36] {
        for rows in [1, 2, 7] {
            let rows = rows.min(37 - start);
            let part = x.data()[start * 130..][..rows * 130].to_vec();
            let part = out(Tensor::new([rows, 130], part));
            for (part, whole) in part.iter().zip(&whole) {
                assert_eq!(
                    part[..],
                    whole[start * 130..][..rows * 130],
                    "{rows} rows at {start}"
                );
            }
        }
    }
}

/// The states of an LSTM over sequences of many lengths, and all gradients.
fn lstm() -> Vec<Tensor<f32>> {
    let mut rng = StdRng::seed_from_u64(10);
    let lengths = Lengths::new(&(1..=50).chain([40; 3]).collect::<Vec<_>>());
    let x = Tensor::<f32>::randn([lengths.rows(), 8], &mut rng);
    let dy = Tensor::randn([lengths.rows(), 64], &mut rng);
    let mut net = RecurrentSpec::new(CellKind::Lstm, 8, 64).build::<f32>(&mut rng);
    assert!(lengths.rows() * 4 * 64 > parallel::SERIAL_BELOW);
    let x = Param::new("x", x);
    let (y, grads) = Tape::new().vjp(&dy, |t| {
        net.forward_packed(&t.param(&x), &lengths, &mut Pass::train())
    });
    let mut results = vec![y, grads.of(&x)];
    each_param(&mut net, |param| results.push(grads.of(param)));
    results
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let mut rng = StdRng::seed_from_u64(9);
    let flat = [1 << 12, 96];
    let image = [16, 24, 32, 32];
    let (x, dy) = (
        Tensor::<f32>::randn(flat, &mut rng),
        Tensor::randn(flat, &mut rng),
    );
    let (xs, dys) = (
        Tensor::<f32>::randn(image, &mut rng),
        Tensor::randn(image, &mut rng),
    );
    let weight = Tensor::<f32>::randn([8, 24, 3, 3], &mut rng);
    let dconv = Tensor::<f32>::randn([16, 8, 32, 32], &mut rng);
    assert!(x.len() > parallel::SERIAL_BELOW && xs.len() > parallel::SERIAL_BELOW);
    let everything = |threads| {
        parallel::set_threads(threads);
        let conv = run::<f32>(&xs, &dconv, |x| {
            x.conv2d(
                &x.tape().constant(weight.clone()),
                None,
                Slide::by(1).padded(1),
            )
        });
        let results = [
            run::<f32>(&x, &dy, |x| BatchNorm::new(96).train(x)),
            run::<f32>(&xs, &dys, |x| BatchNorm::new(24).train(x)),
            run::<f32>(&x, &dy, |x| LayerNorm::new([96]).forward(x)),
            run::<f32>(&x, &dy, |x| RmsNorm::new([96]).forward(x)),
            conv,
        ];
        (results, lstm())
    };
    let one = everything(1);
    for threads in [2, 3, 8] {
        assert!(one == everything(threads), "{threads} threads");
    }
}

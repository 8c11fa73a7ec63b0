//! A row's result depends on nothing but the row: to the bit.

use layernorm::{LayerNorm, RmsNorm, fused, rms};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Real, Tape, Tensor, Var};

fn normal<T: Real>(shape: &[usize], seed: u64) -> Tensor<T> {
    Tensor::randn(shape, &mut StdRng::seed_from_u64(seed))
}

/// The output of `op` and the gradient of its input.
fn run<T: Real>(
    x: &Tensor<T>,
    dy: &Tensor<T>,
    op: impl for<'t> Fn(&Var<'t, T>) -> Var<'t, T>,
) -> (Vec<T>, Vec<T>) {
    let x = Param::new("x", x.clone());
    let (y, grads) = Tape::new().vjp(dy, |t| op(&t.param(&x)));
    (y.to_vec(), grads.of(&x).to_vec())
}

/// Rows `from..to` of a matrix.
fn rows<T: Real>(x: &Tensor<T>, from: usize, to: usize) -> Tensor<T> {
    let d = x.shape()[1];
    Tensor::new([to - from, d], x.data()[from * d..to * d].to_vec())
}

/// Holds every row of a batch against the same row alone, and in batches of other sizes,
/// where it stands at another place and in another block.
fn assert_rows_stand_alone<T: Real>(d: usize, op: impl for<'t> Fn(&Var<'t, T>) -> Var<'t, T>) {
    let batch = 2 * fused::ROWS_PER_BLOCK + 5;
    let (x, dy) = (normal(&[batch, d], 1), normal(&[batch, d], 2));
    let (y, dx) = run(&x, &dy, &op);
    for size in [1, 2, 7, fused::ROWS_PER_BLOCK] {
        for from in (0..batch).step_by(size) {
            let to = batch.min(from + size);
            let (y_part, dx_part) = run(&rows(&x, from, to), &rows(&dy, from, to), &op);
            assert_eq!(
                y[from * d..to * d],
                y_part,
                "y of rows {from}..{to}, D = {d}"
            );
            assert_eq!(
                dx[from * d..to * d],
                dx_part,
                "dx of rows {from}..{to}, D = {d}"
            );
        }
    }
}

#[test]
fn a_row_has_one_output_and_gradient_in_every_batch() {
    for d in [1, 2, 31, 32, 33, 100] {
        let mut ln = LayerNorm::<f32>::new([d]);
        ln.params_mut()[0].set(normal(&[d], 3));
        ln.params_mut()[1].set(normal(&[d], 4));
        assert_rows_stand_alone(d, |x| ln.forward(x));
        let ln = LayerNorm::<f64>::new([d]);
        assert_rows_stand_alone(d, |x| ln.forward(x));
        let rms = RmsNorm::<f32>::new([d]);
        assert_rows_stand_alone(d, |x| rms.forward(x));
    }
}

/// Everything both norms compute, forward and backward.
fn everything(x: &[f32], dy: &[f32], gamma: &[f32]) -> [Vec<f32>; 9] {
    let (n, d) = (x.len(), gamma.len());
    let rows = n / d;
    let (mut y, mut stats) = (vec![0.0; n], vec![[0.0; 3]; rows]);
    let (mut dx, mut dgamma, mut dbeta) = (dy.to_vec(), vec![0.0; d], vec![0.0; d]);
    fused::forward(x, gamma, gamma, 1e-5, &mut y, &mut stats);
    let saved = fused::Saved {
        x,
        gamma,
        stats: &stats,
    };
    fused::backward(saved, None, &mut dx, &mut dgamma, &mut dbeta);
    let (mut y2, mut rstd2) = (vec![0.0; n], vec![0.0; rows]);
    let (mut dx2, mut dgamma2) = (dy.to_vec(), vec![0.0; d]);
    rms::fused::forward(x, gamma, 1e-5, &mut y2, &mut rstd2);
    let saved = rms::fused::Saved {
        x,
        gamma,
        rstd: &rstd2,
    };
    rms::fused::backward(saved, Some(dy), &mut dx2, &mut dgamma2);
    let stats = stats.into_flattened();
    [y, stats, dx, dgamma, dbeta, y2, rstd2, dx2, dgamma2]
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    // Neither the rows nor the blocks split evenly, and the work is worth a thread.
    let (rows, d) = (14 * fused::ROWS_PER_BLOCK + 5, 300);
    assert!(rows * d >= tape::parallel::SERIAL_BELOW);
    let [x, dy, gamma] = [(1, rows * d), (2, rows * d), (3, d)].map(|(seed, n)| normal(&[n], seed));
    let run = |threads| {
        tape::parallel::set_threads(threads);
        everything(x.data(), dy.data(), gamma.data())
    };
    let serial = run(1);
    for threads in [2, 3, 5, 64] {
        assert!(run(threads) == serial, "{threads} threads differ from one");
    }
}

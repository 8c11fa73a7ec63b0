//! Gradients over shapes, broadcasts and values that nobody chose.

use gradcheck::Check;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Slide, Tape, Tensor, Var};

/// A shape of up to three axes and, of the same rank or lower, one that broadcasts to it.
fn broadcast_pair() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    (
        prop::collection::vec(1..5_usize, 1..4),
        prop::collection::vec(any::<bool>(), 3),
        0..4_usize,
    )
        .prop_map(|(shape, repeat, dropped)| {
            let mut other: Vec<usize> = shape
                .iter()
                .zip(repeat)
                .map(|(&n, repeat)| if repeat { 1 } else { n })
                .collect();
            other.drain(..dropped.min(other.len()));
            (shape, other)
        })
}

fn normal(shape: &[usize], seed: u64) -> Tensor<f64> {
    Tensor::randn(shape, &mut StdRng::seed_from_u64(seed))
}

/// Values away from zero, of either sign.
fn away_from_zero(shape: &[usize], seed: u64) -> Tensor<f64> {
    normal(shape, seed).map(|v| v + 0.5_f64.copysign(v))
}

fn check(seed: u64, inputs: &[Tensor<f64>], f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>) {
    let mut check = Check::new("property").seed(seed);
    for (i, input) in inputs.iter().enumerate() {
        check = check.input(format!("input {i}"), input.shape(), input.to_vec());
    }
    check.run_tape(f).assert_passes();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn arithmetic_broadcasts((shape, other) in broadcast_pair(), seed: u64, op in 0..4, swap: bool) {
        let (a, b) = (away_from_zero(&shape, seed), away_from_zero(&other, seed ^ 1));
        let inputs = if swap { [b, a] } else { [a, b] };
        check(seed, &inputs, |x| match op {
            0 => &x[0] + &x[1],
            1 => &x[0] - &x[1],
            2 => &x[0] * &x[1],
            _ => &x[0] / &x[1],
        });
    }

    #[test]
    fn an_expression_that_uses_its_inputs_many_times(
        (shape, other) in broadcast_pair(), seed: u64,
    ) {
        let inputs = [normal(&shape, seed), normal(&other, seed ^ 1)];
        check(seed, &inputs, |x| {
            let h = (&x[0] * &x[1] + &x[1]).tanh();
            &h * &x[0] + (&h * &h).sigmoid() * &x[1]
        });
    }

    #[test]
    fn reductions(
        shape in prop::collection::vec(1..5_usize, 1..5), mask: u8, seed: u64, op in 0..3, keep: bool,
    ) {
        let axes: Vec<usize> = (0..shape.len()).filter(|a| mask & (1 << a) != 0).collect();
        check(seed, &[normal(&shape, seed)], |x| match (op, keep) {
            (0, false) => x[0].sum(&axes),
            (0, true) => x[0].sum_keep(&axes),
            (1, false) => x[0].mean(&axes),
            (1, true) => x[0].mean_keep(&axes),
            (_, false) => x[0].max(&axes),
            (_, true) => x[0].max_keep(&axes),
        });
    }

    #[test]
    fn products_of_batches(
        (batch, other) in broadcast_pair(), m in 1..4_usize, k in 1..4_usize, n in 1..4_usize,
        seed: u64, swap: bool,
    ) {
        let (left, right) = if swap { (other, batch) } else { (batch, other) };
        let a = normal(&[&left[..], &[m, k]].concat(), seed);
        let b = normal(&[&right[..], &[k, n]].concat(), seed ^ 1);
        check(seed, &[a, b], |x| x[0].matmul(&x[1]));
    }

    #[test]
    fn softmax_along_any_axis(
        shape in prop::collection::vec(2..5_usize, 1..4), axis: usize, seed: u64, log: bool,
    ) {
        let axis = axis % shape.len();
        check(seed, &[normal(&shape, seed)], |x| {
            if log { x[0].log_softmax(axis) } else { x[0].softmax(axis) }
        });
    }

    #[test]
    fn moving_axes_about(shape in prop::collection::vec(1..4_usize, 4), seed: u64, a in 0..4_usize, b in 0..4_usize) {
        let cut = shape[a].div_ceil(2);
        check(seed, &[normal(&shape, seed)], |x| {
            let head = x[0].slice(a, 0..cut);
            let whole = Var::concat(&[&head, &x[0]], a);
            whole.transpose(a, b).exp()
        });
    }

    #[test]
    fn convolutions(
        (n, c, o) in (1..3_usize, 1..3_usize, 1..3_usize),
        (h, w) in (3..6_usize, 3..6_usize), (kh, kw) in (1..4_usize, 1..4_usize),
        stride in 1..3_usize, padding in 0..2_usize, seed: u64,
    ) {
        let inputs =
            [normal(&[n, c, h, w], seed), normal(&[o, c, kh, kw], seed ^ 1), normal(&[o], seed ^ 2)];
        check(seed, &inputs, |x| x[0].conv2d(&x[1], Some(&x[2]), Slide::by(stride).padded(padding)));
    }

    /// Composed of primitive ops, and closed form: the same function, the same gradients.
    #[test]
    fn batch_norm_fused_is_batch_norm_composed(
        n in 2..20_usize, c in 1..6_usize, positions in prop::collection::vec(1..5_usize, 0..3),
        offset in -100.0..100.0_f64, scale in 0.1..10.0_f64, seed: u64,
    ) {
        let shape = [&[n, c][..], &positions].concat();
        let x = normal(&shape, seed).map(|v| v * scale + offset);
        let (gamma, beta) = (normal(&[c], seed ^ 1), normal(&[c], seed ^ 2));
        agree(&[x, gamma, beta], seed, |x| {
            batchnorm::composed::batch_norm(&x[0], &x[1], &x[2], 1e-5)
        }, |x| batchnorm::op::batch_norm(&x[0], &x[1], &x[2], 1e-5).0);
    }

    #[test]
    fn layer_norm_fused_is_layer_norm_composed(
        rows in 1..40_usize, d in 2..70_usize,
        offset in -100.0..100.0_f64, scale in 0.1..10.0_f64, seed: u64,
    ) {
        let x = normal(&[rows, d], seed).map(|v| v * scale + offset);
        let (gamma, beta) = (normal(&[d], seed ^ 1), normal(&[d], seed ^ 2));
        agree(&[x, gamma, beta], seed, |x| {
            layernorm::composed::layer_norm(&x[0], &x[1], &x[2], 1e-5)
        }, |x| layernorm::layer_norm(&x[0], &x[1], &x[2], 1e-5));
    }
}

/// Two ways to write one function agree in value and in every gradient.
fn agree(
    inputs: &[Tensor<f64>],
    seed: u64,
    one: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
    other: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
) {
    let params: Vec<_> = inputs
        .iter()
        .map(|x| Param::new("input", x.clone()))
        .collect();
    let dy = normal(inputs[0].shape(), seed ^ 3);
    let run = |f: &dyn for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>| {
        let (y, grads) = Tape::new().vjp(&dy, |t| {
            let vars: Vec<_> = params.iter().map(|p| t.param(p)).collect();
            f(&vars)
        });
        let mut all = vec![y];
        all.extend(params.iter().map(|p| grads.of(p)));
        all
    };
    for (k, (a, b)) in run(&one).iter().zip(run(&other)).enumerate() {
        assert_eq!(a.shape(), b.shape());
        let size = a.data().iter().fold(1.0, |m: f64, v| m.max(v.abs()));
        for (a, b) in a.data().iter().zip(b.data()) {
            // An offset of 100 deviations costs two of the sixteen digits.
            assert!((a - b).abs() <= 1e-11 * size, "result {k}: {a} and {b}");
        }
    }
}

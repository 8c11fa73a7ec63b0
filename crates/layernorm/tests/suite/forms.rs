//! Composed, staged and fused are one function: equal to rounding on random shapes,
//! values and parameters.

use layernorm::{composed, fused, layer_norm, rms, rms_norm, staged};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Real, Tape, Tensor, Var};

/// A random problem: rows of features, with parameters and an upstream gradient.
#[derive(Debug)]
struct Problem {
    shape: Vec<usize>,
    normalized: Vec<usize>,
    x: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    dy: Vec<f64>,
}

const EPS: f64 = 1e-5;

fn problems() -> impl Strategy<Value = Problem> {
    let lengths = |most| prop::collection::vec(1..=most, 1..=2);
    let leading = prop_oneof![lengths(6_usize), (1_usize..200).prop_map(|n| vec![n])];
    let trailing = prop_oneof![lengths(9_usize), (1_usize..80).prop_map(|n| vec![n])];
    // Values spread by 10^−3 to 10^3, around a mean of up to 100 times that.
    let value = (-3.0..3.0_f64, -100.0..100.0_f64, any::<u64>());
    (leading, trailing, value).prop_map(|(leading, normalized, (scale, offset, seed))| {
        let shape = [leading, normalized.clone()].concat();
        let mut rng = StdRng::seed_from_u64(seed);
        let (n, d) = (shape.iter().product(), normalized.iter().product());
        let mut draw = |n: usize| Tensor::<f64>::randn([n], &mut rng).to_vec();
        let spread = |x: f64| 10_f64.powf(scale) * (x + offset);
        Problem {
            x: draw(n).into_iter().map(spread).collect(),
            gamma: draw(d),
            beta: draw(d),
            dy: draw(n),
            shape,
            normalized,
        }
    })
}

/// Outputs and gradients, named.
type Results = Vec<(&'static str, Vec<f64>)>;

/// Runs `op` on the tape with parameters x, gamma, beta.
fn on_the_tape(p: &Problem, op: impl for<'t> Fn([Var<'t, f64>; 3]) -> Var<'t, f64>) -> Results {
    let param =
        |name, shape: &[usize], data: &[f64]| Param::new(name, Tensor::new(shape, data.to_vec()));
    let params = [
        param("x", &p.shape, &p.x),
        param("gamma", &p.normalized, &p.gamma),
        param("beta", &p.normalized, &p.beta),
    ];
    let dy = Tensor::new(&p.shape[..], p.dy.clone());
    let (y, grads) = Tape::new().vjp(&dy, |t| op(params.each_ref().map(|p| t.param(p))));
    let [dx, dgamma, dbeta] = params.each_ref().map(|p| grads.of(p).to_vec());
    vec![
        ("y", y.to_vec()),
        ("dx", dx),
        ("dgamma", dgamma),
        ("dbeta", dbeta),
    ]
}

/// The largest magnitude.
fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, x| m.max(x.abs()))
}

/// Fails where two results differ by more than rounding.
///
/// Each of the two may be off by the rounding error of `x`, some 10⁻¹⁶ of its size, in
/// units of the deviation of its row, and by that much again for every step. The terms
/// that add up to a gradient are at most `dy · gamma · rstd · √D` in size.
fn assert_same(p: &Problem, rstd: &[f64], left: &Results, right: &Results) {
    let d = p.gamma.len() as f64;
    let unit = 50.0 * f64::EPSILON * (1.0 + largest(&p.x) * largest(rstd));
    let g = largest(&p.dy) * largest(&p.gamma) * d.sqrt();
    let rows = p.x.len() as f64 / d;
    for ((name, left), (same, right)) in left.iter().zip(right) {
        assert_eq!(name, same);
        assert_eq!(left.len(), right.len());
        let bound = unit
            * match *name {
                "y" => largest(&p.gamma) * d.sqrt() + largest(&p.beta),
                "dx" => g * largest(rstd) * d.sqrt(),
                _ => largest(&p.dy) * d.sqrt() * rows,
            };
        for (i, (l, r)) in left.iter().zip(right).enumerate() {
            let error = (l - r).abs();
            assert!(
                error <= bound,
                "{name}[{i}]: {l} and {r}, {error:e} > {bound:e}"
            );
        }
    }
}

proptest! {
    #[test]
    fn layer_norm_is_one_function(p in problems()) {
        let composed = on_the_tape(&p, |[x, gamma, beta]| {
            composed::layer_norm(&x, &gamma, &beta, EPS)
        });
        let op = on_the_tape(&p, |[x, gamma, beta]| layer_norm(&x, &gamma, &beta, EPS));

        let f = staged::forward(&p.x, &p.gamma, &p.beta, EPS);
        let b = staged::backward(&f, &p.gamma, &p.dy);
        let staged = vec![("y", f.y), ("dx", b.dx), ("dgamma", b.dgamma), ("dbeta", b.dbeta)];

        let (rows, d) = (p.x.len() / p.gamma.len(), p.gamma.len());
        let (mut y, mut stats) = (vec![0.0; rows * d], vec![[0.0; 3]; rows]);
        fused::forward(&p.x, &p.gamma, &p.beta, EPS, &mut y, &mut stats);
        let (mut dx, mut dgamma, mut dbeta) = (p.dy.clone(), vec![0.0; d], vec![0.0; d]);
        let saved = fused::Saved { x: &p.x, gamma: &p.gamma, stats: &stats };
        fused::backward(saved, None, &mut dx, &mut dgamma, &mut dbeta);
        let fused = vec![("y", y), ("dx", dx), ("dgamma", dgamma), ("dbeta", dbeta)];

        prop_assert_eq!(&op, &fused, "the op is the fused kernel, to the bit");
        let rstd: Vec<f64> = stats.iter().map(|[.., rstd]| *rstd).collect();
        assert_same(&p, &rstd, &fused, &staged);
        assert_same(&p, &rstd, &fused, &composed);

        // The kernel keeps the mean in two pieces.
        for ([shift, offset, rstd], staged) in stats.iter().zip(&f.mean) {
            let error = (shift - offset / rstd - staged).abs();
            prop_assert!(error <= 50.0 * f64::EPSILON * largest(&p.x));
        }
    }

    #[test]
    fn rms_norm_is_one_function(p in problems()) {
        let composed = on_the_tape(&p, |[x, gamma, _]| rms::composed::rms_norm(&x, &gamma, EPS));
        let op = on_the_tape(&p, |[x, gamma, _]| rms_norm(&x, &gamma, EPS));
        let no_dbeta = vec![0.0; p.gamma.len()];

        let f = rms::staged::forward(&p.x, &p.gamma, EPS);
        let b = rms::staged::backward(&f, &p.x, &p.gamma, &p.dy);
        let staged =
            vec![("y", f.y), ("dx", b.dx), ("dgamma", b.dgamma), ("dbeta", no_dbeta.clone())];

        let (rows, d) = (p.x.len() / p.gamma.len(), p.gamma.len());
        let (mut y, mut rstd) = (vec![0.0; rows * d], vec![0.0; rows]);
        rms::fused::forward(&p.x, &p.gamma, EPS, &mut y, &mut rstd);
        let (mut dx, mut dgamma) = (p.dy.clone(), vec![0.0; d]);
        let saved = rms::fused::Saved { x: &p.x, gamma: &p.gamma, rstd: &rstd };
        rms::fused::backward(saved, None, &mut dx, &mut dgamma);
        let fused = vec![("y", y), ("dx", dx), ("dgamma", dgamma), ("dbeta", no_dbeta)];

        prop_assert_eq!(&op, &fused, "the op is the fused kernel, to the bit");
        assert_same(&p, &rstd, &fused, &staged);
        assert_same(&p, &rstd, &fused, &composed);
    }
}

/// The three forms refuse what they cannot do in the same words.
#[test]
fn the_composed_forms_refuse_what_the_ops_refuse() {
    fn message<T: Real>(op: impl Fn(&Tape<T>)) -> String {
        let run = std::panic::AssertUnwindSafe(|| Tape::eval(|t| op(t)));
        let panic = std::panic::catch_unwind(run).expect_err("must be refused");
        panic
            .downcast_ref::<String>()
            .expect("a formatted message")
            .clone()
    }
    let shapes: [(&[usize], &[usize], f64, &str); 3] = [
        (
            &[4, 3],
            &[4],
            EPS,
            "x has shape [4, 3], but the normalized shape is [4]",
        ),
        (&[4, 3], &[], EPS, "normalized shape [] holds no features"),
        (&[4, 3], &[3], -1.0, "eps is -1"),
    ];
    for (x, gamma, eps, expected) in shapes {
        let var = |t: &Tape<f32>, composed: bool, rms: bool| {
            let (x, gamma) = (t.constant(Tensor::ones(x)), t.constant(Tensor::ones(gamma)));
            match (composed, rms) {
                (true, false) => drop(composed::layer_norm(&x, &gamma, &gamma, eps)),
                (true, true) => drop(rms::composed::rms_norm(&x, &gamma, eps)),
                (false, false) => drop(layer_norm(&x, &gamma, &gamma, eps)),
                (false, true) => drop(rms_norm(&x, &gamma, eps)),
            }
        };
        for composed in [true, false] {
            for rms in [true, false] {
                let got = message(|t| var(t, composed, rms));
                assert!(got.contains(expected), "{got:?} does not say {expected:?}");
            }
        }
    }
}

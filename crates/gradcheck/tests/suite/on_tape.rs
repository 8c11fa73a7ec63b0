//! Checks of recordings on the tape, in both precisions.

use gradcheck::{Check, Fault, TapeFunction};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};
use tape::{Backward, InputGrads, Real, Tensor, Var};

fn draws(count: usize, seed: u64) -> Vec<f64> {
    StandardNormal
        .sample_iter(StdRng::seed_from_u64(seed))
        .take(count)
        .collect()
}

fn check(seed: u64) -> Check {
    Check::new("on the tape")
        .seed(seed)
        .input("a", &[3, 4], draws(12, seed))
        .input("b", &[4, 2], draws(8, seed + 1000))
}

/// A product of matrices, bent twice.
struct Network;

impl TapeFunction for Network {
    fn record<'t, T: Real>(&self, x: &[Var<'t, T>]) -> Var<'t, T> {
        let h = x[0].matmul(&x[1]).tanh();
        (&h * &h).exp() / h.sigmoid()
    }
}

/// An op whose backward is wrong by a factor close to 1.
struct Doubtful(f64);

impl<T: Real> Backward<T> for Doubtful {
    fn name(&self) -> &'static str {
        "doubtful"
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        Vec::new()
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        dx.add(0, dy.map(|dy| dy * T::from_f64(self.0)));
    }
}

struct Wrong(f64);

impl TapeFunction for Wrong {
    fn record<'t, T: Real>(&self, x: &[Var<'t, T>]) -> Var<'t, T> {
        let product = x[0].matmul(&x[1]);
        let value = product.value().clone();
        product
            .tape()
            .record(&[&product], value, || Doubtful(self.0))
    }
}

#[test]
fn the_tape_passes_in_f64() {
    for seed in 0..20 {
        let report = check(seed).run_tape(|x| Network.record(x));
        report.assert_passes();
        assert!(
            report.inputs.iter().all(|i| i.resolution < 1e-9),
            "{report}"
        );
        assert_eq!(report.input("b").unwrap().shape, [4, 2]);
    }
}

#[test]
fn the_tape_passes_in_f32_to_the_digits_that_f32_has() {
    for seed in 0..300 {
        let report = check(seed).run_tape_f32(&Network);
        report.assert_passes();
        for input in &report.inputs {
            assert!(
                input.resolution > 1e-8 && input.resolution < 1e-3,
                "{report}"
            );
        }
    }
}

/// `tanh` of an input that counts in units of this size.
struct Tanh(f64);

impl TapeFunction for Tanh {
    fn record<'t, T: Real>(&self, x: &[Var<'t, T>]) -> Var<'t, T> {
        let unit = x[0].tape().constant(Tensor::scalar(T::from_f64(self.0)));
        (&x[0] / unit).tanh()
    }
}

/// Near 1, `1 - y²` has few digits left in `f32`, and nearby inputs lose the same ones,
/// whatever units they are counted in.
#[test]
fn saturated_units_are_not_refused_in_f32() {
    for seed in 0..50 {
        let mut x = draws(6, seed);
        for (x, far) in x.iter_mut().zip([6.0, -7.0]) {
            *x = far + 0.1 * *x;
        }
        for unit in [1.0, 1024.0, 1.0 / 1024.0] {
            let x: Vec<f64> = x.iter().map(|x| unit * x).collect();
            let check = Check::new("saturated").seed(seed).input("x", &[6], x);
            check.run_tape_f32(&Tanh(unit)).assert_passes();
        }
    }
}

/// A large element beside others, of which one is cut off from the tape.
struct Beside {
    cut: bool,
    square: bool,
    /// Added to the large one, and not beside it.
    within: bool,
}

impl TapeFunction for Beside {
    fn record<'t, T: Real>(&self, x: &[Var<'t, T>]) -> Var<'t, T> {
        let million = x[0].tape().constant(Tensor::scalar(T::from_f64(1e6)));
        let (large, small) = match x {
            [x] => (x.slice(0, 0..1), x.slice(0, 1..4)),
            two => (two[0].clone(), two[1].clone()),
        };
        let small = if self.square { &small * &small } else { small };
        let small = if self.cut {
            small.stop_gradient()
        } else {
            small
        };
        let large = &large * &million;
        if self.within {
            large + small
        } else {
            Var::concat(&[large, small], 0)
        }
    }
}

/// The rounding of a large output is none of an element that has no part in it, nor of one
/// whose derivative is not computed from it.
#[test]
fn an_element_is_given_the_rounding_of_its_own_outputs_in_f32() {
    for seed in 0..200 {
        let (large, small) = (draws(1, seed), draws(3, seed + 1000));
        let two = || {
            Check::new("two inputs")
                .seed(seed)
                .input("a", &[1], large.clone())
                .input("b", &[3], small.clone())
        };
        let one = || {
            let x = [large.clone(), small.clone()].concat();
            Check::new("one input").seed(seed).input("x", &[4], x)
        };
        for (check, named) in [(two(), "b"), (one(), "x")] {
            for (square, within) in [(false, false), (true, false), (false, true)] {
                let beside = |cut| Beside {
                    cut,
                    square,
                    within,
                };
                let of = |cut| check.run_tape_f32(&beside(cut));
                of(false).assert_passes();
                let cut = of(true);
                let [Fault::Wrong { input, elements: 3 }] = cut.faults.as_slice() else {
                    panic!("{cut}")
                };
                assert_eq!(input, named);
            }
        }
    }
}

#[test]
fn a_wrong_op_fails_in_both_precisions() {
    for seed in 0..20 {
        check(seed)
            .run_tape(|x| Wrong(1.0).record(x))
            .assert_passes();
        check(seed).run_tape_f32(&Wrong(1.0)).assert_passes();
        let report = check(seed).run_tape(|x| Wrong(1.0 + 1e-9).record(x));
        assert!(!report.passed(), "{report}");
        let report = check(seed).run_tape_f32(&Wrong(1.0 + 1e-4));
        assert!(!report.passed(), "{report}");
        assert!(matches!(report.faults[0], Fault::Wrong { .. }), "{report}");
    }
}

/// To the tape, what is computed from the tensor inside a handle is a constant.
#[test]
fn what_is_computed_past_the_tape_is_found() {
    for seed in 0..20 {
        let report = check(seed).run_tape(|x| {
            let product = x[0].matmul(&x[1]);
            let square = product.value().map(|v| v * v);
            &product + &product.tape().constant(square)
        });
        assert!(!report.passed(), "{report}");
        assert!(matches!(report.faults[0], Fault::Wrong { .. }), "{report}");
    }
}

#[test]
fn an_unused_input_has_the_gradient_zero() {
    let unused = check(0).may_be_zero("b").run_tape(|x| x[0].exp());
    unused.assert_passes();
    assert!(!check(0).run_tape(|x| x[0].exp()).passed());
}

#[test]
fn a_nan_on_the_tape_is_reported_with_its_index() {
    let report = Check::new("ln")
        .input("x", &[2, 2], [1.0, 2.0, -1.0, 3.0])
        .run_tape(|x| x[0].ln());
    let text = report.to_string();
    assert!(text.contains("output `y`[1, 0] is NaN"), "{text}");
    assert!(!text.contains("more are not finite"), "{text}");
}

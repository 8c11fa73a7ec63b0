//! Layer Norm and RMS Norm against PyTorch, at inputs at which they are easily wrong and in f32.

use layernorm::{LayerNorm, RmsNorm};
use tape::{Param, Real, Tape, Tensor};
use tests::golden::{self, Case};

type Results<T> = Vec<(&'static str, Tensor<T>)>;

fn layer_norm<T: Real>(case: &Case) -> Results<T> {
    let x: Param<T> = case.param("x");
    let shape = case.counts("normalized_shape");
    let mut ln = LayerNorm::new(&shape[..]).with_eps(case.number("eps"));
    if !case.has("gamma") {
        ln = ln.without_affine();
    }
    for (param, name) in ln.params_mut().into_iter().zip(["gamma", "beta"]) {
        param.set(case.tensor(name));
    }
    let (y, grads) = Tape::new().vjp(&case.tensor("dy"), |t| ln.forward(&t.param(&x)));
    let mut results = vec![("y", y), ("dx", grads.of(&x))];
    for (param, name) in ln.params().into_iter().zip(["dgamma", "dbeta"]) {
        results.push((name, grads.get(param).expect("a gradient").clone()));
    }
    results
}

fn rms_norm<T: Real>(case: &Case) -> Results<T> {
    let x: Param<T> = case.param("x");
    let shape = case.counts("normalized_shape");
    let mut norm = RmsNorm::new(&shape[..]).with_eps(case.number("eps"));
    if !case.has("gamma") {
        norm = norm.without_affine();
    }
    for param in norm.params_mut() {
        param.set(case.tensor("gamma"));
    }
    let (y, grads) = Tape::new().vjp(&case.tensor("dy"), |t| norm.forward(&t.param(&x)));
    let mut results = vec![("y", y), ("dx", grads.of(&x))];
    for param in norm.params() {
        results.push(("dgamma", grads.get(param).expect("a gradient").clone()));
    }
    results
}

#[test]
fn layer_norm_at_hard_inputs() {
    for case in golden::load("layernorm")
        .cases
        .iter()
        .filter(|c| c.dtype == "f64")
    {
        for (name, got) in layer_norm::<f64>(case) {
            // As for Batch Norm: rstd is about 20 where eps is 1e-12.
            case.assert_within(name, &got, 20.0 * golden::EPSILONS * f64::EPSILON);
        }
    }
}

/// Eight roundings, whatever the offset: a row is measured from a number near its mean.
///
/// `f32 ramp at 1e4` is the row `10⁴ + 0..8` whose variance, as `mean(x²) − mean(x)²` in
/// f32, gives y = ±1106.8 where ±1.53 is right.
#[test]
fn layer_norm_at_large_offsets_in_f32() {
    for case in golden::load("layernorm")
        .cases
        .iter()
        .filter(|c| c.dtype == "f32")
    {
        for (name, got) in layer_norm::<f32>(case) {
            case.assert_within(name, &got, 8.0 * f64::from(f32::EPSILON));
            let randomly_offset = case.number("offset") >= 1e3 && !case.name.contains("ramp");
            if randomly_offset && ["y", "dx"].contains(&name) {
                let theirs = case.tensor::<f32>(&format!("{name}_f32"));
                assert!(case.distance(name, &got) < case.distance(name, &theirs));
            }
        }
    }
}

#[test]
fn rms_norm_with_other_eps() {
    for case in golden::load("rmsnorm").cases {
        for (name, got) in rms_norm::<f64>(&case) {
            case.assert_within(name, &got, 20.0 * golden::EPSILONS * f64::EPSILON);
        }
    }
}

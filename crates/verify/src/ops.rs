//! Cases for every op of the tape: those of its own list, and a value that is held fixed.

use nn::check::normal;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Param, Real, Tape, Tensor};
use witness::{Argument, Subject};

use crate::case::Case;

pub fn cases<T: Real>() -> Vec<Case<T>> {
    let mut cases: Vec<Case<T>> = tape::ops::cases().into_iter().map(of_tape).collect();
    cases.push(stop_gradient());
    cases
}

/// Ops whose two passes are the same only because the exponential function turns sums into
/// products, or because a constant is a root, which no element of the field knows.
const NOT_EXACT: [(&str, &str); 3] = [
    ("tape/src/ops/log_softmax.rs", NO_PRODUCT),
    ("tape/src/ops/cross_entropy.rs", NO_PRODUCT),
    ("tape/src/ops/gelu.rs", ROUNDED),
];
const NO_PRODUCT: &str = "needs e^(a+b) = e^a e^b";
pub(crate) const ROUNDED: &str = "needs constants that are rounded, such as 1/√2 in gelu";

/// What the cases begin with that PyTorch has no function for.
const WITHOUT_PYTORCH: [(&str, &str); 4] = [
    ("sum over []", NO_AXES),
    ("mean over []", NO_AXES),
    ("max over []", NO_AXES),
    ("dropout", "draws a mask of its own"),
];
const NO_AXES: &str = "takes no axes for all axes";

fn of_tape<T: Real>(case: tape::ops::Case<T>) -> Case<T> {
    let tape::ops::Case {
        source,
        name,
        inputs,
        apply,
    } = case;
    let reason = |list: &[(&str, &'static str)], of: &str| {
        let found = list.iter().find(|(start, _)| of.starts_with(start));
        found.map(|(_, reason)| *reason)
    };
    let not_exact = reason(&NOT_EXACT, source);
    let without_pytorch = reason(&WITHOUT_PYTORCH, &name);
    let case = Case::on_tape("ops", source, name, inputs, move |x| apply(x));
    let case = match not_exact {
        Some(reason) => case.not_exact(reason),
        None => case,
    };
    let case = match without_pytorch {
        Some(reason) => case.without_pytorch(reason),
        None => case,
    };
    // What this op holds beside its argument, drawn as the tape's list draws it.
    match &case.name[..] {
        "mse to a constant" => {
            let mut rng = StdRng::seed_from_u64(9);
            case.constant("target", Tensor::uniform([3, 2], -1.0, 1.0, &mut rng))
        }
        _ => case,
    }
}

/// `x · stop_gradient(x)`: the derivative of `x · c` with `c` the value of `x` at the
/// point, held fixed while the finite differences move `x`.
fn stop_gradient<T: Real>() -> Case<T> {
    let source = "tape/src/ops/stop_gradient.rs";
    let x: Tensor<T> = normal([3, 4], 1).cast();
    let subject = Subject::new(
        vec![Argument::new("x", x.clone())],
        move |at| at[0].clone().zip_in_place(&x, |x, c| x * c),
        |at, dy| {
            let p = Param::new("x", at[0].clone());
            let (_, grads) = Tape::new().vjp(dy, |t| {
                let x = t.param(&p);
                &x * x.stop_gradient()
            });
            vec![grads.of(&p)]
        },
    );
    Case::own("ops", source, "stop_gradient", subject)
        .not_dual("is not the derivative of its value, on purpose")
}

//! Where the gradients of the ops are checked: at least one case for each that has a backward
//! pass, at inputs and with arguments that between them reach every branch.
//!
//! The list is used twice, and in several arithmetics. The tests of this crate check every case,
//! and so does the gradient report (`verify`), beside the norms and the layers.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::{Real, Shape, Slide, Tensor, Var};

/// A function of some inputs, made of ops.
pub type Apply<T> = dyn for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T> + Send + Sync;

/// An op at some inputs, for a check of its gradient with respect to all of them.
#[derive(Clone)]
pub struct Case<T: Real> {
    /// The file that the op is in, from the folder `crates`.
    pub source: &'static str,
    /// The op, and what is special about this case.
    pub name: String,
    /// Random inputs, at a distance from where the op has no derivative.
    pub inputs: Vec<Tensor<T>>,
    /// The op itself.
    pub apply: Arc<Apply<T>>,
}

/// Adds a case: `case!(cases, "module", "name", [shapes or tensors], |x| …)`.
macro_rules! case {
    ($cases:ident, $module:literal, $name:expr, [$($input:expr),*], $op:expr) => {
        $cases.push(Case {
            source: concat!("tape/src/ops/", $module, ".rs"),
            name: String::from($name),
            inputs: inputs(vec![$($input.into()),*]),
            apply: Arc::new($op),
        })
    };
}

/// An input: normal draws of a shape, or a tensor of one's own.
enum Input<T: Real> {
    Shape(Shape),
    Values(Tensor<T>),
}

impl<T: Real, const N: usize> From<[usize; N]> for Input<T> {
    fn from(shape: [usize; N]) -> Self {
        Input::Shape(shape.into())
    }
}

impl<T: Real> From<&[usize]> for Input<T> {
    fn from(shape: &[usize]) -> Self {
        Input::Shape(shape.into())
    }
}

impl<T: Real> From<Tensor<T>> for Input<T> {
    fn from(values: Tensor<T>) -> Self {
        Input::Values(values)
    }
}

fn inputs<T: Real>(inputs: Vec<Input<T>>) -> Vec<Tensor<T>> {
    let tensor = |(i, input)| match input {
        Input::Shape(shape) => Tensor::randn(shape, &mut StdRng::seed_from_u64(i as u64 + 1)),
        Input::Values(values) => values,
    };
    inputs.into_iter().enumerate().map(tensor).collect()
}

/// Draws between `low` and `high`.
fn between<T: Real>(low: f64, high: f64, shape: impl Into<Shape>) -> Tensor<T> {
    Tensor::uniform(shape, low, high, &mut StdRng::seed_from_u64(9))
}

/// 1 above the diagonal of a 3 x 3 matrix.
fn causal<T: Real>() -> Tensor<T> {
    Tensor::from_fn([3, 3], |i| if i % 3 > i / 3 { T::ONE } else { T::ZERO })
}

/// The cases in the numbers of most programs. Generic code is compiled where it is asked for, and
/// so the ops would be in each of the many programs of a development build: what is asked for here
/// is compiled once, as this crate is, and they share it.
#[cfg(debug_assertions)]
pub static COMPILED: (List<f32>, List<f64>) = (cases, cases);

#[cfg(debug_assertions)]
type List<T> = fn() -> Vec<Case<T>>;

/// Every case, all ops with a backward pass of their own among them.
pub fn cases<T: Real>() -> Vec<Case<T>> {
    let mut c = Vec::new();
    let pairs: [(&[usize], &[usize]); 3] =
        [(&[3, 4], &[3, 4]), (&[4], &[3, 4]), (&[3, 1], &[2, 1, 4])];
    for (a, b) in pairs {
        let of = format!("of {a:?} and {b:?}");
        let divisor = between(0.5, 2.0, b);
        case!(c, "add", format!("a + b {of}"), [a, b], |x| &x[0] + &x[1]);
        case!(c, "sub", format!("a - b {of}"), [a, b], |x| &x[0] - &x[1]);
        case!(c, "mul", format!("a * b {of}"), [a, b], |x| &x[0] * &x[1]);
        case!(c, "div", format!("a / b {of}"), [a, divisor], |x| &x[0]
            / &x[1]);
    }
    case!(c, "div", "a / 3", [[3]], |x| { &x[0] / T::from_f64(3.0) });
    case!(c, "div", "x / (x * x)", [between(-2.0, -0.5, [4])], |x| {
        &x[0] / &(&x[0] * &x[0])
    });
    for n in [-3, -2, -1, 1, 2, 3, 5] {
        let x = between(0.5, 2.0, [3, 4]);
        case!(c, "powi", format!("powi {n}"), [x], move |x| x[0].powi(n));
    }
    case!(c, "powi", "powi 3 of both signs", [[3, 4]], |x| x[0]
        .powi(3));

    let axes: [&[usize]; 5] = [&[], &[0], &[1], &[0, 2], &[0, 1, 2]];
    for axes in axes {
        let over = format!("over {axes:?}");
        case!(c, "sum", format!("sum {over}"), [[2, 3, 4]], move |x| x[0]
            .sum(axes));
        case!(c, "mean", format!("mean {over}"), [[2, 3, 4]], move |x| x
            [0]
        .mean(axes));
        case!(c, "max", format!("max {over}"), [[2, 3, 4]], move |x| x[0]
            .max(axes));
        let kept = format!("{over}, kept");
        case!(c, "sum", format!("sum {kept}"), [[2, 3, 4]], move |x| x[0]
            .sum_keep(axes));
        case!(c, "mean", format!("mean {kept}"), [[2, 3, 4]], move |x| x
            [0]
        .mean_keep(axes));
        case!(c, "max", format!("max {kept}"), [[2, 3, 4]], move |x| x[0]
            .max_keep(axes));
    }
    case!(c, "sum", "sum of all", [[2, 3]], |x| x[0].sum_all());
    case!(c, "mean", "mean of all", [[2, 3]], |x| x[0].mean_all());
    case!(c, "max", "max of all", [[2, 3]], |x| x[0].max_all());

    let orders: [(&[usize], &[usize]); 12] = [
        (&[2, 3], &[1, 0]),
        (&[2, 3, 4], &[0, 1, 2]),
        (&[2, 3, 4], &[0, 2, 1]),
        (&[2, 3, 4], &[1, 0, 2]),
        (&[2, 3, 4], &[2, 0, 1]),
        (&[2, 3, 4], &[1, 2, 0]),
        (&[2, 3, 4], &[2, 1, 0]),
        (&[2, 3, 4, 5], &[0, 2, 1, 3]),
        (&[2, 3, 4, 5], &[2, 3, 0, 1]),
        (&[2, 1, 3], &[1, 2, 0]),
        (&[1, 1], &[1, 0]),
        (&[2, 2, 2, 2, 2, 2], &[5, 3, 1, 4, 2, 0]),
    ];
    for (shape, order) in orders {
        let name = format!("permute {shape:?} by {order:?}");
        case!(c, "permute", name, [shape], move |x| x[0].permute(order));
    }
    case!(c, "permute", "transpose", [[2, 3, 4]], |x| x[0]
        .transpose(1, 2));
    for axis in 0..3 {
        let along = format!("along axis {axis}");
        case!(
            c,
            "slice",
            format!("slice {along}"),
            [[3, 3, 4]],
            move |x| { x[0].slice(axis, 1..3) }
        );
        case!(
            c,
            "concat",
            format!("stack {along}"),
            [[2, 3], [2, 3]],
            move |x| { Var::stack(x, axis) }
        );
        case!(
            c,
            "index_select",
            format!("index_select {along}"),
            [[2, 3, 2]],
            move |x| { x[0].index_select(axis, &[1, 1, 0]) }
        );
        case!(
            c,
            "softmax",
            format!("softmax {along}"),
            [[2, 3, 4]],
            move |x| { x[0].softmax(axis) }
        );
        case!(
            c,
            "log_softmax",
            format!("log_softmax {along}"),
            [[2, 3, 4]],
            move |x| { x[0].log_softmax(axis) }
        );
    }
    case!(c, "slice", "slice from the start", [[2, 3, 4]], |x| x[0]
        .slice(1, 0..2));
    case!(c, "concat", "concat along axis 0", [[2, 3], [1, 3]], |x| {
        Var::concat(x, 0)
    });
    let repeats: [(&[usize], &'static [usize]); 3] = [
        (&[3], &[2, 3]),
        (&[2, 1, 3], &[2, 4, 3]),
        (&[3, 1], &[2, 3, 4]),
    ];
    for (from, to) in repeats {
        let name = format!("broadcast_to {to:?} of {from:?}");
        case!(c, "broadcast_to", name, [from], move |x| x[0]
            .broadcast_to(to));
    }

    let products: [(&[usize], &[usize]); 8] = [
        (&[2, 3], &[3, 4]),
        (&[5, 2, 3], &[5, 3, 4]),
        (&[5, 2, 3], &[3, 4]),
        (&[2, 3], &[5, 3, 4]),
        (&[2, 1, 2, 3], &[4, 3, 2]),
        (&[2, 3, 1, 4], &[2, 1, 4, 2]),
        (&[1, 2, 3], &[1, 3, 4]),
        (&[1, 3], &[3, 1]),
    ];
    for (a, b) in products {
        let name = format!("matmul of {a:?} and {b:?}");
        case!(c, "matmul", name, [a, b], |x| x[0].matmul(&x[1]));
    }
    let convolutions = [
        ([2, 3, 5, 6], [4, 3, 3, 3], [1, 1], [1, 1]),
        ([2, 2, 6, 5], [3, 2, 3, 2], [2, 1], [0, 1]),
        ([2, 2, 5, 4], [3, 2, 3, 3], [2, 1], [1, 2]),
        ([1, 1, 4, 7], [1, 1, 2, 5], [1, 3], [1, 2]),
        ([3, 2, 3, 3], [2, 2, 1, 1], [1, 1], [0, 0]),
        ([1, 2, 1, 8], [2, 2, 1, 3], [1, 2], [0, 1]),
        // The kernel is the whole image; a tap that only ever reads the padding.
        ([2, 1, 3, 4], [2, 1, 3, 4], [1, 1], [0, 0]),
        ([1, 1, 1, 1], [1, 1, 3, 3], [2, 2], [3, 3]),
        // More images than blocks, and no multiple of them.
        ([37, 1, 3, 3], [2, 1, 3, 3], [1, 1], [1, 1]),
    ];
    for (x, w, stride, padding) in convolutions {
        let name = format!("conv2d of {x:?} by {w:?}, {stride:?}, {padding:?}");
        case!(c, "conv2d", name, [x, w, [w[0]]], move |x| {
            x[0].conv2d(&x[1], Some(&x[2]), Slide::by(stride).padded(padding))
        });
    }
    case!(
        c,
        "conv2d",
        "conv2d without a bias",
        [[2, 2, 5, 4], [3, 2, 3, 2]],
        |x| { x[0].conv2d(&x[1], None, Slide::by(1)) }
    );
    case!(
        c,
        "max_pool2d",
        "max_pool2d, an edge of padding",
        [[2, 2, 5, 4]],
        |x| { x[0].max_pool2d([1, 3], Slide::by(1).padded([0, 1])) }
    );
    case!(
        c,
        "avg_pool2d",
        "avg_pool2d, an edge of padding",
        [[2, 2, 5, 4]],
        |x| { x[0].avg_pool2d([1, 3], Slide::by(1).padded([0, 1])) }
    );
    case!(c, "reshape", "reshape to a scalar", [[1, 1]], |x| x[0]
        .reshape([]));
    case!(c, "mse", "mse to a constant", [[3, 2]], |x| {
        x[0].mse(&x[0].tape().constant(between(-1.0, 1.0, [3, 2])))
    });

    case!(c, "add", "x + x", [[3]], |x| &x[0] + &x[0]);
    case!(c, "mul", "x * x", [[3]], |x| &x[0] * &x[0]);
    case!(c, "neg", "-x", [[3, 4]], |x| -&x[0]);
    case!(c, "exp", "exp", [[3, 4]], |x| x[0].exp());
    case!(c, "ln", "ln", [between(0.2, 3.0, [3, 4])], |x| x[0].ln());
    case!(c, "sqrt", "sqrt", [between(0.2, 3.0, [3, 4])], |x| x[0]
        .sqrt());
    case!(c, "tanh", "tanh", [[3, 4]], |x| x[0].tanh());
    case!(c, "sigmoid", "sigmoid", [[3, 4]], |x| x[0].sigmoid());
    case!(c, "relu", "relu", [[3, 4]], |x| x[0].relu());
    case!(c, "gelu", "gelu", [[3, 4]], |x| x[0].gelu());

    // Two that stay equal share the gradient, which neither of them shows alone.
    case!(c, "max", "max, of equals", [[3, 4]], |x| {
        Var::stack(&[&x[0], &x[0]], 1).max(&[1])
    });

    case!(c, "reshape", "reshape", [[2, 6]], |x| x[0].reshape([3, 4]));
    case!(c, "slice", "select", [[2, 5, 3]], |x| x[0].select(1, 3));
    case!(c, "slice", "slices that overlap", [[2, 5]], |x| {
        x[0].slice(1, 0..3) * x[0].slice(1, 2..5)
    });
    case!(c, "concat", "concat", [[2, 3], [2, 1], [2, 4]], |x| {
        Var::concat(x, 1)
    });
    case!(c, "index_select", "embedding", [[5, 3]], |x| x[0]
        .embedding(&[4, 0, 4]));
    case!(c, "masked_fill", "masked_fill", [[2, 3, 3]], |x| x[0]
        .masked_fill(&causal(), T::from_f64(5.0)));
    case!(
        c,
        "masked_fill",
        "masked_fill -inf, softmax",
        [[2, 3, 3]],
        |x| { x[0].masked_fill(&causal(), T::NEG_INFINITY).softmax(2) }
    );

    case!(
        c,
        "matmul",
        "matmul, longer than a tile",
        [[9, 17], [17, 33]],
        |x| { x[0].matmul(&x[1]) }
    );
    case!(c, "matmul", "matmul, squared", [[3, 3]], |x| x[0]
        .matmul(&x[0]));

    case!(c, "max_pool2d", "max_pool2d", [[2, 2, 4, 4]], |x| x[0]
        .max_pool2d(2, Slide::by(2)));
    case!(
        c,
        "max_pool2d",
        "max_pool2d, windows that overlap",
        [[2, 2, 5, 4]],
        |x| { x[0].max_pool2d(3, Slide::by([1, 2]).padded(1)) }
    );
    case!(
        c,
        "max_pool2d",
        "max_pool2d, of equals",
        [[2, 2, 3, 4]],
        |x| { Var::concat(&[&x[0], &x[0]], 2).max_pool2d([4, 2], Slide::by(1)) }
    );
    case!(c, "avg_pool2d", "avg_pool2d", [[2, 2, 4, 4]], |x| x[0]
        .avg_pool2d(2, Slide::by(2)));
    case!(
        c,
        "avg_pool2d",
        "avg_pool2d, windows that overlap",
        [[2, 2, 5, 4]],
        |x| { x[0].avg_pool2d(3, Slide::by([1, 2]).padded(1)) }
    );

    case!(c, "cross_entropy", "cross_entropy", [[4, 5]], |x| {
        x[0].cross_entropy(&[3, 0, 4, 3])
    });
    case!(
        c,
        "cross_entropy",
        "cross_entropy, weighted",
        [[4, 5]],
        |x| { x[0].cross_entropy_weighted(&[3, 0, 4, 3], &[2.0, 0.0, 0.5, 1.0].map(T::from_f64)) }
    );
    case!(c, "mse", "mse", [[3, 4], [3, 4]], |x| x[0].mse(&x[1]));
    case!(c, "dropout", "dropout", [[3, 4]], |x| {
        x[0].dropout(0.4, &mut StdRng::seed_from_u64(7))
    });

    // An input that is used twice: the second gradient must add to the first.
    case!(
        c,
        "index_select",
        "embedding, two look-ups",
        [[3, 2]],
        |x| { x[0].embedding(&[0, 1]) * x[0].embedding(&[1, 2]) }
    );
    case!(c, "concat", "concat, one part twice", [[2, 3]], |x| {
        Var::concat(&[&x[0], &x[0]], 1)
    });
    case!(
        c,
        "conv2d",
        "conv2d, one kernel twice",
        [[1, 2, 4, 4], [2, 2, 3, 3], [2]],
        |x| {
            let once = x[0].conv2d(&x[1], Some(&x[2]), Slide::by(1).padded(1));
            once.conv2d(&x[1], Some(&x[2]), Slide::by(1).padded(1))
                * x[0].conv2d(&x[1], None, Slide::by(1).padded(1))
        }
    );
    c
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::backward::Kind;
    use crate::testing::check_gradient;
    use crate::{Param, Tape};

    #[test]
    fn every_gradient_is_right() {
        for case in cases::<f64>() {
            check_gradient(&case.name, &case.inputs, |x| (case.apply)(x));
        }
    }

    #[test]
    fn every_op_has_a_case() {
        let sources: Vec<&str> = cases::<f64>().iter().map(|case| case.source).collect();
        let modules = include_str!("mod.rs").lines();
        for module in modules.filter_map(|line| line.strip_prefix("pub mod ")) {
            let module = module.trim_end_matches(';');
            let source = format!("tape/src/ops/{module}.rs");
            // A window is no op, and the value that stop_gradient returns is a constant.
            assert!(
                ["window", "stop_gradient"].contains(&module) || sources.contains(&&source[..]),
                "no case for {module}"
            );
        }
    }

    /// The names of the ops that a case records.
    fn recorded(case: &Case<f64>) -> Vec<&'static str> {
        let params = case.inputs.iter().map(|x| Param::new("x", x.clone()));
        let params: Vec<Param<f64>> = params.collect();
        let (_, names, _) = Tape::new().grad_with(|t| {
            let x: Vec<_> = params.iter().map(|p| t.param(p)).collect();
            let y = (case.apply)(&x);
            let records = t.records.borrow();
            let names = records.iter().filter_map(|record| match &record.kind {
                Kind::Leaf { .. } => None,
                Kind::Op(backward) => Some(backward.name()),
            });
            let names = names.collect();
            drop(records);
            (y.sum_all(), names)
        });
        names
    }

    /// The names of the ops that a source file defines, as far as they are written out; concat
    /// and stack share a backward that is told its name.
    fn defined(text: &str) -> Vec<&str> {
        let own = text.split("#[cfg(test)]").next().unwrap_or_default();
        let bodies = own.split("Backward<T> for ").skip(1);
        let own_records = bodies.map(|body| {
            let (_, name) = body.split_once("fn name").expect("a backward has a name");
            let name = name.split('}').next().unwrap_or_default();
            name.split('"').nth(1).unwrap_or("concat")
        });
        // What makes the record that ops of one kind share.
        let shared = ["unary(", "unary_from(", "binary("].into_iter();
        let shared = shared.flat_map(|maker| own.split(maker).skip(1));
        let shared = shared.filter_map(|call| {
            let name = call.trim_start().strip_prefix("|| \"")?;
            name.split('"').next()
        });
        own_records.chain(shared).collect()
    }

    #[test]
    fn every_op_is_recorded_in_a_case() {
        let cases = cases::<f64>();
        let recorded: BTreeSet<&str> = cases.iter().flat_map(recorded).collect();
        let mut ops = 0;
        for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/ops")).expect("ops") {
            let path = entry.expect("an entry").path();
            // The record that several ops share has the name that it is told.
            if path.ends_with("elementwise.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a source file");
            for name in defined(&text) {
                assert!(recorded.contains(name), "no case records the op {name:?}");
                ops += 1;
            }
        }
        assert!(
            ops >= 25,
            "only {ops} ops were found: has the way they are written changed?"
        );
    }

    #[test]
    fn cases_are_told_apart_by_their_names() {
        let mut names: Vec<String> = cases::<f64>().into_iter().map(|case| case.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

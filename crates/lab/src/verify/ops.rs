//! Cases for every op of the tape. A test holds this list to the files in
//! `crates/tape/src/ops`.

use nn::check::normal;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::{Tape, Tensor, Var};

use super::Case;

/// Adds a case: `case!(cases, "file", "name", [shapes or tensors], |x| …)`.
macro_rules! case {
    ($cases:ident, $file:literal, $name:literal, [$($input:expr),*], $op:expr) => {
        $cases.push(Case::on_tape(
            "ops",
            concat!("tape/src/ops/", $file, ".rs"),
            $name,
            inputs([$($input.into()),*]),
            $op,
        ))
    };
}

/// An input: normal draws of a shape, or a tensor of one's own.
enum Input {
    Shape(Vec<usize>),
    Values(Tensor<f64>),
}

impl<const N: usize> From<[usize; N]> for Input {
    fn from(shape: [usize; N]) -> Self {
        Input::Shape(shape.to_vec())
    }
}

impl From<Tensor<f64>> for Input {
    fn from(values: Tensor<f64>) -> Self {
        Input::Values(values)
    }
}

fn inputs<const N: usize>(inputs: [Input; N]) -> Vec<Tensor<f64>> {
    let tensor = |(i, input)| match input {
        Input::Shape(shape) => normal(&shape[..], i as u64 + 1),
        Input::Values(values) => values,
    };
    inputs.into_iter().enumerate().map(tensor).collect()
}

/// Draws between `low` and `high`.
fn between<const N: usize>(low: f64, high: f64, shape: [usize; N]) -> Tensor<f64> {
    Tensor::uniform(shape, low, high, &mut StdRng::seed_from_u64(9))
}

/// 1 above the diagonal of a 3 x 3 matrix.
fn causal() -> Tensor<f64> {
    Tensor::new([3, 3], vec![0., 1., 1., 0., 0., 1., 0., 0., 0.])
}

pub fn cases() -> Vec<Case> {
    let mut c = Vec::new();
    case!(c, "add", "a + b", [[3, 4], [3, 4]], |x| &x[0] + &x[1]);
    case!(c, "add", "a + b, broadcast", [[3, 1], [2, 1, 4]], |x| &x[0]
        + &x[1]);
    case!(c, "add", "x + x", [[3]], |x| &x[0] + &x[0]);
    case!(c, "sub", "a - b", [[3, 4], [3, 4]], |x| &x[0] - &x[1]);
    case!(c, "sub", "a - b, broadcast", [[4], [2, 3, 4]], |x| &x[0]
        - &x[1]);
    case!(c, "mul", "a * b", [[3, 4], [3, 4]], |x| &x[0] * &x[1]);
    case!(c, "mul", "a * b, broadcast", [[3, 1], [2, 1, 4]], |x| &x[0]
        * &x[1]);
    case!(c, "mul", "x * x", [[3]], |x| &x[0] * &x[0]);
    case!(
        c,
        "div",
        "a / b",
        [[3, 4], between(0.5, 2.0, [3, 4])],
        |x| &x[0] / &x[1]
    );
    case!(
        c,
        "div",
        "a / b, broadcast",
        [[2, 3, 4], between(-2.0, -0.5, [3, 1])],
        |x| { &x[0] / &x[1] }
    );
    case!(c, "neg", "-x", [[3, 4]], |x| -&x[0]);
    case!(c, "exp", "exp", [[3, 4]], |x| x[0].exp());
    case!(c, "ln", "ln", [between(0.2, 3.0, [3, 4])], |x| x[0].ln());
    case!(c, "sqrt", "sqrt", [between(0.2, 3.0, [3, 4])], |x| x[0]
        .sqrt());
    case!(c, "powi", "powi 3", [[3, 4]], |x| x[0].powi(3));
    case!(c, "powi", "powi -2", [between(0.5, 2.0, [3, 4])], |x| x[0]
        .powi(-2));
    case!(c, "tanh", "tanh", [[3, 4]], |x| x[0].tanh());
    case!(c, "sigmoid", "sigmoid", [[3, 4]], |x| x[0].sigmoid());
    case!(c, "relu", "relu", [[3, 4]], |x| x[0].relu());
    case!(c, "gelu", "gelu", [[3, 4]], |x| x[0].gelu());

    case!(c, "sum", "sum", [[2, 3, 4]], |x| x[0].sum(&[0, 2]));
    case!(c, "sum", "sum, axes kept", [[2, 3, 4]], |x| x[0]
        .sum_keep(&[1]));
    case!(c, "mean", "mean", [[2, 3, 4]], |x| x[0].mean(&[0, 2]));
    case!(c, "mean", "mean, axes kept", [[2, 3, 4]], |x| x[0]
        .mean_keep(&[1]));
    case!(c, "max", "max", [[2, 3, 4]], |x| x[0].max(&[0, 2]));
    case!(c, "max", "max, axes kept", [[2, 3, 4]], |x| x[0]
        .max_keep(&[1]));

    // Two that stay equal share the gradient, which neither of them shows alone.
    case!(c, "max", "max, of equals", [[3, 4]], |x| {
        Var::stack(&[&x[0], &x[0]], 1).max(&[1])
    });

    case!(c, "reshape", "reshape", [[2, 6]], |x| x[0].reshape([3, 4]));
    case!(c, "permute", "permute", [[2, 3, 4]], |x| x[0]
        .permute(&[2, 0, 1]));
    case!(c, "permute", "transpose", [[2, 3, 4]], |x| x[0]
        .transpose(1, 2));
    case!(
        c,
        "permute",
        "permute, the last axis stays",
        [[2, 3, 4]],
        |x| { x[0].permute(&[1, 0, 2]) }
    );
    case!(c, "broadcast_to", "broadcast_to", [[3, 1]], |x| x[0]
        .broadcast_to([2, 3, 4]));
    case!(c, "slice", "slice", [[2, 5, 3]], |x| x[0].slice(1, 1..4));
    case!(c, "slice", "select", [[2, 5, 3]], |x| x[0].select(1, 3));
    case!(c, "slice", "slices that overlap", [[2, 5]], |x| {
        x[0].slice(1, 0..3) * x[0].slice(1, 2..5)
    });
    case!(c, "concat", "concat", [[2, 3], [2, 1], [2, 4]], |x| {
        Var::concat(x, 1)
    });
    case!(c, "concat", "stack", [[2, 3], [2, 3]], |x| Var::stack(x, 1));
    case!(c, "index_select", "index_select", [[2, 4, 3]], |x| {
        x[0].index_select(1, &[3, 0, 3])
    });
    case!(c, "index_select", "embedding", [[5, 3]], |x| x[0]
        .embedding(&[4, 0, 4]));
    case!(c, "masked_fill", "masked_fill", [[2, 3, 3]], |x| x[0]
        .masked_fill(&causal(), 5.0));
    case!(
        c,
        "masked_fill",
        "masked_fill -inf, softmax",
        [[2, 3, 3]],
        |x| { x[0].masked_fill(&causal(), f64::NEG_INFINITY).softmax(2) }
    );

    case!(c, "matmul", "matmul", [[3, 4], [4, 2]], |x| x[0]
        .matmul(&x[1]));
    case!(
        c,
        "matmul",
        "matmul, longer than a tile",
        [[9, 17], [17, 33]],
        |x| { x[0].matmul(&x[1]) }
    );
    case!(
        c,
        "matmul",
        "matmul, batches",
        [[5, 2, 3], [5, 3, 4]],
        |x| x[0].matmul(&x[1])
    );
    case!(
        c,
        "matmul",
        "matmul, one matrix for the batch",
        [[5, 2, 3], [3, 4]],
        |x| { x[0].matmul(&x[1]) }
    );
    case!(
        c,
        "matmul",
        "matmul, broadcast batches",
        [[2, 1, 2, 3], [4, 3, 2]],
        |x| { x[0].matmul(&x[1]) }
    );
    case!(c, "matmul", "matmul, squared", [[3, 3]], |x| x[0]
        .matmul(&x[0]));

    case!(
        c,
        "conv2d",
        "conv2d",
        [[2, 2, 5, 4], [3, 2, 3, 2], [3]],
        |x| { x[0].conv2d(&x[1], Some(&x[2]), 1, 0) }
    );
    case!(
        c,
        "conv2d",
        "conv2d, stride and padding",
        [[2, 2, 5, 4], [3, 2, 3, 3]],
        |x| { x[0].conv2d(&x[1], None, [2, 1], [1, 2]) }
    );
    case!(c, "max_pool2d", "max_pool2d", [[2, 2, 4, 4]], |x| x[0]
        .max_pool2d(2, 2, 0));
    case!(
        c,
        "max_pool2d",
        "max_pool2d, windows that overlap",
        [[2, 2, 5, 4]],
        |x| { x[0].max_pool2d(3, [1, 2], 1) }
    );
    case!(
        c,
        "max_pool2d",
        "max_pool2d, of equals",
        [[2, 2, 3, 4]],
        |x| { Var::concat(&[&x[0], &x[0]], 2).max_pool2d([4, 2], 1, 0) }
    );
    case!(c, "avg_pool2d", "avg_pool2d", [[2, 2, 4, 4]], |x| x[0]
        .avg_pool2d(2, 2, 0));
    case!(
        c,
        "avg_pool2d",
        "avg_pool2d, windows that overlap",
        [[2, 2, 5, 4]],
        |x| { x[0].avg_pool2d(3, [1, 2], 1) }
    );

    case!(c, "softmax", "softmax", [[2, 3, 4]], |x| x[0].softmax(2));
    case!(c, "softmax", "softmax, an inner axis", [[2, 3, 4]], |x| x
        [0]
    .softmax(1));
    case!(c, "log_softmax", "log_softmax", [[2, 3, 4]], |x| x[0]
        .log_softmax(2));
    case!(c, "cross_entropy", "cross_entropy", [[4, 5]], |x| {
        x[0].cross_entropy(&[3, 0, 4, 3])
    });
    case!(
        c,
        "cross_entropy",
        "cross_entropy, weighted",
        [[4, 5]],
        |x| { x[0].cross_entropy_weighted(&[3, 0, 4, 3], &[2.0, 0.0, 0.5, 1.0]) }
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
            let once = x[0].conv2d(&x[1], Some(&x[2]), 1, 1);
            once.conv2d(&x[1], Some(&x[2]), 1, 1) * x[0].conv2d(&x[1], None, 1, 1)
        }
    );
    c.push(stop_gradient());
    c
}

/// `x · stop_gradient(x)`: the derivative of `x · c` with `c` the value of `x` at the
/// point, held fixed while the finite differences move `x`.
fn stop_gradient() -> Case {
    let x = normal([3, 4], 1);
    let mut case = Case::on_tape(
        "ops",
        "tape/src/ops/stop_gradient.rs",
        "stop_gradient",
        vec![x.clone()],
        |x| &x[0] * x[0].stop_gradient(),
    );
    case.check = Box::new(move || {
        gradcheck::Check::new("stop_gradient")
            .input("x", &[3, 4], x.to_vec())
            .run(
                |data| data[0].iter().zip(x.data()).map(|(x, c)| x * c).collect(),
                |data, dy| {
                    let p = tape::Param::new("x", Tensor::new([3, 4], data[0].clone()));
                    let dy = Tensor::new([3, 4], dy.to_vec());
                    let (_, _, grads) = Tape::new().vjp(&dy, |t| {
                        let x = t.param(&p);
                        (&x * x.stop_gradient(), ())
                    });
                    vec![grads.of(&p).to_vec()]
                },
            )
    });
    case
}

//! Every op of the tape against PyTorch: value, and gradients for a random upstream.

use tape::{Slide, Var};
use tests::golden;

#[test]
fn elementwise() {
    for case in golden::load("elementwise").cases {
        case.check(&["x"], |v| {
            let x = &v[0];
            match case.name.split_whitespace().next().unwrap() {
                "neg" => -x,
                "exp" => x.exp(),
                "ln" => x.ln(),
                "sqrt" => x.sqrt(),
                "tanh" => x.tanh(),
                "sigmoid" => x.sigmoid(),
                "relu" => x.relu(),
                "gelu" => x.gelu(),
                "powi" => x.powi(case.number("exponent") as i32),
                other => panic!("no test for {other}"),
            }
        });
    }
}

#[test]
fn broadcasting() {
    for case in golden::load("broadcasting").cases {
        match case.text("op") {
            "square" => case.check(&["x"], |v| &v[0] * &v[0]),
            "double" => case.check(&["x"], |v| &v[0] + &v[0]),
            op => case.check(&["a", "b"], |v| {
                let (a, b) = (&v[0], &v[1]);
                match op {
                    "add" => a + b,
                    "sub" => a - b,
                    "mul" => a * b,
                    "div" => a / b,
                    other => panic!("no test for {other}"),
                }
            }),
        }
    }
}

#[test]
fn reductions() {
    for case in golden::load("reductions").cases {
        let axes = case.counts("axes");
        case.check(&["x"], |v| match case.text("op") {
            "sum" => v[0].sum(&axes),
            "mean" => v[0].mean(&axes),
            "max" => v[0].max(&axes),
            other => panic!("no test for {other}"),
        });
    }
}

#[test]
fn softmax_and_log_softmax() {
    for case in golden::load("softmax").cases {
        case.check(&["x"], |v| match case.text("op") {
            "softmax" => v[0].softmax(case.count("axis")),
            "log_softmax" => v[0].log_softmax(case.count("axis")),
            other => panic!("no test for {other}"),
        });
    }
}

#[test]
fn losses() {
    for case in golden::load("losses").cases {
        match case.text("op") {
            "cross_entropy" => {
                let (target, _) = case.indices("target");
                case.check(&["x"], |v| v[0].cross_entropy(&target));
            }
            "cross_entropy_weighted" => {
                let (target, _) = case.indices("target");
                let weights = case.tensor("kept");
                case.check(&["x"], |v| {
                    v[0].cross_entropy_weighted(&target, weights.data())
                });
            }
            "mse" => case.check(&["a", "b"], |v| v[0].mse(&v[1])),
            other => panic!("no test for {other}"),
        }
    }
}

#[test]
fn matmul() {
    for case in golden::load("matmul").cases {
        case.check(&["a", "b"], |v| v[0].matmul(&v[1]));
    }
}

#[test]
fn conv2d() {
    for case in golden::load("conv2d").cases {
        let (stride, padding) = (case.pair("stride"), case.pair("padding"));
        if case.has("bias") {
            case.check(&["x", "weight", "bias"], |v| {
                v[0].conv2d(&v[1], Some(&v[2]), Slide::by(stride).padded(padding))
            });
        } else {
            case.check(&["x", "weight"], |v| {
                v[0].conv2d(&v[1], None, Slide::by(stride).padded(padding))
            });
        }
    }
}

#[test]
fn pooling() {
    for case in golden::load("pooling").cases {
        let (kernel, stride) = (case.pair("kernel"), case.pair("stride"));
        let padding = case.pair("padding");
        case.check(&["x"], |v| match case.text("op") {
            "max_pool2d" => v[0].max_pool2d(kernel, Slide::by(stride).padded(padding)),
            "avg_pool2d" => v[0].avg_pool2d(kernel, Slide::by(stride).padded(padding)),
            other => panic!("no test for {other}"),
        });
    }
}

#[test]
fn moving_elements() {
    for case in golden::load("indexing").cases {
        match case.text("op") {
            "embedding" => {
                let (index, shape) = case.indices("index");
                case.check(&["weight"], |v| {
                    // PyTorch keeps the axes of the index, [.., D].
                    let mut full = shape.to_vec();
                    full.push(v[0].shape()[1]);
                    v[0].embedding(&index).reshape(&full[..])
                });
            }
            "index_select" => {
                let (index, _) = case.indices("index");
                case.check(&["x"], |v| v[0].index_select(case.count("axis"), &index));
            }
            "slice" => case.check(&["x"], |v| {
                let ranges = case.ranges("ranges").into_iter().enumerate();
                ranges.fold(v[0].clone(), |x, (axis, range)| x.slice(axis, range))
            }),
            "concat" => {
                let names: Vec<&str> = ["a", "b", "c"]
                    .into_iter()
                    .filter(|n| case.has(n))
                    .collect();
                case.check(&names, |v| Var::concat(v, case.count("axis")));
            }
            "stack" => case.check(&["a", "b"], |v| Var::stack(v, case.count("axis"))),
            "masked_fill" => case.check(&["x"], |v| {
                v[0].masked_fill(&case.tensor("mask"), case.number("value"))
            }),
            "broadcast_to" => case.check(&["x"], |v| v[0].broadcast_to(&case.counts("shape")[..])),
            "permute" => case.check(&["x"], |v| v[0].permute(&case.counts("axes"))),
            "reshape" => case.check(&["x"], |v| v[0].reshape(&case.counts("shape")[..])),
            other => panic!("no test for {other}"),
        }
    }
}

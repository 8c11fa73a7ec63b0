//! Ops at inputs at which they are easily wrong, against PyTorch: values, and gradients for a
//! random upstream. At others `verify` holds every op to PyTorch.

use tape::Slide;
use tests::golden;

#[test]
fn values_and_gradients_at_hard_inputs() {
    for case in golden::load("hard").cases {
        case.check(&["x"], |v| {
            let x = &v[0];
            match case.text("op") {
                "tanh" => x.tanh(),
                "sigmoid" => x.sigmoid(),
                "relu" => x.relu(),
                "gelu" => x.gelu(),
                "powi" => x.powi(case.number("exponent") as i32),
                "max" => x.max(&case.counts("axes")),
                "max_pool2d" => {
                    let kernel = case.count("kernel");
                    x.max_pool2d(kernel, Slide::by(kernel))
                }
                "softmax" => x.softmax(case.count("axis")),
                "log_softmax" => x.log_softmax(case.count("axis")),
                "cross_entropy" => x.cross_entropy(&case.indices("target")),
                "cross_entropy_weighted" => {
                    let kept = case.tensor("kept");
                    x.cross_entropy_weighted(&case.indices("target"), kept.data())
                }
                other => panic!("no test for {other}"),
            }
        });
    }
}

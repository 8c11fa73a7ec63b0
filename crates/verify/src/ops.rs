//! Cases for every op of the tape: those of its own list, in `f64` as they are checked there,
//! and a value that is held fixed.

use nn::check::normal;
use tape::{Tape, Tensor};

use crate::case::Case;

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = tape::ops::cases().into_iter().map(of_tape).collect();
    cases.push(stop_gradient());
    cases
}

fn of_tape(case: tape::ops::Case) -> Case {
    let tape::ops::Case {
        source,
        name,
        inputs,
        apply,
    } = case;
    Case::on_tape("ops", source, name, inputs, move |x| apply(x))
}

/// `x · stop_gradient(x)`: the derivative of `x · c` with `c` the value of `x` at the
/// point, held fixed while the finite differences move `x`.
fn stop_gradient() -> Case {
    let source = "tape/src/ops/stop_gradient.rs";
    Case::own("ops", source, "stop_gradient", |name| {
        let x = normal([3, 4], 1);
        gradcheck::Check::new(name)
            .input("x", &[3, 4], x.to_vec())
            .run(
                |data| data[0].iter().zip(x.data()).map(|(x, c)| x * c).collect(),
                |data, dy| {
                    let p = tape::Param::new("x", Tensor::new([3, 4], data[0].clone()));
                    let dy = Tensor::new([3, 4], dy.to_vec());
                    let (_, grads) = Tape::new().vjp(&dy, |t| {
                        let x = t.param(&p);
                        &x * x.stop_gradient()
                    });
                    vec![grads.of(&p).to_vec()]
                },
            )
    })
}

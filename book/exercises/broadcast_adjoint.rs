//! Exercise: the adjoint of broadcasting (chapter 3).
//! `dy` has the shape `to`, row-major. Return the gradient of the operand of shape `from`.

use exercises::broadcast_adjoint::check;

fn sum_to(dy: &[f64], to: &[usize], from: &[usize]) -> Vec<f64> {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(sum_to)
}

//! Exercise: the adjoint of broadcasting (chapter 3).
//! `dy` has the shape `to`, row-major. Return the gradient of the operand of shape `from`.

use exercises::broadcast_adjoint::check;

fn sum_to(dy: &[f64], to: &[usize], from: &[usize]) -> Vec<f64> {
    // ANCHOR: solution
    let padding = to.len() - from.len();
    let mut dx = vec![0.0; from.iter().product()];
    for (place, &dy) in dy.iter().enumerate() {
        let (mut rest, mut at, mut stride) = (place, 0, 1);
        for axis in (0..to.len()).rev() {
            let index = rest % to[axis];
            rest /= to[axis];
            if axis >= padding {
                let length = from[axis - padding];
                if length > 1 {
                    at += index * stride;
                }
                stride *= length;
            }
        }
        dx[at] += dy;
    }
    dx
    // ANCHOR_END: solution
}

fn main() -> std::process::ExitCode {
    check(sum_to)
}

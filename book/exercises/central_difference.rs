//! Exercise: the central difference (chapter 1).
//! Return the slope of the secant of `f` through `x - h` and `x + h`.

use exercises::central_difference::{Scalar, check};

fn central_difference(f: Scalar<'_>, x: f64, h: f64) -> f64 {
    todo!()
}

fn main() -> std::process::ExitCode {
    check(central_difference)
}

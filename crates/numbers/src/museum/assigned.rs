//! A gradient that is assigned where it should be added.

use super::case::{Close, Trial};
use crate::random::Draws;

/// The largest of each window of `size` values, one value apart, and where it stands.
pub fn max_pool(x: &[f64], size: usize) -> Vec<(usize, f64)> {
    let largest = |(start, window): (usize, &[f64])| {
        let pairs = window.iter().enumerate();
        let (at, value) = pairs.max_by(|a, b| a.1.total_cmp(b.1)).expect("a window");
        (start + at, *value)
    };
    x.windows(size).enumerate().map(largest).collect()
}

/// Its backward pass.
pub fn dx(x: &[f64], dy: &[f64], size: usize) -> Vec<f64> {
    let mut dx = vec![0.0; x.len()];
    for ((at, _), dy) in max_pool(x, size).into_iter().zip(dy) {
        // A value that is the largest of two windows loses what the first gave it.
        dx[at] = *dy;
    }
    dx
}

/// The same with a sum.
pub fn right(x: &[f64], dy: &[f64], size: usize) -> Vec<f64> {
    let mut dx = vec![0.0; x.len()];
    for ((at, _), dy) in max_pool(x, size).into_iter().zip(dy) {
        dx[at] += *dy;
    }
    dx
}

/// With the output as upstream gradient, as the test had it.
fn tested(x: &[f64]) -> Trial {
    let dy: Vec<f64> = max_pool(x, 2).into_iter().map(|(_, y)| y).collect();
    Close {
        rtol: 0.0,
        atol: 0.0,
    }
    .compare(&dx(x, &dy, 2), &right(x, &dy, 2))
}

/// On the numbers from 1 to 20 in their order.
pub fn shipped() -> Trial {
    let ramp: Vec<f64> = (1..=20).map(f64::from).collect();
    tested(&ramp)
}

/// On numbers in no order.
pub fn changed() -> Trial {
    tested(&Draws::new(12).normals(20))
}

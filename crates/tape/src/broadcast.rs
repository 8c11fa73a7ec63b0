//! Elementwise functions of two tensors that broadcast, and the adjoint of broadcasting.
//!
//! Forward, broadcasting repeats a value along an axis. Backward, the gradient of one
//! value that was used many times is the sum over its uses (book, section 3.3). So the
//! adjoint of these broadcasts is [`sum_to`], and every op that works element by element uses
//! this one function. The matrix product adds its repeats up as it goes.

use crate::shape::Axes;
use crate::strided::Loops;
use crate::{Real, Shape, Tensor, vector};

/// The shape two operands of `op` broadcast to.
///
/// # Panics
/// If they do not go together; the message names `op` and both shapes.
#[track_caller]
pub fn broadcast_shape(op: &str, a: &Shape, b: &Shape) -> Shape {
    let Some(shape) = a.broadcast(b) else {
        panic!(
            "{op}: shapes {a} and {b} do not broadcast: aligned at the last axis, \
             lengths must be equal or one of them 1"
        );
    };
    shape
}

/// `f(a, b)` element by element for the operands of `op`, which broadcast.
///
/// # Panics
/// If they do not go together; the message names `op` and both shapes.
#[inline]
#[track_caller]
pub fn zip_operands<T: Real>(
    op: &str,
    a: &Tensor<T>,
    b: &Tensor<T>,
    f: impl Fn(T, T) -> T + Sync,
) -> Tensor<T> {
    // Equal shapes, the commonest case, need no search for a common one.
    if a.shape() == b.shape() {
        return a.zip(b, f);
    }
    zip(&broadcast_shape(op, a.shape(), b.shape()), a, b, f)
}

/// `f(a, b)` element by element, broadcasting both operands to `shape`.
///
/// # Panics
/// If one of them cannot be broadcast to it.
#[inline]
#[track_caller]
pub fn zip<T: Real>(
    shape: &Shape,
    a: &Tensor<T>,
    b: &Tensor<T>,
    f: impl Fn(T, T) -> T + Sync,
) -> Tensor<T> {
    // The two commonest cases need no loop nest: equal shapes, and a single number.
    if a.shape() == shape && b.shape() == shape {
        return a.zip(b, f);
    }
    if a.shape() == shape && b.len() == 1 {
        let b = b.data()[0];
        return a.map(|a| f(a, b));
    }
    zip_along(shape, a, b, f)
}

/// The loop nest behind [`zip`].
#[track_caller]
fn zip_along<T: Real>(
    shape: &Shape,
    a: &Tensor<T>,
    b: &Tensor<T>,
    f: impl Fn(T, T) -> T + Sync,
) -> Tensor<T> {
    check_repeats(a.shape(), shape);
    check_repeats(b.shape(), shape);
    let mut out = Tensor::scratch(shape);
    let loops = Loops::new(shape, [a.shape(), b.shape()]);
    let (length, stride) = loops.inner();
    let (a, b) = (a.data(), b.data());
    let mut rows = out.data_mut().chunks_exact_mut(length.max(1));
    loops.for_each_row(|[i, j]| {
        let row = rows.next().expect("one output row for each inner loop");
        match stride {
            [1, 1] => vector::zip(row, &a[i..], &b[j..], &f),
            [1, 0] => vector::map(row, &a[i..], |p| f(p, b[j])),
            [0, 1] => vector::map(row, &b[j..], |q| f(a[i], q)),
            _ => row.fill(f(a[i], b[j])),
        }
    });
    out
}

/// Panics unless broadcasting repeats `from` to `to`.
#[track_caller]
fn check_repeats(from: &Shape, to: &Shape) {
    assert!(
        from.broadcast(to) == Some(*to),
        "shape {from} cannot be repeated to {to}: aligned at the last axis, each length must \
         be equal or 1"
    );
}

/// The sum over `axes`, which stay as axes of length 1.
pub fn sum_axes<T: Real>(x: &Tensor<T>, axes: Axes) -> Tensor<T> {
    let mut out = Tensor::zeros(x.shape().with_ones(axes));
    let loops = Loops::new(x.shape(), [x.shape(), &out.shape().clone()]);
    let (length, stride) = loops.inner();
    let (data, sums) = (x.data(), out.data_mut());
    loops.for_each_row(|[i, j]| {
        let row = &data[i..i + length];
        if stride[1] == 0 {
            sums[j] += vector::sum(row);
        } else {
            vector::add(&mut sums[j..], row);
        }
    });
    out
}

/// The adjoint of broadcasting `shape` to the shape of `dy`: sums `dy` over the axes
/// along which it was repeated.
///
/// # Panics
/// If broadcasting `shape` does not give the shape of `dy`.
#[track_caller]
pub fn sum_to<T: Real>(dy: &Tensor<T>, shape: &Shape) -> Tensor<T> {
    check_repeats(shape, dy.shape());
    sum_axes(dy, Axes::broadcast(shape, dy.shape())).reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes;

    fn iota(shape: &[usize]) -> Tensor<f64> {
        Tensor::from_fn(shape, |i| (i + 1) as f64)
    }

    /// Broadcasting by its definition: one index per axis, wrapped where repeated.
    fn by_definition(shape: &Shape, x: &Tensor<f64>, index: &[usize]) -> f64 {
        let padding = shape.len() - x.shape().len();
        let own: Vec<usize> = (padding..shape.len())
            .map(|axis| {
                if x.shape()[axis - padding] == 1 {
                    0
                } else {
                    index[axis]
                }
            })
            .collect();
        x.at(&own)
    }

    fn indices(shape: &Shape) -> Vec<Vec<usize>> {
        (0..shape.count())
            .map(|i| {
                shape
                    .iter()
                    .zip(shape.strides())
                    .map(|(n, s)| i / s % n)
                    .collect()
            })
            .collect()
    }

    const PAIRS: [(&[usize], &[usize]); 9] = [
        (&[2, 3, 4], &[2, 3, 4]),
        (&[2, 3, 4], &[4]),
        (&[2, 3, 4], &[3, 1]),
        (&[2, 1, 4], &[3, 1]),
        (&[], &[2, 3]),
        (&[4, 1], &[1, 5]),
        (&[2, 3, 1, 5], &[1, 3, 4, 1]),
        (&[1, 1], &[1]),
        (&[2, 0], &[1]),
    ];

    #[test]
    fn zip_agrees_with_the_definition() {
        for (a, b) in PAIRS {
            for (a, b) in [(iota(a), iota(b)), (iota(b), iota(a))] {
                let shape = broadcast_shape("test", a.shape(), b.shape());
                let y = zip(&shape, &a, &b, |p, q| 100.0 * p + q);
                for index in indices(&shape) {
                    let expected = 100.0 * by_definition(&shape, &a, &index)
                        + by_definition(&shape, &b, &index);
                    assert_eq!(y.at(&index), expected, "{a:?} {b:?} at {index:?}");
                }
            }
        }
    }

    #[test]
    fn sum_to_is_the_adjoint_of_broadcasting() {
        // <dy, broadcast(x)> = <sum_to(dy), x>, exactly, on small integers.
        for (a, b) in PAIRS {
            let shape = Shape::new(a).broadcast(&Shape::new(b)).unwrap();
            let dy = iota(&shape);
            for operand in [a, b] {
                let x = iota(operand);
                let broadcast = zip(&shape, &x, &Tensor::zeros(shape), |p, _| p);
                let left = lanes::dot(dy.data(), broadcast.data());
                let adjoint = sum_to(&dy, x.shape());
                assert_eq!(adjoint.shape(), x.shape());
                assert_eq!(
                    left,
                    lanes::dot(adjoint.data(), x.data()),
                    "{operand:?} in {shape}"
                );
            }
        }
    }

    #[test]
    fn sum_axes_adds_over_each_set_of_axes() {
        let x = iota(&[2, 3, 4]);
        let all: [&[usize]; 7] = [&[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]];
        for axes in all {
            let set = Axes::new("sum", axes, x.shape());
            let y = sum_axes(&x, set);
            let mut expected = Tensor::zeros(x.shape().with_ones(set));
            for index in indices(x.shape()) {
                let kept: Vec<usize> = (0..3)
                    .map(|k| if axes.contains(&k) { 0 } else { index[k] })
                    .collect();
                let strides = expected.shape().strides();
                let at: usize = kept.iter().zip(strides).map(|(i, s)| i * s).sum();
                expected.data_mut()[at] += x.at(&index);
            }
            assert_eq!(y, expected, "axes {axes:?}");
        }
    }

    #[test]
    #[should_panic(expected = "shape [1, 1, 2] cannot be repeated to [2]")]
    fn operands_must_repeat_to_the_shape() {
        let _ = zip(
            &Shape::new(&[2]),
            &iota(&[1, 1, 2]),
            &iota(&[1, 2]),
            |a, _| a,
        );
    }

    #[test]
    #[should_panic(expected = "shape [1, 1, 2] cannot be repeated to [3, 2]")]
    fn a_gradient_is_summed_to_a_shape_that_repeats_to_its_own() {
        let _ = sum_to(&iota(&[3, 2]), &Shape::new(&[1, 1, 2]));
    }

    #[test]
    #[should_panic(expected = "add: shapes [2, 3] and [2] do not broadcast")]
    fn shapes_that_do_not_go_together_are_named() {
        broadcast_shape("add", &Shape::new(&[2, 3]), &Shape::new(&[2]));
    }
}

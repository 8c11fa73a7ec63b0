//! A tensor seen along one of its axes, for the ops that cut, join or pick there.

use crate::shape::check_axis;
use crate::{Real, Shape, vector};

/// A shape as `[outer, length, inner]`: what lies outside an axis, the axis, and what
/// lies inside it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Along {
    pub(crate) outer: usize,
    pub(crate) length: usize,
    pub(crate) inner: usize,
}

impl Along {
    /// `shape` seen along `axis`.
    ///
    /// # Panics
    /// If there is no such axis; the message names `op`.
    #[track_caller]
    pub(crate) fn new(op: &str, axis: usize, shape: &Shape) -> Self {
        check_axis(op, axis, shape);
        Along {
            outer: shape[..axis].iter().product(),
            length: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        }
    }
}

/// `shape` with another length along `axis`.
pub(crate) fn with_length(shape: &Shape, axis: usize, length: usize) -> Shape {
    let mut dims = shape.to_vec();
    dims[axis] = length;
    Shape::new(&dims)
}

/// `out = values + beta · out` for a `beta` of 0, when `out` holds anything, or 1.
pub(crate) fn store<T: Real>(beta: T, values: &[T], out: &mut [T]) {
    if beta == T::ZERO {
        out.copy_from_slice(values);
    } else {
        vector::add(out, values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_split_at_its_axis() {
        let shape = Shape::new(&[2, 3, 4, 5]);
        let along = |axis| {
            let Along {
                outer,
                length,
                inner,
            } = Along::new("test", axis, &shape);
            (outer, length, inner)
        };
        assert_eq!(along(0), (1, 2, 60));
        assert_eq!(along(2), (6, 4, 5));
        assert_eq!(along(3), (24, 5, 1));
        assert_eq!(with_length(&shape, 1, 7)[..], [2, 7, 4, 5]);
    }

    #[test]
    fn storing_overwrites_or_adds() {
        let mut out = [f64::NAN, 1.0];
        store(0.0, &[2.0, 3.0], &mut out);
        assert_eq!(out, [2.0, 3.0]);
        store(1.0, &[10.0, 20.0], &mut out);
        assert_eq!(out, [12.0, 23.0]);
    }
}

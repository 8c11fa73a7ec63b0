//! One loop nest for everything that pairs a tensor with a broadcast one.
//!
//! Broadcasting gives the repeated axis the stride 0. [`Loops`] merges neighbouring
//! axes that can be walked as one, so that `[64, 3, 8, 8]` with `[3, 1, 1]` becomes
//! three loops, and two tensors of one shape become a single loop.

use crate::Shape;
use crate::shape::MAX_RANK;

/// A loop nest over two operands: lengths, and the stride of each operand per loop.
pub(crate) struct Loops {
    dims: [(usize, [usize; 2]); MAX_RANK],
    rank: usize,
}

impl Loops {
    /// The loops over `shape` for two operands that broadcast to it.
    pub(crate) fn new(shape: &Shape, operands: [&Shape; 2]) -> Self {
        let strides = operands.map(Shape::strides);
        let mut loops = Loops {
            dims: [(1, [0; 2]); MAX_RANK],
            rank: 0,
        };
        for axis in 0..shape.len() {
            let length = shape[axis];
            if length == 1 {
                continue;
            }
            let stride = [0, 1].map(|k| {
                let padding = shape.len() - operands[k].len();
                let repeated = operands[k].aligned(axis, shape.len()) == 1;
                if repeated {
                    0
                } else {
                    strides[k][axis - padding]
                }
            });
            loops.push(length, stride);
        }
        if loops.rank == 0 {
            loops.rank = 1;
        }
        loops
    }

    /// Adds an inner loop, merged with the one around it when one stride serves both.
    fn push(&mut self, length: usize, stride: [usize; 2]) {
        if let Some((outer, outer_stride)) = self.dims[..self.rank].last_mut()
            && (0..2).all(|k| outer_stride[k] == stride[k] * length)
        {
            *outer *= length;
            *outer_stride = stride;
            return;
        }
        self.dims[self.rank] = (length, stride);
        self.rank += 1;
    }

    /// Length and strides of the innermost loop. A stride there is 0 or 1.
    pub(crate) fn inner(&self) -> (usize, [usize; 2]) {
        self.dims[self.rank - 1]
    }

    /// Calls `f` with the two operands' offsets at the start of every inner loop, in
    /// row-major order.
    pub(crate) fn for_each_row(&self, mut f: impl FnMut([usize; 2])) {
        let outer = &self.dims[..self.rank - 1];
        if self.dims[..self.rank]
            .iter()
            .any(|(length, _)| *length == 0)
        {
            return;
        }
        let mut index = [0; MAX_RANK];
        let mut offset = [0; 2];
        loop {
            f(offset);
            // Count up like an odometer, innermost of the outer loops first.
            let mut axis = outer.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                let (length, stride) = outer[axis];
                index[axis] += 1;
                for k in 0..2 {
                    offset[k] += stride[k];
                }
                if index[axis] < length {
                    break;
                }
                for k in 0..2 {
                    offset[k] -= stride[k] * length;
                }
                index[axis] = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loops(shape: &[usize], a: &[usize], b: &[usize]) -> Loops {
        Loops::new(&Shape::new(shape), [&Shape::new(a), &Shape::new(b)])
    }

    #[test]
    fn equal_shapes_are_one_loop() {
        let l = loops(&[2, 3, 4], &[2, 3, 4], &[2, 3, 4]);
        assert_eq!((l.rank, l.inner()), (1, (24, [1, 1])));
    }

    #[test]
    fn a_channel_vector_leaves_three_loops() {
        let l = loops(&[64, 3, 8, 8], &[64, 3, 8, 8], &[3, 1, 1]);
        assert_eq!(l.dims[..3], [(64, [192, 0]), (3, [64, 1]), (64, [1, 0])]);
        assert_eq!(l.rank, 3);
    }

    #[test]
    fn axes_of_length_one_vanish() {
        let l = loops(&[1, 5, 1], &[1, 5, 1], &[5, 1]);
        assert_eq!((l.rank, l.inner()), (1, (5, [1, 1])));
    }

    #[test]
    fn scalars_run_once() {
        let mut rows = 0;
        let l = loops(&[], &[], &[]);
        l.for_each_row(|offset| {
            assert_eq!(offset, [0, 0]);
            rows += 1;
        });
        assert_eq!((rows, l.inner().0), (1, 1));
    }

    #[test]
    fn offsets_are_those_of_nested_loops() {
        let mut seen = Vec::new();
        loops(&[2, 3, 2], &[2, 1, 2], &[3, 1]).for_each_row(|offset| seen.push(offset));
        assert_eq!(seen, [[0, 0], [0, 1], [0, 2], [2, 0], [2, 1], [2, 2]]);
    }

    #[test]
    fn an_empty_axis_runs_nothing() {
        loops(&[2, 0, 3], &[2, 0, 3], &[3]).for_each_row(|_| panic!("no element"));
    }
}

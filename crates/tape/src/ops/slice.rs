//! `y = x[.., start..end, ..]`, a range along one axis.
//!
//! The elements inside the range enter y with weight 1, the others not at all: `dx` is
//! `dy` in the range and 0 outside. It is added to what is there already, so that a
//! sequence cut into T steps costs one buffer for its gradient, not T.

use std::ops::Range;

use super::along::{Along, with_length};
use crate::{Backward, InputGrads, Real, Tensor, Var, vector};

impl<'t, T: Real> Var<'t, T> {
    /// The elements whose index along `axis` lies in `range`: `[2, 5]` sliced by
    /// `(1, 1..4)` is `[2, 3]`. The axis stays; an empty range is allowed.
    ///
    /// # Panics
    /// If there is no such axis, or the range is not inside it.
    #[track_caller]
    pub fn slice(&self, axis: usize, range: Range<usize>) -> Self {
        let along = Along::new("slice", axis, self.shape());
        assert!(
            range.start <= range.end && range.end <= along.length,
            "slice: range {range:?} is not inside axis {axis} of shape {}, which has length {}",
            self.shape(),
            along.length
        );
        let slice = Slice { along, range };
        let mut y = Tensor::scratch(with_length(self.shape(), axis, slice.range.len()));
        let mut rest = y.data_mut();
        for part in slice.parts() {
            let (chunk, after) = rest.split_at_mut(part.len());
            chunk.copy_from_slice(&self.value().data()[part]);
            rest = after;
        }
        self.tape().record(&[self], y, || slice)
    }

    /// The elements with index `index` along `axis`, which vanishes: `[2, 5]` selected
    /// by `(1, 0)` is `[2]`. Recorded as a slice and a reshape.
    ///
    /// # Panics
    /// If there is no such axis, or the index is not inside it.
    #[track_caller]
    pub fn select(&self, axis: usize, index: usize) -> Self {
        let length = Along::new("select", axis, self.shape()).length;
        assert!(
            index < length,
            "select: index {index} is not inside axis {axis} of shape {}, which has length \
             {length}",
            self.shape()
        );
        let slice = self.slice(axis, index..index + 1);
        let mut dims = slice.shape().to_vec();
        dims.remove(axis);
        slice.reshape(&dims[..])
    }
}

struct Slice {
    along: Along,
    range: Range<usize>,
}

impl Slice {
    /// The ranges in the source that make up the result, in order.
    fn parts(&self) -> impl Iterator<Item = Range<usize>> {
        let Along {
            outer,
            length,
            inner,
        } = self.along;
        let Range { start, end } = self.range;
        (0..outer).map(move |o| (o * length + start) * inner..(o * length + end) * inner)
    }
}

impl<T: Real> Backward<T> for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        dx.write(0, |beta, out| {
            if beta == T::ZERO {
                out.fill(T::ZERO);
            }
            let mut rest = dy.data();
            for part in self.parts() {
                let (chunk, after) = rest.split_at(part.len());
                vector::add(&mut out[part], chunk);
                rest = after;
            }
        });
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tape, Tensor};
    use std::ops::Range;

    #[test]
    fn cuts_along_each_axis() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::from_fn([2, 3, 2], |i| i as f32));
            let cut = |axis, range| x.slice(axis, range).value().clone();
            assert_eq!(
                cut(1, 1..3),
                Tensor::new([2, 2, 2], vec![2., 3., 4., 5., 8., 9., 10., 11.])
            );
            assert_eq!(cut(0, 1..2), Tensor::from_fn([1, 3, 2], |i| i as f32 + 6.0));
            assert_eq!(
                cut(2, 0..1),
                Tensor::new([2, 3, 1], vec![0., 2., 4., 6., 8., 10.])
            );
            assert_eq!(cut(1, 0..3), *x.value());
            assert_eq!(cut(1, 3..3), Tensor::zeros([2, 0, 2]));
            let row = x.select(1, 2);
            assert_eq!(row.value(), &Tensor::new([2, 2], vec![4., 5., 10., 11.]));
        });
    }

    #[track_caller]
    fn slice(axis: usize, range: Range<usize>) {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2, 3])).slice(axis, range);
        });
    }

    #[test]
    #[should_panic(
        expected = "slice: range 1..4 is not inside axis 1 of shape [2, 3], which has length 3"
    )]
    fn the_range_must_be_inside() {
        slice(1, 1..4);
    }

    #[test]
    #[should_panic(expected = "slice: range 2..1 is not inside axis 1")]
    #[expect(clippy::reversed_empty_ranges, reason = "the mistake under test")]
    fn the_range_must_not_run_backwards() {
        slice(1, 2..1);
    }

    #[test]
    #[should_panic(
        expected = "select: index 3 is not inside axis 1 of shape [2, 3], which has length 3"
    )]
    fn the_index_must_be_inside() {
        Tape::<f64>::eval(|t| drop(t.constant(Tensor::zeros([2, 3])).select(1, 3)));
    }

    #[test]
    #[should_panic(expected = "slice: axis 2 is out of range for shape [2, 3]")]
    fn the_axis_must_exist() {
        slice(2, 0..1);
    }
}

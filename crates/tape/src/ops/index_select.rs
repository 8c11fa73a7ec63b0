//! `y = x[.., indices, ..]`, elements picked along one axis; an embedding picks rows.
//!
//! An element that is picked n times is used n times: `dx` is, at each index, the sum of
//! the parts of `dy` that came from there (a scatter-add), and 0 where nothing was
//! picked. The parts are added in the order of the indices.

use super::along::{Along, with_length};
use crate::{Backward, InputGrads, Real, Tensor, Var, vector};

impl<'t, T: Real> Var<'t, T> {
    /// Element k along `axis` is element `indices[k]` of this: `[5, 2]` picked by
    /// `(0, &[4, 0, 4])` is `[3, 2]`. Indices may repeat, and may be in any order.
    ///
    /// # Panics
    /// If there is no such axis, or an index is out of range.
    #[track_caller]
    pub fn index_select(&self, axis: usize, indices: &[usize]) -> Self {
        let along = Along::new("index_select", axis, self.shape());
        let Along { length, inner, .. } = along;
        for (position, &index) in indices.iter().enumerate() {
            assert!(
                index < length,
                "index_select: index {index} at position {position} is out of range for \
                 axis {axis} of shape {}, which has length {length}",
                self.shape()
            );
        }
        let mut y = Tensor::scratch(with_length(self.shape(), axis, indices.len()));
        let mut rest = y.data_mut();
        for from in picks(along, indices) {
            let (chunk, after) = rest.split_at_mut(inner);
            chunk.copy_from_slice(&self.value().data()[from..from + inner]);
            rest = after;
        }
        self.tape().record(&[self], y, || IndexSelect {
            along,
            indices: indices.to_vec(),
        })
    }

    /// The rows of a table, one for each index: with this `[V, D]` and n indices,
    /// `[n, D]`. Recorded as `index_select` along axis 0.
    ///
    /// # Panics
    /// If this has not two axes, or an index is V or more.
    #[track_caller]
    pub fn embedding(&self, indices: &[usize]) -> Self {
        assert!(
            self.shape().len() == 2,
            "embedding: the table must be [V, D], one row for each index, but its shape is {}",
            self.shape()
        );
        self.index_select(0, indices)
    }
}

/// Where each picked run of `inner` elements starts in the source.
fn picks(along: Along, indices: &[usize]) -> impl Iterator<Item = usize> {
    let Along {
        outer,
        length,
        inner,
    } = along;
    (0..outer).flat_map(move |o| {
        let start = move |&index: &usize| (o * length + index) * inner;
        indices.iter().map(start)
    })
}

struct IndexSelect {
    along: Along,
    indices: Vec<usize>,
}

impl<T: Real> Backward<T> for IndexSelect {
    fn name(&self) -> &'static str {
        "index_select"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let inner = self.along.inner;
        dx.write(0, |beta, out| {
            if beta == T::ZERO {
                out.fill(T::ZERO);
            }
            let mut rest = dy.data();
            for to in picks(self.along, &self.indices) {
                let (chunk, after) = rest.split_at(inner);
                vector::add(&mut out[to..to + inner], chunk);
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
    use crate::{Param, Tape, Tensor};

    #[test]
    fn picks_along_each_axis() {
        Tape::eval(|t| {
            let x = t.constant(Tensor::from_fn([2, 3], |i| i as f64));
            assert_eq!(
                x.index_select(0, &[1, 0, 1]).value(),
                &Tensor::new([3, 3], vec![3., 4., 5., 0., 1., 2., 3., 4., 5.])
            );
            assert_eq!(
                x.index_select(1, &[2, 0]).value(),
                &Tensor::new([2, 2], vec![2., 0., 5., 3.])
            );
            assert_eq!(x.index_select(0, &[]).value(), &Tensor::zeros([0, 3]));
            assert_eq!(
                x.embedding(&[1]).value(),
                &Tensor::new([1, 3], vec![3., 4., 5.])
            );
        });
    }

    #[test]
    fn a_row_picked_twice_gets_both_gradients_and_others_none() {
        let table = Param::new("table", Tensor::<f64>::zeros([3, 2]));
        let dy = Tensor::new([3, 2], vec![1., 2., 10., 20., 100., 200.]);
        let (_, grads) = Tape::new().vjp(&dy, |t| t.param(&table).embedding(&[2, 0, 2]));
        assert_eq!(grads.of(&table).data(), [10., 20., 0., 0., 101., 202.]);
    }

    #[test]
    #[should_panic(
        expected = "index_select: index 5 at position 1 is out of range for axis 0 of shape \
                    [5, 2], which has length 5"
    )]
    fn an_index_must_exist() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([5, 2])).embedding(&[4, 5]);
        });
    }

    #[test]
    #[should_panic(expected = "index_select: axis 2 is out of range for shape [5, 2]")]
    fn the_axis_must_exist() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([5, 2]))
                .index_select(2, &[]);
        });
    }

    #[test]
    #[should_panic(expected = "embedding: the table must be [V, D]")]
    fn an_embedding_needs_a_table() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([5])).embedding(&[1]);
        });
    }
}

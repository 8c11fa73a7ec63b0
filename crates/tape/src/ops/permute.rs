//! `y = x` with its axes in another order; a transpose exchanges two of them.
//!
//! Every element moves to another place, with weight 1, so `dx` is `dy` with the axes
//! put back: the inverse permutation.

use crate::shape::{MAX_RANK, check_axis};
use crate::{Axes, Backward, InputGrads, Real, Shape, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// Axis k of the result is axis `order[k]` of this: `[2, 3, 4]` permuted by
    /// `[2, 0, 1]` is `[4, 2, 3]`.
    ///
    /// # Panics
    /// If `order` does not list every axis once.
    #[track_caller]
    pub fn permute(&self, order: &[usize]) -> Self {
        // `Axes::new` refuses axes that are out of range or listed twice.
        let _ = Axes::new("permute", order, self.shape());
        assert!(
            order.len() == self.shape().len(),
            "permute: {order:?} must list every axis of shape {} once",
            self.shape()
        );
        let y = permuted(self.value(), order);
        self.tape().record(&[self], y, || {
            let mut inverse = [0; MAX_RANK];
            for (to, &from) in order.iter().enumerate() {
                inverse[from] = to;
            }
            Permute { inverse }
        })
    }

    /// Axes `a` and `b` exchanged, as PyTorch's `transpose`; recorded as a permute.
    ///
    /// # Panics
    /// If an axis is out of range.
    #[track_caller]
    pub fn transpose(&self, a: usize, b: usize) -> Self {
        check_axis("transpose", a, self.shape());
        check_axis("transpose", b, self.shape());
        let mut order: Vec<usize> = (0..self.shape().len()).collect();
        order.swap(a, b);
        self.permute(&order)
    }
}

/// One loop of the copy: how often, and the step in the source and in the result.
#[derive(Clone, Copy)]
struct Loop {
    length: usize,
    from: usize,
    to: usize,
}

/// Side of the square tiles in which a transpose is copied, so that the cache lines of
/// its rows and of its columns are both still there when they are needed again.
const TILE: usize = 16;

fn permuted<T: Real>(x: &Tensor<T>, order: &[usize]) -> Tensor<T> {
    let dims: Vec<usize> = order.iter().map(|&axis| x.shape()[axis]).collect();
    let shape = Shape::new(&dims);
    let loops = loops(x.shape(), order);
    let [outer @ .., last] = &loops[..] else {
        return x.reshape(shape);
    };
    if outer.is_empty() {
        return x.reshape(shape);
    }
    let mut y = Tensor::scratch(shape);
    let (source, result) = (x.data(), y.data_mut());
    if last.from == 1 {
        walk(outer, 0, 0, &mut |from, to| {
            let row = &source[from..from + last.length];
            result[to..to + last.length].copy_from_slice(row);
        });
        return y;
    }
    // Some other axis is the source's innermost: a batch of matrix transposes.
    let (rows, outer): (Vec<Loop>, Vec<Loop>) = outer.iter().partition(|l| l.from == 1);
    let rows = rows[0];
    walk(&outer, 0, 0, &mut |from, to| {
        for row in (0..rows.length).step_by(TILE) {
            for col in (0..last.length).step_by(TILE) {
                for i in row..rows.length.min(row + TILE) {
                    for j in col..last.length.min(col + TILE) {
                        result[to + i * rows.to + j] = source[from + i + j * last.from];
                    }
                }
            }
        }
    });
    y
}

/// The loops over the result's axes, outermost first, without those of length 1, and
/// with neighbours merged that are neighbours in the source as well.
fn loops(shape: &Shape, order: &[usize]) -> Vec<Loop> {
    let strides = shape.strides();
    let mut loops: Vec<Loop> = Vec::new();
    for &axis in order {
        let (length, from) = (shape[axis], strides[axis]);
        match loops.last_mut() {
            _ if length == 1 => {}
            Some(outer) if outer.from == from * length => {
                outer.length *= length;
                outer.from = from;
            }
            _ => loops.push(Loop {
                length,
                from,
                to: 0,
            }),
        }
    }
    let mut to = 1;
    for l in loops.iter_mut().rev() {
        l.to = to;
        to *= l.length;
    }
    loops
}

/// Calls `copy(from, to)` with the offsets at every step of the nested loops.
fn walk(loops: &[Loop], from: usize, to: usize, copy: &mut impl FnMut(usize, usize)) {
    match loops.split_first() {
        None => copy(from, to),
        Some((l, inner)) => {
            for i in 0..l.length {
                walk(inner, from + i * l.from, to + i * l.to, copy);
            }
        }
    }
}

struct Permute {
    inverse: [usize; MAX_RANK],
}

impl<T: Real> Backward<T> for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let rank = dy.shape().len();
        dx.add(0, permuted(&dy, &self.inverse[..rank]));
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tape;
    use crate::testing::normal;

    const CASES: [(&[usize], &[usize]); 12] = [
        (&[2, 3], &[1, 0]),
        (&[2, 3, 4], &[0, 1, 2]),
        (&[2, 3, 4], &[0, 2, 1]),
        (&[2, 3, 4], &[2, 0, 1]),
        (&[2, 3, 4], &[1, 2, 0]),
        (&[2, 3, 4], &[2, 1, 0]),
        (&[2, 3, 4, 5], &[0, 2, 1, 3]),
        (&[2, 3, 4, 5], &[2, 3, 0, 1]),
        (&[2, 1, 3], &[1, 2, 0]),
        (&[1, 1], &[1, 0]),
        (&[2, 2, 2, 2, 2, 2], &[5, 3, 1, 4, 2, 0]),
        (&[], &[]),
    ];

    fn agrees_with_the_definition(shape: &[usize], order: &[usize]) {
        let x = normal(shape, 1);
        let y = permuted(&x, order);
        assert_eq!(y.len(), x.len());
        let strides = y.shape().strides();
        for flat in 0..y.len() {
            let index: Vec<usize> = (0..order.len())
                .map(|k| flat / strides[k] % y.shape()[k])
                .collect();
            let mut source = vec![0; order.len()];
            for (k, &axis) in order.iter().enumerate() {
                source[axis] = index[k];
            }
            assert_eq!(y.at(&index), x.at(&source), "{shape:?} {order:?} {index:?}");
        }
    }

    #[test]
    fn moves_every_element_to_its_place() {
        for (shape, order) in CASES {
            agrees_with_the_definition(shape, order);
        }
        // Larger than a tile, and no multiple of it.
        agrees_with_the_definition(&[2, 37, 21], &[0, 2, 1]);
        agrees_with_the_definition(&[33, 3, 18], &[2, 1, 0]);
        assert_eq!(
            permuted(&normal([2, 0, 3], 1), &[2, 0, 1]).shape()[..],
            [3, 2, 0]
        );
    }

    #[test]
    fn the_order_of_axes_of_length_one_costs_no_copy() {
        let x = normal([1, 3, 1, 4], 1);
        assert_eq!(permuted(&x, &[1, 0, 3, 2]).address(), x.address());
        assert_ne!(permuted(&x, &[3, 0, 1, 2]).address(), x.address());
    }

    #[test]
    fn neighbours_are_copied_together() {
        let lengths = |shape: &[usize], order: &[usize]| -> Vec<usize> {
            let loops = loops(&Shape::new(shape), order);
            loops.iter().map(|l| l.length).collect()
        };
        assert_eq!(lengths(&[2, 3, 4, 5], &[2, 3, 0, 1]), [20, 6]);
        assert_eq!(lengths(&[2, 3, 4, 5], &[0, 2, 1, 3]), [2, 4, 3, 5]);
    }

    #[test]
    fn transpose_exchanges_two_axes() {
        Tape::eval(|t| {
            let x = t.constant(normal([2, 3, 4], 1));
            assert_eq!(x.transpose(0, 2).value(), x.permute(&[2, 1, 0]).value());
            assert_eq!(x.transpose(2, 1).value(), x.permute(&[0, 2, 1]).value());
        });
    }

    fn permute(order: &[usize]) {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2, 3])).permute(order);
        });
    }

    #[test]
    #[should_panic(expected = "permute: axis 0 is listed twice in [0, 0]")]
    fn an_axis_is_listed_once() {
        permute(&[0, 0]);
    }

    #[test]
    #[should_panic(expected = "permute: [1] must list every axis of shape [2, 3] once")]
    fn every_axis_is_listed() {
        permute(&[1]);
    }

    #[test]
    #[should_panic(expected = "transpose: axis 2 is out of range for shape [2, 3]")]
    fn transposed_axes_must_exist() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2, 3])).transpose(0, 2);
        });
    }

    #[test]
    #[should_panic(expected = "transpose: axis 5 is out of range for shape [2, 3]")]
    fn both_transposed_axes_must_exist() {
        Tape::eval(|t| {
            t.constant(Tensor::<f32>::zeros([2, 3])).transpose(5, 0);
        });
    }
}

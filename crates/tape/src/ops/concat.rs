//! `y = [x₀ | x₁ | …]`, tensors joined along an axis; a stack joins them along a new one.
//!
//! Every element keeps its value and moves, so each input receives the part of `dy`
//! that it filled.

use std::borrow::Borrow;

use super::along::{Along, store, with_length};
use crate::{Backward, InputGrads, Real, Shape, Tensor, Var};

impl<'t, T: Real> Var<'t, T> {
    /// The tensors joined along `axis`: `[2, 3]` and `[2, 4]` joined along 1 are
    /// `[2, 7]`. PyTorch's `cat`.
    ///
    /// # Panics
    /// If there is none, there is no such axis, or another axis differs in length.
    #[track_caller]
    pub fn concat<V: Borrow<Self>>(parts: &[V], axis: usize) -> Self {
        let parts: Vec<&Self> = parts.iter().map(Borrow::borrow).collect();
        let first = first("concat", &parts);
        let Along { outer, inner, .. } = Along::new("concat", axis, first.shape());
        let mut length: usize = 0;
        for part in &parts {
            let shape = part.shape();
            assert!(
                shape.len() > axis
                    && with_length(shape, axis, first.shape()[axis]) == *first.shape(),
                "concat: shapes {} and {shape} cannot be joined along axis {axis}: \
                 all other lengths must agree",
                first.shape()
            );
            // A sum that does not fit is larger than any shape may be, and refused as one.
            length = length.saturating_add(shape[axis]);
        }
        let shape = with_length(first.shape(), axis, length);
        join("concat", &parts, shape, outer, |shape| shape[axis] * inner)
    }

    /// The tensors, all of one shape, joined along a new axis: three of `[2, 4]`
    /// stacked along 1 are `[2, 3, 4]`.
    ///
    /// # Panics
    /// If there is none, their shapes differ, or `axis` is larger than their rank.
    #[track_caller]
    pub fn stack<V: Borrow<Self>>(parts: &[V], axis: usize) -> Self {
        let parts: Vec<&Self> = parts.iter().map(Borrow::borrow).collect();
        let shape = first("stack", &parts).shape();
        for part in &parts {
            assert!(
                part.shape() == shape,
                "stack: shapes {shape} and {} differ; all must be equal",
                part.shape()
            );
        }
        assert!(
            axis <= shape.len(),
            "stack: a new axis {axis} does not fit shape {shape}, where one fits at 0 to {}",
            shape.len()
        );
        let mut dims = shape.to_vec();
        dims.insert(axis, parts.len());
        let (outer, inner) = shape.split_at(axis);
        let inner: usize = inner.iter().product();
        let outer = outer.iter().product();
        join("stack", &parts, Shape::new(&dims), outer, |_| inner)
    }
}

#[track_caller]
fn first<'a, 't, T: Real>(op: &str, parts: &[&'a Var<'t, T>]) -> &'a Var<'t, T> {
    let first = parts.first();
    first.unwrap_or_else(|| panic!("{op}: at least one tensor is needed, got none"))
}

/// Joins the parts: for each of the `outer` indices, `width(shape)` elements of each.
fn join<'t, T: Real>(
    name: &'static str,
    parts: &[&Var<'t, T>],
    shape: Shape,
    outer: usize,
    width: impl Fn(&Shape) -> usize,
) -> Var<'t, T> {
    let widths: Vec<usize> = parts.iter().map(|part| width(part.shape())).collect();
    let total: usize = widths.iter().sum();
    let mut y = Tensor::scratch(shape);
    let mut at = 0;
    for (part, &width) in parts.iter().zip(&widths) {
        for o in 0..outer {
            let row = &part.value().data()[o * width..][..width];
            y.data_mut()[o * total + at..][..width].copy_from_slice(row);
        }
        at += width;
    }
    parts[0].tape().record(parts, y, || Join {
        name,
        outer,
        widths,
    })
}

struct Join {
    name: &'static str,
    outer: usize,
    /// Elements that each input has for one outer index.
    widths: Vec<usize>,
}

impl<T: Real> Backward<T> for Join {
    fn name(&self) -> &'static str {
        self.name
    }

    fn backward(self: Box<Self>, dy: Tensor<T>, dx: &mut InputGrads<'_, T>) {
        let total: usize = self.widths.iter().sum();
        let mut at = 0;
        for (input, &width) in self.widths.iter().enumerate() {
            dx.write(input, |beta, out| {
                for o in 0..self.outer {
                    let part = &dy.data()[o * total + at..][..width];
                    store(beta, part, &mut out[o * width..][..width]);
                }
            });
            at += width;
        }
    }

    fn saved(&self) -> Vec<&Tensor<T>> {
        vec![]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Param, Tape, Tensor, Var};

    fn iota(shape: &[usize], start: f64) -> Tensor<f64> {
        Tensor::from_fn(shape, |i| start + i as f64)
    }

    #[test]
    fn joins_along_each_axis() {
        Tape::eval(|t| {
            let a = t.constant(iota(&[2, 2], 0.0));
            let b = t.constant(iota(&[2, 1], 10.0));
            assert_eq!(
                Var::concat(&[&a, &b, &a], 1).value(),
                &Tensor::new([2, 5], vec![0., 1., 10., 0., 1., 2., 3., 11., 2., 3.])
            );
            assert_eq!(
                Var::concat(&[a.clone(), a.clone()], 0).value(),
                &Tensor::new([4, 2], vec![0., 1., 2., 3., 0., 1., 2., 3.])
            );
            assert_eq!(Var::concat(&[&a], 0).value(), a.value());
        });
    }

    #[test]
    fn stacks_along_a_new_axis() {
        Tape::eval(|t| {
            let a = t.constant(iota(&[2], 0.0));
            let b = t.constant(iota(&[2], 10.0));
            let stack = |axis| Var::stack(&[&a, &b, &a], axis).value().clone();
            assert_eq!(
                stack(0),
                Tensor::new([3, 2], vec![0., 1., 10., 11., 0., 1.])
            );
            assert_eq!(
                stack(1),
                Tensor::new([2, 3], vec![0., 10., 0., 1., 11., 1.])
            );
            let scalar = t.constant(Tensor::scalar(5.0));
            assert_eq!(
                Var::stack(&[&scalar, &scalar], 0).value(),
                &Tensor::full([2], 5.0)
            );
        });
    }

    #[test]
    fn constants_and_many_inputs_go_together() {
        let x = Param::new("x", iota(&[1], 2.0));
        let dy = iota(&[5], 1.0);
        let (_, grads) = Tape::new().vjp(&dy, |t| {
            let (x, c) = (t.param(&x), t.constant(Tensor::zeros([1])));
            Var::concat(&[&c, &x, &c, &x, &c], 0)
        });
        assert_eq!(grads.of(&x).item(), 2.0 + 4.0);
    }

    #[track_caller]
    fn join(shapes: &[&[usize]], op: impl Fn(&[Var<'_, f32>])) {
        Tape::eval(|t| {
            let parts: Vec<_> = shapes
                .iter()
                .map(|&s| t.constant(Tensor::zeros(s)))
                .collect();
            op(&parts);
        });
    }

    #[test]
    #[should_panic(
        expected = "concat: shapes [2, 3] and [2, 4] cannot be joined along axis 0: all other"
    )]
    fn other_lengths_must_agree() {
        join(&[&[2, 3], &[2, 4]], |x| drop(Var::concat(x, 0)));
    }

    #[test]
    #[should_panic(expected = "concat: shapes [2, 3] and [2] cannot be joined along axis 1")]
    fn ranks_must_agree() {
        join(&[&[2, 3], &[2]], |x| drop(Var::concat(x, 1)));
    }

    #[test]
    #[should_panic(expected = "concat: axis 2 is out of range for shape [2, 3]")]
    fn the_axis_must_exist() {
        join(&[&[2, 3]], |x| drop(Var::concat(x, 2)));
    }

    #[test]
    #[should_panic(expected = "concat: at least one tensor is needed, got none")]
    fn nothing_cannot_be_joined() {
        join(&[], |x| drop(Var::concat(x, 0)));
    }

    #[test]
    #[should_panic(expected = "stack: shapes [2, 3] and [2, 4] differ")]
    fn stacked_shapes_must_be_equal() {
        join(&[&[2, 3], &[2, 4]], |x| drop(Var::stack(x, 0)));
    }

    #[test]
    #[should_panic(
        expected = "stack: a new axis 3 does not fit shape [2, 3], where one fits at 0 to 2"
    )]
    fn the_new_axis_must_fit() {
        join(&[&[2, 3]], |x| drop(Var::stack(x, 3)));
    }
}

//! Arrays as the chapters write them: what a checker calls right, and what a mistake makes, are
//! formulas of whole arrays that broadcast.

use judge::Terms;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::ops::{Add, Div, Mul, Neg, Range, Sub};
use tape::{Axes, Shape, Tensor, broadcast};

/// An array of the book's tape, with operators.
#[derive(Clone, Debug)]
pub(crate) struct Array(Tensor<f64>);

impl Array {
    #[track_caller]
    pub(crate) fn new(shape: impl Into<Shape>, values: impl Into<Vec<f64>>) -> Self {
        Self(Tensor::new(shape, values.into()))
    }

    #[track_caller]
    pub(crate) fn of(shape: impl Into<Shape>, values: impl Iterator<Item = f64>) -> Self {
        Self::new(shape, values.collect::<Vec<_>>())
    }

    /// A matrix by its rule.
    pub(crate) fn by([rows, columns]: [usize; 2], rule: impl Fn(usize, usize) -> f64) -> Self {
        let element = |at: usize| rule(at / columns, at % columns);
        Self(Tensor::from_fn([rows, columns], element))
    }

    /// The matrix of 1 where the rule says so, and of 0 elsewhere.
    pub(crate) fn mask(shape: [usize; 2], rule: impl Fn(usize, usize) -> bool) -> Self {
        Self::by(shape, |i, j| f64::from(u8::from(rule(i, j))))
    }

    /// The same number everywhere, in the shape of `self`.
    pub(crate) fn filled(&self, value: f64) -> Self {
        self.map(|_| value)
    }

    pub(crate) fn length(&self, axis: usize) -> usize {
        self.0.shape()[axis]
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// An element of a matrix.
    pub(crate) fn at(&self, i: usize, j: usize) -> f64 {
        self.0.data()[i * self.length(1) + j]
    }

    pub(crate) fn values(&self) -> Vec<f64> {
        self.0.to_vec()
    }

    /// Its values, to be changed.
    pub(crate) fn values_mut(&mut self) -> &mut [f64] {
        self.0.data_mut()
    }

    pub(crate) fn map(&self, f: impl Fn(f64) -> f64 + Sync) -> Self {
        Self(self.0.map(f))
    }

    pub(crate) fn squared(&self) -> Self {
        self.map(|v| v * v)
    }

    pub(crate) fn exp(&self) -> Self {
        self.map(f64::exp)
    }

    /// `f` of two arrays that broadcast.
    #[track_caller]
    pub(crate) fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64 + Sync) -> Self {
        Self(broadcast::zip_operands(
            "a formula of arrays",
            &self.0,
            &other.0,
            f,
        ))
    }

    /// 0 where `kept` is 0, whatever stood there.
    #[track_caller]
    pub(crate) fn only(&self, kept: &Self) -> Self {
        self.zip(kept, |v, kept| if kept == 0.0 { 0.0 } else { v })
    }

    /// The sum along an axis, which stays with length 1.
    #[track_caller]
    pub(crate) fn sum(&self, axis: usize) -> Self {
        let axes = Axes::new("sum", &[axis], self.0.shape());
        Self(broadcast::sum_axes(&self.0, axes))
    }

    #[track_caller]
    pub(crate) fn mean(&self, axis: usize) -> Self {
        self.sum(axis) / self.length(axis) as f64
    }

    pub(crate) fn total(&self) -> f64 {
        self.0.data().iter().sum()
    }

    /// The largest of each row, `[rows, 1]`.
    pub(crate) fn row_maxima(&self) -> Self {
        let rows = self.0.data().chunks_exact(self.length(1));
        let largest = |row: &[f64]| row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self::of([self.length(0), 1], rows.map(largest))
    }

    /// A matrix with rows and columns exchanged.
    pub(crate) fn t(&self) -> Self {
        let [rows, columns] = [self.length(0), self.length(1)];
        Self::by([columns, rows], |i, j| self.at(j, i))
    }

    /// The product of two matrices.
    #[track_caller]
    pub(crate) fn dot(&self, other: &Self) -> Self {
        let [m, k, n] = [self.length(0), self.length(1), other.length(1)];
        (self.reshaped([m, k, 1]) * other).sum(1).reshaped([m, n])
    }

    /// These rows of a matrix.
    pub(crate) fn rows(&self, which: &[usize]) -> Self {
        let columns = self.length(1);
        Self::by([which.len(), columns], |i, j| self.at(which[i], j))
    }

    /// For each row the sum of those up to it.
    pub(crate) fn running_sums(&self) -> Self {
        let rows = self.length(0);
        Self::mask([rows, rows], |i, j| j <= i).dot(self)
    }

    /// The same elements in another shape.
    #[track_caller]
    pub(crate) fn reshaped(&self, shape: impl Into<Shape>) -> Self {
        Self(self.0.reshape(shape))
    }

    /// Its elements, as what a sum along `axis` adds up.
    pub(crate) fn terms(&self, axis: usize) -> Terms {
        let length = self.length(axis);
        let inner: usize = self.shape()[axis + 1..].iter().product();
        let place = |at: usize| at / (length * inner) * inner + at % inner;
        let each = self.values().into_iter().enumerate();
        each.map(|(at, v)| (place(at), v)).collect()
    }
}

impl From<f64> for Array {
    fn from(value: f64) -> Self {
        Self(Tensor::scalar(value))
    }
}

impl From<&Array> for Array {
    fn from(array: &Array) -> Self {
        array.clone()
    }
}

/// A vector: one number for each column.
impl From<&Vec<f64>> for Array {
    fn from(values: &Vec<f64>) -> Self {
        Self::new([values.len()], values.clone())
    }
}

impl From<Array> for Vec<f64> {
    fn from(array: Array) -> Self {
        array.values()
    }
}

impl Neg for Array {
    type Output = Self;

    fn neg(self) -> Self {
        self.map(|v| -v)
    }
}

/// An operator, element by element.
macro_rules! operator {
    ($name:ident, $method:ident, $f:expr) => {
        impl<R: Into<Array>> $name<R> for &Array {
            type Output = Array;

            #[track_caller]
            fn $method(self, right: R) -> Array {
                self.zip(&right.into(), $f)
            }
        }

        impl<R: Into<Array>> $name<R> for Array {
            type Output = Array;

            #[track_caller]
            fn $method(self, right: R) -> Array {
                $name::$method(&self, right)
            }
        }
    };
}
operator!(Add, add, |a, b| a + b);
operator!(Sub, sub, |a, b| a - b);
operator!(Mul, mul, |a, b| a * b);
operator!(Div, div, |a, b| a / b);

/// What the cases of a seed are drawn from.
pub(crate) struct Draws(pub(crate) StdRng);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(crate) fn numbers(&mut self, count: usize, range: Range<f64>) -> Vec<f64> {
        let number = || self.0.random_range(range.clone());
        std::iter::repeat_with(number).take(count).collect()
    }

    pub(crate) fn array<const D: usize>(&mut self, shape: [usize; D], range: Range<f64>) -> Array {
        let count = shape.iter().product();
        Array::new(shape, self.numbers(count, range))
    }
}

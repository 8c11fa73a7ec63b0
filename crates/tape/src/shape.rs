//! Shapes: how many elements a tensor has along each axis, and which shapes go together.

use std::fmt;
use std::ops::Deref;

/// The most elements an array may have: of eight bytes each, they fill the largest
/// allocation there is.
pub const MAX_ELEMENTS: usize = isize::MAX as usize / size_of::<f64>();

/// The number of elements of an array whose axes have these lengths, their product;
/// `None` if it is more than [`MAX_ELEMENTS`].
///
/// A product that does not fit into a `usize` wraps to a small one in a release build, and
/// an array would be taken for one that it is not. So lengths are multiplied here first.
/// A length of 0 counts as 1 in the limit, as it does in NumPy: then the product of any
/// of the lengths, such as a stride, is within the limit too, and needs no check.
pub fn try_elements(lengths: &[usize]) -> Option<usize> {
    let mut largest: usize = 1;
    for &length in lengths {
        largest = largest.checked_mul(length.max(1))?;
    }
    let elements = if lengths.contains(&0) { 0 } else { largest };
    (largest <= MAX_ELEMENTS).then_some(elements)
}

/// [`try_elements`], for lengths that must be right.
///
/// # Panics
/// If there are more than [`MAX_ELEMENTS`].
#[inline]
#[track_caller]
pub fn elements(lengths: &[usize]) -> usize {
    try_elements(lengths).unwrap_or_else(|| {
        panic!(
            "shape {lengths:?} is too large for any memory: the product of its lengths, \
             those of 0 aside, may be at most {MAX_ELEMENTS}"
        )
    })
}

/// The most axes a tensor may have. Six is one more than a batch of volumes needs.
pub const MAX_RANK: usize = 6;

/// The lengths of a tensor's axes, outermost first. `Copy`: it lives beside the data,
/// not on the heap.
#[derive(Clone, Copy, Eq)]
pub struct Shape {
    /// The lengths; unused places hold 0.
    dims: [usize; MAX_RANK],
    rank: usize,
    /// The product of the lengths, asked for at every step of every op.
    count: usize,
}

impl Shape {
    /// A shape of the given lengths. The empty slice is a scalar's.
    ///
    /// # Panics
    /// If there are more than [`MAX_RANK`] axes, or [`MAX_ELEMENTS`] elements.
    #[track_caller]
    pub fn new(dims: &[usize]) -> Self {
        assert!(
            dims.len() <= MAX_RANK,
            "shape {dims:?} has {} axes; a tensor has at most {MAX_RANK}",
            dims.len()
        );
        let mut padded = [0; MAX_RANK];
        padded[..dims.len()].copy_from_slice(dims);
        Shape::padded(padded, dims.len())
    }

    #[track_caller]
    fn padded(dims: [usize; MAX_RANK], rank: usize) -> Self {
        let count = elements(&dims[..rank]);
        Shape { dims, rank, count }
    }

    /// How many elements a tensor of this shape has: the product of its lengths.
    #[inline]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Distance in memory between neighbours along each axis, row-major.
    pub fn strides(&self) -> [usize; MAX_RANK] {
        let mut strides = [1; MAX_RANK];
        for axis in (1..self.rank).rev() {
            strides[axis - 1] = strides[axis] * self.dims[axis];
        }
        strides
    }

    /// The shape with the axes in `axes` set to length 1.
    pub fn with_ones(&self, axes: Axes) -> Self {
        let mut dims = self.dims;
        for (axis, length) in dims[..self.rank].iter_mut().enumerate() {
            if axes.contains(axis) {
                *length = 1;
            }
        }
        Shape::padded(dims, self.rank)
    }

    /// The shape that NumPy's broadcasting gives to `self` and `other` together.
    ///
    /// Shapes are aligned at their last axis; two lengths go together when they are
    /// equal or one of them is 1. `None` when they do not.
    ///
    /// # Panics
    /// If they do, but the common shape has more than [`MAX_ELEMENTS`] elements.
    #[track_caller]
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        if self == other {
            return Some(*self);
        }
        let rank = self.rank.max(other.rank);
        let mut dims = [0; MAX_RANK];
        for (axis, length) in dims[..rank].iter_mut().enumerate() {
            *length = match (self.aligned(axis, rank), other.aligned(axis, rank)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            };
        }
        Some(Shape::padded(dims, rank))
    }

    /// The length along `axis` once the shape is padded with leading ones to `rank` axes.
    pub(crate) fn aligned(&self, axis: usize, rank: usize) -> usize {
        let padding = rank - self.rank;
        if axis < padding {
            1
        } else {
            self.dims[axis - padding]
        }
    }
}

/// Lengths beyond the rank are 0. Every op asks this several times, and what is derived calls a
/// function of the C library for it.
impl PartialEq for Shape {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let mut different = self.rank ^ other.rank;
        for (a, b) in self.dims.iter().zip(&other.dims) {
            different |= a ^ b;
        }
        different == 0
    }
}

impl Deref for Shape {
    type Target = [usize];
    #[inline]
    fn deref(&self) -> &[usize] {
        &self.dims[..self.rank]
    }
}

impl From<&[usize]> for Shape {
    #[track_caller]
    fn from(dims: &[usize]) -> Self {
        Shape::new(dims)
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    #[track_caller]
    fn from(dims: [usize; N]) -> Self {
        Shape::new(&dims)
    }
}

impl<const N: usize> From<&[usize; N]> for Shape {
    #[track_caller]
    fn from(dims: &[usize; N]) -> Self {
        Shape::new(dims)
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        *shape
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// A set of axes of one shape, as a bit mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Axes(u8);

impl Axes {
    /// The axes listed, of a tensor of shape `shape`.
    ///
    /// # Panics
    /// If an axis is out of range or listed twice; the message names `op`.
    #[track_caller]
    pub fn new(op: &str, axes: &[usize], shape: &Shape) -> Self {
        let mut mask = 0;
        for &axis in axes {
            check_axis(op, axis, shape);
            assert!(
                mask & (1 << axis) == 0,
                "{op}: axis {axis} is listed twice in {axes:?}"
            );
            mask |= 1 << axis;
        }
        Axes(mask)
    }

    /// The axes along which a tensor of shape `from` is repeated to become `to`.
    pub(crate) fn broadcast(from: &Shape, to: &Shape) -> Self {
        let mut mask = 0;
        for axis in 0..to.rank {
            if from.aligned(axis, to.rank) != to[axis] {
                mask |= 1 << axis;
            }
        }
        Axes(mask)
    }

    /// Whether `axis` is in the set.
    pub fn contains(&self, axis: usize) -> bool {
        self.0 & (1 << axis) != 0
    }
}

/// Panics unless `axis` is one of `shape`'s.
#[track_caller]
pub(crate) fn check_axis(op: &str, axis: usize, shape: &Shape) {
    assert!(
        axis < shape.len(),
        "{op}: axis {axis} is out of range for shape {shape}, which has {}",
        match shape.len() {
            0 => "none; reshape it to [1] first".to_owned(),
            1 => "only axis 0".to_owned(),
            n => format!("axes 0 to {}", n - 1),
        }
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(dims: &[usize]) -> Shape {
        Shape::new(dims)
    }

    #[test]
    fn strides_are_row_major() {
        assert_eq!(shape(&[2, 3, 4]).strides()[..3], [12, 4, 1]);
        assert_eq!(shape(&[2, 3, 4]).count(), 24);
        assert_eq!(shape(&[]).count(), 1);
        assert_eq!(shape(&[3, 0]).count(), 0);
    }

    #[test]
    fn broadcasting_follows_numpy() {
        type Case = (&'static [usize], &'static [usize], Option<&'static [usize]>);
        let cases: [Case; 8] = [
            (&[2, 3], &[2, 3], Some(&[2, 3])),
            (&[2, 3], &[3], Some(&[2, 3])),
            (&[2, 1], &[1, 3], Some(&[2, 3])),
            (&[], &[4], Some(&[4])),
            (&[5, 1, 7], &[6, 1], Some(&[5, 6, 7])),
            (&[0], &[1], Some(&[0])),
            (&[2, 3], &[2], None),
            (&[0], &[2], None),
        ];
        for (a, b, expected) in cases {
            let expected = expected.map(shape);
            assert_eq!(shape(a).broadcast(&shape(b)), expected, "{a:?} with {b:?}");
            assert_eq!(shape(b).broadcast(&shape(a)), expected, "{b:?} with {a:?}");
        }
    }

    #[test]
    fn shapes_of_other_rank_differ() {
        assert_ne!(shape(&[2]), shape(&[2, 1]));
        assert_ne!(shape(&[]), shape(&[1]));
    }

    #[test]
    #[should_panic(expected = "shape [1, 1, 1, 1, 1, 1, 1] has 7 axes; a tensor has at most 6")]
    fn seven_axes_are_too_many() {
        shape(&[1; 7]);
    }

    #[test]
    fn as_many_elements_as_fit_into_memory_are_counted() {
        assert_eq!(try_elements(&[]), Some(1));
        assert_eq!(try_elements(&[2, 0, 3]), Some(0));
        assert_eq!(try_elements(&[MAX_ELEMENTS]), Some(MAX_ELEMENTS));
        assert_eq!(try_elements(&[MAX_ELEMENTS + 1]), None);
        assert!(8 * MAX_ELEMENTS <= isize::MAX as usize);
        assert!(8 * (MAX_ELEMENTS + 1) > isize::MAX as usize);
    }

    #[test]
    fn products_that_wrap_are_refused() {
        // Half of the bits of a usize: the product of two such numbers is 0.
        let half = 1 << (usize::BITS / 2);
        let top = 1 << (usize::BITS - 1);
        for lengths in [
            &[half, half][..],
            &[top + 2, 2],
            &[usize::MAX, 2],
            // The product is 0; that of the other lengths is a stride.
            &[half, half, 0],
            &[0, half, half],
        ] {
            assert_eq!(try_elements(lengths), None, "{lengths:?}");
        }
    }

    #[test]
    #[should_panic(expected = ", 3] is too large for any memory")]
    fn a_shape_larger_than_memory_is_named() {
        shape(&[MAX_ELEMENTS, 3]);
    }

    #[test]
    fn an_axis_must_exist() {
        for (shape, axes) in [
            (&[2, 3][..], "[2, 3], which has axes 0 to 1"),
            (&[4], "[4], which has only axis 0"),
            (&[], "[], which has none; reshape it to [1] first"),
        ] {
            let message = *std::panic::catch_unwind(|| Axes::new("sum", &[2], &Shape::new(shape)))
                .expect_err("no such axis")
                .downcast::<String>()
                .expect("a formatted message");
            let expected = format!("sum: axis 2 is out of range for shape {axes}");
            assert_eq!(message, expected);
        }
    }

    #[test]
    #[should_panic(expected = "sum: axis 1 is listed twice in [1, 1]")]
    fn an_axis_is_listed_once() {
        Axes::new("sum", &[1, 1], &shape(&[2, 3]));
    }
}

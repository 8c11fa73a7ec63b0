//! A tensor: a shape and a shared, contiguous, row-major buffer.

use std::fmt;
use std::ops::Range;

use rand::{Rng, RngExt};

use crate::buffer::Buffer;
use crate::parallel::{self, Split};
use crate::{Real, Shape, vector};

/// A dense array of numbers, contiguous and row-major.
///
/// Cloning is cheap: both handles share one buffer, which is copied only when one of
/// them is written to. Dropped buffers return to a thread-local pool.
#[derive(Clone)]
pub struct Tensor<T: Real> {
    shape: Shape,
    buffer: Buffer<T>,
}

impl<T: Real> Tensor<T> {
    /// A tensor of the given shape over `data`, row-major.
    ///
    /// # Panics
    /// If the number of elements is not the product of the lengths in `shape`.
    #[track_caller]
    pub fn new(shape: impl Into<Shape>, data: Vec<T>) -> Self {
        let shape = shape.into();
        assert_eq!(
            data.len(),
            shape.count(),
            "a tensor of shape {shape} has {} elements, but {} were given",
            shape.count(),
            data.len()
        );
        Tensor {
            shape,
            buffer: Buffer::from_vec(data),
        }
    }

    /// A tensor whose elements hold anything (NaN in debug builds) and must all be
    /// written before they are read. Reuses a pooled buffer; no page is touched.
    #[track_caller]
    pub fn scratch(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Tensor {
            shape,
            buffer: Buffer::scratch(shape.count()),
        }
    }

    /// Every element `value`.
    #[track_caller]
    pub fn full(shape: impl Into<Shape>, value: T) -> Self {
        let mut tensor = Tensor::scratch(shape);
        tensor.data_mut().fill(value);
        tensor
    }

    /// Every element 0.
    #[track_caller]
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        Tensor::full(shape, T::ZERO)
    }

    /// Every element 1.
    #[track_caller]
    pub fn ones(shape: impl Into<Shape>) -> Self {
        Tensor::full(shape, T::ONE)
    }

    /// A tensor without axes, holding one number.
    pub fn scalar(value: T) -> Self {
        Tensor::full([], value)
    }

    /// Element `i` in row-major order is `f(i)`.
    #[track_caller]
    pub fn from_fn(shape: impl Into<Shape>, mut f: impl FnMut(usize) -> T) -> Self {
        let mut tensor = Tensor::scratch(shape);
        for (i, x) in tensor.data_mut().iter_mut().enumerate() {
            *x = f(i);
        }
        tensor
    }

    /// Independent draws from the normal distribution with mean 0 and deviation 1
    /// (Box & Muller, 1958: two uniform draws make one normal draw).
    #[track_caller]
    pub fn randn(shape: impl Into<Shape>, rng: &mut impl Rng) -> Self {
        Tensor::from_fn(shape, |_| {
            let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
            let angle = std::f64::consts::TAU * rng.random::<f64>();
            T::from_f64(radius * angle.cos())
        })
    }

    /// Independent draws from the uniform distribution on `[low, high)`.
    #[track_caller]
    pub fn uniform(shape: impl Into<Shape>, low: f64, high: f64, rng: &mut impl Rng) -> Self {
        Tensor::from_fn(shape, |_| {
            T::from_f64(low + (high - low) * rng.random::<f64>())
        })
    }

    /// The lengths of the axes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.shape.count()
    }

    /// Whether there is no element at all (an axis has length 0).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements, row-major.
    pub fn data(&self) -> &[T] {
        &self.buffer.as_slice()[..self.len()]
    }

    /// The elements for writing; copied first if another handle shares them.
    pub fn data_mut(&mut self) -> &mut [T] {
        let n = self.len();
        &mut self.buffer.make_mut(n)[..n]
    }

    /// Whether another handle shares the elements, so that writing would copy them
    /// first. A kernel that can write elsewhere saves that copy.
    pub fn is_shared(&self) -> bool {
        self.buffer.is_shared()
    }

    /// The elements as a vector.
    pub fn to_vec(&self) -> Vec<T> {
        self.data().to_vec()
    }

    /// The one number of a tensor with one element.
    ///
    /// # Panics
    /// If there is any other number of elements.
    #[track_caller]
    pub fn item(&self) -> T {
        assert_eq!(
            self.len(),
            1,
            "item() needs one element, but the shape is {}",
            self.shape
        );
        self.data()[0]
    }

    /// The element at `index`, one position per axis.
    ///
    /// # Panics
    /// If the index has another number of axes than the tensor, or is out of range.
    #[track_caller]
    pub fn at(&self, index: &[usize]) -> T {
        assert!(
            index.len() == self.shape.len() && index.iter().zip(&*self.shape).all(|(i, n)| i < n),
            "index {index:?} is outside shape {}",
            self.shape
        );
        let strides = self.shape.strides();
        self.data()[index
            .iter()
            .zip(strides)
            .map(|(i, stride)| i * stride)
            .sum::<usize>()]
    }

    /// Where a backward pass writes `dx`, called on `dy`: over it, unless somebody else still
    /// holds it. Returns `dy`, if it is to be read, and the tensor to write to.
    pub fn in_place_or_beside(self) -> (Option<Self>, Self) {
        if self.is_shared() {
            let beside = Tensor::scratch(self.shape);
            (Some(self), beside)
        } else {
            (None, self)
        }
    }

    /// The same elements under another shape; nothing is copied.
    ///
    /// # Panics
    /// If the number of elements differs.
    #[track_caller]
    pub fn reshape(&self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        assert_eq!(
            self.len(),
            shape.count(),
            "reshape: {} has {} elements and cannot become {shape}, which has {}",
            self.shape,
            self.len(),
            shape.count()
        );
        Tensor {
            shape,
            buffer: self.buffer.clone(),
        }
    }

    /// A new tensor with `f` applied to every element.
    #[inline]
    pub fn map(&self, f: impl Fn(T) -> T + Sync) -> Self {
        let mut out = Tensor::scratch(self.shape);
        let x = self.data();
        in_parts(out.data_mut(), |at, y| vector::map(y, &x[at], &f));
        out
    }

    /// A new tensor with `f` applied to every pair of elements; nothing broadcasts.
    ///
    /// # Panics
    /// If the shapes differ.
    #[inline]
    #[track_caller]
    pub fn zip(&self, other: &Tensor<T>, f: impl Fn(T, T) -> T + Sync) -> Self {
        self.check_same_shape(other);
        let mut out = Tensor::scratch(self.shape);
        let (a, b) = (self.data(), other.data());
        in_parts(out.data_mut(), |at, y| {
            vector::zip(y, &a[at.clone()], &b[at], &f);
        });
        out
    }

    #[track_caller]
    fn check_same_shape(&self, other: &Tensor<T>) {
        assert_eq!(
            self.shape, other.shape,
            "an elementwise step needs equal shapes, got {} and {}",
            self.shape, other.shape
        );
    }

    /// Replaces every element `a` by `f(a, b)`, with `b` from `other`: in place, or in a new
    /// buffer when somebody else holds this one, for a copy would be written and read again.
    ///
    /// # Panics
    /// If the shapes differ.
    #[inline]
    #[track_caller]
    pub fn zip_assign(&mut self, other: &Tensor<T>, f: impl Fn(T, T) -> T + Sync) {
        if self.is_shared() {
            *self = self.zip(other, f);
            return;
        }
        self.check_same_shape(other);
        let b = other.data();
        in_parts(self.data_mut(), |at, a| vector::zip_assign(a, &b[at], &f));
    }

    /// [`Tensor::zip_assign`] on a tensor passed by value: how backward passes turn `dy`
    /// into `dx` without a new buffer.
    ///
    /// # Panics
    /// If the shapes differ.
    #[inline]
    #[track_caller]
    pub fn zip_in_place(mut self, other: &Tensor<T>, f: impl Fn(T, T) -> T + Sync) -> Self {
        self.zip_assign(other, f);
        self
    }

    /// Replaces every element by `f` of it; in place when nobody shares the buffer.
    #[inline]
    pub fn map_in_place(mut self, f: impl Fn(T) -> T + Sync) -> Self {
        if self.is_shared() {
            return self.map(f);
        }
        in_parts(self.data_mut(), |_, a| vector::map_assign(a, &f));
        self
    }

    /// The elements rounded to another type.
    pub fn cast<U: Real>(&self) -> Tensor<U> {
        Tensor::from_fn(self.shape, |i| U::from_f64(self.data()[i].to_f64()))
    }

    /// Bytes that the elements take.
    pub fn bytes(&self) -> usize {
        self.len() * size_of::<T>()
    }

    /// A number that two handles on the same buffer agree on.
    pub(crate) fn address(&self) -> usize {
        self.buffer.address()
    }
}

/// Calls `f` on all of `data`, or on a part of it for each thread if it is long; with the
/// range that it is given.
#[inline]
fn in_parts<T: Real>(data: &mut [T], f: impl Fn(Range<usize>, &mut [T]) + Sync) {
    let n = data.len();
    // Most arrays on a tape are small, and what shares work out takes longer than their work.
    if n < parallel::SERIAL_BELOW || cfg!(target_family = "wasm") {
        return f(0..n, data);
    }
    parallel::for_each_part(n, n, parallel::rows(data, 1), |at, part| {
        f(at, part.slices());
    });
}

impl<T: Real> PartialEq for Tensor<T> {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.data() == other.data()
    }
}

impl<T: Real> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor<{}>{} {:?}", T::NAME, self.shape, self.data())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn a_written_clone_leaves_the_original_alone() {
        let a = Tensor::new([2], vec![1.0_f32, 2.0]);
        let mut b = a.clone();
        b.data_mut()[0] = 7.0;
        assert_eq!(a.data(), [1.0, 2.0]);
        assert_eq!(b.data(), [7.0, 2.0]);
    }

    #[test]
    fn a_tensor_is_shared_as_long_as_it_has_a_clone() {
        let a = Tensor::new([2], vec![1.0_f32, 2.0]);
        assert!(!a.is_shared());
        let b = a.reshape([1, 2]);
        assert!(a.is_shared() && b.is_shared());
        drop(b);
        assert!(!a.is_shared());
    }

    #[test]
    fn at_reads_row_major() {
        let t = Tensor::from_fn([2, 3], |i| i as f64);
        assert_eq!(t.at(&[1, 2]), 5.0);
        assert_eq!(t.at(&[0, 1]), 1.0);
    }

    #[test]
    #[should_panic(expected = "index [0, 3] is outside shape [2, 3]")]
    fn at_refuses_an_index_outside() {
        Tensor::<f32>::zeros([2, 3]).at(&[0, 3]);
    }

    #[test]
    #[should_panic(expected = "a tensor of shape [2, 2] has 4 elements, but 3 were given")]
    fn data_must_fill_the_shape() {
        let _ = Tensor::new([2, 2], vec![0.0_f32; 3]);
    }

    #[test]
    #[should_panic(expected = "reshape: [2, 3] has 6 elements and cannot become [4], which has 4")]
    fn reshape_keeps_the_count() {
        let _ = Tensor::<f32>::zeros([2, 3]).reshape([4]);
    }

    #[test]
    #[should_panic(expected = "item() needs one element, but the shape is [2]")]
    fn item_needs_one_element() {
        Tensor::<f32>::zeros([2]).item();
    }

    #[test]
    #[should_panic(expected = "an elementwise step needs equal shapes, got [2] and [3]")]
    fn zip_in_place_never_broadcasts() {
        let _ = Tensor::<f32>::zeros([2]).zip_in_place(&Tensor::zeros([3]), |a, _| a);
    }

    #[test]
    fn random_draws_have_the_stated_moments() {
        let mut rng = StdRng::seed_from_u64(1);
        let n = 100_000;
        let moments = |t: Tensor<f64>| {
            let mean = t.data().iter().sum::<f64>() / n as f64;
            (
                mean,
                t.data().iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64,
            )
        };
        // Five standard errors: about 5/sqrt(n) for the mean, 7/sqrt(n) for the variance.
        let (mean, var) = moments(Tensor::randn([n], &mut rng));
        assert!(
            mean.abs() < 0.016 && (var - 1.0).abs() < 0.023,
            "normal: {mean}, {var}"
        );
        let (mean, var) = moments(Tensor::uniform([n], 1.0, 3.0, &mut rng));
        assert!(
            (mean - 2.0).abs() < 0.01 && (var - 1.0 / 3.0).abs() < 0.01,
            "uniform: {mean}, {var}"
        );
    }

    #[test]
    fn casting_rounds_and_widens() {
        let x = Tensor::scalar(0.1_f64);
        assert_eq!(x.cast::<f32>().item(), 0.1_f32);
        assert_eq!(x.cast::<f32>().cast::<f64>().item(), f64::from(0.1_f32));
    }

    #[test]
    fn tensors_and_handles_print_shape_and_numbers() {
        let x = Tensor::new([1, 2], vec![1.0_f32, -0.5]);
        let printed = "Tensor<f32>[1, 2] [1.0, -0.5]";
        assert_eq!(format!("{x:?}"), printed);
        assert_eq!(format!("{:?}", x.shape()), "[1, 2]");
        let p = crate::Param::new("p", x.clone());
        crate::Tape::new().grad(|t| {
            assert_eq!(
                format!("{:?}", t.param(&p)),
                format!("Var(tracked) {printed}")
            );
            let c = t.constant(x.clone());
            assert_eq!(format!("{c:?}"), format!("Var(constant) {printed}"));
            t.param(&p).sum(&[0, 1])
        });
    }

    #[test]
    fn equality_looks_at_shapes_too() {
        let a = Tensor::<f32>::zeros([2]);
        assert_ne!(a, a.reshape([2, 1]));
        assert_eq!(a, Tensor::zeros([2]));
    }

    #[test]
    fn a_gradient_is_written_over_another_that_nobody_else_holds() {
        let dy = Tensor::<f32>::ones([2, 3]);
        let address = dy.address();
        let (source, dx) = dy.in_place_or_beside();
        assert!(source.is_none() && dx.address() == address);

        let kept = dx.clone();
        let (source, dx) = dx.in_place_or_beside();
        assert_eq!(source, Some(kept));
        assert!(dx.shape()[..] == [2, 3] && dx.address() != address);
    }
}

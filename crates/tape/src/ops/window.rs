//! The window that a convolution or a pool slides over an image: sizes, and which
//! positions of it lie inside.

use std::ops::Range;

use vectorized::vectorized;

use crate::{Real, lanes, vector};

/// Two lengths, along the height and along the width. One number stands for both:
/// `3.into()` is `[3, 3]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair([usize; 2]);

impl From<usize> for Pair {
    fn from(both: usize) -> Self {
        Pair([both; 2])
    }
}

impl From<[usize; 2]> for Pair {
    fn from(pair: [usize; 2]) -> Self {
        Pair(pair)
    }
}

/// How a window moves over an image: by which stride, and over how much padding around it.
/// A value with names, for two bare numbers are soon exchanged: `Slide::by(2).padded(1)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slide {
    stride: Pair,
    padding: Pair,
}

impl Slide {
    /// By `stride` from one place to the next, with no padding. One number, or a pair for
    /// height and width.
    pub fn by(stride: impl Into<Pair>) -> Self {
        Slide {
            stride: stride.into(),
            padding: 0.into(),
        }
    }

    /// The same over an image with `padding` on every side. One number, or a pair for height
    /// and width.
    #[must_use]
    pub fn padded(self, padding: impl Into<Pair>) -> Self {
        let padding = padding.into();
        Slide { padding, ..self }
    }
}

/// A window of `kernel` taps that moves by `stride` over an image which is surrounded by
/// `padding` on every side. Index 0 of each array is the height, 1 the width.
///
/// Output position o reads, at tap k, the input position `o · stride + k − padding`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    padding: [usize; 2],
    pub(crate) input: [usize; 2],
    pub(crate) output: [usize; 2],
}

impl Window {
    /// The window of `op` over an image of size `input`. The output has, along each
    /// axis, `⌊(input + 2 · padding − kernel) / stride⌋ + 1` positions, as in PyTorch.
    ///
    /// # Panics
    /// If the kernel is empty or larger than the padded image, the stride is 0, or the
    /// padding is more than a length can be.
    #[track_caller]
    pub(crate) fn new(op: &str, input: [usize; 2], kernel: [usize; 2], slide: Slide) -> Self {
        let (Pair(stride), Pair(padding)) = (slide.stride, slide.padding);
        assert!(
            stride[0] > 0 && stride[1] > 0,
            "{op}: the stride must be at least 1, got {stride:?}"
        );
        let mut output = [0; 2];
        for d in 0..2 {
            let padded = padding[d]
                .checked_mul(2)
                .and_then(|p| p.checked_add(input[d]));
            let padded = padded.unwrap_or_else(|| {
                panic!(
                    "{op}: an image of {input:?} cannot be padded by {padding:?} on each side: \
                     that is more than a length can be"
                )
            });
            assert!(
                0 < kernel[d] && kernel[d] <= padded,
                "{op}: a kernel of {kernel:?} does not fit an image of {input:?} padded by \
                 {padding:?} on each side"
            );
            output[d] = (padded - kernel[d]) / stride[d] + 1;
        }
        Window {
            kernel,
            stride,
            padding,
            input,
            output,
        }
    }

    /// The same, for a pool: no window may lie in the padding altogether.
    ///
    /// # Panics
    /// As [`Window::new`], and if the padding is more than half the kernel.
    #[track_caller]
    pub(crate) fn pool(op: &str, input: [usize; 2], kernel: Pair, slide: Slide) -> Self {
        let (Pair(kernel), Pair(pad)) = (kernel, slide.padding);
        assert!(
            pad[0] <= kernel[0] / 2 && pad[1] <= kernel[1] / 2,
            "{op}: the padding must be at most half the kernel, got {pad:?} for {kernel:?}"
        );
        Window::new(op, input, kernel, slide)
    }

    /// Whether it is two by two and moves by as much: windows side by side, the commonest pool.
    pub(crate) fn halves(&self) -> bool {
        [self.kernel, self.stride, self.padding] == [[2; 2], [2; 2], [0; 2]]
    }

    /// Elements of an input plane.
    pub(crate) fn input_len(&self) -> usize {
        self.input[0] * self.input[1]
    }

    /// Elements of an output plane.
    pub(crate) fn output_len(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// The output positions along axis `d` whose tap `k` lies inside the image.
    pub(crate) fn inside(&self, d: usize, k: usize) -> Range<usize> {
        let (stride, padding) = (self.stride[d], self.padding[d]);
        // This is asked for every row of im2col, and a division is slow.
        let steps = |n: usize| if stride == 1 { n } else { n.div_ceil(stride) };
        let end = steps((self.input[d] + padding).saturating_sub(k));
        let end = end.min(self.output[d]);
        steps(padding.saturating_sub(k)).min(end)..end
    }

    /// The input position along axis `d` that tap `k` of output position `o` reads; the
    /// position must be [inside](Window::inside).
    pub(crate) fn at(&self, d: usize, k: usize, o: usize) -> usize {
        o * self.stride[d] + k - self.padding[d]
    }

    /// Every tap of the kernel, row-major.
    pub(crate) fn taps(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [height, width] = self.kernel;
        (0..height).flat_map(move |i| (0..width).map(move |j| [i, j]))
    }

    /// The stretches in which the tap `[i, j]` runs over the image: for each, where in an
    /// input plane it starts (it goes on by the stride), and its range in an output plane.
    pub(crate) fn runs(&self, [i, j]: [usize; 2]) -> impl Iterator<Item = (usize, Range<usize>)> {
        let columns = self.inside(1, j);
        let rows = if columns.is_empty() {
            0..0
        } else {
            self.inside(0, i)
        };
        rows.map(move |y| {
            let from = self.at(0, i, y) * self.input[1] + self.at(1, j, columns.start);
            let to = y * self.output[1];
            (from, to + columns.start..to + columns.end)
        })
    }

    /// Calls `f(x, y)` for every element y of an output plane and the element x of an
    /// input plane that the tap `[i, j]` reads for it, where that is inside the image.
    #[inline(always)]
    pub(crate) fn gather<T: Real>(
        &self,
        tap: [usize; 2],
        input: &[T],
        output: &mut [T],
        f: impl Fn(T, &mut T),
    ) {
        for (from, to) in self.runs(tap) {
            let output = &mut output[to];
            if self.stride[1] == 1 {
                for (y, &x) in output.iter_mut().zip(&input[from..]) {
                    f(x, y);
                }
            } else {
                let mut at = from;
                for y in output {
                    f(input[at], y);
                    at += self.stride[1];
                }
            }
        }
    }

    /// The adjoint of gathering: adds every element of an output plane to the element of
    /// an input plane that the tap `[i, j]` reads for it.
    #[inline(always)]
    pub(crate) fn scatter<T: Real>(&self, tap: [usize; 2], output: &[T], input: &mut [T]) {
        for (from, to) in self.runs(tap) {
            let output = &output[to];
            if self.stride[1] == 1 {
                lanes::zip_assign(&mut input[from..], output, |x, y| x + y);
            } else {
                let mut at = from;
                for &y in output {
                    input[at] += y;
                    at += self.stride[1];
                }
            }
        }
    }

    /// Fills an output plane with what the tap `[i, j]` reads: 0 where it reads the
    /// padding.
    pub(crate) fn copy<T: Real>(&self, tap: [usize; 2], input: &[T], output: &mut [T]) {
        if let Some((from, to)) = self.shifted(tap) {
            output[..to.start].fill(T::ZERO);
            output[to.end..].fill(T::ZERO);
            output[to.clone()].copy_from_slice(&input[from..from + to.len()]);
            self.clear_margins(tap, output);
        } else {
            output.fill(T::ZERO);
            self.gather(tap, input, output, |x, y| *y = x);
        }
    }

    /// The adjoint of [`Window::copy`], which may overwrite the output plane.
    pub(crate) fn add_back<T: Real>(&self, tap: [usize; 2], output: &mut [T], input: &mut [T]) {
        if let Some((from, to)) = self.shifted(tap) {
            self.clear_margins(tap, output);
            vector::add(&mut input[from..from + to.len()], &output[to]);
        } else {
            scatter(self, tap, output, input);
        }
    }

    /// When the output is as wide as the input and the stride is 1, what a tap reads is
    /// the whole input plane, shifted: one long copy, twice as fast as row by row. This
    /// is where it starts in the input, and its range in the output. At the ends of the
    /// rows it runs into the neighbouring rows; [`Window::clear_margins`] puts that right.
    fn shifted(&self, [i, j]: [usize; 2]) -> Option<(usize, Range<usize>)> {
        let (ys, xs) = (self.inside(0, i), self.inside(1, j));
        let width = self.output[1];
        if self.stride != [1, 1] || self.input[1] != width || ys.is_empty() || xs.is_empty() {
            return None;
        }
        let from = self.at(0, i, ys.start) * width + self.at(1, j, xs.start);
        Some((
            from,
            ys.start * width + xs.start..(ys.end - 1) * width + xs.end,
        ))
    }

    /// Sets the columns to 0 in which the tap `[i, j]` reads the padding.
    fn clear_margins<T: Real>(&self, [_, j]: [usize; 2], output: &mut [T]) {
        let inside = self.inside(1, j);
        let [rows, width] = self.output;
        for column in (0..inside.start).chain(inside.end..width) {
            for row in 0..rows {
                output[row * width + column] = T::ZERO;
            }
        }
    }
}

/// [`Window::scatter`], compiled for several instruction sets.
#[vectorized]
fn scatter<T: Real>(window: &Window, tap: [usize; 2], output: &[T], input: &mut [T]) {
    window.scatter(tap, output, input);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(input: usize, kernel: usize, stride: usize, padding: usize) -> Window {
        let square = [input; 2];
        Window::new(
            "test",
            square,
            [kernel; 2],
            Slide::by(stride).padded(padding),
        )
    }

    #[test]
    fn the_output_size_is_pytorchs() {
        assert_eq!(window(28, 3, 1, 1).output, [28, 28]);
        assert_eq!(window(28, 3, 2, 1).output, [14, 14]);
        assert_eq!(window(28, 5, 1, 0).output, [24, 24]);
        assert_eq!(window(7, 2, 2, 0).output, [3, 3]);
        assert_eq!(window(3, 3, 5, 0).output, [1, 1]);
        let w = Window::new("test", [5, 9], [2, 4], Slide::by([1, 3]).padded([0, 1]));
        assert_eq!((w.output, w.output_len(), w.input_len()), ([4, 3], 12, 45));
    }

    /// Windows of many sizes, of different height and width.
    fn windows() -> Vec<Window> {
        let mut all = Vec::new();
        for input in [[1, 1], [2, 5], [4, 4], [5, 3]] {
            for kernel in [[1, 1], [2, 3], [3, 3], [4, 1], [5, 5]] {
                for stride in [[1, 1], [1, 2], [2, 1], [3, 3]] {
                    for padding in [[0, 0], [1, 1], [0, 1], [2, 0], [3, 4]] {
                        if (0..2).all(|d| kernel[d] <= input[d] + 2 * padding[d]) {
                            let slide = Slide::by(stride).padded(padding);
                            all.push(Window::new("test", input, kernel, slide));
                        }
                    }
                }
            }
        }
        all
    }

    /// What tap k reads at output position o along axis d, from the definition.
    fn position(w: &Window, d: usize, k: usize, o: usize) -> Option<usize> {
        let at = (o * w.stride[d] + k).checked_sub(w.padding[d]);
        at.filter(|&at| at < w.input[d])
    }

    #[test]
    fn positions_inside_are_found_for_every_tap() {
        for w in windows() {
            for d in 0..2 {
                for k in 0..w.kernel[d] {
                    let inside: Vec<usize> = (0..w.output[d])
                        .filter(|&o| position(&w, d, k, o).is_some())
                        .collect();
                    assert_eq!(w.inside(d, k).collect::<Vec<_>>(), inside, "{w:?} {k}");
                    for o in inside {
                        assert_eq!(Some(w.at(d, k, o)), position(&w, d, k, o));
                    }
                }
            }
        }
    }

    #[test]
    fn taps_are_listed_row_major() {
        let w = Window::new("test", [2, 3], [2, 3], Slide::by(1));
        let taps: Vec<[usize; 2]> = w.taps().collect();
        assert_eq!(taps, [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
    }

    #[test]
    fn planes_are_copied_and_added_back_tap_by_tap() {
        for w in windows() {
            let input: Vec<f64> = (0..w.input_len()).map(|i| 1.0 + i as f64).collect();
            let output: Vec<f64> = (0..w.output_len()).map(|o| 100.0 + o as f64).collect();
            for tap in w.taps() {
                let mut read = vec![0.0; output.len()];
                let mut added = input.clone();
                for (o, read) in read.iter_mut().enumerate() {
                    let y = position(&w, 0, tap[0], o / w.output[1]);
                    let x = position(&w, 1, tap[1], o % w.output[1]);
                    if let (Some(y), Some(x)) = (y, x) {
                        *read = input[y * w.input[1] + x];
                        added[y * w.input[1] + x] += output[o];
                    }
                }
                let mut result = vec![f64::NAN; output.len()];
                w.copy(tap, &input, &mut result);
                assert_eq!(result, read, "{w:?} {tap:?}");

                let mut result = vec![0.0; output.len()];
                w.gather(tap, &input, &mut result, |x, y| *y = x);
                assert_eq!(result, read, "{w:?} {tap:?}");

                let mut result = input.clone();
                w.scatter(tap, &output, &mut result);
                assert_eq!(result, added, "{w:?} {tap:?}");

                let mut result = input.clone();
                w.add_back(tap, &mut output.clone(), &mut result);
                assert_eq!(result, added, "{w:?} {tap:?}");
            }
        }
    }

    #[test]
    fn an_image_of_equal_width_is_copied_in_one_piece() {
        let shifted = |stride: [usize; 2], padding: [usize; 2]| {
            let w = Window::new("test", [4, 4], [3, 3], Slide::by(stride).padded(padding));
            w.taps()
                .map(|tap| w.shifted(tap).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(shifted([1, 1], [1, 1]), [true; 9]);
        assert_eq!(shifted([1, 1], [0, 1]), [true; 9]);
        assert_eq!(shifted([1, 1], [1, 0]), [false; 9]);
        assert_eq!(shifted([2, 1], [1, 1]), [false; 9]);
    }

    #[test]
    #[should_panic(
        expected = "test: a kernel of [4, 4] does not fit an image of [1, 1] padded by [1, 1]"
    )]
    fn the_kernel_must_fit() {
        window(1, 4, 1, 1);
    }

    #[test]
    #[should_panic(expected = "test: a kernel of [0, 0] does not fit")]
    fn a_kernel_has_an_element() {
        window(1, 0, 1, 1);
    }

    #[test]
    #[should_panic(expected = "test: the stride must be at least 1, got [1, 0]")]
    fn a_window_moves_along_the_width() {
        Window::new("test", [2, 2], [1, 1], Slide::by([1, 0]));
    }

    #[test]
    #[should_panic(expected = "test: the stride must be at least 1, got [0, 1]")]
    fn a_window_moves_along_the_height() {
        Window::new("test", [2, 2], [1, 1], Slide::by([0, 1]));
    }

    #[test]
    fn a_pool_may_be_padded_by_half_its_kernel() {
        let w = Window::pool("test", [4, 4], [2, 5].into(), Slide::by(1).padded([1, 2]));
        assert_eq!(w.output, [5, 4]);
    }

    #[test]
    #[should_panic(
        expected = "test: the padding must be at most half the kernel, got [2, 1] for [3, 3]"
    )]
    fn a_pool_is_not_padded_more_along_the_height() {
        Window::pool("test", [4, 4], 3.into(), Slide::by(1).padded([2, 1]));
    }

    #[test]
    #[should_panic(expected = "got [1, 2] for [3, 3]")]
    fn a_pool_is_not_padded_more_along_the_width() {
        Window::pool("test", [4, 4], 3.into(), Slide::by(1).padded([1, 2]));
    }
}

//! Results that are written past the caches.
//!
//! An ordinary store to a line that is in no cache makes the processor read the line first,
//! although every byte of it is about to be replaced: twelve bytes move for each eight that a
//! loop over `f32` reads and writes. A streaming store sends whole lines to memory and reads
//! nothing. It also leaves the line in no cache, which is wrong for a result that would have
//! been found there by whoever reads it next. [`pays`] says when it is right.
//!
//! A kernel computes a piece of its result in a small buffer, which stays in the innermost
//! cache, and the piece is copied from there with streaming stores. So no arithmetic is written
//! twice, and no bit depends on the kind of store. Where there are no such stores, as in a
//! browser, the copy is an ordinary one.
//!
//! This is the second of the two modules with `unsafe` in it, for the instructions that store, the
//! one that waits for them, and the one that asks for what will be read soon. What makes them safe
//! is checked or enforced here:
//!
//! - *Bounds*: a line is copied from an array to an array of that size (`lines`).
//! - *Alignment*: only whole lines are stored in this way. Where an array begins or ends within a
//!   line, the rest of which may be another thread's, that part is stored as usual.
//! - *Order*: other threads may see these stores late, and in any order, until a fence.
//!   [`Stores::run`] fences when it returns, and when it is left by a panic; and what is written is
//!   borrowed for longer than that (`'a` outlives the call), so nobody reads it before. [`Stream`]
//!   cannot go to another thread, whose stores this fence would not wait for.
//! - *Types*: only `f32` and `f64`, which have no padding, are copied as bytes.
//! - *Instruction sets*: each version is called only where the processor says that it has it; the
//!   narrowest is part of every x86-64.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::any::TypeId;
use std::marker::PhantomData;
use std::ops::Range;

use crate::{Real, parallel};

/// Bytes of a cache line.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Bytes that one thread can find in a cache again at best: the last level of one group of cores,
/// 16 to 32 MiB, or as much of a larger one, while the other cores leave it alone. A processor
/// could be asked how large its caches are, but a virtual machine is told of all of the last one,
/// and not with whom it is shared. So the bound is that of all machines: below it, ordinary stores
/// cost at most a third of the traffic; beyond it, no cache would have kept the result.
const CACHE: usize = 32 << 20;

/// Most bytes of a buffer, so that it stays in the cache of a core while it is filled and copied.
const BUFFER: usize = 1 << 18;

/// Whether a result of so many elements should be written past the caches: if it and an input of
/// its size, together, are more than the threads that compute it can find in a cache again. Then
/// the beginning of the result will have been thrown out before its end is written.
pub fn pays<T>(elements: usize) -> bool {
    pays_on::<T>(elements, parallel::threads())
}

/// The same on so many threads.
pub fn pays_on<T>(elements: usize, threads: usize) -> bool {
    let moved = elements.saturating_mul(2 * size_of::<T>());
    moved > CACHE.saturating_mul(threads)
}

/// How a kernel stores its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stores {
    /// Into the caches.
    Ordinary,
    /// Past them.
    Streaming,
}

impl Stores {
    /// For a result of so many elements of which the old contents are not needed.
    pub fn of<T>(elements: usize) -> Self {
        if pays::<T>(elements) {
            Stores::Streaming
        } else {
            Stores::Ordinary
        }
    }

    /// Calls `f`, which writes with the [`Stream`] that it is given, at most `piece` elements at a
    /// time. When this returns, all is written, for other threads too. Pieces too large for a
    /// buffer are stored as usual.
    ///
    /// ```
    /// use tape::streaming::Stores;
    ///
    /// let (x, mut y) = (vec![1.0; 1000], vec![0.0; 1000]);
    /// Stores::of::<f64>(y.len()).run(100, |stream| {
    ///     stream.write(&mut y, [], |place, y| {
    ///         for (y, x) in y.iter_mut().zip(&x[place]) {
    ///             *y = 2.0 * x;
    ///         }
    ///     });
    /// });
    /// assert_eq!(y, [2.0; 1000]);
    /// ```
    ///
    /// Nobody can look at a result before that:
    ///
    /// ```compile_fail,E0502
    /// # use tape::streaming::Stores;
    /// # let mut y = vec![0.0; 1000];
    /// Stores::Streaming.run(100, |stream| {
    ///     stream.write(&mut y, [], |_, y| y.fill(1.0));
    ///     assert_eq!(y[0], 1.0);
    /// });
    /// ```
    ///
    /// nor can another thread write it, for whose stores nobody would wait:
    ///
    /// ```compile_fail,E0277
    /// # use tape::streaming::Stores;
    /// # let mut y = vec![0.0; 1000];
    /// Stores::Streaming.run(100, |stream| {
    ///     std::thread::scope(|scope| {
    ///         scope.spawn(|| stream.write(&mut y, [], |_, y| y.fill(1.0)));
    ///     });
    /// });
    /// ```
    ///
    /// # Panics
    /// If `piece` is 0.
    #[track_caller]
    pub fn run<'a, T: Real, R>(self, piece: usize, f: impl FnOnce(&mut Stream<'a, T>) -> R) -> R {
        assert!(piece > 0, "streaming: a piece has at least one element");
        let _fence = Fence;
        let small = piece.saturating_mul(size_of::<T>()) <= BUFFER;
        f(&mut Stream {
            piece,
            buffer: (self == Stores::Streaming && small).then(Vec::new),
            until: PhantomData,
        })
    }
}

/// Writes results for as long as `'a`.
pub struct Stream<'a, T> {
    piece: usize,
    /// Where a piece is computed, unless that is the result itself.
    buffer: Option<Vec<T>>,
    /// As long, no shorter, and on this thread only.
    until: PhantomData<*mut &'a ()>,
}

impl<'a, T: Real> Stream<'a, T> {
    /// Has `fill` write `out`, one piece after the other: it is given the place of a piece, and
    /// the elements to write. Where stores are ordinary these are those of `out`, with what they
    /// held, or else of a buffer, with what happened to be in it.
    ///
    /// `next` is what will be read soon. While the stores of a piece are on their way, what `next`
    /// has in the same place is fetched, if it has all of that: a core that only waited for the one
    /// and then for the other would leave the memory idle for a part of the time.
    pub fn write<const K: usize>(
        &mut self,
        out: &'a mut [T],
        next: [&[T]; K],
        mut fill: impl FnMut(Range<usize>, &mut [T]),
    ) {
        let mut start = 0;
        for out in out.chunks_mut(self.piece) {
            let place = start..start + out.len();
            start = place.end;
            let Some(buffer) = &mut self.buffer else {
                fill(place, out);
                continue;
            };
            if buffer.len() < out.len() {
                buffer.resize(self.piece, T::ZERO);
            }
            let buffer = &mut buffer[..out.len()];
            fill(place.clone(), buffer);
            copy(
                out,
                buffer,
                next.map(|next| next.get(place.clone()).unwrap_or_default()),
            );
        }
    }
}

/// Asks for what will be read soon, without waiting for it. A core can wait for a dozen lines at a
/// time, and is held up by one more: so a kernel asks for a part of what comes next between the
/// steps of its work. Where there is no such instruction, nothing happens.
#[inline(always)]
pub fn fetch<T: Real>(x: &[T]) {
    #[cfg(target_arch = "x86_64")]
    x86::fetch(x);
    let _ = x;
}

/// Waits for the streaming stores of this thread.
struct Fence;

#[cfg(test)]
thread_local! {
    /// How often this thread has waited.
    static FENCES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

impl Drop for Fence {
    #[inline]
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 processor has the instruction.
        unsafe {
            std::arch::x86_64::_mm_sfence();
        }
        #[cfg(test)]
        FENCES.set(FENCES.get() + 1);
    }
}

/// Copies with streaming stores, which a [`Fence`] must follow, and fetches what comes next; or as
/// usual, where there are none.
fn copy<T: Real, const K: usize>(out: &mut [T], from: &[T], next: [&[T]; K]) {
    assert_eq!(out.len(), from.len());
    #[cfg(target_arch = "x86_64")]
    if [TypeId::of::<f32>(), TypeId::of::<f64>()].contains(&TypeId::of::<T>()) {
        let head = out.as_ptr().align_offset(LINE).min(out.len());
        let per_line = LINE / size_of::<T>();
        let body = (out.len() - head) / per_line * per_line;
        let (out_head, out) = out.split_at_mut(head);
        let (out_body, out_tail) = out.split_at_mut(body);
        let (from_head, from) = from.split_at(head);
        let (from_body, from_tail) = from.split_at(body);
        out_head.copy_from_slice(from_head);
        x86::lines(out_body, from_body, next);
        return out_tail.copy_from_slice(from_tail);
    }
    let _ = next;
    out.copy_from_slice(from);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, __m256i, __m512i, _MM_HINT_T0, _mm_loadu_si128, _mm_prefetch, _mm_stream_si128,
        _mm256_loadu_si256, _mm256_stream_si256, _mm512_loadu_si512, _mm512_stream_si512,
    };

    use super::LINE;

    /// A function that copies lines with registers of one width.
    macro_rules! version {
        ($name:ident, $feature:literal, $register:ty, $load:path, $store:path) => {
            /// # Safety
            /// `to` is aligned to a line and valid for writes of so many lines, `from` for reads
            /// of as many, and they do not overlap.
            #[target_feature(enable = $feature)]
            unsafe fn $name<const K: usize>(
                to: *mut u8,
                from: *const u8,
                lines: usize,
                next: [*const u8; K],
            ) {
                for line in (0..lines * LINE).step_by(LINE) {
                    // To fetch a line reads nothing that a program could see, and an address where
                    // there is no memory is ignored.
                    for next in next {
                        _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(line).cast());
                    }
                    for at in (line..line + LINE).step_by(size_of::<$register>()) {
                        // SAFETY: `at` and the register after it lie within the lines, which are
                        // valid; and a register's size divides `at` and the alignment of `to`.
                        unsafe {
                            $store(to.add(at).cast(), $load(from.add(at).cast()));
                        }
                    }
                }
            }
        };
    }

    version!(sse2, "sse2", __m128i, _mm_loadu_si128, _mm_stream_si128);
    version!(avx, "avx", __m256i, _mm256_loadu_si256, _mm256_stream_si256);
    version!(
        avx512,
        "avx512f",
        __m512i,
        _mm512_loadu_si512,
        _mm512_stream_si512
    );

    /// Fetches the lines in which these elements lie, or all but the last of them.
    #[inline(always)]
    pub(super) fn fetch<T>(x: &[T]) {
        // A number of somebody's own may be larger than a line.
        for part in x.chunks(LINE / size_of::<T>().clamp(1, LINE)) {
            // SAFETY: every x86-64 processor has the instruction, which reads nothing that a
            // program could see.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(part.as_ptr().cast()) };
        }
    }

    /// Copies arrays of numbers without padding that are whole lines.
    pub(super) fn lines<T: Copy, const K: usize>(out: &mut [T], from: &[T], next: [&[T]; K]) {
        // These hold by construction; checking them here keeps the argument local.
        let bytes = size_of_val(out);
        assert_eq!(bytes, size_of_val(from));
        assert!(
            bytes.is_multiple_of(LINE) && (bytes == 0 || out.as_ptr().addr().is_multiple_of(LINE))
        );
        let (to, from, lines) = (out.as_mut_ptr().cast(), from.as_ptr().cast(), bytes / LINE);
        // What is not there is not fetched; what is here already costs nothing.
        let next = next.map(|next| {
            if next.is_empty() {
                from
            } else {
                next.as_ptr().cast()
            }
        });
        // SAFETY: both slices are that many lines long, the first is aligned to a line, and as a
        // unique borrow it overlaps nothing. The processor has the instructions: it says so, and
        // SSE2 belongs to every x86-64.
        unsafe {
            if is_x86_feature_detected!("avx512f") {
                avx512(to, from, lines, next);
            } else if is_x86_feature_detected!("avx") {
                avx(to, from, lines, next);
            } else {
                sse2(to, from, lines, next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements `from` to `to` of an array are written, in pieces; returns all of it.
    fn written<T: Real>(stores: Stores, from: usize, to: usize, piece: usize) -> Vec<T> {
        let x: Vec<T> = (0..200).map(T::from_usize).collect();
        let mut y = vec![-T::ONE; 200];
        let out = &mut y[from..to];
        let next = [&x[piece..], &x[..0]];
        stores.run(piece, |stream| {
            stream.write(out, next, |place, out| {
                assert!(place.len() == out.len() && out.len() <= piece);
                out.copy_from_slice(&x[place]);
            });
        });
        y
    }

    fn check<T: Real>() {
        for from in [0, 1, 5, 16, 31] {
            for to in [from, from + 1, from + 15, from + 64, 199, 200] {
                for piece in [1, 7, 16, 64, 199] {
                    let y = written::<T>(Stores::Streaming, from, to, piece);
                    let expected = (0..200).map(|i| match i {
                        _ if i < from || i >= to => -T::ONE,
                        _ => T::from_usize(i - from),
                    });
                    assert!(y.iter().copied().eq(expected), "{from}..{to} by {piece}");
                    assert_eq!(y, written::<T>(Stores::Ordinary, from, to, piece));
                }
            }
        }
    }

    #[test]
    fn every_element_is_written_once_wherever_an_array_begins_and_ends() {
        check::<f32>();
        check::<f64>();
    }

    #[test]
    fn several_arrays_are_written_in_one_run() {
        let mut y = [0.0_f32; 64];
        let (first, second) = y.split_at_mut(33);
        Stores::Streaming.run(32, |stream| {
            stream.write(first, [], |_, y| y.fill(1.0));
            stream.write(second, [], |_, y| y.fill(2.0));
        });
        assert_eq!((&y[..33], &y[33..]), (&[1.0; 33][..], &[2.0; 31][..]));
    }

    #[test]
    fn ordinary_stores_and_pieces_too_large_for_a_buffer_are_made_in_place() {
        let mut y = vec![3.0_f64; BUFFER / 8 + 1];
        for (stores, piece) in [(Stores::Ordinary, 1), (Stores::Streaming, BUFFER / 8 + 1)] {
            stores.run(piece, |stream| {
                stream.write(&mut y, [], |_, y| y.iter_mut().for_each(|y| *y += 1.0));
            });
        }
        assert!(y.iter().all(|&y| y == 5.0));
    }

    /// What the instruction itself does is the processor's: without it no test would see a number
    /// come late, unless by chance.
    #[test]
    fn a_run_fences_once_all_is_written_however_it_is_left() {
        let mut y = [0.0_f32; 64];
        let before = FENCES.get();
        Stores::Streaming.run(64, |stream| {
            stream.write(&mut y, [], |_, y| y.fill(1.0));
            assert_eq!(FENCES.get(), before);
        });
        assert_eq!(FENCES.get(), before + 1);
        let left = std::panic::catch_unwind(|| {
            Stores::Streaming.run::<f32, ()>(1, |_| panic!("it is left"));
        });
        assert!(left.is_err());
        assert_eq!(FENCES.get(), before + 2);
    }

    #[test]
    fn what_threads_may_find_in_a_cache_is_stored_there() {
        // 32 MiB for each thread, an input and a result.
        let threads = parallel::threads();
        assert_eq!(Stores::of::<f32>(threads << 22), Stores::Ordinary);
        assert_eq!(Stores::of::<f32>((threads << 22) + 1), Stores::Streaming);
        assert_eq!(Stores::of::<f64>(threads << 21), Stores::Ordinary);
        assert_eq!(Stores::of::<f64>(usize::MAX), Stores::Streaming);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn numbers_of_any_size_are_asked_for() {
        x86::fetch(&[[0_u8; LINE + 1]; 3]);
        x86::fetch(&[(); 3]);
    }

    #[test]
    #[should_panic(expected = "a piece has at least one element")]
    fn a_piece_is_not_empty() {
        Stores::Ordinary.run::<f32, _>(0, |_| ());
    }
}

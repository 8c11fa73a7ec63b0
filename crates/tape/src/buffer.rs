//! Reference-counted buffers that come from, and go back to, a pool.
//!
//! A training step asks for the same sizes over and over. Fresh pages cost about
//! 0.4 ms per MiB (the kernel must zero them); a pooled buffer costs a few
//! nanoseconds. Each thread keeps its own pool, so no lock is taken, and the pool
//! is capped, so a burst of large tensors is given back to the system.

use std::cell::RefCell;

use triomphe::Arc;

/// A shared buffer. Its length may exceed what its tensor shows: the pool hands
/// out lengths rounded up to a power of two, and starts them on a cache line.
pub(crate) struct Buffer<T: Pooled> {
    vec: Option<Arc<Vec<T>>>,
    /// Where the elements begin.
    start: usize,
}

/// Bytes of a cache line. A vector register that straddles two lines takes two accesses;
/// the allocator's own alignment, 16 bytes, makes every wide load and store do so.
const LINE: usize = 64;

/// Elements a vector needs beyond its use, so that this can start on a cache line.
const fn slack<T>() -> usize {
    (LINE / size_of::<T>()).saturating_sub(1)
}

/// Elements that a vector has room for, wherever its first cache line begins.
fn room<T>(vec: &[T]) -> usize {
    vec.len().saturating_sub(slack::<T>())
}

/// The first element of `vec` on a cache line, or 0 where none is, as it may be for a type whose
/// size is no power of two.
#[inline]
fn first_on_a_line<T>(vec: &[T]) -> usize {
    let start = vec.as_ptr().align_offset(LINE);
    if start <= slack::<T>() { start } else { 0 }
}

/// Most bytes that one thread's pool keeps; beyond it, buffers are freed. Like [`pooled_bytes`],
/// it counts what buffers have room for, a power of two of elements each, and not the few more
/// that let them start on a cache line: so what fills it is a whole number of large buffers.
pub const POOL_LIMIT: usize = 1 << 30;

/// A buffer is left over from other work when so many others were asked for since one of its size
/// was: more than a step of a small network asks for.
const PATIENCE: u64 = 1024;

/// One list of free buffers for each power of two.
const CLASSES: usize = usize::BITS as usize;

/// The free buffers of one thread, for one element type.
pub struct Pool<T> {
    free: [Vec<Arc<Vec<T>>>; CLASSES],
    bytes: usize,
    /// How often a buffer was asked for, and the number of the last time for each class.
    asked: u64,
    last_asked: [u64; CLASSES],
}

impl<T> Pool<T> {
    const fn new() -> Self {
        Pool {
            free: [const { Vec::new() }; CLASSES],
            bytes: 0,
            asked: 0,
            last_asked: [0; CLASSES],
        }
    }

    /// A free buffer of at least `n` elements, if there is one.
    #[inline]
    fn take(&mut self, n: usize) -> Option<Arc<Vec<T>>> {
        let class = class_that_fits(n);
        self.asked += 1;
        self.last_asked[class] = self.asked;
        let buffer = self.free[class].pop()?;
        self.bytes -= room(&buffer) * size_of::<T>();
        Some(buffer)
    }

    /// Keeps `buffer` for later, unless the pool is full or did not make it: a loop that
    /// brings a vector of its own each time would fill the pool with vectors nobody asks
    /// for.
    #[inline]
    fn put(&mut self, buffer: Arc<Vec<T>>) {
        let room = room(&buffer);
        if !room.is_power_of_two() {
            return;
        }
        let (class, bytes) = (room.ilog2() as usize, room * size_of::<T>());
        if self.bytes + bytes <= POOL_LIMIT || self.make_room(class, bytes) {
            self.bytes += bytes;
            self.free[class].push(buffer);
        }
    }

    /// Frees other buffers until `bytes` more can be kept for `class`, or none if that is not
    /// enough. Smaller ones give way, since what the system takes for a buffer goes by its pages;
    /// larger ones only when they are left over from other work.
    #[cold]
    fn make_room(&mut self, class: usize, bytes: usize) -> bool {
        let of = |class: usize| size_of::<T>() << class;
        let left_over = |pool: &Self, c: usize| pool.asked - pool.last_asked[c] > PATIENCE;
        let gives_way = |pool: &Self, c: usize| {
            !pool.free[c].is_empty() && c != class && (c < class || left_over(pool, c))
        };
        let giving = (0..CLASSES).filter(|&c| gives_way(self, c));
        let freed: usize = giving.map(|c| self.free[c].len() * of(c)).sum();
        if self.bytes - freed + bytes > POOL_LIMIT {
            return false;
        }
        while self.bytes + bytes > POOL_LIMIT {
            // Those first that were asked for longest ago.
            let giving = (0..CLASSES).filter(|&c| gives_way(self, c));
            let Some(c) = giving.min_by_key(|&c| self.last_asked[c]) else {
                return false;
            };
            self.free[c].pop();
            self.bytes -= of(c);
        }
        true
    }
}

/// Every buffer of this class has room for `n` elements: ⌈log₂ n⌉.
#[inline]
fn class_that_fits(n: usize) -> usize {
    n.max(1).next_power_of_two().ilog2() as usize
}

// ANCHOR: pooled
/// Element types that may have a thread-local pool; by default there is none.
pub trait Pooled: Sized + Copy {
    /// What a new buffer is filled with: 0.
    const NEW: Self;
    /// What stale contents are overwritten with in debug builds: not a number.
    const POISON: Self;

    /// Runs `f` on this thread's pool; `None` if there is none, as while the thread is being
    /// torn down.
    #[doc(hidden)]
    fn with_pool<R>(_: impl FnOnce(&mut Pool<Self>) -> R) -> Option<R> {
        None
    }
}

macro_rules! pooled {
    ($t:ident, $pool:ident) => {
        thread_local! {
            static $pool: RefCell<Pool<$t>> = const { RefCell::new(Pool::new()) };
        }
        impl Pooled for $t {
            const NEW: Self = 0.0;
            const POISON: Self = $t::NAN;

            #[inline]
            fn with_pool<R>(f: impl FnOnce(&mut Pool<Self>) -> R) -> Option<R> {
                $pool.try_with(|pool| f(&mut pool.borrow_mut())).ok()
            }
        }
    };
}

pooled!(f32, POOL_F32);
pooled!(f64, POOL_F64);
// ANCHOR_END: pooled

impl<T: Pooled> Buffer<T> {
    /// At least `n` elements with arbitrary contents: every one must be written
    /// before it is read. In debug builds they are NaN, so that a kernel which
    /// forgets one is found by any test that looks at its output.
    #[inline]
    pub(crate) fn scratch(n: usize) -> Self {
        let pooled = T::with_pool(|pool| pool.take(n)).flatten();
        // `vec![0; n]` asks the system for zeroed pages, which cost nothing until touched.
        let length = (1 << class_that_fits(n)) + slack::<T>();
        let mut vec = pooled.unwrap_or_else(|| Arc::new(vec![T::NEW; length]));
        let start = first_on_a_line(&vec);
        if cfg!(debug_assertions)
            && let Some(stale) = Arc::get_mut(&mut vec)
        {
            stale[start..start + n].fill(T::POISON);
        }
        Buffer {
            vec: Some(vec),
            start,
        }
    }

    /// Takes over a vector the caller filled, or copies it to a cache line: kernels that
    /// read one array on and write another off the lines are the slowest of all.
    pub(crate) fn from_vec(data: Vec<T>) -> Self {
        let small = size_of_val(&data[..]) < 16 * LINE;
        if small || data.as_ptr().align_offset(LINE) == 0 {
            return Buffer {
                vec: Some(Arc::new(data)),
                start: 0,
            };
        }
        let mut buffer = Buffer::scratch(data.len());
        buffer.make_mut(data.len())[..data.len()].copy_from_slice(&data);
        buffer
    }

    #[inline]
    fn arc(&self) -> &Arc<Vec<T>> {
        self.vec
            .as_ref()
            .expect("a buffer is empty only while it is dropped")
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        &self.arc()[self.start..]
    }

    /// Whether another handle holds the same buffer.
    pub(crate) fn is_shared(&self) -> bool {
        !Arc::is_unique(self.arc())
    }

    /// The contents for writing; copies the first `n` elements first if they are shared.
    #[inline]
    pub(crate) fn make_mut(&mut self, n: usize) -> &mut [T] {
        if self.is_shared() {
            let mut copy = Buffer::scratch(n);
            copy.make_mut(n)[..n].copy_from_slice(&self.as_slice()[..n]);
            *self = copy;
        }
        let arc = self
            .vec
            .as_mut()
            .expect("a buffer is empty only while it is dropped");
        &mut Arc::get_mut(arc).expect("the buffer is not shared")[self.start..]
    }

    /// A number that two handles on the same buffer agree on.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(self.arc()) as usize
    }
}

impl<T: Pooled> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Buffer {
            vec: self.vec.clone(),
            start: self.start,
        }
    }
}

impl<T: Pooled> Drop for Buffer<T> {
    #[inline]
    fn drop(&mut self) {
        // Only the last handle returns the buffer; earlier ones count down.
        if let Some(buffer) = self.vec.take()
            && Arc::is_unique(&buffer)
        {
            T::with_pool(|pool| pool.put(buffer));
        }
    }
}

/// Bytes of free buffers that this thread's pool holds for element type `T`.
pub fn pooled_bytes<T: Pooled>() -> usize {
    T::with_pool(|pool| pool.bytes).unwrap_or(0)
}

/// Gives this thread's free buffers of element type `T` back to the system.
pub fn clear_pool<T: Pooled>() {
    T::with_pool(|pool| *pool = Pool::new());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_handed_out_again() {
        clear_pool::<f32>();
        let first = Buffer::<f32>::scratch(1000);
        let address = first.address();
        drop(first);
        assert_eq!(pooled_bytes::<f32>(), 1024 * 4);
        let second = Buffer::<f32>::scratch(600);
        assert_eq!(second.address(), address);
        assert_eq!(pooled_bytes::<f32>(), 0);
    }

    #[test]
    fn a_shared_buffer_is_not_pooled_until_its_last_handle_goes() {
        clear_pool::<f64>();
        let first = Buffer::<f64>::scratch(8);
        let second = first.clone();
        drop(first);
        assert_eq!(pooled_bytes::<f64>(), 0);
        drop(second);
        assert_eq!(pooled_bytes::<f64>(), 8 * 8);
    }

    #[test]
    fn writing_to_a_shared_buffer_copies_it() {
        let first = Buffer::from_vec(vec![1.0_f32, 2.0]);
        let mut second = first.clone();
        second.make_mut(2)[0] = 5.0;
        assert_eq!(first.as_slice(), [1.0, 2.0]);
        assert_eq!(second.as_slice()[..2], [5.0, 2.0]);
    }

    #[test]
    fn a_vector_of_the_callers_is_freed_not_pooled() {
        clear_pool::<f32>();
        for n in [1, 100, 1000, 1024, 5000] {
            let buffer = Buffer::from_vec(vec![0.0_f32; n]);
            let copied = buffer.arc().len() != n;
            drop(buffer);
            // What was copied to a cache line lies in a buffer of the pool's own.
            assert_eq!(pooled_bytes::<f32>() > 0, copied, "{n} elements");
            clear_pool::<f32>();
        }
    }

    #[test]
    fn stale_contents_are_poisoned_in_debug_builds() {
        let mut used = Buffer::<f64>::scratch(4);
        used.make_mut(4).fill(1.0);
        drop(used);
        let stale = Buffer::<f64>::scratch(4);
        if cfg!(debug_assertions) {
            assert!(stale.as_slice()[..4].iter().all(|x| x.is_nan()));
        }
    }

    #[test]
    fn the_pool_frees_what_exceeds_its_limit() {
        let mut pool = Pool::<f64>::new();
        pool.bytes = POOL_LIMIT - 8;
        pool.put(of_room_for(2));
        assert_eq!(pool.bytes, POOL_LIMIT - 8);
        pool.put(of_room_for(1));
        assert_eq!(pool.bytes, POOL_LIMIT);
        pool.put(of_room_for(1));
        assert_eq!(pool.bytes, POOL_LIMIT);
    }

    /// How many buffers of each of the first classes are kept.
    fn kept(pool: &Pool<f64>) -> [usize; 5] {
        [0, 1, 2, 3, 4].map(|class| pool.free[class].len())
    }

    /// A full pool, with buffers of room for these numbers of elements in it.
    fn full_pool(sizes: &[usize]) -> Pool<f64> {
        let mut pool = Pool::new();
        for &n in sizes {
            pool.put(of_room_for(n));
        }
        pool.bytes = POOL_LIMIT;
        pool
    }

    fn of_room_for(n: usize) -> Arc<Vec<f64>> {
        Arc::new(vec![0.0; n + slack::<f64>()])
    }

    /// A norm's statistics are freed before its gradient, and took the place of a buffer whose
    /// pages cost a hundred times as much.
    #[test]
    fn smaller_buffers_give_way_to_a_large_one() {
        let mut pool = full_pool(&[1, 2, 2, 4]);
        // All of them are not enough for this one.
        pool.put(of_room_for(16));
        assert_eq!(kept(&pool), [1, 2, 1, 0, 0]);
        assert_eq!(pool.bytes, POOL_LIMIT);
        // No more of them than must; those first that were asked for longest ago.
        pool.take(1).expect("there is one");
        pool.put(of_room_for(1));
        pool.put(of_room_for(4));
        assert_eq!(kept(&pool), [1, 0, 2, 0, 0]);
        assert_eq!(pool.bytes, POOL_LIMIT);
        // The same size is no reason to free one.
        pool.free[0].clear();
        pool.put(of_room_for(4));
        assert_eq!(kept(&pool), [0, 0, 2, 0, 0]);
    }

    /// After work on large arrays, all that was small came from the system.
    #[test]
    fn a_large_buffer_that_nobody_asks_for_gives_way() {
        let mut pool = full_pool(&[16]);
        for _ in 0..PATIENCE {
            assert!(pool.take(1).is_none());
            pool.put(of_room_for(1));
            assert_eq!(kept(&pool), [0, 0, 0, 0, 1]);
        }
        assert!(pool.take(1).is_none());
        pool.put(of_room_for(1));
        assert_eq!(kept(&pool), [1, 0, 0, 0, 0]);
        assert_eq!(pool.bytes, POOL_LIMIT - 15 * 8);
    }

    /// What a hundred million values take: the pages of these are never touched.
    #[test]
    fn two_buffers_of_half_the_limit_are_kept() {
        clear_pool::<f32>();
        let half = POOL_LIMIT / 2 / size_of::<f32>();
        let buffers: [Vec<f32>; 2] = [(); 2].map(|()| vec![0.0; half + slack::<f32>()]);
        for vec in buffers {
            drop(Buffer {
                vec: Some(Arc::new(vec)),
                start: 0,
            });
        }
        assert_eq!(pooled_bytes::<f32>(), POOL_LIMIT);
        clear_pool::<f32>();
    }

    #[test]
    fn a_scratch_buffer_starts_on_a_cache_line() {
        clear_pool::<f32>();
        for n in [0, 1, 5, 16, 100, 512, 985, 5000] {
            let mut buffer = Buffer::<f32>::scratch(n);
            assert_eq!(
                buffer.as_slice().as_ptr() as usize % LINE,
                0,
                "{n} elements"
            );
            assert!(buffer.make_mut(n).len() >= n);
        }
    }

    #[test]
    fn a_large_vector_is_brought_to_a_cache_line() {
        for shift in [0, 1, 4] {
            let data: Vec<f32> = (shift..5000).map(|i| i as f32).collect();
            let buffer = Buffer::from_vec(data.clone());
            assert_eq!(buffer.as_slice().as_ptr() as usize % LINE, 0);
            assert_eq!(buffer.as_slice()[..data.len()], data);
        }
    }

    /// A vector of `n` numbers that the allocator did not put on a cache line.
    fn off_the_line(n: usize) -> Vec<f32> {
        let candidates: Vec<Vec<f32>> = (0..64).map(|_| vec![0.0; n]).collect();
        (candidates.into_iter())
            .find(|v| v.as_ptr().align_offset(LINE) != 0)
            .expect("an allocator that aligns all it gives")
    }

    #[test]
    fn a_vector_is_copied_where_lines_matter_and_only_there() {
        let least = 16 * LINE / size_of::<f32>();
        for (n, copied) in [(100, false), (least - 1, false), (least, true)] {
            let data = off_the_line(n);
            let address = data.as_ptr();
            let buffer = Buffer::from_vec(data);
            assert_eq!(buffer.as_slice().as_ptr() != address, copied, "{n} numbers");
        }
    }

    #[test]
    fn a_cleared_pool_holds_nothing() {
        drop(Buffer::<f64>::scratch(100));
        assert!(pooled_bytes::<f64>() > 0);
        clear_pool::<f64>();
        assert_eq!(pooled_bytes::<f64>(), 0);
    }

    #[test]
    fn an_empty_buffer_is_legal() {
        let mut empty = Buffer::<f32>::scratch(0);
        let _ = empty.make_mut(0);
        drop(Buffer::<f32>::from_vec(Vec::new()));
    }
}

//! Threads inside kernels: off for small work, and never visible in a result.
//!
//! A kernel cuts its work into parts that touch disjoint outputs. Where a sum crosses
//! parts, the kernel keeps one partial sum for each block of a fixed size and adds the
//! blocks in order, so that the number of threads changes no bit of the result.

use std::cell::Cell;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

// ANCHOR: serial_below
/// Elements below which a kernel stays on the calling thread: waking another one costs
/// tens of microseconds, in which one core streams about this many.
pub const SERIAL_BELOW: usize = 1 << 18;
// ANCHOR_END: serial_below

// ANCHOR: inside
thread_local! {
    /// Set on threads that run a part: what a part calls does not fork again.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as running a part until it is dropped, by a panic too.
struct Inside;

impl Inside {
    fn enter() -> Self {
        INSIDE.set(true);
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}
// ANCHOR_END: inside

// ANCHOR: threads
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// How many threads kernels may use: what [`set_threads`] said, else one per core.
pub fn threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => {
            let n = cores();
            THREADS.store(n, Ordering::Relaxed);
            n
        }
        n => n,
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Limits kernels to `n` threads, for the whole process.
///
/// # Panics
/// If `n` is zero.
#[track_caller]
pub fn set_threads(n: usize) {
    assert!(
        n > 0,
        "set_threads: at least one thread must do the work, got 0"
    );
    THREADS.store(n, Ordering::Relaxed);
}
// ANCHOR_END: threads

// ANCHOR: ranges
/// Cuts `0..items` into one contiguous range per thread, or into a single range when
/// `elements`, the size of the whole work, is too small to be worth a thread, or when
/// this is already one part of larger work.
pub fn ranges(items: usize, elements: usize) -> Vec<Range<usize>> {
    let parts = if elements < SERIAL_BELOW || INSIDE.get() {
        1
    } else {
        threads().min(items).max(1)
    };
    (0..parts).map(|p| part(items, parts, p)).collect()
}

/// Part `p` of `0..items` cut into `parts` of nearly the same length.
pub(crate) fn part(items: usize, parts: usize, p: usize) -> Range<usize> {
    // ⌊items · p / parts⌋, by a way on which no product is larger than `items` or the
    // square of `parts`.
    let start = |p| items / parts * p + items % parts * p / parts;
    start(p)..start(p + 1)
}
// ANCHOR_END: ranges

// ANCHOR: for_each
/// Runs `f` on every part, each on its own thread; the first on the calling thread.
///
/// A panic in any part reaches the caller.
pub fn for_each<P: Send>(parts: Vec<P>, f: impl Fn(P) + Sync) {
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return };
    if parts.len() == 0 {
        return f(first);
    }
    // Threads that wait for work: to start one anew for each kernel costs ten times as much
    // as to wake it.
    pool().in_place_scope(|scope| {
        for part in parts {
            let f = &f;
            scope.spawn(move |_| {
                let _inside = Inside::enter();
                f(part);
            });
        }
        let _inside = Inside::enter();
        f(first);
    });
}

/// The threads beside the caller's: one for each other core.
fn pool() -> &'static rayon::ThreadPool {
    static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();
    POOL.get_or_init(|| {
        let others = cores().saturating_sub(1).max(1);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(others);
        pool.build().expect("the system starts threads")
    })
}
// ANCHOR_END: for_each

// ANCHOR: split_mut
/// Cuts `data` into consecutive pieces of the given lengths.
///
/// # Panics
/// If the lengths add up to more than `data.len()`.
pub fn split_mut<T>(mut data: &mut [T], lengths: impl IntoIterator<Item = usize>) -> Vec<&mut [T]> {
    let mut pieces = Vec::new();
    for length in lengths {
        let (piece, rest) = data.split_at_mut(length);
        pieces.push(piece);
        data = rest;
    }
    pieces
}
// ANCHOR_END: split_mut

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_every_item_once() {
        for items in [0, 1, 2, 7, 100] {
            let all: Vec<usize> = ranges(items, usize::MAX).into_iter().flatten().collect();
            assert_eq!(all, (0..items).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_largest_number_of_items_is_cut_evenly() {
        for parts in [1, 2, 3, 7] {
            let all: Vec<_> = (0..parts).map(|p| part(usize::MAX, parts, p)).collect();
            assert_eq!((all[0].start, all[parts - 1].end), (0, usize::MAX));
            for pair in all.windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
                assert!(pair[0].len().abs_diff(pair[1].len()) <= 1);
            }
        }
    }

    #[test]
    fn small_work_stays_on_one_thread() {
        assert_eq!(ranges(100, SERIAL_BELOW - 1), vec![0..100]);
        assert_eq!(ranges(1, usize::MAX).len(), 1);
        assert_eq!(ranges(100, SERIAL_BELOW).len(), threads().min(100));
    }

    #[test]
    fn every_core_is_used() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(threads(), cores);
    }

    #[test]
    fn every_part_is_run() {
        let mut out = [0; 6];
        let parts = split_mut(&mut out, [1, 2, 3]);
        for_each(parts.into_iter().enumerate().collect(), |(i, part)| {
            part.fill(i + 1)
        });
        assert_eq!(out, [1, 2, 2, 3, 3, 3]);
    }

    #[test]
    fn a_part_does_not_fork_again() {
        for_each(vec![0, 1], |_| assert_eq!(ranges(8, usize::MAX).len(), 1));
        assert_eq!(ranges(8, usize::MAX).len(), threads().min(8));
        // Not even after a panic in the part that ran here.
        let outcome = std::panic::catch_unwind(|| for_each(vec![0, 1], |i| assert!(i != 0)));
        assert!(outcome.is_err());
        assert_eq!(ranges(8, usize::MAX).len(), threads().min(8));
    }

    #[test]
    #[should_panic]
    fn a_panic_in_a_part_reaches_the_caller() {
        for_each(vec![0, 1, 2], |i| assert!(i != 2));
    }

    #[test]
    #[should_panic(expected = "at least one thread")]
    fn no_threads_is_refused() {
        set_threads(0);
    }
}

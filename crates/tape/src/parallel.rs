//! Threads inside kernels: off for small work, and never visible in a result.
//!
//! A kernel names its items (rows, images, blocks of rows), and the buffers that it writes
//! with the width of an item in each. It is handed parts: a range of items, and of every
//! buffer the elements of these items, which no other thread can reach. Where a sum crosses
//! parts, the kernel makes an item of each block of a fixed size, with a partial sum of its
//! own, and adds the blocks in order, so that the number of threads changes no bit of the
//! result.

use std::cell::Cell;
use std::hint;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Elements below which a kernel stays on the calling thread: to wake another one, unless it
/// lingers, costs tens of microseconds, in which one core streams about this many.
pub const SERIAL_BELOW: usize = 1 << 17;

/// How long a thread that has done its part waits awake for the next kernel, or for the other
/// parts: about as long as it takes to fall asleep and to be woken. Then waiting never costs more
/// than twice what the better of the two would have, whenever the work comes.
const LINGER: Duration = Duration::from_micros(50);

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

/// Cuts `0..items` into one contiguous range per thread, or into a single range when
/// `elements`, the size of the whole work, is too small to be worth a thread, or when
/// this is already one part of larger work.
pub fn ranges(items: usize, elements: usize) -> Vec<Range<usize>> {
    let parts = parts(items, elements);
    (0..parts).map(|p| range(items, parts, p)).collect()
}

/// How many ranges that are.
fn parts(items: usize, elements: usize) -> usize {
    if elements < SERIAL_BELOW || INSIDE.get() {
        1
    } else {
        threads().min(items).max(1)
    }
}

/// Part `p` of `0..items`.
fn range(items: usize, parts: usize, p: usize) -> Range<usize> {
    cut(items, parts, p)..cut(items, parts, p + 1)
}

/// Where part `p` begins when `0..items` is cut into `parts` of nearly the same length:
/// ⌊items · p / parts⌋, by a way on which no product is larger than `items` or the square of
/// `parts`.
pub(crate) fn cut(items: usize, parts: usize, p: usize) -> usize {
    items / parts * p + items % parts * p / parts
}

/// Cuts `items` into a part for each thread ([`ranges`]), and calls `f` on every part: a
/// range of items, and what `buffers` hold for them.
///
/// # Panics
/// If a buffer holds more or fewer elements than the items have. A panic in any part
/// reaches the caller.
#[track_caller]
pub fn for_each_part<B: Split>(
    items: usize,
    elements: usize,
    buffers: B,
    f: impl Fn(Range<usize>, B) + Sync,
) {
    buffers.check(0..items);
    // A browser's module has one thread, and fewer bytes without what would share the work out.
    if cfg!(target_family = "wasm") {
        return f(0..items, buffers);
    }
    share_out(items, elements, buffers, &f);
}

/// A kernel is compiled once, and not once more for each way that leads to it: so what shares the
/// work out is the same code for all kernels that write to the same buffers.
#[inline(never)]
fn share_out<B: Split>(
    items: usize,
    elements: usize,
    mut buffers: B,
    f: &(dyn Fn(Range<usize>, B) + Sync),
) {
    let parts = parts(items, elements);
    if parts == 1 {
        return f(0..items, buffers);
    }
    let part = |p| -> Part<'_> {
        let range = range(items, parts, p);
        let buffers = buffers.split_off(range.clone());
        Box::new(move || f(range, buffers))
    };
    run((0..parts).map(part).collect());
}

/// Like [`for_each_part`], but calls `f` on every single item, with its number and its
/// elements in each buffer.
///
/// # Panics
/// As [`for_each_part`].
#[track_caller]
pub fn for_each_item<B: Split>(
    items: usize,
    elements: usize,
    buffers: B,
    f: impl Fn(usize, B::Slices) + Sync,
) {
    for_each_part(items, elements, buffers, |range, buffers| {
        for (i, slices) in buffers.items(range) {
            f(i, slices);
        }
    });
}

/// What one thread has to do.
type Part<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Does every part, each on its own thread; the first on the calling thread.
fn run(parts: Vec<Part<'_>>) {
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return };
    let (others, done) = (parts.len(), AtomicUsize::new(0));
    // Threads that wait for work: to start one anew for each kernel costs ten times as much
    // as to wake it.
    pool().in_place_scope(|scope| {
        for part in parts {
            let done = &done;
            scope.spawn(move |_| {
                let inside = Inside::enter();
                part();
                drop(inside);
                linger();
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        CALLS.fetch_add(1, Ordering::Relaxed);
        let _inside = Inside::enter();
        first();
        // The scope waits too, but asleep: so a moment longer, in which it hears of the last part.
        stay_awake_until(|| done.load(Ordering::Relaxed) == others);
        (0..MOMENT).for_each(|_| hint::spin_loop());
    });
}

/// Turns of a loop that take about a microsecond.
const MOMENT: usize = 16;

/// How often work has been handed out: whoever waits for it sees the number change.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Keeps the thread of the pool that calls this awake for a while after what it does now.
fn linger() {
    let calls = CALLS.load(Ordering::Relaxed);
    pool().spawn(move || stay_awake_until(|| CALLS.load(Ordering::Relaxed) != calls));
}

/// Returns when it is so, or after [`LINGER`].
fn stay_awake_until(so: impl Fn() -> bool) {
    let start = Instant::now();
    while !so() && start.elapsed() < LINGER {
        hint::spin_loop();
    }
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

/// Buffers that can be cut between items: [`rows`], [`starting`] and [`interleaved`] make
/// them of a slice; two of them are one, and so is one that need not be there.
pub trait Split: Sized + Send {
    /// The elements themselves, as slices.
    type Slices;

    /// Takes off the front what belongs to `items`, which must be the next ones.
    fn split_off(&mut self, items: Range<usize>) -> Self;

    /// What is left, as slices.
    fn slices(self) -> Self::Slices;

    /// Panics unless this is what belongs to `items`, no more and no less.
    #[track_caller]
    fn check(&self, items: Range<usize>);

    /// One item after the other: its number and its elements.
    fn items(mut self, items: Range<usize>) -> impl Iterator<Item = (usize, Self::Slices)> {
        items.map(move |i| (i, self.split_off(i..i + 1).slices()))
    }
}

impl<A: Split, B: Split> Split for (A, B) {
    type Slices = (A::Slices, B::Slices);

    #[inline]
    fn split_off(&mut self, items: Range<usize>) -> Self {
        (self.0.split_off(items.clone()), self.1.split_off(items))
    }

    #[inline]
    fn slices(self) -> Self::Slices {
        (self.0.slices(), self.1.slices())
    }

    #[track_caller]
    fn check(&self, items: Range<usize>) {
        self.0.check(items.clone());
        self.1.check(items);
    }
}

impl<B: Split> Split for Option<B> {
    type Slices = Option<B::Slices>;

    #[inline]
    fn split_off(&mut self, items: Range<usize>) -> Self {
        self.as_mut().map(|buffer| buffer.split_off(items))
    }

    #[inline]
    fn slices(self) -> Self::Slices {
        self.map(B::slices)
    }

    #[track_caller]
    fn check(&self, items: Range<usize>) {
        if let Some(buffer) = self {
            buffer.check(items);
        }
    }
}

/// A slice in which the items follow each other, `width` elements each.
pub fn rows<T: Send>(
    data: &mut [T],
    width: usize,
) -> Rows<'_, T, impl Fn(usize) -> usize + Copy + Send> {
    starting(data, move |item| item * width)
}

/// A slice in which the items follow each other, item `i` from `start(i)` to `start(i + 1)`.
pub fn starting<T: Send, S: Fn(usize) -> usize + Copy + Send>(
    data: &mut [T],
    start: S,
) -> Rows<'_, T, S> {
    Rows { data, start }
}

/// What [`rows`] and [`starting`] make.
pub struct Rows<'a, T, S> {
    data: &'a mut [T],
    start: S,
}

impl<'a, T: Send, S: Fn(usize) -> usize + Copy + Send> Split for Rows<'a, T, S> {
    type Slices = &'a mut [T];

    #[inline]
    fn split_off(&mut self, items: Range<usize>) -> Self {
        let length = (self.start)(items.end) - (self.start)(items.start);
        Rows {
            data: take(&mut self.data, length),
            start: self.start,
        }
    }

    #[inline]
    fn slices(self) -> Self::Slices {
        self.data
    }

    #[track_caller]
    fn check(&self, items: Range<usize>) {
        check_length(self.data.len(), items, self.start);
    }
}

/// Takes the first `length` elements off the front of `rest`.
#[inline]
fn take<'a, T>(rest: &mut &'a mut [T], length: usize) -> &'a mut [T] {
    let front = rest.split_off_mut(..length);
    front.expect("the items have no more elements than their buffer")
}

#[track_caller]
fn check_length(length: usize, items: Range<usize>, start: impl Fn(usize) -> usize) {
    let needed = start(items.end) - start(items.start);
    assert!(
        length == needed,
        "a buffer of {length} elements cannot be cut for items {items:?}, which have {needed}; \
         pass the width of an item in this buffer"
    );
}

/// A slice in which all `items` lie side by side, and then once more, `turns` times over: in
/// turn `t`, item `i` from `start(t, i)` to `start(t, i + 1)`. An item has a slice for each
/// turn.
///
/// # Panics
/// If the items of all turns have more or fewer elements than there are.
#[track_caller]
pub fn interleaved<T: Send, S: Fn(usize, usize) -> usize + Copy + Send>(
    mut data: &mut [T],
    turns: usize,
    items: usize,
    start: S,
) -> Interleaved<'_, T, S> {
    let length = |t| start(t, items) - start(t, 0);
    let (given, needed) = (data.len(), (0..turns).map(length).sum::<usize>());
    assert!(
        given == needed,
        "a buffer of {given} elements cannot be cut for {turns} turns of {items} items, which \
         have {needed}; pass the width of an item in this buffer"
    );
    let turns = (0..turns).map(|t| take(&mut data, length(t))).collect();
    Interleaved { turns, start }
}

/// What [`interleaved`] makes.
pub struct Interleaved<'a, T, S> {
    turns: Vec<&'a mut [T]>,
    start: S,
}

impl<'a, T: Send, S: Fn(usize, usize) -> usize + Copy + Send> Split for Interleaved<'a, T, S> {
    type Slices = Vec<&'a mut [T]>;

    fn split_off(&mut self, items: Range<usize>) -> Self {
        let turns = self.turns.iter_mut().enumerate().map(|(t, rest)| {
            let length = (self.start)(t, items.end) - (self.start)(t, items.start);
            take(rest, length)
        });
        Interleaved {
            turns: turns.collect(),
            start: self.start,
        }
    }

    fn slices(self) -> Self::Slices {
        self.turns
    }

    #[track_caller]
    fn check(&self, items: Range<usize>) {
        for (t, turn) in self.turns.iter().enumerate() {
            check_length(turn.len(), items.clone(), |i| (self.start)(t, i));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Runs `f` on every number below `parts`, each on its own thread.
    fn run_each(parts: usize, f: impl Fn(usize) + Sync) {
        let part = |p| -> Part<'_> {
            let f = &f;
            Box::new(move || f(p))
        };
        run((0..parts).map(part).collect());
    }

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
            let all: Vec<_> = (0..=parts).map(|p| cut(usize::MAX, parts, p)).collect();
            assert_eq!((all[0], all[parts]), (0, usize::MAX));
            let lengths = all.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 1);
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
    fn every_item_has_its_elements_of_every_buffer() {
        let (mut wide, mut narrow, mut ragged) = ([9; 12], [9; 4], [9; 6]);
        let buffers = (
            rows(&mut wide, 3),
            (
                rows(&mut narrow, 1),
                Some(starting(&mut ragged, |i| i * (i + 1) / 2 - i.min(4))),
            ),
        );
        for_each_item(4, usize::MAX, buffers, |i, (wide, (narrow, ragged))| {
            wide.fill(i);
            narrow.fill(i);
            ragged.expect("it is there").fill(i);
        });
        assert_eq!(wide, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
        assert_eq!(narrow, [0, 1, 2, 3]);
        assert_eq!(ragged, [1, 2, 2, 3, 3, 3]);
        let none = None::<Rows<'_, u8, fn(usize) -> usize>>;
        for_each_item(4, usize::MAX, none, |_, slices| assert!(slices.is_none()));
    }

    #[test]
    fn interleaved_items_have_a_slice_for_each_turn() {
        // The third item is over after the first turn.
        let mut data = [9; 10];
        let buffers = interleaved(&mut data, 2, 3, |t, i: usize| 2 * i.min(3 - t));
        for_each_item(3, usize::MAX, buffers, |i, turns| {
            assert_eq!(turns.len(), 2);
            for (t, turn) in turns.into_iter().enumerate() {
                turn.fill(10 * t + i);
            }
        });
        assert_eq!(data, [0, 0, 1, 1, 2, 2, 10, 10, 11, 11]);
    }

    #[test]
    fn a_part_has_what_belongs_to_its_items() {
        let mut data: Vec<usize> = (0..14).collect();
        for_each_part(7, usize::MAX, rows(&mut data, 2), |items, part| {
            let expected: Vec<usize> = (2 * items.start..2 * items.end).collect();
            assert_eq!(part.slices(), expected);
        });
    }

    #[test]
    #[should_panic(expected = "a buffer of 7 elements cannot be cut for items 0..3, which have 6")]
    fn a_buffer_that_holds_more_than_the_items_is_refused() {
        let mut data = [0; 7];
        for_each_item(3, 0, (rows(&mut [0; 3], 1), rows(&mut data, 2)), |_, _| {});
    }

    #[test]
    #[should_panic(expected = "a buffer of 4 elements cannot be cut for items 0..3, which have 6")]
    fn interleaved_items_are_as_many_as_were_named() {
        let mut data = [0; 8];
        let buffers = interleaved(&mut data, 2, 2, |_, i| 2 * i);
        for_each_item(3, 0, buffers, |_, _| {});
    }

    #[test]
    #[should_panic(expected = "a buffer of 9 elements cannot be cut for 2 turns of 2 items, which")]
    fn interleaved_items_fill_their_turns() {
        interleaved(&mut [0; 9], 2, 2, |_, i| 2 * i);
    }

    #[test]
    fn a_part_does_not_fork_again() {
        run_each(2, |_| assert_eq!(ranges(8, usize::MAX).len(), 1));
        assert_eq!(ranges(8, usize::MAX).len(), threads().min(8));
        // Not even after a panic in the part that ran here.
        let outcome = std::panic::catch_unwind(|| run_each(2, |i| assert!(i != 0)));
        assert!(outcome.is_err());
        assert_eq!(ranges(8, usize::MAX).len(), threads().min(8));
    }

    /// From the end of two parts until the threads beside this one are free for something else.
    fn until_free() -> Duration {
        let parts = Mutex::new(Instant::now());
        run_each(2, |_| *parts.lock().unwrap() = Instant::now());
        let end = *parts.lock().unwrap();
        let free = pool().broadcast(|_| Instant::now());
        let last = free.into_iter().max().expect("there is a thread");
        last.duration_since(end)
    }

    #[test]
    fn a_thread_that_has_done_its_part_stays_awake_for_the_next() {
        // Other tests hand out work meanwhile, which ends the waiting.
        let stayed = (0..200).filter(|_| until_free() >= LINGER).count();
        assert!(stayed >= 100, "{stayed} times of 200");
    }

    #[test]
    fn a_thread_that_stays_awake_hears_of_the_next_work() {
        let calls = CALLS.load(Ordering::Relaxed);
        run_each(2, |_| ());
        assert_ne!(CALLS.load(Ordering::Relaxed), calls);
    }

    #[test]
    #[should_panic]
    fn a_panic_in_a_part_reaches_the_caller() {
        run_each(3, |i| assert!(i != 2));
    }

    #[test]
    #[should_panic(expected = "at least one thread")]
    fn no_threads_is_refused() {
        set_threads(0);
    }
}

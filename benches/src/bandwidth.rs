//! How fast this machine moves memory, measured beside the kernels.
//!
//! Bytes are counted that move, not bytes that the source names. A store to a line that is in no
//! cache makes the processor read that line first, so an ordinary loop `a = s·b` moves three
//! arrays where STREAM counts two (McCalpin, 1995). [`Bandwidth`] counts these reads. Two of its
//! four loops have none: one only reads, and one updates its array in place. Where they differ, they
//! tell what the limit is: of the lines that come, or of those that go.

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};
use tape::vector;

use crate::cases::{Case, Pass};
use crate::machine::Machine;
use crate::timing::median;

/// Fewest elements of each of the three arrays: 64 MiB.
const LENGTH: usize = 1 << 24;
/// Sweeps over the arrays; the median one counts.
const PASSES: usize = 11;

/// Bytes that move in a second, divided by 10⁹.
#[derive(Clone, Copy, Debug)]
pub struct Bandwidth {
    /// The sum of an array: one read.
    pub read: f64,
    /// `a = −a`: one read, one written.
    pub update: f64,
    /// `a = s·b`: one read, one read to be written over, one written.
    pub scale: f64,
    /// `a = b + s·c`: two read, one read to be written over, one written.
    pub triad: f64,
}

impl Bandwidth {
    /// The names of the four loops.
    pub const LOOPS: [&'static str; 4] = ["read", "update", "scale", "triad"];

    /// All four, in the order of their names.
    pub fn all(self) -> [f64; 4] {
        [self.read, self.update, self.scale, self.triad]
    }

    /// The best of the four.
    pub fn best(self) -> f64 {
        self.all().into_iter().fold(0.0, f64::max)
    }

    /// The median of several, each loop for itself.
    pub fn median(of: &[Bandwidth]) -> Bandwidth {
        let over = |one: fn(&Bandwidth) -> f64| median(&mut of.iter().map(one).collect::<Vec<_>>());
        Bandwidth {
            read: over(|b| b.read),
            update: over(|b| b.update),
            scale: over(|b| b.scale),
            triad: over(|b| b.triad),
        }
    }

    /// As it stood there; a loop that was not measured moved nothing.
    pub fn from_json(found: &Value) -> Bandwidth {
        let [read, update, scale, triad] =
            Self::LOOPS.map(|name| found[name].as_f64().unwrap_or(0.0));
        Bandwidth {
            read,
            update,
            scale,
            triad,
        }
    }

    /// As it stands in the results: the loops that were measured.
    pub fn to_json(self) -> Value {
        let named = Self::LOOPS
            .iter()
            .zip(self.all())
            .filter(|(_, gb)| *gb > 0.0);
        Value::Object(
            named
                .map(|(name, gb)| ((*name).to_owned(), json!(gb)))
                .collect(),
        )
    }
}

/// The arrays of the probe, and how many threads sweep over them.
pub struct Probe {
    threads: usize,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Probe {
    /// A probe whose pages have been touched. Together its arrays are three times as large as the
    /// last cache, or 192 MiB.
    pub fn new(threads: usize) -> Self {
        let cache = Machine::here().last_level().unwrap_or(0);
        Self::of(threads, LENGTH.max(cache / size_of::<f32>()))
    }

    /// A probe of three arrays of this many elements.
    fn of(threads: usize, length: usize) -> Self {
        let array = |value: f32| vec![value; length];
        Probe {
            threads,
            a: array(1.0),
            b: array(2.0),
            c: array(3.0),
        }
    }

    /// Bytes that move when `arrays` arrays are read or written once.
    pub fn bytes(&self, arrays: usize) -> usize {
        arrays * self.a.len() * size_of::<f32>()
    }

    /// One sweep that only reads: the sum of `a`.
    pub fn read(&mut self) {
        sweep(self.threads, &mut self.a, |a, _| {
            black_box(vector::sum(a));
        });
    }

    /// One sweep of `a = −a`.
    pub fn update(&mut self) {
        sweep(self.threads, &mut self.a, |a, _| {
            vector::map_assign(a, |a| -a);
        });
    }

    /// One sweep of `a = s·b`.
    pub fn scale(&mut self) {
        let b = &self.b;
        sweep(self.threads, &mut self.a, |a, start| {
            vector::map(a, &b[start..], |b| 3.0 * b);
        });
    }

    /// One sweep of `a = b + s·c`.
    pub fn triad(&mut self) {
        let (b, c) = (&self.b, &self.c);
        sweep(self.threads, &mut self.a, |a, start| {
            vector::zip(a, &b[start..], &c[start..], |b, c| b + 3.0 * c);
        });
    }
}

/// Runs `f` on each thread's part of `a`, with the index at which it starts.
fn sweep(threads: usize, a: &mut [f32], f: impl Fn(&mut [f32], usize) + Sync) {
    let size = a.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let mut parts = a.chunks_mut(size).enumerate();
        let first = parts.next();
        for (i, part) in parts {
            let f = &f;
            scope.spawn(move || f(part, i * size));
        }
        if let Some((_, part)) = first {
            f(part, 0);
        }
    });
    black_box(a);
}

/// Measures with `threads` threads, each on its own part of the arrays.
pub fn measure(threads: usize) -> Bandwidth {
    let mut probe = Probe::new(threads);
    let mut of = |arrays: usize, sweep: fn(&mut Probe)| {
        probe.bytes(arrays) as f64 / time(PASSES, || sweep(&mut probe))
    };
    Bandwidth {
        read: of(1, Probe::read),
        update: of(2, Probe::update),
        scale: of(3, Probe::scale),
        triad: of(4, Probe::triad),
    }
}

/// GB/s of an update in place of one array of so many bytes, which stays in whatever cache it
/// fits into.
pub fn of_size(threads: usize, bytes: usize) -> f64 {
    /// Bytes of all sweeps that are timed together.
    const ENOUGH: usize = 1 << 30;
    let mut a = vec![1.0_f32; bytes / size_of::<f32>()];
    let repeats = (ENOUGH / (2 * bytes)).max(1);
    let ns = time(5, || {
        for _ in 0..repeats {
            sweep(threads, &mut a, |a, _| vector::map_assign(a, |a| -a));
        }
    });
    (2 * bytes * repeats) as f64 / ns
}

/// Median nanoseconds of one sweep, after one that is not timed.
fn time(passes: usize, mut sweep: impl FnMut()) -> f64 {
    sweep();
    let mut times: Vec<f64> = (0..passes)
        .map(|_| {
            let start = Instant::now();
            sweep();
            start.elapsed().as_nanos() as f64
        })
        .collect();
    median(&mut times)
}

/// Bytes that any implementation of `case` must move for f32 data: each input array read
/// once and each output array written once, in each direction. `None` where memory is not
/// the limit.
///
/// Forward reads x and writes y. Backward reads dy and x and writes dx. Parameters and
/// per-row or per-channel statistics are left out: they are far smaller. A kernel whose stores read
/// the lines that they write moves more, and is not credited for it.
pub fn compulsory_bytes(case: &Case) -> Option<usize> {
    let Case::Kernel(_, shape, pass) = case else {
        return None;
    };
    let arrays = match pass {
        Pass::Forward => 2,
        Pass::Both => 5,
    };
    Some(arrays * shape.iter().product::<usize>() * size_of::<f32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loop_does_what_it_says_on_any_number_of_threads() {
        for threads in [1, 2, 3] {
            let mut probe = Probe::of(threads, 100);
            probe.read();
            assert_eq!(probe.a, [1.0; 100]);
            probe.update();
            assert_eq!(probe.a, [-1.0; 100]);
            probe.scale();
            assert_eq!(probe.a, [6.0; 100]);
            probe.triad();
            assert_eq!(probe.a, [11.0; 100]);
            assert_eq!(probe.bytes(3), 1200);
        }
    }
}

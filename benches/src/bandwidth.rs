//! How fast this machine moves memory, measured beside the kernels.
//!
//! Bytes are counted as STREAM counts them (McCalpin, 1995): each array read or written
//! once. A store that misses the cache first reads the line it overwrites, which is not
//! counted, neither here nor for the kernels ([`compulsory_bytes`]),
//! so the two can be compared.

use std::hint::black_box;
use std::time::Instant;

use tape::vector;

use crate::cases::{Case, Pass};
use crate::timing::median;

/// Elements of each of the three arrays: 64 MiB, so that together they exceed any
/// last-level cache of this class of machine several times.
const LENGTH: usize = 1 << 24;
/// Sweeps over the arrays; the median one counts.
const PASSES: usize = 11;

/// Bytes per second, divided by 10⁹.
#[derive(Clone, Copy, Debug)]
pub struct Bandwidth {
    /// `a = s·b`: one array read, one written, as a norm's forward pass.
    pub scale: f64,
    /// `a = b + s·c`: two arrays read, one written.
    pub triad: f64,
}

impl Bandwidth {
    /// The better of the two.
    pub fn best(self) -> f64 {
        self.scale.max(self.triad)
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
    /// A probe whose pages have been touched.
    pub fn new(threads: usize) -> Self {
        let array = |value: f32| vec![value; LENGTH];
        Probe {
            threads,
            a: array(1.0),
            b: array(2.0),
            c: array(3.0),
        }
    }

    /// Bytes that one sweep moves over `arrays` arrays.
    pub fn bytes(arrays: usize) -> usize {
        arrays * LENGTH * size_of::<f32>()
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
    Bandwidth {
        scale: Probe::bytes(2) as f64 / time(|| probe.scale()),
        triad: Probe::bytes(3) as f64 / time(|| probe.triad()),
    }
}

/// Median nanoseconds of one sweep.
fn time(mut sweep: impl FnMut()) -> f64 {
    sweep();
    let mut times: Vec<f64> = (0..PASSES)
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
/// per-row or per-channel statistics are left out: they are far smaller.
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

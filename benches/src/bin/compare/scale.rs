//! Time and memory over sizes: the norms from a thousand elements to a hundred million, the
//! bandwidth of every cache, the peak of training steps, and what checkpoints save.

use std::process::Command;

use anyhow::{Context, Result, bail};
use benches::bandwidth;
use benches::cases::{self, Case, Network, Norm, Pass};
use benches::deep;
use serde_json::{Value, json};

use crate::journal::Journal;
use crate::side::{Launcher, Side};

/// Elements of the norms' inputs.
const SIZES: [usize; 11] = [
    1_000,
    3_000,
    10_000,
    30_000,
    100_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    30_000_000,
    100_000_000,
];
/// Features of Layer Norm, or channels of Batch Norm.
const FEATURES: usize = 100;
/// Milliseconds for each size.
const BUDGET_MS: u64 = 150;
/// Sides of the norms, and up to which size they take part: PyTorch's arrays are made in Python,
/// which takes longer than all the rest for the largest.
const SIDES: [(&str, usize); 3] = [
    ("ours", 100_000_000),
    ("torch", 30_000_000),
    ("torch-keep", 30_000_000),
];
/// Sides whose memory is measured, and the sizes of the norms' inputs there.
const PEAKS: [&str; 2] = ["ours", "torch"];
const PEAKS_AT: [usize; 3] = [1_000_000, 10_000_000, 100_000_000];
/// Calls over which the peak is taken.
const CALLS: usize = 4;
/// How much larger than usual the batches are.
const TIMES: [usize; 3] = [1, 4, 16];
/// Numbers of threads.
const THREADS: [usize; 2] = [1, 2];
/// Arrays that are updated in place, in KiB: from the innermost cache to the memory.
const ARRAYS_KIB: [usize; 9] = [
    16,
    64,
    256,
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
];
/// The largest array that a cache of a core may hold, in KiB: a thread is started for each sweep,
/// and below this that takes longer than the sweep.
const ONE_CORE_KIB: usize = 4 << 10;

/// Everything; `None` if there is more to measure.
pub fn measure(launcher: &Launcher, journal: &mut Journal) -> Result<Option<Value>> {
    macro_rules! known {
        ($found:expr) => {
            match $found? {
                Some(found) => found,
                None => return Ok(None),
            }
        };
    }
    let mut bandwidths = Vec::new();
    for threads in THREADS {
        let fitting = |kib: &usize| threads == 1 || *kib >= ONE_CORE_KIB;
        for kib in ARRAYS_KIB.into_iter().filter(fitting) {
            let gb = known!(journal.value(format!("bandwidth {threads} {kib}"), || {
                Ok(json!(bandwidth::of_size(threads, kib << 10)))
            }));
            bandwidths.push(json!({ "threads": threads, "kib": kib, "gb_per_s": gb }));
        }
    }
    let (mut times, mut peaks) = (Vec::new(), Vec::new());
    let mut versions = serde_json::Map::new();
    for (name, largest) in SIDES {
        // Others are there to be looked at on one thread.
        for threads in THREADS.into_iter().filter(|n| name == "ours" || *n == 1) {
            let Some(mut side) = launcher.start(name, threads)? else {
                continue;
            };
            versions.insert(name.to_owned(), json!(side.version));
            for norm in [Norm::Layer, Norm::Batch] {
                for n in SIZES.into_iter().filter(|n| *n <= largest) {
                    let key = format!("time {name} {threads} {norm} {n}");
                    let ns = known!(journal.value(key, || {
                        Ok(json!(side.measure(&kernel(norm, n), BUDGET_MS)?.median_ns))
                    }));
                    times.push(json!({
                        "side": name, "threads": threads, "norm": norm.to_string(), "n": n, "ns": ns,
                    }));
                }
            }
        }
        eprintln!("{name}: times are done");
    }
    for name in PEAKS
        .into_iter()
        .filter(|name| versions.contains_key(*name))
    {
        // A process for each, on one thread: what a larger one leaves behind is not counted.
        let fresh = || launcher.start(name, 1)?.context("it was there before");
        let peak = |mut side: Side, case: &Case, times| side.peak(case, times, CALLS);
        for norm in [Norm::Layer, Norm::Batch] {
            for n in PEAKS_AT {
                let bytes = known!(journal.value(format!("peak {name} {norm} {n}"), || {
                    Ok(json!(peak(fresh()?, &kernel(norm, n), 1)?))
                }));
                peaks.push(json!({
                    "side": name, "case": norm.to_string(), "n": n, "bytes": bytes,
                }));
            }
        }
        for case in steps() {
            for times in TIMES {
                let bytes = known!(journal.value(format!("peak {name} {case} {times}"), || {
                    Ok(json!(peak(fresh()?, &case, times)?))
                }));
                peaks.push(json!({
                    "side": name, "case": case.to_string(), "times": times, "bytes": bytes,
                }));
            }
        }
        eprintln!("{name}: memory is done");
    }
    let mut checkpoints = Vec::new();
    for segments in [0].into_iter().chain(deep::SEGMENTS) {
        checkpoints.push(known!(
            journal.value(format!("checkpoints {segments}"), || in_segments(segments))
        ));
    }
    let first = &checkpoints[0]["gradients"];
    if let Some(other) = checkpoints
        .iter()
        .find(|found| found["gradients"] != *first)
    {
        bail!("the gradients in segments are others: {other}");
    }
    Ok(Some(json!({
        "features": FEATURES,
        "versions": versions,
        "bandwidth": bandwidths,
        "times": times,
        "peaks": peaks,
        "deep": { "layers": deep::LAYERS, "width": deep::WIDTH, "batch": deep::BATCH },
        "checkpoints": checkpoints,
    })))
}

fn kernel(norm: Norm, n: usize) -> Case {
    Case::Kernel(norm, vec![n / FEATURES, FEATURES], Pass::Both)
}

/// The training steps whose memory is measured.
fn steps() -> Vec<Case> {
    let all = cases::all().into_iter();
    all.filter(|case| match case {
        Case::Mlp(_) => true,
        Case::Network(network) => {
            matches!(network, Network::Cnn | Network::Lstm | Network::Transformer)
        }
        _ => false,
    })
    .collect()
}

/// The deep network in so many segments, in a process of its own.
fn in_segments(segments: usize) -> Result<Value> {
    let program = std::env::current_exe()?;
    let output = Command::new(program)
        .args(["--deep", &segments.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_str(&text).with_context(|| format!("{segments} segments: {text:?}"))
}

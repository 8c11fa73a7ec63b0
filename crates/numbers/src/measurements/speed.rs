//! The times of the norms' kernels against the memory bandwidth, on every make of processor that
//! the comparison with other libraries has run on.
//!
//! Nothing is timed here: the times are those of `benches/results`, which that comparison writes.
//! This file turns them into what the chapter quotes.

use serde_json::{Map, Value, json};

use crate::kit::{Measurement, Output, each, number, row_where, rows};

pub const MEASUREMENT: Measurement = Measurement {
    name: "speed",
    chapter: 9,
    about: "times of the norms' kernels against the memory bandwidth, from benches/results",
    run,
};

/// The results of each make, under the name that they have in the chapters' tables.
const MAKES: [(&str, &str); 2] = [
    ("amd", include_str!("../../../../benches/results/amd.json")),
    (
        "intel",
        include_str!("../../../../benches/results/intel.json"),
    ),
];

/// The comparison with other libraries on each make.
pub fn comparisons() -> Vec<(&'static str, Value)> {
    let read = |text| serde_json::from_str(text).expect("a comparison is JSON");
    MAKES
        .iter()
        .map(|(make, text)| (*make, read(text)))
        .collect()
}

/// The run of a comparison with so many threads.
#[track_caller]
pub fn with_threads(comparison: &Value, threads: u64) -> &Value {
    let run = rows(&comparison["runs"])
        .iter()
        .find(|run| run["threads"] == threads);
    run.unwrap_or_else(|| panic!("no run has {threads} threads"))
}

/// The best rate at which bytes moved in a run, in GB/s.
pub fn bandwidth(run: &Value) -> f64 {
    let loops = run["bandwidth_gb_per_s"].as_object();
    let rates = loops.expect("loops by name").values();
    rates.filter_map(Value::as_f64).fold(0.0, f64::max)
}

/// The median time of a side in a case, in milliseconds, if it took part.
pub fn time(run: &Value, case: &str, side: &str) -> Option<f64> {
    let case = row_where(&run["cases"], "case", case);
    Some(case["sides"][side]["median_ns"].as_f64()? / 1e6)
}

/// One value for each make, under its name.
pub fn by_make(mut of: impl FnMut(&Value) -> Value) -> Map<String, Value> {
    let makes = comparisons().into_iter();
    makes
        .map(|(make, comparison)| (make.to_owned(), of(&comparison)))
        .collect()
}

/// An object of these entries, and then a value for each make.
pub fn row(entries: Value, makes: Map<String, Value>) -> Value {
    let Value::Object(mut row) = entries else {
        panic!("entries by name")
    };
    row.extend(makes);
    Value::Object(row)
}

/// `layernorm 64x256 forward` as a title.
fn title(case: &str, pass: &str) -> Option<String> {
    let mut words = case.split(' ');
    let norm = match words.next()? {
        "layernorm" => "LN",
        "batchnorm" => "BN",
        _ => return None,
    };
    let shape = words.next()?.replace('x', ", ");
    (words.next()? == pass).then(|| format!("{norm} [{shape}]"))
}

/// A kernel on one make.
fn kernel(run: &Value, case: &str) -> Value {
    let bytes = number(row_where(&run["cases"], "case", case), "compulsory_bytes");
    let ours = time(run, case, "ours").expect("we took part");
    let least = bytes / bandwidth(run) / 1e6;
    let over = |side: &str| time(run, case, side).map(|time| time / ours);
    json!({
        // Bytes that must move over the best bandwidth, in milliseconds.
        "least": least,
        "time": ours,
        // The share of the bandwidth that is used for what must move.
        "share": least / ours,
        "torch": time(run, case, "torch"),
        "ratio": over("torch"),
        // PyTorch where the C library keeps freed memory.
        "kept": over("torch-keep"),
    })
}

/// Every kernel with one number of threads, in a pass forward or in both.
fn kernels(threads: u64, pass: &str, arrays: f64) -> Value {
    let (_, first) = comparisons().swap_remove(0);
    let kernel_of = |case: &Value| {
        let bytes = number(case, "compulsory_bytes");
        let name = case["case"].as_str()?;
        let entries = json!({
            "kernel": title(name, pass)?,
            // The size of `x` in MiB.
            "size": bytes / arrays / 1_048_576.0,
        });
        let of = |comparison: &Value| kernel(with_threads(comparison, threads), name);
        Some(row(entries, by_make(of)))
    };
    let cases = rows(&with_threads(&first, threads)["cases"]).iter();
    let kernels = cases.filter(|case| case["compulsory_bytes"].is_number());
    kernels.filter_map(kernel_of).collect()
}

/// `48 KiB, 2 MiB`; nothing where the system did not tell.
fn caches(machine: &Value) -> Option<String> {
    let size = |cache: &Value| match number(cache, "bytes") {
        bytes if bytes < 1_048_576.0 => format!("{} KiB", bytes / 1024.0),
        bytes => format!("{} MiB", bytes / 1_048_576.0),
    };
    let sizes: Vec<String> = rows(&machine["caches"]).iter().map(size).collect();
    (!sizes.is_empty()).then(|| sizes.join(", "))
}

/// What is known of a make's machine, and how its memory behaves.
fn make((name, comparison): &(&str, Value)) -> Value {
    let machine = &comparison["machine"];
    let sets: Vec<&str> = rows(&machine["vectors"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let [one, two] = [1, 2].map(|threads| bandwidth(with_threads(comparison, threads)));
    let loops = |threads| with_threads(comparison, threads)["bandwidth_gb_per_s"].clone();
    json!({
        "name": name,
        "make": machine["make"],
        "model": machine["model"],
        "cores": machine["cores"],
        "caches": caches(machine),
        "vectors": (!sets.is_empty()).then(|| sets.join(", ")),
        "torch": with_threads(comparison, 1)["versions"]["torch"],
        "one": one,
        "two": two,
        "second": two / one,
        "loops": loops(1),
        "loops_two": loops(2),
    })
}

fn run() -> Output {
    let comparisons = comparisons();
    let runs = [1, 2].map(|threads| {
        json!({
            "threads": threads,
            "forward": kernels(threads, "forward", 2.0),
            "both": kernels(threads, "forward+backward", 5.0),
        })
    });
    let (_, newest) = &comparisons[comparisons.len() - 1];
    Output::new(json!({
        "about": "Times of the norms' kernels against the memory bandwidth, from benches/results",
        "torch": with_threads(newest, 1)["versions"]["torch"],
        "makes": each(&comparisons, make),
        "runs": runs,
    }))
}

//! The times of the norms' kernels against the memory bandwidth.
//!
//! Nothing is timed here: the times are those of `benches/results`, which the comparison
//! with other libraries writes. This file turns them into what the chapter quotes.

use serde_json::{Value, json};

use crate::kit::{Measurement, Output, each, number, rows};

pub const MEASUREMENT: Measurement = Measurement {
    name: "speed",
    chapter: 9,
    about: "times of the norms' kernels against the memory bandwidth, from benches/results",
    run,
};

const COMPARISON: &str = include_str!("../../../../benches/results/comparison.json");

/// The comparison with other libraries.
pub fn comparison() -> Value {
    serde_json::from_str(COMPARISON).expect("the comparison is JSON")
}

/// The bandwidth of one array read and one written, and of two read and one written.
pub fn bandwidths(run: &Value) -> [f64; 2] {
    ["scale", "triad"].map(|probe| number(&run["bandwidth_gb_per_s"], probe))
}

/// `layernorm 64x256 forward` as a title and a pass.
fn title(case: &str) -> Option<(String, bool)> {
    let mut words = case.split(' ');
    let norm = match words.next()? {
        "layernorm" => "LN",
        "batchnorm" => "BN",
        _ => return None,
    };
    let shape = words.next()?.replace('x', ", ");
    let both = match words.next()? {
        "forward" => false,
        "forward+backward" => true,
        _ => return None,
    };
    Some((format!("{norm} [{shape}]"), both))
}

/// Everything measured with one number of threads.
fn run_of(run: &Value) -> Value {
    let [scale, triad] = bandwidths(run);
    // Those of a pass forward, or of both.
    let kernels = |both: bool| -> Vec<Value> {
        let kernel = |case: &Value| {
            let (kernel, _) = title(case["case"].as_str()?).filter(|(_, b)| *b == both)?;
            let bytes = number(case, "compulsory_bytes");
            let [ours, torch] =
                ["ours", "torch"].map(|side| number(&case["sides"][side], "median_ns"));
            let arrays = if both { 5.0 } else { 2.0 };
            Some(json!({
                "kernel": kernel,
                // The size of `x` in MiB.
                "size": bytes / arrays / 1_048_576.0,
                // Bytes that must move, divided by the better bandwidth, in milliseconds.
                "least": bytes / scale.max(triad) / 1e6,
                "time": ours / 1e6,
                // The share of the bandwidth that is used.
                "share": bytes / ours / scale.max(triad),
                "torch": torch / 1e6,
                "ratio": torch / ours,
            }))
        };
        rows(&run["cases"]).iter().filter_map(kernel).collect()
    };
    json!({
        "threads": run["threads"],
        "scale": scale,
        "triad": triad,
        "forward": kernels(false),
        "both": kernels(true),
    })
}

fn run() -> Output {
    let comparison = comparison();
    let runs = rows(&comparison["runs"]);
    let known = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    Output::new(json!({
        "about": "Times of the norms' kernels against the memory bandwidth, from benches/results",
        "command": known(&comparison["command"]),
        "cpu": known(&comparison["cpu"]),
        "torch": known(&runs[0]["versions"]["torch"]),
        "runs": each(runs, run_of),
    }))
}

//! The times of the norms' kernels against the memory bandwidth.
//!
//! Nothing is timed here: the times are those of `benches/results`, which the comparison
//! with other libraries writes. This file turns them into what the chapter quotes.

use serde::Serialize;
use serde_json::Value;

use super::Output;

const COMPARISON: &str = include_str!("../../../../benches/results/comparison.json");

#[derive(Serialize)]
struct Results {
    about: &'static str,
    command: String,
    cpu: String,
    torch: String,
    runs: Vec<Run>,
}

/// Everything measured with one number of threads.
#[derive(Serialize)]
struct Run {
    threads: u64,
    /// The bandwidth of one array read and one written, and of two read and one written.
    scale: f64,
    triad: f64,
    forward: Vec<Kernel>,
    both: Vec<Kernel>,
}

#[derive(Serialize)]
struct Kernel {
    kernel: String,
    /// The size of `x` in MiB.
    size: f64,
    /// Bytes that must move, divided by the better bandwidth, in milliseconds.
    least: f64,
    time: f64,
    /// The share of the bandwidth that is used.
    share: f64,
    torch: f64,
    ratio: f64,
}

/// The comparison with other libraries.
pub(super) fn comparison() -> Value {
    serde_json::from_str(COMPARISON).expect("the comparison is JSON")
}

pub(super) fn number(value: &Value) -> f64 {
    value.as_f64().expect("the comparison holds numbers")
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

fn run_of(run: &Value) -> Run {
    let bandwidth = &run["bandwidth_gb_per_s"];
    let (scale, triad) = (number(&bandwidth["scale"]), number(&bandwidth["triad"]));
    let (mut forward, mut both) = (Vec::new(), Vec::new());
    for case in run["cases"].as_array().expect("a list of cases") {
        let name = case["case"].as_str().expect("a case has a name");
        let Some((kernel, both_passes)) = title(name) else {
            continue;
        };
        let bytes = number(&case["compulsory_bytes"]);
        let time = |side: &str| number(&case["sides"][side]["median_ns"]);
        let (ours, torch) = (time("ours"), time("torch"));
        let arrays = if both_passes { 5.0 } else { 2.0 };
        let list = if both_passes { &mut both } else { &mut forward };
        list.push(Kernel {
            kernel,
            size: bytes / arrays / 1_048_576.0,
            least: bytes / scale.max(triad) / 1e6,
            time: ours / 1e6,
            share: bytes / ours / scale.max(triad),
            torch: torch / 1e6,
            ratio: torch / ours,
        });
    }
    Run {
        threads: run["threads"].as_u64().expect("a number of threads"),
        scale,
        triad,
        forward,
        both,
    }
}

pub fn run() -> Output {
    let comparison = comparison();
    let runs = comparison["runs"].as_array().expect("a list of runs");
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    Output::new(&Results {
        about: "Times of the norms' kernels against the memory bandwidth, from benches/results",
        command: text(&comparison["command"]),
        cpu: text(&comparison["cpu"]),
        torch: text(&runs[0]["versions"]["torch"]),
        runs: runs.iter().map(run_of).collect(),
    })
}

//! How the runner talks to a side: one JSON object a line, over standard input and output.
//!
//! A side announces itself, then answers each request:
//!
//! ```text
//! <- {"side":"candle","version":"0.11.1","threads":2}
//! -> {"case":"layernorm 64x256 forward","check":true}
//! <- {"check":{"y":[0.99,0.001]}}
//! -> {"case":"layernorm 64x256 forward","budget_ms":300}
//! <- {"median_ns":5321.5,"min_ns":5200.0,"samples":612}
//! -> {"case":"mlp batchnorm","times":4,"peak_over":5}
//! <- {"peak_bytes":12345678}
//! ```
//!
//! The last asks how far the memory of the process grew above what it was before the case was
//! made, at its peak over so many calls, with batches four times as large as usual.
//!
//! A side that cannot do a case answers `{"error":"..."}`. It stops when its input ends.

use std::io::{BufRead, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cases::Case;
use crate::inputs::fingerprint;
use crate::timing::measure;

/// The arrays a case computes, named, for comparison across sides.
pub type Outputs = Vec<(&'static str, Vec<f32>)>;

/// A case made ready by one side.
pub struct Job {
    /// The work to time.
    pub run: Box<dyn FnMut()>,
    /// The same work once, with what it computed.
    pub check: Box<dyn FnOnce() -> Outputs>,
}

/// Memory of this process, where Linux tells of it.
pub mod memory {
    use std::fs;

    /// Bytes in memory now.
    pub fn resident() -> Result<u64, String> {
        status("VmRSS:")
    }

    /// The most bytes that were in memory while `work` ran.
    pub fn peak(work: impl FnOnce()) -> Result<u64, String> {
        // 5 sets the mark of the highest to what there is now.
        fs::write("/proc/self/clear_refs", "5").map_err(|e| format!("no peak of memory: {e}"))?;
        work();
        status("VmHWM:")
    }

    fn status(field: &str) -> Result<u64, String> {
        let text = fs::read_to_string("/proc/self/status");
        let text = text.map_err(|e| format!("no word on memory: {e}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib << 10)
            .ok_or(format!("no {field} in /proc/self/status"))
    }
}

/// Serves requests until standard input ends.
pub fn serve(
    side: &str,
    version: &str,
    threads: usize,
    job: impl Fn(&Case, usize) -> Result<Job, String>,
) {
    answer(&json!({ "side": side, "version": version, "threads": threads }));
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        answer(&respond(side, &line, &job).unwrap_or_else(|error| json!({ "error": error })));
    }
}

fn respond(
    side: &str,
    line: &str,
    job: impl Fn(&Case, usize) -> Result<Job, String>,
) -> Result<Value, String> {
    let request: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let name = request["case"].as_str().ok_or("a request names a case")?;
    let case = Case::parse(name).ok_or(format!("there is no case {name:?}"))?;
    if !case.is_on(side) {
        return Err(format!("{side} does not have {name:?}"));
    }
    let times = request["times"].as_u64().unwrap_or(1) as usize;
    if let Some(calls) = request["peak_over"].as_u64() {
        let start = memory::resident()?;
        let mut job = job(&case, times)?;
        let peak = memory::peak(|| (0..calls).for_each(|_| (job.run)()))?;
        return Ok(json!({ "peak_bytes": peak.saturating_sub(start) }));
    }
    let mut job = job(&case, times)?;
    if request["check"] == true {
        let prints: serde_json::Map<String, Value> = (job.check)()
            .into_iter()
            .map(|(name, values)| (name.to_owned(), json!(fingerprint(&values))))
            .collect();
        return Ok(json!({ "check": prints }));
    }
    let budget = request["budget_ms"]
        .as_u64()
        .ok_or("a request has check or budget_ms")?;
    let timing = measure(Duration::from_millis(budget), &mut job.run);
    Ok(json!({ "median_ns": timing.median_ns, "min_ns": timing.min_ns, "samples": timing.samples }))
}

fn answer(value: &Value) {
    let mut out = std::io::stdout().lock();
    // A runner that went away is no error of this side.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

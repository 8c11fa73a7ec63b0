//! What was measured, and the files it goes into.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use benches::bandwidth::{Bandwidth, compulsory_bytes};
use benches::cases::Case;
use benches::timing::median;
use serde_json::{Map, Value, json};

use crate::{plot, table};

/// The times of one case on one side.
pub struct Measured {
    /// The median over the rounds, in nanoseconds; none if the side does not have the case.
    pub median_ns: Option<f64>,
    rounds_ns: Vec<f64>,
}

impl Measured {
    /// From the median of each round.
    pub fn new(rounds_ns: Vec<f64>) -> Self {
        Measured {
            median_ns: (!rounds_ns.is_empty()).then(|| median(&mut rounds_ns.clone())),
            rounds_ns,
        }
    }
}

/// Everything measured with one number of threads.
pub struct Run {
    /// How many threads each side had.
    pub threads: usize,
    /// Name and version of each side.
    pub sides: Vec<(String, String)>,
    /// Medians over the rounds.
    pub bandwidth: Bandwidth,
    /// Each case, with the times of each side in their order.
    pub cases: Vec<(Case, Vec<Measured>)>,
}

impl Run {
    /// The time of `side`, if it took part and has the case, in nanoseconds.
    pub fn time(&self, side: &str, times: &[Measured]) -> Option<f64> {
        let index = self.sides.iter().position(|(name, _)| name == side)?;
        times[index].median_ns
    }
}

/// Prints the tables and writes them, the numbers and the plots into `folder`.
pub fn publish(folder: &Path, runs: &[Run]) -> Result<()> {
    let tables: String = runs.iter().map(table::markdown).collect();
    print!("{tables}");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let save = |name: &str, contents: String| {
        let path = folder.join(name);
        fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))
    };
    save("comparison.md", tables)?;
    save("comparison.json", format!("{:#}\n", to_json(runs)))?;
    eprintln!("written to {}", folder.display());
    // Without PyTorch there is no plot, and nobody asked for one.
    draw(folder).map(drop)
}

/// Draws the plots of the numbers in `folder`, and says how many there are.
fn draw(folder: &Path) -> Result<usize> {
    let path = folder.join("comparison.json");
    let unread = || format!("cannot read {}", path.display());
    let text = fs::read_to_string(&path).with_context(unread)?;
    let results: Value = serde_json::from_str(&text).with_context(unread)?;
    let mut drawn = 0;
    for run in results["runs"].as_array().into_iter().flatten() {
        if let Some(chart) = plot::chart(run) {
            drawn += 1;
            let path = folder.join(format!("comparison-threads-{}.svg", run["threads"]));
            fs::write(&path, chart.svg())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(drawn)
}

/// Draws the plots of the numbers in `folder` again.
///
/// # Errors
/// When nothing in them can be drawn, too.
pub fn draw_again(folder: &Path) -> Result<()> {
    if draw(folder)? == 0 {
        bail!(
            "{} holds no run with times of PyTorch and of another side: there is nothing to draw",
            folder.join("comparison.json").display()
        );
    }
    Ok(())
}

fn to_json(runs: &[Run]) -> Value {
    json!({
        "command": "cargo run --release -p benches --bin compare",
        "cpu": cpu(),
        "runs": runs.iter().map(run_to_json).collect::<Vec<_>>(),
    })
}

fn run_to_json(run: &Run) -> Value {
    let cases = run.cases.iter().map(|(case, times)| {
        let of = |((name, _), time): (&(String, String), &Measured)| {
            let median_ns = time.median_ns?;
            let time = json!({ "median_ns": median_ns, "rounds_ns": time.rounds_ns });
            Some((name.clone(), time))
        };
        let sides: Map<String, Value> = run.sides.iter().zip(times).filter_map(of).collect();
        let bytes = compulsory_bytes(case);
        json!({ "case": case.to_string(), "compulsory_bytes": bytes, "sides": sides })
    });
    let versions: Map<String, Value> = run
        .sides
        .iter()
        .map(|(name, version)| (name.clone(), json!(version)))
        .collect();
    json!({
        "threads": run.threads,
        "versions": versions,
        "bandwidth_gb_per_s": { "scale": run.bandwidth.scale, "triad": run.bandwidth.triad },
        "cases": cases.collect::<Vec<_>>(),
    })
}

/// The processor, as Linux names it; "unknown" elsewhere.
fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown".into(), |(_, name)| name.trim().into())
}

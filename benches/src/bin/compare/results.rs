//! What was measured, and the files it goes into.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use benches::bandwidth::{Bandwidth, compulsory_bytes};
use benches::cases::Case;
use benches::machine::Machine;
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
    /// As it was written; `None` if it is something else.
    fn from_json(run: &Value) -> Option<Run> {
        let versions = run["versions"].as_object()?.iter();
        let sides: Vec<(String, String)> = versions
            .map(|(name, version)| Some((name.clone(), version.as_str()?.to_owned())))
            .collect::<Option<_>>()?;
        let cases = run["cases"].as_array()?.iter().map(|entry| {
            let times = sides.iter().map(|(side, _)| {
                let rounds = entry["sides"][side]["rounds_ns"].as_array();
                let rounds = rounds.into_iter().flatten().filter_map(Value::as_f64);
                Measured::new(rounds.collect())
            });
            Some((Case::parse(entry["case"].as_str()?)?, times.collect()))
        });
        Some(Run {
            threads: usize::try_from(run["threads"].as_u64()?).ok()?,
            cases: cases.collect::<Option<_>>()?,
            bandwidth: Bandwidth::from_json(&run["bandwidth_gb_per_s"]),
            sides,
        })
    }

    /// The time of `side`, if it took part and has the case, in nanoseconds.
    pub fn time(&self, side: &str, times: &[Measured]) -> Option<f64> {
        let index = self.sides.iter().position(|(name, _)| name == side)?;
        times[index].median_ns
    }
}

/// Prints the tables and writes them, the numbers and the plots into `folder`, under the make of
/// the processor.
pub fn publish(folder: &Path, machine: &Machine, runs: &[Run]) -> Result<()> {
    let stem = machine.stem();
    let results = to_json(machine, runs);
    save(folder, &format!("{stem}.json"), &format!("{results:#}\n"))?;
    // Without PyTorch there is no plot, and nobody asked for one.
    draw(folder)?;
    print!("{}", tables(&results));
    eprintln!("written to {}", folder.display());
    Ok(())
}

/// The tables of a make's results.
fn tables(results: &Value) -> String {
    let runs = results["runs"].as_array().into_iter().flatten();
    let tables = runs
        .filter_map(Run::from_json)
        .map(|run| table::markdown(&run));
    let heading = table::heading(&results["machine"]);
    [heading]
        .into_iter()
        .chain(tables)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Writes what was measured over sizes into `folder`, under the make of the processor.
pub fn publish_scale(folder: &Path, machine: &Machine, found: Value) -> Result<()> {
    let mut results = json!({
        "command": "cargo run --release -p benches --bin compare -- --scale",
        "machine": machine.to_json(),
    });
    if let (Some(all), Value::Object(found)) = (results.as_object_mut(), found) {
        all.extend(found);
    }
    let name = format!("{}-scale.json", machine.stem());
    save(folder, &name, &format!("{results:#}\n"))?;
    eprintln!("written to {}", folder.join(name).display());
    Ok(())
}

fn save(folder: &Path, name: &str, contents: &str) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))
}

/// The comparisons in `folder`, one for each make, with the names they are filed under.
///
/// # Errors
/// When a file in it cannot be read or is no JSON.
pub fn all(folder: &Path) -> Result<Vec<(String, Value)>> {
    let unread = |path: &Path| format!("cannot read {}", path.display());
    let files = fs::read_dir(folder).with_context(|| unread(folder))?;
    let mut paths = Vec::new();
    for file in files {
        let path = file.with_context(|| unread(folder))?.path();
        if path.extension().is_some_and(|end| end == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).with_context(|| unread(&path))?;
        let results: Value = serde_json::from_str(&text).with_context(|| unread(&path))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if results["runs"].is_array() {
            found.push((stem.into_owned(), results));
        }
    }
    Ok(found)
}

/// Writes the tables and draws the plots of the numbers in `folder`, and says how many plots there
/// are.
fn draw(folder: &Path) -> Result<usize> {
    let mut drawn = 0;
    for (stem, results) in all(folder)? {
        let make = results["machine"]["make"].as_str().unwrap_or("unknown");
        save(folder, &format!("{stem}.md"), &tables(&results))?;
        for run in results["runs"].as_array().into_iter().flatten() {
            if let Some(chart) = plot::chart(run, make) {
                drawn += 1;
                let name = format!("{stem}-threads-{}.svg", run["threads"]);
                save(folder, &name, &chart.svg())?;
            }
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
            folder.display()
        );
    }
    Ok(())
}

/// As it is written.
pub fn to_json(machine: &Machine, runs: &[Run]) -> Value {
    json!({
        "command": "cargo run --release -p benches --bin compare",
        "machine": machine.to_json(),
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
        json!({
            "case": case.to_string(),
            "compulsory_bytes": compulsory_bytes(case),
            "sides": sides,
        })
    });
    let versions: Map<String, Value> = run
        .sides
        .iter()
        .map(|(name, version)| (name.clone(), json!(version)))
        .collect();
    json!({
        "threads": run.threads,
        "versions": versions,
        "bandwidth_gb_per_s": run.bandwidth.to_json(),
        "cases": cases.collect::<Vec<_>>(),
    })
}

//! Measures us and our peers in one run and prints the ratios.
//!
//! ```text
//! cargo run --release -p benches --bin compare -- --python /path/to/python
//! ```
//!
//! Every side is a process of its own that waits until it is asked. In each round each
//! case is timed on one side after the other, so that a slow spell of the machine hits
//! all of them; the median over the rounds counts. Before anything is timed, every side
//! computes every case once on the same data, and what it computed is compared.
//!
//! The results are filed under the make of the processor. `--mine` measures for a minute, and
//! tells in words how this machine compares with those; `--scale` measures over sizes, and memory.

mod journal;
mod mine;
mod plot;
mod results;
mod scale;
mod side;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use benches::bandwidth::{self, Bandwidth};
use benches::cases::{self, Case};
use benches::machine::Machine;
use benches::{deep, ours, protocol};
use clap::Parser;
use serde_json::json;

use journal::Journal;
use results::{Measured, Run, draw_again, publish};
use side::{Launcher, NAMES, Prints, Side};

/// Measure The Backward Pass beside PyTorch, Candle and Burn.
#[derive(Parser)]
#[command(name = "compare")]
struct Options {
    /// Compare this machine with those of the committed results, in words, in about a minute;
    /// with PyTorch beside if a Python has it, and nothing is written.
    #[arg(long, conflicts_with_all = ["scale", "draw"])]
    mine: bool,
    /// Measure time and memory over sizes, and what checkpoints save, in place of the comparison.
    #[arg(long, conflicts_with = "draw")]
    scale: bool,
    /// Rounds; the median over them counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds for each case, side and round.
    #[arg(long, default_value_t = 250)]
    budget_ms: u64,
    /// Numbers of threads to compare with, one table each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// Who takes part.
    #[arg(long, value_delimiter = ',', default_values_t = NAMES.map(String::from))]
    sides: Vec<String>,
    /// Only the cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// A Python that has PyTorch.
    #[arg(long)]
    python: Option<PathBuf>,
    /// The folder of the results.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    out: PathBuf,
    /// Stop after so many seconds, with exit code 3, if more is to be measured; the same command
    /// goes on from there.
    #[arg(long)]
    seconds: Option<u64>,
    /// Measure nothing; make the tables and plots of the numbers in the folder again.
    #[arg(long)]
    draw: bool,
    /// Be our side, with this many threads (used by the runner itself).
    #[arg(long, hide = true)]
    serve: Option<usize>,
    /// Measure the deep network in this many segments (used by the runner itself).
    #[arg(long, hide = true)]
    deep: Option<usize>,
}

/// The exit code of a measurement that is to go on.
const MORE: u8 = 3;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(threads) = options.serve {
        tape::parallel::set_threads(threads);
        let job = |case: &Case, times| Ok(ours::larger(case, times));
        protocol::serve("ours", env!("CARGO_PKG_VERSION"), threads, job);
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(MORE),
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was done; if not, the same command goes on.
fn run(options: &Options) -> Result<bool> {
    if let Some(segments) = options.deep {
        tape::parallel::set_threads(1);
        println!("{}", deep::measure(segments).map_err(anyhow::Error::msg)?);
        return Ok(true);
    }
    if options.draw {
        return draw_again(&options.out).map(|()| true);
    }
    let cases: Vec<Case> = cases::all()
        .into_iter()
        .filter(|c| c.to_string().contains(&options.only))
        .collect();
    if cases.is_empty() {
        bail!("no case is called {:?}", options.only);
    }
    if options.rounds == 0 || options.threads.contains(&0) {
        bail!("rounds and threads must be at least 1");
    }
    if let Some(other) = options
        .sides
        .iter()
        .find(|side| !NAMES.contains(&side.as_str()))
    {
        bail!("there is no side {other:?}; there are {}", NAMES.join(", "));
    }
    // `python3` is looked for; a path is relative to where the reader is.
    let python = options
        .python
        .as_deref()
        .map(|python| match python.components().count() {
            1 => python.to_owned(),
            _ => verdict::beside_the_reader(python),
        });
    warn_if_busy();
    let machine = Machine::here();
    if options.mine {
        return mine::tell(&options.out, python.as_deref(), &cases).map(|()| true);
    }
    std::fs::create_dir_all(&options.out)
        .with_context(|| format!("cannot make {}", options.out.display()))?;
    let asked = format!(
        "{} {} {} {:?} {:?} {}",
        options.scale,
        options.rounds,
        options.budget_ms,
        options.threads,
        options.only,
        machine.model
    );
    let what = if options.scale { "scale" } else { "comparison" };
    let path = options.out.join(format!(".{}-{what}.part", machine.stem()));
    let subject = journal::subject(&asked, &options.sides);
    let mut journal = Journal::open(&path, &subject, options.seconds)?;
    let launcher = Launcher::prepare(&options.sides, python.as_deref())?;
    let done = if options.scale {
        scale::measure(&launcher, &mut journal)?
            .map(|found| results::publish_scale(&options.out, &machine, found))
    } else {
        compare(options, &launcher, &cases, &mut journal)?
            .map(|runs| publish(&options.out, &machine, &runs))
    };
    let Some(published) = done else {
        let known = journal.len();
        eprintln!("{known} times are known; there is more to measure: the same command goes on");
        return Ok(false);
    };
    published?;
    journal.done();
    Ok(true)
}

/// Times taken while something else runs say little.
fn warn_if_busy() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Option<f64> = load.split(' ').next().and_then(|load| load.parse().ok());
    if let Some(load) = load.filter(|load| *load > 0.5) {
        eprintln!("this machine is busy (load average {load}): the times will not mean much");
    }
}

/// All runs; `None` if there is more to measure.
fn compare(
    options: &Options,
    launcher: &Launcher,
    cases: &[Case],
    journal: &mut Journal,
) -> Result<Option<Vec<Run>>> {
    let mut runs = Vec::new();
    for &threads in &options.threads {
        let mut sides = Vec::new();
        for name in &options.sides {
            sides.extend(launcher.start(name, threads)?);
        }
        let (rounds, budget) = (options.rounds, options.budget_ms);
        match measure(&mut sides, cases, (threads, rounds, budget), journal)? {
            Some(run) => runs.push(run),
            None => return Ok(None),
        }
    }
    Ok(Some(runs))
}

/// All rounds with one number of threads; `None` if there is more to measure.
fn measure(
    sides: &mut [Side],
    cases: &[Case],
    (threads, rounds, budget_ms): (usize, usize, u64),
    journal: &mut Journal,
) -> Result<Option<Run>> {
    let checked = journal.value(format!("{threads} checked"), || {
        compare_outputs(sides, cases)?;
        Ok(json!(true))
    })?;
    if checked.is_none() {
        return Ok(None);
    }
    let mut times = vec![vec![Vec::new(); sides.len()]; cases.len()];
    let mut bandwidths = Vec::new();
    for round in 0..rounds {
        let found = journal.value(format!("{threads} {round} bandwidth"), || {
            Ok(bandwidth::measure(threads).to_json())
        })?;
        let Some(found) = found else { return Ok(None) };
        bandwidths.push(Bandwidth::from_json(&found));
        for (case, times) in cases.iter().zip(&mut times) {
            // No side always comes first.
            for k in 0..sides.len() {
                let s = (k + round) % sides.len();
                let side = &mut sides[s];
                if !case.is_on(&side.name) {
                    continue;
                }
                let key = format!("{threads} {round} {case} {}", side.name);
                let found =
                    journal.value(key, || Ok(json!(side.measure(case, budget_ms)?.median_ns)))?;
                let Some(ns) = found else { return Ok(None) };
                times[s].push(ns.as_f64().context("a time is a number")?);
            }
        }
        eprintln!(
            "{threads} thread(s): round {} of {rounds} is done",
            round + 1
        );
    }
    let measured = |rounds: Vec<Vec<f64>>| rounds.into_iter().map(Measured::new).collect();
    Ok(Some(Run {
        threads,
        sides: sides
            .iter()
            .map(|s| (s.name.clone(), s.version.clone()))
            .collect(),
        bandwidth: Bandwidth::median(&bandwidths),
        cases: cases
            .iter()
            .cloned()
            .zip(times.into_iter().map(measured))
            .collect(),
    }))
}

/// Fails unless every side computes what the first one does.
fn compare_outputs(sides: &mut [Side], cases: &[Case]) -> Result<()> {
    // Fingerprints of f32 results by different kernels: far above rounding, far below
    // what a different formula, shape or input would give.
    const TOLERANCE: f64 = 1e-3;
    for case in cases {
        let mut first: Option<(String, Prints)> = None;
        for side in sides.iter_mut().filter(|side| case.is_on(&side.name)) {
            let prints = side
                .check(case)
                .with_context(|| format!("checking {case}"))?;
            let Some((reference, expected)) = &first else {
                first = Some((side.name.clone(), prints));
                continue;
            };
            if prints.len() != expected.len() {
                bail!(
                    "{case}: {} and {reference} return different outputs",
                    side.name
                );
            }
            for ((name, [size, along]), (other, [want_size, want_along])) in
                prints.iter().zip(expected)
            {
                let agree = (size / want_size - 1.0).abs() < TOLERANCE
                    && (along - want_along).abs() < TOLERANCE;
                if name != other || !agree {
                    bail!(
                        "{case}: {} computes {name} with fingerprint [{size}, {along}], {reference} {other} with \
                         [{want_size}, {want_along}]: they do not compute the same thing",
                        side.name
                    );
                }
            }
        }
    }
    eprintln!("all sides compute the same in {} cases", cases.len());
    Ok(())
}

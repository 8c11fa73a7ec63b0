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

mod plot;
mod results;
mod side;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use benches::bandwidth::{self, Bandwidth};
use benches::cases::{self, Case};
use benches::timing::median;
use benches::{ours, protocol};
use clap::Parser;

use results::{Measured, Run, draw_again, publish};
use side::{Launcher, NAMES, Prints, Side};

/// Measure The Backward Pass beside PyTorch, Candle and Burn.
#[derive(Parser)]
#[command(name = "compare")]
struct Options {
    /// Rounds; the median over them counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds for each case, side and round.
    #[arg(long, default_value_t = 300)]
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
    /// The folder for comparison.json, comparison.md and the plots.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
    out: PathBuf,
    /// Measure nothing, and draw the plots of the numbers in the folder again.
    #[arg(long)]
    draw: bool,
    /// Be our side, with this many threads (used by the runner itself).
    #[arg(long, hide = true)]
    serve: Option<usize>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(threads) = options.serve {
        tape::parallel::set_threads(threads);
        protocol::serve("ours", env!("CARGO_PKG_VERSION"), threads, |case| {
            Ok(ours::job(case))
        });
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if options.draw {
        return draw_again(&options.out);
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
    warn_if_busy();
    let launcher = Launcher::prepare(&options.sides, options.python.as_deref())?;
    let mut runs = Vec::new();
    for &threads in &options.threads {
        runs.push(measure(options, &launcher, &cases, threads)?);
    }
    publish(&options.out, &runs)
}

/// Times taken while something else runs say little.
fn warn_if_busy() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Option<f64> = load.split(' ').next().and_then(|load| load.parse().ok());
    if let Some(load) = load.filter(|load| *load > 0.5) {
        eprintln!("this machine is busy (load average {load}): the times will not mean much");
    }
}

/// All rounds with one number of threads.
fn measure(options: &Options, launcher: &Launcher, cases: &[Case], threads: usize) -> Result<Run> {
    let mut sides = Vec::new();
    for name in &options.sides {
        sides.extend(launcher.start(name, threads)?);
    }
    compare_outputs(&mut sides, cases)?;
    let mut times = vec![vec![Vec::new(); sides.len()]; cases.len()];
    let mut bandwidths = Vec::new();
    for round in 0..options.rounds {
        let of = options.rounds;
        let start = Instant::now();
        bandwidths.push(bandwidth::measure(threads));
        for (case, times) in cases.iter().zip(&mut times) {
            // No side always comes first.
            for k in 0..sides.len() {
                let s = (k + round) % sides.len();
                if !case.is_on(&sides[s].name) {
                    continue;
                }
                times[s].push(sides[s].measure(case, options.budget_ms)?.median_ns);
            }
        }
        let seconds = start.elapsed().as_secs();
        eprintln!(
            "{threads} thread(s): round {} of {of} done, {seconds} s each",
            round + 1
        );
    }
    let over_rounds =
        |of: fn(&Bandwidth) -> f64| median(&mut bandwidths.iter().map(of).collect::<Vec<_>>());
    let measured = |rounds: Vec<Vec<f64>>| rounds.into_iter().map(Measured::new).collect();
    Ok(Run {
        threads,
        sides: sides
            .iter()
            .map(|s| (s.name.clone(), s.version.clone()))
            .collect(),
        bandwidth: Bandwidth {
            scale: over_rounds(|b| b.scale),
            triad: over_rounds(|b| b.triad),
        },
        cases: cases
            .iter()
            .cloned()
            .zip(times.into_iter().map(measured))
            .collect(),
    })
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

//! What an experiment is, and how one is run.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nn::data::DataError;
use nn::write_atomically;
use serde_json::{Value, json};

use crate::chart::Chart;
use crate::claims::{Answer, Claim};
use crate::experiments::experiments;
use crate::runs::{self, Ran};
use crate::session::{Journal, Session, program};

/// One experiment: a question, a fixed protocol, and results as data and charts.
pub struct Experiment {
    /// What it is called on the command line, and the stem of its files.
    pub name: &'static str,
    /// One line that says what is asked.
    pub about: &'static str,
    /// The chapter that uses its results.
    pub chapter: u32,
    /// The claim that it measures, if it measures one.
    pub claim: Option<Claim>,
    /// Whether its results hold times, which differ from run to run.
    pub timed: bool,
    pub(crate) protocol: fn(bool) -> Value,
    pub(crate) run: fn(&mut Session) -> Result<Finding, Error>,
}

impl Experiment {
    /// What is fixed before the first run: data, network, grid, rules. The quick form has
    /// less of everything.
    pub fn protocol(&self, quick: bool) -> Value {
        (self.protocol)(quick)
    }
}

impl fmt::Debug for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Experiment {:?}", self.name)
    }
}

/// What an experiment found.
pub struct Finding {
    /// The numbers behind charts and verdict.
    pub data: Value,
    /// Charts, by the end of their file name.
    pub charts: Vec<(&'static str, Chart)>,
    /// What the protocol's decision rule says of the claim, if there is one.
    pub answer: Option<Answer>,
    /// The same in a sentence, with its numbers.
    pub verdict: String,
    /// The main numbers, as a table for a terminal.
    pub table: String,
}

/// How an experiment is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A small form that takes seconds. Its results say nothing about the question.
    pub quick: bool,
    /// Another number of seeds than the protocol's.
    pub seeds: Option<usize>,
    /// How many runs at a time; one for each core if not given. Results do not depend on
    /// it.
    pub threads: Option<usize>,
    /// Where results go. If not given, those of the full protocol go to [`results`], and
    /// others, which must not replace them, to `target/lab`.
    pub out: Option<PathBuf>,
    /// Start afresh even if an interrupted run left something to go on with.
    pub fresh: bool,
    /// Show no progress.
    pub quiet: bool,
}

/// Seeds of the full protocol. With 13 the quartiles are runs, the fourth from below and from
/// above, and two methods that do not differ have theirs apart in one direction in 0.8 % of
/// cases (chapter 16); with 5 it is 10 %.
const SEEDS: usize = 13;
/// Seeds of the quick form.
const QUICK_SEEDS: usize = 2;

impl Options {
    pub(crate) fn seed_count(&self) -> usize {
        self.seeds
            .unwrap_or(if self.quick { QUICK_SEEDS } else { SEEDS })
    }

    /// The command line that gives these results.
    fn command(&self, name: &str) -> String {
        let mut command = format!("course lab {name}");
        if self.quick {
            command += " --quick";
        }
        if let Some(seeds) = self.seeds {
            command += &format!(" --seeds {seeds}");
        }
        command
    }

    fn folder(&self) -> PathBuf {
        match &self.out {
            Some(folder) => folder.clone(),
            None if self.quick || self.seed_count() != SEEDS => {
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/lab")
            }
            None => results(),
        }
    }
}

/// The folder with the committed results.
pub fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results")
}

/// What is left after a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The answer, in a sentence.
    pub verdict: String,
    /// The main numbers, as a table.
    pub table: String,
    /// The files written: charts, and last the data.
    pub files: Vec<PathBuf>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n", self.table, self.verdict)?;
        for file in &self.files {
            writeln!(f, "written: {}", file.display())?;
        }
        Ok(())
    }
}

/// Why an experiment could not be run. One line each.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no experiment of this name.
    #[error("there is no experiment {name:?}; there are: {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A number on the command line makes no sense.
    #[error("{0}")]
    Options(String),
    /// The data could not be loaded.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Results of another experiment, on which this one builds, are missing or other than
    /// expected.
    #[error("the results of {name:?} cannot be used: {reason}; run `course lab {name}`")]
    Results {
        /// The other experiment.
        name: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        Error::Write { path, source }
    }
}

/// Runs the experiment of this name, and writes its data and charts.
///
/// A run that is interrupted goes on where it stopped when it is started again, if
/// protocol and program are the same. Files are replaced one by one, each at once, the
/// data last.
///
/// # Errors
/// When there is no such experiment, the options make no sense, or a file cannot be read
/// or written.
pub fn run(name: &str, options: &Options) -> Result<Outcome, Error> {
    let Some(experiment) = experiments().iter().find(|e| e.name == name) else {
        let known: Vec<&str> = experiments().iter().map(|e| e.name).collect();
        return Err(Error::Unknown {
            name: name.to_owned(),
            known: known.join(", "),
        });
    };
    for (what, number) in [("seed", options.seeds), ("thread", options.threads)] {
        if number == Some(0) {
            return Err(Error::Options(format!(
                "at least one {what} is needed, got 0"
            )));
        }
    }
    let folder = options.folder();
    std::fs::create_dir_all(&folder).map_err(|source| Error::write(&folder, source))?;
    let folder = folder.canonicalize().unwrap_or(folder);
    let protocol = experiment.protocol(options.quick);
    let mut session = Session::new(experiment.name, options, protocol.clone(), &folder);
    let finding = (experiment.run)(&mut session)?;

    let mut files = Vec::new();
    let mut write = |file: String, text: &str| {
        let path = folder.join(file);
        write_atomically(&path, text.as_bytes()).map_err(|source| Error::write(&path, source))?;
        files.push(path);
        Ok::<(), Error>(())
    };
    for (end, chart) in &finding.charts {
        write(format!("{name}-{end}.svg"), &chart.svg())?;
    }
    let mut results = json!({
        "experiment": name,
        "about": experiment.about,
        "command": options.command(name),
        "quick": options.quick,
        "seeds": session.seeds(),
        "versions": versions(),
        "protocol": protocol,
        "verdict": finding.verdict,
        "data": finding.data,
    });
    if let Some(claim) = experiment.claim {
        results["claim"] = json!(claim);
        results["answer"] = json!(finding.answer);
    }
    let text = serde_json::to_string_pretty(&results).expect("plain data serializes");
    write(format!("{name}.json"), &(text + "\n"))?;
    if !options.quick && options.seed_count() == SEEDS {
        let names: Vec<&str> = experiments().iter().map(|e| e.name).collect();
        let ran = Ran {
            name: name.to_owned(),
            chapter: runs::place(experiment.chapter),
            about: experiment.about.to_owned(),
            command: format!("lab {name}"),
            file: format!("{name}.json"),
            seconds: session.seconds(),
            threads: session.threads(),
        };
        runs::note(&folder, ran, &names).map_err(|source| Error::write(&folder, source))?;
    }
    session.finish();
    let Finding { verdict, table, .. } = finding;
    Ok(Outcome {
        verdict,
        table,
        files,
    })
}

/// Runs every experiment, in an order in which those that build on the results of others
/// come after them, and tells of each as it is done.
///
/// If this is interrupted and started again, experiments that are done are not run again,
/// if the program is the same.
///
/// # Errors
/// As [`run()`], for the first experiment that cannot be run.
pub fn run_all(
    options: &Options,
    mut tell: impl FnMut(&Experiment, &Outcome),
) -> Result<(), Error> {
    let folder = options.folder();
    std::fs::create_dir_all(&folder).map_err(|source| Error::write(&folder, source))?;
    let path = folder.join(".all.journal");
    let failed = |source| Error::write(&path, source);
    let header = json!({ "command": options.command("all"), "program": program() });
    let mut done = Journal::open(&path, &header, options.fresh).map_err(failed)?;
    for experiment in experiments() {
        if done.get::<bool>(experiment.name).is_none() {
            let outcome = run(experiment.name, options)?;
            tell(experiment, &outcome);
            done.put(experiment.name, &true).map_err(failed)?;
        }
    }
    std::fs::remove_file(&path).map_err(failed)
}

/// What besides the protocol decides the last digits: the program, and the instruction
/// set its matrix products use.
fn versions() -> Value {
    json!({
        "lab": env!("CARGO_PKG_VERSION"),
        "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        "simd": simd(),
    })
}

#[cfg(target_arch = "x86_64")]
fn simd() -> &'static str {
    if is_x86_feature_detected!("avx512f") {
        "avx512f"
    } else if is_x86_feature_detected!("fma") {
        "fma"
    } else if is_x86_feature_detected!("avx") {
        "avx"
    } else {
        "sse2"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn simd() -> &'static str {
    "default"
}

//! What an experiment is, and how one is run.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nn::data::DataError;
use nn::write_atomically;
use serde_json::{Value, json};
use verdict::COMMAND;

use crate::chart::Chart;
use crate::claims::{Answer, Claim};
use crate::experiments::experiments;
use crate::journal::{Journal, program};
use crate::runs::{self, Ran};
use crate::session::Session;

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
    /// others, which must not replace them, to the folder `lab` of cargo's target directory.
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
/// The most seeds, and the most threads, that are not a slip of the finger.
const MOST: usize = 10_000;

impl Options {
    pub(crate) fn seed_count(&self) -> usize {
        self.seeds
            .unwrap_or(if self.quick { QUICK_SEEDS } else { SEEDS })
    }

    /// The command line that gives these results.
    fn command(&self, name: &str) -> String {
        let mut command = format!("lab {name}");
        if self.quick {
            command += " --quick";
        }
        if let Some(seeds) = self.seeds {
            command += &format!(" --seeds {seeds}");
        }
        command
    }

    /// Whether it is the protocol as it stands, whose results the book quotes.
    fn full(&self) -> bool {
        !self.quick && self.seed_count() == SEEDS
    }

    fn folder(&self) -> PathBuf {
        match &self.out {
            Some(folder) => folder.clone(),
            None if self.full() => results(),
            None => target().join("lab"),
        }
    }

    /// Says which number makes no sense.
    fn check(&self) -> Result<(), Error> {
        for (what, number) in [("seed", self.seeds), ("thread", self.threads)] {
            let reason = match number {
                Some(0) => format!("at least one {what} is needed, got 0"),
                Some(count) if count > MOST => {
                    format!("at most {MOST} {what}s are possible, got {count}")
                }
                _ => continue,
            };
            return Err(Error::Options(reason));
        }
        Ok(())
    }
}

/// Where cargo has put this program, whichever way it was told to: the folder above it that
/// cargo has marked as a cache.
fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let marked = |folder: &&Path| folder.join("CACHEDIR.TAG").is_file();
    match program.ancestors().skip(1).find(marked) {
        Some(folder) => folder.to_path_buf(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
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
    /// The files that hold the results: charts, and last the data.
    pub files: Vec<PathBuf>,
    /// Whether it was the small form, which answers nothing.
    pub quick: bool,
    /// Whether all of it stood there before, number by number: then nothing was written.
    pub unchanged: bool,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.table)?;
        if self.quick {
            writeln!(
                f,
                "This was the small form: too little of everything to answer anything. For a verdict, run it without --quick.\n"
            )?;
        } else {
            writeln!(f, "{}\n", self.verdict)?;
        }
        let word = if self.unchanged {
            "as before"
        } else {
            "written"
        };
        for file in &self.files {
            writeln!(f, "{word}: {}", file.display())?;
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
    #[error("the results of {name:?} cannot be used: {reason}; run `{COMMAND} lab {name}`")]
    Results {
        /// The other experiment.
        name: String,
        /// What is wrong with them.
        reason: String,
    },
    /// Another process is at work on the same.
    #[error(
        "{name} is running already, and holds {}; wait until it is done, or end it",
        path.display()
    )]
    Held {
        /// What is running.
        name: String,
        /// The journal that it holds.
        path: PathBuf,
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
/// data last; none is where the same results stand already.
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
    options.check()?;
    let folder = options.folder();
    std::fs::create_dir_all(&folder).map_err(|source| Error::write(&folder, source))?;
    let folder = folder.canonicalize().unwrap_or(folder);
    let protocol = experiment.protocol(options.quick);
    let mut session = Session::new(experiment.name, options, protocol.clone(), &folder);
    let finding = (experiment.run)(&mut session)?;

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
    let charts = finding.charts.iter();
    let charts = charts.flat_map(|(end, chart)| chart.files(&folder.join(format!("{name}-{end}"))));
    let mut texts: Vec<(PathBuf, String)> = charts.collect();
    let text = serde_json::to_string_pretty(&results).expect("plain data serializes");
    texts.push((folder.join(format!("{name}.json")), text + "\n"));
    let listed = |source| Error::write(&folder, source);
    let unchanged = texts.iter().all(|(file, text)| says_the_same(file, text))
        && (!options.full() || runs::notes(&folder, name).map_err(listed)?);
    if !unchanged {
        for (file, text) in &texts {
            write_atomically(file, text.as_bytes()).map_err(|source| Error::write(file, source))?;
        }
        if options.full() {
            let names: Vec<&str> = experiments().iter().map(|e| e.name).collect();
            let ran = Ran {
                name: name.to_owned(),
                chapter: runs::place(experiment.chapter),
                about: experiment.about.to_owned(),
                command: options.command(name),
                file: format!("{name}.json"),
                seconds: session.seconds(),
                threads: session.threads(),
            };
            runs::note(&folder, ran, &names).map_err(listed)?;
        }
    }
    session.finish();
    let Finding { verdict, table, .. } = finding;
    Ok(Outcome {
        verdict,
        table,
        files: texts.into_iter().map(|(file, _)| file).collect(),
        quick: options.quick,
        unchanged,
    })
}

/// Whether the file holds these results already; on which machine they were found first
/// makes no difference to them.
fn says_the_same(file: &Path, text: &str) -> bool {
    let Ok(there) = std::fs::read_to_string(file) else {
        return false;
    };
    let results = |text: &str| -> Option<Value> {
        let mut results: Value = serde_json::from_str(text).ok()?;
        results.as_object_mut()?.remove("versions");
        Some(results)
    };
    there == text || results(&there).is_some_and(|there| Some(there) == results(text))
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
    options.check()?;
    let folder = options.folder();
    std::fs::create_dir_all(&folder).map_err(|source| Error::write(&folder, source))?;
    let command = options.command("all");
    let header = json!({ "command": command, "program": program() });
    let name = command
        .replace("lab ", "")
        .replace(" --", "-")
        .replace(' ', "-");
    let mut done = Journal::open(&folder, &name, &header, options.fresh)?;
    for experiment in experiments() {
        if done.get::<bool>(experiment.name).is_none() {
            let outcome = run(experiment.name, options)?;
            tell(experiment, &outcome);
            done.put(experiment.name, &true)?;
        }
    }
    done.remove();
    Ok(())
}

/// Every experiment: its chapter, how long its committed results took, what it asks, and the
/// claim that it measures.
///
/// # Errors
/// When the list of times is there and cannot be read.
pub fn overview() -> Result<String, Error> {
    let folder = results();
    let ran = runs::list(&folder).map_err(|source| Error::Results {
        name: "runs".to_owned(),
        reason: source.to_string(),
    })?;
    let mut text = String::new();
    for experiment in experiments() {
        let ran = ran.iter().find(|ran| ran.name == experiment.name);
        let took = ran.map_or(String::new(), |ran| duration(ran.seconds));
        text += &format!(
            "{:<12} chapter {:>2}  {took:>7}  {}\n",
            experiment.name, experiment.chapter, experiment.about
        );
        if let Some(claim) = experiment.claim {
            text += &format!("{:24}{:>7}  “{}”\n", "", claim.id, claim.text);
        }
    }
    text += &format!(
        "\nThe times are those of the results in the book, on the threads of that machine. Run one\nwith `{COMMAND} lab NAME`, or `all`; `--quick` is a small form that takes seconds and answers\nnothing. What Ctrl-C interrupts goes on where it stopped when the same is run again.\n"
    );
    Ok(text)
}

/// A time as a person says it: `13 s`, `9 min`.
fn duration(seconds: f64) -> String {
    if seconds < 100.0 {
        format!("{:.0} s", seconds.ceil())
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
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

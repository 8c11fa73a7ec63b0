//! Running experiments, and drawing again what they have found.

use std::fmt;
use std::path::{Path, PathBuf};

use nn::write_atomically;
use serde_json::{Value, json};
use verdict::COMMAND;

use crate::error::Error;
use crate::experiments::experiments;
use crate::journal::{Journal, program};
use crate::options::{Options, results};
use crate::refusal::refusal;
use crate::runs::{self, Ran};
use crate::session::Session;
use crate::study::{Experiment, Finding, read};

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

/// Runs the experiment of this name, and writes its data and charts.
///
/// A run that is interrupted goes on where it stopped when it is started again, if
/// protocol and program are the same. Files are replaced one by one, each at once, the
/// data last; if all of them say the same already, none is touched.
///
/// # Errors
/// When there is no such experiment, the options make no sense, or a file cannot be read
/// or written.
pub fn run(name: &str, options: &Options) -> Result<Outcome, Error> {
    let experiment = find(name)?;
    options.check()?;
    let folder = options.folder();
    std::fs::create_dir_all(&folder).map_err(|source| Error::write(&folder, source))?;
    let folder = folder.canonicalize().unwrap_or(folder);
    // Before anything is run, lest hours end in a list that cannot be read.
    let noted = !options.full() || runs::notes(&folder, name).map_err(Error::Runs)?;
    let protocol = experiment.protocol(options.quick);
    let mut session = Session::new(
        experiment.name,
        options,
        experiment.seeds,
        protocol.clone(),
        &folder,
    );
    let data = experiment.run(options.quick, &mut session)?;
    let results = json!({
        "experiment": name,
        "about": experiment.about,
        "command": options.command(name),
        "quick": options.quick,
        "seeds": session.seeds(),
        "tuning_seeds": session.tuning_seeds(),
        "versions": versions(),
        "protocol": protocol,
        "data": data,
    });
    let found = Found::read(experiment, results, &folder)?;
    let listed = |source| Error::write(&folder, source);
    let unchanged = noted && found.stands();
    if !unchanged {
        found.write()?;
        if options.full() {
            let names: Vec<&str> = experiments().iter().map(|e| e.name).collect();
            let ran = Ran {
                name: name.to_owned(),
                chapter: experiment.chapter.to_string(),
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
    Ok(found.outcome(options.quick, unchanged))
}

/// Draws the charts of an experiment again, and says again what follows, from the results
/// in `folder`; nothing is run.
///
/// # Errors
/// When there is no such experiment, its results are missing or of another protocol, or a
/// file cannot be written.
pub fn draw(name: &str, folder: &Path) -> Result<Outcome, Error> {
    let experiment = find(name)?;
    let results = read(folder, name)?;
    let quick = results["quick"] == json!(true);
    let unfit = |reason: String| Error::Results {
        name: name.to_owned(),
        reason,
    };
    if results["protocol"] != experiment.protocol(quick) {
        return Err(unfit("they are of another protocol".to_owned()));
    }
    // Numbers that somebody has cut can each be of the right kind, and no results together. What
    // fails then is a line that takes them to be whole, and a mistake in it would look the same.
    let found = refusal(|| Found::read(experiment, results, folder)).map_err(|refused| {
        let why = refused.message.lines().next().unwrap_or_default();
        let place = refused.place;
        unfit(format!(
            "they are not whole, or {place} is wrong about them: {why}"
        ))
    })??;
    let unchanged = found.stands();
    if !unchanged {
        found.write()?;
    }
    Ok(found.outcome(quick, unchanged))
}

fn find(name: &str) -> Result<&'static Experiment, Error> {
    let found = experiments().iter().find(|e| e.name == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = experiments().iter().map(|e| e.name).collect();
        Error::Unknown {
            name: name.to_owned(),
            known: known.join(", "),
        }
    })
}

/// What was found, and the files that tell it.
struct Found {
    finding: Finding,
    /// The charts, and last the data.
    files: Vec<(PathBuf, String)>,
}

impl Found {
    /// What `results` say, of which the numbers are there already.
    fn read(experiment: &Experiment, mut results: Value, folder: &Path) -> Result<Self, Error> {
        let quick = results["quick"] == json!(true);
        let (mut finding, data) = experiment.read(quick, &results["data"])?;
        if let Some(answer) = finding.answer {
            finding.verdict = format!("{}: {}", answer.words(), finding.verdict);
        }
        results["data"] = data;
        results["verdict"] = json!(finding.verdict);
        if let Some(claim) = experiment.claim {
            results["claim"] = json!(claim);
            results["answer"] = json!(finding.answer);
        }
        let name = experiment.name;
        let charts = finding.charts.iter();
        let charts =
            charts.flat_map(|(end, chart)| chart.files(&folder.join(format!("{name}-{end}"))));
        let mut files: Vec<(PathBuf, String)> = charts.collect();
        let text = serde_json::to_string_pretty(&results).expect("plain data serializes");
        files.push((folder.join(format!("{name}.json")), text + "\n"));
        Ok(Found { finding, files })
    }

    /// Whether all files say this already.
    fn stands(&self) -> bool {
        let mut files = self.files.iter();
        files.all(|(file, text)| says_the_same(file, text))
    }

    fn write(&self) -> Result<(), Error> {
        self.files.iter().try_for_each(|(file, text)| {
            write_atomically(file, text.as_bytes()).map_err(|source| Error::write(file, source))
        })
    }

    fn outcome(self, quick: bool, unchanged: bool) -> Outcome {
        Outcome {
            verdict: self.finding.verdict,
            table: self.finding.table,
            files: self.files.into_iter().map(|(file, _)| file).collect(),
            quick,
            unchanged,
        }
    }
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
    let ran = runs::list(&folder).map_err(Error::Runs)?;
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

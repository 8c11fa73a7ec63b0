//! Running the many trainings of an experiment: in parallel, with progress, and in a way
//! that survives an interruption.

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::experiment::{Error, Options};

/// What an experiment works with: its options, its seeds, and [`Session::map`].
pub struct Session {
    name: &'static str,
    quick: bool,
    seeds: Vec<u64>,
    threads: usize,
    fresh: bool,
    quiet: bool,
    journal: Option<Journal>,
    journal_at: PathBuf,
    protocol: Value,
    bar: ProgressBar,
}

impl Session {
    pub(crate) fn new(
        name: &'static str,
        options: &Options,
        protocol: Value,
        folder: &Path,
    ) -> Self {
        let target = if options.quiet {
            ProgressDrawTarget::hidden()
        } else {
            // Hidden as well where standard error is not a terminal.
            ProgressDrawTarget::stderr()
        };
        Session {
            name,
            quick: options.quick,
            seeds: (0..options.seed_count() as u64).collect(),
            threads: options.threads.unwrap_or_else(tape::parallel::threads),
            fresh: options.fresh,
            quiet: options.quiet,
            journal: None,
            journal_at: folder.join(format!(".{name}.journal")),
            protocol,
            bar: ProgressBar::with_draw_target(None, target),
        }
    }

    /// Whether the small form was asked for.
    pub fn quick(&self) -> bool {
        self.quick
    }

    /// The seeds, counted from 0.
    pub fn seeds(&self) -> &[u64] {
        &self.seeds
    }

    /// How many runs at a time.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// How long it took since [`Session::begin`]; if an interrupted run was taken up, with
    /// the time that it had spent on what was taken up.
    pub(crate) fn seconds(&self) -> f64 {
        self.journal.as_ref().map_or(0.0, Journal::seconds)
    }

    /// Announces the number of jobs, before the first is run, and takes up what an
    /// interrupted run of the same protocol left.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn begin(&mut self, jobs: usize) -> Result<(), Error> {
        let header = json!({ "experiment": self.name, "quick": self.quick,
            "protocol": self.protocol, "program": program() });
        let journal = Journal::open(&self.journal_at, &header, self.fresh)
            .map_err(|source| Error::write(&self.journal_at, source))?;
        let done = journal.done.len();
        self.journal = Some(journal);
        let style = "{prefix} {bar:30} {pos}/{len} runs, {elapsed} so far, {eta} to go";
        self.bar
            .set_style(ProgressStyle::with_template(style).expect("the template is valid"));
        self.bar.set_prefix(self.name);
        self.bar.set_length(jobs as u64);
        let going_on = match done {
            0 => String::new(),
            _ => format!(", going on after {done} that are done"),
        };
        if !self.quiet {
            // Where there is no terminal, this is all that shows until the end.
            let threads = self.threads;
            eprintln!("{}: {jobs} runs on {threads} threads{going_on}", self.name);
        }
        self.bar.enable_steady_tick(Duration::from_millis(250));
        self.bar.reset_eta();
        Ok(())
    }

    /// Runs `run` on every job, several at a time, and returns the results in the order
    /// of the jobs. Each job has a `key` of its own, under which its result is kept until
    /// the experiment is done. While this runs, kernels use one thread each; their
    /// results do not depend on it.
    ///
    /// # Errors
    /// When the journal cannot be written.
    ///
    /// # Panics
    /// If [`Session::begin`] was not called, or a job panics.
    pub fn map<J: Sync, R: Serialize + DeserializeOwned + Send>(
        &mut self,
        jobs: &[J],
        key: impl Fn(&J) -> String + Sync,
        run: impl Fn(&J) -> R + Sync,
    ) -> Result<Vec<R>, Error> {
        let journal = Mutex::new(self.journal.as_mut().expect("begin comes before map"));
        let results: Vec<Mutex<Option<R>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
        let failure = Mutex::new(None);
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(at) else { return };
                if lock(&failure).is_some() {
                    return;
                }
                let key = key(job);
                let kept = lock(&journal).get(&key);
                let result = match kept {
                    Some(result) => {
                        // Taken up, not run: no measure of how long the others take.
                        self.bar.reset_eta();
                        result
                    }
                    None => {
                        let result = run(job);
                        if let Err(error) = lock(&journal).put(&key, &result) {
                            *lock(&failure) = Some(error);
                        }
                        result
                    }
                };
                *lock(&results[at]) = Some(result);
                self.bar.inc(1);
            }
        };
        let before = tape::parallel::threads();
        tape::parallel::set_threads(1);
        std::thread::scope(|scope| {
            for _ in 0..self.threads.min(jobs.len()) {
                scope.spawn(work);
            }
        });
        tape::parallel::set_threads(before);
        if let Some(source) = lock(&failure).take() {
            return Err(Error::write(&self.journal_at, source));
        }
        let done = results.into_iter().map(|result| {
            let result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
            result.expect("every job was run")
        });
        Ok(done.collect())
    }

    /// The experiment is done and its files are written: the journal is not needed more.
    pub(crate) fn finish(&self) {
        // If it stays, it is outdated by the next build at the latest.
        let _ = fs::remove_file(&self.journal_at);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A number that changes with the program, so that results of another program are not
/// taken up.
pub(crate) fn program() -> u64 {
    let mut hasher = DefaultHasher::new();
    let about = std::env::current_exe().and_then(fs::metadata);
    if let Ok(about) = about {
        about.len().hash(&mut hasher);
        if let Ok(time) = about.modified() {
            time.hash(&mut hasher);
        }
    }
    hasher.finish()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Results of finished jobs, one line each, after a first line that says of what. Each line
/// says as well how much time had been spent when the job was done.
pub(crate) struct Journal {
    file: File,
    done: HashMap<String, Value>,
    /// Seconds that were spent before it was opened.
    spent: f64,
    opened: Instant,
}

impl Journal {
    /// Takes up the journal at `path` if it has the same header, else begins it anew.
    pub(crate) fn open(path: &Path, header: &Value, fresh: bool) -> io::Result<Self> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut lines = text
            .lines()
            .map_while(|line| serde_json::from_str(line).ok());
        let same = !fresh && lines.next().as_ref() == Some(header);
        let entries: Vec<Entry> = if same {
            lines.filter_map(entry).collect()
        } else {
            Vec::new()
        };
        let spent = entries.iter().map(|(_, _, spent)| *spent);
        let spent = spent.fold(0.0, f64::max);
        let done = entries.into_iter().map(|(key, result, _)| (key, result));
        let done: HashMap<String, Value> = done.collect();
        // Written anew, for the last line may be torn.
        let mut file = File::create(path)?;
        writeln!(file, "{header}")?;
        for (key, result) in &done {
            writeln!(file, "{}", json!([key, result, spent]))?;
        }
        Ok(Journal {
            file,
            done,
            spent,
            opened: Instant::now(),
        })
    }

    pub(crate) fn get<R: DeserializeOwned>(&self, key: &str) -> Option<R> {
        serde_json::from_value(self.done.get(key)?.clone()).ok()
    }

    pub(crate) fn put<R: Serialize>(&mut self, key: &str, result: &R) -> io::Result<()> {
        let seconds = self.seconds();
        writeln!(self.file, "{}", json!([key, result, seconds]))?;
        self.file.flush()
    }

    /// The time that was spent on what it holds, and since it was opened.
    fn seconds(&self) -> f64 {
        self.spent + self.opened.elapsed().as_secs_f64()
    }
}

/// A job's key, its result, and the seconds that had been spent when it was done.
type Entry = (String, Value, f64);

fn entry(line: Value) -> Option<Entry> {
    serde_json::from_value(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn options(threads: usize) -> Options {
        Options {
            threads: Some(threads),
            quiet: true,
            ..Options::default()
        }
    }

    /// Runs jobs 0 to `until`, and says how many were really run.
    fn squares(
        folder: &Path,
        options: &Options,
        protocol: &str,
        until: usize,
    ) -> (Vec<f64>, usize) {
        let mut session = Session::new("squares", options, json!(protocol), folder);
        session.begin(until).expect("begun");
        let runs = AtomicUsize::new(0);
        let jobs: Vec<usize> = (0..until).collect();
        let results = session.map(&jobs, usize::to_string, |&job| {
            runs.fetch_add(1, Ordering::Relaxed);
            (job as f64 / 3.0).sqrt()
        });
        (results.expect("written"), runs.into_inner())
    }

    fn expected(until: usize) -> Vec<f64> {
        (0..until).map(|job| (job as f64 / 3.0).sqrt()).collect()
    }

    #[test]
    fn results_come_in_order_whatever_the_threads() {
        let folder = tempfile::tempdir().expect("a folder");
        for threads in [1, 2, 7] {
            let options = Options {
                fresh: true,
                ..options(threads)
            };
            let results = squares(folder.path(), &options, "a", 40);
            assert_eq!(results, (expected(40), 40));
        }
    }

    #[test]
    fn an_interrupted_run_goes_on_and_gives_the_same_bits() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(squares(folder.path(), &options(2), "a", 10).1, 10);
        assert_eq!(
            squares(folder.path(), &options(2), "a", 25),
            (expected(25), 15)
        );
        // A line that was torn by a kill is run again.
        let path = folder.path().join(".squares.journal");
        let text = fs::read_to_string(&path).expect("the journal");
        fs::write(&path, &text[..text.len() - 4]).expect("torn");
        assert_eq!(
            squares(folder.path(), &options(1), "a", 25),
            (expected(25), 1)
        );
    }

    /// What an interrupted run took counts for the one that takes it up, on however many
    /// threads; what was thrown away does not.
    #[test]
    fn the_time_of_an_interrupted_run_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let open = |fresh| Journal::open(&path, &json!("a"), fresh).expect("opened");
        let mut first = open(false);
        std::thread::sleep(Duration::from_millis(20));
        first.put("job", &1).expect("written");
        assert!(first.seconds() >= 0.02);
        for _ in 0..2 {
            let again = open(false);
            assert!((0.02..first.seconds()).contains(&again.spent));
            assert!(again.seconds() >= again.spent);
        }
        assert_eq!(open(true).spent, 0.0);
    }

    #[test]
    fn another_protocol_or_a_wish_starts_afresh() {
        let folder = tempfile::tempdir().expect("a folder");
        squares(folder.path(), &options(2), "a", 10);
        assert_eq!(squares(folder.path(), &options(2), "b", 10).1, 10);
        assert_eq!(squares(folder.path(), &options(2), "b", 10).1, 0);
        let fresh = Options {
            fresh: true,
            ..options(2)
        };
        assert_eq!(squares(folder.path(), &fresh, "b", 10).1, 10);
        // What is left in the file may be anything.
        fs::write(folder.path().join(".squares.journal"), "{\"x\"").expect("written");
        assert_eq!(squares(folder.path(), &options(2), "b", 10).1, 10);
    }

    #[test]
    fn a_journal_that_cannot_be_written_is_told_in_one_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let absent = folder.path().join("absent");
        let mut session = Session::new("squares", &options(1), json!("a"), &absent);
        let error = session
            .begin(1)
            .expect_err("there is no folder")
            .to_string();
        assert!(
            error.starts_with("cannot write ") && !error.contains('\n'),
            "{error}"
        );
    }
}

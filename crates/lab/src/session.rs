//! Running the many trainings of an experiment: in parallel, with progress, and in a way
//! that survives an interruption.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Error;
use crate::journal::{Journal, program};
use crate::options::{Options, Seeds};

/// What an experiment works with: its options, its seeds, and [`Session::map`].
pub(crate) struct Session {
    name: &'static str,
    quick: bool,
    seeds: Vec<u64>,
    tuning: Vec<u64>,
    threads: usize,
    fresh: bool,
    quiet: bool,
    journal: Option<Journal>,
    folder: PathBuf,
    protocol: Value,
    bar: ProgressBar,
}

impl Session {
    pub(crate) fn new(
        name: &'static str,
        options: &Options,
        seeds: Seeds,
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
            seeds: options.seeds(seeds),
            tuning: options.tuning_seeds(seeds),
            threads: options.threads.unwrap_or_else(tape::parallel::threads),
            fresh: options.fresh,
            quiet: options.quiet,
            journal: None,
            folder: folder.to_path_buf(),
            protocol,
            bar: ProgressBar::with_draw_target(None, target),
        }
    }

    /// The seeds that results are reported of.
    pub(crate) fn seeds(&self) -> &[u64] {
        &self.seeds
    }

    /// The seeds that pick a learning rate, and are used for nothing else.
    pub(crate) fn tuning_seeds(&self) -> &[u64] {
        &self.tuning
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
    /// When another process runs the same, or the journal cannot be written.
    pub(crate) fn begin(&mut self, jobs: usize) -> Result<(), Error> {
        let header = json!({ "experiment": self.name, "quick": self.quick,
            "seeds": self.seeds.len(), "protocol": self.protocol, "program": program() });
        let form = if self.quick { "-quick" } else { "" };
        let name = format!("{}{form}-{}", self.name, self.seeds.len());
        let journal = Journal::open(&self.folder, &name, &header, self.fresh)?;
        let (done, of_others) = (journal.count(), journal.of_others());
        self.journal = Some(journal);
        let style = "{prefix} {bar:30} {pos}/{len} runs, {elapsed} so far, {eta} to go";
        self.bar
            .set_style(ProgressStyle::with_template(style).expect("the template is valid"));
        self.bar.set_prefix(self.name);
        self.bar.set_length(jobs as u64);
        if !self.quiet {
            // Where there is no terminal, this is all that shows until the end.
            let going_on = match done {
                0 => String::new(),
                _ => format!(", going on after {done} that are done"),
            };
            let threads = self.threads;
            eprintln!("{}: {jobs} runs on {threads} threads{going_on}", self.name);
            if of_others > 0 {
                eprintln!(
                    "{of_others} runs of another build, or of another protocol, are kept until this is done, but not used"
                );
            }
        }
        *lock(&RUNNING) = Some(Running {
            name: self.name,
            jobs,
            kept: done,
        });
        self.bar.enable_steady_tick(Duration::from_millis(250));
        self.bar.reset_eta();
        Ok(())
    }

    /// Runs `run` on every job, several at a time, and returns the results in the order
    /// of the jobs. They are begun in this order too, so that an interruption leaves whole
    /// settings, and not a part of each. Each job has a `key` of its own, under which its
    /// result is kept until the experiment is done. While this runs, kernels use one thread each; their
    /// results do not depend on it.
    ///
    /// # Errors
    /// When the journal cannot be written.
    ///
    /// # Panics
    /// If [`Session::begin`] was not called, or a job panics.
    pub(crate) fn map<J: Sync, R: Serialize + DeserializeOwned + Send>(
        &mut self,
        jobs: &[J],
        key: impl Fn(&J) -> String + Sync,
        run: impl Fn(&J) -> R + Sync,
    ) -> Result<Vec<R>, Error> {
        let journal = self.journal.as_mut().expect("begin comes before map");
        let journal = Mutex::new(journal);
        let bar = &self.bar;
        let results: Vec<Mutex<Option<R>>> = jobs.iter().map(|_| Mutex::default()).collect();
        let work = |at: usize| {
            let job = &jobs[at];
            let key = key(job);
            let kept = lock(&journal).get(&key);
            let result = match kept {
                Some(result) => {
                    // Taken up, not run: no measure of how long the others take.
                    bar.reset_eta();
                    result
                }
                None => {
                    let result = run(job);
                    // Held while it is written, so that an end on request tears no line.
                    let mut running = lock(&RUNNING);
                    lock(&journal).put(&key, &result)?;
                    running.iter_mut().for_each(|running| running.kept += 1);
                    result
                }
            };
            *lock(&results[at]) = Some(result);
            bar.inc(1);
            Ok(())
        };
        let before = tape::parallel::threads();
        tape::parallel::set_threads(1);
        let done = in_order(jobs.len(), self.threads, &work);
        tape::parallel::set_threads(before);
        done?;
        let result = |result: Mutex<Option<R>>| result.into_inner().ok().flatten();
        let results: Option<Vec<R>> = results.into_iter().map(result).collect();
        Ok(results.expect("every job is done"))
    }

    /// The same for each of `items` from every seed: for each item its results, seed by seed.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub(crate) fn by_seed<I: Sync, R: Serialize + DeserializeOwned + Send>(
        &mut self,
        items: &[I],
        key: impl Fn(&I) -> String + Sync,
        run: impl Fn(&I, u64) -> R + Sync,
    ) -> Result<Vec<Vec<R>>, Error> {
        let seeds = self.seeds.clone();
        self.with_seeds(&seeds, items, key, run)
    }

    /// The same from every seed that picks a learning rate.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub(crate) fn by_tuning_seed<I: Sync, R: Serialize + DeserializeOwned + Send>(
        &mut self,
        items: &[I],
        key: impl Fn(&I) -> String + Sync,
        run: impl Fn(&I, u64) -> R + Sync,
    ) -> Result<Vec<Vec<R>>, Error> {
        let seeds = self.tuning.clone();
        self.with_seeds(&seeds, items, key, run)
    }

    fn with_seeds<I: Sync, R: Serialize + DeserializeOwned + Send>(
        &mut self,
        seeds: &[u64],
        items: &[I],
        key: impl Fn(&I) -> String + Sync,
        run: impl Fn(&I, u64) -> R + Sync,
    ) -> Result<Vec<Vec<R>>, Error> {
        let of = |item| seeds.iter().map(move |&seed| (item, seed));
        let jobs: Vec<(&I, u64)> = items.iter().flat_map(of).collect();
        let key = |(item, seed): &(&I, u64)| format!("{} {seed}", key(item));
        let mut results = self
            .map(&jobs, key, |(item, seed)| run(item, *seed))?
            .into_iter();
        let of = |_| results.by_ref().take(seeds.len()).collect();
        Ok(items.iter().map(of).collect())
    }

    /// The experiment is done and its files are written: the journal is not needed more.
    pub(crate) fn finish(&self) {
        if let Some(journal) = &self.journal {
            journal.remove();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        *lock(&RUNNING) = None;
    }
}

/// Does `work` on every number below `jobs`, on several threads, which begin them in this order.
/// It is compiled once, and not for each kind of job.
fn in_order(
    jobs: usize,
    threads: usize,
    work: &(dyn Fn(usize) -> Result<(), Error> + Sync),
) -> Result<(), Error> {
    let threads = threads.min(jobs).max(1);
    match ThreadPoolBuilder::new().num_threads(threads).build() {
        // The threads take one after the other, where a parallel list would be cut in
        // halves, and begun in as many places as there are threads.
        Ok(pool) => pool.install(|| (0..jobs).par_bridge().try_for_each(work)),
        // The work is done without the threads that the system does not give.
        Err(_) => (0..jobs).try_for_each(work),
    }
}

/// The experiment that is being run.
struct Running {
    name: &'static str,
    jobs: usize,
    kept: usize,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

/// Ends the process at once, as Ctrl-C asks it to, and says what is kept of its work.
pub fn interrupted() -> ! {
    // Not given back: no run is written down half from here on.
    let running = lock(&RUNNING);
    if let Some(Running { name, jobs, kept }) = &*running {
        eprintln!(
            "\nstopped: {kept} of the {jobs} runs of {name} are done and kept; the same command goes on after them"
        );
    }
    std::process::exit(INTERRUPTED);
}

/// What a shell expects of a process that was ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
        let mut session = Session::new("squares", options, Seeds::USUAL, json!(protocol), folder);
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

    /// When a job begins, all before it are done, but for those that other threads are at.
    #[test]
    fn jobs_are_begun_in_their_order() {
        for threads in [1, 2, 7] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut session = Session::new(
                "order",
                &options(threads),
                Seeds::USUAL,
                json!("a"),
                folder.path(),
            );
            session.begin(40).expect("begun");
            let done: Vec<AtomicBool> = (0..40).map(|_| AtomicBool::new(false)).collect();
            let jobs: Vec<usize> = (0..done.len()).collect();
            let missing = session.map(&jobs, usize::to_string, |&job| {
                let before = done[..job].iter();
                let missing = before.filter(|done| !done.load(Ordering::SeqCst)).count();
                // Time for the other threads to begin.
                std::thread::sleep(Duration::from_millis(1));
                done[job].store(true, Ordering::SeqCst);
                missing
            });
            let missing = missing.expect("written");
            assert_eq!(missing.len(), jobs.len());
            let in_order = missing.iter().all(|missing| *missing < threads);
            assert!(in_order, "{threads} threads: {missing:?}");
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
        let files = fs::read_dir(folder.path()).expect("listed");
        let files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
        let [path] = &files[..] else {
            panic!("one journal: {files:?}")
        };
        let text = fs::read_to_string(path).expect("the journal");
        fs::write(path, &text[..text.len() - 4]).expect("torn");
        assert_eq!(
            squares(folder.path(), &options(1), "a", 25),
            (expected(25), 1)
        );
        // Nobody loses what was done under other seeds or another protocol.
        let three = Options {
            seeds: Some(3),
            ..options(2)
        };
        assert_eq!(squares(folder.path(), &three, "a", 10).1, 10);
        for runs in [10, 0] {
            assert_eq!(squares(folder.path(), &options(2), "b", 10).1, runs);
        }
        assert_eq!(squares(folder.path(), &options(2), "a", 25).1, 0);
        // And somebody may wish to start afresh.
        let fresh = Options {
            fresh: true,
            ..options(2)
        };
        assert_eq!(squares(folder.path(), &fresh, "b", 10).1, 10);
    }

    #[test]
    fn a_journal_that_cannot_be_written_is_told_in_one_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let absent = folder.path().join("absent");
        let mut session = Session::new("squares", &options(1), Seeds::USUAL, json!("a"), &absent);
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

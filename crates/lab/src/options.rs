//! How an experiment is run, and where its results go.

use std::path::{Path, PathBuf};

use crate::error::Error;

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

/// Seeds of the full protocol. Of 13 pairs of results of two methods that do not differ, 11 or
/// more are in favour of the first in 1.1 % of cases (chapter 16).
const SEEDS: usize = 13;
/// Seeds of the quick form.
const QUICK_SEEDS: usize = 2;
/// Seeds that pick a learning rate, and are used for nothing else.
const TUNING_SEEDS: usize = 3;
/// Those of the quick form.
const QUICK_TUNING_SEEDS: usize = 1;
/// The most seeds, and the most threads, that are not a slip of the finger.
const MOST: usize = 10_000;

impl Options {
    /// How many seeds there are.
    pub fn seed_count(&self) -> usize {
        self.seeds
            .unwrap_or(if self.quick { QUICK_SEEDS } else { SEEDS })
    }

    /// The seeds that results are reported of, counted from 0.
    pub(crate) fn seeds(&self) -> Vec<u64> {
        (0..self.seed_count() as u64).collect()
    }

    /// The seeds that pick a learning rate. None of them is ever reported of.
    pub(crate) fn tuning_seeds(&self) -> Vec<u64> {
        let count = match self.quick {
            true => QUICK_TUNING_SEEDS,
            false => TUNING_SEEDS,
        };
        (0..count).map(|i| (MOST + i) as u64).collect()
    }

    /// The command line that gives these results.
    pub(crate) fn command(&self, name: &str) -> String {
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
    pub(crate) fn full(&self) -> bool {
        !self.quick && self.seed_count() == SEEDS
    }

    pub(crate) fn folder(&self) -> PathBuf {
        match &self.out {
            Some(folder) => folder.clone(),
            None if self.full() => results(),
            None => target().join("lab"),
        }
    }

    /// Says which number makes no sense.
    pub(crate) fn check(&self) -> Result<(), Error> {
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
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book/results")
}

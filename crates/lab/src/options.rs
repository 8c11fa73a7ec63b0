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

/// How many seeds an experiment has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seeds {
    /// Those that pick a learning rate, and are used for nothing else.
    pub tuning: usize,
    /// Those that results are reported of.
    pub reported: usize,
}

impl Seeds {
    /// Of 13 pairs of results of two methods that do not differ, 11 or more are in favour of the
    /// first in 1.1 % of cases (chapter 16).
    pub(crate) const USUAL: Seeds = Seeds {
        tuning: 3,
        reported: 13,
    };
    /// Of an experiment with few runs. Of 7 pairs, all are in favour of the first in 0.8 % of
    /// cases; with fewer than 7, chance puts all of them on one side too often.
    pub(crate) const FEW: Seeds = Seeds {
        tuning: 1,
        reported: 7,
    };
    /// Of every quick form.
    const QUICK: Seeds = Seeds {
        tuning: 1,
        reported: 2,
    };
}

/// The most seeds, and the most threads, that are not a slip of the finger.
const MOST: usize = 10_000;

impl Options {
    /// How many seeds are reported of, in most experiments.
    pub fn seed_count(&self) -> usize {
        self.counts(Seeds::USUAL).reported
    }

    /// How many seeds there are of an experiment that has `full` in its full form.
    fn counts(&self, full: Seeds) -> Seeds {
        let Seeds { tuning, reported } = if self.quick { Seeds::QUICK } else { full };
        Seeds {
            tuning,
            reported: self.seeds.unwrap_or(reported),
        }
    }

    /// The seeds that results are reported of, counted from 0, of such an experiment.
    pub(crate) fn seeds(&self, full: Seeds) -> Vec<u64> {
        (0..self.counts(full).reported as u64).collect()
    }

    /// The seeds that pick a learning rate. None of them is ever reported of.
    pub(crate) fn tuning_seeds(&self, full: Seeds) -> Vec<u64> {
        let count = self.counts(full).tuning;
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
        !self.quick && self.seeds.is_none()
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

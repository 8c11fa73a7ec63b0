//! The exercises: titles, tasks, hints, explanations.
//!
//! All text about an exercise is in `book/exercises/catalogue.toml`; the file the
//! reader edits holds only the signature and a line or two.

use crate::progress::{Progress, State};
use crate::workspace::Workspace;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;
use verdict::channel::TIME_LIMIT;
use verdict::command;

/// One exercise, as the catalogue has it. All texts are Markdown.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exercise {
    /// The name of its file, its cargo target and its place in the book.
    pub name: String,
    /// A short title.
    pub title: String,
    /// What to do, with shapes and conventions.
    pub task: String,
    /// Hints, at least three; each says more, the last nearly gives the solution.
    pub hints: Vec<String>,
    /// Why the solution is what it is; shown after success.
    pub explanation: String,
    /// Where to go from here; shown after success.
    pub read_next: String,
    /// What one that takes its time needs.
    #[serde(default)]
    pub run: Option<Run>,
}

/// An exercise that takes its time, and shows how far it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// It is stopped after so many seconds.
    pub seconds: u64,
    /// The label of the figure in whose place the page shows what is to be seen.
    pub figure: String,
}

impl Exercise {
    /// How long it may run.
    #[must_use]
    pub fn limit(&self) -> Duration {
        let seconds = self.run.as_ref().map(|run| run.seconds);
        seconds.map_or(TIME_LIMIT, Duration::from_secs)
    }
}

/// All exercises, in the order in which the book has them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// In the order of the book.
    #[serde(rename = "exercise")]
    pub exercises: Vec<Exercise>,
}

impl Catalogue {
    /// Reads the catalogue.
    ///
    /// # Errors
    /// One message with file, line and reason when it cannot be read, when two
    /// exercises have the same name, when a text is empty, when there are too few hints, or
    /// when an exercise has no solution. The reader's own file may be missing: `reset`
    /// brings it back.
    pub fn load(workspace: &Workspace) -> Result<Self> {
        let path = workspace.catalogue();
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", workspace.relative(&path)))?;
        let catalogue: Self =
            toml::from_str(&text).with_context(|| format!("in {}", workspace.relative(&path)))?;
        let mut names = BTreeSet::new();
        for exercise in &catalogue.exercises {
            let name = &exercise.name;
            if !names.insert(name) {
                bail!("two exercises of the catalogue are called `{name}`");
            }
            let texts = [
                &exercise.title,
                &exercise.task,
                &exercise.explanation,
                &exercise.read_next,
            ];
            if texts
                .into_iter()
                .chain(&exercise.hints)
                .any(|text| text.trim().is_empty())
            {
                bail!("a text of the exercise `{name}` is empty in the catalogue");
            }
            if exercise.hints.len() < 3 {
                bail!("the exercise `{name}` has fewer than three hints in the catalogue");
            }
            // The file that the reader edits may be gone: `reset` makes it from this one.
            let solution = workspace.solution(name);
            if !solution.is_file() {
                bail!(
                    "the exercise `{name}` has no {}",
                    workspace.relative(&solution)
                );
            }
        }
        Ok(catalogue)
    }

    /// The exercise called `name`.
    ///
    /// # Errors
    /// One line with the nearest names when there is none.
    pub fn get(&self, name: &str) -> Result<&Exercise> {
        // `course check book/exercises/bn_forward.rs` and `bn-forward` mean the same.
        let wanted = name
            .rsplit(['/', '\\'])
            .next()
            .unwrap_or(name)
            .trim_end_matches(".rs")
            .replace('-', "_");
        if let Some(exercise) = self.exercises.iter().find(|e| e.name == wanted) {
            return Ok(exercise);
        }
        let mut near: Vec<(usize, &str)> = self
            .exercises
            .iter()
            .map(|e| (distance(&wanted, &e.name), e.name.as_str()))
            .filter(|(d, n)| *d <= n.len() / 2)
            .collect();
        near.sort();
        match near.first() {
            Some((_, near)) => bail!("no exercise is called `{name}`; did you mean `{near}`?"),
            None => bail!(
                "no exercise is called `{name}`; `{}` shows them all",
                command("list")
            ),
        }
    }

    /// How many exercises have passed.
    #[must_use]
    pub fn passed(&self, progress: &Progress) -> usize {
        let all = self.exercises.iter();
        all.filter(|exercise| !is_open(exercise, progress)).count()
    }

    /// The exercise to do after `name`: the next that has not passed, or else the first.
    #[must_use]
    pub fn after(&self, name: &str, progress: &Progress) -> Option<&Exercise> {
        let here = self.exercises.iter().position(|e| e.name == name);
        let (before, behind) = self.exercises.split_at(here.map_or(0, |at| at + 1));
        let mut all = behind.iter().chain(before);
        all.find(|e| is_open(e, progress))
    }
}

fn is_open(exercise: &Exercise, progress: &Progress) -> bool {
    progress.get(&exercise.name).state != State::Passed
}

/// The Levenshtein distance between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("bn_forward", "bn_forward"), 0);
    }

    #[test]
    fn names_are_forgiving_and_a_wrong_one_gets_a_suggestion() {
        let catalogue: Catalogue = toml::from_str(
            r#"[[exercise]]
               name = "bn_forward"
               title = "t"
               task = "t"
               hints = ["a", "b", "c"]
               explanation = "e"
               read_next = "r""#,
        )
        .unwrap();
        for name in ["bn_forward", "bn-forward", "book/exercises/bn_forward.rs"] {
            assert_eq!(catalogue.get(name).unwrap().name, "bn_forward");
        }
        let error = catalogue.get("bn_foward").unwrap_err().to_string();
        assert!(error.contains("did you mean `bn_forward`?"), "{error}");
        let error = catalogue.get("transformer").unwrap_err().to_string();
        assert!(error.contains("cargo run -- list"), "{error}");
    }

    #[test]
    fn the_next_exercise_is_one_that_has_not_passed() {
        let text = ["a", "b", "c"].map(|name| {
            format!(
                "[[exercise]]\nname = \"{name}\"\ntitle = \"t\"\ntask = \"t\"\nhints = []\nexplanation = \"e\"\nread_next = \"r\"\n"
            )
        });
        let catalogue: Catalogue = toml::from_str(&text.concat()).unwrap();
        let mut progress = Progress::default();
        // One that is in the catalogue no more counts for nothing.
        for (name, next, passed) in [
            ("gone", Some("a"), 0),
            ("b", Some("c"), 1),
            ("c", Some("a"), 2),
            ("a", None, 3),
        ] {
            progress.record(name, true, true, "f");
            let found = catalogue.after(name, &progress);
            assert_eq!(found.map(|e| e.name.as_str()), next, "after {name}");
            assert_eq!(catalogue.passed(&progress), passed);
        }
    }
}

//! Where the book and the exercises lie.

use anyhow::{Result, bail};
use std::env;
use std::path::{Path, PathBuf};

/// The checkout that `course` works on.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the checkout: the nearest folder at or above the current one that holds
    /// `Cargo.toml` and `book/book.toml`; failing that, the one `course` was built from.
    ///
    /// # Errors
    /// One line that says what was looked for, when there is none.
    pub fn find() -> Result<Self> {
        let here = env::current_dir()?;
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        here.ancestors()
            .chain([built_from.as_path()])
            .find_map(|dir| Self::at(dir).ok())
            .map_or_else(
                || {
                    bail!(
                        "no book here: neither {} nor a folder above it holds Cargo.toml and book/book.toml",
                        here.display()
                    )
                },
                Ok,
            )
    }

    /// The checkout whose root is `dir`.
    ///
    /// # Errors
    /// One line naming the missing file when `dir` is not the root of a checkout.
    pub fn at(dir: &Path) -> Result<Self> {
        for file in ["Cargo.toml", "book/book.toml"] {
            if !dir.join(file).is_file() {
                bail!("no book in {}: {file} is missing", dir.display());
            }
        }
        let root = dir.canonicalize()?;
        Ok(Self { root })
    }

    /// The root of the checkout, as an absolute path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder `book`.
    #[must_use]
    pub fn book(&self) -> PathBuf {
        self.root.join("book")
    }

    /// The chapters' Markdown.
    #[must_use]
    pub fn chapters(&self) -> PathBuf {
        self.root.join("book/src")
    }

    /// Where the built pages go.
    #[must_use]
    pub fn build_dir(&self) -> PathBuf {
        self.root.join("book/build")
    }

    /// The file the reader edits for the exercise `name`.
    #[must_use]
    pub fn exercise(&self, name: &str) -> PathBuf {
        self.root.join(format!("book/exercises/{name}.rs"))
    }

    /// The solution of the exercise `name`.
    #[must_use]
    pub fn solution(&self, name: &str) -> PathBuf {
        self.root.join(format!("book/solutions/{name}.rs"))
    }

    /// What the reader had written before each `reset`.
    #[must_use]
    pub fn backups(&self) -> PathBuf {
        self.root.join("book/backups")
    }

    /// The catalogue of exercises.
    #[must_use]
    pub fn catalogue(&self) -> PathBuf {
        self.root.join("book/exercises/catalogue.toml")
    }

    /// What the reader has done so far.
    #[must_use]
    pub fn progress(&self) -> PathBuf {
        self.root.join("book/progress.toml")
    }

    /// A lock that the commands at work in this checkout share; see
    /// [`Lock`](crate::files::Lock).
    #[must_use]
    pub fn lock(&self, name: &str) -> PathBuf {
        self.root.join("book/.course").join(name)
    }

    /// `path` relative to the root, with forward slashes, for messages and pages.
    #[must_use]
    pub fn relative(&self, path: &Path) -> String {
        let path = path.strip_prefix(&self.root).unwrap_or(path);
        path.to_string_lossy().replace('\\', "/")
    }
}

//! The Markdown of the book made into pages.
//!
//! mdBook renders the pages; before it does, each chapter goes through two passes.
//! [`scan`] takes out what stands on lines of its own, [`render`] does the rest.
//! Anything wrong, in any chapter, is collected and reported with file and line.
//!
//! # What a chapter may hold besides Markdown
//!
//! | Written | Becomes |
//! |---|---|
//! | `$\hat{x}_{nc}$` | a formula in the line, as MathML |
//! | `$$ … $$ {#eq:name}` | a displayed formula, numbered when it has a label |
//! | `## Title {#sec:name}` | a numbered section |
//! | `[](#eq:name)` | a reference: "(8.3)", "section 8.3", "figure 8.1" |
//! | `{{#listing file:item "caption" #lst:name}}` | code of the crates, with file and function |
//! | `{{#output file:anchor "caption"}}` | a text file as it is |
//! | `{{#figure file.svg "caption" #fig:name}}` | a drawing set into the page |
//! | `{{#live name "caption" #fig:name}}` | a figure with controls, computed by the crates of the book in the page |
//! | `{{#data file.json key format}}` | a number from a result file |
//! | `{{#table file.json key "caption" #tab:name` … `}}` | a table from a result file, one line a column; with `{a,b}.json` a row from each file |
//! | ``{{#claim result `condition`}}`` … `{{/claim}}` | the words between, held to the condition by the tests |
//! | `{{#predict name}}` … `{{reveal}}` … `{{/predict}}` | a prediction, then its answer |
//! | `{{#exercise name}}` | an exercise with its live verdict |
//!
//! Paths are relative to the root of the checkout, those of figures to `book/src`
//! unless they begin with a slash. A figure `a.svg` with a file `a-narrow.svg` beside it is
//! shown in that form where it has less than 600 pixels, on a phone. Formats of numbers are
//! in [`data::print`]; in running text, `badge` makes the answer of an experiment stand out
//! ([`data::badge`]); in a table, `ref` makes a reference of a label, and `code` shows a text
//! as code.
//!
//! The words of a claim are in a paragraph, an item, a caption or a row of a table, and
//! claims may hold others. A result is the name of a file of `book/results`; of several the
//! first is the input of the condition, and each is a variable of its name. The condition is
//! in the jq language, with the definitions of `crates/course/tests/claims/prelude.jq`, and
//! holds if it yields `true` once or more often, and nothing else.
//!
//! A block of code names its language. One marked `rust` is compiled and run by the tests
//! of the package `tests`, with `rust,should_panic` if it is to panic; one marked
//! `rust,ignore` is shown as a sketch.
//!
//! A listing shows an item by its name, `Tape::sweep`, everything from one item to another,
//! `new..grow`, or a block, `impl-Display-for-Report`; see [`items`]. What is no whole item
//! stands between anchors, `// ANCHOR: name` and `// ANCHOR_END: name`.
//!
//! An anchor in a crate that no listing uses is a mistake, unless `book/presented.toml`
//! says that its file is not presented in full yet.

mod breaks;
pub mod claim;
mod code;
pub mod data;
pub mod directive;
mod edits;
pub mod fence;
pub mod figure;
pub mod files;
pub mod items;
pub mod labels;
pub mod links;
pub mod listing;
pub mod maths;
pub mod presented;
mod problem;
pub mod render;
pub mod scan;
mod still;
pub mod types;
mod warnings;

use crate::catalogue::Catalogue;
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use claim::Claim;
use files::Files;
use labels::{Labels, Target};
use maths::Maths;
use mdbook_core::book::{BookItem, Chapter};
use mdbook_core::config::Config;
use mdbook_driver::MDBook;
use presented::Presented;
pub use problem::{Problem, Problems};
use render::{Page, Renderer};
use scan::{Scanned, ScannedChapter};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The crates whose code the book may show.
const CODE: [&str; 10] = [
    "vectorized",
    "tape",
    "gradcheck",
    "batchnorm",
    "layernorm",
    "witness",
    "nn",
    "chart",
    "lab",
    "numbers",
];

/// A book that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// The pages of the chapters, in the order of the book.
    pub pages: Vec<String>,
    /// All labels.
    pub labels: Labels,
    /// For each exercise placed in the book, its page and anchor.
    pub exercises: BTreeMap<String, String>,
    /// The files other than the chapters that went into it.
    pub inputs: BTreeSet<PathBuf>,
    /// The lines of source files that listings show.
    pub listed: BTreeMap<PathBuf, BTreeSet<usize>>,
    /// Anchors that no listing shows, in files that are not presented in full yet: file
    /// and name.
    pub unused_anchors: Vec<(PathBuf, String)>,
}

/// Builds the book into `destination`.
///
/// # Errors
/// [`Problems`] when a chapter is wrong; otherwise one message when a file of the book
/// cannot be read or written.
pub fn build(workspace: &Workspace, destination: &Path) -> Result<Built> {
    build_for(workspace, destination, "/")
}

/// The same for a host that serves it under `path`, such as `/the-backward-pass/`: there the page
/// for what is not found has its styles and links.
///
/// # Errors
/// Those of [`build`].
pub fn build_for(workspace: &Workspace, destination: &Path, path: &str) -> Result<Built> {
    let mut book = load(workspace)?;
    book.config.set("output.html.site-url", path)?;
    book.config.build.build_dir = destination.to_owned();
    let catalogue = Catalogue::load(workspace)?;
    let macros = workspace.book().join("macros.toml");
    let presented = Presented::load(workspace)?;
    let maths =
        Maths::load(&macros).with_context(|| format!("in {}", workspace.relative(&macros)))?;

    let mut problems = Vec::new();
    let chapters = scan_all(workspace, &book, &mut problems);
    let labels = collect_labels(&chapters, &mut problems);
    let exercises = collect_exercises(&chapters, &catalogue, &mut problems);
    check_once(&chapters, "prediction", |c| &c.predictions, &mut problems);
    check_once(&chapters, "live figure", |c| &c.live, &mut problems);
    claims_of(workspace, &chapters, &mut problems);

    let renderer = Renderer {
        workspace,
        maths: &maths,
        labels: &labels,
        catalogue: &catalogue,
        files: Files::with_inputs([workspace.catalogue(), macros]),
        listed: RefCell::default(),
        used: RefCell::default(),
        problems: RefCell::new(problems),
    };
    book.book.for_each_chapter_mut(|chapter| {
        let Some(path) = &chapter.path else { return };
        if let Some(found) = chapters.iter().find(|c| &c.path == path) {
            let page = Page {
                file: &found.file,
                html: &found.html,
            };
            chapter.content = renderer.chapter(page, &found.scanned);
        }
    });
    let Renderer {
        files,
        listed,
        used,
        problems,
        ..
    } = renderer;
    let (mut inputs, texts) = (files.inputs.into_inner(), files.texts.into_inner());
    let (used, listed) = (used.into_inner(), listed.into_inner());
    let mut problems = problems.into_inner();
    let anchors = idle_anchors(workspace, &texts, &used, &presented, &mut problems)?;
    if problems.is_empty() {
        let (result, warnings) = warnings::collect(|| book.build());
        result.context("mdBook failed")?;
        let at_book = |message: &String| Problem {
            file: "book/src/SUMMARY.md".to_owned(),
            line: 1,
            message: message.clone(),
        };
        problems.extend(warnings.iter().map(at_book));
        problems.extend(links::check(destination, &chapters)?);
        if chapters
            .iter()
            .any(|chapter| !chapter.scanned.live.is_empty())
        {
            inputs.extend(still::bring(workspace, destination)?);
        }
    }
    if !problems.is_empty() {
        problems.sort();
        problems.dedup();
        return Err(Problems(problems).into());
    }
    Ok(Built {
        pages: chapters.into_iter().map(|chapter| chapter.html).collect(),
        unused_anchors: anchors,
        labels,
        exercises,
        inputs,
        listed,
    })
}

/// The labels of the book, without building it; what is wrong with it is left to
/// [`build`].
///
/// # Errors
/// When the book cannot be read at all.
pub fn labels(workspace: &Workspace) -> Result<Labels> {
    let book = load(workspace)?;
    let chapters = scan_all(workspace, &book, &mut Vec::new());
    Ok(collect_labels(&chapters, &mut Vec::new()))
}

/// A claim of the book, and the files of its results.
#[derive(Clone, Debug)]
pub struct Held {
    /// The chapter, relative to the root of the checkout.
    pub file: String,
    /// What is said, and the condition.
    pub claim: Claim,
    /// Its results' files, relative to the root of the checkout.
    pub results: Vec<PathBuf>,
}

/// The claims of the book.
///
/// # Errors
/// When the book cannot be read at all, or a chapter is wrong.
pub fn claims(workspace: &Workspace) -> Result<Vec<Held>> {
    let book = load(workspace)?;
    let mut problems = Vec::new();
    let chapters = scan_all(workspace, &book, &mut problems);
    let claims = claims_of(workspace, &chapters, &mut problems);
    if !problems.is_empty() {
        return Err(Problems(problems).into());
    }
    Ok(claims)
}

fn load(workspace: &Workspace) -> Result<MDBook> {
    let root = workspace.book();
    let summary = workspace.chapters().join("SUMMARY.md");
    if !summary.is_file() {
        anyhow::bail!("the book has no {}", workspace.relative(&summary));
    }
    let file = root.join("book.toml");
    let mut config =
        Config::from_disk(&file).with_context(|| format!("in {}", workspace.relative(&file)))?;
    // Only our own passes run, so that line numbers stay those of the source.
    config.build.use_default_preprocessors = false;
    config.build.create_missing = false;
    let (book, warnings) = warnings::collect(|| MDBook::load_with_config(root, config));
    let book = book.with_context(|| format!("in {}", workspace.relative(&summary)))?;
    if let Some(warning) = warnings.first() {
        anyhow::bail!("in {}: {warning}", workspace.relative(&summary));
    }
    Ok(book)
}

fn scan_all(
    workspace: &Workspace,
    book: &MDBook,
    problems: &mut Vec<Problem>,
) -> Vec<ScannedChapter> {
    let mut chapters = Vec::new();
    for item in book.iter() {
        let BookItem::Chapter(chapter) = item else {
            continue;
        };
        let Some(path) = &chapter.path else { continue };
        let file = workspace.relative(&workspace.chapters().join(path));
        let scanned = scan::scan(&chapter.content, &number(chapter));
        problems.extend(scanned.problems.iter().map(|(line, message)| Problem {
            file: file.clone(),
            line: *line,
            message: message.clone(),
        }));
        let html = path
            .with_extension("html")
            .to_string_lossy()
            .replace('\\', "/");
        chapters.push(ScannedChapter {
            path: path.clone(),
            file,
            html,
            scanned,
        });
    }
    chapters
}

/// `8` for a numbered chapter, `E.1` for one titled "Appendix E.1: …", else nothing.
fn number(chapter: &Chapter) -> String {
    if let Some(number) = &chapter.number {
        return number.to_string().trim_end_matches('.').to_owned();
    }
    let letter = chapter
        .name
        .strip_prefix("Appendix ")
        .and_then(|rest| rest.split_once(':'));
    letter.map_or(String::new(), |(letter, _)| letter.trim().to_owned())
}

fn collect_labels(chapters: &[ScannedChapter], problems: &mut Vec<Problem>) -> Labels {
    let mut labels = Labels::new();
    for chapter in chapters {
        for found in &chapter.scanned.labels {
            let target = Target {
                page: chapter.html.clone(),
                text: found.text.clone(),
                title: found.title.clone(),
            };
            if let Some(first) = labels.insert(found.label.clone(), target) {
                problems.push(Problem {
                    file: chapter.file.clone(),
                    line: found.line,
                    message: format!("the label `{}` is also in {}", found.label, first.page),
                });
            }
        }
    }
    labels
}

fn collect_exercises(
    chapters: &[ScannedChapter],
    catalogue: &Catalogue,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for chapter in chapters {
        for (line, name) in &chapter.scanned.exercises {
            let place = format!("{}#exercise:{name}", chapter.html);
            let message = if places.insert(name.clone(), place).is_some() {
                format!("the exercise `{name}` stands in the book twice")
            } else if let Err(error) = catalogue.get(name) {
                error.to_string()
            } else {
                continue;
            };
            problems.push(Problem {
                file: chapter.file.clone(),
                line: *line,
                message,
            });
        }
    }
    places
}

/// What has a name of its own on the printed page, where all chapters are, stands there once.
fn check_once(
    chapters: &[ScannedChapter],
    what: &str,
    of: impl Fn(&Scanned) -> &[(usize, String)],
    problems: &mut Vec<Problem>,
) {
    let mut names = BTreeSet::new();
    for chapter in chapters {
        for (line, name) in of(&chapter.scanned) {
            if !names.insert(name) {
                problems.push(Problem {
                    file: chapter.file.clone(),
                    line: *line,
                    message: format!("the {what} `{name}` stands in the book twice"),
                });
            }
        }
    }
}

fn claims_of(
    workspace: &Workspace,
    chapters: &[ScannedChapter],
    problems: &mut Vec<Problem>,
) -> Vec<Held> {
    let mut held = Vec::new();
    for chapter in chapters {
        for claim in &chapter.scanned.claims {
            let files = claim
                .results
                .iter()
                .map(|name| claim::file(workspace, name));
            match files.collect() {
                Ok(results) => held.push(Held {
                    file: chapter.file.clone(),
                    claim: claim.clone(),
                    results,
                }),
                Err(message) => problems.push(Problem {
                    file: chapter.file.clone(),
                    line: claim.line,
                    message,
                }),
            }
        }
    }
    held
}

/// The anchors that no listing uses. Each is a problem, unless its file is not presented
/// in full yet: then its chapter may still come.
fn idle_anchors(
    workspace: &Workspace,
    texts: &BTreeMap<PathBuf, String>,
    used: &BTreeSet<(PathBuf, String)>,
    presented: &Presented,
    problems: &mut Vec<Problem>,
) -> Result<Vec<(PathBuf, String)>> {
    let mut files: BTreeSet<PathBuf> = texts.keys().cloned().collect();
    files.extend(presented::sources(workspace, &CODE)?);
    let mut waiting = Vec::new();
    for path in files {
        let file = workspace.relative(&path);
        // The places of an answer are marked for the exercise, not for the text.
        if path.starts_with(workspace.book().join("solutions")) {
            continue;
        }
        let text = match texts.get(&path) {
            Some(text) => text.clone(),
            None => {
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?
            }
        };
        let pieces = match listing::pieces(&text) {
            Ok(pieces) => pieces,
            Err((line, message)) => {
                problems.push(Problem {
                    file,
                    line,
                    message,
                });
                continue;
            }
        };
        for (name, piece) in pieces {
            if used.contains(&(path.clone(), name.to_owned())) {
                continue;
            }
            if presented.not_yet.contains(&file) {
                waiting.push((path.clone(), name.to_owned()));
                continue;
            }
            problems.push(Problem {
                file: file.clone(),
                line: piece
                    .lines
                    .first()
                    .map_or(1, |(line, _)| line.saturating_sub(1)),
                message: format!("no listing uses the anchor `{name}`"),
            });
        }
    }
    Ok(waiting)
}

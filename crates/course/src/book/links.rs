//! Every link of the built pages leads somewhere, and none to another machine's files.

use super::problem::Problem;
use super::scan::ScannedChapter;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Pages mdBook makes of others; their links are those of the chapters.
const DERIVED: [&str; 3] = ["print.html", "toc.html", "404.html"];

/// Checks the pages in `root`: every link to a page or an anchor of the book has a
/// target, and nothing is loaded from elsewhere.
///
/// # Errors
/// When a page cannot be read.
pub fn check(root: &Path, chapters: &[ScannedChapter]) -> Result<Vec<Problem>> {
    let mut pages = BTreeMap::new();
    let mut files = BTreeSet::new();
    collect(root, root, &mut pages, &mut files)?;
    let anchors: BTreeMap<&str, BTreeSet<&str>> = pages
        .iter()
        .map(|(name, html)| (name.as_str(), attributes(html, "id").collect()))
        .collect();
    let mut problems = Vec::new();
    for (name, html) in &pages {
        if DERIVED.contains(&name.as_str()) {
            continue;
        }
        for address in attributes(html, "src") {
            if address.contains("//") {
                problems.push(problem(
                    chapters,
                    name,
                    address,
                    "is loaded from another machine",
                ));
            }
        }
        for href in attributes(html, "href") {
            if href.contains("://") || href.starts_with("mailto:") || href.starts_with("data:") {
                continue;
            }
            let (path, anchor) = href.split_once('#').unwrap_or((href, ""));
            let target = if path.is_empty() {
                name.clone()
            } else {
                resolve(name, path)
            };
            let found = if anchor.is_empty() {
                files.contains(&target)
            } else {
                let anchor = anchor.replace("%3A", ":");
                anchors
                    .get(target.as_str())
                    .is_some_and(|ids| ids.contains(anchor.as_str()))
            };
            if !found {
                problems.push(problem(chapters, name, href, "leads nowhere"));
            }
        }
    }
    Ok(problems)
}

fn collect(
    root: &Path,
    dir: &Path,
    pages: &mut BTreeMap<String, String>,
    files: &mut BTreeSet<String>,
) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        // A link to a folder may lead back to where it stands.
        if entry.file_type()?.is_dir() {
            collect(root, &path, pages, files)?;
            continue;
        }
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .to_string_lossy()
            .replace('\\', "/");
        if path.extension().is_some_and(|e| e == "html") {
            let html = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            pages.insert(name.clone(), html);
        }
        files.insert(name);
    }
    Ok(())
}

/// The values of every attribute `name` in a page.
fn attributes<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let mark = format!(" {name}=\"");
    let length = mark.len();
    let starts: Vec<usize> = html
        .match_indices(&mark)
        .map(|(at, _)| at + length)
        .collect();
    starts
        .into_iter()
        .filter_map(|at| html[at..].split_once('"').map(|(value, _)| value))
}

/// `path` as seen from the page `from`, relative to the root.
fn resolve(from: &str, path: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn problem(chapters: &[ScannedChapter], page: &str, link: &str, what: &str) -> Problem {
    let chapter = chapters.iter().find(|chapter| chapter.html == page);
    let source = link.replace(".html", ".md");
    let line = chapter.and_then(|chapter| {
        let lines = &chapter.scanned.lines;
        let found = lines
            .iter()
            .find(|(_, text)| text.contains(link) || text.contains(&source));
        found.map(|(line, _)| *line)
    });
    Problem {
        file: chapter.map_or_else(|| page.to_owned(), |chapter| chapter.file.clone()),
        line: line.unwrap_or(1),
        message: format!("the link `{link}` {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Vec<Problem> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("part")).unwrap();
        fs::write(dir.path().join("other.html"), "<h2 id=\"sec:a\">A</h2>").unwrap();
        fs::write(dir.path().join("part/one.html"), body).unwrap();
        check(dir.path(), &[]).unwrap()
    }

    #[test]
    fn good_links_pass() {
        let body = "<p id=\"x\"><a href=\"#x\"></a><a href=\"../other.html#sec:a\"></a>\
                    <a href=\"../other.html\"></a><a href=\"https://arxiv.org/abs/1502.03167\"></a>";
        assert_eq!(page(body), []);
    }

    #[test]
    fn dead_links_and_foreign_files_are_found() {
        for (body, word) in [
            ("<a href=\"#y\">", "#y"),
            ("<a href=\"other.html\">", "other.html"),
            ("<a href=\"../other.html#sec:b\">", "sec:b"),
            (
                "<script src=\"https://cdn.example/x.js\">",
                "another machine",
            ),
            ("<img src=\"//cdn.example/x.png\">", "another machine"),
        ] {
            let problems = page(body);
            assert_eq!(problems.len(), 1, "{body}");
            assert!(problems[0].message.contains(word), "{}", problems[0]);
        }
    }
}

//! The book on paper: one page with a title and a list of contents, printed by a Chromium.
//!
//! A browser knows on which page a chapter begins only when it has printed it. So the book is
//! printed twice: the outline of the first PDF says the numbers that the second one lists, and the
//! outline of the second, that they are right.

use crate::page;
use crate::xml::{self, Fate, attributes, escaped};
use anyhow::{Context, Result, bail};
use course::program;
use course::workspace::Workspace;
use lopdf::Document;
use scraper::{ElementRef, Html};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The look of paper, after the book's own.
const LOOK: &str = "theme/paper.css";

/// A chapter of the printed book.
struct Chapter {
    xhtml: String,
    headings: Vec<Heading>,
}

/// What the contents list: chapters, and their sections.
#[derive(Clone, Debug)]
struct Heading {
    id: String,
    /// What stands in the list, as XHTML.
    title: String,
    chapter: bool,
}

/// Prints the book into `file`, without appendix E unless it is asked for, and returns the number
/// of pages.
///
/// # Errors
/// When there is no Chromium, when it cannot print, or a file cannot be written.
pub fn print(workspace: &Workspace, file: &Path, with_source: bool) -> Result<usize> {
    let (folder, _) = page::aside(workspace, LOOK)?;
    let chapters = chapters(&page::read(&folder.path().join("print.html"))?, with_source)?;
    let headings: Vec<Heading> = chapters
        .iter()
        .flat_map(|chapter| chapter.headings.clone())
        .collect();
    let (source, target) = (
        folder.path().join("paper.xhtml"),
        folder.path().join("paper.pdf"),
    );
    let mut listed = Vec::new();
    loop {
        fs::write(&source, document(&chapters, &headings, &listed))
            .context("cannot write the page to print")?;
        chromium(&source, &target)?;
        let found = begin(&target, &headings)?;
        if found == listed {
            break;
        }
        // The list is as long with its numbers as it was without, so nothing moves again.
        if !listed.is_empty() {
            bail!("the numbers in the contents move what they count");
        }
        listed = found;
    }
    let printed = Document::load(&target);
    let mut printed = printed.context("what Chromium printed cannot be read")?;
    let count = printed.get_pages().len();
    // Chromium writes the structure for screen readers as a hundred thousand small objects; packed
    // together they take half of the room.
    let mut bytes = Vec::new();
    let packed = printed.save_modern(&mut bytes);
    packed.context("what Chromium printed cannot be packed")?;
    page::put(file, bytes)?;
    Ok(count)
}

/// The chapters of mdBook's page of all chapters, without what is for a window only.
fn chapters(page: &Html, with_source: bool) -> Result<Vec<Chapter>> {
    let main = page::one(page, "main")?;
    let window = page::for_a_window();
    let fate =
        |element: ElementRef<'_>| page::kept(element, &window).map_or(Fate::Goes, Fate::Stays);
    let mut chapters: Vec<Chapter> = Vec::new();
    let mut skipped = false;
    for child in main.children() {
        let element = ElementRef::wrap(child);
        if element.is_some_and(|element| element.value().name() == "h1") {
            let title = element.map(page::text).unwrap_or_default();
            skipped = !with_source && title.to_lowercase().starts_with("appendix e");
            if !skipped {
                chapters.push(Chapter {
                    xhtml: String::new(),
                    headings: Vec::new(),
                });
            }
        }
        let Some(chapter) = chapters.last_mut().filter(|_| !skipped) else {
            continue;
        };
        let between = element.is_some_and(|e| {
            e.value()
                .attr("style")
                .is_some_and(|style| style.contains("break-before"))
        });
        if between {
            continue;
        }
        chapter.headings.extend(element.and_then(heading));
        xml::write(child, &fate, &mut chapter.xhtml);
    }
    if chapters.is_empty() {
        bail!("the built book has no chapters");
    }
    Ok(chapters)
}

fn heading(element: ElementRef<'_>) -> Option<Heading> {
    let name = element.value().name();
    let id = element
        .value()
        .attr("id")
        .filter(|_| ["h1", "h2"].contains(&name))?;
    let link = element.first_child().and_then(ElementRef::wrap)?;
    let mut title = String::new();
    // The link of a heading leads to itself; in the list a link leads there.
    let fate = |element: ElementRef<'_>| {
        Fate::Stays(
            attributes(element)
                .into_iter()
                .filter(|(name, _)| name != "id")
                .collect(),
        )
    };
    let inner = if link.value().name() == "a" {
        *link
    } else {
        *element
    };
    for child in inner.children() {
        xml::write(child, &fate, &mut title);
    }
    Some(Heading {
        id: id.to_owned(),
        title,
        chapter: name == "h1",
    })
}

/// The page that is printed; `pages` holds the number of each heading, once it is known.
fn document(chapters: &[Chapter], headings: &[Heading], pages: &[u32]) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\" class=\"light\">\n<head>\n\
         <meta charset=\"UTF-8\"/>\n<title>The Backward Pass</title>\n",
    );
    for sheet in [
        "css/variables.css",
        "css/general.css",
        "css/chrome.css",
        "css/print.css",
        "fonts/fonts.css",
        "highlight.css",
        "theme/book.css",
        "theme/live.css",
        LOOK,
    ] {
        out.push_str(&format!("<link rel=\"stylesheet\" href=\"{sheet}\"/>\n"));
    }
    out.push_str(
        "</head>\n<body class=\"paper\"><div class=\"content\"><main>\n<section class=\"title-page\">\
         <p class=\"title\">The Backward Pass</p>\
         <p class=\"subtitle\">Autodiff, Batch Norm and Layer Norm from a blank file, in Rust</p>\
         <p class=\"on-paper\">Some figures ask to be dragged or set. Here they stand as they begin; \
         they move in the pages that <code>cargo run</code> opens.</p></section>\n\
         <nav class=\"contents\"><p class=\"contents-title\">Contents</p><ol>\n",
    );
    for (at, heading) in headings.iter().enumerate() {
        let class = if heading.chapter {
            "chapter-line"
        } else {
            "section-line"
        };
        let number = pages
            .get(at)
            .map_or_else(|| "000".to_owned(), u32::to_string);
        out.push_str(&format!(
            "<li class=\"{class}\"><a href=\"#{}\"><span>{}</span><span class=\"leader\"></span><span>{number}</span></a></li>\n",
            escaped(&heading.id),
            heading.title,
        ));
    }
    out.push_str("</ol></nav>\n");
    for chapter in chapters {
        out.push_str("<section class=\"chapter-body\">");
        out.push_str(&chapter.xhtml);
        out.push_str("</section>\n");
    }
    out.push_str(
        "</main></div><script src=\"highlight.js\"></script><script>\
         for (const code of document.querySelectorAll('pre code[class*=language]')) hljs.highlightBlock(code);\
         </script></body></html>\n",
    );
    out
}

/// The page on which each heading stands.
fn begin(pdf: &Path, headings: &[Heading]) -> Result<Vec<u32>> {
    let printed = Document::load(pdf).context("what Chromium printed cannot be read")?;
    let outline = printed
        .get_toc()
        .context("what Chromium printed has no outline")?;
    let entries: Vec<_> = outline
        .toc
        .iter()
        .filter(|entry| entry.level <= 2)
        .collect();
    if entries.len() != headings.len() {
        bail!(
            "the book has {} headings, and its outline on paper {}",
            headings.len(),
            entries.len()
        );
    }
    entries
        .iter()
        .map(|entry| u32::try_from(entry.page).context("a page without a number"))
        .collect()
}

fn chromium(source: &Path, target: &Path) -> Result<()> {
    let profile = tempfile::tempdir().context("there is no folder for temporary files")?;
    for name in program::chromium() {
        let run = Command::new(&name)
            .args([
                "--headless",
                // In a container its sandbox cannot start; the page is ours.
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--no-first-run",
                "--no-pdf-header-footer",
                "--generate-pdf-document-outline",
                "--host-resolver-rules=MAP * ~NOTFOUND",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--print-to-pdf={}", target.display()))
            .arg(format!("file://{}", source.display()))
            .stdin(Stdio::null())
            .output();
        match run {
            Ok(run) if run.status.success() && target.is_file() => return Ok(()),
            Ok(run) => {
                let said = String::from_utf8_lossy(&run.stderr);
                bail!(
                    "{} could not print: {}",
                    name.display(),
                    said.lines().last().unwrap_or("it said nothing")
                );
            }
            Err(_) => {}
        }
    }
    bail!("there is no Chromium on the PATH; CHROMIUM may name one")
}

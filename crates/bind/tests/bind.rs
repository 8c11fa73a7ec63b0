//! The book as it is given away: what a host serves, what a reader prints, what an EPUB holds.

use course::serve::{self, Hub};
use course::site::Site;
use course::workspace::Workspace;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, LazyLock};

#[path = "../../course/tests/common/browser.rs"]
mod browser;
use browser::Browser;

/// Under this height, in points, a page has its number and nothing else.
const NUMBER: f32 = 50.0;

const SUBPATH: &str = "below/book";
const URL: &str = "https://example.org/below/book/";

/// A folder into which the book was published once for all tests.
static PUBLISHED: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join(SUBPATH);
    let code = "https://example.org/code";
    let done = bind(&[
        "publish",
        at.to_str().unwrap(),
        "--url",
        URL,
        "--code",
        code,
    ]);
    assert!(done.status.success(), "{}", said(&done));
    folder
});

fn bind(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bind"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    command.args(arguments).current_dir(root).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_published_page_has_its_address_and_what_others_show_of_it() {
    let folder = &*PUBLISHED;
    let at = folder.path().join(SUBPATH);
    let page = fs::read_to_string(at.join("bn-backward.html")).unwrap();
    for wanted in [
        "<link rel=\"canonical\" href=\"https://example.org/below/book/bn-backward.html\">",
        "<meta property=\"og:title\" content=\"Batch Normalization, backward by hand - The Backward Pass\">",
        "<meta property=\"og:image\" content=\"https://example.org/below/book/preview.png\">",
        "<meta name=\"code\" content=\"https://example.org/code\">",
    ] {
        assert_eq!(page.matches(wanted).count(), 1, "{wanted}");
    }
    // A description of its own on every page.
    let mut abouts = Vec::new();
    let sitemap = fs::read_to_string(at.join("sitemap.xml")).unwrap();
    for entry in fs::read_dir(&at).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let derived = ["print.html", "toc.html", "404.html"].contains(&name.as_str());
        if !name.ends_with(".html") || derived || name == "introduction.html" {
            continue;
        }
        let page = fs::read_to_string(at.join(&name)).unwrap();
        let (_, about) = page
            .split_once("<meta name=\"description\" content=\"")
            .unwrap();
        let about = about.split('"').next().unwrap().to_owned();
        assert!(about.len() > 40, "{name}: {about}");
        abouts.push(about);
        let listed = format!(
            "<loc>{URL}{}</loc>",
            if name == "index.html" { "" } else { &name }
        );
        assert_eq!(sitemap.matches(&listed).count(), 1, "{listed}");
    }
    let pages = abouts.len();
    abouts.sort();
    abouts.dedup();
    assert!(
        pages > 30 && abouts.len() == pages,
        "{pages} pages, {} descriptions",
        abouts.len()
    );
    // The size that is promised to who shows the picture.
    let picture = fs::read(at.join("preview.png")).unwrap();
    let number = |at: usize| u32::from_be_bytes(picture[at..at + 4].try_into().unwrap());
    assert_eq!((number(16), number(20)), (1200, 630));
}

#[test]
fn a_folder_with_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
    let done = bind(&["publish", folder.path().to_str().unwrap(), "--url", URL]);
    assert_eq!(done.status.code(), Some(2));
    assert!(said(&done).contains("something else"), "{}", said(&done));
    assert_eq!(said(&done).lines().count(), 1, "{}", said(&done));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let done = bind(&[
        "publish",
        folder.path().join("new").to_str().unwrap(),
        "--url",
        "example",
    ]);
    assert!(said(&done).contains("no address"), "{}", said(&done));
}

/// Another host serves the pages below its root: nothing that they ask for is missing or comes
/// from elsewhere, an exercise says where it is done, a prediction is remembered, a figure lives,
/// the page for what is not found has its styles, and the reader is led to where they stopped.
#[test]
fn a_copy_works_on_any_host() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = &*PUBLISHED;
    let hub = Arc::new(Hub::default());
    hub.show(Site::of_files(folder.path()).unwrap());
    let address = serve::start(&hub, serve::listen(Some(0)).unwrap()).unwrap();
    let at = |page: &str| format!("http://{address}/{SUBPATH}/{page}");
    let tab = browser.tab();

    browser.open(&tab, &at("bn-backward.html"));
    let state = "document.querySelector('.exercise-state').innerText";
    assert_eq!(
        browser.value(&tab, state),
        "checked on your own machine: get the code"
    );
    let link = "document.querySelector('.exercise-state a').href";
    assert_eq!(browser.value(&tab, link), "https://example.org/code");
    browser.value(
        &tab,
        "document.querySelector('[data-live]').scrollIntoView()",
    );
    browser.wait(&tab, "document.querySelector('[data-live][data-ready]')");
    browser.value(
        &tab,
        "document.querySelector('[data-predict] input').click()",
    );
    let heading = "document.querySelectorAll('main h2[id]')[3]";
    browser.value(&tab, &format!("{heading}.scrollIntoView()"));
    let section = browser.value(&tab, &format!("{heading}.textContent.trim()"));
    browser.value(
        &tab,
        "document.querySelector('main > :last-child').scrollIntoView()",
    );
    browser.wait(&tab, "document.querySelector('#mdbook-sidebar .read')");
    browser.value(&tab, &format!("{heading}.scrollIntoView()"));
    browser.open(&tab, &at("bn-backward.html"));
    let kept =
        "!!document.querySelector('[data-predict] input:checked, [data-predict] .own-words input')";
    assert_eq!(browser.value(&tab, kept), true);
    browser.value(&tab, &format!("{heading}.scrollIntoView()"));

    browser.open(&tab, &at("index.html"));
    browser.wait(&tab, "document.querySelector('.resume a')");
    let resume = browser.value(&tab, "document.querySelector('.resume').innerText");
    let wanted = section.as_str().unwrap();
    assert!(
        resume
            .as_str()
            .unwrap()
            .ends_with(&format!("section {wanted}.")),
        "{resume}"
    );
    let back = browser.value(&tab, "document.querySelector('.resume a').href");
    let back = back.as_str().unwrap();
    assert!(
        back.starts_with(&format!("{}#", at("bn-backward.html"))),
        "{back}"
    );
    browser.open(&tab, back);
    let there =
        "document.getElementById(decodeURIComponent(location.hash.slice(1))).textContent.trim()";
    assert_eq!(browser.value(&tab, there), section);

    // What was asked for was there, and on this host: an event of a failed request is none of these.
    for event in browser.take_events() {
        let what = &event["params"];
        let url = what["response"]["url"]
            .as_str()
            .or(what["request"]["url"].as_str());
        if let Some(url) = url {
            assert!(
                url.starts_with(&format!("http://{address}/{SUBPATH}/"))
                    || url.starts_with("data:"),
                "{url}"
            );
            assert!(!url.ends_with("/events"), "{url}");
        }
        if let Some(status) = what["response"]["status"].as_u64() {
            assert!(status < 400, "{status}: {event}");
        }
        let failed = event["method"] == "Network.loadingFailed" && what["canceled"] != true;
        assert!(!failed, "{event}");
        assert!(event["method"] != "Runtime.exceptionThrown", "{event}");
    }

    // From anywhere below its address, the page for what is not found has its styles.
    let text = fs::read_to_string(folder.path().join(SUBPATH).join("404.html")).unwrap();
    assert!(text.contains("<base href=\"/below/book/\">"));
}

/// Every page as an EPUB wants it, by the judge that shops use: `EPUBCHECK_JAR` names it.
#[test]
fn an_epub_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("book.epub");
    let done = bind(&["epub", file.to_str().unwrap()]);
    assert!(done.status.success(), "{}", said(&done));
    let bytes = fs::read(&file).unwrap();
    assert_eq!(&bytes[30..58], b"mimetypeapplication/epub+zip");
    let Some(jar) = std::env::var_os("EPUBCHECK_JAR") else {
        eprintln!("SKIPPED: EPUBCHECK_JAR names no epubcheck");
        return;
    };
    let judge = |file: &Path| {
        let found = Command::new("java")
            .arg("-jar")
            .arg(&jar)
            .arg(file)
            .output();
        found.expect("java is there where the jar is")
    };
    let found = judge(&file);
    assert!(found.status.success(), "{}", said(&found));
    // It does judge.
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(!judge(&file).status.success());
}

/// A4, with an outline and page numbers, in fewer pages than a binder takes.
#[test]
fn the_book_on_paper_can_be_bound() {
    if Browser::start().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("book.pdf");
    let done = bind(&["pdf", file.to_str().unwrap()]);
    assert!(done.status.success(), "{}", said(&done));
    let printed = lopdf::Document::load(&file).unwrap();
    let pages = printed.get_pages();
    assert!((200..=450).contains(&pages.len()), "{} pages", pages.len());
    for id in pages.values() {
        let page = printed.get_dictionary(*id).unwrap();
        let size = page
            .get(b"MediaBox")
            .and_then(lopdf::Object::as_array)
            .unwrap();
        let size: Vec<f32> = size.iter().map(|side| side.as_float().unwrap()).collect();
        assert!(
            (size[2] - 595.0).abs() < 1.0 && (size[3] - 842.0).abs() < 1.0,
            "{size:?}"
        );
    }
    // Chapter by chapter in the outline, and none of appendix E. That the numbers in the contents
    // are the right ones is checked whenever it is printed.
    let outline = printed.get_toc().unwrap().toc;
    let chapters: Vec<&str> = outline
        .iter()
        .filter(|e| e.level == 1)
        .map(|e| &*e.title)
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let chapters_of = Workspace::at(&root).unwrap().chapters();
    let wanted = fs::read_to_string(chapters_of.join("SUMMARY.md")).unwrap();
    let wanted = wanted.matches(".md)").count() - wanted.matches("Appendix E").count();
    assert_eq!(chapters.len(), wanted, "{chapters:?}");
    assert!(outline.windows(2).all(|two| two[0].page <= two[1].page));
    // Only the last page of a chapter, or one without words, may be white from its middle on.
    let starts = outline.iter().filter(|e| e.level == 1);
    let starts: Vec<usize> = starts.map(|e| e.page).collect();
    let mut seen = 0;
    for (&number, &id) in &pages {
        let number = number as usize;
        if number < starts[0] || starts.contains(&(number + 1)) || number == pages.len() {
            continue;
        }
        let foot = last_line(&printed, id);
        assert!(
            foot < 421.0,
            "page {number} ends {foot:.0} points above its edge"
        );
        seen += 1;
    }
    assert!(seen > 150, "{seen} pages");
}

/// How far above the lower edge of a page, in points, its last line stands; its number is none.
///
/// Chromium writes an operator in a line, and nothing but printable characters into its strings.
fn last_line(document: &lopdf::Document, page: lopdf::ObjectId) -> f32 {
    let content = String::from_utf8(document.get_page_content(page)).unwrap();
    // What turns the units that hold into points: the second row, and those put aside.
    let (mut row, mut kept) = ([0.0, 1.0, 0.0], Vec::new());
    let height = |[b, d, f]: [f32; 3], x: f32, y: f32| b * x + d * y + f;
    let mut last = f32::INFINITY;
    for line in content.lines() {
        let (operands, operator) = line.rsplit_once(' ').unwrap_or(("", line));
        let numbers = || -> [f32; 6] {
            let each = operands.split(' ').map(|n| n.parse().unwrap());
            each.collect::<Vec<f32>>().try_into().unwrap()
        };
        match operator {
            "q" => kept.push(row),
            "Q" => row = kept.pop().unwrap(),
            "cm" => {
                let ([x, y, _], [a, b, c, d, e, f]) = (row, numbers());
                row = [x * a + y * b, x * c + y * d, height(row, e, f)];
            }
            "Tm" => {
                let [.., x, y] = numbers();
                let line = height(row, x, y);
                if line > NUMBER {
                    last = last.min(line);
                }
            }
            _ => {}
        }
    }
    assert!(kept.is_empty() && last < 842.0, "{page:?}: {last}");
    last
}

/// On paper the smallest lettering of a drawing has six points, which are eight pixels.
#[test]
fn drawings_can_be_read_on_paper() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let look = fs::read_to_string(root.join("book/theme/paper.css")).unwrap();
    let folder = &*PUBLISHED;
    let hub = Arc::new(Hub::default());
    hub.show(Site::of_files(folder.path()).unwrap());
    let address = serve::start(&hub, serve::listen(Some(0)).unwrap()).unwrap();
    let tab = browser.tab();
    browser.open(&tab, &format!("http://{address}/{SUBPATH}/print.html"));
    let small = format!(
        "(() => {{
            const sheet = document.createElement('style');
            sheet.textContent = {look:?};
            document.head.append(sheet);
            document.body.classList.add('paper');
            document.querySelector('main').style.width = '174mm';
            const seen = [], small = [];
            for (const svg of document.querySelectorAll('.drawing svg')) {{
                if (!svg.checkVisibility()) continue;
                const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
                for (const text of svg.querySelectorAll('text')) {{
                    const high = scale * parseFloat(getComputedStyle(text).fontSize);
                    (high < 8 ? small : seen).push(`${{high.toFixed(2)}} px: ${{text.textContent}}`);
                }}
            }}
            return [seen.length, small];
        }})()"
    );
    let found = browser.value(&tab, &small);
    assert_eq!(found[1], serde_json::json!([]), "{found}");
    assert!(found[0].as_u64() > Some(1000), "{found}");
}

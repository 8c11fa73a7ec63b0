//! The book as an EPUB 3: a document for each chapter, formulas as MathML, drawings as SVG.

use crate::page;
use crate::xml::{self, Fate, escaped};
use anyhow::{Context, Result};
use course::workspace::Workspace;
use scraper::{ElementRef, Html};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The look of an EPUB, after the book's own.
const LOOK: &str = "theme/epub.css";
/// The styles in the order in which they apply.
const STYLES: [&str; 5] = [
    "css/variables.css",
    "fonts/fonts.css",
    "theme/book.css",
    "theme/live.css",
    LOOK,
];
/// The name of this book among all books; the version of a file is when it was changed.
const NAME: &str = "urn:uuid:0b3a3a5e-6f0c-4d0e-9d53-7c2f2b1f8a11";

/// A document of the EPUB.
struct Document {
    /// `bn-backward.xhtml`.
    name: String,
    title: String,
    xhtml: String,
    sections: Vec<(String, String)>,
    maths: bool,
    drawings: bool,
}

/// Writes the book into `file`; returns the number of chapters and appendices.
///
/// # Errors
/// When the book cannot be built, or the file not be written.
pub fn write(workspace: &Workspace, file: &Path) -> Result<usize> {
    let (folder, built) = page::aside(workspace, LOOK)?;
    let pages: BTreeSet<&str> = built.pages.iter().map(String::as_str).collect();
    let documents: Result<Vec<Document>> = built
        .pages
        .iter()
        .map(|name| document(&page::read(&folder.path().join(name))?, name, &pages))
        .collect();
    let documents = documents?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let packed = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let mut put = |name: &str, bytes: &[u8], options| -> Result<()> {
        zip.start_file(name, options)?;
        zip.write_all(bytes)?;
        Ok(())
    };
    // First and not packed, so that a reader knows the file by its bytes.
    put("mimetype", b"application/epub+zip", stored)?;
    put("META-INF/container.xml", CONTAINER.as_bytes(), packed)?;
    let mut others = Vec::new();
    for name in STYLES {
        let path = folder.path().join(name);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        put(&format!("EPUB/{name}"), text.as_bytes(), packed)?;
        others.push((name.to_owned(), "text/css"));
    }
    let fonts = folder.path().join("fonts");
    let mut names: Vec<_> = fs::read_dir(&fonts)
        .context("the book has no fonts")?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    for name in names {
        let name = name.to_string_lossy().into_owned();
        if name.ends_with(".woff2") {
            put(
                &format!("EPUB/fonts/{name}"),
                &fs::read(fonts.join(&name))?,
                packed,
            )?;
            others.push((format!("fonts/{name}"), "font/woff2"));
        }
    }
    for document in &documents {
        put(
            &format!("EPUB/{}", document.name),
            document.xhtml.as_bytes(),
            packed,
        )?;
    }
    put("EPUB/nav.xhtml", contents(&documents).as_bytes(), packed)?;
    put(
        "EPUB/package.opf",
        package(&documents, &others).as_bytes(),
        packed,
    )?;
    let bytes = zip.finish()?.into_inner();
    page::put(file, bytes)?;
    Ok(documents.len())
}

fn document(html: &Html, name: &str, pages: &BTreeSet<&str>) -> Result<Document> {
    let main = page::one(html, "main")?;
    let window = page::for_a_window();
    let fate = |element: ElementRef<'_>| {
        let Some(mut kept) = page::kept(element, &window) else {
            return Fate::Goes;
        };
        kept.retain(|(name, _)| !name.starts_with("data-") && name != "tabindex");
        let is = element.value().name();
        for (name, value) in &mut kept {
            if name == "href" {
                *value = link(value, pages);
            }
        }
        // What a browser takes of any element of a formula, EPUB's MathML takes of `mstyle`.
        let styles = ["displaystyle", "scriptlevel"];
        let (style, kept): (Vec<_>, Vec<_>) = kept
            .into_iter()
            .partition(|(name, _)| styles.contains(&name.as_str()) && is != "mstyle");
        if style.is_empty() {
            Fate::Stays(kept)
        } else {
            Fate::Styled(style, kept)
        }
    };
    let mut body = String::new();
    for child in main.children() {
        xml::write(child, &fate, &mut body);
    }
    let title = page::text(page::one(html, "main h1")?);
    let headings = page::selector("main h2[id]");
    let sections = html
        .select(&headings)
        .filter_map(|heading| Some((heading.value().attr("id")?.to_owned(), page::text(heading))));
    let mut styles = String::new();
    for style in STYLES {
        let _ = writeln!(styles, "<link rel=\"stylesheet\" href=\"{style}\"/>");
    }
    let xhtml = format!(
        "{HEAD}<head>\n<title>{}</title>\n{styles}</head>\n<body class=\"content\"><main>{body}</main></body>\n</html>\n",
        escaped(&title)
    );
    Ok(Document {
        name: link(name, pages),
        title,
        maths: xhtml.contains("<math"),
        drawings: xhtml.contains("<svg"),
        xhtml,
        sections: sections.collect(),
    })
}

/// A link between pages, between documents.
fn link(href: &str, pages: &BTreeSet<&str>) -> String {
    let (path, anchor) = href.split_at(href.find('#').unwrap_or(href.len()));
    match path.strip_suffix(".html") {
        Some(stem) if pages.contains(path) => format!("{stem}.xhtml{anchor}"),
        _ => href.to_owned(),
    }
}

const CONTAINER: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<container version=\"1.0\" xmlns=\"urn:oasis:names:tc:opendocument:xmlns:container\">
<rootfiles><rootfile full-path=\"EPUB/package.opf\" media-type=\"application/oebps-package+xml\"/></rootfiles>
</container>
";
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!DOCTYPE html>
<html xmlns=\"http://www.w3.org/1999/xhtml\" xmlns:epub=\"http://www.idpf.org/2007/ops\" lang=\"en\" xml:lang=\"en\" class=\"light\">
";

fn contents(documents: &[Document]) -> String {
    let mut list = String::new();
    for document in documents {
        let _ = write!(
            list,
            "<li><a href=\"{}\">{}</a>",
            document.name,
            escaped(&document.title)
        );
        if !document.sections.is_empty() {
            list.push_str("<ol>");
            for (id, title) in &document.sections {
                let _ = write!(
                    list,
                    "<li><a href=\"{}#{}\">{}</a></li>",
                    document.name,
                    escaped(id),
                    escaped(title)
                );
            }
            list.push_str("</ol>");
        }
        list.push_str("</li>\n");
    }
    format!(
        "{HEAD}<head><title>Contents</title></head>\n<body><nav epub:type=\"toc\"><h1>Contents</h1>\n<ol>\n{list}</ol></nav></body>\n</html>\n"
    )
}

fn package(documents: &[Document], others: &[(String, &str)]) -> String {
    let (mut manifest, mut spine) = (String::new(), String::new());
    for (at, document) in documents.iter().enumerate() {
        let kinds = [(document.maths, "mathml"), (document.drawings, "svg")];
        let kinds: Vec<&str> = kinds
            .into_iter()
            .filter(|(has, _)| *has)
            .map(|(_, kind)| kind)
            .collect();
        let properties = if kinds.is_empty() {
            String::new()
        } else {
            format!(" properties=\"{}\"", kinds.join(" "))
        };
        let _ = writeln!(
            manifest,
            "<item id=\"c{at}\" href=\"{}\" media-type=\"application/xhtml+xml\"{properties}/>",
            document.name
        );
        let _ = writeln!(spine, "<itemref idref=\"c{at}\"/>");
    }
    for (at, (name, media)) in others.iter().enumerate() {
        let _ = writeln!(
            manifest,
            "<item id=\"o{at}\" href=\"{name}\" media-type=\"{media}\"/>"
        );
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <package xmlns=\"http://www.idpf.org/2007/opf\" version=\"3.0\" unique-identifier=\"name\" xml:lang=\"en\">\n\
         <metadata xmlns:dc=\"http://purl.org/dc/elements/1.1/\">\n\
         <dc:identifier id=\"name\">{NAME}</dc:identifier>\n\
         <dc:title>The Backward Pass: autodiff, Batch Norm and Layer Norm from a blank file, in Rust</dc:title>\n\
         <dc:language>en</dc:language>\n\
         <meta property=\"dcterms:modified\">{}</meta>\n\
         </metadata>\n<manifest>\n\
         <item id=\"nav\" href=\"nav.xhtml\" media-type=\"application/xhtml+xml\" properties=\"nav\"/>\n{manifest}</manifest>\n\
         <spine>\n<itemref idref=\"nav\"/>\n{spine}</spine>\n</package>\n",
        jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_between_pages_lead_between_documents() {
        let pages = BTreeSet::from(["a.html"]);
        for (href, wanted) in [
            ("a.html", "a.xhtml"),
            ("a.html#eq:x", "a.xhtml#eq:x"),
            ("#eq:x", "#eq:x"),
            ("https://example.org/a.html", "https://example.org/a.html"),
        ] {
            assert_eq!(link(href, &pages), wanted);
        }
    }
}

//! A folder that any host of static files serves: at the root of a host or below it, with what
//! other sites show of a page before it is opened, a page for what is not found, and a list of all
//! pages for search engines.

use crate::page;
use crate::xml::escaped;
use anyhow::{Context, Result, bail};
use course::book;
use course::workspace::Workspace;
use scraper::Html;
use std::fs;
use std::path::Path;

/// No shorter description says anything.
const SHORTEST: usize = 40;

/// By this the command knows a folder that it wrote.
const MARK: &str = "<meta name=\"generator\" content=\"The Backward Pass\">";
/// The most that other sites show of a description.
const LONGEST: usize = 200;

/// Writes the book into `folder`, to be read at `url`; returns the number of pages.
///
/// # Errors
/// When the address is none, when the folder holds what this command did not write, or a file
/// cannot be written. What was in the folder is then as it was.
pub fn publish(
    workspace: &Workspace,
    folder: &Path,
    url: &str,
    code: Option<&str>,
) -> Result<usize> {
    let base = base(url)?;
    if let Some(code) = code {
        self::base(code)?;
    }
    free(folder)?;
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let aside = tempfile::Builder::new().prefix(".book-").tempdir_in(parent);
    let aside = aside.with_context(|| format!("cannot write beside {}", folder.display()))?;
    let built = book::build_for(workspace, aside.path(), &path(&base))?;
    let mut names = built.pages;
    names.insert(0, "index.html".to_owned());
    for name in &names {
        let file = aside.path().join(name);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {name}"))?;
        fs::write(&file, introduced(&text, name, &base, code))
            .with_context(|| format!("cannot write {name}"))?;
    }
    let preview = workspace.book().join("theme/preview.png");
    fs::copy(&preview, aside.path().join("preview.png"))
        .with_context(|| format!("cannot copy {}", workspace.relative(&preview)))?;
    fs::write(aside.path().join("sitemap.xml"), sitemap(&names, &base))
        .context("cannot write sitemap.xml")?;
    // Hosts that make pages of Markdown leave these alone.
    fs::write(aside.path().join(".nojekyll"), "").context("cannot write .nojekyll")?;
    readable(aside.path())?;
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot replace {}", folder.display()))?;
    }
    let aside = aside.keep();
    fs::rename(&aside, folder).with_context(|| format!("cannot write {}", folder.display()))?;
    Ok(names.len())
}

/// The address with a slash at its end.
fn base(url: &str) -> Result<String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let strange = |c: char| c.is_whitespace() || c.is_control() || "\"'<>?#\\".contains(c);
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !rest.contains(strange) => {
            Ok(format!("{}/", url.trim_end_matches('/')))
        }
        _ => {
            bail!("`{url}` is no address of a folder on the web, such as https://example.org/book/")
        }
    }
}

/// The path of an address, `/` or `/book/`.
fn path(base: &str) -> String {
    let rest = base.split_once("://").map_or(base, |(_, rest)| rest);
    rest.find('/')
        .map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned())
}

/// Nothing of anybody's is written over.
fn free(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let mut entries = fs::read_dir(folder)
        .with_context(|| format!("{} is no folder to write to", folder.display()))?;
    let ours =
        || fs::read_to_string(folder.join("index.html")).is_ok_and(|page| page.contains(MARK));
    if entries.next().is_some() && !ours() {
        bail!(
            "{} holds something else already: name a new or an empty folder",
            folder.display()
        );
    }
    Ok(())
}

/// A temporary folder is for its owner alone; this one is for a server.
fn readable(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
            .context("cannot open the folder to readers")?;
    }
    Ok(())
}

/// A page with its address, and with what other sites show of it.
fn introduced(text: &str, name: &str, base: &str, code: Option<&str>) -> String {
    let html = Html::parse_document(text);
    let title = html
        .select(&page::selector("title"))
        .next()
        .map_or_else(String::new, page::text);
    let about = description(&html);
    let first = ["index.html", "introduction.html"].contains(&name);
    let address = format!("{base}{}", if first { "" } else { name });
    let [title, about, address, base] = [&title, &about, &address, base].map(escaped);
    let code = code.map_or_else(String::new, |code| {
        format!("<meta name=\"code\" content=\"{}\">\n", escaped(code))
    });
    let head = format!(
        "<meta name=\"description\" content=\"{about}\">\n{MARK}\n{code}\
         <link rel=\"canonical\" href=\"{address}\">\n\
         <meta property=\"og:title\" content=\"{title}\">\n\
         <meta property=\"og:description\" content=\"{about}\">\n\
         <meta property=\"og:type\" content=\"article\">\n\
         <meta property=\"og:site_name\" content=\"The Backward Pass\">\n\
         <meta property=\"og:url\" content=\"{address}\">\n\
         <meta property=\"og:image\" content=\"{base}preview.png\">\n\
         <meta property=\"og:image:width\" content=\"1200\">\n\
         <meta property=\"og:image:height\" content=\"630\">\n\
         <meta property=\"og:image:alt\" content=\"The gradient of a normalization in three routes\">\n\
         <meta name=\"twitter:card\" content=\"summary_large_image\">"
    );
    let Some((before, rest)) = text.split_once("<meta name=\"description\"") else {
        return text.replacen("</head>", &format!("{head}\n</head>"), 1);
    };
    let (_, after) = rest.split_once('>').unwrap_or((rest, ""));
    format!("{before}{head}{after}")
}

/// The first words of a page.
fn description(html: &Html) -> String {
    let paragraphs = page::selector("main > p");
    let found = html
        .select(&paragraphs)
        .map(page::text)
        .find(|text| text.len() > SHORTEST);
    let text = found.unwrap_or_default();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let cut: String = text.chars().take(LONGEST).collect();
    // As many whole sentences as there is room for, if they say something, or else words.
    match cut.rfind(". ").filter(|end| *end > SHORTEST) {
        Some(end) => cut[..=end].to_owned(),
        None => format!(
            "{} …",
            cut.rsplit_once(' ').map_or(&*cut, |(words, _)| words)
        ),
    }
}

fn sitemap(names: &[String], base: &str) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n".to_owned();
    for name in names {
        // The introduction is read at the address of the folder.
        if name == "introduction.html" {
            continue;
        }
        let name = if name == "index.html" { "" } else { name };
        out.push_str(&format!(
            "<url><loc>{}</loc></url>\n",
            escaped(&format!("{base}{name}"))
        ));
    }
    out + "</urlset>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_a_folder() {
        for (url, wanted, below) in [
            ("https://example.org", "https://example.org/", "/"),
            ("http://localhost:8000/", "http://localhost:8000/", "/"),
            (
                "https://example.org/a/b",
                "https://example.org/a/b/",
                "/a/b/",
            ),
        ] {
            let base = base(url).unwrap();
            assert_eq!((&*base, &*path(&base)), (wanted, below));
        }
        for url in [
            "example.org",
            "https://",
            "https:///a",
            "ftp://a.b",
            "https://a b",
            "https://a/?q",
            "https://a/\"x",
        ] {
            assert!(base(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_description_is_whole_sentences() {
        let page = |text: &str| {
            Html::parse_document(&format!("<main><h1>t</h1><p>short</p><p>{text}</p></main>"))
        };
        let first = "This first sentence has more than forty letters in it.";
        assert_eq!(description(&page(first)), first);
        let long = format!("{first} {}", "More words follow here ".repeat(20));
        assert_eq!(description(&page(&long)), first);
        let words = description(&page(&"word ".repeat(60)));
        assert!(
            words.ends_with("word …") && words.chars().count() <= LONGEST + 2,
            "{words}"
        );
    }

    #[test]
    fn nothing_of_anybodys_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        assert!(free(at).is_ok() && free(&at.join("new")).is_ok());
        fs::write(at.join("thesis.tex"), "").unwrap();
        assert!(free(at).unwrap_err().to_string().contains("something else"));
        fs::write(at.join("index.html"), MARK).unwrap();
        assert!(free(at).is_ok());
        assert!(free(&at.join("thesis.tex")).is_err());
    }
}

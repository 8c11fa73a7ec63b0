//! The built pages in memory, and the headers they are sent with.
//!
//! The server reads no file when it is asked for a page: what is not in the built book
//! cannot be served, and a book that is being rebuilt is never seen half written.

use crate::digest::{fingerprint, sha256};
use anyhow::{Context, Result};
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

/// One file of the built book.
#[derive(Debug)]
pub struct File {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Its media type.
    pub media: &'static str,
    /// Its content security policy, for a page.
    pub policy: String,
    /// Its entity tag, quoted.
    pub tag: String,
}

/// The built book.
#[derive(Debug, Default)]
pub struct Site {
    files: HashMap<String, File>,
}

impl Site {
    /// Reads every file under `root`.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn load(root: &Path) -> Result<Self> {
        let mut site = Self::default();
        site.read(root, root, served)?;
        Ok(site)
    }

    /// The same as any other host serves it: its pages are not those of a course.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub fn of_files(root: &Path) -> Result<Self> {
        let mut site = Self::default();
        site.read(root, root, str::to_owned)?;
        Ok(site)
    }

    fn read(&mut self, root: &Path, dir: &Path, page: fn(&str) -> String) -> Result<()> {
        for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let entry = entry?;
            let path = entry.path();
            // A link to a folder may lead back to where it stands.
            if entry.file_type()?.is_dir() {
                self.read(root, &path, page)?;
            }
            if path.is_dir() {
                continue;
            }
            let mut bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let name = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .replace('\\', "/");
            let media = media(&name);
            let policy = if media.starts_with("text/html") {
                let html = page(&String::from_utf8_lossy(&bytes));
                let policy = policy(&html);
                bytes = html.into_bytes();
                policy
            } else {
                "default-src 'none'; style-src 'unsafe-inline'; sandbox".to_owned()
            };
            let tag = format!("\"{}\"", fingerprint(&bytes));
            let file = File {
                bytes,
                media,
                policy,
                tag,
            };
            self.files.insert(name, file);
        }
        Ok(())
    }

    /// The file at the path of a request, such as `/bn-backward.html?x`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&File> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let name = decode(path.strip_prefix('/')?)?;
        if name.is_empty() || name.ends_with('/') {
            return self.files.get(&format!("{name}index.html"));
        }
        self.files.get(&name)
    }
}

/// A page as the course serves it: marked, so that its script asks for verdicts.
fn served(html: &str) -> String {
    html.replacen("<html ", "<html data-course ", 1)
}

/// `%41` and the like decoded; nothing when that is not valid.
fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let hex = after
                .get(..2)
                .and_then(|hex| std::str::from_utf8(hex).ok())?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn media(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// Scripts run only from our own files, or when they stand in this very page as built; the module
/// of the live figures is one of our files.
fn policy(html: &str) -> String {
    let mut hashes = BTreeSet::new();
    let mut rest = html;
    while let Some((_, after)) = rest.split_once("<script>") {
        let (script, after) = after.split_once("</script>").unwrap_or((after, ""));
        hashes.insert(format!(" 'sha256-{}'", sha256(script.as_bytes())));
        rest = after;
    }
    let hashes: String = hashes.into_iter().collect();
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{hashes}; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-src 'self'; \
         frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_book_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("book");
        fs::create_dir_all(root.join("part")).unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        let page = "<html lang=\"en\"><script>a</script>";
        fs::write(root.join("index.html"), page).unwrap();
        fs::write(root.join("part/a b.html"), "").unwrap();
        #[cfg(unix)]
        for name in ["one", "two"] {
            std::os::unix::fs::symlink(&root, root.join(name)).unwrap();
        }
        let site = Site::load(&root).unwrap();
        assert!(
            site.get("/")
                .is_some_and(|f| f.media.starts_with("text/html"))
        );
        let page = site.get("/index.html?reload").unwrap();
        assert!(page.bytes.starts_with(b"<html data-course lang="));
        assert!(site.get("/part/a%20b.html").is_some());
        for path in [
            "/../secret",
            "/%2e%2e/secret",
            "/part/../../secret",
            "//index.html",
            "index.html",
            "/%zz",
            "/%2",
            "/part/",
            "/one/index.html",
        ] {
            assert!(site.get(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_page_runs_only_the_scripts_it_was_built_with() {
        let policy = policy("<script>alert(1)</script><script src=\"a.js\"></script>");
        assert!(
            policy.contains(
                "script-src 'self' 'wasm-unsafe-eval' 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=';"
            ),
            "{policy}"
        );
        assert!(!policy.contains("script-src 'self' 'unsafe-inline'"));
    }
}

//! Code and printed text as a page shows them.

use std::fmt::Write;
use std::path::Path;

use super::edits::{code_in, escape, in_code};
use super::items;
use super::listing::{Piece, pieces};
use super::maths::shield;

/// A piece of a source file, ready for the page.
pub struct Shown {
    /// The code.
    pub code: String,
    /// File, function and lines, for the caption.
    pub location: String,
    /// The numbers of its lines.
    pub lines: Vec<usize>,
    /// Whether it stood between anchors.
    pub anchor: bool,
}

/// The item or the anchor `name` of a source file, or the whole file if there is no name.
///
/// # Errors
/// One line, when there is no such piece, it is empty, or it is cut inside of braces.
pub fn listing(file: &str, source: &str, name: &str) -> Result<Shown, String> {
    let marked = marked(file, source)?;
    let (piece, anchor) = match marked.get(name) {
        _ if name.is_empty() => (Piece::whole(source), false),
        Some(piece) => (piece.clone(), true),
        None => {
            let item = items::find(source, name).map_err(|why| format!("{file} {why}"))?;
            (item, false)
        }
    };
    let (first, last) = piece
        .span()
        .ok_or_else(|| format!("{file}:{name} is empty"))?;
    let language = language(Path::new(file));
    if language == "rust" && piece.is_cut() {
        return Err(format!(
            "{file}:{name} is cut inside of braces: what it opens must be closed in it"
        ));
    }
    let mut location = format!("<code>{}</code>", shield(&escape(file)));
    let what = piece.place(source);
    if !what.is_empty() {
        let _ = write!(location, ", {}", in_code(&what));
    }
    location += &code_in(&match first == last {
        true => format!(", line {first}"),
        false => format!(", lines {first}–{last}"),
    });
    let text = shield(&escape(&piece.text()));
    Ok(Shown {
        code: format!("<pre><code class=\"language-{language}\">{text}</code></pre>"),
        location,
        lines: piece.lines.iter().map(|(number, _)| *number).collect(),
        anchor,
    })
}

/// A text that a program printed: the whole file, or what stands between anchors.
///
/// # Errors
/// One line, when there is no such anchor, or nothing there.
pub fn output(file: &str, source: &str, anchor: &str) -> Result<String, String> {
    let text = if anchor.is_empty() {
        source.trim_end().to_owned()
    } else {
        let marked = marked(file, source)?;
        let piece = marked.get(anchor);
        piece
            .ok_or_else(|| format!("{file} has no anchor `{anchor}`"))?
            .text()
    };
    if text.trim().is_empty() {
        return Err(format!("{file}:{anchor} is empty"));
    }
    Ok(text)
}

fn marked<'a>(
    file: &str,
    source: &'a str,
) -> Result<std::collections::BTreeMap<&'a str, Piece<'a>>, String> {
    pieces(source).map_err(|(line, why)| format!("{file}:{line}: {why}"))
}

fn language(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()) {
        Some("rs") => "rust",
        Some("py") => "python",
        Some("toml") => "toml",
        _ => "text nohighlight",
    }
}

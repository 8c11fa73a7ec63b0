//! Drawings set into the page, so that they follow its colours.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// An SVG file as it stands in a page: without prolog and comments, on one line, its
/// ids made unique by `prefix`, its natural width taken from the `viewBox`.
///
/// # Errors
/// When it is not an SVG, or has no `viewBox` or no `<title>`.
pub fn inline(svg: &str, prefix: &str) -> Result<String, String> {
    let start = svg.find("<svg").ok_or("this is not an SVG file")?;
    let svg = &svg[start..];
    let end = svg
        .rfind("</svg>")
        .ok_or("this is not an SVG file: </svg> is missing")?;
    let mut body = without_comments(&svg[..end + "</svg>".len()]);
    if body.contains("<script") || body.contains("href=\"http") || body.contains("url(http") {
        return Err("a figure holds no script and fetches nothing".to_owned());
    }
    let title = body.split_once("<title>");
    let title = title.and_then(|(_, rest)| rest.split_once("</title>"));
    if title.is_none_or(|(title, _)| title.trim().is_empty()) {
        return Err(
            "a <title> is missing: what a reader who cannot see the figure is told".to_owned(),
        );
    }
    let head_end = body.find('>').ok_or("the <svg> tag is not closed")?;
    let head = body[..head_end].to_owned();
    let view = attribute(&head, "viewBox").ok_or("the <svg> has no viewBox")?;
    let width: f64 = view
        .split([' ', ','])
        .filter(|part| !part.is_empty())
        .nth(2)
        .and_then(|width| width.parse().ok())
        .ok_or_else(|| format!("the viewBox `{view}` has no width"))?;
    let class = attribute(&head, "class").map_or(String::new(), |c| format!(" class=\"{c}\""));
    let new_head = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{view}\" role=\"img\"{class} style=\"width:{width}px\""
    );
    body.replace_range(..head_end, &new_head);
    for id in ids(&body) {
        for (before, after) in [("id=\"", "\""), ("=\"#", "\""), ("url(#", ")")] {
            let old = format!("{before}{id}{after}");
            body = body.replace(&old, &format!("{before}{prefix}{id}{after}"));
        }
    }
    Ok(body.lines().map(str::trim).collect::<Vec<_>>().join(" "))
}

/// The drawing of a file, and beside it the one that `a-narrow.svg` holds for `a.svg`, if it is
/// there: a page that is wide enough shows the first, a phone the second.
///
/// # Errors
/// Those of `read` and [`inline`].
pub fn forms(
    path: &Path,
    unique: &str,
    read: impl Fn(&Path) -> Result<String, String>,
) -> Result<String, String> {
    let wide = inline(&read(path)?, &format!("{unique}-"))?;
    let narrow = narrow(path);
    if !narrow.is_file() {
        return Ok(wide);
    }
    let narrow = inline(&read(&narrow)?, &format!("{unique}n-"))?;
    Ok(format!(
        "<div class=\"wide\">{wide}</div><div class=\"narrow\">{narrow}</div>"
    ))
}

/// The file with the same drawing in a form for phones, if it has one: `a.svg`, `a-narrow.svg`.
fn narrow(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}-narrow.svg"))
}

fn without_comments(svg: &str) -> String {
    let mut out = String::new();
    let mut rest = svg;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, rest)| rest);
    }
    out + rest
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let start = tag.find(&format!(" {name}=\""))? + name.len() + 3;
    let end = tag[start..].find('"')?;
    Some(&tag[start..start + end])
}

fn ids(svg: &str) -> BTreeSet<String> {
    svg.match_indices(" id=\"")
        .filter_map(|(at, mark)| svg[at + mark.len()..].split_once('"'))
        .map(|(id, _)| id.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SVG: &str = "<?xml version=\"1.0\"?>\n<!-- drawn by hand -->\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" viewBox=\"0 0 640 200\">\n<title>Two paths</title>\n<marker id=\"a\"/>\n<path marker-end=\"url(#a)\" d=\"M0 0\"/><use href=\"#a\"/>\n</svg>\n";

    #[test]
    fn ids_are_made_unique_and_the_width_is_natural() {
        let svg = inline(SVG, "f1-").unwrap();
        assert!(svg.starts_with("<svg xmlns="), "{svg}");
        assert!(svg.contains("style=\"width:640px\"") && !svg.contains("width=\"9\""));
        assert!(
            svg.contains("id=\"f1-a\"")
                && svg.contains("url(#f1-a)")
                && svg.contains("href=\"#f1-a\"")
        );
        assert!(!svg.contains('\n') && !svg.contains("drawn by hand"));
    }

    #[test]
    fn what_a_figure_must_have() {
        for (from, to, word) in [
            ("<title>Two paths</title>", "", "title"),
            (
                "<title>Two paths</title>",
                "</title><title>Two paths",
                "title",
            ),
            ("<svg", "</svg><sgv", "not an SVG"),
            ("viewBox", "box", "viewBox"),
            ("0 0 640 200", "0 0", "no width"),
            ("<svg", "<sgv", "not an SVG"),
            ("<marker", "<script/><marker", "no script"),
        ] {
            let error = inline(&SVG.replace(from, to), "f").unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}

//! The types that an exercise hands to its reader or wants back, as its checker defines
//! them: what can be read and called, with what is said of each.

use super::edits::escape;
use super::maths::shield;
use super::presented;
use crate::stub;
use crate::workspace::Workspace;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The types that the exercise `name` uses, to be opened by who needs them; nothing where there
/// are none.
///
/// # Errors
/// When its solution or a source cannot be read.
pub fn html(
    workspace: &Workspace,
    name: &str,
    read: impl Fn(&Path) -> Result<String, String>,
) -> Result<String, String> {
    let solution = read(&workspace.solution(name))?;
    let stub = stub::from_solution(&solution).map_err(|error| error.to_string())?;
    let folder = workspace.book().join("exercises/src");
    let files = presented::sources_in(&folder)
        .map_err(|e| format!("cannot read {}: {e}", workspace.relative(&folder)))?;
    let sources = sources_of(name, &files, read)?;
    let (names, text) = of(&stub, &sources);
    let Some((last, others)) = names.split_last() else {
        return Ok(String::new());
    };
    let names = match others {
        [] => format!("<code>{last}</code>"),
        others => format!(
            "<code>{}</code> and <code>{last}</code>",
            others.join("</code>, <code>")
        ),
    };
    Ok(format!(
        "<details class=\"types\"><summary>The types: {names}</summary>\
         <pre><code class=\"language-rust\">{}</code></pre></details>",
        shield(&escape(&text)),
    ))
}

/// The types that the exercise file imports and does not write out itself, and those that
/// these are made of: names, and the text of their definitions. A type is looked for in the
/// `sources`, in this order.
#[must_use]
pub fn of(stub: &str, sources: &[String]) -> (Vec<String>, String) {
    let written = |name: &str| {
        let opening = format!("{name} {{");
        stub.lines().any(|line| line.trim() == opening)
    };
    let mut wanted: Vec<String> = imported(stub).filter(|name| !written(name)).collect();
    let (mut names, mut text) = (Vec::new(), String::new());
    let mut seen = BTreeSet::new();
    while let Some(name) = (!wanted.is_empty()).then(|| wanted.remove(0)) {
        if !seen.insert(name.clone()) {
            continue;
        }
        let Some(definition) = sources.iter().find_map(|source| definition(source, &name)) else {
            continue;
        };
        let methods: String = sources
            .iter()
            .map(|source| methods(source, &name))
            .collect();
        let mut shown = definition;
        if !methods.is_empty() {
            let _ = write!(
                shown,
                "\n\nimpl {name} {{\n{}}}",
                methods.trim_end_matches('\n').to_owned() + "\n"
            );
        }
        wanted.extend(mentioned(&shown));
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(&shown);
        names.push(name);
    }
    (names, text)
}

/// The types in `use exercises::name::{Type, check};`.
fn imported(stub: &str) -> impl Iterator<Item = String> {
    let lines = stub
        .lines()
        .filter(|line| line.starts_with("use exercises::"));
    let lists = lines
        .filter_map(|line| line.rsplit_once("::"))
        .map(|(_, list)| list);
    lists.flat_map(mentioned).collect::<Vec<_>>().into_iter()
}

/// The words of `text` that may be types, comments aside.
fn mentioned(text: &str) -> Vec<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let types = words.filter(|word| word.starts_with(char::is_uppercase));
    types.map(str::to_owned).collect()
}

/// The definition of `name`, with its comments, without attributes and without what is
/// private.
fn definition(source: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = source.lines().collect();
    let defines = |line: &&str| {
        let keyword = ["pub struct ", "pub enum ", "pub type "];
        let rest = keyword.iter().find_map(|word| line.strip_prefix(word));
        rest.and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let at = lines.iter().position(defines)?;
    let mut out = said(&lines[..at], "");
    out.push_str(lines[at]);
    if lines[at].ends_with('{') {
        let whole = lines[at].starts_with("pub enum ");
        let mut comment = String::new();
        for line in lines[at + 1..].iter().take_while(|line| **line != "}") {
            let text = line.trim_start();
            if text.starts_with("///") {
                let _ = write!(comment, "\n{line}");
            } else if !text.starts_with('#') && !text.starts_with("//") {
                let comment = std::mem::take(&mut comment);
                if whole || text.starts_with("pub ") {
                    out = out + &comment + "\n" + line;
                }
            }
        }
        out.push_str("\n}");
    }
    Some(out)
}

/// The public methods of `name`: what is said of each, and its signature.
fn methods(source: &str, name: &str) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let head = format!("impl {name} {{");
    let mut out = String::new();
    for (start, _) in lines.iter().enumerate().filter(|(_, line)| **line == head) {
        let body = lines[start + 1..].iter().take_while(|line| **line != "}");
        let body: Vec<&str> = body.copied().collect();
        for (at, _) in body
            .iter()
            .enumerate()
            .filter(|(_, line)| line.starts_with("    pub fn "))
        {
            out += &said(&body[..at], "    ");
            for line in &body[at..] {
                match line.strip_suffix(" {") {
                    Some(last) => {
                        let _ = writeln!(out, "{last};\n");
                        break;
                    }
                    None => {
                        let _ = writeln!(out, "{line}");
                    }
                }
            }
        }
    }
    out
}

/// The first paragraph of the comment that ends `lines`, attributes aside.
fn said(lines: &[&str], indent: &str) -> String {
    let comment = format!("{indent}///");
    let attribute = format!("{indent}#[");
    let mut above: Vec<&str> = lines
        .iter()
        .rev()
        .skip_while(|line| line.starts_with(&attribute) || line.trim_start().starts_with("// "))
        .take_while(|line| line.starts_with(&comment))
        .copied()
        .collect();
    above.reverse();
    let first = above.split(|line| line.trim() == "///").next();
    let lines = first.unwrap_or_default().iter();
    lines.map(|line| format!("{line}\n")).collect()
}

/// The sources from which the exercise `name` takes types: its checker, and the files that
/// this passes on; none if it has no checker in `files`.
///
/// # Errors
/// Those of `read`.
pub fn sources_of(
    name: &str,
    files: &[PathBuf],
    read: impl Fn(&Path) -> Result<String, String>,
) -> Result<Vec<String>, String> {
    let named = |file: &Path, name: &str| file.file_stem().is_some_and(|stem| stem == name);
    let Some(own) = files.iter().find(|file| named(file, name)) else {
        return Ok(Vec::new());
    };
    let source = read(own)?;
    let passed_on = source.lines().filter(|line| line.starts_with("pub use "));
    let words: Vec<&str> = passed_on
        .flat_map(|line| line.split([':', ' ', ';']))
        .collect();
    let others = files.iter().filter(|file| *file != own);
    let taken = others.filter(|file| words.iter().any(|module| named(file, module)));
    let taken: Result<Vec<String>, String> = taken.map(|file| read(file)).collect();
    Ok([vec![source.clone()], taken?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
/// What is kept.
///
/// Much more of it.
#[derive(Clone)]
pub struct Step {
    /// The gate.
    pub i: Vec<Part>,
    /// A secret.
    norm: Forward,
}

impl Step {
    /// Backward.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn back(
        &self,
        dy: &[f64],
    ) -> Vec<f64> {
        self.norm.back(dy)
    }

    fn hidden(&self) {
    }
}

/// A part.
pub type Part = f64;

/// Other.
pub struct Stepwise;

pub enum Norm {
    /// None of it.
    None,
}
";

    #[test]
    fn what_is_public_is_shown_with_what_it_is_made_of() {
        let stub = "use exercises::a::{Norm, Step, check};\n\nfn f(s: &Step) {}\n";
        let (names, text) = of(stub, &[SOURCE.to_owned()]);
        assert_eq!(names, ["Norm", "Step", "Part"]);
        assert_eq!(
            text,
            "pub enum Norm {\n    /// None of it.\n    None,\n}\n\n/// What is kept.\npub struct Step {\n    /// The gate.\n    pub i: Vec<Part>,\n}\n\nimpl Step {\n    /// Backward.\n    pub fn back(\n        &self,\n        dy: &[f64],\n    ) -> Vec<f64>;\n}\n\n/// A part.\npub type Part = f64;"
        );
    }

    #[test]
    fn what_the_file_writes_out_is_not_shown_again() {
        let stub = "use exercises::a::Norm::*;\nuse exercises::a::{Step, check};\n    Step {\n";
        let (names, text) = of(stub, &[SOURCE.to_owned()]);
        assert_eq!((names.len(), text.as_str()), (0, ""));
    }
}

//! The second pass over a chapter: formulas in the text, references, numbers from
//! result files, and the HTML of every block taken out by the first pass.

use super::code::{self, Shown};
use super::data::{self, Place};
use super::directive::Arguments;
use super::edits::{
    Edit, apply, close, code_in, escape, fits, hold, hold_words, id, in_code, refer, said, unclear,
    unwrapped,
};
use super::figure;
use super::files::Files;
use super::labels::{Kind, Labels, link, placed};
use super::maths::{self, Maths, shield};
use super::problem::Problem;
use super::scan::{Block, Placed, Scanned, placeholder};
use super::still;
use super::types;
use crate::catalogue::{Catalogue, Exercise};
use crate::workspace::Workspace;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use verdict::command;

/// What every chapter needs to be rendered; it collects what goes wrong.
pub struct Renderer<'a> {
    /// The checkout.
    pub workspace: &'a Workspace,
    /// Formulas and macros.
    pub maths: &'a Maths,
    /// All labels of the book.
    pub labels: &'a Labels,
    /// The exercises.
    pub catalogue: &'a Catalogue,
    /// What was read.
    pub files: Files,
    /// Which lines of which file a listing has shown.
    pub listed: RefCell<BTreeMap<PathBuf, BTreeSet<usize>>>,
    /// Which anchors of which file a listing has used.
    pub used: RefCell<BTreeSet<(PathBuf, String)>>,
    /// What is wrong.
    pub problems: RefCell<Vec<Problem>>,
}

/// A chapter's file and page.
#[derive(Clone, Copy)]
pub struct Page<'a> {
    /// The Markdown file, relative to the root of the checkout.
    pub file: &'a str,
    /// The page, relative to the root of the book.
    pub html: &'a str,
}

impl Renderer<'_> {
    /// The Markdown that mdBook gets.
    #[must_use]
    pub fn chapter(&self, page: Page<'_>, scanned: &Scanned) -> String {
        let mut text = String::new();
        let mut starts = Vec::with_capacity(scanned.lines.len());
        for (number, line) in &scanned.lines {
            starts.push((text.len(), *number));
            text.push_str(line);
            text.push('\n');
        }
        let line_of = |offset: usize| {
            let at = starts.partition_point(|(start, _)| *start <= offset);
            starts.get(at.saturating_sub(1)).map_or(1, |(_, n)| *n)
        };
        let text = self.inline(page, &text, &line_of, maths::Place::Inline);
        // The placeholders stand in the order of the blocks: one walk puts in all of them.
        let (mut out, mut rest) = (String::with_capacity(2 * text.len()), text.as_str());
        for (index, placed) in scanned.blocks.iter().enumerate() {
            let html = self.block(page, placed).unwrap_or_else(|message| {
                self.problem(page, placed.line, message);
                String::new()
            });
            if let Some((before, after)) = rest.split_once(&placeholder(index)) {
                out.push_str(before);
                out.push_str(&html);
                rest = after;
            }
        }
        out + rest
    }

    fn problem(&self, page: Page<'_>, line: usize, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem {
            file: page.file.to_owned(),
            line,
            message: message.into(),
        });
    }

    /// Formulas, references and numbers in running text; `formulas` is where its formulas
    /// stand, except those in headings of its own tables.
    fn inline(
        &self,
        page: Page<'_>,
        text: &str,
        line_of: &dyn Fn(usize) -> usize,
        formulas: maths::Place,
    ) -> String {
        let mut edits: Vec<Edit> = Vec::new();
        let mut verbatim: Vec<Range<usize>> = Vec::new();
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_HEADING_ATTRIBUTES
            | Options::ENABLE_DEFINITION_LIST
            | Options::ENABLE_GFM
            | Options::ENABLE_MATH;
        let mut in_block = false;
        let mut formulas_here = formulas;
        let events: Vec<_> = Parser::new_ext(text, options).into_offset_iter().collect();
        for (at, (event, range)) in events.iter().enumerate() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    if let Some(message) = unclear(kind) {
                        self.problem(page, line_of(range.start), message);
                    }
                    in_block = true;
                    verbatim.push(range.clone());
                }
                Event::End(TagEnd::CodeBlock) => in_block = false,
                Event::Start(Tag::TableHead) => formulas_here = maths::Place::Heading,
                Event::End(TagEnd::TableHead) => formulas_here = formulas,
                Event::Start(Tag::TableCell) if formulas_here == maths::Place::Heading => {
                    if let Some((Event::End(TagEnd::TableCell), _)) = events.get(at + 1) {
                        // Who hears the table is told the heading with every cell.
                        let message = "a column of the table has no heading";
                        self.problem(page, line_of(range.start), message);
                    }
                }
                Event::Code(code) => {
                    verbatim.push(range.clone());
                    edits.push((range.clone(), in_code(code)));
                }
                Event::InlineMath(latex) => {
                    let line = line_of(range.start);
                    verbatim.push(range.clone());
                    let latex = self.with_data(page, latex, Place::Maths, &|_| line);
                    match self.maths.render(&latex, formulas_here) {
                        Ok(html) => edits.push(hold(text, range.clone(), &latex, html)),
                        Err(bad) => {
                            self.problem(page, line, format!("in ${latex}$: {}", bad.message));
                        }
                    }
                }
                Event::DisplayMath(_) => {
                    verbatim.push(range.clone());
                    self.problem(
                        page,
                        line_of(range.start),
                        "a displayed formula begins on a line of its own with $$",
                    );
                }
                Event::Start(Tag::Link { dest_url, .. }) => {
                    if let Some(label) = dest_url.strip_prefix('#') {
                        let empty =
                            matches!(events.get(at + 1), Some((Event::End(TagEnd::Link), _)));
                        let before = empty.then(|| said(&events[..at]));
                        match self.reference(page, label, before, &text[range.clone()]) {
                            Ok(Some(new)) if empty => edits.push(refer(text, range.clone(), new)),
                            Ok(Some(new)) => {
                                let tail = range.end - label.len() - 3..range.end;
                                edits.push((tail, new));
                            }
                            Ok(None) => {}
                            Err(message) => self.problem(page, line_of(range.start), message),
                        }
                    }
                }
                Event::Text(_) if !in_block => {
                    edits.extend(hold_words(text, range));
                    for (offset, _) in text[range.clone()].match_indices('$') {
                        let at = range.start + offset;
                        if text[..at].ends_with('\\') {
                            continue;
                        }
                        self.problem(
                            page,
                            line_of(at),
                            "a lone $: the formula is not closed, or begins or ends with a space (a dollar is \\$)",
                        );
                    }
                }
                _ => {}
            }
        }
        let mut at = 0;
        while let Some(found) = text[at..].find("{{") {
            let start = at + found;
            at = start + 2;
            // They are in order, and none lies in another.
            let before = verbatim.partition_point(|range| range.start <= start);
            let here = verbatim[..before].last();
            if text[..start].ends_with('\\') || here.is_some_and(|range| range.contains(&start)) {
                continue;
            }
            let rest = &text[start..];
            if let Some(end) = close(rest).filter(|_| rest.starts_with("{{#data ")) {
                match self.datum(&rest["{{#data ".len()..end], Place::Prose) {
                    Ok(value) => edits.push((start..start + end + 2, value)),
                    Err(message) => self.problem(page, line_of(start), message),
                }
            } else if rest.starts_with("{{#")
                || rest.starts_with("{{/")
                || rest.starts_with("{{reveal")
            {
                self.problem(
                    page,
                    line_of(start),
                    "this directive is unknown here, or not on a line of its own",
                );
            }
        }
        apply(text, edits)
    }

    /// A `[](#label)` and what its paragraph says before it, or a link whose target is a label.
    fn reference(
        &self,
        page: Page<'_>,
        label: &str,
        empty: Option<String>,
        source: &str,
    ) -> Result<Option<String>, String> {
        let Some(target) = self.labels.get(label) else {
            if empty.is_some() || Kind::of(label).is_ok() {
                return Err(format!("there is no label `{label}`"));
            }
            return Ok(None);
        };
        let href = link(page.html, &target.page, label);
        if let Some(before) = empty {
            let text = shield(&escape(&placed(&target.text, &before)));
            return Ok(Some(format!("<a class=\"ref\" href=\"{href}\">{text}</a>")));
        }
        let whole = source.ends_with(&format!("(#{label})"));
        Ok(whole.then(|| format!("({href})")))
    }

    /// Every `{{#data …}}` of `text` replaced by its value.
    fn with_data(
        &self,
        page: Page<'_>,
        text: &str,
        place: Place,
        line_of: &dyn Fn(usize) -> usize,
    ) -> String {
        let mut edits = Vec::new();
        for (start, opening) in text.match_indices("{{#data ") {
            let rest = &text[start..];
            let Some(end) = close(rest) else {
                self.problem(page, line_of(start), "{{#data is not closed by }}");
                continue;
            };
            match self.datum(&rest[opening.len()..end], place) {
                Ok(value) => edits.push((start..start + end + 2, value)),
                Err(message) => self.problem(page, line_of(start), message),
            }
        }
        apply(text, edits)
    }

    fn datum(&self, arguments: &str, place: Place) -> Result<String, String> {
        let arguments = Arguments::read(arguments)?;
        let [file, key, format] = arguments.exactly::<3>("data file.json key format")?;
        let json = self.json(file)?;
        let value = data::get(&json, key).map_err(|e| format!("{file}: {e}"))?;
        let text = match (format, place) {
            ("badge", Place::Prose) => data::badge(value),
            _ => data::print(value, format, place),
        };
        text.map_err(|e| format!("{file}, `{key}`: {e}"))
    }

    fn json(&self, file: &str) -> Result<Rc<Value>, String> {
        self.files.json(self.workspace, file)
    }

    fn read(&self, path: &Path) -> Result<String, String> {
        self.files.text(self.workspace, path)
    }

    /// A short text as HTML on one line: captions, headings of tables, hints.
    fn html(&self, page: Page<'_>, line: usize, text: &str) -> String {
        self.html_at(page, line, text, maths::Place::Inline)
    }

    fn html_at(&self, page: Page<'_>, line: usize, text: &str, formulas: maths::Place) -> String {
        let text = self.inline(page, text, &|_| line, formulas);
        let options = Options::ENABLE_TABLES | Options::ENABLE_SMART_PUNCTUATION;
        let mut html = String::new();
        pulldown_cmark::html::push_html(&mut html, Parser::new_ext(&text, options));
        shield(html.trim())
    }

    /// The same without the paragraph around it.
    fn phrase(&self, page: Page<'_>, line: usize, text: &str) -> String {
        unwrapped(self.html(page, line, text))
    }

    fn block(&self, page: Page<'_>, placed: &Placed) -> Result<String, String> {
        let line = placed.line;
        let label = placed.label.as_ref();
        match &placed.block {
            Block::Equation(latex) => self.equation(page, line, latex, label),
            Block::Listing(arguments) => self.listing(page, line, arguments, label),
            Block::Output(arguments) => self.output(page, line, arguments, label),
            Block::Figure(arguments) => {
                let [file] = arguments.exactly::<1>("figure file.svg")?;
                let svg = self.figure(line, file)?;
                let body = format!("<div class=\"drawing-body\">{svg}</div>");
                Ok(self.drawing(page, line, &body, arguments, label))
            }
            Block::Live(arguments) => {
                let [name] = arguments.exactly::<1>("live name")?;
                let body = still::html(self.workspace, name, |path| self.read(path))?;
                Ok(self.drawing(page, line, &body, arguments, label))
            }
            Block::Table(arguments, columns) => self.table(page, line, arguments, columns, label),
            Block::Exercise(arguments) => {
                let [name] = arguments.exactly::<1>("exercise name")?;
                let exercise = self.catalogue.get(name).map_err(|e| e.to_string())?;
                self.exercise(page, line, exercise)
            }
        }
    }

    fn equation(
        &self,
        page: Page<'_>,
        line: usize,
        latex: &str,
        label: Option<&(String, String)>,
    ) -> Result<String, String> {
        let latex = self.with_data(page, latex, Place::Maths, &|_| line);
        let math = match self.maths.display(&latex) {
            Ok(math) => math,
            Err(bad) => {
                let offset = (0..=bad.offset)
                    .rev()
                    .find(|at| latex.is_char_boundary(*at));
                let lines = latex[..offset.unwrap_or(0)].matches('\n').count();
                self.problem(
                    page,
                    line + lines,
                    format!("in the formula: {}", bad.message),
                );
                return Ok(String::new());
            }
        };
        let body = format!("<div class=\"equation-body\">{math}</div>");
        Ok(match label {
            None => format!("<div class=\"equation\">{body}</div>"),
            Some((id, number)) => format!(
                "<div class=\"equation numbered\" id=\"{id}\">{body}<a class=\"equation-number\" href=\"#{id}\">({number})</a></div>"
            ),
        })
    }

    fn listing(
        &self,
        page: Page<'_>,
        line: usize,
        arguments: &Arguments,
        label: Option<&(String, String)>,
    ) -> Result<String, String> {
        let [place] = arguments.exactly::<1>("listing file:item")?;
        let (file, name) = place.split_once(':').unwrap_or((place, ""));
        let path = self.workspace.root().join(file);
        let Shown {
            code,
            location,
            lines,
            anchor,
        } = code::listing(file, &self.read(&path)?, name)?;
        if anchor {
            self.used
                .borrow_mut()
                .insert((path.clone(), name.to_owned()));
        }
        self.listed
            .borrow_mut()
            .entry(path)
            .or_default()
            .extend(lines);
        let caption = self.caption(page, line, "Listing", arguments, label);
        Ok(format!(
            "<figure class=\"listing\"{}><figcaption>{caption}<span class=\"where\">{location}</span></figcaption>{code}</figure>",
            id(label)
        ))
    }

    fn output(
        &self,
        page: Page<'_>,
        line: usize,
        arguments: &Arguments,
        label: Option<&(String, String)>,
    ) -> Result<String, String> {
        let [place] = arguments.exactly::<1>("output file:anchor")?;
        let (file, anchor) = place.split_once(':').unwrap_or((place, ""));
        let path = self.workspace.root().join(file);
        let text = code::output(file, &self.read(&path)?, anchor)?;
        if !anchor.is_empty() {
            self.used.borrow_mut().insert((path, anchor.to_owned()));
        }
        let caption = self.figcaption(page, line, "Listing", arguments, label);
        Ok(format!(
            "<figure class=\"output\"{}>{caption}<pre><code class=\"language-text nohighlight\">{}</code></pre></figure>",
            id(label),
            shield(&escape(&text))
        ))
    }

    fn figure(&self, line: usize, file: &str) -> Result<String, String> {
        let path = match file.strip_prefix('/') {
            Some(file) => self.workspace.root().join(file),
            None => self.workspace.chapters().join(file),
        };
        figure::forms(&path, &format!("l{line}"), |path| self.read(path))
            .map_err(|e| format!("{file}: {e}"))
    }

    fn drawing(
        &self,
        page: Page<'_>,
        line: usize,
        body: &str,
        arguments: &Arguments,
        label: Option<&(String, String)>,
    ) -> String {
        let caption = self.figcaption(page, line, "Figure", arguments, label);
        format!(
            "<figure class=\"drawing\"{}>{}{caption}</figure>",
            id(label),
            shield(body)
        )
    }

    fn table(
        &self,
        page: Page<'_>,
        line: usize,
        arguments: &Arguments,
        columns: &[(usize, String)],
        label: Option<&(String, String)>,
    ) -> Result<String, String> {
        let [file, key] = arguments.exactly::<2>("table file.json key")?;
        let rows = data::rows(file, key, |file| self.json(file))?;
        if columns.is_empty() || rows.is_empty() {
            return Err("the table has no columns or no rows".to_owned());
        }
        let mut head = String::new();
        let mut body = vec![String::new(); rows.len()];
        for (line, column) in columns {
            let parts: Vec<&str> = column.split('|').map(str::trim).collect();
            let [field, title, format] = parts.as_slice() else {
                return Err(format!(
                    "the column `{column}` is not of the form key | heading | format"
                ));
            };
            // Numbers stand under one another at their ends, words at their beginnings.
            let text = |row| data::get(row, field).ok().and_then(Value::as_str);
            let class = if rows.iter().all(|row| text(row).is_some_and(fits)) {
                " class=\"brief\""
            } else if rows.iter().all(|row| text(row).is_some())
                || ["s", "s?", "ref", "code"].contains(format)
            {
                ""
            } else {
                " class=\"number\""
            };
            let title = unwrapped(self.html_at(page, *line, title, maths::Place::Heading));
            let _ = write!(head, "<th{class}>{title}</th>");
            for (row, cells) in rows.iter().zip(&mut body) {
                let value = data::get(row, field).map_err(|e| format!("{file}, `{key}`: {e}"))?;
                if *format == "ref" {
                    let label = value.as_str().unwrap_or_default();
                    let link = self.phrase(page, *line, &format!("[](#{label})"));
                    let _ = write!(cells, "<td>{link}</td>");
                    continue;
                }
                if *format == "code" {
                    let name = value.as_str().ok_or_else(|| {
                        format!("{file}, `{key}`, `{field}`: code must be a text")
                    })?;
                    let _ = write!(cells, "<td class=\"name\">{}</td>", in_code(name));
                    continue;
                }
                let text = data::print(value, format, Place::Prose)
                    .map_err(|e| format!("{file}, `{key}`, `{field}`: {e}"))?;
                let _ = write!(cells, "<td{class}>{}</td>", code_in(&text));
            }
        }
        let rows: String = body
            .iter()
            .map(|cells| format!("<tr>{cells}</tr>"))
            .collect();
        let caption = self.figcaption(page, line, "Table", arguments, label);
        Ok(format!(
            "<figure class=\"data\"{}>{caption}<div class=\"table-wrapper\"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></figure>",
            id(label)
        ))
    }

    /// The caption in its element, if there is one.
    fn figcaption(
        &self,
        page: Page<'_>,
        line: usize,
        word: &str,
        arguments: &Arguments,
        label: Option<&(String, String)>,
    ) -> String {
        match self.caption(page, line, word, arguments, label) {
            none if none.is_empty() => none,
            caption => format!("<figcaption>{caption}</figcaption>"),
        }
    }

    fn caption(
        &self,
        page: Page<'_>,
        line: usize,
        word: &str,
        arguments: &Arguments,
        label: Option<&(String, String)>,
    ) -> String {
        let number = label.map_or(String::new(), |(_, number)| {
            format!("<span class=\"caption-number\">{word} {number}</span> ")
        });
        let text = arguments.caption.as_deref().unwrap_or_default();
        if text.is_empty() && number.is_empty() {
            return String::new();
        }
        let text = self.phrase(page, line, text);
        format!("<span class=\"caption\">{number}{text}</span>")
    }

    fn exercise(&self, page: Page<'_>, line: usize, exercise: &Exercise) -> Result<String, String> {
        let name = &exercise.name;
        let html = |text: &str| self.html(page, line, text);
        let title = self.phrase(page, line, &exercise.title);
        let file = self.workspace.relative(&self.workspace.exercise(name));
        // Each hint stands inside the one before: the reader meets them one at a time.
        let hints = exercise.hints.iter().enumerate().rev().fold(
            String::new(),
            |inner, (i, hint)| {
                format!(
                    "<details class=\"hint\"><summary>Hint {} of {}</summary>{}{inner}</details>",
                    i + 1,
                    exercise.hints.len(),
                    html(hint)
                )
            },
        );
        // Words and a bar for one that takes its time; they keep their room when nothing runs.
        let run = match &exercise.run {
            Some(run) => format!(
                "<div class=\"run\" data-run=\"{}\"><progress max=\"1\" value=\"0\" aria-label=\"How far the run is\"></progress>\
                 {}</div>",
                run.figure,
                html(&format!(
                    "It runs on your own machine, and [](#{}) shows it as it happens. Here the figure shows a run of the book's solution.",
                    run.figure
                ))
            ),
            None => String::new(),
        };
        Ok(format!(
            "<section class=\"exercise\" id=\"exercise:{name}\" data-exercise=\"{name}\" data-state=\"open\">\
             <p class=\"box-title\"><span>Exercise</span> <span class=\"exercise-state\" aria-live=\"polite\"></span></p>\
             <p class=\"exercise-title\" role=\"heading\" aria-level=\"3\">{title}</p>\
             {run}{task}\
             <dl class=\"exercise-where\"><dt>Open</dt><dd><code>{file}</code></dd>\
             <dt>Check</dt><dd>{check}</dd></dl>\
             {types}\
             <div class=\"verdict\" role=\"status\" hidden=\"\"></div>\
             {hints}\
             <details class=\"explanation\"><summary>Explanation, for when it passes</summary>{explanation}\
             <p class=\"read-next-title\">Read next</p>{next}</details></section>",
            check = in_code(&command(&format!("check {name}"))),
            types = types::html(self.workspace, name, |path| self.read(path))?,
            task = html(&exercise.task),
            file = shield(&escape(&file)),
            explanation = html(&exercise.explanation),
            next = html(&exercise.read_next),
        ))
    }
}

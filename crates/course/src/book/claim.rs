//! ``{{#claim result `condition`}}sentence{{/claim}}``: words that a number stands behind,
//! and what must hold of the result for them to be true.
//!
//! The book's build checks the form and takes the directive out, so that a page has the
//! words alone. The conditions are evaluated by the tests of this package, in
//! `tests/claims`, so that a reader does not compile an interpreter.

use super::fence::Fence;
use crate::workspace::Workspace;
use std::path::PathBuf;

/// Where results lie.
const FOLDER: &str = "book/results";

/// Words of a chapter with the condition they rest on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The line in which the directive begins, from 1.
    pub line: usize,
    /// The names of the results, at least one.
    pub results: Vec<String>,
    /// The condition, in the jq language. Its input is the first result; each is also a
    /// variable of its name.
    pub condition: String,
    /// The words.
    pub sentence: String,
}

/// A chapter without its claims.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Taken {
    /// What is left of each line, with its number in the source.
    pub lines: Vec<(usize, String)>,
    /// The claims, in the order in which they end.
    pub claims: Vec<Claim>,
    /// What is wrong: line and message.
    pub problems: Vec<(usize, String)>,
}

const FORM: &str = "write {{#claim result `condition`}}sentence{{/claim}}";
const OPEN: &str = "{{#claim";
const CLOSE: &str = "{{/claim}}";

/// Takes the claims out of a chapter.
#[must_use]
pub fn take(text: &str) -> Taken {
    let mut taker = Taker::default();
    let mut fence = Fence::default();
    let mut comment = false;
    for (at, line) in text.lines().enumerate() {
        taker.line = at + 1;
        comment |= line.trim_start().starts_with("<!--") && !fence.is_open();
        if comment || fence.holds(line) {
            comment &= !line.contains("-->");
            taker.out.lines.push((taker.line, line.to_owned()));
            continue;
        }
        if line.trim().is_empty() {
            taker.close_all();
        }
        taker.line(line);
    }
    taker.close_all();
    taker.out
}

/// Where a result's file lies, relative to the root of the checkout.
///
/// # Errors
/// When there is no such result.
pub fn file(workspace: &Workspace, result: &str) -> Result<PathBuf, String> {
    let file = format!("{FOLDER}/{result}.json");
    if !workspace.root().join(&file).is_file() {
        return Err(format!("there is no result `{result}`: {file} is missing"));
    }
    Ok(file.into())
}

#[derive(Default)]
struct Taker {
    line: usize,
    /// A directive whose closing braces have not come yet: its line and its text so far.
    directive: Option<(usize, String)>,
    /// The claims whose words go on, the outermost first.
    open: Vec<Claim>,
    out: Taken,
}

impl Taker {
    fn line(&mut self, line: &str) {
        let mut left = String::new();
        let mut rest = line;
        loop {
            if self.directive.is_some() {
                let Some(after) = self.directive(rest) else {
                    break;
                };
                rest = after;
            } else if let Some(at) = rest.find(['{', '`']) {
                self.keep(&mut left, &rest[..at]);
                rest = &rest[at..];
                if let Some(after) = rest.strip_prefix(OPEN) {
                    self.directive = Some((self.line, String::new()));
                    rest = after;
                } else if let Some(after) = rest.strip_prefix(CLOSE) {
                    match self.open.pop() {
                        Some(claim) => self.close(claim),
                        None => self.problem(self.line, "{{/claim}} closes nothing"),
                    }
                    rest = after;
                } else {
                    let (this, after) = rest.split_at(verbatim(rest));
                    self.keep(&mut left, this);
                    rest = after;
                }
            } else {
                self.keep(&mut left, rest);
                break;
            }
        }
        for claim in &mut self.open {
            claim.sentence.push(' ');
        }
        // A line of directives alone would end the paragraph.
        if !left.trim().is_empty() || line.trim().is_empty() {
            self.out.lines.push((self.line, left));
        }
    }

    fn keep(&mut self, left: &mut String, text: &str) {
        left.push_str(text);
        for claim in &mut self.open {
            claim.sentence.push_str(text);
        }
    }

    /// Goes on with a directive; the text after it, when it ends on this line.
    fn directive<'a>(&mut self, rest: &'a str) -> Option<&'a str> {
        let (line, mut text) = self.directive.take()?;
        // In the condition, which ends with a backquote, braces may close objects.
        let quotes = text.matches('`').count();
        let first = rest.find('`').unwrap_or(rest.len());
        let braces = rest.find("}}").filter(|at| quotes == 0 && *at < first);
        let end = braces.or_else(|| rest.find("`}}").map(|at| at + 1));
        let Some(end) = end else {
            text.push_str(rest);
            text.push('\n');
            self.directive = Some((line, text));
            return None;
        };
        text.push_str(&rest[..end]);
        match read(&text) {
            Some((results, condition)) => self.open.push(Claim {
                line,
                results,
                condition,
                sentence: String::new(),
            }),
            None => self.problem(line, FORM),
        }
        Some(&rest[end + 2..])
    }

    fn close(&mut self, mut claim: Claim) {
        let words: Vec<&str> = claim.sentence.split_whitespace().collect();
        claim.sentence = words.join(" ");
        if claim.sentence.is_empty() {
            return self.problem(claim.line, "the claim has no words");
        }
        self.out.claims.push(claim);
    }

    /// Nothing goes on past a blank line.
    fn close_all(&mut self) {
        if let Some((line, _)) = self.directive.take() {
            self.problem(line, "the condition of the claim is not closed by `}}");
        }
        for claim in std::mem::take(&mut self.open) {
            let message = "the claim is not closed by {{/claim}} before a blank line";
            self.problem(claim.line, message);
        }
    }

    fn problem(&mut self, line: usize, message: &str) {
        self.out.problems.push((line, message.to_owned()));
    }
}

/// The results and the condition of ``results `condition` ``.
fn read(text: &str) -> Option<(Vec<String>, String)> {
    let (results, condition) = text.split_once('`')?;
    let condition = condition.trim_end().strip_suffix('`')?.trim();
    let results: Vec<String> = results.split_whitespace().map(str::to_owned).collect();
    // Each is a variable in the condition.
    let name = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let form = !condition.is_empty() && !condition.contains('`') && !results.is_empty();
    (form && results.iter().all(name)).then(|| (results, condition.to_owned()))
}

/// The length of what stands for itself at the beginning of `text`: code between
/// backquotes, or else one character.
fn verbatim(text: &str) -> usize {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let (marks, mut at) = (&text[..ticks], ticks);
    while ticks > 0 && at < text.len() {
        let Some(found) = text[at..].find(marks) else {
            break;
        };
        let end = at + found + ticks;
        let run = text[end..].len() - text[end..].trim_start_matches('`').len();
        if run == 0 {
            return end;
        }
        at = end + run;
    }
    ticks.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(taken: &Taken) -> Vec<(usize, &str)> {
        let lines = taken.lines.iter();
        lines.map(|(line, text)| (*line, text.as_str())).collect()
    }

    #[test]
    fn the_words_stay_and_the_directive_goes() {
        let taken = take("So {{#claim u_curve `.a < {a: {b: 1}}`}}ten digits{{/claim}}, and more.");
        assert_eq!(left(&taken), [(1, "So ten digits, and more.")]);
        let claim = Claim {
            line: 1,
            results: vec!["u_curve".to_owned()],
            condition: ".a < {a: {b: 1}}".to_owned(),
            sentence: "ten digits".to_owned(),
        };
        assert_eq!((taken.claims, taken.problems), (vec![claim], vec![]));
    }

    #[test]
    fn a_claim_may_go_over_lines_and_hold_others() {
        let taken = take(
            "- {{#claim a\n  `.x |\n  .y`}}\n  In {{#claim b c `.z`}}`{{/claim}}` all\n  cases{{/claim}}, yes{{/claim}}.\n\n```text\n{{#claim}}\n```",
        );
        assert_eq!(
            left(&taken),
            [
                (1, "- "),
                (4, "  In `{{/claim}}` all"),
                (5, "  cases, yes."),
                (6, ""),
                (7, "```text"),
                (8, "{{#claim}}"),
                (9, "```"),
            ]
        );
        let [inner, outer] = &taken.claims[..] else {
            panic!("{:?}", taken.claims)
        };
        assert_eq!((inner.line, inner.condition.as_str()), (4, ".z"));
        assert_eq!(inner.results, ["b", "c"]);
        assert_eq!(inner.sentence, "`{{/claim}}` all cases");
        assert_eq!((outer.line, outer.condition.as_str()), (1, ".x |\n  .y"));
        assert_eq!(outer.sentence, "In `{{/claim}}` all cases, yes");
        assert!(taken.problems.is_empty(), "{:?}", taken.problems);
    }

    #[test]
    fn code_and_comments_are_left_alone() {
        for text in [
            "`{{#claim}}` and ``a ` {{/claim}}`` and {{#data a b c}} } ` {",
            "~~~text\n{{/claim}}\n~~~",
            "<!-- {{#claim\n\n{{/claim}} -->",
        ] {
            let taken = take(text);
            let lines: Vec<&str> = taken.lines.iter().map(|(_, line)| line.as_str()).collect();
            assert_eq!(lines.join("\n"), text);
            assert!(taken.problems.is_empty(), "{text}: {:?}", taken.problems);
        }
    }

    #[test]
    fn what_has_not_the_form_is_told() {
        for (text, line, told) in [
            (
                "\n{{#claim a `.b`}}c\n\n{{/claim}}",
                2,
                "before a blank line",
            ),
            ("\n{{#claim a `.b`}}c\n\n{{/claim}}", 4, "closes nothing"),
            ("{{#claim a `.b`}} {{/claim}}", 1, "has no words"),
            ("{{#claim a}}c{{/claim}}", 1, "write {{#claim"),
            ("{{#claim `.b`}}c{{/claim}}", 1, "write {{#claim"),
            ("{{#claim a ``}}c{{/claim}}", 1, "write {{#claim"),
            ("{{#claim a-b `.b`}}c{{/claim}}", 1, "write {{#claim"),
            ("{{#claim a `.b` d `.c`}}c{{/claim}}", 1, "write {{#claim"),
            ("{{#claim a `.b\nc{{/claim}}\n", 1, "is not closed by `}}"),
        ] {
            let problems = take(text).problems;
            let found = problems
                .iter()
                .any(|(at, message)| *at == line && message.contains(told));
            assert!(found, "{text}: {problems:?}");
        }
    }
}

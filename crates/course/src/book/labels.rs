//! Labels of equations, sections, listings, figures and tables, and what a reference
//! to each prints.

use std::collections::BTreeMap;

/// What can carry a label; the part of the label before the colon.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// `eq:`, a displayed formula.
    Equation,
    /// `fig:`, a figure.
    Figure,
    /// `lst:`, a listing.
    Listing,
    /// `tab:`, a table.
    Table,
    /// `sec:`, a section.
    Section,
    /// `ch:`, a chapter.
    Chapter,
}

impl Kind {
    /// The kind that the label's prefix names.
    ///
    /// # Errors
    /// When the label is not of the form `kind:name-of-letters-digits-and-hyphens`.
    pub fn of(label: &str) -> Result<Self, String> {
        let (prefix, name) = label.split_once(':').unwrap_or((label, ""));
        let clean = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || !name.chars().all(clean) {
            return Err(format!(
                "the label `{label}` is not of the form eq:name, in small letters, digits and hyphens"
            ));
        }
        match prefix {
            "eq" => Ok(Self::Equation),
            "fig" => Ok(Self::Figure),
            "lst" => Ok(Self::Listing),
            "tab" => Ok(Self::Table),
            "sec" => Ok(Self::Section),
            "ch" => Ok(Self::Chapter),
            _ => Err(format!(
                "the label `{label}` begins with none of eq: fig: lst: tab: sec: ch:"
            )),
        }
    }

    /// What a reference to number `number` prints.
    #[must_use]
    pub fn reference(self, number: &str) -> String {
        match self {
            Self::Equation => format!("({number})"),
            Self::Figure => format!("figure {number}"),
            Self::Listing => format!("listing {number}"),
            Self::Table => format!("table {number}"),
            Self::Section => format!("section {number}"),
            Self::Chapter if number.starts_with(char::is_alphabetic) => {
                format!("appendix {number}")
            }
            Self::Chapter => format!("chapter {number}"),
        }
    }

    /// Whether something of this kind bears `label`.
    #[must_use]
    pub fn bears(self, label: &str) -> bool {
        Self::of(label) == Ok(self)
    }
}

/// Where a label is, and what a reference to it prints.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// The page, relative to the root of the book, such as `bn-backward.html`.
    pub page: String,
    /// What a reference prints, such as `(8.3)` or `section 8.3`.
    pub text: String,
    /// The title of a section or chapter that has a number.
    pub title: Option<String>,
}

/// All labels of the book.
pub type Labels = BTreeMap<String, Target>;

/// The link from `page` to `label` on `target`.
#[must_use]
pub fn link(page: &str, target: &str, label: &str) -> String {
    if page == target {
        return format!("#{label}");
    }
    let up = "../".repeat(page.matches('/').count());
    format!("{up}{target}#{label}")
}

/// The words of a reference as they stand behind `before`, which is what its paragraph says up to
/// there: with a capital where a sentence begins.
#[must_use]
pub fn placed(words: &str, before: &str) -> String {
    let mut letters = words.chars();
    match letters.next() {
        Some(first) if begins_sentence(before) => first.to_uppercase().chain(letters).collect(),
        _ => words.to_owned(),
    }
}

/// Whether a sentence begins behind `before`.
fn begins_sentence(before: &str) -> bool {
    const SHORT: [&str; 6] = ["al.", "cf.", "e.g.", "i.e.", "no.", "vs."];
    let opening = |c: char| c.is_whitespace() || "([“‘\"'".contains(c);
    let before = before.trim_end_matches(opening);
    let ended = before.trim_end_matches([')', ']', '”', '’', '"', '\'']);
    let last = ended.rsplit(opening).next().unwrap_or_default();
    before.is_empty() || ended.ends_with(['.', '!', '?']) && !SHORT.contains(&last)
}

/// Numbers of one chapter, such as 8.1, 8.2, …, for each kind.
#[derive(Debug, Default)]
pub struct Counters {
    counts: BTreeMap<Kind, u32>,
    subsections: u32,
}

impl Counters {
    /// The next number of this kind in the chapter numbered `chapter`, which is empty
    /// for a chapter without a number.
    pub fn next(&mut self, kind: Kind, chapter: &str) -> String {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        if kind == Kind::Section {
            self.subsections = 0;
        }
        if chapter.is_empty() {
            count.to_string()
        } else {
            format!("{chapter}.{count}")
        }
    }

    /// The next number of a subsection of the current section.
    pub fn next_subsection(&mut self, chapter: &str) -> String {
        self.subsections += 1;
        let section = self.counts.get(&Kind::Section).copied().unwrap_or_default();
        format!("{chapter}.{section}.{}", self.subsections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_their_kind() {
        assert_eq!(Kind::of("eq:bn-closed-form"), Ok(Kind::Equation));
        assert_eq!(Kind::Section.reference("8.3"), "section 8.3");
        assert_eq!(Kind::Chapter.reference("A"), "appendix A");
        for label in ["eq", "eq:", "eq:A b", "equation:x", ":x"] {
            assert!(Kind::of(label).is_err(), "{label}");
        }
    }

    #[test]
    fn a_reference_begins_a_sentence_with_a_capital() {
        for before in [
            "",
            "(",
            "It holds. ",
            "Why? (",
            "It holds (see above.) ",
            "“It holds.” ",
            "the loss!\n",
        ] {
            assert_eq!(placed("section 8.3", before), "Section 8.3", "{before:?}");
        }
        for before in [
            "see ",
            "it holds (",
            "it holds; ",
            "as follows: ",
            "He et al. (",
            "a norm, e.g. ",
            "at 2.5 and ",
        ] {
            assert_eq!(placed("section 8.3", before), "section 8.3", "{before:?}");
        }
        assert_eq!(placed("(8.3)", ""), "(8.3)");
    }

    #[test]
    fn links_are_relative_to_the_page() {
        assert_eq!(link("a.html", "a.html", "eq:x"), "#eq:x");
        assert_eq!(link("a.html", "b.html", "eq:x"), "b.html#eq:x");
        assert_eq!(link("part/a.html", "b.html", "eq:x"), "../b.html#eq:x");
    }
}

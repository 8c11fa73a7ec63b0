//! The sections of the book, by the anchors that mistakes lead to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The headings of the chapters that have an anchor.
#[derive(Clone, Debug, Default)]
pub struct Sections(BTreeMap<String, String>);

impl Sections {
    /// Those of the checkout that this program was built from; none when that is gone.
    pub fn of_the_book() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book/src");
        let mut sections = Self::default();
        for file in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = file.path();
            if path.extension().is_some_and(|end| end == "md") {
                let name = file.file_name().to_string_lossy().into_owned();
                sections.add(&name, &fs::read_to_string(&path).unwrap_or_default());
            }
        }
        sections
    }

    fn add(&mut self, file: &str, chapter: &str) {
        for line in chapter.lines().filter(|line| line.starts_with('#')) {
            let heading = line.trim_start_matches('#').trim();
            let parts = heading
                .split_once("{#")
                .filter(|(_, rest)| rest.ends_with('}'));
            if let Some((title, anchor)) = parts {
                let told = format!("\"{}\" in book/src/{file}", title.trim());
                self.0.insert(anchor.trim_end_matches('}').to_owned(), told);
            }
        }
    }

    /// How a section is told to a reader.
    pub fn told(&self, anchor: &str) -> String {
        let told = self.0.get(anchor);
        told.cloned()
            .unwrap_or_else(|| format!("the section {anchor} of the book"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_told_by_its_title() {
        let told = Sections::of_the_book().told("sec:three-terms");
        assert_eq!(told, "\"The three terms\" in book/src/bn-backward.md");
        let none = Sections::default().told("sec:three-terms");
        assert_eq!(none, "the section sec:three-terms of the book");
    }
}

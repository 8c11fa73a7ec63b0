//! The prose of the book is spelled right: every word is one of an English dictionary or
//! of the book's own list, `book/words.txt`.

use course::book;
use course::workspace::Workspace;
use flate2::read::GzDecoder;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::Path;

/// Elements whose text is no prose.
const NO_PROSE: [&str; 7] = ["code", "pre", "math", "svg", "script", "style", "button"];

/// The text of a page inside its `main` element, without code and formulas. Where an
/// element begins or ends inside a word, the word is not cut, unless it is a block.
fn prose(html: &str) -> String {
    let (_, main) = html.split_once("<main").expect("a page has a main element");
    let (_, main) = main.split_once('>').expect("a tag ends");
    let (main, _) = main.split_once("</main>").expect("the element ends");
    let mut out = String::new();
    let mut rest = main;
    let mut skipped: Option<(&str, usize)> = None;
    while let Some((text, after)) = rest.split_once('<') {
        if skipped.is_none() {
            out.push_str(text);
        }
        let Some((tag, after)) = after.split_once('>') else {
            break;
        };
        rest = after;
        let name = tag.trim_start_matches('/');
        let name = name.split([' ', '\n', '/']).next().unwrap_or_default();
        match &mut skipped {
            Some((open, depth)) if *open == name => {
                *depth = if tag.starts_with('/') {
                    *depth - 1
                } else {
                    *depth + 1
                };
                if *depth == 0 {
                    skipped = None;
                }
            }
            Some(_) => {}
            None if NO_PROSE.contains(&name) && !tag.ends_with('/') => {
                skipped = Some((name, 1));
                // Stands for what is left out, so that its neighbours stay apart.
                out.push('0');
            }
            None if !["em", "strong", "a", "i", "b", "span"].contains(&name) => out.push('\n'),
            None => {}
        }
    }
    out.push_str(rest);
    decode(&out)
}

/// Character references made into characters.
fn decode(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let (name, after) = after.split_once(';').expect("a reference ends");
        rest = after;
        let number = match name.strip_prefix('#') {
            Some(hex) if hex.starts_with('x') => u32::from_str_radix(&hex[1..], 16).ok(),
            Some(number) => number.parse().ok(),
            None => None,
        };
        let character = number.and_then(char::from_u32);
        out.push(character.unwrap_or_else(|| match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "nbsp" => ' ',
            other => panic!("an unknown reference: &{other};"),
        }));
    }
    out + rest
}

/// The words of a text. What holds digits or other signs of code is none, nor is a single
/// letter or an address.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for token in text.split(|c: char| c.is_whitespace() || "-–—/…()[]".contains(c)) {
        let token = token.replace('’', "'");
        let token = token.trim_matches(|c: char| !c.is_alphanumeric());
        let whole = token.chars().all(|c| c.is_alphabetic() || c == '\'');
        if whole && token.chars().count() > 1 {
            words.push(token.to_owned());
        }
    }
    words
}

struct Dictionary(BTreeSet<String>);

impl Dictionary {
    fn load(root: &Path) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/words/british-english.gz");
        let mut text = String::new();
        GzDecoder::new(fs::File::open(file).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        text += &own_words(root);
        Self(text.lines().map(str::to_owned).collect())
    }

    fn has(&self, word: &str) -> bool {
        let base = word.strip_suffix("'s").unwrap_or(word);
        // A capital may be there because a sentence begins.
        let mut letters = base.chars();
        let small: String = letters
            .next()
            .into_iter()
            .flat_map(char::to_lowercase)
            .chain(letters)
            .collect();
        // The list writes -ise, the book -ize.
        let other = small.replace("iz", "is");
        [word, base, &small, &other]
            .iter()
            .any(|form| self.0.contains(*form))
    }
}

fn own_words(root: &Path) -> String {
    fs::read_to_string(root.join("book/words.txt")).unwrap()
}

/// Where a word stands in the sources of the book.
fn place(root: &Path, word: &str) -> String {
    let chapters = fs::read_dir(root.join("book/src")).unwrap();
    let mut files: Vec<_> = chapters.map(|entry| entry.unwrap().path()).collect();
    files.push(root.join("book/exercises/catalogue.toml"));
    files.sort();
    for file in files.iter().filter(|file| file.is_file()) {
        let text = fs::read_to_string(file).unwrap().replace('’', "'");
        if let Some(line) = text.lines().position(|line| line.contains(word)) {
            let file = file.strip_prefix(root).unwrap().display();
            return format!("{file}:{}", line + 1);
        }
    }
    "the book".to_owned()
}

#[test]
fn every_word_of_the_book_is_known() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().unwrap();
    let target = tempfile::tempdir().unwrap();
    let workspace = Workspace::at(&root).unwrap();
    book::build(&workspace, target.path()).unwrap_or_else(|error| panic!("{error:#}"));
    let dictionary = Dictionary::load(&root);
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for entry in fs::read_dir(target.path()).unwrap() {
        let path = entry.unwrap().path();
        let derived =
            ["print", "toc", "404"].contains(&path.file_stem().unwrap().to_str().unwrap());
        if path.extension().is_some_and(|e| e == "html") && !derived {
            for word in words(&prose(&fs::read_to_string(&path).unwrap())) {
                *used.entry(word).or_default() += 1;
            }
        }
    }
    assert!(used.len() > 1000, "only {} words were found", used.len());
    let unknown: Vec<String> = used
        .keys()
        .filter(|word| !dictionary.has(word))
        .map(|word| format!("{}: `{word}`", place(&root, word)))
        .collect();
    assert!(
        unknown.is_empty(),
        "not in the dictionary; a term or a name goes into book/words.txt\n{}",
        unknown.join("\n")
    );
}

#[test]
fn the_list_of_words_is_sorted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let own = own_words(&root);
    let own: Vec<&str> = own.lines().collect();
    assert!(
        own.is_sorted_by(|a, b| a < b),
        "book/words.txt is not sorted (LC_ALL=C sort -u)"
    );
}

#[test]
fn words_are_taken_from_prose_alone() {
    let html = "<nav>nav</nav><main><p>It&#39;s a <em>half</em>-<b>bro</b>ken <code>fn x</code>, \
                f64 x<sub>i</sub> and <math><mi>q</mi><math></math></math> don&#8217;t.</p><li>end</main>foot";
    assert_eq!(
        words(&prose(html)),
        ["It's", "half", "broken", "and", "don't", "end"]
    );
}

//! The book: what is right is built, what is wrong fails with file and line.

mod common;

use common::{CHAPTER, Checkout};
use course::book;
use course::catalogue::Catalogue;
use course::workspace::Workspace;
use std::fs;
use std::path::Path;

#[test]
fn a_chapter_becomes_a_page() {
    let checkout = Checkout::new();
    let finished = checkout.run(&["book", "build"]);
    assert_eq!(finished.code(), 0, "{}", finished.err());
    let page = checkout.read("book/build/one.html");
    for part in [
        "<math display=\"block\">",
        "id=\"eq:slope\"",
        "href=\"#eq:slope\">(1.1)</a>",
        "<a class=\"ref\" href=\"#sec:doubling\">section 1.1</a>",
        "<span class=\"section-number\">1.1</span>",
        "<code class=\"language-rust\">fn double(x: f64) -&gt; f64 {\n    2.0 * x\n}</code>",
        "fn double in impl Twice",
        "lines 3–5",
        "data-exercise=\"double\"",
        "Hint 3 of 3",
    ] {
        assert!(page.contains(part), "{part} is missing from\n{page}");
    }
    assert!(!page.contains("ANCHOR") && !page.contains("{{#") && !page.contains("data-block"));
    let other = checkout.read("book/build/two.html");
    assert!(
        other.contains("<a class=\"ref\" href=\"one.html#ch:one\">chapter 1</a>"),
        "{other}"
    );
}

#[test]
fn every_mistake_in_a_chapter_is_told_with_file_and_line() {
    let checkout = Checkout::new();
    checkout.write(
        "data.json",
        "{\"rows\": [{\"h\": 0.1, \"e\": 1.5e-7}], \"n\": 12345}",
    );
    for (line, told) in [
        ("$\\badcommand$", "badcommand"),
        ("$x", "a lone $"),
        ("$$\n\\frac{a}\n$$", "in the formula"),
        ("[](#eq:none)", "no label `eq:none`"),
        ("[text](#sec:none)", "no label `sec:none`"),
        ("[text](three.md)", "leads nowhere"),
        ("[text](one.md#nowhere)", "leads nowhere"),
        ("$$ a $$ {#eq:slope}", "label `eq:slope` is also in"),
        ("{{#listing code/lib.rs:none}}", "no anchor `none`"),
        (
            "{{#listing code/none.rs:double}}",
            "cannot read code/none.rs",
        ),
        ("{{#exercise none}}", "no exercise is called `none`"),
        ("{{#exercise double}}", "stands in the book twice"),
        ("{{#figure none.svg}}", "cannot read book/src/none.svg"),
        ("{{#data data.json rows.1.e .1e}}", "no `1` on the way"),
        ("{{#data none.json n d}}", "cannot read none.json"),
        ("{{#data data.json n .q}}", "is no format"),
        (
            "{{#table data.json rows\nh | $h$ | .1f\nz | z | .1f\n}}",
            "no `z`",
        ),
        (
            "a {{#listing code/lib.rs:double}} b",
            "not on a line of its own",
        ),
        ("{{#include a.rs}}", "no directive"),
        ("- <b>unclosed", "unclosed HTML tag"),
    ] {
        let text = format!("# Two\n\nGood.\n\n{line}\n");
        checkout.write("book/src/two.md", &text);
        let finished = checkout.run(&["book", "build"]);
        assert_eq!(finished.code(), 2, "{line}");
        let error = finished.err();
        assert!(error.contains(told), "{line}: {error}");
        if !line.contains("<b>") {
            let at = error.lines().find(|l| l.contains(told)).unwrap();
            assert!(
                at.trim().starts_with("book/src/two.md:") || at.contains("one.html"),
                "{line}: {at}"
            );
            let number: usize = at.trim().split(':').nth(1).unwrap().parse().unwrap();
            assert!((5..=7).contains(&number), "{line}: {at}");
        }
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let checkout = Checkout::new();
    checkout.write(
        "book/src/one.md",
        &CHAPTER.replace("[](#eq:slope)", "[](#eq:a) [](#eq:b)"),
    );
    checkout.write("book/src/two.md", "# Two\n\n$\\bad$\n");
    let error = checkout.run(&["book", "build"]).err();
    assert!(error.starts_with("the book has 3 problems\n"), "{error}");
    assert!(
        error.contains("book/src/one.md:3: there is no label `eq:a`"),
        "{error}"
    );
    assert!(error.contains("book/src/two.md:3: "), "{error}");
}

#[test]
fn numbers_and_tables_come_from_result_files() {
    let checkout = Checkout::new();
    checkout.write(
        "data.json",
        "{\"rows\": [{\"h\": 0.1, \"e\": 1.5e-7, \"n\": \"a|b\"}], \"n\": 12345}",
    );
    checkout.write(
        "book/src/two.md",
        "# Two\n\n{{#data data.json n d}} values, ${{#data data.json rows[h=0.1].e .1e}}$, `{{#data data.json n d}}`.\n\n\
         | a | b |\n|---|---|\n| {{#data data.json rows.0.e .1e}} | $x$ |\n\n\
         {{#table data.json rows \"All of $x$\" #tab:all\nh | $h$ | .1f\nn | name | s\n}}\n\nSee [](#tab:all).\n",
    );
    let finished = checkout.run(&["book", "build"]);
    assert_eq!(finished.code(), 0, "{}", finished.err());
    let page = checkout.read("book/build/two.html");
    for part in [
        "12\u{202f}345 values",
        "<mn>1.5</mn>",
        "<code>{{#data data.json n d}}</code>",
        "<td>1.5\u{a0}×\u{a0}10⁻⁷</td>",
        "<td>a|b</td>",
        "Table 2.1",
        "table 2.1</a>",
    ] {
        assert!(page.contains(part), "{part} is missing from\n{page}");
    }
}

#[test]
fn predictions_and_figures_stand_in_the_page() {
    let checkout = Checkout::new();
    checkout.write(
        "book/src/a.svg",
        "<?xml version=\"1.0\"?><svg viewBox=\"0 0 300 100\"><title>A</title><path d=\"M0 0\"/></svg>",
    );
    checkout.write(
        "book/src/two.md",
        "# Two\n\n{{#predict p}}\nHow **much** is $x$?\n\n- ( ) half\n- (x) $0$\n{{reveal}}\nNone, see [](#fig:a).\n\n{{#figure a.svg \"An $x$\" #fig:a}}\n{{/predict}}\n",
    );
    let finished = checkout.run(&["book", "build"]);
    assert_eq!(finished.code(), 0, "{}", finished.err());
    let page = checkout.read("book/build/two.html");
    for part in [
        "data-predict=\"p\"",
        "<strong>much</strong>",
        "<summary>Reveal</summary>",
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewbox=\"0 0 300 100\" role=\"img\"",
        "Figure 2.1",
        "figure 2.1</a>",
    ] {
        assert!(page.contains(part), "{part} is missing from\n{page}");
    }
    assert_eq!(
        page.matches("<section").count(),
        page.matches("</section>").count()
    );
}

#[test]
fn anchors_that_no_listing_uses_are_named() {
    let checkout = Checkout::new();
    assert_eq!(checkout.run(&["book", "anchors"]).code(), 0);
    let code = checkout.read("code/lib.rs");
    checkout.write(
        "code/lib.rs",
        &format!("{code}// ANCHOR: idle\n// ANCHOR_END: idle\n"),
    );
    let finished = checkout.run(&["book", "anchors"]);
    assert_eq!(finished.code(), 1);
    assert!(
        finished
            .out()
            .contains("code/lib.rs: no listing uses the anchor `idle`"),
        "{}",
        finished.out()
    );
}

fn own() -> Workspace {
    Workspace::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

/// The book itself builds, has every section that a verdict may refer to, every exercise
/// of the catalogue, and loads nothing from another machine.
#[test]
fn the_book_itself_is_right() {
    let workspace = own();
    let target = tempfile::tempdir().unwrap();
    let built = book::build(&workspace, target.path()).unwrap_or_else(|error| panic!("{error:#}"));
    for label in exercises::sections::LABELS {
        assert!(
            built.labels.contains_key(label),
            "a verdict refers to {label}, which the book lacks"
        );
    }
    for exercise in &Catalogue::load(&workspace).unwrap().exercises {
        assert!(
            built.exercises.contains_key(&exercise.name),
            "{} has no place in the book",
            exercise.name
        );
    }
    for entry in fs::read_dir(target.path().join("fonts")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            !name.starts_with("open-sans"),
            "a font that no page uses: {name}"
        );
    }
    let style = fs::read_to_string(target.path().join("fonts/fonts.css")).unwrap();
    assert!(!style.contains("//"), "a font is fetched from elsewhere");
}

/// Each exercise is its solution with the answer taken out, unless the reader has been
/// at it.
#[test]
fn every_exercise_is_its_solution_with_the_answer_taken_out() {
    let workspace = own();
    for exercise in Catalogue::load(&workspace).unwrap().exercises {
        let name = &exercise.name;
        let solution = fs::read_to_string(workspace.solution(name)).unwrap();
        let stub = course::stub::from_solution(&solution).unwrap();
        let file = fs::read_to_string(workspace.exercise(name)).unwrap();
        if file.contains("todo!()") {
            assert_eq!(file, stub, "{name}");
        }
        assert!(
            stub.lines().count() <= 30,
            "{name} is too long to be read at a glance"
        );
    }
}

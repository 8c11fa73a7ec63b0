//! The book: what is right is built, what is wrong fails with file and line.

mod claims;
mod common;

use common::{CHAPTER, Checkout};
use course::book::files::Files;
use course::book::maths::Maths;
use course::book::presented::Presented;
use course::book::render::{Page, Renderer};
use course::book::{self, Problem, figure, labels::Labels, listing, presented, scan};
use course::catalogue::Catalogue;
use course::workspace::Workspace;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
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
        "lines <span class=\"whole\">3–5</span>",
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

/// Where a sentence, an item or a cell begins, the words of a reference do.
#[test]
fn a_reference_that_begins_a_sentence_has_a_capital() {
    let checkout = Checkout::new();
    checkout.write(
        "book/src/two.md",
        "# Two\n\n[](#ch:one) begins. *It* ends.\n[](#sec:doubling) follows `it.` [](#sec:doubling),\n\
         so ([](#ch:one)) does $x$. ([](#ch:one) too.)\n\n- [](#ch:one)\n- in [One](#ch:one), [](#ch:one)\n\n\
         | In [](#ch:one) |\n|---|\n| [](#ch:one) |\n",
    );
    let finished = checkout.run(&["book", "build"]);
    assert_eq!(finished.code(), 0, "{}", finished.err());
    let page = checkout.read("book/build/two.html");
    let words = page.split("<a class=\"ref\"").skip(1);
    let words = words.map(|rest| rest.split(['>', '<']).nth(1).unwrap());
    assert_eq!(
        words.collect::<Vec<_>>(),
        [
            "Chapter 1",
            "Section 1.1",
            "section 1.1",
            "chapter 1",
            "Chapter 1",
            "Chapter 1",
            "chapter 1",
            "chapter 1",
            "Chapter 1"
        ]
    );
}

/// A chapter's page, and what is wrong with the chapter.
fn rendered(workspace: &Workspace, maths: &Maths, text: &str) -> (String, Vec<Problem>) {
    let scanned = scan::scan(text, "1");
    let renderer = Renderer {
        workspace,
        maths,
        labels: &Labels::new(),
        catalogue: &Catalogue::load(workspace).unwrap(),
        files: Files::default(),
        listed: RefCell::default(),
        used: RefCell::default(),
        problems: RefCell::default(),
    };
    let page = Page {
        file: "one.md",
        html: "one.html",
    };
    let html = renderer.chapter(page, &scanned);
    (html, renderer.problems.into_inner())
}

/// Whatever stands in a chapter, a source, a drawing or a formula while an author is
/// writing, the course that serves the book goes on.
#[test]
fn no_text_makes_the_book_panic() {
    const PIECES: [&str; 48] = [
        "{{#claim data `.n > 1`}}",
        "{{#claim data `.n",
        "{{/claim}}",
        "{{#data data.json n .70000f}}",
        "{{#data data.json rows[h=0.1].e .2e}}",
        "{{#data ",
        "{{#table data.json rows \"T\" #tab:t\nh | $h$ | .1f\n}}",
        "{{#listing code/lib.rs:double \"L\" #lst:l}}",
        "{{#output code/lib.rs}}",
        "{{#figure two.svg \"F\" #fig:f}}",
        "{{#live paths \"F\" #fig:l}}",
        "{{#exercise double}}",
        "{{#predict p}}",
        "{{reveal}}",
        "{{/predict}}",
        "{{#}}",
        "{{",
        "}}",
        "$$",
        "$$ x^{2} $$ {#eq:e}",
        "$\\text{color:#}$",
        "$\\frac{a}{b}$",
        "$",
        "\\",
        "\"",
        "#",
        "# Title {#ch:t}",
        "## Section {#sec:s}",
        "- ( ) a",
        "- (x) b",
        "> ",
        "```rust",
        "```",
        "~~~",
        "<!--",
        "-->",
        "<svg viewBox=\"0 0 1 1\">",
        "<title>",
        "</title>",
        "</svg>",
        "// ANCHOR: a",
        "// ANCHOR_END: a",
        "impl<T",
        "[](#eq:e)",
        "[a](b.md#c)",
        "| a | b |\n|---|---|",
        "\u{a0}x",
        "é\u{2003}\u{202e}\0",
    ];
    let checkout = Checkout::new();
    checkout.write(
        "data.json",
        "{\"rows\": [{\"h\": 0.1, \"e\": 1}], \"n\": 5}",
    );
    let workspace = Workspace::at(checkout.path()).unwrap();
    let maths = Maths::new(BTreeMap::new()).unwrap();
    let mut state = 1_u64;
    let mut below = |bound: usize| {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 33) as usize % bound
    };
    for _ in 0..3000 {
        let mut text = String::new();
        for _ in 0..below(9) {
            text += PIECES[below(PIECES.len())];
            text += ["\n", "\n\n", " ", "", "\r\n"][below(5)];
        }
        if let Some((at, _)) = text.char_indices().nth(below(30)) {
            text.remove(at);
        }
        let (_, problems) = rendered(&workspace, &maths, &text);
        assert!(problems.iter().all(|problem| problem.line > 0), "{text:?}");
        let _ = figure::inline(&text, "a-");
        if let Ok(pieces) = listing::pieces(&text) {
            for piece in pieces.values().chain([&listing::Piece::whole(&text)]) {
                let _ = (piece.text(), piece.place(&text));
            }
        }
    }
}

/// Directives that are not closed are told one by one, in one walk over the chapter.
#[test]
fn many_unclosed_directives_are_told() {
    let checkout = Checkout::new();
    let workspace = Workspace::at(checkout.path()).unwrap();
    let maths = Maths::new(BTreeMap::new()).unwrap();
    let many = "a {{#data ".repeat(100_000);
    let (_, problems) = rendered(&workspace, &maths, &format!("{many}\n\nb }}}}\n"));
    assert_eq!(problems.len(), 100_000);
}

/// Lines that end with two characters, as in some checkouts, are not two lines on a page.
#[test]
fn the_ends_of_lines_do_not_matter() {
    let checkout = Checkout::new();
    let built = |checkout: &Checkout| {
        let finished = checkout.run(&["book", "build"]);
        assert_eq!(finished.code(), 0, "{}", finished.err());
        checkout.read("book/build/one.html")
    };
    checkout.write("out.txt", "one\ntwo\n");
    let chapter = format!("{CHAPTER}\n{{{{#output out.txt}}}}\n");
    checkout.write("book/src/one.md", &chapter);
    let page = built(&checkout);
    for name in ["out.txt", "code/lib.rs", "book/src/one.md"] {
        checkout.write(name, &checkout.read(name).replace('\n', "\r\n"));
    }
    assert_eq!(built(&checkout), page);
}

#[test]
fn every_mistake_in_a_chapter_is_told_with_file_and_line() {
    let checkout = Checkout::new();
    checkout.write(
        "data.json",
        "{\"rows\": [{\"h\": 0.1, \"e\": 1.5e-7}], \"n\": 12345}",
    );
    checkout.write("book/results/once.json", "{\"n\": 2}");
    checkout.write(
        "code/cut.rs",
        "// ANCHOR: a\nimpl A {\n// ANCHOR_END: a\n}\n",
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
        (
            "{{#listing code/lib.rs:none}}",
            "no item and no anchor `none`",
        ),
        ("{{#listing code/cut.rs:a}}", "is cut inside of braces"),
        (
            "{{#listing code/none.rs:double}}",
            "cannot read code/none.rs",
        ),
        ("{{#exercise none}}", "no exercise is called `none`"),
        ("{{#exercise double}}", "stands in the book twice"),
        ("{{#figure none.svg}}", "cannot read book/src/none.svg"),
        ("{{#live none}}", "no live figure `none`"),
        ("{{#live ../../secret}}", "no live figure `../../secret`"),
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
        (
            "{{#claim none `.n > 1`}}many{{/claim}}",
            "no result `none`: book/results/none.json is missing",
        ),
        ("So {{#claim once `.n > 1`}}many", "is not closed"),
        ("{{#claim once ``}}many{{/claim}}", "write {{#claim"),
        ("| | a |\n|---|---|\n| 1 | 2 |", "has no heading"),
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
        "<code><span class=\"whole\">{{#data</span> data.json n <span class=\"whole\">d}}</span></code>",
        "<td>1.5\u{a0}×\u{a0}10⁻⁷</td>",
        "<td class=\"brief\">a|b</td>",
        "Table 2.1",
        "table 2.1</a>",
    ] {
        assert!(page.contains(part), "{part} is missing from\n{page}");
    }
}

/// A row from each of several files; references and code in cells; and what is no text.
#[test]
fn tables_of_several_files_refer_and_show_code() {
    let checkout = Checkout::new();
    let one = |name: &str| {
        format!("{{\"n\": \"<{name}>\", \"at\": \"sec:there\", \"k\": 1, \"in\": [{{\"k\": 2}}]}}")
    };
    for name in ["a", "b"] {
        checkout.write(&format!("{name}.json"), &one(name));
    }
    let chapter = |table: &str| format!("# Two\n\n## There {{#sec:there}}\n\n{table}\n");
    let written = |table: &str| {
        checkout.write("book/src/two.md", &chapter(table));
        checkout.run(&["book", "build"])
    };
    let finished = written("{{#table {b,a}.json . \"All\"\nn | name | code\nat | read | ref\n}}");
    assert_eq!(finished.code(), 0, "{}", finished.err());
    let page = checkout.read("book/build/two.html");
    let rows = ["b", "a"].map(|name| {
        format!("<tr><td class=\"name\"><code class=\"whole\">&lt;{name}&gt;</code></td><td><a class=\"ref\" href=\"#sec:there\">Section 2.1</a></td></tr>")
    });
    assert!(page.contains(&rows.join("\n")), "{page}");
    for (table, wrong) in [
        (
            "{{#table a.json . \"All\"\nn | name | code\n}}",
            "is not an array",
        ),
        (
            "{{#table a.json in \"All\"\nk | k | code\n}}",
            "code must be a text",
        ),
        (
            "{{#table a.json in \"All\"\nk | k | ref\n}}",
            "there is no label",
        ),
        (
            "{{#table {a.json in \"All\"\nk | k | d\n}}",
            "one pair of braces",
        ),
    ] {
        let finished = written(table);
        assert_ne!(finished.code(), 0, "{table}");
        assert!(finished.err().contains(wrong), "{}", finished.err());
    }
}

/// A claim leaves its words and nothing else, wherever it stands.
#[test]
fn the_words_of_a_claim_stand_in_the_page() {
    let checkout = Checkout::new();
    checkout.write("book/results/r.json", "{\"n\": 12345}");
    checkout.write(
        "book/src/a.svg",
        "<svg viewBox=\"0 0 300 100\"><title>A</title><path d=\"M0 0\"/></svg>",
    );
    let claim = |words: &str| format!("{{{{#claim r `.n | . > 1`}}}}{words}{{{{/claim}}}}");
    let chapter = |claim: &dyn Fn(&str) -> String| {
        format!(
            "# Two\n\nA\n{}\nb.\n\n- item, {}\n  goes on\n\n| a | b |\n|---|---|\n| {} | c |\n\n{{{{#figure a.svg \"An {} of {}\" #fig:a}}}}\n\nSee [](#fig:a).\n",
            claim("**bold** ${{#data book/results/r.json n d}}$"),
            claim("more"),
            claim("cell"),
            claim("$x$"),
            claim(&claim("two")),
        )
    };
    let mut pages = Vec::new();
    for text in [chapter(&claim), chapter(&str::to_owned)] {
        checkout.write("book/src/two.md", &text);
        let finished = checkout.run(&["book", "build"]);
        assert_eq!(finished.code(), 0, "{}", finished.err());
        pages.push(checkout.read("book/build/two.html"));
    }
    assert!(
        pages[0] == pages[1] && !pages[0].contains("claim"),
        "{}",
        pages[0]
    );
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
fn a_figure_has_its_form_for_phones_beside_it() {
    let checkout = Checkout::new();
    let svg = |width: u32| {
        format!("<svg viewBox=\"0 0 {width} 100\"><title>A</title><g id=\"g\"/></svg>")
    };
    checkout.write("book/src/a.svg", &svg(680));
    checkout.write("book/src/a-narrow.svg", &svg(340));
    checkout.write("book/src/b.svg", &svg(500));
    checkout.write(
        "book/src/two.md",
        "# Two\n\n{{#figure a.svg \"A\"}}\n\n{{#figure b.svg \"B\"}}\n",
    );
    let finished = checkout.run(&["book", "build"]);
    assert_eq!(finished.code(), 0, "{}", finished.err());
    let page = checkout.read("book/build/two.html");
    for (form, width) in [("wide", 680), ("narrow", 340)] {
        let start = format!(
            "<div class=\"{form}\"><svg xmlns=\"http://www.w3.org/2000/svg\" viewbox=\"0 0 {width} "
        );
        assert!(page.contains(&start), "{start} is missing from\n{page}");
    }
    assert_eq!(page.matches("class=\"narrow\"").count(), 1, "{page}");
    // Ids differ in all three.
    for id in ["l3-g", "l3n-g", "l5-g"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}: {page}");
    }
}

#[test]
fn anchors_that_no_listing_uses_are_named() {
    let checkout = Checkout::new();
    assert_eq!(checkout.run(&["book", "anchors"]).code(), 0);
    // In a file that a listing shows, and in one that none does.
    for file in ["code/lib.rs", "crates/tape/src/tape.rs"] {
        let checkout = Checkout::new();
        let code = fs::read_to_string(checkout.file(file)).unwrap_or_default();
        let idle = "// ANCHOR: idle\nfn idle() {}\n// ANCHOR_END: idle\n";
        checkout.write(file, &format!("{code}{idle}"));
        let finished = checkout.run(&["book", "build"]);
        assert_eq!(finished.code(), 2);
        let told = format!(
            "{file}:{}: no listing uses the anchor `idle`",
            code.lines().count() + 1
        );
        assert!(finished.err().contains(&told), "{}", finished.err());
        // Its chapter may still come: then it is named when asked for.
        checkout.write("book/presented.toml", &format!("not-yet = [\"{file}\"]\n"));
        assert_eq!(checkout.run(&["book", "build"]).code(), 0);
        let finished = checkout.run(&["book", "anchors"]);
        assert_eq!(finished.code(), 1);
        let told = format!("{file}: no listing uses the anchor `idle`");
        assert!(finished.out().contains(&told), "{}", finished.out());
    }
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
    for label in exercises::known::labels() {
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
    types_stand_in_the_boxes(&workspace, &built, target.path());
    formulas_are_in_their_font(&workspace, &built, target.path());
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

/// The font of mathematics holds what formulas are made of, and not much else: `make_fonts.py` says
/// what it is cut down to.
fn formulas_are_in_their_font(workspace: &Workspace, built: &book::Built, pages: &Path) {
    let script = fs::read_to_string(workspace.book().join("theme/make_fonts.py")).unwrap();
    let (_, list) = script.split_once("MATH = [").unwrap();
    let list = list
        .split(']')
        .next()
        .unwrap()
        .split('"')
        .skip(1)
        .step_by(2);
    let code = |text: &str| u32::from_str_radix(text, 16).unwrap();
    let ranges = list.map(|range| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        code(low)..=code(high)
    });
    let ranges: Vec<_> = ranges.collect();
    assert!(ranges.len() > 9, "{ranges:?}");
    let mut missing = BTreeSet::new();
    for page in &built.pages {
        let text = fs::read_to_string(pages.join(page)).unwrap();
        for formula in text.split("<math").skip(1) {
            let (formula, _) = formula.split_once("</math>").unwrap();
            let texts = formula.split('>').skip(1);
            let texts = texts.map(|rest| rest.split('<').next().unwrap());
            missing.extend(texts.flat_map(str::chars).filter(|c| {
                // Which form of a sign is meant, whatever the font has.
                *c != '\u{fe00}'
                    && !c.is_whitespace()
                    && !ranges.iter().any(|range| range.contains(&u32::from(*c)))
            }));
        }
    }
    assert!(missing.is_empty(), "not in the font: {missing:?}");
}

/// A drawing asks the page for its colours, and says what serves where there is no page: the colours
/// of the light palette, the pale ones as they are on its paper.
#[test]
fn a_drawing_opened_by_itself_has_the_colours_of_the_page() {
    let root = own().root().to_owned();
    let css = fs::read_to_string(root.join("book/theme/css/variables.css")).unwrap();
    let (_, light) = css.split_once(".light {").unwrap();
    let light: BTreeMap<&str, &str> = light[..light.find('}').unwrap()]
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';')?.split_once(": "))
        .collect();
    let colour = |name: &str| {
        let value = light[name];
        let other = value.strip_prefix("var(").and_then(|v| v.strip_suffix(')'));
        let hex = other.map_or(value, |other| light[other]);
        u32::from_str_radix(&hex[1..], 16).unwrap()
    };
    let parts = |colour: u32| [colour >> 16, colour >> 8 & 255, colour & 255];
    let wanted = |name: &str| match name.strip_suffix("-soft") {
        None => parts(colour(name)),
        Some(full) => {
            let (full, paper) = (parts(colour(full)), parts(colour("--fig-paper")));
            std::array::from_fn(|at| (14 * full[at] + 86 * paper[at] + 50) / 100)
        }
    };
    let mut seen = 0;
    for folder in ["book/src/figures", "book/results", "benches/results"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|end| end != "svg") {
                continue;
            }
            let svg = fs::read_to_string(&path).unwrap();
            for (at, _) in svg.match_indices("var(--fig-") {
                let inside = &svg[at + 4..at + svg[at..].find(')').unwrap()];
                let Some((name, alone)) = inside.split_once(", #") else {
                    continue;
                };
                let [r, g, b] = wanted(name);
                let told = format!("{r:02x}{g:02x}{b:02x}");
                assert_eq!(alone, told, "{}: {name} is #{told}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}

/// Every sentence of the book that has a condition holds.
#[test]
fn every_claim_of_the_book_holds() {
    let (broken, _) = claims::broken(&own());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Where the grid of learning rates ends beside the one that was picked, the text says so, or the
/// grid has to be widened.
#[test]
fn rates_at_an_end_of_their_grid_are_told() {
    let untold = claims::untold_edges(&own());
    assert!(untold.is_empty(), "{}", untold.join("\n"));
}

/// What an exercise file takes from its checker, and does not write out itself, is defined
/// in its box.
fn types_stand_in_the_boxes(workspace: &Workspace, built: &book::Built, pages: &Path) {
    let mut shown = 0;
    for (name, place) in &built.exercises {
        let (page, _) = place.split_once('#').unwrap();
        let page = fs::read_to_string(pages.join(page)).unwrap();
        let (_, section) = page.split_once(&format!("id=\"exercise:{name}\"")).unwrap();
        let (section, _) = section.split_once("</section>").unwrap();
        let solution = fs::read_to_string(workspace.solution(name)).unwrap();
        let stub = course::stub::from_solution(&solution).unwrap();
        let imports = stub
            .lines()
            .filter(|line| line.starts_with("use exercises::"));
        let words = imports.flat_map(|line| line.split(|c: char| !c.is_alphanumeric()));
        for word in words.filter(|word| word.starts_with(char::is_uppercase)) {
            let written = format!("{word} {{");
            if stub.lines().any(|line| line.trim() == written) || stub.contains("Predictions {") {
                continue;
            }
            let defined = ["struct", "enum", "type"]
                .iter()
                .any(|keyword| section.contains(&format!("pub {keyword} {word}")));
            assert!(defined, "{name} does not show {word}");
            shown += 1;
        }
    }
    assert!(shown > 20, "{shown}");
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
        // What trains a network is made of several functions.
        let most = if exercise.run.is_some() { 45 } else { 30 };
        assert!(
            stub.lines().count() <= most,
            "{name} is too long to be read at a glance"
        );
    }
}

/// Every line of the teaching core stands in a listing, except in files that
/// `book/presented.toml` names; and that file names none without need.
#[test]
fn every_line_of_the_core_is_presented() {
    let workspace = own();
    let presented = Presented::load(&workspace).unwrap();
    let target = tempfile::tempdir().unwrap();
    let built = book::build(&workspace, target.path()).unwrap_or_else(|error| panic!("{error:#}"));
    let mut problems = Vec::new();
    let mut files = BTreeSet::new();
    for path in presented::sources(&workspace, &presented::CRATES).unwrap() {
        let file = workspace.relative(&path);
        files.insert(file.clone());
        let text = fs::read_to_string(&path).unwrap();
        // In a wide window there is room for so many, and rustfmt breaks neither comments nor strings.
        for (at, line) in text.lines().enumerate() {
            if line.chars().count() > 100 {
                problems.push(format!("{file}:{} is over 100 columns wide", at + 1));
            }
        }
        let shown = built.listed.get(&path).cloned().unwrap_or_default();
        let essential = presented::essential(&text);
        let missing: Vec<_> = essential.iter().filter(|n| !shown.contains(n)).collect();
        let outside = presented.outside.contains_key(&file);
        if outside && presented.not_yet.contains(&file) {
            problems.push(format!("{file} is in both lists"));
        }
        if presented.not_yet.contains(&file) {
            if missing.is_empty() {
                problems.push(format!("{file} is presented in full: take it off not-yet"));
            }
        } else if !outside {
            problems.extend(missing.iter().map(|&&number| {
                let line = text.lines().nth(number - 1).unwrap();
                format!("{file}:{number}: no listing shows `{}`", line.trim())
            }));
        }
    }
    for file in presented.not_yet.iter().chain(presented.outside.keys()) {
        if !files.contains(file) {
            problems.push(format!(
                "book/presented.toml names {file}, which is no such file"
            ));
        }
    }
    assert!(files.len() > 50, "only {} files were found", files.len());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Each `rust` block of the text is run by the tests of the package `tests`, unless the
/// page marks it as a sketch; other words after `rust` would keep it from running unseen.
#[test]
fn a_block_of_code_says_what_it_is() {
    let checkout = Checkout::new();
    for (block, told) in [
        ("```\nlet a = 1;\n```", Some("needs a language")),
        ("Text:\n\n    let a = 1;\n", Some("between fences")),
        (
            "```rust,no_run\nlet a = 1;\n```",
            Some("`rust`, or `rust,ignore` for a sketch"),
        ),
        ("```rust\nlet a = 1;\n```", None),
        ("```rust,ignore\nlet a = …;\n```", None),
        ("```console\n$ ls\n```", None),
    ] {
        checkout.write("book/src/two.md", &format!("# Two\n\n{block}\n"));
        let finished = checkout.run(&["book", "build"]);
        match told {
            None => assert_eq!(finished.code(), 0, "{block}: {}", finished.err()),
            Some(told) => {
                let error = finished.err();
                assert!(
                    error.contains(told) && error.contains("book/src/two.md:"),
                    "{block}: {error}"
                );
            }
        }
    }
}

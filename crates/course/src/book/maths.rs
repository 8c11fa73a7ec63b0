//! LaTeX made into MathML when the book is built: nothing is fetched or run in the page.

use super::breaks;
use anyhow::{Context, Result, anyhow, bail};
use math_core::{LatexToMathML, MathCoreConfig, MathDisplay};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::path::Path;
use std::thread;

/// The longest formula that is rendered, in bytes. The book's longest has a quarter of it.
const LONGEST: usize = 4000;
/// A formula up to this length is rendered where it is asked for.
const SHORT: usize = 64;
/// The stack of the thread that renders a longer one: reading a formula is recursive, and a
/// brace takes up to 16 KiB of it. What is not touched costs nothing.
const STACK: usize = 256 << 20;
/// How deeply the elements of a formula may lie in each other, for what reads them next.
const DEEPEST: usize = 100;

/// The colours a formula may use, and the meaning each has in all the book. A formula
/// names the LaTeX colour; the page gets the theme's shade of it.
const COLOURS: [(&str, &str); 5] = [
    ("#0000FF", "var(--fig-direct)"), // \color{blue}: the direct path
    ("#FF8001", "var(--fig-mean)"),   // \color{orange}: the path through the mean
    ("#008080", "var(--fig-var)"),    // \color{teal}: the path through the variance
    ("#FF0000", "var(--fig-wrong)"),  // \color{red}: a mistake
    ("#800080", "var(--fig-accent)"), // \color{violet}: what the text speaks of
];

/// Where a formula stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// On lines of its own.
    Display,
    /// In the text.
    Inline,
    /// In the heading of a table, which needs a name: a reader who hears the table is told
    /// it with every cell.
    Heading,
}

/// A formula that cannot be rendered.
#[derive(Debug)]
pub struct BadFormula {
    /// Byte offset into the formula.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

/// Renders formulas, with the book's macros.
pub struct Maths {
    converter: LatexToMathML,
}

impl Maths {
    /// Reads the macros: a TOML file with one `name = 'definition'` a line.
    ///
    /// # Errors
    /// When the file cannot be read, or a definition is not valid LaTeX.
    pub fn load(macros: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(macros).context("cannot read the macros")?;
        let macros: BTreeMap<String, String> =
            toml::from_str(&text).context("the macros are not a table of strings")?;
        Self::new(macros)
    }

    /// A renderer with these macros.
    ///
    /// # Errors
    /// When a definition is not valid LaTeX.
    pub fn new(macros: BTreeMap<String, String>) -> Result<Self> {
        for (name, definition) in &macros {
            if name.contains(|c: char| !c.is_ascii_alphabetic()) {
                bail!("the macro `{name} = {definition}` needs a name of letters only");
            }
        }
        let config = MathCoreConfig {
            macros: macros.into_iter().collect(),
            ..MathCoreConfig::default()
        };
        let converter = LatexToMathML::new(config).map_err(|(error, _, definition)| {
            anyhow!(
                "the macro `{definition}` is wrong: {}",
                error.error_message()
            )
        })?;
        Ok(Self { converter })
    }

    /// The formula `latex` as one line of HTML that Markdown leaves alone.
    ///
    /// # Errors
    /// Says what is wrong and where in the formula.
    pub fn render(&self, latex: &str, place: Place) -> Result<String, BadFormula> {
        let style = match place {
            Place::Display => MathDisplay::Block,
            Place::Inline | Place::Heading => MathDisplay::Inline,
        };
        if latex.trim().is_empty() {
            return Err(BadFormula {
                offset: 0,
                message: "the formula is empty".to_owned(),
            });
        }
        let whole = |message| BadFormula { offset: 0, message };
        if latex.len() > LONGEST {
            return Err(whole(format!(
                "the formula is too long: {} bytes, of at most {LONGEST}",
                latex.len()
            )));
        }
        let mathml = if latex.len() <= SHORT {
            self.convert(latex, style)?
        } else {
            let long = thread::Builder::new().stack_size(STACK);
            thread::scope(|scope| {
                let work = long.spawn_scoped(scope, || self.convert(latex, style));
                let work = work.map_err(|error| whole(format!("no thread for it: {error}")))?;
                work.join()
                    .map_err(|_| whole("it cannot be rendered".to_owned()))?
            })?
        };
        if depth(&mathml) > DEEPEST {
            return Err(whole(
                "the parts of the formula lie too deep in each other".to_owned(),
            ));
        }
        let mut html = theme_colours(&mathml).map_err(whole)?;
        if place == Place::Heading {
            let name = spoken(&html);
            html = html.replacen("<math", &format!("<math aria-label=\"{name}\""), 1);
        }
        Ok(shield(&html))
    }

    /// The displayed formula `latex` in pieces between which it may be broken, in the rows and
    /// columns of its `aligned`, as one line of HTML.
    ///
    /// # Errors
    /// Says what is wrong and where in the formula.
    pub fn display(&self, latex: &str) -> Result<String, BadFormula> {
        let rows = breaks::rows(latex);
        let pieces =
            |row: &Vec<Vec<breaks::Part>>| row.iter().flatten().map(Vec::len).sum::<usize>();
        if rows.iter().map(pieces).sum::<usize>() <= 1 {
            return self.render(latex, Place::Display);
        }
        let columns = rows.iter().map(Vec::len).max().unwrap_or(1);
        let aligned = if rows.len() * columns > 1 {
            " aligned"
        } else {
            ""
        };
        let mut html = format!("<div class=\"pieces{aligned}\" style=\"--columns: {columns}\">");
        for row in rows {
            html.push_str("<div class=\"row\">");
            let empty = columns - row.len();
            for (at, cell) in row.into_iter().enumerate() {
                // The two sides of an equation are broken apart last.
                html.push_str(match at {
                    0 => "<div class=\"pair\">",
                    at if at % 2 == 0 => "</div><div class=\"pair\">",
                    _ => "",
                });
                html.push_str("<div class=\"cell\">");
                let several = cell.len() > 1;
                for part in cell {
                    html.push_str(if several { "<div class=\"part\">" } else { "" });
                    for (at, range) in part.into_iter().enumerate() {
                        html.push_str(&self.piece(latex, range, at > 0)?);
                    }
                    html.push_str(if several { "</div>" } else { "" });
                }
                html.push_str("</div>");
            }
            html.push_str(&"<div class=\"cell\"></div>".repeat(empty));
            html.push_str("</div></div>");
        }
        Ok(html + "</div>")
    }

    /// A piece of a formula; one that continues another may begin with a sign.
    fn piece(
        &self,
        latex: &str,
        range: Range<usize>,
        continues: bool,
    ) -> Result<String, BadFormula> {
        let piece = &latex[range.clone()];
        // Behind nothing at all, an operator keeps the room on its left.
        let nothing = if breaks::infix(piece, continues) {
            "{}"
        } else {
            ""
        };
        let rendered = self.render(&format!("{nothing}{piece}"), Place::Display);
        rendered.map_err(|bad| BadFormula {
            offset: range.start + bad.offset.saturating_sub(nothing.len()),
            ..bad
        })
    }

    fn convert(&self, latex: &str, style: MathDisplay) -> Result<String, BadFormula> {
        let result = self.converter.convert_with_local_state(latex, style);
        let result = result.map_err(|error| BadFormula {
            offset: error.0.start.min(latex.len()),
            message: error.error_message(),
        })?;
        Ok(result.mathml)
    }
}

/// How many elements are open at once, at most.
fn depth(mathml: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for (at, _) in mathml.match_indices('<') {
        let tag = &mathml[at + 1..];
        let tag = &tag[..tag.find('>').unwrap_or(tag.len())];
        if tag.starts_with('/') {
            open = open.saturating_sub(1);
        } else if !tag.ends_with('/') {
            open += 1;
            most = most.max(open);
        }
    }
    most
}

/// Replaces the fixed colours by the theme's.
fn theme_colours(mathml: &str) -> Result<String, String> {
    let mut out = String::with_capacity(mathml.len());
    let mut rest = mathml;
    while let Some(at) = rest.find("color:#") {
        let shade = rest.get(at + 6..at + 13).and_then(|value| {
            let mut known = COLOURS.iter();
            known.find(|(c, _)| c.eq_ignore_ascii_case(value))
        });
        let Some((_, shade)) = shade else {
            return Err(
                "the colours of a formula are blue, orange, teal, red and violet".to_owned(),
            );
        };
        let _ = write!(out, "{}color:{shade}", &rest[..at]);
        rest = &rest[at + 13..];
    }
    out.push_str(rest);
    Ok(out)
}

/// A formula in words: `σ²` is "sigma squared".
fn spoken(mathml: &str) -> String {
    let mut rest = mathml;
    let words = children(&mut rest).join(" ");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What each element up to the next closing tag says; `rest` is left behind that tag.
fn children(rest: &mut &str) -> Vec<String> {
    let mut said = Vec::new();
    while let Some((text, after)) = rest.split_once('<') {
        if !text.trim().is_empty() {
            said.push(said_of(text.trim()));
        }
        let Some((tag, after)) = after.split_once('>') else {
            break;
        };
        *rest = after;
        if tag.starts_with('/') {
            break;
        }
        if tag.ends_with('/') {
            continue;
        }
        let name = tag.split(' ').next().unwrap_or_default();
        let inner = children(rest);
        said.push(match (name, inner.as_slice()) {
            ("msub", [base, low]) => format!("{base} {low}"),
            ("msup", [base, high]) if high == "2" => format!("{base} squared"),
            ("msup", [base, high]) if high == "⊤" => format!("{base} transposed"),
            ("msup", [base, high]) => format!("{base} to the {high}"),
            ("mfrac", [over, under]) => format!("{over} over {under}"),
            ("msqrt", inner) => format!("the root of {}", inner.join(" ")),
            (_, inner) => inner.join(" "),
        });
    }
    said
}

/// The word for a sign; a letter of any style as itself.
fn said_of(text: &str) -> String {
    let word = match text {
        "ˆ" | "^" => "hat",
        "¯" | "‾" => "bar",
        "∑" => "the sum of",
        "−" | "-" => "minus",
        "+" => "plus",
        "±" => "plus or minus",
        "=" => "equals",
        "/" => "over",
        "|" | "⟨" | "⟩" => "",
        "α" => "alpha",
        "β" => "beta",
        "γ" => "gamma",
        "ε" => "epsilon",
        "μ" => "mu",
        "σ" => "sigma",
        _ => {
            let plain = |c: char| match u32::from(c) {
                // The italic letters of mathematics, A to Z and a to z in one row.
                at @ 0x1d434..=0x1d44d => char::from_u32(at - 0x1d434 + 0x41).unwrap_or(c),
                at @ 0x1d44e..=0x1d467 => char::from_u32(at - 0x1d44e + 0x61).unwrap_or(c),
                _ => c,
            };
            return text.chars().map(plain).collect();
        }
    };
    word.to_owned()
}

/// Writes every punctuation mark outside tags as a character reference, so that
/// Markdown takes none of them for markup and does not curl quotation marks, and puts
/// all on one line.
pub fn shield(html: &str) -> String {
    let mut out = String::with_capacity(html.len() * 2);
    let mut in_tag = false;
    let mut characters = html.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                out.push(c);
                continue;
            }
            _ => {}
        }
        match c {
            '\n' if in_tag => out.push(' '),
            '\n' => out.push_str("&#10;"),
            _ if in_tag => out.push(c),
            '&' => {
                out.push('&');
                while let Some(c) = characters.next_if(|c| c.is_ascii_alphanumeric() || *c == '#') {
                    out.push(c);
                }
            }
            ';' => out.push(';'),
            c if c.is_ascii_punctuation() => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maths() -> Maths {
        let macros = [
            ("xhat", r"\hat{x}"),
            ("pd", r"\frac{\partial #1}{\partial #2}"),
        ];
        let macros = macros.map(|(k, v)| (k.to_owned(), v.to_owned()));
        Maths::new(BTreeMap::from(macros)).unwrap()
    }

    #[test]
    fn the_formulas_of_the_book_render() {
        let formulas = [
            r"\begin{aligned} \pd{L}{x_{nc}} &= \frac{1}{N}\sum_{n=1}^{N} dy_{nc}\,\xhat_{nc} \\ &= 0 \end{aligned}",
            r"\underbrace{\gamma\,\mathrm{rstd}\;dy}_{\text{direct}} - \overline{dy\,\hat{x}}",
            r"f(x)=\begin{cases} x & \text{if } x > 0 \\ 0 & \text{otherwise}\end{cases}",
            r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}, \operatorname{rank} J = N-2",
            r"f'(x) + \frac{h^2}{6} f'''(\xi) + O(h^4), \lVert x \rVert_2, \mathbb{R}^{N\times C}",
        ];
        for formula in formulas {
            let html = maths().render(formula, Place::Display).unwrap();
            assert!(html.starts_with("<math display=\"block\">"), "{html}");
            assert!(html.ends_with("</math>") && !html.contains('\n'), "{html}");
        }
    }

    #[test]
    fn a_long_formula_is_made_of_pieces() {
        let html = maths().display(r"a = b + c, \qquad d = e").unwrap();
        assert_eq!(
            html.matches("<math display=\"block\">").count(),
            5,
            "{html}"
        );
        assert_eq!(html.matches("<div class=\"part\">").count(), 2, "{html}");
        let html = maths().display(r"\begin{aligned} a &= b && \text{so} \\ &= c \end{aligned}");
        let html = html.unwrap();
        assert!(
            html.contains("class=\"pieces aligned\" style=\"--columns: 4\""),
            "{html}"
        );
        assert_eq!(html.matches("<div class=\"cell\">").count(), 8, "{html}");
        // The second row has no second pair, and its cells are in the first.
        assert_eq!(html.matches("<div class=\"pair\">").count(), 3, "{html}");
        assert_eq!(html.matches("<div").count(), html.matches("</div>").count());
        assert!(maths().display("a").unwrap().starts_with("<math"));
        // A mistake is told where it stands in the whole.
        let error = maths().display(r"a = b + \badcommand").unwrap_err();
        assert_eq!(error.offset, 8);
    }

    #[test]
    fn a_wrong_formula_says_where() {
        let error = maths()
            .render(r"a + \badcommand", Place::Inline)
            .unwrap_err();
        assert_eq!(error.offset, 4);
        assert!(error.message.contains("badcommand"), "{}", error.message);
        for formula in [r"\frac{a}", r"\left( a", "a_b_c", " "] {
            assert!(maths().render(formula, Place::Inline).is_err(), "{formula}");
        }
    }

    #[test]
    fn markdown_finds_no_markup_in_a_formula() {
        let html = maths()
            .render(r"a * b_c * [d](e) ' \text{it's -- so...}", Place::Inline)
            .unwrap();
        let text: String = html
            .split('<')
            .filter_map(|piece| piece.split_once('>').map(|(_, text)| text))
            .collect();
        let stray = |c: char| c.is_ascii_punctuation() && !"&#;".contains(c);
        assert!(!text.contains(stray), "{html}");
        assert!(html.contains("&#42;") || html.contains('∗'), "{html}");
    }

    /// Reading and writing a formula are recursive; a page with a bad one must not end the
    /// course.
    #[test]
    fn what_is_nested_too_deeply_is_told() {
        let nested = |open: &str, close: &str, count: usize| {
            maths()
                .render(
                    &format!("{}x{}", open.repeat(count), close.repeat(count)),
                    Place::Display,
                )
                .map_err(|bad| bad.message)
        };
        assert!(nested("{", "}", 20).is_ok());
        for (open, close, count) in [
            (r"\sqrt{", "}", 500),
            (r"\sqrt ", "", 600),
            (r"\left( ", r"\right) ", 200),
            ("x^{", "}", 900),
        ] {
            let message = nested(open, close, count).unwrap_err();
            assert!(message.contains("too deep"), "{open}: {message}");
        }
        // Braces alone make no elements.
        let _ = nested("{", "}", 1900);
        let message = nested("{", "}", 50_000).unwrap_err();
        assert!(message.contains("too long"), "{message}");
    }

    #[test]
    fn a_text_that_looks_like_a_colour_is_no_panic() {
        for formula in [r"\text{color:\#}", r"\text{color:\#ééééé}"] {
            let message = maths().render(formula, Place::Inline).unwrap_err().message;
            assert!(message.contains("colours"), "{message}");
        }
    }

    #[test]
    fn a_formula_in_a_heading_has_a_name() {
        for (formula, name) in [
            ("x", "x"),
            (r"\xhat", "x hat"),
            (r"\sigma^2", "sigma squared"),
            (r"\mathit{dy}", "dy"),
            (r"d\gamma", "d gamma"),
            (r"\sum \mathit{dy}\,\xhat", "the sum of dy x hat"),
            (r"e^{x_j}", "e to the x j"),
            (r"(N-2)/N", "( N minus 2 ) over N"),
            (
                r"|a|/\sqrt{a^2+\varepsilon}",
                "a over the root of a squared plus epsilon",
            ),
            (r"\langle B^\top x, y\rangle", "B transposed x , y"),
        ] {
            let html = maths().render(formula, Place::Heading).unwrap();
            let start = format!("<math aria-label=\"{name}\">");
            assert!(html.starts_with(&start), "{formula}: {html}");
            let plain = maths().render(formula, Place::Inline).unwrap();
            assert_eq!(html.replacen(&start, "<math>", 1), plain);
        }
    }

    #[test]
    fn colours_follow_the_theme() {
        let html = maths()
            .render(r"{\color{blue} dy} - {\color{orange} m}", Place::Inline)
            .unwrap();
        assert!(html.contains("color:var(--fig-direct)"), "{html}");
        assert!(html.contains("color:var(--fig-mean)"), "{html}");
        assert!(maths().render(r"{\color{pink} dy}", Place::Inline).is_err());
    }
}

//! The book in a real browser: what a reader sees, and what the page does by itself.
//!
//! These tests need Chromium, on the `PATH` or named in `CHROMIUM`; where there is none
//! they say so and pass. With `COURSE_NEEDS_BROWSER=1` they fail instead.

#[path = "common/browser.rs"]
mod browser;
mod common;

use browser::{Browser, COLLISIONS, Tab};
use common::{Checkout, Course, SOLUTION, slow};
use course::book;
use course::cargo::Work;
use course::check::{Step, Verdict};
use course::serve::{self, Hub};
use course::site::Site;
use course::workspace::Workspace;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use verdict::{Heatmap, Line, Outcome, Report, Weight};

/// Nothing went wrong in the pages since the last call, and no request left the machine.
#[track_caller]
fn assert_quiet(browser: &mut Browser, address: &str) {
    let ours = format!("http://{address}/");
    let mut requests = 0;
    for event in browser.take_events() {
        let what = &event["params"];
        match event["method"].as_str().unwrap() {
            "Runtime.exceptionThrown" => panic!("an exception in the page: {what}"),
            "Runtime.consoleAPICalled" if what["type"] != "log" => {
                panic!("the page says on its console: {what}")
            }
            "Log.entryAdded" => panic!("the browser complains of the page: {what}"),
            "Network.requestWillBeSent" => {
                let url = what["request"]["url"].as_str().unwrap();
                assert!(
                    url.starts_with(&ours) || url.starts_with("data:"),
                    "the page asks for {url}"
                );
                requests += 1;
            }
            "Network.webSocketCreated" | "Network.webTransportCreated" => {
                panic!("the page opens {what}")
            }
            _ => {}
        }
    }
    assert!(requests > 0, "no request was seen, so none was checked");
}

fn size(browser: &mut Browser, tab: &Tab, width: u32, height: u32) {
    let mobile = width < 600;
    browser.call(
        tab,
        "Emulation.setDeviceMetricsOverride",
        json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}),
    );
}

fn scheme(browser: &mut Browser, tab: &Tab, scheme: &str) {
    let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
    let media = json!({"features": features});
    browser.call(tab, "Emulation.setEmulatedMedia", media);
}

/// Presses and lets go a key.
fn press(browser: &mut Browser, tab: &Tab, key: &str, code: u32) {
    let text = if key == "Enter" { "\r" } else { "" };
    for kind in ["keyDown", "keyUp"] {
        let what = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
        browser.call(tab, "Input.dispatchKeyEvent", what);
    }
}

/// The list that a script of the page returns.
#[track_caller]
fn list(browser: &mut Browser, tab: &Tab, expression: &str) -> Vec<String> {
    let found = browser.value(tab, expression);
    let found = found.as_array().expect("a list");
    found
        .iter()
        .map(|v| v.as_str().unwrap().to_owned())
        .collect()
}

/// What every script below uses: all elements that are seen, and a name for each.
const TOOLS: &str = r#"
    const main = document.querySelector("main");
    for (const box of main.querySelectorAll("details")) box.open = true;
    const seen = (root) => [...root.querySelectorAll("*")].filter((e) => e.checkVisibility());
    const name = (e) => {
        const at = e.closest("[id]");
        return `${e.tagName} in ${at ? '#' + at.id : 'the page'}: ${e.textContent.trim().slice(0, 60)}`;
    };
"#;

/// Formulas that have no size, or whose parts are not laid out as mathematics.
fn bad_formulas(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    let script = r#"
        const bad = [];
        const visible = [...main.querySelectorAll("math")].filter((e) => e.checkVisibility());
        for (const formula of visible) {
            const box = formula.getBoundingClientRect();
            if (box.width < 2 || box.height < 5) bad.push("no size: " + name(formula));
        }
        for (const fraction of main.querySelectorAll("mfrac")) {
            if (!fraction.checkVisibility()) continue;
            const [over, under] = [...fraction.children].map((e) => e.getBoundingClientRect());
            if (over.bottom > under.top + 1) bad.push("not stacked: " + name(fraction));
        }
        for (const power of main.querySelectorAll("msup")) {
            if (!power.checkVisibility()) continue;
            const [base, high] = [...power.children].map((e) => e.getBoundingClientRect());
            if (high.bottom >= base.bottom) bad.push("not raised: " + name(power));
        }
        for (const font of document.fonts) {
            if (font.status === "error") bad.push("a font is missing: " + font.family);
        }
        return bad;
    "#;
    list(
        browser,
        tab,
        &format!("document.fonts.ready.then(() => {{ {TOOLS} {script} }})"),
    )
}

/// What sticks out of a page this wide without a box of its own to scroll in.
fn overflow(browser: &mut Browser, tab: &Tab, width: u32) -> Vec<String> {
    let script = format!(
        r#"
        const bad = [];
        const wide = document.documentElement;
        if (innerWidth !== {width}) bad.push(`the page is ${{innerWidth}} wide`);
        if (wide.scrollWidth > {width}) bad.push(`the page scrolls sideways: ${{wide.scrollWidth}}`);
        // The column of text is a box with a scroll bar of its own.
        const column = main.parentElement;
        if (column.scrollWidth > column.clientWidth) bad.push("the text scrolls sideways");
        const scrolls = (e) => {{
            for (let up = e.parentElement; up !== main; up = up.parentElement) {{
                if (["auto", "scroll", "hidden"].includes(getComputedStyle(up).overflowX)) return up;
            }}
        }};
        for (const e of seen(main)) {{
            const box = e.getBoundingClientRect();
            if (box.width === 0 || (box.right <= {width} + 0.5 && box.left >= -0.5)) continue;
            if (e.parentElement.closest("svg")) continue;
            const around = scrolls(e);
            const inside = around?.getBoundingClientRect();
            if (!around || inside.right > {width} + 0.5) bad.push("sticks out: " + name(e));
            else if (getComputedStyle(around).overflowX === "hidden") bad.push("is cut off: " + name(e));
        }}
        for (const text of main.querySelectorAll("svg text")) {{
            const outer = text.closest("svg").getBoundingClientRect();
            const box = text.getBoundingClientRect();
            const out = Math.max(outer.left - box.left, box.right - outer.right, outer.top - box.top, box.bottom - outer.bottom);
            if (box.width > 0 && out > 1.5) bad.push(`is cut off by ${{out.toFixed(1)}} px: ${{name(text)}}`);
        }}
        return bad;
    "#
    );
    list(browser, tab, &format!("(() => {{ {TOOLS} {script} }})()"))
}

/// Text that cannot be read against its ground: a ratio of contrast under 4.5, or under 3
/// for large letters.
fn faint(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    let script = r#"
        const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        const known = new Map();
        const rgba = (colour) => {
            if (!known.has(colour)) {
                canvas.clearRect(0, 0, 1, 1);
                canvas.fillStyle = colour;
                canvas.fillRect(0, 0, 1, 1);
                known.set(colour, [...canvas.getImageData(0, 0, 1, 1).data].map((v) => v / 255));
            }
            return known.get(colour);
        };
        const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3]));
        const grounds = new Map([[null, [1, 1, 1]]]);
        const ground = (e) => {
            if (!grounds.has(e)) grounds.set(e, over(rgba(getComputedStyle(e).backgroundColor), ground(e.parentElement)));
            return grounds.get(e);
        };
        const light = (colour) => {
            const [r, g, b] = colour.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const bad = [];
        for (const e of seen(document.body)) {
            if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
            if (["SCRIPT", "STYLE", "TITLE", "DESC"].includes(e.tagName.toUpperCase())) continue;
            const style = getComputedStyle(e);
            const drawn = e instanceof SVGElement && style.fill !== "none" ? style.fill : style.color;
            const under = ground(e);
            const [a, b] = [light(over(rgba(drawn), under)), light(under)].sort((x, y) => y - x);
            const contrast = (a + 0.05) / (b + 0.05);
            const size = parseFloat(style.fontSize);
            const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
            if (contrast < (large ? 3 : 4.5)) bad.push(`${contrast.toFixed(2)}: ${name(e)}`);
        }
        return bad;
    "#;
    list(browser, tab, &format!("(() => {{ {TOOLS} {script} }})()"))
}

/// The book as it is, served, each exercise with a verdict; built once for all tests.
struct Served {
    address: String,
    pages: Vec<String>,
    /// The pages with exercises.
    marked: BTreeSet<String>,
}

static BOOK: LazyLock<Served> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let workspace = Workspace::at(&root).unwrap();
    let target = tempfile::tempdir().unwrap();
    let built = book::build(&workspace, target.path()).unwrap_or_else(|error| panic!("{error:#}"));
    let hub = Arc::new(Hub::default());
    hub.show(Site::load(target.path()).unwrap());
    hub.greet_with(json!({"event": "state", "build": "1", "exercises": judged(&built)}));
    let address = serve::start(&hub, serve::listen(Some(0)).unwrap())
        .unwrap()
        .to_string();
    let names = fs::read_dir(target.path()).unwrap();
    let mut pages: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".html"))
        .filter(|name| !["index.html", "toc.html", "print.html"].contains(&name.as_str()))
        .collect();
    pages.sort();
    let place = |place: &String| place.split('#').next().unwrap().to_owned();
    Served {
        address,
        pages,
        marked: built.exercises.values().map(place).collect(),
    }
});

/// Every exercise of the book with a verdict, the kinds in turn.
fn judged(built: &book::Built) -> Vec<Value> {
    let mut wrong = wrong("bn", "the path x -> sigma² -> x_hat is missing");
    wrong.lines.push(Line {
        name: "dgamma".to_owned(),
        right: true,
        detail: "equal to rounding".to_owned(),
    });
    let report =
        |outcome, headline| Verdict::Report(Box::new(Report::new("bn", outcome, headline)));
    let kinds = [
        Verdict::Report(Box::new(wrong)),
        report(Outcome::Passed, "right for every probe"),
        report(Outcome::Unwritten, "not written yet: bn.rs, line 7"),
        report(
            Outcome::Panicked,
            "it panicked in `bn`: index out of bounds",
        ),
        Verdict::Uncompiled {
            messages: format!("error[E0425]: cannot find {}", "a name ".repeat(40)),
            errors: 1,
        },
        Verdict::Endless { seconds: 10 },
        Verdict::Stopped,
        Verdict::Loud,
        Verdict::Missing {
            message: "book/exercises/bn.rs is gone".to_owned(),
        },
        Verdict::Lost {
            message: "exit status: 134".to_owned(),
        },
    ];
    let names: Vec<&String> = built.exercises.keys().collect();
    let of = |(at, (name, page)): (usize, (&String, &String))| {
        let verdict = &kinds[at % kinds.len()];
        let state = match verdict {
            verdict if verdict.passed() => "passed",
            verdict if verdict.written() => "tried",
            _ => "open",
        };
        let section = json!({"text": "section 8.3", "href": "bn-backward.html#sec:three-terms"});
        json!({
            "exercise": name, "title": "Batch Norm", "next": names.get(at + 1), "page": page,
            "state": state, "verdict": verdict, "section": section, "printed": "dx = [1, 2]\n",
        })
    };
    built.exercises.iter().enumerate().map(of).collect()
}

/// A report with a map in which each cell is wrong in its own way.
fn wrong(exercise: &str, headline: &str) -> Report {
    let mut report = Report::new(exercise, Outcome::Wrong, headline);
    report.section = Some("sec:doubling".to_owned());
    report.notes = vec!["Look again.".to_owned()];
    report.lines = vec![Line {
        name: "dx".to_owned(),
        right: false,
        detail: "off by 3".to_owned(),
    }];
    report.heatmap = Some(Heatmap {
        name: "dx".to_owned(),
        rows: 2,
        columns: 4,
        blocks: Vec::new(),
        expected: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1.0, -1.0],
        found: vec![1.0, 2.05, 3.5, 6.0, -5.0, f64::INFINITY, f64::NAN, -1.0],
    });
    let paths = [
        ("direct", 1.0),
        ("x -> mu ->", 0.0),
        ("x -> sigma² ->", -0.5),
    ];
    report.weights = Vec::from(paths.map(|(path, weight)| Weight {
        path: format!("the path {path} x_hat"),
        weight,
    }));
    report
}

/// Every page at a desk, and in a narrower window, with every kind of verdict: formulas have a size,
/// nothing sticks out, no equation and no table is cut, words of drawings do not lie on others,
/// headings stand over their columns, no page is heavy, text can be read in either theme, axe has
/// nothing to say, the console is silent, and nothing is asked of another machine.
#[test]
fn every_page_holds_at_a_desk() {
    let Some(mut sweep) = Sweep::start() else {
        return;
    };
    let (mut formulas, mut marked) = (0, 0);
    for page in &BOOK.pages {
        sweep.open(page, "light", 1440, 900);
        sweep.look("light", faint);
        sweep.look("wide", |browser, tab| overflow(browser, tab, 1440));
        for look in [
            cut,
            collisions,
            struck,
            askew,
            plain_code,
            heavy,
            bad_formulas,
        ] {
            sweep.look("wide", look);
        }
        let count = "document.querySelectorAll('main math').length";
        formulas += sweep.value(count).as_u64().unwrap();
        let count = "document.querySelectorAll('#mdbook-sidebar .marks').length";
        marked = sweep.value(count).as_u64().unwrap();
        // Of all that axe looks at, a theme changes the colours.
        let colours = "runOnly: ['color-contrast', 'link-in-text-block']";
        sweep.axe(&[("light", ""), ("dark", colours)]);
        sweep.open(page, "dark", 768, 1024);
        sweep.look("dark", faint);
        for look in [parted, cut] {
            sweep.look("768 px", look);
        }
        sweep.quiet();
    }
    sweep.end();
    let pages = BOOK.pages.len();
    assert!(
        pages >= 5 && formulas > 100,
        "{pages} pages, {formulas} formulas"
    );
    // The side bar marks each chapter with exercises.
    assert_eq!(marked as usize, BOOK.marked.len());
}

/// Every page on a phone, with every kind of verdict: what is cut says so, equations are broken and
/// tables of words stacked, and all that holds at a desk.
#[test]
fn every_page_holds_on_a_phone() {
    let Some(mut sweep) = Sweep::start() else {
        return;
    };
    for page in &BOOK.pages {
        sweep.open(page, "light", 360, 740);
        sweep.look("360 px", |browser, tab| overflow(browser, tab, 360));
        for look in [
            faint_print,
            uncued,
            broken,
            parted,
            collisions,
            struck,
            askew,
        ] {
            sweep.look("360 px", look);
        }
        sweep.unfold();
        for theme in ["dark", "light"] {
            sweep.theme(theme);
            sweep.look(theme, faint);
        }
        // The colours have been looked at, and they take axe half of its time.
        sweep.axe(&[("light", "rules: {'color-contrast': {enabled: false}}")]);
        sweep.quiet();
    }
    sweep.end();
}

/// A browser that goes through the pages of the book.
struct Sweep {
    browser: Browser,
    tab: Tab,
    /// The page that is open, and how wide it is.
    at: String,
    axe: String,
    /// What axe has looked at.
    checks: u64,
    problems: Vec<String>,
}

impl Sweep {
    fn start() -> Option<Self> {
        let mut browser = Browser::start()?;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/axe/axe.min.js.gz");
        let mut axe = String::new();
        flate2::read::GzDecoder::new(fs::File::open(file).unwrap())
            .read_to_string(&mut axe)
            .unwrap();
        let tab = browser.tab();
        Some(Sweep {
            browser,
            tab,
            at: String::new(),
            axe,
            checks: 0,
            problems: Vec::new(),
        })
    }

    fn value(&mut self, expression: &str) -> Value {
        self.browser.value(&self.tab, expression)
    }

    /// Opens a page. It is loaded at this width, as a reader has it: a window that shrinks moves for
    /// a while.
    fn open(&mut self, page: &str, theme: &str, width: u32, height: u32) {
        let (browser, tab) = (&mut self.browser, &self.tab);
        size(browser, tab, width, height);
        scheme(browser, tab, theme);
        browser.open(tab, &format!("http://{}/{page}", BOOK.address));
        browser.wait(tab, "document.querySelector('#course-progress')");
        self.at = format!("{page}, {width} px");
        self.theme(theme);
    }

    /// The reader's system changes its colours, and the page follows.
    fn theme(&mut self, theme: &str) {
        scheme(&mut self.browser, &self.tab, theme);
        let dark = "document.documentElement.classList.contains('navy')";
        let follows = format!("{dark} === {}", theme == "dark");
        self.browser.wait(&self.tab, &follows);
    }

    /// Notes what is found in the page as it is.
    fn look(&mut self, how: &str, look: impl Fn(&mut Browser, &Tab) -> Vec<String>) {
        for found in look(&mut self.browser, &self.tab) {
            self.problems.push(format!("{}, {how}: {found}", self.at));
        }
    }

    /// Opens all of the page that can be.
    fn unfold(&mut self) {
        self.value("for (const box of document.querySelectorAll('main details')) box.open = true");
    }

    /// axe finds nothing on the page with all open that can be, by these rules in each theme. It is
    /// the last to look at a page, of which it leaves little.
    fn axe(&mut self, themes: &[(&str, &str)]) {
        let source = std::mem::take(&mut self.axe);
        self.value(&source);
        self.axe = source;
        // What scrolls becomes a stop when the browser has told the page of its sizes.
        let boxes = "'.equation-body, .formula.long, pre > code, .table-wrapper'";
        self.unfold();
        let stops = format!(
            "[...document.querySelectorAll({boxes})].every((box) => \
             box.scrollWidth <= box.clientWidth || box.clientWidth === 0 || box.tabIndex === 0)"
        );
        self.browser.wait(&self.tab, &stops);
        self.value(PLAIN);
        // The contrast of formulas and code is left to `faint`, which asks for as much.
        let contrast = "[{id: 'color-contrast', selector: ':not(math, pre *)'}]";
        self.value(&format!("axe.configure({{rules: {contrast}}})"));
        for (theme, rules) in themes {
            self.theme(theme);
            let run = format!(
                "axe.run(document, {{resultTypes: ['violations'], preload: false, {rules}}}).then((all) => ({{
                    checks: all.passes.length,
                    bad: all.violations.flatMap((rule) => rule.nodes.map((node) => `${{rule.id}}: ${{node.target}}: ${{node.html}}`)),
                }}))"
            );
            let found = self.value(&run);
            self.checks += found["checks"].as_u64().unwrap();
            for found in found["bad"].as_array().unwrap() {
                let found = found.as_str().unwrap();
                self.problems.push(format!("{}, {theme}: {found}", self.at));
            }
        }
    }

    fn quiet(&mut self) {
        assert_quiet(&mut self.browser, &BOOK.address);
    }

    /// Nothing was found, and something would have been.
    fn end(mut self) {
        let count = self.problems.len();
        self.problems.truncate(40);
        assert!(count == 0, "{count}:\n{}", self.problems.join("\n"));
        let checks = self.checks;
        assert!(checks > 20 * BOOK.pages.len() as u64, "{checks} checks");
        self.open("introduction.html", "light", 360, 740);
        self.value(
            "document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=\"data:,\"><a href=\"#x\"></a>')",
        );
        self.axe(&[("light", "")]);
        for rule in ["image-alt", "link-name"] {
            let told = self.problems.iter().any(|found| found.contains(rule));
            assert!(told, "{rule}: {:?}", self.problems);
        }
    }
}

/// Takes out of the page what is most of its elements and nothing to axe: the words of code have
/// colours alone, and the parts of a formula are one to who hears it.
const PLAIN: &str = r#"
    for (const code of document.querySelectorAll("pre code")) {
        if (!code.querySelector("a, button, [role], [tabindex], [aria-label]")) code.textContent = code.textContent;
    }
    for (const formula of document.querySelectorAll("math")) {
        if (!formula.querySelector("a, [href], [role], [tabindex]")) formula.textContent = formula.textContent;
    }
"#;

/// Equations and tables that do not fit a wide window.
fn cut(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    let script = r#"
        const bad = [];
        for (const box of main.querySelectorAll(".equation-body, .table-wrapper")) {
            if (box.scrollWidth > box.clientWidth) bad.push(`is cut by ${box.scrollWidth - box.clientWidth} px: ${name(box)}`);
        }
        return bad;
    "#;
    list(browser, tab, &format!("(() => {{ {TOOLS} {script} }})()"))
}

/// What goes on beyond the edge of its box with nothing to show it, and equations and drawings that
/// do not fit a phone at all.
fn uncued(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    let script = r#"
        const bad = [];
        await new Promise((done) => setTimeout(done, 100));
        const boxes = ".equation-body, .formula.long, pre > code, .drawing-body, .table-wrapper";
        for (const box of main.querySelectorAll(boxes)) {
            const over = box.scrollWidth - box.clientWidth;
            if (!box.checkVisibility() || over <= 1) continue;
            const faded = getComputedStyle(box).maskImage.includes("gradient");
            if (box.dataset.more !== "after" || !faded) bad.push(`is cut by ${over} px and does not show it: ${name(box)}`);
            // A line of code has a width of its own; the longest piece of a formula may be a little too wide.
            if (box.matches(".drawing-body") || box.matches(".equation-body") && over > 12) bad.push(`is cut by ${over} px: ${name(box)}`);
        }
        return bad;
    "#;
    list(
        browser,
        tab,
        &format!("(async () => {{ {TOOLS} {script} }})()"),
    )
}

/// Code in a language that the book's highlight.js does not know.
fn plain_code(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    let script = r#"
        const bad = [];
        for (const code of main.querySelectorAll("code[class*=language-]:not(.nohighlight)")) {
            const [, language] = /language-(\S+)/.exec(code.className);
            if (!hljs.getLanguage(language)) bad.push(`theme/make_highlight.mjs knows no ${language}: ${name(code)}`);
        }
        return bad;
    "#;
    list(browser, tab, &format!("(() => {{ {TOOLS} {script} }})()"))
}

/// What a page asks for, in bytes as they are before anybody packs them: more than 1.2 MB before
/// its live figures, or for these more than 320 kB.
fn heavy(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    let script = r#"
        await document.fonts.ready;
        const all = ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind));
        // What a browser has kept it does not tell the size of; and the course's events do not end.
        const names = [...new Set(all.map((one) => one.name))].filter((name) => !name.endsWith("/events"));
        const live = (name) => /live\.js$|\.wasm$/.test(name);
        const size = async (name) => (await (await fetch(name)).arrayBuffer()).byteLength;
        const weight = async (some) => (await Promise.all(some.map(size))).reduce((sum, one) => sum + one, 0);
        const [text, figures] = await Promise.all([names.filter((name) => !live(name)), names.filter(live)].map(weight));
        if (text < 3e5) return [`weighs ${text} bytes, so not all was weighed`];
        return text > 1.2e6 || figures > 3.2e5 ? [`weighs ${text} bytes, and its figures ${figures}`] : [];
    "#;
    list(
        browser,
        tab,
        &format!("(async () => {{ {TOOLS} {script} }})()"),
    )
}

/// Text of drawings that a reader of a phone cannot read: drawn under 9 pixels high.
fn faint_print(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    let script = r#"
        const bad = [];
        for (const svg of main.querySelectorAll(".drawing svg")) {
            if (!svg.checkVisibility()) continue;
            for (const text of svg.querySelectorAll("text")) {
                const matrix = text.getScreenCTM();
                const scale = Math.sqrt(Math.abs(matrix.a * matrix.d - matrix.b * matrix.c));
                const high = parseFloat(getComputedStyle(text).fontSize) * scale;
                if (high < 9) bad.push(`${high.toFixed(1)} px high: ${name(text)}`);
            }
        }
        return bad;
    "#;
    list(browser, tab, &format!("(() => {{ {TOOLS} {script} }})()"))
}

/// Words of a drawing through which a line of it goes, at the width that the window has. Those of
/// charts have an edge that keeps lines away.
fn struck(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    let script = r#"
        const bad = [];
        for (const svg of main.querySelectorAll(".drawing svg")) {
            if (!svg.checkVisibility() || svg.closest("[data-live]")) continue;
            const shapes = [...svg.querySelectorAll("path, line, polyline, rect, circle")].filter((shape) => getComputedStyle(shape).stroke !== "none" && !shape.closest("defs"));
            for (const text of svg.querySelectorAll("text")) {
                const { stroke, fontSize } = getComputedStyle(text);
                if (stroke !== "none" || !text.textContent.trim()) continue;
                const box = text.getBoundingClientRect();
                const { a, b } = text.getScreenCTM();
                // Above and below the letters there is room within a line.
                const room = 0.34 * parseFloat(fontSize) * Math.hypot(a, b);
                const [x, y] = Math.abs(a) > Math.abs(b) ? [0, room] : [room, 0];
                const inside = ({ x: across, y: down }) => across > box.left + x && across < box.right - x && down > box.top + y && down < box.bottom - y;
                const through = shapes.some((shape) => {
                    const near = shape.getBoundingClientRect();
                    if (near.left > box.right || near.right < box.left || near.top > box.bottom || near.bottom < box.top) return false;
                    const matrix = shape.getScreenCTM();
                    for (let at = 0; at <= shape.getTotalLength(); at += 1.5) {
                        if (inside(shape.getPointAtLength(at).matrixTransform(matrix))) return true;
                    }
                    return false;
                });
                if (through) bad.push(`a line goes through “${text.textContent}”: ${name(text)}`);
            }
        }
        return bad;
    "#;
    list(browser, tab, &format!("(() => {{ {TOOLS} {script} }})()"))
}

/// Words of a drawing that lie on others, at the width that the window has.
fn collisions(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    list(
        browser,
        tab,
        &format!(
            "(() => {{ {TOOLS} {COLLISIONS} return [...main.querySelectorAll('.drawing svg')].flatMap(collisions); }})()"
        ),
    )
}

/// Headings of tables that do not stand over their columns.
fn askew(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    let script = r#"
        const bad = [];
        for (const heading of main.querySelectorAll("thead th")) {
            const below = heading.closest("table").tBodies[0]?.rows[0]?.cells[heading.cellIndex];
            if (!below || !heading.checkVisibility()) continue;
            const [a, b] = [heading, below].map(getComputedStyle);
            for (const side of ["paddingLeft", "paddingRight"]) {
                if (a[side] !== b[side]) bad.push(`${side} of a heading is ${a[side]}, of its column ${b[side]}: ${name(heading)}`);
            }
        }
        return bad;
    "#;
    list(browser, tab, &format!("(() => {{ {TOOLS} {script} }})()"))
}

/// Formulas and code that end a line where they should not: between two sides of an equation that
/// have room side by side, without hanging from their first piece, and behind the dash of an option.
fn broken(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    let script = r#"
        const bad = [];
        const places = (e) => [...e.querySelectorAll("math")].map((piece) => piece.getBoundingClientRect());
        for (const pair of main.querySelectorAll(".pair")) {
            if (!pair.checkVisibility()) continue;
            const [left, right] = [...pair.children].map(places);
            const [a, b] = [left.at(-1), right?.[0]];
            const room = 0.9 * pair.closest(".equation-body").clientWidth;
            if (a && b && b.top >= a.bottom && a.width + b.width < room) bad.push("is broken between its sides: " + name(pair));
            const part = (piece) => {
                const near = piece.closest(".part");
                return near && getComputedStyle(near).display !== "contents" ? near : pair;
            };
            const firsts = new Map();
            for (const piece of pair.querySelectorAll("math")) {
                const box = piece.getBoundingClientRect();
                const first = firsts.get(part(piece));
                if (!first) firsts.set(part(piece), box);
                else if (box.top >= first.bottom && box.left < first.left + 8) bad.push("does not hang from its first piece: " + name(piece));
            }
        }
        return bad;
    "#;
    list(browser, tab, &format!("(() => {{ {TOOLS} {script} }})()"))
}

/// Short code, and words such as `->`, `pre-LN` and `35–44`, with a line's end in them.
fn parted(browser: &mut Browser, tab: &Tab) -> Vec<String> {
    let script = r#"
        const bad = [];
        const lines = (what) => {
            const boxes = [...what.getClientRects()].filter((box) => box.width > 0.5);
            return new Set(boxes.map((box) => Math.round(box.bottom / 6))).size;
        };
        for (const code of main.querySelectorAll(":not(pre) > code")) {
            if (code.checkVisibility() && code.textContent.length <= 18 && lines(code) > 1) bad.push(`is in two parts: ${code.textContent}: ${name(code)}`);
        }
        const whole = (word) => {
            const bare = word.replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");
            if (!bare) return word.length > 1 && word.includes("-");
            const parts = bare.split(/[-–]/);
            return parts.length > 1 && parts.some((part) => part.length < 3 || /^[\d\p{Lu}]|[\d\p{Lu}]$/u.test(part));
        };
        const texts = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            const text = texts.currentNode;
            const near = text.parentElement;
            if (near.closest("pre, svg, math, code, script, style") || !near.checkVisibility()) continue;
            for (const word of text.data.matchAll(/\S+/g)) {
                if (word[0].length > 18 || !whole(word[0])) continue;
                const range = document.createRange();
                range.setStart(text, word.index);
                range.setEnd(text, word.index + word[0].length);
                if (lines(range) > 1) bad.push(`is in two parts: ${word[0]}: ${name(near)}`);
            }
        }
        return bad;
    "#;
    list(browser, tab, &format!("(() => {{ {TOOLS} {script} }})()"))
}

/// A checkout with the book's own looks and scripts, an exercise whose error has a map,
/// and two formulas wider than a phone, one of which can be broken.
fn themed() -> Checkout {
    let checkout = Checkout::new();
    checkout.adopt_theme();
    let terms: Vec<String> = (1..40).map(|k| format!("x_{{{k}}}")).collect();
    let chapter = common::CHAPTER.replace(
        "## Doubling",
        &format!(
            "$$ S = \\left( {0} \\right) $$ {{#eq:wide}}\n\n$$ S = {0} $$ {{#eq:long}}\n\n\
             {{{{#predict twice}}}}\nHow much?\n\n- ( ) half\n- (x) twice\n{{{{reveal}}}}\nTwice.\n{{{{/predict}}}}\n\n\
             {{{{#predict words}}}}\nWhy?\n{{{{reveal}}}}\nSo.\n{{{{/predict}}}}\n\n## Doubling",
            terms.join(" + ")
        ),
    );
    checkout.write("book/src/one.md", &chapter);
    let report = wrong("double", "the path x -> 2x is missing");
    let wrong = serde_json::to_string(&report).unwrap();
    let right = serde_json::to_string(&Report::new("double", Outcome::Passed, "right")).unwrap();
    let main = format!(
        "fn main() {{
    let right = double(3.0) == 6.0;
    let report = if right {{ r#\"{right}\"# }} else {{ r#\"{wrong}\"# }};
    std::fs::write(std::env::var_os(\"EXERCISE_REPORT\").unwrap(), report).unwrap();
    std::process::exit(if right {{ 0 }} else {{ 1 }});
}}
"
    );
    let function = SOLUTION.split("fn main").next().unwrap();
    checkout.write("book/solutions/double.rs", &format!("{function}{main}"));
    let wrong = function.replace("2.0 * x", "3.0 * x");
    checkout.write("book/exercises/double.rs", &format!("{wrong}{main}"));
    checkout
}

/// Saves another body of the exercise.
/// A tab of this size with the first chapter, to which the course has spoken.
fn opened(browser: &mut Browser, course: &Course, width: u32, height: u32) -> Tab {
    let tab = browser.tab();
    size(browser, &tab, width, height);
    browser.open(&tab, &format!("http://{}/one.html", course.address));
    browser.wait(&tab, "document.querySelector('#course-progress')");
    tab
}

fn save(checkout: &Checkout, body: &str) {
    let file = checkout.read("book/solutions/double.rs");
    checkout.write("book/exercises/double.rs", &file.replace("2.0 * x", body));
}

const STATE: &str = "document.querySelector('[data-exercise=double]').dataset.state";

#[test]
fn a_save_brings_the_verdict_into_the_open_page() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let checkout = themed();
    let course = Course::start(&checkout);
    let tab = browser.tab();
    browser.open(&tab, &format!("http://{}/one.html", course.address));
    browser.wait(&tab, "document.querySelector('#mdbook-sidebar .marks')");
    let marks = "document.querySelector('#mdbook-sidebar .marks').getAttribute('aria-label')";
    assert_eq!(browser.value(&tab, marks), "0 of 1 exercises passed");
    let progress = "document.querySelector('#course-progress').innerText";
    assert_eq!(browser.value(&tab, progress), "0 / 1");
    // A page that is loaded anew forgets this.
    browser.value(&tab, "window.same = true");

    save(&checkout, "4.0 * x");
    browser.wait(&tab, &format!("{STATE} === 'tried'"));
    let verdict = "document.querySelector('[data-exercise=double] .verdict')";
    let headline = browser.value(
        &tab,
        &format!("{verdict}.querySelector('.headline').innerText"),
    );
    assert_eq!(headline, "The path x → 2x is missing. See section 1.1.");
    let link = browser.value(
        &tab,
        &format!("{verdict}.querySelector('.headline a').href"),
    );
    let section = format!("http://{}/one.html#sec:doubling", course.address);
    assert_eq!(link, section.as_str());
    let cells = format!(
        "[...{verdict}.querySelectorAll('.heat tbody td')].map((cell) => cell.dataset.level)"
    );
    let levels = list(&mut browser, &tab, &cells);
    assert_eq!(
        levels,
        ["right", "1", "2", "3", "4", "infinite", "nan", "right"]
    );
    // Each level is seen as a colour of its own.
    let colours = format!(
        "[...{verdict}.querySelectorAll('.heat tbody td')].map((cell) => {{
            const style = getComputedStyle(cell), box = cell.getBoundingClientRect();
            return box.width > 5 && box.height > 5 ? style.backgroundColor + style.backgroundImage : 'no size';
        }})"
    );
    let mut colours = list(&mut browser, &tab, &colours);
    colours.sort();
    colours.dedup();
    assert_eq!(colours.len(), 7, "{colours:?}");
    // The first wrong element is told, and the others are reached with the arrow keys.
    let read = format!("{verdict}.querySelector('.heat-read').innerText");
    assert_eq!(
        browser.value(&tab, &read),
        "dx[0, 1]: yours 2.05000, right 2.00000"
    );
    browser.value(
        &tab,
        &format!("{verdict}.querySelector('.heat [tabindex=\"0\"]').focus()"),
    );
    for (key, code) in [("ArrowDown", 40), ("ArrowRight", 39)] {
        press(&mut browser, &tab, key, code);
    }
    assert_eq!(
        browser.value(&tab, &read),
        "dx[1, 2]: yours not a number, right 1.00000"
    );
    assert_eq!(browser.value(&tab, "location.pathname"), "/one.html");
    let explanation = "document.querySelector('[data-exercise=double] .explanation')";
    assert_eq!(
        browser.value(&tab, &format!("{explanation}.checkVisibility()")),
        false
    );

    save(&checkout, "missing(x)");
    browser.wait(
        &tab,
        &format!("{verdict}.innerText.includes('It does not compile: 1 error.')"),
    );
    let message = "cannot find function";
    browser.wait(&tab, &format!("{verdict}.innerText.includes('{message}')"));

    save(&checkout, "print!(\"x is {x}\"); 2.0 * x");
    browser.wait(&tab, &format!("{STATE} === 'passed'"));
    browser.wait(&tab, &format!("{verdict}.innerText.includes('x is 3')"));
    assert_eq!(browser.value(&tab, marks), "1 of 1 exercises passed");
    assert_eq!(browser.value(&tab, progress), "1 / 1");
    assert_eq!(browser.value(&tab, &format!("{explanation}.open")), true);
    let onward = format!("{verdict}.querySelector('.onward').innerText");
    assert_eq!(
        browser.value(&tab, &onward),
        "1 of 1 exercises passed. That was the last one."
    );
    assert_eq!(
        browser.value(&tab, &format!("{verdict}.querySelector('.heat') === null")),
        true
    );
    assert_eq!(
        browser.value(&tab, "window.same"),
        true,
        "the page was loaded anew"
    );
    assert_quiet(&mut browser, &course.address);

    // A page that comes back from the history is told what it missed.
    browser.open(&tab, &format!("http://{}/two.html", course.address));
    browser.value(
        &tab,
        "new Promise((ready) => {
            const source = new EventSource('events');
            source.onopen = () => ready(true);
            window.heard = new Promise((done) => {
                source.onmessage = (message) => {
                    if (JSON.parse(message.data).event !== 'verdict') return;
                    source.close();
                    done(true);
                };
            });
        })",
    );
    save(&checkout, "5.0 * x");
    assert_eq!(browser.value(&tab, "window.heard"), true);
    // Later, or the page may be gone before it answers.
    browser.value(&tab, "setTimeout(() => history.back())");
    browser.wait_for_reload(&tab, "!document.querySelector('[data-exercise=double]')");
    browser.wait(&tab, &format!("{verdict}.querySelector('.heat td')"));
}

/// What a run shows takes the place of the still without moving anything, also in a page that is
/// loaded in its middle; when nothing was run, the still is back.
#[test]
fn a_run_is_seen_in_the_open_page() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let checkout = themed();
    checkout.takes_its_time(60);
    let course = Course::start(&checkout);
    let tab = browser.tab();
    let address = format!("http://{}/one.html", course.address);
    for (width, form) in [(1200, ".wide"), (360, ".narrow")] {
        size(&mut browser, &tab, width, 900);
        browser.open(&tab, &address);
        let title = format!("document.querySelector('figure {form} svg title').textContent");
        let words = "document.querySelector('.run p').innerText";
        browser.wait(&tab, &format!("{words}.startsWith('Once its gradients')"));
        browser.wait(&tab, &format!("{title}.startsWith('still')"));
        let places = "JSON.stringify([...document.querySelectorAll('figure, .run, .exercise-where')].map((e) => [e.offsetTop, e.offsetHeight]))";
        let before = browser.value(&tab, places);
        checkout.write("book/exercises/double.rs", &slow(1500));
        browser.wait(&tab, &format!("{title} === 'step 1'"));
        assert_eq!(browser.value(&tab, words), "Step 1 of 3: so far 1.");
        let share = browser.value(&tab, "document.querySelector('.run progress').value");
        assert!((share.as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-9);
        let aloud = "document.querySelector('.run [aria-live]').textContent";
        assert_eq!(browser.value(&tab, aloud), "Step 1 of 3: so far 1.");
        // No verdict stands there yet the first time.
        if width == 1200 {
            assert_eq!(browser.value(&tab, places), before, "something has moved");
        }
        browser.open(&tab, &address);
        browser.wait(&tab, &format!("{title}.startsWith('step ')"));
        browser.wait(&tab, &format!("{title} === 'step 3'"));
        browser.wait(&tab, &format!("{STATE} === 'passed'"));
        let sticks_out = overflow(&mut browser, &tab, width);
        assert!(sticks_out.is_empty(), "{sticks_out:?}");
        save(&checkout, "missing(x)");
        browser.wait(&tab, &format!("{title}.startsWith('still')"));
        browser.wait(&tab, &format!("{words}.startsWith('Once its gradients')"));
    }
    assert_quiet(&mut browser, &course.address);
}

/// Where motion is not wanted the drawing follows at each tenth, and words and bar each time.
#[test]
fn a_run_moves_little_where_motion_is_not_wanted() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let hub = Arc::new(Hub::default());
    let checkout = themed();
    checkout.takes_its_time(60);
    let workspace = Workspace::at(checkout.path()).unwrap();
    let target = tempfile::tempdir().unwrap();
    book::build(&workspace, target.path()).unwrap();
    hub.show(Site::load(target.path()).unwrap());
    hub.greet_with(json!({"event": "state", "build": "1", "exercises": []}));
    let address = serve::start(&hub, serve::listen(Some(0)).unwrap()).unwrap();
    let tab = browser.tab();
    let reduced = json!({"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]});
    browser.call(&tab, "Emulation.setEmulatedMedia", reduced);
    browser.open(&tab, &format!("http://{address}/one.html"));
    while hub.pages() == 0 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let title = "document.querySelector('figure .wide svg title').textContent";
    for (done, drawn) in [
        (1, 1),
        (7, 1),
        (9, 1),
        (10, 10),
        (19, 10),
        (99, 99),
        (100, 100),
    ] {
        let svg = |done: u32| {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 300 90\"><title>{done}</title></svg>"
            )
        };
        let moment =
            json!({"done": done, "of": 100, "told": "so far", "drawing": [svg(done), svg(done)]});
        hub.send(&json!({"event": "moment", "exercise": "double", "moment": moment}));
        let words =
            format!("document.querySelector('.run p').innerText === 'Step {done} of 100: so far.'");
        browser.wait(&tab, &words);
        assert_eq!(browser.value(&tab, title), drawn.to_string(), "{done}");
    }
    assert_quiet(&mut browser, &address.to_string());
}

/// A saved chapter is shown without being asked for, and a broken one says so in the page.
#[test]
fn a_saved_chapter_is_shown() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let checkout = themed();
    let course = Course::start(&checkout);
    let tab = browser.tab();
    browser.open(&tab, &format!("http://{}/two.html", course.address));
    browser.wait(&tab, "document.querySelector('#course-progress')");
    browser.value(&tab, "window.same = true");
    let chapter = checkout.read("book/src/two.md");
    checkout.write("book/src/two.md", &format!("{chapter}\n$\\bad$\n"));
    browser.wait(
        &tab,
        "document.querySelector('#course-broken')?.innerText.includes('book/src/two.md:5')",
    );
    assert_eq!(browser.value(&tab, "window.same"), true);
    assert_in_sight(&mut browser, &tab, "#course-broken");
    checkout.write("book/src/two.md", &format!("{chapter}\nRewritten.\n"));
    browser.wait_for_reload(&tab, "window.same");
    browser.wait(
        &tab,
        "document.querySelector('main').innerText.includes('Rewritten.')",
    );
    assert_eq!(
        browser.value(&tab, "document.querySelector('#course-broken')"),
        Value::Null
    );
    assert_quiet(&mut browser, &course.address);
}

/// What is found is seen, at the beginning of the page and at its end.
#[track_caller]
fn assert_in_sight(browser: &mut Browser, tab: &Tab, found: &str) {
    for place in ["0", "document.documentElement.scrollHeight"] {
        let script = format!(
            "(() => {{
                window.scrollTo(0, {place});
                const box = document.querySelector('{found}').getBoundingClientRect();
                return box.height > 10 && box.top >= 0 && box.bottom <= innerHeight;
            }})()"
        );
        assert_eq!(browser.value(tab, &script), true, "{found} at {place}");
    }
}

/// When the course ends in the middle of a check, the page says so where the reader is, and
/// the exercise waits for nothing.
#[test]
fn a_course_that_has_ended_is_told() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let checkout = themed();
    let course = Course::start(&checkout);
    let tab = opened(&mut browser, &course, 1400, 500);
    save(&checkout, "4.0 * x");
    let state = "document.querySelector('.exercise-state').innerText";
    browser.wait(&tab, &format!("/^(checking|compiling) …/.test({state})"));
    drop(course);
    browser.wait(&tab, "document.querySelector('#course-gone')");
    assert_in_sight(&mut browser, &tab, "#course-gone");
    assert_eq!(
        browser.value(&tab, state),
        "start cargo run for live verdicts"
    );
    let busy = "document.querySelector('.verdict[data-busy]')";
    assert_eq!(browser.value(&tab, busy), Value::Null);
}

/// The first check takes as long as all that exercises are linked with, and a page says so, whether
/// it was open at the time of the save or not.
#[cfg(unix)]
#[test]
fn a_page_says_how_far_the_compiler_is() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let checkout = themed();
    let cargo = "#!/bin/sh\nprintf '    Building [=> ] 3/7: tape, nn   \\r' >&2\n\
                 while [ ! -e go ]; do sleep 0.05; done\nexec cargo \"$@\"\n";
    let mut command = checkout.course(&["--no-browser"]);
    command.env("CARGO", checkout.script("slow-cargo", cargo));
    let course = Course::start_as(command);
    let state = "document.querySelector('.exercise-state').textContent";
    let said = format!("{state} === 'compiling what it needs … 3 of 7'");
    for saved in [false, true] {
        let tab = browser.tab();
        browser.open(&tab, &format!("http://{}/one.html", course.address));
        if !saved {
            browser.wait(&tab, "document.querySelector('#course-progress')");
            save(&checkout, "2.0 * x");
        }
        browser.wait(&tab, &said);
        if saved {
            checkout.write("go", "");
            browser.wait(&tab, &format!("{state} === 'passed'"));
        }
    }
}

/// Whatever a check is at has one line of a phone, so nothing below it jumps from step to step.
#[test]
fn what_a_check_is_at_has_one_line() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let checkout = themed();
    let course = Course::start(&checkout);
    let tab = opened(&mut browser, &course, 360, 740);
    let steps = [
        Step::Waits,
        Step::Builds(Work::Waits),
        Step::Builds(Work::Fetches),
        Step::Builds(Work::Compiles {
            done: 103,
            of: 118,
            now: "tape, nn".to_owned(),
        }),
        Step::Builds(Work::Compiles {
            done: 117,
            of: 118,
            now: "double(bin)".to_owned(),
        }),
        Step::Runs(None),
    ];
    let high = "document.querySelector('.box-title:has(.exercise-state)').offsetHeight";
    let before = browser.value(&tab, high);
    for step in steps {
        let (words, count) = step.told("double");
        let count = count.map_or_else(String::new, |[done, of]| format!(" {done} of {of}"));
        let text = json!(format!("{words} …{count}"));
        let state = "document.querySelector('.exercise-state')";
        let now = browser.value(&tab, &format!("({state}.textContent = {text}, {high})"));
        assert_eq!(now, before, "{text}");
    }
}

#[test]
fn a_keyboard_is_enough() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let checkout = themed();
    let course = Course::start(&checkout);
    let tab = browser.tab();
    let url = format!("http://{}/one.html", course.address);
    size(&mut browser, &tab, 1400, 900);
    browser.open(&tab, &url);
    // Past the menus with the first key.
    press(&mut browser, &tab, "Tab", 9);
    let active = "document.activeElement.innerText";
    assert_eq!(browser.value(&tab, active), "Skip to the text");
    press(&mut browser, &tab, "Enter", 13);
    press(&mut browser, &tab, "Tab", 9);
    let inside = "document.querySelector('main').contains(document.activeElement)";
    browser.wait(&tab, inside);

    // A formula is a stop when it is wider than its box, and the arrow keys move it.
    let stop = |name: &str| {
        format!(
            "document.querySelector('#eq\\\\:{name} .equation-body').getAttribute('aria-label')"
        )
    };
    let name = stop("wide");
    browser.wait(&tab, &name);
    assert_eq!(
        browser.value(&tab, &name),
        "Equation (1.2), scrolls sideways"
    );
    assert_eq!(browser.value(&tab, &stop("slope")), Value::Null);
    let wide = "document.querySelector('#eq\\\\:wide .equation-body')";
    browser.value(&tab, &format!("{wide}.focus()"));
    press(&mut browser, &tab, "ArrowRight", 39);
    browser.wait(&tab, &format!("{wide}.scrollLeft > 0"));
    assert_eq!(browser.value(&tab, "location.pathname"), "/one.html");
    // Anywhere else, they go from chapter to chapter.
    browser.value(&tab, "window.before = true; document.activeElement.blur()");
    press(&mut browser, &tab, "ArrowRight", 39);
    browser.wait_for_reload(&tab, "window.before");
    assert_eq!(browser.value(&tab, "location.pathname"), "/two.html");

    // The contents on a phone.
    size(&mut browser, &tab, 360, 740);
    browser.open(&tab, &url);
    let shown = "document.querySelector('#mdbook-sidebar').checkVisibility()";
    assert_eq!(browser.value(&tab, shown), false);
    browser.value(
        &tab,
        "document.querySelector('button#mdbook-sidebar-toggle').focus()",
    );
    press(&mut browser, &tab, "Enter", 13);
    browser.wait(&tab, shown);
    let inside = "document.querySelector('#mdbook-sidebar').contains(document.activeElement)";
    assert_eq!(browser.value(&tab, inside), true);
    assert_quiet(&mut browser, &course.address);
}

/// A Greek letter is found, chapters come before the appendix of sources, and after a pass
/// there is a way on.
#[test]
fn the_book_leads_to_its_places() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let address = &BOOK.address;
    let tab = browser.tab();
    let found = "document.querySelector('#mdbook-searchresults a')";
    for word in ["%CE%BC", "softmax", "rstd", "%E2%88%82"] {
        let url = format!("http://{address}/introduction.html?search={word}");
        browser.open(&tab, &url);
        browser.wait(&tab, found);
        let first = browser.value(&tab, &format!("{found}.getAttribute('href')"));
        let first = first.as_str().unwrap();
        let appendices = ["source-", "mistakes", "museum", "witnesses", "reproducing"];
        let of_one = appendices.iter().any(|page| first.contains(page));
        assert!(!of_one, "{word}: {first}");
    }
    let passed = "document.querySelector('.verdict[data-outcome=passed]')";
    let page = BOOK.marked.iter().find(|page| {
        browser.open(&tab, &format!("http://{address}/{page}"));
        browser.wait(&tab, "document.querySelector('#course-progress')");
        browser.value(&tab, &format!("{passed} !== null")) == true
    });
    assert!(page.is_some(), "no exercise has passed");
    let onward = browser.value(
        &tab,
        &format!("{passed}.querySelector('.onward').innerText"),
    );
    let onward = onward.as_str().unwrap();
    assert!(
        onward.ends_with("exercises passed. The next one is Batch Norm."),
        "{onward}"
    );
    let link = browser.value(&tab, &format!("{passed}.querySelector('.onward a').href"));
    assert!(link.as_str().unwrap().contains("#exercise:"), "{link}");
}

#[test]
fn predictions_are_remembered_in_this_browser() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let checkout = themed();
    let course = Course::start(&checkout);
    let tab = browser.tab();
    let url = format!("http://{}/one.html", course.address);
    browser.open(&tab, &url);
    let open = "document.querySelector('#predict\\\\:twice details').open";
    let checked = "document.querySelector('#predict\\\\:twice input:checked')?.value";
    let words = "document.querySelector('#predict\\\\:words .own-words input')";
    assert_eq!(browser.value(&tab, open), false);
    assert_eq!(browser.value(&tab, checked), Value::Null);
    browser.value(
        &tab,
        "document.querySelector('#predict\\\\:twice input[value=\"1\"]').click()",
    );
    browser.value(&tab, &format!("{words}.focus()"));
    browser.call(&tab, "Input.insertText", json!({"text": "because"}));
    browser.open(&tab, &url);
    assert_eq!(browser.value(&tab, checked), "1");
    assert_eq!(browser.value(&tab, &format!("{words}.value")), "because");
    assert_eq!(
        browser.value(&tab, open),
        false,
        "the answer was not looked at"
    );

    // The choices are a group with the question as its name.
    let group = "document.getElementById(document.querySelector('#predict\\\\:twice [role=radiogroup]').getAttribute('aria-labelledby')).innerText";
    assert_eq!(browser.value(&tab, group), "How much?");

    // The right choice is shown only once the answer is, and not by its colour alone.
    browser.value(
        &tab,
        "document.querySelector('#predict\\\\:twice input[value=\"0\"]').click()",
    );
    let judged =
        "[...document.querySelectorAll('#predict\\\\:twice .choice')].map((c) => c.innerText)";
    assert_eq!(list(&mut browser, &tab, judged), ["half", "twice"]);
    let colour = "getComputedStyle(document.querySelector('#predict\\\\:twice .choice:has([data-right])')).backgroundColor";
    let before = browser.value(&tab, colour);
    browser.value(
        &tab,
        "document.querySelector('#predict\\\\:twice summary').click()",
    );
    browser.wait(
        &tab,
        &format!("{colour} !== '{}'", before.as_str().unwrap()),
    );
    browser.wait(&tab, "localStorage.getItem('predict:twice:seen') === '1'");
    assert_eq!(
        list(&mut browser, &tab, judged),
        ["half\n✗ not so", "twice\n✓ right"]
    );
    browser.open(&tab, &url);
    browser.wait(&tab, open);
    assert_quiet(&mut browser, &course.address);
}

#[test]
fn a_wide_formula_scrolls_in_its_own_box() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let checkout = themed();
    let course = Course::start(&checkout);
    let tab = browser.tab();
    size(&mut browser, &tab, 360, 740);
    browser.open(&tab, &format!("http://{}/one.html", course.address));
    assert_eq!(overflow(&mut browser, &tab, 360), [""; 0]);
    assert_eq!(bad_formulas(&mut browser, &tab), [""; 0]);
    let scrolled = browser.value(
        &tab,
        "(() => {
            const box = document.querySelector('#eq\\\\:wide .equation-body');
            box.scrollLeft = 200;
            return box.scrollLeft;
        })()",
    );
    assert_eq!(scrolled, 200);
    let fits = "((box) => box.scrollWidth <= box.clientWidth)(document.querySelector('#eq\\\\:long .equation-body'))";
    assert_eq!(browser.value(&tab, fits), true);
    // What sticks out is found.
    browser.value(
        &tab,
        "document.querySelector('#eq\\\\:wide .equation-body').style.overflow = 'visible'",
    );
    assert!(!overflow(&mut browser, &tab, 360).is_empty());
    assert_quiet(&mut browser, &course.address);
}

/// After a jump up, mdBook's own script would leave its bar in the middle of the text.
#[test]
fn the_bar_stays_above_the_text() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let tab = browser.tab();
    size(&mut browser, &tab, 390, 740);
    browser.open(&tab, &format!("http://{}/bn-backward.html", BOOK.address));
    for to in [4000, 3600, 3100, 5000, 4880, 0] {
        browser.value(
            &tab,
            &format!("scrollTo({{ top: {to}, behavior: 'instant' }})"),
        );
        let at = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
            done([scrollY, document.getElementById('mdbook-menu-bar').getBoundingClientRect().top]))))";
        let at = browser.value(&tab, at);
        assert_eq!(at[0].as_f64(), Some(f64::from(to)), "{at}");
        assert!(at[1].as_f64().is_some_and(|top| top <= 0.0), "{to}: {at}");
    }
}

/// A page is light on paper, in whichever theme it was read.
#[test]
fn paper_is_light() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let tab = browser.tab();
    scheme(&mut browser, &tab, "dark");
    browser.open(&tab, &format!("http://{}/bn-backward.html", BOOK.address));
    let colours = "['main p', 'main code.hljs .hljs-keyword', 'main svg text'].map((one) => {
        const style = getComputedStyle(document.querySelector(one));
        return one.includes('svg') ? style.fill : style.color;
    })";
    browser.wait(
        &tab,
        "document.querySelector('main code.hljs .hljs-keyword')",
    );
    let dark = list(&mut browser, &tab, colours);
    browser.call(
        &tab,
        "Emulation.setEmulatedMedia",
        json!({"media": "print"}),
    );
    let paper = list(&mut browser, &tab, colours);
    let bright = |colour: &str| {
        let parts = colour.split(|c: char| !c.is_ascii_digit());
        let parts = parts.filter_map(|part| part.parse::<u32>().ok());
        parts.take(3).sum::<u32>() > 380
    };
    let bright = |all: &[String]| {
        all.iter()
            .map(|colour| bright(colour))
            .collect::<Vec<bool>>()
    };
    assert_eq!(bright(&dark), [true; 3], "{dark:?}");
    assert_eq!(bright(&paper), [false; 3], "{paper:?}");
}

/// A browser gives one site six connections. Pages in the background must hold none.
#[test]
fn many_tabs_can_be_open() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let checkout = themed();
    let course = Course::start(&checkout);
    let mut tabs = Vec::new();
    for _ in 0..9 {
        let tab = browser.tab();
        browser.open(&tab, &format!("http://{}/one.html", course.address));
        browser.wait(&tab, "document.querySelector('#course-progress')");
        tabs.push(tab);
    }
    // Each of them, brought back, is told what it missed.
    save(&checkout, "2.0 * x");
    for tab in &tabs {
        browser.call(tab, "Page.bringToFront", json!({}));
        browser.wait(tab, &format!("{STATE} === 'passed'"));
    }
    assert_quiet(&mut browser, &course.address);
    for tab in &tabs {
        browser.close(tab);
    }
}

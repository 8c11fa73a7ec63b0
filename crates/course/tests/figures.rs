//! The live figures in a real browser: nothing moves when they come to life, a keyboard and a
//! pointer set the same controls, and what is drawn then is what the native crates draw.
//!
//! Like the other tests of pages, these pass where there is no Chromium, and say so.

#[path = "common/browser.rs"]
mod browser;

use browser::{Browser, COLLISIONS, Tab};
use course::book;
use course::serve::{self, Hub};
use course::site::Site;
use course::workspace::Workspace;
use live::{Control, Kind, bridge, figures};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

/// The book in a folder of a site, as on a host that has other things too.
static BOOK: LazyLock<String> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let workspace = Workspace::at(&root).unwrap();
    let target = tempfile::tempdir().unwrap();
    let built = book::build(&workspace, &target.path().join("some/book"));
    built.unwrap_or_else(|error| panic!("{error:#}"));
    let hub = Arc::new(Hub::default());
    hub.show(Site::load(target.path()).unwrap());
    let address = serve::start(&hub, serve::listen(Some(0)).unwrap()).unwrap();
    format!("http://{address}/some/book")
});

/// The pages with live figures, and the figures' names.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book/src");
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let page = path.with_extension("html");
        let page = page.file_name().unwrap().to_str().unwrap().to_owned();
        for (_, after) in text
            .match_indices("\n{{#live ")
            .map(|(at, mark)| (at, &text[at + mark.len()..]))
        {
            let name = after.split([' ', '}']).next().unwrap();
            found.push((page.clone(), name.to_owned()));
        }
    }
    found.sort();
    found
}

/// A page, and one figure on it.
struct Figure {
    browser: Browser,
    tab: Tab,
    name: String,
}

impl Figure {
    /// Opens the page of a figure in a window, and brings the figure to life.
    fn open(page: &str, name: &str, (width, height): (u32, u32)) -> Option<Self> {
        let mut figure = Self::still(page, name, (width, height))?;
        figure.revive();
        Some(figure)
    }

    /// Opens the page at its top.
    fn still(page: &str, name: &str, size: (u32, u32)) -> Option<Self> {
        Some(Self::within(Browser::start()?, page, name, size))
    }

    /// The same in a browser that has started: a start takes longer than a page.
    fn within(mut browser: Browser, page: &str, name: &str, (width, height): (u32, u32)) -> Self {
        let tab = browser.tab();
        let mobile = width < 600;
        browser.call(
            &tab,
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}),
        );
        browser.open(&tab, &format!("{}/{page}", *BOOK));
        let name = name.to_owned();
        Self { browser, tab, name }
    }

    /// Closes the page, and leaves the browser to the next.
    fn close(mut self) -> Browser {
        self.browser.close(&self.tab);
        self.browser
    }

    fn revive(&mut self) {
        self.value("$.scrollIntoView({block: 'center'})");
        self.wait("'ready' in $.dataset");
    }

    /// Takes the rest of the text out of the page, which is most of what a browser would lay out
    /// again, or axe look through.
    fn alone(&mut self) {
        self.value("[...$.closest('main').children].filter((part) => !part.contains($)).forEach((part) => part.remove())");
    }

    /// `$` stands for the figure.
    fn script(&self, expression: &str) -> String {
        expression.replace(
            '$',
            &format!("document.querySelector('[data-live={}]')", self.name),
        )
    }

    #[track_caller]
    fn value(&mut self, expression: &str) -> Value {
        let script = self.script(expression);
        self.browser.value(&self.tab, &script)
    }

    #[track_caller]
    fn wait(&mut self, expression: &str) {
        let script = self.script(expression);
        self.browser.wait(&self.tab, &script);
    }

    /// The values of its controls, as the page has them.
    fn values(&mut self) -> Vec<String> {
        let script = "(() => {
            const values = new Map();
            for (const input of $.querySelectorAll('[data-control]')) {
                const value = input.type === 'checkbox' ? String(Number(input.checked)) : input.value;
                if (input.type !== 'radio' || input.checked) values.set(input.dataset.control, value);
            }
            return [...values.values()];
        })()";
        let values = self.value(script);
        let values = values.as_array().unwrap().iter();
        values
            .map(|value| value.as_str().unwrap().to_owned())
            .collect()
    }

    /// The page shows what the native crates answer for `values`, in the form that is seen.
    #[track_caller]
    fn shows(&mut self, values: &[String]) {
        let answer = bridge::answer(&format!("{}\n{}", self.name, values.join("\n")));
        let answer: Vec<&str> = answer.split('\0').collect();
        let text = json!(answer[2]);
        self.wait(&format!(
            "$.querySelector('[data-live-text]').textContent === {text}"
        ));
        let [wide, narrow] = [answer[0], answer[1]].map(|svg| json!(svg));
        self.wait(&format!(
            "{SAME}([...$.querySelectorAll('.wide, .narrow')].find((form) => form.checkVisibility()), {{wide: {wide}, narrow: {narrow}}})"
        ));
        let figure = figures::find(&self.name).unwrap();
        for (control, said) in figure.controls().zip(&answer[3..]) {
            let words = said.split('\t').next().unwrap();
            if words.is_empty() {
                continue;
            }
            let slider = format!("$.querySelector('[data-control={}]')", control.name);
            let said = format!("{slider}.getAttribute('aria-valuetext')");
            assert_eq!(self.value(&said), words, "{}", control.name);
        }
    }

    fn press(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let text = if key == " " { " " } else { "" };
            let what = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.browser.call(&self.tab, "Input.dispatchKeyEvent", what);
        }
    }

    fn mouse(&mut self, kind: &str, (x, y): (f64, f64)) {
        let buttons = u8::from(kind != "mouseReleased");
        let what = json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1});
        self.browser
            .call(&self.tab, "Input.dispatchMouseEvent", what);
    }

    /// The middle of what a selector finds in the drawing that is seen.
    fn middle(&mut self, selector: &str) -> (f64, f64) {
        let script = format!(
            "(() => {{
                const all = [...$.querySelectorAll({})].filter((e) => e.checkVisibility());
                all[0].scrollIntoView({{block: 'center'}});
                const box = all[0].getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()",
            json!(selector)
        );
        let place = self.value(&script);
        (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
    }

    /// Drags a handle by some units of the drawing, in several moves.
    fn drag(&mut self, handle: &str, (dx, dy): (f64, f64)) {
        let (x, y) = self.middle(handle);
        let scale =
            "[...$.querySelectorAll('svg')].find((e) => e.checkVisibility()).getScreenCTM().a";
        let scale = self.value(scale).as_f64().unwrap();
        self.mouse("mousePressed", (x, y));
        for step in 1..=5 {
            let share = f64::from(step) / 5.0 * scale;
            self.mouse("mouseMoved", (x + share * dx, y + share * dy));
        }
        self.mouse("mouseReleased", (x + scale * dx, y + scale * dy));
    }

    /// How long the main thread of the page has worked, in milliseconds.
    fn busy(&mut self) -> f64 {
        let tab = self.tab.clone();
        let found = self.browser.call(&tab, "Performance.getMetrics", json!({}));
        let metrics = found["metrics"].as_array().unwrap();
        let busy = metrics
            .iter()
            .find(|metric| metric["name"] == "TaskDuration");
        1e3 * busy.unwrap()["value"].as_f64().unwrap()
    }

    /// Nothing went wrong in the page since the last call.
    #[track_caller]
    fn quiet(&mut self) {
        for event in self.browser.take_events() {
            let what = &event["params"];
            let method = event["method"].as_str().unwrap();
            // There is no course behind this site that could tell of exercises.
            let absent = what.to_string().contains("/events");
            let wrong = method == "Runtime.exceptionThrown"
                || method == "Log.entryAdded" && !absent
                || method == "Runtime.consoleAPICalled" && what["type"] != "log";
            assert!(!wrong, "{method}: {what}");
        }
    }
}

/// Whether a form of a drawing is what was answered for it, as a browser reads it and writes it
/// again.
const SAME: &str = "((form, answers) => {
    const own = document.createElement('div');
    own.innerHTML = answers[form.className];
    return own.innerHTML === form.innerHTML;
})";

fn starts(name: &str) -> Vec<String> {
    let figure = figures::find(name).unwrap();
    figure.controls().map(Control::start).collect()
}

/// Every figure of the book: what is there before it lives, and where the rest of the page is,
/// stays when it does; and axe finds nothing.
#[test]
fn a_figure_comes_to_life_where_it_stands() {
    let pages = pages();
    assert!(!pages.is_empty());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/axe/axe.min.js.gz");
    let mut axe = String::new();
    let packed = fs::File::open(file).unwrap();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut axe)
        .unwrap();
    let Some(mut browser) = Browser::start() else {
        return;
    };
    for (page, name) in pages {
        for size in [(360, 740), (1440, 900)] {
            let mut figure = Figure::within(browser, &page, &name, size);
            figure.value("document.fonts.ready.then(() => true)");
            figure.value("$.scrollIntoView({block: 'center'})");
            figure.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))");
            let boxes = "[...$.querySelectorAll('.drawing-body, svg, p, .live-controls, label'), $.parentElement.nextElementSibling]
                .map((e) => e.getBoundingClientRect()).map((b) => [b.x, b.y, b.width, b.height].join(' ')).join('; ')";
            let before = figure.value(boxes);
            figure.value("window.shifts = 0; new PerformanceObserver((list) => list.getEntries().forEach((e) => { window.shifts += e.value; })).observe({type: 'layout-shift'})");
            figure.revive();
            figure.shows(&starts(&name));
            assert_eq!(figure.value(boxes), before, "{name} at {size:?}");
            assert_eq!(figure.value("window.shifts"), 0, "{name} at {size:?}");
            figure.alone();
            figure.browser.value(&figure.tab.clone(), &axe);
            let found = figure.value(
                "axe.run($, {resultTypes: ['violations'], preload: false}).then((all) => all.violations.flatMap((rule) => rule.nodes.map((node) => rule.id + ': ' + node.html)))",
            );
            assert_eq!(found, json!([]), "{name} at {size:?}");
            figure.quiet();
            browser = figure.close();
        }
    }
}

/// Every slider of every figure by the arrow keys, every switch by the space bar: the page stays,
/// and shows what the native crates compute.
#[test]
fn a_keyboard_sets_every_control() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    for (page, name) in pages() {
        let mut figure = Figure::within(browser, &page, &name, (1440, 900));
        figure.revive();
        let here = figure.value("location.pathname");
        let inputs = "[...$.querySelectorAll('[data-control]')]";
        let count = figure.value(&format!("{inputs}.length")).as_u64().unwrap();
        for at in 0..count {
            let before = figure.values();
            let kind = figure.value(&format!("{inputs}[{at}].type"));
            figure.value(&format!("{inputs}[{at}].focus()"));
            match kind.as_str().unwrap() {
                "range" => {
                    let last =
                        format!("Number({inputs}[{at}].value) >= Number({inputs}[{at}].max)");
                    let (key, code) = if figure.value(&last) == true {
                        ("ArrowLeft", 37)
                    } else {
                        ("ArrowRight", 39)
                    };
                    figure.press(key, code);
                }
                // From the option that is chosen to the next; the others are no stop of Tab.
                "radio" => {
                    if figure.value(&format!("{inputs}[{at}].checked")) != true {
                        continue;
                    }
                    figure.press("ArrowDown", 40);
                }
                "checkbox" => figure.press(" ", 32),
                _ => {
                    figure
                        .browser
                        .call(&figure.tab, "Input.insertText", json!({"text": "1"}));
                }
            }
            let after = figure.values();
            assert_ne!(after, before, "{name}: control {at} stands still");
            figure.shows(&after);
        }
        assert_eq!(figure.value("location.pathname"), here);
        figure.value("$.querySelector('[data-live-reset]').click()");
        figure.shows(&starts(&name));
        // What is there after a pause is told to a screen reader.
        figure.wait("$.querySelector('[role=status]').textContent === $.querySelector('[data-live-text]').textContent");
        figure.quiet();
        browser = figure.close();
    }
}

/// Four quarters up, on the scale of the drawing.
#[test]
fn a_handle_is_dragged_to_a_value() {
    for size in [(1440, 900), (360, 740)] {
        let Some(mut figure) = Figure::open("bn-backward.html", "paths", size) else {
            return;
        };
        let mut values = starts("paths");
        let handle = "[data-drag-y^=dy2]";
        let ends = figure.value(&format!(
            "$.querySelector('{} {handle}').dataset.dragY.split(' ').slice(1).map(Number)",
            if size.0 > 600 { ".wide" } else { ".narrow" }
        ));
        let [low, high] = [0, 1].map(|at| ends[at].as_f64().unwrap());
        figure.drag(handle, (30.0, (high - low) / 4.0));
        values[8] = "1".to_owned();
        figure.shows(&values);
        assert_eq!(figure.values(), values);
        // Beyond the end of the scale, it is at the end.
        figure.drag(handle, (0.0, 10.0 * (high - low)));
        values[8] = "2".to_owned();
        figure.shows(&values);
        figure.quiet();
    }
}

/// What a move leaves as it is stays in the page, shape by shape, and is not put there again.
#[test]
fn only_what_differs_is_drawn_anew() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    for (page, name) in pages() {
        let mut figure = Figure::within(browser, &page, &name, (1440, 900));
        figure.revive();
        figure.value("window.shapes = [...$.querySelectorAll('.wide g > *')]; shapes.forEach((shape) => { shape.was = shape.outerHTML; })");
        let slider = "$.querySelector('input[type=range]')";
        figure.value(&format!("{slider}.focus()"));
        let last = figure.value(&format!("Number({slider}.value) >= Number({slider}.max)"));
        let (key, code) = match last == true {
            true => ("ArrowLeft", 37),
            false => ("ArrowRight", 39),
        };
        figure.press(key, code);
        let values = figure.values();
        figure.shows(&values);
        let counts = figure.value(
            "[...$.querySelectorAll('.wide g > *')].reduce(([kept, fresh], shape) => shape.was ? [kept + 1, fresh] : [kept, fresh + 1], [0, 0])",
        );
        let [kept, fresh] = [0, 1].map(|at| counts[at].as_u64().unwrap());
        assert!(fresh > 0, "{name}: nothing was drawn");
        assert!(
            kept > fresh / 3 && kept > 8,
            "{name}: {kept} stay, {fresh} are new"
        );
        let same = "shapes.every((shape) => !shape.isConnected || shape.outerHTML === shape.was)";
        assert_eq!(figure.value(same), true, "{name}");
        browser = figure.close();
    }
}

/// Of both forms the one that is seen is drawn, and the other when it is.
#[test]
fn the_other_form_is_there_when_it_is_seen() {
    let Some(mut figure) = Figure::open("bn-backward.html", "paths", (1440, 900)) else {
        return;
    };
    let tab = figure.tab.clone();
    let start = figure.value("$.querySelector('.narrow').innerHTML");
    figure.value("$.querySelector('[data-control=dy2]').focus()");
    figure.press("ArrowRight", 39);
    let values = figure.values();
    figure.shows(&values);
    assert_eq!(figure.value("$.querySelector('.narrow').innerHTML"), start);
    for (width, seen) in [(360, ".narrow"), (1440, ".wide")] {
        figure.browser.call(
            &tab,
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false}),
        );
        figure.wait(&format!("$.querySelector('{seen}').checkVisibility()"));
        let values = figure.values();
        figure.shows(&values);
        figure.value("$.querySelector('[data-control=dy2]').focus()");
        figure.press("ArrowLeft", 37);
    }
    // A printer is told of no size before it prints.
    let values = figure.values();
    figure.shows(&values);
    let answer = bridge::answer(&format!("paths\n{}", values.join("\n")));
    let answer: Vec<&str> = answer.split('\0').collect();
    let narrow = format!(
        "{SAME}($.querySelector('.narrow'), {{narrow: {}}})",
        json!(answer[1])
    );
    assert_eq!(figure.value(&narrow), false);
    figure.value("window.dispatchEvent(new Event('beforeprint'))");
    assert_eq!(figure.value(&narrow), true);
}

/// Nothing in a figure is laid out with the page, so the page is told how high it is: as high as
/// what it holds, also when its sentence takes more lines, or fewer.
#[test]
fn a_figure_is_as_high_as_what_it_holds() {
    let Some(mut figure) = Figure::open("bn-backward.html", "break-gradient", (800, 900)) else {
        return;
    };
    let tab = figure.tab.clone();
    assert_eq!(figure.value("getComputedStyle($).contain"), "size layout");
    let fits = "$.offsetHeight === $.querySelector('[data-live-body]').offsetHeight
        && $.getBoundingClientRect().bottom === $.querySelector('[data-live-body]').getBoundingClientRect().bottom";
    let mut heights = Vec::new();
    for (weight, width) in [(1.0, 800), (2.5, 800), (2.5, 360), (1.0, 1200)] {
        figure.browser.call(
            &tab,
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}),
        );
        figure.value(&format!(
            "$.querySelector('[data-control=mean]').value = {weight};
             $.querySelector('[data-control=mean]').dispatchEvent(new Event('input', {{bubbles: true}}))"
        ));
        let values = figure.values();
        figure.shows(&values);
        figure.wait(fits);
        heights.push(figure.value("$.offsetHeight").as_u64().unwrap());
    }
    heights.dedup();
    assert!(heights.len() > 2, "{heights:?}");
    figure.browser.call(
        &tab,
        "Emulation.setEmulatedMedia",
        json!({"media": "print"}),
    );
    assert_eq!(figure.value("getComputedStyle($).contain"), "none");
    assert_eq!(figure.value(fits), true);
}

/// The tip of an arrow goes where the pointer takes it, and three controls follow.
#[test]
fn a_tip_is_dragged_through_space() {
    for size in [(1440, 900), (360, 740)] {
        let Some(mut figure) = Figure::open("bn-backward.html", "projection", size) else {
            return;
        };
        let before = figure.values();
        let tip = "(() => {
            const all = [...$.querySelectorAll('[data-drag] circle')];
            const seen = all.find((e) => e.checkVisibility());
            return [seen.cx.baseVal.value, seen.cy.baseVal.value];
        })()";
        let from = figure.value(tip);
        let way = (30.0, -24.0);
        figure.drag("[data-drag]", way);
        let after = figure.values();
        assert_eq!(after[..3], before[..3]);
        assert_ne!(after[3..6], before[3..6]);
        figure.shows(&after);
        // As near as controls in quarters let it come.
        let to = figure.value(tip);
        for (axis, way) in [way.0, way.1].into_iter().enumerate() {
            let [from, to] = [&from, &to].map(|place| place[axis].as_f64().unwrap());
            assert!((to - from - way).abs() < 14.0, "{axis}: {from} {to}");
        }
        figure.quiet();
    }
}

/// A click in a drawing sets the control that the keyboard sets.
#[test]
fn a_click_in_a_drawing_sets_a_control() {
    let Some(mut figure) = Figure::open("choosing.html", "share", (1440, 900)) else {
        return;
    };
    let place = figure.middle("[data-set='cell 50']");
    figure.mouse("mousePressed", place);
    figure.mouse("mouseReleased", place);
    let mut values = starts("share");
    *values.last_mut().unwrap() = "50".to_owned();
    figure.shows(&values);
    assert_eq!(figure.values(), values);
}

/// A finger that moves a slider of a phone does not open the contents, as a swipe elsewhere does.
#[test]
fn a_swipe_over_a_slider_is_the_sliders() {
    let Some(mut figure) = Figure::open("bn-backward.html", "paths", (360, 740)) else {
        return;
    };
    let swipe = "((where) => {
        for (const [kind, x] of [['touchstart', 20], ['touchmove', 260]]) {
            const touch = new Touch({identifier: 1, target: where, clientX: x, clientY: 300});
            where.dispatchEvent(new TouchEvent(kind, {bubbles: true, touches: [touch]}));
        }
        return document.documentElement.classList.contains('sidebar-visible');
    })";
    let slider = "$.querySelector('[data-control=x1]')";
    assert_eq!(figure.value(&format!("{swipe}({slider})")), false);
    assert_eq!(
        figure.value(&format!("{swipe}(document.querySelector('main p'))")),
        true
    );
}

/// What breaks off says why, and the next move starts anew.
#[test]
fn a_figure_that_breaks_off_says_so() {
    let Some(mut figure) = Figure::open("bn-backward.html", "paths", (1440, 900)) else {
        return;
    };
    figure.value("window.figure = $; window.figure.dataset.live = 'none'");
    let slider = "window.figure.querySelector('[data-control=x1]')";
    let moved = format!(
        "{slider}.value = 2; {slider}.dispatchEvent(new Event('input', {{bubbles: true}}))"
    );
    figure.value(&moved);
    figure.wait("window.figure.innerText.includes('there is no live figure `none`')");
    figure.value("window.figure.dataset.live = 'paths'");
    figure.value(&moved);
    let mut values = starts("paths");
    values[3] = "2".to_owned();
    figure.shows(&values);
}

/// Without scripts and on paper there is the drawing, and no control that does nothing.
#[test]
fn a_still_needs_no_script_and_no_screen() {
    let Some(mut figure) = Figure::open("bn-backward.html", "paths", (1440, 900)) else {
        return;
    };
    let seen = "[...$.querySelectorAll('svg, .live-text, .live-controls')].filter((e) => e.checkVisibility()).map((e) => e.tagName)";
    assert_eq!(figure.value(seen), json!(["svg", "P", "FIELDSET"]));
    let tab = figure.tab.clone();
    figure.browser.call(
        &tab,
        "Emulation.setEmulatedMedia",
        json!({"media": "print"}),
    );
    assert_eq!(figure.value(seen), json!(["svg", "P"]));
    // What has a fixed place in a window would stand on every sheet.
    let fixed = "[...document.querySelectorAll('body *')]
        .filter((e) => getComputedStyle(e).position === 'fixed' && e.checkVisibility())
        .map((e) => e.className)";
    assert_eq!(figure.value(fixed), json!([]));
    figure
        .browser
        .call(&tab, "Emulation.setEmulatedMedia", json!({"media": ""}));
    figure.browser.call(
        &tab,
        "Emulation.setScriptExecutionDisabled",
        json!({"value": true}),
    );
    figure
        .browser
        .open(&tab, &format!("{}/bn-backward.html", *BOOK));
    assert_eq!(figure.value(seen), json!(["svg", "P"]));
}

/// A module is as large as a page may load, so a page has figures of one.
#[test]
fn the_figures_of_a_page_are_in_one_module() {
    let mut modules = BTreeMap::new();
    for (page, name) in pages() {
        let figure = figures::find(&name).unwrap_or_else(|| panic!("{page}: {name}"));
        let module = figures::module_of(&figure);
        let first = *modules.entry(page.clone()).or_insert(module);
        assert_eq!(module, first, "{page}: move `{name}` to another module");
    }
}

/// Whatever a control is set to, from one end to the other, the words of a drawing stand clear of
/// each other, in both forms.
#[test]
fn words_stand_clear_of_each_other() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let mut problems = Vec::new();
    for (width, form) in [(1440, 0), (360, 1)] {
        for (page, name) in pages() {
            let mut page = Figure::within(browser, &page, &name, (width, 900));
            page.alone();
            let figure = figures::find(&name).unwrap();
            let answers = settings(&figure).into_iter().map(|values| {
                let answer = bridge::answer(&format!("{name}\n{}", values.join("\n")));
                (
                    values.join(" "),
                    answer.split('\0').nth(form).unwrap().to_owned(),
                )
            });
            let answers: Vec<(String, String)> = answers.collect();
            let script = format!(
                "document.fonts.ready.then(() => {{
                    {COLLISIONS}
                    const place = $.querySelectorAll('[data-live-drawing] > div')[{form}];
                    return {}.flatMap(([values, svg]) => {{
                        place.innerHTML = svg;
                        return collisions(place.firstElementChild).map((found) => found + ' at ' + values);
                    }});
                }})",
                json!(answers)
            );
            let found = page.value(&script);
            let found = found.as_array().unwrap().iter();
            problems.extend(found.map(|found| format!("{width}: {}", found.as_str().unwrap())));
            browser = page.close();
        }
    }
    let count = problems.len();
    problems.truncate(40);
    assert!(problems.is_empty(), "{count}:\n{}", problems.join("\n"));
}

/// A slider stays under the finger that moves it: the sentence above it has the room that its longest
/// form needs, on a phone, on one that lies on its side, and in a window.
#[test]
fn a_sentence_moves_no_control() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let mut problems = Vec::new();
    for width in [360, 740, 1440] {
        for (page, name) in pages() {
            let mut page = Figure::within(browser, &page, &name, (width, 900));
            let figure = figures::find(&name).unwrap();
            let sentences = settings(&figure).into_iter().map(|values| {
                let answer = bridge::answer(&format!("{name}\n{}", values.join("\n")));
                let sentence = answer.split('\0').nth(2).unwrap().to_owned();
                (sentence, values.join(" "))
            });
            let sentences: Vec<(String, String)> = sentences.collect();
            let found = page.value(&format!(
                "document.fonts.ready.then(() => {{
                    const place = $.querySelector('[data-live-text]');
                    const line = parseFloat(getComputedStyle(place).lineHeight);
                    const found = {{}};
                    for (const [sentence, values] of {}) {{
                        place.textContent = sentence;
                        found[Math.round(place.offsetHeight / line)] ??= values;
                    }}
                    return Object.entries(found).map(([lines, values]) => lines + ' lines at ' + values);
                }})",
                json!(sentences)
            ));
            if found.as_array().unwrap().len() > 1 {
                problems.push(format!("{width}, {name}: {found}"));
            }
            browser = page.close();
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// How a figure begins, with each of its controls at some places between its ends, with all
/// sliders of a group at one of theirs, and with each choice and each slider at an end.
fn settings(figure: &live::Figure) -> Vec<Vec<String>> {
    let mut all = vec![starts(figure.name)];
    for (at, control) in figure.controls().enumerate() {
        let values: Vec<String> = match control.kind {
            Kind::Slider { min, max, step, .. } => (0..8)
                .map(|part| min + step * (f64::from(part) / 7.0 * (max - min) / step).round())
                .map(|value| value.to_string())
                .collect(),
            Kind::Choice { options, .. } => (0..options.len()).map(|at| at.to_string()).collect(),
            Kind::Switch { .. } => vec!["0".to_owned(), "1".to_owned()],
            Kind::Text { .. } => Vec::new(),
        };
        all.extend(values.into_iter().map(|value| {
            let mut setting = starts(figure.name);
            setting[at] = value;
            setting
        }));
    }
    let mut first = 0;
    for group in figure.groups {
        for end in [0, 1] {
            let mut setting = starts(figure.name);
            for (at, control) in (first..).zip(group.controls) {
                if let Kind::Slider { min, max, .. } = control.kind {
                    setting[at] = [min, max][end].to_string();
                }
            }
            all.push(setting);
        }
        first += group.controls.len();
    }
    let controls: Vec<&Control> = figure.controls().collect();
    for (at, control) in controls.iter().enumerate() {
        let options = match control.kind {
            Kind::Choice { options, .. } => options.len(),
            Kind::Switch { .. } => 2,
            _ => 0,
        };
        for option in 0..options {
            for (slider, other) in controls.iter().enumerate() {
                if let Kind::Slider { min, max, .. } = other.kind {
                    for end in [min, max] {
                        let mut setting = starts(figure.name);
                        (setting[at], setting[slider]) = (option.to_string(), end.to_string());
                        all.push(setting);
                    }
                }
            }
        }
    }
    all
}

/// The sorted numbers of an array, of which the one in the middle, the one that one of twenty
/// exceeds, and the last are told.
fn told(numbers: &Value) -> String {
    let numbers = numbers.as_array().unwrap().iter();
    let mut numbers: Vec<f64> = numbers.map(|number| number.as_f64().unwrap()).collect();
    numbers.sort_by(f64::total_cmp);
    let Some(&last) = numbers.last() else {
        return "none".to_owned();
    };
    let at = |share: f64| numbers[(share * numbers.len() as f64) as usize];
    let (median, most) = (at(0.5), at(0.95));
    format!("median {median:5.1}, 95 % below {most:5.1}, slowest {last:5.1}")
}

/// How far apart the pictures of a page are, in milliseconds, while each slider is dragged from end
/// to end in a browser that is slowed down to a half and to a quarter, and what its main thread does
/// for each: script, style, layout and paint, and all else. Run it where nothing else runs:
/// `cargo test -p course --test figures pictures -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn how_long_pictures_take() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    const WATCH: &str = "(() => {
        const apart = [];
        let [last, on] = [0, true];
        const frame = (now) => {
            if (last) apart.push(now - last);
            last = now;
            if (on) requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
        window.told = () => { on = false; return apart; };
        return true;
    })()";
    const STEPS: u32 = 60;
    let each = pages()
        .into_iter()
        .flat_map(|page| [2, 4].map(|slower| (page.clone(), slower)));
    for ((page, name), slower) in each {
        let mut figure = Figure::within(browser, &page, &name, (1440, 900));
        figure.revive();
        let tab = figure.tab.clone();
        let rate = json!({"rate": slower});
        figure
            .browser
            .call(&tab, "Emulation.setCPUThrottlingRate", rate);
        figure.browser.call(&tab, "Performance.enable", json!({}));
        for control in figures::find(&name).unwrap().controls() {
            let Kind::Slider { .. } = control.kind else {
                continue;
            };
            let slider = format!("[data-control={}]", control.name);
            let (x, y) = figure.middle(&slider);
            let width = figure.value(&format!("$.querySelector('{slider}').offsetWidth"));
            let reach = width.as_f64().unwrap() / 2.0 - 8.0;
            thread::sleep(Duration::from_millis(300));
            figure.value(WATCH);
            let before = figure.busy();
            figure.mouse("mousePressed", (x - reach, y));
            for step in 1..=STEPS {
                let (start, share) = (Instant::now(), f64::from(step) / f64::from(STEPS));
                figure.mouse("mouseMoved", (x - reach + 2.0 * reach * share, y));
                thread::sleep(Duration::from_millis(16).saturating_sub(start.elapsed()));
            }
            figure.mouse("mouseReleased", (x + reach, y));
            let busy = figure.busy() - before;
            let apart = figure.value("told()");
            println!(
                "1/{slower} {name:14} {:8} apart: {}; busy for each: {:5.1}",
                control.name,
                told(&apart),
                busy / apart.as_array().unwrap().len() as f64
            );
        }
        browser = figure.close();
    }
}

/// How long answers take in a browser that is slowed down to a quarter, in milliseconds. Run it
/// where nothing else runs: `cargo test -p course --test figures answer -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn how_long_an_answer_takes() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let tab = browser.tab();
    browser.open(&tab, &format!("{}/glossary.html", *BOOK));
    browser.call(&tab, "Emulation.setCPUThrottlingRate", json!({"rate": 4}));
    for figure in figures::all() {
        let questions = settings(&figure);
        let script = format!(
            "(async (name, module, questions) => {{
                const bytes = await (await fetch(`${{module}}.wasm`)).arrayBuffer();
                const page = (await WebAssembly.instantiate(bytes, {{}})).instance.exports;
                const ask = (values) => {{
                    const text = new TextEncoder().encode([name, ...values].join('\\n'));
                    const room = page.question(text.length);
                    new Uint8Array(page.memory.buffer, room, text.length).set(text);
                    const start = performance.now();
                    page.answer();
                    return performance.now() - start;
                }};
                for (let turn = 0; turn < 3; turn += 1) questions.forEach(ask);
                // The best of some, since the machine does other things as well.
                const best = questions.map((one) => Math.min(...[1, 2, 3, 4, 5].map(() => ask(one))));
                best.sort((a, b) => a - b);
                return [best[best.length >> 1], best.at(-1)];
            }})({}, {}, {})",
            json!(figure.name),
            json!(figures::module_of(&figure)),
            json!(questions)
        );
        let found = browser.value(&tab, &script);
        println!(
            "{:16} median {:5.1}, slowest {:5.1}",
            figure.name,
            found[0].as_f64().unwrap(),
            found[1].as_f64().unwrap()
        );
    }
}

/// A page without a figure asks for nothing of this, and one with a figure only when it is near.
#[test]
fn what_is_not_needed_is_not_loaded() {
    let Some(mut figure) = Figure::still("bn-backward.html", "paths", (1440, 300)) else {
        return;
    };
    let loaded = "performance.getEntriesByType('resource').map((e) => e.name.split('/').pop()).filter((name) => name === 'live.js' || name.endsWith('.wasm')).sort()";
    figure.value("new Promise((done) => setTimeout(done, 300, true))");
    assert_eq!(figure.value(loaded), json!([]));
    figure.revive();
    assert_eq!(figure.value(loaded), json!(["diagnosis.wasm", "live.js"]));
    let tab = figure.tab.clone();
    figure
        .browser
        .open(&tab, &format!("{}/glossary.html", *BOOK));
    figure.value("new Promise((done) => setTimeout(done, 300, true))");
    assert_eq!(figure.value(loaded), json!([]));
}

//! Takes the picture of a verdict that the README shows, `book/verdict.png`.
//!
//! ```console
//! cargo run -p course --example picture
//! ```
//!
//! It clones what is committed into a temporary folder and runs the course there, with its
//! dependencies already downloaded. A Chromium without a window opens the page of chapter 8, an
//! exercise is saved with a term left out of its gradient, and what the page then says of it is
//! the picture. No file of this checkout is touched but the picture itself.
#![forbid(unsafe_code)]

#[path = "../tests/common/browser.rs"]
mod browser;
mod running;

use anyhow::{Context, Result, ensure};
use browser::Browser;
use course::files::write_atomically;
use course::stub::without_marks;
use course::workspace::Workspace;
use running::Course;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

const EXERCISE: &str = "bn_backward_closed_form";
const PAGE: &str = "bn-backward.html";
/// The term that is left out, and so the whole path from x over the variance to `x_hat`.
const TERM: &str = " - x_hat[k] * dgamma[ch] / m";
/// How long the packages of the exercises may take to compile.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() -> Result<()> {
    let own = Workspace::find()?;
    let folder = tempfile::tempdir()?;
    let clone = folder.path().join("clone");
    let workspace = running::cloned(&own, &clone)?;
    let solution = fs::read_to_string(workspace.solution(EXERCISE))?;
    let wrong = without_marks(&solution).replace(TERM, "");
    ensure!(wrong.len() < solution.len(), "the term is not there");

    let mut browser = Browser::start().context("a Chromium is needed")?;
    let mut course = Course(
        running::command(&clone)
            .spawn()
            .context("cannot run cargo")?,
    );
    let address = course.address()?;
    let tab = browser.tab();
    let size = json!({"width": 760, "height": 1000, "deviceScaleFactor": 2, "mobile": false});
    browser.call(&tab, "Emulation.setDeviceMetricsOverride", size);
    let light = json!({"features": [{"name": "prefers-color-scheme", "value": "light"}]});
    browser.call(&tab, "Emulation.setEmulatedMedia", light);
    browser.open(&tab, &format!("{address}/{PAGE}"));

    write_atomically(&workspace.exercise(EXERCISE), &wrong)?;
    let exercise = format!("document.querySelector('[data-exercise={EXERCISE}]')");
    let start = Instant::now();
    while browser.value(&tab, &format!("{exercise}.dataset.state")) != "tried" {
        ensure!(start.elapsed() < PATIENCE, "no verdict");
        thread::sleep(Duration::from_millis(100));
    }
    // In sight, and after two frames and all fonts, so that nothing moves any more.
    let clip = browser.value(
        &tab,
        &format!(
            "(async () => {{
                const verdict = {exercise}.querySelector('.verdict');
                verdict.scrollIntoView({{block: 'center', behavior: 'instant'}});
                await document.fonts.ready;
                for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
                const box = verdict.getBoundingClientRect();
                const [x, y] = [box.x + scrollX - 8, box.y + scrollY - 8];
                return {{x, y, width: box.width + 16, height: box.height + 16, scale: 1}};
            }})()"
        ),
    );
    let how = json!({"format": "png", "clip": clip});
    let shot = browser.call(&tab, "Page.captureScreenshot", how);
    let picture = shot["data"].as_str().context("no picture")?;
    let picture = data_encoding::BASE64.decode(picture.as_bytes())?;
    let file = own.book().join("verdict.png");
    write_atomically(&file, &picture)?;
    println!("written: {}", own.relative(&file));
    Ok(())
}

impl Course {
    /// Waits until the book is served.
    fn address(&mut self) -> Result<String> {
        let mut out = BufReader::new(self.0.stdout.take().context("no output")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let address = line.trim().strip_prefix("The book is at ");
        let address = address.with_context(|| format!("the course did not start: {line}"))?;
        // The rest is read and dropped, or a full pipe would stop the course.
        thread::spawn(move || io::copy(&mut out, &mut io::sink()));
        Ok(address.trim_end_matches('/').to_owned())
    }
}

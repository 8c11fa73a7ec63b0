//! How long a reader waits: from the first command to the first verdict on a fresh clone,
//! and from a save to its verdict once all is warm.
//!
//! ```console
//! cargo run -p course --example latency
//! cargo run -p course --example latency -- 50    # that many saves
//! ```
//!
//! It clones what is committed into a temporary folder, runs `cargo run` there,
//! with its dependencies already downloaded, and saves exercises as a reader would. No
//! file of this checkout is touched. Run it on an idle machine; the processor time, which
//! it prints on Linux, is less disturbed by what else is running.
#![forbid(unsafe_code)]

mod running;

use anyhow::{Context, Result, bail, ensure};
use course::catalogue::Catalogue;
use course::files::write_atomically;
use course::stub::without_marks;
use course::workspace::Workspace;
use running::Course;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

fn main() -> Result<()> {
    let saves: usize = match env::args().nth(1) {
        Some(count) => count.parse().context("the number of saves is no number")?,
        None => 24,
    };
    ensure!(saves > 0, "at least one save is needed");
    let own = Workspace::find()?;
    let folder = tempfile::tempdir()?;
    let clone = folder.path().join("clone");
    let workspace = running::cloned(&own, &clone)?;

    let start = Instant::now();
    let mut command = running::command(&clone);
    command.env_remove("CARGO_TARGET_DIR");
    let mut course = Course(command.spawn().context("cannot run cargo")?);
    let mut events = Events::of(&mut course.0)?;
    events.next(|event| event["event"] == "state")?;
    println!(
        "the book is served after        {}",
        seconds(start.elapsed())
    );

    let exercises = Catalogue::load(&workspace)?.exercises;
    let save = |at: usize, events: &mut Events| -> Result<Duration> {
        let name = &exercises[at % exercises.len()].name;
        let solution = fs::read_to_string(workspace.solution(name))?;
        let text = format!("{}\n// Saved {at}.\n", without_marks(&solution));
        let start = Instant::now();
        write_atomically(&workspace.exercise(name), &text)?;
        let event = events
            .next(|event| event["event"] == "verdict" && event["exercise"] == name.as_str())?;
        let waited = start.elapsed();
        ensure!(event["state"] == "passed", "{name} does not pass: {event}");
        Ok(waited)
    };
    save(0, &mut events)?;
    println!(
        "the first verdict comes after   {}",
        seconds(start.elapsed())
    );
    let spent = course.processor_time();
    if let Some(spent) = spent {
        println!("  processor time until then     {}", seconds(spent));
    }

    // Each exercise once, so that the disk is warm.
    for at in 1..=exercises.len() {
        save(at, &mut events)?;
    }
    let before = course.processor_time();
    let mut waited = Vec::new();
    for at in 0..saves {
        waited.push(save(1000 + at, &mut events)?);
        // A reader does not save without a pause, and the watcher has come to rest.
        thread::sleep(Duration::from_millis(200));
    }
    waited.sort_unstable();
    println!(
        "from a save to its verdict, {saves} saves of {} exercises:",
        exercises.len()
    );
    println!(
        "  median                        {}",
        seconds(waited[saves / 2])
    );
    println!(
        "  the fastest and the slowest   {} and {}",
        seconds(waited[0]),
        seconds(waited[saves - 1])
    );
    if let (Some(before), Some(after)) = (before, course.processor_time()) {
        let each = (after - before) / u32::try_from(saves)?;
        println!("  processor time of each        {}", seconds(each));
    }
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:7.3} s", time.as_secs_f64())
}

impl Course {
    /// What the process and its finished children have used, where `/proc` tells.
    /// `cargo run` becomes the command it runs, so the build is counted.
    fn processor_time(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        // After the name in parentheses: utime, stime, cutime and cstime are the fields
        // 14 to 17, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: Option<Vec<u64>> = fields.get(11..15)?.iter().map(|f| f.parse().ok()).collect();
        Some(Duration::from_millis(10 * ticks?.iter().sum::<u64>()))
    }
}

/// What the open page is told.
struct Events(BufReader<TcpStream>);

impl Events {
    /// Waits until the book is served, and opens the stream of events.
    fn of(course: &mut Child) -> Result<Self> {
        let mut out = BufReader::new(course.stdout.take().context("no output")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let Some(address) = line.trim().strip_prefix("The book is at http://") else {
            bail!("the course did not start: {line}");
        };
        let address = address.trim_end_matches('/');
        // The rest is read and dropped, or a full pipe would stop the course.
        thread::spawn(move || io::copy(&mut out, &mut io::sink()));
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
        Ok(Self(BufReader::new(stream)))
    }

    fn next(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let mut line = String::new();
            ensure!(
                self.0.read_line(&mut line)? > 0,
                "the stream of events ended"
            );
            let Some(json) = line.strip_prefix("data: ") else {
                continue;
            };
            let event: Value = serde_json::from_str(json)?;
            ensure!(event["event"] != "broken", "{}", event["message"]);
            if wanted(&event) {
                return Ok(event);
            }
        }
    }
}

//! A check that takes its time, as a terminal shows it: one line that is written over. Where the
//! output is no terminal, only an exercise that itself takes its time is told of, in a line for each
//! tenth.

use crate::check::Step;
use crate::terminal;
use anstream::eprintln;
use std::io::{IsTerminal, Write};
use verdict::Moment;

/// What has been shown of a check.
pub struct Bar {
    name: String,
    /// Whether lines can be written over.
    rewrites: bool,
    /// Whether there is a line to be written over.
    shown: bool,
    /// The tenth that was told last.
    tenth: Option<u64>,
}

impl Bar {
    /// Nothing yet of the exercise `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            rewrites: std::io::stderr().is_terminal(),
            shown: false,
            tenth: None,
        }
    }

    /// Shows how far it is.
    pub fn show(&mut self, step: &Step) {
        let moment = match (step, step.told(&self.name)) {
            (Step::Runs(None), _) => return,
            (Step::Runs(Some(moment)), _) => moment,
            _ if !self.rewrites => return,
            (_, (words, None)) => return self.write(&format!("{}: {words} …", self.name)),
            (_, (words, Some([done, of]))) => &Moment {
                done,
                of,
                told: words.to_owned(),
                ..Moment::default()
            },
        };
        let tenth = Some(10 * moment.done / moment.of.max(1));
        let line = terminal::moment(&self.name, moment);
        if self.rewrites {
            self.write(&anstream::adapter::strip_str(&line).to_string());
        } else if tenth != self.tenth {
            eprintln!("{line}");
        }
        self.tenth = tenth;
    }

    /// Takes the line away again.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            self.write("");
            self.shown = false;
        }
    }

    fn write(&mut self, line: &str) {
        // A line that is longer than the window could not be written over.
        let width = textwrap::termwidth().saturating_sub(1);
        let line: String = line.chars().take(width).collect();
        let mut out = std::io::stderr().lock();
        // A terminal that has gone away shows nothing.
        let _ = write!(out, "\r\u{1b}[2K{line}").and_then(|()| out.flush());
        self.shown = true;
    }
}

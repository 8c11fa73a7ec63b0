//! A run that takes its time, as a terminal shows it: one line that is written over, or, where the
//! output is no terminal, a line for each tenth.

use crate::terminal;
use anstream::eprintln;
use std::io::{IsTerminal, Write};
use verdict::Moment;

/// What has been shown of a run.
pub struct Bar {
    name: String,
    /// Whether lines can be written over.
    rewrites: bool,
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
            tenth: None,
        }
    }

    /// Shows how far it is.
    pub fn show(&mut self, moment: &Moment) {
        let tenth = Some(10 * moment.done / moment.of.max(1));
        let line = terminal::moment(&self.name, moment);
        if self.rewrites {
            // A line that is longer than the window could not be written over.
            let width = textwrap::termwidth().saturating_sub(1);
            let line = anstream::adapter::strip_str(&line).to_string();
            let line: String = line.chars().take(width).collect();
            self.write(&line);
        } else if tenth != self.tenth {
            eprintln!("{line}");
        }
        self.tenth = tenth;
    }

    /// Takes the line away again.
    pub fn clear(&mut self) {
        if self.rewrites && self.tenth.take().is_some() {
            self.write("");
        }
    }

    fn write(&self, line: &str) {
        let mut out = std::io::stderr().lock();
        // A terminal that has gone away shows nothing.
        let _ = write!(out, "\r\u{1b}[2K{line}").and_then(|()| out.flush());
    }
}

//! The command a reader runs.
//!
//! `course` builds the book and serves it on the loopback interface, watches the
//! exercises, compiles and checks each one as it is saved, and shows the verdict in
//! the terminal and in the open page. The same verdicts are there as sub-commands
//! with exit codes, for a pipe or a script.
//!
//! | Module | What it holds |
//! |---|---|
//! | [`workspace`] | where the book and the exercises lie |
//! | [`files`] | writing, replacing and locking files so that nothing is lost |
//! | [`digest`] | short names for contents |
//! | [`catalogue`] | the exercises: titles, tasks, hints, explanations |
//! | [`progress`] | what the reader has done, in a small TOML file |
//! | [`compile`] | compile one exercise, by cargo or by the compiler alone |
//! | `shared` | all that exercises are linked with, as one library |
//! | [`process`] | run a program, end all that it starts, keep what it prints |
//! | [`check`] | run a compiled exercise, read its report |
//! | [`follow`] | a run that takes its time, as a terminal shows it |
//! | [`stub`] | an exercise as it was shipped, made from its solution |
//! | [`book`] | the Markdown of the book made into pages |
//! | [`site`] | the built pages in memory, and the headers they are sent with |
//! | [`serve`] | HTTP on loopback, and the stream of events to the open page |
//! | [`watch`] | noticing a save, however the editor writes it |
//! | [`live`] | the default command: all of the above at once |
//! | [`program`] | starting the lab, `verify`, `diagnose` and `numbers`, which are programs of their own |
//! | [`prose`] | Markdown as a terminal shows it |
//! | [`terminal`] | verdicts for people |
//! | [`exit`] | the exit codes |
//! | [`cli`] | the command line |
#![forbid(unsafe_code)]

pub mod book;
pub mod cargo;
pub mod catalogue;
pub mod check;
pub mod cli;
pub mod compile;
pub mod digest;
pub mod exit;
pub mod files;
pub mod follow;
pub mod live;
pub mod process;
pub mod program;
pub mod progress;
pub mod prose;
pub mod serve;
mod shared;
pub mod site;
pub mod stub;
pub mod terminal;
pub mod watch;
pub mod workspace;

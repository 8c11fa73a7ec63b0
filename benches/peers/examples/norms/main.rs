//! The normalization layers of candle and burn, checked from outside.
//!
//! ```sh
//! cargo run --release --manifest-path benches/peers/Cargo.toml --example norms
//! ```
//!
//! Each layer gets inputs on which mistakes show, and a random upstream gradient `dy` by way of
//! `sum(y * dy)`. What it returns is judged by `diagnose`, in `f64` and in `f32`, and in `f64` by
//! finite differences of its own forward pass as well; its defaults are found by what it
//! computes and held to PyTorch's. Nothing is said of a layer that was not found here.
//!
//! The exit code is 1 when something is found that `known.rs` does not list, or something that
//! it lists is found no more: a new version has broken it, or mended it.

mod in_burn;
mod in_candle;
mod judged;
mod known;
mod layer;
#[cfg(test)]
mod tests;

use crate::judged::{ARRAYS, Convention, Data, Finding, Row, conventions, judge, judge_op};
use crate::known::{KNOWN, news, thread_of};
use crate::layer::{Layer, Op};
use gradcheck::attribution::norm::Norm;
use std::process::ExitCode;

fn layers() -> Vec<Layer> {
    let channels = judged::shape_of(Norm::Group { groups: 1 })[1];
    let mut all = in_candle::layers();
    all.extend(in_burn::layers(channels));
    all
}

fn others() -> Vec<Op> {
    let mut all = in_candle::others();
    all.extend(in_burn::others());
    all
}

/// All that was looked at.
struct Survey {
    rows: Vec<Row>,
    conventions: Vec<Convention>,
    others: Vec<(Op, Result<(), Finding>)>,
}

impl Survey {
    fn of_all() -> Self {
        let layers = layers();
        let rows = layers
            .iter()
            .flat_map(|layer| Data::ALL.map(|data| judge(layer, data)));
        let others = others().into_iter().map(|op| {
            let judged = judge_op(&op);
            (op, judged)
        });
        Self {
            rows: rows.collect(),
            conventions: layers.iter().flat_map(conventions).collect(),
            others: others.collect(),
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let rows = self.rows.iter().flat_map(|row| row.findings.clone());
        let defaults = self.conventions.iter().filter(|c| c.differs());
        let defaults = defaults.map(|c| Finding {
            framework: c.framework,
            layer: c.layer,
            about: c.what,
            id: "default".to_owned(),
            sentence: format!(
                "{} is {:.3e} if nothing is said, and {:.3e} in PyTorch",
                c.what, c.theirs, c.pytorch
            ),
            data: Data::Single.name(),
        });
        let others = self
            .others
            .iter()
            .filter_map(|(_, found)| found.clone().err());
        rows.chain(defaults).chain(others).collect()
    }
}

/// The version of a crate that was built, from the lock file.
fn version(name: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let entry = format!("name = \"{name}\"\nversion = \"");
    let version = lock.split_once(&entry).map(|(_, rest)| rest);
    version.map_or("of an unknown version", |rest| {
        rest.split('"').next().unwrap_or(rest)
    })
}

fn main() -> ExitCode {
    let survey = Survey::of_all();
    println!(
        "candle {}, burn {}\n",
        version("candle-nn"),
        version("burn")
    );
    print!("{:<32}{:<9}", "layer", "data");
    ARRAYS.iter().for_each(|name| print!("{name:<14}"));
    println!("differences");
    for row in &survey.rows {
        let name = format!("{} {}", row.framework, row.layer);
        print!("{name:<32}{:<9}", row.data);
        for array in ARRAYS {
            print!("{:<14}", row.mark_of(array).name());
        }
        println!("{}", row.differences);
    }
    println!(
        "\n{:<32}{:<10}{:<12}{}",
        "by default", "", "theirs", "PyTorch's"
    );
    for c in &survey.conventions {
        let name = format!("{} {}", c.framework, c.layer);
        println!(
            "{name:<32}{:<10}{:<12.2e}{:.2e}",
            c.what, c.theirs, c.pytorch
        );
    }
    println!("\n{:<32}dx by differences", "no norm, f64");
    for (op, judged) in &survey.others {
        let name = format!("{} {}", op.framework, op.name);
        let mark = match judged {
            Ok(()) => "right",
            Err(finding) if finding.id == "missing" => "NONE",
            Err(_) => "WRONG",
        };
        println!("{name:<32}{mark}");
    }
    let findings = survey.findings();
    println!("\nFound:");
    for (finding, data) in together(&findings) {
        let thread = thread_of(finding, KNOWN).unwrap_or("not known before");
        println!(
            "- {} {}, {}\n  {}\n  {thread}",
            finding.framework,
            finding.layer,
            data.join(" and "),
            finding.sentence
        );
    }
    let (new, gone) = news(&findings, KNOWN);
    for finding in &new {
        eprintln!(
            "NEW: {} {}: {} {}; if that is so, add it to known.rs",
            finding.framework, finding.layer, finding.about, finding.id
        );
    }
    for known in &gone {
        eprintln!(
            "GONE: {} {}: {} {} is not found any more; see {} and take it out of known.rs",
            known.framework, known.layer, known.about, known.id, known.thread
        );
    }
    ExitCode::from(u8::from(!new.is_empty() || !gone.is_empty()))
}

/// The same finding on several data is told once.
fn together(findings: &[Finding]) -> Vec<(&Finding, Vec<&'static str>)> {
    let key = |f: &Finding| (f.framework, f.layer, f.about, f.id.clone());
    let mut all: Vec<(&Finding, Vec<&'static str>)> = Vec::new();
    for finding in findings {
        match all.iter_mut().find(|(first, _)| key(first) == key(finding)) {
            Some((_, data)) => data.push(finding.data),
            None => all.push((finding, vec![finding.data])),
        }
    }
    all
}

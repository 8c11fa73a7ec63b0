//! The table of one run, with what each case was meant to reach.

use benches::bandwidth::{Bandwidth, compulsory_bytes};
use benches::cases::{Case, Network, Norm, Pass};
use serde_json::Value;

use crate::results::{Measured, Run};

/// Cases that move at least this much are out of cache: more than the part of a last-level cache
/// that a virtual machine of two cores can count on, however large the cache is as a whole.
const OUT_OF_CACHE: usize = 64 << 20;
/// The share of the measured bandwidth that such a case should reach.
const BANDWIDTH_SHARE: f64 = 0.8;
/// Nanoseconds for a recorded op of the chain, forward and backward together.
const OP_NS: f64 = 100.0;

/// How many times faster than PyTorch a case should be on so many threads.
fn speed_target(case: &Case, threads: usize) -> Option<f64> {
    match case {
        Case::Chain(_) => None,
        Case::Kernel(_, _, Pass::Forward) => Some(1.0),
        Case::Kernel(Norm::Batch, shape, Pass::Both) if shape.len() == 4 => Some(3.0),
        Case::Kernel(_, _, Pass::Both) => Some(1.5),
        Case::Mlp(_) | Case::Network(Network::Cnn) if threads == 1 => Some(1.5),
        Case::Mlp(_) | Case::Network(_) => Some(1.0),
    }
}

/// A share as a percentage that is 0 for nothing alone.
fn short_of(share: f64) -> String {
    match share {
        share if share < 0.005 => "less than 1 %".to_owned(),
        share => format!("{:.0} %", 100.0 * share),
    }
}

/// Whether `value` reaches `target`, or by how much it falls short.
fn at_least(value: f64, target: f64) -> String {
    if value >= target {
        format!("≥ {target}: met")
    } else {
        format!("≥ {target}: missed by {}", short_of(1.0 - value / target))
    }
}

/// Whether `value` stays within `limit`, or by how much it exceeds it.
fn at_most(value: f64, limit: f64) -> String {
    if value <= limit {
        format!("≤ {limit}: met")
    } else {
        format!("≤ {limit}: missed by {}", short_of(value / limit - 1.0))
    }
}

/// What the machine is, as a heading and a sentence.
pub fn heading(machine: &Value) -> String {
    let list = |key: &str, text: fn(&Value) -> Option<String>| {
        let all = machine[key].as_array().into_iter().flatten();
        let all: Vec<String> = all.filter_map(text).collect();
        match all.is_empty() {
            true => "not noted".to_owned(),
            false => all.join(", "),
        }
    };
    let size = |cache: &Value| match cache["bytes"].as_u64()? {
        bytes if bytes < 1 << 20 => Some(format!("{} KiB", bytes >> 10)),
        bytes => Some(format!("{} MiB", bytes >> 20)),
    };
    let text = |key: &str| machine[key].as_str().unwrap_or("unknown").to_owned();
    format!(
        "# {}\n\n{}, {} core(s). Caches: {}. Vector instructions: {}.\n",
        text("make"),
        text("model"),
        machine["cores"],
        list("caches", size),
        list("vectors", |set| set.as_str().map(str::to_owned))
    )
}

/// The table, with a heading and the bandwidth.
pub fn markdown(run: &Run) -> String {
    let names: Vec<String> = run.sides.iter().map(|(n, v)| format!("{n} {v}")).collect();
    let loops = Bandwidth::LOOPS.iter().zip(run.bandwidth.all());
    let loops = loops.filter(|(_, gb)| *gb > 0.0);
    let loops: Vec<String> = loops.map(|(name, gb)| format!("{name} {gb:.1}")).collect();
    let mut text = format!(
        "## {} thread(s): {}\n\nBandwidth in this run, all bytes that move, in GB/s: {}. \
         Times are medians.\n\n",
        run.threads,
        names.join(", "),
        loops.join(", ")
    );
    let mut header = vec!["case".to_owned()];
    header.extend(run.sides.iter().map(|(name, _)| name.clone()));
    header.extend(
        [
            "torch / ours",
            "target",
            "kept / ours",
            "least GB/s",
            "of bandwidth",
            "target",
        ]
        .map(String::from),
    );
    text += &row(&header);
    text += &row(&header.iter().map(|_| "---".to_owned()).collect::<Vec<_>>());
    for (case, times) in &run.cases {
        text += &row(&cells(run, case, times));
    }
    text + "\n"
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn cells(run: &Run, case: &Case, times: &[Measured]) -> Vec<String> {
    let ours = run.time("ours", times);
    let over = |side: &str| ours.and_then(|ours| Some(run.time(side, times)? / ours));
    let (ratio, kept) = (over("torch"), over("torch-keep"));
    let speed = match case {
        Case::Chain(ops) => ours.map(|ns| {
            let each = ns / *ops as f64;
            format!("{each:.0} ns an op, {}", at_most(each, OP_NS))
        }),
        _ => ratio
            .zip(speed_target(case, run.threads))
            .map(|(ratio, target)| at_least(ratio, target)),
    };
    let bytes = compulsory_bytes(case);
    let rate = ours.zip(bytes).map(|(ns, bytes)| bytes as f64 / ns);
    let share = rate.map(|rate| rate / run.bandwidth.best());
    let out_of_cache = bytes.is_some_and(|bytes| bytes > OUT_OF_CACHE);
    let bandwidth = share
        .filter(|_| out_of_cache)
        .map(|share| at_least(share, BANDWIDTH_SHARE));

    let mut cells = vec![case.to_string()];
    cells.extend(
        times
            .iter()
            .map(|time| time.median_ns.map_or("-".into(), duration)),
    );
    let two = |ratio: Option<f64>| ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
    cells.push(two(ratio));
    cells.push(speed.unwrap_or_default());
    cells.push(two(kept));
    cells.push(rate.map_or(String::new(), |rate| format!("{rate:.1}")));
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    cells.push(share.map_or(String::new(), percent));
    cells.push(bandwidth.unwrap_or_default());
    cells
}

fn duration(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_or_missed_by_a_share_of_it() {
        assert_eq!(at_least(3.0, 3.0), "≥ 3: met");
        assert_eq!(at_least(1.2, 1.5), "≥ 1.5: missed by 20 %");
        assert_eq!(at_least(0.999, 1.0), "≥ 1: missed by less than 1 %");
        assert_eq!(at_most(100.0, 100.0), "≤ 100: met");
        assert_eq!(at_most(138.0, 100.0), "≤ 100: missed by 38 %");
    }

    #[test]
    fn times_are_read_in_their_own_unit() {
        let shown = [5.0, 1.5e3, 999e3, 2.5e6].map(duration);
        assert_eq!(shown, ["5 ns", "1.5 µs", "999.0 µs", "2.50 ms"]);
    }
}

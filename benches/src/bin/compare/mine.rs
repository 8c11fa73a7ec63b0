//! The reader's machine beside those of the committed results, in words.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Result, bail};
use benches::cases::Case;
use benches::machine::Machine;
use benches::timing::median;
use serde_json::Value;

use crate::journal::Journal;
use crate::results;
use crate::side::Launcher;

/// Rounds, and milliseconds for each case and side: about a minute in all.
const ROUNDS: usize = 3;
const BUDGET_MS: u64 = 60;
/// A case that takes so many times as long as its kind makes one expect stands out.
const STANDS_OUT: f64 = 1.6;

/// Measures this machine and prints how it compares with the results in `folder`.
pub fn tell(folder: &Path, python: Option<&Path>, cases: &[Case]) -> Result<()> {
    let committed = results::all(folder)?;
    if committed.is_empty() {
        bail!(
            "there are no results to compare with in {}",
            folder.display()
        );
    }
    let sides = ["ours", "torch"].map(String::from);
    let launcher = Launcher::prepare(&sides, python)?;
    let machine = Machine::here();
    eprintln!("measuring: about a minute on a machine that does nothing else");
    let mut journal = Journal::nowhere();
    let mut runs = Vec::new();
    for threads in [1, 2].into_iter().filter(|n| *n <= machine.cores) {
        let mut started = Vec::new();
        for side in &sides {
            started.extend(launcher.start(side, threads)?);
        }
        let how = (threads, ROUNDS, BUDGET_MS);
        let run = crate::measure(&mut started, cases, how, &mut journal)?;
        runs.extend(run);
    }
    let mine = results::to_json(&machine, &runs);
    let others: Vec<Value> = committed.into_iter().map(|(_, results)| results).collect();
    print!("{}", words(&mine, &others));
    Ok(())
}

/// The run with so many threads.
fn run_of(results: &Value, threads: u64) -> Option<&Value> {
    let runs = results["runs"].as_array()?;
    runs.iter().find(|run| run["threads"] == threads)
}

fn name(results: &Value) -> &str {
    results["machine"]["make"].as_str().unwrap_or("unknown")
}

/// Nanoseconds of a side in a case.
fn time(run: &Value, case: &str, side: &str) -> Option<f64> {
    let cases = run["cases"].as_array()?;
    let case = cases.iter().find(|known| known["case"] == case)?;
    case["sides"][side]["median_ns"].as_f64()
}

fn names(run: &Value) -> Vec<&str> {
    let cases = run["cases"].as_array().into_iter().flatten();
    cases.filter_map(|case| case["case"].as_str()).collect()
}

/// The best bandwidth of a run, GB/s.
fn bandwidth(run: &Value) -> Option<f64> {
    let loops = run["bandwidth_gb_per_s"].as_object()?;
    let best = loops.values().filter_map(Value::as_f64).fold(0.0, f64::max);
    (best > 0.0).then_some(best)
}

fn is_kernel(case: &str) -> bool {
    case.starts_with("layernorm") || case.starts_with("batchnorm")
}

fn is_step(case: &str) -> bool {
    case.starts_with("mlp") || case.ends_with("step")
}

/// How many times as long each case takes here as there.
fn ratios<'a>(mine: &'a Value, other: &Value, of: fn(&str) -> bool) -> Vec<(&'a str, f64)> {
    let cases = names(mine).into_iter().filter(|case| of(case));
    let ratio = |case| Some((case, time(mine, case, "ours")? / time(other, case, "ours")?));
    cases.filter_map(ratio).collect()
}

fn middle(ratios: &[(&str, f64)]) -> Option<f64> {
    let mut values: Vec<f64> = ratios.iter().map(|(_, ratio)| *ratio).collect();
    (!values.is_empty()).then(|| median(&mut values))
}

/// How far the ratios lie from their middle, as factors: near 0 where the two machines are the
/// same but for their speed.
fn spread(ratios: &[(&str, f64)]) -> Option<f64> {
    let middle = middle(ratios)?;
    let mut apart: Vec<f64> = ratios
        .iter()
        .map(|(_, r)| (r / middle).ln().abs())
        .collect();
    Some(median(&mut apart))
}

/// `a, b and c`.
fn list(parts: &[String]) -> String {
    match parts {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Whether a ratio is within what times differ by from run to run.
fn same(ratio: f64) -> bool {
    (0.95..1.05).contains(&ratio)
}

/// What there is to say of `mine` beside the others.
pub fn words(mine: &Value, others: &[Value]) -> String {
    let mut text = String::new();
    let machine = &mine["machine"];
    let say = |text: &mut String, line: String| writeln!(text, "{line}\n").expect("to a string");
    let vectors = machine["vectors"].as_array().into_iter().flatten();
    let vectors: Vec<String> = vectors
        .filter_map(|v| Some(v.as_str()?.to_owned()))
        .collect();
    let theirs: Vec<String> = others
        .iter()
        .map(|other| {
            format!(
                "{} ({})",
                name(other),
                other["machine"]["model"].as_str().unwrap_or("?")
            )
        })
        .collect();
    say(
        &mut text,
        format!(
            "This machine: {}, {} core(s), with {}. The committed results are from {}.",
            machine["model"].as_str().unwrap_or("unknown"),
            machine["cores"],
            list(&vectors),
            list(&theirs)
        ),
    );
    for threads in [1, 2] {
        let Some(run) = run_of(mine, threads) else {
            continue;
        };
        let pairs: Vec<(&Value, &Value)> = others
            .iter()
            .filter_map(|other| Some((other, run_of(other, threads)?)))
            .collect();
        say(&mut text, of_run(run, &pairs, threads));
    }
    if let Some(nearest) = nearest(mine, others) {
        say(&mut text, nearest);
    }
    text
}

fn of_run(run: &Value, others: &[(&Value, &Value)], threads: u64) -> String {
    let mut said = vec![match threads {
        1 => "On one thread.".to_owned(),
        threads => format!("On {threads} threads."),
    }];
    if let Some(own) = bandwidth(run) {
        let beside = others.iter().filter_map(|(other, run)| {
            let fast = match own / bandwidth(run)? {
                r if same(r) => "about as fast as".to_owned(),
                r => format!("{r:.2} times as fast as"),
            };
            Some(format!("{fast} {}'s", name(other)))
        });
        said.push(format!(
            "The memory moves {own:.1} GB/s, {}.",
            list(&beside.collect::<Vec<_>>())
        ));
    }
    for (what, of) in [
        (
            "The kernels of the norms take",
            is_kernel as fn(&str) -> bool,
        ),
        ("The training steps take", is_step),
    ] {
        let beside = others.iter().filter_map(|(other, other_run)| {
            let ratio = middle(&ratios(run, other_run, of))?;
            let long = match ratio {
                r if same(r) => "about as long as".to_owned(),
                r => format!("{r:.2} times as long as"),
            };
            Some(format!("{long} on {}'s", name(other)))
        });
        let beside: Vec<String> = beside.collect();
        if !beside.is_empty() {
            said.push(format!("{what} {}, in the median.", list(&beside)));
        }
    }
    if let Some(ns) = time(run, "chain 1000", "ours") {
        let beside = others.iter().filter_map(|(other, run)| {
            let ns = time(run, "chain 1000", "ours")?;
            Some(format!("{:.0} on {}'s", ns / 1000.0, name(other)))
        });
        let beside = list(&beside.collect::<Vec<_>>());
        said.push(format!(
            "An op on the tape costs {:.0} ns, there and back ({beside}).",
            ns / 1000.0
        ));
    }
    said.extend(beside_torch(run, others));
    said.join(" ")
}

/// How the training steps compare with PyTorch's here, and elsewhere.
fn beside_torch(run: &Value, others: &[(&Value, &Value)]) -> Option<String> {
    let over = |run: &Value, case: &str| Some(time(run, case, "torch")? / time(run, case, "ours")?);
    let steps: Vec<&str> = names(run)
        .into_iter()
        .filter(|case| is_step(case))
        .collect();
    let here: Vec<(&str, f64)> = steps
        .iter()
        .filter_map(|case| Some((*case, over(run, case)?)))
        .collect();
    if here.is_empty() {
        return None;
    }
    let told = |(case, ratio): &(&str, f64)| {
        let elsewhere = others.iter().filter_map(|(other, run)| {
            Some(format!("{:.2} on {}'s", over(run, case)?, name(other)))
        });
        format!(
            "{ratio:.2} for the {case} ({})",
            list(&elsewhere.collect::<Vec<_>>())
        )
    };
    let told: Vec<String> = here.iter().map(told).collect();
    let slower = here.iter().filter(|(_, ratio)| *ratio < 1.0).count();
    let sum = match slower {
        0 => "Every training step is at least as fast as PyTorch's".to_owned(),
        1 => format!(
            "One of the {} training steps is slower than PyTorch's",
            here.len()
        ),
        some => format!(
            "{some} of the {} training steps are slower than PyTorch's",
            here.len()
        ),
    };
    Some(format!(
        "{sum}; PyTorch takes, as a multiple of our time, {}.",
        list(&told)
    ))
}

/// Whose profile this machine's times have, and which cases do not fit it.
fn nearest(mine: &Value, others: &[Value]) -> Option<String> {
    let all = |_: &str| true;
    let run = run_of(mine, 1)?;
    let alike = others.iter().filter_map(|other| {
        let ratios = ratios(run, run_of(other, 1)?, all);
        Some((spread(&ratios)?, other, ratios))
    });
    let (_, other, ratios) = alike.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let middle = middle(&ratios)?;
    let out = ratios
        .iter()
        .filter(|(_, ratio)| ratio / middle > STANDS_OUT);
    let out: Vec<String> = out
        .map(|(case, ratio)| format!("{case} ({:.1} times that)", ratio / middle))
        .collect();
    let how = match middle {
        m if same(m) => "as fast".to_owned(),
        m if m > 1.0 => format!("{m:.1} times as slow"),
        m => format!("{:.1} times as fast", 1.0 / m),
    };
    let rest = match out.as_slice() {
        [] => "no case is far from that".to_owned(),
        out => format!("longer than that takes {}", list(out)),
    };
    Some(format!(
        "All in all this machine is most like {}'s, and {how}; {rest}.",
        name(other)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Results of a make whose times are these multiples of some: of kernels, and of steps.
    fn results(make: &str, kernel: f64, step: f64, torch: bool) -> Value {
        let run = |threads: u64| {
            let cases = [
                ("layernorm 64x256 forward", 8e3 * kernel),
                ("batchnorm 256x512 forward", 7e4 * kernel),
                ("chain 1000", 1e5),
                ("mlp batchnorm", 3e6 * step),
                ("cnn step", 1.5e7 * step),
            ];
            let cases = cases.map(|(case, ns)| {
                let mut sides = json!({ "ours": { "median_ns": ns } });
                if torch {
                    sides["torch"] = json!({ "median_ns": 2.0 * ns });
                }
                json!({ "case": case, "sides": sides })
            });
            json!({ "threads": threads, "cases": cases, "bandwidth_gb_per_s": { "read": 20.0 / kernel } })
        };
        json!({
            "machine": { "make": make, "model": make, "cores": 2, "vectors": ["SSE2", "AVX2"] },
            "runs": [run(1), run(2)],
        })
    }

    #[test]
    fn a_machine_is_told_to_be_like_itself() {
        let others = [
            results("AMD", 1.0, 1.0, true),
            results("Intel", 2.0, 0.5, true),
        ];
        for (mine, like) in [(&others[0], "AMD"), (&others[1], "Intel")] {
            let said = words(mine, &others);
            let end = format!("most like {like}'s, and as fast; no case is far from that.");
            assert!(said.contains(&end), "{said}");
            assert!(
                said.contains("Every training step is at least as fast as PyTorch's"),
                "{said}"
            );
        }
        let said = words(&others[1], &others[..1]);
        assert!(
            said.contains("The memory moves 10.0 GB/s, 0.50 times as fast as AMD's."),
            "{said}"
        );
        assert!(
            said.contains("norms take 2.00 times as long as on AMD's"),
            "{said}"
        );
        assert!(
            said.contains("steps take 0.50 times as long as on AMD's"),
            "{said}"
        );
    }

    #[test]
    fn nothing_is_said_of_a_side_that_is_not_here_and_what_stands_out_is_named() {
        let others = [results("AMD", 1.0, 1.0, true)];
        let mut mine = results("ARM", 1.0, 1.0, false);
        mine["runs"][0]["cases"][4]["sides"]["ours"]["median_ns"] = json!(4.5e7);
        let said = words(&mine, &others);
        assert!(!said.contains("PyTorch"), "{said}");
        assert!(
            said.contains("longer than that takes cnn step (3.0 times that)"),
            "{said}"
        );
    }
}

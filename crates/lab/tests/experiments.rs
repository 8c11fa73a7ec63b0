//! Every experiment runs in its quick form, gives the same bytes whatever the threads, and
//! has committed results of its full protocol.

use std::fs;
use std::path::Path;

use lab::{Answer, Options, Seeds, draw, experiments, results, run};
use serde_json::{Value, json};

fn quick(folder: &Path, threads: usize) -> Options {
    Options {
        quick: true,
        threads: Some(threads),
        out: Some(folder.to_path_buf()),
        quiet: true,
        ..Options::default()
    }
}

/// The JSON in a file.
fn json_in(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn quick_forms_run_and_do_not_depend_on_threads() {
    for experiment in experiments() {
        let folders = [1, 2].map(|threads| {
            let folder = tempfile::tempdir().expect("a folder");
            let outcome = run(experiment.name, &quick(folder.path(), threads)).expect("it runs");
            assert!(outcome.verdict.ends_with('.'), "{}", outcome.verdict);
            assert!(!outcome.unchanged);
            let shown = outcome.to_string();
            assert!(
                shown.contains("without --quick") && !shown.contains(&outcome.verdict),
                "{shown}"
            );
            // Nothing but what is announced is left behind.
            let left = fs::read_dir(folder.path()).expect("listed").count();
            assert_eq!(left, outcome.files.len());
            // All of it follows from the numbers that are written, and from nothing else.
            let drawn = draw(experiment.name, folder.path()).expect("it is drawn");
            assert!(drawn.unchanged, "{drawn}");
            assert_eq!(
                (&drawn.table, &drawn.verdict),
                (&outcome.table, &outcome.verdict)
            );
            (folder, outcome)
        });
        let [(_one, one), (_two, two)] = folders;
        assert_eq!(one.files.len(), two.files.len());
        for (one, two) in one.files.iter().zip(&two.files) {
            assert_eq!(one.file_name(), two.file_name());
            let [one_bytes, two_bytes] = [one, two].map(|file| fs::read(file).expect("read"));
            assert!(
                one_bytes == two_bytes || experiment.timed,
                "{} depends on threads",
                one.display()
            );
        }
        let data = one.files.last().expect("there is data");
        let data = json_in(data);
        assert_eq!(
            data["command"],
            json!(format!("lab {} --quick", experiment.name))
        );
        assert_eq!(data["protocol"], experiment.protocol(true));
        assert_eq!(data["quick"], json!(true));
        assert_eq!(data["claim"].is_null(), experiment.claim.is_none());
        assert_eq!(data["answer"].is_null(), experiment.claim.is_none());
    }
}

#[test]
fn other_seeds_give_other_numbers() {
    let name = experiments()[0].name;
    let data = |seeds| {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            seeds: Some(seeds),
            ..quick(folder.path(), 2)
        };
        let outcome = run(name, &options).expect("it runs");
        let data = json_in(outcome.files.last().expect("there is data"));
        assert_eq!(
            data["command"],
            json!(format!("lab {name} --quick --seeds {seeds}"))
        );
        data["data"].clone()
    };
    assert_ne!(data(1), data(3));
}

/// Results that are the same to the last digit are not written again, and neither is the
/// list that says how long they took: the checkout stays clean.
#[test]
fn the_same_results_touch_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let full = Options {
        quick: false,
        ..quick(folder.path(), 1)
    };
    // It trains nothing, but reads what the others have found.
    let name = "choosing";
    let first = run(name, &full).expect("it runs");
    assert!(!first.unchanged);
    let data = first.files.last().expect("there is data");
    let text = fs::read_to_string(data).expect("read");
    let elsewhere = text.replace("-linux\"", "-plan9\"");
    fs::write(data, &elsewhere).expect("written");
    let list = folder.path().join("runs.json");
    let runs = fs::read(&list).expect("a list");
    let again = run(name, &full).expect("it runs");
    assert!(again.unchanged && again.to_string().contains("as before: "));
    assert_eq!(fs::read_to_string(data).expect("read"), elsewhere);
    assert_eq!(fs::read(&list).expect("a list"), runs);
    // What differs is written, and noted.
    let other = text.replacen("\"verdict\": \"", "\"verdict\": \"Not ", 1);
    fs::write(data, &other).expect("written");
    assert!(!run(name, &full).expect("it runs").unchanged);
    assert_eq!(fs::read_to_string(data).expect("read"), text);
    assert_ne!(fs::read(&list).expect("a list"), runs);
    // A list that cannot be read is told as such.
    fs::write(&list, "half a li").expect("written");
    let error = run(name, &full)
        .expect_err("it cannot be noted")
        .to_string();
    let start = "the list of what was run, runs.json, cannot be read: ";
    assert!(error.starts_with(start), "{error}");
}

/// The committed results of an experiment and their charts, in a folder of their own.
fn copied(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(results()).expect("listed") {
        let path = entry.expect("an entry").path();
        let file = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        if file.split(['-', '.']).next() == Some(name) {
            fs::copy(&path, folder.path().join(&file)).expect("copied");
        }
    }
    folder
}

/// Every committed chart, verdict and answer, and every number that is derived from others, is
/// what follows from the committed numbers; and there is nothing else in the results.
#[test]
fn committed_charts_and_verdicts_follow_from_the_committed_numbers() {
    for experiment in experiments() {
        let folder = copied(experiment.name);
        let found = fs::read_dir(folder.path()).expect("listed").count();
        assert!(found > 1, "{} has no chart", experiment.name);
        let drawn = draw(experiment.name, folder.path()).expect("it is drawn");
        assert!(drawn.unchanged, "{} is not what is drawn", experiment.name);
        assert_eq!(drawn.files.len(), found, "{drawn}");
    }
}

#[test]
fn a_number_that_is_changed_shows() {
    for (name, number) in [
        ("batch", "/data/settings/7/test_accuracy/median"),
        ("convergence", "/data/settings/1/steps_to_target/median"),
        ("digits", "/data/methods/2/curves/test_loss/median/29"),
        (
            "transformer",
            "/data/depths/1/forms/0/rates/0/validation_loss/low",
        ),
        ("choosing", "/data/leads/0/by_batch/3/1/median"),
        ("cost", "/data/costs/5/step_by_round/60"),
    ] {
        let folder = copied(name);
        let file = folder.path().join(format!("{name}.json"));
        let mut results = json_in(&file);
        let number = results.pointer_mut(number).expect("there is such a number");
        *number = json!(number.as_f64().expect("a number") * 0.5);
        fs::write(&file, results.to_string()).expect("written");
        assert!(
            !draw(name, folder.path()).expect("drawn").unchanged,
            "{name}"
        );
    }
}

#[test]
fn results_of_another_protocol_are_not_drawn() {
    let folder = copied("digits");
    let file = folder.path().join("digits.json");
    let text = fs::read_to_string(&file).expect("read");
    fs::write(&file, text.replace("\"epochs\": 30", "\"epochs\": 31")).expect("written");
    let error = draw("digits", folder.path()).expect_err("they are of another protocol");
    assert_eq!(
        error.to_string(),
        "the results of \"digits\" cannot be used: they are of another protocol; run `cargo run \
         -- lab digits`"
    );
}

/// The place of every list that is not of numbers.
fn lists(at: &str, value: &Value, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, v)| (key.clone(), v)).collect(),
        Value::Array(all) if all.iter().any(|v| !v.is_number()) => {
            found.push(at.to_owned());
            // The others of a list are like its last.
            let last = all.len() - 1;
            vec![(last.to_string(), &all[last])]
        }
        _ => return,
    };
    for (key, value) in below {
        lists(&format!("{at}/{key}"), value, found);
    }
}

/// Whatever is cut from the results, what is needed and missing is told in a line.
#[test]
fn results_that_are_not_whole_are_told_in_a_line() {
    let mut refused = Vec::new();
    let mut not_whole = 0;
    for experiment in experiments() {
        let name = experiment.name;
        let folder = copied(name);
        let file = folder.path().join(format!("{name}.json"));
        let whole = json_in(&file);
        let mut places = Vec::new();
        lists("/data", &whole["data"], &mut places);
        assert!(!places.is_empty(), "{name} has no list");
        for place in places {
            let mut cut = whole.clone();
            let list = cut.pointer_mut(&place).and_then(Value::as_array_mut);
            list.expect("a list").pop();
            fs::write(&file, cut.to_string()).expect("written");
            if let Err(error) = draw(name, folder.path()) {
                let error = error.to_string();
                let start = format!("the results of {name:?} cannot be used: ");
                assert!(error.starts_with(&start), "{error}");
                assert!(!error.contains('\n'), "{error}");
                if error[start.len()..].starts_with("they are not whole") {
                    // With the line that says so, which may be wrong itself.
                    assert!(error.contains(".rs:"), "{error}");
                    not_whole += 1;
                }
                refused.push(name);
            }
        }
    }
    refused.dedup();
    assert!(refused.len() > 8, "only {refused:?} say what is missing");
    assert!(not_whole > 0, "nothing is refused but by its type");
}

/// What the page on reproduction lists is all there is, as it is.
#[test]
fn every_run_is_noted() {
    let mut noted = json_in(&results().join("runs.json"));
    for run in noted.as_array_mut().expect("a list") {
        let run = run.as_object_mut().expect("a run");
        run.retain(|key, _| ["name", "chapter", "about"].contains(&key.as_str()));
    }
    let experiments = experiments()
        .iter()
        .map(|e| json!({ "name": e.name, "chapter": e.chapter.to_string(), "about": e.about }));
    let experiments: Value = experiments.collect();
    assert_eq!(
        noted, experiments,
        "run `cargo run -- lab NAME` for what is missing"
    );
}

#[test]
fn committed_results_carry_the_protocol_they_state() {
    for experiment in experiments() {
        let data = json_in(&results().join(format!("{}.json", experiment.name)));
        let again = format!("run `lab {}` again", experiment.name);
        assert_eq!(data["protocol"], experiment.protocol(false), "{again}");
        assert_eq!(
            data["command"],
            json!(format!("lab {}", experiment.name)),
            "{again}"
        );
        assert_eq!(data["about"], json!(experiment.about), "{again}");
        assert_eq!(data["quick"], json!(false), "{again}");
        let claim = experiment.claim.map(|claim| json!(claim));
        assert_eq!(data.get("claim"), claim.as_ref(), "{again}");
        if claim.is_some() {
            let answer: Answer = serde_json::from_value(data["answer"].clone()).expect("an answer");
            let verdict = data["verdict"].as_str().expect("a verdict");
            let begins = format!("{}: ", answer.words());
            assert!(verdict.starts_with(&begins), "{verdict}; {again}");
        }
        let seeds = |key: &str| data[key].as_array().expect("seeds");
        let [tuning, reported] = ["tuning_seeds", "seeds"].map(seeds);
        let counted = Seeds {
            tuning: tuning.len(),
            reported: reported.len(),
        };
        assert_eq!(counted, experiment.seeds, "{again}");
        let both = tuning.iter().any(|seed| reported.contains(seed));
        assert!(!both, "{again}: a seed picks a rate and is reported of");
    }
}

#[test]
fn batches_of_one_are_refused_and_it_is_shown() {
    let data = json_in(&results().join("batch.json"));
    let settings = data["data"]["settings"].as_array().expect("settings");
    let one = settings
        .iter()
        .find(|s| s["method"] == "batch" && s["batch"] == 1);
    let one = one.expect("the run was made");
    let rates = one["rates"].as_array().expect("rates");
    let seeds = |key: &str| data[key].as_array().expect("seeds").len();
    let told = |of: &Value, seeds: usize| {
        let refused = of["refused"].as_array().expect("it was refused");
        assert_eq!(refused.len(), seeds);
        for message in refused {
            assert_eq!(message, &data["data"]["refusal"]);
        }
    };
    for rate in rates {
        told(rate, seeds("tuning_seeds"));
    }
    told(one, seeds("seeds"));
    // No rate beyond the grid would be another matter.
    let edge = &one["chosen_rate_is_at_the_edge_of_the_grid"];
    assert_eq!(edge, &json!(false));
    let message = data["data"]["refusal"].as_str().expect("a message");
    assert!(message.contains("at least 2 values"), "{message}");
}

#[test]
fn every_claim_has_one_experiment() {
    let mut claims: Vec<usize> = experiments()
        .iter()
        .filter_map(|experiment| experiment.claim)
        .map(|claim| claim.id[1..].parse().expect("a number"))
        .collect();
    claims.sort_unstable();
    assert_eq!(claims, (1..=15).collect::<Vec<usize>>());
}

#[test]
fn what_makes_no_sense_is_told_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let tell = |name: &str, options: &Options| {
        let message = run(name, options)
            .expect_err("it makes no sense")
            .to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    let options = quick(folder.path(), 1);
    let message = tell("digit", &options);
    assert!(
        message.starts_with("there is no experiment \"digit\"; there are: digits"),
        "{message}"
    );
    for (seeds, threads, expected) in [
        (Some(0), None, "at least one seed is needed, got 0"),
        (None, Some(0), "at least one thread is needed, got 0"),
        (
            Some(10_001),
            None,
            "at most 10000 seeds are possible, got 10001",
        ),
        (
            None,
            Some(usize::MAX),
            &format!("at most 10000 threads are possible, got {}", usize::MAX),
        ),
    ] {
        let options = Options {
            seeds,
            threads,
            ..options.clone()
        };
        assert_eq!(tell("digits", &options), expected);
    }
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    let message = tell(
        "digits",
        &Options {
            out: Some(file.join("x")),
            ..options
        },
    );
    assert!(message.starts_with("cannot write "), "{message}");
}

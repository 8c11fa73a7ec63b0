//! What no condition beside a sentence can hold: what a page must list, and the sentences
//! that no result has a number for.
//!
//! All other sentences that rest on a result carry their condition in the chapter, as
//! `{{#claim}}`.

use std::fs;
use std::path::Path;

use nn::data::{Digits, Set};
use nn::{Activation, Init, Layer, MlpSpec, NormKind, Pass, each_param};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tape::Tape;

/// The text of a chapter.
pub fn chapter(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../book/src/");
    fs::read_to_string(format!("{path}{name}.md")).expect("the chapter is there")
}

/// Every claim has its line in the table, its section, its command and its verdict.
#[test]
fn chapter_16_has_every_claim() {
    let text = chapter("claims");
    let (table, _) = text.split_once("claim.id").expect("a table of claims");
    let (_, files) = table.rsplit_once('{').expect("files in braces");
    let (files, _) = files.split_once('}').expect("files in braces");
    let count = files.split(',').count();
    for found in lab::experiments() {
        let Some(claim) = found.claim else { continue };
        let name = found.name;
        assert!(
            files.split(',').any(|file| file == name),
            "the table of chapter 16 lacks {name}"
        );
        let number = &claim.id[1..];
        let section = format!("{{#sec:claim-{number}}}");
        let (_, section) = text
            .split_once(&section)
            .unwrap_or_else(|| panic!("no section {}", claim.id));
        let section = section.split("\n## ").next().expect("a section");
        for part in [
            format!("book/results/{name}.json answer badge"),
            format!("`cargo run -- lab {name}`"),
            "**Said**".to_owned(),
            "**Measured**".to_owned(),
        ] {
            assert!(section.contains(&part), "{}: no {part}", claim.id);
        }
    }
    // "Thirteen sentences, and two more."
    assert_eq!(count, 13 + 2);
}

/// "Thirteen seeds" stands in captions and sentences that no result fills in.
#[test]
fn chapters_say_how_many_seeds_there_are() {
    let seeds = lab::Options::default().seed_count();
    let chapters = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book/src");
    let mut said = 0;
    for entry in fs::read_dir(chapters).expect("the chapters are there") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|e| e != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable");
        for (at, _) in text.match_indices(" seeds") {
            let number = text[..at].rsplit(|c: char| !c.is_ascii_digit()).next();
            let Some(number) = number.filter(|n| !n.is_empty()) else {
                continue;
            };
            said += 1;
            assert_eq!(number, seeds.to_string(), "{}", path.display());
        }
    }
    assert!(said > 5, "{said}");
}

/// The page has every table of the results, and names the exercises that have none.
#[test]
fn appendix_b_has_every_table() {
    let r = crate::measurements::mistakes::run().results;
    let page = chapter("mistakes");
    let mut tables = vec!["running".to_owned()];
    let exercises = r["exercises"].as_object().expect("exercises");
    tables.extend(exercises.keys().map(|name| format!("exercises.{name}")));
    for norm in ["batch", "layer", "rms"] {
        for target in ["y", "dx", "dgamma", "dbeta"] {
            let rows = r[norm][target].as_array();
            if rows.is_some_and(|rows| !rows.is_empty()) {
                tables.push(format!("{norm}.{target}"));
            }
        }
    }
    for table in tables {
        let shown = format!("{{{{#table book/results/mistakes.json {table} ");
        assert!(page.contains(&shown), "the catalogue lacks {table}");
    }
    for (name, _) in exercises::known::nameless() {
        assert!(page.contains(&format!("`{name}`")) || name.ends_with("_predictions"));
    }
}

/// "The checker looks twice, the second time at a step some 750 times smaller."
#[test]
fn chapter_1_the_second_look() {
    let steps = std::cell::RefCell::new(Vec::new());
    let f = |v: f64| {
        steps.borrow_mut().push((v - 1.5).abs());
        1.0 / v.sqrt()
    };
    let found = gradcheck::numeric::derivative(f, 1.5).expect("finite around the point");
    let mut smaller = steps.into_inner().into_iter().map(|step| found.step / step);
    assert!(smaller.any(|times| (740.0..760.0).contains(&times)));
}

/// "The slope of a sigmoid is at most a quarter, and with weights as small as these it is
/// nearly that everywhere."
#[test]
fn chapter_6_the_slopes_of_sigmoids() {
    let rng = &mut StdRng::seed_from_u64(6);
    let spec = MlpSpec::new(&[64, 64, 64, 64, 10]).activation(Activation::Sigmoid);
    let model = spec.build::<f32>(rng);
    let digits = Digits::load(Set::Small).expect("the digits are there");
    let mut layers = 0;
    Tape::eval(|t| {
        let images = t.constant(digits.train.images.clone());
        model.forward(
            &images,
            &mut Pass::train().probed(&mut |name, value| {
                if name.to_string().ends_with("sigmoid") {
                    let slopes = value.value().data().iter().map(|y| y * (1.0 - y));
                    let mean = slopes.sum::<f32>() / value.value().len() as f32;
                    assert!(mean > 0.22, "{name}: {mean}");
                    layers += 1;
                }
            }),
        );
    });
    assert_eq!(layers, 3);
}

/// "At the start, with ReLU, their length even grows by a fifth or so from each layer to the
/// one before it, whatever the initial weights."
#[test]
fn chapter_16_gradients_grow_through_batch_norm() {
    for gain in [0.3, 3.0] {
        let rng = &mut StdRng::seed_from_u64(16);
        let spec = MlpSpec::new(&[128; 32]).norm(NormKind::Batch);
        let mut model = spec.init(Init::scaled_normal(gain)).build::<f64>(rng);
        let [x, dy] = [0, 1].map(|_| Init::normal(1.0).sample::<f64>([128, 128], rng));
        let (_, grads) = Tape::new().vjp(&dy, |t| model.train(&t.constant(x.clone())));
        let mut lengths = Vec::new();
        each_param(&mut model, |param| {
            if param.name().ends_with(".weight") {
                let gradient = grads.of(param);
                let squares = gradient.data().iter().map(|g| g * g);
                lengths.push(squares.sum::<f64>().sqrt());
            }
        });
        // Neither the first layer, whose input is not that of a ReLU, nor those at the output.
        let (first, last) = (1, 28);
        let steps = (last - first) as f64;
        let growth = (lengths[first] / lengths[last]).powf(1.0 / steps);
        assert!((1.15..1.25).contains(&growth), "{gain}: {growth}");
    }
}

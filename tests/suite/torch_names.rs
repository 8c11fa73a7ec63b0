//! What the book says of PyTorch's names, shapes and defaults is what PyTorch says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::golden;

/// The table that the book prints, from `book/results`.
fn book() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../book/results/pytorch.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the results are there")).expect("JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().expect("a text")
}

/// Names and shapes by layer, as the book has them.
fn ours(book: &Value) -> BTreeMap<&str, BTreeMap<String, String>> {
    let mut layers: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for state in book["states"].as_array().expect("a list") {
        let layer = layers.entry(text(state, "torch")).or_default();
        let (name, shape) = (text(state, "file"), text(state, "shape"));
        assert_eq!(layer.insert(name.to_owned(), shape.to_owned()), None);
    }
    layers
}

#[test]
fn names_and_shapes_are_pytorch_s() {
    let (book, family) = (book(), golden::load("names"));
    let ours = ours(&book);
    let layers: BTreeSet<&str> = book["layers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|layer| text(layer, "torch"))
        .collect();
    assert_eq!(layers, ours.keys().copied().collect());
    let theirs: BTreeSet<&str> = family.cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(layers, theirs, "the script has the same layers");
    for case in &family.cases {
        let theirs: BTreeMap<String, String> = case
            .names()
            .map(|name| {
                (
                    name.to_owned(),
                    case.tensor::<f64>(name).shape().to_string(),
                )
            })
            .collect();
        assert_eq!(ours[case.name.as_str()], theirs, "{}", case.name);
    }
}

#[test]
fn defaults_of_the_norms_are_pytorch_s() {
    let (book, family) = (book(), golden::load("names"));
    let defaults = book["defaults"].as_array().expect("a list");
    assert_eq!(defaults.len(), 3);
    for ours in defaults {
        let name = text(ours, "torch");
        let case = family.cases.iter().find(|case| case.name == name);
        let case = case.unwrap_or_else(|| panic!("no case {name}"));
        assert_eq!(ours["eps"].as_f64(), Some(case.number("eps")), "{name}");
        let momentum = ours["momentum"].as_f64();
        let theirs = name.contains("BatchNorm").then(|| case.number("momentum"));
        assert_eq!(momentum, theirs, "{name}");
    }
}

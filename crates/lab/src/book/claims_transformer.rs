//! The same for the chapter on Transformers, 15: the sentences that a measurement or an
//! experiment stands behind, without printing its number.

use serde_json::Value;

use super::claims::{experiment, number, results, row};

fn form<'a>(results: &'a Value, name: &str) -> &'a Value {
    let forms = results["data"]["forms"].as_array().expect("forms");
    let found = forms.iter().find(|form| form["form"] == name);
    found.unwrap_or_else(|| panic!("no form {name}"))
}

#[test]
fn chapter_15_a_row_of_attention() {
    let r = results("attention");
    let place = |j: usize, what: &str| number(&r, &format!("/row/places/{j}/{what}"));
    // "The mean is the output itself": with dO = 1, dp is the value.
    let output: f64 = (0..3).map(|j| place(j, "weight") * place(j, "dp")).sum();
    assert!((output - number(&r, "/row/output")).abs() < 1e-14);
    // "Only the first is pushed up", "all three add up to zero", "the second harder than the
    // third, though its weight is smaller".
    assert!(place(0, "ds") > 0.0 && place(1, "ds") < 0.0 && place(2, "ds") < 0.0);
    assert!(number(&r, "/row/total").abs() < 1e-15);
    assert!(place(1, "ds") < place(2, "ds") && place(1, "weight") < place(2, "weight"));
}

#[test]
fn chapter_15_the_scale() {
    let r = results("attention");
    assert_eq!(number(&r, "/scores/heads"), 301.0);
    let widths = r["scores"]["widths"].as_array().expect("widths");
    // "The width of a head does not matter": with the factor all rows are alike.
    let scaled: Vec<f64> = widths.iter().map(|w| number(w, "/scaled_passes")).collect();
    let (low, high) = (
        scaled.iter().copied().fold(f64::INFINITY, f64::min),
        scaled.iter().copied().fold(0.0, f64::max),
    );
    assert!(high < 1.3 * low, "{scaled:?}");
    // "One key takes nearly all the weight, and nearly nothing passes", once heads are wide.
    let widest = widths.last().expect("a width");
    assert!(number(widest, "/plain_weight") > 0.99);
    assert!(number(widest, "/plain_passes") < 0.05 * number(widest, "/scaled_passes"));
}

#[test]
fn chapter_15_the_experiment() {
    let e = experiment("transformer");
    let test = |name: &str, what: &str| number(form(&e, name), &format!("/test_loss/{what}"));
    // The text quotes it by its place.
    assert_eq!(e["data"]["forms"][0]["form"], "no norm");
    // "The claim is not supported here"; the reader's prediction, "as well, or better".
    assert!(
        e["verdict"]
            .as_str()
            .is_some_and(|v| v.starts_with("Not supported"))
    );
    for layer in ["pre-LN", "post-LN"] {
        assert!(test("no norm", "median") < test(layer, "median"));
    }
    // "Even clearly worse than no norm", "less than two per cent", "quartiles that only do
    // not touch".
    assert!(test("post-LN", "low") > test("no norm", "high"));
    assert!(test("post-LN", "median") < 1.02 * test("no norm", "median"));
    assert!(test("post-LN", "low") - test("no norm", "high") < 0.005);
    // "The narrowest range of rates"; it fails at 0.03, where "the others lose little".
    for name in ["no norm", "pre-LN", "pre-RMS", "pre-BN"] {
        let near = |name| number(form(&e, name), "/rates_near_the_best");
        assert!(near("post-LN") < near(name), "{name}");
        let at = |name| {
            number(
                row(form(&e, name), "rates", "rate", 0.03),
                "/validation_loss/low",
            )
        };
        assert!(at("post-LN") > 1.15 * at(name), "{name}");
    }
    // Batch Norm "is not worse", and has 512 values for each channel.
    assert!(test("pre-BN", "median") < test("post-LN", "median"));
    let values = number(&e, "/protocol/pieces") * number(&e, "/protocol/characters");
    assert_eq!(values, 512.0);
}

#[test]
fn chapter_15_by_depth() {
    let r = results("attention");
    assert_eq!(number(&r, "/depth/models"), 7.0);
    let of = |id: &str, blocks: f64, what: &str| {
        let forms = r["depth"]["forms"].as_array().expect("forms");
        let form = forms.iter().find(|form| form["id"] == id).expect("a form");
        number(row(form, "depths", "blocks", blocks), what)
    };
    let falls = |id: &str, what: &str| of(id, 32.0, what) / of(id, 1.0, what);
    // "Explode", "the first has more again", "up to four blocks there is little of it".
    assert!(falls("none", "/last") > 100.0);
    assert!(of("none", 32.0, "/ratio") > 4.0);
    assert!(of("none", 4.0, "/first") < 1.5 * of("none", 1.0, "/first"));
    // "Does not fall with depth", neither the last block's nor the first's.
    for what in ["/last", "/first"] {
        assert!((1.0..1.5).contains(&falls("post", what)), "{what}");
    }
    // "Falls, while that of the first stays"; more slowly than the root; with this b.
    assert!((0.9..1.2).contains(&falls("pre", "/first")));
    let root = 1.0 / 32.0_f64.sqrt();
    assert!((root - 0.18).abs() < 0.005 && falls("pre", "/last") > 2.0 * root);
    let b = 0.044_f64;
    let predicted = ((1.0 + 2.0 * b) / (1.0 + 64.0 * b)).sqrt();
    assert!(
        (falls("pre", "/last") - predicted).abs() < 0.01,
        "{predicted}"
    );
}

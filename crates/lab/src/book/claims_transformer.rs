//! The same for the chapter on Transformers, 15: the sentences that a measurement or an
//! experiment stands behind, without printing its number.

use serde_json::{Value, json};

use super::claims::{experiment, number, results, row};
use crate::stats::{Apart, Spread};

fn spread(value: &Value, of: &str) -> Spread {
    serde_json::from_value(value[of].clone()).expect("a spread")
}

/// A form of the experiment, with so many blocks.
fn form<'a>(results: &'a Value, blocks: u32, name: &str) -> &'a Value {
    let depth = row(&results["data"], "depths", "blocks", blocks.into());
    let forms = depth["forms"].as_array().expect("forms");
    let found = forms.iter().find(|form| form["form"] == name);
    found.unwrap_or_else(|| panic!("no form {name}"))
}

const FRONT: [&str; 3] = ["pre-LN", "pre-RMS", "pre-BN"];

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
    assert_eq!(e["protocol"]["blocks"], json!([3, 16]));
    // The predictions: "as well, or better" with three blocks, and "clearly worse" with sixteen.
    // Of the four parts of the claim one holds.
    assert_eq!(e["answer"], "depends");
    let test = |blocks, name| spread(form(&e, blocks, name), "test_loss");
    let seen = |blocks, one, other| test(blocks, one).seen_from(test(blocks, other));
    for (blocks, none) in [(3, Apart::Unclear), (16, Apart::Below)] {
        let depth = row(&e["data"], "depths", "blocks", blocks.into());
        assert_eq!(depth["better_form_of_layer_norm"], "pre-LN");
        assert_eq!(seen(blocks, "pre-LN", "no norm"), none);
        // "Cannot be told apart at either depth."
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            let apart = seen(blocks, FRONT[one], FRONT[other]);
            assert_eq!(apart, Apart::Unclear, "{blocks} {one} {other}");
        }
    }
    assert_eq!(seen(3, "post-LN", "no norm"), Apart::Unclear);
    for layer in ["pre-LN", "post-LN"] {
        assert!(test(3, "no norm").median < test(3, layer).median);
    }
    // "About two per cent", "quartiles that only do not touch".
    let (layer, none) = (test(16, "pre-LN"), test(16, "no norm"));
    assert!((1.015..1.025).contains(&(none.median / layer.median)));
    assert!(none.low - layer.high < 0.005);
    // "Every form with sixteen blocks ends clearly above every form with three."
    let all = FRONT.into_iter().chain(["no norm", "post-LN"]);
    for (few, many) in all
        .clone()
        .flat_map(|few| all.clone().map(move |m| (few, m)))
    {
        assert_eq!(test(16, many).seen_from(test(3, few)), Apart::Above);
    }
    // Batch Norm has 256 values for each channel.
    let values = number(&e, "/protocol/pieces") * number(&e, "/protocol/characters");
    assert_eq!(values, 256.0);
}

#[test]
fn chapter_15_the_rates_of_the_experiment() {
    let e = experiment("transformer");
    let at = |blocks, name, rate| row(form(&e, blocks, name), "rates", "rate", rate);
    let validation = |blocks, name, rate| spread(at(blocks, name, rate), "validation_loss");
    let chosen = |blocks, name| number(form(&e, blocks, name), "/chosen_rate");
    let all = FRONT.into_iter().chain(["no norm", "post-LN"]);
    // "Five rates", the highest is 0.03, "65 runs", and no pick at the edge of the grid.
    let rates = e["protocol"]["rates"].as_array().expect("rates");
    assert_eq!((rates.len(), rates[4].as_f64()), (5, Some(0.03)));
    for (blocks, name) in all.flat_map(|name| [(3, name), (16, name)]) {
        let form = form(&e, blocks, name);
        assert_eq!(form["chosen_rate_is_at_the_edge_of_the_grid"], false);
        // "With sixteen blocks all 13 runs diverge", and no others.
        let none = blocks == 16 && name == "no norm";
        assert_eq!(form["diverged"], if none { 13 } else { 0 }, "{name}");
    }
    assert_eq!(at(16, "no norm", 0.03)["diverged"], 13);
    // "With three the median loss is" far above that of 72 equally likely characters.
    assert!((72.0_f64.ln() - 4.28).abs() < 0.005);
    assert!(validation(3, "no norm", 0.03).median > 1000.0);
    // "With a norm in front the loss at this rate is below that of the frequencies."
    let frequencies = number(&e, "/data/frequencies_only/validation_loss");
    for name in FRONT {
        for blocks in [3, 16] {
            assert!(validation(blocks, name, 0.03).high < frequencies);
        }
    }
    // Post-LN is "clearly" worse than no norm; "its best rate is a third of that of the
    // others"; "from 0.003 on it ends near" what knowing the frequencies gives.
    let test = |name| spread(form(&e, 16, name), "test_loss");
    assert_eq!(test("post-LN").seen_from(test("no norm")), Apart::Above);
    for name in FRONT.into_iter().chain(["no norm"]) {
        let times = chosen(16, name) / chosen(16, "post-LN");
        assert!((times - 3.0).abs() < 1e-9, "{name}");
    }
    for rate in [0.003, 0.01, 0.03] {
        let post = validation(16, "post-LN", rate);
        assert!(post.low > 0.99 * frequencies && post.high < 1.05 * frequencies);
        assert!((post.median - validation(16, "post-LN", 0.003).median).abs() < 0.01);
    }
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
    // "Begun to explode" with 16; "most of the growth comes between 16 blocks and 32".
    assert!(of("none", 16.0, "/first") > 10.0 * of("none", 1.0, "/first"));
    for what in ["/first", "/last"] {
        let growth = |from, to| (of("none", to, what) / of("none", from, what)).ln();
        assert!(growth(16.0, 32.0) > 0.5 * growth(1.0, 32.0), "{what}");
    }
    // "Does not fall with depth", neither the last block's nor the first's.
    for what in ["/last", "/first"] {
        assert!((1.0..1.5).contains(&falls("post", what)), "{what}");
    }
    // "Falls, while that of the first stays"; more slowly than the root; and about as the
    // variance of the road says.
    assert!((0.9..1.2).contains(&falls("pre", "/first")));
    let root = 1.0 / 32.0_f64.sqrt();
    assert!((root - 0.18).abs() < 0.005 && falls("pre", "/last") > 2.0 * root);
    let predicted = number(&r, "/depth/road/predicted");
    assert!(
        (falls("pre", "/last") - predicted).abs() < 0.1,
        "{predicted}"
    );
}

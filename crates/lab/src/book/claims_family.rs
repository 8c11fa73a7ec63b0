//! The same for chapter 18: the sentences that a measurement or an experiment stands behind,
//! without printing its number.

use serde_json::Value;

use super::claims::{experiment, number, results, row};

/// The entry of a list whose field has this text.
fn entry<'a>(list: &'a Value, field: &str, text: &str) -> &'a Value {
    let mut entries = list.as_array().expect("a list").iter();
    let found = entries.find(|entry| entry[field] == text);
    found.unwrap_or_else(|| panic!("no {field} {text}"))
}

#[test]
fn chapter_18_the_axes() {
    let r = results("family");
    let images = &r["images"];
    // "Four images with six channels of 5 × 5, in two groups", and "three channels of one
    // image, 25 values each".
    for (what, expected) in [
        ("/examples", 4.0),
        ("/channels", 6.0),
        ("/height", 5.0),
        ("/width", 5.0),
        ("/groups", 2.0),
    ] {
        assert_eq!(number(images, what), expected);
    }
    let of = |norm: &str, what: &str| number(entry(&images["norms"], "norm", norm), what);
    assert_eq!(of("Group Norm", "/changed"), 3.0 * 25.0);
    // "The whole set, and nothing outside it."
    for norm in images["norms"].as_array().expect("norms") {
        assert_eq!(number(norm, "/changed"), number(norm, "/m"), "{norm}");
        let sets = number(norm, "/sets") * number(norm, "/m");
        assert_eq!(sets, number(images, "/values"));
    }
    // "(M − 2)/M, and one for RMS Normalization."
    let m = of("Layer Norm", "/m");
    assert_eq!(of("Layer Norm", "/left"), (m - 2.0) / m);
    assert_eq!(of("RMS Norm", "/left"), (m - 1.0) / m);
}

#[test]
fn chapter_18_two_values_renormalized() {
    let r = results("family");
    let rows = &r["renormalized"]["rows"];
    let of = |norm: &str, what: &str| number(entry(rows, "norm", norm), what);
    // "The value of inference"; "the outputs are no longer ±1. The gradient is still zero."
    for value in ["/first", "/second"] {
        let renormalized = of("Batch Renormalization", value);
        assert!((renormalized - of("Batch Norm, frozen", value)).abs() < 1e-12);
        assert!((of("Batch Norm", value).abs() - 1.0).abs() < 1e-4);
        assert!((renormalized.abs() - 1.0).abs() > 0.2);
    }
    for norm in ["Batch Norm", "Batch Renormalization"] {
        for gradient in ["/dfirst", "/dsecond"] {
            assert!(of(norm, gradient).abs() < 1e-4);
        }
    }
    assert!(of("Batch Norm, frozen", "/dfirst") > 0.4);
}

#[test]
fn chapter_18_one_batch_on_several_workers() {
    let r = results("family");
    let worked = &r["worked"];
    // "As in chapter 7", and "the gradient" is that of chapter 8.
    let alone = results("worked");
    assert_eq!(number(worked, "/var"), number(&alone, "/var"));
    for k in 0..4 {
        for what in ["x", "x_hat", "dy", "dx"] {
            let [here, there] = [
                number(worked, &format!("/values/{k}/{what}")),
                number(&alone, &format!("/rows/{k}/{what}")),
            ];
            assert!((here - there).abs() < 1e-15, "{k} {what}");
        }
    }
    // "1, 3 and 5 on the first worker, 7 on the second"; with one value "no variance".
    assert_eq!(number(worked, "/workers/0/count"), 3.0);
    assert_eq!(number(worked, "/workers/1/count"), 1.0);
    assert_eq!(number(worked, "/workers/1/squares"), 0.0);
    let both = |what: &str| number(worked, &format!("/workers/2/{what}"));
    assert_eq!(
        (both("count"), both("mean"), both("squares")),
        (4.0, 4.0, 20.0)
    );
    // "The upstream gradient is 0 on the second. Not 0", and 0 "by the sums of its own part".
    assert_eq!(number(worked, "/workers/1/dy"), 0.0);
    assert_eq!(number(worked, "/values/3/own_sums"), 0.0);
    assert!(number(worked, "/values/3/dx") > 0.1);
    assert!(number(worked, "/averaged_mean") != both("mean"));
}

#[test]
fn chapter_18_what_averages_lose() {
    let r = results("family");
    let shares = &r["shares"];
    // "Within 8 workers", "400 draws".
    assert_eq!(number(shares, "/workers"), 8.0);
    assert_eq!(number(shares, "/draws"), 400.0);
    for m in [2.0, 4.0, 8.0, 32.0, 128.0] {
        let at = row(shares, "rows", "m", m);
        // "Lacks a share of about 1/m."
        assert!((number(at, "/theory") - number(at, "/alike")).abs() < 0.02);
        assert!((1.0 - number(at, "/theory") - 1.0 / m).abs() < 0.5 / m);
        // "Nearly half of the variance lies between the workers, and averaging loses that at
        // every size."
        assert!(number(at, "/own") < 0.58, "{at}");
    }
    assert!((0.5..0.58).contains(&number(row(shares, "rows", "m", 128.0), "/own")));
}

#[test]
fn chapter_18_what_has_to_be_exchanged() {
    let r = results("family");
    let exchanged = &r["exchanged"];
    // "12, 3, 7 and 5 values"; "median of 400 draws".
    assert_eq!(exchanged["counts"], serde_json::json!([12, 3, 7, 5]));
    assert_eq!(number(exchanged, "/draws"), 400.0);
    let of = |k: usize, what: &str| number(exchanged, &format!("/rows/{k}/{what}"));
    // "Nothing is left but rounding."
    for what in ["y", "dx"] {
        assert!(of(0, what) < 1e-13, "{what}");
    }
    assert!(of(0, "dgamma") < 1e-11);
    // "The loss is right and so is dgamma. Only dx is wrong."
    assert!(of(1, "y") < 1e-13 && of(1, "dgamma") < 1e-12 && of(1, "dx") > 0.1);
    // "Averages give other outputs", and without an exchange all is wrong.
    for row in [2, 3] {
        for what in ["y", "dx", "dgamma"] {
            assert!(of(row, what) > 0.01, "row {row}, {what}");
        }
    }
}

#[test]
fn chapter_18_choosing() {
    let choosing = experiment("choosing");
    let situations = &choosing["data"]["situations"];
    let of = |situation: &str, what: &str| {
        let text = entry(situations, "situation", situation)[what].as_str();
        text.expect("a text").to_owned()
    };
    // "Nine situations."
    assert_eq!(situations.as_array().map(Vec::len), Some(9));
    // "There Batch Normalization is out."
    for batch in [1, 2] {
        let mlp = format!("MLP, batches of {batch}, accuracy");
        assert_eq!(of(&mlp, "judged"), "holds");
        assert!(!of(&mlp, "front").contains("Batch Norm"));
    }
    // "The sentence names Layer Normalization there. There is no clear difference; the median
    // of Batch Normalization is even a little higher."
    let median = |situation: &str, method: &str| {
        let methods = &entry(situations, "situation", situation)["methods"];
        number(entry(methods, "method", method), "/median")
    };
    let cnn = |batch: usize| format!("CNN, batches of {batch}, accuracy");
    assert_eq!(of(&cnn(2), "named"), "Layer Norm");
    assert_eq!(of(&cnn(2), "judged"), "no clear difference");
    let [batch, layer] = ["Batch Norm", "Layer Norm"].map(|norm| median(&cnn(2), norm));
    assert!(layer < batch && batch < layer + 0.01);
    // "In both rows of the CNN's accuracy all three norms are in the front."
    for batch in [2, 64] {
        let front = of(&cnn(batch), "front");
        assert_eq!(front, "Batch Norm, Layer Norm and Group Norm");
    }
    // "On the lengths that were trained, clearly better. Beyond them the order is reversed."
    assert_eq!(of("LSTM, trained lengths, loss", "judged"), "holds");
    assert_eq!(
        of("LSTM, beyond trained lengths, loss", "judged"),
        "the other is clearly better"
    );
    // "No norm at all is in the front" of these four.
    for situation in [
        "MLP, batches of 1, accuracy",
        "MLP, batches of 2, accuracy",
        "LSTM, trained lengths, loss",
        "Transformer, 3 blocks, loss",
    ] {
        assert!(of(situation, "front").contains("no norm"), "{situation}");
    }
    // "With sixteen blocks no norm is clearly behind, and so is" post-LN.
    let front = of("Transformer, 16 blocks, loss", "front");
    assert_eq!(front, "pre-LN, pre-RMS and pre-BN");
    // "Fewest steps to the target in the median."
    let steps = |method: &str| median("CNN, batches of 64, steps to the target", method);
    assert!(steps("Batch Norm") < steps("Layer Norm").min(steps("no norm")));
    // "A batch of two images is 1,568 values for each channel of the first layer."
    let protocol = experiment("cnn")["protocol"].clone();
    assert!(protocol["data"].as_str().expect("a text").contains("28x28"));
    assert_eq!(2 * 28 * 28, 1568);
}

//! The same for the chapters on networks, 10 and 14: the sentences that a measurement or an
//! experiment stands behind, without printing its number.

use serde_json::Value;

use super::claims::{experiment, number, results, row};

/// The setting of an experiment with this name.
pub(super) fn cell<'a>(results: &'a Value, name: &str) -> &'a Value {
    let settings = results["data"]["settings"].as_array().expect("settings");
    let found = settings.iter().find(|s| s["cell"] == name);
    found.unwrap_or_else(|| panic!("no setting {name}"))
}

#[test]
fn chapter_10_the_row_of_pixels() {
    let r = results("convolution");
    // "Take p = 2": the products are spelt out in the text, here and for the middle pixel.
    let pixel = |p: usize, what: &str| number(&r, &format!("/worked/pixels/{p}/{what}"));
    let filter: Vec<f64> = (0..3)
        .map(|k| number(&r, &format!("/worked/columns/{k}/w")))
        .collect();
    assert_eq!(filter, [2.0, 1.0, -1.0]);
    assert_eq!(
        [0, 1, 2].map(|p| pixel(p, "x")),
        [1.0, 2.0, 0.0],
        "2·1 + 1·2 − 1·0"
    );
    assert_eq!(pixel(1, "y"), 4.0);
    assert_eq!(
        [1, 2, 3].map(|p| pixel(p, "dy")),
        [0.0, 2.0, 0.0],
        "−1·0 + 1·2 + 2·0"
    );
    assert_eq!(pixel(2, "dx"), 2.0);
    // "Its diagonals add up to dx."
    for i in 0..5 {
        let parts = (0..3).filter_map(|k| {
            let p = (i + 2_usize)
                .checked_sub(k)
                .filter(|p| (1..6).contains(p))?;
            Some(number(&r, &format!("/worked/dcolumns/{k}/p{p}")))
        });
        assert_eq!(parts.sum::<f64>(), pixel(i, "dx"));
    }
    assert_eq!(
        number(&r, "/worked/adjoint/0"),
        number(&r, "/worked/adjoint/1")
    );
    // The first of two equal largest values receives everything.
    assert_eq!(r["pools"]["tie"], serde_json::json!([1.0, 0.0]));
}

#[test]
fn chapter_10_before_a_norm() {
    let r = results("convolution");
    let of = |id: &str, what: &str| {
        let rows = r["norms"].as_array().expect("norms");
        let row = rows.iter().find(|n| n["id"] == id).expect("a norm");
        number(row, what)
    };
    // "Zero exactly", "perpendicular"; and with Layer Norm neither.
    assert!(of("batch", "/db") < 1e-12 * of("batch", "/dw"));
    assert!(of("batch", "/cosine") < 1e-4);
    assert!(of("layer", "/db") > 0.1 && of("layer", "/cosine") > 0.01);
    // "A filter that is longer has a shorter gradient."
    for scale in r["scales"].as_array().expect("scales") {
        let product = number(scale, "/scale") * number(scale, "/gradient");
        assert!((product - 1.0).abs() < 1e-3, "{product}");
    }
}

#[test]
fn chapter_10_what_the_values_are_worth() {
    let r = results("convolution");
    let two = &r["values"]["batches"][0];
    // "Close to a thousandth", "far below H W", "more than enough" beside the 8 of chapter 11.
    assert!((0.9..1.5).contains(&(1e3 * (1.0 - number(two, "/passes")))));
    for batch in r["values"]["batches"].as_array().expect("batches") {
        assert!(number(batch, "/worth_of_an_image") < 0.2 * 784.0);
        assert!(number(batch, "/measured") > 2.0 * number(batch, "/independent"));
    }
    assert!(number(two, "/worth") > 16.0);
}

#[test]
fn chapter_10_the_experiments() {
    let c = experiment("convergence");
    let steps = |name: &str| number(cell(&c, name), "/steps_to_target/median");
    // "Twice as fast", and above 97 % over two decades.
    assert!((1.8..2.2).contains(&(steps("cnn-none") / steps("cnn-batch"))));
    for rate in 0..5 {
        let pointer = format!("/rates/{rate}/validation_accuracy/median");
        assert!(number(cell(&c, "cnn-batch"), &pointer) > 0.97);
    }
    let first = number(cell(&c, "cnn-batch"), "/rates/0/rate");
    assert_eq!(
        number(cell(&c, "cnn-batch"), "/rates/4/rate") / first,
        100.0
    );
}

#[test]
fn chapter_10_the_norms_of_a_cnn() {
    let e = experiment("cnn");
    let of = |batch: usize, norm: &str, what: &str| {
        let name = format!("{batch}-{norm}");
        number(cell(&e, &name), &format!("/test_accuracy/{what}"))
    };
    let median = |batch, norm| of(batch, norm, "median");
    let above = |a: (usize, &str), b: (usize, &str)| of(a.0, a.1, "low") > of(b.0, b.1, "high");
    let (sizes, norms) = ([2, 8, 64], ["none", "batch", "layer", "group4"]);
    for batch in sizes {
        // "At each size clearly better than no norm", "at none than the other two, nor worse".
        assert!(above((batch, "batch"), (batch, "none")), "{batch}");
        for norm in ["layer", "group4"] {
            assert!(!above((batch, "batch"), (batch, norm)), "{batch} {norm}");
            assert!(!above((batch, norm), (batch, "batch")), "{batch} {norm}");
            // "Only with batches of 64 is it the one norm that stands clear of none."
            if batch == 64 {
                assert!(!above((batch, norm), (batch, "none")));
                // "Its median lies a single image above."
                let images = 500.0 * (median(64, "batch") - median(64, norm));
                assert!((images - 1.0).abs() < 1e-6, "{images}");
            }
        }
    }
    assert!(above((2, "layer"), (2, "none")) && above((8, "group4"), (8, "none")));
    assert_eq!(number(&e, "/protocol/other_examples"), 500.0, "0.2 % each");
    // "Its lead over no norm": smaller in large batches, and "a per cent or so".
    let lead = |batch| median(batch, "batch") - median(batch, "none");
    assert!(lead(2) > 2.0 * lead(64) && lead(2) < 0.02, "the lead");
    // The hidden answer at the head: "not less at all".
    assert!(median(2, "batch") >= median(64, "batch"));
    // "All four have a better median with two images, clearly so only two."
    for norm in norms {
        assert!(median(2, norm) > median(64, norm), "{norm}");
        let clearly = ["layer", "group4"].contains(&norm);
        assert_eq!(above((2, norm), (64, norm)), clearly, "{norm}");
    }
    // "Thirty times as many steps."
    assert_eq!(300 / 600_usize.div_ceil(64), 30);
    // "Over the last four epochs no median rises by a whole point", with 64.
    for norm in norms {
        let setting = cell(&e, &format!("64-{norm}"));
        let at = |epoch: usize| {
            number(
                setting,
                &format!("/curves/validation_accuracy/median/{epoch}"),
            )
        };
        assert!((at(15) - at(11)).abs() < 0.01, "{norm}");
    }
}

#[test]
fn chapter_10_the_rates_of_a_cnn() {
    let e = experiment("cnn");
    let rate = |norm: &str| number(cell(&e, &format!("64-{norm}")), "/chosen_rate");
    assert!((rate("none") / rate("batch") - 10.0).abs() < 1e-9);
    let accuracies = |norm: &str| -> Vec<f64> {
        let setting = cell(&e, &format!("64-{norm}"));
        let rates = setting["rates"].as_array().expect("rates");
        let each = rates
            .iter()
            .map(|r| number(r, "/validation_accuracy/median"));
        each.collect()
    };
    // "It exceeds 90 % at four rates, and the network without a norm at two."
    let good = |norm: &str| accuracies(norm).iter().filter(|a| **a > 0.9).count();
    assert_eq!([good("batch"), good("none")], [4, 2]);
    // "Both fail at the highest. Layer Norm alone still learns there."
    let at_highest = |norm: &str| *accuracies(norm).last().expect("rates");
    for norm in ["none", "batch", "group4"] {
        assert!(at_highest(norm) < 0.2, "{norm}");
    }
    assert!(at_highest("layer") > 0.8);
    // The table has no rate at an edge of the grid.
    for setting in e["data"]["settings"].as_array().expect("settings") {
        assert_eq!(
            setting["chosen_rate_is_at_the_edge_of_the_grid"],
            Value::Bool(false)
        );
    }
}

#[test]
fn chapter_14_through_time() {
    let r = results("sequences");
    // In a caption.
    assert_eq!(number(&r, "/through_time/networks"), 11.0);
    let at = |gain: f64, what: &str| {
        let gain = row(&r["through_time"], "rows", "gain", gain);
        number(gain, what)
    };
    // "Near one gain, 2 here"; "below it the gradient vanishes, above it explodes".
    assert!((0.1..10.0).contains(&at(2.0, "/none_50")));
    assert!(at(1.0, "/none_50") < 1e-9 && at(4.0, "/none_50") > 1e5);
    // "The last two rows hardly differ"; "the first half stays"; "at g = 2 it takes away".
    let last = at(8.0, "/layer_50") / at(4.0, "/layer_50");
    assert!((0.3..3.0).contains(&last) && (0.3..3.0).contains(&at(8.0, "/layer_50")));
    for small in [0.5, 1.0] {
        assert!(at(small, "/layer_50") < at(small, "/none_50"));
    }
    assert!(at(2.0, "/layer_50") < 0.01 * at(2.0, "/none_50"));
}

#[test]
fn chapter_14_padding_and_a_constant_step() {
    let r = results("sequences");
    // The formula for statistics with padding.
    let p = |what: &str| number(&r, &format!("/padding/{what}"));
    let q = p("share");
    assert!((p("padded_mean") - (1.0 - q) * p("mean")).abs() < 1e-12);
    let var = (1.0 - q) * (p("var") + q * p("mean").powi(2));
    assert!((p("padded_var") - var).abs() < 1e-12);
    // The lag, and "the network has never seen such a number".
    let c = |what: &str| number(&r, &format!("/constant/{what}"));
    let lag = c("drift") * (1.0 - c("momentum")) / c("momentum");
    assert!((c("lag") - lag).abs() < 1e-9);
    // "Zero to rounding": the mean of equal numbers is rounded, and divided by √ε.
    let rounding = f64::EPSILON * c("drift") * c("batches") * c("rstd");
    assert!(c("training") <= 4.0 * rounding && c("inference") > 2.0);
}

#[test]
fn chapter_14_the_experiment() {
    let e = experiment("recurrent");
    let guess = number(&results("sequences"), "/uniform_loss");
    let method = |m: usize, what: &str| number(&e, &format!("/data/methods/{m}{what}"));
    let step =
        |m: usize, step: usize| method(m, &format!("/long_words_by_step/{}/median", step - 1));
    let names = [
        "no norm",
        "Layer Norm",
        "Batch Norm by step",
        "Batch Norm, shared",
    ];
    for (m, name) in names.into_iter().enumerate() {
        assert_eq!(e["data"]["methods"][m]["method"], name);
    }
    // "About 5", "about 12"; and nobody in training gets beyond step nine.
    let reach = e["data"]["words_of_a_batch_at_each_step"].as_array();
    let reach = reach.expect("steps");
    assert_eq!(reach.len(), 9);
    assert!((4.0..6.0).contains(&number(&reach[8], "/words")));
    // "Both forms are clearly worse, and worse at every rate"; by step the worse.
    let rates = e["protocol"]["rates"].as_array().expect("rates").len();
    for batch in [2, 3] {
        assert!(method(batch, "/test_loss/low") > method(1, "/test_loss/high"));
        for rate in 0..rates {
            let at = |m: usize| method(m, &format!("/rates/{rate}/validation_loss/median"));
            assert!(at(batch) > at(0).max(at(1)));
        }
    }
    assert!(method(2, "/test_loss/median") > method(3, "/test_loss/median"));
    for rate in 0..rates {
        let at = |m: usize| method(m, &format!("/rates/{rate}/validation_loss/median"));
        assert!(at(2) > at(3));
    }
    // In the captions, and "the same for both".
    assert_eq!(e["seeds"].as_array().map(Vec::len), Some(13));
    assert_eq!(method(0, "/chosen_rate"), method(1, "/chosen_rate"));
    // "At the two smaller rates clearly better", and not above.
    for rate in 0..rates {
        let at = |m: usize, end: &str| method(m, &format!("/rates/{rate}/validation_loss/{end}"));
        assert_eq!(at(1, "high") < at(0, "low"), rate < 2, "{rate}");
    }
    assert_eq!(method(0, "/rates/0/rate"), 0.001);
    // "As good as no norm, not better."
    assert!(method(1, "/test_loss/low") <= method(0, "/test_loss/high"));
    assert!(method(1, "/test_loss/median") >= method(0, "/test_loss/median"));
    // At step one by step is above guessing, and the others are not.
    // At step two as well, and from step three to step eight no more.
    assert!(step(2, 1) > guess && step(2, 2) > guess);
    assert!((3..9).all(|late| step(2, late) < guess));
    for other in [0, 1, 3] {
        assert!(step(other, 1) < guess);
        assert!(step(other, 1) >= step(1, 1) && step(other, 1) <= step(3, 1));
    }
    // "From step 8 to step 12 above that of guessing, and from step 9 on, without a norm, far
    // above"; "at step 13 all are well below"; beyond, the other way round.
    for late in 8..13 {
        assert_eq!(step(0, late) > guess + 1.0, late > 8, "{late}");
        assert!(step(0, late) > guess && step(1, late) > guess, "{late}");
    }
    for m in 0..4 {
        assert!(step(m, 13) < guess - 0.5);
    }
    assert!(step(0, 7) < guess && step(1, 7) < guess);
    let beyond = |m: usize, end: &str| method(m, &format!("/test_loss_beyond/{end}"));
    for batch in [2, 3] {
        assert!(beyond(batch, "high") < beyond(1, "low"));
    }
    assert!(beyond(1, "high") < beyond(0, "low"));
}

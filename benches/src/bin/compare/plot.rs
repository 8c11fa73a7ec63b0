//! The plot: speed relative to PyTorch, one row for each case.

use chart::{Axis, Chart, Hue, Ink};
use serde_json::Value;

/// Speed relative to PyTorch in a run on a processor of this make, as it stands in the results;
/// `None` without PyTorch.
pub fn chart(run: &Value, make: &str) -> Option<Chart> {
    let cases = run["cases"].as_array()?;
    let time = |case: &Value, side: &str| case["sides"][side]["median_ns"].as_f64();
    let speeds = |side: &str| -> Vec<(f64, f64)> {
        let speed = |(row, case): (usize, &Value)| {
            Some((time(case, "torch")? / time(case, side)?, row as f64))
        };
        cases.iter().enumerate().filter_map(speed).collect()
    };
    let hues = [
        ("torch-keep", Hue::Accent),
        ("burn", Hue::Var),
        ("candle", Hue::Mean),
        ("ours", Hue::Direct),
    ];
    let sides = hues.map(|(side, hue)| (side, hue, speeds(side)));
    let all = || sides.iter().flat_map(|(_, _, speeds)| speeds);
    // PyTorch beside itself is no comparison.
    sides
        .iter()
        .find(|(side, _, speeds)| *side != "torch-keep" && !speeds.is_empty())?;
    let low = all().fold(0.5, |low: f64, (speed, _)| low.min(speed / 1.3));
    let high = all().fold(2.0, |high: f64, (speed, _)| high.max(speed * 1.3));
    let threads = match run["threads"].as_u64()? {
        1 => "one thread".to_owned(),
        threads => format!("{threads} threads"),
    };
    let title = format!("Speed relative to PyTorch, {make}, {threads}");
    let names = cases.iter().filter_map(|case| case["case"].as_str());
    let names = names.map(|name| name.replace("forward+backward", "+ backward"));
    let rows = Axis::rows(&title, names.collect());
    let even = [rows.range.0, rows.range.1].map(|end| (1.0, end));
    let chart = Chart::new(
        &title,
        "A row for each case, and in it a dot for each side: the time of PyTorch over its own, \
         on a logarithmic axis. What is to the right of the line at 1 is faster than PyTorch. \
         The side torch-keep is PyTorch with a C library that keeps freed memory.",
        Axis::log("right is faster", low, high),
        rows,
    );
    let chart = chart.line("", Ink::Theory, even);
    let draw = |chart: Chart, (side, hue, speeds)| chart.line(side, Ink::Dots(hue), speeds);
    Some(
        sides
            .into_iter()
            .filter(|(_, _, speeds)| !speeds.is_empty())
            .fold(chart, draw),
    )
}

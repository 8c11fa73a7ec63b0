//! Comparing arrays, and putting what differs into a report.

use verdict::{Heatmap, Line};

/// Differences up to this share of the largest value are rounding.
pub const ROUNDING: f64 = 1e-11;

/// The largest absolute value.
pub fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// The largest difference, as a share of the largest expected value; infinite when the
/// lengths differ or a value is not finite.
pub fn distance(expected: &[f64], found: &[f64]) -> f64 {
    if expected.len() != found.len() {
        return f64::INFINITY;
    }
    let scale = largest(expected).max(f64::MIN_POSITIVE);
    let difference = |(e, f): (&f64, &f64)| (e - f).abs() / scale;
    let worst = |worst: f64, d: f64| {
        if d.is_finite() {
            worst.max(d)
        } else {
            f64::INFINITY
        }
    };
    expected.iter().zip(found).map(difference).fold(0.0, worst)
}

/// Whether two arrays are equal but for rounding.
pub fn same(expected: &[f64], found: &[f64]) -> bool {
    distance(expected, found) <= ROUNDING
}

/// A line of a report for an array that was compared.
pub fn line(name: &str, expected: &[f64], found: &[f64]) -> Line {
    let distance = distance(expected, found);
    let right = distance <= ROUNDING;
    let detail = if expected.len() != found.len() {
        format!("{} values, must be {}", found.len(), expected.len())
    } else if distance == 0.0 {
        "equal to the last bit".to_owned()
    } else if right {
        format!("equal to rounding, {distance:.0e} of the largest value")
    } else if distance.is_finite() {
        format!("off by up to {}", share(distance))
    } else {
        "not finite".to_owned()
    };
    Line {
        name: name.to_owned(),
        right,
        detail,
    }
}

/// A distance in words.
fn share(distance: f64) -> String {
    let per_cent = 100.0 * distance;
    match distance {
        ..0.001 => format!("{distance:.0e} of the largest value"),
        ..0.1 => format!("{per_cent:.1} % of the largest value"),
        ..1.0 => format!("{per_cent:.0} % of the largest value"),
        ..1e3 => format!("{distance:.1} times the largest value"),
        _ => format!("{distance:.0e} times the largest value"),
    }
}

/// The map of a wrong array, when it has the right length; one number is no map.
pub fn heatmap(
    name: &str,
    rows: usize,
    columns: usize,
    expected: &[f64],
    found: &[f64],
) -> Option<Heatmap> {
    let counts = [found.len(), rows * columns];
    (counts == [expected.len(); 2] && expected.len() > 1).then(|| Heatmap {
        name: name.to_owned(),
        rows,
        columns,
        blocks: Vec::new(),
        expected: expected.to_vec(),
        found: found.to_vec(),
    })
}

/// The lines of another report, set off from the sentence before them.
pub fn quoted(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// What the blocks of a map's rows are: one for each index along the `axes` in front of the
/// last two, each with what it counts and its length. None where there is one block only.
#[must_use]
pub fn blocks(axes: &[(&str, usize)]) -> Vec<String> {
    let mut blocks = Vec::new();
    for &(what, length) in axes {
        let one = |at: usize| format!("{what} {at}");
        blocks = if blocks.is_empty() {
            (0..length).map(one).collect()
        } else {
            let longer = |block: &String| {
                let block = block.clone();
                (0..length).map(move |at| format!("{block}, {}", one(at)))
            };
            blocks.iter().flat_map(longer).collect()
        };
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_no_map() {
        assert_eq!(heatmap("a", 1, 1, &[1.0], &[2.0]), None);
        assert_eq!(heatmap("a", 1, 2, &[1.0, 1.0], &[2.0]), None);
        assert!(heatmap("a", 1, 2, &[1.0, 1.0], &[2.0, 1.0]).is_some());
    }

    #[test]
    fn a_distance_is_told_by_its_size() {
        let told = [2e-7, 0.0123, 0.26, 1.0, 26.0, 6.1e13].map(share);
        assert_eq!(
            told,
            [
                "2e-7 of the largest value",
                "1.2 % of the largest value",
                "26 % of the largest value",
                "1.0 times the largest value",
                "26.0 times the largest value",
                "6e13 times the largest value",
            ]
        );
    }
}

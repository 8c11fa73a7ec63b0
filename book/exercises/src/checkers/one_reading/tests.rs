use super::*;
use crate::Outcome;
use crate::known::assert_listed;

const SEEDS: std::ops::Range<u64> = 0..6;

fn add(seen: &mut Seen, x: f64) {
    seen.count += 1.0;
    let before = x - seen.mean;
    seen.mean += before / seen.count;
    seen.squares += before * (x - seen.mean);
}

fn merge(a: &Seen, b: &Seen) -> Seen {
    if b.count == 0.0 {
        return *a;
    }
    let count = a.count + b.count;
    let delta = b.mean - a.mean;
    Seen {
        count,
        mean: a.mean + delta * (b.count / count),
        squares: a.squares + b.squares + delta * delta * (a.count * b.count / count),
    }
}

#[track_caller]
fn is_named(report: &Report, id: &str, headline: &str) {
    assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
    assert!(report.headline.starts_with(headline), "{report}");
    assert_listed(report);
}

#[test]
fn what_is_right_passes() {
    for seed in SEEDS {
        let report = report(&add, &merge, seed);
        assert!(report.passed(), "{report}");
        assert_eq!(report.lines.len(), 6);
    }
}

/// A wrong line is known whether or not what comes first is treated by itself; with it, the
/// next line is not wrong.
#[test]
fn a_wrong_line_is_known_with_a_line_for_the_edge_and_without() {
    let old_count = |s: &mut Seen, x: f64| {
        let mean = s.mean + (x - s.mean) / s.count;
        add(s, x);
        s.mean = mean;
    };
    let careful = |s: &mut Seen, x: f64| {
        if s.count == 0.0 {
            add(s, x);
        } else {
            old_count(s, x);
        }
    };
    let swapped = |a: &Seen, b: &Seen| {
        let count = a.count + b.count;
        let mean = (b.count * a.mean + a.count * b.mean) / count;
        Seen {
            mean,
            ..merge(a, b)
        }
    };
    let joined = |a: &Seen, b: &Seen| match (a.count, b.count) {
        (_, 0.0) => *a,
        (0.0, _) => *b,
        _ => swapped(a, b),
    };
    for seed in SEEDS {
        for add in [&old_count as Add<'_>, &careful] {
            let report = report(add, &merge, seed);
            is_named(
                &report,
                "old-count",
                "add: the first wrong line is mean: x - mean is",
            );
        }
        for merge in [&swapped as Merge<'_>, &joined] {
            let report = report(&add, merge, seed);
            is_named(
                &report,
                "weights-swapped",
                "merge: the first wrong line is mean: ",
            );
            assert_eq!(report.notes[1], "Right already: add.");
        }
    }
}

/// The distance of the means taken the other way round, and so added with the wrong sign.
#[test]
fn a_merge_that_moves_away_is_known() {
    let away = |a: &Seen, b: &Seen| Seen {
        mean: a.mean + (a.mean - b.mean) * b.count / (a.count + b.count),
        ..merge(a, b)
    };
    for seed in SEEDS {
        let told = "merge: the first wrong line is mean: it moves away from the mean of b";
        is_named(&report(&add, &away, seed), "sign", told);
    }
}

/// Right from the second value on.
#[test]
fn a_first_value_that_is_lost_is_told() {
    let skips = |s: &mut Seen, x: f64| {
        if s.count == 0.0 {
            s.count = 1.0;
        } else {
            add(s, x);
        }
    };
    let halves = |s: &mut Seen, x: f64| {
        let first = s.count == 0.0;
        add(s, x);
        if first {
            s.mean /= 2.0;
        }
    };
    for seed in SEEDS {
        for add in [&skips as Add<'_>, &halves] {
            let report = report(add, &merge, seed);
            is_named(
                &report,
                "first-value",
                "add: the first wrong line is mean: ",
            );
            assert!(report.notes[0].contains(", the very first value, mean is "));
        }
    }
}

/// Through the sum and the sum of squares: right near zero, and lost far from it.
#[test]
fn sums_of_squares_are_found_out_far_from_zero() {
    let by_sums = |s: &mut Seen, x: f64| {
        let sum = s.mean * s.count + x;
        let squares = s.squares + s.mean * s.mean * s.count + x * x;
        s.count += 1.0;
        s.mean = sum / s.count;
        s.squares = squares - s.mean * sum;
    };
    let merged = |a: &Seen, b: &Seen| {
        let raw = |s: &Seen| s.squares + s.mean * s.mean * s.count;
        let count = a.count + b.count;
        if count == 0.0 {
            return *a;
        }
        let mean = (a.mean * a.count + b.mean * b.count) / count;
        Seen {
            count,
            mean,
            squares: raw(a) + raw(b) - mean * mean * count,
        }
    };
    for seed in SEEDS {
        for (function, report) in [
            ("add", report(&by_sums, &merge, seed)),
            ("merge", report(&add, &merged, seed)),
        ] {
            let headline = format!("{function}: the first wrong line is squares: with a mean of");
            is_named(&report, "cancellation", &headline);
            assert!(report.notes[0].contains("ten million deviations from zero, squares is"));
        }
    }
}

/// With the share as the book has it, 0/0: the mean of no values is 0, as it is before any came.
#[test]
fn two_empty_lists_make_an_empty_one() {
    let share = |a: &Seen, b: &Seen| {
        let count = a.count + b.count;
        let (delta, share) = (b.mean - a.mean, b.count / count);
        Seen {
            count,
            mean: a.mean + delta * share,
            squares: a.squares + b.squares + delta * delta * a.count * share,
        }
    };
    for seed in SEEDS {
        let report = report(&add, &share, seed);
        is_named(
            &report,
            "empty-lists",
            "merge: the first wrong line is mean: ",
        );
        let told = "For two empty lists, mean is NaN, and must be 0.000000.";
        assert_eq!(report.notes[0], told);
    }
}

/// Through the variances, of which an empty list has none; and the empty list for the other.
#[test]
fn an_empty_list_is_joined_too() {
    let through_variances = |a: &Seen, b: &Seen| {
        let squares = |s: &Seen| s.squares / s.count * s.count;
        let joined = merge(a, b);
        Seen {
            squares: joined.squares - (a.squares + b.squares) + (squares(a) + squares(b)),
            ..joined
        }
    };
    let one_for_the_other = |a: &Seen, b: &Seen| {
        if a.count * b.count == 0.0 {
            *a
        } else {
            merge(a, b)
        }
    };
    for seed in SEEDS {
        let nan = report(&add, &through_variances, seed);
        is_named(
            &nan,
            "empty-list",
            "merge: the first wrong line is squares: ",
        );
        let told = report(&add, &one_for_the_other, seed);
        is_named(
            &told,
            "empty-list",
            "merge: the first wrong line is count: ",
        );
        assert!(
            told.notes[0].starts_with("For an empty list and one of 3, count is 0, and must be 3")
        );
    }
}

#[test]
fn a_function_that_is_not_written_is_said_to_be() {
    let second = report(&add, &|_, _| todo!(), 0);
    assert_eq!(second.outcome, Outcome::Unwritten);
    assert!(second.headline.starts_with("merge: not written yet"));
    assert_eq!(second.notes, ["Right already: add."]);
    let first = report(&|_, _| todo!(), &merge, 0);
    assert_eq!(first.notes, ["Right already: merge."]);
    assert!(
        first.headline.starts_with("add: not written yet"),
        "{first}"
    );
}

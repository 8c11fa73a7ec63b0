use super::*;
use crate::Report;
use crate::known::assert_listed;
use judge::testing::{named, passes, tells};

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

/// The report on one function, the other being right.
fn of_add(add: &dyn Fn(&mut Seen, f64), seed: u64) -> Report {
    report(add, &merge, seed)
}

fn of_merge(merge: &dyn Fn(&Seen, &Seen) -> Seen, seed: u64) -> Report {
    let report = report(&add, merge, seed);
    let credit = "Right already: add.";
    assert!(report.notes.iter().any(|note| note == credit), "{report}");
    report
}

#[test]
fn what_is_right_passes() {
    passes(6, |seed| of_add(&add, seed));
}

/// A wrong line is known whether or not what comes first is treated by itself; with it, the
/// next line is not wrong. What is right from the second value on is told as that.
#[test]
fn a_wrong_addition_is_named() {
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
    // Through the sum and the sum of squares: right near zero, and lost far from it.
    let by_sums = |s: &mut Seen, x: f64| {
        let sum = s.mean * s.count + x;
        let squares = s.squares + s.mean * s.mean * s.count + x * x;
        s.count += 1.0;
        s.mean = sum / s.count;
        s.squares = squares - s.mean * sum;
    };
    type Typed<'a> = (&'a dyn Fn(&mut Seen, f64), &'a str);
    let typed: [(&str, Typed<'_>); 5] = [
        ("mean: old-count", (&old_count, ", mean is ")),
        ("mean: old-count", (&careful, ", mean is ")),
        (
            "mean: first-value",
            (&skips, ", the very first value, mean is "),
        ),
        (
            "mean: first-value",
            (&halves, ", the very first value, mean is "),
        ),
        ("squares: cancellation", (&by_sums, FAR_AWAY)),
    ];
    named(&typed, |(add, note), seed| {
        let report = of_add(add, seed);
        assert!(report.notes[0].contains(note), "{report}");
        assert_listed(&report);
        report
    });
}

const FAR_AWAY: &str = "ten million deviations from zero, squares is";

#[test]
fn a_wrong_merge_is_named() {
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
    // The distance of the means taken the other way round, and so added with the wrong sign.
    let away = |a: &Seen, b: &Seen| Seen {
        mean: a.mean + (a.mean - b.mean) * b.count / (a.count + b.count),
        ..merge(a, b)
    };
    let by_sums = |a: &Seen, b: &Seen| {
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
    // With the share as the book has it, 0/0: the mean of no values is 0, as it is before any
    // came.
    let share = |a: &Seen, b: &Seen| {
        let count = a.count + b.count;
        let (delta, share) = (b.mean - a.mean, b.count / count);
        Seen {
            count,
            mean: a.mean + delta * share,
            squares: a.squares + b.squares + delta * delta * a.count * share,
        }
    };
    // Through the variances, of which an empty list has none.
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
    type Typed<'a> = (&'a dyn Fn(&Seen, &Seen) -> Seen, &'a str);
    let none = "For two empty lists, mean is NaN, and must be 0.000000.";
    let other = "For an empty list and one of 3, count is 0, and must be 3";
    let typed: [(&str, Typed<'_>); 7] = [
        ("mean: weights-swapped", (&swapped, ", mean is ")),
        ("mean: weights-swapped", (&joined, ", mean is ")),
        ("mean: sign", (&away, ", mean is ")),
        ("squares: cancellation", (&by_sums, FAR_AWAY)),
        ("mean: empty-lists", (&share, none)),
        (
            "squares: empty-list",
            (&through_variances, ", squares is NaN"),
        ),
        ("count: empty-list", (&one_for_the_other, other)),
    ];
    named(&typed, |(merge, note), seed| {
        let report = of_merge(merge, seed);
        assert!(report.notes[0].contains(note), "{report}");
        assert_listed(&report);
        report
    });
}

#[test]
fn a_function_that_is_not_written_is_said_to_be() {
    let second = of_merge(&|_, _| todo!(), 0);
    tells(&second, "Unwritten", &["merge: not written yet"]);
    let told = ["add: not written yet", "\nRight already: merge."];
    tells(&of_add(&|_, _| todo!(), 0), "Unwritten", &told);
}

use super::*;
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

#[test]
fn what_is_right_passes() {
    for seed in SEEDS {
        let report = report(&add, &merge, seed);
        assert!(report.passed(), "{report}");
        assert_eq!(report.lines.len(), 4);
    }
}

/// A function to add a value with.
type Adds = fn(&mut Seen, f64);

#[test]
fn every_wrong_add_is_named() {
    let cases: [(Adds, &str); 13] = [
        (
            |s, x| {
                add(s, x);
                s.count -= 1.0;
            },
            "count-unchanged",
        ),
        (
            |s, x| {
                let mean = s.mean;
                add(s, x);
                s.mean = mean;
            },
            "mean-unchanged",
        ),
        (
            |s, x| {
                add(s, x);
                s.mean = x;
            },
            "mean-not-divided",
        ),
        (
            |s, x| {
                let mean = s.mean + (x - s.mean) / s.count;
                add(s, x);
                s.mean = mean;
            },
            "old-count",
        ),
        (
            |s, x| {
                let mean = (s.mean + x) / 2.0;
                add(s, x);
                s.mean = mean;
            },
            "mean-of-two",
        ),
        (
            |s, x| {
                let old = s.mean;
                add(s, x);
                s.mean = 2.0 * old - s.mean;
            },
            "sign",
        ),
        (
            |s, x| {
                let squares = s.squares;
                add(s, x);
                s.squares = squares;
            },
            "squares-unchanged",
        ),
        (
            |s, x| {
                let squares = s.squares + (x - s.mean).powi(2);
                add(s, x);
                s.squares = squares;
            },
            "old-deviation-squared",
        ),
        (
            |s, x| {
                let squares = s.squares;
                add(s, x);
                s.squares = squares + (x - s.mean).powi(2);
            },
            "new-deviation-squared",
        ),
        (
            |s, x| {
                let squares = s.squares + x * x;
                add(s, x);
                s.squares = squares;
            },
            "raw-squares",
        ),
        (
            |s, x| {
                add(s, x);
                s.squares /= s.count;
            },
            "variance-stored",
        ),
        (
            |s, x| {
                add(s, x);
                s.mean = f64::NAN;
            },
            "not-finite",
        ),
        (
            |s, x| {
                add(s, x);
                s.mean *= 1.3;
            },
            "unknown",
        ),
    ];
    for (wrong, id) in cases {
        for seed in SEEDS {
            let report = report(&wrong, &merge, seed);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(report.mistake.as_deref(), Some(id), "seed {seed}: {report}");
            assert!(report.headline.starts_with("add: "), "{}", report.headline);
            if !["not-finite", "unknown"].contains(&id) {
                assert_listed(&report);
            }
        }
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
    for seed in SEEDS {
        let report = report(&skips, &merge, seed);
        assert_eq!(report.mistake.as_deref(), Some("first-value"), "{report}");
        assert_listed(&report);
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
        s.squares = squares - sum * sum / s.count;
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
        for report in [report(&by_sums, &merge, seed), report(&add, &merged, seed)] {
            assert_eq!(report.mistake.as_deref(), Some("cancellation"), "{report}");
            assert_listed(&report);
            let wrong: Vec<&str> = (report.lines.iter().filter(|l| !l.right))
                .map(|l| l.name.as_str())
                .collect();
            assert!(wrong.len() == 1 && wrong[0].ends_with("far from zero"));
        }
    }
}

#[test]
fn every_wrong_merge_is_named() {
    /// The right result, spoilt.
    type Spoil = fn(&Seen, &Seen, Seen) -> Seen;
    let cases: [(Spoil, &str); 9] = [
        (
            |a, _, r| Seen {
                count: a.count,
                ..r
            },
            "count-of-one",
        ),
        (
            |a, b, r| Seen {
                mean: (a.mean + b.mean) / 2.0,
                ..r
            },
            "means-averaged",
        ),
        (
            |a, b, r| Seen {
                mean: (b.count * a.mean + a.count * b.mean) / r.count,
                ..r
            },
            "weights-swapped",
        ),
        (
            |a, b, r| Seen {
                squares: a.squares + b.squares,
                ..r
            },
            "between-missing",
        ),
        (
            |a, b, r| Seen {
                squares: a.squares + b.squares + (b.mean - a.mean).powi(2),
                ..r
            },
            "between-unweighted",
        ),
        (
            |a, b, r| Seen {
                squares: a.squares + b.squares + (b.mean - a.mean).powi(2) * a.count * b.count,
                ..r
            },
            "between-not-divided",
        ),
        (
            |a, b, r| Seen {
                squares: a.squares
                    + b.squares
                    + (b.mean - a.mean).powi(2) * a.count * b.count / r.count.powi(2),
                ..r
            },
            "between-divided-twice",
        ),
        (
            |a, b, r| Seen {
                squares: a.squares + b.squares + (b.mean - a.mean) * a.count * b.count / r.count,
                ..r
            },
            "delta-not-squared",
        ),
        (
            |a, b, r| Seen {
                squares: 2.0 * (a.squares + b.squares) - r.squares,
                ..r
            },
            "between-sign",
        ),
    ];
    for (spoil, id) in cases {
        for seed in SEEDS {
            let wrong = |a: &Seen, b: &Seen| spoil(a, b, merge(a, b));
            let report = report(&add, &wrong, seed);
            assert_eq!(report.mistake.as_deref(), Some(id), "seed {seed}: {report}");
            assert_listed(&report);
        }
    }
}

#[test]
fn an_empty_list_is_joined_too() {
    let careless = |a: &Seen, b: &Seen| {
        let mut joined = merge(a, b);
        if b.count == 0.0 || a.count == 0.0 {
            joined.mean = f64::NAN;
        }
        joined
    };
    for seed in SEEDS {
        let report = report(&add, &careless, seed);
        assert_eq!(report.mistake.as_deref(), Some("empty-list"), "{report}");
        assert_listed(&report);
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
        assert_eq!(report.mistake.as_deref(), Some("empty-lists"), "{report}");
        let told = "merge: of two empty lists joined, mean is NaN and must be 0.000000";
        assert_eq!(report.headline, told);
        assert_listed(&report);
    }
}

#[test]
fn a_second_function_that_is_not_written_is_said_to_be() {
    let report = report(&add, &|_, _| todo!(), 0);
    assert_eq!(report.outcome, Outcome::Unwritten);
    assert!(
        report
            .headline
            .starts_with("add is right; merge: not written yet"),
        "{}",
        report.headline
    );
}

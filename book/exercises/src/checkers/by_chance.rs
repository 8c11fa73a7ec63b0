//! Checks the exercise `by_chance`: small numbers of seeds by going through all words, larger
//! ones by the sum of the chapter.

use crate::compare::{unusable, wrong_at};
use crate::engine::Checker;
use crate::harness;
use crate::known::Known;
use crate::{Line, Outcome, Report};
use std::process::ExitCode;

const NAME: &str = "by_chance";
const SECTION: &str = "sec:claims-rule";

/// What the reader writes: from the number of seeds to a share.
pub type Candidate<'a> = &'a dyn Fn(u64) -> f64;

/// Checks `candidate` and prints the report.
pub fn check(candidate: impl Fn(u64) -> f64) -> ExitCode {
    harness::run(NAME, || report(&candidate))
}

/// The numbers of seeds that are asked for; as far as [`COUNTED`] all words are gone through.
const SEEDS: [u64; 5] = [5, 9, 13, 17, 41];
const COUNTED: u64 = 9;

/// How far shares may be apart, relative to the right one.
const NEAR: f64 = 1e-9;

/// Of `n` things, the ways to choose `k`.
fn choose(n: u64, k: u64) -> f64 {
    let factors = (0..k.min(n)).map(|i| (n - i) as f64 / (k - i) as f64);
    if k > n { 0.0 } else { factors.product() }
}

/// The place of the third quartile, from 1.
fn third(seeds: u64) -> u64 {
    3 * (seeds - 1) / 4 + 1
}

/// Words with at least `least` A among their first letters, of which there are `seeds`.
fn words(seeds: u64, least: u64) -> f64 {
    (least..=seeds)
        .map(|k| choose(seeds, k) * choose(seeds, seeds - k))
        .sum()
}

fn right(seeds: u64) -> f64 {
    words(seeds, third(seeds)) / choose(2 * seeds, seeds)
}

/// The same by going through all words.
fn counted(seeds: u64) -> f64 {
    let (mut all, mut clearly) = (0, 0);
    for word in 0_u64..1 << (2 * seeds) {
        if u64::from(word.count_ones()) != seeds {
            continue;
        }
        all += 1;
        // The place in the word of the A, or B, that has this rank among its kind.
        let place = |of_a: bool, rank: u64| {
            let mut places = (0..2 * seeds).filter(|at| (word >> at & 1 == 1) == of_a);
            places.nth(rank as usize - 1)
        };
        let (of_a, of_b) = (third(seeds), seeds + 1 - third(seeds));
        clearly += u64::from(place(true, of_a) < place(false, of_b));
    }
    f64::from(clearly as u32) / f64::from(all)
}

/// A wrong share.
type Share = fn(u64) -> f64;

const MISTAKES: &[(&str, &str, Share)] = &[
    (
        "both-directions",
        "this is twice the share: it counts A below B and B below A; one direction is asked for",
        |n| 2.0 * right(n),
    ),
    (
        "not-divided",
        "this is a number of words; divide it by the number of all words",
        |n| words(n, third(n)),
    ),
    (
        "one-more",
        "the sum begins one too late: with as many A as the rank of the third quartile among the \
         first letters, the quartile is among them",
        |n| words(n, third(n) + 1) / choose(2 * n, n),
    ),
    (
        "one-less",
        "the sum begins one too early: with one A less among the first letters the quartile of A \
         stands behind them",
        |n| words(n, third(n) - 1) / choose(2 * n, n),
    ),
    (
        "first-half-alone",
        "only the first letters are counted; for each of their ways there are as many for the \
         letters behind them",
        |n| (third(n)..=n).map(|k| choose(n, k)).sum::<f64>() / choose(2 * n, n),
    ),
    (
        "coins",
        "this is the share for coins, each A or B by itself; a word has as many A as B, so an A in \
         front leaves one less for behind",
        |n| (third(n)..=n).map(|k| choose(n, k)).sum::<f64>() / 2.0_f64.powi(n as i32),
    ),
    (
        "all-strings",
        "it is divided by the number of all strings of A and B; only those with as many A as B are \
         words",
        |n| words(n, third(n)) / 2.0_f64.powi(2 * n as i32),
    ),
    (
        "whole-ranges",
        "this is the share of the one word in which all A stand before all B: whole ranges, and not \
         those between the quartiles",
        |n| 1.0 / choose(2 * n, n),
    ),
    (
        "medians",
        "this is the share for the medians: A has the lower one in half of all words",
        |n| words(n, n.div_ceil(2)) / choose(2 * n, n),
    ),
    (
        "one-term",
        "only the first term of the sum is there: more A may stand among the first letters",
        |n| {
            let k = third(n);
            choose(n, k) * choose(n, n - k) / choose(2 * n, n)
        },
    ),
];

/// The mistakes that this checker knows.
fn known() -> Vec<Known> {
    let known =
        |(id, what, _): &(&'static str, &'static str, Share)| Known::new(NAME, id, *what, SECTION);
    MISTAKES.iter().map(known).collect()
}

fn near(right: f64, found: f64) -> bool {
    (right - found).abs() <= NEAR * right
}

/// What is known of this exercise without running it.
pub(crate) fn checker() -> Checker {
    Checker::Listed(known())
}

/// The report on `candidate`.
#[must_use]
pub fn report(candidate: Candidate<'_>) -> Report {
    let mut lines = Vec::new();
    let found = SEEDS.map(candidate);
    for (seeds, found) in SEEDS.into_iter().zip(found) {
        let (right, how) = if seeds <= COUNTED {
            (counted(seeds), "word by word")
        } else {
            (right(seeds), "by the sum")
        };
        let fits = near(right, found);
        lines.push(Line {
            name: format!("{seeds} seeds"),
            right: fits,
            detail: if fits {
                format!("{found:.3e}, as counted {how}")
            } else {
                format!("{found:.3e}, and counted {how} it is {right:.3e}")
            },
        });
    }
    if lines.iter().all(|line| line.right) {
        let headline = "your share is that of all words, for 5 seeds and for 41";
        let mut report = Report::new(NAME, Outcome::Passed, headline);
        report.lines = lines;
        return report;
    }
    let known = MISTAKES.iter().find(|(_, _, wrong)| {
        SEEDS
            .iter()
            .zip(&found)
            .all(|(&seeds, &found)| near(wrong(seeds), found))
    });
    let broken = found
        .iter()
        .find_map(|found| unusable("the share", 1, &[*found], "one number"));
    let (id, sentence) = match (known, broken) {
        (Some((id, what, _)), _) => ((*id).to_owned(), (*what).to_owned()),
        (None, Some((id, sentence))) => (id, sentence.replace("[0]", "")),
        (None, None) => {
            let wrong = lines.iter().find(|line| !line.right);
            let sentence = wrong.map_or(String::new(), |l| format!("{}: {}", l.name, l.detail));
            ("unknown".to_owned(), sentence)
        }
    };
    let mut report = wrong_at(NAME, &id, sentence, SECTION);
    report.lines = lines;
    report
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::assert_listed;

    #[test]
    fn what_is_right_passes() {
        let report = report(&right);
        assert!(report.passed(), "{report}");
        assert_eq!(report.lines.len(), SEEDS.len());
    }

    /// The numbers of the chapter.
    #[test]
    fn the_sum_is_that_of_the_chapter() {
        assert_eq!((words(5, 4), choose(10, 5)), (26.0, 252.0));
        assert!(near(words(13, 10), 88_050.0) && near(choose(26, 13), 10_400_600.0));
        for seeds in [5, 9] {
            assert!(near(right(seeds), counted(seeds)));
        }
    }

    #[test]
    fn every_mistake_is_named() {
        for (id, _, wrong) in MISTAKES {
            let report = report(wrong);
            assert_eq!(report.outcome, Outcome::Wrong);
            assert_eq!(report.mistake.as_deref(), Some(*id), "{report}");
            assert_listed(&report);
        }
    }

    #[test]
    fn what_has_no_name_is_shown() {
        let id = |candidate: Candidate<'_>| report(candidate).mistake;
        assert_eq!(id(&|_| f64::NAN).as_deref(), Some("not-finite"));
        // Right where all words are gone through, and nowhere else.
        let table = |n: u64| if n <= COUNTED { right(n) } else { 0.1 };
        let report = report(&table);
        assert_eq!(report.mistake.as_deref(), Some("unknown"));
        assert!(
            report.headline.starts_with("13 seeds: 1.000e-1"),
            "{report}"
        );
    }
}

//! Checks the exercise `by_chance`, by the sum of the chapter.

use judge::{Order, Part, Slip, case, exercise, field, slips};

exercise! {
    /// From the number of seeds to a share.
    check(share: Fn(u64) -> f64),
    right: "your share is that of all words, for 5 seeds and for 41",
    parts: [part() => |seeds, answer| *answer = share(seeds.0)],
}

/// A number of seeds.
struct Seeds(u64);

case!(
    Seeds,
    |n| format!("{} seeds", n.0),
    sizes: ["seeds": n.0 as usize],
);

/// How far shares may be apart, relative to the right one, in units of what is rounding
/// elsewhere: the logarithms of factorials leave fewer digits.
const NEAR: f64 = 100.0;

fn part() -> Part<Seeds, f64> {
    let cases = |_| [5, 9, 13, 17, 41].map(Seeds).into();
    let right = |n: &Seeds| vec![right(n.0)];
    Part::<_, f64>::new("by_chance", Order::Together, cases)
        .target("the share", "sec:claims-rule", &[], right, field!(number))
        .cancels(|n| NEAR * self::right(n.0))
        .variants(&["the share"], MISTAKES, |n, _, wrong| vec![wrong(n.0)])
}

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
    let ways = |k| choose(seeds, k) * choose(seeds, seeds - k);
    (least..=seeds).map(ways).sum()
}

fn all_words(seeds: u64) -> f64 {
    choose(2 * seeds, seeds)
}

fn right(seeds: u64) -> f64 {
    words(seeds, third(seeds)) / all_words(seeds)
}

/// The ways of the first letters alone.
fn first_half(seeds: u64) -> f64 {
    (third(seeds)..=seeds).map(|k| choose(seeds, k)).sum()
}

/// A share of this many seeds.
type Share = fn(u64) -> f64;

const MISTAKES: &[Slip<Share>] = slips![
    "both-directions: this is twice the share: it counts A below B and B below A; one direction is asked for" =>
        |n| 2.0 * right(n),
    "not-divided: this is a number of words; divide it by the number of all words" =>
        |n| words(n, third(n)),
    "one-more: the sum begins one too late: with as many A as the rank of the third quartile among the first letters, the quartile is among them" =>
        |n| words(n, third(n) + 1) / all_words(n),
    "one-less: the sum begins one too early: with one A less among the first letters the quartile of A stands behind them" =>
        |n| words(n, third(n) - 1) / all_words(n),
    "first-half-alone: only the first letters are counted; for each of their ways there are as many for the letters behind them" =>
        |n| first_half(n) / all_words(n),
    "coins: this is the share for coins, each A or B by itself; a word has as many A as B, so an A in front leaves one less for behind" =>
        |n| first_half(n) / 2.0_f64.powi(n as i32),
    "all-strings: it is divided by the number of all strings of A and B; only those with as many A as B are words" =>
        |n| words(n, third(n)) / 2.0_f64.powi(2 * n as i32),
    "whole-ranges: this is the share of the one word in which all A stand before all B: whole ranges, and not those between the quartiles" =>
        |n| 1.0 / all_words(n),
    "medians: this is the share for the medians: A has the lower one in half of all words" =>
        |n| words(n, n.div_ceil(2)) / all_words(n),
    "one-term: only the first term of the sum is there: more A may stand among the first letters" =>
        |n| choose(n, third(n)) * choose(n, n - third(n)) / all_words(n),
];

#[cfg(test)]
mod tests {
    use super::*;
    use judge::testing::{named, passes};

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

    /// The numbers of the chapter.
    #[test]
    fn the_sum_is_that_of_the_chapter() {
        passes(1, |seed| report(&right, seed));
        assert_eq!((words(5, 4), all_words(5)), (26.0, 252.0));
        let near = |right: f64, found: f64| (right - found).abs() <= 1e-12 * right;
        assert!(near(words(13, 10), 88_050.0) && near(all_words(13), 10_400_600.0));
        for seeds in [5, 9] {
            assert!(near(right(seeds), counted(seeds)));
        }
    }

    /// Right for the numbers that one can count by hand, and nowhere else; and integers that
    /// are too small for the words of 41 seeds.
    #[test]
    fn the_number_of_seeds_that_is_wrong_is_told() {
        let by_hand = |n| if n <= 9 { right(n) } else { 0.1 };
        named(&[("the share: unknown", by_hand)], |by_hand, seed| {
            let told = report(&by_hand, seed);
            let place = "the share: for 13 seeds, the share is 0.100000, and must be 0.008466";
            assert_eq!(told.headline, place);
            told
        });
        let told = report(&|n| (1..=n).product::<u64>() as f64, 0);
        let stopped = told.headline.contains("for 41 seeds, it panicked");
        assert!(stopped, "{told}");
    }
}

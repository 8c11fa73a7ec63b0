//! Checks the exercise `by_chance`, by the sum of the chapter.

use judge::{Order, Part, Slip, case, exercise, field, slips};

exercise! {
    /// From the number of seeds, and that of the pairs in which one is ahead, to a share.
    check(share: Fn(u64, u64) -> f64),
    right: "your share is that of all ways, for 5 pairs and for 41",
    parts: [part() => |pairs, answer| *answer = share(pairs.seeds, pairs.ahead)],
}

/// A number of seeds, and in how many pairs or more one is ahead.
struct Pairs {
    seeds: u64,
    ahead: u64,
}

case!(
    Pairs,
    |n| format!("{} pairs, {} ahead", n.seeds, n.ahead),
    sizes: ["seeds": n.seeds as usize],
);

/// How far shares may be apart, relative to the right one, in units of what is rounding
/// elsewhere: the logarithms of factorials leave fewer digits.
const NEAR: f64 = 100.0;

fn part() -> Part<Pairs, f64> {
    let cases = |_| {
        let all = [(5, 5), (13, 11), (13, 12), (20, 15), (41, 30)];
        all.map(|(seeds, ahead)| Pairs { seeds, ahead }).into()
    };
    let right = |n: &Pairs| vec![right(n)];
    Part::<_, f64>::new("by_chance", Order::Together, cases)
        .target("the share", "sec:claims-rule", &[], right, field!(number))
        .cancels(|n| NEAR * self::right(n))
        .variants(&["the share"], MISTAKES, |n, _, wrong| vec![wrong(n)])
}

/// Of `n` things, the ways to choose `k`.
fn choose(n: u64, k: u64) -> f64 {
    let factors = (0..k.min(n)).map(|i| (n - i) as f64 / (k - i) as f64);
    if k > n { 0.0 } else { factors.product() }
}

/// The ways in which at least `least` of so many pairs are ahead.
fn ways(seeds: u64, least: u64) -> f64 {
    (least..=seeds).map(|k| choose(seeds, k)).sum()
}

fn all_ways(seeds: u64) -> f64 {
    2.0_f64.powi(seeds as i32)
}

fn right(n: &Pairs) -> f64 {
    ways(n.seeds, n.ahead) / all_ways(n.seeds)
}

/// A share for so many pairs.
type Share = fn(&Pairs) -> f64;

const MISTAKES: &[Slip<Share>] = slips![
    "both-directions: this is twice the share: it counts A ahead and B ahead; one direction is asked for" =>
        |n| 2.0 * right(n),
    "not-divided: this is a number of ways; divide it by the number of all ways" =>
        |n| ways(n.seeds, n.ahead),
    "one-more: the sum begins one too late: A may be ahead in just as many pairs as are asked for" =>
        |n| ways(n.seeds, n.ahead + 1) / all_ways(n.seeds),
    "one-less: the sum begins one too early: A has to be ahead in as many pairs as are asked for" =>
        |n| ways(n.seeds, n.ahead - 1) / all_ways(n.seeds),
    "one-term: only the first term of the sum is there: A may be ahead in more pairs" =>
        |n| choose(n.seeds, n.ahead) / all_ways(n.seeds),
    "fewer: this is the share of all other ways, in which A is ahead in fewer pairs" =>
        |n| 1.0 - right(n),
    "at-most: the sum goes from none to as many as are asked for; A has to be ahead in as many or more" =>
        |n| (all_ways(n.seeds) - ways(n.seeds, n.ahead + 1)) / all_ways(n.seeds),
    "which-ones: this is the chance that A is ahead in the pairs that come first; it may be ahead in any of them" =>
        |n| 1.0 / all_ways(n.ahead),
    "too-few-coins: it is divided by the ways of the pairs in which A is ahead alone; the others come out either way too" =>
        |n| ways(n.seeds, n.ahead) / all_ways(n.ahead),
    "not-in-pairs: this shuffles all results of both among each other; in a pair there is one of each, and only which of the two is ahead is open" =>
        |n| (n.ahead..=n.seeds).map(|k| choose(n.seeds, k) * choose(n.seeds, n.seeds - k)).sum::<f64>()
            / choose(2 * n.seeds, n.seeds),
];

#[cfg(test)]
mod tests {
    use super::*;
    use judge::testing::{named, passes};

    /// The same by going through all ways.
    fn counted(seeds: u64, ahead: u64) -> f64 {
        let all = 0_u32..1 << seeds;
        let enough = all.filter(|way| u64::from(way.count_ones()) >= ahead);
        enough.count() as f64 / all_ways(seeds)
    }

    /// The numbers of the chapter.
    #[test]
    fn the_sum_is_that_of_the_chapter() {
        passes(1, |seed| {
            report(&|seeds, ahead| right(&Pairs { seeds, ahead }), seed)
        });
        let near = |right: f64, found: f64| (right - found).abs() <= 1e-12 * right;
        assert!(near(92.0, ways(13, 11)) && all_ways(13) == 8192.0);
        for (seeds, ahead) in [(5, 5), (13, 11), (13, 12), (20, 15)] {
            assert!(near(right(&Pairs { seeds, ahead }), counted(seeds, ahead)));
        }
    }

    /// Right for the numbers that one can count by hand, and nowhere else; and integers that
    /// are too small for the ways of 41 seeds.
    #[test]
    fn the_number_of_seeds_that_is_wrong_is_told() {
        let by_hand = |seeds, ahead| match seeds {
            5 => right(&Pairs { seeds, ahead }),
            _ => 0.1,
        };
        named(&[("the share: unknown", by_hand)], |by_hand, seed| {
            let told = report(&by_hand, seed);
            let place =
                "the share: for 13 pairs, 11 ahead, the share is 0.100000, and must be 0.011230";
            assert_eq!(told.headline, place);
            told
        });
        let factorial = |n: u64| (1..=n).product::<u64>();
        let told = report(&|seeds, _| factorial(seeds) as f64, 0);
        let stopped = told
            .headline
            .contains("for 41 pairs, 30 ahead, it panicked");
        assert!(stopped, "{told}");
    }
}

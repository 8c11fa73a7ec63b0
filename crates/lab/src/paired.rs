//! Results of several seeds, and what the comparison of two of them says.
//!
//! A seed decides the initial weights and the order of the examples for every method alike, so
//! the results of two methods come in pairs. What a seed makes easy or hard for both of them
//! cancels in their difference.

use std::ops::Deref;

use chart::Spread;
use serde::{Deserialize, Deserializer, Serialize};

/// One number from each seed, in their order, with its median and quartiles.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sample {
    #[serde(flatten)]
    spread: Spread,
    /// Infinite for what never happened.
    #[serde(deserialize_with = "or_never")]
    by_seed: Vec<f64>,
}

/// What is infinite is `null` in JSON.
fn or_never<'de, D: Deserializer<'de>>(numbers: D) -> Result<Vec<f64>, D::Error> {
    let numbers: Vec<Option<f64>> = Deserialize::deserialize(numbers)?;
    Ok(numbers
        .into_iter()
        .map(|number| number.unwrap_or(f64::INFINITY))
        .collect())
}

impl Sample {
    /// Of one number of each run, seed by seed.
    ///
    /// # Panics
    /// If there is no run.
    #[track_caller]
    pub fn over<R>(runs: &[R], of: impl Fn(&R) -> f64) -> Self {
        Sample {
            spread: Spread::over(runs, &of),
            by_seed: runs.iter().map(of).collect(),
        }
    }

    /// In other units.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Sample::over(&self.by_seed, |number| f(*number))
    }

    /// The numbers, seed by seed.
    pub fn by_seed(&self) -> &[f64] {
        &self.by_seed
    }

    /// The comparison with `other`, by the differences.
    ///
    /// # Panics
    /// If there are not as many seeds.
    #[track_caller]
    pub fn against(&self, other: &Sample) -> Paired {
        Paired::differences(&self.by_seed, &other.by_seed)
    }

    /// The comparison with `other`, by the ratios: where what counts is how many times as much.
    ///
    /// # Panics
    /// If there are not as many seeds.
    #[track_caller]
    pub fn over_that_of(&self, other: &Sample) -> Paired {
        Paired::ratios(&self.by_seed, &other.by_seed)
    }

    /// Where this lies, seen from `other`.
    ///
    /// # Panics
    /// If there are not as many seeds.
    #[track_caller]
    pub fn seen_from(&self, other: &Sample) -> Apart {
        self.against(other).apart()
    }
}

impl Deref for Sample {
    type Target = Spread;

    fn deref(&self) -> &Spread {
        &self.spread
    }
}

/// Whether one set of results is clearly above or below another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Apart {
    /// Clearly below.
    Below,
    /// Neither is clear. That is not to say that they are equal.
    Unclear,
    /// Clearly above.
    Above,
}

impl Apart {
    /// The word for each.
    pub fn say<'a>(self, below: &'a str, unclear: &'a str, above: &'a str) -> &'a str {
        match self {
            Apart::Below => below,
            Apart::Unclear => unclear,
            Apart::Above => above,
        }
    }
}

/// The comparison of two sets of results, pair by pair: how far the first lies above the
/// second, with an interval.
///
/// The interval is that of the sign test: its ends are two of the sorted differences, as many
/// places from either end as the test may disregard. If every difference is as likely to lie
/// above the true median as below, whatever its distribution, the interval misses that median
/// on either side with a probability of at most [`CHANCE`].
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Paired {
    /// The median difference, or ratio.
    pub median: f64,
    /// The lower end of the interval; minus infinity if there are too few pairs for one.
    pub low: f64,
    /// The upper end; infinity if there are too few pairs for one.
    pub high: f64,
    /// In how many pairs the first is larger.
    pub above: usize,
    /// In how many it is smaller.
    pub below: usize,
    /// What is found where both are alike: 0 for differences, 1 for ratios.
    #[serde(skip)]
    alike: f64,
}

// ANCHOR: apart
/// How often chance may decide, at most, in one direction.
pub const CHANCE: f64 = 0.012;

/// Of so many pairs, how many may be against a difference that is called clear: the most for
/// which as few heads, in as many tosses of a fair coin, have a probability of at most [`CHANCE`].
/// `None` if chance alone could put all pairs on one side.
pub fn may_be_against(pairs: usize) -> Option<usize> {
    // As logarithms: of a thousand tosses, the first terms are too small for an f64.
    let mut chance_of_heads = -(pairs as f64) * std::f64::consts::LN_2;
    let mut so_far = 0.0;
    let within = (0..pairs).take_while(|&heads| {
        so_far += chance_of_heads.exp();
        chance_of_heads += ((pairs - heads) as f64 / (heads + 1) as f64).ln();
        so_far <= CHANCE
    });
    within.last()
}

impl Paired {
    fn of(mut each: Vec<f64>, alike: f64) -> Self {
        let [above, below] = [f64::gt, f64::lt]
            .map(|is: fn(&f64, &f64) -> bool| each.iter().filter(|one| is(one, &alike)).count());
        each.sort_by(f64::total_cmp);
        let median = Spread::of(&each).map_or(f64::NAN, |spread| spread.median);
        let (low, high) = match may_be_against(each.len()) {
            Some(against) => (each[against], each[each.len() - 1 - against]),
            None => (f64::NEG_INFINITY, f64::INFINITY),
        };
        Paired {
            median,
            low,
            high,
            above,
            below,
            alike,
        }
    }

    /// Where the first lies, seen from the second: clearly above if the whole interval is.
    pub fn apart(&self) -> Apart {
        if self.low > self.alike {
            Apart::Above
        } else if self.high < self.alike {
            Apart::Below
        } else {
            Apart::Unclear
        }
    }
}
// ANCHOR_END: apart

impl Paired {
    /// By the differences `a[i] - b[i]`. Two that never happened differ by nothing.
    ///
    /// # Panics
    /// If there are not as many of both.
    #[track_caller]
    pub fn differences(a: &[f64], b: &[f64]) -> Self {
        Paired::of(pairs(a, b, |a, b| if a == b { 0.0 } else { a - b }), 0.0)
    }

    /// By the ratios `a[i] / b[i]` of numbers that are not negative. Two that are equal, 0 among
    /// them, have the ratio 1.
    ///
    /// # Panics
    /// If there are not as many of both.
    #[track_caller]
    pub fn ratios(a: &[f64], b: &[f64]) -> Self {
        Paired::of(pairs(a, b, |a, b| if a == b { 1.0 } else { a / b }), 1.0)
    }

    /// In other units, for differences: the numbers times `by`, which is positive.
    pub fn times(self, by: f64) -> Self {
        Paired {
            median: by * self.median,
            low: by * self.low,
            high: by * self.high,
            ..self
        }
    }
}

#[track_caller]
fn pairs(a: &[f64], b: &[f64], of: fn(f64, f64) -> f64) -> Vec<f64> {
    assert!(
        a.len() == b.len(),
        "{} results cannot be paired with {}: both need the same seeds",
        a.len(),
        b.len()
    );
    a.iter().zip(b).map(|(&a, &b)| of(a, b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: f64 = f64::INFINITY;

    /// The probability of at most so many heads, from Pascal's triangle in integers.
    fn at_most(heads: usize, tosses: usize) -> f64 {
        let mut row = vec![1_u128];
        for _ in 0..tosses {
            let next = |k: usize| row.get(k).unwrap_or(&0) + k.checked_sub(1).map_or(0, |k| row[k]);
            row = (0..=row.len()).map(next).collect();
        }
        row[..=heads].iter().sum::<u128>() as f64 / 2.0_f64.powi(tosses as i32)
    }

    #[test]
    fn as_many_may_be_against_as_chance_allows() {
        // 11 of 13: 92 words of 8192.
        assert_eq!(may_be_against(13), Some(2));
        assert_eq!(at_most(2, 13), 92.0 / 8192.0);
        assert_eq!([1, 2, 6].map(may_be_against), [None; 3]);
        assert_eq!(may_be_against(10_000), Some(4886));
        for pairs in 1..=120 {
            match may_be_against(pairs) {
                None => assert!(at_most(0, pairs) > CHANCE, "{pairs}"),
                Some(most) => {
                    assert!(at_most(most, pairs) <= CHANCE, "{pairs}");
                    assert!(at_most(most + 1, pairs) > CHANCE, "{pairs}");
                }
            }
        }
    }

    #[test]
    fn clear_is_what_most_pairs_say() {
        let b: Vec<f64> = (0..13).map(f64::from).collect();
        // Larger in so many pairs, by 1 each; smaller by as much in the others.
        let larger_in = |pairs: usize| {
            let by = |(i, b): (usize, &f64)| if i < pairs { b + 1.0 } else { b - 1.0 };
            b.iter().enumerate().map(by).collect::<Vec<f64>>()
        };
        for (pairs, apart) in [
            (13, Apart::Above),
            (11, Apart::Above),
            (10, Apart::Unclear),
            (3, Apart::Unclear),
            (2, Apart::Below),
        ] {
            let paired = Paired::differences(&larger_in(pairs), &b);
            assert_eq!(paired.apart(), apart, "{pairs}");
            assert_eq!((paired.above, paired.below), (pairs, 13 - pairs));
        }
        // Equal results are no evidence: they count as against.
        let mut equal_in_three = larger_in(13);
        equal_in_three[..3].copy_from_slice(&b[..3]);
        let paired = Paired::differences(&equal_in_three, &b);
        assert_eq!((paired.apart(), paired.above), (Apart::Unclear, 10));
        assert_eq!((paired.low, paired.median, paired.high), (0.0, 1.0, 1.0));
    }

    #[test]
    fn what_both_seeds_share_cancels() {
        // The seeds differ by far more than the methods.
        let a: Vec<f64> = (0..13).map(|i| 10.0 * f64::from(i % 5)).collect();
        let b: Vec<f64> = a.iter().map(|a| a - 0.5).collect();
        assert_eq!(Paired::differences(&a, &b).apart(), Apart::Above);
        assert_eq!(Paired::differences(&b, &a).apart(), Apart::Below);
        assert_eq!(Paired::differences(&a, &b).times(2.0).median, 1.0);
        let one = Sample::over(&a, |a| *a);
        assert_eq!(one.seen_from(&one.map(|a| a - 0.5)), Apart::Above);
        assert_eq!(one.by_seed(), a);
    }

    #[test]
    fn what_never_happens_is_later_than_all_else_and_like_itself() {
        let never = [NEVER; 13];
        assert_eq!(
            Paired::differences(&never, &[1.0; 13]).apart(),
            Apart::Above
        );
        assert_eq!(
            Paired::differences(&[1.0; 13], &never).apart(),
            Apart::Below
        );
        assert_eq!(Paired::differences(&never, &never).apart(), Apart::Unclear);
        let none = [0.0; 13];
        assert_eq!(Paired::ratios(&[3.0; 13], &none).median, NEVER);
        assert_eq!(Paired::ratios(&none, &none).apart(), Apart::Unclear);
        let ratios = Paired::ratios(&[3.0; 13], &[1.5; 13]);
        assert_eq!((ratios.median, ratios.apart()), (2.0, Apart::Above));
    }

    #[test]
    fn too_few_pairs_say_nothing() {
        let two = Paired::differences(&[2.0, 3.0], &[0.0, 1.0]);
        assert_eq!(
            (two.apart(), two.median, two.high),
            (Apart::Unclear, 2.0, NEVER)
        );
    }

    #[test]
    #[should_panic(expected = "2 results cannot be paired with 3")]
    fn other_seeds_are_refused() {
        Paired::differences(&[1.0, 2.0], &[1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_sample_is_read_as_it_is_written() {
        let sample = Sample::over(&[NEVER, 2.0, 1.0], |x| *x);
        let text = serde_json::to_string(&sample).expect("JSON");
        assert_eq!(
            text,
            r#"{"low":1.5,"median":2.0,"high":null,"by_seed":[null,2.0,1.0]}"#
        );
        let again: Sample = serde_json::from_str(&text).expect("a sample");
        assert_eq!(again, sample);
    }
}

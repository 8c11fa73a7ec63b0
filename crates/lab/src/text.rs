//! Numbers as a reader of verdicts and tables wants them.

use crate::stats::Spread;

/// A share in percent: `97.4`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// Median and quartiles in percent: `97.4 % (96.9 to 97.7)`.
pub(crate) fn percent_range(spread: Spread) -> String {
    let [low, median, high] = [spread.low, spread.median, spread.high].map(percent);
    format!("{median} % ({low} to {high})")
}

/// A count that may never be reached.
pub(crate) fn count(number: f64) -> String {
    if number.is_finite() {
        number.to_string()
    } else {
        "never".to_owned()
    }
}

/// Median and quartiles of a count: `7 (6 to 8)`.
pub(crate) fn count_range(spread: Spread) -> String {
    let [low, median, high] = [spread.low, spread.median, spread.high].map(count);
    format!("{median} ({low} to {high})")
}

/// `a`, `a and b`, `a, b and c`; `none` if there is nothing.
pub(crate) fn list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.as_slice() {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let spread = |low, median, high| Spread { low, median, high };
        assert_eq!(
            percent_range(spread(0.9689, 0.9740, 0.97705)),
            "97.4 % (96.9 to 97.7)"
        );
        assert_eq!(
            count_range(spread(2.0, 2.5, f64::INFINITY)),
            "2.5 (2 to never)"
        );
        assert_eq!(list::<&str>(&[]), "none");
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}

//! Numbers as a reader of verdicts and tables wants them.

use std::fmt::{self, Display};

use crate::paired::{Apart, Paired, Sample};
use chart::Spread;

/// Values that stand in results as they are printed.
pub(crate) mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Display, S: Serializer>(t: &T, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(t)
    }

    pub(crate) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        d: D,
    ) -> Result<T, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

/// A table for a terminal. A column is as wide as it is told; where that is negative, text
/// stands at its left.
pub(crate) struct Table {
    widths: Vec<i32>,
    text: String,
}

impl Table {
    /// With a first row of headings.
    pub(crate) fn new<'a>(
        headings: impl IntoIterator<Item = &'a str>,
        widths: impl IntoIterator<Item = i32>,
    ) -> Self {
        let table = Table {
            widths: widths.into_iter().collect(),
            text: String::new(),
        };
        table.row(headings)
    }

    /// With a column for each of `columns`, all of one width, after a first one.
    pub(crate) fn wide(first: &str, width: i32, columns: &[String], each: i32) -> Self {
        let headings = [first]
            .into_iter()
            .chain(columns.iter().map(String::as_str));
        let widths = [width].into_iter().chain(columns.iter().map(|_| each));
        Table::new(headings, widths)
    }

    /// With a row more.
    pub(crate) fn row<D: Display>(mut self, cells: impl IntoIterator<Item = D>) -> Self {
        for (cell, &width) in cells.into_iter().zip(&self.widths) {
            let (cell, space) = (cell.to_string(), width.unsigned_abs() as usize);
            self.text += &match width {
                ..0 => format!("{cell:<space$}"),
                _ => format!("{cell:>space$}"),
            };
        }
        self.text.push('\n');
        self
    }

    /// With a row for each of these.
    pub(crate) fn rows<T, D: Display, R: IntoIterator<Item = D>>(
        self,
        of: impl IntoIterator<Item = T>,
        row: impl Fn(T) -> R,
    ) -> Self {
        of.into_iter().fold(self, |table, one| table.row(row(one)))
    }
}

/// A column of a table: its heading, its width, and what stands in it.
pub(crate) type Column<'a, T> = (&'a str, i32, &'a dyn Fn(&T) -> String);

/// A table with a row for each of `rows`.
pub(crate) fn table<T>(rows: &[T], columns: &[Column<'_, T>]) -> String {
    let table = Table::new(columns.iter().map(|c| c.0), columns.iter().map(|c| c.1));
    table
        .rows(rows, |row| columns.iter().map(move |column| column.2(row)))
        .to_string()
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

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

/// Median and quartiles of a loss: `2.207 (2.205 to 2.211)`.
pub(crate) fn nats(s: Spread) -> String {
    format!("{:.3} ({:.3} to {:.3})", s.median, s.low, s.high)
}

/// A ratio with its interval: `0.45 times (0.40 to 0.52)`.
pub(crate) fn times(of: Paired) -> String {
    let number = |ratio: f64| match ratio.is_finite() {
        true => format!("{ratio:.2}"),
        false => "infinitely".to_owned(),
    };
    let [low, median, high] = [of.low, of.median, of.high].map(number);
    format!("{median} times ({low} to {high})")
}

/// A difference of shares with its interval, in percentage points: `+1.2 points (+0.4 to +1.9)`.
pub(crate) fn points(of: Paired) -> String {
    let [low, median, high] = [of.low, of.median, of.high].map(|share| 100.0 * share);
    format!("{median:+.1} points ({low:+.1} to {high:+.1})")
}

/// What a loss is, seen from another.
pub(crate) fn better_or_worse(loss: &Sample, other: &Sample) -> &'static str {
    loss.seen_from(other).say(
        "clearly better than",
        "not clearly different from",
        "clearly worse than",
    )
}

/// Several comparisons in a sentence, those that came out alike together: `clearly above b (…),
/// and not clearly apart from a (…) and c (…)`. The words are for below, unclear and above.
pub(crate) fn by_outcome(
    words: [&str; 3],
    number: fn(Paired) -> String,
    of: impl IntoIterator<Item = (String, Paired)>,
) -> String {
    let of: Vec<(String, Paired)> = of.into_iter().collect();
    let [below, unclear, above] = words;
    let groups = [Apart::Above, Apart::Below, Apart::Unclear].map(|apart| {
        let alike = of.iter().filter(|(_, by)| by.apart() == apart);
        let told: Vec<String> = alike
            .map(|(other, by)| format!("{other} ({})", number(*by)))
            .collect();
        let how = apart.say(below, unclear, above);
        (!told.is_empty()).then(|| format!("{how} {}", list(&told)))
    });
    let groups: Vec<String> = groups.into_iter().flatten().collect();
    groups.join(", and ")
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
    fn a_table_has_its_columns() {
        let name: &dyn Fn(&i32) -> String = &|_| "a".to_owned();
        let table = table(&[1, 2], &[("", -4, name), ("rate", 6, &|n| n.to_string())]);
        assert_eq!(table, "      rate\na        1\na        2\n");
        let columns = ["1".to_owned(), "22".to_owned()];
        let wide = Table::wide("x", -2, &columns, 3).row(["y", "z"]);
        assert_eq!(wide.to_string(), "x   1 22\ny   z\n");
    }

    #[test]
    fn comparisons_that_came_out_alike_are_told_together() {
        let by = |by: f64| Paired::differences(&[by; 13], &[0.0; 13]);
        let of = [("a", 0.0), ("b", 0.01), ("c", 0.0)];
        let of = of.map(|(other, apart)| (other.to_owned(), by(apart)));
        let told = by_outcome(["below", "like", "above"], |_| "n".to_owned(), of);
        assert_eq!(told, "above b (n), and like a (n) and c (n)");
    }

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

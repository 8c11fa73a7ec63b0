//! The committed results of an experiment, for those that build on them.

use serde_json::Value;

use crate::experiment::{Error, results};
use crate::stats::Spread;

/// Results, or a part of them.
pub(crate) struct Recorded {
    name: String,
    at: Value,
}

impl Recorded {
    /// The results of the experiment of this name.
    ///
    /// # Errors
    /// When the file is missing or is not JSON.
    pub(crate) fn load(name: &str) -> Result<Self, Error> {
        let path = results().join(format!("{name}.json"));
        let wrong = |reason: String| Error::Results {
            name: name.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let at = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        Ok(Recorded {
            name: name.to_owned(),
            at,
        })
    }

    /// Says that the results are not what was expected.
    pub(crate) fn wrong(&self, reason: &str) -> Error {
        Error::Results {
            name: self.name.clone(),
            reason: reason.to_owned(),
        }
    }

    fn get(&self, pointer: &str) -> Result<&Value, Error> {
        let found = self.at.pointer(pointer);
        found.ok_or_else(|| self.wrong(&format!("there is no {pointer}")))
    }

    /// The entries of a list.
    ///
    /// # Errors
    /// When there is no list at the JSON pointer.
    pub(crate) fn list(&self, pointer: &str) -> Result<Vec<Recorded>, Error> {
        let list = self.get(pointer)?.as_array();
        let list = list.ok_or_else(|| self.wrong(&format!("{pointer} is not a list")))?;
        let entry = |at: &Value| Recorded {
            name: self.name.clone(),
            at: at.clone(),
        };
        Ok(list.iter().map(entry).collect())
    }

    /// A text.
    ///
    /// # Errors
    /// When there is no text at the JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> Result<String, Error> {
        let text = self.get(pointer)?.as_str().map(str::to_owned);
        text.ok_or_else(|| self.wrong(&format!("{pointer} is not a text")))
    }

    /// A number.
    ///
    /// # Errors
    /// When there is no number at the JSON pointer.
    pub(crate) fn number(&self, pointer: &str) -> Result<f64, Error> {
        let number = self.get(pointer)?.as_f64();
        number.ok_or_else(|| self.wrong(&format!("{pointer} is not a number")))
    }

    /// A list of numbers.
    ///
    /// # Errors
    /// When there is none at the JSON pointer.
    pub(crate) fn numbers(&self, pointer: &str) -> Result<Vec<f64>, Error> {
        let entries = self.list(pointer)?;
        entries.iter().map(|entry| entry.number("")).collect()
    }

    /// A median with its quartiles. What was infinite is `null` in the file.
    ///
    /// # Errors
    /// When there is none at the JSON pointer.
    pub(crate) fn spread(&self, pointer: &str) -> Result<Spread, Error> {
        let part = |of: &str| {
            let pointer = format!("{pointer}/{of}");
            match self.get(&pointer)? {
                Value::Null => Ok(f64::INFINITY),
                _ => self.number(&pointer),
            }
        };
        Ok(Spread {
            low: part("low")?,
            median: part("median")?,
            high: part("high")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_there_is_read_and_what_is_not_is_told() {
        let recorded = Recorded {
            name: "x".into(),
            at: json!({ "a": [{ "b": "c", "s": { "low": 1, "median": 2.5, "high": null } }] }),
        };
        let list = recorded.list("/a").expect("a list");
        assert_eq!(list[0].text("/b").expect("a text"), "c");
        let spread = list[0].spread("/s").expect("a spread");
        assert_eq!(
            (spread.low, spread.median, spread.high),
            (1.0, 2.5, f64::INFINITY)
        );
        let three = Recorded {
            name: "x".into(),
            at: json!([1, 2, 3]),
        };
        assert_eq!(three.numbers("").expect("numbers"), [1.0, 2.0, 3.0]);
        for error in [
            recorded.list("/b").err(),
            list[0].number("/b").err(),
            list[0].numbers("/b").err(),
            list[0].spread("/b").err(),
            Recorded::load("no-such-experiment").err(),
        ] {
            let message = error.expect("it is not there").to_string();
            assert!(message.starts_with("the results of \""), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}

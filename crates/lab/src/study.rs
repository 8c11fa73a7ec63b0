//! What an experiment is: a question, a protocol, what is found by it, and what follows.

use std::path::Path;
use std::{fmt, fs};

use serde::de::DeserializeOwned;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use crate::claims::{Answer, Claim};
use crate::edges;
use crate::error::Error;
use crate::options::{Seeds, results};
use crate::session::Session;
use chart::Chart;

/// What the file of an experiment says.
pub(crate) trait Study {
    /// What it is called, and what it asks.
    const CARD: Card;

    /// What is fixed before the first run.
    type Protocol: Serialize;
    /// The numbers that are found.
    type Results: Serialize + DeserializeOwned;

    /// The protocol, or its quick form, which has less of everything.
    fn protocol(quick: bool) -> Self::Protocol;

    /// Carries the protocol out.
    fn run(protocol: &Self::Protocol, session: &mut Session) -> Result<Self::Results, Error>;

    /// What follows from the numbers, and from nothing else.
    fn read(protocol: &Self::Protocol, results: &Self::Results) -> Finding;
}

/// What an experiment is called, and what it asks.
pub(crate) struct Card {
    name: &'static str,
    chapter: u32,
    about: &'static str,
    claim: Option<Claim>,
    timed: bool,
    seeds: Seeds,
}

impl Card {
    /// What it is called on the command line, and the chapter that uses its results.
    pub(crate) const fn new(name: &'static str, chapter: u32) -> Self {
        Card {
            name,
            chapter,
            about: "",
            claim: None,
            timed: false,
            seeds: Seeds::USUAL,
        }
    }

    /// One line that says what is asked.
    pub(crate) const fn asks(self, about: &'static str) -> Self {
        Card { about, ..self }
    }

    /// It measures this claim.
    pub(crate) const fn claim(self, id: &'static str, text: &'static str) -> Self {
        let claim = Some(Claim { id, text });
        Card { claim, ..self }
    }

    /// It has few seeds.
    pub(crate) const fn few_seeds(self) -> Self {
        Card {
            seeds: Seeds::FEW,
            ..self
        }
    }

    /// Its results hold times, which differ from run to run.
    pub(crate) const fn timed(self) -> Self {
        Card {
            timed: true,
            ..self
        }
    }
}

/// What follows from the results of an experiment.
pub(crate) struct Finding {
    /// Numbers and words for the chapters. They are written among the results, entry by entry
    /// in lists.
    pub(crate) derived: Value,
    /// Charts, by the end of their file name.
    pub(crate) charts: Vec<(String, Chart)>,
    /// What the protocol's decision rule says of the claim, if there is one.
    pub(crate) answer: Option<Answer>,
    /// The same in a sentence, with its numbers; the answer comes before it.
    pub(crate) verdict: String,
    /// The main numbers, as a table for a terminal.
    pub(crate) table: String,
}

/// The finding, and the results with what is derived from them written among them.
type Followed = (Finding, Value);

/// An experiment, as those who list and run it see it.
pub struct Experiment {
    /// What it is called on the command line, and the stem of its files.
    pub name: &'static str,
    /// One line that says what is asked.
    pub about: &'static str,
    /// The chapter that uses its results.
    pub chapter: u32,
    /// The claim that it measures, if it measures one.
    pub claim: Option<Claim>,
    /// Whether its results hold times, which differ from run to run.
    pub timed: bool,
    /// How many seeds it has in its full form.
    pub seeds: Seeds,
    protocol: fn(bool) -> Value,
    run: fn(bool, &mut Session) -> Result<Value, Error>,
    read: fn(bool, &Value) -> Result<Followed, Error>,
}

impl Experiment {
    pub(crate) const fn of<E: Study>() -> Self {
        Experiment {
            name: E::CARD.name,
            about: E::CARD.about,
            chapter: E::CARD.chapter,
            claim: E::CARD.claim,
            timed: E::CARD.timed,
            seeds: E::CARD.seeds,
            protocol: |quick| json(&E::protocol(quick)),
            run: |quick, session| Ok(json(&E::run(&E::protocol(quick), session)?)),
            read: |quick, data| {
                let results = typed::<E>(data)?;
                let mut finding = E::read(&E::protocol(quick), &results);
                let mut data = json(&results);
                finding.verdict += &edges::told(&data);
                merge(&mut data, &finding.derived);
                Ok((finding, data))
            },
        }
    }

    /// What is fixed before the first run: data, network, grid, rules. The quick form has
    /// less of everything.
    pub fn protocol(&self, quick: bool) -> Value {
        (self.protocol)(quick)
    }

    /// Carries out the protocol: the numbers that are found.
    pub(crate) fn run(&self, quick: bool, session: &mut Session) -> Result<Value, Error> {
        (self.run)(quick, session)
    }

    /// The finding of these numbers, and the numbers with what is derived from them.
    pub(crate) fn read(&self, quick: bool, data: &Value) -> Result<Followed, Error> {
        (self.read)(quick, data)
    }
}

impl fmt::Debug for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Experiment {:?}", self.name)
    }
}

/// The committed results of an experiment, for those that build on them.
///
/// # Errors
/// When the file is missing, or other than the experiment writes it.
pub(crate) fn recorded<E: Study>() -> Result<E::Results, Error> {
    typed::<E>(&read(&results(), E::CARD.name)?["data"])
}

/// The results of this name in `folder`.
///
/// # Errors
/// When they are missing or are not JSON.
pub(crate) fn read(folder: &Path, name: &str) -> Result<Value, Error> {
    let wrong = |reason: String| Error::Results {
        name: name.to_owned(),
        reason,
    };
    let text = fs::read_to_string(folder.join(format!("{name}.json")));
    let text = text.map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

fn typed<E: Study>(data: &Value) -> Result<E::Results, Error> {
    E::Results::deserialize(data).map_err(|error| Error::Results {
        name: E::CARD.name.to_owned(),
        reason: error.to_string(),
    })
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("plain data serializes")
}

/// Puts `more` into `all`: the entries of a list into those of the other, in their order, if
/// there are as many; anything else takes the place of what was there.
fn merge(all: &mut Value, more: &Value) {
    match (all, more) {
        (Value::Object(all), Value::Object(more)) => {
            for (key, value) in more {
                merge(all.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(all), Value::Array(more)) if all.len() == more.len() => {
            all.iter_mut()
                .zip(more)
                .for_each(|(all, more)| merge(all, more));
        }
        (all, more) => *all = more.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_derived_goes_among_the_results() {
        let mut all = json!({ "cells": [{ "a": 1 }, { "a": 2 }], "b": [1] });
        merge(
            &mut all,
            &json!({ "cells": [{ "c": 3 }, { "c": { "d": 4 } }], "e": [5, 6] }),
        );
        let expected = json!({ "cells": [{ "a": 1, "c": 3 }, { "a": 2, "c": { "d": 4 } }],
            "b": [1], "e": [5, 6] });
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_missing_is_told_in_a_line() {
        let message = read(&results(), "no-such-experiment").expect_err("there is none");
        let message = message.to_string();
        assert!(message.starts_with("the results of \"no-such-experiment\""));
        assert!(!message.contains('\n'), "{message}");
    }
}

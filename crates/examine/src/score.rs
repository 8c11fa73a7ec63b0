//! What a check is worth: what it caught, what it let through, and whom it accused.

use crate::answers::Answers;
use crate::exam::{Case, Fault};
use diagnose::Sections;
use serde::Serialize;
use std::fmt;

/// The judgement of a check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// How many cases are wrong, and how many of these were called so.
    pub wrong: usize,
    /// How many of these were called wrong.
    pub caught: usize,
    /// How many cases are right.
    pub right: usize,
    /// The mistakes that were called right, each with its case.
    pub survived: Vec<(String, Fault)>,
    /// The right cases that were called wrong.
    pub accused: Vec<String>,
}

impl Score {
    /// What these answers are worth.
    ///
    /// # Errors
    /// One line, when a case has no answer, or an answer no case.
    pub fn new(cases: &[Case], answers: &Answers) -> Result<Self, String> {
        let open: Vec<&str> = cases
            .iter()
            .map(|case| case.name.as_str())
            .filter(|name| !answers.contains_key(*name))
            .collect();
        if let Some(first) = open.first() {
            let count = open.len();
            return Err(format!(
                "{count} of {} cases have no answer, {first} is the first",
                cases.len()
            ));
        }
        let strange = answers
            .keys()
            .find(|name| cases.iter().all(|case| case.name != **name));
        if let Some(name) = strange {
            return Err(format!("`{name}` is none of the {} cases", cases.len()));
        }
        let mut score = Self {
            wrong: 0,
            caught: 0,
            right: 0,
            survived: Vec::new(),
            accused: Vec::new(),
        };
        for case in cases {
            match (&case.fault, answers[&case.name]) {
                (None, called_right) => {
                    score.right += 1;
                    if !called_right {
                        score.accused.push(case.name.clone());
                    }
                }
                (Some(fault), called_right) => {
                    score.wrong += 1;
                    score.caught += usize::from(!called_right);
                    if called_right {
                        score.survived.push((case.name.clone(), fault.clone()));
                    }
                }
            }
        }
        score.survived.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        Ok(score)
    }

    /// Whether everything wrong was caught and nothing right accused.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.survived.is_empty() && self.accused.is_empty()
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let survived = self.survived.iter().map(|(case, fault)| {
            serde_json::json!({
                "case": case, "name": fault.name, "sentence": fault.sentence,
                "section": fault.section,
            })
        });
        let score = serde_json::json!({
            "wrong": self.wrong, "caught": self.caught, "right": self.right,
            "accused": self.accused, "survived": survived.collect::<Vec<_>>(),
        });
        format!("{score:#}")
    }
}

/// The headline, and then a line for each mistake that survived and each case that was accused.
impl fmt::Display for Score {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} of {} wrong gradients caught, {} of {} right ones accused",
            self.caught,
            self.wrong,
            self.accused.len(),
            self.right
        )?;
        if !self.survived.is_empty() {
            let sections = Sections::of_the_book();
            writeln!(out, "\nSurvived:")?;
            for (case, fault) in &self.survived {
                let Fault {
                    name,
                    sentence,
                    section,
                } = fault;
                writeln!(out, "  {name} ({case}): {sentence}")?;
                writeln!(out, "      see {}", sections.told(section))?;
            }
        }
        if !self.accused.is_empty() {
            writeln!(
                out,
                "\nAccused, although right: {}",
                self.accused.join(", ")
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diagnose::Contents;

    fn cases() -> Vec<Case> {
        let fault = |name: &str| Fault {
            name: name.to_owned(),
            sentence: "the whole of dx has the wrong sign".to_owned(),
            section: "sec:closed-form",
        };
        let faults = [
            None,
            Some(fault("dx: whole-sign")),
            None,
            Some(fault("dx: b")),
        ];
        let numbered = faults.into_iter().zip(1..);
        let case = |(fault, number)| Case {
            name: format!("case-{number}"),
            fault,
            contents: Contents::default(),
        };
        numbered.map(case).collect()
    }

    fn answers(told: [bool; 4]) -> Answers {
        let numbered = told.into_iter().zip(1..);
        numbered
            .map(|(told, n)| (format!("case-{n}"), told))
            .collect()
    }

    #[test]
    fn what_survives_and_who_is_accused_is_told_by_name() {
        let sound = Score::new(&cases(), &answers([true, false, true, false])).unwrap();
        assert!(sound.is_sound());
        assert_eq!(
            sound.to_string(),
            "2 of 2 wrong gradients caught, 0 of 2 right ones accused\n"
        );
        let bad = Score::new(&cases(), &answers([true, true, false, false])).unwrap();
        assert!(!bad.is_sound());
        let told = bad.to_string();
        for told_of in [
            "1 of 2 wrong gradients caught, 1 of 2 right ones accused",
            "  dx: whole-sign (case-2): the whole of dx has the wrong sign\n",
            "see \"The closed form\" in book/src/bn-backward.md",
            "Accused, although right: case-3",
        ] {
            assert!(told.contains(told_of), "{told}");
        }
        assert!(!told.contains("dx: b"), "{told}");
        let json: serde_json::Value = serde_json::from_str(&bad.json()).unwrap();
        assert_eq!(json["survived"][0]["name"], "dx: whole-sign");
        assert_eq!(json["accused"][0], "case-3");
        assert_eq!(json["caught"], 1);
    }

    #[test]
    fn an_answer_that_is_missing_or_too_many_is_told() {
        let mut some = answers([true; 4]);
        some.remove("case-2");
        some.remove("case-4");
        let why = Score::new(&cases(), &some).unwrap_err();
        assert_eq!(why, "2 of 4 cases have no answer, case-2 is the first");
        let mut more = answers([true; 4]);
        more.insert("case-9".to_owned(), true);
        let why = Score::new(&cases(), &more).unwrap_err();
        assert_eq!(why, "`case-9` is none of the 4 cases");
    }
}

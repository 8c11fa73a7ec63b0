//! What a check answered, from a file.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// For each case whether its gradients were called right.
pub type Answers = BTreeMap<String, bool>;

/// Reads answers: a JSON object from cases to `"right"` or `"wrong"`, or `true` or `false`; or a
/// line for each case, which begins with its name, or the path of its file, and ends with one of
/// these.
///
/// # Errors
/// One line, when something is no answer, or a case has two.
pub fn answers(text: &str) -> Result<Answers, String> {
    let mut answers = Answers::new();
    let mut add = |name: &str, told: &str| {
        let right = match told.to_lowercase().as_str() {
            "right" | "true" | "ok" | "pass" => true,
            "wrong" | "false" | "fail" => false,
            _ => return Err(format!("{name}: `{told}` is neither `right` nor `wrong`")),
        };
        let name = case_of(name);
        match answers.insert(name.to_owned(), right) {
            Some(_) => Err(format!("{name} has two answers")),
            None => Ok(()),
        }
    };
    // What some editors put in front of a text.
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('{') {
        let Pairs(all) = serde_json::from_str(text).map_err(|why| why.to_string())?;
        for (name, value) in &all {
            match value {
                Value::String(told) => add(name, told)?,
                other => add(name, &other.to_string())?,
            }
        }
        return Ok(answers);
    }
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let no_answer = || format!("`{line}` is not a case and `right` or `wrong`");
        let (name, told) = line.rsplit_once(is_between).ok_or_else(no_answer)?;
        let mut name = name.trim_end_matches(is_between);
        name = name.strip_suffix("->").unwrap_or(name);
        name = name.trim_end_matches(is_between);
        // A folder may have a name of several words; a case has none.
        if name.is_empty() || case_of(name).contains(is_between) {
            return Err(no_answer());
        }
        add(name, told)?;
    }
    Ok(answers)
}

/// What may stand between a case and its answer.
fn is_between(c: char) -> bool {
    c.is_whitespace() || [',', ':', '='].contains(&c)
}

/// A case may be told by the path of its file.
fn case_of(name: &str) -> &str {
    let name = name.trim_matches('"');
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.split('.').next().unwrap_or(file)
}

/// All that an object holds, though it hold a name twice.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Pairs {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "an object from cases to answers")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Self, M::Error> {
        while let Some(pair) = map.next_entry()? {
            self.0.push(pair);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_json_are_read_alike() {
        let wanted = Answers::from([("case-1".to_owned(), true), ("case-2".to_owned(), false)]);
        for text in [
            "case-1 right\ncase-2 wrong\n",
            "case-1: right\n\ncase-2 -> wrong",
            "folder/case-1.safetensors,True\r\nfolder\\case-2.npz,False\r\n",
            r#"{"case-1": "right", "case-2": "wrong"}"#,
            r#" {"case-1": true, "case-2": false}"#,
            "\u{feff}case-1 right\ncase-2 wrong",
            "\u{feff}{\"case-1\": true, \"a b/case-2.npz\": false}",
            "C:\\my cases\\case-1.npz: right\n/tmp/my cases: 2/case-2.npz = wrong",
            "\"my cases/case-1.npz\",True\n\"my cases/case-2.npz\",False",
        ] {
            assert_eq!(answers(text), Ok(wanted.clone()), "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_told_in_one_line() {
        for (text, reason) in [
            ("case-1 perhaps", "`perhaps` is neither"),
            ("case-1", "is not a case"),
            ("case-1 right wrong", "is not a case"),
            ("case-1 right\ncase-1 wrong", "two answers"),
            ("a/case-1.npz right\nb/case-1.npz right", "two answers"),
            (r#"{"case-1": "right", "case-1": "wrong"}"#, "two answers"),
            (": right", "is not a case"),
            ("[1]", "is not a case"),
            ("{\"case-1\": 1}", "`1` is neither"),
            ("{", "EOF"),
        ] {
            let why = answers(text).unwrap_err();
            assert!(why.contains(reason) && !why.contains('\n'), "{why}");
        }
    }
}

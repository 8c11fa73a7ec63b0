//! What a check answered, from a file.

use serde_json::Value;
use std::collections::BTreeMap;

/// For each case whether its gradients were called right.
pub type Answers = BTreeMap<String, bool>;

/// Reads answers: a JSON object from cases to `"right"` or `"wrong"`, or `true` or `false`; or a
/// line for each case, which begins with its name and ends with one of these.
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
        // A case may be told by the path of its file.
        let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
        let name = file.split('.').next().unwrap_or(file);
        match answers.insert(name.to_owned(), right) {
            Some(_) => Err(format!("{name} has two answers")),
            None => Ok(()),
        }
    };
    if text.trim_start().starts_with('{') {
        let all: BTreeMap<String, Value> =
            serde_json::from_str(text).map_err(|why| why.to_string())?;
        for (name, value) in &all {
            match value {
                Value::String(told) => add(name, told)?,
                other => add(name, &other.to_string())?,
            }
        }
        return Ok(answers);
    }
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line
            .split(|c: char| c.is_whitespace() || [',', ':', '='].contains(&c))
            .filter(|word| !word.is_empty() && *word != "->");
        match (words.next(), words.next(), words.next()) {
            (Some(name), Some(told), None) => add(name, told)?,
            _ => return Err(format!("`{line}` is not a case and `right` or `wrong`")),
        }
    }
    Ok(answers)
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
            ("{\"case-1\": 1}", "`1` is neither"),
            ("{", "EOF"),
        ] {
            let why = answers(text).unwrap_err();
            assert!(why.contains(reason) && !why.contains('\n'), "{why}");
        }
    }
}

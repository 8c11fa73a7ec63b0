//! The numbers of experiments that a live figure draws, taken out of `book/results`.
//!
//! A page loads a few numbers for each dot, and not the results of a night.

use anyhow::{Context, Result};
use live::comparisons::COMPARISONS;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Where they are kept for the figure.
#[must_use]
pub fn path(root: &Path) -> PathBuf {
    root.join("crates/live/src/figures/seeds.txt")
}

/// One line for each method that is compared, and one on top that says who wrote them.
///
/// # Errors
/// Names the result that is not there.
pub fn text(root: &Path) -> Result<String> {
    let mut text = format!("Written by `{}` from book/results.\n", crate::COMMAND);
    for method in COMPARISONS.iter().flat_map(|two| &two.methods) {
        let (file, way) = method.results;
        let path = root.join(format!("book/results/{file}.json"));
        let read =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let result: Value = serde_json::from_str(&read)?;
        let at = || format!("{file}.json has no list of numbers at {way}");
        let list = find(&result, way)
            .and_then(Value::as_array)
            .with_context(at)?;
        for (seed, number) in list.iter().enumerate() {
            let number = number.as_f64().with_context(at)?;
            // All digits that tell one result from another, and no more.
            let space = if seed == 0 { "" } else { " " };
            let _ = write!(text, "{space}{number:.6}");
        }
        text.push('\n');
    }
    Ok(text)
}

/// What lies at the end of a way: keys, and `key=value` for the entry of a list that has it.
#[must_use]
pub fn find<'a>(value: &'a Value, way: &str) -> Option<&'a Value> {
    way.split('/').try_fold(value, |value, step| {
        let Some((key, wanted)) = step.split_once('=') else {
            return value.get(step);
        };
        let is = |entry: &&Value| match &entry[key] {
            Value::String(text) => text == wanted,
            other => wanted.parse().is_ok_and(|wanted: i64| *other == wanted),
        };
        value.as_array()?.iter().find(is)
    })
}

/// Writes them; whether they are others than before.
///
/// # Errors
/// As [`text`], and when they cannot be written.
pub fn write(root: &Path) -> Result<bool> {
    let (path, text) = (path(root), text(root)?);
    let changed = fs::read_to_string(&path).is_ok_and(|old| old != text);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_way_leads_through_keys_and_entries() {
        let value = json!({"a": [{"n": 3, "b": [1, 2]}, {"n": "x y", "b": {"c": 7}}]});
        assert_eq!(find(&value, "a/n=3/b"), Some(&json!([1, 2])));
        assert_eq!(find(&value, "a/n=x y/b/c"), Some(&json!(7)));
        assert_eq!(find(&value, "a/n=4/b"), None);
        assert_eq!(find(&value, "a/q"), None);
    }
}

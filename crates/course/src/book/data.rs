//! Numbers taken from result files, so that no measured number is typed.

use serde_json::Value;
use std::rc::Rc;

/// How a number stands in the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// In prose or in a table.
    Prose,
    /// In a formula.
    Maths,
}

/// The value at `key` of a result file.
///
/// A key is a path such as `rows.3.error` or `rows[h=0.01].error`; the latter takes
/// the one element of the array whose field equals the value. `.` is the whole file.
///
/// # Errors
/// Names the step that leads nowhere.
pub fn get<'a>(root: &'a Value, key: &str) -> Result<&'a Value, String> {
    let mut value = root;
    for step in steps(key)? {
        value = match &step {
            Step::Name(name) => match value {
                Value::Array(items) => name.parse::<usize>().ok().and_then(|i| items.get(i)),
                other => other.get(name),
            },
            Step::Where(field, wanted) => {
                let items = value.as_array().ok_or_else(|| {
                    format!("`[{field}={wanted}]` of `{key}` is not asked of an array")
                })?;
                let mut matching = items
                    .iter()
                    .filter(|item| item.get(field).is_some_and(|v| equals(v, wanted)));
                let first = matching.next();
                if matching.next().is_some() {
                    return Err(format!(
                        "`[{field}={wanted}]` of `{key}` fits several elements"
                    ));
                }
                first
            }
        }
        .ok_or_else(|| format!("there is no `{step}` on the way of `{key}`"))?;
    }
    Ok(value)
}

enum Step {
    Name(String),
    Where(String, String),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Where(field, value) => write!(f, "[{field}={value}]"),
        }
    }
}

fn steps(key: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = if key == "." { "" } else { key };
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (condition, after) = inner
                .split_once(']')
                .ok_or_else(|| format!("a `[` of `{key}` is not closed"))?;
            let (field, value) = condition
                .split_once('=')
                .ok_or_else(|| format!("`[{condition}]` of `{key}` needs a `=`"))?;
            steps.push(Step::Where(field.to_owned(), value.to_owned()));
            rest = after.strip_prefix('.').unwrap_or(after);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(Step::Name(rest[..end].to_owned()));
            rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
        }
    }
    Ok(steps)
}

fn equals(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Number(number) => {
            number.to_string() == wanted
                || wanted
                    .parse::<f64>()
                    .is_ok_and(|w| number.as_f64() == Some(w))
        }
        Value::Bool(b) => b.to_string() == wanted,
        _ => false,
    }
}

/// The files that `results/{a,b}.json` stands for, in this order; without braces, the one.
///
/// # Errors
/// When a brace is not closed, or there are two pairs.
pub fn files(pattern: &str) -> Result<Vec<String>, String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return Ok(vec![pattern.to_owned()]);
    };
    let (names, after) = rest
        .split_once('}')
        .filter(|(names, after)| !names.contains('{') && !after.contains('{'))
        .ok_or_else(|| format!("write `{pattern}` with one pair of braces: folder/{{a,b}}.json"))?;
    let file = |name: &str| format!("{before}{name}{after}");
    Ok(names.split(',').map(file).collect())
}

/// More digits than these of an `f64` say nothing.
const MOST_DIGITS: usize = 17;

/// Prints `value` in the given format: `.2f` fixed, `.1e` scientific, `.1%` per cent,
/// `d` an integer in groups of three, `s` as it is, `words` what a text calls it. No more
/// than 17 digits follow the point. The elements of a list are printed one after the other.
/// With a question mark behind the format, what is missing is a dash.
///
/// # Errors
/// When the format is none of these, or the value does not fit it.
pub fn print(value: &Value, format: &str, place: Place) -> Result<String, String> {
    if let Value::Array(items) = value {
        let items = items.iter().map(|item| print(item, format, place));
        return Ok(items.collect::<Result<Vec<String>, String>>()?.join(", "));
    }
    if let Some(format) = format.strip_suffix('?') {
        return match value {
            Value::Null => Ok("–".to_owned()),
            value => print(value, format, place),
        };
    }
    if format == "s" {
        return match value {
            Value::String(text) if place == Place::Prose => Ok(typeset(text)),
            Value::String(text) => Ok(text.clone()),
            Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
            _ => Err("the value is not a text, a number or a truth value".to_owned()),
        };
    }
    if format == "words" {
        return words(value).ok_or_else(|| format!("there are no words for the value `{value}`"));
    }
    let number = value
        .as_f64()
        .ok_or_else(|| format!("the value `{value}` is not a number"))?;
    let minus = if place == Place::Maths { "-" } else { "−" };
    let sign = |text: String| match text.strip_prefix('-') {
        Some(rest) => format!("{minus}{rest}"),
        None => text,
    };
    if format == "d" {
        if number.fract() != 0.0 {
            return Err(format!("the value `{value}` is not an integer"));
        }
        return Ok(sign(group(&format!("{number:.0}"), place)));
    }
    let unknown = || format!("`{format}` is no format; there are .2f, .1e, .1%, d, s and words");
    let (digits, kind) = format
        .strip_prefix('.')
        .and_then(|f| f.split_at_checked(f.len().checked_sub(1)?))
        .ok_or_else(unknown)?;
    let digits: usize = digits.parse().map_err(|_| unknown())?;
    if digits > MOST_DIGITS {
        return Err(format!(
            "`{format}` asks for {digits} digits; at most {MOST_DIGITS} are possible"
        ));
    }
    match kind {
        "f" => Ok(sign(format!("{number:.digits$}"))),
        "%" => {
            let percent = sign(format!("{:.digits$}", number * 100.0));
            Ok(if place == Place::Maths {
                format!(r"{percent}\,\%")
            } else {
                format!("{percent}\u{202f}%")
            })
        }
        "e" => {
            let text = format!("{number:.digits$e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let mantissa = sign(mantissa.to_owned());
            let one = digits == 0 && mantissa == "1";
            Ok(match (place, one) {
                _ if exponent == "0" => mantissa,
                (Place::Maths, true) => format!("10^{{{exponent}}}"),
                (Place::Maths, false) => format!(r"{mantissa} \times 10^{{{exponent}}}"),
                (Place::Prose, true) => format!("10{}", superscript(exponent)),
                (Place::Prose, false) => {
                    format!("{mantissa}\u{a0}×\u{a0}10{}", superscript(exponent))
                }
            })
        }
        _ => Err(unknown()),
    }
}

/// The text with a minus in front of its negative numbers, which results write with a hyphen, and no
/// line's end between a number and its per cent.
fn typeset(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let number = rest.peek().is_some_and(char::is_ascii_digit);
        let alone = before == ' ' || before == '(';
        out.push(match c {
            '-' if alone && number => '−',
            ' ' if before.is_ascii_digit() && rest.peek() == Some(&'%') => '\u{202f}',
            c => c,
        });
        before = c;
    }
    out
}

/// What a text calls a truth value, an answer, a method or a network that the experiments name by an
/// identifier. What follows the identifier stays, as in `batch with noise 1`.
fn words(value: &Value) -> Option<String> {
    let text = match value {
        Value::Bool(true) => return Some("yes".to_owned()),
        Value::Bool(false) => return Some("no".to_owned()),
        value => value.as_str()?,
    };
    let end = text.find(' ').unwrap_or(text.len());
    let (id, rest) = text.split_at(end);
    let name = match id.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "none" => "no norm",
        "batch" => "Batch Norm",
        "layer" => "Layer Norm",
        "rms" => "RMS Norm",
        "group" => "Group Norm",
        "mlp" => "MLP",
        "cnn" => "CNN",
        "shallow" => "shallow MLP",
        "deep" => "deep MLP",
        "supported" => "supported",
        "not-supported" => "not supported",
        "depends" => "depends",
        _ => return None,
    };
    Some(match rest.strip_prefix(" he") {
        Some(rest) => format!("{name}, He weights{rest}"),
        None => format!("{name}{rest}"),
    })
}

/// `1234567` with thin spaces between groups of three; four digits stay together.
fn group(digits: &str, place: Place) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |d| ("-", d));
    if digits.len() <= 4 {
        return format!("{sign}{digits}");
    }
    let space = if place == Place::Maths {
        r"\,"
    } else {
        "\u{202f}"
    };
    let mut out = sign.to_owned();
    for (at, c) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push_str(space);
        }
        out.push(c);
    }
    out
}

/// The answer of an experiment, as HTML that stands out in a paragraph.
///
/// # Errors
/// When the value is none of the three answers that an experiment can give.
pub fn badge(value: &Value) -> Result<String, String> {
    let (answer, words) = match value.as_str() {
        Some(answer @ "supported") => (answer, "Supported"),
        Some(answer @ "not-supported") => (answer, "Not supported"),
        Some(answer @ "depends") => (answer, "Depends"),
        _ => return Err(format!("the value `{value}` is no answer of an experiment")),
    };
    Ok(format!(
        "<strong class=\"badge\" data-answer=\"{answer}\">{words}</strong>"
    ))
}

fn superscript(exponent: &str) -> String {
    let high = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        c => c
            .to_digit(10)
            .and_then(|d| char::from_u32(0x2070 + d))
            .unwrap_or(c),
    };
    exponent.chars().map(high).collect()
}

/// The elements of the array at `key` of a file, or what several files have there. `json`
/// reads a file.
///
/// # Errors
/// One line, when a file cannot be read or has nothing of the kind at `key`.
pub fn rows(
    pattern: &str,
    key: &str,
    json: impl Fn(&str) -> Result<Rc<Value>, String>,
) -> Result<Vec<Value>, String> {
    let files = files(pattern)?;
    let mut rows = Vec::new();
    for file in &files {
        let json = json(file)?;
        match get(&json, key).map_err(|e| format!("{file}: {e}"))? {
            Value::Array(list) => rows.extend(list.iter().cloned()),
            one if files.len() > 1 => rows.push(one.clone()),
            _ => return Err(format!("{file}, `{key}` is not an array")),
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_walk_objects_arrays_and_conditions() {
        let root = json!({"rows": [{"h": 0.01, "err": 1}, {"h": 0.0001, "err": 2}, {"h": 5, "n": "bn"}],
                          "best": {"err": 3}});
        for (key, wanted) in [
            ("best.err", json!(3)),
            ("rows.1.err", json!(2)),
            ("rows[h=1e-4].err", json!(2)),
            ("rows[n=bn].h", json!(5)),
            (".", root.clone()),
        ] {
            assert_eq!(get(&root, key), Ok(&wanted), "{key}");
        }
        for key in [
            "worst",
            "rows.9",
            "rows[h=7].err",
            "best[h=1]",
            "rows[h=1",
            "rows[h]",
        ] {
            assert!(get(&root, key).is_err(), "{key}");
        }
        let twice = json!([{"a": 1}, {"a": 1}]);
        assert!(get(&twice, "[a=1].a").unwrap_err().contains("several"));
    }

    #[test]
    fn an_answer_becomes_a_badge() {
        let badge = |value| badge(&value);
        for (answer, words) in [
            ("supported", "Supported"),
            ("not-supported", "Not supported"),
            ("depends", "Depends"),
        ] {
            let html = badge(json!(answer)).unwrap();
            assert!(
                html.contains(&format!("data-answer=\"{answer}\">{words}<")),
                "{html}"
            );
        }
        for value in [json!("perhaps"), json!(true), json!(null)] {
            let error = badge(value.clone()).unwrap_err();
            assert!(error.contains(&value.to_string()), "{error}");
        }
    }

    #[test]
    fn braces_name_several_files() {
        assert_eq!(files("r/a.json").unwrap(), ["r/a.json"]);
        assert_eq!(files("r/{a,b}.json").unwrap(), ["r/a.json", "r/b.json"]);
        for pattern in ["r/{a.json", "r/{a,b}/{c}.json", "r/{a,{b}}.json"] {
            let error = files(pattern).unwrap_err();
            assert!(error.contains(pattern), "{error}");
        }
    }

    #[test]
    fn numbers_are_printed_for_their_place() {
        use Place::{Maths, Prose};
        for (value, format, place, wanted) in [
            (json!(0.12345), ".2f", Prose, "0.12"),
            (json!(-1.5), ".1f", Prose, "−1.5"),
            (json!(1.23e-11), ".1e", Prose, "1.2\u{a0}×\u{a0}10⁻¹¹"),
            (json!(1.23e-11), ".1e", Maths, r"1.2 \times 10^{-11}"),
            (json!(0.01), ".0e", Prose, "10⁻²"),
            (json!(4e20), ".0e", Prose, "4\u{a0}×\u{a0}10²⁰"),
            (json!(0.987), ".1%", Prose, "98.7\u{202f}%"),
            (json!(1_234_567), "d", Prose, "1\u{202f}234\u{202f}567"),
            (json!(1797), "d", Maths, "1797"),
            (json!("Adam"), "s", Prose, "Adam"),
            (json!("none"), "words", Prose, "no norm"),
            (json!("group4"), "words", Prose, "Group Norm"),
            (
                json!("batch with noise 0.5"),
                "words",
                Prose,
                "Batch Norm with noise 0.5",
            ),
            (
                json!("none he with noise 1"),
                "words",
                Prose,
                "no norm, He weights with noise 1",
            ),
            (json!("not-supported"), "words", Prose, "not supported"),
            (
                json!("-7.6 points (-10.2 to +0.3), batch-2, 9 %"),
                "s",
                Prose,
                "−7.6 points (−10.2 to +0.3), batch-2, 9\u{202f}%",
            ),
            (json!("cnn"), "words", Prose, "CNN"),
            (json!(true), "words", Prose, "yes"),
            (json!(false), "words", Prose, "no"),
            (json!([-1.5, 2]), ".1f", Prose, "−1.5, 2.0"),
            (json!([]), ".1f", Prose, ""),
            (json!(null), ".1f?", Prose, "–"),
            (json!(0.25), ".1%?", Prose, "25.0\u{202f}%"),
        ] {
            assert_eq!(
                print(&value, format, place).as_deref(),
                Ok(wanted),
                "{value} {format}"
            );
        }
        for (value, format) in [
            (json!("x"), ".2f"),
            (json!(1.5), "d"),
            (json!(1), "x"),
            (json!(1), ".f"),
            (json!(1), ".18f"),
            (json!(1), ".70000e"),
            (json!({}), "s"),
            (json!([1, "x"]), ".1f"),
            (json!(null), ".1f"),
            (json!("batches"), "words"),
            (json!(1), "words"),
        ] {
            assert!(print(&value, format, Prose).is_err(), "{value} {format}");
        }
    }
}

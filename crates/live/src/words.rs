//! Numbers and lists as the book prints them.

/// A number with so many places after the point, its minus as wide as a plus; never `−0`.
#[must_use]
pub fn fixed(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    let digits = text.strip_prefix('-');
    match digits {
        Some(digits) if digits.bytes().all(|b| matches!(b, b'0' | b'.')) => digits.to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

/// The number that is written so, in digits with at most one point among them: its nearest value
/// when there are 15 digits or fewer, which is all that a page has to say. The standard library
/// reads any number, by tables that are larger than a figure.
#[must_use]
pub fn decimal(text: &str) -> Option<f64> {
    let (digits, sign) = match text.strip_prefix('-') {
        Some(digits) => (digits, -1.0),
        None => (text, 1.0),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part = part.as_bytes();
    let part = &part[..part.len().min(15_usize.saturating_sub(whole.len()))];
    let read = |value: f64, digit: u8| {
        let digit = digit.is_ascii_digit().then(|| f64::from(digit - b'0'));
        Some(10.0 * value + digit?)
    };
    let value = whole
        .bytes()
        .chain(part.iter().copied())
        .try_fold(0.0, read)?;
    let power = (0..part.len()).fold(1.0, |power, _| 10.0 * power);
    let any = !whole.is_empty() || !part.is_empty();
    any.then_some(sign * value / power)
}

/// A number as `1.5 × 10⁻⁷`, with so many places after the point.
#[must_use]
pub fn scientific(value: f64, places: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = format!("{value:.places$e}");
    let Some((digits, power)) = text.split_once('e') else {
        return text.replace('-', "−");
    };
    let digits = digits.replace('-', "−");
    format!("{digits}\u{a0}×\u{a0}{}", power_of_ten(power))
}

/// `10⁻⁷`.
#[must_use]
pub fn power_of_ten(power: impl ToString) -> String {
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '0' | '4'..='9' => char::from_u32('⁰' as u32 + c as u32 - '0' as u32).unwrap_or(c),
        other => other,
    };
    format!(
        "10{}",
        power.to_string().chars().map(raised).collect::<String>()
    )
}

/// What the checker writes in ASCII, as the book writes it: the pages do the same with a verdict.
const SIGNS: [(&str, &str); 9] = [
    ("x_hat", "x̂"),
    ("mu", "μ"),
    ("sigma", "σ"),
    ("gamma", "γ"),
    ("beta", "β"),
    ("eps", "ε"),
    ("sqrt", "√"),
    ("->", "→"),
    ("*", "·"),
];

/// A sentence of the checker with the signs of the book.
#[must_use]
pub fn signs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut inside = false;
    while let Some(c) = rest.chars().next() {
        let begins = |&&(ascii, _): &&(&str, &str)| {
            let after = rest.strip_prefix(ascii);
            after.is_some_and(|after| !after.starts_with(part_of_name))
        };
        let found = SIGNS.iter().find(begins).filter(|_| !inside);
        let (taken, written) = match found {
            Some(&(ascii, sign)) => (ascii.len(), sign),
            None => (c.len_utf8(), &rest[..c.len_utf8()]),
        };
        out.push_str(written);
        inside = part_of_name(c);
        rest = &rest[taken..];
    }
    out
}

fn part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// A list as a sentence has it: `a`, `a and b`, `a, b and c`.
#[must_use]
pub fn and(list: &[&str]) -> String {
    match list {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// Numbers between parentheses: `(0.27, −0.36)`.
#[must_use]
pub fn tuple(values: &[f64], places: usize) -> String {
    let each: Vec<String> = values.iter().map(|&value| fixed(value, places)).collect();
    format!("({})", each.join(", "))
}

/// A number written out, and how much of it from the left is as in another.
#[derive(Clone, Debug)]
pub struct Written {
    text: String,
    same: usize,
}

impl Written {
    /// A number with so many places after the point, against another.
    #[must_use]
    pub fn new(value: f64, other: f64, places: usize) -> Self {
        let [text, other] = [value, other].map(|value| format!("{value:.places$}"));
        let same = text.bytes().zip(other.bytes()).take_while(|(a, b)| a == b);
        let same = same.count();
        Self { text, same }
    }

    /// A number of which nothing is compared.
    #[must_use]
    pub fn plain(value: f64, places: usize) -> Self {
        let text = format!("{value:.places$}");
        Self { text, same: 0 }
    }

    /// How many digits that is, from the first that is not zero.
    #[must_use]
    pub fn digits(&self) -> usize {
        let same = self.text[..self.same].trim_start_matches(['-', '0', '.']);
        same.bytes().filter(u8::is_ascii_digit).count()
    }

    /// Marked for a drawing: one colour of the theme for what is the same, one for the rest.
    #[must_use]
    pub fn marked(&self, same: &str, other: &str) -> String {
        let (a, b) = self.text.split_at(self.same);
        let [a, b] = [a, b].map(|part| part.replace('-', "−"));
        format!("<tspan fill=\"var({same})\">{a}</tspan><tspan fill=\"var({other})\">{b}</tspan>")
    }
}

/// As text of HTML or SVG, and as the value of an attribute in double quotes.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_standard_library_reads_them() {
        for text in [
            "0",
            "-0",
            "7",
            "-0.25",
            "0.1",
            "3.7",
            "-16",
            ".5",
            "5.",
            "1000.001",
            "0.000001",
            "123456789.012345",
            "-12.3",
            "0.30000000000000004",
            "999999999999999",
        ] {
            let wanted: f64 = text.parse().unwrap();
            let found = decimal(text).unwrap();
            assert!(
                (found - wanted).abs() <= 1e-15 * wanted.abs(),
                "{text}: {found}"
            );
            assert!(
                text.len() > 17 || found.to_bits() == wanted.to_bits(),
                "{text}: {found}"
            );
        }
        for text in [
            "", ".", "-", "x", "1e3", "NaN", "inf", "1 2", "--1", "1.2.3", "−1", "½", "1.½",
        ] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn sentences_of_the_checker_have_the_signs_of_the_book() {
        for (ascii, wanted) in [
            (
                "the path x -> sigma² -> x_hat is missing.",
                "the path x → σ² → x̂ is missing.",
            ),
            (
                "rstd must be 1/sqrt(var + eps), y gamma * x_hat",
                "rstd must be 1/√(var + ε), y γ · x̂",
            ),
            (
                "dgamma, mean, epsilon and eps_root stay, as − does",
                "dgamma, mean, epsilon and eps_root stay, as − does",
            ),
        ] {
            assert_eq!(signs(ascii), wanted);
        }
    }

    #[test]
    fn numbers_are_printed_as_the_book_has_them() {
        assert_eq!(fixed(-1.25, 1), "−1.2");
        assert_eq!(fixed(-0.04, 1), "0.0");
        assert_eq!(fixed(12.0, 0), "12");
        assert_eq!(scientific(1.54e-7, 1), "1.5\u{a0}×\u{a0}10⁻⁷");
        assert_eq!(scientific(-2e12, 0), "−2\u{a0}×\u{a0}10¹²");
        assert_eq!(scientific(0.0, 1), "0");
        assert_eq!(scientific(f64::NEG_INFINITY, 1), "−inf");
        assert_eq!(power_of_ten(-30), "10⁻³⁰");
        assert_eq!(power_of_ten(45), "10⁴⁵");
        assert_eq!(tuple(&[0.25, -0.5], 2), "(0.25, −0.50)");
        assert_eq!(and(&["a", "b", "c"]), "a, b and c");
        assert_eq!(and(&["a"]), "a");
        assert_eq!(escape("a<\"b\"&"), "a&lt;&quot;b&quot;&amp;");
    }
}

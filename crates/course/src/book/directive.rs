//! Reading `{{#name argument "caption" #label}}`.

/// One argument of a directive.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Argument {
    Word(String),
    Quoted(String),
    Label(String),
}

/// The arguments of a directive, sorted by their form.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Arguments {
    /// Bare words, in order.
    pub words: Vec<String>,
    /// The text in quotation marks.
    pub caption: Option<String>,
    /// The label after `#`.
    pub label: Option<String>,
}

impl Arguments {
    /// Reads the text between the directive's name and its closing braces.
    ///
    /// # Errors
    /// When a quotation mark is not closed, or there are two captions or two labels.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut arguments = Self::default();
        for argument in split(text)? {
            let slot = match argument {
                Argument::Word(word) => {
                    arguments.words.push(word);
                    continue;
                }
                Argument::Quoted(text) => (&mut arguments.caption, text),
                Argument::Label(text) => (&mut arguments.label, text),
            };
            if let Some(first) = slot.0.replace(slot.1) {
                return Err(format!(
                    "there are two captions or two labels, one is `{first}`"
                ));
            }
        }
        Ok(arguments)
    }

    /// The bare words, when there are exactly `N` of them.
    ///
    /// # Errors
    /// Shows the `form` the directive should have.
    pub fn exactly<const N: usize>(&self, form: &str) -> Result<[&str; N], String> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        words
            .try_into()
            .map_err(|_| format!("write {{{{#{form}}}}}"))
    }
}

fn split(text: &str) -> Result<Vec<Argument>, String> {
    let mut arguments = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(&c) = characters.peek() {
        if c.is_whitespace() {
            characters.next();
        } else if c == '"' {
            characters.next();
            let mut quoted = String::new();
            loop {
                match characters.next() {
                    Some('"') => break,
                    Some('\\') if characters.peek() == Some(&'"') => {
                        quoted.push('"');
                        characters.next();
                    }
                    Some(c) => quoted.push(c),
                    None => return Err("a quotation mark is not closed".to_owned()),
                }
            }
            arguments.push(Argument::Quoted(quoted));
        } else {
            let mut word = String::new();
            while let Some(c) = characters.next_if(|c| !c.is_whitespace()) {
                word.push(c);
            }
            arguments.push(match word.strip_prefix('#') {
                Some(label) => Argument::Label(label.to_owned()),
                None => Argument::Word(word),
            });
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_caption_and_label() {
        let read = Arguments::read(r#" a/b.rs:sweep "The \"sweep\", $x$" #lst:sweep "#).unwrap();
        assert_eq!(read.words, ["a/b.rs:sweep"]);
        assert_eq!(read.caption.as_deref(), Some(r#"The "sweep", $x$"#));
        assert_eq!(read.label.as_deref(), Some("lst:sweep"));
        assert!(Arguments::read(r#"a "b"#).is_err());
        assert!(Arguments::read(r#"a "b" "c""#).is_err());
        assert!(read.exactly::<1>("listing file:item").is_ok());
        let error = read.exactly::<2>("table file key").unwrap_err();
        assert_eq!(error, "write {{#table file key}}");
    }
}

//! What is commonly said of Batch Norm and Layer Norm, and what may come of measuring it.

use serde::{Deserialize, Serialize};

/// A sentence that is commonly said, and that one experiment measures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Claim {
    /// `C1`, `C2`, ….
    pub id: &'static str,
    /// The sentence.
    pub text: &'static str,
}

/// What the decision rule of an experiment says of its claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It holds in all that was measured.
    Supported,
    /// It does not hold in what was measured.
    NotSupported,
    /// It holds in part of what was measured; the verdict says in which.
    Depends,
}

impl Answer {
    /// Supported if all of the given parts hold, not supported if none does.
    pub(crate) fn of(parts: impl IntoIterator<Item = bool>) -> Self {
        let (mut yes, mut no) = (false, false);
        for part in parts {
            *(if part { &mut yes } else { &mut no }) = true;
        }
        match (yes, no) {
            (true, false) => Answer::Supported,
            (true, true) => Answer::Depends,
            (false, _) => Answer::NotSupported,
        }
    }

    /// As a verdict begins.
    pub fn words(self) -> &'static str {
        match self {
            Answer::Supported => "Supported",
            Answer::NotSupported => "Not supported",
            Answer::Depends => "Depends",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_some_or_none_of_the_parts() {
        assert_eq!(Answer::of([true, true]), Answer::Supported);
        assert_eq!(Answer::of([true, false]), Answer::Depends);
        assert_eq!(Answer::of([false, true]), Answer::Depends);
        assert_eq!(Answer::of([false]), Answer::NotSupported);
        assert_eq!(Answer::of([]), Answer::NotSupported);
    }
}

//! What an attribution concludes.

use serde::Serialize;
use std::fmt;

/// What is off by less than this is nearly right.
const NEARLY: f64 = 1e-6;
/// Of more mistakes that look the same the others are counted.
const MOST_TOLD: usize = 3;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable slug, such as `variance-path-missing`.
    pub id: String,
    /// What is wrong, as a clause: "the path x -> sigma² -> x_hat is missing".
    pub sentence: String,
    /// The anchor of the section of the book to read again.
    pub section: Option<&'static str>,
}

impl Finding {
    /// A finding.
    pub fn new(id: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            sentence: sentence.into(),
            section: None,
        }
    }
}

/// A set of findings that together reproduce the candidate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// What is wrong; empty when nothing is.
    pub findings: Vec<Finding>,
    /// The weight of each path, 1 where it is right. Under these findings: with
    /// `gamma-forgotten`, the weights of the paths without gamma.
    pub coefficients: Vec<f64>,
    /// What is left unexplained, as a share of the candidate.
    pub residual: f64,
    /// How many mistakes it takes, a weight without a meaning counting several.
    #[serde(skip)]
    pub(crate) cost: usize,
}

impl Explanation {
    /// The slugs joined by `+`, or `correct`.
    pub fn id(&self) -> String {
        match self.findings.as_slice() {
            [] => "correct".to_string(),
            all => all
                .iter()
                .map(|f| f.id.as_str())
                .collect::<Vec<_>>()
                .join("+"),
        }
    }

    fn sentence(&self) -> String {
        match self.findings.as_slice() {
            [] => "it is right".to_string(),
            all => all
                .iter()
                .map(|f| f.sentence.as_str())
                .collect::<Vec<_>>()
                .join("; and "),
        }
    }
}

/// The conclusion about one candidate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What the candidate claims to be, such as `dx`.
    pub target: String,
    /// `correct`, the slug of the mistake (several joined by `+`), or one of
    /// `ambiguous`, `unknown`, `zero`, `shape`, `not-finite`.
    pub id: String,
    /// The verdict in one sentence.
    pub sentence: String,
    /// The names of the paths that `coefficients` belong to.
    pub paths: Vec<String>,
    /// Least-squares weights of the right paths in the candidate; empty when they could
    /// not be computed.
    pub coefficients: Vec<f64>,
    /// The share of the candidate that those weights leave unexplained.
    pub residual: f64,
    /// The simplest explanations; more than one only when they fit equally well.
    pub explanations: Vec<Explanation>,
}

impl Verdict {
    /// True when the candidate is right.
    pub fn is_correct(&self) -> bool {
        self.id == "correct"
    }

    /// A verdict without a regression: wrong shape, NaN, all zero.
    pub(crate) fn plain(target: &str, id: &str, sentence: String) -> Self {
        Self {
            target: target.to_string(),
            id: id.to_string(),
            sentence: format!("{target}: {sentence}"),
            paths: Vec::new(),
            coefficients: Vec::new(),
            residual: 1.0,
            explanations: Vec::new(),
        }
    }

    /// The verdict for the simplest explanations found.
    pub(crate) fn explained(mut self, mut explanations: Vec<Explanation>) -> Self {
        let mut seen = Vec::new();
        explanations.retain(|e| {
            let new = !seen.contains(&e.id());
            seen.push(e.id());
            new
        });
        let (id, sentence) = match explanations.as_slice() {
            [] => ("unknown".to_string(), self.unexplained()),
            [one] => (one.id(), one.sentence()),
            several => {
                let all: Vec<String> = several.iter().map(Explanation::sentence).collect();
                let count = several.len();
                let list = listed(&all, "; or ");
                (
                    "ambiguous".to_string(),
                    format!("{count} mistakes fit equally well: {list}"),
                )
            }
        };
        self.sentence = format!("{}: {sentence}", self.target);
        self.id = id;
        self.explanations = explanations;
        self
    }

    fn unexplained(&self) -> String {
        if self.coefficients.is_empty() {
            return "no known mistake explains it".to_string();
        }
        // Neither a mistake nor right: digits were lost on the way, or a value is slightly
        // off in a few places.
        let from_one = self.coefficients.iter().map(|c| (c - 1.0).abs());
        let off = from_one.fold(self.residual, f64::max);
        if off < NEARLY {
            let digits = -off.log10();
            return format!("it is right to {digits:.0} digits, but not to rounding");
        }
        let weigh = |(path, c): (&String, &f64)| format!("{path} {}", number(*c, 4));
        let left = match 100.0 * self.residual {
            little if little < 0.05 => "less than 0.1%".to_owned(),
            percent => format!("{percent:.1}%"),
        };
        let weights: Vec<String> = self
            .paths
            .iter()
            .zip(&self.coefficients)
            .map(weigh)
            .collect();
        format!(
            "no known mistake explains it; the best weights of the right paths \
             (each should be 1) are {}, and {left} remains unexplained",
            weights.join(", ")
        )
    }
}

/// As many sentences as a reader takes in, none of them twice, and how many more there are.
pub fn listed(sentences: &[String], joint: &str) -> String {
    let mut different: Vec<&str> = Vec::new();
    for sentence in sentences {
        if !different.contains(&sentence.as_str()) {
            different.push(sentence);
        }
    }
    let more = match different.len().saturating_sub(MOST_TOLD) {
        0 => String::new(),
        1 => format!("{joint}for one other reason"),
        n => format!("{joint}for {n} other reasons"),
    };
    different.truncate(MOST_TOLD);
    different.join(joint) + &more
}

/// A number with so many decimals, or with so many digits where it is too large or small for
/// these.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    match value.abs() {
        0.0 | 1e-2..1e6 => format!("{value:.decimals$}"),
        _ => format!("{value:.decimals$e}"),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.sentence)
    }
}

//! What a check found, as data and as text.

use crate::input::Place;
use crate::numeric::Doubt;
use crate::vacuous::Vacuous;
use serde::Serialize;
use std::fmt;

/// The result of a check.
///
/// [`fmt::Display`] renders it for a terminal, without colour; `serde` for a page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The name of the check.
    pub name: String,
    /// What was compared.
    pub mode: Mode,
    /// The seed that reproduces it.
    pub seed: u64,
    /// Reasons why the check could not have failed; any one refuses it.
    pub refused: Vec<Vacuous>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// The comparison, input by input; empty for inputs whose shape was wrong.
    pub inputs: Vec<InputReport>,
}

/// What was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Mode {
    /// The derivative by each element.
    EveryElement,
    /// Derivatives along random directions.
    Projections {
        /// Directions for each input.
        count: usize,
    },
}

/// Something wrong with what was checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The backward returned another number of gradients than there are inputs.
    Count {
        /// Inputs.
        inputs: usize,
        /// Gradients returned.
        gradients: usize,
    },
    /// No gradient was given for an input.
    Missing {
        /// The input.
        input: String,
    },
    /// A gradient has another shape than its input, or the output another than promised.
    Shape {
        /// The input, or `output`.
        name: String,
        /// The right shape.
        expected: Vec<usize>,
        /// The shape found.
        got: Vec<usize>,
    },
    /// A NaN or an infinity.
    NotFinite {
        /// Input, output, upstream gradient or gradient.
        what: String,
        /// The name of the input.
        name: String,
        /// The index of the first one.
        index: Vec<usize>,
        /// `NaN`, `inf` or `-inf`.
        value: String,
        /// How many there are.
        count: usize,
    },
    /// Two calls with the same arguments, one after the other, returned different bits.
    NotDeterministic {
        /// `f` or `backward`.
        what: String,
    },
    /// `f` returned other bits for the same arguments after it was called with others.
    Drifts {
        /// How often it was called.
        calls: usize,
    },
    /// Not every call returned as many elements as the first.
    LengthVaries {
        /// `f` or `backward`.
        what: String,
        /// Elements at first.
        expected: usize,
        /// Elements at another point.
        got: usize,
    },
    /// Elements that share a kink, and whose gradients do not fit together there.
    Tie {
        /// The elements: input and index tuple.
        elements: Vec<(String, Vec<usize>)>,
        /// The direction along which they do not: a weight for each.
        along: Vec<f64>,
        /// The least and the largest slope along it.
        slopes: (f64, f64),
        /// What the gradients say.
        analytic: f64,
    },
    /// Elements (or directions) disagree by more than the bound.
    Wrong {
        /// The input.
        input: String,
        /// How many.
        elements: usize,
    },
}

/// The comparison for one input.
///
/// The vectors have one entry per element, row-major, or one per direction.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InputReport {
    /// The name of the input.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The gradient under check.
    pub analytic: Vec<f64>,
    /// The numerical gradient; NaN at the edge of the domain.
    pub numeric: Vec<f64>,
    /// The estimated error of the numerical gradient.
    pub error: Vec<f64>,
    /// `|analytic - numeric|`; at a kink, the distance from the range of its slopes.
    pub disagreement: Vec<f64>,
    /// The largest disagreement that passes.
    pub bound: Vec<f64>,
    /// Elements (or directions) at a kink.
    pub kinks: Vec<usize>,
    /// Entries at which the kinks of so many outputs leave room for a mistake, and the gradient
    /// is none of those that they would choose.
    pub hidden: Vec<(usize, usize)>,
    /// Elements (or directions) beside which the function is not finite.
    pub edges: Vec<usize>,
    /// Elements (or directions) whose derivative could not be found, and why.
    pub unknown: Vec<(usize, Doubt)>,
    /// The entry with the largest margin.
    pub worst: Option<Worst>,
    /// With projections: one wrong element, found by halving a wrong direction.
    pub culprit: Option<Worst>,
    /// How many entries disagree by more than their bound.
    pub wrong: usize,
    /// The largest bound as a share of the largest gradient: errors above it are seen.
    pub resolution: f64,
}

/// One comparison in full.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worst {
    /// Where.
    pub place: Place,
    /// The gradient under check.
    pub analytic: f64,
    /// The numerical one.
    pub numeric: f64,
    /// The estimated error of the numerical one.
    pub error: f64,
    /// How far apart they are.
    pub disagreement: f64,
    /// How far apart they may be.
    pub bound: f64,
    /// `disagreement / bound`: up to 1 passes.
    pub margin: f64,
}

impl InputReport {
    pub(crate) fn new(name: &str, shape: &[usize]) -> Self {
        Self {
            name: name.to_string(),
            shape: shape.to_vec(),
            analytic: Vec::new(),
            numeric: Vec::new(),
            error: Vec::new(),
            disagreement: Vec::new(),
            bound: Vec::new(),
            kinks: Vec::new(),
            hidden: Vec::new(),
            edges: Vec::new(),
            unknown: Vec::new(),
            worst: None,
            culprit: None,
            wrong: 0,
            resolution: 0.0,
        }
    }

    /// `disagreement / bound` of entry `k`; up to 1 passes.
    pub fn margin(&self, k: usize) -> f64 {
        if self.disagreement[k] == 0.0 {
            0.0
        } else {
            self.disagreement[k] / self.bound[k]
        }
    }
}

impl Report {
    /// An empty report of a check.
    pub(crate) fn new(name: String, mode: Mode, seed: u64) -> Self {
        Self {
            name,
            mode,
            seed,
            refused: Vec::new(),
            faults: Vec::new(),
            inputs: Vec::new(),
        }
    }

    /// True when nothing is wrong and the check could have failed.
    pub fn passed(&self) -> bool {
        self.refused.is_empty() && self.faults.is_empty()
    }

    /// The entry with the largest margin over all inputs, and the name of its input.
    pub fn worst(&self) -> Option<(&str, &Worst)> {
        self.inputs
            .iter()
            .filter_map(|i| Some((i.name.as_str(), i.worst.as_ref()?)))
            .max_by(|a, b| a.1.margin.total_cmp(&b.1.margin))
    }

    /// The comparison for the input of this name.
    pub fn input(&self, name: &str) -> Option<&InputReport> {
        self.inputs.iter().find(|i| i.name == name)
    }

    /// Panics with the whole report unless the check passed.
    ///
    /// # Panics
    /// When anything is wrong, or when the check is refused as vacuous.
    #[track_caller]
    pub fn assert_passes(&self) {
        assert!(self.passed(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.faults.is_empty(), self.refused.is_empty()) {
            (false, _) => "FAILS",
            (true, false) => "REFUSED",
            (true, true) => "passes",
        };
        writeln!(
            out,
            "Gradient check `{}` {verdict} (seed {})",
            self.name, self.seed
        )?;
        for fault in &self.faults {
            writeln!(out, "  Wrong: {fault}")?;
        }
        for why in &self.refused {
            writeln!(out, "  Proves nothing: {why}")?;
        }
        for input in &self.inputs {
            write!(out, "{input}")?;
        }
        Ok(())
    }
}

impl fmt::Display for InputReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(worst) = &self.worst else {
            return Ok(());
        };
        writeln!(
            out,
            "  {} {:?}: {} compared, {} wrong, sees relative errors above {:.0e}",
            self.name,
            self.shape,
            self.numeric.len(),
            self.wrong,
            self.resolution
        )?;
        writeln!(out, "    worst {worst}")?;
        if let Some(culprit) = &self.culprit {
            writeln!(out, "    for one {culprit}")?;
        }
        if !self.kinks.is_empty() {
            let n = self.kinks.len();
            writeln!(
                out,
                "    {n} at a kink, held to the range of slopes: {:?}",
                self.kinks
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Worst {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}: analytic {:.9e}, numeric {:.9e} ± {:.0e}, apart {:.1e}, \
             bound {:.1e}, margin {}",
            self.place,
            self.analytic,
            self.numeric,
            self.error,
            self.disagreement,
            self.bound,
            self.margin_text()
        )
    }
}

impl Worst {
    /// The margin in two decimals, of which a number far above 1 has no use.
    #[must_use]
    pub fn margin_text(&self) -> String {
        let margin = self.margin;
        if margin < 1e3 {
            format!("{margin:.2}")
        } else {
            format!("{margin:.0e}")
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { inputs, gradients } => {
                write!(
                    out,
                    "{inputs} inputs need {inputs} gradients, got {gradients}."
                )
            }
            Self::Missing { input } => write!(out, "There is no gradient for `{input}`."),
            Self::Shape {
                name,
                expected,
                got,
            } => write!(
                out,
                "`{name}` has shape {got:?}, it must be {expected:?}; nothing is broadcast."
            ),
            Self::NotFinite {
                what,
                name,
                index,
                value,
                count,
            } => {
                write!(out, "The {what} `{name}`{index:?} is {value}")?;
                if *count > 1 {
                    write!(out, ", and {} more are not finite", count - 1)?;
                }
                write!(out, ".")
            }
            Self::NotDeterministic { what } => write!(
                out,
                "`{what}` returned different values for the same arguments; \
                 fix the seed of anything random in it."
            ),
            Self::Drifts { calls } => write!(
                out,
                "`f` returned another value for the same arguments after {calls} calls; \
                 it keeps something from one call to the next, or is random now and then."
            ),
            Self::LengthVaries {
                what,
                expected,
                got,
            } => write!(
                out,
                "`{what}` returned {got} elements at one point and {expected} at another; \
                 how many it returns must not depend on the values of the inputs."
            ),
            Self::Wrong { input, elements } => write!(
                out,
                "The gradient of `{input}` disagrees with the numerical one \
                 in {elements} place(s)."
            ),
            Self::Tie {
                elements,
                along,
                slopes: (least, most),
                analytic,
            } => {
                write!(out, "At the kink that they share, the gradients of")?;
                for (k, (name, index)) in elements.iter().enumerate() {
                    let comma = if k == 0 { "" } else { "," };
                    write!(out, "{comma} `{name}`{index:?}")?;
                }
                write!(
                    out,
                    " do not fit together: along {along:.2?} they say {analytic:.6}, \
                     the function has slopes from {least:.6} to {most:.6}."
                )
            }
        }
    }
}

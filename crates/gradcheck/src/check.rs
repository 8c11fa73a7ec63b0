//! The check: an analytic gradient against a numerical one that knows its own error.

use crate::groups::Groups;
use crate::input::Input;
use crate::report::Mode;
use crate::secant::EPS;
use crate::vacuous::{SILENT, Vacuous, of_gamma, of_normalization};

/// A gradient check in preparation.
///
/// ```
/// use gradcheck::Check;
/// let report = Check::new("square")
///     .input("x", &[3], vec![1.0, 2.0, -3.0])
///     .run(
///         |xs| xs[0].iter().map(|x| x * x).collect(),
///         |xs, dy| vec![xs[0].iter().zip(dy).map(|(x, dy)| 2.0 * x * dy).collect()],
///     );
/// report.assert_passes();
/// ```
// ANCHOR: check
#[derive(Clone, Debug)]
pub struct Check {
    pub(crate) name: String,
    pub(crate) inputs: Vec<Input>,
    pub(crate) output_shape: Option<Vec<usize>>,
    pub(crate) dy: Option<Vec<f64>>,
    pub(crate) mode: Mode,
    pub(crate) seed: u64,
    pub(crate) may_be_zero: Vec<String>,
    /// The machine epsilon of the arithmetic on the analytic side.
    pub(crate) eps: f64,
    normalized: Option<(String, Groups)>,
    gamma: Option<String>,
}
// ANCHOR_END: check

impl Check {
    /// A check of every element, with a random upstream gradient from seed 0.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            inputs: Vec::new(),
            output_shape: None,
            dy: None,
            mode: Mode::EveryElement,
            seed: 0,
            may_be_zero: Vec::new(),
            eps: EPS,
            normalized: None,
            gamma: None,
        }
    }

    /// Adds an input; `f` receives them in this order.
    ///
    /// # Panics
    /// When `data` does not hold as many elements as `shape` asks for, or another input has
    /// this name.
    #[track_caller]
    pub fn input(
        mut self,
        name: impl Into<String>,
        shape: &[usize],
        data: impl Into<Vec<f64>>,
    ) -> Self {
        self.add(Input::new(name, shape, data));
        self
    }

    /// Adds several inputs.
    ///
    /// # Panics
    /// When two inputs have one name.
    #[track_caller]
    pub fn inputs(mut self, inputs: &[Input]) -> Self {
        for input in inputs {
            self.add(input.clone());
        }
        self
    }

    #[track_caller]
    fn add(&mut self, input: Input) {
        if let Some(other) = self.inputs.iter().find(|other| other.name == input.name) {
            panic!(
                "gradcheck: two inputs are named `{}`, one of shape {:?} and one of shape {:?}; \
                 give each a name of its own",
                input.name, other.shape, input.shape
            );
        }
        self.inputs.push(input);
    }

    /// The shape of the output, so that a NaN in it is reported by its index tuple.
    pub fn output_shape(mut self, shape: &[usize]) -> Self {
        self.output_shape = Some(shape.to_vec());
        self
    }

    /// The upstream gradient, in place of a random one.
    ///
    /// A chosen upstream is a chance to choose a blind one; prefer the random default.
    pub fn upstream(mut self, dy: impl Into<Vec<f64>>) -> Self {
        self.dy = Some(dy.into());
        self
    }

    /// The seed of the upstream gradient, of the directions and of the noise measurement.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Compares directional derivatives along `count` random directions of each input,
    /// in place of every element: `2 · rungs · count` evaluations for an input of any
    /// size. A direction that disagrees is halved until the wrong element is found.
    ///
    /// # Panics
    /// When `count` is 0.
    #[track_caller]
    pub fn projections(mut self, count: usize) -> Self {
        assert!(
            count > 0,
            "gradcheck: 0 projections check nothing; ask for at least 1"
        );
        self.mode = Mode::Projections { count };
        self
    }

    /// Accepts that the true gradient of this input is zero, and checks that it is. What is
    /// not known is no zero: a jump, or a slope that is lost in rounding, is refused all the
    /// same.
    ///
    /// # Panics
    /// When no input has this name yet.
    #[track_caller]
    pub fn may_be_zero(mut self, input: &str) -> Self {
        self.find(input);
        self.may_be_zero.push(input.to_string());
        self
    }

    /// Says that `f` normalizes this input over these groups, and returns an output of
    /// the same shape. The check then refuses a probe that could not show a mistake:
    /// groups of two values or fewer, or over which the input or the upstream gradient is
    /// constant.
    ///
    /// # Panics
    /// When no input has this name yet, or it has another number of elements.
    #[track_caller]
    pub fn normalizes(mut self, input: &str, groups: Groups) -> Self {
        let elements = self.find(input).data.len();
        assert!(
            elements == groups.of.len(),
            "gradcheck: `{input}` has {elements} elements, but the groups are over {}; \
             make them with Groups::over and the shape of `{input}`",
            groups.of.len()
        );
        self.normalized = Some((input.to_string(), groups));
        self
    }

    /// Says that this input is the gamma of a normalization. The check then refuses a
    /// probe in which all its elements are equal.
    ///
    /// # Panics
    /// When no input has this name yet.
    #[track_caller]
    pub fn scales_by(mut self, gamma: &str) -> Self {
        self.find(gamma);
        self.gamma = Some(gamma.to_string());
        self
    }

    #[track_caller]
    fn find(&self, name: &str) -> &Input {
        self.inputs
            .iter()
            .find(|i| i.name == name)
            .unwrap_or_else(|| {
                panic!("gradcheck: no input is named `{name}`; add it with Check::input first")
            })
    }

    pub(crate) fn vacuous_normalization(&self, dy: &[f64]) -> Vec<Vacuous> {
        let mut refused = match &self.normalized {
            Some((x, groups)) if dy.len() == groups.of.len() => {
                of_normalization(SILENT, groups, &self.find(x).data, dy)
            }
            _ => Vec::new(),
        };
        refused.extend(
            self.gamma
                .as_ref()
                .and_then(|g| of_gamma(&self.find(g).data)),
        );
        refused
    }
}

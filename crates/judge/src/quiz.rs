//! Predictions held to what happened when it was run.
//!
//! A quiz is one [`quiz!`](crate::quiz!): the answers that a prediction may have, and the
//! questions, each with the section on it, what was done, and why it comes out as it does. Its
//! module then has a function `found`, which does what was predicted with what a seed draws, and
//! returns what happened as predictions that are right.

use verdict::{Line, Outcome, Report};

/// A question of a quiz.
pub struct Question {
    /// The name of the field in the reader's file.
    pub name: &'static str,
    /// What was done, in words.
    pub what: &'static str,
    /// Why it comes out as it does.
    pub why: &'static str,
    /// The label of the section on it.
    pub section: &'static str,
}

/// Questions, and what their answers may be. An answer is its place in the list.
pub struct Quiz {
    /// The questions, in the order of the reader's file.
    pub questions: &'static [Question],
    /// The names of all answers; the first is that of who has not predicted yet.
    pub answers: &'static [&'static str],
    /// What happens, with what this seed draws.
    pub found: fn(u64) -> Vec<usize>,
}

/// The answer of who has not predicted yet.
pub const UNDECIDED: usize = 0;

impl Quiz {
    /// The report on predictions, of which `found` came true. As long as one is open, nothing is
    /// told.
    pub fn report(&self, exercise: &str, predicted: &[usize], found: &[usize]) -> Report {
        let asked = self.questions.iter().zip(predicted.iter().zip(found));
        let open = predicted.iter().filter(|p| **p == UNDECIDED).count();
        if open > 0 {
            let headline = format!("{open} of {} predictions are still open", predicted.len());
            return Report::new(exercise, Outcome::Unwritten, headline);
        }
        let mut wrong = asked.clone().filter(|(_, (p, f))| p != f);
        let mut report = match wrong.next() {
            None => {
                let headline = format!("all {} predictions came true", predicted.len());
                Report::new(exercise, Outcome::Passed, headline)
            }
            Some((first, (predicted, found))) => {
                let others = match wrong.count() {
                    0 => String::new(),
                    1 => "; one more was wrong".to_owned(),
                    more => format!("; {more} more were wrong"),
                };
                let [predicted, found] = [predicted, found].map(|at| self.answers[*at]);
                let headline = format!(
                    "{}: you said {predicted}, and it is {found}: {}{others}",
                    first.what, first.why
                );
                let mut report = Report::new(exercise, Outcome::Wrong, headline);
                report.mistake = Some(first.name.to_owned());
                report.section = Some(first.section.to_owned());
                report
            }
        };
        let line = |(question, (predicted, found)): (&Question, (&usize, &usize))| Line {
            name: question.what.to_owned(),
            right: predicted == found,
            detail: if predicted == found {
                format!("{}, as predicted", self.answers[*found])
            } else {
                format!("predicted {}, happened otherwise", self.answers[*predicted])
            },
        };
        report.lines = asked.map(line).collect();
        report
    }
}

/// Makes a quiz of answers and questions, in the module that has its name. If each answer says
/// when it holds, as `Same if is_times(1.0)`, from the values before and after, the first that
/// does is what `observed` makes of them.
///
/// ```ignore
/// quiz! {
///     /// What becomes of a value.
///     enum Change {
///         /// It stays, to a thousandth.
///         Same if is_times(1.0),
///         /// Something else.
///         Different if otherwise,
///     }
///
///     larger_rows in "sec:rows":
///         "rows times 10, the output",
///         "the norm divides by what it is multiplied by";
/// }
/// ```
#[macro_export]
macro_rules! quiz {
    (
        $(#[$about:meta])*
        enum $answers:ident {
            $($(#[$said:meta])* $answer:ident if $holds:expr,)+
        }
        $($questions:tt)+
    ) => {
        $crate::quiz! {
            $(#[$about])*
            enum $answers { $($(#[$said])* $answer,)+ }
            $($questions)+
        }

        /// What happened, from the values before and after.
        fn observed(before: &[f64], after: &[f64]) -> $answers {
            $(if $holds(before, after) {
                return $answers::$answer;
            })+
            $answers::Undecided
        }
    };
    (
        $(#[$about:meta])*
        enum $answers:ident { $($(#[$said:meta])* $answer:ident,)+ }
        $($question:ident in $section:literal: $what:literal, $why:literal;)+
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $answers {
            /// Not predicted yet.
            Undecided,
            $($(#[$said])* $answer,)+
        }

        /// The predictions.
        #[derive(Clone, Copy, Debug)]
        pub struct Predictions {
            $(
                #[doc = $what]
                pub $question: $answers,
            )+
        }

        impl Predictions {
            fn answers(&self) -> Vec<usize> {
                vec![$(self.$question as usize),+]
            }
        }

        static QUIZ: $crate::quiz::Quiz = $crate::quiz::Quiz {
            questions: &[$($crate::quiz::Question {
                name: stringify!($question),
                what: $what,
                why: $why,
                section: $section,
            }),+],
            answers: &["Undecided", $(stringify!($answer)),+],
            found: |seed| found(seed).answers(),
        };

        /// Runs what was predicted and prints the report.
        pub fn check(predictions: impl Fn() -> Predictions) -> std::process::ExitCode {
            let name = $crate::name_of(module_path!());
            $crate::harness::run(name, || {
                QUIZ.report(name, &predictions().answers(), &(QUIZ.found)(0))
            })
        }

        /// What is known of this exercise without running it.
        pub(crate) fn checker() -> $crate::Checker {
            $crate::Checker::Quiz(&QUIZ)
        }
    };
}

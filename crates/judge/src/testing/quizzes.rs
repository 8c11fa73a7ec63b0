//! What all quizzes are held to. Each of these panics on a quiz of the list that breaks it.

use super::SEEDS;
use crate::quiz::{Quiz, UNDECIDED};
use crate::{Checker, Entry, Outcome, Report};

/// The quizzes, of which there must be some, each with the answers that are right; the solution
/// says so too, whose program is tested with the first seed.
fn quizzes(all: &[Entry]) -> Vec<(&'static Quiz, Vec<usize>)> {
    let quizzes = all.iter().filter_map(|(_, checker)| match checker() {
        Checker::Quiz(quiz) => Some((quiz, (quiz.found)(0))),
        _ => None,
    });
    let quizzes: Vec<(&Quiz, Vec<usize>)> = quizzes.collect();
    assert!(!quizzes.is_empty(), "the list has no quiz");
    for (quiz, right) in &quizzes {
        assert!(!right.is_empty(), "a quiz asks nothing");
        assert_eq!(
            right.len(),
            quiz.questions.len(),
            "a question has no answer"
        );
        // Beside the one of who is undecided, and the right one.
        assert!(quiz.answers.len() > 2, "there is nothing wrong to say");
    }
    quizzes
}

/// The report on right answers, but for those at these places, which are the next ones.
fn with_wrong(quiz: &Quiz, right: &[usize], places: &[usize]) -> Report {
    let mut said = right.to_vec();
    for &at in places {
        said[at] = said[at] % (quiz.answers.len() - 1) + 1;
    }
    quiz.report("exercise", &said, right)
}

/// What comes true does so with every seed, and passes.
pub fn what_comes_true_does_so_whatever_is_drawn(all: &[Entry]) {
    for (quiz, right) in quizzes(all) {
        assert!(!right.contains(&UNDECIDED));
        // The right answers are those of the first.
        assert!(SEEDS.skip(1).all(|seed| (quiz.found)(seed) == right));
        let report = quiz.report("exercise", &right, &right);
        assert!(report.passed() && report.lines.iter().all(|line| line.right));
        assert_eq!(report.lines.len(), quiz.questions.len());
    }
}

/// Every other prediction is rejected by its name, and explained somewhere.
pub fn what_is_wrong_is_named(all: &[Entry]) {
    for (quiz, right) in quizzes(all) {
        for (at, question) in quiz.questions.iter().enumerate() {
            for answer in (1..quiz.answers.len()).filter(|answer| *answer != right[at]) {
                let mut said = right.clone();
                said[at] = answer;
                let report = quiz.report("exercise", &said, &right);
                assert_eq!(report.outcome, Outcome::Wrong);
                assert_eq!(report.mistake.as_deref(), Some(question.name), "{report}");
                assert_eq!(report.section.as_deref(), Some(question.section));
                assert_eq!(report.lines.iter().filter(|line| !line.right).count(), 1);
            }
        }
    }
}

/// While a prediction is open, the others are not judged: there is nothing to copy from.
pub fn what_is_open_is_asked_for_and_nothing_is_told(all: &[Entry]) {
    for (quiz, right) in quizzes(all) {
        for at in 0..right.len() {
            let mut said = right.clone();
            said[at] = UNDECIDED;
            let report = quiz.report("exercise", &said, &right);
            assert_eq!(report.outcome, Outcome::Unwritten);
            let begins = format!("1 of {}", right.len());
            assert!(report.lines.is_empty() && report.headline.starts_with(&begins));
        }
    }
}

/// In a report on wrong predictions, what happened stands for the first wrong one only.
pub fn the_other_wrong_predictions_stay_predictions(all: &[Entry]) {
    for (quiz, right) in quizzes(all) {
        for (places, others) in [
            (&[1, 3][..], "; one more was wrong"),
            (&[2, 4, 7], "; 2 more were wrong"),
        ] {
            let report = with_wrong(quiz, &right, places);
            let found = format!("it is {}: ", quiz.answers[right[places[0]]]);
            assert!(report.headline.contains(&found), "{report}");
            assert!(report.headline.ends_with(others), "{report}");
            let wrong = report.lines.iter().enumerate().filter(|(_, l)| !l.right);
            assert!(wrong.clone().map(|(at, _)| at).eq(places.iter().copied()));
            assert!(
                wrong
                    .into_iter()
                    .all(|(_, l)| l.detail.ends_with("otherwise"))
            );
        }
    }
}

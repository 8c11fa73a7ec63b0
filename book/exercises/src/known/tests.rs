//! What the catalogue of mistakes is held to, and what all exercises and quizzes are.

use super::*;
use judge::testing::{exercises, quizzes};

#[test]
fn every_entry_has_a_section_and_no_two_are_alike() {
    let all = all();
    let mut seen = BTreeSet::new();
    for known in &all {
        assert!(labels().contains(known.section), "{known:?}");
        assert!(
            seen.insert((known.exercise, &known.id, &known.sentence)),
            "{known:?}"
        );
    }
}

#[test]
fn right_values_pass() {
    exercises::right_values_pass(ALL);
}

#[test]
fn each_known_mistake_gets_its_name() {
    exercises::each_known_mistake_gets_its_name(ALL);
}

#[test]
fn nothing_wrong_passes_or_is_told_without_place_and_values() {
    exercises::nothing_wrong_passes_or_is_told_without_place_and_values(ALL);
}

#[test]
fn a_wrong_length_is_told_with_the_shape() {
    exercises::a_wrong_length_is_told_with_the_shape(ALL);
}

#[test]
fn a_panic_names_its_case_and_no_file_that_is_not_the_readers() {
    exercises::a_panic_names_its_case_and_no_file_that_is_not_the_readers(ALL);
}

#[test]
fn what_is_written_before_a_todo_counts() {
    exercises::what_is_written_before_a_todo_counts(ALL);
}

#[test]
fn a_part_of_many_targets_that_is_right_is_told_in_one_row() {
    exercises::a_part_of_many_targets_that_is_right_is_told_in_one_row(ALL);
}

#[test]
fn what_comes_true_does_so_whatever_is_drawn() {
    quizzes::what_comes_true_does_so_whatever_is_drawn(ALL);
}

#[test]
fn what_is_wrong_is_named() {
    quizzes::what_is_wrong_is_named(ALL);
}

#[test]
fn what_is_open_is_asked_for_and_nothing_is_told() {
    quizzes::what_is_open_is_asked_for_and_nothing_is_told(ALL);
}

#[test]
fn the_other_wrong_predictions_stay_predictions() {
    quizzes::the_other_wrong_predictions_stay_predictions(ALL);
}

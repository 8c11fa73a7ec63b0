//! What all exercises are held to, whatever they ask: that each known mistake gets its name, and
//! that nothing wrong passes or is told without section, case, place and both values. Each of
//! these panics on an exercise of the list that breaks it.

use super::SEEDS;
use crate::known::{Known, fits};
use crate::{Checked, Checker, Entry, Judged, Outcome, Report, Spoil, conclude};

/// The parts of all exercises that this engine judges, of which there must be some, each with
/// something to judge.
fn parts(all: &[Entry]) -> Vec<(&'static str, Box<dyn Checked>)> {
    let parts = all.iter().flat_map(|(name, checker)| match checker() {
        Checker::Parts(parts) | Checker::And(parts, _) => {
            assert!(!parts.is_empty(), "{name} has no parts");
            parts.into_iter().map(|part| (*name, part)).collect()
        }
        Checker::Listed(_) | Checker::Quiz(_) => Vec::new(),
    });
    let parts: Vec<_> = parts.collect();
    assert!(!parts.is_empty(), "the list has no exercise of parts");
    for (name, part) in &parts {
        assert!(
            !part.targets().is_empty(),
            "{name} has a part without a target"
        );
    }
    parts
}

fn report(judged: Judged) -> Report {
    conclude("exercise", "all right", vec![judged])
}

fn all_of(report: &Report) -> String {
    format!("{}\n{}", report.headline, report.notes.join("\n"))
}

/// Right values pass, whatever is drawn.
pub fn right_values_pass(all: &[Entry]) {
    for (name, part) in parts(all) {
        for seed in SEEDS {
            let first = part.targets()[0];
            let report = report(part.spoiled(seed, first, &|values, _| values).0);
            assert!(report.passed(), "{name}, seed {seed}: {report}");
            assert!(report.lines.len() >= part.targets().len());
        }
    }
}

/// What each known mistake makes gets its name and its sentence, beside both values.
pub fn each_known_mistake_gets_its_name(all: &[Entry]) {
    let mut made = 0;
    for (name, part) in parts(all) {
        for seed in SEEDS {
            let mistaken = part.mistaken(seed);
            let known = !part.known(name).is_empty();
            assert_eq!(
                !mistaken.is_empty(),
                known,
                "{name}: a known mistake is not made"
            );
            made += mistaken.len();
            for (wanted, judged) in mistaken {
                let report = report(judged);
                let (id, headline) = wanted.split_once('\n').expect("a name and a headline");
                assert_eq!(
                    report.outcome,
                    Outcome::Wrong,
                    "{name}, {wanted}, seed {seed}"
                );
                assert_eq!(
                    (report.mistake.as_deref(), report.headline.as_str()),
                    (Some(id), headline),
                    "{name}, seed {seed}"
                );
                assert!(report.section.is_some());
                assert!(all_of(&report).contains(", and must "), "{report}");
            }
        }
    }
    assert!(made > 0, "no mistake is known");
}

/// What is done to the values of a target, and the name that it must get; none if that
/// depends on the values.
type Corruption = (
    &'static str,
    Option<&'static str>,
    fn(Vec<f64>, &[usize]) -> Vec<f64>,
);

const CORRUPTIONS: [Corruption; 10] = [
    ("zeros", None, |v, _| vec![0.0; v.len()]),
    ("all turned", None, |v, _| v.iter().map(|v| -v).collect()),
    ("scaled", None, |v, _| v.iter().map(|v| 3.3 * v).collect()),
    ("one element off", None, |mut v, _| {
        let at = v.len() / 2;
        v.iter_mut().skip(at).take(1).for_each(|v| *v += 0.7);
        v
    }),
    ("one element NaN", Some("not-finite"), |mut v, _| {
        v.iter_mut().rev().take(1).for_each(|v| *v = f64::NAN);
        v
    }),
    ("all NaN", Some("not-finite"), |v, _| {
        vec![f64::NAN; v.len()]
    }),
    ("one element infinite", Some("not-finite"), |mut v, _| {
        v.iter_mut().take(1).for_each(|v| *v = f64::INFINITY);
        v
    }),
    ("squared", None, |v, _| {
        v.iter().map(|v| v * v + 0.1).collect()
    }),
    ("a little off", None, |v, _| {
        v.iter().map(|v| v + 1e-6 * (1.0 + v * v)).collect()
    }),
    ("transposed", None, |v, extents| match extents {
        [rows, columns] => (0..v.len())
            .map(|at| v[at % rows * columns + at / rows])
            .collect(),
        _ => v.iter().map(|v| 1.5 - v).collect(),
    }),
];

/// Nonsense of many kinds fails, and is told with section, case, place and both values.
pub fn nothing_wrong_passes_or_is_told_without_place_and_values(all: &[Entry]) {
    for (name, part) in parts(all) {
        for target in part.targets() {
            for seed in SEEDS {
                for (what, id, corrupt) in CORRUPTIONS {
                    let (judged, wanted) = part.spoiled(seed, target, &corrupt);
                    let report = report(judged);
                    // Zeros are zeros with any sign, in any order and at any scale.
                    if report.passed() {
                        assert_eq!(wanted.len(), 1, "{name}, {target} {what}: {report}");
                        continue;
                    }
                    let which = format!("{name}, {target} {what}, seed {seed}: {report}");
                    assert_eq!(report.outcome, Outcome::Wrong, "{which}");
                    assert!(report.section.is_some(), "{which}");
                    assert!(report.mistake.is_some(), "{which}");
                    assert!(id.is_none() || report.mistake.as_deref() == id, "{which}");
                    assert!(!report.headline.ends_with("is wrong"), "{which}");
                    for wanted in wanted {
                        assert!(all_of(&report).contains(&wanted), "{wanted}\n{which}");
                    }
                    // A note is a sentence, or begins with the name of an array.
                    for note in &report.notes {
                        let text = note
                            .strip_prefix(&format!("{target}: "))
                            .map_or(&**note, |_| "");
                        assert!(!text.starts_with(char::is_lowercase), "{note}\n{which}");
                    }
                }
            }
        }
    }
}

/// A number has no length; of an array, one value more and all but one.
pub fn a_wrong_length_is_told_with_the_shape(all: &[Entry]) {
    for (name, part) in parts(all) {
        for target in part.targets() {
            let lengths: [&Spoil; 3] = [
                &|mut v, extents| {
                    if !extents.is_empty() {
                        v.push(0.25);
                    }
                    v
                },
                &|mut v, extents| {
                    if !extents.is_empty() {
                        v.pop();
                    }
                    v
                },
                &|v, extents| if extents.is_empty() { v } else { Vec::new() },
            ];
            for change in lengths {
                let (judged, wanted) = part.spoiled(1, target, change);
                let report = report(judged);
                if report.passed() {
                    assert_eq!(wanted.len(), 1, "{name}, {target}: {report}");
                    continue;
                }
                // A list that is too short may be a mistake that has a name.
                let id = report
                    .mistake
                    .as_deref()
                    .expect("a wrong length has a name");
                let known = part.known(name).iter().any(|known| known.id == id);
                assert!(id == "shape" || known, "{name}: {report}");
                assert!(report.section.is_some());
                for wanted in wanted {
                    assert!(
                        all_of(&report).contains(&wanted),
                        "{wanted}\n{name}: {report}"
                    );
                }
            }
        }
    }
}

/// A panic is told with its case, and with no file that is not the reader's.
pub fn a_panic_names_its_case_and_no_file_that_is_not_the_readers(all: &[Entry]) {
    for (name, part) in parts(all) {
        let (judged, case) = part.thrown(0, 0, &|| {
            let huge = [u64::MAX, 2];
            std::hint::black_box(huge.iter().product::<u64>());
        });
        let report = report(judged);
        assert_eq!(report.outcome, Outcome::Panicked, "{name}: {report}");
        assert!(report.headline.contains(&case), "{name}: {report}");
        assert!(report.headline.contains("overflow"), "{name}: {report}");
        assert!(!report.headline.contains(".rs"), "{name}: {report}");
        assert!(report.section.is_some(), "{name}: {report}");
        assert!(
            report.lines.iter().all(|line| !line.right),
            "{name}: {report}"
        );
    }
}

/// What stands above a `todo!()` is credited.
#[expect(clippy::todo, reason = "an exercise as it is shipped")]
pub fn what_is_written_before_a_todo_counts(all: &[Entry]) {
    for (name, part) in parts(all) {
        let targets = part.targets();
        for written in 0..targets.len() {
            let (judged, _) = part.thrown(0, written, &|| todo!());
            let report = report(judged);
            assert_eq!(report.outcome, Outcome::Unwritten, "{name}: {report}");
            // Of one that returns all at once, nothing above the `todo!()` can be judged.
            let note = "(what stands above it is judged once the function returns)";
            assert_eq!(report.headline.contains(note), written == 0, "{report}");
            let right: Vec<&str> = report
                .lines
                .iter()
                .filter(|l| l.right)
                .map(|l| l.name.as_str())
                .collect();
            assert_eq!(right, targets[..written], "{name}: {report}");
        }
    }
}

/// Of an exercise of several parts, one that is right takes no more than a few rows.
pub fn a_part_of_many_targets_that_is_right_is_told_in_one_row(all: &[Entry]) {
    let mut parts = parts(all).into_iter();
    let (_, part) = parts
        .find(|(_, part)| part.targets().len() > 3)
        .expect("an exercise of many targets");
    let first = part.targets()[0];
    let right = || part.spoiled(0, first, &|values, _| values).0;
    let rows = |judged: Vec<Judged>| {
        let report = conclude("exercise", "all right", judged);
        let names = report.lines.into_iter().map(|line| line.name);
        names
            .filter(|name| !name.contains("finite"))
            .collect::<Vec<_>>()
    };
    assert_eq!(rows(vec![right()]).len(), part.targets().len());
    let all = format!("{}: all", part.name());
    assert_eq!(rows(vec![right(), right()]), [all.clone(), all.clone()]);
    let wrong = part
        .spoiled(0, first, &|values, _| vec![0.3; values.len()])
        .0;
    let mixed = rows(vec![right(), wrong]);
    assert_eq!((mixed.len(), &mixed[0]), (1 + part.targets().len(), &all));
}

/// The list of all mistakes has the one that `report` names, with this sentence and this section.
#[track_caller]
pub fn lists(all: &[Known], report: &Report) {
    assert!(
        all.iter().any(|known| {
            known.exercise == report.exercise
                && Some(known.id.as_str()) == report.mistake.as_deref()
                && Some(known.section) == report.section.as_deref()
                && fits(&known.sentence, &report.headline)
        }),
        "the catalogue does not have this: {report:?}"
    );
}

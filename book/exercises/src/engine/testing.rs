//! What the tests of all exercises ask: that each known mistake gets its name, and that
//! nothing wrong passes or is told without section, case, place and both values.

use super::Checker;
use super::judge::{Judged, conclude, numeric_line, told};
use super::part::{Case, Part, Spoil};
use crate::checkers::ALL;
use verdict::{Outcome, Report};

const SEEDS: std::ops::Range<u64> = 0..6;

/// What is right passes, whatever is drawn, and so many lines say so.
#[track_caller]
pub(crate) fn passes(lines: usize, report: impl Fn(u64) -> Report) {
    for seed in SEEDS {
        let report = report(seed);
        assert!(report.passed(), "seed {seed}: {report}");
        assert_eq!(report.lines.len(), lines, "{report}");
    }
}

/// Each of `typed` leads to the target and the mistake, `target: its-name`, that stand before
/// it, whatever is drawn.
#[track_caller]
pub(crate) fn named<T: Copy>(typed: &[(&str, T)], report: impl Fn(T, u64) -> Report) {
    for (wanted, typed) in typed {
        let (target, id) = wanted.split_once(": ").expect("target: its-name");
        for seed in SEEDS {
            let report = report(*typed, seed);
            let found = report.mistake.as_deref();
            assert_eq!(found, Some(id), "{wanted}, seed {seed}: {report}");
            assert_eq!(report.outcome, Outcome::Wrong, "{wanted}: {report}");
            let of_target = report.headline.contains(&format!("{target}: "));
            assert!(of_target, "{wanted}, seed {seed}: {report}");
            assert!(report.section.is_some(), "{wanted}: {report}");
        }
    }
}

impl<C: Case, A: 'static> Part<C, A> {
    /// Writes the right values.
    fn answer(&self, case: &C, answer: &mut A) {
        for target in &self.targets {
            (target.set)(answer, (target.right)(case));
        }
    }

    pub(super) fn make_mistakes(&self, seed: u64) -> Vec<(String, Judged)> {
        let make = |target: &str, id: &str, sentence: &str, wrong: &dyn Fn(&C) -> Vec<f64>| {
            let run = |case: &C, answer: &mut A| {
                self.answer(case, answer);
                (self.by_name(target).set)(answer, wrong(case));
            };
            let headline = self.headline(target, sentence);
            (format!("{id}\n{headline}"), self.judge(&run, seed))
        };
        let mistakes = self.mistakes.iter();
        let mut made: Vec<_> = mistakes
            .map(|m| make(m.target, &m.id, &m.sentence, &*m.wrong))
            .collect();
        for edge in &self.edges {
            for target in edge.targets {
                made.push(make(target, edge.id, edge.sentence, &|case| {
                    let off = if (edge.which)(case) { 0.7 } else { 0.0 };
                    let right = (self.by_name(target).right)(case);
                    right.iter().map(|right| right + off).collect()
                }));
            }
        }
        made
    }

    pub(super) fn spoil(&self, seed: u64, target: &str, spoil: &Spoil) -> (Judged, Vec<String>) {
        let target = self.by_name(target);
        let spoiled = |case: &C| spoil((target.right)(case), &target.extents(case));
        let run = |case: &C, answer: &mut A| {
            self.answer(case, answer);
            (target.set)(answer, spoiled(case));
        };
        // What must be said: of the first case that differs.
        let mut wanted = vec![target.name.to_owned()];
        for case in (self.cases)(seed) {
            let (right, found) = ((target.right)(&case), spoiled(&case));
            if right.len() != found.len() {
                wanted.push(
                    format!("{}, and must have {}", found.len(), right.len()).replace(
                        ", and",
                        if found.len() == 1 {
                            " value, and"
                        } else {
                            " values, and"
                        },
                    ),
                );
            } else if let Some(at) = (0..right.len()).find(|&at| right[at] != found[at]) {
                wanted.push(told(target, &case, at, [found[at], right[at]]));
            } else {
                continue;
            }
            wanted.push(case.title());
            break;
        }
        (self.judge(&run, seed), wanted)
    }

    pub(super) fn throw(&self, seed: u64, written: usize, throw: &dyn Fn()) -> (Judged, String) {
        let run = |case: &C, answer: &mut A| {
            for target in &self.targets[..written] {
                (target.set)(answer, (target.right)(case));
            }
            throw();
        };
        let title = (self.cases)(seed)[0].title();
        (self.judge(&run, seed), title)
    }
}

/// The parts of all exercises that this engine judges.
fn parts() -> impl Iterator<Item = (&'static str, Box<dyn super::part::Checked>)> {
    ALL.iter().flat_map(|(name, checker)| match checker() {
        Checker::Parts(parts) | Checker::And(parts, _) => {
            parts.into_iter().map(|part| (*name, part)).collect()
        }
        Checker::Listed(_) | Checker::Quiz(_) => Vec::new(),
    })
}

fn report(judged: Judged) -> Report {
    conclude("exercise", "all right", vec![judged])
}

fn all_of(report: &Report) -> String {
    format!("{}\n{}", report.headline, report.notes.join("\n"))
}

#[test]
fn right_values_pass() {
    for (name, part) in parts() {
        for seed in SEEDS {
            let first = part.targets()[0];
            let report = report(part.spoiled(seed, first, &|values, _| values).0);
            assert!(report.passed(), "{name}, seed {seed}: {report}");
            assert!(report.lines.len() >= part.targets().len());
        }
    }
}

#[test]
fn each_known_mistake_gets_its_name() {
    for (name, part) in parts() {
        for seed in SEEDS {
            for (wanted, judged) in part.mistaken(seed) {
                let report = report(judged);
                let (id, headline) = wanted.split_once('\n').unwrap();
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

#[test]
fn nothing_wrong_passes_or_is_told_without_place_and_values() {
    for (name, part) in parts() {
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
#[test]
fn a_wrong_length_is_told_with_the_shape() {
    for (name, part) in parts() {
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
                let id = report.mistake.as_deref().unwrap();
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

#[test]
fn a_panic_names_its_case_and_no_file_that_is_not_the_readers() {
    for (name, part) in parts() {
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

#[test]
fn what_is_written_before_a_todo_counts() {
    for (name, part) in parts() {
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

/// A margin that is far above 1 is told by its size, not in all its digits.
#[test]
fn a_huge_margin_can_be_read() {
    for (slope, margin) in [(1.0, "margin 0."), (1e20, "e")] {
        let checked = gradcheck::Check::new("line")
            .input("x", &[1], vec![0.5])
            .run(|x| vec![x[0][0]], |_, dy| vec![vec![dy[0] * slope]]);
        let line = numeric_line(&checked);
        let (_, told) = line.detail.rsplit_once("margin ").unwrap();
        assert!(told.len() < 7, "{}", line.detail);
        assert!(line.detail.contains(margin), "{}", line.detail);
        assert_eq!(line.right, slope == 1.0);
    }
}

/// Of an exercise of several parts, one that is right takes no more than a few rows.
#[test]
fn a_part_of_many_targets_that_is_right_is_told_in_one_row() {
    let mut parts = parts().filter(|(_, part)| part.targets().len() > 3);
    let (_, part) = parts.next().unwrap();
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

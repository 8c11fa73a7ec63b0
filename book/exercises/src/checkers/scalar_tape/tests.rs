use super::*;
use crate::Outcome::{Panicked, Unwritten};

fn leaf(tape: &mut Tape, value: f64) -> usize {
    tape.push(value, vec![])
}

/// The sweep by recursion: nothing in common with the loop.
fn backward(tape: &Tape, y: usize) -> Vec<f64> {
    fn gradient(tape: &Tape, y: usize, at: usize) -> f64 {
        let users = tape.records.iter().enumerate().take(y + 1).skip(at + 1);
        let uses = users.flat_map(|(user, r)| r.inputs.iter().map(move |input| (user, input)));
        let of = uses.filter(|(_, (input, _))| *input == at);
        let sum: f64 = of
            .map(|(user, (_, slope))| slope * gradient(tape, y, user))
            .sum();
        sum + if at == y { 1.0 } else { 0.0 }
    }
    let all = 0..tape.records.len();
    all.map(|at| gradient(tape, y, at)).collect()
}

/// A right tape with a function exchanged.
fn with<'a>(change: impl FnOnce(&mut Own<'a>), seed: u64) -> Report {
    let mut own = Own {
        leaf: &leaf,
        add: &|tape, a, b| {
            let value = tape.records[a].value + tape.records[b].value;
            tape.push(value, vec![(a, 1.0), (b, 1.0)])
        },
        // With its inputs in the other order, and a square with one input.
        mul: &|tape, a, b| {
            let (va, vb) = (tape.records[a].value, tape.records[b].value);
            if a == b {
                return tape.push(va * va, vec![(a, 2.0 * va)]);
            }
            tape.push(va * vb, vec![(b, va), (a, vb)])
        },
        exp: &|tape, x| {
            let y = tape.records[x].value.exp();
            tape.push(y, vec![(x, y)])
        },
        backward: &backward,
    };
    change(&mut own);
    report(&own, seed)
}

#[test]
fn a_right_tape_passes_however_it_is_written() {
    for seed in 0..20 {
        let report = with(|_| (), seed);
        assert!(report.passed(), "seed {seed}: {report}");
    }
}

#[track_caller]
fn named(report: &Report, part: &str, id: &str) {
    assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
    assert!(report.headline.starts_with(part), "{report}");
    assert_eq!(report.section.as_deref(), Some(SECTION));
}

#[test]
fn a_record_that_is_not_one_is_told() {
    let wiped = |tape: &mut Tape, value: f64| {
        tape.records.clear();
        tape.push(value, vec![])
    };
    let none = |tape: &mut Tape, _: f64| tape.records.len();
    let twice = |tape: &mut Tape, value: f64| {
        tape.push(value, vec![]);
        tape.push(value, vec![])
    };
    let first = |tape: &mut Tape, value: f64| {
        tape.push(value, vec![]);
        0
    };
    let length = |tape: &mut Tape, value: f64| {
        tape.push(value, vec![]);
        tape.records.len()
    };
    let other = |tape: &mut Tape, value: f64| tape.push(1.0 / (value + 1.0), vec![]);
    let loose = |tape: &mut Tape, value: f64| tape.push(value, vec![(0, 0.5)]);
    for seed in 0..6 {
        for (leaf, id) in [
            (
                &wiped as &dyn Fn(&mut Tape, f64) -> usize,
                "records-changed",
            ),
            (&none, "record-count"),
            (&twice, "record-count"),
            (&first, "wrong-place"),
            (&length, "wrong-place"),
            (&other, "unknown"),
            (&loose, "unknown"),
        ] {
            named(&with(|own| own.leaf = leaf, seed), "leaf: ", id);
        }
        let told = with(|own| own.leaf = &loose, seed).headline;
        assert!(
            told.contains("record 0 is an input of the new record, and must be none"),
            "{told}"
        );
    }
}

/// A sum that records these inputs.
fn adds(
    inputs: fn(usize, usize, usize) -> Vec<usize>,
) -> impl Fn(&mut Tape, usize, usize) -> usize {
    move |tape, a, b| {
        let value = tape.records[a].value + tape.records[b].value;
        let inputs = inputs(a, b, tape.records.len());
        tape.push(value, inputs.into_iter().map(|at| (at, 1.0)).collect())
    }
}

#[test]
fn an_operand_that_is_forgotten_is_told_in_words() {
    for seed in 0..6 {
        for (inputs, id) in [
            (
                (|a, _, _| vec![a]) as fn(usize, usize, usize) -> Vec<usize>,
                "second-forgotten",
            ),
            (|_, b, _| vec![b], "first-forgotten"),
            (|_, _, _| vec![], "inputs-missing"),
            (|_, b, at| vec![at, b], "wrong-inputs"),
            (|_, _, _| vec![0, 1], "wrong-inputs"),
        ] {
            let add = adds(inputs);
            let report = with(|own| own.add = &add, seed);
            named(&report, "add: inputs: the record ", id);
            assert!(!report.to_string().contains("Record {"), "{report}");
            assert!(report.notes[0].contains(", and must be "), "{report}");
        }
    }
}

/// What is written counts, whatever comes before and after it.
#[test]
fn what_is_written_is_credited() {
    let report = with(|own| own.mul = &|_, _, _| todo!(), 0);
    assert_eq!(report.outcome, Unwritten, "{report}");
    assert!(
        report.headline.starts_with("mul: not written yet"),
        "{report}"
    );
    let credit = "Right already: leaf, add, exp and backward.".to_owned();
    assert!(report.notes.contains(&credit), "{report}");
}

#[test]
fn a_panic_is_told_with_its_operands() {
    let report = with(|own| own.exp = &|tape, x| tape.records[x].inputs[0].0, 0);
    assert_eq!(report.outcome, Panicked, "{report}");
    let begin = "exp: for x = ";
    assert!(report.headline.starts_with(begin), "{report}");
    assert!(report.headline.contains("at place "), "{report}");
}

/// The same names as in the exercise on the sweep.
#[test]
fn a_wrong_sweep_is_named_as_in_the_exercise_on_it() {
    let assigned = |tape: &Tape, y: usize| {
        let mut grads = vec![0.0; tape.records.len()];
        grads[y] = 1.0;
        for at in (0..=y).rev() {
            for &(input, slope) in &tape.records[at].inputs {
                grads[input] = grads[at] * slope;
            }
        }
        grads
    };
    for seed in 0..5 {
        let report = with(|own| own.backward = &assigned, seed);
        assert_eq!(report.mistake.as_deref(), Some("assigned"), "{report}");
        assert!(
            report
                .headline
                .starts_with("backward: grads: an input used twice"),
            "{report}"
        );
    }
}

/// What no op shows by itself, a program does: here an op that is right on a short tape only.
#[test]
fn a_program_of_many_ops_is_run() {
    let exp = |tape: &mut Tape, x: usize| {
        let y = tape.records[x].value.exp();
        let slope = if tape.records.len() > 8 { 1.0 } else { y };
        tape.push(y, vec![(x, slope)])
    };
    let found = (0..5).map(|seed| with(|own| own.exp = &exp, seed));
    let wrong = found.filter(|report| {
        assert!(
            report.passed() || report.headline.starts_with("programs: grads: "),
            "{report}"
        );
        !report.passed()
    });
    assert!(wrong.count() > 3);
}

/// The catalogue has what is printed, with the op in front.
#[test]
fn the_catalogue_says_which_op() {
    let report = with(|own| own.add = &|tape, _, _| tape.push(1.0, vec![]), 0);
    let known = checker().known(NAME);
    let printed = |known: &crate::known::Known| known.sentence == report.headline;
    assert!(known.iter().any(printed), "{report}");
}

use super::*;
use crate::Report;
use judge::testing::{named, passes, tells};

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
    report(own.leaf, own.add, own.mul, own.exp, own.backward, seed)
}

#[test]
fn a_right_tape_passes_however_it_is_written() {
    passes(8, |seed| with(|_| (), seed));
}

#[test]
fn a_record_that_is_not_one_is_told() {
    let wiped = |tape: &mut Tape, value: f64| {
        tape.records.clear();
        tape.push(value, vec![])
    };
    let twice = |tape: &mut Tape, value: f64| {
        tape.push(value, vec![]);
        tape.push(value, vec![])
    };
    let loose = |tape: &mut Tape, value: f64| tape.push(value, vec![(0, 0.5)]);
    type Leaf<'a> = &'a dyn Fn(&mut Tape, f64) -> usize;
    let typed: [(&str, Leaf<'_>); 7] = [
        ("leaf: records-changed", &wiped),
        ("leaf: record-count", &|tape, _| tape.records.len()),
        ("leaf: record-count", &twice),
        ("leaf: wrong-place", &|tape, value| {
            tape.push(value, vec![]);
            0
        }),
        ("leaf: wrong-place", &|tape, value| {
            tape.push(value, vec![]) + 1
        }),
        ("leaf: unknown", &|tape, value| {
            tape.push(1.0 / (value + 1.0), vec![])
        }),
        ("leaf: unknown", &loose),
    ];
    named(&typed, |leaf, seed| {
        let report = with(|own| own.leaf = leaf, seed);
        assert_eq!(report.section.as_deref(), Some(SECTION));
        report
    });
    let told = "record 0 is an input of the new record, and must be none";
    tells(&with(|own| own.leaf = &loose, 0), "unknown", &[told]);
}

#[test]
fn an_operand_that_is_forgotten_is_told_in_words() {
    /// From both operands and the place of the new record to what it names.
    type Inputs = fn(usize, usize, usize) -> Vec<usize>;
    let typed: [(&str, Inputs); 5] = [
        ("inputs: second-forgotten", |a, _, _| vec![a]),
        ("inputs: first-forgotten", |_, b, _| vec![b]),
        ("inputs: inputs-missing", |_, _, _| vec![]),
        ("inputs: wrong-inputs", |_, b, at| vec![at, b]),
        ("inputs: wrong-inputs", |_, _, _| vec![0, 1]),
    ];
    named(&typed, |inputs, seed| {
        let add = |tape: &mut Tape, a: usize, b: usize| {
            let value = tape.records[a].value + tape.records[b].value;
            let inputs = inputs(a, b, tape.records.len()).into_iter();
            tape.push(value, inputs.map(|at| (at, 1.0)).collect())
        };
        let report = with(|own| own.add = &add, seed);
        let id = report.mistake.clone().unwrap_or_default();
        tells(
            &report,
            &id,
            &["add: inputs: the record ", ", and must be "],
        );
        assert!(!report.to_string().contains("Record {"), "{report}");
        report
    });
}

/// What is written counts, whatever comes before and after it.
#[test]
fn what_is_written_is_credited() {
    let report = with(|own| own.mul = &|_, _, _| todo!(), 0);
    let credit = "\nRight already: leaf, add, exp and backward.";
    tells(&report, "Unwritten", &["mul: not written yet", credit]);
}

#[test]
fn a_panic_is_told_with_its_operands() {
    let report = with(|own| own.exp = &|tape, x| tape.records[x].inputs[0].0, 0);
    tells(&report, "Panicked", &["exp: for x = ", "at place "]);
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
    named(&[("grads: assigned", ())], |(), seed| {
        let report = with(|own| own.backward = &assigned, seed);
        tells(
            &report,
            "assigned",
            &["backward: grads: an input used twice"],
        );
        report
    });
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
    let known = checker().known("scalar_tape");
    let printed = |known: &crate::known::Known| known.sentence == report.headline;
    assert!(known.iter().any(printed), "{report}");
}

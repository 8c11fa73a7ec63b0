use super::*;
use crate::Outcome;

/// Ops of one's own with their backward halves: from the inputs, the value and `dy`.
#[derive(Clone, Copy)]
struct Typed {
    add: Wrong,
    mul: Wrong,
    relu: Wrong,
    exp: Wrong,
    backward: fn(&Tape, usize, Tensor) -> Vec<Option<Tensor>>,
}

/// What is said, and one op exchanged.
type Exchanged = (&'static str, fn(&mut Typed));

/// What a solution of the exercise is.
const RIGHT: Typed = Typed {
    add: |x, _, dy| x.iter().map(|x| Tape::sum_to(dy, x)).collect(),
    mul: |x, _, dy| products(x, dy),
    relu: |_, y, dy| vec![zip(dy, y, |dy, y| if y > 0.0 { dy } else { 0.0 })],
    exp: |_, y, dy| vec![times(dy, y)],
    backward: sweep,
};

fn pushed(tape: &mut Tape, places: &[usize], y: fn(&[Tensor]) -> Tensor, half: Wrong) -> usize {
    let inputs: Vec<Tensor> = places.iter().map(|&at| tape.value(at)).collect();
    let y = y(&inputs);
    let kept = y.clone();
    tape.push(y, places, move |dy| half(&inputs, &kept, dy))
}

fn sum(x: &[Tensor]) -> Tensor {
    zip(&x[0], &x[1], |a, b| a + b)
}

/// The report on these, with `add` as it is, if that is given.
fn judged(typed: Typed, add: Option<Binary<'_>>, seed: u64) -> Report {
    let typed_add = |t: &mut Tape, a, b| pushed(t, &[a, b], sum, typed.add);
    let own = Own {
        add: add.unwrap_or(&typed_add),
        mul: &|t, a, b| pushed(t, &[a, b], |x| times(&x[0], &x[1]), typed.mul),
        relu: &|t, x| pushed(t, &[x], |x| x[0].map(|x| x.max(0.0)), typed.relu),
        exp: &|t, x| pushed(t, &[x], |x| x[0].map(f64::exp), typed.exp),
        backward: &typed.backward,
    };
    report(&own, seed)
}

#[test]
fn a_right_tape_passes_on_every_seed() {
    for seed in 0..8 {
        let report = judged(RIGHT, None, seed);
        assert!(report.passed(), "seed {seed}: {report}");
    }
}

/// One operand may be forgotten, in a half or in all of it.
#[test]
fn a_half_is_judged_by_itself() {
    for seed in 0..3 {
        let add: Wrong = |x, _, dy| vec![Tape::sum_to(dy, &x[0]), Tensor::zeros(x[1].shape())];
        let report = judged(Typed { add, ..RIGHT }, None, seed);
        assert_eq!(report.headline, "add: db: it is zero everywhere");
        // There are two inputs, and matrices have two axes: no factor of 2 comes from these.
        let add: Wrong = |x, _, dy| {
            let twice = dy.map(|v| 2.0 * v);
            x.iter().map(|x| Tape::sum_to(&twice, x)).collect()
        };
        let report = judged(Typed { add, ..RIGHT }, None, seed);
        assert_eq!(report.headline, "add: da: it is twice too large");
        let mul: Wrong = |x, _, dy| vec![Tape::sum_to(&times(dy, &x[1]), &x[0]), times(dy, &x[0])];
        let report = judged(Typed { mul, ..RIGHT }, None, seed);
        assert_eq!(report.mistake.as_deref(), Some("not-summed"), "{report}");
        assert!(report.headline.starts_with("mul: db: "), "{report}");
        let wrongs: [Exchanged; 3] = [
            (
                "add: db: it is summed to the shape of the other operand",
                |t| {
                    t.add = |x, _, dy| vec![Tape::sum_to(dy, &x[0]), Tape::sum_to(dy, &x[0])];
                },
            ),
            ("mul: db: dy is summed before it is multiplied", |t| {
                t.mul = |x, _, dy| {
                    let db = times(&Tape::sum_to(dy, &x[1]), &x[0]);
                    vec![Tape::sum_to(&times(dy, &x[1]), &x[0]), db]
                };
            }),
            ("exp: da: the slope is x * exp(x)", |t| {
                t.exp = |x, y, dy| vec![times(dy, &times(&x[0], y))];
            }),
        ];
        for (told, wrong) in wrongs {
            let mut typed = RIGHT;
            wrong(&mut typed);
            let report = judged(typed, None, seed);
            assert!(report.headline.starts_with(told), "{report}");
        }
    }
}

#[test]
fn a_record_that_is_not_one_is_told() {
    let told = |add: Binary<'_>, wanted: &str, id: &str| {
        let report = judged(RIGHT, Some(add), 0);
        assert_eq!(report.outcome, Outcome::Wrong, "{report}");
        assert!(report.headline.starts_with(wanted), "{report}");
        assert_eq!(report.mistake.as_deref(), Some(id), "{report}");
        assert_eq!(report.section.as_deref(), Some(ELEMENTWISE));
        let all = report.to_string();
        assert!(all.contains("and must "), "{report}");
    };
    let value = |t: &Tape, a: usize, b: usize| sum(&[t.value(a), t.value(b)]);
    told(
        &|t, _, _| t.records.len(),
        "add: the count of new records: no",
        "record-count",
    );
    told(
        &|t, a, b| {
            pushed(t, &[a, b], sum, RIGHT.add);
            a
        },
        "add: the place returned: ",
        "wrong-place",
    );
    told(
        &|t, a, b| pushed(t, &[b, a], sum, RIGHT.add),
        "add: inputs: ",
        "wrong-inputs",
    );
    let half = |t: &Tape, a, b| {
        let x = [t.value(a), t.value(b)];
        move |dy: &Tensor| (RIGHT.add)(&x, dy, dy)
    };
    told(
        &|t, a, b| t.push(value(t, a, b), &[], half(t, a, b)),
        "add: inputs: the record names no input",
        "inputs-missing",
    );
    told(
        &|t, a, b| t.push(value(t, a, b), &[b], half(t, a, b)),
        "add: inputs: the record does not name the first operand",
        "first-forgotten",
    );
    told(
        &|t, a, b| {
            let y = value(t, a, b);
            t.push(y, &[a, b], |_| vec![])
        },
        "add: the count of gradients: ",
        "gradient-count",
    );
    told(
        &|t, a, b| {
            let (x, y) = (
                [t.value(a), t.value(b)],
                value(t, a, b).apply(|y| y * y + 1.0),
            );
            t.push(y, &[a, b], move |dy| (RIGHT.add)(&x, dy, dy))
        },
        "add: y: for [3, 4] with [3, 4], y[0] (element 0) is ",
        "unknown",
    );
    told(
        &|t, a, b| {
            let (x, y) = ([t.value(a), t.value(b)], value(t, a, b));
            t.push(y, &[a, b], move |dy| {
                let [da, db] = [0, 1].map(|k| Tape::sum_to(dy, &x[k]));
                vec![da.reshape([da.len()]), db]
            })
        },
        "add: the shape of da: for [3, 4] with [3, 4], the shape of da has 1 value, and must have 2",
        "shape",
    );
}

/// Loops that readers type, each with one line exchanged.
#[test]
fn a_sweep_that_keeps_nothing_is_named_with_record_and_numbers() {
    let backward = |tape: &Tape, y: usize, dy: Tensor| {
        let mut grads: Vec<Option<Tensor>> = vec![None; tape.records.len()];
        grads[y] = Some(dy);
        for at in (0..=y).rev() {
            let Some(dy) = grads[at].take() else { continue };
            let record = &tape.records[at];
            for (&input, dx) in record.inputs.iter().zip((record.vjp)(&dy)) {
                grads[input] = Some(match grads[input].take() {
                    Some(sum) => times(&sum.map(|_| 1.0), &zip(&sum, &dx, |a, b| a + b)),
                    None => dx,
                });
            }
        }
        grads
    };
    for seed in 0..5 {
        let report = judged(Typed { backward, ..RIGHT }, None, seed);
        assert_eq!(report.mistake.as_deref(), Some("all-taken"), "{report}");
        let note = "For one operand on both sides (5 records, y being record 3), record 1 has None, and must have a gradient";
        assert!(report.notes[0].starts_with(note), "{report}");
    }
}

/// What has no name is told with the record, and where in its gradient.
#[test]
fn a_sweep_that_is_wrong_otherwise_is_told_with_record_and_numbers() {
    let backward = |tape: &Tape, y: usize, dy: Tensor| {
        let mut grads = sweep(tape, y, dy);
        grads[2] = grads[2].take().map(|g| times(&g, &g));
        grads
    };
    let report = judged(Typed { backward, ..RIGHT }, None, 0);
    assert_eq!(report.mistake.as_deref(), Some("unknown"), "{report}");
    assert!(
        report
            .headline
            .contains("grads[12] (record 2, row 0, column 0) is "),
        "{report}"
    );
    let backward = |tape: &Tape, y: usize, dy: Tensor| {
        let mut grads = sweep(tape, y, dy);
        grads[2] = grads[2].take().map(|g| g.reshape([6]));
        grads
    };
    let report = judged(Typed { backward, ..RIGHT }, None, 0);
    assert!(
        report
            .headline
            .contains("the gradient of record 2 has shape [6]"),
        "{report}"
    );
}

/// A panic of the tape's own functions is told with the operands, and with no file of theirs.
#[test]
fn a_panic_names_its_case() {
    let add =
        |x: &[Tensor], _: &Tensor, dy: &Tensor| x.iter().map(|x| dy.reshape(x.shape())).collect();
    let report = judged(Typed { add, ..RIGHT }, None, 0);
    assert_eq!(report.outcome, Outcome::Panicked, "{report}");
    assert!(
        report
            .headline
            .starts_with("add: for [3, 4] with [4], it panicked "),
        "{report}"
    );
    assert!(!report.headline.contains(".rs"), "{report}");
}

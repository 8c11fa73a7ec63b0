use super::*;
use crate::Report;
use judge::testing::{named, passes, tells};

/// Ops of one's own with their backward halves: from the inputs, the value and `dy`.
#[derive(Clone, Copy)]
struct Typed {
    add: Wrong,
    mul: Wrong,
    relu: Wrong,
    exp: Wrong,
    backward: Backward,
}

type Backward = fn(&Tape, usize, Tensor) -> Vec<Option<Tensor>>;
type Binary<'a> = &'a dyn Fn(&mut Tape, usize, usize) -> usize;

/// What a solution of the exercise is.
const RIGHT: Typed = Typed {
    add: |x, _, dy| x.iter().map(|x| Tape::sum_to(dy, x)).collect(),
    mul: |x, _, dy| products(x, dy),
    relu: |_, y, dy| vec![Tape::zip(dy, y, |dy, y| if y > 0.0 { dy } else { 0.0 })],
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
    Tape::zip(&x[0], &x[1], |a, b| a + b)
}

/// The report on these, with `add` as it is, if that is given.
fn judged(typed: Typed, add: Option<Binary<'_>>, seed: u64) -> Report {
    let typed_add = |t: &mut Tape, a, b| pushed(t, &[a, b], sum, typed.add);
    report(
        add.unwrap_or(&typed_add),
        &|t, a, b| pushed(t, &[a, b], |x| times(&x[0], &x[1]), typed.mul),
        &|t, x| pushed(t, &[x], |x| x[0].map(|x| x.max(0.0)), typed.relu),
        &|t, x| pushed(t, &[x], |x| x[0].map(f64::exp), typed.exp),
        &typed.backward,
        seed,
    )
}

#[test]
fn a_right_tape_passes_on_every_seed() {
    passes(10, |seed| judged(RIGHT, None, seed));
}

/// One operand may be forgotten, in a half or in all of it.
#[test]
fn a_half_is_judged_by_itself() {
    /// One op exchanged.
    type Exchanged = fn(&mut Typed);
    let typed: &[(&str, Exchanged)] = &[
        ("add: db: it is zero everywhere: zero", |t| {
            t.add = |x, _, dy| vec![Tape::sum_to(dy, &x[0]), Tensor::zeros(x[1].shape())];
        }),
        // There are two inputs, and matrices have two axes: no factor of 2 comes from these.
        ("add: da: it is twice too large: doubled", |t| {
            t.add = |x, _, dy| {
                let twice = dy.map(|v| 2.0 * v);
                x.iter().map(|x| Tape::sum_to(&twice, x)).collect()
            };
        }),
        ("mul: db: the products are not summed: not-summed", |t| {
            t.mul = |x, _, dy| vec![Tape::sum_to(&times(dy, &x[1]), &x[0]), times(dy, &x[0])];
        }),
        (
            "add: db: it is summed to the shape of the other operand: summed-to-the-other",
            |t| {
                t.add = |x, _, dy| vec![Tape::sum_to(dy, &x[0]), Tape::sum_to(dy, &x[0])];
            },
        ),
        (
            "mul: db: dy is summed before it is multiplied: summed-first",
            |t| {
                t.mul = |x, _, dy| {
                    let db = times(&Tape::sum_to(dy, &x[1]), &x[0]);
                    vec![Tape::sum_to(&times(dy, &x[1]), &x[0]), db]
                };
            },
        ),
        ("exp: da: the slope is x * exp(x): slope-product", |t| {
            t.exp = |x, y, dy| vec![times(dy, &times(&x[0], y))];
        }),
    ];
    named(typed, |exchange, seed| {
        let mut typed = RIGHT;
        exchange(&mut typed);
        judged(typed, None, seed)
    });
}

#[test]
fn a_record_that_is_not_one_is_told() {
    let value = |t: &Tape, a: usize, b: usize| sum(&[t.value(a), t.value(b)]);
    let half = |t: &Tape, a, b| {
        let x = [t.value(a), t.value(b)];
        move |dy: &Tensor| (RIGHT.add)(&x, dy, dy)
    };
    let operand = |t: &mut Tape, a, b| {
        pushed(t, &[a, b], sum, RIGHT.add);
        a
    };
    let squared = |t: &mut Tape, a, b| {
        let y = value(t, a, b).map_in_place(|y| y * y + 1.0);
        t.push(y, &[a, b], half(t, a, b))
    };
    let flat = |t: &mut Tape, a, b| {
        let half = half(t, a, b);
        t.push(value(t, a, b), &[a, b], move |dy| {
            let mut gradients = half(dy);
            gradients[0] = gradients[0].reshape([gradients[0].len()]);
            gradients
        })
    };
    let typed: [(&str, Binary<'_>); 8] = [
        ("add: the count of new records: record-count", &|t, _, _| {
            t.records.len()
        }),
        ("add: the place returned: wrong-place", &operand),
        ("add: inputs: wrong-inputs", &|t, a, b| {
            pushed(t, &[b, a], sum, RIGHT.add)
        }),
        ("add: inputs: inputs-missing", &|t, a, b| {
            t.push(value(t, a, b), &[], half(t, a, b))
        }),
        ("add: inputs: first-forgotten", &|t, a, b| {
            t.push(value(t, a, b), &[b], half(t, a, b))
        }),
        ("add: the count of gradients: gradient-count", &|t, a, b| {
            t.push(value(t, a, b), &[a, b], |_| vec![])
        }),
        (
            "add: y: for [3, 4] with [3, 4], y[0] (element 0) is: unknown",
            &squared,
        ),
        (
            "add: the shape of da: for [3, 4] with [3, 4], the shape of da has 1 value, and must have 2: shape",
            &flat,
        ),
    ];
    named(&typed, |add, seed| {
        let report = judged(RIGHT, Some(add), seed);
        assert_eq!(report.section.as_deref(), Some(ELEMENTWISE));
        assert!(report.to_string().contains("and must "), "{report}");
        report
    });
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
                    Some(sum) => times(&sum.map(|_| 1.0), &Tape::zip(&sum, &dx, |a, b| a + b)),
                    None => dx,
                });
            }
        }
        grads
    };
    named(
        &[("Some or None: all-taken", backward as Backward)],
        |backward, seed| {
            let report = judged(Typed { backward, ..RIGHT }, None, seed);
            let note = "For one operand on both sides (5 records, y being record 3), record 1 has None, and must have a gradient";
            assert!(report.notes[0].starts_with(note), "{report}");
            report
        },
    );
}

/// What has no name is told with the record, and where in its gradient; and a panic of the tape's
/// own functions with the operands, and with no file of theirs.
#[test]
fn what_is_wrong_otherwise_is_told_with_record_operands_and_numbers() {
    let squared: Backward = |tape, y, dy| {
        let mut grads = sweep(tape, y, dy);
        grads[2] = grads[2].take().map(|g| times(&g, &g));
        grads
    };
    let flat: Backward = |tape, y, dy| {
        let mut grads = sweep(tape, y, dy);
        grads[2] = grads[2].take().map(|g| g.reshape([6]));
        grads
    };
    let add: Wrong = |x, _, dy| x.iter().map(|x| dy.reshape(x.shape())).collect();
    let with = |backward| Typed { backward, ..RIGHT };
    for (typed, named, told) in [
        (
            with(squared),
            "unknown",
            "grads[12] (record 2, row 0, column 0) is ",
        ),
        (
            with(flat),
            "Panicked",
            "the gradient of record 2 has shape [6]",
        ),
        (
            Typed { add, ..RIGHT },
            "Panicked",
            "add: for [3, 4] with [4], it panicked ",
        ),
    ] {
        tells(&judged(typed, None, 0), named, &[told]);
    }
}

use super::*;
use crate::known::assert_listed;

fn push(tape: &mut Tape, value: f64, inputs: Vec<(usize, f64)>) -> usize {
    tape.push(value, inputs)
}

fn leaf(tape: &mut Tape, value: f64) -> usize {
    push(tape, value, vec![])
}

/// An op by its rule.
fn by(rule: Rule) -> impl Fn(&mut Tape, usize, usize) -> usize {
    move |tape, a, b| {
        let (value, by_a, by_b) = rule(tape.records[a].value, tape.records[b].value);
        push(tape, value, vec![(a, by_a), (b, by_b)])
    }
}

fn unary(rule: Rule) -> impl Fn(&mut Tape, usize) -> usize {
    move |tape, x| {
        let (value, slope, _) = rule(tape.records[x].value, 0.0);
        push(tape, value, vec![(x, slope)])
    }
}

/// A whole tape with some functions exchanged.
fn with(run: impl FnOnce(&Own<'_>) -> Report) -> Report {
    let (add, mul, exp) = (by(OPS[1].rule), by(OPS[2].rule), unary(OPS[3].rule));
    run(&Own {
        leaf: &leaf,
        add: &add,
        mul: &mul,
        exp: &exp,
        backward: &right_sweep,
    })
}

#[test]
fn a_right_tape_passes_on_every_seed() {
    for seed in 0..20 {
        let report = with(|own| report(own, seed));
        assert!(report.passed(), "seed {seed}: {report}");
    }
}

#[test]
fn a_square_may_be_recorded_with_one_input() {
    let mul = |tape: &mut Tape, a: usize, b: usize| {
        let (va, vb) = (tape.records[a].value, tape.records[b].value);
        if a == b {
            return push(tape, va * va, vec![(a, 2.0 * va)]);
        }
        push(tape, va * vb, vec![(b, va), (a, vb)])
    };
    let report = with(|own| report(&Own { mul: &mul, ..*own }, 0));
    assert!(report.passed(), "{report}");
}

#[test]
fn every_mistake_of_an_op_is_named() {
    for seed in 0..10 {
        for op in &OPS {
            for (id, sentence, rule) in op.mistakes {
                let (binary, single) = (by(*rule), unary(*rule));
                let report = with(|own| match op.name {
                    "add" => report(
                        &Own {
                            add: &binary,
                            ..*own
                        },
                        seed,
                    ),
                    "mul" => report(
                        &Own {
                            mul: &binary,
                            ..*own
                        },
                        seed,
                    ),
                    _ => report(
                        &Own {
                            exp: &single,
                            ..*own
                        },
                        seed,
                    ),
                });
                assert_eq!(
                    report.mistake.as_deref(),
                    Some(*id),
                    "{}: {report}",
                    op.name
                );
                assert_eq!(report.headline, format!("{}: {sentence}", op.name));
                assert_listed(&report);
                assert!(report.lines.iter().any(|line| !line.right));
            }
        }
    }
}

#[test]
fn a_record_that_is_not_one_is_told() {
    let at_zero = |tape: &mut Tape, value: f64| {
        push(tape, value, vec![]);
        0
    };
    let twice = |tape: &mut Tape, value: f64| {
        push(tape, value, vec![]);
        push(tape, value, vec![])
    };
    let none = |tape: &mut Tape, _: f64| tape.records.len();
    let wiped = |tape: &mut Tape, value: f64| {
        tape.records.clear();
        push(tape, value, vec![])
    };
    let other = |tape: &mut Tape, value: f64| push(tape, value + 1.0, vec![]);
    let told = with(|own| {
        report(
            &Own {
                leaf: &at_zero,
                ..*own
            },
            1,
        )
    });
    assert_eq!(told.mistake.as_deref(), Some("wrong-place"));
    assert_listed(&told);
    let told = with(|own| {
        report(
            &Own {
                leaf: &twice,
                ..*own
            },
            1,
        )
    });
    assert_eq!(told.mistake.as_deref(), Some("record-count"));
    assert_listed(&told);
    let told = with(|own| {
        report(
            &Own {
                leaf: &none,
                ..*own
            },
            1,
        )
    });
    assert_eq!(told.mistake.as_deref(), Some("record-count"));
    assert_listed(&told);
    let told = with(|own| {
        report(
            &Own {
                leaf: &wiped,
                ..*own
            },
            1,
        )
    });
    assert_eq!(told.mistake.as_deref(), Some("records-changed"));
    assert_listed(&told);
    let told = with(|own| {
        report(
            &Own {
                leaf: &other,
                ..*own
            },
            1,
        )
    });
    assert_eq!(told.mistake.as_deref(), Some("unknown"));
    let loose = |tape: &mut Tape, a: usize, b: usize| {
        let value = tape.records[a].value + tape.records[b].value;
        push(tape, value, vec![])
    };
    let itself = |tape: &mut Tape, a: usize, b: usize| {
        let value = tape.records[a].value + tape.records[b].value;
        let at = tape.records.len();
        push(tape, value, vec![(at, 1.0), (b, 1.0)])
    };
    let told = with(|own| {
        report(
            &Own {
                add: &loose,
                ..*own
            },
            1,
        )
    });
    assert_eq!(told.mistake.as_deref(), Some("inputs-missing"));
    assert_listed(&told);
    let told = with(|own| {
        report(
            &Own {
                add: &itself,
                ..*own
            },
            1,
        )
    });
    assert_eq!(told.mistake.as_deref(), Some("wrong-inputs"));
    assert_listed(&told);
}

#[test]
fn a_wrong_sweep_is_named_as_in_the_exercise_on_it() {
    for seed in 0..5 {
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
        let report = with(|own| {
            report(
                &Own {
                    backward: &assigned,
                    ..*own
                },
                seed,
            )
        });
        assert_eq!(report.mistake.as_deref(), Some("assigned"), "{report}");
        assert_listed(&report);
    }
}

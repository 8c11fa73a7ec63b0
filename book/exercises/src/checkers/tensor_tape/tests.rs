use super::*;
use crate::known::assert_listed;

/// An op with this value and this backward half.
fn op(
    value: fn(&[Tensor]) -> Tensor,
    wrong: Wrong,
    operands: usize,
) -> impl Fn(&mut Tape, usize, usize) -> usize {
    move |tape, a, b| {
        let places = [a, b];
        let inputs: Vec<Tensor> = places[..operands]
            .iter()
            .map(|&at| tape.value(at))
            .collect();
        let y = value(&inputs);
        let kept = y.clone();
        tape.push(y, &places[..operands], move |dy| wrong(&inputs, &kept, dy))
    }
}

fn right_add(x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vec<Tensor> {
    x.iter().map(|x| Tape::sum_to(dy, x)).collect()
}

fn right_mul(x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vec<Tensor> {
    vec![
        Tape::sum_to(&times(dy, &x[1]), &x[0]),
        Tape::sum_to(&times(dy, &x[0]), &x[1]),
    ]
}

fn right_relu(_: &[Tensor], y: &Tensor, dy: &Tensor) -> Vec<Tensor> {
    vec![zip(dy, y, |dy, y| if y > 0.0 { dy } else { 0.0 })]
}

fn right_exp(_: &[Tensor], y: &Tensor, dy: &Tensor) -> Vec<Tensor> {
    vec![times(dy, y)]
}

const RIGHT: [Wrong; 4] = [right_add, right_mul, right_relu, right_exp];

/// A report on right functions, but for these backward halves and this sweep.
fn with(halves: [Wrong; 4], backward: Sweep, seed: u64) -> Report {
    let values: [fn(&[Tensor]) -> Tensor; 4] = [
        |x| zip(&x[0], &x[1], |a, b| a + b),
        |x| times(&x[0], &x[1]),
        |x| x[0].map(|x| x.max(0.0)),
        |x| x[0].map(f64::exp),
    ];
    let add = op(values[0], halves[0], 2);
    let mul = op(values[1], halves[1], 2);
    let relu = op(values[2], halves[2], 1);
    let exp = op(values[3], halves[3], 1);
    report(
        &Own {
            add: &add,
            mul: &mul,
            relu: &|tape, x| relu(tape, x, x),
            exp: &|tape, x| exp(tape, x, x),
            backward: &backward,
        },
        seed,
    )
}

#[test]
fn a_right_tape_passes_on_every_seed() {
    for seed in 0..8 {
        let report = with(RIGHT, sweep, seed);
        assert!(report.passed(), "seed {seed}: {report}");
    }
}

/// The tests that the reader's ops must pass are passed by the ops of the book.
#[test]
fn the_books_own_ops_pass_their_tests() {
    fn by_the_book(
        f: for<'t> fn(&[tape::Var<'t, f64>]) -> tape::Var<'t, f64>,
        operands: usize,
    ) -> impl Fn(&mut Tape, usize, usize) -> usize {
        move |tape, a, b| {
            let places = [a, b];
            let inputs: Vec<Tensor> = places[..operands]
                .iter()
                .map(|&at| tape.value(at))
                .collect();
            let y = on_the_book(&inputs, f);
            tape.push(y, &places[..operands], move |dy| {
                let params: Vec<_> = inputs
                    .iter()
                    .map(|x| tape::Param::new("x", x.clone()))
                    .collect();
                let (_, _, grads) = tape::Tape::new().vjp(dy, |t| {
                    let vars: Vec<_> = params.iter().map(|p| t.param(p)).collect();
                    (f(&vars), ())
                });
                params.iter().map(|p| grads.of(p)).collect()
            })
        }
    }
    let (add, mul) = (
        by_the_book(|x| &x[0] + &x[1], 2),
        by_the_book(|x| &x[0] * &x[1], 2),
    );
    let (relu, exp) = (
        by_the_book(|x| x[0].relu(), 1),
        by_the_book(|x| x[0].exp(), 1),
    );
    let own = Own {
        add: &add,
        mul: &mul,
        relu: &|tape, x| relu(tape, x, x),
        exp: &|tape, x| exp(tape, x, x),
        backward: &sweep,
    };
    let report = report(&own, 3);
    assert!(report.passed(), "{report}");
}

#[test]
fn every_mistake_of_an_op_is_named() {
    for seed in 0..3 {
        for (at, mistakes) in [ADD, MUL, RELU, EXP].into_iter().enumerate() {
            for (id, sentence, wrong) in mistakes {
                let mut halves = RIGHT;
                halves[at] = *wrong;
                let report = with(halves, sweep, seed);
                assert_eq!(
                    report.mistake.as_deref(),
                    Some(*id),
                    "seed {seed}: {report}"
                );
                assert!(report.headline.ends_with(sentence), "{report}");
                assert_listed(&report);
            }
        }
    }
}

#[test]
fn every_mistake_of_the_sweep_is_named() {
    for seed in 0..5 {
        for (id, sentence, wrong) in SWEEPS {
            let report = with(RIGHT, *wrong, seed);
            assert_eq!(
                report.mistake.as_deref(),
                Some(*id),
                "seed {seed}: {report}"
            );
            assert_eq!(report.headline, format!("backward: {sentence}"));
            assert_listed(&report);
        }
    }
}

#[test]
fn a_record_that_is_not_one_is_told() {
    let sum = |tape: &Tape, a: usize, b: usize| zip(&tape.value(a), &tape.value(b), |a, b| a + b);
    let id = |add: Binary<'_>| {
        let own = Own {
            add,
            mul: add,
            relu: &|_, x| x,
            exp: &|_, x| x,
            backward: &sweep,
        };
        let report = report(&own, 0);
        let id = report.mistake.clone().unwrap();
        if !["unknown", "shape"].contains(&id.as_str()) {
            assert_listed(&report);
        }
        id
    };
    assert_eq!(id(&|_, a, _| a), "record-count");
    assert_eq!(
        id(&|t, a, b| {
            let y = sum(t, a, b);
            t.push(y, &[a, b], |_| vec![]);
            a
        }),
        "wrong-place"
    );
    assert_eq!(
        id(&|t, a, b| {
            let y = sum(t, a, b);
            t.push(y, &[b, a], |_| vec![])
        }),
        "wrong-inputs"
    );
    assert_eq!(
        id(&|t, a, b| {
            let y = sum(t, a, b);
            t.push(y, &[a, b], |_| vec![])
        }),
        "gradient-count"
    );
    assert_eq!(
        id(&|t, a, b| {
            let y = t.value(a);
            t.push(y, &[a, b], |_| vec![])
        }),
        "value"
    );
    let scaled = |t: &mut Tape, a: usize, b: usize| {
        let (va, vb, y) = (t.value(a), t.value(b), sum(t, a, b));
        t.push(y, &[a, b], move |dy| {
            vec![
                Tape::sum_to(dy, &va).apply(|v| 3.0 * v),
                Tape::sum_to(dy, &vb),
            ]
        })
    };
    assert_eq!(id(&scaled), "unknown");
    let flat = |t: &mut Tape, a: usize, b: usize| {
        let y = sum(t, a, b);
        t.push(y, &[a, b], |dy| vec![dy.reshape([dy.len()]), dy.clone()])
    };
    assert_eq!(id(&flat), "shape");
}

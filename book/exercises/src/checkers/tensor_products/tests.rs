use super::*;
use crate::known::assert_listed;
use crate::tensor_tape::Wrong;

fn right_sum(x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vec<Tensor> {
    vec![repeated(&x[0], dy)]
}

fn right_matmul(x: &[Tensor], _: &Tensor, dy: &Tensor) -> Vec<Tensor> {
    let (da, db) = halves(x, dy);
    vec![da, db]
}

/// A report on ops with these backward halves.
fn with(sum: Wrong, matmul: Wrong, seed: u64) -> Report {
    let own_sum = |tape: &mut Tape, x: usize, axes: &[usize]| {
        let inputs = vec![tape.value(x)];
        let y = Tape::sum_over(&inputs[0], axes);
        let kept = y.clone();
        tape.push(y, &[x], move |dy| sum(&inputs, &kept, dy))
    };
    let own_matmul = |tape: &mut Tape, a: usize, b: usize| {
        let inputs = vec![tape.value(a), tape.value(b)];
        let y = Tape::product(&inputs[0], &inputs[1]);
        let kept = y.clone();
        tape.push(y, &[a, b], move |dy| matmul(&inputs, &kept, dy))
    };
    report(&own_sum, &own_matmul, seed)
}

#[test]
fn right_ops_pass_on_every_seed() {
    for seed in 0..5 {
        let report = with(right_sum, right_matmul, seed);
        assert!(report.passed(), "seed {seed}: {report}");
        assert!(report.lines.iter().all(|line| line.right));
    }
}

#[test]
fn every_mistake_is_named() {
    for seed in 0..3 {
        for (id, sentence, wrong) in SUM {
            let report = with(*wrong, right_matmul, seed);
            assert_eq!(
                report.mistake.as_deref(),
                Some(*id),
                "seed {seed}: {report}"
            );
            assert!(report.headline.ends_with(sentence));
            assert_listed(&report);
        }
        for (id, sentence, wrong) in MATMUL {
            let report = with(right_sum, *wrong, seed);
            assert_eq!(
                report.mistake.as_deref(),
                Some(*id),
                "seed {seed}: {report}"
            );
            assert!(report.headline.ends_with(sentence));
            assert_listed(&report);
        }
    }
}

#[test]
fn a_sum_that_drops_its_axes_is_told() {
    let dropped = |tape: &mut Tape, x: usize, axes: &[usize]| {
        let y = Tape::sum_over(&tape.value(x), axes);
        let y = y.reshape([y.len()]);
        tape.push(y, &[x], |dy| vec![dy.clone()])
    };
    let matmul = |_: &mut Tape, a: usize, _: usize| a;
    let report = report(&dropped, &matmul, 0);
    assert_eq!(report.mistake.as_deref(), Some("value"), "{report}");
}

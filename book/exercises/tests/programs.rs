//! The programs themselves: every solution passes, every exercise as shipped is not
//! written yet, and each exercise is its solution with the answer taken out.

use std::fs;
use std::path::Path;
use std::process::Command;
use verdict::{Outcome, Report, channel};

/// Name, exercise, solution.
const PROGRAMS: &[(&str, &str, &str)] = &[
    (
        "central_difference",
        env!("CARGO_BIN_EXE_central_difference"),
        env!("CARGO_BIN_EXE_solution-central_difference"),
    ),
    (
        "scalar_sweep",
        env!("CARGO_BIN_EXE_scalar_sweep"),
        env!("CARGO_BIN_EXE_solution-scalar_sweep"),
    ),
    (
        "scalar_tape",
        env!("CARGO_BIN_EXE_scalar_tape"),
        env!("CARGO_BIN_EXE_solution-scalar_tape"),
    ),
    (
        "broadcast_adjoint",
        env!("CARGO_BIN_EXE_broadcast_adjoint"),
        env!("CARGO_BIN_EXE_solution-broadcast_adjoint"),
    ),
    (
        "fool_the_check",
        env!("CARGO_BIN_EXE_fool_the_check"),
        env!("CARGO_BIN_EXE_solution-fool_the_check"),
    ),
    (
        "tensor_tape",
        env!("CARGO_BIN_EXE_tensor_tape"),
        env!("CARGO_BIN_EXE_solution-tensor_tape"),
    ),
    (
        "matmul_backward",
        env!("CARGO_BIN_EXE_matmul_backward"),
        env!("CARGO_BIN_EXE_solution-matmul_backward"),
    ),
    (
        "softmax_cross_entropy",
        env!("CARGO_BIN_EXE_softmax_cross_entropy"),
        env!("CARGO_BIN_EXE_solution-softmax_cross_entropy"),
    ),
    (
        "tensor_products",
        env!("CARGO_BIN_EXE_tensor_products"),
        env!("CARGO_BIN_EXE_solution-tensor_products"),
    ),
    (
        "init_deviation",
        env!("CARGO_BIN_EXE_init_deviation"),
        env!("CARGO_BIN_EXE_solution-init_deviation"),
    ),
    (
        "bn_forward",
        env!("CARGO_BIN_EXE_bn_forward"),
        env!("CARGO_BIN_EXE_solution-bn_forward"),
    ),
    (
        "bn_backward_staged",
        env!("CARGO_BIN_EXE_bn_backward_staged"),
        env!("CARGO_BIN_EXE_solution-bn_backward_staged"),
    ),
    (
        "bn_backward_closed_form",
        env!("CARGO_BIN_EXE_bn_backward_closed_form"),
        env!("CARGO_BIN_EXE_solution-bn_backward_closed_form"),
    ),
    (
        "one_reading",
        env!("CARGO_BIN_EXE_one_reading"),
        env!("CARGO_BIN_EXE_solution-one_reading"),
    ),
    (
        "conv2d_backward",
        env!("CARGO_BIN_EXE_conv2d_backward"),
        env!("CARGO_BIN_EXE_solution-conv2d_backward"),
    ),
    (
        "cnn_predictions",
        env!("CARGO_BIN_EXE_cnn_predictions"),
        env!("CARGO_BIN_EXE_solution-cnn_predictions"),
    ),
    (
        "fold_batch_norm",
        env!("CARGO_BIN_EXE_fold_batch_norm"),
        env!("CARGO_BIN_EXE_solution-fold_batch_norm"),
    ),
    (
        "ln_forward",
        env!("CARGO_BIN_EXE_ln_forward"),
        env!("CARGO_BIN_EXE_solution-ln_forward"),
    ),
    (
        "ln_predictions",
        env!("CARGO_BIN_EXE_ln_predictions"),
        env!("CARGO_BIN_EXE_solution-ln_predictions"),
    ),
    (
        "ln_backward_staged",
        env!("CARGO_BIN_EXE_ln_backward_staged"),
        env!("CARGO_BIN_EXE_solution-ln_backward_staged"),
    ),
    (
        "ln_backward_closed_form",
        env!("CARGO_BIN_EXE_ln_backward_closed_form"),
        env!("CARGO_BIN_EXE_solution-ln_backward_closed_form"),
    ),
    (
        "ln_find_the_bug",
        env!("CARGO_BIN_EXE_ln_find_the_bug"),
        env!("CARGO_BIN_EXE_solution-ln_find_the_bug"),
    ),
    (
        "rms_backward",
        env!("CARGO_BIN_EXE_rms_backward"),
        env!("CARGO_BIN_EXE_solution-rms_backward"),
    ),
    (
        "lstm_backward",
        env!("CARGO_BIN_EXE_lstm_backward"),
        env!("CARGO_BIN_EXE_solution-lstm_backward"),
    ),
    (
        "masked_batch_norm",
        env!("CARGO_BIN_EXE_masked_batch_norm"),
        env!("CARGO_BIN_EXE_solution-masked_batch_norm"),
    ),
    (
        "sequence_predictions",
        env!("CARGO_BIN_EXE_sequence_predictions"),
        env!("CARGO_BIN_EXE_solution-sequence_predictions"),
    ),
    (
        "attention_backward",
        env!("CARGO_BIN_EXE_attention_backward"),
        env!("CARGO_BIN_EXE_solution-attention_backward"),
    ),
    (
        "attention_predictions",
        env!("CARGO_BIN_EXE_attention_predictions"),
        env!("CARGO_BIN_EXE_solution-attention_predictions"),
    ),
    (
        "by_chance",
        env!("CARGO_BIN_EXE_by_chance"),
        env!("CARGO_BIN_EXE_solution-by_chance"),
    ),
    (
        "frozen_backward",
        env!("CARGO_BIN_EXE_frozen_backward"),
        env!("CARGO_BIN_EXE_solution-frozen_backward"),
    ),
    (
        "kept_bytes",
        env!("CARGO_BIN_EXE_kept_bytes"),
        env!("CARGO_BIN_EXE_solution-kept_bytes"),
    ),
    (
        "synchronized_statistics",
        env!("CARGO_BIN_EXE_synchronized_statistics"),
        env!("CARGO_BIN_EXE_solution-synchronized_statistics"),
    ),
    (
        "reach_predictions",
        env!("CARGO_BIN_EXE_reach_predictions"),
        env!("CARGO_BIN_EXE_solution-reach_predictions"),
    ),
];

fn run(program: &str) -> (bool, Report) {
    let mut command = Command::new(program);
    let name = Path::new(program).file_stem().unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    channel::ask(&mut command, &file);
    let status = command.status().unwrap();
    let report = channel::read(&file).unwrap().unwrap();
    fs::remove_file(file).unwrap();
    (status.success(), report)
}

/// The exercise as shipped, and whether the reader has left it so.
fn shipped(name: &str) -> (String, bool) {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let solution = fs::read_to_string(book.join(format!("solutions/{name}.rs"))).unwrap();
    let mut stub = String::new();
    let mut given: Option<String> = None;
    for line in solution.lines() {
        let text = line.trim_start();
        let space = &line[..line.len() - text.len()];
        if text.starts_with("// ANCHOR: solution") {
            given = Some(String::new());
        } else if text.starts_with("// ANCHOR_END: solution") {
            let given = given.take().unwrap();
            let todo = format!("{space}todo!()\n");
            stub += if given.is_empty() { &todo } else { &given };
        } else if let Some(given) = &mut given {
            if let Some(code) = text.strip_prefix("// SHIPPED: ") {
                *given += &format!("{space}{code}\n");
            }
        } else {
            stub += &format!("{line}\n");
        }
    }
    let file = fs::read_to_string(book.join(format!("exercises/{name}.rs"))).unwrap();
    (stub.clone(), file == stub)
}

#[test]
fn every_solution_passes() {
    for (name, _, solution) in PROGRAMS.iter().copied() {
        let (success, report) = run(solution);
        assert!(success && report.passed(), "{report}");
        assert_eq!(report.exercise, name);
        assert!(!report.lines.is_empty() && report.lines.iter().all(|line| line.right));
    }
}

/// Most are not written yet; one with a bug to find is wrong.
#[test]
fn every_exercise_as_shipped_fails() {
    for (name, exercise, _) in PROGRAMS.iter().copied() {
        let (stub, untouched) = shipped(name);
        assert!(stub.lines().count() < 32, "{stub}");
        let expected = if name.ends_with("find_the_bug") {
            Outcome::Wrong
        } else {
            let open = stub.contains("todo!()") || stub.contains("Undecided");
            assert!(open, "{stub}");
            Outcome::Unwritten
        };
        if !untouched {
            println!("{name} has been worked on; its program is not tested");
            continue;
        }
        let (success, report) = run(exercise);
        assert!(!success);
        assert_eq!(report.outcome, expected, "{report}");
    }
}

#[test]
fn without_the_variable_the_report_is_for_people() {
    let mut command = Command::new(PROGRAMS[0].2);
    channel::ask_nothing(&mut command);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("central_difference: it is the central difference"),
        "{text}"
    );
}

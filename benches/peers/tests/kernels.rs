//! The lines of appendix F are run as they are printed, and what they write is judged.

use diagnose::{Dtype, Facts, Outcome, Report, Subject, probe};
use gradcheck::attribution::norm::Norm;
use std::path::PathBuf;
use std::process::Command;

/// An example, which `cargo test` builds beside the tests.
fn example(name: &str) -> PathBuf {
    let deps = std::env::current_exe().expect("a test has a file");
    let target = deps.ancestors().nth(2).expect("target/profile/deps/test");
    let program = target.join("examples").join(name);
    assert!(
        program.exists(),
        "{} is not there: run `cargo test` with `--examples`, or without any selection",
        program.display()
    );
    program
}

#[test]
fn what_they_write_is_right() {
    for name in ["kernel_candle", "kernel_burn"] {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder to write in");
        let files = ["probe.safetensors", "mine.safetensors"].map(|file| folder.join(file));
        let norm = Norm::Layer { normalized: 1 };
        let contents = probe(norm, &[6, 8], 1e-5, Dtype::F32, 0).expect("a shape that shows");
        contents.write(&files[0]).expect("the probe is written");
        let status = Command::new(example(name)).current_dir(&folder).status();
        assert!(status.expect("it starts").success(), "{name}");
        let subject = Subject::read(&files, Facts::default()).expect("both files are read");
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
        let report = Report::new(&subject);
        let names: Vec<&str> = report.judged.iter().map(|j| j.target).collect();
        assert_eq!(names, ["y", "dx", "dgamma", "dbeta"], "{name}");
        assert_eq!(report.outcome, Outcome::Right, "{name}: {report}");
    }
}

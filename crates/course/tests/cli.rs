//! The command in a pipe: what it prints, and its exit code.

mod common;

use common::{Checkout, SOLUTION};
use std::net::TcpListener;
use std::process::Command;

#[test]
fn a_bad_flag_is_one_line() {
    let checkout = Checkout::new();
    for arguments in [
        &["--pott", "1"][..],
        &["--port", "many"],
        &["--port", "99999"],
        &["chekc"],
        &["hint", "--number", "4"],
        &["solution"],
    ] {
        let line = checkout.run(arguments).one_line();
        assert!(
            line.starts_with("error: ") && line.contains("course --help"),
            "{line}"
        );
    }
    let line = checkout.run(&["chekc"]).one_line();
    assert!(
        line.contains("similar subcommand exists: 'check'"),
        "{line}"
    );
}

#[test]
fn help_and_version_succeed() {
    let checkout = Checkout::new();
    let help = checkout.run(&["--help"]);
    assert_eq!(help.code(), 0);
    for word in [
        "list", "check", "hint", "solution", "reset", "watch", "book", "--port",
    ] {
        assert!(help.out().contains(word), "{word}");
    }
    assert_eq!(checkout.run(&["--version"]).code(), 0);
}

#[test]
fn a_taken_port_is_one_line() {
    let checkout = Checkout::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let line = checkout.run(&["--no-browser", "--port", &port]).one_line();
    assert!(line.contains(&format!("port {port} is taken")), "{line}");
}

#[test]
fn an_unknown_exercise_is_one_line() {
    let checkout = Checkout::new();
    for command in ["check", "hint", "solution", "reset"] {
        let line = checkout.run(&[command, "dubble"]).one_line();
        assert!(line.contains("did you mean `double`?"), "{line}");
    }
}

#[test]
fn a_missing_book_is_one_line() {
    let checkout = Checkout::new();
    std::fs::remove_file(checkout.file("book/src/SUMMARY.md")).unwrap();
    let line = checkout.run(&["book", "build"]).one_line();
    assert!(line.contains("book/src/SUMMARY.md"), "{line}");
    std::fs::remove_file(checkout.file("book/exercises/catalogue.toml")).unwrap();
    let line = checkout.run(&["list"]).one_line();
    assert!(line.contains("book/exercises/catalogue.toml"), "{line}");
}

/// Outside of any checkout, the one that the command was built from is used.
#[test]
fn outside_of_a_checkout_the_own_one_is_used() {
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_course"))
        .current_dir(empty.path())
        .arg("list")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("bn_backward_closed_form"),
        "{text}"
    );
}

#[test]
fn a_check_speaks_plainly_in_a_pipe_and_has_an_exit_code() {
    let checkout = Checkout::new();
    let wrong = checkout.run(&["check", "double"]);
    assert_eq!(wrong.code(), 1, "{}{}", wrong.out(), wrong.err());
    assert_eq!(wrong.out(), "✗ double: twice three [section 1.1]\n");
    assert!(
        checkout
            .read("book/progress.toml")
            .contains("[double]\nstate = \"tried\"\nattempts = 1")
    );

    checkout.write("book/exercises/double.rs", SOLUTION);
    let right = checkout.run(&["check"]);
    assert_eq!(right.code(), 0, "{}", right.out());
    assert!(right.out().starts_with("✓ double"));
    assert!(
        checkout
            .read("book/progress.toml")
            .contains("state = \"passed\"")
    );
    assert!(checkout.run(&["list"]).out().contains("1 of 1 passed"));

    checkout.write(
        "book/exercises/double.rs",
        "fn main() {\n    let x: f64 = \"one\";\n}\n",
    );
    let broken = checkout.run(&["check", "double"]);
    assert_eq!(broken.code(), 1);
    let text = broken.out();
    assert!(
        text.contains("double does not compile: 1 error\n"),
        "{text}"
    );
    assert!(
        text.contains("expected `f64`, found `&str`") && text.contains("double.rs:2"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn success_is_followed_by_the_explanation() {
    let checkout = Checkout::new();
    checkout.write("book/exercises/double.rs", SOLUTION);
    let right = checkout.run(&["check", "double"]);
    assert!(
        right.out().contains("Twice is twice.") && right.out().contains("Read next: Doubling"),
        "{}",
        right.out()
    );
}

#[test]
fn hints_come_one_at_a_time() {
    let checkout = Checkout::new();
    let first = checkout.run(&["hint"]).out();
    assert!(
        first.contains("Think.") && !first.contains("Multiply."),
        "{first}"
    );
    let second = checkout.run(&["hint", "double"]).out();
    assert!(
        second.contains("Think.") && second.contains("Multiply.") && !second.contains("2.0 * x"),
        "{second}"
    );
    let third = checkout.run(&["hint", "double", "--number", "3"]).out();
    assert!(third.contains("`2.0 * x`"), "{third}");
}

#[test]
fn the_solution_is_printed_without_its_marks() {
    let text = Checkout::new().run(&["solution", "double"]).out();
    assert!(
        text.contains("    2.0 * x\n") && !text.contains("ANCHOR"),
        "{text}"
    );
}

#[test]
fn a_reset_keeps_what_was_written() {
    let checkout = Checkout::new();
    for number in 1..=2 {
        checkout.write(
            "book/exercises/double.rs",
            &format!("// attempt {number}\n"),
        );
        assert_eq!(checkout.run(&["reset", "double"]).code(), 0);
        assert!(
            checkout
                .read("book/exercises/double.rs")
                .contains("    todo!()\n")
        );
        let kept = checkout.read(&format!("book/backups/double-{number}.rs"));
        assert_eq!(kept, format!("// attempt {number}\n"));
    }
    let again = checkout.run(&["reset", "double"]);
    assert!(again.out().contains("as it was shipped"));
    assert!(!checkout.file("book/backups/double-3.rs").exists());
}

#[test]
fn a_damaged_progress_file_is_told_and_left_alone() {
    let checkout = Checkout::new();
    checkout.write("book/progress.toml", "[double\n");
    let finished = checkout.run(&["check", "double"]);
    assert_eq!(finished.code(), 2);
    assert!(
        finished.err().contains("book/progress.toml cannot be read"),
        "{}",
        finished.err()
    );
    assert_eq!(checkout.read("book/progress.toml"), "[double\n");
}

/// A lab that prints what it is asked, and returns the number of its arguments.
const LAB: &str = r#"
fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("{}", arguments.join(" "));
    std::process::ExitCode::from(arguments.len() as u8)
}
"#;

#[test]
fn the_lab_is_a_program_of_its_own() {
    let checkout = Checkout::new();
    checkout.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"3\"\nmembers = [\"course\", \"lab\", \"book/exercises\"]\n",
    );
    let manifest = "[package]\nname = \"lab\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    checkout.write("lab/Cargo.toml", manifest);
    checkout.write("lab/src/main.rs", LAB);
    for (arguments, asked) in [
        (&["lab"][..], "run"),
        (&["lab", "digits", "--quick"], "run digits --quick"),
        (&["lab", "--help"], "run --help"),
        (&["verify"], "verify"),
        (&["book", "numbers"], "numbers"),
    ] {
        let finished = checkout.run(arguments);
        assert_eq!(finished.out().trim_end(), asked, "{}", finished.err());
        let count = asked.split(' ').count();
        assert_eq!(finished.code(), i32::try_from(count).unwrap(), "{asked}");
        assert_eq!(finished.err(), "");
    }
}

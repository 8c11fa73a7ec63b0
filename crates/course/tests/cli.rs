//! The command in a pipe: what it prints, and its exit code.

mod common;

use common::{Checkout, SOLUTION};
use course::catalogue::Catalogue;
use course::exit::FAILED;
use course::files::Lock;
use course::progress::Progress;
use course::prose::Layout;
use course::workspace::Workspace;
use course::{book, terminal};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, SystemTime};

#[test]
fn a_bad_flag_is_one_line() {
    let checkout = Checkout::new();
    for arguments in [
        &["--pott", "1"][..],
        &["--port", "many"],
        &["--port", "99999"],
        &["chekc"],
        &["hint", "--number", "0"],
        &["reset", "a", "b"],
    ] {
        let line = checkout.run(arguments).one_line();
        assert!(
            line.starts_with("error: ") && line.contains("`cargo run -- --help`"),
            "{line}"
        );
    }
    let line = checkout.run(&["chekc"]).one_line();
    assert!(
        line.contains("similar subcommand exists: 'check'"),
        "{line}"
    );
    // What is missing is named, with an example of the whole command.
    for (arguments, told) in [
        (&["reset"][..], "`cargo run -- reset bn_forward`"),
        (&["solution"], "`cargo run -- solution bn_forward`"),
        (&["book"], "`cargo run -- book build`"),
    ] {
        let line = checkout.run(arguments).one_line();
        assert!(line.starts_with("error: ") && line.contains(told), "{line}");
    }
    let line = checkout
        .run(&["hint", "double", "--number", "4"])
        .one_line();
    assert!(line.contains("double has 3 hints"), "{line}");
}

#[test]
fn help_and_version_succeed() {
    let checkout = Checkout::new();
    let help = checkout.run(&["--help"]);
    assert_eq!(help.code(), 0);
    for word in [
        "list", "check", "hint", "solution", "reset", "restore", "watch", "book", "--port",
    ] {
        assert!(help.out().contains(word), "{word}");
    }
    let usage = "Usage: cargo run -- [OPTIONS] [COMMAND]";
    assert!(help.out().contains(usage), "{}", help.out());
    assert_eq!(checkout.run(&["--version"]).code(), 0);
}

#[test]
fn a_taken_port_is_one_line() {
    let checkout = Checkout::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    // It is told at once, before a book that takes a while is built.
    checkout.write("book/src/SUMMARY.md", "- [Missing](missing.md)\n");
    let line = checkout.run(&["--no-browser", "--port", &port]).one_line();
    assert!(line.contains(&format!("port {port} is taken")), "{line}");
}

#[test]
fn an_unknown_exercise_is_one_line() {
    let checkout = Checkout::new();
    for command in ["check", "hint", "solution", "reset", "restore"] {
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

/// `cargo run` in the folder of a crate means that crate.
#[test]
fn the_course_is_found_from_every_folder_of_the_checkout() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for folder in ["", "book/exercises", "crates/tape/src"] {
        let mut cargo = Command::new(env!("CARGO"));
        let output = cargo
            .current_dir(root.join(folder))
            .arg("--list")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let alias = "alias: run --package course --";
        let found = text
            .lines()
            .map(str::trim)
            .any(|line| line.starts_with("course ") && line.ends_with(alias));
        assert!(found, "{folder}: {text}");
    }
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
    assert_eq!(
        wrong.out(),
        "✗ double: twice three [section 1.1, “Doubling”]\n"
    );
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
    for told in [
        "Twice is twice.",
        "Read next: “Doubling” (section 1.1)",
        "1 of 1 exercises passed. That was the last one.",
    ] {
        assert!(right.out().contains(told), "{}", right.out());
    }
}

#[test]
fn hints_come_one_at_a_time() {
    let checkout = Checkout::new();
    let first = checkout.run(&["hint"]).out();
    assert!(
        first.starts_with("`double` is the first exercise that has not passed.\n")
            && first.contains("Think.")
            && !first.contains("Multiply."),
        "{first}"
    );
    let second = checkout.run(&["hint", "double"]).out();
    assert!(
        second.starts_with("double, hint 2 of 3\n") && !second.contains("2.0 * x"),
        "{second}"
    );
    assert!(
        second.contains("`cargo run -- hint double` shows the next one."),
        "{second}"
    );
    let third = checkout.run(&["hint", "double"]).out();
    assert!(third.starts_with("double, hint 3 of 3\n"), "{third}");
    assert!(
        third.contains("That was the last hint; `cargo run -- solution double`"),
        "{third}"
    );
    // After the last, and up to a number, all of them.
    for all in [
        &["hint", "double"][..],
        &["hint", "double", "--number", "3"],
    ] {
        let all = checkout.run(all).out();
        assert!(
            all.starts_with("double, hint 1 of 3\n") && all.contains("`2.0 * x`"),
            "{all}"
        );
    }
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

/// An older file that is put back with its old time is judged as it is, in both
/// directions, though cargo goes by times; a later check in the same way.
#[test]
fn the_bytes_on_the_disk_are_judged_whatever_their_time() {
    let checkout = Checkout::new();
    let path = "book/exercises/double.rs";
    let long_ago = SystemTime::now() - Duration::from_secs(60 * 60 * 24);
    let put_back = |text: &str| {
        checkout.write(path, text);
        let file = File::options()
            .write(true)
            .open(checkout.file(path))
            .unwrap();
        file.set_modified(long_ago).unwrap();
    };
    let wrong = SOLUTION.replace("2.0 * x", "4.0 * x");
    for (text, code) in [(SOLUTION, 0), (&wrong, 1), (SOLUTION, 0), (SOLUTION, 0)] {
        put_back(text);
        let finished = checkout.run(&["check", "double"]);
        assert_eq!(
            finished.code(),
            code,
            "{}{}",
            finished.out(),
            finished.err()
        );
    }
}

/// Without a linker, or without room on the disk, nothing is said of what the reader has written.
#[test]
fn what_no_line_is_to_blame_for_is_no_verdict() {
    let checkout = Checkout::new();
    checkout.write("book/exercises/double.rs", SOLUTION);
    let mut course = checkout.course(&["check", "double"]);
    let output = course.env("RUSTFLAGS", "-C linker=no-linker").output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(i32::from(FAILED)), "{told}");
    let start = "error: cargo could not build `double`:\nerror: linker `no-linker` not found\n";
    assert!(told.starts_with(start), "{told}");
    assert!(!checkout.file("book/progress.toml").exists());
}

/// The same where the compiler alone cannot link: only cargo knows the linker.
#[cfg(target_os = "linux")]
#[test]
fn cargo_builds_anew_what_it_takes_for_built() {
    let checkout = Checkout::new();
    let which = |name: &str| {
        let paths = std::env::var_os("PATH").unwrap();
        let found = std::env::split_paths(&paths).map(|dir| dir.join(name));
        found.into_iter().find(|file| file.is_file()).unwrap()
    };
    // A path with cargo and the compiler, and no linker under its usual name.
    let bin = checkout.file("bin");
    std::fs::create_dir(&bin).unwrap();
    let text = |program: &str, arguments: &str| {
        let mut command = Command::new(program);
        let output = command.args(arguments.split(' ')).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let sysroot = text("rustc", "--print sysroot");
    for name in ["cargo", "rustc"] {
        let own = Path::new(sysroot.trim()).join("bin").join(name);
        let program = if own.is_file() { own } else { which(name) };
        std::os::unix::fs::symlink(program, bin.join(name)).unwrap();
    }
    let host = text("rustc", "-vV");
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let linker = checkout.file("linker");
    checkout.write(
        "linker",
        &format!(
            "#!/bin/sh\nPATH={:?} exec cc \"$@\"\n",
            std::env::var("PATH").unwrap()
        ),
    );
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&linker, all).unwrap();
    let config = format!("[target.{}]\nlinker = {linker:?}\n", host.unwrap());
    checkout.write(".cargo/config.toml", &config);
    let check = |text: &str| {
        checkout.write("book/exercises/double.rs", text);
        let file = File::options()
            .write(true)
            .open(checkout.file("book/exercises/double.rs"))
            .unwrap();
        let day = Duration::from_secs(60 * 60 * 24);
        file.set_modified(SystemTime::now() - day).unwrap();
        let mut course = checkout.course(&["check", "double"]);
        let output = course
            .env("PATH", &bin)
            .env("CARGO", bin.join("cargo"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), text)
    };
    let wrong = SOLUTION.replace("2.0 * x", "4.0 * x");
    assert_eq!(check(SOLUTION), (0, String::new()));
    assert_eq!(check(&wrong), (1, String::new()));
    assert_eq!(check(SOLUTION), (0, String::new()));
}

/// What the compiler says without pointing to a line is what there is to know.
/// The message, and where it is, without pages on the standard library.
#[test]
fn a_message_keeps_to_what_the_reader_wrote() {
    let checkout = Checkout::new();
    let wrong = SOLUTION.replace(
        "2.0 * x",
        "[x].iter().map(|v| v * 2).chain([x; 0u32]).sum()",
    );
    checkout.write("book/exercises/double.rs", &wrong);
    let text = checkout.run(&["check", "double"]).out();
    assert!(
        text.contains("cannot multiply `&f64` by `{integer}`")
            && text.contains("book/exercises/double.rs:3:")
            && !text.contains("library/core"),
        "{text}"
    );
}

#[test]
fn messages_that_point_to_no_line_are_shown() {
    let checkout = Checkout::new();
    let utf16: Vec<u8> = std::iter::once(0xfeff)
        .chain(SOLUTION.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    std::fs::write(checkout.file("book/exercises/double.rs"), utf16).unwrap();
    let finished = checkout.run(&["check", "double"]);
    assert_eq!(finished.code(), 1, "{}", finished.err());
    let text = finished.out();
    assert!(
        text.contains("1 error\n") && text.contains("stream did not contain valid UTF-8"),
        "{text}"
    );
}

/// What the reader's own code prints is shown, whole lines or not, and is no verdict.
#[test]
fn what_an_exercise_prints_is_shown_and_costs_no_verdict() {
    let checkout = Checkout::new();
    let print = "print!(\"n = {x} \"); eprintln!(\"again\"); dbg!(x); 2.0 * x";
    checkout.write(
        "book/exercises/double.rs",
        &SOLUTION.replace("2.0 * x", print),
    );
    let finished = checkout.run(&["check", "double"]);
    assert_eq!(finished.code(), 0, "{}{}", finished.out(), finished.err());
    let text = finished.out();
    assert!(
        text.starts_with("✓ double: twice three")
            && text.contains("\n    n = 3")
            && text.contains("\n    again\n")
            && text.contains("] x = 3.0\n"),
        "{text}"
    );
    // A report in print is words like any others.
    let forged = r#"println!("{{\"exercise\":\"double\",\"outcome\":\"passed\",\"headline\":\"right\"}}"); std::process::exit(0); 2.0 * x"#;
    checkout.write(
        "book/exercises/double.rs",
        &SOLUTION.replace("2.0 * x", forged),
    );
    let finished = checkout.run(&["check", "double"]);
    assert_eq!(finished.code(), 1);
    assert!(
        finished
            .out()
            .contains("ended without a verdict: exit status: 0"),
        "{}",
        finished.out()
    );
}

/// `check` in one terminal and `hint` in another: nothing of either is lost.
#[test]
fn commands_at_once_lose_no_progress() {
    let checkout = Checkout::new();
    assert_eq!(checkout.run(&["check", "double"]).code(), 1);
    let start = |arguments: &[&str]| {
        let mut course = checkout.course(arguments);
        course.stdout(Stdio::null()).spawn().unwrap()
    };
    let mut running: Vec<Child> = (0..3)
        .flat_map(|_| [&["check", "double"][..], &["hint", "double"]])
        .map(start)
        .collect();
    for child in &mut running {
        child.wait().unwrap();
    }
    let progress = checkout.read("book/progress.toml");
    assert!(
        progress.contains("attempts = 4\n") && progress.contains("hints = "),
        "{progress}"
    );
}

/// Another command may be busy until the time limit: a check that waits for it says so.
#[test]
fn a_check_that_waits_for_another_says_so() {
    let checkout = Checkout::new();
    checkout.write("book/exercises/double.rs", SOLUTION);
    let other = Lock::wait(&checkout.file("book/.course/judging")).unwrap();
    let mut command = checkout.course(&["check", "double"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = command.spawn().unwrap();
    let mut told = BufReader::new(check.stderr.take().unwrap()).lines();
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(told.next().unwrap().unwrap()));
    // One that says nothing waits as long as we do.
    let line = receiver.recv_timeout(Duration::from_secs(60));
    drop(other);
    assert!(check.wait_with_output().unwrap().status.success());
    let expected = "Another command is checking an exercise; double is next.";
    assert_eq!(line.as_deref(), Ok(expected));
}

#[test]
fn what_has_passed_stays_passed_and_a_change_is_told() {
    let checkout = Checkout::new();
    checkout.write("book/exercises/double.rs", SOLUTION);
    assert_eq!(checkout.run(&["check", "double"]).code(), 0);
    let list = || checkout.run(&["list"]).out();
    assert!(!list().contains("changed"), "{}", list());
    let wrong = SOLUTION.replace("2.0 * x", "4.0 * x");
    checkout.write("book/exercises/double.rs", &wrong);
    for _ in 0..2 {
        let text = list();
        assert!(
            text.contains("✓ double  passed  Twice (changed since it passed)")
                && text.contains("1 of 1 passed"),
            "{text}"
        );
        assert_eq!(checkout.run(&["check", "double"]).code(), 1);
    }
    // Begun anew, and what had passed brought back.
    checkout.write("book/exercises/double.rs", SOLUTION);
    let [changed, same] = [" (changed since it passed)\n", "\n"];
    for (command, note) in [("reset", changed), ("restore", same)] {
        assert_eq!(checkout.run(&[command, "double"]).code(), 0);
        let row = format!("✓ double  passed  Twice{note}");
        assert!(list().starts_with(&row), "{command}: {}", list());
    }
}

/// A file that is gone stops no other command, and `reset` brings it back.
#[test]
fn a_missing_exercise_is_told_and_brought_back() {
    let checkout = Checkout::new();
    std::fs::remove_file(checkout.file("book/exercises/double.rs")).unwrap();
    let list = checkout.run(&["list"]);
    assert_eq!(list.code(), 0, "{}", list.err());
    assert!(list.out().contains("(its file is gone)"), "{}", list.out());
    let check = checkout.run(&["check"]);
    assert_eq!(check.code(), 1, "{}", check.err());
    assert!(
        check.out().contains("double.rs is gone") && check.out().contains("reset double"),
        "{}",
        check.out()
    );
    assert!(
        !checkout.file("book/progress.toml").exists()
            || !checkout.read("book/progress.toml").contains("double")
    );
    assert_eq!(checkout.run(&["book", "build"]).code(), 0);
    let reset = checkout.run(&["reset", "double"]);
    assert_eq!(reset.code(), 0, "{}", reset.err());
    assert_eq!(
        reset.out(),
        "book/exercises/double.rs is as it was shipped\n"
    );
    assert!(
        checkout
            .read("book/exercises/double.rs")
            .contains("todo!()")
    );
    assert!(
        !checkout.file("book/backups").exists()
            || checkout
                .file("book/backups")
                .read_dir()
                .unwrap()
                .next()
                .is_none()
    );
}

/// A folder in the place of an exercise is a verdict on this one, and no end of the check.
#[test]
fn an_exercise_that_cannot_be_read_is_told() {
    let checkout = Checkout::new();
    std::fs::remove_file(checkout.file("book/exercises/double.rs")).unwrap();
    std::fs::create_dir(checkout.file("book/exercises/double.rs")).unwrap();
    let check = checkout.run(&["check"]);
    assert_eq!((check.code(), check.err().as_str()), (1, ""));
    assert!(
        check
            .out()
            .contains("double: cannot read book/exercises/double.rs"),
        "{}",
        check.out()
    );
    let list = checkout.run(&["list"]).out();
    assert!(list.contains("(its file cannot be read)"), "{list}");
}

#[test]
fn a_file_that_is_no_text_is_reset_too() {
    let checkout = Checkout::new();
    std::fs::write(checkout.file("book/exercises/double.rs"), b"\xff\xfe").unwrap();
    assert_eq!(checkout.run(&["reset", "double"]).code(), 0);
    let kept = std::fs::read(checkout.file("book/backups/double-1.rs")).unwrap();
    assert_eq!(kept, b"\xff\xfe");
}

#[test]
fn a_backup_is_brought_back_and_what_is_there_is_kept() {
    let checkout = Checkout::new();
    let path = "book/exercises/double.rs";
    let line = checkout.run(&["restore", "double"]).one_line();
    assert!(line.contains("`double` has no backup"), "{line}");
    for text in ["// one\n", "// two\n"] {
        checkout.write(path, text);
        assert_eq!(checkout.run(&["reset", "double"]).code(), 0);
    }
    // The newest, and the stub in its place is not worth a backup.
    let newest = checkout.run(&["restore", "double"]);
    assert_eq!(newest.code(), 0, "{}", newest.err());
    assert_eq!(
        newest.out(),
        "book/exercises/double.rs is again what book/backups/double-2.rs holds\n\
         Its backups are 1, 2; `cargo run -- restore double --number N` brings back another than the newest.\n"
    );
    assert_eq!(checkout.read(path), "// two\n");
    assert!(!checkout.file("book/backups/double-3.rs").exists());
    // A chosen one, and what was written since is kept.
    checkout.write(path, "// three\n");
    let first = checkout.run(&["restore", "double", "--number", "1"]).out();
    assert!(
        first.contains(
            "; what you wrote is in book/backups/double-3.rs, and `cargo run -- restore double` brings that back\n"
        ),
        "{first}"
    );
    assert_eq!(checkout.read(path), "// one\n");
    assert_eq!(checkout.read("book/backups/double-3.rs"), "// three\n");
    let line = checkout
        .run(&["restore", "double", "--number", "9"])
        .one_line();
    assert!(line.contains("no backup 9; it has 1, 2, 3"), "{line}");
    // As promised; and from then on nothing changes.
    for told in ["again what", "what"] {
        let newest = checkout.run(&["restore", "double"]).out();
        let told = format!("{path} is {told} book/backups/double-3.rs holds\n");
        assert!(newest.starts_with(&told), "{newest}");
        assert_eq!(checkout.read(path), "// three\n");
    }
    assert!(!checkout.file("book/backups/double-4.rs").exists());
}

/// From a folder inside the checkout, a relative target directory is the one that the
/// reader means.
#[test]
fn a_relative_target_directory_is_meant_from_where_the_reader_stands() {
    let checkout = Checkout::new();
    let mut course = checkout.course(&["check", "double"]);
    let output = course
        .current_dir(checkout.file("book"))
        .env("CARGO_TARGET_DIR", "built")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(checkout.file("book/built/debug").is_dir());
    assert!(!checkout.file("built").exists());
}

/// Nothing that the commands print about the exercises of the book has a label in it, or
/// what only a page can show; and no line is longer than the terminal is wide.
#[test]
fn the_words_of_every_exercise_are_fit_for_a_terminal() {
    let workspace = Workspace::find().unwrap();
    let catalogue = Catalogue::load(&workspace).unwrap();
    let labels = book::labels(&workspace).unwrap();
    let (wide, narrow) = (None, Some(60));
    let progress = Progress::default();
    for exercise in &catalogue.exercises {
        for width in [wide, narrow] {
            let layout = Layout::of_width(&labels, width);
            let hints = terminal::hints(exercise, 1..=exercise.hints.len(), &layout);
            let after = terminal::after_success(exercise, &catalogue, &progress, &layout);
            for text in [hints, after] {
                let text = anstream::adapter::strip_str(&text).to_string();
                for raw in ["](", "$", "\\", "the chapter.", " in the book."] {
                    assert!(!text.contains(raw), "{}: {raw} in\n{text}", exercise.name);
                }
                for kind in ["eq:", "sec:", "tab:", "fig:", "lst:", "ch:"] {
                    let label = text.match_indices(kind).any(|(at, _)| {
                        let after = text[at + kind.len()..].chars().next();
                        after.is_some_and(|c| c.is_ascii_lowercase())
                    });
                    assert!(!label, "{}: {kind} in\n{text}", exercise.name);
                }
                let longest = text.lines().map(|line| line.chars().count()).max();
                assert!(width.is_none() || longest <= width, "{text}");
            }
        }
    }
}

/// A program that prints its name and what it is asked, and returns the number of both.
const PROGRAM: &str = r#"
fn main() -> std::process::ExitCode {
    let arguments = std::env::args().skip(1);
    let all: Vec<String> = [env!("CARGO_PKG_NAME").to_owned()].into_iter().chain(arguments).collect();
    println!("{}", all.join(" "));
    std::process::ExitCode::from(all.len() as u8)
}
"#;

#[test]
fn the_lab_and_its_like_are_programs_of_their_own() {
    let checkout = Checkout::new();
    let programs = ["lab", "verify", "diagnose", "examine", "numbers", "benches"];
    let members = programs.map(|name| format!("\"{name}\", ")).concat();
    checkout.write(
        "Cargo.toml",
        &format!(
            "[workspace]\nresolver = \"3\"\nmembers = [\"course\", {members}\"book/exercises\"]\n"
        ),
    );
    for name in programs {
        let manifest =
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        checkout.write(&format!("{name}/Cargo.toml"), &manifest);
        checkout.write(&format!("{name}/src/main.rs"), PROGRAM);
    }
    let elsewhere = checkout.file("book/src");
    for (arguments, asked) in [
        (&["lab"][..], "lab run"),
        (&["lab", "digits", "--quick"], "lab run digits --quick"),
        (&["lab", "--help"], "lab run --help"),
        (&["lab", "draw", "digits"], "lab draw digits"),
        (&["verify"], "verify"),
        (&["probe", "--norm", "rms"], "diagnose probe --norm rms"),
        (&["diagnose", "--help"], "diagnose diagnose --help"),
        (
            &["examine", "score", "a", "--json"],
            "examine score a --json",
        ),
        (&["book", "numbers"], "numbers"),
        (&["speed", "--python", "p"], "benches --mine --python p"),
    ] {
        let finished = checkout.run(arguments);
        assert_eq!(finished.out().trim_end(), asked, "{}", finished.err());
        let count = asked.split(' ').count();
        assert_eq!(finished.code(), i32::try_from(count).unwrap(), "{asked}");
        assert_eq!(finished.err(), "");
        // From any folder, with the settings of the checkout, into the same folder.
        let relative = "../../target";
        let output = checkout
            .course(arguments)
            .current_dir(&elsewhere)
            .env("CARGO_TARGET_DIR", relative)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.trim_end(), asked);
    }
    let folder = std::fs::read_dir(&elsewhere).unwrap();
    assert_eq!(folder.count(), 3, "only the chapters stand there");
    assert!(!checkout.path().parent().unwrap().join("target").exists());
}

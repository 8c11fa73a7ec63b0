//! The running course: what it serves, to whom, and what it tells an open page.

mod common;

use common::{Checkout, Course, SOLUTION, slow};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

impl Course {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(120)))
            .unwrap();
        stream
    }

    /// Sends a request, whole, and returns the answer.
    fn ask(&self, method: &str, path: &str, headers: &str) -> String {
        let mut stream = self.connect();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn host(&self) -> String {
        format!("Host: {}\r\n", self.address)
    }

    fn events(&self) -> Events {
        let mut stream = self.connect();
        write!(stream, "GET /events HTTP/1.1\r\n{}\r\n", self.host()).unwrap();
        Events(BufReader::new(stream))
    }
}

struct Events(BufReader<TcpStream>);

impl Events {
    /// The next event of any kind.
    fn any(&mut self) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(json) = line.strip_prefix("data: ") {
                return serde_json::from_str(json).unwrap();
            }
        }
    }

    /// The next event of this kind; others before it are passed over.
    fn next(&mut self, kind: &str) -> Value {
        loop {
            let mut line = String::new();
            assert!(
                self.0.read_line(&mut line).unwrap() > 0,
                "the stream ended before `{kind}`"
            );
            if let Some(json) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(json).unwrap();
                if event["event"] == kind {
                    return event;
                }
            }
        }
    }
}

#[test]
fn only_the_built_book_is_served_and_only_to_its_own_pages() {
    let checkout = Checkout::new();
    checkout.write("book/secret.html", "secret");
    let course = Course::start(&checkout);
    let host = course.host();
    let page = course.ask("GET", "/one.html", &host);
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for header in [
        "Content-Type: text/html; charset=utf-8",
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' 'sha256-",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
    ] {
        assert!(page.contains(header), "{header} is missing");
    }
    assert!(!page.contains("script-src 'self' 'unsafe-inline'"));
    assert!(course.ask("GET", "/", &host).contains("200"));
    for path in [
        "/../secret.html",
        "/%2e%2e/secret.html",
        "/..%2fsecret.html",
        "/none.html",
        "//etc/passwd",
        "/book.toml",
    ] {
        let answer = course.ask("GET", path, &host);
        assert!(
            answer.starts_with("HTTP/1.1 404") && !answer.ends_with("secret"),
            "{path}: {answer}"
        );
    }
    let port = course.address.rsplit(':').next().unwrap();
    for headers in [
        format!("Host: evil.example:{port}\r\n"),
        "Host: 127.0.0.1\r\n".to_owned(),
        format!("{host}Origin: http://evil.example\r\n"),
        format!("{host}Origin: null\r\n"),
    ] {
        for path in ["/one.html", "/events"] {
            let answer = course.ask("GET", path, &headers);
            assert!(answer.starts_with("HTTP/1.1 403"), "{headers}: {answer}");
            assert!(!answer.contains("<html"), "{answer}");
        }
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = course.ask(method, "/one.html", &host);
        assert!(answer.starts_with("HTTP/1.1 405"), "{method}: {answer}");
    }
}

#[test]
fn a_save_brings_a_verdict_to_the_open_page() {
    let checkout = Checkout::new();
    let course = Course::start(&checkout);
    let mut events = course.events();
    let state = events.next("state");
    assert_eq!(state["exercises"][0]["page"], "one.html#exercise:double");
    assert_eq!(state["exercises"][0]["state"], "open");

    // Saved in place: still wrong.
    checkout.write(
        "book/exercises/double.rs",
        &SOLUTION.replace("2.0 * x", "4.0 * x"),
    );
    assert_eq!(events.next("checking")["exercise"], "double");
    let verdict = events.next("verdict");
    assert_eq!(verdict["state"], "tried");
    assert_eq!(verdict["verdict"]["outcome"], "wrong");
    assert_eq!(verdict["section"]["href"], "one.html#sec:doubling");

    // Saved by rename, as many editors do: right.
    checkout.write("book/exercises/.double.rs.swp", SOLUTION);
    std::fs::rename(
        checkout.file("book/exercises/.double.rs.swp"),
        checkout.file("book/exercises/double.rs"),
    )
    .unwrap();
    assert_eq!(events.next("verdict")["state"], "passed");
    assert!(checkout.read("book/progress.toml").contains("passed"));

    // What it prints is shown there too.
    let print = "print!(\"x = {x}\"); 2.0 * x";
    checkout.write(
        "book/exercises/double.rs",
        &SOLUTION.replace("2.0 * x", print),
    );
    let verdict = events.next("verdict");
    assert_eq!(verdict["verdict"]["outcome"], "passed");
    assert_eq!(verdict["printed"], "x = 3");

    // It does not compile.
    checkout.write("book/exercises/double.rs", "fn main() { missing() }\n");
    let verdict = events.next("verdict");
    assert_eq!(verdict["verdict"]["kind"], "uncompiled");
    let messages = verdict["verdict"]["messages"].as_str().unwrap();
    assert!(
        messages.contains("cannot find function `missing`") && !messages.contains('\u{1b}'),
        "{messages}"
    );

    // A page that is opened later is told the same.
    let state = course.events().next("state");
    assert_eq!(state["exercises"][0]["verdict"]["kind"], "uncompiled");
}

/// A run that takes its time is followed, by a page that is opened in its middle too; it makes
/// room for what is saved, and its last moment stays until it is run anew.
#[test]
fn a_run_that_takes_its_time_is_followed() {
    let checkout = Checkout::new();
    checkout.takes_its_time(60);
    let course = Course::start(&checkout);
    let mut events = course.events();
    assert!(events.next("state")["exercises"][0]["moment"].is_null());

    // Saved again in its middle: the first run is stopped, and nothing is said of it.
    checkout.write("book/exercises/double.rs", &slow(50_000));
    assert_eq!(events.next("checking")["exercise"], "double");
    assert_eq!(events.next("moment")["moment"]["done"], 1);
    let moment = course.events().next("state")["exercises"][0]["moment"].clone();
    assert_eq!(moment["told"], "so far 1");
    assert!(moment["drawing"][1].as_str().unwrap().starts_with("<svg"));
    checkout.write("book/exercises/double.rs", &slow(300));
    let mut seen = Vec::new();
    let verdict = loop {
        let event = events.any();
        match event["event"].as_str() {
            Some("verdict") => break event,
            Some("moment") => seen.push(event["moment"]["done"].clone()),
            _ => {}
        }
    };
    // On a busy machine one in the middle may be missed.
    let steps: Vec<u64> = seen.iter().filter_map(Value::as_u64).collect();
    assert!(steps.is_sorted() && steps.last() == Some(&3), "{steps:?}");
    assert_eq!(verdict["verdict"]["outcome"], "passed");
    assert_eq!(verdict["moment"]["done"], 3);
    let state = course.events().next("state");
    assert_eq!(state["exercises"][0]["moment"]["done"], 3);

    // What fails before it runs has nothing to show.
    checkout.write("book/exercises/double.rs", "fn main() { missing() }\n");
    assert!(events.next("verdict")["moment"].is_null());
    assert!(
        checkout
            .read("book/progress.toml")
            .contains("attempts = 2\n")
    );
}

#[test]
fn a_run_ends_when_its_time_is_over() {
    let checkout = Checkout::new();
    checkout.takes_its_time(2);
    let course = Course::start(&checkout);
    let mut events = course.events();
    checkout.write("book/exercises/double.rs", &slow(50_000));
    let verdict = events.next("verdict");
    assert_eq!(verdict["verdict"]["kind"], "endless");
    assert_eq!(verdict["verdict"]["seconds"], 2);
    // And so it is told at a terminal, with a line for each tenth.
    drop(course);
    let finished = checkout.run(&["check", "double"]);
    assert!(finished.out().contains("did not end within 2 seconds"));
    let line = "double ██████░░░░░░░░░░░░░░ 1 of 3: so far 1\n";
    assert_eq!(finished.err(), line);
}

#[test]
fn a_saved_chapter_is_rebuilt_and_a_broken_one_is_told() {
    let checkout = Checkout::new();
    let course = Course::start(&checkout);
    let mut events = course.events();
    let first = events.next("state")["build"].clone();
    checkout.write("book/src/two.md", "# Two\n\nRewritten.\n");
    assert_ne!(events.next("state")["build"], first);
    assert!(
        course
            .ask("GET", "/two.html", &course.host())
            .contains("Rewritten.")
    );

    checkout.write("book/src/two.md", "# Two\n\n$\\bad$\n");
    let message = events.next("broken")["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("book/src/two.md:3"), "{message}");
    assert!(
        course
            .ask("GET", "/two.html", &course.host())
            .contains("Rewritten.")
    );

    // A listing's source outside of the book is watched too.
    checkout.write("book/src/two.md", "# Two\n");
    events.next("state");
    let code = checkout.read("code/lib.rs");
    checkout.write("code/lib.rs", &code.replace("2.0 * x", "x + x"));
    events.next("state");
    assert!(
        course
            .ask("GET", "/one.html", &course.host())
            .contains("x + x")
    );
}

/// Pages that hold their stream open, and connections that say nothing, keep no other
/// page waiting.
#[test]
fn many_open_pages_keep_none_waiting() {
    let checkout = Checkout::new();
    let course = Course::start(&checkout);
    let mut open: Vec<Events> = (0..200).map(|_| course.events()).collect();
    let silent: Vec<TcpStream> = (0..200).map(|_| course.connect()).collect();
    for events in &mut open {
        events.next("state");
    }
    let pages: Vec<_> = std::thread::scope(|scope| {
        let ask = || course.ask("GET", "/one.html", &course.host());
        let asked: Vec<_> = (0..24).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|page| page.join().unwrap()).collect()
    });
    assert!(
        pages
            .iter()
            .all(|page| page.starts_with("HTTP/1.1 200") && page.ends_with("</html>\n"))
    );
    drop(silent);
}

/// Without a file descriptor left, pages are answered all the same, no file is taken to
/// be gone, and nothing is recorded that the reader did not do.
#[cfg(unix)]
#[test]
fn a_lack_of_descriptors_is_survived() {
    let checkout = Checkout::new();
    let course = checkout.course(&["--no-browser"]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 64; exec \"$0\" --no-browser"])
        .arg(course.get_program())
        .current_dir(checkout.path());
    for (name, value) in course.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let course = Course::start_as(command);
    let silent: Vec<TcpStream> = (0..150).map(|_| course.connect()).collect();
    let page = course.ask("GET", "/one.html", &course.host());
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    // Each that is given back is taken again, so that the regular scan reads no folder.
    let mut last = Vec::new();
    for _ in 0..40 {
        last.push(course.connect());
        std::thread::sleep(Duration::from_millis(50));
    }
    drop((silent, last));
    let mut events = course.events();
    let first = events.next("state")["build"].clone();
    checkout.write("book/src/two.md", "# Two\n");
    assert_ne!(events.next("state")["build"], first);
    // What seemed to be gone would have come back by now.
    assert!(!checkout.file("book/progress.toml").exists());
    checkout.write("book/exercises/double.rs", SOLUTION);
    assert_eq!(events.next("verdict")["state"], "passed");
    assert!(
        checkout
            .read("book/progress.toml")
            .contains("attempts = 1\n")
    );
}

#[test]
fn a_request_that_is_none_is_refused() {
    let checkout = Checkout::new();
    let course = Course::start(&checkout);
    let mut stream = course.connect();
    stream.write_all(b"hello\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    let head = course.ask("HEAD", "/one.html", &course.host());
    assert!(
        head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

/// Without `--port`, a second course takes a free port.
#[test]
fn two_courses_run_side_by_side() {
    let (one, two) = (Checkout::new(), Checkout::new());
    let (one, two) = (Course::start(&one), Course::start(&two));
    assert_ne!(one.address, two.address);
}

/// Both would check every save.
#[test]
fn a_second_course_on_the_same_book_is_refused_with_the_address_of_the_first() {
    let checkout = Checkout::new();
    let course = Course::start(&checkout);
    for arguments in [&["--no-browser"][..], &["watch"]] {
        let line = checkout.run(arguments).one_line();
        let address = format!("runs already at http://{}/", course.address);
        assert!(line.contains(&address), "{line}");
    }
    drop(course);
    drop(Course::start(&checkout));
}

/// What other commands record while the course runs is kept, and shown.
#[test]
fn progress_of_other_commands_is_kept_and_shown() {
    let checkout = Checkout::new();
    let course = Course::start(&checkout);
    let mut events = course.events();
    events.next("state");
    checkout.run(&["hint", "double"]);
    // The file that passes is not the one that the running course sees afterwards.
    checkout.write("book/exercises/double.rs", SOLUTION);
    assert_eq!(events.next("verdict")["state"], "passed");
    checkout.run(&["check", "double"]);
    let wrong = SOLUTION.replace("2.0 * x", "4.0 * x");
    checkout.write("book/exercises/double.rs", &wrong);
    let verdict = events.next("verdict");
    assert_eq!(verdict["verdict"]["outcome"], "wrong");
    assert_eq!(verdict["state"], "passed");
    let progress = checkout.read("book/progress.toml");
    for line in ["hints = 1\n", "attempts = 3\n", "state = \"passed\"\n"] {
        assert!(progress.contains(line), "{line}{progress}");
    }
    checkout.write("book/progress.toml", "");
    let mut state = events.next("state");
    while state["exercises"][0]["state"] != "open" {
        state = events.next("state");
    }
}

#[test]
fn a_deleted_exercise_is_told_and_comes_back() {
    let checkout = Checkout::new();
    let course = Course::start(&checkout);
    let mut events = course.events();
    std::fs::remove_file(checkout.file("book/exercises/double.rs")).unwrap();
    let verdict = events.next("verdict");
    assert_eq!(verdict["verdict"]["kind"], "missing");
    assert_eq!(verdict["state"], "open");
    assert_eq!(checkout.run(&["reset", "double"]).code(), 0);
    assert_eq!(events.next("verdict")["exercise"], "double");
}

/// While only the exercise changes, its file is compiled and nothing else is looked at;
/// cargo is asked again when something else has changed or the exercise does not compile.
#[cfg(unix)]
#[test]
fn cargo_is_asked_only_when_it_is_needed() {
    use std::os::unix::fs::PermissionsExt;
    let checkout = Checkout::new();
    let counter = "#!/bin/sh\necho asked >> asked.txt\n[ -e next.rs ] && mv next.rs book/exercises/double.rs\nexec cargo \"$@\"\n";
    checkout.write("counted", counter);
    let all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(checkout.file("counted"), all).unwrap();
    checkout.write("asked.txt", "");
    checkout.write("book/exercises/src/lib.rs", "pub const TWICE: f64 = 2.0;\n");
    let asked = || checkout.read("asked.txt").lines().count();
    let mut command = checkout.course(&["--no-browser"]);
    command.env("CARGO", checkout.file("counted"));
    let course = Course::start_as(command);
    let mut events = course.events();
    let mut save = |body: &str| {
        let text = SOLUTION.replace("2.0 * x", body);
        checkout.write("book/exercises/double.rs", &text);
        events.next("verdict")
    };
    assert_eq!(save("5.0 * x")["verdict"]["outcome"], "wrong");
    assert_eq!(asked(), 1);
    assert_eq!(save("2.0 * x * 1.0")["verdict"]["outcome"], "passed");
    assert_eq!(save("4.0 * x")["verdict"]["outcome"], "wrong");
    assert_eq!(asked(), 1, "a save alone needs no cargo");
    // What does not compile is told in cargo's words.
    assert_eq!(save("missing(x)")["verdict"]["kind"], "uncompiled");
    assert_eq!(asked(), 2);
    assert_eq!(save("2.0 * x + 0.0")["verdict"]["outcome"], "passed");
    assert_eq!(asked(), 2);
    // `unsafe` is refused by the manifest, and so by the compiler alone.
    let messages = save("unsafe { 2.0 * x }")["verdict"]["messages"].to_string();
    assert!(messages.contains("unsafe"), "{messages}");
    assert_eq!(asked(), 3);
    // The library behind the exercise is a part of what it is linked with.
    assert_eq!(save("exercises::TWICE * x")["verdict"]["outcome"], "passed");
    assert_eq!(asked(), 3);
    checkout.write(
        "book/exercises/src/lib.rs",
        "pub const TWICE: f64 = 20.0;\n",
    );
    let verdict = save("exercises::TWICE * x + 0.0");
    assert_eq!(verdict["verdict"]["outcome"], "wrong");
    assert_eq!(asked(), 4);
    // What cargo is given may be better than what the compiler was given before, and says nothing
    // against the compiler.
    checkout.write("next.rs", SOLUTION);
    assert_eq!(save("missing(x)")["verdict"]["outcome"], "passed");
    assert_eq!(save("2.0 * x - 0.0")["verdict"]["outcome"], "passed");
    assert_eq!(asked(), 5);
}

/// A library behind the exercise of which each program needs a function.
#[cfg(target_os = "linux")]
fn library(checkout: &Checkout, factor: f64) {
    let text = format!("pub fn double(x: f64) -> f64 {{\n    {factor:?} * x\n}}\n");
    checkout.write("book/exercises/src/lib.rs", &text);
}

/// The exercise as it uses this library, another text each time.
#[cfg(target_os = "linux")]
fn use_of_library(time: u32) -> String {
    let body = format!("exercises::double(x) + {time}.0 - {time}.0");
    SOLUTION.replace("2.0 * x", &body)
}

/// A file in the folder of what the course itself compiles, which is this checkout's own.
#[cfg(target_os = "linux")]
fn judged(checkout: &Checkout, name: &str) -> std::path::PathBuf {
    let all = checkout.file("target/debug/judged");
    let own = std::fs::read_dir(&all).ok().and_then(|mut own| own.next());
    own.map_or(all, |own| own.unwrap().path()).join(name)
}

/// Whether the program that ran last is linked with the shared library. It is removed, for cargo
/// would put the next one elsewhere.
#[cfg(target_os = "linux")]
fn is_shared(checkout: &Checkout) -> bool {
    let file = judged(checkout, "double");
    let program = std::fs::read(&file);
    let _ = std::fs::remove_file(file);
    let name = b"libexercises.so";
    program.is_ok_and(|bytes| bytes.windows(name.len()).any(|part| part == name))
}

/// Once nobody waits, all that exercises are linked with becomes one shared library, which is
/// what the next ones are linked with; no longer than it is right.
#[cfg(target_os = "linux")]
#[test]
fn exercises_are_linked_with_a_shared_library_that_is_never_an_old_one() {
    let checkout = Checkout::new();
    library(&checkout, 2.0);
    let course = Course::start(&checkout);
    let mut events = course.events();
    let mut saved = 0;
    let mut save = || {
        saved += 1;
        checkout.write("book/exercises/double.rs", &use_of_library(saved));
        events.next("verdict")["verdict"]["outcome"].clone()
    };
    // It is built in the background.
    let mut until_shared = |right: &str| {
        for _ in 0..100 {
            assert_eq!(save(), right);
            if is_shared(&checkout) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no program is linked with a shared library");
    };
    until_shared("passed");

    // Another library behind the exercise.
    library(&checkout, 20.0);
    until_shared("wrong");
    library(&checkout, 2.0);
    until_shared("passed");

    // Something else has taken its place: exercises do without from then on.
    let file = judged(&checkout, "libexercises.so");
    std::fs::write(&file, "no library").unwrap();
    for _ in 0..10 {
        assert_eq!(save(), "passed");
        assert!(!is_shared(&checkout));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"no library");
}

/// Where a program does not find the shared library, none is linked with it.
#[cfg(target_os = "linux")]
#[test]
fn a_shared_library_that_is_not_found_is_left_alone() {
    let checkout = Checkout::new();
    library(&checkout, 2.0);
    let compiler = "#!/bin/sh\nfor word; do\n    shift\n    [ \"$word\" = rpath ] && word=rpath=no\n    \
                    set -- \"$@\" \"$word\"\ndone\nexec rustc \"$@\"\n";
    let mut command = checkout.course(&["--no-browser"]);
    command.env("RUSTC", checkout.script("compiler", compiler));
    let course = Course::start_as(command);
    let mut events = course.events();
    let mut save = |time| {
        checkout.write("book/exercises/double.rs", &use_of_library(time));
        let verdict = events.next("verdict");
        assert_eq!(verdict["verdict"]["outcome"], "passed", "{verdict}");
    };
    save(0);
    let tried = || judged(&checkout, "trial").exists();
    for _ in 0..600 {
        if tried() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(tried(), "none was tried");
    for time in 1..4 {
        std::thread::sleep(Duration::from_millis(200));
        save(time);
        assert!(!is_shared(&checkout));
    }
}

/// What a check is at before the exercise runs is told to every page, one that is opened in the
/// meantime too.
#[cfg(unix)]
#[test]
fn a_page_is_told_what_is_compiled_meanwhile() {
    let checkout = Checkout::new();
    // A cargo that says how far it is, and goes on when it is told to.
    let cargo = "#!/bin/sh\nprintf '    Blocking waiting for file lock\\n' >&2\n\
                 printf '    Building [=> ] 3/7: tape, nn   \\r' >&2\n\
                 while [ ! -e go ]; do sleep 0.05; done\n\
                 printf '    Building [===> ] 6/7: double(bin)\\r' >&2\nexec cargo \"$@\"\n";
    let mut command = checkout.course(&["--no-browser"]);
    command.env("CARGO", checkout.script("slow-cargo", cargo));
    let course = Course::start_as(command);
    let mut events = course.events();
    events.next("state");
    checkout.write("book/exercises/double.rs", SOLUTION);
    let mut told = |words: &str| {
        let checking = events.next("checking")["checking"].clone();
        assert_eq!(checking["words"], words);
        checking["count"].clone()
    };
    assert!(told("checking").is_null());
    assert!(told("waiting for another cargo").is_null());
    let count = told("compiling what it needs");
    assert_eq!(count, serde_json::json!([3, 7]));
    let state = course.events().next("state");
    assert_eq!(state["exercises"][0]["checking"]["count"], count);
    checkout.write("go", "");
    assert!(told("compiling").is_null());
    assert_eq!(events.next("verdict")["verdict"]["outcome"], "passed");
    let state = course.events().next("state");
    assert!(state["exercises"][0]["checking"].is_null());
}

/// Two checkouts may have one folder for what is built, as `CARGO_TARGET_DIR` names it. Each is
/// judged by its own program all the same, even when both are at work.
#[cfg(unix)]
#[test]
fn checkouts_that_share_a_target_do_not_judge_each_other() {
    let target = tempfile::tempdir().unwrap();
    let course = |body: &str| {
        let checkout = Checkout::new();
        let mut command = checkout.course(&["--no-browser"]);
        command.env("CARGO_TARGET_DIR", target.path());
        // Time enough for the other one.
        let compiler = "#!/bin/sh\nrustc \"$@\" || exit 1\nsleep 0.1\n";
        command.env("RUSTC", checkout.script("compiler", compiler));
        let course = Course::start_as(command);
        (SOLUTION.replace("2.0 * x", body), checkout, course)
    };
    let saves = |(text, checkout, course): (String, Checkout, Course), wanted: &str| {
        let mut events = course.events();
        for time in 0..10 {
            checkout.write("book/exercises/double.rs", &format!("{text}// {time}\n"));
            let verdict = events.next("verdict");
            assert_eq!(verdict["verdict"]["outcome"], wanted, "{time}: {verdict}");
        }
    };
    let (right, wrong) = (course("2.0 * x"), course("4.0 * x"));
    std::thread::scope(|scope| {
        scope.spawn(|| saves(right, "passed"));
        scope.spawn(|| saves(wrong, "wrong"));
    });
}

//! A small checkout of its own for each test: a book of two chapters and one exercise
//! whose package has no dependencies, so that it compiles in a moment.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

pub struct Checkout {
    dir: tempfile::TempDir,
}

pub const CHAPTER: &str = "\
# One {#ch:one}

The slope is $f'(x)$, see [](#eq:slope) and [](#sec:doubling).

$$
s = \\frac{f(x + h)
  - f(x)}{h}
$$ {#eq:slope}

## Doubling {#sec:doubling}

{{#listing code/lib.rs:double \"Twice\" #lst:double}}

{{#exercise double}}
";

pub const SOLUTION: &str = "\
fn double(x: f64) -> f64 {
    // ANCHOR: solution
    2.0 * x
    // ANCHOR_END: solution
}

fn main() {
    let right = double(3.0) == 6.0;
    let outcome = if right { \"passed\" } else { \"wrong\" };
    let report = format!(\"{{\\\"exercise\\\":\\\"double\\\",\\\"outcome\\\":\\\"{outcome}\\\",\\\"headline\\\":\\\"twice three\\\",\\\"section\\\":\\\"sec:doubling\\\"}}\");
    std::fs::write(std::env::var_os(\"EXERCISE_REPORT\").unwrap(), report).unwrap();
    std::process::exit(if right { 0 } else { 1 });
}
";

/// A drawing with this title, in a size that all of them have.
fn drawing(title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 300 90\" role=\"img\"><title>{title}</title><path d=\"M0 0h9\"/></svg>"
    )
}

/// The exercise as one that takes its time: it shows each of three steps, and waits so many
/// milliseconds after each.
pub fn slow(wait: u64) -> String {
    let function = SOLUTION.split("fn main").next().unwrap();
    let drawing = drawing("step {done}");
    format!(
        "{function}
fn main() {{
    let report = std::path::PathBuf::from(std::env::var_os(\"EXERCISE_REPORT\").unwrap());
    for done in 1..=3 {{
        let drawing = format!(r#\"{drawing}\"#).replace('\"', \"\\\\\\\"\");
        let text = format!(r#\"{{{{\"done\":{{done}},\"of\":3,\"told\":\"so far {{done}}\",\"drawing\":[\"{{drawing}}\",\"{{drawing}}\"]}}}}\"#);
        std::fs::write(report.with_extension(\"new\"), text).unwrap();
        std::fs::rename(report.with_extension(\"new\"), report.with_extension(\"moment\")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis({wait}));
    }}
    let right = double(3.0) == 6.0;
    let outcome = if right {{ \"passed\" }} else {{ \"wrong\" }};
    let text = format!(r#\"{{{{\"exercise\":\"double\",\"outcome\":\"{{outcome}}\",\"headline\":\"twice three\"}}}}\"#);
    std::fs::write(report, text).unwrap();
    std::process::exit(if right {{ 0 }} else {{ 1 }});
}}
"
    )
}

impl Checkout {
    pub fn new() -> Self {
        let checkout = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let manifest = |name: &str, more: &str| {
            format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}")
        };
        checkout.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"course\", \"book/exercises\"]\n",
        );
        checkout.write("course/Cargo.toml", &manifest("course", ""));
        checkout.write("course/src/lib.rs", "");
        // Where `cargo run` puts the command itself, beside the programs of the exercises.
        let own = format!("target/debug/course{}", std::env::consts::EXE_SUFFIX);
        checkout.write(&own, "");
        checkout.write(
            "book/exercises/Cargo.toml",
            &manifest(
                "exercises",
                "autobins = false\n[[bin]]\nname = \"double\"\npath = \"double.rs\"\n[lints.rust]\nunsafe_code = \"forbid\"\n",
            ),
        );
        checkout.write("book/exercises/src/lib.rs", "");
        checkout.write(
            "book/exercises/double.rs",
            &SOLUTION.replace("2.0 * x", "3.0 * x"),
        );
        checkout.write("book/solutions/double.rs", SOLUTION);
        checkout.write(
            "book/exercises/catalogue.toml",
            "[[exercise]]\nname = \"double\"\ntitle = \"Twice\"\ntask = \"Double `x`, as in [](#eq:slope).\"\n\
             hints = [\"Think.\", \"Multiply.\", \"`2.0 * x`\"]\nexplanation = \"Twice is twice.\"\nread_next = \"[Doubling](#sec:doubling)\"\n",
        );
        checkout.write(
            "book/book.toml",
            "[book]\ntitle = \"Small\"\n[output.html]\nhash-files = false\n[output.html.playground]\nrunnable = false\n",
        );
        checkout.write("book/macros.toml", "xhat = '\\hat{x}'\n");
        checkout.write(
            "book/src/SUMMARY.md",
            "# Summary\n\n- [One](one.md)\n- [Two](two.md)\n",
        );
        checkout.write("book/src/one.md", CHAPTER);
        checkout.write(
            "book/src/two.md",
            "# Two\n\nBack to [](#ch:one), by [](#eq:slope).\n",
        );
        checkout.write(
            "code/lib.rs",
            "impl Twice {\n    // ANCHOR: double\n    fn double(x: f64) -> f64 {\n        2.0 * x\n    }\n    // ANCHOR_END: double\n}\n",
        );
        checkout
    }

    /// Makes the exercise one that takes its time, of so many seconds at most, and its page one
    /// that shows a still until it runs.
    pub fn takes_its_time(&self, seconds: u64) {
        let catalogue = self.read("book/exercises/catalogue.toml");
        let run = format!("[exercise.run]\nseconds = {seconds}\nfigure = \"fig:run\"\n");
        self.write("book/exercises/catalogue.toml", &(catalogue + &run));
        for (file, title) in [("run.svg", "still"), ("run-narrow.svg", "still, narrow")] {
            self.write(&format!("book/src/figures/{file}"), &drawing(title));
        }
        let figure = "{{#figure figures/run.svg \"A run\" #fig:run}}\n\n{{#exercise double}}";
        let chapter = self.read("book/src/one.md");
        self.write(
            "book/src/one.md",
            &chapter.replace("{{#exercise double}}", figure),
        );
    }

    /// Gives it the looks and the scripts of the book itself.
    pub fn adopt_theme(&self) {
        let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book");
        fs::copy(book.join("book.toml"), self.file("book/book.toml")).unwrap();
        copy(&book.join("theme"), &self.file("book/theme"));
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A program for a shell.
    #[cfg(unix)]
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        self.write(name, text);
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(self.file(name), all).unwrap();
        self.file(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// `course` with these arguments, not yet started.
    pub fn course(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_course"));
        command
            .current_dir(self.path())
            .args(arguments)
            .env("CARGO_TARGET_DIR", self.file("target"))
            .env("CARGO_NET_OFFLINE", "true")
            .env_remove("RUSTFLAGS")
            .env_remove("CLICOLOR_FORCE");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Finished {
        Finished(self.course(arguments).output().unwrap())
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

pub struct Finished(Output);

impl Finished {
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    pub fn out(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn err(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// The one line of an error.
    #[track_caller]
    pub fn one_line(&self) -> String {
        assert_eq!(self.code(), 2, "{}{}", self.out(), self.err());
        let text = self.err();
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
        text
    }
}

/// The command of a reader at work: it serves the book and watches the exercises.
pub struct Course {
    child: Child,
    pub address: String,
}

impl Drop for Course {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Course {
    pub fn start(checkout: &Checkout) -> Self {
        Self::start_as(checkout.course(&["--no-browser"]))
    }

    pub fn start_as(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("The book is at http://").unwrap();
        let address = address.trim_end_matches('/').to_owned();
        // The rest is read and dropped, or a full pipe would stop the course.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        Self { child, address }
    }
}

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

//! All that exercises are linked with, as one shared library.
//!
//! To link a program is to read the libraries that it uses and to write again what it takes
//! of them: most of the time from a save to its verdict. A program that is linked with a
//! shared library holds the exercise alone. Cargo cannot be asked for one without building
//! it for everybody, so the compiler makes it of what cargo has built, while nobody waits.
//!
//! It is a gain and no need: where it cannot be built, or a program that is linked with it
//! does not run, exercises are linked as they would be without it.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the compiler is told of a program that is linked with it: the standard library is
/// shared as well, and both are found where they lie.
pub(crate) const FLAGS: [&str; 4] = ["-C", "prefer-dynamic", "-C", "rpath"];

/// The library goes by the name of the one that it is made of, so that an exercise needs no
/// word for it. It has one function more, for a program that tries it.
const SOURCE: &str = "\
pub use inner::*;
#[inline(never)]
pub fn is_shared() -> bool {
    true
}
";
const TRIAL: &str = "\
fn main() {
    assert!(exercises::is_shared());
}
";

/// A shared library that a program has run with.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    file: PathBuf,
}

impl Shared {
    /// Builds it of `library`, in the folder of the programs, where Windows looks for it.
    /// `compiler` begins each command of the compiler's.
    pub(crate) fn build(
        compiler: impl Fn() -> Command,
        library: &Path,
        folder: &Path,
    ) -> Option<Self> {
        let file = folder.join(format!("{DLL_PREFIX}exercises{DLL_SUFFIX}"));
        let source = folder.join("shared.rs");
        fs::create_dir_all(folder).ok()?;
        fs::write(&source, SOURCE).ok()?;
        let mut command = compiler();
        command
            .args(["--crate-type", "dylib", "--crate-name", "exercises"])
            .args(["-C", "metadata=shared", "-C", "strip=debuginfo"])
            .args(FLAGS);
        if cfg!(target_os = "linux") {
            // It calls its own functions, without a look for others of the same name in each
            // program that starts: there are tens of thousands.
            command.args(["-C", "link-arg=-Wl,-Bsymbolic-functions"]);
        }
        command.arg("--extern").arg(named("inner=", library));
        succeeds(command.arg("-o").arg(&file).arg(source))?;
        Self { file }.tried(compiler(), folder)
    }

    /// Itself, if a program runs that is linked with it.
    fn tried(self, mut compiler: Command, folder: &Path) -> Option<Self> {
        let source = folder.join("trial.rs");
        let program = folder.join(format!("trial{EXE_SUFFIX}"));
        fs::write(&source, TRIAL).ok()?;
        compiler.args(["--crate-type", "bin", "--crate-name", "trial"]);
        compiler.args(FLAGS).arg("--extern").arg(self.named());
        succeeds(compiler.arg("-o").arg(&program).arg(source))?;
        succeeds(&mut Command::new(program))?;
        Some(self)
    }

    /// How the compiler is told where it is.
    pub(crate) fn named(&self) -> OsString {
        named("exercises=", &self.file)
    }
}

/// An argument that ends in a path, which need not be text.
pub(crate) fn named(text: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(text);
    argument.push(path);
    argument
}

/// Runs a command of which only the end is of interest.
fn succeeds(command: &mut Command) -> Option<()> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().ok()?.success().then_some(())
}

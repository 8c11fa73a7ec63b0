//! The processes that are compared, one for each side, asked one at a time.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use benches::cases::Case;
use benches::timing::Timing;
use serde_json::{Value, json};

/// The outputs of a case by name, each as its fingerprint.
pub type Prints = Vec<(String, [f64; 2])>;

/// Who takes part, in the order of the tables.
///
/// `torch-keep` is PyTorch once more, with a C library that keeps the memory it was given back.
/// As glibc is set up, each large array is memory fresh from the system, whose pages are made
/// while the kernel writes them; [`KEEP`] asks it to cut arrays of any size from what it has.
pub const NAMES: [&str; 5] = ["ours", "torch", "torch-keep", "candle", "burn"];

/// The environment in which glibc keeps freed memory, whatever the size.
const KEEP: [(&str, &str); 2] = [
    ("MALLOC_MMAP_MAX_", "0"),
    ("MALLOC_TRIM_THRESHOLD_", "1099511627776"),
];

/// A side, waiting for requests.
pub struct Side {
    /// One of [`NAMES`].
    pub name: String,
    /// The version it announced.
    pub version: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Side {
    /// Starts `command` and waits until it has announced itself.
    pub fn start(name: &str, threads: usize, mut command: Command) -> Result<Side> {
        // One number of threads for every pool that could be used; 1 is one thread.
        for variable in [
            "RAYON_NUM_THREADS",
            "OMP_NUM_THREADS",
            "MKL_NUM_THREADS",
            "MATMUL_NUM_THREADS",
        ] {
            command.env(variable, threads.to_string());
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name} ({command:?})"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        let version = String::new();
        let mut side = Side {
            name: name.into(),
            version,
            child,
            input,
            output,
        };
        let hello = side.read()?;
        side.version = hello["version"].as_str().unwrap_or("unknown").into();
        if hello["threads"] != threads {
            bail!(
                "{name} runs with {} threads instead of {threads}",
                hello["threads"]
            );
        }
        Ok(side)
    }

    /// Times `case`.
    pub fn measure(&mut self, case: &Case, budget_ms: u64) -> Result<Timing> {
        let answer = self.ask(&json!({ "case": case.to_string(), "budget_ms": budget_ms }))?;
        let number = |key: &str| {
            answer[key]
                .as_f64()
                .ok_or_else(|| anyhow!("{}: no {key} in {answer}", self.name))
        };
        Ok(Timing {
            median_ns: number("median_ns")?,
            min_ns: number("min_ns")?,
            samples: number("samples")? as usize,
        })
    }

    /// How far its memory grows above what it was before, over `calls` calls of `case` with
    /// batches `times` as large as usual, in bytes. To be asked of a fresh process.
    pub fn peak(&mut self, case: &Case, times: usize, calls: usize) -> Result<u64> {
        let request = json!({ "case": case.to_string(), "times": times, "peak_over": calls });
        let answer = self.ask(&request)?;
        answer["peak_bytes"]
            .as_u64()
            .ok_or_else(|| anyhow!("{}: no peak_bytes in {answer}", self.name))
    }

    /// The fingerprints of what the side computes for `case`, by name.
    pub fn check(&mut self, case: &Case) -> Result<Prints> {
        let answer = self.ask(&json!({ "case": case.to_string(), "check": true }))?;
        serde_json::from_value::<std::collections::BTreeMap<String, [f64; 2]>>(
            answer["check"].clone(),
        )
        .map(|prints| prints.into_iter().collect())
        .with_context(|| format!("{}: {answer}", self.name))
    }

    fn ask(&mut self, request: &Value) -> Result<Value> {
        let input = self.input.as_mut().context("the side was told to stop")?;
        writeln!(input, "{request}")
            .and_then(|()| input.flush())
            .with_context(|| format!("{} is gone", self.name))?;
        self.read()
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            bail!("{} stopped without an answer", self.name);
        }
        let value: Value =
            serde_json::from_str(&line).with_context(|| format!("{}: {line:?}", self.name))?;
        match value["error"].as_str() {
            Some(error) => bail!("{}: {error}", self.name),
            None => Ok(value),
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // The end of its input tells a side to stop.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// How each side is started, for those that can be.
pub struct Launcher {
    python: Option<PathBuf>,
    peers: Option<PathBuf>,
}

impl Launcher {
    /// Finds a Python with PyTorch, and builds Candle and Burn, as far as `wanted`.
    ///
    /// What was not asked for by name may be missing: it is left out with a line that
    /// says so.
    pub fn prepare(wanted: &[String], python: Option<&Path>) -> Result<Launcher> {
        let mut launcher = Launcher {
            python: None,
            peers: None,
        };
        if wanted.iter().any(|name| name.starts_with("torch")) {
            let candidate = python.unwrap_or(Path::new("python3"));
            if has_torch(candidate) {
                launcher.python = Some(candidate.into());
            } else if python.is_some() {
                bail!("{} cannot import torch", candidate.display());
            } else {
                eprintln!(
                    "PyTorch is left out: python3 cannot import torch; name one that can with --python PATH"
                );
            }
        }
        if wanted.iter().any(|name| name == "candle" || name == "burn") {
            match build_peers() {
                Ok(path) => launcher.peers = Some(path),
                Err(error) => eprintln!("Candle and Burn are left out: {error:#}"),
            }
        }
        Ok(launcher)
    }

    /// Starts `name`, or returns `None` when it was left out.
    pub fn start(&self, name: &str, threads: usize) -> Result<Option<Side>> {
        let command = match name {
            "ours" => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--serve", &threads.to_string()]);
                command
            }
            "torch" | "torch-keep" => {
                let Some(python) = &self.python else {
                    return Ok(None);
                };
                let mut command = Command::new(python);
                command
                    .arg(folder().join("torch_bench.py"))
                    .arg(threads.to_string());
                if name == "torch-keep" {
                    command.envs(KEEP);
                }
                command
            }
            "candle" | "burn" => {
                let Some(peers) = &self.peers else {
                    return Ok(None);
                };
                let mut command = Command::new(peers);
                command.arg(name);
                command
            }
            other => bail!("there is no side {other:?}; there are {}", NAMES.join(", ")),
        };
        Side::start(name, threads, command).map(Some)
    }
}

/// The peers' package.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn has_torch(python: &Path) -> bool {
    let status = Command::new(python)
        .args(["-c", "import torch"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Builds the peers beside our own binary and returns theirs.
fn build_peers() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .nth(2)
        .context("no target folder")?
        .join("peers");
    // Our kernels choose their instruction set when they run. The peers are compiled for this
    // machine, so that they have it too.
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked", "--target-dir"])
        .arg(&target)
        .current_dir(folder())
        .env("RUSTFLAGS", "-C target-cpu=native")
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo could not build {}", folder().display());
    }
    Ok(target.join("release").join("peers"))
}

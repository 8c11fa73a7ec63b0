//! The measurements behind the numbers in the book, one file each.
//!
//! A number, table or plot in a chapter is never typed: the chapter quotes a file in
//! `book/results`, and [`regenerate`] writes that file. Everything is seeded, and uses
//! correctly rounded arithmetic and the `libm` crate only, so that the files come out
//! the same, byte for byte, on every machine; a test holds the committed ones to it.

mod attention;
mod by_chance;
mod cancellation;
#[cfg(test)]
mod claims;
mod convolution;
mod cost_counted;
mod family;
mod kernels;
mod ln_backward;
mod ln_batch;
mod ln_scale;
mod ln_worked;
mod matmul_loss;
mod mistakes;
mod on_tape;
mod one_reading;
mod paired;
mod plot;
mod projection;
mod pytorch;
mod random;
mod ridders;
mod running_stats;
mod scalar_tape;
mod sequences;
mod signatures;
mod speed;
mod tensors;
mod u_curve;
mod vacuous;
mod worked;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::runs::place;

/// One measurement: its name, the chapter that quotes it, and what computes it.
pub struct Measurement {
    /// The stem of its files.
    pub name: &'static str,
    /// The number of the chapter, or [`APPENDIX`].
    pub chapter: u32,
    /// One line that says what is measured.
    pub about: &'static str,
    run: fn() -> Output,
}

/// Stands for the number of a chapter where an appendix quotes the results.
pub const APPENDIX: u32 = 0;

/// Every measurement, in the order of the chapters.
pub const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        name: "u_curve",
        chapter: 1,
        about: "error of difference quotients against the step, in f64 and f32",
        run: u_curve::run,
    },
    Measurement {
        name: "ridders",
        chapter: 1,
        about: "estimated against true error of extrapolated derivatives",
        run: ridders::run,
    },
    Measurement {
        name: "vacuous",
        chapter: 1,
        about: "wrong Batch Norm gradients that different checks let through",
        run: vacuous::run,
    },
    Measurement {
        name: "scalar_tape",
        chapter: 2,
        about: "a neuron on a scalar tape, and multiplications of a sweep beside all routes",
        run: scalar_tape::run,
    },
    Measurement {
        name: "tensors",
        chapter: 3,
        about: "the adjoint of broadcasting, a silent broadcast, and the error of long sums",
        run: tensors::run,
    },
    Measurement {
        name: "on_tape",
        chapter: 4,
        about: "a printed tape, what it saves for the backward pass, and an op from outside",
        run: on_tape::run,
    },
    Measurement {
        name: "matmul_loss",
        chapter: 5,
        about: "multiplications of matrix products, and cross-entropy by its formula and stable",
        run: matmul_loss::run,
    },
    Measurement {
        name: "worked",
        chapter: 7,
        about: "four values through Batch Norm, forward and backward",
        run: worked::run,
    },
    Measurement {
        name: "cancellation",
        chapter: 7,
        about: "relative error of two variance formulas against the size of the mean",
        run: cancellation::run,
    },
    Measurement {
        name: "running_stats",
        chapter: 7,
        about: "running variance against the number of batches, three conventions",
        run: running_stats::run,
    },
    Measurement {
        name: "projection",
        chapter: 8,
        about: "share of the gradient's energy that Batch Norm lets through, against N",
        run: projection::run,
    },
    Measurement {
        name: "signatures",
        chapter: 8,
        about: "coefficients of the three paths in correct and mistaken gradients",
        run: signatures::run,
    },
    Measurement {
        name: "kernels",
        chapter: 9,
        about: "what Batch Norm keeps, composed and fused, and sums in three orders",
        run: kernels::run,
    },
    Measurement {
        name: "one_reading",
        chapter: 9,
        about: "relative error of the variance, read once or twice, when the mean is large",
        run: one_reading::run,
    },
    Measurement {
        name: "speed",
        chapter: 9,
        about: "times of the norms' kernels against the memory bandwidth, from benches/results",
        run: speed::run,
    },
    Measurement {
        name: "convolution",
        chapter: 10,
        about: "a convolution and its gradients, in front of norms, and what its many values are worth",
        run: convolution::run,
    },
    Measurement {
        name: "paired",
        chapter: 11,
        about: "what batches that vary take from test accuracy, seed by seed",
        run: paired::run,
    },
    Measurement {
        name: "ln_worked",
        chapter: 12,
        about: "two rows through Layer Norm, forward and backward",
        run: ln_worked::run,
    },
    Measurement {
        name: "ln_scale",
        chapter: 12,
        about: "what Layer Norm and RMS Norm make of a row that is scaled or shifted",
        run: ln_scale::run,
    },
    Measurement {
        name: "ln_batch",
        chapter: 12,
        about: "what other examples do to the output of one, Layer Norm beside Batch Norm",
        run: ln_batch::run,
    },
    Measurement {
        name: "ln_backward",
        chapter: 13,
        about: "gradients that Layer Norm sends to nothing, its mistakes, and long column sums",
        run: ln_backward::run,
    },
    Measurement {
        name: "sequences",
        chapter: 14,
        about: "an LSTM step, gradients through time, and batch statistics of sequences",
        run: sequences::run,
    },
    Measurement {
        name: "attention",
        chapter: 15,
        about: "a row of attention by hand, the scale of scores, and gradients by depth",
        run: attention::run,
    },
    Measurement {
        name: "by_chance",
        chapter: 16,
        about: "how often two sets of results are clearly apart by chance, counted and drawn",
        run: by_chance::run,
    },
    Measurement {
        name: "cost_counted",
        chapter: 17,
        about: "what a norm adds to a training step, counted, and Batch Norm folded away",
        run: cost_counted::run,
    },
    Measurement {
        name: "family",
        chapter: 18,
        about: "norms over the axes of images, and Batch Norm of one batch on several workers",
        run: family::run,
    },
    Measurement {
        name: "mistakes",
        chapter: APPENDIX,
        about: "every mistake that a checker knows, and the sentence it prints",
        run: mistakes::run,
    },
    Measurement {
        name: "pytorch",
        chapter: APPENDIX,
        about: "names and shapes of the layers' parameters, here and in PyTorch",
        run: pytorch::run,
    },
];

/// What a measurement produces: its numbers, and its plots and texts by file stem.
struct Output {
    json: String,
    plots: Vec<(&'static str, String)>,
    texts: Vec<(&'static str, String)>,
}

impl Output {
    fn new(results: &impl Serialize) -> Self {
        let mut json = serde_json::to_string_pretty(results).expect("plain data serializes");
        json.push('\n');
        Self {
            json,
            plots: Vec::new(),
            texts: Vec::new(),
        }
    }

    fn plot(mut self, stem: &'static str, svg: String) -> Self {
        self.plots.push((stem, svg));
        self
    }

    fn text(mut self, stem: &'static str, text: String) -> Self {
        self.texts.push((stem, text));
        self
    }
}

/// Runs one measurement and writes `results/<name>.json`, its texts beside it and its
/// plots under `src/figures` of `book`, the folder of the book. Returns the paths written.
///
/// # Errors
/// When a folder or file cannot be written.
pub fn regenerate(measurement: &Measurement, book: &Path) -> io::Result<Vec<PathBuf>> {
    files_of(measurement)
        .into_iter()
        .map(|(path, text)| write(&book.join(path), &text))
        .collect()
}

/// Writes `results/measurements.json` of `book`, the list of all measurements and their
/// files. Returns its path.
///
/// # Errors
/// When a folder or the file cannot be written.
pub fn regenerate_list(book: &Path) -> io::Result<PathBuf> {
    let (path, text) = list();
    write(&book.join(path), &text)
}

fn write(path: &Path, text: &str) -> io::Result<PathBuf> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)?;
    Ok(path.to_owned())
}

/// A measurement in the list of them.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    chapter: String,
    about: &'static str,
    /// The names of its files, numbers first.
    files: String,
}

/// The path and the text of the list of all measurements.
fn list() -> (PathBuf, String) {
    let listed = |measurement: &Measurement| {
        let name = |(path, _): &(PathBuf, String)| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.unwrap_or_default().into_owned()
        };
        let files: Vec<String> = files_of(measurement).iter().map(name).collect();
        Listed {
            name: measurement.name,
            chapter: place(measurement.chapter),
            about: measurement.about,
            files: files.join(", "),
        }
    };
    let all: Vec<Listed> = MEASUREMENTS.iter().map(listed).collect();
    let text = Output::new(&all).json;
    (Path::new("results").join("measurements.json"), text)
}

/// The files of a measurement, relative to the folder of the book, and their text.
fn files_of(measurement: &Measurement) -> Vec<(PathBuf, String)> {
    let output = (measurement.run)();
    let json = Path::new("results").join(format!("{}.json", measurement.name));
    let plots = output.plots.into_iter().map(|(stem, svg)| {
        let path = Path::new("src/figures").join(format!("{stem}.svg"));
        (path, svg)
    });
    let texts = output.texts.into_iter().map(|(stem, text)| {
        let path = Path::new("results").join(format!("{stem}.txt"));
        (path, text)
    });
    std::iter::once((json, output.json))
        .chain(plots)
        .chain(texts)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder of the book, from this crate.
    fn book() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../book")
    }

    #[test]
    fn committed_files_are_what_the_code_computes() {
        let mut stale = Vec::new();
        let all = MEASUREMENTS.iter().flat_map(files_of);
        for (path, text) in all.chain([list()]) {
            let committed = fs::read_to_string(book().join(&path)).unwrap_or_default();
            // A checkout on Windows may have turned line ends into CRLF.
            if committed.replace("\r\n", "\n") != text {
                stale.push(path.display().to_string());
            }
        }
        assert!(
            stale.is_empty(),
            "these files of the book differ from what the code computes now: {stale:?}; \
             run `cargo run -- book numbers` and read the chapters again"
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = MEASUREMENTS.iter().map(|m| m.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MEASUREMENTS.len());
    }
}

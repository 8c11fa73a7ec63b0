//! The cases: gradients that are right, and gradients with one thing wrong.

use data_encoding::HEXLOWER;
use diagnose::tolerance::{Tolerance, Types};
use diagnose::{Array, Contents, Dtype, Entry, Facts, probe, write_text};
use gradcheck::attribution::norm::{Given, Kind, Norm, Probe, Target};
use judge::claims::{Gradients, wrong};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// What an examination is made of. The same values make the same cases, as long as the program
/// that makes them is the same.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Exam {
    /// `batch`, `layer`, `rms` or `group`.
    pub norm: String,
    /// Over how many of the last axes Layer Norm and RMS Norm go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalized: Option<usize>,
    /// The groups of Group Norm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<usize>,
    /// The shape of x.
    pub shape: Vec<usize>,
    /// What is added to the variance.
    pub eps: f64,
    /// `f64`, `f32`, `f16` or `bf16`.
    pub dtype: String,
    /// Another seed makes other numbers, in another order.
    pub seed: u64,
    /// How many cases; all mistakes, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<usize>,
    /// How the files end: `safetensors` or `npz`.
    pub format: String,
}

/// A mistake.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    /// `dx: mean-path-missing`.
    pub name: String,
    /// What is wrong, as a clause.
    pub sentence: String,
    /// The anchor of the section of the book on it.
    pub section: &'static str,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, and that of its file.
    pub name: String,
    /// What is wrong with its gradients; none if they are right.
    pub fault: Option<Fault>,
    /// Its file.
    pub contents: Contents,
}

/// The file beside the cases that says what they are made of.
const SETTINGS: &str = "examine.json";

/// What stands in it.
#[derive(Deserialize, Serialize)]
struct Settings {
    #[serde(flatten)]
    exam: Exam,
    /// Of the cases, so that answers are never held to others than were written.
    digest: String,
}

/// So many wrong cases stand beside one that is right.
const WRONG_TO_RIGHT: usize = 2;

impl Exam {
    /// That of the cases in a folder, and these.
    ///
    /// # Errors
    /// One line, when there is none, or when the cases that were written are not those that this
    /// program makes, whose answers it knows.
    pub fn read(folder: &Path) -> Result<(Self, Vec<Case>), String> {
        let file = folder.join(SETTINGS);
        let about = |why: String| format!("{}: {why}", file.display());
        let text = fs::read_to_string(&file).map_err(|why| about(why.to_string()))?;
        let settings: Settings =
            serde_json::from_str(&text).map_err(|why| about(why.to_string()))?;
        let Settings { exam, digest } = settings;
        let cases = exam.cases()?;
        if digest_of(&cases) != digest {
            let folder = folder.display();
            return Err(about(format!(
                "the cases of {folder} were written by another version of this program, or for \
                 other settings, and their answers are not known; write them again"
            )));
        }
        for case in &cases {
            let path = exam.file(folder, case);
            // Whoever has answered may have put the files away.
            if path.exists() && contents_digest(&diagnose::read(&path)?) != case.digest() {
                return Err(format!(
                    "{}: this is not the case that was written; write the cases again",
                    path.display()
                ));
            }
        }
        Ok((exam, cases))
    }

    /// The file of a case.
    #[must_use]
    pub fn file(&self, folder: &Path, case: &Case) -> PathBuf {
        folder.join(format!("{}.{}", case.name, self.format))
    }

    /// Writes the cases into a folder that is new or empty.
    ///
    /// # Errors
    /// One line, when no such cases can be made, or they cannot be written.
    pub fn write(&self, folder: &Path) -> Result<Vec<Case>, String> {
        let cases = self.cases()?;
        let about = |why: std::io::Error| format!("{}: {why}", folder.display());
        fs::create_dir_all(folder).map_err(about)?;
        if fs::read_dir(folder).map_err(about)?.next().is_some() {
            return Err(format!(
                "{} is not empty; give a folder for the cases alone",
                folder.display()
            ));
        }
        for case in &cases {
            case.contents.write(&self.file(folder, case))?;
        }
        // Last: a folder that has it is whole.
        let settings = Settings {
            exam: self.clone(),
            digest: digest_of(&cases),
        };
        let text = serde_json::to_string_pretty(&settings).expect("plain data serializes");
        write_text(&folder.join(SETTINGS), &format!("{text}\n"))?;
        Ok(cases)
    }

    /// All cases, in an order that tells nothing.
    ///
    /// # Errors
    /// One line, when no such cases can be made.
    pub fn cases(&self) -> Result<Vec<Case>, String> {
        let facts = Facts {
            norm: Some(self.norm.clone()),
            normalized: self.normalized,
            groups: self.groups,
            ..Facts::default()
        };
        let norm = facts.norm(None)?;
        let dtype: Dtype = self.dtype.parse()?;
        if !["safetensors", "npz"].contains(&self.format.as_str()) {
            let format = &self.format;
            return Err(format!("`{format}` is no format: safetensors or npz"));
        }
        let mut rng = StdRng::seed_from_u64(self.seed);
        let point = Point::new(norm, self, dtype, self.seed)?;
        let mut wrongs: Vec<Option<usize>> = (0..wrong(&point.probe).len()).map(Some).collect();
        wrongs.shuffle(&mut rng);
        if let Some(cases) = self.cases {
            let most = wrongs.len() + wrongs.len() / WRONG_TO_RIGHT;
            if cases > most {
                return Err(format!(
                    "there are {most} cases of this norm, but {cases} are asked for"
                ));
            }
            wrongs.truncate((cases * WRONG_TO_RIGHT).div_ceil(WRONG_TO_RIGHT + 1));
        }
        let rights = match self.cases {
            Some(cases) => cases.saturating_sub(wrongs.len()),
            None => wrongs.len() / WRONG_TO_RIGHT,
        };
        let mut order = [wrongs, vec![None; rights]].concat();
        order.shuffle(&mut rng);
        let digits = order.len().to_string().len();
        let mut cases = Vec::new();
        for number in order {
            let point = Point::new(norm, self, dtype, rng.random())?;
            let (fault, contents) = point.case(number);
            // What rounding may do is no mistake that a check could find.
            let Some(contents) = contents else { continue };
            cases.push(Case {
                name: format!("case-{:0digits$}", cases.len() + 1),
                fault,
                contents,
            });
        }
        let wrong = cases.iter().filter(|case| case.fault.is_some()).count();
        if wrong == 0 || wrong == cases.len() {
            return Err(format!(
                "of {} cases {wrong} would be wrong; ask for more, so that there are some of both \
                 sorts",
                cases.len()
            ));
        }
        Ok(cases)
    }
}

impl Case {
    fn digest(&self) -> String {
        contents_digest(&self.contents)
    }
}

/// A short name for cases, for what is wrong with them, and for their order.
fn digest_of(cases: &[Case]) -> String {
    let mut digest = Sha256::new();
    for case in cases {
        let fault = case.fault.as_ref().map_or("", |fault| &fault.name);
        for part in [&case.name, fault, &case.digest()] {
            digest.update(part.as_bytes());
            digest.update([0]);
        }
    }
    HEXLOWER.encode(&digest.finalize()[..8])
}

/// A short name for what a file holds.
fn contents_digest(contents: &Contents) -> String {
    let mut digest = Sha256::new();
    let mut add = |bytes: &[u8]| digest.update([bytes, &[0]].concat());
    for (name, fact) in &contents.facts {
        add(format!("{name} {fact}").as_bytes());
    }
    for (name, entry) in &contents.entries {
        let Entry::Array(array) = entry else { continue };
        add(format!("{name} {} {:?}", array.dtype, array.shape).as_bytes());
        for value in &array.values {
            // Whatever bits a format has for it.
            let value = if value.is_nan() { f64::NAN } else { *value };
            add(&value.to_le_bytes());
        }
    }
    HEXLOWER.encode(&digest.finalize()[..8])
}

/// An input, as the file has it.
struct Point {
    probe: Probe,
    dtype: Dtype,
    contents: Contents,
}

impl Point {
    fn new(norm: Norm, exam: &Exam, dtype: Dtype, seed: u64) -> Result<Self, String> {
        let mut contents = probe(norm, &exam.shape, exam.eps, dtype, seed)?;
        contents.facts.remove("seed");
        let values = |name: &str| match contents.entries.get(name) {
            Some(Entry::Array(array)) => array.values.clone(),
            _ => Vec::new(),
        };
        let mut given = Given {
            x: values("x"),
            gamma: values("gamma"),
            beta: values("beta"),
            dy: values("dy"),
        };
        // RMS Norm has no beta.
        given.beta.resize(given.gamma.len(), 0.0);
        let probe = Probe::given(norm, &exam.shape, exam.eps, given)?;
        Ok(Self {
            probe,
            dtype,
            contents,
        })
    }

    /// What is wrong with claim `number`, or the right one, and its file; no file if the mistake
    /// changes no more than rounding does.
    fn case(mut self, number: Option<usize>) -> (Option<Fault>, Option<Contents>) {
        let right = Gradients::right(&self.probe);
        let Some(number) = number else {
            self.claim(&right);
            return (None, Some(self.contents));
        };
        let wrong = wrong(&self.probe).swap_remove(number);
        let fault = Fault {
            name: wrong.name(),
            sentence: wrong.sentence.clone(),
            section: wrong.section,
        };
        let shows = self.shows(wrong.target, &wrong.gradients, &right);
        self.claim(&wrong.gradients);
        (Some(fault), shows.then_some(self.contents))
    }

    /// Whether an element is further from what is right than rounding can take it.
    fn shows(&self, name: &str, claimed: &Gradients, right: &Gradients) -> bool {
        let target = match name {
            "dgamma" => Target::Dgamma,
            "dbeta" => Target::Dbeta,
            _ => Target::Dx,
        };
        let of = |gradients: &Gradients| {
            let mut named = gradients.named().into_iter();
            named.find(|(n, _)| *n == name).map(|(_, v)| v.clone())
        };
        let (Some(claimed), Some(right)) = (of(claimed), of(right)) else {
            return false;
        };
        let types = Types::ladder(self.dtype, self.dtype, target).pop();
        let Some(types) = types else { return false };
        let bound = Tolerance::new(&self.probe, target, &right, types);
        let near = |k: usize| (self.dtype.round(claimed[k]) - right[k]).abs() <= bound.at(k);
        !(0..right.len()).all(near)
    }

    /// Adds what is claimed.
    fn claim(&mut self, gradients: &Gradients) {
        let shape_of = |name: &str| match self.contents.entries.get(name) {
            Some(Entry::Array(array)) => array.shape.clone(),
            _ => Vec::new(),
        };
        let shapes = [shape_of("x"), shape_of("gamma"), shape_of("gamma")];
        for ((name, values), shape) in gradients.named().into_iter().zip(shapes) {
            if name == "dbeta" && self.probe.kind == Kind::Rms {
                continue;
            }
            let array = Array {
                shape,
                dtype: self.dtype,
                values: values.iter().map(|v| self.dtype.round(*v)).collect(),
            };
            let entry = Entry::Array(array);
            self.contents.entries.insert(name.to_owned(), entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    pub(crate) fn exam(norm: &str, dtype: Dtype) -> Exam {
        Exam {
            norm: norm.to_owned(),
            normalized: None,
            groups: (norm == "group").then_some(2),
            shape: match norm {
                "group" => vec![3, 4, 5],
                _ => vec![5, 6],
            },
            eps: 1e-3,
            dtype: dtype.to_string(),
            seed: 1,
            cases: None,
            format: "safetensors".to_owned(),
        }
    }

    /// In `f64` each mistake has its case, and beside two of them stands one that is right.
    #[test]
    fn every_mistake_has_a_case_and_no_file_says_which() {
        for norm in ["batch", "layer", "rms", "group"] {
            let exam = exam(norm, Dtype::F64);
            let cases = exam.cases().unwrap();
            let faults = cases.iter().filter_map(|case| case.fault.as_ref());
            let names: BTreeSet<&str> = faults.map(|fault| fault.name.as_str()).collect();
            let right = cases.iter().filter(|case| case.fault.is_none()).count();
            assert_eq!(names.len() / 2, right, "{norm}");
            assert_eq!(names.len() + right, cases.len(), "{norm}");
            assert!(names.len() > 60, "{norm}: {}", names.len());
            for case in &cases {
                let known: Vec<&str> = case.contents.facts.keys().map(String::as_str).collect();
                assert!(!known.contains(&"seed"), "{known:?}");
                assert!(case.name.starts_with("case-"));
            }
            // They do not come one sort after the other.
            let half = cases.len() / 2;
            let early = cases[..half].iter().filter(|case| case.fault.is_none());
            assert!((right / 4..right).contains(&early.count()), "{norm}");
        }
    }

    /// A right gradient is what the formula says, and a wrong one is not.
    #[test]
    fn what_is_called_right_is_right_in_every_type() {
        for dtype in Dtype::ALL {
            let exam = exam("layer", dtype);
            for case in exam.cases().unwrap() {
                let array = |name: &str| match &case.contents.entries[name] {
                    Entry::Array(array) => array.values.clone(),
                    other => panic!("{other:?}"),
                };
                let given = Given {
                    x: array("x"),
                    gamma: array("gamma"),
                    beta: array("beta"),
                    dy: array("dy"),
                };
                let norm = Norm::Layer { normalized: 1 };
                let probe = Probe::given(norm, &exam.shape, exam.eps, given).unwrap();
                let right = Gradients::right(&probe);
                let exact = right.named().into_iter().all(|(name, right)| {
                    let rounded: Vec<f64> = right.iter().map(|v| dtype.round(*v)).collect();
                    array(name) == rounded
                });
                assert_eq!(exact, case.fault.is_none(), "{dtype} {:?}", case.fault);
            }
        }
    }

    #[test]
    fn few_digits_show_fewer_mistakes() {
        // Bessel's correction of 300 values is less than a place of bf16.
        let count = |dtype| {
            let exam = Exam {
                shape: vec![3, 300],
                ..exam("layer", dtype)
            };
            exam.cases().unwrap().len()
        };
        assert!(count(Dtype::Bf16) < count(Dtype::F64));
        let few = Exam {
            cases: Some(12),
            ..exam("batch", Dtype::F64)
        };
        let cases = few.cases().unwrap();
        let right = cases.iter().filter(|case| case.fault.is_none()).count();
        assert_eq!((cases.len(), right), (12, 4));
    }

    #[test]
    fn what_cannot_be_made_is_refused_in_one_line() {
        let batch = || exam("batch", Dtype::F32);
        for (wrong, reason) in [
            (
                Exam {
                    norm: "instance".to_owned(),
                    ..batch()
                },
                "is no norm",
            ),
            (
                Exam {
                    shape: vec![2, 4],
                    ..batch()
                },
                "whatever x is",
            ),
            (
                Exam {
                    dtype: "f8".to_owned(),
                    ..batch()
                },
                "`f8`",
            ),
            (
                Exam {
                    format: "csv".to_owned(),
                    ..batch()
                },
                "safetensors or npz",
            ),
            (
                Exam {
                    cases: Some(0),
                    ..batch()
                },
                "of 0 cases 0 would be wrong",
            ),
            (
                Exam {
                    cases: Some(1),
                    ..batch()
                },
                "of 1 cases 1 would be wrong",
            ),
            (
                Exam {
                    cases: Some(usize::MAX),
                    ..batch()
                },
                "are asked for",
            ),
        ] {
            let why = wrong.cases().unwrap_err();
            assert!(why.contains(reason) && !why.contains('\n'), "{why}");
        }
    }
}

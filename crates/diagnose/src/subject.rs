//! What is to be judged: a normalization, its inputs, and what somebody computed from them.

use crate::array::{Array, Contents, Entry};
use crate::dtype::Dtype;
use crate::file::read;
use crate::names::{JUDGED, behind_prefix, known, meant, spelled};
use gradcheck::attribution::norm::{Given, Kind, Norm, Probe};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the files say, or else flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// `batch`, `layer`, `rms` or `group`.
    pub norm: Option<String>,
    /// What is added to the variance.
    pub eps: Option<f64>,
    /// Over how many of the last axes Layer Norm and RMS Norm go.
    pub normalized: Option<usize>,
    /// The groups of Group Norm.
    pub groups: Option<usize>,
    /// The type that arrays of `f32` stand for.
    pub dtype: Option<Dtype>,
    /// The weight of a new running statistic.
    pub momentum: Option<f64>,
    /// What must be there to be judged; flags alone say so.
    pub expected: Vec<String>,
}

/// A running statistic after one step.
#[derive(Clone, Debug)]
pub struct Running {
    /// What it was before.
    pub old: Vec<f64>,
    /// The weight of the new value.
    pub momentum: f64,
}

/// Something that was computed.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// One of those that are judged: `y`, `dx`, `dgamma`, `dbeta`, `running_mean`, `running_var`.
    pub name: &'static str,
    /// The array.
    pub array: Array,
    /// For a running statistic, where it started.
    pub running: Option<Running>,
}

/// All that is needed for a judgement.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Which normalization.
    pub norm: Norm,
    /// Its inputs.
    pub probe: Probe,
    /// The type of x.
    pub input: Dtype,
    /// Whether the files hold a beta, or none is needed; otherwise it is taken for 0.
    pub has_beta: bool,
    /// What is judged.
    pub candidates: Vec<Candidate>,
    /// What a person should know beside it.
    pub notes: Vec<String>,
    /// Arrays that seem to be meant for judgement, under names that are not known.
    pub unclear: Vec<String>,
}

/// The name of a norm and what it takes, as facts.
pub fn facts_of(norm: Norm) -> Vec<(&'static str, String)> {
    match norm {
        Norm::Batch => vec![("norm", "batch".to_owned())],
        Norm::Layer { normalized } => vec![
            ("norm", "layer".to_owned()),
            ("normalized", normalized.to_string()),
        ],
        Norm::Rms { normalized } => vec![
            ("norm", "rms".to_owned()),
            ("normalized", normalized.to_string()),
        ],
        Norm::Group { groups } => {
            vec![("norm", "group".to_owned()), ("groups", groups.to_string())]
        }
    }
}

impl Facts {
    /// The normalization; `gamma` has the axes that Layer Norm goes over, if nobody says.
    ///
    /// # Errors
    /// One line: what is missing, unknown or does not belong.
    pub fn norm(&self, gamma: Option<usize>) -> Result<Norm, String> {
        let Some(name) = &self.norm else {
            return Err("which norm? Give --norm batch, layer, rms or group".to_owned());
        };
        let rows = matches!(name.as_str(), "layer" | "rms");
        if !rows && self.normalized.is_some() {
            return Err(format!(
                "`normalized` belongs to layer and rms, not to {name}"
            ));
        }
        if name != "batch" && self.momentum.is_some() {
            return Err(format!("`momentum` belongs to batch, not to {name}"));
        }
        if name != "group" && self.groups.is_some() {
            return Err(format!("`groups` belongs to group, not to {name}"));
        }
        let normalized = self.normalized.or(gamma).unwrap_or(1);
        match name.as_str() {
            "batch" => Ok(Norm::Batch),
            "layer" => Ok(Norm::Layer { normalized }),
            "rms" => Ok(Norm::Rms { normalized }),
            "group" => match self.groups {
                Some(groups) => Ok(Norm::Group { groups }),
                None => Err("how many groups? Give --groups".to_owned()),
            },
            _ => Err(format!("`{name}` is no norm: batch, layer, rms or group")),
        }
    }

    /// What a file says, which must not contradict flags, nor what those before it said.
    fn add(
        &mut self,
        path: &Path,
        facts: &BTreeMap<String, String>,
        said: &mut BTreeMap<String, PathBuf>,
    ) -> Result<(), String> {
        for (name, value) in facts {
            let before = self.clone();
            let unread = |why: String| format!("`{name}` is `{value}` in the file: {why}");
            let file = path.display();
            let contradicts = |other: &dyn std::fmt::Display| match said.get(name) {
                Some(first) => format!(
                    "{name} is {other} in {}, and {value} in {file}",
                    first.display()
                ),
                None => format!("--{name} {other} contradicts {file}, which says {value}"),
            };
            // A number as it is, and nearly as it is: 1e-5 may have been an f32.
            let number = || value.parse::<f64>().map_err(|why| unread(why.to_string()));
            let same = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs();
            let count = || {
                value
                    .parse::<f64>()
                    .ok()
                    .filter(|n| n.fract() == 0.0 && *n >= 1.0)
            };
            let count = || {
                count()
                    .map(|n| n as usize)
                    .ok_or(unread("no count".to_owned()))
            };
            match name.as_str() {
                "norm" => match &self.norm {
                    Some(flag) if flag != value => return Err(contradicts(flag)),
                    _ => self.norm = Some(value.clone()),
                },
                "dtype" => {
                    let dtype = value.parse::<Dtype>().map_err(unread)?;
                    match self.dtype {
                        Some(flag) if flag != dtype => return Err(contradicts(&flag)),
                        _ => self.dtype = Some(dtype),
                    }
                }
                "eps" | "momentum" => {
                    let number = number()?;
                    let slot = if name == "eps" {
                        &mut self.eps
                    } else {
                        &mut self.momentum
                    };
                    match *slot {
                        Some(flag) if !same(flag, number) => return Err(contradicts(&flag)),
                        Some(_) => {}
                        None => *slot = Some(number),
                    }
                }
                "normalized" | "groups" => {
                    let count = count()?;
                    let slot = match name.as_str() {
                        "groups" => &mut self.groups,
                        _ => &mut self.normalized,
                    };
                    match *slot {
                        Some(flag) if flag != count => return Err(contradicts(&flag)),
                        _ => *slot = Some(count),
                    }
                }
                _ => {}
            }
            if *self != before {
                said.insert(name.clone(), path.to_owned());
            }
        }
        Ok(())
    }
}

/// The arrays of all files, by the names that they have here.
struct Arrays {
    by_name: BTreeMap<&'static str, Array>,
    /// Where each was found.
    from: BTreeMap<&'static str, String>,
    notes: Vec<String>,
    /// Names that are not known, with their files and what they seem to mean.
    meant: Vec<(String, &'static str)>,
}

impl Arrays {
    fn gather(files: Vec<(PathBuf, Contents)>) -> Result<Self, String> {
        let mut arrays = Self {
            by_name: BTreeMap::new(),
            from: BTreeMap::new(),
            notes: Vec::new(),
            meant: Vec::new(),
        };
        let mut prefixed: Vec<(String, &'static str, Array)> = Vec::new();
        for (path, contents) in files {
            let path = path.display();
            for (written, entry) in contents.entries {
                let Some(name) = known(&written) else {
                    if let (Some(name), Entry::Array(array)) = (behind_prefix(&written), &entry) {
                        prefixed.push((format!("{path}: `{written}`"), name, array.clone()));
                        continue;
                    }
                    let told = format!("{path}: `{written}` is not looked at");
                    match meant(&written) {
                        Some(name) => arrays.meant.push((told, name)),
                        None => arrays.notes.push(told),
                    }
                    continue;
                };
                let array = match entry {
                    Entry::Array(array) => array,
                    Entry::Text(text) => {
                        return Err(format!("{path}: `{written}` is `{text}`, and no array"));
                    }
                    Entry::Other(what) => {
                        let types = "f64, f32, f16 and bf16 can be read";
                        return Err(format!("{path}: `{written}` holds {what}; {types}"));
                    }
                };
                match arrays.by_name.get(name) {
                    // The inputs, saved again beside the results.
                    Some(same) if *same == array => {}
                    Some(other) => {
                        let (from, apart) = (&arrays.from[name], apart(other, &array));
                        return Err(format!(
                            "{path}: `{written}` is {name}, which {from} has too, and they differ: \
                             {apart}"
                        ));
                    }
                    None => {
                        arrays.from.insert(name, path.to_string());
                        arrays.by_name.insert(name, array);
                    }
                }
            }
        }
        arrays.take_prefixed(prefixed);
        // What is there under its own name is not meant by another.
        let (clear, meant) = std::mem::take(&mut arrays.meant)
            .into_iter()
            .partition(|(_, name)| arrays.by_name.contains_key(name));
        let clear: Vec<(String, &str)> = clear;
        arrays.notes.extend(clear.into_iter().map(|(told, _)| told));
        arrays.meant = meant;
        Ok(arrays)
    }

    /// Takes gradients that are called so behind a prefix, if there is one of a kind.
    fn take_prefixed(&mut self, prefixed: Vec<(String, &'static str, Array)>) {
        let names: Vec<&str> = prefixed.iter().map(|(_, name, _)| *name).collect();
        for (told, name, array) in prefixed {
            let alone = names.iter().filter(|other| **other == name).count() == 1;
            if self.by_name.contains_key(name) || !alone {
                self.meant.push((format!("{told} is not looked at"), name));
                continue;
            }
            self.notes.push(format!("{told} is taken for {name}"));
            self.by_name.insert(name, array);
        }
    }

    /// The array of this name under another one, as errors tell it.
    fn instead(&self, name: &str) -> String {
        let found = self.meant.iter().find(|(_, meant)| *meant == name);
        found.map_or(String::new(), |(told, _)| format!("; {told}"))
    }

    /// An input, which must be there, and hold numbers.
    fn input(&mut self, name: &'static str) -> Result<Option<Array>, String> {
        let Some(array) = self.by_name.remove(name) else {
            return Ok(None);
        };
        match array.values.iter().position(|v| !v.is_finite()) {
            Some(at) => {
                let (value, place) = (array.values[at], place(&array.shape, at));
                Err(format!(
                    "{name} is {value} at {place:?}: nothing can be computed from it"
                ))
            }
            None => Ok(Some(array)),
        }
    }

    fn needed(&mut self, name: &'static str) -> Result<Array, String> {
        let found = self.input(name)?;
        let missing = || {
            format!(
                "there is no {} in the files{}",
                spelled(name),
                self.instead(name)
            )
        };
        found.ok_or_else(missing)
    }
}

/// In what two arrays of one name differ.
fn apart(first: &Array, second: &Array) -> String {
    if first.shape != second.shape {
        return format!(
            "one has shape {:?}, the other {:?}",
            first.shape, second.shape
        );
    }
    if first.dtype != second.dtype {
        return format!("one is {}, the other {}", first.dtype, second.dtype);
    }
    let pairs = || first.values.iter().zip(&second.values);
    let off = pairs().filter(|(a, b)| a != b).count();
    let (count, at) = (
        first.values.len(),
        pairs().position(|(a, b)| a != b).unwrap_or(0),
    );
    format!(
        "in {off} of {count} elements, the first of which is at {:?}, {:e} in one and {:e} in the other",
        place(&first.shape, at),
        first.values[at],
        second.values[at]
    )
}

/// The indices of element `flat`.
pub fn place(shape: &[usize], flat: usize) -> Vec<usize> {
    let (mut rest, mut indices) = (flat, Vec::new());
    for d in shape.iter().rev() {
        indices.push(rest % d);
        rest /= d;
    }
    indices.reverse();
    indices
}

/// Whether two shapes differ only in axes of length 1.
fn alike(a: &[usize], b: &[usize]) -> bool {
    let long =
        |shape: &[usize]| -> Vec<usize> { shape.iter().copied().filter(|d| *d != 1).collect() };
    long(a) == long(b)
}

impl Subject {
    /// From files, each of which may hold some of the arrays, and flags.
    ///
    /// # Errors
    /// One line: a file that cannot be read, an array that is missing, of those that are needed
    /// and those that are `expected`, or does not fit, a flag that contradicts a file.
    pub fn read(paths: &[PathBuf], mut facts: Facts) -> Result<Self, String> {
        let (mut files, mut said) = (Vec::new(), BTreeMap::new());
        for path in paths {
            let mut contents = read(path)?;
            facts.add(path, &contents.facts, &mut said)?;
            if let Some(dtype) = facts.dtype.filter(|d| *d == Dtype::Bf16) {
                contents.narrow_f32(dtype);
            }
            files.push((path.clone(), contents));
        }
        let arrays = Arrays::gather(files)?;
        for name in &facts.expected {
            let Some(known) = known(name).filter(|known| JUDGED.contains(known)) else {
                let all = JUDGED.join(", ");
                return Err(format!("`{name}` is expected, and is none of {all}"));
            };
            if !arrays.by_name.contains_key(known) {
                let (known, instead) = (spelled(known), arrays.instead(known));
                return Err(format!(
                    "{known} is expected, and is not in the files{instead}"
                ));
            }
        }
        Self::of(arrays, &facts)
    }

    fn of(mut arrays: Arrays, facts: &Facts) -> Result<Self, String> {
        if !JUDGED.iter().any(|name| arrays.by_name.contains_key(name)) {
            let all: Vec<String> = JUDGED.iter().map(|name| spelled(name)).collect();
            return Err(format!(
                "there is nothing to judge: none of {}{}",
                all.join("; "),
                JUDGED.map(|name| arrays.instead(name)).concat()
            ));
        }
        let (x, gamma) = (arrays.needed("x")?, arrays.needed("gamma")?);
        let gamma_axes = gamma.shape.len().max(1);
        let norm = facts.norm(Some(gamma_axes).filter(|axes| *axes < x.shape.len()))?;
        let eps = facts.eps.ok_or("eps is not in the files: give --eps")?;
        if !(eps.is_finite() && eps >= 0.0) {
            return Err(format!("eps is {eps}, and must be 0 or more"));
        }
        let beta = arrays.input("beta")?;
        let dy = arrays.input("dy")?;
        let gradients = ["dx", "dgamma", "dbeta"];
        let gradient = gradients
            .iter()
            .find(|name| arrays.by_name.contains_key(*name));
        if let (None, Some(name)) = (&dy, gradient) {
            return Err(format!(
                "{name} needs dy: there is no {} in the files{}",
                spelled("dy"),
                arrays.instead("dy")
            ));
        }
        if let Some(dy) = &dy
            && !alike(&dy.shape, &x.shape)
        {
            let (got, wanted) = (&dy.shape, &x.shape);
            return Err(format!("dy has shape {got:?} and must have {wanted:?}"));
        }
        if matches!(norm, Norm::Rms { .. })
            && (beta
                .as_ref()
                .is_some_and(|b| b.values.iter().any(|b| *b != 0.0))
                || arrays.by_name.contains_key("dbeta"))
        {
            return Err("RMS Norm has no beta: leave beta and dbeta out".to_owned());
        }
        let has_beta = beta.is_some() || matches!(norm, Norm::Rms { .. });
        let given = Given {
            beta: beta.map_or(vec![0.0; gamma.values.len()], |beta| beta.values),
            // The output does not ask for it; it must only not look like a mistake.
            dy: dy.map_or_else(
                || (0..x.values.len()).map(|k| (k as f64).sin()).collect(),
                |dy| dy.values,
            ),
            gamma: gamma.values,
            x: x.values,
        };
        let probe = Probe::given(norm, &x.shape, eps, given)?;
        let (mut candidates, mut unclear) = (Vec::new(), Vec::new());
        for name in JUDGED {
            let Some(mut array) = arrays.by_name.remove(name) else {
                continue;
            };
            let of_x = matches!(name, "y" | "dx");
            let old = match name {
                "running_mean" => Some("old_running_mean"),
                "running_var" => Some("old_running_var"),
                _ => None,
            };
            let running = match old.map(|old| running(&mut arrays, old, &probe, facts)) {
                Some(Err(why)) => {
                    unclear.push(format!("{name}: {why}"));
                    continue;
                }
                known => known.and_then(Result::ok),
            };
            // The engine speaks of a wrong number of elements; axes in another order are worse.
            let wanted = if of_x { &x.shape } else { &gamma.shape };
            let count = |shape: &[usize]| shape.iter().product::<usize>();
            if count(&array.shape) == count(wanted) {
                if of_x && !alike(&array.shape, wanted) {
                    arrays.notes.push(format!(
                        "{name} has shape {:?}, and is judged as {wanted:?}, its elements in the \
                         order in which they lie",
                        array.shape
                    ));
                }
                array.shape.clone_from(wanted);
            }
            candidates.push(Candidate {
                name,
                array,
                running,
            });
        }
        let mut notes = arrays.notes;
        for name in arrays
            .by_name
            .keys()
            .filter(|name| name.starts_with("old_"))
        {
            notes.push(format!("{name} is there without what came of it"));
        }
        unclear.extend(
            arrays.meant.into_iter().map(|(told, name)| {
                format!("{told}; if it is {name}, call it so: {}", spelled(name))
            }),
        );
        Ok(Self {
            norm,
            unclear,
            probe,
            input: x.dtype,
            has_beta,
            candidates,
            notes,
        })
    }
}

fn running(
    arrays: &mut Arrays,
    old: &'static str,
    probe: &Probe,
    facts: &Facts,
) -> Result<Running, String> {
    if probe.kind != Kind::Batch {
        return Err("only Batch Norm has running statistics".to_owned());
    }
    let old_values = arrays.needed(old)?.values;
    let channels = probe.groups.count;
    if old_values.len() != channels {
        let got = old_values.len();
        return Err(format!(
            "{old} has {got} elements and must have {channels}, one per channel"
        ));
    }
    let momentum = facts.momentum;
    let momentum = momentum.ok_or("momentum is not in the files: give --momentum")?;
    if !(momentum > 0.0 && momentum < 1.0) {
        return Err(format!(
            "momentum is {momentum}, and must be between 0 and 1"
        ));
    }
    Ok(Running {
        old: old_values,
        momentum,
    })
}

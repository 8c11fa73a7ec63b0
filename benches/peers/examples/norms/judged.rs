//! Layers judged from outside, by two witnesses.
//!
//! `diagnose` computes in `f64` what is right, derives from the number type how far rounding may
//! lead, and names the mistake; it takes any type. `gradcheck` differentiates the layer's own
//! forward pass numerically, for which the layer must work in `f64`.

use crate::layer::{Inputs, Layer, Op, Outputs};
use diagnose::{Array, Candidate, Dtype, Outcome, Running, Subject};
use gradcheck::attribution::norm::{Given, Kind, Norm, Probe};
use gradcheck::attribution::{Basis, Factor, Path, Question};
use gradcheck::{Check, Fault, Input, Report};

pub const ARRAYS: [&str; 6] = ["y", "dx", "dgamma", "dbeta", "running_mean", "running_var"];

/// What a layer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// In `f64`, on which finite differences can be taken too.
    Double,
    /// In `f32`.
    Single,
    /// In `f32`, with means a thousand times as large as the deviations.
    Far,
}

impl Data {
    pub const ALL: [Self; 3] = [Self::Double, Self::Single, Self::Far];

    pub fn name(self) -> &'static str {
        match self {
            Self::Double => "f64",
            Self::Single => "f32",
            Self::Far => "f32 far",
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::Double => Dtype::F64,
            Self::Single | Self::Far => Dtype::F32,
        }
    }
}

/// What is said of one array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Right,
    Wrong,
    /// There is no such gradient.
    Missing,
    /// These data, in this type, prove nothing.
    Unclear,
    /// The layer returned an error.
    Fails,
    /// The layer has no such array, or none was asked for.
    Unasked,
}

impl Mark {
    pub fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "WRONG",
            Self::Missing => "NONE",
            Self::Unclear => "unclear",
            Self::Fails => "ERROR",
            Self::Unasked => "-",
        }
    }
}

/// Something that is not as it must be.
#[derive(Clone, Debug)]
pub struct Finding {
    pub framework: &'static str,
    pub layer: &'static str,
    /// The array, or what else it is about.
    pub about: &'static str,
    /// A slug: that of the mistake in the catalogue, or `missing`, `error`, and so on.
    pub id: String,
    pub sentence: String,
    pub data: &'static str,
}

/// One layer on one set of data.
pub struct Row {
    pub framework: &'static str,
    pub layer: &'static str,
    pub data: &'static str,
    /// As `ARRAYS`.
    pub marks: [Mark; 6],
    /// What finite differences say of the gradients.
    pub differences: &'static str,
    pub findings: Vec<Finding>,
}

/// A number that `f32` has too, in which some functions take it; and nobody's default.
const EPS: f64 = 1.0 / 65536.0;
/// Not PyTorch's default, nor a half: the two weights must not look alike.
const MOMENTUM: f64 = 0.2;
const SEED: u64 = 0;

/// Shapes whose sizes differ, so that an axis mistaken for another shows.
pub fn shape_of(norm: Norm) -> &'static [usize] {
    match norm {
        Norm::Batch => &[4, 3, 2, 5],
        Norm::Layer { .. } | Norm::Rms { .. } => &[3, 4, 7],
        Norm::Group { .. } => &[3, 4, 5],
    }
}

/// Inputs on which mistakes show, in numbers of the type.
pub fn inputs(norm: Norm, data: Data) -> (Probe, Inputs) {
    let (shape, dtype) = (shape_of(norm), data.dtype());
    let drawn = Probe::new(norm, shape, EPS, SEED);
    let offset = match data {
        Data::Far => 1e3 * EPS.sqrt(),
        _ => 0.0,
    };
    let round = |values: &[f64], offset: f64| -> Vec<f64> {
        values.iter().map(|v| dtype.round(v + offset)).collect()
    };
    let given = Given {
        x: round(&drawn.x, offset),
        gamma: round(&drawn.gamma, 0.0),
        beta: round(&drawn.beta, 0.0),
        dy: round(&drawn.dy, 0.0),
    };
    let probe = Probe::given(norm, shape, EPS, given).expect("as long as those it is made from");
    let channels = probe.gamma.len();
    let spread = |from: f64, by: f64| -> Vec<f64> {
        let value = |c: usize| dtype.round(EPS.sqrt() * (from + by * c as f64));
        (0..channels).map(value).collect()
    };
    let inputs = Inputs {
        shape: shape.to_vec(),
        x: probe.x.clone(),
        gamma: probe.gamma.clone(),
        beta: probe.beta.clone(),
        dy: probe.dy.clone(),
        eps: EPS,
        dtype,
        running_mean: spread(1.3, -0.7),
        running_var: spread(0.02, 0.01),
        momentum: MOMENTUM,
    };
    (probe, inputs)
}

/// Runs a layer and judges all that it returns.
pub fn judge(layer: &Layer, data: Data) -> Row {
    let (probe, inputs) = inputs(layer.norm, data);
    let mut row = Row {
        framework: layer.framework,
        layer: layer.name,
        data: data.name(),
        marks: [Mark::Unasked; 6],
        differences: "-",
        findings: Vec::new(),
    };
    let outputs = match (layer.call)(&inputs) {
        Ok(outputs) => outputs,
        Err(why) => {
            let why = why.to_string();
            let sentence = format!("it returns an error: {}", why.lines().next().unwrap_or(""));
            row.mark("y", Mark::Fails);
            row.found("y", "error", sentence);
            return row;
        }
    };
    let subject = subject(layer.norm, probe, &inputs, &outputs);
    for judged in subject.judge() {
        row.mark(
            judged.target,
            match judged.outcome {
                Outcome::Right => Mark::Right,
                Outcome::Wrong => Mark::Wrong,
                Outcome::Refused => Mark::Unclear,
            },
        );
        if judged.outcome == Outcome::Wrong {
            row.found(judged.target, &judged.id, judged.sentence);
        }
    }
    if layer.trains {
        for (name, of, gradient) in asked(&subject.probe, &outputs) {
            if gradient.is_none() {
                row.mark(name, Mark::Missing);
                row.found(name, "missing", format!("{name}: no gradient reaches {of}"));
            }
        }
        if inputs.dtype == Dtype::F64 {
            let report = differences(layer, &subject.probe, &inputs, &outputs);
            row.compare(&report);
        }
    }
    row
}

impl Row {
    pub fn mark_of(&self, name: &str) -> Mark {
        self.marks[position(name)]
    }

    fn mark(&mut self, name: &str, mark: Mark) {
        self.marks[position(name)] = mark;
    }

    fn found(&mut self, about: &'static str, id: &str, sentence: String) {
        self.findings.push(Finding {
            framework: self.framework,
            layer: self.layer,
            about,
            id: id.to_owned(),
            sentence,
            data: self.data,
        });
    }

    /// The second witness is a finding of its own where the first found nothing. The other way
    /// round is no contradiction: digits that y has lost are not seen in its differences.
    fn compare(&mut self, report: &Report) {
        let missing = |fault: &Fault| matches!(fault, Fault::Missing { .. });
        self.differences = match report {
            _ if report.passed() => "agree",
            _ if !report.faults.is_empty() && report.faults.iter().all(missing) => "none there",
            _ if report.faults.is_empty() => "unclear",
            _ => "disagree",
        };
        let right = self.findings.is_empty();
        if right && !report.passed() {
            let faults = report.faults.iter().map(ToString::to_string);
            let refused = report.refused.iter().map(ToString::to_string);
            let all: Vec<String> = faults.chain(refused).collect();
            let sentence = format!("finite differences do not agree: {}", all.join(" "));
            self.found("differences", "differences", sentence);
        }
    }
}

fn position(name: &str) -> usize {
    let at = ARRAYS.iter().position(|array| *array == name);
    at.unwrap_or_else(|| panic!("`{name}` is none of {ARRAYS:?}"))
}

/// The gradients that the layer should return, each with what it belongs to.
fn asked<'a>(
    probe: &Probe,
    outputs: &'a Outputs,
) -> Vec<(&'static str, &'static str, &'a Option<Vec<f64>>)> {
    let mut all = vec![
        ("dx", "x", &outputs.dx),
        ("dgamma", "gamma", &outputs.dgamma),
        ("dbeta", "beta", &outputs.dbeta),
    ];
    if probe.kind == Kind::Rms {
        all.pop();
    }
    all
}

/// What was computed, as `diagnose` takes it.
fn subject(norm: Norm, probe: Probe, inputs: &Inputs, outputs: &Outputs) -> Subject {
    let array = |shape: &[usize], values: &[f64]| Array {
        shape: shape.to_vec(),
        dtype: inputs.dtype,
        values: values.to_vec(),
    };
    let parameters = [inputs.gamma.len()];
    let candidate = |name, shape: &[usize], values: &[f64]| Candidate {
        name,
        array: array(shape, values),
        running: None,
    };
    let mut candidates = vec![candidate("y", &inputs.shape, &outputs.y)];
    for (name, _, gradient) in asked(&probe, outputs) {
        let shape = match name {
            "dx" => &inputs.shape[..],
            _ => &parameters[..],
        };
        candidates.extend(gradient.as_ref().map(|g| candidate(name, shape, g)));
    }
    if let Some((mean, var)) = &outputs.running {
        for (name, new, old) in [
            ("running_mean", mean, &inputs.running_mean),
            ("running_var", var, &inputs.running_var),
        ] {
            candidates.push(Candidate {
                running: Some(Running {
                    old: old.clone(),
                    momentum: inputs.momentum,
                }),
                ..candidate(name, &parameters, new)
            });
        }
    }
    Subject {
        norm,
        probe,
        input: inputs.dtype,
        candidates,
        notes: Vec::new(),
        unclear: Vec::new(),
    }
}

/// The gradients that were returned, against differences of the layer's own forward pass.
fn differences(layer: &Layer, probe: &Probe, inputs: &Inputs, outputs: &Outputs) -> Report {
    let parameters = [inputs.gamma.len()];
    let shape = |name: &str| match name {
        "x" => &inputs.shape[..],
        _ => &parameters[..],
    };
    let mut check = Check::new(layer.name)
        .upstream(inputs.dy.clone())
        .output_shape(&inputs.shape);
    let mut gradients = Vec::new();
    for (_, of, gradient) in asked(probe, outputs) {
        let values = match of {
            "x" => &inputs.x,
            "gamma" => &inputs.gamma,
            _ => &inputs.beta,
        };
        check = check.input(of, shape(of), values.clone());
        gradients.extend(gradient.iter().map(|g| Input::new(of, shape(of), &g[..])));
    }
    let check = check
        .normalizes("x", probe.groups.clone())
        .scales_by("gamma");
    let y = |values: &[Vec<f64>]| {
        let mut moved = inputs.clone();
        (moved.x, moved.gamma) = (values[0].clone(), values[1].clone());
        if let Some(beta) = values.get(2) {
            moved.beta.clone_from(beta);
        }
        (layer.call)(&moved).expect("it could be called before").y
    };
    check.run_against(y, &gradients)
}

/// A number that a framework chose, beside PyTorch's.
pub struct Convention {
    pub framework: &'static str,
    pub layer: &'static str,
    pub what: &'static str,
    pub theirs: f64,
    pub pytorch: f64,
}

impl Convention {
    pub fn differs(&self) -> bool {
        (self.theirs / self.pytorch - 1.0).abs() > 0.01
    }
}

/// The defaults of a layer, found by what it computes. In `f32`, in which networks are trained.
pub fn conventions(layer: &Layer) -> Vec<Convention> {
    let Some(fresh) = layer.fresh else {
        return Vec::new();
    };
    let (probe, inputs) = inputs(layer.norm, Data::Single);
    let fresh = fresh(&inputs).unwrap_or_else(|why| panic!("{}: {why}", layer.name));
    let squared = |v: &[f64]| -> Vec<f64> { v.iter().map(|v| v * v).collect() };
    let means = probe.groups.means(&probe.x);
    let off: Vec<f64> = match probe.kind {
        Kind::Rms => probe.x.clone(),
        _ => probe.x.iter().zip(&means).map(|(x, m)| x - m).collect(),
    };
    // y is off / sqrt(var + eps), so that var / mean(y²) is var + eps.
    let var = probe.groups.means(&squared(&off));
    let y = probe.groups.means(&squared(&fresh.y));
    let eps = var.iter().zip(&y).map(|(var, y)| var / y - var).collect();
    let convention = |what, theirs, pytorch| Convention {
        framework: layer.framework,
        layer: layer.name,
        what,
        theirs,
        pytorch,
    };
    let pytorch = match probe.kind {
        Kind::Rms => f64::from(f32::EPSILON),
        _ => 1e-5,
    };
    let mut all = vec![convention("eps", median(eps), pytorch)];
    if let Some((old, new)) = &fresh.running_mean {
        let mut weights = vec![0.0; old.len()];
        for (k, &c) in probe.groups.of.iter().enumerate() {
            weights[c] = (new[c] - old[c]) / (means[k] - old[c]);
        }
        all.push(convention("momentum", median(weights), 0.1));
    }
    all
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Something that is no norm, by finite differences alone.
pub fn judge_op(op: &Op) -> Result<(), Finding> {
    let wrong = |id: &str, sentence: String| {
        Err(Finding {
            framework: op.framework,
            layer: op.name,
            about: "dx",
            id: id.to_owned(),
            sentence,
            data: Data::Double.name(),
        })
    };
    let length = |shape: &[usize]| shape.iter().product::<usize>();
    // No two alike, so that every window has one largest element.
    let x: Vec<f64> = (0..length(op.shape))
        .map(|k| (1.0 + k as f64).sin())
        .collect();
    let dy: Vec<f64> = (0..length(op.output))
        .map(|k| (2.0 + 3.0 * k as f64).cos())
        .collect();
    let dx = match (op.call)(op, &x, &dy) {
        Ok((_, Some(dx))) => dx,
        Ok((_, None)) => return wrong("missing", "dx: no gradient reaches x".to_owned()),
        Err(why) => return wrong("error", format!("dx: it returns an error: {why}")),
    };
    let report = Check::new(op.name)
        .input("x", op.shape, x)
        .upstream(dy.clone())
        .run_against(
            |x| {
                (op.call)(op, &x[0], &dy)
                    .expect("it could be called before")
                    .0
            },
            &[Input::new("x", op.shape, dx.clone())],
        );
    if report.passed() {
        return Ok(());
    }
    let [found] = report.inputs.as_slice() else {
        return wrong("unclear", format!("dx: {report}"));
    };
    let window = length(op.shape) / length(op.output);
    let divided = Factor::anywhere(
        "divided",
        1.0 / window as f64,
        format!("is 1/{window} of what it must be, as if divided by the size of a window"),
    );
    let question = Question {
        target: "dx".to_owned(),
        paths: vec![Path {
            id: "gradient".to_owned(),
            name: "the gradient".to_owned(),
        }],
        factors: vec![divided],
        precision: found.resolution,
    };
    let right = Basis {
        mistakes: Vec::new(),
        terms: vec![found.numeric.clone()],
    };
    let verdict = question.explain(&dx, [right].into_iter());
    wrong(&verdict.id, verdict.sentence)
}

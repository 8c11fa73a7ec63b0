//! Saved models: PyTorch's files load here, and files from here load there.
//!
//! The second half needs a Python with PyTorch and safetensors, named by the environment
//! variable `PYTHON` or found as `python3`; without one it is skipped, and says so.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nn::{BlockSpec, CellKind, CnnSpec, Layer, NormKind, RecurrentSpec, each_param, load, save};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tape::{Tape, Tensor};
use tests::golden;

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

#[test]
fn a_model_that_pytorch_saved_gives_the_same_here() {
    let family = golden::load("saved");
    let case = &family.cases[0];
    let path = golden::folder().join("saved.safetensors");
    // The numbers in the file are f32, which f64 holds exactly.
    let mut net = CnnSpec::new(
        &case.counts("channels"),
        case.count("side"),
        case.count("outputs"),
    )
    .norm(NormKind::Batch)
    .build::<f64>(&mut rng());
    load(&mut net, &path).expect("PyTorch's file can be read");
    let y = Tape::eval(|t| net.eval(&t.constant(case.tensor("x"))).value().clone());
    case.assert_within("y", &y, 10.0 * golden::EPSILONS * f64::EPSILON);
    // Saved again it is the same file, up to the order of the numbers in it.
    let folder = tempfile::tempdir().expect("a folder");
    let again = folder.path().join("again.safetensors");
    let mut net32 = CnnSpec::new(&[1, 2, 4], 5, 3)
        .norm(NormKind::Batch)
        .build::<f32>(&mut rng());
    load(&mut net32, &path).expect("PyTorch's file can be read");
    save(&mut net32, &again).expect("saved");
    let [ours, theirs] = [&again, &path].map(|p| std::fs::metadata(p).expect("it is there").len());
    assert!(ours.abs_diff(theirs) < 16, "{ours} bytes, not {theirs}");
}

/// Saves `net` to `folder`, and returns an input for it and what it makes of that.
fn saved(
    folder: &Path,
    kind: &str,
    net: &mut impl Layer<f32>,
    shape: &[usize],
) -> (String, Tensor<f32>, Tensor<f32>) {
    // Scales that are not 1 and shifts that are not 0.
    let mut rng = rng();
    each_param(net, |p| {
        let step = Tensor::<f32>::randn(*p.value().shape(), &mut rng);
        p.set(
            p.value()
                .clone()
                .zip_in_place(&step, |p, step| p + 0.2 * step),
        );
    });
    let x = Tensor::randn(shape, &mut rng);
    save(net, &folder.join(format!("{kind}.safetensors"))).expect("saved");
    let y = Tape::eval(|t| net.eval(&t.constant(x.clone())).value().clone());
    (kind.to_owned(), x, y)
}

/// What PyTorch makes of the inputs with the models in `folder`; `None` if `python` is not
/// there, or lacks a library.
fn theirs(python: &Path, folder: &Path, inputs: &str) -> Option<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("suite/saved_models.py");
    let mut child = Command::new(python)
        .arg(script)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    // One that lacks a library ends without reading; its status tells.
    let mut stdin = child.stdin.take().expect("it is piped");
    let _ = stdin.write_all(inputs.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("Python ends");
    if output.status.code() == Some(77) {
        return None;
    }
    assert!(
        output.status.success(),
        "PyTorch did not open the models: see above"
    );
    Some(serde_json::from_slice(&output.stdout).expect("outputs"))
}

#[test]
fn pytorch_opens_what_is_saved_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut cnn = CnnSpec::new(&[1, 2, 4], 5, 3)
        .norm(NormKind::Batch)
        .build(&mut rng());
    // Running statistics that are not 0 and 1.
    Tape::eval(|t| {
        let x = t.constant(Tensor::randn([8, 25], &mut rng()));
        cnn.train(&x).value().len()
    });
    let mut lstm = RecurrentSpec::new(CellKind::Lstm, 2, 3)
        .layers(2)
        .build(&mut rng());
    let mut block = BlockSpec::new(6, 2)
        .hidden(7)
        .causal(false)
        .build(&mut rng());
    let ours = [
        saved(folder, "cnn", &mut cnn, &[3, 1, 5, 5]),
        saved(folder, "lstm", &mut lstm, &[4, 5, 2]),
        saved(folder, "transformer", &mut block, &[2, 4, 6]),
    ];
    let inputs: Value = ours
        .iter()
        .map(|(kind, x, _)| {
            (
                kind.clone(),
                json!({ "shape": x.shape().to_vec(), "data": x.to_vec() }),
            )
        })
        .collect::<serde_json::Map<String, Value>>()
        .into();
    let named = env::var_os("PYTHON").map(PathBuf::from);
    let mut pythons = named.into_iter().chain(["python3".into(), "python".into()]);
    let Some(theirs) = pythons.find_map(|python| theirs(&python, folder, &inputs.to_string()))
    else {
        println!("skipped: no Python with torch, numpy and safetensors; name one with PYTHON");
        return;
    };
    for (kind, _, ours) in ours {
        let shape: Vec<usize> =
            serde_json::from_value(theirs[&kind]["shape"].clone()).expect("a shape");
        let data: Vec<f32> =
            serde_json::from_value(theirs[&kind]["data"].clone()).expect("numbers");
        assert_eq!(**ours.shape(), *shape, "{kind}");
        let far = ours.data().iter().zip(&data).map(|(a, b)| (a - b).abs());
        let far = far.fold(0.0, f32::max);
        assert!(far < 1e-5, "{kind}: the results are {far} apart");
    }
}

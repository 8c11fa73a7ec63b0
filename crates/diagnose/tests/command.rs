//! The program as people and scripts use it.

use diagnose::{Array, Contents, Dtype, Entry, Facts, Outcome, Subject, read};
use gradcheck::attribution::norm::{Given, Norm, Probe, Target, mistakes};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

struct Finished {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program in a folder.
fn run(folder: &Path, arguments: &[&str]) -> Finished {
    let output = Command::new(env!("CARGO_BIN_EXE_diagnose"))
        .current_dir(folder)
        .env_remove("COURSE_FOLDER")
        .args(arguments)
        .output()
        .expect("the program runs");
    Finished {
        code: output.status.code().expect("an exit code"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

const FORMATS: [&str; 3] = ["a.safetensors", "a.npz", "a/"];

/// What the arguments of `probe` write into `file`.
fn probed(folder: &Path, file: &str, arguments: &[&str]) -> Contents {
    let all = [&["probe"], arguments, &[file]].concat();
    let finished = run(folder, &all);
    assert_eq!((finished.code, finished.err.as_str()), (0, ""), "{file}");
    read(&folder.join(file)).expect("a whole file")
}

fn values(contents: &Contents, name: &str) -> Vec<f64> {
    match &contents.entries[name] {
        Entry::Array(array) => array.values.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

/// The probe that a file holds.
fn given(contents: &Contents, norm: Norm, shape: &[usize]) -> Probe {
    let given = Given {
        x: values(contents, "x"),
        gamma: values(contents, "gamma"),
        beta: values(contents, "beta"),
        dy: values(contents, "dy"),
    };
    Probe::given(norm, shape, 1e-5, given).expect("it fits")
}

fn add(contents: &mut Contents, name: &str, shape: &[usize], dtype: Dtype, values: &[f64]) {
    let array = Array {
        shape: shape.to_vec(),
        dtype,
        values: values.iter().map(|v| dtype.round(*v)).collect(),
    };
    contents
        .entries
        .insert(name.to_owned(), Entry::Array(array));
}

/// A probe of Layer Norm on [6, 8] with what is right beside it.
fn solved(folder: &Path, file: &str, dtype: Dtype) -> (Contents, Probe) {
    let arguments = ["--norm", "layer", "--shape", "6,8", "--dtype", dtype.name()];
    let mut contents = probed(folder, file, &arguments);
    let probe = given(&contents, Norm::Layer { normalized: 1 }, &[6, 8]);
    for (name, shape, right) in [
        ("y", &[6, 8][..], probe.y()),
        ("dx", &[6, 8], probe.dx()),
        ("dgamma", &[8], probe.dgamma()),
        ("dbeta", &[8], probe.dbeta()),
    ] {
        add(&mut contents, name, shape, dtype, &right);
    }
    contents.write(&folder.join(file)).expect("written");
    (contents, probe)
}

#[test]
fn what_is_right_passes_in_every_format_and_type() {
    let folder = TempDir::new().unwrap();
    for (file, dtype) in FORMATS.into_iter().flat_map(|f| Dtype::ALL.map(|d| (f, d))) {
        solved(folder.path(), file, dtype);
        let finished = run(folder.path(), &["diagnose", file]);
        assert_eq!(
            finished.code, 0,
            "{file} {dtype}: {}{}",
            finished.out, finished.err
        );
        for name in ["y", "dx", "dgamma", "dbeta"] {
            let line = format!("{name}, {dtype}: right to ");
            assert!(finished.out.contains(&line), "{file}: {}", finished.out);
        }
    }
}

#[test]
fn a_mistake_is_named_with_its_section_and_the_exit_code_says_so() {
    let folder = TempDir::new().unwrap();
    let file = "a.safetensors";
    for dtype in Dtype::ALL {
        let (mut contents, probe) = solved(folder.path(), file, dtype);
        let made = mistakes(&probe, Target::Dx);
        let wrong = made
            .iter()
            .find(|(f, _)| f.id == "mean-path-missing")
            .unwrap();
        add(&mut contents, "dx", &[6, 8], dtype, &wrong.1);
        contents.write(&folder.path().join(file)).unwrap();
        let finished = run(folder.path(), &["diagnose", file, "--picture", "a.svg"]);
        assert_eq!(finished.code, 1, "{}", finished.err);
        let said = "dx: the path x -> mu -> x_hat is missing";
        assert!(finished.out.contains(said), "{dtype}: {}", finished.out);
        let section = "read \"The closed form\" in book/src/ln-backward.md";
        assert!(finished.out.contains(section), "{}", finished.out);
        // Every array has its map, with a square for each element.
        let svg = fs::read_to_string(folder.path().join("a.svg")).unwrap();
        assert_eq!(svg.matches("<rect").count(), 2 * 48 + 2 * 8);
        assert!(
            svg.contains("dx: wrong; ") && svg.contains("y: right; no element is off"),
            "{svg}"
        );
        // The same as JSON, and nothing beside it.
        let finished = run(folder.path(), &["diagnose", "--json", file]);
        assert_eq!((finished.code, finished.err.as_str()), (1, ""));
        let json: Value = serde_json::from_str(&finished.out).unwrap();
        assert_eq!(json["outcome"], "wrong");
        assert_eq!(
            json["judged"][1]["id"], "mean-path-missing",
            "{dtype}: {json}"
        );
        assert_eq!(
            json["judged"][1]["findings"][0]["section"],
            "sec:ln-closed-form"
        );
        assert_eq!(json["judged"][0]["outcome"], "right");
    }
}

#[test]
fn arrays_may_lie_in_several_files_and_have_the_names_of_torch() {
    let folder = TempDir::new().unwrap();
    let (contents, _) = solved(folder.path(), "all.safetensors", Dtype::F32);
    let (mut inputs, mut results) = (contents.clone(), Contents::default());
    for (name, other) in [
        ("y", "output"),
        ("dx", "grad_input"),
        ("dgamma", "weight.grad"),
    ] {
        results
            .entries
            .insert(other.to_owned(), inputs.entries.remove(name).unwrap());
    }
    let notes = results.entries["output"].clone();
    results.entries.insert("rstd".to_owned(), notes);
    inputs.write(&folder.path().join("in.npz")).unwrap();
    results
        .write(&folder.path().join("out.safetensors"))
        .unwrap();
    let finished = run(folder.path(), &["diagnose", "in.npz", "out.safetensors"]);
    assert_eq!(finished.code, 0, "{}{}", finished.out, finished.err);
    let note = "note: out.safetensors: `rstd` is not looked at";
    assert!(finished.out.contains(note), "{}", finished.out);
    assert_eq!(
        finished.out.matches("it is right").count(),
        4,
        "{}",
        finished.out
    );
    // The same array twice is one; another of the same name is not.
    let finished = run(
        folder.path(),
        &["diagnose", "in.npz", "in.npz", "out.safetensors"],
    );
    assert_eq!(finished.code, 0, "{}", finished.err);
    let finished = run(
        folder.path(),
        &["diagnose", "all.safetensors", "in.npz", "--eps", "1e-6"],
    );
    assert_eq!(finished.code, 2);
    let contradiction = "error: --eps 0.000001 contradicts all.safetensors, which says 0.00001\n";
    assert_eq!(finished.err, contradiction);
}

#[test]
fn numpy_arrays_of_f32_stand_for_bf16_where_that_is_said() {
    let folder = TempDir::new().unwrap();
    let (mut contents, _) = solved(folder.path(), "a.npz", Dtype::Bf16);
    let judged = |contents: &Contents, flags: &[&str]| {
        contents.write(&folder.path().join("a.npz")).unwrap();
        run(folder.path(), &[&["diagnose", "a.npz"], flags].concat())
    };
    assert!(judged(&contents, &[]).out.contains("dx, bf16: right"));
    // What nobody calls bf16 is f32, and eight bits of it are not right then.
    contents.facts.remove("dtype");
    assert_eq!(judged(&contents, &[]).code, 1);
    assert_eq!(judged(&contents, &["--dtype", "bf16"]).code, 0);
}

#[test]
fn errors_are_one_line() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let (contents, _) = solved(path, "a.safetensors", Dtype::F32);
    let write = |name: &str, change: &dyn Fn(&mut Contents)| {
        let mut changed = contents.clone();
        change(&mut changed);
        changed.write(&path.join(name)).unwrap();
    };
    let whole = fs::read(path.join("a.safetensors")).unwrap();
    fs::write(path.join("cut.safetensors"), &whole[..whole.len() - 5]).unwrap();
    write("no-x.npz", &|c| drop(c.entries.remove("x")));
    write("no-dy.npz", &|c| drop(c.entries.remove("dy")));
    write("no-eps.npz", &|c| drop(c.facts.remove("eps")));
    write("no-norm.npz", &|c| drop(c.facts.remove("norm")));
    write("shape.npz", &|c| {
        add(c, "gamma", &[7], Dtype::F32, &[1.0; 7])
    });
    write("other.npz", &|c| {
        add(c, "dx", &[6, 8], Dtype::F32, &[1.0; 48])
    });
    write("batch.npz", &|c| {
        c.facts.insert("norm".to_owned(), "batch".to_owned());
    });
    write("nan.npz", &|c| {
        add(c, "dy", &[6, 8], Dtype::F32, &[f64::NAN; 48])
    });
    write("inputs.npz", &|c| {
        c.entries
            .retain(|name, _| ["x", "gamma", "beta", "dy"].contains(&name.as_str()));
    });
    for (arguments, reason) in [
        (&["diagnose", "none.npz"][..], "none.npz: No such file"),
        (
            &["diagnose", "cut.safetensors"],
            "cut.safetensors: it is not a whole",
        ),
        (
            &["diagnose", "no-x.npz"],
            "there is no x (input) in the files",
        ),
        (&["diagnose", "no-dy.npz"], "dx needs dy"),
        (&["diagnose", "no-eps.npz"], "give --eps"),
        (&["diagnose", "no-norm.npz"], "Give --norm"),
        (
            &["diagnose", "shape.npz"],
            "gamma has 7 elements and must have 8",
        ),
        (
            &["diagnose", "a.safetensors", "other.npz"],
            "other.npz: `dx` is dx, which a.safetensors has too, and they differ: in 48 of 48 elements",
        ),
        (
            &["diagnose", "a.safetensors", "batch.npz"],
            "norm is layer in a.safetensors, and batch in batch.npz",
        ),
        (
            &["diagnose", "a.safetensors", "--momentum", "0.1"],
            "`momentum` belongs to batch, not to layer",
        ),
        (&["diagnose", "nan.npz"], "dy is NaN at [0, 0]"),
        (
            &["diagnose", "inputs.npz"],
            "there is nothing to judge: none of y (output, out); dx",
        ),
        (
            &["diagnose", "a.safetensors", "--norm", "rms"],
            "contradicts a.safetensors, which says",
        ),
        (
            &["diagnose", "a.safetensors", "--normalized", "2"],
            "contradicts a.safetensors, which says",
        ),
        (
            &["diagnose", "a.safetensors", "--dtype", "f16"],
            "contradicts a.safetensors, which says",
        ),
        (
            &["diagnose", "a.safetensors", "--groups", "2"],
            "`groups` belongs to group",
        ),
        (&["diagnose"], "<FILES>"),
        (&["diagnose", "a.safetensors", "--jsn"], "--jsn"),
        (
            &["diagnose", "a.safetensors", "--picture", "e.png"],
            "end it in .svg",
        ),
        (
            &["probe", "--norm", "layer", "--shape", "6,8", "folder"],
            "or in / for a folder of .npy files",
        ),
        (
            &["probe", "--norm", "layer", "--shape", "6,2", "b.npz"],
            "could show a mistake",
        ),
        (
            &["probe", "--norm", "layer", "--shape", "6,8", "b.txt"],
            "unknown format",
        ),
        (
            &["probe", "--norm", "layer", "--shape", "6,8", "no/b.npz"],
            "no/b.npz: ",
        ),
        (
            &["probe", "--norm", "instance", "--shape", "6,8", "b.npz"],
            "is no norm",
        ),
        (
            &["probe", "--norm", "group", "--shape", "6,8", "b.npz"],
            "Give --groups",
        ),
        (
            &["probe", "--norm", "layer", "--shape", "6,x", "b.npz"],
            "invalid value 'x'",
        ),
    ] {
        let Finished { code, out, err } = run(path, arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(
            err.starts_with("error: ") && err.contains(reason),
            "{arguments:?}: {err}"
        );
        assert_eq!(err.matches('\n').count(), 1, "{arguments:?}: {err}");
    }
}

#[test]
fn data_that_prove_nothing_are_refused_with_the_reason() {
    let folder = TempDir::new().unwrap();
    let (mut contents, probe) = solved(folder.path(), "a.npz", Dtype::F32);
    // Ones come back as zeros, whatever the formula is. y has nothing to do with it.
    let ones = Given {
        dy: vec![1.0; 48],
        x: probe.x.clone(),
        gamma: probe.gamma.clone(),
        beta: probe.beta.clone(),
    };
    let ones = Probe::given(Norm::Layer { normalized: 1 }, &[6, 8], 1e-5, ones).unwrap();
    add(&mut contents, "dy", &[6, 8], Dtype::F32, &ones.dy);
    add(&mut contents, "dx", &[6, 8], Dtype::F32, &ones.dx());
    add(&mut contents, "dgamma", &[8], Dtype::F32, &ones.dgamma());
    add(&mut contents, "dbeta", &[8], Dtype::F32, &ones.dbeta());
    contents.write(&folder.path().join("a.npz")).unwrap();
    let finished = run(folder.path(), &["diagnose", "a.npz"]);
    assert_eq!((finished.code, finished.err.as_str()), (2, ""));
    let why = "not judged: every element of dy is 1, under which a wrong gradient looks like a";
    assert_eq!(finished.out.matches(why).count(), 3, "{}", finished.out);
    assert!(finished.out.contains("y: it is right"), "{}", finished.out);
    let finished = run(folder.path(), &["diagnose", "a.npz", "--json"]);
    let json: Value = serde_json::from_str(&finished.out).unwrap();
    assert_eq!(
        (finished.code, &json["outcome"]),
        (2, &Value::from("refused"))
    );
}

/// A masked token, a padded row, a fresh gamma or beta hide something, and the rest is judged: right
/// what is right, and wrong a dx with the wrong sign.
#[test]
fn what_hides_a_part_hides_no_more_than_that() {
    let folder = TempDir::new().unwrap();
    let (contents, probe) = solved(folder.path(), "a.npz", Dtype::F32);
    let with = |change: &dyn Fn(&mut Given)| {
        let mut given = Given {
            x: probe.x.clone(),
            gamma: probe.gamma.clone(),
            beta: probe.beta.clone(),
            dy: probe.dy.clone(),
        };
        change(&mut given);
        Probe::given(Norm::Layer { normalized: 1 }, &[6, 8], 1e-5, given).unwrap()
    };
    for (changed, note) in [
        (
            with(&|g| g.dy[16..24].fill(0.0)),
            "note: gamma * dy does not vary in row 2, which shows nothing of dx",
        ),
        (
            with(&|g| g.x[16..24].fill(0.0)),
            "note: x does not vary in row 2, which shows nothing of the statistics",
        ),
        (
            with(&|g| g.gamma.fill(1.0)),
            "note: every gamma is 1: one that is forgotten, or taken from the wrong place, does",
        ),
        (
            with(&|g| g.beta.fill(0.0)),
            "note: every beta is 0: one that is forgotten does not show",
        ),
    ] {
        for (sign, code) in [(1.0, 0), (-1.0, 1)] {
            let mut contents = contents.clone();
            let dx: Vec<f64> = changed.dx().iter().map(|v| sign * v).collect();
            for (name, shape, values) in [
                ("x", &[6, 8][..], &changed.x),
                ("gamma", &[8], &changed.gamma),
                ("beta", &[8], &changed.beta),
                ("dy", &[6, 8], &changed.dy),
                ("y", &[6, 8], &changed.y()),
                ("dx", &[6, 8], &dx),
                ("dgamma", &[8], &changed.dgamma()),
                ("dbeta", &[8], &changed.dbeta()),
            ] {
                add(&mut contents, name, shape, Dtype::F32, values);
            }
            contents.write(&folder.path().join("a.npz")).unwrap();
            let finished = run(folder.path(), &["diagnose", "a.npz"]);
            assert_eq!(finished.code, code, "{note}: {}", finished.out);
            assert!(finished.out.contains(note), "{note}: {}", finished.out);
            let said = finished
                .out
                .contains("dx: the whole of dx has the wrong sign");
            assert_eq!(said, code == 1, "{note}: {}", finished.out);
        }
    }
}

/// A name with a slip in it would leave the array out, and the exit code at 0.
#[test]
fn an_array_under_a_name_that_is_nearly_known_is_not_passed_over() {
    let folder = TempDir::new().unwrap();
    let (mut contents, _) = solved(folder.path(), "a.npz", Dtype::F32);
    let dx = contents.entries.remove("dx").unwrap();
    contents.entries.insert("gradx".to_owned(), dx.clone());
    contents.write(&folder.path().join("a.npz")).unwrap();
    let finished = run(folder.path(), &["diagnose", "a.npz"]);
    assert_eq!(finished.code, 2, "{}", finished.out);
    let said = "not judged: a.npz: `gradx` is not looked at; if it is dx, call it so: dx (grad_";
    assert!(finished.out.contains(said), "{}", finished.out);
    let finished = run(folder.path(), &["diagnose", "a.npz", "--expect", "y,dx"]);
    assert_eq!((finished.code, finished.out.as_str()), (2, ""));
    let said = "is expected, and is not in the files; a.npz: `gradx` is not looked at";
    assert!(finished.err.contains(said), "{}", finished.err);
    let finished = run(folder.path(), &["diagnose", "a.npz", "--expect", "y,grdx"]);
    assert!(
        finished
            .err
            .contains("`grdx` is expected, and is none of y, dx")
    );
    // Beside dx itself it is another array.
    contents.entries.insert("dx".to_owned(), dx);
    contents.write(&folder.path().join("a.npz")).unwrap();
    let expect = ["diagnose", "a.npz", "--expect", "y,grad_input,weight.grad"];
    let finished = run(folder.path(), &expect);
    assert_eq!(finished.code, 0, "{}{}", finished.out, finished.err);
}

#[test]
fn json_has_numbers_and_errors() {
    let folder = TempDir::new().unwrap();
    let (contents, _) = solved(folder.path(), "a.npz", Dtype::F32);
    let finished = run(folder.path(), &["diagnose", "none.npz", "--json"]);
    assert_eq!((finished.code, finished.err.as_str()), (2, ""));
    let json: Value = serde_json::from_str(&finished.out).unwrap();
    assert_eq!(json["outcome"], "error");
    assert!(json["error"].as_str().unwrap().contains("none.npz"));
    for unknown in [
        &["diagnose", "a.npz", "--json", "--esp", "0.1"][..],
        &["diagnose", "--json"],
        &["diagnose", "a.npz", "--json", "--eps", "small"],
    ] {
        let finished = run(folder.path(), unknown);
        let json: Value = serde_json::from_str(&finished.out).unwrap();
        assert_eq!(
            (finished.code, &json["outcome"]),
            (2, &"error".into()),
            "{unknown:?}"
        );
        assert_eq!(finished.err, "", "{unknown:?}");
    }
    contents.write(&folder.path().join("a.npz")).unwrap();
    let finished = run(folder.path(), &["diagnose", "a.npz", "--json"]);
    let json: Value = serde_json::from_str(&finished.out).unwrap();
    assert_eq!(json["norm"]["normalized"], 1);
    assert_eq!(json["norm"]["norm"], "layer");
    assert!(json["judged"][0]["worst"]["at"][1].is_u64(), "{json}");
}

#[test]
fn what_is_not_a_number_or_of_another_size_is_wrong() {
    let folder = TempDir::new().unwrap();
    let (mut contents, probe) = solved(folder.path(), "a.npz", Dtype::F32);
    let mut dx = probe.dx();
    dx[11] = f64::INFINITY;
    add(&mut contents, "dx", &[6, 8], Dtype::F32, &dx);
    add(&mut contents, "dgamma", &[6], Dtype::F32, &[1.0; 6]);
    // One element, by a little more than rounding can do.
    let mut y = probe.y();
    y[20] *= 1.0 + 2e-5;
    add(&mut contents, "y", &[6, 8], Dtype::F32, &y);
    contents.write(&folder.path().join("a.npz")).unwrap();
    let finished = run(folder.path(), &["diagnose", "a.npz"]);
    assert_eq!(finished.code, 1, "{}", finished.err);
    for said in [
        "dx: value 3 of row 1 is not a finite number, and all else is right",
        "dgamma: it has 6 elements and must have 8",
        "1 of 48 elements are further off than rounding can take them, the furthest at [2, 4]",
        "dbeta: it is right",
    ] {
        assert!(finished.out.contains(said), "{said}: {}", finished.out);
    }
}

#[test]
fn a_fault_of_execution_is_named_with_its_place_in_every_type() {
    let folder = TempDir::new().unwrap();
    for dtype in Dtype::ALL {
        let (mut contents, probe) = solved(folder.path(), "a.safetensors", dtype);
        let mut dx = probe.dx();
        dx[40..].fill(0.0);
        add(&mut contents, "dx", &[6, 8], dtype, &dx);
        // The last two rows are left out of the sum.
        let kept = |k: usize| if k < 32 { probe.dy[k] } else { 0.0 };
        let dy: Vec<f64> = (0..48).map(kept).collect();
        add(&mut contents, "dbeta", &[8], dtype, &probe.params.sums(&dy));
        contents
            .write(&folder.path().join("a.safetensors"))
            .unwrap();
        let finished = run(folder.path(), &["diagnose", "a.safetensors"]);
        assert_eq!(finished.code, 1, "{}", finished.err);
        for said in ["dx: row 5 is zero, and all else is right", "dbeta: "] {
            assert!(finished.out.contains(said), "{dtype}: {}", finished.out);
        }
        let dbeta = finished
            .out
            .lines()
            .find(|line| line.starts_with("dbeta: "))
            .unwrap();
        assert!(dbeta.contains("rows 4 and 5"), "{dtype}: {dbeta}");
    }
}

#[test]
fn a_large_array_is_explained_by_a_part_of_it() {
    let folder = TempDir::new().unwrap();
    let shape = [600, 64];
    for (norm, name) in [
        (Norm::Layer { normalized: 1 }, "layer"),
        (Norm::Batch, "batch"),
    ] {
        let arguments = ["--norm", name, "--shape", "600,64"];
        let mut contents = probed(folder.path(), "a.npz", &arguments);
        let probe = given(&contents, norm, &shape);
        let wrong = |target, id: &str| -> Vec<f64> {
            let mut all = mistakes(&probe, target).into_iter();
            all.find(|(f, _)| f.id == id).expect(id).1
        };
        let dx = wrong(Target::Dx, "variance-path-missing");
        let dgamma = wrong(Target::Dgamma, "dgamma-is-dbeta");
        add(&mut contents, "y", &shape, Dtype::F32, &probe.y());
        add(&mut contents, "dx", &shape, Dtype::F32, &dx);
        add(&mut contents, "dgamma", &[64], Dtype::F32, &dgamma);
        contents.write(&folder.path().join("a.npz")).unwrap();
        let finished = run(folder.path(), &["diagnose", "--json", "a.npz"]);
        let json: Value = serde_json::from_str(&finished.out).expect(&finished.err);
        let said = |k: usize| (&json["judged"][k]["id"], &json["judged"][k]["outcome"]);
        assert_eq!(said(0).1, "right", "{name} {json}");
        assert_eq!(said(1).0, "variance-path-missing", "{name} {json}");
        assert_eq!(said(2).0, "dgamma-is-dbeta", "{name} {json}");
    }
}

/// The committed files, which PyTorch computed.
fn of_torch() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torch");
    let files = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|f| f.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    files.sort();
    files
}

#[test]
fn what_torch_computes_is_right() {
    let files = of_torch();
    assert_eq!(files.len(), 16);
    for file in files {
        let subject = Subject::read(std::slice::from_ref(&file), Facts::default()).unwrap();
        let judged = subject.judge();
        let expected = match file
            .file_name()
            .unwrap()
            .to_string_lossy()
            .split('-')
            .next()
        {
            Some("rms") => 3,
            Some("batch") => 6,
            _ => 4,
        };
        assert_eq!(judged.len(), expected, "{}", file.display());
        for one in judged {
            let about = (file.display(), &one.sentence, one.error, one.allowed);
            assert_eq!(one.outcome, Outcome::Right, "{about:?}");
        }
    }
}

#[test]
fn a_running_statistic_that_went_wrong_is_not_right() {
    for file in of_torch() {
        if !file.to_string_lossy().contains("batch-") {
            continue;
        }
        let subject = Subject::read(std::slice::from_ref(&file), Facts::default()).unwrap();
        for number in 0..subject.candidates.len() {
            let mut changed = subject.clone();
            let candidate = &mut changed.candidates[number];
            if candidate.running.is_none() {
                continue;
            }
            // As if momentum had weighed the old value.
            let old = candidate.running.as_ref().unwrap().old.clone();
            for (v, old) in candidate.array.values.iter_mut().zip(old) {
                *v = 9.0 * *v - 8.0 * old;
            }
            let dtype = candidate.array.dtype;
            let judged = &changed.judge()[number];
            assert_eq!(
                judged.outcome,
                Outcome::Wrong,
                "{}: {}",
                file.display(),
                judged.sentence
            );
            if matches!(dtype, Dtype::F64 | Dtype::F32) {
                let about = (file.display(), &judged.sentence);
                assert_eq!(judged.id, "momentum-swapped", "{about:?}");
            }
        }
    }
}

/// One array that does not fit, or cannot be judged, does not keep the others from it.
#[test]
fn one_array_does_not_stand_in_the_way_of_the_others() {
    let folder = TempDir::new().unwrap();
    let (contents, probe) = solved(folder.path(), "a.npz", Dtype::F32);
    let judged = |change: &dyn Fn(&mut Contents), flags: &[&str]| {
        let mut changed = contents.clone();
        change(&mut changed);
        changed.write(&folder.path().join("b.npz")).unwrap();
        run(folder.path(), &[&["diagnose", "b.npz"], flags].concat())
    };
    // The elements of a flat array lie in one order.
    let finished = judged(&|c| add(c, "dx", &[48], Dtype::F32, &probe.dx()), &[]);
    assert_eq!(finished.code, 0, "{}{}", finished.out, finished.err);
    let note = "note: dx has shape [48], and is judged as [6, 8], its elements in the order";
    assert!(finished.out.contains(note), "{}", finished.out);
    // A running statistic without what it came from is refused alone.
    let finished = judged(
        &|c| add(c, "running_mean", &[8], Dtype::F32, &[1.0; 8]),
        &[],
    );
    assert_eq!(finished.code, 2, "{}{}", finished.out, finished.err);
    let said = "not judged: running_mean: only Batch Norm has running statistics\n";
    assert!(finished.out.starts_with(said), "{}", finished.out);
    assert!(finished.out.contains("dx: it is right"), "{}", finished.out);
    // A picture that cannot be written.
    let finished = judged(&|_| (), &["--picture", "nowhere/e.svg"]);
    assert_eq!(finished.code, 0, "{}", finished.err);
    let said = "note: there is no picture: nowhere/e.svg: ";
    assert!(finished.out.contains(said), "{}", finished.out);
    // Gradients under the names of a model.
    let renamed = |c: &mut Contents, names: &[&str]| {
        let own = c.entries.remove("dgamma").unwrap();
        for name in names {
            c.entries.insert((*name).to_owned(), own.clone());
        }
    };
    let finished = judged(&|c| renamed(c, &["model.norm.weight.grad"]), &[]);
    assert_eq!(finished.code, 0, "{}", finished.err);
    assert!(
        finished.out.contains("dgamma: it is right"),
        "{}",
        finished.out
    );
    let said = "note: b.npz: `model.norm.weight.grad` is taken for dgamma";
    assert!(finished.out.contains(said), "{}", finished.out);
    let finished = judged(&|c| renamed(c, &["a.weight.grad", "b.weight.grad"]), &[]);
    assert_eq!(finished.code, 2, "{}", finished.out);
    let said = "not judged: b.npz: `a.weight.grad` is not looked at; if it is dgamma";
    assert!(finished.out.contains(said), "{}", finished.out);
}

/// What is not finite, and what is wrong in places that have no name, is told once and the same way.
#[test]
fn places_are_counted_by_one_measure() {
    let folder = TempDir::new().unwrap();
    let (contents, probe) = solved(folder.path(), "a.npz", Dtype::F32);
    let judged = |dx: &[f64]| {
        let mut changed = contents.clone();
        add(&mut changed, "dx", &[6, 8], Dtype::F32, dx);
        changed.write(&folder.path().join("b.npz")).unwrap();
        run(folder.path(), &["diagnose", "b.npz"]).out
    };
    let told = judged(&[f64::NAN; 48]);
    let words = "dx: 48 of 48 elements are NaN, the first at [0, 0]\n";
    assert!(told.contains(words), "{told}");
    // Noise of many sizes: what is called right is not among what is further off.
    let noise =
        |(k, v): (usize, &f64)| v * (1.0 + 3e-5 * (0.5_f64).powi(k as i32 % 7) * (k as f64).sin());
    let told = judged(&probe.dx().iter().enumerate().map(noise).collect::<Vec<_>>());
    assert!(told.contains("further off than rounding"), "{told}");
    if let Some((_, rest)) = told.split_once("right except in elements ") {
        let off = rest.split_once("; ").unwrap().1;
        let count: usize = off.split(' ').next().unwrap().parse().unwrap();
        assert!(2 * count <= 48, "{told}");
    }
    // The same section is not read twice.
    let both = |k: usize| probe.dy[k] + if k < 8 { 1.0 } else { 0.0 };
    let told = judged(&(0..48).map(both).collect::<Vec<_>>());
    let reads: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("    read "))
        .collect();
    let mut once = reads.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), reads.len(), "{told}");
}

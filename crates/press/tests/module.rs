//! The modules that pages load, as they are committed: made from the sources that are there, small,
//! free of the machine that made them, and of one mind with the native crates.

use live::figures::{self, LIVE, MODULES};
use live::{Control, Figure, Kind, bridge};
use press::record::{Record, file, sha256};
use press::{COMMAND, folder, results, root, sources, stills};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use wasmi::{Engine, Instance, Linker, Memory, Module, Store};

/// A module; another than the committed one if `LIVE_MODULES` names a folder.
fn bytes(name: &str) -> Vec<u8> {
    let folder = env::var_os("LIVE_MODULES").map_or(folder(&root()), Into::into);
    let path = folder.join(file(name));
    fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

#[test]
fn the_module_is_made_from_the_sources_that_are_there() {
    let root = root();
    let record = Record::load(&folder(&root)).unwrap();
    assert_eq!(
        sources::digest(&root).unwrap(),
        record.sources,
        "book/live is older than what it is made from; `{COMMAND}` makes it anew"
    );
    let of = |name: &str| sha256(&fs::read(folder(&root).join(file(name))).unwrap());
    let committed = MODULES.map(|module| (module.name.to_owned(), of(module.name)));
    assert_eq!(
        BTreeMap::from(committed),
        record.modules,
        "a module is not the one on record; `{COMMAND}` makes it anew"
    );
}

/// The dots of the figure are those of the experiments, and what it says of them is what these say.
#[test]
fn the_seeds_are_those_of_the_results() {
    let (root, path) = (root(), results::path(&root()));
    let found = fs::read_to_string(path).unwrap();
    assert_eq!(
        found.replace("\r\n", "\n"),
        results::text(&root).unwrap(),
        "`{COMMAND}` takes them out of the results anew"
    );
    let result = fs::read_to_string(root.join("book/results/cnn.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let said = &result["data"]["leads_at_the_largest"]["over_layer"];
    let points =
        |end: &str| format!("{:+.1}", 100.0 * said[end].as_f64().unwrap()).replace('-', "−");
    let wanted = format!(
        "Batch Norm is ahead of Layer Norm in {} of 13 pairs, and behind in {}; the interval reaches \
         from {} to {} points: ",
        said["above"],
        said["below"],
        points("low"),
        points("high")
    );
    let answer = bridge::answer("seeds\n0\n0\n1");
    assert!(answer.contains(&wanted), "{wanted}: {answer}");
}

#[test]
fn the_stills_are_what_the_figures_draw() {
    let folder = folder(&root());
    let (drawn, found) = (stills::all(), stills::found(&folder).unwrap());
    let names = |stills: &BTreeMap<String, String>| stills.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&drawn), "`{COMMAND}` draws them anew");
    for (name, html) in drawn {
        assert!(
            found[&name] == html,
            "book/live/{name} is old; `{COMMAND}` draws it anew"
        );
    }
}

/// A reader waits for it, and every reader gets the same.
#[test]
fn the_module_is_small_and_knows_no_machine() {
    let root = root().display().to_string();
    for name in MODULES.map(|module| module.name) {
        let bytes = bytes(name);
        assert!(bytes.len() <= 300_000, "{name}: {} bytes", bytes.len());
        let text = String::from_utf8_lossy(&bytes);
        for path in [&root, "/home/", "/root/", "/Users/", ".cargo"] {
            assert!(!text.contains(path), "{name} names {path}");
        }
        assert!(text.contains("crates/live/src/"), "panics name no file");
    }
}

/// The module in an interpreter, and what it exports.
struct Page {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
}

impl Page {
    fn of(engine: &Engine, name: &str) -> Self {
        let module = Module::new(engine, &bytes(name)[..]).unwrap();
        let mut store = Store::new(engine, ());
        // Nothing is given to it: it asks for nothing.
        let linker = Linker::new(engine);
        let instance = linker.instantiate_and_start(&mut store, &module).unwrap();
        let memory = instance.get_memory(&store, "memory").unwrap();
        Self {
            store,
            instance,
            memory,
        }
    }

    /// What the script of the pages does.
    fn ask(&mut self, question: &str) -> Result<String, String> {
        let store = &mut self.store;
        let room = self
            .instance
            .get_typed_func::<u32, u32>(&*store, "question")
            .unwrap();
        let at = room.call(&mut *store, question.len() as u32).unwrap();
        self.memory
            .write(&mut *store, at as usize, question.as_bytes())
            .unwrap();
        let answer = self
            .instance
            .get_typed_func::<(), u32>(&*store, "answer")
            .unwrap();
        let done = answer.call(&mut *store, ());
        let [start, length] = ["answer_start", "answer_length"].map(|name| {
            let export = self
                .instance
                .get_typed_func::<(), u32>(&*store, name)
                .unwrap();
            export.call(&mut *store, ()).unwrap() as usize
        });
        let said = self.memory.data(&*store)[start..start + length].to_vec();
        let said = String::from_utf8(said).unwrap();
        done.map(|_| said.clone()).map_err(|_| said)
    }
}

/// Values of a control that are asked for: where it begins, its ends, and some between.
fn some(control: &Control) -> Vec<String> {
    match control.kind {
        Kind::Slider { min, max, step, .. } => {
            let steps = ((max - min) / step).round();
            let at = |share: f64| (min + step * (share * steps).round()).to_string();
            [0.0, 0.13, 0.29, 0.41, 0.5, 0.67, 0.83, 1.0]
                .map(at)
                .to_vec()
        }
        Kind::Choice { options, .. } => (0..options.len()).map(|at| at.to_string()).collect(),
        Kind::Switch { .. } => vec!["0".to_owned(), "1".to_owned()],
        Kind::Text { start, .. } => vec![start.to_owned(), String::new(), start.replace('+', "*")],
    }
}

/// What is asked of a figure: each control moved by itself, and all of them at once.
fn questions(figure: &Figure) -> Vec<String> {
    let controls: Vec<&Control> = figure.controls().collect();
    let start: Vec<String> = controls.iter().map(|control| control.start()).collect();
    let mut all = vec![start.clone()];
    for (at, control) in controls.iter().enumerate() {
        for value in some(control) {
            let mut values = start.clone();
            values[at] = value;
            all.push(values);
        }
    }
    for turn in 0..24 {
        let pick = |(at, control): (usize, &&Control)| {
            let values = some(control);
            values[(turn * (2 * at + 3) + at * at + turn / 3) % values.len()].clone()
        };
        all.push(controls.iter().enumerate().map(pick).collect());
    }
    all.into_iter()
        .map(|values| format!("{}\n{}", figure.name, values.join("\n")))
        .collect()
}

/// In the browser and here: the same drawings and the same words, letter by letter.
#[test]
fn the_module_answers_as_the_native_crates_do() {
    let engine = Engine::default();
    for figure in figures::all() {
        let mut page = Page::of(&engine, figures::module_of(&figure));
        let questions = questions(&figure);
        let mut answers = Vec::new();
        for question in &questions {
            let there = page
                .ask(question)
                .unwrap_or_else(|why| panic!("{question:?}: {why}"));
            let here = bridge::answer(question);
            assert!(there == here, "{question:?}: there\n{there}\nhere\n{here}");
            answers.push(here);
        }
        answers.sort();
        answers.dedup();
        assert!(
            answers.len() > questions.len() / 3,
            "{}: {} questions have {} answers",
            figure.name,
            questions.len(),
            answers.len()
        );
    }
}

#[test]
fn a_panic_is_told() {
    let engine = Engine::default();
    let said = Page::of(&engine, LIVE.name).ask("none").unwrap_err();
    assert!(said.contains("there is no live figure `none`"), "{said}");
}

/// The names that the script and the drawings go by.
#[test]
fn every_control_has_a_name_of_its_own_that_every_handle_knows() {
    for figure in figures::all() {
        let mut names: Vec<&str> = figure.controls().map(|control| control.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert!(count > 0 && names.len() == count, "{}", figure.name);
        for question in questions(&figure) {
            let answer = bridge::answer(&question);
            for mark in [
                "data-drag-x=\"",
                "data-drag-y=\"",
                "data-drag=\"",
                "data-set=\"",
            ] {
                for (at, _) in answer.match_indices(mark) {
                    let after = &answer[at + mark.len()..];
                    let marked = after.split('"').next().unwrap();
                    for part in marked.split(';') {
                        let name = part.split(' ').next().unwrap();
                        assert!(
                            names.contains(&name),
                            "{}: `{name}` is dragged",
                            figure.name
                        );
                    }
                }
            }
            assert!(
                !answer.contains(" id=\""),
                "{}: an id is twice on a page",
                figure.name
            );
            for word in ["NaN", "inf"] {
                let parts: Vec<&str> = answer.split('\0').take(2).collect();
                assert!(
                    !parts.concat().contains(&format!("\"{word}")),
                    "{question:?}: {word}"
                );
            }
        }
    }
}

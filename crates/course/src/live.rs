//! The default command: the book served, the exercises watched, verdicts as they come.

use crate::book::labels::Labels;
use crate::book::{self, Built};
use crate::catalogue::{Catalogue, Exercise};
use crate::check::{self, Checked, Step, Verdict};
use crate::compile::Compiler;
use crate::files::Lock;
use crate::follow::Bar;
use crate::progress::Progress;
use crate::prose::Layout;
use crate::serve::{self, Hub};
use crate::site::Site;
use crate::terminal;
use crate::watch::Watcher;
use crate::workspace::Workspace;
use anstream::{eprintln, println};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use verdict::Moment;

/// What the default command is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Serve on this port and no other.
    pub port: Option<u16>,
    /// Open a browser when there is one.
    pub browser: bool,
    /// Serve the book; without, only watch the exercises.
    pub serve: bool,
}

/// Runs until the process is ended.
///
/// # Errors
/// When the book, the catalogue or the progress file cannot be read at the start, or
/// the port cannot be opened. Later troubles are printed and survived.
pub fn run(workspace: &Workspace, options: Options) -> Result<()> {
    let catalogue = Catalogue::load(workspace)?;
    let progress = Progress::load(workspace)?;
    let mut running = alone(workspace)?;
    // A port that is taken is refused before the book is built.
    let listener = options
        .serve
        .then(|| serve::listen(options.port))
        .transpose()?;
    let mut live = Live {
        workspace: workspace.clone(),
        catalogue,
        progress,
        hub: Arc::default(),
        built: None,
        labels: book::labels(workspace).unwrap_or_default(),
        builds: 0,
        compiler: Compiler::default(),
        verdicts: BTreeMap::new(),
        moments: BTreeMap::new(),
        checking: None,
    };
    let mut folders = vec![workspace.book().join("exercises")];
    if options.serve {
        folders.extend([workspace.chapters(), workspace.book().join("theme")]);
    }
    // Watching starts first: what is saved while the book is built is not missed.
    let mut watcher = Watcher::new(&folders);
    if options.serve {
        live.rebuild(&mut watcher)?;
    }
    if let Some(listener) = listener {
        let address = serve::start(&live.hub, listener)?;
        let url = format!("http://{address}/");
        // Another command that is started here names the address; it can do without.
        let _ = running.say(&url);
        println!("The book is at {url}");
        if options.browser && browser_wanted() && open::that_detached(&url).is_err() {
            println!("No browser could be started; open that address in one.");
        }
    }
    let total = live.catalogue.exercises.len();
    println!(
        "{} of {total} exercises passed. Open a file in book/exercises and save it to have it checked; Ctrl-C ends.",
        live.catalogue.passed(&live.progress)
    );
    loop {
        let mut changed = watcher.wait();
        // What is saved while an exercise runs comes after it.
        while !changed.is_empty() {
            changed = live.react(&changed, &mut watcher, options.serve);
        }
    }
}

/// Makes sure that no other command watches this checkout: each save would be checked by
/// both.
fn alone(workspace: &Workspace) -> Result<Lock> {
    let path = workspace.lock("running");
    if let Some(lock) = Lock::free(&path)? {
        return Ok(lock);
    }
    // Where a lock cannot be read by others, the address stays unknown.
    let address = fs::read_to_string(&path).unwrap_or_default();
    let place = match address.trim() {
        "" => String::new(),
        address => format!(" at {address}"),
    };
    bail!("the course runs already{place}, and checks what you save; end that one first")
}

/// A browser is opened for a person at a desktop: not in a pipe, not in CI, not where
/// there is no display.
fn browser_wanted() -> bool {
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let display = !cfg!(target_os = "linux") || set("DISPLAY") || set("WAYLAND_DISPLAY");
    std::io::stdout().is_terminal() && display && !set("CI") && !set("SSH_CONNECTION")
}

struct Live {
    workspace: Workspace,
    catalogue: Catalogue,
    progress: Progress,
    hub: Arc<Hub>,
    built: Option<Built>,
    /// Those of the book when it was last read, built or not.
    labels: Labels,
    builds: u32,
    compiler: Compiler,
    verdicts: BTreeMap<String, Checked>,
    /// What was seen last of those that take their time.
    moments: BTreeMap<String, Moment>,
    /// The exercise that is being checked, and what its page is told of that.
    checking: Option<(String, Value)>,
}

impl Live {
    /// Does what follows from these saves, and returns what was saved meanwhile.
    fn react(
        &mut self,
        changed: &BTreeSet<PathBuf>,
        watcher: &mut Watcher,
        serve: bool,
    ) -> BTreeSet<PathBuf> {
        let mut later = BTreeSet::new();
        let exercises = self.workspace.book().join("exercises");
        let mut rebuild = false;
        for path in changed {
            if *path == self.workspace.progress() {
                self.follow();
                continue;
            }
            match self.exercise_of(path) {
                // It was saved once more while another ran.
                Some(_) if later.contains(path) => {}
                Some(exercise) => later.extend(self.check(&exercise, watcher)),
                // The catalogue is text of the book; the library behind the exercises
                // is rebuilt by cargo when it next checks one.
                None => {
                    rebuild |= !path.starts_with(&exercises) || *path == self.workspace.catalogue()
                }
            }
        }
        if rebuild
            && serve
            && let Err(error) = self.rebuild(watcher)
        {
            eprintln!("{error:#}");
            let event = json!({"event": "broken", "message": format!("{error:#}")});
            self.hub.send(&event);
        }
        later
    }

    /// The exercise whose file this is.
    fn exercise_of(&self, path: &Path) -> Option<Exercise> {
        let mut all = self.catalogue.exercises.iter();
        let found = all.find(|e| self.workspace.exercise(&e.name) == *path);
        found.cloned()
    }

    /// Checks an exercise, and returns what was saved meanwhile. It is stopped when this or another
    /// exercise is saved: what the reader works on now goes before what is still running.
    fn check(&mut self, exercise: &Exercise, watcher: &mut Watcher) -> BTreeSet<PathBuf> {
        let name = exercise.name.as_str();
        self.moments.remove(name);
        self.tell_of(name, &Step::Runs(None));
        let (mut later, mut bar) = (BTreeSet::new(), Bar::new(name));
        let mut compiler = std::mem::take(&mut self.compiler);
        let workspace = self.workspace.clone();
        let checked = check::check(&mut compiler, &workspace, exercise, &mut |step| {
            bar.show(&step);
            self.tell_of(name, &step);
            let Step::Runs(moment) = step else {
                return true;
            };
            if let Some(moment) = moment {
                let event = json!({"event": "moment", "exercise": name, "moment": moment});
                self.moments.insert(name.to_owned(), moment);
                self.hub.greet_with(self.state());
                self.hub.send(&event);
            }
            later.extend(watcher.now());
            !later.iter().any(|path| self.exercise_of(path).is_some())
        });
        bar.clear();
        self.compiler = compiler;
        self.checking = None;
        self.hub.greet_with(self.state());
        let checked = match checked {
            Ok(checked) => checked,
            Err(error) => {
                eprintln!("{error:#}");
                let event = json!({"event": "broken", "message": format!("{error:#}")});
                self.hub.send(&event);
                return later;
            }
        };
        // Nothing is said of what is checked again at once.
        if checked.verdict == Verdict::Stopped && later.contains(&workspace.exercise(name)) {
            return later;
        }
        let layout = Layout::new(&self.labels);
        println!(
            "\n{}{}",
            terminal::verdict(name, &checked.verdict, &layout),
            terminal::printed(&checked.printed)
        );
        let record = |progress: &mut Progress| checked.record(name, progress);
        match Progress::update(&self.workspace, record) {
            Ok(progress) => self.progress = progress,
            Err(error) => eprintln!("{error:#}"),
        }
        if checked.verdict.passed() {
            let told = terminal::after_success(exercise, &self.catalogue, &self.progress, &layout);
            println!("{told}");
        }
        self.verdicts.insert(name.to_owned(), checked);
        let mut event = self.exercise(name);
        event["event"] = json!("verdict");
        self.hub.greet_with(self.state());
        self.hub.send(&event);
        self.compiler.prepare(&self.workspace);
        later
    }

    /// Tells the pages what the check of this exercise is at, if that is new.
    fn tell_of(&mut self, name: &str, step: &Step) {
        let (words, count) = step.told(name);
        let told = json!({"words": words, "count": count});
        let now = Some((name.to_owned(), told.clone()));
        if self.checking == now {
            return;
        }
        self.checking = now;
        self.hub.greet_with(self.state());
        self.hub
            .send(&json!({"event": "checking", "exercise": name, "checking": told}));
    }

    /// Takes over what another command has recorded.
    fn follow(&mut self) {
        match Progress::load(&self.workspace) {
            Ok(progress) if progress != self.progress => {
                self.progress = progress;
                self.hub.greet_with(self.state());
                self.hub.send(&self.state());
            }
            Ok(_) => {}
            Err(error) => eprintln!("{error:#}"),
        }
    }

    fn rebuild(&mut self, watcher: &mut Watcher) -> Result<()> {
        self.catalogue = Catalogue::load(&self.workspace)?;
        let build_dir = self.workspace.build_dir();
        let built = book::build(&self.workspace, &build_dir)?;
        self.hub
            .show(Site::load(&build_dir).context("the built book cannot be read")?);
        let mut inputs = built.inputs.clone();
        inputs.insert(self.workspace.book().join("book.toml"));
        inputs.insert(self.workspace.progress());
        watcher.also(inputs);
        self.labels = built.labels.clone();
        self.built = Some(built);
        self.builds += 1;
        self.hub.greet_with(self.state());
        self.hub.send(&self.state());
        Ok(())
    }

    /// All that a page needs to know; it reloads when the build is another than its own.
    fn state(&self) -> Value {
        let exercises = self
            .catalogue
            .exercises
            .iter()
            .map(|e| self.exercise(&e.name));
        json!({
            "event": "state",
            "build": format!("{}-{}", std::process::id(), self.builds),
            "exercises": exercises.collect::<Vec<_>>(),
        })
    }

    fn exercise(&self, name: &str) -> Value {
        let page = self
            .built
            .as_ref()
            .and_then(|built| built.exercises.get(name));
        let checked = self.verdicts.get(name);
        let printed = checked.map(|checked| &checked.printed);
        let verdict = checked.map(|checked| &checked.verdict);
        let section = verdict.and_then(|verdict| match verdict {
            Verdict::Report(report) => report.section.as_deref(),
            _ => None,
        });
        let target = section.zip(self.built.as_ref()).and_then(|(label, built)| {
            let target = built.labels.get(label)?;
            Some(json!({"text": target.text, "href": format!("{}#{label}", target.page)}))
        });
        let verdict = verdict.map(|verdict| match verdict {
            Verdict::Uncompiled { messages, errors } => json!({
                "kind": "uncompiled",
                "errors": errors,
                "messages": anstream::adapter::strip_str(messages).to_string(),
            }),
            other => json!(other),
        });
        let next = self.catalogue.after(name, &self.progress);
        let plain = Layout::of_width(&self.labels, None);
        let title = self.catalogue.get(name).map_or_else(
            |_| String::new(),
            |e| anstream::adapter::strip_str(&plain.phrase(&e.title)).to_string(),
        );
        json!({
            "exercise": name,
            "title": title,
            "next": next.map(|exercise| &exercise.name),
            "page": page,
            "state": self.progress.get(name).state,
            "verdict": verdict,
            "section": target,
            "printed": printed,
            "moment": self.moments.get(name),
            "checking": self.checking.as_ref().filter(|of| of.0 == name).map(|of| &of.1),
        })
    }
}

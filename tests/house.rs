//! The shape of the house, as `ARCHITECTURE.md` describes it: no circles of files, no arrow
//! upward, no file that nobody can read in one go, and a map that names what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Item, UseTree};

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.canonicalize().expect("the checkout")
}

/// The packages with a library, from the floor upward: none may use one behind it.
const FLOORS: [(&str, &str); 19] = [
    ("vectorized", "crates/vectorized"),
    ("tape", "crates/tape"),
    ("gradcheck", "crates/gradcheck"),
    ("witness", "crates/witness"),
    ("batchnorm", "crates/batchnorm"),
    ("layernorm", "crates/layernorm"),
    ("nn", "crates/nn"),
    ("verdict", "crates/verdict"),
    ("judge", "crates/judge"),
    ("exercises", "book/exercises"),
    ("verify", "crates/verify"),
    ("diagnose", "crates/diagnose"),
    ("examine", "crates/examine"),
    ("chart", "crates/chart"),
    ("live", "crates/live"),
    ("press", "crates/press"),
    ("lab", "crates/lab"),
    ("numbers", "crates/numbers"),
    ("course", "crates/course"),
];

/// A module: names from the root of its crate, without `crate`.
type Name = Vec<String>;

/// What one source file says of its module.
#[derive(Default)]
struct Source {
    children: BTreeSet<String>,
    /// What it passes on under a name of its own, and where that comes from; `None` if from
    /// another crate.
    passed_on: BTreeMap<String, Option<Name>>,
    /// The paths that it names, from the root of the crate.
    named: Vec<Name>,
}

/// The modules of the crate in `folder`, from its library down.
fn modules(folder: &Path) -> BTreeMap<Name, Source> {
    let mut all = BTreeMap::new();
    let src = folder.join("src");
    read(&src.join("lib.rs"), &src, Vec::new(), &mut all);
    all
}

fn read(file: &Path, folder: &Path, name: Name, all: &mut BTreeMap<Name, Source>) {
    let text = fs::read_to_string(file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    let mut reader = Reader {
        name: name.clone(),
        source: Source::default(),
    };
    // The children first: what is written before them may name them.
    for item in &parsed.items {
        let Item::Mod(module) = item else { continue };
        if module.content.is_some() || is_test(&module.attrs) {
            continue;
        }
        let child = module.ident.to_string();
        let inside = folder.join(&child);
        let flat = folder.join(format!("{child}.rs"));
        let file = if flat.is_file() {
            flat
        } else {
            inside.join("mod.rs")
        };
        let child_name = [&name[..], std::slice::from_ref(&child)].concat();
        read(&file, &inside, child_name, all);
        reader.source.children.insert(child);
    }
    reader.visit_file(&parsed);
    all.insert(name, reader.source);
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

struct Reader {
    name: Name,
    source: Source,
}

impl Reader {
    /// The path from the root of the crate, if it begins in the crate.
    fn absolute(&self, path: &[String]) -> Option<Name> {
        let mut rest = path;
        let mut at = self.name.clone();
        match path.first()?.as_str() {
            "crate" => at.clear(),
            "self" | "super" => {}
            first if self.source.children.contains(first) => {
                return Some([at, path.to_vec()].concat());
            }
            _ => return None,
        }
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => drop(at.pop()),
                _ => break,
            }
            rest = &rest[1..];
        }
        Some([at, rest.to_vec()].concat())
    }

    fn name(&mut self, path: &[String]) -> Option<Name> {
        let path = self.absolute(path)?;
        self.source.named.push(path.clone());
        Some(path)
    }

    fn tree(&mut self, tree: &UseTree, path: &mut Vec<String>, public: bool) {
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.tree(&part.tree, path, public);
                path.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, path, public);
                }
            }
            UseTree::Glob(_) if public => {}
            UseTree::Glob(_) => drop(self.name(&path.clone())),
            UseTree::Name(_) | UseTree::Rename(_) => {
                let (what, own) = match tree {
                    UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
                    UseTree::Rename(two) => (two.ident.to_string(), two.rename.to_string()),
                    _ => unreachable!("matched above"),
                };
                path.push(what);
                let from = self.name(&path.clone());
                path.pop();
                if public {
                    self.source.passed_on.insert(own, from);
                }
            }
        }
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_item_mod(&mut self, module: &'a syn::ItemMod) {
        // A module within the file is a part of it; its `super` is not looked at.
        if module.content.is_none() {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        let public = !matches!(item.vis, syn::Visibility::Inherited);
        if !is_test(&item.attrs) {
            self.tree(&item.tree, &mut Vec::new(), public);
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if names.len() > 1 {
            self.name(&names);
        }
        visit::visit_path(self, path);
    }

    fn visit_item(&mut self, item: &'a Item) {
        let attributes = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }
}

/// The module in which the item at the end of `path` is written down.
fn home(all: &BTreeMap<Name, Source>, path: &[String]) -> Option<Name> {
    let mut at: Name = Vec::new();
    let mut rest: Vec<String> = path.to_vec();
    // Every step goes down, or to where something was passed on from.
    for _ in 0..32 {
        let Some(first) = rest.first().cloned() else {
            return Some(at);
        };
        let source = all.get(&at)?;
        if source.children.contains(&first) {
            at.push(first);
            rest.remove(0);
        } else if let Some(from) = source.passed_on.get(&first) {
            rest = [from.clone()?, rest[1..].to_vec()].concat();
            at.clear();
        } else {
            return Some(at);
        }
    }
    panic!("{path:?} is passed on in a circle")
}

/// Which module needs which other.
fn arrows(all: &BTreeMap<Name, Source>) -> BTreeMap<Name, BTreeSet<Name>> {
    let of = |(name, source): (&Name, &Source)| {
        // What a module only passes on, it does not need.
        let passed: BTreeSet<&Name> = source.passed_on.values().flatten().collect();
        let needed = source.named.iter().filter(|path| !passed.contains(path));
        let to = needed.filter_map(|path| home(all, path));
        (name.clone(), to.filter(|to| to != name).collect())
    };
    all.iter().map(of).collect()
}

/// A circle, if there is one.
fn circle(arrows: &BTreeMap<Name, BTreeSet<Name>>) -> Option<Vec<String>> {
    // Modules that need nothing but what was taken away already are taken away.
    let mut left: BTreeMap<&Name, BTreeSet<&Name>> = arrows
        .iter()
        .map(|(from, to)| (from, to.iter().collect()))
        .collect();
    loop {
        let free: Vec<&Name> = left
            .iter()
            .filter(|(_, to)| to.iter().all(|to| !left.contains_key(to)))
            .map(|(from, _)| *from)
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(name);
        }
    }
    // From any that is left, a way leads into a circle.
    let mut way: Vec<&Name> = vec![left.keys().next()?];
    loop {
        let last = way[way.len() - 1];
        let next = left[last].iter().find(|to| left.contains_key(**to))?;
        if let Some(start) = way.iter().position(|name| name == next) {
            let names = way[start..]
                .iter()
                .map(|name| format!("{}.rs", name.join("/")));
            return Some(names.collect());
        }
        way.push(next);
    }
}

#[test]
fn no_files_of_a_crate_are_in_a_circle() {
    let mut found = Vec::new();
    for (name, folder) in FLOORS {
        let all = modules(&root().join(folder));
        assert!(
            all.len() == 1 || all.values().any(|source| !source.named.is_empty()),
            "no file of {name} names another: was it read?"
        );
        if let Some(circle) = circle(&arrows(&all)) {
            found.push(format!("{name}: {}", circle.join(" -> ")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_crate_needs_one_above_it() {
    for (floor, (name, _, manifest)) in manifests().enumerate() {
        let needed = manifest
            .split("[dev-dependencies]")
            .next()
            .unwrap_or_default();
        for (above, _) in &FLOORS[floor..] {
            let line = format!("\n{above}.workspace");
            assert!(
                !needed.contains(&line),
                "{name} needs {above}, which stands above it"
            );
        }
    }
}

/// Every source file below `folder`, tests aside.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            sources(&path, found);
        } else if name.ends_with(".rs") && !matches!(&name[..], "tests.rs" | "testing.rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (_, folder) in FLOORS {
        sources(&root().join(folder).join("src"), &mut found);
    }
    assert!(found.len() > 200, "only {} sources", found.len());
    found
}

#[test]
fn no_source_is_longer_than_can_be_read() {
    let long = all_sources().into_iter().filter_map(|path| {
        let text = fs::read_to_string(&path).expect("read");
        let own = text
            .split("\n#[cfg(test)]\nmod ")
            .next()
            .unwrap_or_default();
        let lines = own.lines().count();
        (lines > 600).then(|| format!("{}: {lines} lines", path.display()))
    });
    assert_eq!(long.collect::<Vec<_>>(), [""; 0]);
}

/// The compiler refuses `unsafe` wherever nothing allows it; here is where something does.
#[test]
fn unsafe_code_stands_where_the_map_says() {
    let allowed = all_sources().into_iter().filter(|path| {
        let text = fs::read_to_string(path).expect("read");
        let file = syn::parse_file(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let allows = |attribute: &syn::Attribute| {
            let list = attribute.meta.require_list();
            let named = |list: &syn::MetaList| list.tokens.to_string().contains("unsafe_code");
            ["allow", "expect", "warn"]
                .map(|name| attribute.path().is_ident(name))
                .contains(&true)
                && list.is_ok_and(named)
        };
        let items = file.items.iter().map(|item| match item {
            Item::Mod(module) => &module.attrs[..],
            Item::Fn(function) => &function.attrs[..],
            _ => &[],
        });
        file.attrs.iter().chain(items.flatten()).any(allows)
    });
    let allowed: BTreeSet<_> = allowed
        .map(|path| {
            path.strip_prefix(root())
                .expect("below the root")
                .to_owned()
        })
        .collect();
    let expected = [
        "live/src/exports.rs",
        "tape/src/gemm.rs",
        "tape/src/streaming.rs",
    ];
    assert_eq!(
        allowed,
        expected.map(|file| Path::new("crates").join(file)).into()
    );
}

/// Each crate, with its folder and its manifest.
fn manifests() -> impl Iterator<Item = (&'static str, PathBuf, String)> {
    FLOORS.into_iter().map(|(name, folder)| {
        let folder = root().join(folder);
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("read");
        (name, folder, manifest)
    })
}

/// An example in the documentation of a crate is run, unless its manifest says that there is none:
/// to look for them takes a second for each crate.
#[test]
fn every_example_is_run() {
    let mut spared = 0;
    for (name, folder, manifest) in manifests() {
        if !manifest.contains("\ndoctest = false\n") {
            continue;
        }
        spared += 1;
        let mut files = Vec::new();
        sources(&folder.join("src"), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).expect("read");
            let comments = text.lines().map(str::trim_start).filter_map(|line| {
                let comment = line.strip_prefix("///").or(line.strip_prefix("//!"));
                comment.map(str::trim)
            });
            let fences = comments.filter_map(|comment| comment.strip_prefix("```"));
            for language in fences.step_by(2) {
                assert!(
                    ["text", "ignore"].contains(&language),
                    "{} has an example that is not run: take `doctest = false` out of the manifest of {name}",
                    file.display()
                );
            }
        }
    }
    assert!(spared > 10, "{spared}");
}

/// A program, or a library, of which the manifest says that it has no tests has none.
#[test]
fn every_test_is_run() {
    let mut spared = 0;
    for (name, folder, manifest) in manifests() {
        let mut files = Vec::new();
        if manifest.contains("path = \"src/main.rs\"\ntest = false\n") {
            files.push(folder.join("src/main.rs"));
        }
        if manifest.contains("[lib]\ntest = false\n") {
            sources(&folder.join("src"), &mut files);
        }
        for file in files {
            spared += 1;
            let text = fs::read_to_string(&file).expect("read");
            assert!(
                !text.contains("#[test]"),
                "{} has a test that is not run: take `test = false` out of the manifest of {name}",
                file.display()
            );
        }
    }
    assert!(spared > 10, "{spared}");
}

/// The map names files in backticks, in the tables under the heading that names their crate.
#[test]
fn the_map_names_what_is_there() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("read");
    let section = |path: &Path| {
        let of = |(_, folder): &&(&str, &str)| path.starts_with(folder);
        let folder = FLOORS.iter().find(of).expect("in a crate").1;
        let mut sections = map.split("\n### ");
        let heading = format!("`{folder}`");
        sections.find(|text| {
            text.lines()
                .next()
                .is_some_and(|line| line.contains(&heading))
        })
    };
    let missing = all_sources().into_iter().filter(|path| {
        let from_root = path.strip_prefix(root()).expect("below the root");
        let mut folders = from_root.ancestors().map(|path| {
            let path = path.to_string_lossy().replace('\\', "/");
            path.split_once("/src/")
                .map_or(String::new(), |(_, inside)| inside.to_owned())
        });
        let file = folders.next().unwrap_or_default();
        let section = section(from_root).unwrap_or_default();
        let named = |what: &str| section.contains(&format!("`{what}`"));
        let by_folder = folders.any(|folder| !folder.is_empty() && named(&format!("{folder}/")));
        !(by_folder || named(&file) || matches!(&file[..], "lib.rs" | "main.rs"))
    });
    let missing: Vec<String> = missing.map(|path| path.display().to_string()).collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md does not name {missing:#?}"
    );
}

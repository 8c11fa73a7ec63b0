//! What the module is made from: the crate `live`, those of the workspace that it stands on, and
//! of all others the versions in the lock file.

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// One name for all the sources of the module, which changes when any of them does.
///
/// # Errors
/// When a source or a manifest cannot be read.
pub fn digest(root: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, text) in all(root)? {
        hash.update(format!("{name}\0{}\0{text}\0", text.len()));
    }
    Ok(HEXLOWER.encode(&hash.finalize()))
}

/// The sources by name, and what else decides how they are compiled.
fn all(root: &Path) -> Result<BTreeMap<String, String>> {
    let workspace: Table = read(&root.join("Cargo.toml"))?.parse()?;
    let workspace_dependencies = &workspace["workspace"]["dependencies"];
    let mut found = BTreeMap::new();
    let profile = workspace["profile"]["live"].to_string();
    found.insert("the profile".to_owned(), profile);

    let (mut waiting, mut seen) = (vec!["live".to_owned()], BTreeSet::new());
    let mut others = Vec::new();
    while let Some(name) = waiting.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let asked = workspace_dependencies
            .get(&name)
            .with_context(|| format!("`{name}` is no dependency of the workspace"))?;
        let Some(folder) = asked.get("path").and_then(Value::as_str) else {
            found.insert(format!("what is asked of {name}"), asked.to_string());
            others.push(name);
            continue;
        };
        let folder = root.join(folder);
        let manifest = read(&folder.join("Cargo.toml"))?;
        let table: Table = manifest.parse()?;
        for kind in ["dependencies", "build-dependencies"] {
            let needed = table.get(kind).and_then(Value::as_table);
            waiting.extend(needed.into_iter().flat_map(|needed| needed.keys().cloned()));
        }
        let mut files = vec![folder.join("Cargo.toml")];
        list(&folder.join("src"), &mut files)?;
        for file in files {
            let name = file.strip_prefix(root).unwrap_or(&file);
            let name = name.to_string_lossy().replace('\\', "/");
            found.insert(name, read(&file)?);
        }
    }
    found.extend(locked(root, others)?);
    Ok(found)
}

/// What the lock file says of these packages and of all that they need.
fn locked(root: &Path, mut waiting: Vec<String>) -> Result<BTreeMap<String, String>> {
    let lock: Table = read(&root.join("Cargo.lock"))?.parse()?;
    let packages = lock["package"].as_array().context("a list of packages")?;
    let text = |package: &Value, key: &str| {
        let text = package.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let mut found = BTreeMap::new();
    while let Some(asked) = waiting.pop() {
        // A name, and where it is not enough, a version after it.
        let mut words = asked.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        let mut any = false;
        for package in packages
            .iter()
            .filter(|package| text(package, "name") == name)
        {
            let this = text(package, "version");
            if version.is_some_and(|version| version != this) {
                continue;
            }
            any = true;
            let entry = format!("{this} {}", text(package, "checksum"));
            if found.insert(format!("{name} {this}"), entry).is_some() {
                continue;
            }
            let needed = package.get("dependencies").and_then(Value::as_array);
            let needed = needed.into_iter().flatten().filter_map(Value::as_str);
            waiting.extend(needed.map(str::to_owned));
        }
        if !any {
            bail!("Cargo.lock does not know `{asked}`");
        }
    }
    Ok(found)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // A checkout may end its lines with two characters.
    Ok(text.replace("\r\n", "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_the_module_stands_on_is_named() {
        let found = all(&crate::root()).unwrap();
        for name in [
            "crates/live/src/lib.rs",
            "crates/live/Cargo.toml",
            "crates/batchnorm/src/fused/mod.rs",
            "crates/tape/src/ops/mod.rs",
            "crates/vectorized/src/lib.rs",
            "the profile",
            "what is asked of rand",
        ] {
            assert!(found.contains_key(name), "{name} is missing");
        }
        // What only tests need is not a source.
        assert!(!found.keys().any(|name| name.starts_with("proptest")));
        let ours = ["crates/", "the ", "what "];
        let theirs = found
            .keys()
            .filter(|name| !ours.iter().any(|our| name.starts_with(our)));
        assert!(theirs.count() > 8, "{:?}", found.keys());
    }
}

//! The folder `book/live` written, and checked.

use crate::record::{Record, file, sha256};
use crate::{COMMAND, folder, module, results, sources, stills};
use anyhow::{Context, Result, bail};
use live::figures;
use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

/// Compiles the modules, draws the stills, and writes both to `book/live`.
///
/// # Errors
/// One line that says what is missing, or cannot be read or written.
pub fn make(root: &Path) -> Result<()> {
    let folder = folder(root);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    if results::write(root)? {
        bail!(
            "the results that a figure draws have changed, and are in {} now; `{COMMAND}` once more \
             draws them",
            results::path(root).display()
        );
    }
    stills::write(&folder)?;
    let mut record = Record {
        sources: sources::digest(root)?,
        compiler: module::compiler()?,
        modules: BTreeMap::new(),
    };
    for name in figures::MODULES.map(|module| module.name) {
        let bytes = module::compile(root, name)?;
        let path = folder.join(file(name));
        fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        record.modules.insert(name.to_owned(), sha256(&bytes));
        println!("{} has {} bytes.", file(name), bytes.len());
    }
    record.save(&folder)?;
    println!("book/live holds {} stills.", stills::all().len());
    Ok(())
}

/// Compiles the modules beside those that are there. By the compiler that is on record they have
/// to come out the same; by another they are left where the tests can ask them.
///
/// # Errors
/// One line that says what is not as it should be.
pub fn check(root: &Path) -> Result<()> {
    let folder = folder(root);
    let record = Record::load(&folder)?;
    if sources::digest(root)? != record.sources {
        bail!("the modules are older than their sources; `{COMMAND}` makes them anew");
    }
    let compiler = module::compiler()?;
    let aside = env::temp_dir().join("backward-pass-live");
    fs::create_dir_all(&aside).with_context(|| format!("cannot make {}", aside.display()))?;
    for name in figures::MODULES.map(|module| module.name) {
        let (bytes, file) = (module::compile(root, name)?, file(name));
        if compiler != record.compiler {
            println!(
                "{file} was made by {}, and this is {compiler}: the bytes are not compared.",
                record.compiler
            );
        } else if record.modules.get(name) != Some(&sha256(&bytes)) {
            bail!("{compiler} makes another {file} of the same sources than the one in book/live");
        } else {
            println!("{file} is what {compiler} makes of its sources, byte for byte.");
        }
        let path = aside.join(file);
        fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        println!("It is in {}.", path.display());
    }
    Ok(())
}

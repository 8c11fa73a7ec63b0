//! The folder `book/live` written, and checked.

use crate::record::{MODULE, Record, sha256};
use crate::{COMMAND, folder, module, sources, stills};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::{env, fs};

/// Compiles the module, draws the stills, and writes both to `book/live`.
///
/// # Errors
/// One line that says what is missing, or cannot be read or written.
pub fn make(root: &Path) -> Result<()> {
    let folder = folder(root);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    stills::write(&folder)?;
    let record = Record {
        sources: sources::digest(root)?,
        module: String::new(),
        compiler: module::compiler()?,
    };
    let bytes = module::compile(root)?;
    let path = folder.join(MODULE);
    fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
    let module = sha256(&bytes);
    Record { module, ..record }.save(&folder)?;
    println!(
        "book/live holds {} stills and a module of {} bytes.",
        stills::all().len(),
        bytes.len()
    );
    Ok(())
}

/// Compiles the module beside the one that is there. By the compiler that is on record it has to
/// come out the same; by another it is left where the tests can ask it.
///
/// # Errors
/// One line that says what is not as it should be.
pub fn check(root: &Path) -> Result<()> {
    let folder = folder(root);
    let record = Record::load(&folder)?;
    if sources::digest(root)? != record.sources {
        bail!("the module is older than its sources; `{COMMAND}` makes it anew");
    }
    let bytes = module::compile(root)?;
    let compiler = module::compiler()?;
    if compiler != record.compiler {
        println!(
            "The module was made by {}, and this is {compiler}: the bytes are not compared.",
            record.compiler
        );
    } else if sha256(&bytes) != record.module {
        bail!("{compiler} makes another module of the same sources than the one in book/live");
    } else {
        println!("The module is what {compiler} makes of its sources, byte for byte.");
    }
    let aside = env::temp_dir().join("backward-pass-live.wasm");
    fs::write(&aside, &bytes).with_context(|| format!("cannot write {}", aside.display()))?;
    println!("It is in {}.", aside.display());
    Ok(())
}

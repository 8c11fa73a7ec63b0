//! Makes the module and the stills of the live figures anew, or checks those that are there.

use anyhow::{Context, Result, bail};
use press::record::{MODULE, Record, sha256};
use press::{COMMAND, folder, module, root, sources, stills};
use std::env;
use std::fs;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [] => make(),
        ["--check"] => check(),
        _ => Err(anyhow::anyhow!(
            "`{COMMAND}` takes no arguments but `--check`"
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn make() -> Result<()> {
    let root = root();
    let folder = folder(&root);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    stills::write(&folder)?;
    let record = Record {
        sources: sources::digest(&root)?,
        module: String::new(),
        compiler: module::compiler()?,
    };
    let bytes = module::compile(&root)?;
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
fn check() -> Result<()> {
    let root = root();
    let folder = folder(&root);
    let record = Record::load(&folder)?;
    if sources::digest(&root)? != record.sources {
        bail!("the module is older than its sources; `{COMMAND}` makes it anew");
    }
    let bytes = module::compile(&root)?;
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

//! Makes the modules and the stills of the live figures anew, or checks those that are there.

use press::{COMMAND, book, root};
use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        [] => book::make(&root()),
        ["--check"] => book::check(&root()),
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

//! The book for others: a folder that any host of static files serves, a PDF, and an EPUB.

mod epub;
mod page;
mod paper;
mod publish;
mod xml;

use anstream::println;
use anyhow::Result;
use clap::{Parser, Subcommand};
use course::workspace::Workspace;
use std::path::PathBuf;
use std::process::ExitCode;

/// Makes of the book what can be given away.
#[derive(Debug, Parser)]
#[command(
    name = "book",
    bin_name = "cargo run -- book",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a folder that any host of static files serves.
    Publish {
        /// The folder: a new one, an empty one, or one that this command wrote.
        folder: PathBuf,
        /// The address under which the folder will be read.
        #[arg(long, value_name = "URL")]
        url: String,
        /// Where readers get the code; the exercises say so.
        #[arg(long, value_name = "URL")]
        code: Option<String>,
    },
    /// Print the book into a PDF; needs a Chromium on the PATH or in CHROMIUM.
    Pdf {
        /// The file; book/build/the-backward-pass.pdf when left out.
        file: Option<PathBuf>,
        /// Print appendix E, the source, too.
        #[arg(long)]
        with_source: bool,
    },
    /// Write the book as an EPUB.
    Epub {
        /// The file; book/build/the-backward-pass.epub when left out.
        file: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    verdict::cli::answer(|arguments: Arguments| {
        run(arguments.command).map_err(|why| format!("{why:#}"))
    })
}

fn run(command: Command) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let here = |path: PathBuf| verdict::beside_the_reader(&path);
    let usual = |name: &str| workspace.build_dir().join(name);
    match command {
        Command::Publish { folder, url, code } => {
            let folder = here(folder);
            let pages = publish::publish(&workspace, &folder, &url, code.as_deref())?;
            println!(
                "{pages} pages are in {}, to be read at {url}",
                folder.display()
            );
        }
        Command::Pdf { file, with_source } => {
            let file = file.map_or_else(|| usual("the-backward-pass.pdf"), here);
            let pages = paper::print(&workspace, &file, with_source)?;
            println!("{pages} pages are in {}", file.display());
        }
        Command::Epub { file } => {
            let file = file.map_or_else(|| usual("the-backward-pass.epub"), here);
            let chapters = epub::write(&workspace, &file)?;
            println!("{chapters} chapters are in {}", file.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

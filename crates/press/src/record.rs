//! What is known of the modules that lie in the checkout.

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where the module of this name lies, in the folder of live figures.
#[must_use]
pub fn file(name: &str) -> String {
    format!("{name}.wasm")
}

/// Where this lies.
const RECORD: &str = "built.toml";

/// What the modules were made from, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The name of its sources; see [`crate::sources::digest`].
    pub sources: String,
    /// The compiler, as it calls itself.
    pub compiler: String,
    /// The SHA-256 of each module, by its name.
    pub modules: BTreeMap<String, String>,
}

/// The SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

impl Record {
    /// What `folder` says of its modules.
    ///
    /// # Errors
    /// When it says nothing.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(RECORD);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Writes it beside the modules.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join(RECORD);
        let text = format!(
            "# Written by `{}`.\n{}",
            crate::COMMAND,
            toml::to_string(self)?
        );
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

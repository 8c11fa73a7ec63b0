//! The stills: each figure as it begins, in the HTML that a page holds.

use anyhow::{Context, Result};
use live::figures;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The stills by the names of their files.
#[must_use]
pub fn all() -> BTreeMap<String, String> {
    let still =
        |figure: &live::Figure| (format!("{}.html", figure.name), live::frame::html(figure));
    figures::all().map(|figure| still(&figure)).collect()
}

/// Those that lie in `folder`.
///
/// # Errors
/// When one cannot be read.
pub fn found(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".html") {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            found.insert(name, text.replace("\r\n", "\n"));
        }
    }
    Ok(found)
}

/// Writes the stills to `folder`, and takes away those of figures that are no more.
///
/// # Errors
/// When one cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    let all = all();
    for name in found(folder)?
        .keys()
        .filter(|name| !all.contains_key(*name))
    {
        fs::remove_file(folder.join(name))?;
    }
    for (name, html) in all {
        let path = folder.join(name);
        fs::write(&path, html).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

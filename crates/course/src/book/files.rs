//! The files that a book is made of, each read once.

use crate::workspace::Workspace;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What was read of a checkout.
#[derive(Debug, Default)]
pub struct Files {
    /// Every file that was asked for, so that a change of it rebuilds the book.
    pub inputs: RefCell<BTreeSet<PathBuf>>,
    /// Texts.
    pub texts: RefCell<BTreeMap<PathBuf, String>>,
    /// Results: a chapter takes many numbers from one file.
    results: RefCell<BTreeMap<String, Rc<Value>>>,
}

impl Files {
    /// Nothing read yet, but for these, which are no texts of the book.
    #[must_use]
    pub fn with_inputs<const N: usize>(inputs: [PathBuf; N]) -> Self {
        Self {
            inputs: RefCell::new(BTreeSet::from(inputs)),
            ..Self::default()
        }
    }

    /// The results in a file, which is named from the root of the checkout.
    ///
    /// # Errors
    /// One line, when the file cannot be read, or is not JSON.
    pub fn json(&self, workspace: &Workspace, file: &str) -> Result<Rc<Value>, String> {
        if let Some(value) = self.results.borrow().get(file) {
            return Ok(Rc::clone(value));
        }
        let text = self.text(workspace, &workspace.root().join(file))?;
        let value = serde_json::from_str(&text).map_err(|e| format!("{file} is not JSON: {e}"))?;
        let value = Rc::new(value);
        let mut results = self.results.borrow_mut();
        results.insert(file.to_owned(), Rc::clone(&value));
        Ok(value)
    }

    /// The text of a file.
    ///
    /// # Errors
    /// One line, when the file cannot be read.
    pub fn text(&self, workspace: &Workspace, path: &Path) -> Result<String, String> {
        if let Some(text) = self.texts.borrow().get(path) {
            return Ok(text.clone());
        }
        self.inputs.borrow_mut().insert(path.to_owned());
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("cannot read {}: {e}", workspace.relative(path)))?;
        // A checkout may end its lines with two characters; to a browser these are two lines.
        let text = text.replace("\r\n", "\n");
        let mut texts = self.texts.borrow_mut();
        texts.insert(path.to_owned(), text.clone());
        Ok(text)
    }
}

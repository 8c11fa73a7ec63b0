//! The list of the live figures, one file each, by the modules that hold them.

pub mod break_gradient;
pub mod cancellation;
pub mod depth;
pub mod paths;
pub mod projection;
pub mod seeds;
pub mod share;
pub mod tape_steps;
pub mod trial;
pub mod u_curve;

use crate::figure::Figure;

/// What a page loads: a module for the browser, which answers for some of the figures.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// The name of its file, without `.wasm`. All but `live` are features of this crate, too.
    pub name: &'static str,
    /// Its figures. All figures of a page are in one module, so that a page loads only one.
    pub figures: &'static [Figure],
}

/// Most figures.
pub const LIVE: Module = Module {
    name: "live",
    figures: &[
        u_curve::FIGURE,
        tape_steps::STEPS,
        tape_steps::MEMORY,
        depth::FIGURE,
        cancellation::FIGURE,
        trial::FIGURE,
        seeds::FIGURE,
        share::FIGURE,
    ],
};

/// Those of chapter 8, one of which needs the whole diagnosis of gradcheck, a hundred kilobytes.
pub const DIAGNOSIS: Module = Module {
    name: "diagnosis",
    figures: &[paths::FIGURE, projection::FIGURE, break_gradient::FIGURE],
};

/// All of them.
pub const MODULES: [Module; 2] = [LIVE, DIAGNOSIS];

/// What is compiled: everything, or for a browser one module.
const HERE: &[Module] = if cfg!(not(target_family = "wasm")) {
    &MODULES
} else if cfg!(feature = "diagnosis") {
    &[DIAGNOSIS]
} else {
    &[LIVE]
};

/// The figures that are compiled here; natively, all that there are.
pub fn all() -> impl Iterator<Item = Figure> {
    HERE.iter().flat_map(|module| module.figures).copied()
}

/// The figure of this name.
#[must_use]
pub fn find(name: &str) -> Option<Figure> {
    all().find(|figure| figure.name == name)
}

/// The name of the module that holds a figure.
///
/// # Panics
/// If none does.
#[must_use]
#[track_caller]
pub fn module_of(figure: &Figure) -> &'static str {
    let holds = |module: &&Module| module.figures.iter().any(|one| one.name == figure.name);
    let Some(module) = MODULES.iter().find(holds) else {
        panic!(
            "no module holds `{}`; add it to one in figures/mod.rs",
            figure.name
        )
    };
    module.name
}

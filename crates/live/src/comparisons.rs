//! The comparisons whose results a figure shows seed by seed.

/// A method, and where its results are.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// What it is called.
    pub name: &'static str,
    /// Its hue, a variable of the theme.
    pub colour: &'static str,
    /// The file in `book/results`, without `.json`, and the way to a list of one number for each
    /// seed: keys, and `key=value` for the entry of a list.
    pub results: (&'static str, &'static str),
}

/// Two methods, and what they are compared in.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// What the comparison is called.
    pub called: &'static str,
    /// The methods.
    pub methods: [Method; 2],
    /// Losses, of which the smaller are better; otherwise shares of a test that was passed.
    pub loss: bool,
}

const BATCH: &str = "--fig-batch";
const LAYER: &str = "--fig-layer";

const fn method(
    name: &'static str,
    colour: &'static str,
    file: &'static str,
    way: &'static str,
) -> Method {
    Method {
        name,
        colour,
        results: (file, way),
    }
}

/// What can be looked at.
pub const COMPARISONS: [Comparison; 6] = [
    Comparison {
        called: "MLP, batches of 4 (C6)",
        methods: [
            method(
                "Layer Norm",
                LAYER,
                "batch",
                "data/settings/cell=layer-4/test_accuracy/by_seed",
            ),
            method(
                "Batch Norm",
                BATCH,
                "batch",
                "data/settings/cell=batch-4/test_accuracy/by_seed",
            ),
        ],
        loss: false,
    },
    Comparison {
        called: "CNN, batches of 64 (C5)",
        methods: [
            method(
                "Batch Norm",
                BATCH,
                "cnn",
                "data/settings/cell=64-batch/test_accuracy/by_seed",
            ),
            method(
                "Layer Norm",
                LAYER,
                "cnn",
                "data/settings/cell=64-layer/test_accuracy/by_seed",
            ),
        ],
        loss: false,
    },
    Comparison {
        called: "MLP, digits (chapter 6)",
        methods: [
            method(
                "Batch Norm",
                BATCH,
                "digits",
                "data/methods/cell=batch/test_accuracy/by_seed",
            ),
            method(
                "no norm",
                "--fig-none",
                "digits",
                "data/methods/cell=none/test_accuracy/by_seed",
            ),
        ],
        loss: false,
    },
    Comparison {
        called: "sizes that vary (C7)",
        methods: [
            method(
                "all of 32",
                BATCH,
                "varying",
                "data/settings/cell=batch-32/test_accuracy/by_seed",
            ),
            method(
                "2 to 62",
                "--fig-group",
                "varying",
                "data/settings/cell=batch-2-to-62/test_accuracy/by_seed",
            ),
        ],
        loss: false,
    },
    Comparison {
        called: "Transformer, three blocks (C9)",
        methods: [
            method(
                "pre-LN",
                LAYER,
                "transformer",
                "data/depths/blocks=3/forms/form=pre-LN with warm-up/test_loss/by_seed",
            ),
            method(
                "post-LN",
                "--fig-group",
                "transformer",
                "data/depths/blocks=3/forms/form=post-LN with warm-up/test_loss/by_seed",
            ),
        ],
        loss: true,
    },
    Comparison {
        called: "γ and β of Batch Norm (C10)",
        methods: [
            method(
                "learned",
                BATCH,
                "affine",
                "data/settings/cell=sigmoid-batch-learned/test_accuracy/by_seed",
            ),
            method(
                "1 and 0",
                "--fig-group",
                "affine",
                "data/settings/cell=sigmoid-batch-kept/test_accuracy/by_seed",
            ),
        ],
        loss: false,
    },
];

//! Which elements are normalized together, and which others may be by mistake.

use crate::groups::Groups;
use crate::vacuous::SILENT;

/// Which normalization, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Of `[N, C, ...]`, per channel, over the batch and all positions.
    Batch,
    /// Over the trailing axes.
    Layer {
        /// How many axes.
        normalized: usize,
    },
    /// Over the trailing axes, by the root mean square, without subtracting the mean.
    Rms {
        /// How many axes.
        normalized: usize,
    },
    /// Of `[N, C, ...]`, per example and group of neighbouring channels.
    Group {
        /// How many groups of channels; it divides `C`.
        groups: usize,
    },
}

/// Which normalization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Per channel, over the batch and all positions; gamma per channel.
    Batch,
    /// Per row, over the trailing axes; gamma per feature.
    Layer,
    /// As [`Kind::Layer`], by the root mean square, without subtracting the mean.
    Rms,
    /// Per example and group of channels; gamma per channel.
    Group,
}

impl Kind {
    /// Whether the mean is subtracted.
    pub fn is_centred(self) -> bool {
        self != Self::Rms
    }

    /// The size of the largest group that comes out the same whatever its values are, but for their
    /// signs and for eps, so that its gradient shows nothing.
    pub fn silent(self) -> usize {
        // Without a mean that is taken off, a second value says something of the first.
        if self.is_centred() { SILENT } else { 1 }
    }

    /// What is normalized together: a channel, a row or a group.
    pub fn group(self) -> &'static str {
        match self {
            Self::Batch => "channel",
            Self::Layer | Self::Rms => "row",
            Self::Group => "group",
        }
    }

    /// What has a gamma: a channel or a feature.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Batch | Self::Group => "channel",
            Self::Layer | Self::Rms => "feature",
        }
    }
}

/// A grouping that a learner may take by mistake.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub id: &'static str,
    pub over: String,
    pub groups: Groups,
}

/// Which elements belong together, rightly or by mistake.
pub(super) struct Layout {
    pub kind: Kind,
    pub groups: Groups,
    pub params: Groups,
    pub others: Vec<Other>,
}

impl Norm {
    pub(super) fn layout(self, shape: &[usize]) -> Result<Layout, String> {
        match self {
            Self::Batch => batch(shape),
            Self::Layer { normalized } => rows(Kind::Layer, shape, normalized),
            Self::Rms { normalized } => rows(Kind::Rms, shape, normalized),
            Self::Group { groups } => groups_of_channels(shape, groups),
        }
    }
}

fn batch(shape: &[usize]) -> Result<Layout, String> {
    if shape.len() < 2 || shape[1] < 2 {
        return Err(format!(
            "a Batch Norm probe needs shape [N, C, ...] with C >= 2, got {shape:?}"
        ));
    }
    let axes: Vec<usize> = (0..shape.len()).filter(|&a| a != 1).collect();
    let groups = Groups::over(shape, &axes);
    let mut others = Others::new(shape, &groups);
    let inner: Vec<usize> = (1..shape.len()).collect();
    let spatial: Vec<usize> = (2..shape.len()).collect();
    others.over(
        "per-example",
        "each example, over its channels and positions",
        &inner,
    );
    others.over("batch-only", "the batch alone, position by position", &[0]);
    others.over(
        "spatial-only",
        "the positions alone, example by example",
        &spatial,
    );
    others.over(
        "channels-only",
        "the channels at each position of each example",
        &[1],
    );
    others.everything();
    let (c, m) = (shape[1], groups.size());
    let total = c * m;
    let last = (0..total).map(|k| k % c).collect();
    others.of(
        "channels-last",
        "the wrong elements: the array read as [N, ..., C]",
        last,
        c,
    );
    let first = (0..total).map(|k| k / m).collect();
    others.of(
        "channels-first",
        "the wrong elements: the array read as [C, N, ...]",
        first,
        c,
    );
    Ok(Layout {
        kind: Kind::Batch,
        params: groups.clone(),
        others: others.found,
        groups,
    })
}

fn rows(kind: Kind, shape: &[usize], normalized: usize) -> Result<Layout, String> {
    if normalized < 1 || normalized >= shape.len() {
        let axes = if normalized == 1 { "axis" } else { "axes" };
        return Err(format!(
            "cannot normalize over the last {normalized} {axes} of {shape:?}; \
             at least one axis must be normalized and one must remain"
        ));
    }
    let lead = shape.len() - normalized;
    let features: Vec<usize> = (lead..shape.len()).collect();
    let rows: Vec<usize> = (0..lead).collect();
    let groups = Groups::over(shape, &features);
    let params = Groups::over(shape, &rows);
    let mut others = Others::new(shape, &groups);
    others.over("per-feature", "each feature, over the rows", &rows);
    others.over("last-only", "the last axis alone", &[shape.len() - 1]);
    let inner: Vec<usize> = (1..shape.len()).collect();
    others.over("per-example", "all rows of an example together", &inner);
    others.everything();
    Ok(Layout {
        kind,
        others: others.found,
        groups,
        params,
    })
}

fn groups_of_channels(shape: &[usize], count: usize) -> Result<Layout, String> {
    if shape.len() < 2 || count == 0 || !shape[1].is_multiple_of(count) {
        return Err(format!(
            "a Group Norm probe needs shape [N, C, ...] with a C that {count} groups divide, \
             got {shape:?}"
        ));
    }
    let per_group = shape[1] / count;
    let apart = [&[shape[0], count, per_group], &shape[2..]].concat();
    let within: Vec<usize> = (2..apart.len()).collect();
    let groups = Groups::over(&apart, &within);
    let but_channels: Vec<usize> = (0..shape.len()).filter(|&a| a != 1).collect();
    let params = Groups::over(shape, &but_channels);
    let mut others = Others::new(shape, &groups);
    let inner: Vec<usize> = (1..shape.len()).collect();
    let spatial: Vec<usize> = (2..shape.len()).collect();
    others.over(
        "per-example",
        "all channels of an example together, not a group of them",
        &inner,
    );
    others.over(
        "per-channel",
        "each channel of each example alone, not a group of them",
        &spatial,
    );
    let batch: Vec<usize> = (0..apart.len()).filter(|&a| a != 1).collect();
    let over_batch = Groups::over(&apart, &batch);
    others.of(
        "over-batch",
        "each group of channels, over the whole batch",
        over_batch.of,
        over_batch.count,
    );
    others.over("batch-norm", "each channel, over the batch", &but_channels);
    let by_position = Groups::over(&apart, &[2]);
    others.of(
        "position-by-position",
        "the channels of a group at each position alone",
        by_position.of,
        by_position.count,
    );
    let every_nth = Groups::over(
        &[&[shape[0], per_group, count], &shape[2..]].concat(),
        &[&[1], &within[1..]].concat(),
    );
    others.of(
        "interleaved",
        "the wrong channels: every channel with the same remainder, not its neighbours",
        every_nth.of,
        every_nth.count,
    );
    others.everything();
    Ok(Layout {
        kind: Kind::Group,
        others: others.found,
        groups,
        params,
    })
}

/// Collects groupings that differ from the right one and from each other.
struct Others<'a> {
    shape: &'a [usize],
    right: &'a Groups,
    found: Vec<Other>,
}

impl<'a> Others<'a> {
    fn new(shape: &'a [usize], right: &'a Groups) -> Self {
        Self {
            shape,
            right,
            found: Vec::new(),
        }
    }

    fn over(&mut self, id: &'static str, over: &str, axes: &[usize]) {
        if !axes.is_empty() {
            let groups = Groups::over(self.shape, axes);
            self.of(id, over, groups.of, groups.count);
        }
    }

    fn everything(&mut self) {
        let every: Vec<usize> = (0..self.shape.len()).collect();
        self.over("everything", "the whole array at once", &every);
    }

    fn of(&mut self, id: &'static str, over: &str, of: Vec<usize>, count: usize) {
        let groups = Groups { of, count };
        // A group of one is its own mean: nothing can be computed from it.
        let known = self.found.iter().any(|o| o.groups == groups);
        if groups.size() > 1 && groups != *self.right && !known {
            self.found.push(Other {
                id,
                over: over.to_string(),
                groups,
            });
        }
    }
}

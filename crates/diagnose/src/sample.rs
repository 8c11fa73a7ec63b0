//! A part of a large array in which a mistake is looked for.
//!
//! All of an array is compared with what is right. To find a name for what is wrong takes
//! hundreds of arrays of its size, and so a large one is explained by a part that can be
//! computed by itself: whole rows for Layer Norm and RMS Norm, whole channels for Batch Norm,
//! whole examples for Group Norm. They are neighbours, and begin before the first that is clearly
//! wrong: what a slice has of the one before it shows, and so does where the wrong ones begin.
//! dgamma and dbeta of all but Batch Norm are sums over all rows; they are explained in full, and
//! when they are very large without pairs of mistakes and faults of execution.

use crate::array::Array;
use crate::evidence::Comparison;
use crate::search::{Search, Told, explained, right};
use crate::shown;
use crate::subject::Subject;
use crate::tolerance::{Tolerance, Types};
use gradcheck::attribution::norm::{Given, Kind, Norm, Probe, Target, numbers};
use std::borrow::Cow;

/// The most elements that are explained at once.
pub const MOST: usize = 1 << 12;
/// The most that sums over all of an array are explained of in full.
const MOST_SUMMED: usize = 1 << 23;
/// Of more than these nothing is said that sums which are right may hide.
const MOST_UNSEEN: usize = 1 << 20;
/// A slice is clearly wrong when it is off by this share of the largest excess.
const CLEARLY: f64 = 0.1;

/// The part, or all, that is explained.
pub struct Sample<'a> {
    probe: Cow<'a, Probe>,
    array: Cow<'a, Array>,
    search: Search,
    /// What the verdict should add.
    pub note: String,
}

/// Nothing for an array that is explained in full.
pub fn of<'a>(
    subject: &'a Subject,
    target: Target,
    array: &'a Array,
    excess: &[f64],
    is_right: bool,
) -> Option<Sample<'a>> {
    let probe = &subject.probe;
    if probe.x.len() <= MOST {
        return None;
    }
    let whole = matches!(target, Target::Dgamma | Target::Dbeta) && probe.kind != Kind::Batch;
    let part = if whole {
        None
    } else {
        part(subject, target, array, excess)
    };
    part.or_else(|| {
        let (search, note) = match (target, probe.x.len()) {
            (Target::Y | Target::Dx, _) => (
                Search::Nothing,
                "; what is normalized together is too large",
            ),
            (_, size) if is_right && size > MOST_UNSEEN => (Search::Nothing, ""),
            (_, ..=MOST_SUMMED) => (Search::All, ""),
            _ => (
                Search::Singles,
                "; two mistakes, and faults of execution, were not looked for",
            ),
        };
        Some(Sample {
            probe: Cow::Borrowed(probe),
            array: Cow::Borrowed(array),
            search,
            note: note.to_owned(),
        })
    })
}

/// A shape as a list of slices along one axis, each a probe by itself.
fn part(
    subject: &Subject,
    target: Target,
    array: &Array,
    excess: &[f64],
) -> Option<Sample<'static>> {
    let probe = &subject.probe;
    let shape = &probe.shape;
    // The slices lie one behind the other, `inner` elements at a time.
    let (axis, short) = match subject.norm {
        Norm::Batch => (1, shape.clone()),
        Norm::Group { .. } => (0, shape.clone()),
        Norm::Layer { normalized } | Norm::Rms { normalized } => {
            let rows = shape.len() - normalized;
            let flat = shape[..rows].iter().product();
            (0, [&[flat], &shape[rows..]].concat())
        }
    };
    let inner: usize = short[axis + 1..].iter().product();
    let slices = short[axis];
    let size = probe.x.len() / slices;
    let count = (MOST / size).max(2).min(slices);
    if count * size > 8 * MOST || count == slices {
        return None;
    }
    let slice = |k: usize| k / inner % slices;
    // How far each slice is off, if any is; a channel has one dgamma.
    let mut largest = vec![0.0_f64; slices];
    for (k, excess) in excess.iter().enumerate() {
        let slice = match target {
            Target::Y | Target::Dx => slice(k),
            Target::Dgamma | Target::Dbeta => k,
        };
        largest[slice] = largest[slice].max(excess.abs());
    }
    let off: Vec<usize> = (0..slices).filter(|&slice| largest[slice] > 1.0).collect();
    let most = largest.iter().fold(0.0_f64, |m, v| m.max(*v));
    let clearly = |excess: &f64| *excess >= CLEARLY * most;
    let begin = largest.iter().position(clearly).unwrap_or(0);
    let begin = begin.saturating_sub(1).min(slices - count);
    let chosen = begin..begin + count;
    let of_x = |values: &[f64]| -> Vec<f64> {
        let kept = |k: &usize| chosen.contains(&slice(*k));
        (0..values.len()).filter(kept).map(|k| values[k]).collect()
    };
    let of_parameters = |values: &[f64]| -> Vec<f64> {
        match subject.norm {
            Norm::Batch => values[chosen.clone()].to_vec(),
            _ => values.to_vec(),
        }
    };
    let mut part = short.clone();
    part[axis] = count;
    let given = Given {
        x: of_x(&probe.x),
        gamma: of_parameters(&probe.gamma),
        beta: of_parameters(&probe.beta),
        dy: of_x(&probe.dy),
    };
    let values = match target {
        Target::Y | Target::Dx => of_x(&array.values),
        Target::Dgamma | Target::Dbeta => of_parameters(&array.values),
    };
    let probe = Probe::given(subject.norm, &part, probe.eps, given).ok()?;
    if shown::refused(&probe, target, &[]).is_some() {
        return None;
    }
    let unit = match subject.norm {
        Norm::Batch => "channels",
        Norm::Group { .. } => "examples",
        Norm::Layer { .. } | Norm::Rms { .. } => "rows",
    };
    Some(Sample {
        probe: Cow::Owned(probe),
        array: Cow::Owned(Array {
            shape: part,
            dtype: array.dtype,
            values,
        }),
        search: Search::Part(match subject.norm {
            Norm::Group { groups } => begin * groups,
            _ => begin,
        }),
        note: format!(
            "; looked at {unit} {begin} to {} alone, and of all {slices} {unit} {}",
            begin + count - 1,
            match off.as_slice() {
                [] => "none is off".to_owned(),
                all if all.len() == slices => "each is off".to_owned(),
                [one] => format!("number {one} is off"),
                some => format!("{} are off: {}", some.len(), numbers(some)),
            }
        ),
    })
}

impl Sample<'_> {
    /// Whether it is less than all.
    pub fn is_part(&self) -> bool {
        matches!(self.search, Search::Part(_))
    }

    /// What is wrong in the part.
    pub fn explained(&self, target: Target, types: Types, is_right: bool) -> Told {
        let right = right(&self.probe, target);
        let tolerance = Tolerance::new(&self.probe, target, &right, types);
        let comparison = Comparison {
            array: &self.array,
            right: &right,
            tolerance: &tolerance,
            is_right,
        };
        let mut told = explained(&self.probe, target, &comparison, self.search);
        if self.is_part() {
            // The others were not looked at.
            let there = "all else that was looked at is right";
            told.sentence = told.sentence.replace("all else is right", there);
        }
        told
    }
}

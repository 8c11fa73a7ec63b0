//! What the file of an experiment works with.

pub(crate) use std::fmt;

pub(crate) use nn::data::{BatchSize, Digits, Examples, Set};
pub(crate) use nn::{NormKind, Schedule};
pub(crate) use serde::{Deserialize, Serialize};
pub(crate) use serde_json::{Value, json};

pub(crate) use crate::claims::Answer;
pub(crate) use crate::error::Error;
pub(crate) use crate::paired::{Apart, Paired, Sample};
pub(crate) use crate::protocol::{
    Adam, Data, Network, Nothing, Plan, Protocol, Rule, Sgd, decades, pick, schedule,
};
pub(crate) use crate::session::Session;
pub(crate) use crate::setting::{METHODS, Method, Setting, ink, name};
pub(crate) use crate::show::*;
pub(crate) use crate::start::Start;
pub(crate) use crate::study::{Card, Finding, Study, recorded};
pub(crate) use crate::sweep::{AtRate, Cell, LossAtRate, LossCell, LossRun, attempted};
pub(crate) use crate::sweep::{at_the_edge, cells, loss_cells, losses, lowest_loss, size};
pub(crate) use crate::sweep::{swept, test_accuracy};
pub(crate) use crate::text::{Table, as_text, better_or_worse, by_outcome, count, count_range};
pub(crate) use crate::text::{list, nats, percent, percent_range, points, table, times};
pub(crate) use crate::train::{Curve, Run};
pub(crate) use chart::Spread;
pub(crate) use chart::{Axis, Chart, Hue, Ink, Line};

//! What is compared: norms, and the settings that they are trained in.

use nn::NormKind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::protocol::Plan;
use crate::start::Start;
use crate::text::as_text;
use chart::Ink;

/// No norm, Batch Norm and Layer Norm: what most claims are about.
pub(crate) const METHODS: [NormKind; 3] = [NormKind::None, NormKind::Batch, NormKind::Layer];

/// What a text calls a method.
pub(crate) fn name(method: NormKind) -> &'static str {
    match method {
        NormKind::None => "no norm",
        NormKind::Batch => "Batch Norm",
        NormKind::Layer => "Layer Norm",
        NormKind::Rms => "RMS Norm",
        NormKind::Group(_) => "Group Norm",
        NormKind::DynamicTanh => "Dynamic Tanh",
    }
}

/// What a method is drawn in.
pub(crate) fn ink(method: NormKind) -> Ink {
    match method {
        NormKind::None => Ink::None,
        NormKind::Batch => Ink::Batch,
        NormKind::Layer => Ink::Layer,
        NormKind::Rms => Ink::Rms,
        NormKind::Group(_) => Ink::Group,
        NormKind::DynamicTanh => Ink::Rms,
    }
}

/// What is trained: what the cells of an experiment differ in.
pub(crate) trait Setting: Serialize + Clone + Sync {
    /// The norm.
    fn method(&self) -> NormKind;

    /// By this name a chapter finds it: what it says in the results, field by field.
    fn key(&self) -> String {
        let word = |value: &Value| match value.as_f64() {
            Some(number) => number.to_string(),
            None => value.as_str().unwrap_or_default().replace(' ', "-"),
        };
        let fields = json!(self);
        let fields = fields.as_object().into_iter().flatten();
        fields
            .map(|(_, value)| word(value))
            .collect::<Vec<_>>()
            .join("-")
    }

    /// How the weights are drawn at the start.
    fn start(&self) -> Start {
        Start::Usual
    }

    /// What a text calls it, beside others of its chart.
    fn name(&self) -> String {
        self.start().named(name(self.method()))
    }

    /// What it is drawn in.
    fn ink(&self) -> Ink {
        self.start().ink(ink(self.method()))
    }
}

/// A method and how it starts, and nothing else.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Method {
    #[serde(with = "as_text")]
    pub(crate) method: NormKind,
    #[serde(default, skip_serializing_if = "Start::is_usual")]
    pub(crate) start: Start,
}

impl Method {
    /// No norm, Batch Norm and Layer Norm as people use them, and no norm from weights that
    /// give it a fair start.
    pub(crate) const ALL: [Method; 4] = [
        Method::usual(NormKind::None),
        Method::usual(NormKind::Batch),
        Method::usual(NormKind::Layer),
        Method {
            method: NormKind::None,
            start: Start::He,
        },
    ];

    const fn usual(method: NormKind) -> Self {
        Method {
            method,
            start: Start::Usual,
        }
    }

    /// `plan` with this norm and this start.
    pub(crate) fn plan(self, plan: Plan) -> Plan {
        plan.norm(self.method).start(self.start)
    }
}

impl Setting for Method {
    fn method(&self) -> NormKind {
        self.method
    }

    fn start(&self) -> Start {
        self.start
    }
}

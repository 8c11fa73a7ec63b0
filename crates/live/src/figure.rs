//! What a figure is: its controls, and what it shows for their values.

use crate::words::{decimal, fixed};

/// One figure, the entry of its file in the list of all.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Its name in `{{#live NAME}}`.
    pub name: &'static str,
    /// What the drawing is of, for those who do not see it.
    pub title: &'static str,
    /// Its controls, in groups with a legend.
    pub groups: &'static [Group],
    /// What it shows for the values of its controls.
    pub show: fn(&Values) -> Shown,
}

/// Controls that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// What they have in common.
    pub legend: &'static str,
    /// The controls, one or more.
    pub controls: &'static [Control],
}

/// Something that a reader sets.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// Its name in [`Values`] and in the handles of a drawing: small letters and digits.
    pub name: &'static str,
    /// What a reader calls it.
    pub label: &'static str,
    /// What can be set, and where it begins.
    pub kind: Kind,
}

/// What can be set, and where it begins.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A number from `min` to `max`, in steps from `min` on.
    Slider {
        /// The least.
        min: f64,
        /// The largest; [`Shown::limit`] can lower it.
        max: f64,
        /// The distance from one to the next.
        step: f64,
        /// The first.
        start: f64,
    },
    /// One of several; its value is the place in the list.
    Choice {
        /// What there is to choose from.
        options: &'static [&'static str],
        /// The place of the first.
        start: usize,
    },
    /// On or off: 1 or 0.
    Switch {
        /// Whether it begins as on.
        start: bool,
    },
    /// A line of text.
    Text {
        /// The first.
        start: &'static str,
        /// Characters that there may be, at most.
        longest: usize,
    },
}

impl Control {
    /// A slider; see [`Kind::Slider`].
    #[must_use]
    pub const fn slider(
        name: &'static str,
        label: &'static str,
        [min, max]: [f64; 2],
        step: f64,
        start: f64,
    ) -> Self {
        let kind = Kind::Slider {
            min,
            max,
            step,
            start,
        };
        Self { name, label, kind }
    }

    /// A choice; see [`Kind::Choice`].
    #[must_use]
    pub const fn choice(
        name: &'static str,
        label: &'static str,
        options: &'static [&'static str],
        start: usize,
    ) -> Self {
        let kind = Kind::Choice { options, start };
        Self { name, label, kind }
    }

    /// A switch; see [`Kind::Switch`].
    #[must_use]
    pub const fn switch(name: &'static str, label: &'static str, start: bool) -> Self {
        let kind = Kind::Switch { start };
        Self { name, label, kind }
    }

    /// A line of text; see [`Kind::Text`].
    #[must_use]
    pub const fn text(
        name: &'static str,
        label: &'static str,
        start: &'static str,
        longest: usize,
    ) -> Self {
        let kind = Kind::Text { start, longest };
        Self { name, label, kind }
    }

    /// Where it begins, as the page writes it.
    #[must_use]
    pub fn start(&self) -> String {
        match self.kind {
            Kind::Slider { start, .. } => start.to_string(),
            Kind::Choice { start, .. } => start.to_string(),
            Kind::Switch { start } => u8::from(start).to_string(),
            Kind::Text { start, .. } => start.to_owned(),
        }
    }

    /// What the page wrote, made into a value that there can be.
    fn read(&self, written: &str) -> Value {
        let number = decimal(written.trim());
        match self.kind {
            Kind::Slider {
                min, max, start, ..
            } => Value::Number(number.unwrap_or(start).clamp(min, max)),
            Kind::Choice { options, start } => {
                let last = options.len().saturating_sub(1) as f64;
                Value::Number(number.unwrap_or(start as f64).clamp(0.0, last))
            }
            Kind::Switch { .. } => Value::Number(f64::from(u8::from(number == Some(1.0)))),
            Kind::Text { longest, .. } => Value::Text(written.chars().take(longest).collect()),
        }
    }
}

impl Figure {
    /// All of its controls, in the order of the page.
    pub fn controls(&self) -> impl Iterator<Item = &'static Control> + use<> {
        self.groups.iter().flat_map(|group| group.controls)
    }

    /// What it shows as it begins.
    #[must_use]
    pub fn start(&self) -> Shown {
        (self.show)(&self.values(&[] as &[&str]))
    }

    /// The values of its controls, in order, as the page writes them. What is missing or cannot
    /// be read is where it began, and what is out of bounds is at the nearest of them.
    #[must_use]
    pub fn values(&self, written: &[impl AsRef<str>]) -> Values {
        let read = |(at, control): (usize, &'static Control)| {
            let value = match written.get(at) {
                Some(text) => control.read(text.as_ref()),
                None => control.read(&control.start()),
            };
            (control, value)
        };
        Values {
            controls: self.controls().enumerate().map(read).collect(),
            form: None,
        }
    }
}

#[derive(Clone, Debug)]
enum Value {
    Number(f64),
    Text(String),
}

/// The values of the controls of one figure, each within its bounds, and the form in which its
/// drawing is asked for.
#[derive(Clone, Debug)]
pub struct Values {
    controls: Vec<(&'static Control, Value)>,
    form: Option<Form>,
}

impl Values {
    /// The same values, with the drawing asked for in one form only.
    #[must_use]
    pub fn only(self, form: Form) -> Self {
        Self {
            form: Some(form),
            ..self
        }
    }

    #[track_caller]
    fn get(&self, name: &str) -> &Value {
        let found = self
            .controls
            .iter()
            .find(|(control, _)| control.name == name);
        let found = found.map(|(_, value)| value);
        found.unwrap_or_else(|| panic!("the figure has no control `{name}`; add it to its groups"))
    }

    /// The value of a slider, the place of what is chosen, or 1 for on and 0 for off.
    ///
    /// # Panics
    /// If there is no such control, or if it holds text.
    #[must_use]
    #[track_caller]
    pub fn number(&self, name: &str) -> f64 {
        match self.get(name) {
            Value::Number(number) => *number,
            Value::Text(_) => panic!("`{name}` is a text; ask for it with `text`"),
        }
    }

    /// The values of several sliders.
    ///
    /// # Panics
    /// Like [`Values::number`].
    #[must_use]
    #[track_caller]
    pub fn numbers<const N: usize>(&self, names: [&str; N]) -> [f64; N] {
        names.map(|name| self.number(name))
    }

    /// The place of what is chosen.
    ///
    /// # Panics
    /// Like [`Values::number`].
    #[must_use]
    #[track_caller]
    pub fn chosen(&self, name: &str) -> usize {
        self.number(name) as usize
    }

    /// Whether a switch is on.
    ///
    /// # Panics
    /// Like [`Values::number`].
    #[must_use]
    #[track_caller]
    pub fn on(&self, name: &str) -> bool {
        self.number(name) != 0.0
    }

    /// A line of text.
    ///
    /// # Panics
    /// If there is no such control, or if it holds a number.
    #[must_use]
    #[track_caller]
    pub fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Value::Text(text) => text,
            Value::Number(_) => panic!("`{name}` is a number; ask for it with `number`"),
        }
    }
}

/// The room that a drawing has: a page, or a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// 700 units wide, for boxes of 600 pixels and more.
    Wide,
    /// 340 units wide.
    Narrow,
}

impl Form {
    /// The width of a drawing, in units that are pixels unless the box is smaller still.
    #[must_use]
    pub const fn width(self) -> f64 {
        match self {
            Self::Wide => 700.0,
            Self::Narrow => 340.0,
        }
    }
}

/// What a figure shows for the values of its controls.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The drawing for a page; empty when only that for a phone is asked for.
    pub wide: String,
    /// The same for a phone; empty when only that for a page is asked for.
    pub narrow: String,
    /// What is to be seen, in a sentence or three: all that a screen reader tells.
    pub text: String,
    said: Vec<(&'static str, String)>,
    limits: Vec<(&'static str, f64)>,
}

impl Shown {
    /// A drawing in the form that the values ask for, or in both, and what is to be seen in it.
    #[must_use]
    pub fn new(values: &Values, draw: impl Fn(Form) -> String, text: impl Into<String>) -> Self {
        let asked = |form: Form| match values.form {
            Some(other) if other != form => String::new(),
            _ => draw(form),
        };
        Self {
            wide: asked(Form::Wide),
            narrow: asked(Form::Narrow),
            text: text.into(),
            said: Vec::new(),
            limits: Vec::new(),
        }
    }

    /// What stands beside a slider in place of its number.
    #[must_use]
    pub fn say(mut self, control: &'static str, text: impl Into<String>) -> Self {
        self.said.push((control, text.into()));
        self
    }

    /// The largest value that a slider can have as the other controls are.
    #[must_use]
    pub fn limit(mut self, control: &'static str, max: f64) -> Self {
        self.limits.push((control, max));
        self
    }

    /// What stands beside a slider; nothing for other controls.
    #[must_use]
    pub fn said(&self, control: &Control, values: &Values) -> String {
        let Kind::Slider { step, .. } = control.kind else {
            return String::new();
        };
        if let Some((_, text)) = self.said.iter().find(|(name, _)| *name == control.name) {
            return text.clone();
        }
        let value = values.number(control.name);
        // As many places as the step has.
        let places = (0..6).find(|&places| {
            let scaled = step * 10f64.powi(places);
            (scaled - scaled.round()).abs() < 1e-9
        });
        fixed(value, places.unwrap_or(6) as usize)
    }

    /// The largest value of a slider, where [`Shown::limit`] has set one.
    #[must_use]
    pub fn limit_of(&self, control: &Control) -> Option<f64> {
        let found = self.limits.iter().find(|(name, _)| *name == control.name);
        found.map(|(_, max)| *max)
    }
}

//! What a line stands for, and so how it is drawn.

/// A colour by its meaning; the style sheet of the book says what it looks like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hue {
    /// The direct path, and what does well.
    Direct,
    /// The path through the mean, and a first thing beside others.
    Mean,
    /// The path through the variance, and a second.
    Var,
    /// What goes wrong.
    Wrong,
    /// What is pointed at.
    Accent,
}

/// What a line stands for; decides its colour and its form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ink {
    /// No normalization.
    None,
    /// Batch Norm.
    Batch,
    /// Layer Norm.
    Layer,
    /// RMS Norm.
    Rms,
    /// Group Norm.
    Group,
    /// No normalization in a second form, beside the first.
    NoneToo,
    /// Batch Norm in a second form, beside the first.
    BatchToo,
    /// Layer Norm in a second form, beside the first.
    LayerToo,
    /// Batch Norm with noise after it.
    Noise,
    /// What theory says.
    Theory,
    /// A line of the book.
    Solid(Hue),
    /// Points of the book.
    Dots(Hue),
    /// Points of the book, each with a bar from low to high.
    Bars(Hue),
}

impl From<Hue> for Ink {
    fn from(hue: Hue) -> Self {
        Ink::Solid(hue)
    }
}

impl Ink {
    /// For the same method in another form, drawn beside the first.
    pub fn second(self) -> Ink {
        match self {
            Ink::None => Ink::NoneToo,
            Ink::Batch => Ink::BatchToo,
            Ink::Layer => Ink::LayerToo,
            other => panic!("{other:?} is not drawn in two forms"),
        }
    }

    /// The colour: a variable of the page, and what serves outside of the book.
    pub(crate) fn css(self) -> &'static str {
        match self {
            Ink::None | Ink::NoneToo => "var(--fig-none, #666d75)",
            Ink::Batch | Ink::BatchToo => "var(--fig-batch, #9c2f76)",
            Ink::Layer | Ink::LayerToo => "var(--fig-layer, #0a7480)",
            Ink::Rms => "var(--fig-rms, #766200)",
            Ink::Group => "var(--fig-group, #4d55b5)",
            Ink::Noise => "var(--fig-noise, #7a4b1e)",
            Ink::Theory => "currentColor",
            Ink::Solid(hue) | Ink::Dots(hue) | Ink::Bars(hue) => match hue {
                Hue::Direct => "var(--fig-direct, #1b68b3)",
                Hue::Mean => "var(--fig-mean, #ad5300)",
                Hue::Var => "var(--fig-var, #27793a)",
                Hue::Wrong => "var(--fig-wrong, #b3261e)",
                Hue::Accent => "var(--fig-accent, #6a49b3)",
            },
        }
    }

    /// Lengths of dash and gap, where the line is not solid: for those who do not see colours.
    pub(crate) fn dashes(self) -> Option<&'static str> {
        match self {
            Ink::None => Some("7 4"),
            Ink::Rms | Ink::NoneToo | Ink::BatchToo | Ink::LayerToo => Some("2 3"),
            Ink::Theory => Some("4 4"),
            _ => None,
        }
    }

    /// Whether a line joins the points.
    pub(crate) fn joined(self) -> bool {
        !matches!(self, Ink::Dots(_) | Ink::Bars(_))
    }

    /// Whether this many points are marked, each by itself: more would run together.
    pub(crate) fn marked(self, points: usize) -> bool {
        match self {
            Ink::Layer | Ink::LayerToo | Ink::Noise => points <= 40,
            _ => points == 1 || !self.joined(),
        }
    }
}

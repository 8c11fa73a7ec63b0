//! The normalization in a network, chosen by a value, so that networks differ in it alone.

use std::fmt::{self, Display};
use std::str::FromStr;

use batchnorm::{BatchNorm, Layout};
use layernorm::{LayerNorm, RmsNorm};
use tape::{Real, Shape, Var};

use crate::dynamic_tanh::DynamicTanh;
use crate::group_norm::GroupNorm;
use crate::layer::Layer;
use crate::module::{Module, Visitor};
use crate::pass::Pass;

/// Which normalization.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NormKind {
    /// None: values pass as they are.
    None,
    /// Batch Norm, over the examples of a batch, for each feature.
    Batch,
    /// Layer Norm, over the features, for each example.
    Layer,
    /// RMS Norm, as Layer Norm but without subtracting the mean.
    Rms,
    /// Group Norm with this many groups: as Layer Norm, over one group of features or
    /// channels at a time.
    Group(usize),
    /// Dynamic Tanh, which is no normalization and stands in its place.
    DynamicTanh,
}

impl Display for NormKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            NormKind::None => "none",
            NormKind::Batch => "batch",
            NormKind::Layer => "layer",
            NormKind::Rms => "rms",
            NormKind::DynamicTanh => "dynamic-tanh",
            NormKind::Group(groups) => return f.pad(&format!("group{groups}")),
        })
    }
}

impl FromStr for NormKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(Ok(groups)) = text.strip_prefix("group").map(str::parse) {
            return Ok(NormKind::Group(groups));
        }
        let all = [
            NormKind::None,
            NormKind::Batch,
            NormKind::Layer,
            NormKind::Rms,
            NormKind::DynamicTanh,
        ];
        all.into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| {
                format!(
                    "unknown norm {text:?}; known are none, batch, layer, rms, \
                     dynamic-tanh and, for four groups, group4"
                )
            })
    }
}

/// A normalization with its parameters `gamma` and `beta`, or none.
#[derive(Debug)]
pub enum Norm<T: Real> {
    /// Values pass as they are.
    None,
    /// Batch Norm.
    Batch(BatchNorm<T>),
    /// Layer Norm.
    Layer(LayerNorm<T>),
    /// RMS Norm.
    Rms(RmsNorm<T>),
    /// Group Norm.
    Group(GroupNorm<T>),
    /// Dynamic Tanh.
    DynamicTanh(DynamicTanh<T>),
}

impl<T: Real> Norm<T> {
    /// A normalization for examples of the given shape: `[D]` for features, `[C, H, W]`
    /// for images. Batch Norm and Group Norm have a scale and a shift for each feature or
    /// channel, that is for the first axis; Layer Norm and RMS Norm normalize over the whole
    /// shape, and Dynamic Tanh has a scale and a shift for each number of it.
    ///
    /// # Panics
    /// If the shape has no axis, or an axis of length 0, or if groups do not divide the
    /// first axis.
    #[track_caller]
    pub fn new(kind: NormKind, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        assert!(
            !shape.is_empty() && shape.count() > 0,
            "norm: shape {shape} of an example holds nothing to normalize"
        );
        match kind {
            NormKind::None => Norm::None,
            NormKind::Batch => Norm::Batch(BatchNorm::new(shape[0])),
            NormKind::Layer => Norm::Layer(LayerNorm::new(shape)),
            NormKind::Rms => Norm::Rms(RmsNorm::new(shape)),
            NormKind::Group(groups) => Norm::Group(GroupNorm::new(groups, shape[0])),
            NormKind::DynamicTanh => Norm::DynamicTanh(DynamicTanh::new(shape)),
        }
    }
}

impl<T: Real> Module<T> for BatchNorm<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        for (name, param) in ["gamma", "beta"].into_iter().zip(self.params_mut()) {
            v.param(name, param);
        }
        // Handles are cheap to copy; whatever the visitor does to them is put back.
        let mut running = self.running().clone();
        v.running((self.id(), 0), &mut running);
        self.set_running(running);
    }
}

impl<T: Real> Layer<T> for BatchNorm<T> {
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, pass: &mut Pass<'_, T>) -> Var<'t, T> {
        let momentum = pass.momentum(self.momentum());
        let Some(running) = pass.running((self.id(), 0), self.running()) else {
            return self.eval(x);
        };
        let (y, moments) = self.normalize(x);
        let values = Layout::of(x.shape()).values_per_channel();
        running.update(&moments, values, momentum);
        y
    }
}

impl<T: Real> Module<T> for LayerNorm<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        for (name, param) in ["gamma", "beta"].into_iter().zip(self.params_mut()) {
            v.param(name, param);
        }
    }
}

impl<T: Real> Layer<T> for LayerNorm<T> {
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, _: &mut Pass<'_, T>) -> Var<'t, T> {
        LayerNorm::forward(self, x)
    }
}

impl<T: Real> Module<T> for RmsNorm<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        for param in self.params_mut() {
            v.param("gamma", param);
        }
    }
}

impl<T: Real> Layer<T> for RmsNorm<T> {
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, _: &mut Pass<'_, T>) -> Var<'t, T> {
        RmsNorm::forward(self, x)
    }
}

impl<T: Real> Module<T> for Norm<T> {
    fn visit(&mut self, v: &mut Visitor<'_, T>) {
        match self {
            Norm::None => {}
            Norm::Batch(norm) => norm.visit(v),
            Norm::Layer(norm) => norm.visit(v),
            Norm::Rms(norm) => norm.visit(v),
            Norm::Group(norm) => norm.visit(v),
            Norm::DynamicTanh(norm) => norm.visit(v),
        }
    }
}

impl<T: Real> Layer<T> for Norm<T> {
    #[track_caller]
    fn forward<'t>(&self, x: &Var<'t, T>, pass: &mut Pass<'_, T>) -> Var<'t, T> {
        match self {
            Norm::None => x.clone(),
            Norm::Batch(norm) => norm.forward(x, pass),
            Norm::Layer(norm) => norm.forward(x),
            Norm::Rms(norm) => norm.forward(x),
            Norm::Group(norm) => norm.forward(x, pass),
            Norm::DynamicTanh(norm) => norm.forward(x, pass),
        }
    }

    /// Where there is no norm, nothing is shown either.
    #[track_caller]
    fn forward_as<'t>(
        &self,
        name: &dyn Display,
        x: &Var<'t, T>,
        pass: &mut Pass<'_, T>,
    ) -> Var<'t, T> {
        let y = self.forward(x, pass);
        if !matches!(self, Norm::None) {
            pass.show(name, &y);
        }
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckLayer, normal};
    use crate::module::{count_params, each_state};
    use crate::{load, save};
    use batchnorm::RunningStats;
    use tape::{Tape, Tensor};

    const KINDS: [NormKind; 6] = [
        NormKind::None,
        NormKind::Batch,
        NormKind::Layer,
        NormKind::Rms,
        NormKind::Group(1),
        NormKind::DynamicTanh,
    ];

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        for kind in KINDS {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "batches"
            .parse::<NormKind>()
            .expect_err("there is no such norm");
        assert!(error.contains("unknown norm \"batches\""), "{error}");
    }

    #[test]
    fn state_has_the_customary_names() {
        let names = |kind| {
            let mut names = Vec::new();
            each_state(&mut Norm::<f32>::new(kind, [3]), |name, _| {
                names.push(name.to_owned())
            });
            names.join(" ")
        };
        assert_eq!(names(NormKind::None), "");
        assert_eq!(
            names(NormKind::Batch),
            "gamma beta running_mean running_var num_batches_tracked"
        );
        assert_eq!(names(NormKind::Layer), "gamma beta");
        assert_eq!(names(NormKind::Rms), "gamma");
        assert_eq!(names(NormKind::Group(3)), "gamma beta");
        assert_eq!(names(NormKind::DynamicTanh), "alpha gamma beta");
    }

    #[test]
    fn an_image_is_normalized_by_channel_or_whole() {
        let count = |kind| count_params(&mut Norm::<f32>::new(kind, [3, 4, 5]));
        assert_eq!(KINDS.map(count), [0, 6, 120, 60, 6, 121]);
    }

    #[test]
    fn gradient() {
        for trains in [true, false] {
            for kind in KINDS {
                // Evaluation needs statistics that are not 0 and 1.
                let make = || {
                    let mut norm = Norm::<f64>::new(kind, [3]);
                    if let Norm::Batch(norm) = &mut norm {
                        norm.set_running(RunningStats {
                            mean: normal([3], 5),
                            var: normal([3], 6).map(|x| 0.5 + x * x),
                            num_batches_tracked: 2,
                        });
                    }
                    norm
                };
                let check = CheckLayer::new(&kind.to_string(), normal([5, 3], 1));
                check.training(trains).run(make).assert_passes();
            }
        }
    }

    #[test]
    fn training_moves_running_statistics_and_evaluation_does_not() {
        let [mut norm, mut alone] = [(); 2].map(|()| BatchNorm::<f64>::new(3));
        let x = normal([5, 3], 1);
        let [trained, evaluated] = Tape::eval(|t| {
            let x = t.constant(x.clone());
            let trained = Layer::train(&mut norm, &x).value().clone();
            assert_eq!(norm.running().num_batches_tracked, 1);
            [trained, Layer::eval(&norm, &x).value().clone()]
        });
        // As a layer of a network it is what it is alone.
        Tape::eval(|t| {
            let x = t.constant(x.clone());
            assert_eq!(alone.train(&x).value(), &trained);
            assert_eq!(alone.running(), norm.running());
            assert_eq!(alone.eval(&x).value(), &evaluated);
            assert_eq!(alone.running(), norm.running());
        });
    }

    #[test]
    fn running_statistics_are_saved_and_loaded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("norm.safetensors");
        let mut norm = Norm::Batch(BatchNorm::<f32>::new(3));
        let x = normal([5, 3], 1).cast();
        Tape::eval(|t| norm.train(&t.constant(x)).value().len());
        save(&mut norm, &path).expect("saved");
        let mut other = BatchNorm::<f32>::new(3);
        load(&mut other, &path).expect("loaded");
        let Norm::Batch(norm) = norm else {
            unreachable!("it was made above")
        };
        assert_eq!(other.running(), norm.running());
        assert_ne!(other.running().mean, Tensor::zeros([3]));
    }
}

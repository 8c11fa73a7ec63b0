//! Cases for the norms: every layout, each form on its own.
//!
//! The forms are: composed of ops of the tape; staged, one line of backward for each line
//! of forward, on slices; fused, the closed form, as the layers use it. Lengths of 70 take
//! the kernels through their vector loops and through what is left over.

use batchnorm::{Layout, Moments, RunningStats, staged as bn};
use layernorm::fused::ROWS_PER_BLOCK;
use layernorm::rms::staged as rms;
use layernorm::staged as ln;
use nn::check::{CheckLayer, normal};
use tape::{Real, Tensor, Var};
use witness::{Argument, Subject};

use crate::case::{Case, Op};

const EPS: f64 = 1e-5;

/// A staged backward pass: the gradients of all inputs from the shape of x, them, and dy.
type Staged<T> = fn(&[usize], &[&[T]], &[T]) -> Vec<Vec<T>>;

/// A norm in its forms.
struct Norm<T: Real> {
    group: &'static str,
    /// The sources: composed, staged, and fused on the tape.
    sources: [&'static str; 3],
    /// x, gamma, and beta if there is one.
    inputs: &'static [&'static str],
    composed: Op<T>,
    /// Staged, for x of this shape.
    forward: fn(&[usize], &[&[T]]) -> Vec<T>,
    backward: Staged<T>,
    fused: Op<T>,
}

fn batch_norm<T: Real>() -> Norm<T> {
    Norm {
        group: "batch norm",
        sources: [
            "batchnorm/src/composed.rs",
            "batchnorm/src/staged.rs",
            "batchnorm/src/op.rs",
        ],
        inputs: &["x", "gamma", "beta"],
        composed: |x| batchnorm::composed::batch_norm(&x[0], &x[1], &x[2], EPS),
        forward: |shape, v| bn::forward(&Layout::of(shape), v[0], v[1], v[2], EPS).0,
        backward: |shape, v, dy| {
            let layout = Layout::of(shape);
            let (_, forward) = bn::forward(&layout, v[0], v[1], v[2], EPS);
            let (dx, each) = bn::backward(&layout, &forward, v[1], dy);
            let dgamma = each.iter().map(|channel| channel.dgamma).collect();
            let dbeta = each.iter().map(|channel| channel.dbeta).collect();
            vec![dx, dgamma, dbeta]
        },
        fused: |x| batchnorm::op::batch_norm(&x[0], &x[1], &x[2], EPS).0,
    }
}

fn layer_norm<T: Real>() -> Norm<T> {
    Norm {
        group: "layer norm",
        sources: [
            "layernorm/src/composed.rs",
            "layernorm/src/staged.rs",
            "layernorm/src/op.rs",
        ],
        inputs: &["x", "gamma", "beta"],
        composed: |x| layernorm::composed::layer_norm(&x[0], &x[1], &x[2], EPS),
        forward: |_, v| ln::forward(v[0], v[1], v[2], T::from_f64(EPS)).y,
        backward: |_, v, dy| {
            let forward = ln::forward(v[0], v[1], v[2], T::from_f64(EPS));
            let d = ln::backward(&forward, v[1], dy);
            vec![d.dx, d.dgamma, d.dbeta]
        },
        fused: |x| layernorm::layer_norm(&x[0], &x[1], &x[2], EPS),
    }
}

fn rms_norm<T: Real>() -> Norm<T> {
    Norm {
        group: "rms norm",
        sources: [
            "layernorm/src/rms/composed.rs",
            "layernorm/src/rms/staged.rs",
            "layernorm/src/rms/op.rs",
        ],
        inputs: &["x", "gamma"],
        composed: |x| layernorm::rms::composed::rms_norm(&x[0], &x[1], EPS),
        forward: |_, v| rms::forward(v[0], v[1], T::from_f64(EPS)).y,
        backward: |_, v, dy| {
            let forward = rms::forward(v[0], v[1], T::from_f64(EPS));
            let d = rms::backward(&forward, v[0], v[1], dy);
            vec![d.dx, d.dgamma]
        },
        fused: |x| layernorm::rms_norm(&x[0], &x[1], EPS),
    }
}

impl<T: Real> Norm<T> {
    /// x, gamma and beta. Gamma is of either sign and never near 0.
    fn inputs(&self, x: &[usize], features: &[usize]) -> Vec<Tensor<T>> {
        let mut all = affine(x, features);
        all.truncate(self.inputs.len());
        all
    }

    /// All forms at x of this shape, with gamma of that.
    fn forms(&self, shape: &[usize], features: &[usize], title: &str) -> [Case<T>; 3] {
        let inputs = self.inputs(shape, features);
        let [of_ops, staged, _] = self.sources;
        let name = |form| format!("{form} {title}");
        [
            Case::on_tape(
                self.group,
                of_ops,
                name("composed"),
                inputs.clone(),
                self.composed,
            ),
            Case::own(self.group, staged, name("staged"), self.staged(&inputs))
                .composed(self.composed),
            self.fused(&name("fused"), inputs, self.fused)
                .composed(self.composed),
        ]
    }

    /// The staged form at these inputs.
    fn staged(&self, inputs: &[Tensor<T>]) -> Subject<'static, T> {
        let (forward, backward) = (self.forward, self.backward);
        let arguments = self
            .inputs
            .iter()
            .zip(inputs)
            .map(|(name, x)| Argument::new(*name, x.clone()));
        Subject::new(
            arguments.collect(),
            move |at| {
                let shape = at[0].shape();
                let data: Vec<&[T]> = at.iter().map(Tensor::data).collect();
                Tensor::new(*shape, forward(shape, &data))
            },
            move |at, dy| {
                let data: Vec<&[T]> = at.iter().map(Tensor::data).collect();
                let grads = backward(at[0].shape(), &data, dy.data());
                let pairs = at.iter().zip(grads);
                pairs
                    .map(|(x, grad)| Tensor::new(*x.shape(), grad))
                    .collect()
            },
        )
    }

    /// A case of the fused form.
    fn fused(
        &self,
        name: &str,
        inputs: Vec<Tensor<T>>,
        op: impl for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T> + Send + Sync + 'static,
    ) -> Case<T> {
        Case::on_tape(self.group, self.sources[2], name, inputs, op)
    }
}

/// x, gamma and beta. Gamma is of either sign and never near 0.
pub(crate) fn affine<T: Real>(x: &[usize], features: &[usize]) -> Vec<Tensor<T>> {
    let gamma = normal(features, 2).map(|g| if g < 0.0 { g - 0.5 } else { g + 0.5 });
    [normal(x, 1), gamma, normal(features, 3)]
        .map(|x| x.cast())
        .to_vec()
}

/// Moments of so many channels.
pub(crate) fn moments<T: Real>(channels: usize) -> Moments<T> {
    let [mean, var] = mean_and_var(channels).map(|x| x.cast().to_vec());
    Moments::new(mean, var, EPS)
}

/// Means and variances of so many channels.
fn mean_and_var(channels: usize) -> [Tensor<f64>; 2] {
    let var = normal([channels], 5).map(|x| 0.5 + x * x);
    [normal([channels], 4), var]
}

/// The shape as it stands in names, with the names of its axes.
fn axes(shape: &[usize], names: &str) -> String {
    let pairs = names.chars().zip(shape);
    let pairs = pairs.map(|(name, n)| format!("{name}={n}"));
    format!("[{}]", pairs.collect::<Vec<_>>().join(", "))
}

pub fn cases<T: Real>() -> Vec<Case<T>> {
    let mut cases = batch();
    cases.extend(layer());
    cases.extend(root_mean_square());
    cases
}

/// Batch Norm with moments that do not depend on x.
pub(crate) fn frozen<T: Real>(
    moments: Moments<T::Wide>,
) -> impl for<'t> Fn(&[Var<'t, T>]) -> Var<'t, T> + Send + Sync + Clone {
    move |x| batchnorm::op::frozen_batch_norm(&x[0], &x[1], &x[2], moments.clone())
}

fn batch<T: Real>() -> Vec<Case<T>> {
    let layouts: [(&[usize], &str); 7] = [
        (&[6, 3], "NC"),
        (&[70, 2], "NC"),
        (&[4, 70], "NC"),
        (&[3, 2, 4], "NCL"),
        (&[2, 2, 70], "NCL"),
        (&[2, 3, 2, 3], "NCHW"),
        (&[2, 2, 2, 1, 3], "NCDHW"),
    ];
    let mut cases = Vec::new();
    for (shape, names) in layouts {
        let (title, channels) = (axes(shape, names), shape[1]);
        cases.extend(batch_norm::<T>().forms(shape, &[channels], &title));
        let inputs = affine::<T>(shape, &[channels]);
        let name = format!("frozen {title}");
        let case = batch_norm::<T>().fused(&name, inputs, frozen(moments(channels)));
        let [mean, var] = mean_and_var(channels);
        cases.push(case.constant("mean", mean).constant("var", var));
    }
    // A residual: the upstream gradient belongs to two, and may not be overwritten, in planes
    // that are walked in rows and in planes of their own. A constant x: only gamma and beta
    // want gradients.
    let two = || {
        let [mean, var] = [[0.5, -1.0], [2.0, 0.3]].map(|each| each.map(T::Wide::from_f64));
        Moments::new(mean.to_vec(), var.to_vec(), EPS)
    };
    for (name, positions) in [("plus x", 4), ("long planes, plus x", 130)] {
        let inputs = || affine::<T>(&[2, 2, positions], &[2]);
        let fused = format!("fused, {name}");
        cases.push(
            batch_norm::<T>().fused(&fused, inputs(), |x| (batch_norm::<T>().fused)(x) + &x[0]),
        );
        let (name, op) = (format!("frozen, {name}"), frozen(two()));
        cases.push(batch_norm::<T>().fused(&name, inputs(), move |x| op(x) + &x[0]));
    }
    let inputs = affine::<T>(&[3, 2, 4], &[2]);
    for (name, at, op) in [
        ("fused, x constant", 0, None),
        ("frozen, gamma constant", 1, Some(frozen(two()))),
        ("frozen, beta constant", 2, Some(frozen(two()))),
    ] {
        let mut given = inputs.clone();
        let constant = given.remove(at);
        let told = affine::<f64>(&[3, 2, 4], &[2]).remove(at);
        let case = batch_norm::<T>().fused(name, given, move |p| {
            let mut all = p.to_vec();
            all.insert(at, p[0].tape().constant(constant.clone()));
            match &op {
                Some(frozen) => frozen(&all),
                None => (batch_norm::<T>().fused)(&all),
            }
        });
        cases.push(case.constant("constant", told));
    }
    let source = "batchnorm/src/layer.rs";
    for (trains, of) in [(true, "training"), (false, "evaluation")] {
        for (affine, with) in [(true, ""), (false, ", no affine")] {
            let name = format!("layer, {of}{with}");
            let check = CheckLayer::new(&name, normal([3, 2, 2, 2], 1)).training(trains);
            let subject = check.of(move || {
                let mut layer = batchnorm::BatchNorm::<T>::new(2);
                let [mean, var] = mean_and_var(2).map(|x| x.cast());
                layer.set_running(RunningStats {
                    mean,
                    var,
                    num_batches_tracked: 3,
                });
                match affine {
                    true => layer,
                    false => layer.without_affine(),
                }
            });
            let case = Case::own(batch_norm::<T>().group, source, name, subject);
            let [mean, var] = mean_and_var(2);
            cases.push(
                case.constant("running_mean", mean)
                    .constant("running_var", var),
            );
        }
    }
    cases
}

/// Shapes of x, with the number of axes that a norm over features normalizes.
const SHAPES: [(&[usize], usize, &str); 4] = [
    (&[4, 5], 1, "ND"),
    (&[3, 70], 1, "ND"),
    (&[2, 3, 4], 1, "NTD"),
    (&[3, 2, 2, 3], 3, "NCHW"),
];

impl<T: Real> Norm<T> {
    /// The cases of a norm over features; `plus_x` has a residual.
    fn over_features(&self, names: &[&str], plus_x: Op<T>) -> Vec<Case<T>> {
        let mut cases = Vec::new();
        for (shape, axes_normalized, axis_names) in SHAPES {
            if !names.contains(&axis_names) {
                continue;
            }
            let kept = shape.len() - axes_normalized;
            let title = format!("{} over {}", axes(shape, axis_names), &axis_names[kept..]);
            cases.extend(self.forms(shape, &shape[kept..], &title));
        }
        // More rows than a block has, whose sums for gamma and beta are kept apart.
        let rows = self.inputs(&[ROWS_PER_BLOCK + 3, 3], &[3]);
        cases.push(self.fused("fused, two blocks of rows", rows, self.fused));
        cases.push(self.fused("fused, plus x", self.inputs(&[4, 5], &[5]), plus_x));
        cases
    }
}

fn layer<T: Real>() -> Vec<Case<T>> {
    let mut cases = layer_norm::<T>().over_features(&["ND", "NTD", "NCHW"], |x| {
        (layer_norm::<T>().fused)(x) + &x[0]
    });
    let make: [(&'static str, fn(_) -> _); 3] = [
        ("layer", |layer: layernorm::LayerNorm<T>| layer),
        ("layer, no beta", |layer| layer.without_beta()),
        ("layer, no affine", |layer| layer.without_affine()),
    ];
    cases.extend(make.map(|(name, of)| {
        let check = CheckLayer::new(name, normal([4, 2, 3], 1));
        let subject = check.of(move || of(layernorm::LayerNorm::new([2, 3])));
        Case::own(
            layer_norm::<T>().group,
            "layernorm/src/layer.rs",
            name,
            subject,
        )
    }));
    cases
}

fn root_mean_square<T: Real>() -> Vec<Case<T>> {
    let mut cases =
        rms_norm::<T>().over_features(&["ND", "NCHW"], |x| (rms_norm::<T>().fused)(x) + &x[0]);
    let make: [(&'static str, fn(_) -> _); 2] = [
        ("layer", |layer: layernorm::RmsNorm<T>| layer),
        ("layer, no affine", |layer| layer.without_affine()),
    ];
    cases.extend(make.map(|(name, of)| {
        let check = CheckLayer::new(name, normal([4, 2, 3], 1));
        let subject = check.of(move || of(layernorm::RmsNorm::new([2, 3])));
        Case::own(
            rms_norm::<T>().group,
            "layernorm/src/rms/layer.rs",
            name,
            subject,
        )
    }));
    cases
}

//! A convolution by its definition, forward and back; what the bias and the scale of a
//! filter do in front of a norm; and how many independent values the pixels of a channel
//! are worth: chapter 10.

use batchnorm::staged as batch_norm;
use layernorm::staged as layer_norm;
use nn::data::{Digits, Set};
use serde_json::{Value, json};
use tape::{Param, Slide, Tape, Tensor, Var};

use crate::kit::{Measurement, Output, each};
use crate::random::{Draws, dot, furthest, largest, length, mean, mean_of, median, wide};

pub const MEASUREMENT: Measurement = Measurement {
    name: "convolution",
    chapter: 10,
    about: "a convolution and its gradients, in front of norms, and what its many values are worth",
    run,
};

const SEED: u64 = 10;
const EPS: f64 = 1e-5;

// ANCHOR: sizes
/// A convolution of an image `[C, H, W]` to `[O, H', W']`. The taps of a filter,
/// `[C, kh, kw]`, are numbered in this order, and so are the positions of the output.
struct Conv {
    channels: usize,
    outputs: usize,
    input: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
}

impl Conv {
    fn output(&self) -> [usize; 2] {
        [0, 1].map(|d| (self.input[d] + 2 * self.padding[d] - self.kernel[d]) / self.stride[d] + 1)
    }

    fn taps(&self) -> usize {
        self.channels * self.kernel[0] * self.kernel[1]
    }

    fn positions(&self) -> usize {
        self.output()[0] * self.output()[1]
    }

    /// Where in the image tap `k` reads for position `p`; nowhere, if that is padding.
    fn reads(&self, k: usize, p: usize) -> Option<usize> {
        let ([h, w], [kh, kw], ow) = (self.input, self.kernel, self.output()[1]);
        let [c, i, j] = [k / (kh * kw), k / kw % kh, k % kw];
        let y = (p / ow * self.stride[0] + i).checked_sub(self.padding[0])?;
        let x = (p % ow * self.stride[1] + j).checked_sub(self.padding[1])?;
        (y < h && x < w).then_some((c * h + y) * w + x)
    }
}
// ANCHOR_END: sizes

impl Conv {
    fn forward(&self, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
        let (taps, positions) = (self.taps(), self.positions());
        let mut y = vec![0.0; self.outputs * positions];
        for o in 0..self.outputs {
            for p in 0..positions {
                y[o * positions + p] = b[o];
                for k in 0..taps {
                    if let Some(i) = self.reads(k, p) {
                        y[o * positions + p] += w[o * taps + k] * x[i];
                    }
                }
            }
        }
        y
    }

    /// The gradients of x, w and b.
    fn backward(&self, dy: &[f64], x: &[f64], w: &[f64]) -> [Vec<f64>; 3] {
        let (taps, positions) = (self.taps(), self.positions());
        let [mut dx, mut dw, mut db] = [x.len(), w.len(), self.outputs].map(|n| vec![0.0; n]);
        for o in 0..self.outputs {
            for p in 0..positions {
                let dy = dy[o * positions + p];
                db[o] += dy;
                for k in 0..taps {
                    if let Some(i) = self.reads(k, p) {
                        dw[o * taps + k] += dy * x[i];
                        dx[i] += dy * w[o * taps + k];
                    }
                }
            }
        }
        [dx, dw, db]
    }

    /// With kernels of 3 by 3 and a border that keeps the size.
    fn three_by_three(channels: usize, outputs: usize, input: [usize; 2]) -> Conv {
        Conv {
            channels,
            outputs,
            input,
            kernel: [3; 2],
            stride: [1; 2],
            padding: [1; 2],
        }
    }
}

/// One row of five pixels, three taps, a padding of one.
fn worked() -> Value {
    let conv = Conv {
        channels: 1,
        outputs: 1,
        input: [1, 5],
        kernel: [1, 3],
        stride: [1, 1],
        padding: [0, 1],
    };
    let x = [1.0, 2.0, 0.0, 3.0, 1.0];
    let w = [2.0, 1.0, -1.0];
    let dy = [1.0, 0.0, 2.0, 0.0, 1.0];
    let y = conv.forward(&x, &w, &[0.0]);
    let [dx, dw, db] = conv.backward(&dy, &x, &w);
    let tap = |k: usize, at: [f64; 5]| {
        let [p1, p2, p3, p4, p5] = at;
        json!({
            "k": k + 1, "w": w[k],
            "p1": p1, "p2": p2, "p3": p3, "p4": p4, "p5": p5,
            "dw": dw[k],
        })
    };
    let positions = [0, 1, 2, 3, 4];
    let read = |k: usize| positions.map(|p| conv.reads(k, p).map_or(0.0, |i| x[i]));
    // A sum with 0, so that no zero of the table has a sign.
    let back = |k: usize| dy.map(|dy| 0.0 + w[k] * dy);
    let taps = [0, 1, 2];
    let forward = taps.map(|k| read(k).map(|x| x * w[k])).concat();
    json!({
        "pixels": positions.map(|p| {
            json!({ "p": p + 1, "x": x[p], "y": y[p], "dy": dy[p], "dx": dx[p] })
        }),
        // im2col: what each tap reads at each position.
        "columns": taps.map(|k| tap(k, read(k))),
        // `Wᵀ dY`, of the same shape.
        "dcolumns": taps.map(|k| tap(k, back(k))),
        "db": db[0],
        // `⟨im2col(x), C⟩` and `⟨x, col2im(C)⟩` for `C = Wᵀ dY`.
        "adjoint": [dot(&forward, &[dy; 3].concat()), dot(&x, &dx)],
    })
}

/// One layer of the CNN of the experiment `cnn`, for one image.
fn layer(channels: usize, outputs: usize, side: usize) -> Value {
    let conv = Conv::three_by_three(channels, outputs, [side; 2]);
    let weights = outputs * conv.taps();
    let image = channels * side * side;
    json!({
        "layer": format!("{channels} to {outputs} channels, {side} × {side}"),
        "multiplications": weights * conv.positions(),
        "weights": weights,
        // Those of a linear layer between the same numbers of values.
        "linear_weights": image * outputs * conv.positions(),
        "image": image,
        "columns": conv.taps() * conv.positions(),
    })
}

type Pool = for<'t> fn(&Var<'t, f64>) -> Var<'t, f64>;

/// The pooled values, and what comes back to x.
fn pool(x: &[f64], dy: &[f64], pool: Pool) -> [Vec<f64>; 2] {
    let x = Param::new("x", Tensor::new([1, 1, 1, x.len()], x.to_vec()));
    let dy = Tensor::new([1, 1, 1, dy.len()], dy.to_vec());
    let (y, grads) = Tape::new().vjp(&dy, |t| pool(&t.param(&x)));
    [y.to_vec(), grads.of(&x).to_vec()]
}

/// Windows of three that move by one over five values, and an upstream gradient of
/// 1, 10 and 100.
fn pools() -> Value {
    let (x, dy) = ([1.0, 3.0, 2.0, 0.0, 4.0], [1.0, 10.0, 100.0]);
    let [max, by_max] = pool(&x, &dy, |x| x.max_pool2d([1, 3], Slide::by(1)));
    let [average, by_average] = pool(&x, &dy, |x| x.avg_pool2d([1, 3], Slide::by(1)));
    let four = [1.0, 5.0, 5.0, 2.0];
    let [_, tie] = pool(&four, &[1.0], |x| x.max_pool2d([1, 4], Slide::by(1)));
    let value = |i: usize| json!({ "i": i + 1, "x": x[i], "by_max": by_max[i], "by_average": by_average[i] });
    json!({
        "max": max,
        "average": average,
        "values": each([0, 1, 2, 3, 4], value),
        // The share of the gradient that each of two equal largest values receives.
        "tie": tie[1..3],
    })
}

/// A batch of images through a convolution and a norm, and its gradients.
struct Block {
    conv: Conv,
    images: Vec<Vec<f64>>,
    w: Vec<f64>,
    b: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    dy: Vec<Vec<f64>>,
}

/// What a norm makes of the outputs of the convolution, and the gradient for them.
type Norm = fn(&Block, &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>);

impl Block {
    fn new() -> Self {
        let conv = Conv::three_by_three(2, 3, [6, 5]);
        let mut draws = Draws::new(SEED);
        let outputs = conv.outputs * conv.positions();
        Block {
            images: (0..4).map(|_| draws.normals(2 * 6 * 5)).collect(),
            w: draws.normals(conv.outputs * conv.taps()),
            b: draws.normals(conv.outputs),
            // One for each value, of which Batch Norm takes the first of its channel.
            gamma: draws.uniforms(outputs, 0.5, 1.5),
            beta: draws.normals(outputs),
            dy: (0..4).map(|_| draws.normals(outputs)).collect(),
            conv,
        }
    }

    /// With the filters multiplied by `scale`: the outputs, and the gradients of w and b.
    fn run(&self, norm: Norm, scale: f64) -> [Vec<f64>; 3] {
        let w: Vec<f64> = self.w.iter().map(|w| scale * w).collect();
        let z = self
            .images
            .iter()
            .map(|x| self.conv.forward(x, &w, &self.b));
        let (y, dz) = norm(self, &z.collect::<Vec<_>>());
        let (mut dw, mut db) = (vec![0.0; w.len()], vec![0.0; self.b.len()]);
        for (x, dz) in self.images.iter().zip(&dz) {
            let [_, w, b] = self.conv.backward(dz, x, &w);
            add(&mut dw, &w);
            add(&mut db, &b);
        }
        [y.concat(), dw, db]
    }

    fn no_norm(&self, z: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        (z.to_vec(), self.dy.clone())
    }

    /// Batch Norm of images: the values of a channel at all positions of all images are
    /// one list.
    fn batch_norm(&self, z: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let positions = self.conv.positions();
        let (mut y, mut dz) = (z.to_vec(), z.to_vec());
        for c in 0..self.conv.outputs {
            let channel = c * positions..(c + 1) * positions;
            let list = |of: &[Vec<f64>]| -> Vec<f64> {
                let planes = of.iter().map(|image| &image[channel.clone()]);
                planes.flatten().copied().collect()
            };
            let (gamma, beta) = (self.gamma[channel.start], self.beta[channel.start]);
            let forward = batch_norm::forward_channel(&list(z), gamma, beta, EPS);
            let backward = batch_norm::backward_channel(&forward, gamma, &list(&self.dy));
            for n in 0..z.len() {
                let plane = n * positions..(n + 1) * positions;
                y[n][channel.clone()].copy_from_slice(&forward.y[plane.clone()]);
                dz[n][channel.clone()].copy_from_slice(&backward.dx[plane]);
            }
        }
        (y, dz)
    }

    fn layer_norm(&self, z: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
        let each = z.iter().zip(&self.dy).map(|(z, dy)| {
            let forward = layer_norm::forward(z, &self.gamma, &self.beta, EPS);
            let backward = layer_norm::backward(&forward, &self.gamma, dy);
            (forward.y, backward.dx)
        });
        each.unzip()
    }
}

fn add(sum: &mut [f64], values: &[f64]) {
    for (sum, v) in sum.iter_mut().zip(values) {
        *sum += v;
    }
}

/// Gradients of the convolution before a norm: the largest, in absolute value, and the
/// largest cosine of the angle between a filter and its gradient.
fn norm(block: &Block, name: &str, id: &str, norm: Norm) -> Value {
    let taps = block.conv.taps();
    let [_, dw, db] = block.run(norm, 1.0);
    let filters = block.w.chunks_exact(taps).zip(dw.chunks_exact(taps));
    let cosines = filters.map(|(w, dw)| dot(w, dw) / (length(w) * length(dw)));
    json!({
        "norm": name,
        "id": id,
        "dw": largest(&dw),
        "db": largest(&db),
        "cosine": largest(&cosines.collect::<Vec<f64>>()),
    })
}

/// The same with all filters multiplied, before Batch Norm.
fn scales(block: &Block) -> [Value; 4] {
    let [plain, plain_dw, _] = block.run(Block::batch_norm, 1.0);
    [0.1, 1.0, 10.0, 100.0].map(|scale| {
        let [y, dw, _] = block.run(Block::batch_norm, scale);
        json!({
            "scale": scale,
            // The largest change of an output.
            "moved": furthest(&plain, &y),
            // The length of the gradient, relative to that at scale 1.
            "gradient": length(&dw) / length(&plain_dw),
        })
    })
}

/// Real digits through random filters: how far the mean of a channel of a batch lies from
/// that of all images.
fn values() -> Value {
    const IMAGES: usize = 400;
    const DRAWS: usize = 2000;
    let digits = Digits::<f32>::load(Set::Large).expect("they come with the crate");
    let conv = Conv::three_by_three(1, 8, [Set::Large.side(); 2]);
    let mut draws = Draws::new(SEED);
    let w = draws.normals(conv.outputs * conv.taps());
    let plane = conv.positions();
    // For every filter, the mean of each image, and the variance over all.
    let mut means = vec![Vec::new(); conv.outputs];
    let mut squares = vec![0.0; conv.outputs];
    for image in digits.train.images.data().chunks_exact(plane).take(IMAGES) {
        let y = conv.forward(&wide(image), &w, &vec![0.0; conv.outputs]);
        for (c, y) in y.chunks_exact(plane).enumerate() {
            means[c].push(mean(y));
            squares[c] += dot(y, y) / (IMAGES * plane) as f64;
        }
    }
    let row = |batch: usize| {
        let one = |_| draws.uniforms(batch, 0.0, IMAGES as f64);
        let drawn: Vec<Vec<f64>> = (0..DRAWS).map(one).collect();
        let noise = |c: usize| {
            let all = mean(&means[c]);
            let off = mean_of(&drawn, |numbers| {
                (mean_of(numbers, |&n| means[c][n as usize]) - all).powi(2)
            });
            (off / (squares[c] - all * all)).sqrt()
        };
        let measured = median(&(0..conv.outputs).map(noise).collect::<Vec<f64>>());
        let values = batch * plane;
        let worth = 1.0 / (measured * measured);
        json!({
            "batch": batch,
            // M.
            "values": values,
            // The share of a gradient without direction that passes, (M - 2)/M.
            "passes": (values - 2) as f64 / values as f64,
            // 1/√M: the deviation of the mean if the values were independent, in deviations
            // of the channel.
            "independent": 1.0 / (values as f64).sqrt(),
            "measured": measured,
            // How many independent values have a mean as uncertain as that.
            "worth": worth,
            "worth_of_an_image": worth / batch as f64,
        })
    };
    let batches = [2, 8, 64].map(row);
    json!({ "images": IMAGES, "filters": conv.outputs, "draws": DRAWS, "batches": batches })
}

fn run() -> Output {
    let block = Block::new();
    Output::new(json!({
        "about": "A convolution by its definition and back, in front of norms, and on digits",
        "worked": worked(),
        "layers": [layer(1, 8, 28), layer(8, 16, 14)],
        "pools": pools(),
        "norms": [
            norm(&block, "no norm", "none", Block::no_norm),
            norm(&block, "Batch Norm", "batch", Block::batch_norm),
            norm(&block, "Layer Norm", "layer", Block::layer_norm),
        ],
        "scales": scales(&block),
        "values": values(),
    }))
}

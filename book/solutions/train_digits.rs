//! Exercise: your own tape trains a network (appendix I).
//! Each `mod` is the file of an earlier exercise beside this one, with what you wrote in it.

mod bn_backward_closed_form;
mod bn_forward;
mod softmax_cross_entropy;
mod tensor_products;
mod tensor_tape;

use bn_backward_closed_form::bn_backward_closed_form;
use bn_forward::{bn_forward, update_running};
use exercises::train_digits::{
    EPS, INERTIA, MOMENTUM, Network, RATE, Running, Tape, Tensor, check,
};
use tensor_products::matmul;
use tensor_tape::{add, backward, relu};

fn batch_norm(tape: &mut Tape, [x, gamma, beta]: [usize; 3], running: &mut Running) -> usize {
    // ANCHOR: solution-norm
    let [x_value, g, b] = [x, gamma, beta].map(|at| tape.value(at));
    let (n, c) = (x_value.shape()[0], x_value.shape()[1]);
    let batch = bn_forward(x_value.data(), n, c, g.data(), b.data(), EPS);
    update_running(running, &batch, n, MOMENTUM);
    let rstd: Vec<f64> = batch.var.iter().map(|v| 1.0 / (v + EPS).sqrt()).collect();
    let y = Tensor::new([n, c], batch.y);
    tape.push(y, &[x, gamma, beta], move |dy| {
        let grads = bn_backward_closed_form(dy.data(), &batch.x_hat, &rstd, g.data(), n, c);
        let dx = Tensor::new([n, c], grads.dx);
        let [dgamma, dbeta] = [grads.dgamma, grads.dbeta].map(|d| Tensor::new([c], d));
        vec![dx, dgamma, dbeta]
    })
    // ANCHOR_END: solution-norm
}

fn cross_entropy(tape: &mut Tape, scores: usize, labels: &[usize]) -> usize {
    // ANCHOR: solution-loss
    let x = tape.value(scores);
    let (loss, dx) = softmax_cross_entropy::cross_entropy(x.data(), x.shape()[1], labels);
    let dx = Tensor::new(x.shape(), dx);
    tape.push(Tensor::scalar(loss), &[scores], move |dy| {
        vec![Tape::zip(&dx, dy, |dx, dy| dx * dy)]
    })
    // ANCHOR_END: solution-loss
}

/// `[w1, gamma, beta, w2, b2]` are places of `params`; returns that of the scores.
fn network(tape: &mut Tape, x: usize, params: [usize; 5], running: &mut Running) -> usize {
    // ANCHOR: solution-network
    let [w1, gamma, beta, w2, b2] = params;
    let hidden = matmul(tape, x, w1);
    let normed = batch_norm(tape, [hidden, gamma, beta], running);
    let active = relu(tape, normed);
    let scores = matmul(tape, active, w2);
    add(tape, scores, b2)
    // ANCHOR_END: solution-network
}

fn step(net: &mut Network, images: &Tensor, labels: &[usize]) -> f64 {
    // ANCHOR: solution-step
    let mut tape = Tape::default();
    let x = tape.leaf(images.clone());
    let params = net.params.each_ref().map(|p| tape.leaf(p.clone()));
    let scores = network(&mut tape, x, params, &mut net.running);
    let loss = cross_entropy(&mut tape, scores, labels);
    let grads = backward(&tape, loss, Tensor::scalar(1.0));
    for (k, at) in params.into_iter().enumerate() {
        let Some(grad) = &grads[at] else { continue };
        net.velocity[k] = Tape::zip(&net.velocity[k], grad, |v, g| INERTIA * v + g);
        net.params[k] = Tape::zip(&net.params[k], &net.velocity[k], |p, v| p - RATE * v);
    }
    tape.value(loss).item()
    // ANCHOR_END: solution-step
}

fn evaluate(net: &Network, images: &Tensor) -> Tensor {
    // ANCHOR: solution-evaluate
    let [w1, gamma, beta, w2, b2] = &net.params;
    let mut hidden = Tape::product(images, w1);
    let channels = gamma.len();
    for (k, h) in hidden.data_mut().iter_mut().enumerate() {
        let c = k % channels;
        let x_hat = (*h - net.running.mean[c]) / (net.running.var[c] + EPS).sqrt();
        *h = (gamma.data()[c] * x_hat + beta.data()[c]).max(0.0);
    }
    Tape::zip(&Tape::product(&hidden, w2), b2, |y, b| y + b)
    // ANCHOR_END: solution-evaluate
}

fn main() -> std::process::ExitCode {
    check(batch_norm, cross_entropy, network, step, evaluate)
}

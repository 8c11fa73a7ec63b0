//! What is measured: the cases and their names.

use std::fmt;

/// Which normalization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Batch Normalization, in training mode.
    Batch,
    /// Layer Normalization over the last axis.
    Layer,
}

/// How much of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Forward only, nothing kept for a backward pass.
    Forward,
    /// Forward, then backward from an upstream gradient to x, gamma and beta.
    Both,
}

/// Which network, beside the MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Two convolutions, each with Batch Norm, ReLU and a max-pool, then a linear layer;
    /// cross-entropy.
    Cnn,
    /// One layer of LSTM cells and a linear layer on the state at the end; cross-entropy.
    Lstm,
    /// One causal Transformer block with Layer Norm in front and GELU; mean square of its
    /// outputs.
    Transformer,
}

/// One thing to time. Its `Display` form is its name in every protocol, table and file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Case {
    /// A norm kernel on an input of this shape.
    Kernel(Norm, Vec<usize>, Pass),
    /// A chain of this many recorded elementwise ops on a 4 x 4 tensor, there and back.
    Chain(usize),
    /// One SGD step of the MLP with this norm: forward, backward, update.
    Mlp(Norm),
    /// One SGD step of this network.
    Network(Network),
}

/// Layer sizes of the MLP; a norm and a ReLU follow every hidden layer.
pub const MLP: [usize; 4] = [784, 512, 256, 10];
/// Examples in one batch of the MLP.
pub const BATCH: usize = 128;
/// Channels of the CNN: of the image, and of each convolution.
pub const CNN_CHANNELS: [usize; 3] = [1, 16, 32];
/// Height and width of its images.
pub const CNN_SIDE: usize = 28;
/// Images in one batch.
pub const CNN_BATCH: usize = 64;
/// Sequences, steps, features of an input and of the state of the LSTM.
pub const LSTM: [usize; 4] = [32, 32, 64, 128];
/// Sequences, steps, features and heads of the Transformer block.
pub const TRANSFORMER: [usize; 4] = [16, 64, 128, 4];
/// Classes of the CNN and the LSTM.
pub const CLASSES: usize = 10;
/// Learning rate of the plain SGD of every network.
pub const RATE: f64 = 0.1;
/// Added to the variance by every norm.
pub const EPS: f64 = 1e-5;

/// Every case, in the order in which it is measured and printed.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for pass in [Pass::Forward, Pass::Both] {
        for shape in [[64, 256], [8192, 768], [16384, 1024]] {
            cases.push(Case::Kernel(Norm::Layer, shape.to_vec(), pass));
        }
        let shapes: [&[usize]; 3] = [&[256, 512], &[32, 64, 28, 28], &[32, 128, 56, 56]];
        for shape in shapes {
            cases.push(Case::Kernel(Norm::Batch, shape.to_vec(), pass));
        }
    }
    cases.push(Case::Chain(1000));
    cases.push(Case::Mlp(Norm::Batch));
    cases.push(Case::Mlp(Norm::Layer));
    for network in [Network::Cnn, Network::Lstm, Network::Transformer] {
        cases.push(Case::Network(network));
    }
    cases
}

impl Case {
    /// The case of this name: one of [`all`], or a kernel on another shape.
    pub fn parse(name: &str) -> Option<Case> {
        let known = all().into_iter().find(|case| case.to_string() == name);
        known.or_else(|| Self::kernel(name))
    }

    fn kernel(name: &str) -> Option<Case> {
        let mut words = name.split(' ');
        let norm = words.next()?;
        let norm = [Norm::Batch, Norm::Layer]
            .into_iter()
            .find(|known| known.to_string() == norm)?;
        let shape = words
            .next()?
            .split('x')
            .map(str::parse)
            .collect::<Result<Vec<_>, _>>();
        let pass = match words.next()? {
            "forward" => Pass::Forward,
            "forward+backward" => Pass::Both,
            _ => return None,
        };
        let shape = shape.ok().filter(|shape| matches!(shape.len(), 2 | 4))?;
        words
            .next()
            .is_none()
            .then_some(Case::Kernel(norm, shape, pass))
    }

    /// Whether the side of this name has the case.
    pub fn is_on(&self, side: &str) -> bool {
        // Burn's LSTM keeps its gates apart, so it is another computation.
        (side, self) != ("burn", &Case::Network(Network::Lstm))
    }
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Norm::Batch => "batchnorm",
            Norm::Layer => "layernorm",
        })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Case::Kernel(norm, shape, pass) => {
                let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
                let pass = match pass {
                    Pass::Forward => "forward",
                    Pass::Both => "forward+backward",
                };
                write!(f, "{norm} {} {pass}", shape.join("x"))
            }
            Case::Chain(ops) => write!(f, "chain {ops}"),
            Case::Mlp(norm) => write!(f, "mlp {norm}"),
            Case::Network(Network::Cnn) => f.write_str("cnn step"),
            Case::Network(Network::Lstm) => f.write_str("lstm step"),
            Case::Network(Network::Transformer) => f.write_str("transformer step"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_found_by_its_name() {
        for case in all() {
            assert_eq!(Case::parse(&case.to_string()), Some(case));
        }
        for nonsense in [
            "layernorm 8 forward",
            "layernorm 2x2",
            "mlp",
            "batchnorm 2x3 back",
        ] {
            assert_eq!(Case::parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_kernel_may_have_any_shape() {
        let case = Case::Kernel(Norm::Batch, vec![2, 3, 4, 5], Pass::Both);
        assert_eq!(
            Case::parse("batchnorm 2x3x4x5 forward+backward"),
            Some(case)
        );
    }
}

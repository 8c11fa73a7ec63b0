//! Appendix F's lines for burn: reads `probe.safetensors`, writes `mine.safetensors`.

use burn::tensor::{DType, Device, Tensor, TensorData, module};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize_to_file};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: compute
    let file = std::fs::read("probe.safetensors")?;
    let file = SafeTensors::deserialize(&file)?;
    let device = Device::flex().autodiff();
    let data = |name| {
        let array = file.tensor(name).expect("probe wrote it");
        TensorData::from_bytes_vec(array.data().to_vec(), array.shape().to_vec(), DType::F32)
    };
    let x = Tensor::<2>::from_data(data("x"), &device).require_grad();
    let gamma = Tensor::<1>::from_data(data("gamma"), &device).require_grad();
    let beta = Tensor::<1>::from_data(data("beta"), &device).require_grad();
    let dy = Tensor::<2>::from_data(data("dy"), &device);
    // your function here
    let y = module::layer_norm(x.clone(), gamma.clone(), Some(beta.clone()), 1e-5);
    let grads = (y.clone() * dy).sum().backward();
    // ANCHOR_END: compute
    // ANCHOR: save
    let missing = "a gradient";
    let found = [
        ("y", y.into_data()),
        ("dx", x.grad(&grads).expect(missing).into_data()),
        ("dgamma", gamma.grad(&grads).expect(missing).into_data()),
        ("dbeta", beta.grad(&grads).expect(missing).into_data()),
    ];
    let views = found.iter().map(|(name, data)| {
        let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes());
        (*name, view.expect("as many bytes as the shape needs"))
    });
    serialize_to_file(views, None, "mine.safetensors".as_ref())?;
    // ANCHOR_END: save
    Ok(())
}

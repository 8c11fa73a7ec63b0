//! Prints what PyTorch is told of every case, for `pytorch/generate.py`, which starts it.
#![forbid(unsafe_code)]

fn main() {
    println!("{}", verify::pytorch_inputs());
}

//! The tests across crates, in one program: the norms and ops that all of them use are compiled
//! once.

mod golden_batchnorm;
mod golden_files;
mod golden_hard;
mod golden_layernorm;
mod golden_mlp;
mod golden_outliers;
mod numerics;
mod peers_bugs;
mod properties;
mod saved_models;
mod torch_names;

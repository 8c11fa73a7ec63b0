//! The tests of the norms from outside, in one program: what each would compile for itself is
//! compiled once.

mod caller;
mod forms;
mod independence;
mod invariance;
mod numerics;

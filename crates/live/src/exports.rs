//! What the module exports to the page: memory to write a question to, and an answer to read.
//!
//! No memory is touched through pointers here: the page is told where a buffer lies, and writes
//! or reads it between two calls. The names are exported as they stand, which Rust calls unsafe
//! since another library could use the same; this module is linked with no other.
#![expect(
    unsafe_code,
    reason = "names that are exported; there is no unsafe block"
)]

use crate::bridge;
use std::panic;
use std::sync::{Mutex, MutexGuard, PoisonError};

static QUESTION: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn locked(buffer: &'static Mutex<Vec<u8>>) -> MutexGuard<'static, Vec<u8>> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for a question of so many bytes.
#[unsafe(no_mangle)]
extern "C" fn question(length: usize) -> *mut u8 {
    let mut question = locked(&QUESTION);
    question.clear();
    question.resize(length, 0);
    question.as_mut_ptr()
}

/// Answers the question, and returns how long the answer is. When that breaks off, the module is
/// of no more use, but why can be read like an answer.
#[unsafe(no_mangle)]
extern "C" fn answer() -> usize {
    // A panic ends in a trap, which tells the page nothing.
    panic::set_hook(Box::new(|why| {
        *locked(&ANSWER) = why.to_string().into_bytes();
    }));
    let question = String::from_utf8_lossy(&locked(&QUESTION)).into_owned();
    let found = bridge::answer(&question).into_bytes();
    let length = found.len();
    *locked(&ANSWER) = found;
    length
}

/// Where the answer lies.
#[unsafe(no_mangle)]
extern "C" fn answer_start() -> *const u8 {
    locked(&ANSWER).as_ptr()
}

/// How long it is; after a trap, how long the reason is.
#[unsafe(no_mangle)]
extern "C" fn answer_length() -> usize {
    locked(&ANSWER).len()
}

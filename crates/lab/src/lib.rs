//! The experiments behind the book, one file each.

#![forbid(unsafe_code)]

pub mod book;

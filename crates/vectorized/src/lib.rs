//! The attribute [`macro@vectorized`], for the inner loops of kernels.

#![forbid(unsafe_code)]

use proc_macro::TokenStream;

/// Compiles a function for several instruction sets. Which of them is called is found out from
/// the processor, once; a reader's flags and environment have no part in it, and a program that
/// is copied to another machine runs there at that machine's best.
///
/// On x86-64 these are AVX-512 (vectors of 64 bytes), AVX2 (32) and what every such processor
/// has (16). Elsewhere there is one, with the vectors that its compiler takes for granted (NEON
/// on AArch64). It is [`multiversion`](https://docs.rs/multiversion) with this list; a crate
/// that uses it depends on `multiversion` too.
///
/// The result does not depend on the instruction set, to the bit, as long as the source fixes
/// the order of additions (`tape::lanes`): a wider vector holds more of the lanes, and nothing
/// fuses a multiplication with an addition unless it is told to.
///
/// What the loop calls has to be inlined, or else it is compiled once, for every processor,
/// and is as slow as it was without this. No error tells; a benchmark does. So what such a
/// function calls is marked `#[inline(always)]`, and closures in it are small.
///
/// ```
/// use vectorized::vectorized;
///
/// /// `y = x · by`.
/// #[vectorized]
/// fn scale(y: &mut [f32], x: &[f32], by: f32) {
///     for (y, &x) in y.iter_mut().zip(x) {
///         *y = x * by;
///     }
/// }
///
/// let mut y = [0.0; 3];
/// scale(&mut y, &[1.0, 2.0, 3.0], 2.0);
/// assert_eq!(y, [2.0, 4.0, 6.0]);
/// ```
#[proc_macro_attribute]
pub fn vectorized(arguments: TokenStream, function: TokenStream) -> TokenStream {
    assert!(arguments.is_empty(), "vectorized: it takes no arguments");
    let versions = r#"#[::multiversion::multiversion(targets(
        "x86_64+avx512f+avx512bw+avx512dq+avx512vl",
        "x86_64+avx2",
    ))]"#;
    let mut all: TokenStream = versions.parse().expect("an attribute");
    all.extend(function);
    all
}

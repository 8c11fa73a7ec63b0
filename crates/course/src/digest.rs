//! Short names for contents: of a page for the browser's cache, of an exercise for the
//! progress file.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// A name of 16 characters that no two contents share.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    BASE64.encode(&Sha256::digest(bytes)[..12])
}

/// The SHA-256 of `bytes`, as a content security policy writes it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    BASE64.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_start_of_the_digest() {
        assert_eq!(
            sha256(b"abc"),
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
        );
        assert_eq!(fingerprint(b"abc"), "ungWv48Bz+pBQUDe");
    }
}

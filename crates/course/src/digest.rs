//! Short names for contents: of a page for the browser's cache, of an exercise for the
//! progress file.

use sha2::{Digest, Sha256};

/// A name of 16 characters that no two contents share.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    base64(&Sha256::digest(bytes)[..12])
}

/// The SHA-256 of `bytes`, as a content security policy writes it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    base64(&Sha256::digest(bytes))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().chain([&0, &0]).take(3);
        let value = group.fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
        for place in 0..4 {
            out.push(if place > chunk.len() {
                '='
            } else {
                char::from(DIGITS[value >> (18 - 6 * place) & 63])
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_fingerprint_is_the_start_of_the_digest() {
        assert_eq!(
            sha256(b"abc"),
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
        );
        assert_eq!(fingerprint(b"abc"), "ungWv48Bz+pBQUDe");
    }
}

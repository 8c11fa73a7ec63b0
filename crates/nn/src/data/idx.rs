//! The IDX format, in which MNIST was first published, compressed with gzip.
//!
//! Two zero bytes, the type of the numbers (8: one byte each), the number of axes, one
//! big-endian 32-bit length for each axis, then the numbers.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::error::DataError;

/// An array of bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Idx {
    /// The length of each axis.
    pub axes: Vec<usize>,
    /// The numbers, row-major.
    pub bytes: Vec<u8>,
}

/// Most bytes of an array that is read; more means a damaged header. The largest that is
/// known, of the 60,000 images of MNIST, has 47 million.
const LARGEST: usize = 1 << 26;

/// Reads the array in the file at `path`, which has `rank` axes.
///
/// # Errors
/// When the file cannot be read, is damaged, or holds something else.
pub fn read(path: &Path, rank: usize) -> Result<Idx, DataError> {
    let file = File::open(path).map_err(|source| DataError::read(path, source))?;
    let mut stream = MultiGzDecoder::new(BufReader::new(file));
    let bad = |reason: String| DataError::format(path, reason);
    let cut = |error: std::io::Error| bad(format!("its gzip stream is damaged ({error})"));

    let mut header = vec![0; 4 + 4 * rank];
    stream.read_exact(&mut header).map_err(cut)?;
    if header[..4] != [0, 0, 8, rank as u8] {
        return Err(bad(format!(
            "it is not an IDX file of bytes with {rank} axes"
        )));
    }
    let axes: Vec<usize> = header[4..]
        .as_chunks()
        .0
        .iter()
        .map(|&axis| u32::from_be_bytes(axis) as usize)
        .collect();
    let count = tape::try_elements(&axes)
        .filter(|&count| count <= LARGEST)
        .ok_or_else(|| bad(format!("its header asks for {axes:?} numbers")))?;
    let mut bytes = Vec::new();
    // One byte more than announced would show a file that is too long.
    stream
        .take(count as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(cut)?;
    if bytes.len() != count {
        let than = if bytes.len() < count { "fewer" } else { "more" };
        return Err(bad(format!(
            "it holds {than} numbers than its header says, {axes:?}"
        )));
    }
    Ok(Idx { axes, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;
    use std::path::PathBuf;

    fn file(folder: &Path, bytes: &[u8]) -> PathBuf {
        let path = folder.join("a.gz");
        let mut packed = GzEncoder::new(File::create(&path).expect("made"), Compression::fast());
        packed
            .write_all(bytes)
            .and_then(|()| packed.try_finish())
            .expect("written");
        path
    }

    const WHOLE: [u8; 18] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];

    #[test]
    fn a_whole_file_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let idx = read(&file(folder.path(), &WHOLE), 2).expect("it is whole");
        assert_eq!(
            idx,
            Idx {
                axes: vec![2, 3],
                bytes: vec![1, 2, 3, 4, 5, 6]
            }
        );
    }

    #[test]
    fn a_file_of_two_members_is_read_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        for cut in [4, 12, 15] {
            let mut both = Vec::new();
            for part in [&WHOLE[..cut], &WHOLE[cut..]] {
                both.extend(std::fs::read(file(folder.path(), part)).expect("read"));
            }
            let path = folder.path().join("both.gz");
            std::fs::write(&path, &both).expect("written");
            let idx = read(&path, 2).expect("it is whole");
            assert_eq!((idx.axes, idx.bytes), (vec![2, 3], vec![1, 2, 3, 4, 5, 6]));
            both.extend(std::fs::read(file(folder.path(), &[7])).expect("read"));
            std::fs::write(&path, &both).expect("written");
            refuse(&path, 2, "more numbers than its header");
        }
    }

    #[track_caller]
    fn refuse(path: &Path, rank: usize, reason: &str) {
        let message = read(path, rank)
            .expect_err("it must be refused")
            .to_string();
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(
            message.contains(reason) && !message.contains('\n'),
            "{message}"
        );
    }

    #[test]
    fn every_damage_is_named_in_one_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        refuse(&folder.join("absent.gz"), 2, "cannot read");
        refuse(
            &file(folder, &WHOLE),
            3,
            "not an IDX file of bytes with 3 axes",
        );
        refuse(
            &file(folder, &WHOLE[..17]),
            2,
            "fewer numbers than its header says, [2, 3]",
        );
        refuse(
            &file(folder, &[&WHOLE[..], &[7]].concat()),
            2,
            "more numbers than its header",
        );
        refuse(&file(folder, &WHOLE[..7]), 2, "gzip stream is damaged");
        let floats = [&[0, 0, 13][..], &WHOLE[3..]].concat();
        refuse(&file(folder, &floats), 2, "not an IDX file of bytes");
        let huge = [&WHOLE[..4], &[0xff; 8]].concat();
        refuse(&file(folder, &huge), 2, "its header asks for");
        // A little more than the largest: a small file may unpack to that.
        let bomb = [&WHOLE[..4], &[0, 0, 0x20, 0, 0, 0, 0x20, 1]].concat();
        refuse(&file(folder, &bomb), 2, "its header asks for [8192, 8193]");

        let path = file(folder, &WHOLE);
        let packed = std::fs::read(&path).expect("read");
        for cut in [0, 5, packed.len() / 2, packed.len() - 1] {
            std::fs::write(&path, &packed[..cut]).expect("written");
            refuse(&path, 2, "gzip stream is damaged");
        }
        // One bit of the checksum at the end: it is looked at.
        let mut flipped = packed.clone();
        let checksum = flipped.len() - 8;
        flipped[checksum] ^= 0x10;
        std::fs::write(&path, &flipped).expect("written");
        refuse(&path, 2, "gzip stream is damaged");
        std::fs::write(&path, b"plain text").expect("written");
        refuse(&path, 2, "gzip stream is damaged");
    }
}

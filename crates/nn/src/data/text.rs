//! Characters for language models: prose, and words.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use rand::{Rng, RngExt};

use super::digits::folder;
use super::error::DataError;
use crate::lengths::Lengths;

/// Sequences of tokens, packed, and the token that comes after each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenBatch {
    /// The tokens of all sequences, one sequence after the other: M together.
    pub tokens: Vec<usize>,
    /// For each token, the one to predict.
    pub targets: Vec<usize>,
    /// Where sequences end.
    pub lengths: Lengths,
}

/// The first chapters of prose for learning, the next ones for choosing settings, the last
/// ones for the result: *Alice's Adventures in Wonderland* by Lewis Carroll (1865).
///
/// The text is cut into 80, 10 and 10 %, in one piece each, so no part holds a sentence of
/// another.
#[derive(Clone, Debug)]
pub struct Prose {
    /// What token k stands for.
    pub alphabet: Vec<char>,
    /// For learning.
    pub train: Vec<usize>,
    /// For choosing settings.
    pub validation: Vec<usize>,
    /// For the result.
    pub test: Vec<usize>,
}

impl Prose {
    /// The text as it comes with the crate.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn load() -> Result<Self, DataError> {
        Self::load_from(&folder())
    }

    /// The text from the file `prose.txt.gz` in another folder.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn load_from(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join("prose.txt.gz");
        let text = read(&path)?;
        if text.len() < 1000 {
            let reason = format!("{} characters are too few for three parts", text.len());
            return Err(DataError::format(&path, reason));
        }
        let mut alphabet: Vec<char> = text.chars().collect();
        alphabet.sort_unstable();
        alphabet.dedup();
        let token = |c| {
            alphabet
                .binary_search(&c)
                .expect("every character is in it")
        };
        let tokens: Vec<usize> = text.chars().map(token).collect();
        let (train, rest) = tokens.split_at(tokens.len() * 8 / 10);
        let (validation, test) = rest.split_at(rest.len() / 2);
        Ok(Prose {
            train: train.to_vec(),
            validation: validation.to_vec(),
            test: test.to_vec(),
            alphabet,
        })
    }
}

/// `count` sequences of `steps` tokens that begin at random places of `part`.
///
/// # Panics
/// If the part has no more than `steps` tokens, or a count is 0.
#[track_caller]
pub fn random_windows(
    part: &[usize],
    count: usize,
    steps: usize,
    rng: &mut impl Rng,
) -> TokenBatch {
    assert!(
        steps > 0 && part.len() > steps,
        "random_windows: {} tokens hold no sequence of {steps} with a token after it",
        part.len()
    );
    let places = (0..count).map(|_| rng.random_range(0..part.len() - steps));
    cut(part, places, steps)
}

/// The whole of `part` as sequences of `steps` tokens, in order, at most `count` in each
/// batch; what is too short at the end is left out.
///
/// # Panics
/// If a count is 0.
#[track_caller]
pub fn all_windows(
    part: &[usize],
    count: usize,
    steps: usize,
) -> impl Iterator<Item = TokenBatch> + '_ {
    assert!(
        count > 0 && steps > 0,
        "all_windows: batches of {count} sequences of {steps} tokens hold nothing"
    );
    let windows = part.len().saturating_sub(1) / steps;
    (0..windows).step_by(count).map(move |first| {
        let places = first..windows.min(first.saturating_add(count));
        cut(part, places.map(|window| window * steps), steps)
    })
}

fn cut(part: &[usize], places: impl Iterator<Item = usize>, steps: usize) -> TokenBatch {
    let (mut tokens, mut targets) = (Vec::new(), Vec::new());
    for place in places {
        tokens.extend_from_slice(&part[place..place + steps]);
        targets.extend_from_slice(&part[place + 1..][..steps]);
    }
    let lengths = Lengths::full(tokens.len() / steps, steps);
    TokenBatch {
        tokens,
        targets,
        lengths,
    }
}

/// English words, each a sequence of its own length: 63,753 of 2 to 16 letters.
///
/// Of every ten words in the order of the alphabet the first goes to the test part, the
/// second to the validation part, and eight to the training part. Neighbours are often
/// forms of one word, so the parts are alike, and a word of the test part mostly has a
/// cousin in the training part.
#[derive(Clone, Debug)]
pub struct Words {
    /// For learning.
    pub train: Vec<Vec<usize>>,
    /// For choosing settings.
    pub validation: Vec<Vec<usize>>,
    /// For the result.
    pub test: Vec<Vec<usize>>,
}

impl Words {
    /// How many tokens there are: 1 to 26 for the letters, and [`Words::EDGE`].
    pub const TOKENS: usize = 27;
    /// The token that stands before and after each word.
    pub const EDGE: usize = 0;

    /// The words as they come with the crate.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn load() -> Result<Self, DataError> {
        Self::load_from(&folder())
    }

    /// The words from the file `words.txt.gz` in another folder.
    ///
    /// # Errors
    /// When the file is missing or damaged.
    pub fn load_from(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join("words.txt.gz");
        let text = read(&path)?;
        let mut parts = [const { Vec::new() }; 3];
        for (i, line) in text.lines().enumerate() {
            let letters = line.bytes().all(|letter| letter.is_ascii_lowercase());
            if line.is_empty() || !letters {
                let reason = format!(
                    "line {} is {line:?}, not a word of the letters a to z",
                    i + 1
                );
                return Err(DataError::format(&path, reason));
            }
            let word: Vec<usize> = line.bytes().map(|b| usize::from(b - b'a') + 1).collect();
            parts[(i % 10).min(2)].push(word);
        }
        if parts.iter().any(Vec::is_empty) {
            let reason = "it does not hold a word for each part".to_owned();
            return Err(DataError::format(&path, reason));
        }
        let [test, validation, train] = parts;
        Ok(Words {
            train,
            validation,
            test,
        })
    }

    /// The words with the given numbers as sequences for a language model: after the edge
    /// and each letter, the next letter is to be predicted, and after the last one the
    /// edge.
    ///
    /// # Panics
    /// If a number is out of range, or there is none.
    #[track_caller]
    pub fn batch(part: &[Vec<usize>], numbers: &[usize]) -> TokenBatch {
        let words = || numbers.iter().map(|&number| &part[number]);
        let lengths: Vec<usize> = words().map(|word| word.len() + 1).collect();
        let edge = [Self::EDGE];
        TokenBatch {
            tokens: words()
                .flat_map(|word| edge.iter().chain(word))
                .copied()
                .collect(),
            targets: words()
                .flat_map(|word| word.iter().chain(&edge))
                .copied()
                .collect(),
            lengths: Lengths::new(&lengths),
        }
    }

    /// The letters of tokens; a full stop for the edge.
    pub fn spell(tokens: &[usize]) -> String {
        let letter = |&token: &usize| match u8::try_from(token) {
            Ok(token @ 1..=26) => char::from(b'a' + token - 1),
            _ => '.',
        };
        tokens.iter().map(letter).collect()
    }
}

/// Most characters of a text that is read: a small file may unpack to any size.
const LARGEST: usize = 1 << 26;

/// The text in the gzipped file at `path`: ASCII, in lines.
fn read(path: &Path) -> Result<String, DataError> {
    let file = File::open(path).map_err(|source| DataError::read(path, source))?;
    let mut text = String::new();
    // One more than the limit shows a text that is too long.
    let mut stream = MultiGzDecoder::new(BufReader::new(file)).take(LARGEST as u64 + 1);
    stream.read_to_string(&mut text).map_err(|error| {
        let reason = format!("its gzip stream is damaged, or holds no text ({error})");
        DataError::format(path, reason)
    })?;
    if text.len() > LARGEST {
        let reason = format!("its text is longer than {LARGEST} characters");
        return Err(DataError::format(path, reason));
    }
    match text.chars().find(|&c| c != '\n' && !matches!(c, ' '..='~')) {
        Some(c) => Err(DataError::format(
            path,
            format!("it holds the character {c:?}"),
        )),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use std::collections::HashSet;
    use std::fs;
    use std::io::Write;

    fn text(prose: &Prose, tokens: &[usize]) -> String {
        tokens.iter().map(|&token| prose.alphabet[token]).collect()
    }

    #[test]
    fn prose_is_whole_and_in_order() {
        let prose = Prose::load().expect("it comes with the crate");
        let parts = [&prose.train, &prose.validation, &prose.test];
        assert_eq!(parts.map(Vec::len), [113_943, 14_243, 14_243]);
        assert_eq!(prose.alphabet.len(), 72);
        assert!(text(&prose, &prose.train).starts_with("ALICE'S ADVENTURES IN WONDERLAND\n"));
        assert!(text(&prose, &prose.test).ends_with("happy summer days.\nTHE END\n"));
    }

    #[test]
    fn the_target_of_a_token_is_the_one_after_it() {
        let part: Vec<usize> = (0..100).collect();
        let rng = &mut StdRng::seed_from_u64(1);
        let batch = random_windows(&part, 5, 7, rng);
        assert_eq!(batch.lengths, Lengths::full(5, 7));
        assert_eq!(batch.tokens.len(), 35);
        for (token, target) in batch.tokens.iter().zip(&batch.targets) {
            assert_eq!(token + 1, *target);
        }
        assert_ne!(random_windows(&part, 5, 7, rng), batch);
        // Every place can be drawn, the last one too.
        let places: HashSet<usize> = (0..200)
            .map(|_| random_windows(&part[..10], 1, 7, rng).tokens[0])
            .collect();
        assert_eq!(places, HashSet::from([0, 1, 2]));
    }

    #[test]
    fn all_windows_hold_every_token_once() {
        let part: Vec<usize> = (0..100).collect();
        let batches: Vec<TokenBatch> = all_windows(&part, 4, 9).collect();
        let sizes: Vec<usize> = batches.iter().map(|b| b.lengths.batch()).collect();
        assert_eq!(sizes, [4, 4, 3]);
        let tokens: Vec<usize> = batches.iter().flat_map(|b| b.tokens.clone()).collect();
        assert_eq!(tokens, part[..99]);
        let targets: Vec<usize> = batches.iter().flat_map(|b| b.targets.clone()).collect();
        assert_eq!(targets, part[1..]);
        assert_eq!(all_windows(&part[..9], 4, 9).count(), 0);
    }

    #[test]
    fn words_are_whole_and_no_word_is_in_two_parts() {
        let words = Words::load().expect("it comes with the crate");
        let parts = [&words.train, &words.validation, &words.test];
        assert_eq!(parts.map(Vec::len), [51_001, 6_376, 6_376]);
        let all: HashSet<&Vec<usize>> = parts.into_iter().flatten().collect();
        assert_eq!(all.len(), 63_753);
        assert!(all.iter().all(|word| (2..=16).contains(&word.len())));
        assert!(
            all.iter()
                .all(|word| word.iter().all(|token| (1..=26).contains(token)))
        );
        assert!(
            words
                .train
                .iter()
                .any(|word| Words::spell(word) == "normalize")
        );
    }

    #[test]
    fn a_word_is_predicted_letter_by_letter() {
        let words = [vec![3, 1, 20], vec![15, 24]];
        let batch = Words::batch(&words, &[1, 0]);
        assert_eq!(Words::spell(&batch.tokens), ".ox.cat");
        assert_eq!(Words::spell(&batch.targets), "ox.cat.");
        assert_eq!(batch.lengths, Lengths::new(&[3, 4]));
    }

    fn write(path: &Path, text: &[u8]) {
        let mut packed = GzEncoder::new(File::create(path).expect("made"), Compression::fast());
        packed
            .write_all(text)
            .and_then(|()| packed.try_finish())
            .expect("written");
    }

    /// What `cat a.gz b.gz` makes is a gzip file as well (RFC 1952, section 2.2).
    #[test]
    fn a_file_of_two_members_is_read_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("words.txt.gz");
        let mut both = Vec::new();
        for text in [&b"one\ntwo\nthr"[..], b"ee\nfour\n"] {
            write(&path, text);
            both.extend(fs::read(&path).expect("read"));
        }
        fs::write(&path, &both).expect("written");
        assert_eq!(read(&path).expect("it is whole"), "one\ntwo\nthree\nfour\n");
        for cut in [1, 20] {
            fs::write(&path, &both[..both.len() - cut]).expect("written");
            read(&path).expect_err("the second member is damaged");
        }
    }

    #[test]
    fn damaged_files_are_refused_in_one_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let (prose, words) = (
            folder.path().join("prose.txt.gz"),
            folder.path().join("words.txt.gz"),
        );
        let refuse = |path: &Path, reason: &str| {
            let error = match path == prose {
                true => Prose::load_from(folder.path()).map(|_| ()),
                false => Words::load_from(folder.path()).map(|_| ()),
            };
            let message = error.expect_err("refused").to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
            assert!(
                message.contains(reason) && !message.contains('\n'),
                "{message}"
            );
        };
        for path in [&prose, &words] {
            refuse(path, "cannot read");
            write(path, &b"words\n".repeat(300));
            let whole = fs::read(path).expect("read");
            fs::write(path, &whole[..whole.len() - 5]).expect("written");
            refuse(path, "is damaged: its gzip stream is damaged");
            let mut flipped = whole.clone();
            let last = flipped.len() - 6;
            flipped[last] ^= 1;
            fs::write(path, flipped).expect("written");
            refuse(path, "is damaged: its gzip stream is damaged");
            fs::write(path, b"plain").expect("written");
            refuse(path, "is damaged: its gzip stream is damaged");
            write(path, "na\u{ef}ve\n".repeat(300).as_bytes());
            refuse(path, "is damaged: it holds the character '\u{ef}'");
        }
        let mut long = GzEncoder::new(File::create(&prose).expect("made"), Compression::fast());
        let line = b"one kilobyte of text at a time, ".repeat(32);
        for _ in 0..=LARGEST / line.len() {
            long.write_all(&line).expect("written");
        }
        long.finish().expect("written");
        refuse(
            &prose,
            "is damaged: its text is longer than 67108864 characters",
        );
        write(&prose, b"short");
        refuse(&prose, "is damaged: 5 characters are too few");
        write(&words, b"good\nBad\n");
        refuse(&words, "is damaged: line 2 is \"Bad\", not a word");
        write(&words, b"good\n\nword\n");
        refuse(&words, "is damaged: line 2 is \"\"");
        write(&words, b"two\nwords\n");
        refuse(&words, "is damaged: it does not hold a word for each part");
    }

    #[test]
    #[should_panic(expected = "7 tokens hold no sequence of 7 with a token after it")]
    fn a_part_too_short_is_refused() {
        random_windows(&[0; 7], 1, 7, &mut StdRng::seed_from_u64(1));
    }
}

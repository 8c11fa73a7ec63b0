#!/usr/bin/env python3
"""Make the web fonts of the book from their sources.

    make_fonts.py TEXGYRE_DIR SOURCE_SANS_WOFF2 SOURCE_CODE_WOFF2

TEXGYRE_DIR holds texgyrepagella-{regular,italic,bold,bolditalic}.otf and
texgyrepagella-math.otf (Debian: fonts-texgyre, fonts-texgyre-math); the other
two are the Latin variable face of Source Sans 3 (npm:
@fontsource-variable/source-sans-3) and Source Code Pro as mdBook ships it.
Needs fonttools and brotli. Fonts are subset to what the book can print.

The mathematical face is changed in one respect: the primes are mapped to their
script-size forms (`ssty`), because Chromium ignores that feature and would raise
an already raised glyph. The changed and subset faces carry a name of their own,
as the GUST Font License asks.
"""

import pathlib
import shutil
import sys

from fontTools import subset
from fontTools.ttLib import TTFont

TEXT = ["0000-024F", "0300-0304", "0307-030C", "0370-03FF", "1E00-1EFF", "2000-206F",
        "2070-209F", "20AC", "2100-214F", "2190-21FF", "2200-22FF", "25A0-25FF", "2713-2717", "FB00-FB06"]
# Of the mathematical alphabets: bold, italic, script, double-struck, typewriter, italic Greek, bold digits.
MATH = ["0020-007E", "00A0-00FF", "0131", "0237", "02C6-02DD", "0300-0338", "0370-03FF", "2010-205F", "2061-2064",
        "2100-214F", "2190-2199", "21A6", "21D0-21D5", "2200-22FF", "2308-230B", "23DE-23DF", "27E8-27E9",
        "27F5-27FC", "1D400-1D433", "1D434-1D467", "1D49C-1D4CF", "1D538-1D56B", "1D670-1D6A3", "1D6E2-1D71B",
        "1D7CE-1D7D7"]
PRIMES = range(0x2032, 0x2038)


def codepoints(ranges):
    for item in ranges:
        low, _, high = item.partition("-")
        yield from range(int(low, 16), int(high or low, 16) + 1)


def rename(font, family):
    for record in font["name"].names:
        if record.nameID in (1, 3, 4, 6, 16):
            text = family if record.nameID != 6 else family.replace(" ", "")
            record.string = text


def save(source, target, ranges, family, features, before=None):
    options = subset.Options()
    options.layout_features = features
    options.flavor = "woff2"
    options.desubroutinize = True
    options.hinting = False
    options.notdef_outline = True
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14, 16, 17]
    font = TTFont(source)
    if before:
        before(font)
    worker = subset.Subsetter(options)
    worker.populate(unicodes=list(codepoints(ranges)))
    worker.subset(font)
    rename(font, family)
    subset.save_font(font, target, options)
    print(f"{pathlib.Path(target).name}: {pathlib.Path(target).stat().st_size // 1024} KiB")


def script_primes(font):
    gsub = font["GSUB"].table
    script = {}
    for record in gsub.FeatureList.FeatureRecord:
        if record.FeatureTag != "ssty":
            continue
        for index in record.Feature.LookupListIndex:
            for table in gsub.LookupList.Lookup[index].SubTable:
                table = getattr(table, "ExtSubTable", table)
                for glyph, alternates in getattr(table, "alternates", {}).items():
                    script.setdefault(glyph, alternates[0])
                for glyph, alternate in getattr(table, "mapping", {}).items():
                    script.setdefault(glyph, alternate)
    for table in font["cmap"].tables:
        for code in PRIMES:
            if code in table.cmap and table.cmap[code] in script:
                table.cmap[code] = script[table.cmap[code]]


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    texgyre, sans, code = map(pathlib.Path, sys.argv[1:])
    here = pathlib.Path(__file__).parent / "fonts"
    features = ["kern", "liga", "lnum", "pnum", "tnum", "onum", "mark", "mkmk"]
    for style in ("regular", "italic", "bold", "bolditalic"):
        save(texgyre / f"texgyrepagella-{style}.otf", here / f"book-text-{style}.woff2",
             TEXT, "Backward Text", features)
    save(texgyre / "texgyrepagella-math.otf", here / "book-math.woff2",
         MATH, "Backward Math", ["ssty", "dtls", "mark", "mkmk"], script_primes)
    shutil.copyfile(sans, here / "book-sans.woff2")
    shutil.copyfile(code, here / "book-code.woff2")


main()

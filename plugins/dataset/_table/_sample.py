"""Read the first lines of a text, and find its encoding."""

import codecs
from pathlib import Path

from experiments import DataError
from plugins.dataset._table import _packed
from plugins.dataset._table._dialect import AUTO

LONGEST = 2**22  # characters of a line, which is as much as is read of what has no lines
_LEAST, _LINES = 2**16, 100  # bytes and lines that are looked at
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
ENCODINGS = ("utf-8", "cp1252", "latin-1")  # each where the one before is wrong; the last never is


def read(path: Path, encoding: str) -> tuple[str, str, bool]:
    """Return the first lines, their encoding, which "auto" leaves to be found, and if they are all.

    Raises DataError where they are no text.
    """
    sample, whole = _sample(path)
    encoding = _encoding(path, sample) if encoding == AUTO else encoding
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample), encoding, whole
    except UnicodeError as error:
        raise DataError(
            f"{path}: expected text in {encoding}, as dataset.encoding says: {error}."
        ) from error


def _sample(path: Path) -> tuple[bytes, bool]:
    """Return the bytes of a file's first lines, and whether they are all."""
    with _packed.unpacked(path) as file:
        sample = file.read(_LEAST)
        while len(sample) < LONGEST and sample.count(b"\n") + sample.count(b"\r") < _LINES:
            more = file.read(len(sample))
            if not more:
                return sample, True
            sample += more
        whole = not file.read(1)
    if not whole and not {*b"\r\n"} & {*sample}:
        raise DataError(f"{path}: expected lines of less than {LONGEST} characters, found more.")
    return sample, whole


def _encoding(path: Path, sample: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if sample.startswith(mark):
            return encoding
    if 0 in sample:
        raise DataError(
            f"{path}: expected text, found bytes of 0; dataset.encoding names its encoding where "
            "it is text, as utf-16-le."
        )
    return next(encoding for encoding in ENCODINGS if _fits(sample, encoding))


def _fits(sample: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return True

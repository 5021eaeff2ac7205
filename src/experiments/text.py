"""Text of users as it can stand in one line of a message."""

import re

# Names and paths, but words and numbers that Hydra takes for other values.
_PLAIN = re.compile(
    r"(?!(?:true|false|null|nan|inf)$)(?:[a-z_][\w./-]*|[\w.-]*/[\w./-]*)", re.IGNORECASE | re.ASCII
)
_LONGEST = 440  # characters, so that a whole line with what stands around it is under 500


def shortened(text: str, most: int = _LONGEST) -> str:
    """Return text on one line, with escapes for what does not print, cut in the middle if long."""
    line = " ".join(text[: 8 * most].split()) + (" ..." if len(text) > 8 * most else "")
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    if len(line) <= most:
        return line
    tail = most // 3
    return f"{line[: most - tail - 5]} ... {line[-tail:]}"


def quoted(text: str) -> str:
    """Return text as the value of a setting, in quotes, such that Hydra takes it as it is."""
    # Hydra takes backslashes as they are but before a quote. A shell's own quotes are single ones.
    escaped = re.sub(r"(\\+)\Z", r"\1\1", re.sub(r'(\\*)"', r"\1\1\"", text))
    return f'"{escaped}"'


def as_value(text: str) -> str:
    """Return text as the value of a setting, in quotes where Hydra would take it otherwise."""
    return text if _PLAIN.fullmatch(text) else quoted(text)


def rounded(value: float) -> str:
    """Return a number with four decimals, or with a power of ten where these say little of it."""
    size = abs(value)
    return f"{value:.3e}" if 0 < size < 1e-3 or size >= 1e7 else f"{value:.4f}"

"""Write `docs/rules.md`: `python -m docs.rulebook`, with `--pictures` those of all rules too."""

import sys
from argparse import ArgumentParser
from pathlib import Path

from experiments.plugin import discovery

ROOT = Path(__file__).parents[2]


def main() -> None:
    """Draw what is asked for, and write the page."""
    parser = ArgumentParser(prog="python -m docs.rulebook", description=__doc__)
    add = parser.add_argument
    add(
        "--pictures",
        nargs="*",
        metavar="NAME",
        help="draw those of these rules; without a name all",
    )
    wanted = parser.parse_args().pictures
    sys.path.append(str(ROOT / "tests" / "support"))  # the oracles, and what runs a rule alone
    discovery.discover(ROOT)
    from docs.rulebook import page, pictures

    if wanted is not None:
        pictures.draw_all(wanted)
    page.PAGE.write_text(page.text(), encoding="utf-8")


if __name__ == "__main__":
    main()

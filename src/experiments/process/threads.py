"""How torch's threads wait for each other."""

import os

_KNOWN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def wait_briefly() -> None:
    """Let threads that wait let go of the processor soon; it works until torch is imported.

    GNU OpenMP, which torch computes with on Linux, lets them turn in a loop else. Where another
    process wants the same processor, that keeps the thread from it that all others wait for.
    """
    if not any(name in os.environ for name in _KNOWN):
        os.environ["GOMP_SPINCOUNT"] = "1000"

"""Run a sweep in two processes at once, each for half of the seeds: SEEDS run.py ARGUMENTS."""

import os
import subprocess
import sys


def main() -> None:
    """Wait for both; exit with the status of the one that fails."""
    seeds, *command = sys.argv[1:]
    middle = int(seeds) // 2
    parts = [f"seed=range({middle})", f"seed=range({middle},{seeds})"]
    # Two threads in each of two processes wait for each other many times as long as they compute.
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = [subprocess.Popen([sys.executable, *command, part], env=one) for part in parts]
    sys.exit(max(process.wait() for process in both))


if __name__ == "__main__":
    main()

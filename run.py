"""Run an experiment: `python run.py model=mlp optimizer=adam`; `python run.py --help` says more."""

from pathlib import Path

from experiments.cli import main

if __name__ == "__main__":
    main(Path(__file__).resolve().parent)

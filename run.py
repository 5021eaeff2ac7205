"""Run an experiment: `python run.py model=mlp optimizer=adam`; `python run.py --help` says more."""

from pathlib import Path

from experiments.process import signals, threads

if __name__ == "__main__":
    signals.install()  # before imports that take a second, which an interruption would tear
    threads.wait_briefly()
    from experiments.cli.main import main

    main(Path(__file__).resolve().parent)

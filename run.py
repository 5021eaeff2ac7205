"""Run an experiment: `python run.py model=mlp optimizer=adam`; `python run.py --help` says more."""

import signal

if __name__ == "__main__":
    # Python's own exception tears an import, or is lost in one: a signal ends the process so far.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pathlib import Path

    from experiments.process import signals, threads

    signals.install()  # before imports that take a second, which an interruption would tear
    threads.wait_briefly()
    from experiments.cli.main import main

    main(Path(__file__).resolve().parent)

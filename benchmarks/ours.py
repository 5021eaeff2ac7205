"""This program's own loop, without the runner around it."""

from itertools import islice

from benchmarks.race import CHECKOUT
from benchmarks.work import Take
from experiments.config import compose
from experiments.plugin import discovery
from experiments.sweeps import plan
from experiments.training import engine
from experiments.training.session import Session, prepare


def publish() -> None:
    """Make the checkout's plugins known; sessions need it once."""
    discovery.discover(CHECKOUT)
    compose.publish(CHECKOUT, "benchmark")


def session(*settings: str) -> Session:
    """Return what a run needs on the CPU, one thread and without an end unless told otherwise."""
    general = ["device=cpu", "device.threads=1", "epochs=1000000", "evaluate.every=1000000"]
    asked = plan.plan(CHECKOUT, "config", [*general, *settings], multirun=False)
    return prepare(asked.experiment)


def take(session: Session) -> Take:
    """Return the function that takes n steps."""
    steps = engine.steps(session)

    def function(n: int) -> None:
        for _ in islice(steps, n):
            pass

    return function

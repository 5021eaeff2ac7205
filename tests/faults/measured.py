"""Calls that are each made in a process of their own, and what each took; started as a program.

A process is forked for each call, so that one call's memory, and one that ends its process, are
not taken for another's.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

LONGEST = 20  # seconds, after which a call is killed: it is blocked or far too slow


class Taken(NamedTuple):
    """How a call ended: `error` is the exception's name, and empty where there was none.

    `seconds` are those of the processor, as others use the machine too; `megabytes` are what the
    process had at most beyond what it had before.
    """

    error: str
    text: str
    seconds: float
    megabytes: float


def measure(code: str, arguments: Sequence[str]) -> list[Taken]:
    """Return what `call(argument)` takes for each argument, where `code` defines `call`."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps({"code": code, "arguments": arguments}),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [Taken(*taken) for taken in json.loads(done.stdout)]


def _taken(call: Callable[[str], object], argument: str) -> Taken:
    seconds, before = time.process_time(), _peak()
    try:
        call(argument)
        error, text = "", ""
    except BaseException as caught:
        error, text = type(caught).__name__, str(caught)[:2000]
    return Taken(error, text, time.process_time() - seconds, _peak() - before)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fork() -> int:
    """Fork beside the test runner's threads, of which the child has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of just that
        return os.fork()


def _forked(call: Callable[[str], object], argument: str) -> Taken:
    end, other = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(LONGEST)
        os.write(other, json.dumps(_taken(call, argument)).encode())
        os._exit(0)
    os.close(other)
    with os.fdopen(end, "rb") as pipe:
        answer = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Taken(*json.loads(answer)) if answer else Taken("killed", str(status), LONGEST, 0)


def _main() -> None:
    asked = json.load(sys.stdin)
    names: dict[str, Any] = {}
    exec(asked["code"], names)
    print(json.dumps([_forked(names["call"], argument) for argument in asked["arguments"]]))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
    _main()

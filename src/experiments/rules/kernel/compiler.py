"""A formula as a function of this machine, made by its C compiler where there is one."""

import ctypes
import logging
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from experiments.rules.kernel.expressions import TYPES
from experiments.rules.kernel.trace import Formula

log = logging.getLogger(__name__)

# Takes addresses of the inputs and of where the first result goes, scalars, where their results go,
# the first number, how many, and threads; the other results go where the inputs come from. Returns
# the sum of squares of the first result.
Compiled = Callable[..., float]

_OPTIONS = "-O3 -march=native -fno-math-errno -fno-trapping-math -ffp-contract=off -shared -fPIC"
# The loop is a function of its own: within a parallel region the compiler knows less of it.
_TEMPLATE = """#include <tgmath.h>
#include <stdint.h>
typedef {type} T;
#define SCALARS {scalars}

static double part(T *const *v, const double *c, int64_t first, int64_t start, int64_t stop) {{
{pointers}
SCALARS
T sum = 0;
#pragma omp simd reduction(+:sum)
for (int64_t i = start; i < stop; i++) {{
const int64_t j = first + i;
{inputs}
{expressions}
{stores}
const T change = {change};
v{last}[i] = change;
sum += change * change;
}}
return sum;
}}

double kernel(T *const *v, const double *c, double *after, int64_t first, int64_t count,
              int threads) {{
SCALARS
{kept}
if (threads < 2) return part(v, c, first, 0, count);
double sum = 0;
#pragma omp parallel for reduction(+:sum) num_threads(threads)
for (int n = 0; n < threads; n++)
sum += part(v, c, first, count * n / threads, count * (n + 1) / threads);
return sum;
}}
"""
_SECONDS = 30.0  # that the compiler may take


def c_code(formula: Formula, inputs: int, scalars: int, kept: int, dtype: torch.dtype) -> str:
    """Return the C code of a loop over numbers of a dtype, which is float32 or float64.

    So many vectors and scalars go in; so many of the scalars' results, the last, are kept.
    """
    change, *after = formula.results[: len(formula.results) - kept]
    last = enumerate(formula.results[len(after) + 1 :])
    made = [*formula.scalars.items(), *formula.expressions.items()]
    lines = {name: f"const {kind} {name} = {expression};" for name, (kind, expression) in made}
    known = [f"const double c{n} = c[{n}];" for n in range(scalars)]
    # The first two inputs are the gradient and the parameters, which stay.
    pairs = enumerate(after, start=inputs - len(after))
    return _TEMPLATE.format(
        type=TYPES[dtype],
        pointers="\n".join(f"T *restrict v{n} = v[{n}];" for n in range(inputs + 1)),
        scalars=" ".join([*known, *(lines[name] for name in formula.scalars)]),
        kept=" ".join(f"after[{n}] = {result};" for n, result in last),
        inputs="\n".join(f"const T x{n} = v{n}[j];" for n in range(inputs)),
        expressions="\n".join(lines[name] for name in formula.expressions),
        stores="\n".join(f"v{n}[j] = {result};" for n, result in pairs if result != f"x{n}"),
        change=change,
        last=inputs,
    )


@cache
def machine_code(code: str) -> Compiled | None:
    """Return the compiled function of C code, or None where there is no compiler for it."""
    program = shutil.which("cc")
    if program is None:
        log.debug("There is no C compiler: elementwise rules go operation by operation.")
        return None
    try:
        with TemporaryDirectory() as folder:
            library = _library(program, code, Path(folder))
    except OSError as error:  # of a disk that is full, or runs nothing
        log.debug("The C compiler's work cannot be used: %s.", error)
        return None
    if library is None:
        return None
    function = library.kernel
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2 + [ctypes.c_int]
    found: Compiled = function
    return found


def _library(program: str, code: str, folder: Path) -> ctypes.CDLL | None:
    source, built = folder / "kernel.c", folder / "kernel.so"
    source.write_text(code, encoding="utf-8")
    for threads in (["-fopenmp"], []):  # Apple's compiler has none
        command = [program, *_OPTIONS.split(), *threads, str(source), "-o", str(built), "-lm"]
        with suppress(subprocess.TimeoutExpired):
            done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
            if done.returncode == 0:
                return ctypes.CDLL(str(built))
    return None

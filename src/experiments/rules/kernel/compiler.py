"""A formula as a function of this machine, made by its C compiler where there is one."""

import ctypes
import logging
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from experiments.rules.kernel.trace import Formula

log = logging.getLogger(__name__)

# Takes addresses of the inputs and of where the first result goes, scalars, the first number, how
# many, and threads; the other results go where the inputs come from. Returns the sum of squares of
# the first result.
Compiled = Callable[..., float]

_OPTIONS = "-O3 -march=native -fno-math-errno -fno-trapping-math -ffp-contract=off -shared -fPIC"
_FUNCTIONS = {"ROOT": "sqrt", "ABSOLUTE": "fabs", "POWER": "pow", "EXPONENTIAL": "exp"}
_FUNCTIONS |= {"LOGARITHM": "log", "TANGENT": "tanh"}
_TYPES = {torch.float32: ("float", "f"), torch.float64: ("double", "")}
_SECONDS = 30.0  # that the compiler may take


def source(formula: Formula, inputs: int, scalars: int, dtype: torch.dtype) -> str:
    """Return the C code of a loop over numbers of a dtype, which is float32 or float64."""
    name, suffix = _TYPES[dtype]
    change, *after = formula.results
    lines = ["#include <math.h>", "#include <stdint.h>", f"typedef {name} T;"]
    lines += [f"#define {macro} {own}{suffix}" for macro, own in _FUNCTIONS.items()]
    lines.append(
        "double kernel(T *const *v, const double *c, int64_t first, int64_t count, int threads) {"
    )
    lines += [f"T *restrict v{n} = v[{n}];" for n in range(inputs + 1)]
    lines += [f"const T c{n} = (T)c[{n}];" for n in range(scalars)]
    lines += [
        "T sum = 0;",
        "#pragma omp parallel for simd reduction(+:sum) num_threads(threads) if(threads > 1)",
        "for (int64_t i = 0; i < count; i++) {",
        "const int64_t j = first + i;",
    ]
    lines += [f"const T x{n} = v{n}[j];" for n in range(inputs)]
    for made, (expression, truth) in formula.expressions.items():
        lines.append(f"const {'int' if truth else 'T'} {made} = {expression};")
    # The first two inputs are the gradient and the parameters, which stay.
    pairs = enumerate(after, start=inputs - len(after))
    lines += [f"v{n}[j] = {result};" for n, result in pairs if result != f"x{n}"]
    lines += [f"v{inputs}[i] = {change};", f"sum += {change} * {change};", "}", "return sum;", "}"]
    return "\n".join(lines)


@cache
def compiled(code: str) -> Compiled | None:
    """Return the compiled function of C code, or None where there is no compiler for it."""
    program = shutil.which("cc")
    if program is None:
        log.debug("There is no C compiler: elementwise rules go operation by operation.")
        return None
    with TemporaryDirectory() as folder:
        path, library = Path(folder, "kernel.c"), Path(folder, "kernel.so")
        path.write_text(code, encoding="utf-8")
        for threads in (["-fopenmp"], []):  # Apple's compiler has none
            command = [program, *_OPTIONS.split(), *threads, str(path), "-o", str(library), "-lm"]
            if _succeeds(command):
                break
        else:
            return None
        function = ctypes.CDLL(str(library)).kernel
    function.restype = ctypes.c_double
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64]
    function.argtypes += [ctypes.c_int]
    found: Compiled = function
    return found


def _succeeds(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0

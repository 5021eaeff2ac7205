"""Say on what the numbers were measured."""

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def origin(packages: Sequence[str]) -> str:
    """Return where and when the numbers were measured, and with which versions."""
    versions = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} not installed")
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    return f"Measured on {date}: {_processor()}, {os.cpu_count()} cores; {', '.join(versions)}."


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()

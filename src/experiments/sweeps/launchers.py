"""What Hydra's launchers are given of a sweep: groups of its jobs, and Hydra's settings alone."""

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict, read_write

ABOVE = "groups"  # the folder of the groups, in that of the sweep


class Groups:
    """Gives a launcher the configuration of a group: that of all, and the file of its jobs."""

    def load_sweep_config(self, master: DictConfig, overrides: Sequence[str]) -> DictConfig:
        """Return the configuration of the group that the only override names."""
        config = copy.deepcopy(master)
        with read_write(config), open_dict(config):
            config.hydra.overrides.task = list(overrides)
            config.lanes = f"{config.hydra.sweep.dir}/{ABOVE}/{overrides[0].partition('=')[2]}.json"
        return config


def workers(n_jobs: int | None) -> int:
    """Return how many jobs a launcher runs at once, by its setting; -1 is one a processor."""
    if n_jobs is None:
        return 1
    return n_jobs if n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + n_jobs)


def bare(config: DictConfig, folder: Path) -> DictConfig:
    """Return Hydra's own settings alone, which any process can read: no plugin is in them."""
    plain = copy.deepcopy(OmegaConf.masked_copy(config, "hydra"))
    with read_write(plain), open_dict(plain):
        plain.hydra.run.dir = plain.hydra.sweep.dir = str(folder)
        plain.hydra.sweep.subdir = f"{ABOVE}/${{hydra.job.num}}"
        launcher: Any = OmegaConf.to_container(plain.hydra.launcher, resolve=False)
        plain.hydra.launcher = {
            k: v for k, v in launcher.items() if k not in ("max_lanes", "probe")
        }
    return plain

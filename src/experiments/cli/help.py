"""What Hydra says of the options, the settings and itself."""

from argparse import Namespace
from pathlib import Path

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.global_hydra import GlobalHydra

from experiments.config import compose, sources, texts
from experiments.config.translation import translating
from experiments.errors import ConfigError
from experiments.plugin import discovery


def is_asked(options: Namespace) -> bool:
    """Say whether a command line asks to be told something, and to train nothing."""
    return bool(options.help or options.hydra_help or options.cfg or options.info)


def show(root: Path, name: str, options: Namespace) -> None:
    """Print what the options of a command line ask for."""
    discovery.discover(
        root, sources.checked_folders(root, name, options.overrides, options.config_dir)
    )
    compose.publish(root, "help")
    if options.resolve and not (options.cfg or options.help):
        raise ConfigError("--resolve goes with --cfg or --help.")
    lines = list(map(texts.as_typed, options.overrides))
    if options.config_dir:
        lines.append(sources.searchpath(options.config_dir))
    path = create_config_search_path(str(root / "conf"))
    with translating():
        hydra = Hydra.create_main_hydra2(task_name="run", config_search_path=path)
        try:
            if options.help:
                hydra.app_help(config_name=name, args_parser=get_args_parser(), args=options)
            elif options.hydra_help:
                hydra.hydra_help(config_name=name, args_parser=get_args_parser(), args=options)
            elif options.cfg:
                hydra.show_cfg(
                    name, lines, options.cfg, package=options.package, resolve=options.resolve
                )
            else:
                hydra.show_info(options.info, config_name=name, overrides=lines)
        finally:
            GlobalHydra.instance().clear()

"""Pictures of rules: the path of each on the same two problems, at the best of a few rates."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from descents import Surface as Loss
from descents import given
from PIL import Image
from problems import params_of, rule_of, tensors_only
from torch import Tensor

from docs.rulebook import page
from experiments import ConfigError
from experiments.report.contour import Contour, Panel, contours
from experiments.training import loop
from plugins.model._surfaces import SURFACES

PROBLEMS = {"rosenbrock": 200, "branin": 100}  # and how many steps are taken
RATES = [10 ** (n / 4) for n in range(-20, 5, 2)]  # 1e-5 to 10
BASE = "momentum"  # the rule that transforms are shown around
_COLORS = 64  # of a picture's palette
_SIZE = 300  # points along an axis of a contour
_REACHED, _LOST = 1e-4, 1e9  # losses above the lowest one, of which no more is asked


def draw_all(wanted: Sequence[str]) -> None:
    """Draw the pictures of some rules and transforms; where none is named, of all."""
    page.PICTURES.mkdir(parents=True, exist_ok=True)
    for kind, one in (("optimizer", draw), ("transform", draw_transform)):
        for name in page.names(kind):
            if name not in page.HOLDERS and (not wanted or name in wanted):
                print(name, flush=True)
                one(page.PICTURES, name)


def draw(folder: Path, rule: str) -> None:
    """Draw the path of a rule."""
    panels = []
    for problem in PROBLEMS:
        rate, path = best(problem, rule)
        title = f"{problem}, lr={rate:.2g}"
        panels.append(Panel(contour=_plane(problem), paths={rule: path}, title=title))
    _save(folder / f"{rule}.png", panels)


def draw_transform(folder: Path, transform: str) -> None:
    """Draw the path of momentum with a transform, and beside it without."""
    panels = []
    for problem in PROBLEMS:
        found = {f"with {transform}": best(problem, BASE, transform), BASE: best(problem, BASE)}
        paths = {name: path for name, (_, path) in found.items()}
        notes = {name: f"lr={rate:.2g}" for name, (rate, _) in found.items()}
        panels.append(Panel(contour=_plane(problem), paths=paths, notes=notes, title=problem))
    _save(folder / f"{transform}.png", panels)


def _save(path: Path, panels: list[Panel]) -> None:
    """Draw panels in few colours: the most frequent, of flat areas, stay what they are."""
    contours(path, panels, title="", small=True)
    picture = Image.open(path).convert("RGB")
    frequent: Any = sorted(picture.getcolors(2**24) or (), reverse=True)[:_COLORS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, color in frequent for part in color])
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)


@cache
def best(problem: str, rule: str, transform: str = "") -> tuple[float, Tensor]:
    """Return the best rate and its path: one that stays in the picture, if any does.

    The best has the lowest loss on average over the steps, on a log scale.
    """
    surface, found = SURFACES[problem], {}
    x0, x1, y0, y1 = surface.box
    for rate in RATES:
        x, y = (path := walked(problem, rule, rate, transform)).unbind(1)
        inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
        losses = (surface.function(x, y) - surface.lowest).nan_to_num(_LOST, _LOST)
        worth = losses.clamp(_REACHED, _LOST).log().mean().item()
        found[rate] = (not inside.all(), worth), path
    rate = min(found, key=lambda rate: found[rate][0])
    return rate, found[rate][1]


def walked(problem: str, rule: str, rate: float, transform: str = "") -> Tensor:
    """Return the points at which the model is evaluated before the first step and after each."""
    surface, steps = SURFACES[problem], PROBLEMS[problem]
    optimizer = given("optimizer", rule, lr=rate)
    transforms = {transform: given("transform", transform)} if transform else {}
    for shape in ((2,), (1, 2)):  # a rule of matrices has them as one of one row
        point = torch.tensor(surface.start, dtype=torch.float64).reshape(shape)
        params = params_of([tensors_only(point=point.clone())])
        try:
            made = rule_of(params, optimizer, transforms, total_steps=steps, steps_per_epoch=steps)
            state = made.init(params.vector)
        except (ValueError, ConfigError):
            continue
        break
    loss = Loss(lambda vector: surface.function(vector[0], vector[1]))
    batches = [[(torch.zeros(1), torch.zeros(1))]] * steps
    path = [params.vector.clone()]
    for step in loop.descend(loss, lambda loss, _: loss, made, params, state, batches):
        path.append(made.point(params.vector, step.state).clone())
    return torch.stack(path).detach()


@cache
def _plane(problem: str) -> Contour:
    """Return a problem's contour."""
    surface = SURFACES[problem]
    x0, x1, y0, y1 = surface.box
    xs, ys = (torch.linspace(*ends, _SIZE, dtype=torch.float64) for ends in ((x0, x1), (y0, y1)))
    values = surface.function(xs, ys[:, None])
    return Contour(xs=xs, ys=ys, values=values, minima=surface.minima)

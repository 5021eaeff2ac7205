"""A study finds what is good, goes on where it stopped, and gives up what is bad."""

import math
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from experiments.errors import ConfigError, StorageError
from experiments.sweeps.search import axes
from experiments.sweeps.search.settings import Direction, Pruner, Sampler, Search
from experiments.sweeps.search.space import Categories, Space, Span, lines
from experiments.sweeps.search.study import Study, Trial

PLANE: Space = {"lr": Span(1e-4, 1.0, log=True), "momentum": Span(-1.0, 1.0)}
FINITE: Space = {"a": Categories(("x", "y", "z")), "n": Span(1, 4, 1)}
EVERY = list(Sampler)


def _space(sampler: Sampler) -> Space:
    return FINITE if sampler is Sampler.grid else PLANE


def _values(trial: Trial) -> dict[str, str]:
    return {key: value for key, _, value in (line.partition("=") for line in trial.lines)}


def _bowl(trial: Trial) -> float:
    """Return the distance from lr=0.01, momentum=0.3; of a finite space how late its letter is."""
    values = _values(trial)
    if "lr" not in values:
        return "xyz".index(values["a"]) + float(values["n"]) / 10
    return (math.log10(float(values["lr"])) + 2) ** 2 + (float(values["momentum"]) - 0.3) ** 2


def _is_high(trial: Trial) -> bool:
    return float(_values(trial).get("lr", 0)) > 0.03


def _diverging(trial: Trial) -> float:
    return math.nan if _is_high(trial) else _bowl(trial)


def _searched(
    study: Study, *, batches: int = 1000, value: Callable[[Trial], float] = _bowl
) -> list[list[str]]:
    """Search for the lowest value in batches of 8, and return what was tried."""
    tried = []
    study.decide(higher_is_better=False)
    for _ in range(batches):
        if not (trials := study.ask(8)):
            break
        tried += [trial.lines for trial in trials]
        for trial in trials:
            study.tell(trial, value(trial), "finished")
    return tried


def _stored(
    folder: Path, search: Search, space: Space, *, about: Mapping[str, str] | None = None
) -> "closing[Study]":
    return closing(Study(search, space, name="s", path=folder / "studies.db", about=about))


def _parsed(line: str) -> tuple[Space, dict[str, str]]:
    return axes.separated(OverridesParser.create().parse_overrides([line]))


@pytest.mark.parametrize("sampler", [s for s in EVERY if s is not Sampler.grid])
def test_a_sampler_comes_near_the_optimum(sampler: Sampler) -> None:
    study = Study(Search(sampler=sampler, n_trials=64, batch=8, startup=8), PLANE)
    assert len(_searched(study)) == 64
    best = study.best()
    assert best is not None
    learns = sampler in (Sampler.tpe, Sampler.cmaes)
    assert best[1] < (0.05 if learns else 0.5)
    assert best[1] == _bowl(best[0])


def test_tpe_can_look_at_how_settings_depend_on_each_other() -> None:
    study = Study(Search(n_trials=48, startup=8, multivariate=True), PLANE)
    _searched(study)
    best = study.best()
    assert best is not None
    assert best[1] < 0.2


def test_a_grid_has_every_combination_once() -> None:
    tried = _searched(Study(Search(sampler=Sampler.grid), FINITE))
    assert sorted(tried) == sorted([f"a={a}", f"n={n}"] for a in "xyz" for n in range(1, 5))


def test_quasi_random_points_leave_no_quarter_empty() -> None:
    square: Space = {"a": Span(0.0, 1.0), "b": Span(0.0, 1.0)}
    study = Study(Search(sampler=Sampler.quasi_random, n_trials=16), square)
    points = [_values(trial) for trial in study.ask(16)]
    cells = {(int(4 * float(p["a"])), int(4 * float(p["b"]))) for p in points}
    assert len(cells) == 16


def test_quasi_random_points_take_names_too() -> None:
    study = Study(Search(sampler=Sampler.quasi_random, n_trials=12), FINITE)
    assert {_values(trial)["a"] for trial in study.ask(12)} == {"x", "y", "z"}


def test_other_seeds_try_other_points() -> None:
    first, second = (
        [t.lines for t in Study(Search(sampler=Sampler.random, seed=seed), PLANE).ask(4)]
        for seed in (0, 1)
    )
    assert not [line for line in first if line in second]


@pytest.mark.parametrize("sampler", EVERY)
def test_a_study_that_goes_on_equals_one_that_did_not_stop(
    sampler: Sampler, tmp_path: Path
) -> None:
    search = Search(sampler=sampler, n_trials=24, batch=8, startup=8)
    space = _space(sampler)
    whole = _searched(Study(search, space), value=_diverging)
    parts = []
    for batches in (1, 1000):
        with _stored(tmp_path, search, space) as study:
            parts += _searched(study, batches=batches, value=_diverging)
    assert parts == whole
    with _stored(tmp_path, search, space) as study:
        assert study.left == 0
        assert study.ask(8) == []
        best = study.best()
        assert best is not None
        assert best[1] == min(
            _bowl(trial) for tried in whole if not _is_high(trial := Trial(0, tried))
        )


@pytest.mark.parametrize("sampler", [Sampler.random, Sampler.quasi_random, Sampler.grid])
def test_trials_that_were_lost_are_asked_for_again(sampler: Sampler, tmp_path: Path) -> None:
    search, space = Search(sampler=sampler, n_trials=12), _space(sampler)
    whole = [trial.lines for trial in Study(search, space).ask(12)]
    with _stored(tmp_path, search, space) as study:
        study.decide(higher_is_better=False)
        for trial in study.ask(8)[1::2]:  # the others were training when the process ended
            study.tell(trial, _bowl(trial), "finished")
    with _stored(tmp_path, search, space) as study:
        assert (study.earlier, study.left) == (4, 8)
        rest = [trial.lines for trial in study.ask(12)]
    assert sorted([*whole[1:8:2], *rest]) == sorted(whole)


def test_a_trial_that_failed_is_made_up_for_when_the_study_goes_on(tmp_path: Path) -> None:
    search = Search(sampler=Sampler.grid, direction=Direction.minimize)
    with _stored(tmp_path, search, FINITE) as study:
        trials = study.ask(12)
        for trial in trials:
            study.tell(trial, 0.0, "failed" if trial is trials[3] else "finished")
        assert study.ask(12) == []
    with _stored(tmp_path, search, FINITE) as study:
        assert [trial.lines for trial in study.ask(12)] == [trials[3].lines]


def test_what_ended_before_it_was_known_which_values_are_better_is_kept(tmp_path: Path) -> None:
    search = Search(sampler=Sampler.random, n_trials=4)
    for known, earlier in ((False, 0), (True, 0), (False, 4)):
        with _stored(tmp_path, search, PLANE) as study:
            assert study.earlier == earlier
            for trial in study.ask(4):
                study.tell(trial, math.nan, "diverged")
            if known:
                study.decide(higher_is_better=False)


def test_a_study_can_be_made_longer(tmp_path: Path) -> None:
    for n_trials, asked in ((8, 8), (24, 16)):
        search = Search(sampler=Sampler.random, n_trials=n_trials)
        with _stored(tmp_path, search, PLANE) as study:
            assert len(_searched(study)) == asked


@pytest.mark.parametrize(
    ("search", "space", "about", "said"),
    [
        (Search(), {**PLANE, "lr": Span(1e-3, 1.0, log=True)}, {},
         "has lr=tag(log,interval(0.0001,1.0)), and this command lr=tag(log,interval(0.001,1.0))"),
        (Search(), {"lr": PLANE["lr"]}, {}, "momentum=interval(-1.0,1.0), and this command no mom"),
        (Search(), {**PLANE, "epochs": Categories(("1", "2"))}, {}, "has no epochs, and this comm"),
        (Search(sampler=Sampler.random), PLANE, {}, "sampler=tpe, and this command hydra.sweeper."),
        (Search(direction=Direction.maximize), PLANE, {}, "direction=minimize, and this command"),
        (Search(), PLANE, {"model": "cnn"}, "has no model, and this command model=cnn"),
    ],
)  # fmt: skip
def test_a_study_about_something_else_is_refused(
    search: Search, space: Space, about: dict[str, str], said: str, tmp_path: Path
) -> None:
    with _stored(tmp_path, Search(n_trials=2), PLANE) as study:
        _searched(study)
    with pytest.raises(ConfigError) as caught:
        _stored(tmp_path, search, space, about=about)
    assert said in str(caught.value)
    assert str(caught.value).endswith("hydra.sweeper.study=NAME begins another study.")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["plain", "a {b}?c=d#e%20"])
def test_a_file_that_is_no_database_is_told_of(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "studies.db").write_text("no database, but text" * 100)
    with pytest.raises(StorageError, match=r"studies\.db cannot keep the study: file is not a dat"):
        _stored(tmp_path / folder, Search(), PLANE)
    (tmp_path / folder / "studies.db").unlink()
    with _stored(tmp_path / folder, Search(n_trials=2), PLANE) as study:
        _searched(study)
    assert (tmp_path / folder / "studies.db").stat().st_size > 0


def test_what_is_stored_of_cmaes_is_no_pickle(tmp_path: Path) -> None:
    search = Search(sampler=Sampler.cmaes, n_trials=24, batch=8)
    with _stored(tmp_path, search, PLANE) as study:
        _searched(study)
    stored = (tmp_path / "studies.db").read_bytes()
    assert b"optimizer" not in stored
    # How a pickle begins where its bytes are written as digits; fewer stand in some times of day.
    beginning = rb"800[45]95"
    assert re.search(beginning, pickle.dumps(PLANE).hex().encode())
    assert not re.search(beginning, stored)


def _reported(search: Search, values: Mapping[float, int]) -> list[tuple[float, int]]:
    """Report 16 evaluations of trials one after the other, and return which were given up when."""
    study, ended = Study(search, {"lr": PLANE["lr"]}), []
    for value in values:
        (trial,) = study.ask(1)
        steps = range(100, 1700, 100)
        last = next((s for s in steps if study.report(trial.number, s, value)), None)
        study.tell(trial, value, "finished" if last is None else "pruned")
        ended.append((value, last or 0))
    return ended


def test_pruners_give_up_a_trial_that_is_clearly_bad() -> None:
    values = dict.fromkeys([0.9, 0.91, 0.92, 0.93, 0.1], 0)
    up = Direction.maximize
    for pruner, expected in ((Pruner.none, 0), (Pruner.median, 100), (Pruner.halving, 100)):
        search = Search(n_trials=5, startup=3, pruner=pruner, direction=up)
        assert _reported(search, values)[-1] == (0.1, expected)


def test_no_pruner_gives_up_the_best_trial() -> None:
    values = dict.fromkeys([0.1, 0.2, 0.3, 0.4, 0.5], 0)
    for pruner in Pruner:
        search = Search(n_trials=5, startup=1, pruner=pruner, direction=Direction.maximize)
        assert _reported(search, values)[-1] == (0.5, 0)


def test_nothing_is_given_up_before_it_is_known_which_values_are_better() -> None:
    study = Study(Search(pruner=Pruner.halving), {"lr": PLANE["lr"]})
    trials = study.ask(4)
    assert not any(study.report(t.number, 1, float(t.number)) for t in [*trials, *trials[::-1]])
    study.decide(higher_is_better=False)
    for trial in trials:
        study.tell(trial, float(trial.number), "finished")
    best = study.best()
    assert best is not None
    assert best[0].number == 0


def test_a_step_that_is_reported_again_counts_once() -> None:
    study = Study(Search(direction=Direction.maximize), {"lr": PLANE["lr"]})
    (trial,) = study.ask(1)
    assert not any(study.report(trial.number, step, 1.0) for step in (10, 20, 10, 20, 30))


@pytest.mark.parametrize("sampler", [s for s in EVERY if s is not Sampler.grid])
def test_trials_that_diverge_are_avoided_and_never_the_best(sampler: Sampler) -> None:
    study = Study(Search(sampler=sampler, n_trials=64, batch=8, startup=8), PLANE)
    tried = _searched(study, value=_diverging)
    best = study.best()
    assert best is not None
    assert not _is_high(best[0])
    if sampler in (Sampler.tpe, Sampler.cmaes):
        early, late = (
            sum(_is_high(Trial(0, t)) for t in part) for part in (tried[:16], tried[48:])
        )
        assert late < early or late == 0


def test_a_study_of_which_every_trial_diverges_has_no_best() -> None:
    for sampler in EVERY:
        study = Study(Search(sampler=sampler, n_trials=24, batch=8), _space(sampler))
        _searched(study, value=lambda _: math.nan)
        assert study.best() is None


@pytest.mark.parametrize(
    ("sampler", "space", "said"),
    [
        (Sampler.tpe, {}, "Nothing is varied"),
        (Sampler.grid, PLANE, r"lr=tag\(log,interval\(0.0001,1.0\)\): a grid needs a list of val"),
        (Sampler.cmaes, FINITE, "a=x,y,z: cmaes needs numbers"),
        (Sampler.grid, {k: Span(1, 1000, 1) for k in "ab"}, "1000000 jobs; at most 100000"),
    ],
)
def test_a_space_that_a_sampler_cannot_take_is_refused(
    sampler: Sampler, space: Space, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        Study(Search(sampler=sampler), space)


def test_the_defaults_are_those_that_the_settings_promise() -> None:
    assert Search().at_once == 16
    assert Search(sampler=Sampler.random, n_trials=99).at_once == 99
    assert Search(sampler=Sampler.random, n_trials=99, batch=5).at_once == 5


@pytest.mark.parametrize(
    ("line", "axis"),
    [
        ("a=interval(1,10)", Span(1.0, 10.0)),
        ("a=interval(1e-9,1e9)", Span(1e-9, 1e9)),
        ("a=tag(log,interval(1e-4,1e-1))", Span(1e-4, 1e-1, log=True)),
        ("a=tag(complement,interval(0.9,0.999))", Span(1e-3, 0.1, log=True, complement=True)),
        ("a=int(interval(1,10))", Span(1, 10, 1)),
        ("a=tag(log,int(interval(1,10)))", Span(1, 10, 1, True)),
        ("a=range(1,10,2)", Span(1, 9, 2)),
        ("a=range(10,1,-2)", Span(2, 10, 2)),
        ("a=range(3)", Span(0, 2, 1)),
        ("a=range(0,1,0.1)", Span(0.0, 0.9, 0.1)),
        ("a=shuffle(range(1,4))", Span(1, 3, 1)),
        ("a=3,1,3,2", Categories(("3", "1", "2"))),
        ("a=shuffle(choice(3,1,2))", Categories(("3", "1", "2"))),
        ("a=choice('x y',[1,2])", Categories(("'x y'", "[1,2]"))),
    ],
)
def test_what_varies_is_read_from_hydras_grammar(line: str, axis: Span | Categories) -> None:
    assert _parsed(line) == ({"a": axis}, {})


@pytest.mark.parametrize("line", ["a=3", "a=choice(3)", "a=range(3,4)"])
def test_what_has_one_value_is_fixed(line: str) -> None:
    assert _parsed(line) == ({}, {"a": "a=3"})


def test_a_later_setting_of_the_same_key_wins() -> None:
    parser = OverridesParser.create()
    for given_lines, varied in ((["a=1,2", "a=3"], set()), (["a=3", "a=1,2"], {"a"})):
        space, fixed = axes.separated(parser.parse_overrides(given_lines))
        assert space.keys() == varied
        assert fixed.keys() == {"a"} - varied


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a=interval(2,1)", "from a lower to a higher"),
        ("a=interval(0,inf)", "from a lower to a higher"),
        ("a=interval(-1e308,1e308)", "too wide"),
        ("a=tag(log,interval(0,1))", "begins above 0"),
        ("a=tag(lgo,interval(1,2))", "no tag lgo; did you mean 'log'"),
        ("a=tag(log,range(1,10,2))", "log is for intervals"),
        ("a=tag(log,choice(1,2))", "log is for numbers"),
        ("a=tag(complement,interval(0.5,1))", "ends below 1"),
        ("a=tag(complement,range(0,0.9,0.1))", "complement is for intervals"),
        ("a=tag(log,complement,interval(0.1,0.9))", "one tag is enough"),
        ("a=range(3,1)", "nothing to sweep over"),
        ("a=range(0,1,1e-9)", "at most 100000"),
        ("hydra.sweeper.seed=1,2", "cannot differ in this"),
    ],
)
def test_what_cannot_be_varied_is_refused(line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _parsed(line)


ENDS = st.one_of(
    st.tuples(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9)),
    st.tuples(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12)),
)


@st.composite
def _spans(draw: st.DrawFn) -> tuple[str, bool]:
    """Return the text of a span, and whether its numbers are whole."""
    low, high = sorted(draw(ENDS))
    whole, log = isinstance(low, int), draw(st.booleans())
    assume(low < high and (low > 0 or not log))
    told = f"interval({low!r},{high!r})"
    told = f"int({told})" if whole else told
    return f"a=tag(log,{told})" if log else f"a={told}", whole


@given(_spans(), st.floats(0, 1))
def test_a_number_survives_the_way_to_a_command_line_and_back(
    span: tuple[str, bool], unit: float
) -> None:
    line, whole = span
    axis = _parsed(line)[0]["a"]
    assert isinstance(axis, Span)
    value = axis.at(unit)
    assert axis.low <= value <= axis.high
    assert isinstance(value, int) is whole
    (written,) = lines({"a": axis}, {"a": value})
    read = OverridesParser.create().parse_override(written).value()
    assert (read, type(read)) == (value, type(value))
    assert axis.nearest(value) == value


def test_a_complement_is_evenly_drawn_over_its_magnitudes() -> None:
    axis = _parsed("a=tag(complement,interval(0.9,0.999))")[0]["a"]
    assert isinstance(axis, Span)
    values = [float(lines({"a": axis}, {"a": axis.at(unit)})[0][2:]) for unit in (0, 0.5, 1)]
    assert values == pytest.approx([0.999, 0.99, 0.9], rel=1e-12)
    assert str(axis) == "tag(complement,interval(0.9,0.999))"


@given(st.integers(-1000, 1000), st.integers(1, 40), st.integers(1, 300), st.integers(0, 3))
def test_a_range_has_hydras_numbers_without_its_end(
    start: int, count: int, step: int, digits: int
) -> None:
    numbers = [n / 10**digits if digits else n for n in (start, start + count * step, step)]
    override = OverridesParser.create().parse_override(f"a=range({','.join(map(repr, numbers))})")
    expected = [n for n in override.sweep_iterator() if n != pytest.approx(numbers[1])]
    axis = axes.axis_of(override)
    if isinstance(axis, Span):
        assert axis.values() == pytest.approx(expected, rel=1e-12)
        ends = [axis.at(0.0), axis.at(1.0)]
        assert ends == [axis.low, axis.high]
    else:
        assert [float(str(axis))] == expected


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=20)


@settings(max_examples=30)
@given(st.lists(TEXT, min_size=2, max_size=4, unique=True), st.floats(0, 1))
def test_a_name_survives_the_way_to_a_command_line_and_back(names: list[str], unit: float) -> None:
    quoted = [_quoted(name) for name in names]
    # Of a group, as `a` could be one, a name may not lead out of it.
    space, _ = _parsed(f"a.b=choice({','.join(quoted)})")
    axis = space["a.b"]
    assert isinstance(axis, Categories)
    (written,) = lines({"a.b": axis}, {"a.b": axis.at(unit)})
    assert OverridesParser.create().parse_override(written).value() in names


def _quoted(name: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(name, Quote.single).with_quotes()


@given(st.floats(0, 1), st.booleans())
def test_a_place_survives_the_way_to_a_number_and_back(unit: float, log: bool) -> None:
    assert Span(0.5, 20.0, log=log).unit(Span(0.5, 20.0, log=log).at(unit)) == pytest.approx(unit)


def _draws(axis: Span) -> Iterator[float]:
    yield from (axis.at((i + 0.5) / 3000) for i in range(3000))


def test_every_whole_number_is_as_likely_as_another() -> None:
    counts = [list(_draws(Span(1, 3, 1))).count(n) for n in (1, 2, 3)]
    assert counts == [1000, 1000, 1000]

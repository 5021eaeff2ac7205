"""Files made to do harm, given as checkpoints: refused at once, and no code of theirs runs."""

import json
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from composed import ROOT, SMALL, compose
from harm import Harm
from measured import Taken, measure
from safetensors.torch import save as serialise
from torch import Tensor

from experiments import tensorfile
from experiments.errors import DataError
from experiments.runs import predictor
from experiments.training import checkpoint
from experiments.training.session import prepare

LOAD = """
import tempfile
from pathlib import Path
import torch
from experiments import tensorfile

def call(path):
    tensorfile.load(Path(path))

with tempfile.TemporaryDirectory() as folder:  # what is slow when it is done first
    good = Path(folder, "good.safetensors")
    tensorfile.save(good, {"a": torch.zeros(3)}, {})
    call(good)
"""
PREDICT = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from experiments.plugin import discovery
from experiments.runs import predictor
discovery.discover(Path({str(ROOT)!r}))

def call(path):
    predictor.predictor(Path(path))
"""
SECONDS, MEGABYTES = 1.0, 200.0
TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}
Header = dict[str, Any]


def good() -> tuple[Header, bytes]:
    """Return the header and the data of a whole checkpoint."""
    text = json.dumps({"step": 3})
    made = {"facts": text, "sha256": tensorfile._digest(TENSORS, text)}
    content = serialise(TENSORS, made)
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write(path: Path, header: Header | bytes, data: bytes = b"", length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)


def facts(path: Path, text: str) -> None:
    """Write a checkpoint with any text as facts, and the checksum that fits it."""
    metadata = {"facts": text, "sha256": tensorfile._digest({}, text)}
    path.write_bytes(serialise({}, metadata))


def pickled(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps({"a": Harm(canary)}))


def pickled_zip(path: Path, canary: Path) -> None:
    torch.save({"a": torch.ones(3), "b": Harm(canary)}, path)


def pickled_legacy(path: Path, canary: Path) -> None:
    torch.save({"a": Harm(canary)}, path, _use_new_zipfile_serialization=False)


def pickled_header(path: Path, canary: Path) -> None:
    write(path, pickle.dumps(Harm(canary)))


def zip_bomb(path: Path, _: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("data", bytes(2 * 10**7))


def long_header(path: Path, _: Path) -> None:
    text = b'{"__metadata__":{"facts":"{}","sha256":"%s"}}' % (b" " * 10**8)
    write(path, text[: 10**8])


def of_shape(shape: list[int], offsets: list[int], data: int) -> Callable[[Path, Path], None]:
    """Return what writes a file with such a tensor and so many bytes of data."""
    header, _ = good()
    entry = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
    own = {"__metadata__": header["__metadata__"], "a": entry}
    return lambda path, _: write(path, own, bytes(data))


def changed(change: Callable[[Header], object], more: int = 0) -> Callable[[Path, Path], None]:
    """Return what writes a whole file whose header is changed, and so many bytes more."""

    def make(path: Path, _: Path) -> None:
        header, data = good()
        change(header)
        write(path, header, data + bytes(more))

    return make


def sparse(size: int) -> Callable[[Path, Path], None]:
    def make(path: Path, _: Path) -> None:
        entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
        write(path, {"__metadata__": good()[0]["__metadata__"], "a": entry})
        os.truncate(path, path.stat().st_size + size)

    return make


def of_two_runs(path: Path, _: Path) -> None:
    header, _data = good()
    other = {name: tensor + 1 for name, tensor in TENSORS.items()}
    path.write_bytes(serialise(other, header["__metadata__"]))


def link(target: str) -> Callable[[Path, Path], None]:
    def make(path: Path, _: Path) -> None:
        outside = path.parent.parent / "outside.safetensors"
        tensorfile.save(outside, TENSORS, {})
        path.symlink_to(target or outside)

    return make


def many_tensors(path: Path, _: Path) -> None:
    header: Header = {"__metadata__": good()[0]["__metadata__"]}
    entries = {f"{k:x}": (k, k + 1) for k in range(2**15)}
    header |= {
        name: {"dtype": "U8", "shape": [], "data_offsets": list(place)}
        for name, place in entries.items()
    }
    write(path, header, bytes(2**15))


def many_names(path: Path, _: Path) -> None:
    metadata = json.dumps(good()[0]["__metadata__"]).encode()[:-1]
    names = b"".join(b',"%x":""' % k for k in range(10**6))
    write(path, b'{"__metadata__":' + metadata + names + b"}}")


FILES: dict[str, Callable[[Path, Path], None]] = {
    "a pickle": pickled,
    "a zip of torch": pickled_zip,
    "a legacy file of torch": pickled_legacy,
    "a pickle as header": pickled_header,
    "a zip bomb": zip_bomb,
    "a header of 2^60": lambda path, _: write(path, b"{}", length=2**60),
    "a header of 2^64 - 1": lambda path, _: write(path, b"{}", length=2**64 - 1),
    "a header longer than the file": lambda path, _: write(path, b"{}", length=99),
    "a header of 100 MB": long_header,
    "a header of many names": many_names,
    "a header without JSON": lambda path, _: write(path, b"\xff" * 99),
    "a header with a list": lambda path, _: write(path, b"[]"),
    "a header nested deep": lambda path, _: write(path, b'{"a":' * 10**5),
    "a name twice": lambda path, _: write(
        path, b"{%s,%s}" % ((b'"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}',) * 2)
    ),
    "facts nested deep": lambda path, _: facts(path, '{"a":' + "[" * 60_000),
    "facts of many lists": lambda path, _: facts(path, "[" + "[]," * 10**6 + "0]"),
    "facts of a long number": lambda path, _: facts(path, '{"step":' + "9" * 10**6 + "}"),
    "facts that are no dictionary": lambda path, _: facts(path, "[1]"),
    "facts that are no JSON": lambda path, _: facts(path, "{step}"),
    "no facts": changed(lambda header: header["__metadata__"].pop("facts")),
    "no checksum": changed(lambda header: header["__metadata__"].pop("sha256")),
    "no metadata": changed(lambda header: header.pop("__metadata__")),
    "other facts": changed(lambda header: header["__metadata__"].update(facts='{"step": 4}')),
    "many tensors": many_tensors,
    "a shape that is larger": of_shape([9], [0, 24], 24),
    "a shape of 2^64": of_shape([2**32, 2**32], [0, 0], 0),
    "a shape of 0 times 2^64": of_shape([0, 2**64 - 1], [0, 0], 0),
    "offsets beyond the end": of_shape([6], [0, 24], 20),
    "offsets that go back": of_shape([6], [24, 0], 24),
    "offsets with a gap": of_shape([6], [8, 32], 32),
    "offsets of 2^63": of_shape([6], [2**63, 2**63 + 24], 24),
    "offsets that overlap": changed(lambda header: header["b"].update(data_offsets=[8, 24])),
    "bytes after the end": changed(lambda _: None, more=8),
    "another shape": changed(lambda header: header["a"].update(shape=[3, 2])),
    "another type": changed(lambda header: header["b"].update(dtype="I32")),
    "a type of no machine": changed(lambda header: header["b"].update(dtype="F1024")),
    "another name": changed(lambda header: header.update(c=header.pop("b"))),
    "a key more": changed(
        lambda header: header.update(c={"dtype": "F32", "shape": [0], "data_offsets": [40, 40]})
    ),
    "a key less": changed(lambda header: header.pop("b")),
    "the tensors of another run": of_two_runs,
    "8 gigabytes of holes": sparse(2**33),
    "a terabyte of holes": sparse(2**40),
    "a link out of the folder": link(""),
    "a link to a device": link("/dev/zero"),
    "a link to itself": link("file.safetensors"),
    "a pipe": lambda path, _: os.mkfifo(path),
    "a folder": lambda path, _: path.mkdir(),
    "an empty file": lambda path, _: path.write_bytes(b""),
    "three bytes": lambda path, _: path.write_bytes(b"abc"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Taken]]:
    """Load each file in a process of its own."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = {}
    for number, (name, make) in enumerate(FILES.items()):
        paths[name] = folder / str(number) / "file.safetensors"
        paths[name].parent.mkdir()
        make(paths[name], folder / "canary")
    paths |= {name: Path(name) for name in ("/dev/zero", "/dev/null", "/proc/self/mem")}
    taken = measure(LOAD, [str(path) for path in paths.values()])
    assert not (folder / "canary").exists()
    return {name: (paths[name], one) for name, one in zip(paths, taken, strict=True)}


def test_the_pickles_would_run_their_code(tmp_path: Path) -> None:
    for make in (pickled, pickled_zip, pickled_legacy):
        make(tmp_path / "file", tmp_path / "canary")
        assert b"canary" in (tmp_path / "file").read_bytes()
    pickle.loads(pickle.dumps(Harm(tmp_path / "canary"))).close()
    assert (tmp_path / "canary").exists()


@pytest.mark.process
@pytest.mark.parametrize("name", [*FILES, "/dev/zero", "/dev/null", "/proc/self/mem"])
def test_a_hostile_file_is_refused_at_once(
    name: str, refusals: dict[str, tuple[Path, Taken]]
) -> None:
    path, taken = refusals[name]
    assert taken.error == "DataError", taken
    assert str(path) in taken.text
    assert "\n" not in taken.text
    assert len(taken.text) < 300 + len(str(path))
    assert taken.seconds < SECONDS
    assert taken.megabytes < MEGABYTES


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    tensorfile.save(tmp_path / "a.safetensors", TENSORS, {"step": 3})
    (tmp_path / "b.safetensors").symlink_to("a.safetensors")
    assert tensorfile.load(tmp_path / "b.safetensors")[1] == {"step": 3}


@pytest.mark.parametrize("what", ["tensors", "facts"])
def test_what_could_not_be_read_again_is_not_written(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorfile, "_TENSORS", 9)
    tensors = {str(k): torch.zeros(1) for k in range(10)} if what == "tensors" else {}
    with pytest.raises(OSError, match="than can be read again"):
        tensorfile.save(tmp_path / "a", tensors, {"a": "a" * (2**22 * (what == "facts"))})
    assert not list(tmp_path.iterdir())


Content = tuple[dict[str, Tensor], dict[str, Any]]


@pytest.fixture(scope="module")
def mlp() -> Content:
    """Return the checkpoint of a model with 4 inputs, 6 hidden numbers and 1 output."""
    session = prepare(compose([*SMALL, "tracking=none", "model=mlp", "model.hidden=[6]"]))
    return checkpoint.of_model(session, 1, {})


@pytest.fixture(scope="module")
def cnn() -> Content:
    """Return the checkpoint of a module."""
    settings = ["dataset=digits", "tracking=none", "model=cnn", "model.channels=[2]"]
    return checkpoint.of_model(prepare(compose(settings)), 1, {})


def refused(path: Path) -> str:
    """Return the message with which no model is made of a file: one line that names it."""
    with pytest.raises(DataError) as caught:
        predictor.predictor(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert len(text) < 350 + len(str(path))
    return text


def edited(content: Content, place: str, value: Any) -> Content:
    """Return facts with another value at a place of dotted names, or without it."""
    own = json.loads(json.dumps(content[1]))
    *above, last = place.split(".")
    inner = own
    for name in above:
        inner = inner[name]
    inner[last] = value
    if value is ...:
        del inner[last]
    return content[0], own


WRONG_FACTS: list[tuple[str, Any, str]] = [
    ("module", ..., "expected settings and a module"),
    ("module", 5, "expected settings and a module"),
    *(
        ("module", name, "expected a module that registers model=mlp")
        for name in (
            *("antigravity", "this", "os", "sys", "", ".", "..", "plugins", "plugins.model"),
            *("plugins.model.linear", "plugins.model.mlp.", "plugins/model/mlp", "/etc", "a\0b"),
            *("plugins.dataset._idx", "experiments.cli.main"),
        )
    ),
    ("module", "x" * 10**5, "File name too long"),
    ("model", ..., "expected settings and a module"),
    ("model", [], "expected settings and a module"),
    ("model.plugin", ..., "expected settings of a model"),
    ("model.plugin", "mlp", "expected settings of a model"),
    ("model.plugin", 5, "expected settings of a model"),
    ("model.plugin", "dataset/digits", "expected settings of a model"),
    ("model.plugin", "model/mlpp", "registers model=mlpp"),
    ("model.plugin", "model/linear", "registers model=linear"),
    ("model.plugin", "model/mlp/more", "registers model=mlp/more"),
    ("model.hidden", "many", "hidden"),
    ("model.hidden", [[6]], "randn"),
    ("model.hidden", [-6], "-6"),
    ("model.hidden", [2**70], "expected settings of its tensors"),
    ("model.hidden", [10**6, 10**6], "expected settings of its tensors"),
    ("model.hidden", [1000] * 100, "expected settings of its tensors"),
    ("model.hidden", [1] * 10**6, "expected settings of a model"),
    ("model.hidden", [7], "expected a floating-point tensor of [7] called 'bias1', found"),
    ("model.hidden", [6, 6], "[6] called 'bias2', found a floating-point tensor of [1]"),
    ("model.hidden", ["${oc.env:HOME}"], "expected settings of a model"),
    ("model.hidden", "???", "expected a floating-point tensor of [128]"),
    ("model.init_scale", None, "init_scale"),
    ("model.deeper", 1, "deeper"),
    ("model._target_", "os.system", "_target_"),
    ("spec", ..., "expected what the data are"),
    ("spec", "digits", "expected what the data are"),
    ("spec.input_shape", ..., "expected an input_shape"),
    ("spec.input_shape", "44", "expected an input_shape"),
    ("spec.input_shape", [4.0], "expected an input_shape"),
    ("spec.input_shape", [True], "expected an input_shape"),
    ("spec.input_shape", [-4], "expected an input_shape"),
    ("spec.input_shape", [5], "[6, 5] called 'weights1', found"),
    ("spec.input_shape", [2**62, 2**62], "expected settings of its tensors"),
    ("spec.task", "theft", "expected a task of classification, regression, objective, found theft"),
    ("spec.task", ["x"], "expected a task"),
    ("spec.classes", 3, "expected names of classes"),
    ("spec.classes", [1, 2], "expected names of classes"),
]


@pytest.mark.parametrize(("place", "value", "text"), WRONG_FACTS)
def test_facts_of_no_model_are_refused(
    place: str, value: Any, text: str, mlp: Content, tmp_path: Path
) -> None:
    before = set(sys.modules)
    tensorfile.save(tmp_path / "a", *edited(mlp, place, value))
    assert text in refused(tmp_path / "a")
    assert set(sys.modules) == before


def with_tensor(content: Content, name: str, tensor: Tensor | None) -> Content:
    own = {**content[0]} | ({} if tensor is None else {name: tensor})
    if tensor is None:
        del own[name]
    return own, content[1]


WRONG_TENSORS: list[tuple[str, Tensor | None, str]] = [
    ("params/weights1", None, "called 'weights1', found no tensor"),
    ("params/weights1", torch.zeros(4, 6), "called 'weights1', found"),
    ("params/weights1", torch.zeros(6, 4).int(), "'weights1', found a other tensor"),
    ("params/weights1", torch.zeros(6, 4, dtype=torch.complex64), "found a other tensor"),
    ("params/weights9", torch.zeros(1), "expected no tensor called 'weights9'"),
    ("params/", torch.zeros(1), "expected no tensor called ''"),
    ("buffers/more", torch.zeros(1), "expected no tensor called 'more'"),
    ("spec/mean", None, "expected a tensor spec/mean"),
    ("spec/mean", torch.zeros(4).int(), "expected a tensor spec/mean of floating-point"),
    ("spec/std", torch.ones(9, 1, 4), "expected spec/std to fit [4], found [9, 1, 4]"),
    ("spec/std", torch.ones(3), "expected spec/std to fit [4], found [3]"),
]


@pytest.mark.parametrize(("name", "tensor", "text"), WRONG_TENSORS)
def test_tensors_of_another_model_are_refused(
    name: str, tensor: Tensor | None, text: str, mlp: Content, tmp_path: Path
) -> None:
    tensorfile.save(tmp_path / "a", *with_tensor(mlp, name, tensor))
    assert text in refused(tmp_path / "a")


@pytest.mark.parametrize(
    ("place", "value", "text"),
    [
        ("model.channels", [10**6, 10**6], "expected settings of its tensors"),
        ("model.channels", [3], "expected a floating-point tensor of [3] called '0.bias'"),
        ("model.dropout", 5.0, "dropout"),
        ("spec.input_shape", [1, 1, 1], "poolings are too many"),
        ("spec.input_shape", [1, 10**6, 10**6], "expected settings of its tensors"),
    ],
)
def test_a_module_is_filled_only_with_its_own_tensors(
    place: str, value: Any, text: str, cnn: Content, tmp_path: Path
) -> None:
    tensorfile.save(tmp_path / "a", *edited(cnn, place, value))
    assert text in refused(tmp_path / "a")


@pytest.mark.whole
@pytest.mark.process
def test_settings_of_a_huge_model_take_neither_memory_nor_time(
    mlp: Content, cnn: Content, tmp_path: Path
) -> None:
    settings = [[10**5, 10**5], [10**9], [4000] * 5000, [1] * 10**4, [1] * 10**6]
    contents = [edited(mlp, "model.hidden", value) for value in settings]
    contents += [edited(cnn, "model.channels", value) for value in settings[:3]]
    contents.append(edited(cnn, "spec.classes", ["a"] * 10**5))
    paths = [str(tmp_path / str(k)) for k in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        tensorfile.save(Path(path), *content)
    for taken in measure(PREDICT, paths):
        assert taken.error == "DataError", taken
        assert taken.seconds < SECONDS
        assert taken.megabytes < MEGABYTES


MODEL = '''
import pathlib
pathlib.Path({canary!r}).touch()
import torch
from experiments import Model, Network, register

@register({name!r})
class Own(Model):
    """One affine layer."""

    def build(self, spec):
        return Network({{"weights": torch.zeros(spec.features, 1)}}, self.forward)

    def forward(self, params, inputs):
        return inputs @ params["weights"]
'''


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("file", "module", "name"),
    [
        ("hostile.py", "hostile", "other"),
        ("hostile/__init__.py", "hostile", "other"),
        ("hostile/__init__.py", "hostile.within", "owned"),
        ("hostile/within.py", "hostile.within.more", "owned"),
        ("hostile.txt", "hostile", "owned"),
    ],
)
def test_no_module_is_imported_that_does_not_register_the_model(
    file: str, module: str, name: str, mlp: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, canary = tmp_path / "path" / file, tmp_path / "canary"
    source.parent.mkdir(parents=True)
    source.write_text(MODEL.format(name=name, canary=str(canary)))
    monkeypatch.syspath_prepend(tmp_path / "path")
    content = edited(edited(mlp, "model", {"plugin": "model/owned"}), "module", module)
    tensorfile.save(tmp_path / "a", *content)
    assert f"registers model=owned, found {module}" in refused(tmp_path / "a")
    assert not canary.exists()


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize(
    ("file", "module"),
    [
        ("experiments_plugin_own-1_0123abcd.py", "experiments_plugin_own-1_0123abcd"),
        ("owner/__init__.py", "owner"),
        ("owner/deep/within.py", "owner.deep.within"),
    ],
)
def test_a_module_that_registers_the_model_is_imported(
    file: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, canary = tmp_path / "path" / file, tmp_path / "canary"
    source.parent.mkdir(parents=True)
    source.write_text(MODEL.format(name="owned", canary=str(canary)))
    monkeypatch.syspath_prepend(tmp_path / "path")
    for name in {module.split(".", maxsplit=1)[0], module}:
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = {"input_shape": [2], "task": "regression", "classes": []}
    numbers = {"spec/mean": torch.tensor(0.0), "spec/std": torch.tensor(1.0)}
    tensors = {"params/weights": torch.tensor([[2.0], [3.0]]), **numbers}
    made = {"module": module, "model": {"plugin": "model/owned"}, "spec": spec}
    tensorfile.save(tmp_path / "a", tensors, made)
    assert predictor.predictor(tmp_path / "a")(torch.ones(1, 2)).tolist() == [[5.0]]
    assert canary.exists()


def test_the_names_that_a_file_registers_are_read_without_running_it(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text(
        "@register('a')\nclass A: ...\n@x.register(name='b')\nclass B: ...\n"
        "'''@register('c')'''\n@other('d')\nclass D: ...\nregister('e')\n"
    )
    assert predictor._registered(file) == {"a", "b"}

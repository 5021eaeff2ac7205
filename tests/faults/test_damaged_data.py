"""Damaged and hostile data: one line that names the file, status 4, and nothing is left behind."""

import gzip
import json
import os
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from commands import refused
from composed import ROOT
from harm import Harm
from idx_files import packed, write_mnist
from measured import measure
from omegaconf import OmegaConf
from PIL import Image
from torch.utils.data import TensorDataset

from experiments import DataError, Dataset, lookup, plugins, tensorfile
from experiments.data import cache
from plugins.dataset import _packaged
from plugins.dataset.emnist import CLASSES

COUNT = 40
IMAGES = torch.arange(COUNT * 28 * 28).remainder(256).byte().view(COUNT, 28, 28)
LABELS = torch.arange(COUNT).remainder(10).byte()
FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
NONE = "expected a file, found none"
Damage = Callable[[Path], object]


class Kind(NamedTuple):
    """Damage of a file, and what is told of it."""

    damage: Damage
    text: str


class Case(NamedTuple):
    """A data set whose file is damaged: how it is made, its settings below a folder, the file."""

    make: Callable[[Path], None]
    settings: Callable[[Path], list[str]]
    file: str
    kind: Kind


def instead(content: bytes) -> Damage:
    return lambda path: path.write_bytes(content)


def changed(change: Callable[[bytes], bytes]) -> Damage:
    """Return damage of a file's content, which is packed again where it was."""

    def damage(path: Path) -> None:
        is_packed = path.suffix == ".gz"
        content = gzip.decompress(path.read_bytes()) if is_packed else path.read_bytes()
        path.write_bytes(gzip.compress(change(content)) if is_packed else change(content))

    return damage


def stored(change: Callable[[bytes], bytes]) -> Damage:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def replaced(make: Damage) -> Damage:
    """Return damage that puts something else at a file's place."""

    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


def linked_out(path: Path) -> None:
    """Move a file away, and link to it."""
    outside = path.parent.parent / "outside"
    path.symlink_to(path.rename(outside))


def holes(size: int) -> Damage:
    """Return damage that makes a file longer without taking any room."""
    return lambda path: os.truncate(path, size)


def bomb(head: bytes, megabytes: int) -> bytes:
    """Return gzip data of a head and of zeros, in a thousandth of their size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return start + (packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)) * megabytes


def header(*sizes: int) -> bytes:
    return bytes([0, 0, 8, len(sizes)]) + b"".join(size.to_bytes(4) for size in sizes)


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place:][1:]


# What can be in the place of any file of a folder.
PLACES = {
    "a pipe": Kind(replaced(os.mkfifo), NONE),
    "a folder": Kind(replaced(Path.mkdir), NONE),
    "a link out of the folder": Kind(linked_out, "found a link out of it"),
    "a link to a device": Kind(replaced(lambda path: path.symlink_to("/dev/zero")), "found a link"),
}
BOTH = {
    "the magic": Kind(changed(lambda c: b"\1" + c[1:]), "expected magic 000008"),
    "the type": Kind(changed(lambda c: c[:2] + b"\x0d" + c[3:]), "found 00000d0"),
    "the dimensions": Kind(changed(lambda c: c[:3] + b"\2" + c[4:]), "found 00000802"),
    "no values": Kind(changed(lambda c: c[:4] + bytes(4) + c[8:]), "expected sizes of 1 to"),
    "sizes of 2^32": Kind(changed(lambda c: c[:4] + b"\xff" * 4 + c[8:]), "found 4294967295"),
    "a value less": Kind(changed(lambda c: c[:-1]), "values after its header, found"),
    "a value more": Kind(changed(lambda c: c + b"\0"), "or more"),
    "an empty content": Kind(changed(lambda _: b""), "bytes, found 0"),
    **PLACES,
}
RAW = {
    **BOTH,
    "an empty file": Kind(instead(b""), "bytes, found 0"),
    "a gigabyte more": Kind(holes(2**30), "and holes"),
    "two gigabytes": Kind(holes(2**31), "expected at most 1073741824 bytes, found 2147483648"),
}
GZIP = {
    **BOTH,
    "an empty file": Kind(instead(b""), "bytes, found 0"),
    "a lost end": Kind(stored(lambda c: c[:-9]), "expected"),
    "a lost half": Kind(stored(lambda c: c[: len(c) // 2]), "expected"),
    "a lost checksum": Kind(stored(lambda c: c[:-8]), "expected the end of the gzip data"),
    "another checksum": Kind(stored(lambda c: flipped(c, -6)), "expected gzip data"),
    "another length": Kind(stored(lambda c: flipped(c, len(c) - 1)), "expected gzip data"),
    "a changed value": Kind(stored(lambda c: flipped(c, len(c) // 2)), "expected"),
    "no gzip": Kind(stored(lambda c: b"PK" + c[2:]), "expected gzip data"),
    "bytes after the end": Kind(stored(lambda c: c + b"\0"), "expected the end of the gzip data"),
    "a bomb": Kind(stored(lambda c: bomb(gzip.decompress(c), 1000)), "or more"),
    "two gigabytes": Kind(holes(2**31), "expected at most 1073741824 bytes, found 2147483648"),
}
LABEL_KINDS = {
    "a label of 200": Kind(changed(lambda c: c[:9] + b"\xc8" + c[10:]), "found 200"),
    "a count less": Kind(
        changed(lambda c: header(COUNT - 1) + c[8:-1]), "images, as train-labels-idx1-ubyte"
    ),
}
IMAGE_KINDS = {
    "images of 27 x 28": Kind(
        lambda path: path.write_bytes(gzip.compress(packed(IMAGES[:, 1:]))), "found 27 x 28"
    ),
    "a gigabyte that is declared": Kind(
        lambda path: [
            path.write_bytes(bomb(header(1_300_000, 28, 28), 1000)),
            path.with_name(path.name.replace("images-idx3", "labels-idx1")).write_bytes(
                gzip.compress(header(1_300_000) + bytes(1_300_000))
            ),
        ],
        "of 1019200000 values",
    ),
}


def idx_cases(plugin: str) -> Iterator[tuple[str, Case]]:
    """Yield every kind of damage to the files of a data set of the MNIST family."""
    for suffix, kinds in (("", RAW), (".gz", GZIP)):
        for role in ("images-idx3", "labels-idx1"):
            own = LABEL_KINDS if role.startswith("labels") else IMAGE_KINDS if suffix else {}
            for name, kind in {**kinds, **own}.items():
                yield f"{role}{suffix}: {name}", idx_case(plugin, suffix, role, kind)


def idx_case(plugin: str, suffix: str, role: str, kind: Kind) -> Case:
    emnist = plugin == "emnist"
    prefixes = ("emnist-digits-train", "emnist-digits-test") if emnist else ("train", "t10k")
    raw = f"{FOLDERS.get(plugin, 'EMNIST')}/raw"
    return Case(
        lambda folder: write_mnist(
            folder / raw, images=IMAGES, labels=LABELS, prefixes=prefixes, suffix=suffix
        ),
        lambda folder: [f"root={folder}", *(["split=digits"] if emnist else [])],
        f"{raw}/{prefixes[0]}-{role}-ubyte{suffix}",
        kind._replace(text=kind.text.replace("train-", f"{prefixes[0]}-")),
    )


def cifar_cases(plugin: str) -> Iterator[tuple[str, Case]]:
    """Yield damage of files whose content is only known by its MD5: all other is damage."""
    folder, file = {
        "cifar10": ("cifar-10-batches-py", "data_batch_1"),
        "cifar100": ("cifar-100-python", "train"),
    }[plugin]

    def make(root: Path) -> None:
        (root / folder).mkdir()
        (root / folder / file).write_bytes(pickle.dumps({"data": Harm(root / "canary")}))

    kinds = {
        "a pickle with code": Kind(lambda _: None, "expected the MD5"),
        "an empty file": Kind(instead(b""), "found d41d8cd98f00b204e9800998ecf8427e"),
        "absent": Kind(Path.unlink, "is missing"),
        "a gigabyte": Kind(holes(2**30), "expected at most 268435456 bytes, found 1073741824"),
        **PLACES,
    }
    for name, kind in kinds.items():
        yield name, Case(make, lambda root: [f"root={root}"], f"{folder}/{file}", kind)


def csv_cases(_: str) -> Iterator[tuple[str, Case]]:
    """Yield damage of a table."""

    def make(root: Path) -> None:
        lines = ["height,weight,kind", *(f"{k},{k * 1.5},{'ab'[k % 2]}" for k in range(COUNT))]
        (root / "table.csv").write_text("\n".join(lines))

    kinds = {
        "empty": Kind(instead(b""), "found an empty file"),
        "no rows": Kind(instead(b"a,b\n"), "expected rows below the line of names"),
        "a lost end": Kind(
            stored(lambda c: c[:-3]), "expected 3 cells, as in the first line, found 2"
        ),
        "a cell more": Kind(
            stored(lambda c: c + b",1"), "expected 3 cells, as in the first line, found 4"
        ),
        "an empty cell": Kind(stored(lambda c: c + b"\n,1,a"), "missing in 'height' (1 of 41)"),
        "an empty word": Kind(stored(lambda c: c + b"\n1,1,"), "missing in 'kind' (1 of 41)"),
        "no number": Kind(stored(lambda c: c + b"\n1,x,a"), "expected a number, found 'x'"),
        "not finite": Kind(stored(lambda c: c + b"\n1,inf,a"), "of at most 1e+100, found 'inf'"),
        "too large": Kind(
            stored(lambda c: c + b"\n1,1e101,a"), "of at most 1e+100, found '1e+101'"
        ),
        "an open quote": Kind(stored(lambda c: c + b'\n"1,1,a'), "expected 3 cells"),
        "zero bytes": Kind(stored(lambda c: c + b"\n\0,1,a"), "expected text"),
        "UTF-16": Kind(stored(lambda c: c.decode().encode("utf-16-le")), "dataset.encoding"),
        "few rows": Kind(instead(b"1,2\n3,4\n"), "2 items are too few for the splits"),
        "a name twice": Kind(instead(b"a,a\n3,4\n"), "expected different names"),
        "many words": Kind(
            instead(b"word,y\n" + b"".join(b"w%d,%d\n" % (k // 2, k % 2) for k in range(400))),
            "found more in 'word' (200)",
        ),
        "a long cell": Kind(stored(lambda c: c + b"\n" + b"1" * 10**6), "field larger than"),
        "a gigabyte of holes": Kind(holes(2**30), "and holes"),
        "two gigabytes": Kind(holes(2**31), "expected at most 1073741824 bytes, found 2147483648"),
        "a gigabyte of names": Kind(
            lambda path: [path.write_bytes(b"," * 2**24), os.truncate(path, 2**30)],
            "characters, found more",
        ),
        "absent": Kind(Path.unlink, NONE),
        "a pipe": PLACES["a pipe"],
        "a folder": PLACES["a folder"],
        "a device": Kind(replaced(lambda path: path.symlink_to("/dev/zero")), NONE),
    }
    for name, kind in kinds.items():
        yield name, Case(make, lambda root: [f"path={root}/table.csv"], "table.csv", kind)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + zlib.crc32(name + content).to_bytes(4)


def png(width: int, height: int, more: bytes = b"") -> bytes:
    """Return an image of zeros, of which only a part is there where it is large."""
    sizes = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(min(height, 999) * (3 * min(width, 999) + 1)))
    ends = chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sizes) + more + ends


def webp(width: int, height: int) -> bytes:
    """Return the start of an image that is animated, as its size stands in the first bytes then."""
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\x30\0\0\0WEBPVP8X\x0a\0\0\0\2\0\0\0" + sizes + bytes(99)


BITMAP = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 10**5, 10**5, 1, 24, *[0] * 6)
PIXELS = "expected at most 67108864 pixels, found"
PICTURES = {
    "an empty file": Kind(instead(b""), "found an empty file"),
    "no image": Kind(instead(b"no image"), "expected an image"),
    "a lost end": Kind(stored(lambda c: c[:-40]), "expected an image"),
    "a lost half": Kind(stored(lambda c: c[: len(c) // 2]), "expected an image"),
    "a changed checksum": Kind(stored(lambda c: flipped(c, 30)), "expected an image"),
    "a program's text": Kind(
        instead(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "image"
    ),
    "a bomb of PNG": Kind(instead(png(9000, 9000)), f"{PIXELS} 9000 x 9000"),
    "a large bomb of PNG": Kind(instead(png(10**5, 10**5)), f"{PIXELS} more"),
    "a bomb of GIF": Kind(
        instead(b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\2\0;"),
        f"{PIXELS} more",
    ),
    "a bomb of BMP": Kind(instead(BITMAP), f"{PIXELS} more"),
    "a bomb of PPM": Kind(instead(b"P6 9000 9000 255\n" + bytes(99)), f"{PIXELS} 9000 x 9000"),
    "a bomb of WebP": Kind(instead(webp(2**14, 2**14)), f"{PIXELS} more"),
    "a bomb of text": Kind(
        instead(png(4, 4, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**28))))), "too large"
    ),
    "a chunk of holes": Kind(
        lambda path: [path.write_bytes(png(4, 4)[:33] + b"\7\0\0\0tEXt"), os.truncate(path, 2**27)],
        "and holes",
    ),
    "a gigabyte": Kind(holes(2**30), "expected at most 268435456 bytes, found 1073741824"),
    "a link to nothing": Kind(replaced(lambda path: path.symlink_to("nothing.png")), NONE),
    "a link to itself": Kind(replaced(lambda path: path.symlink_to(path.name)), "found a link"),
    "a pipe": PLACES["a pipe"],
    "a link to a device": PLACES["a link to a device"],
    "a link out of the folder": Kind(
        lambda path: path.symlink_to(path.rename(path.parents[2] / "outside.png")),
        "found a link out of it",
    ),
}
CLASSES_OF_IMAGES = {
    "no images": Kind(
        lambda path: [file.unlink() for file in path.iterdir()], "images of red, found none"
    ),
    "a link out of the folder": Kind(
        lambda path: path.symlink_to(path.rename(path.parents[1] / "outside")),
        "found a link out of it",
    ),
    "the only one": Kind(
        lambda path: path.with_name("blue").rename(path.parents[1] / "outside"),
        "expected at least 2 folders",
    ),
}


def image_cases(_: str) -> Iterator[tuple[str, Case]]:
    """Yield damage of an image, and of a folder with images."""

    def make(root: Path) -> None:
        for label, color in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
            (root / "images" / label).mkdir(parents=True)
            for k in range(10):
                Image.new("RGB", (12, 9), color).save(root / "images" / label / f"{k}.png")

    def settings(root: Path) -> list[str]:
        return [f"root={root}/images", "size=8"]

    for name, kind in PICTURES.items():
        yield name, Case(make, settings, "images/red/3.png", kind)
    for name, kind in CLASSES_OF_IMAGES.items():
        yield f"folder: {name}", Case(make, settings, "images/red", kind)


def array_cases(_: str) -> Iterator[tuple[str, Case]]:
    """Yield damage of a file of arrays."""

    def make(root: Path) -> None:
        np.savez(root / "arrays.npz", x=np.eye(COUNT), y=np.arange(COUNT) % 2)

    def bomb_of_arrays(path: Path) -> None:
        np.savez_compressed(path, x=np.zeros((COUNT, 2**22), np.uint8), y=np.arange(COUNT) % 2)

    kinds = {
        "an empty file": Kind(instead(b""), "expected arrays, which cannot be read"),
        "a lost half": Kind(stored(lambda c: c[: len(c) // 2]), "expected arrays, which cannot"),
        "a changed value": Kind(stored(lambda c: flipped(c, 1000)), "Bad CRC-32"),
        "a bomb": Kind(bomb_of_arrays, "may be made to fill the memory"),
        "a gigabyte of holes": Kind(holes(2**30), "and holes"),
        "a pickle": Kind(
            lambda path: np.savez(path, x=np.array([Harm(path.with_name("canary"))]), y=[0]),
            "expected numbers or texts",
        ),
        "absent": Kind(Path.unlink, NONE),
        "a pipe": PLACES["a pipe"],
        "a folder": PLACES["a folder"],
        "a device": Kind(replaced(lambda path: path.symlink_to("/dev/zero")), NONE),
    }
    for name, kind in kinds.items():
        yield name, Case(make, lambda root: [f"path={root}/arrays.npz"], "arrays.npz", kind)


ALL: dict[str, Callable[[str], Iterator[tuple[str, Case]]]] = {
    **dict.fromkeys([*FOLDERS, "emnist"], idx_cases),
    **dict.fromkeys(["cifar10", "cifar100"], cifar_cases),
    "csv": csv_cases,
    "image_folder": image_cases,
    "arrays": array_cases,
}
TWINS = ("fashion_mnist", "kmnist", "emnist", "cifar100")  # read by the code of the first
CASES = [(plugin, name, case) for plugin in ALL for name, case in ALL[plugin](plugin)]


@pytest.mark.parametrize(
    ("plugin", "case"),
    [
        pytest.param(
            *(plugin, case),
            id=f"{plugin} {name}",
            marks=pytest.mark.whole if plugin in TWINS or "images-idx3:" in name else [],
        )
        for plugin, name, case in CASES
    ],
)
def test_damaged_data_is_refused_with_one_line(plugin: str, case: Case, tmp_path: Path) -> None:
    settings = damaged(case, tmp_path)
    with pytest.raises(DataError) as caught:
        cache.load_splits(dataset(plugin, settings), tmp_path / "cache", keep=True)
    line = str(caught.value)
    assert case.kind.text in line
    assert "\n" not in line
    assert len(line) < 480
    assert is_named(case, tmp_path, line)
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "canary").exists()


# Commands take half a second each, so that a run has one of each family.
WITH_COMMANDS = {
    "mnist": (".gz:", "labels-idx1.gz: a lost end"),
    "fashion_mnist": ("-idx3:", "images-idx3: a pipe"),
    "cifar10": ("", "a pickle with code"),
    "csv": ("", "a lost end"),
    "image_folder": ("", "a bomb of PNG"),
    "arrays": ("", "a lost half"),
}


@pytest.mark.parametrize(
    ("plugin", "case"),
    [
        pytest.param(
            *(plugin, case),
            id=f"{plugin} {name}",
            marks=[] if name == WITH_COMMANDS[plugin][1] else pytest.mark.whole,
        )
        for plugin, name, case in CASES
        if plugin in WITH_COMMANDS and WITH_COMMANDS[plugin][0] in name
    ],
)
def test_a_command_ends_with_status_4_and_leaves_no_folder(
    plugin: str,
    case: Case,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = tmp_path / "runs"
    settings = [f"dataset.{key}={value}" for key, value in damaged(case, tmp_path).items()]
    arguments = [f"dataset={plugin}", *settings, "tracking=offline", f"output={runs}", "epochs=1"]
    status, line = refused(arguments, capsys, monkeypatch)
    assert (status, case.kind.text in line) == (4, True), line
    assert is_named(case, tmp_path, line)
    assert not runs.exists()
    assert not (tmp_path / "canary").exists()


def damaged(case: Case, folder: Path) -> dict[str, str]:
    """Make a case's files in a folder, damage one, and return the settings to read them."""
    case.make(folder)
    case.kind.damage(folder / case.file)
    return dict(text.split("=") for text in case.settings(folder))


def is_named(case: Case, folder: Path, line: str) -> bool:
    """Say whether a message names the damaged file, or one beside it that it does not fit."""
    return str((folder / case.file).parent) in line


def dataset(plugin: str, settings: dict[str, Any]) -> Dataset:
    schema = OmegaConf.structured(lookup("dataset", plugin))
    made = OmegaConf.to_object(OmegaConf.merge(schema, settings))
    assert isinstance(made, Dataset)
    return made


def test_every_data_set_that_reads_files_is_damaged_here() -> None:
    packaged = {"digits", "iris", "wine", "breast_cancer", "diabetes"}
    own = {name for name, cls in plugins("dataset").items() if cls.__module__.startswith("plugins")}
    drawn = {"synthetic", "fake", "noise", "logistic", "quadratic_deep"}
    assert own == {*ALL, *packaged, *drawn}
    assert set(CLASSES) >= {"digits"}


def test_undamaged_data_of_each_kind_are_read(tmp_path: Path) -> None:
    for plugin in sorted(set(ALL) - {"cifar10", "cifar100"}):
        _, case = next(ALL[plugin](plugin))
        (tmp_path / plugin).mkdir()
        case.make(tmp_path / plugin)
        settings = dict(text.split("=") for text in case.settings(tmp_path / plugin))
        loaded = dataset(plugin, settings).load()
        assert len(loaded.train) > 8  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "damage",
    [
        instead(b""),
        instead(gzip.compress(b"1,2,3\n")),
        instead(gzip.compress(b"x,y\n")),
        stored(lambda c: c[:-9]),
        stored(lambda c: flipped(c, -6)),
        stored(lambda c: bomb(gzip.decompress(c), 1000)),
        changed(lambda c: c.replace(b"9\n", b"10\n", 1)),
        changed(lambda c: c.replace(b"9\n", b"900\n", 1)),
        changed(lambda c: c.replace(b"9\n", b"-1\n", 1)),
        replaced(os.mkfifo),
        holes(2**30),
    ],
)
def test_damage_of_the_packaged_digits_is_refused(
    damage: Damage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "digits.csv.gz"
    file.write_bytes((_packaged.folder() / file.name).read_bytes())
    damage(file)
    monkeypatch.setattr(_packaged, "folder", lambda: tmp_path)
    with pytest.raises(DataError) as caught:
        lookup("dataset", "digits")().load()  # type: ignore[attr-defined]
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


LOAD = f"""
import json, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from experiments import lookup
from experiments.data import cache
from experiments.plugin import discovery
from omegaconf import OmegaConf
from omegaconf import OmegaConf
from PIL import Image
import torchvision
Image.init()
discovery.discover(Path({str(ROOT)!r}))

def call(argument):
    plugin, settings = json.loads(argument)
    schema = OmegaConf.structured(lookup("dataset", plugin))
    made = OmegaConf.to_object(OmegaConf.merge(schema, settings))
    cache.load_splits(made, Path("nowhere"), keep=False)
"""
SECONDS, MEGABYTES = 1.0, 200.0
LARGE = ("gigabyte", "bomb", "holes")


@pytest.mark.whole
@pytest.mark.process
def test_what_would_fill_the_memory_is_refused_in_little_of_it(tmp_path: Path) -> None:
    large = [case for case in CASES if any(word in case[1] for word in LARGE)]
    large = [case for case in large if case[0] not in TWINS]
    assert len(large) > 20
    arguments = []
    for number, (plugin, _, case) in enumerate(large):
        folder = tmp_path / str(number)
        folder.mkdir()
        arguments.append(json.dumps([plugin, damaged(case, folder)]))
    for (plugin, name, _), taken in zip(large, measure(LOAD, arguments), strict=True):
        assert taken.error == "DataError", (plugin, name, taken)
        assert taken.seconds < SECONDS, (plugin, name, taken)
        assert taken.megabytes < MEGABYTES, (plugin, name, taken)


CACHE_DAMAGES: dict[str, Damage] = {
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Harm(path.with_name("canary")))),
    "a header of 2^60": instead((2**60).to_bytes(8, "little") + b"{}"),
    "a lost half": stored(lambda c: c[: len(c) // 2]),
    "a changed value": stored(lambda c: flipped(c, -1)),
    "a terabyte of holes": holes(2**40),
    "a pipe": replaced(os.mkfifo),
    "a link out of the folder": linked_out,
    "a link to a device": replaced(lambda path: path.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("damage", CACHE_DAMAGES)
def test_a_damaged_file_of_the_cache_is_made_again(damage: str, tmp_path: Path) -> None:
    _, case = next(image_cases(""))
    case.make(tmp_path)
    pictures = dataset("image_folder", {"root": f"{tmp_path}/images", "size": 280})
    first = cache.load_splits(pictures, tmp_path / "cache", keep=True)
    (file,) = (tmp_path / "cache").iterdir()
    CACHE_DAMAGES[damage](file)
    again = cache.load_splits(pictures, tmp_path / "cache", keep=True)
    assert isinstance(first.train, TensorDataset)
    assert isinstance(again.train, TensorDataset)
    assert again.train.tensors[0].equal(first.train.tensors[0])
    assert not file.is_symlink()
    assert tensorfile.load(file)[0]["train/inputs"].equal(first.train.tensors[0])
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {file.name}

"""Images of a folder: each is what a viewer shows, and what is none is told or left out."""

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch.utils.data import TensorDataset

from experiments import DataError, Splits, Task, lookup
from plugins.dataset._picture import _imagefile, _pictures, _pixels

SIDE = 6
Pixels = NDArray[Any]
BYTES = st.integers(0, 255)


def pixels(*shape: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def shown(
    image: Image.Image, folder: Path, suffix: str = "png", *, size: int = SIDE, **options: Any
) -> Pixels:
    """Write an image and return what becomes of it [height, width, channels], 0 to 255."""
    form: dict[str, Any] = {"grey": False, "background": "white"}
    form |= {key: options.pop(key) for key in form if key in options}
    path = folder / f"image.{suffix}"
    image.save(path, **options)
    deep = _imagefile.head(path).deep
    dtype = torch.float32 if deep else torch.uint8
    pictures = _pictures.Pictures([(str(path), 0)], _pixels.Form(size, dtype=dtype, **form))
    found, _ = pictures[0]
    assert found.dtype == dtype
    return found.permute(1, 2, 0).numpy().astype(float)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


# What a camera does before it writes each orientation: the inverse of what a viewer does.
TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: np.rot90,
    7: lambda a: np.rot90(a[::-1]),
    8: lambda a: np.rot90(a, -1),
}


@given(st.sampled_from(list(TURNS)), st.sampled_from(["png", "tiff", "webp", "apng"]), BYTES)
def test_an_image_is_upright(folder: Path, orientation: int, suffix: str, seed: int) -> None:
    seen = pixels(SIDE, SIDE, 3, seed=seed)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](seen)))
    options = {"lossless": True} if suffix == "webp" else {}
    if suffix == "apng":
        options = {"format": "png"}
    assert (shown(stored, folder, suffix, exif=exif, **options) == seen).all()


@given(st.sampled_from(list(TURNS)), BYTES)
def test_an_oblong_image_is_what_pillow_makes_of_it(
    folder: Path, orientation: int, seed: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(pixels(9, 14, 3, seed=seed))
    found = shown(stored, folder, "png", size=5, exif=exif)
    with Image.open(folder / "image.png") as image:
        wanted = ImageOps.fit(ImageOps.exif_transpose(image), (5, 5), Image.Resampling.BILINEAR)
    assert (found == np.asarray(wanted)).all()


def test_a_turn_that_stands_in_xmp_alone_is_made(folder: Path) -> None:
    seen = pixels(SIDE, SIDE, 3)
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    stored = Image.fromarray(np.ascontiguousarray(TURNS[6](seen)))
    assert (shown(stored, folder, "webp", xmp=xmp, lossless=True) == seen).all()


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0"]
)
def test_damaged_metadata_leave_an_image_as_it_is_stored(folder: Path, exif: bytes) -> None:
    seen = pixels(SIDE, SIDE, 3)
    assert (shown(Image.fromarray(seen), folder, "webp", exif=exif, lossless=True) == seen).all()


def seen_over(background: tuple[int, ...], image: Image.Image) -> Pixels:
    values = np.asarray(image.convert("RGBA")).astype(float)
    alpha = values[..., 3:] / 255
    return alpha * values[..., :3] + (1 - alpha) * np.array(background)


def paletted(rgba: Pixels) -> Image.Image:
    """Return an image with a palette, one of whose colours is transparent."""
    image = Image.fromarray(rgba[..., :3]).quantize(8)
    image.info["transparency"] = 3
    return image


TRANSPARENT: dict[str, tuple[str, Callable[[Pixels], Image.Image]]] = {
    "LA": ("png", lambda a: Image.fromarray(a).convert("LA")),
    "RGBA": ("png", Image.fromarray),
    "RGBA of webp": ("webp", Image.fromarray),
    "RGBA of tiff": ("tiff", Image.fromarray),
    "P": ("png", paletted),
    "P of gif": ("gif", paletted),
}
COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "#ff8000": (255, 128, 0)}


@given(st.sampled_from(list(TRANSPARENT)), st.sampled_from(list(COLOURS)), st.booleans(), BYTES)
def test_what_is_transparent_shows_the_background(
    folder: Path, kind: str, background: str, grey: bool, seed: int
) -> None:
    suffix, make = TRANSPARENT[kind]
    image = make(pixels(SIDE, SIDE, 4, seed=seed))
    options: dict[str, Any] = {"lossless": True, "exact": True} if suffix == "webp" else {}
    if "transparency" in image.info:
        options["transparency"] = image.info["transparency"]
    found = shown(image, folder, suffix, background=background, grey=grey, **options)
    with Image.open(folder / f"image.{suffix}") as written:
        wanted = seen_over(COLOURS[background], written)
    if grey:
        wanted = (wanted @ [0.299, 0.587, 0.114])[..., None]
    assert abs(found - wanted).max() <= 1.5


@given(st.sampled_from(["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB"]), st.booleans(), BYTES)
def test_an_image_of_any_mode_is_what_pillow_shows(
    folder: Path, mode: str, grey: bool, seed: int
) -> None:
    seen = pixels(SIDE, SIDE, 3, seed=seed)
    lab = mode == "LAB"  # which Pillow does not make of other colours
    image = (
        Image.frombytes(mode, (SIDE, SIDE), seen.tobytes())
        if lab
        else Image.fromarray(seen).convert(mode)
    )
    wanted = image.convert("RGB") if lab else image
    wanted = wanted.convert("L" if grey else "RGB")
    found = shown(image, folder, "tiff", grey=grey)
    assert (found == np.atleast_3d(np.asarray(wanted))).all()


DEEP: dict[str, tuple[str, Callable[[Pixels], Image.Image]]] = {
    "16 bits": ("png", lambda a: Image.fromarray((a * 257).astype(np.uint16))),
    "16 bits of tiff": ("tiff", lambda a: Image.fromarray((a * 257).astype(np.uint16))),
    "16 bits, high byte first": (
        "tiff",
        lambda a: Image.frombytes("I;16B", a.shape[::-1], (a * 257).astype(">u2").tobytes()),
    ),
    "16 bits of pgm": ("pgm", lambda a: Image.fromarray((a * 257).astype(np.int32))),
    "32 bits": ("tiff", lambda a: Image.fromarray((a * 257).astype(np.int32))),
    "floats": ("tiff", lambda a: Image.fromarray((a / 255).astype(np.float32))),
    "floats of pfm": ("pfm", lambda a: Image.fromarray((a / 255).astype(np.float32))),
    "floats beyond 1": ("tiff", lambda a: Image.fromarray((a * 31 - 70).astype(np.float32))),
    "32 bits beyond 16": ("tiff", lambda a: Image.fromarray((a * 70001 - 9).astype(np.int32))),
}


@given(st.sampled_from(list(DEEP)), st.sampled_from([1, 6]), st.booleans(), BYTES)
def test_deep_greys_are_scaled_by_their_range(
    folder: Path, kind: str, orientation: int, grey: bool, seed: int
) -> None:
    seen = pixels(SIDE, SIDE, seed=seed).astype(float)
    seen[0, :2] = 0, 255
    suffix, make = DEEP[kind]
    options: dict[str, Any] = {}
    if suffix in ("png", "tiff"):
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    else:
        orientation = 1
    found = shown(make(TURNS[orientation](seen)), folder, suffix, grey=grey, **options)
    assert found.shape == (SIDE, SIDE, 1 if grey else 3)
    assert abs(found - seen[..., None]).max() < 0.001


def test_a_deep_grey_may_be_transparent(folder: Path) -> None:
    stored = np.array([[0, 65535], [771, 257]], np.uint16)
    options = {"size": 2, "grey": True, "background": "#808080", "transparency": 771}
    found = shown(Image.fromarray(stored), folder, **options)
    assert found[..., 0].tolist() == [[0, 255], [128, 1]]


def test_the_greys_of_12_bits_in_16_stay_apart(folder: Path) -> None:
    stored = np.arange(36, dtype=np.uint16).reshape(SIDE, SIDE) + 3000
    found = shown(Image.fromarray(stored), folder, grey=True)
    assert len(np.unique(found)) == 36
    assert np.allclose(found[..., 0] * 257, stored, atol=0.01)


def test_numbers_that_are_not_finite_are_no_image(folder: Path) -> None:
    with pytest.raises(DataError, match="finite"):
        shown(Image.fromarray(np.full((4, 4), np.nan, np.float32)), folder, "tiff")


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_of_several_frames_the_first_is_taken(folder: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (SIDE, SIDE), color) for color in ("red", "blue", "lime")]
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    found = shown(frames[0], folder, suffix, save_all=True, append_images=frames[1:], **options)
    assert (found == [255, 0, 0]).all()
    assert _imagefile.head(folder / f"image.{suffix}").animated


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_an_image_of_a_pixel_or_of_a_line_is_one(size: tuple[int, int], folder: Path) -> None:
    assert (shown(Image.new("RGB", size, (9, 8, 7)), folder) == [9, 8, 7]).all()


def load(root: Path, **settings: Any) -> Splits:
    made = lookup("dataset", "image_folder")(root=str(root), **{"size": SIDE} | settings)
    splits = made.load()  # type: ignore[attr-defined]
    assert isinstance(splits, Splits)
    return splits


def write(root: Path, *names: str, count: int = 10) -> Path:
    """Write images into folders, each of its own pixels."""
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for k in range(count):
            seen = pixels(SIDE, SIDE, 3, seed=100 * number + k)
            Image.fromarray(seen).save(root / name / f"{k}.png")
    return root


def images(splits: Splits) -> torch.Tensor:
    """Return the images of all splits [N, channels, height, width]."""
    parts = (splits.train, splits.val, splits.test)
    return torch.stack([part[k][0] for part in parts for k in range(len(part))])  # type: ignore[arg-type]


def test_what_a_camera_turned_is_learnt_as_it_was_seen(tmp_path: Path) -> None:
    for name in ("left", "top"):
        (tmp_path / name).mkdir()
        for k in range(6):
            seen = np.full((SIDE, SIDE), 20 + k, np.uint8)
            seen[:, :2] = 255
            seen = seen if name == "left" else seen.T
            exif = Image.Exif()
            if name == "top" and k % 2:
                exif[0x0112], seen = 6, np.rot90(seen)
            Image.fromarray(np.ascontiguousarray(seen)).save(
                tmp_path / name / f"{k}.jpg", exif=exif, quality=95
            )
    splits = load(tmp_path, grey=True)
    inputs, targets = splits.train.tensors  # type: ignore[attr-defined]
    assert splits.spec.task is Task.classification
    assert splits.reason == "2 folders, one a class"
    bright = inputs[:, 0].double() > 128
    assert (bright[:, 5, 0] == (targets == 0)).all()
    assert (bright[:, 0, 5] == (targets == 1)).all()


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("grey", [True, False])
def test_figures_are_of_the_train_split(tmp_path: Path, resident: bool, grey: bool) -> None:
    splits = load(write(tmp_path, "a", "b"), resident=resident, grey=grey)
    train = torch.stack([splits.train[k][0] for k in range(len(splits.train))])  # type: ignore[arg-type]
    values = train.double().transpose(0, 1).flatten(1)
    shape = (1 if grey else 3, 1, 1)
    for found, wanted in (
        (splits.spec.mean, values.mean(1)),
        (splits.spec.std, values.std(1, correction=0)),
    ):
        assert torch.allclose(torch.as_tensor(found), wanted.view(shape).float())


def test_figures_of_many_images_are_of_a_sample_in_memory_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pictures, "_SAMPLE", 4)
    write(tmp_path, "a", "b")
    inside, outside = (load(tmp_path, resident=resident).spec for resident in (True, False))
    assert torch.as_tensor(inside.mean).equal(torch.as_tensor(outside.mean))
    assert torch.as_tensor(inside.std).equal(torch.as_tensor(outside.std))


def test_other_figures_are_a_setting(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    none, net = (load(tmp_path, normalise=_normalise(name)).spec for name in ("none", "imagenet"))
    assert (none.mean, none.std) == (0, 255)
    assert torch.as_tensor(net.mean).flatten().tolist() == pytest.approx(
        [123.7, 116.3, 103.5], 0.01
    )


def test_a_channel_that_never_changes_is_not_scaled_up(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(9):
            Image.new("RGB", (SIDE, SIDE), (40, 41, 7 * k)).save(tmp_path / name / f"{k}.png")
    assert torch.as_tensor(load(tmp_path).spec.std).flatten()[:2].tolist() == [255, 255]


def _setting(field: str, value: str) -> Any:
    cls = lookup("dataset", "image_folder")
    return type(getattr(cls(root=""), field))[value]


def _normalise(value: str) -> Any:
    return _setting("normalise", value)


def test_hidden_files_and_folders_are_no_items(tmp_path: Path) -> None:
    root = write(tmp_path / ".home" / "images", "a", "b", "a/.ipynb_checkpoints", "__MACOSX", ".c")
    shutil.copy(root / "a" / "0.png", root / "a" / "._0.png")
    (root / "b" / "notes.txt").write_text("?")
    splits = load(root)
    assert splits.spec.classes == ("a", "b")
    assert len(images(splits)) == 20
    assert splits.notes == ("files left out by the endings of their names: .txt (1)",)


def test_a_link_that_is_refused_names_the_setting_that_follows_it(tmp_path: Path) -> None:
    root = write(tmp_path / "root", "a", "b")
    write(tmp_path, "outside")
    (root / "a" / "linked").symlink_to(tmp_path / "outside")
    (root / "b" / "linked.png").symlink_to(tmp_path / "outside" / "0.png")
    with pytest.raises(DataError, match=r"a/linked.* link out of it; dataset\.links=follow"):
        load(root)
    (root / "a" / "linked").unlink()
    with pytest.raises(DataError, match=r"b/linked\.png.* dataset\.links=follow"):
        load(root)
    (root / "a" / "linked").symlink_to(tmp_path / "outside")
    assert len(images(load(root, links=_setting("links", "follow")))) == 31


@pytest.mark.parametrize("links", ["refuse", "follow"])
def test_links_are_followed_in_no_circle(tmp_path: Path, links: str) -> None:
    root = write(tmp_path / "root", "a", "b", "b/deeper")
    for name, target in (("again", "."), ("up", ".."), ("deeper/round", "../../b/deeper")):
        (root / "b" / name).symlink_to(target)
    assert len(images(load(root, links=_setting("links", links)))) == 30


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_folders_of_splits_have_their_usual_names(tmp_path: Path, name: str) -> None:
    write(tmp_path, "training/a", "training/b", f"{name}/a", "testing/b")
    splits = load(tmp_path)
    assert splits.spec.classes == ("a", "b")
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [20, 10, 10]  # type: ignore[arg-type]
    assert {int(splits.test[k][1]) for k in range(10)} == {1}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert load(write(tmp_path, "plane", "train", "val")).spec.classes == ("plane", "train", "val")


def test_folders_of_no_split_are_told(tmp_path: Path) -> None:
    write(tmp_path, "train/a", "train/b", "dev/a", "dev/b")
    assert load(tmp_path).notes == ("folders left out, which are of no split: dev",)


def damage(root: Path) -> Path:
    """Leave three files that are no images, one that is too large, and one that lost its end."""
    write(root, "a", "b")
    (root / "a" / "2.png").write_bytes(b"")
    (root / "a" / "5.png").write_bytes(b"no image")
    (root / "b" / "1.png").write_bytes((root / "b" / "1.png").read_bytes()[:60])
    Image.fromarray(pixels(200, 200, 3)).save(root / "b" / "3.jpg")
    os.truncate(root / "b" / "3.jpg", 20_000)
    large = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(large, "png")
    (root / "b" / "4.png").write_bytes(large.getvalue())
    return root


def test_broken_files_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(damage(tmp_path))
    line = str(caught.value)
    assert line.startswith(
        f"5 of 21 images cannot be read: {tmp_path}/a/2.png (expected an image, found an empty "
        "file), a/5.png (expected an image of BMP"
    )
    assert "b/1.png" in line
    assert "b/3.jpg" not in line
    assert line.endswith("dataset.broken=skip goes on without them.")
    assert "\n" not in line


@pytest.mark.parametrize("resident", [True, False])
def test_broken_files_are_left_out_and_recorded(tmp_path: Path, resident: bool) -> None:
    splits = load(damage(tmp_path), broken=_setting("broken", "skip"), resident=resident)
    assert len(images(splits)) == 16
    notes = "\n".join(splits.notes)
    assert "5 of 21 images cannot be read" in notes
    for name in ("a/2.png", "a/5.png", "b/1.png", "b/3.jpg", "b/4.png"):
        assert name in notes


def test_an_image_of_100_megapixels_is_told_with_the_limit(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    Image.new("1", (10_000, 10_000)).save(tmp_path / "a" / "0.png")
    with pytest.raises(DataError, match="at most 67108864 pixels, found 10000 x 10000"):
        load(tmp_path)


def test_without_room_a_file_that_breaks_late_is_named_with_the_setting(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    splits = load(tmp_path, resident=False)
    for file in tmp_path.rglob("*.png"):
        os.truncate(file, 60)
    with pytest.raises(DataError, match=r"\.png: expected an image.* dataset\.broken=skip"):
        images(splits)


def test_a_class_or_split_of_broken_files_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "train/a", "train/b", "val/a")
    for file in (tmp_path / "train" / "b").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match="expected images of b, found none"):
        load(tmp_path, broken=_setting("broken", "skip"))


def test_what_is_in_train_and_elsewhere_is_told_without_room(tmp_path: Path) -> None:
    write(tmp_path, "train/a", "train/b")
    assert load(tmp_path, resident=False).warnings == ()
    shutil.copytree(tmp_path / "train" / "a", tmp_path / "val" / "b")
    (warning,) = load(tmp_path, resident=False, test_fraction=0.4).warnings
    assert "of 10 images of val are in train, too" in warning


def test_the_same_images_are_in_the_splits_with_and_without_room(tmp_path: Path) -> None:
    write(tmp_path, "a", "b", count=30)
    inside, outside = (load(tmp_path, resident=resident) for resident in (True, False))
    assert isinstance(inside.train, TensorDataset)
    assert images(inside).equal(images(outside))


NAMES = ["Ж", "猫", "犬", "ñ", "é", "العربية", "a b", "a=b", "ß", "🐈"]


@settings(max_examples=15)
@given(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True))
def test_classes_have_names_in_any_script(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    root = write(tmp_path_factory.mktemp("names"), *names, count=4)
    assert load(root).spec.classes == tuple(sorted(names))


def test_an_accent_may_be_stored_in_two_ways(tmp_path: Path) -> None:
    write(tmp_path, "train/\u00e9", "train/b", "val/e\u0301", "val/b")
    splits = load(tmp_path)
    assert splits.spec.classes == ("b", "\u00e9")
    assert sorted(int(splits.val[k][1]) for k in range(20)) == [0] * 10 + [1] * 10


def test_a_name_that_is_no_text_is_told_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")  # noqa: PTH102 - a path of bytes
    with pytest.raises(DataError, match=r"\\udcff"):
        load(tmp_path)


def test_one_class_is_told_with_the_folder_that_has_more(tmp_path: Path) -> None:
    write(tmp_path, "PetImages/Cat", "PetImages/Dog")
    with pytest.raises(DataError, match=r"at least 2 .* found 1, PetImages; .*root=\S*/PetImages"):
        load(tmp_path)
    with pytest.raises(DataError, match=r"found 1, Cat\.$"):
        shutil.rmtree(tmp_path / "PetImages" / "Dog")
        load(tmp_path / "PetImages")


def test_images_without_folders_are_told(tmp_path: Path) -> None:
    write(tmp_path, "a")
    with pytest.raises(DataError, match="found none, and 10 images in no such folder"):
        load(tmp_path / "a")


@pytest.mark.parametrize("background", ["whit", "#12", "#12345678", ""])
def test_a_background_is_a_colour(background: str) -> None:
    with pytest.raises(ValueError, match="must be a colour's name, or #rrggbb"):
        lookup("dataset", "image_folder")(root="x", background=background)


@pytest.mark.parametrize("resident", [True, False])
def test_deep_greys_among_others_make_all_items_floats(tmp_path: Path, resident: bool) -> None:
    write(tmp_path, "a", "b")
    deep = Image.fromarray(np.full((SIDE, SIDE), 300, np.uint16))
    deep.save(tmp_path / "a" / "0.png")
    splits = load(tmp_path, resident=resident)
    found = images(splits)
    assert found.dtype == torch.float32
    assert ((found - 300 / 257).abs() < 1e-4).flatten(1).all(1).sum() == 1
    assert (found == found.round()).flatten(1).all(1).sum() == 19
    assert splits.notes[0].endswith("which are scaled to 0 to 255: 1")

"""Recipes: TOML files that define the content of a training set (`enhance_np/pairs/recipes/`)."""

import hashlib
import json
import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from .._errors import avoidable
from ..config import TYPES
from ..optics.degrade import HMI, PSFS, Optics
from ..sun.scene import KINDS, check
from . import recipes
from .sources import SIDES, WHOLE, Field, Source, Synthetic, check_sides

LARGEST = 50_000  # bytes, because an attribute of HDF5 is limited to 64 kB
PER_METRE = 1e10  # angstrom


@dataclass(frozen=True)
class Augmentation:
    """What is drawn at random for each patch (zoom: for each scene); see the shipped recipes.

    rotation : by any angle, and mirrored or not.  zoom : (low, high) factor on the pixel scale.
    brightness : share of the patches whose contrast about 1 is multiplied by `contrast` and whose
        intensity is then multiplied by `factor`, both (low, high).
    strength : (low, high) factor on the field.
    symmetries, polarity : drawn by the training loop for each batch.
    """

    rotation: bool = False
    zoom: tuple[float, float] = (1.0, 1.0)
    brightness: float = 0.0
    factor: tuple[float, float] = (1.0, 1.0)
    contrast: tuple[float, float] = (1.0, 1.0)
    strength: tuple[float, float] = (1.0, 1.0)
    symmetries: bool = False
    polarity: bool = False


class Noise(NamedTuple):
    cadence: str
    sigma: float  # over the quiet Sun, or kG
    share: float  # of the patches, relative to the other shares


@dataclass(frozen=True)
class Recipe:
    """The content of a training set; the shipped recipes explain the fields.

    train, validation, test : numbers of patches; test may be 0.
    name, text : of the file.  changes : values that differ from those in the text.
    checksums : sha256 of the used fields, by file.
    """

    type: str
    sources: tuple[Source, ...]
    train: int
    validation: int
    test: int = 0
    patch: int = 50
    seed: int = 0
    optics: Optics = HMI
    augmentation: Augmentation = Augmentation()
    noise: tuple[Noise, ...] = ()
    name: str = ""
    text: str = ""
    changes: dict = field(default_factory=dict)
    checksums: dict = field(default_factory=dict)

    def on(self, folder: str | Path | None) -> "Recipe":
        """The recipe with the fields in a folder; with None only its synthetic sources.

        Raises OSError for a file that is missing or unreadable; ValueError if its sha256 differs,
        if two boxes are less than GUARD arcsec apart, or if there is no synthetic source.
        """
        if folder is None:
            found = tuple(s for s in self.sources if s.seeded)
            if not found:
                message = (
                    f"recipe: the folder of its fields must be named, got none for {self.name}"
                )
                raise avoidable(ValueError(message), "fields")
            changes = {} if len(found) == len(self.sources) else {"fields": None}
            return replace(self, sources=found, changes=self.changes | changes)
        found, checksums = [], {}
        for source in self.sources:
            if not source.seeded:
                file, wanted = source.load.path, self.checksums.get(str(source.load.path))
                source = replace(source, load=replace(source.load, path=Path(folder) / file))
                checksums[str(file)] = _checksum(source.load.path, wanted)
                check_sides(source, source.load.size)
            found.append(source)
        return replace(self, sources=tuple(found), checksums=checksums)

    def changed(self, **changes) -> "Recipe":
        """The recipe with some values replaced (None keeps a value) and noted in `changes`."""
        given = {k: v for k, v in changes.items() if v is not None and v != getattr(self, k)}
        plain = {k: v for k, v in given.items() if k != "optics"}
        if "optics" in given:
            plain |= given["optics"].attributes()
        return replace(self, **given, changes=self.changes | plain)

    def attributes(self) -> dict[str, Any]:
        """Attributes of a file of pairs: everything that the patches depend on."""
        sha256 = hashlib.sha256(self.text.encode()).hexdigest()
        about = f"recipe {self.name}, sha256 {sha256}, seed {self.seed}"
        if self.changes:
            about += f", with {json.dumps(self.changes)}"
        listed = [
            {"name": s.name, "weight": s.weight} | {side: getattr(s, side) for side in SIDES}
            for s in self.sources
        ]
        return {
            "about": about,
            "recipe": self.text,
            "recipe_name": self.name,
            "recipe_sha256": sha256,
            "recipe_changes": json.dumps(self.changes),
            "fields_sha256": json.dumps(self.checksums),
            "sources": json.dumps(listed),
            "symmetries": self.augmentation.symmetries,
            "polarity": self.augmentation.polarity,
        } | self.optics.attributes()


def _checksum(path, wanted):
    if not path.is_file():
        raise FileNotFoundError(f"recipe: the file must exist, got {path}")
    with open(path, "rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if wanted is not None and found != wanted:
        raise ValueError(f"recipe: sha256 of {path} must be {wanted}, got {found}")
    return found


def read(name: str | Path) -> Recipe:
    """The shipped recipe "intensity" or "blos", or the recipe in a file *.toml.

    Raises OSError for a file that cannot be read; ValueError for a key that is unknown, missing,
    of a wrong kind or out of range, in one line with the key, what it must be, and the file.
    """
    path = recipes.path(str(name)) if str(name) in TYPES else Path(name)
    if not path.is_file():
        raise FileNotFoundError(
            f"recipe: must be one of {', '.join(TYPES)} or a file *.toml, got {path}"
        )
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except ValueError as error:  # of TOML and of UTF-8
        raise ValueError(f"recipe: needs a TOML file, got {path} ({error})") from None
    if len(text.encode()) > LARGEST:
        raise ValueError(f"recipe: must have {LARGEST} bytes or fewer, got {path}")
    top = _Table(values, "", path)
    type = top.take("type", _one_of(TYPES))
    numbers = {side: top.take(side, _integer(0 if side == "test" else 1)) for side in SIDES}
    numbers |= {"patch": top.take("patch", _integer(1), 50), "seed": top.take("seed", _integer(0))}
    optics, augmentation = _optics(top.table("optics")), _augmentation(top.table("augmentation"))
    noise = tuple(_noise(table) for table in top.tables("noise"))
    checksums, sources = {}, []
    for table in top.tables("source"):
        sources.append(_source(table, type, checksums))
    top.end()
    names = [source.name for source in sources]
    if not 1 <= len(sources) <= 256 or len(set(names)) < len(names):
        raise ValueError(
            f"recipe: there must be 1 to 256 tables [[source]], each with its own name, "
            f"got {names} in {path}"
        )
    foreign = augmentation.polarity or augmentation.strength != (1.0, 1.0)
    if augmentation.brightness if type == "blos" else foreign:
        raise ValueError(
            f"recipe: in [augmentation], brightness is only for intensity, and polarity and "
            f"strength only for blos, got type = {type!r} in {path}"
        )
    return Recipe(
        type,
        tuple(sources),
        **numbers,
        optics=optics,
        augmentation=augmentation,
        noise=noise,
        name=path.stem,
        text=text,
        checksums=checksums,
    )


def _optics(table):
    positive = _number(0, above=True)
    found = {"psf": table.take("psf", _one_of(PSFS), HMI.psf)}
    for key in ("support", "aperture", "target_aperture", "hmi_scale"):
        found[key] = table.take(key, positive, getattr(HMI, key))
    wavelength = table.take("wavelength", positive, None)
    # 6173 / 1e10 is 6173e-10, unlike 6173 * 1e-10
    found["wavelength"] = HMI.wavelength if wavelength is None else wavelength / PER_METRE
    table.end()
    return Optics(**found)


def _augmentation(table):
    found = {key: table.take(key, BOOLEAN, False) for key in ("rotation", "symmetries", "polarity")}
    for key, limits in (("zoom", (0.5, 2)), ("strength", (0.01, 10))):
        found[key] = table.take(key, _range(*limits), (1.0, 1.0))
    light = table.table("brightness")
    found["brightness"] = light.take("share", _number(0, 1), 0.0)
    found["factor"] = light.take("factor", _range(0.01, 10), (1.0, 1.0))
    found["contrast"] = light.take("contrast", _range(0, 10), (1.0, 1.0))
    light.end()
    table.end()
    return Augmentation(**found)


def _noise(table):
    found = Noise(
        table.take("cadence", TEXT),
        table.take("sigma", _number(0, 10)),
        table.take("share", _number(0, above=True)),
    )
    table.end()
    return found


def _source(table, type, checksums):
    name = table.take("name", TEXT)
    table.where = f"{name}: "
    weight = table.take("weight", _number(0, above=True))
    scale = table.take("pixel_scale", _number(0, above=True))
    for key in ("licence", "origin"):  # for the reader of the file
        table.take(key, TEXT, "")
    if "synthetic" in table.values:
        kind = table.take("synthetic", _one_of(KINDS))
        shape = table.take("shape", SHAPE)
        table.end()
        try:
            check(0, shape, scale, kind)
        except ValueError as error:
            raise ValueError(f"recipe: {name}: {error} in {table.file}") from None
        load = Synthetic(kind, type, shape, scale)
        return Source(name, load, weight, WHOLE, WHOLE, WHOLE, seeded=True)
    file = Path(table.take("file", TEXT))
    unit = table.take("unit", UNIT if type == "intensity" else _number(0, above=True))
    load = Field(
        file,
        scale,
        None if unit == "mean" else unit,
        table.take("seen_through", _number(0, above=True), None),
        table.take("finer", _integer(1), 1),
    )
    sha256 = table.take("sha256", SHA256, None)
    boxes = {side: table.take(side, BOX, None) for side in SIDES}
    table.end()
    if sha256 is not None:
        checksums[str(file)] = sha256
    source = Source(name, load, weight, **boxes)
    if not source.boxes:
        raise ValueError(
            f"recipe: {name} must have train, validation or test, got none in {table.file}"
        )
    return source


class _Kind(NamedTuple):
    must: str
    fits: Callable[[Any], bool]
    make: Callable[[Any], Any] = lambda value: value


class _Table:
    """A table of TOML. Each key is taken once; `end` raises an error for any key that is left."""

    def __init__(self, values, where, file):
        self.values, self.where, self.file, self.known = values, where, file, set()

    def take(self, key, kind, default=...):
        self.known.add(key)
        value = self.values.get(key, default)
        if key not in self.values and default is not ...:
            return default
        if key not in self.values or not kind.fits(value):
            got = "nothing" if key not in self.values else repr(value)
            raise ValueError(
                f"recipe: {self.where}{key} must be {kind.must}, got {got} in {self.file}"
            )
        return kind.make(value)

    def table(self, key):
        found = self.take(key, _Kind("a table", lambda v: isinstance(v, dict)), {})
        return _Table(found, f"{self.where}{key}.", self.file)

    def tables(self, key):
        many = _Kind(
            f"tables [[{key}]]",
            lambda v: isinstance(v, list) and all(isinstance(t, dict) for t in v),
        )
        found = self.take(key, many, [])
        return [_Table(t, f"{key} {i}: ", self.file) for i, t in enumerate(found, 1)]

    def end(self):
        if unknown := sorted(self.values.keys() - self.known):
            raise ValueError(
                f"recipe: {self.where}{unknown[0]} must be one of "
                f"{', '.join(sorted(self.known))}, got an unknown key in {self.file}"
            )


def _plain(value, least, most, above=False):
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return least <= value <= most and value < math.inf and not (above and value == least)


def _number(least, most=math.inf, above=False):
    bound = f"above {least}" if above else f"{least} or more"
    bound += f" and {most} or less" if most < math.inf else ""
    return _Kind(f"a number {bound}", lambda v: _plain(v, least, most, above), float)


def _integer(least):
    return _Kind(
        f"an integer {least} or more",
        lambda v: isinstance(v, int) and _plain(v, least, math.inf),
    )


def _range(least, most):
    return _Kind(
        f"[low, high] within {least} to {most}",
        lambda v: _list(v, 2, least, most) and v[0] <= v[1],
        lambda v: tuple(map(float, v)),
    )


def _list(value, count, least, most):
    if not isinstance(value, list) or len(value) != count:
        return False
    return all(_plain(v, least, most) for v in value)


def _one_of(names):
    return _Kind(f"one of {', '.join(names)}", lambda v: isinstance(v, str) and v in names)


BOOLEAN = _Kind("true or false", lambda v: isinstance(v, bool))
TEXT = _Kind("a text", lambda v: isinstance(v, str) and v != "")
UNIT = _Kind('"mean" or a number above 0', lambda v: v == "mean" or _plain(v, 0, math.inf, True))
SHA256 = _Kind(
    "64 hexadecimal digits",
    lambda v: isinstance(v, str) and len(v) == 64 and not set(v) - set("0123456789abcdef"),
)
SHAPE = _Kind(
    "[rows, columns]",
    lambda v: isinstance(v, list) and len(v) == 2 and all(type(n) is int and n > 0 for n in v),
    tuple,
)
BOX = _Kind(
    "[y0, y1, x0, x1] with 0 <= y0 < y1 <= 1 and 0 <= x0 < x1 <= 1",
    lambda v: _list(v, 4, 0, 1) and v[0] < v[1] and v[2] < v[3],
    lambda v: tuple(map(float, v)),
)

"""A study file to the space of its points. Everything is checked before the first point is evaluated."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from clustercast.catalog import read
from clustercast.errors import ClustercastError
from clustercast.estimates.question import Asked
from clustercast.studies.sweep import conditions, names, outputs
from clustercast.studies.sweep.space import (
    LEGAL,
    MOST_POINTS,
    MOST_SAMPLES,
    PART_GIVEN,
    PART_SEARCHED,
    PART_SERVING_SEARCHED,
    SERVING,
    SOBOL,
    Axis,
    Range,
    Samples,
    Space,
)
from clustercast.studies.sweep.values import Reader, UnfitValue

if TYPE_CHECKING:
    from clustercast.estimates.ranges import Parameter

Place = tuple[str | int, ...]

NEEDED = ("chip", "model")
TRIED_PAIRS = 200  # chips and models that are tried until one has numbers at all


def read_study(path: str | Path, known_outputs: Sequence[str] | None = None) -> Space:
    """The study of a file. Raises WrongInput: file, line, field, what is wrong, what was expected.

    known_outputs  what a study may ask for; None: what `studies.sweep.outputs` has of its half
    """
    file = Path(path)
    return _Study(read.read_bytes(file), file, known_outputs).space()


def study_of(text: str, name: str, known_outputs: Sequence[str] | None = None) -> Space:
    """The study of a text, for who has no file.

    name  what errors call it
    """
    return _Study(text.encode(), Path(name), known_outputs).space()


class _Study:
    """A study file while it is read."""

    def __init__(self, content: bytes, file: Path, known_outputs: Sequence[str] | None) -> None:
        if len(content) > read.MAX_BYTES:
            raise read.wrong(file, "", f"is larger than 1 MiB ({read.MAX_BYTES} bytes), expected a short file")
        self.content, self.file = content, file
        self.text = read.text_of(content, file)
        self.data = _checked(self)
        self.about = str(self.data["about"])
        self.known_outputs = known_outputs
        self.reader = Reader(self.about, self._parameters, self.data.get("optimise") == "plan")

    def wrong(self, place: Place, message: str, hint: str | None = None) -> NoReturn:
        """Raise the error for one place of the file."""
        where = ".".join(str(each) if str(each).isprintable() else repr(each) for each in place)
        raise read.wrong(self.file, where, message, line=read.line_of(self.content, place), hint=hint)

    def at(self, place: Place, make: Callable[[], Any]) -> Any:
        """What `make` gives; what does not fit is said with its place."""
        try:
            return make()
        except UnfitValue as error:
            self.wrong((*place, *error.place), error.message, error.hint)

    def space(self) -> Space:
        """The whole study."""
        axes = self._axes()
        fixed, relative = self._fixed()
        samples = self._samples()
        self._needed()
        searched = self.data.get("optimise") == "plan"
        if self.about == SERVING:
            self._serving(searched)
        usual_size = PART_GIVEN
        if searched:
            usual_size = PART_SERVING_SEARCHED if self.about == SERVING else PART_SEARCHED
        found = Space(
            title=" ".join(str(self.data["title"]).split()),
            about=self.about,
            axes=axes,
            samples=samples,
            fixed=fixed,
            relative_fixed=relative,
            conditions=tuple(self.data.get("where") or ()),
            optimise=searched,
            outputs=self._outputs(),
            keep=self.data.get("keep", LEGAL),
            part_size=self.data.get("part_size") or usual_size,
            text=self.text,
        )
        if found.n_points > MOST_POINTS:
            self.wrong(("axes",), f"are {found.n_points:.3g} points, expected at most {MOST_POINTS:.0e}")
        try:
            conditions.check(found)
        except conditions.UnfitCondition as error:
            self.wrong(("where", error.place), error.message, error.hint)
        return found

    def _axes(self) -> tuple[Axis, ...]:
        written = self.data["axes"]
        return tuple(self.at(("axes", name), partial(self.reader.axis, name, spec)) for name, spec in written.items())

    def _fixed(self) -> tuple[dict[str, Any], frozenset[str]]:
        found: dict[str, Any] = {}
        relative: set[str] = set()
        for name, written in self._mapping("fixed").items():
            if name in self.data["axes"]:
                self.wrong(("fixed", name), "is an axis too, expected one of both")
            value = self.at(("fixed", name), partial(self.reader.fixed, name, written))
            if value is not None:
                found[name] = value[0]
                relative |= {name} if value[1] else set()
        return found, frozenset(relative)

    def _samples(self) -> Samples | None:
        samples = self._mapping("samples")
        if not samples:
            return None
        if find_spec("scipy") is None:
            hint = "install it with: pip install 'clustercast[sweep]'"
            self.wrong(("samples",), "need the package scipy", hint)
        n, method = samples["n"], samples["method"]
        if method == SOBOL and n & (n - 1):
            hint = f"take {1 << (n.bit_length() - 1)} or {1 << n.bit_length()}"
            self.wrong(("samples", "n"), f"{n} is no power of two, which sobol needs", hint)
        if n > MOST_SAMPLES[method]:
            self.wrong(("samples", "n"), f"is {n}, expected at most {MOST_SAMPLES[method]:,} for {method}")
        ranges: list[Range] = []
        for name, spec in samples["axes"].items():
            place = ("samples", "axes", name)
            for other in ("axes", "fixed"):
                if name in self._mapping(other):
                    self.wrong(place, f"is in {other} too, expected one of both")
            ranges.append(self.at(place, partial(self.reader.drawn, name, spec)))
        return Samples(method, n, samples.get("seed", 0), tuple(ranges))

    def _mapping(self, field: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.data.get(field) or {}
        return found

    def _needed(self) -> None:
        for name in NEEDED:
            if name not in self.data["axes"] and name not in self._mapping("fixed"):
                self.wrong(("axes",), f"{name} is neither an axis nor fixed", f"add fixed: {{{name}: ...}}")

    def _serving(self, searched: bool) -> None:
        """What a layout for serving needs: it is searched as a whole or given with its batch."""
        given = (*self.data["axes"], *self._mapping("fixed"))
        if not searched and "batch" not in given:
            self.wrong(("axes",), "batch is neither an axis nor fixed", "or search it with optimise: plan")
        held = [name for name in names.PLANS[SERVING] if name in given]
        if searched and held:
            place = ("axes" if held[0] in self.data["axes"] else "fixed", held[0])
            self.wrong(place, "is given, but serving searches the whole layout", "leave out either this or optimise")

    def _outputs(self) -> tuple[str, ...]:
        import difflib

        if self.known_outputs is None:
            known: Sequence[str] = list(outputs.OUTPUTS[self.about])
            usual: Sequence[str] = outputs.USUAL[self.about]
        else:
            known = usual = self.known_outputs
        asked = tuple(self.data.get("outputs") or usual)
        for at, each in enumerate(asked):
            if each not in known:
                near = difflib.get_close_matches(each, known, 1, 0.7)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                self.wrong(("outputs", at), f"{each[:40]!r} is no output of {self.about}", hint)
            if each in asked[:at]:
                self.wrong(("outputs", at), f"{each!r} is there twice")
        return asked

    def _parameters(self) -> "dict[str, Parameter]":
        """Every number of the study's first question that can be put."""
        self._needed()
        try:
            return names.numbers_of(islice(self._questions(), TRIED_PAIRS), self.about)
        except ClustercastError as error:
            self.wrong(("axes",), error.message, error.hint)

    def _questions(self) -> Iterator[Asked]:
        """Questions of all chips, models, fabrics, stacks, engines and precisions, the first chip's first."""
        for chosen in product(*(self._choices(name) for name in names.TEXTS[self.about])):
            given: dict[str, Any] = {
                name: value for name, value in zip(names.TEXTS[self.about], chosen, strict=True) if value is not None
            }
            yield Asked(**given)

    def _choices(self, name: str) -> Sequence[str | None]:
        if name in self.data["axes"]:
            axis: Axis = self.at(("axes", name), partial(self.reader.axis, name, self.data["axes"][name]))
            return axis.values
        if name in self._mapping("fixed"):
            return [self.at(("fixed", name), partial(self.reader.fixed, name, self.data["fixed"][name]))[0]]
        return [None]


def _checked(study: _Study) -> dict[str, Any]:
    """The file's data, every field of a known name and of the kind it has to be."""
    from clustercast.catalog import schema

    data = read.parse(study.content, study.file)
    for place, text in _texts(data, ()):
        if not text.replace("\n", " ").isprintable():
            study.wrong(place, f"{text[:40]!r} holds a control character, expected plain text")
    try:
        schema.validate("study", data)
    except schema.UnfitError as unfit:
        of_axis = unfit.place[0] in ("axes", "fixed") and unfit.message.endswith("expected text")
        message = f"{unfit.message} or a number" if of_axis else unfit.message
        study.wrong(_in_file(unfit.place), message, unfit.hint)
    return data


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Every text of the data, keys too, with its place."""
    if isinstance(value, str):
        yield place, value
    pairs: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        if isinstance(key, str):
            yield (*place, key), key
        yield from _texts(item, (*place, key))


def _in_file(place: Place) -> Place:
    """A place as the file has it: the schema also names which form an axis is meant to be in."""
    return place[:2] + place[3:] if place[0] == "axes" and place[2:3] in _FORMS else place


_FORMS = (("list",), ("range",), ("group",))

"""Every class of settings refuses every value that its annotations do not allow, in words that name table and key."""

import datetime
import importlib
import math
import pkgutil
import re
from collections.abc import Mapping
from operator import ge, gt, le, lt
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import pytest
from annotated_types import Interval
from pydantic import BeforeValidator
from typing_extensions import is_typeddict

import encoding
from encoding.collection import ANNOTATORS
from encoding.comparison import Comparison, Rsa
from encoding.config import parse_config, read_config
from encoding.config.collect import read_collection
from encoding.core import ConfigError
from encoding.core.settings import LARGEST, SETTINGS, OneOf, Rule, annotations_of, descriptions_of, unwrap
from encoding.embedding import SOURCES, JudgmentTable
from encoding.fitting import MODELS, BandedRidge, Ridge

ROOT = Path(__file__).resolve().parents[2]

for module in pkgutil.walk_packages(encoding.__path__, "encoding."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
FIELDS = [(cls, key) for cls in SETTINGS for key in annotations_of(cls)]

POOL = [
    None, True, False, 0, 1, -1, 7, 100.5, 0.5, 1.0, math.nan, math.inf, -math.inf, 10**20, -(10**20), 10**400, 1e300,
    "", "x", "false", "1", "Schaefer2018-200", b"x", [], [""], ["x"], ["x", "x"], [True], [math.nan], [10**20], [1.5],
    [None], [[]], [["x"]], [[1]], [[["x"]]], {}, {"x": 1}, {"x": "y"}, {1: 2}, {"x"}, object(), 1j, range(3),
    datetime.date(2026, 1, 2), datetime.time(1, 2), np.array([np.nan]), np.float64(np.inf), np.int64(-5),
    np.array(["x"]), np.bool_(True),
]  # fmt: skip
FOREIGN = re.compile(r"pydantic|Input should|Value error|https?://errors|type=|ValidationError|literal_error", re.I)


def allowed(annotation: Any, value: Any) -> bool:
    """Judge a value by an annotation, without pydantic."""
    base, metadata = unwrap(annotation)
    for rule in metadata:
        if isinstance(rule, BeforeValidator):
            value = rule.func(value)
    if not allowed_type(base, value):
        return False
    for rule in metadata:
        if isinstance(rule, Interval):
            bounds = ((rule.gt, gt), (rule.ge, ge), (rule.lt, lt), (rule.le, le))
            if not all(bound is None or compare(value, bound) for bound, compare in bounds):
                return False
        if isinstance(rule, Rule) and rule.holds is not None and not rule.holds(value):
            return False
        if isinstance(rule, OneOf) and value not in rule.names:
            return False
    return True


def allowed_type(base: Any, value: Any) -> bool:
    origin, arguments = get_origin(base), get_args(base)
    if base is Any:
        return True
    if origin in (Union, UnionType):
        return any(allowed(part, value) for part in arguments)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(allowed(arguments[0], item) for item in value)
    if is_typeddict(base):
        return isinstance(value, Mapping) and all(
            key in base.__annotations__ and allowed(base.__annotations__[key], item) for key, item in value.items()
        )
    if origin is not None:
        keys, items = arguments
        return isinstance(value, Mapping) and all(allowed(keys, k) and allowed(items, v) for k, v in value.items())
    if base is float:
        return type(value) in (int, float) and abs(value) < 1e308 and math.isfinite(value)
    return type(value) is base


def as_python(value: Any) -> Any:
    """What the constructor turns into before it is checked."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return tuple(as_python(item) for item in value) if isinstance(value, list) else value


def sample(annotation: Any) -> Any:
    """Some value that is allowed."""
    found = [value for value in ("x", 1, ("a", "b")) if allowed(annotation, value)]
    assert found, f"add an allowed value of {annotation} to this test"
    return found[0]


def required(cls: type) -> dict[str, Any]:
    fields = cls.__pydantic_fields__
    return {key: sample(annotation) for key, annotation in annotations_of(cls).items() if fields[key].is_required()}


def message_of(cls: type, values: dict[str, Any]) -> str:
    """What is said of some values; nothing if they are accepted."""
    try:
        cls(**values)
    except ConfigError as error:
        return str(error)
    return ""


def test_classes_are_found():
    assert len(SETTINGS) >= 25
    assert {Ridge, Comparison, Rsa, JudgmentTable, *SOURCES.values(), *MODELS.values(), *ANNOTATORS.values()} <= set(
        SETTINGS
    )


@pytest.mark.parametrize(("cls", "key"), FIELDS, ids=[f"{cls.__name__}.{key}" for cls, key in FIELDS])
def test_wrong_values_are_refused_by_name(cls, key):
    annotation, table = annotations_of(cls)[key], SETTINGS[cls]
    wrong = 0
    for value in POOL:
        message = message_of(cls, required(cls) | {key: value})
        assert FOREIGN.search(message) is None
        if allowed(annotation, as_python(value)):
            continue  # a rule across fields may still refuse it
        wrong += 1
        assert message.startswith(table), (value, message)
        assert re.search(rf"\b{key}\b", message), (value, message)
    assert wrong > 10


def parts(annotation: Any):
    base, metadata = unwrap(annotation)
    inner = base.__annotations__.values() if is_typeddict(base) else get_args(base)
    yield base, metadata
    for part in inner:
        if part is not Ellipsis and get_origin(base) is not Literal:
            for found, rules in parts(part):
                yield found, [*rules, *metadata]


@pytest.mark.parametrize(("cls", "key"), FIELDS, ids=[f"{cls.__name__}.{key}" for cls, key in FIELDS])
def test_every_number_is_bounded_and_every_field_described(cls, key):
    for base, metadata in parts(annotations_of(cls)[key]):
        if base in (int, float):
            assert any(isinstance(rule, Interval) for rule in metadata)
        assert base is not NoneType or cls.__pydantic_fields__[key].default is None
    assert len(descriptions_of(cls)[key]) > 3


BASE = '[[features]]\nname = "a"\nfile = "a.tsv"\n[load]\ntask = "x"\n[[fit]]\nkind = "ridge"\nbands = "each"\n'
JUDGED = BASE.replace('file = "a.tsv"', 'kind = "judgments"\nfile = "j.parquet"\n')
JOINT = BASE.replace("[load]", '[[features]]\nname = "b"\nfile = "b.tsv"\n[load]').replace(
    'kind = "ridge"\nbands = "each"', 'kind = "banded_ridge"\nbands = ["a", "b"]'
)
CASES = [
    (JUDGED.replace("[load]", 'only_reliable = "false"\n[load]'),
     "[[features]] 'a': only_reliable = 'false': true or false is needed."),
    (BASE + '[map]\natlases = "Schaefer2018-200"\n', "[map] atlases = 'Schaefer2018-200': a list of strings"),
    (BASE + "[map]\natlases = nan\n", "[map] atlases = nan: a list of strings"),
    (BASE + "[map]\natlases = [true]\n", "[map] atlases = [true]: a list of strings"),
    (BASE + "[map]\ndpi = 100.5\n", "[map] dpi = 100.5: an integer from 50 to 1,200 is needed."),
    (BASE + "[split]\ngroups = 5\n", "[split] groups = 5: a list of lists of strings"),
    (JOINT + "n_iter = 100.5\n", "[[fit]] 'a+b': n_iter = 100.5: an integer from 1 to 10,000,000 is needed."),
    (BASE.replace('"x"', '"x"\nper = "stimulus"\nshift = inf'), "[load] shift = inf: a number from -3,600 to 3,600"),
    (BASE.replace('"x"', '"x"\nspace = 5'), "[load] space = 5: a string that is not empty is needed."),
    (BASE + "[align]\ndelays = [100000000000000000000]\n",
     "[align] delays = [100000000000000000000]: a list of different integers from 0 to 1,000 is needed (it is too "
     "large)."),
    (BASE + "[align]\ndelays = 2026-01-02\n", "[align] delays = 2026-01-02: a list of"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), CASES, ids=[message.partition(":")[0] for _, message in CASES])
def test_values_that_used_to_pass(text, message):
    parse_config(BASE)
    parse_config(JOINT)
    parse_config(JUDGED)
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse_config(text)


@pytest.mark.parametrize("line", ["concurrency = inf", "per_minute = nan"])
def test_values_of_annotators_that_used_to_pass(tmp_path, line):
    path = tmp_path / "run.toml"
    text = '[stimuli]\ntable = "s.tsv"\n[design]\nn_triplets = 9\n[[annotator]]\nkind = "openai"\nmodel = "m"\n'
    path.write_text(text + 'prompt = "captions-letter"\n')
    assert read_collection(path).annotators
    path.write_text(text + 'prompt = "captions-letter"\n' + line)
    with pytest.raises(ConfigError, match=re.escape(f"{line}: a")):
        read_collection(path)


def test_constructors_of_python_speak_the_same_words():
    with pytest.raises(ConfigError, match=r"^\[\[fit\]\] 'a': alphas = 'x': a list of numbers above 0 is needed\.$"):
        Ridge(("a",), alphas="x")
    with pytest.raises(ConfigError, match=r"^\[\[fit\]\]: key 'bands' is missing\.$"):
        Ridge(alphas="x")
    with pytest.raises(ConfigError, match=r"^\[compare\]: at most \d+ values are needed\.$"):
        Comparison(*range(30))


def test_numpy_values_and_lists_are_taken():
    model = BandedRidge(["a", "b"], alphas=np.logspace(0, 1, 2), n_iter=np.int64(20), subsets=np.bool_(True))
    assert model == BandedRidge(("a", "b"), alphas=(1.0, 10.0), n_iter=20, subsets=True)
    assert [type(value) for value in (model.n_iter, model.subsets, model.alphas[0])] == [int, bool, float]
    assert Comparison(level=np.float32(0.25)).level == 0.25
    assert LARGEST == 10**9


SHIPPED = sorted([*ROOT.glob("examples/**/*.toml"), *ROOT.glob("docs/**/*.toml")])


def test_shipped_configurations_are_found():
    assert SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_configurations_are_accepted(path):
    text = path.read_text(encoding="utf-8")
    if "[[annotator]]" in text:
        assert read_collection(path).annotators
    if "[[features]]" in text or "recipe" in text:
        assert read_config(path, only_features="[load]" not in text).features

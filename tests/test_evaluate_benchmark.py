"""The benchmark that prints the figures of a bundle, and which of them are good enough."""

import json
from types import ModuleType

import pytest

from medxgan.errors import ConfigError


@pytest.fixture(scope="module")
def bundle_quality() -> ModuleType:
    import bundle_quality

    return bundle_quality


def test_benchmark_prints_one_json_and_the_table(
    tiny_bundle, bundle_quality, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "deep" / "metrics.json"
    options = [
        "--kind",
        "brain",
        "--count",
        "12",
        "--codes",
        "2",
        "--steps",
        "2",
        "--table",
        "--out",
        str(out),
    ]
    monkeypatch.setattr("sys.argv", ["bundle_quality", str(tiny_bundle), *options])
    bundle_quality.main()
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found == json.loads(out.read_text())
    assert (found["n"], found["agreement"]["negative"]["n"]) == (12, 2)
    assert found["measured"]["data"] == "brain phantoms, seed 12345"
    for label in bundle_quality.PHANTOM_LIMITS:
        assert label in printed.err


def test_benchmark_says_in_one_sentence_what_is_wrong(bundle_quality, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bundle_quality", "nowhere"])
    with pytest.raises(SystemExit) as ended:
        bundle_quality.main()
    assert ended.value.code == 2
    assert "there is no bundle 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("relation", "value", "holds"),
    [
        (">=", 0.5, True),
        (">", 0.5, False),
        ("<", 0.4, True),
        ("<", 0.5, False),
        (">=", None, False),
    ],
)
def test_limit_of_acceptance(bundle_quality, relation, value, holds):
    assert bundle_quality.Limit(lambda metrics: value, relation, 0.5).holds(value) is holds


def test_lead_leaves_out_what_is_null(bundle_quality):
    methods = {
        method: {"average_precision": {"value": value}}
        for method, value in {
            "difference": 0.5,
            "lig": 0.8,
            "lig-transferred": None,
            "lig-published": 0.1,
            "ig": 0.7,
            "grad-cam": None,
        }.items()
    }
    assert bundle_quality.precision_lead("maps")({"maps": methods}) == pytest.approx(0.1)
    nulls = {method: {"average_precision": {"value": None}} for method in methods}
    assert bundle_quality.precision_lead("maps")({"maps": nulls}) is None


def test_kind_of_phantom_comes_from_the_names(bundle_quality):
    assert bundle_quality.phantom_kind("mine", "chest-6400.npz") == "chest"
    assert bundle_quality.phantom_kind("brain-phantom", "phantoms.npz") == "brain"
    with pytest.raises(ConfigError, match="give --kind"):
        bundle_quality.phantom_kind("legs", "knees")

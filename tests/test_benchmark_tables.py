"""The page of benchmarks shows what was measured: its tables are those of the kept figures."""

import re
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    import tables

    return tables


def test_no_table_of_a_page_was_written_by_hand(tables: ModuleType) -> None:
    for page in tables.PAGES:
        text = page.read_text("utf-8")
        assert tables.filled(text) == text


def test_the_pages_have_every_table_once(tables: ModuleType) -> None:
    text = "".join(page.read_text("utf-8") for page in tables.PAGES)
    named = re.findall(r"<!-- table: (\S+) -->", text)
    assert sorted(named) == sorted(tables.TABLES)


def test_a_table_is_replaced_and_the_rest_kept(tables: ModuleType, monkeypatch) -> None:
    monkeypatch.setattr(tables, "drawn", lambda name: f"| {name} |")
    page = "before\n<!-- table: a -->\nold\n<!-- end -->\nafter\n<!-- table: b -->\n<!-- end -->\n"
    assert tables.filled(page) == (
        "before\n<!-- table: a -->\n| a |\n<!-- end -->\nafter\n"
        "<!-- table: b -->\n| b |\n<!-- end -->\n"
    )


def test_methods_show_intervals_and_the_best_in_bold(tables: ModuleType) -> None:
    figure = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 9}
    document = {
        "localization": {
            "ig": {"average_precision": figure},
            "lig": {"average_precision": figure | {"value": 0.625}},
            "occlusion": {"average_precision": {"value": None, "reason": "not asked for"}},
        }
    }
    lines = tables.methods(document).splitlines()
    assert len(lines) == 4
    assert "0.500 (0.250 to 0.750)" in lines[2]
    assert "**0.625** (0.250 to 0.750)" in lines[3]

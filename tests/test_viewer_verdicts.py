"""Readers' verdicts: saved at once, by several readers, and never lost."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest

from medxgan.errors import OutputError
from medxgan.viewer.saved import SavedFolder
from medxgan.viewer.verdicts import LONGEST_TEXT, Verdict, VerdictStore
from viewer_cases import make_explanation, viewer_of, write_folder


def verdict_of(reader: str = "Ann", verdict: str | None = "plausible", **changes: str) -> Verdict:
    known = {"explanation": "1", "name": "scan", "source": "out", "text": ""} | changes
    return Verdict(reader=reader, verdict=verdict, **known)


def posted(client, explanation: str, **changes: object):
    sent = {"explanation": explanation, "reader": "Ann", "verdict": "plausible", "text": ""}
    return client.post("/api/verdicts", json=sent | changes)


def test_verdicts_of_several_readers_are_kept_and_shown(tmp_path):
    folder = write_folder(tmp_path / "out", make_explanation("a"), make_explanation("b"))
    client = viewer_of(folder)
    first, second = (entry.id for entry in folder.entries())
    assert client.get("/api/verdicts").json() == {"verdicts": []}
    assert not (tmp_path / "out" / "verdicts.sqlite").exists()
    assert posted(client, first).json() == {"saved": True}
    assert posted(client, first, reader=" Bob ", verdict="implausible", text="not so").is_success
    assert posted(client, second, verdict=None, text="look again").is_success

    restarted = viewer_of(SavedFolder(tmp_path / "out"))
    found = restarted.get("/api/verdicts").json()["verdicts"]
    kept = [(each["explanation"], each["reader"], each["verdict"], each["text"]) for each in found]
    assert kept == [
        (first, "Ann", "plausible", ""),
        (first, "Bob", "implausible", "not so"),
        (second, "Ann", None, "look again"),
    ]
    assert all(each["when"].endswith("+00:00") for each in found)
    rows = restarted.get("/api/explanations").json()["rows"]
    assert rows[0]["verdicts"] == [
        {"reader": "Ann", "verdict": "plausible"},
        {"reader": "Bob", "verdict": "implausible"},
    ]
    assert restarted.get("/api/state").json()["readers"] == ["Ann", "Bob"]


def test_a_reader_may_change_and_take_back_a_verdict(tmp_path):
    folder = write_folder(tmp_path / "out")
    client = viewer_of(folder)
    (entry,) = folder.entries()
    posted(client, entry.id)
    posted(client, entry.id, verdict="out of distribution", text="other scanner")
    (kept,) = client.get("/api/verdicts").json()["verdicts"]
    assert (kept["verdict"], kept["text"]) == ("out of distribution", "other scanner")
    posted(client, entry.id, verdict=None, text=" ")
    assert client.get("/api/verdicts").json() == {"verdicts": []}


def test_table_is_csv_that_no_spreadsheet_computes(tmp_path):
    folder = write_folder(tmp_path / "out", make_explanation("a, b"))
    client = viewer_of(folder)
    (entry,) = folder.entries()
    posted(client, entry.id, reader="Zoë", text='=HYPERLINK("http://x")\nsecond "line"')
    answer = client.get("/api/verdicts.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(StringIO(answer.text))
    assert row["name"] == "a, b" and row["reader"] == "Zoë" and row["source"] == "out"
    assert row["text"] == '\'=HYPERLINK("http://x")\nsecond "line"'


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"explanation": "x"}, 404, "there is no such explanation"),
        ({"explanation": None}, 404, "there is no such explanation"),
        ({"reader": " "}, 400, "needs its reader's name, 1 to 80 characters"),
        ({"reader": "a" * 81}, 400, "needs its reader's name"),
        ({"reader": "a\nb"}, 400, "control characters"),
        ({"reader": 7}, 400, "needs its reader's name"),
        ({"verdict": "good"}, 400, "one of: plausible, implausible, out of distribution"),
        ({"verdict": ["plausible"]}, 400, "one of: plausible"),
        ({"text": "a" * (LONGEST_TEXT + 1)}, 400, "at most 4000 characters"),
        ({"text": ["a"]}, 400, "at most 4000 characters"),
        ({"text": "\ud800"}, 400, "half a character"),
    ],
)
def test_a_verdict_that_is_none_is_refused(tmp_path, changes, status, words):
    folder = write_folder(tmp_path / "out")
    client = viewer_of(folder)
    (entry,) = folder.entries()
    sent = {"explanation": entry.id, "reader": "Ann", "verdict": "plausible", "text": ""}
    answer = client.post(
        "/api/verdicts",
        content=json.dumps(sent | changes),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert client.get("/api/verdicts").json() == {"verdicts": []}


def test_an_unreadable_explanation_takes_no_verdict(tmp_path):
    write_folder(tmp_path / "out")
    (tmp_path / "out" / "scan" / "explanation.json").write_text("{")
    folder = SavedFolder(tmp_path / "out")
    (entry,) = folder.entries()
    assert posted(viewer_of(folder), entry.id).status_code == 422


def test_many_readers_at_once_lose_nothing(tmp_path):
    store = VerdictStore(tmp_path / "verdicts.sqlite")
    again = VerdictStore(tmp_path / "verdicts.sqlite")
    with ThreadPoolExecutor(8) as threads:
        done = [
            threads.submit((store, again)[i % 2].save, verdict_of(f"reader {i:02d}"))
            for i in range(40)
        ]
    for each in done:
        each.result()
    assert [each.reader for each in store.all()] == [f"reader {i:02d}" for i in range(40)]


def test_every_acknowledged_verdict_survives_a_kill(tmp_path):
    """The server is killed, not ended, in the middle of verdicts."""
    store = tmp_path / "verdicts.sqlite"
    program = """
import sys
from pathlib import Path
from medxgan.viewer.verdicts import Verdict, VerdictStore
store = VerdictStore(Path(sys.argv[1]))
number = 0
while True:
    store.save(Verdict("1", "scan", "out", f"{number:05d}", "plausible", "x" * 2000))
    print(number, flush=True)
    number += 1
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(store)], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if int(line) == 20:
                break
        running.kill()
        acknowledged = 20 + len(running.stdout.read().splitlines())
    kept = VerdictStore(store).all()
    assert [each.reader for each in kept] == [f"{i:05d}" for i in range(len(kept))]
    assert len(kept) > acknowledged
    with sqlite3.connect(store) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_each_verdict_is_synchronised_to_the_disk(tmp_path):
    store = VerdictStore(tmp_path / "verdicts.sqlite")
    store.save(verdict_of())
    with store._opened() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.parametrize("damage", ["text", "newer", "folder"])
def test_a_file_that_cannot_be_used_never_hides_the_explanations(tmp_path, damage):
    folder = write_folder(tmp_path / "out")
    path = tmp_path / "out" / "verdicts.sqlite"
    match damage:
        case "text":
            path.write_text("no database, but long enough to be taken for one " * 50)
        case "newer":
            with sqlite3.connect(path) as connection:
                connection.execute("PRAGMA user_version = 2")
            connection.close()
        case "folder":
            path.mkdir()
    words = {
        "text": "file is not a database",
        "newer": "has format 2, this program uses up to 1; update medxgan",
        "folder": "unable to open database file",
    }[damage]
    client = viewer_of(folder)
    (row,) = client.get("/api/explanations").json()["rows"]
    assert row["verdicts"] == []
    state = client.get("/api/state").json()
    assert words in state["verdicts"]["problem"] and state["verdicts"]["file"] == path.name
    for answer in (client.get("/api/verdicts"), posted(client, row["id"])):
        assert answer.status_code == 507
        assert words in answer.json()["error"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="choose another one with --verdicts"):
        VerdictStore(folder / "verdicts.sqlite").save(verdict_of())


def test_a_real_server_that_is_killed_keeps_what_it_said_it_saved(tmp_path):
    """From the first process to the next one on the same folder, as a reader meets it."""
    import httpx

    folder = write_folder(tmp_path / "out")
    (entry,) = folder.entries()
    command = [sys.executable, "-m", "medxgan.cli", "view", str(tmp_path / "out")]
    command += ["--port", "0", "--no-browser"]

    def started() -> tuple[subprocess.Popen[str], str]:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert running.stdout is not None
        line = running.stdout.readline()
        return running, line.split(" is at ")[1].split()[0]

    running, address = started()
    with running:
        sent = {"explanation": entry.id, "reader": "Ann", "verdict": "plausible", "text": "sure"}
        with httpx.Client(base_url=address) as client:
            assert client.post("/api/verdicts", json=sent).json() == {"saved": True}
        running.kill()
    running, address = started()
    with running:
        with httpx.Client(base_url=address) as client:
            (kept,) = client.get("/api/verdicts").json()["verdicts"]
            (row,) = client.get("/api/explanations").json()["rows"]
        running.send_signal(signal.SIGINT)
        assert running.wait(20) == 0
    assert (kept["explanation"], kept["text"]) == (row["id"], "sure")
    assert Path(tmp_path, "out", "verdicts.sqlite").is_file()

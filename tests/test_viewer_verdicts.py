"""Readers' verdicts: saved at once, by several readers, and never lost."""

import asyncio
import codecs
import csv
import json
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from contextlib import closing
from io import StringIO
from pathlib import Path

import httpx
import pytest

from medxgan.errors import OutputError
from medxgan.viewer import verdict_file, verdicts
from medxgan.viewer.saved import SavedFolder
from medxgan.viewer.server import make_app
from medxgan.viewer.verdict_file import JOURNAL_MAGIC, writing
from medxgan.viewer.verdicts import LONGEST_TEXT, NAMES, Verdict, VerdictStore
from viewer_cases import ADDRESS, make_explanation, viewer_of, write_folder


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
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.content.startswith(codecs.BOM_UTF8)
    (row,) = csv.DictReader(StringIO(answer.content.decode("utf-8-sig")))
    assert row["name"] == "a, b" and row["reader"] == "Zoë" and row["source"] == "out"
    assert row["text"] == '\'=HYPERLINK("http://x")\nsecond "line"'


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "  =1", "\0=1", "＝1", "＋1", "－1", "＠1"],
)
def test_no_cell_begins_as_a_formula(tmp_path, text):
    store = VerdictStore(tmp_path / "v.sqlite")
    store.save(verdict_of(reader="a;b", text=text))
    table = store.as_csv().decode("utf-8-sig")
    (row,) = csv.DictReader(StringIO(table))
    assert row["text"].startswith("'") and "\0" not in table
    assert '"a;b"' in table, "quoted, for spreadsheets that part cells at semicolons"


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


def test_the_verdict_sent_last_is_kept(tmp_path, monkeypatch):
    """Several are under way at once, and the first one takes longest."""
    folder = write_folder(tmp_path / "out")
    (entry,) = folder.entries()
    save = VerdictStore.save

    def slow_at_first(store: VerdictStore, verdict: Verdict) -> None:
        time.sleep(0.3 if verdict.verdict == "plausible" else 0)
        save(store, verdict)

    monkeypatch.setattr(VerdictStore, "save", slow_at_first)
    store = VerdictStore(tmp_path / "v.sqlite")
    app = make_app(verdicts=store, folder=folder)

    async def send_all() -> None:
        transport = httpx.ASGITransport(app=app)
        async with (
            httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for name in NAMES:
                tasks.create_task(posting(client, entry.id, verdict=name))
                await asyncio.sleep(0.05)

    async def posting(client: httpx.AsyncClient, id: str, **changes: object) -> None:
        assert (await posted(client, id, **changes)).is_success

    asyncio.run(send_all())
    assert [each.verdict for each in store.all()] == [NAMES[-1]]


SAVE_MANY = """
import sys
from pathlib import Path
from medxgan.viewer.verdicts import Verdict, VerdictStore
store = VerdictStore(Path(sys.argv[1]))
sys.stdin.readline()
for number in range(20):
    store.save(Verdict(str(number), "scan", "out", sys.argv[2], "plausible", ""))
    store.save(Verdict("shared", "scan", "out", "Ann", "plausible", f"{sys.argv[2]} {number}"))
"""


def test_many_programs_at_once_lose_nothing(tmp_path):
    """They make the file together, each writes its own verdicts, and all of them one more."""
    path = tmp_path / "verdicts.sqlite"
    names = [f"reader {number}" for number in range(4)]
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", SAVE_MANY, path, name], stdin=subprocess.PIPE, text=True
        )
        for name in names
    ]
    for each in programs:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    assert [each.wait(60) for each in programs] == [0] * len(programs)
    for each in programs:
        each.stdin.close()
    found = VerdictStore(path).all()
    assert len(found) == 20 * len(names) + 1
    (shared,) = (each for each in found if each.explanation == "shared")
    assert shared.text in [f"{name} 19" for name in names], "the last one of some program"


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
    with writing(store.path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (3,)
    assert [path.name for path in tmp_path.iterdir()] == ["verdicts.sqlite"]


def test_a_file_in_use_says_so(tmp_path, monkeypatch):
    store = VerdictStore(tmp_path / "verdicts.sqlite")
    store.save(verdict_of())
    monkeypatch.setattr(verdict_file, "PATIENCE_SECONDS", 0.1)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OutputError, match="another program keeps the file of verdicts"):
            store.save(verdict_of())
        assert "try again, or close that program" in str(store.problem())
    assert store.problem() is None


@pytest.mark.parametrize("left", [True, False], ids=["log left", "log ended"])
def test_a_database_with_a_log_is_never_opened(tmp_path, left):
    """Opening it would change it, and put files beside it; this program keeps none."""
    path = tmp_path / "verdicts.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(verdict_file.TABLE)
        connection.execute("PRAGMA user_version = 1")
        if left:
            log = (tmp_path / "verdicts.sqlite-wal").read_bytes()
    if left:
        (tmp_path / "verdicts.sqlite-wal").write_bytes(log)
    before = {found.name: found.read_bytes() for found in tmp_path.iterdir()}
    store = VerdictStore(path)
    assert "is no file of verdicts, but another program's database" in str(store.problem())
    with pytest.raises(OutputError, match="name another file with --verdicts"):
        store.save(verdict_of())
    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == before


def shipped_journal(database: Path, victim: Path) -> bytes:
    """A journal that makes SQLite roll back one page, then delete the file that it names."""
    page_size, sector = 4096, 512
    page, name = database.read_bytes()[:page_size], os.fsencode(victim)
    check = sum(page[place] for place in range(page_size - 200, 0, -200))
    pages = database.stat().st_size // page_size
    header = JOURNAL_MAGIC + struct.pack(">5I", 1, 0, pages, sector, page_size)
    lock_page = 0x40000000 // page_size + 1
    return (
        header.ljust(sector, b"\0")
        + struct.pack(">I", 1)
        + page
        + struct.pack(">2I", check, lock_page)
        + name
        + struct.pack(">2I", len(name), sum(name))
        + JOURNAL_MAGIC
    )


def test_a_journal_that_came_with_the_folder_deletes_nothing(tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("precious")
    path = tmp_path / "verdicts.sqlite"
    store = VerdictStore(path)
    store.save(verdict_of())
    journal = tmp_path / "verdicts.sqlite-journal"
    journal.write_bytes(shipped_journal(path, victim))
    assert "was not left by this program" in str(store.problem())
    with pytest.raises(OutputError, match="would have another file deleted; remove it"):
        store.save(verdict_of())
    assert victim.read_text() == "precious" and journal.exists()
    with closing(sqlite3.connect(path)) as careless:
        careless.execute("SELECT * FROM verdicts").fetchall()
    assert not victim.exists(), "and SQLite alone would have done it"


def test_what_a_killed_server_left_undone_is_rolled_back(tmp_path):
    store = VerdictStore(tmp_path / "verdicts.sqlite")
    store.save(verdict_of())
    program = """
import os, sys
from pathlib import Path
from medxgan.viewer.verdict_file import writing
with writing(Path(sys.argv[1])) as connection:
    connection.execute("PRAGMA cache_size = 1")
    for number in range(2000):
        connection.execute(
            "INSERT INTO verdicts VALUES (?, 'scan', 'out', 'Bob', 'plausible', ?, '')",
            (str(number), "x" * 1000),
        )
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program, store.path], check=True)
    assert (tmp_path / "verdicts.sqlite-journal").exists()
    assert [each.reader for each in store.all()] == ["Ann"]
    assert not (tmp_path / "verdicts.sqlite-journal").exists()


FOREIGN = {
    "other table": "CREATE TABLE theirs (x)",
    "further table": f"{verdict_file.TABLE}; CREATE TABLE theirs (x)",
    "trigger": f"{verdict_file.TABLE}; CREATE TRIGGER t AFTER INSERT ON verdicts BEGIN "
    "DELETE FROM verdicts; END",
    "endless view": "CREATE VIEW verdicts AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT "
    "x + 1 FROM c) SELECT x explanation, x name, x source, x reader, x verdict, x text, x saved "
    "FROM c",
}


@pytest.mark.parametrize("sql", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("version", [0, 1])
def test_a_database_of_another_program_is_left_as_it_is(tmp_path, sql, version):
    path = tmp_path / "verdicts.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{sql}; PRAGMA user_version = {version}")
    before = path.read_bytes()
    store = VerdictStore(path)
    assert "is no file of verdicts, but another program's database" in str(store.problem())
    with pytest.raises(OutputError, match="name another file with --verdicts"):
        store.save(verdict_of())
    assert path.read_bytes() == before


def test_reading_writes_nothing(tmp_path):
    path = tmp_path / "verdicts.sqlite"
    path.touch()
    assert VerdictStore(path).all() == [] and path.read_bytes() == b""
    store = VerdictStore(path)
    store.save(verdict_of())
    before = path.read_bytes()
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        assert [each.reader for each in store.all()] == ["Ann"]
    finally:
        tmp_path.chmod(0o700)
    assert path.read_bytes() == before


def test_more_verdicts_than_can_be_are_refused(tmp_path, monkeypatch):
    store = VerdictStore(tmp_path / "verdicts.sqlite")
    for reader in ("Ann", "Bob"):
        store.save(verdict_of(reader))
    monkeypatch.setattr(verdicts, "MOST_VERDICTS", 1)
    assert "holds more than 1" in str(store.problem())


def test_reading_a_file_does_not_take_for_ever(tmp_path, monkeypatch):
    store = VerdictStore(tmp_path / "verdicts.sqlite")
    for reader in ("Ann", "Bob"):
        store.save(verdict_of(reader))
    monkeypatch.setattr(verdict_file, "PATIENCE_SECONDS", -1)
    monkeypatch.setattr(verdict_file, "STEPS_BETWEEN_LOOKS", 1)
    assert "interrupted" in str(store.problem())


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes and links")
@pytest.mark.parametrize("beside", verdict_file.BESIDE)
def test_only_plain_files_are_given_to_sqlite(tmp_path, beside):
    store = VerdictStore(tmp_path / "verdicts.sqlite")
    store.save(verdict_of())
    path = tmp_path / f"verdicts.sqlite{beside}"
    path.symlink_to(tmp_path / "elsewhere")
    assert f"{path.name} should be a plain file and is none" in str(store.problem())
    for file in (path, store.path):
        file.unlink(missing_ok=True)
        os.mkfifo(file)
        assert f"{file.name} should be a plain file and is none" in str(store.problem())
        file.unlink()
    assert not (tmp_path / "elsewhere").exists()


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
        "folder": "should be a plain file and is none",
    }[damage]
    client = viewer_of(folder)
    (row,) = client.get("/api/explanations").json()["rows"]
    assert row["verdicts"] == []
    state = client.get("/api/state").json()
    assert words in state["verdicts"]["problem"] and state["verdicts"]["file"] == path.name
    for answer in (client.get("/api/verdicts"), posted(client, row["id"])):
        assert answer.status_code == 507
        assert words in answer.json()["error"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "verdicts.sqlite", tmp_path / "none" / "verdicts.sqlite"):
        with pytest.raises(OutputError, match="choose another one with --verdicts"):
            VerdictStore(path).save(verdict_of())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="choose another one with --verdicts"):
        VerdictStore(folder / "verdicts.sqlite").save(verdict_of())


def test_a_real_server_that_is_killed_keeps_what_it_said_it_saved(tmp_path):
    """From the first process to the next one on the same folder, as a reader meets it."""
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

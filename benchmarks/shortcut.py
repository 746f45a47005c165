"""Does the audit tell a classifier that relies on a planted marker from one that does not?

    python benchmarks/shortcut.py
    python benchmarks/shortcut.py --images 30000 --seeds 5    # generators trained for longer

For each seed two classifiers learn from the same phantoms of 32 pixels. For the *biased* one, a
corner marker was drawn in 95 % of the positives and in 5 % of the negatives; for the *clean* one
in half of both. A small medXGAN is trained against each, on the images its classifier learned
from, and ``medxgan audit`` looks at fresh images of the same distribution: what somebody who does
not know of the marker would have at hand. The same rule is given the maps of integrated gradients
and of Grad-CAM.

Every case is kept as JSON and not computed again; the table and ``summary.json`` follow from these.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from medxgan.atomic import atomic_file
from medxgan.errors import MedxganError
from shortcut_case import AUDIT, MARKED, Case, Facts, run_case, settings_of_run

GOAL_TOLD, GOAL_ALARMS = 0.95, 0


class View(NamedTuple):
    """A row of the table: whose maps, judged how."""

    method: str
    masks: str
    rule: str


def kept(case: Case, folder: Path) -> Facts | None:
    """The facts of a case that was computed before with the same settings."""
    try:
        facts: Facts = json.loads((folder / case.file_name).read_text())
    except (OSError, ValueError):
        return None
    return facts if facts.get("settings") == settings_of_run(case.images) else None


def write_json(path: Path, content: object) -> None:
    """Write a file that is complete or not there."""
    with atomic_file(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())


def run_cases(cases: Sequence[Case], jobs: int) -> Iterator[Facts]:
    """Facts of the cases, as they are ready; each has a process and a thread of its own."""
    if jobs == 1:
        yield from map(run_case, cases)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run_case, cases)


def views() -> list[View]:
    """Rows of the table."""
    return [
        View(method, masks, rule)
        for masks in ("no masks", "masks")
        for method in AUDIT.methods
        for rule in ("suspicious", "recurs")
    ]


def count_view(view: View, pairs: Iterable[tuple[Facts, Facts]]) -> Facts:
    """How often a row tells the biased classifier of a seed from the clean one.

    A biased classifier is found only if the marked place itself is named; for a clean one, any
    place is a false alarm.
    """
    found, alarms, both = 0, 0, 0
    peaks: dict[str, list[float]] = {"biased": [], "clean": []}
    for biased, clean in pairs:
        of_biased, of_clean = (facts["audit"][view.masks][view.method] for facts in (biased, clean))
        hit, alarm = of_biased[f"{view.rule}_on_marker"], of_clean[view.rule]
        found, alarms, both = found + hit, alarms + alarm, both + (hit and not alarm)
        peaks["biased"].append(of_biased["peak_share"])
        peaks["clean"].append(of_clean["peak_share"])
    return {**view._asdict(), "found": found, "false_alarms": alarms, "told": both, "peaks": peaks}


def summarise(facts: Sequence[Facts]) -> Facts:
    """Counts over the seeds of which both cases are there."""
    at = {(fact["seed"], fact["kind"]): fact for fact in facts}
    seeds = sorted({seed for seed, _ in at if all((seed, kind) in at for kind in MARKED)})
    pairs = [(at[seed, "biased"], at[seed, "clean"]) for seed in seeds]
    return {
        "settings": facts[0]["settings"],
        "seeds": seeds,
        "classifiers": {
            kind: {
                name: [at[seed, kind]["classifier"][name] for seed in seeds]
                for name in ("accuracy", "accuracy_markers_flipped", "answers_changed_by_marker")
            }
            for kind in MARKED
        },
        "flipped_on_image": {
            kind: [at[seed, kind]["generator"]["transfer_validity"] for seed in seeds]
            for kind in MARKED
        },
        "seconds_cpu": sum(at[seed, kind]["seconds_cpu"] for seed in seeds for kind in MARKED),
        "rows": [count_view(view, pairs) for view in views()],
    }


def spread(values: Sequence[float]) -> str:
    """Median and range.

    >>> spread([0.2, 0.5, 0.4])
    '0.40 (0.20-0.50)'
    """
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def table(summary: Facts) -> str:
    """The outcome as text."""
    total = len(summary["seeds"])
    lines = [
        f"Seeds {summary['seeds'][0]} to {summary['seeds'][-1]}, n = {total}; each generator was "
        f"shown {summary['settings']['images']} images.",
        "",
    ]
    for kind, of_kind in summary["classifiers"].items():
        lines += [
            f"{kind:7} classifier: accuracy {spread(of_kind['accuracy'])}, with markers flipped "
            f"{spread(of_kind['accuracy_markers_flipped'])}; the marker alone changes "
            f"{spread(of_kind['answers_changed_by_marker'])} of its answers"
        ]
    able = (f"{spread(values)} {kind}" for kind, values in summary["flipped_on_image"].items())
    lines += [
        f"The change on held-out originals flips {', '.join(able)}: where that is near 0, changing",
        "a place alone flips nothing either, so 'recurs and relied on' can raise no false alarm.",
    ]
    rules = {"suspicious": "recurs and relied on", "recurs": "recurs"}
    lines += [
        "",
        f"{'maps':17}{'masks':10}{'rule':22}{'told':>8}{'found':>8}{'alarms':>8}"
        "  peak share: biased, clean",
    ]
    for row in summary["rows"]:
        peaks = ", ".join(spread(row["peaks"][kind]) for kind in ("biased", "clean"))
        counts = "".join(
            f"{f'{row[name]}/{total}':>8}" for name in ("told", "found", "false_alarms")
        )
        lines.append(f"{row['method']:17}{row['masks']:10}{rules[row['rule']]:22}{counts}  {peaks}")
    ours = summary["rows"][0]
    passed = ours["told"] >= GOAL_TOLD * total and ours["false_alarms"] <= GOAL_ALARMS
    lines += [
        "",
        f"medxgan audit (first row): told apart in {ours['told']} of {total} seeds, "
        f"{ours['false_alarms']} false alarms in {total} clean ones: "
        f"{'goal reached' if passed else 'goal MISSED'} (19 of 20, none).",
        f"{summary['seconds_cpu'] / 60:.0f} minutes of one core in all.",
    ]
    return "\n".join(lines)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--images", type=int, default=4000, help="that each generator is shown")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time, a core each")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("shortcut"),
        help="folder of the cases and of summary.json; default: shortcut",
    )
    return parser.parse_args()


def main() -> None:
    """Compute what is not there yet, then print the table of all."""
    arguments = read_arguments()
    cases = [
        Case(seed, kind, arguments.images)
        for seed in range(arguments.first, arguments.first + arguments.seeds)
        for kind in MARKED
    ]
    found = {case: kept(case, arguments.out) for case in cases}
    facts = [known for known in found.values() if known is not None]
    missing = [case for case, known in found.items() if known is None]
    try:
        for fact in run_cases(missing, arguments.jobs):
            case = Case(fact["seed"], fact["kind"], arguments.images)
            write_json(arguments.out / case.file_name, fact)
            facts.append(fact)
            verdict = fact["audit"]["no masks"]["difference"]["verdict"]
            print(
                f"{len(facts)} of {len(cases)}: seed {case.seed}, {case.kind}: {verdict}; "
                f"{fact['seconds_cpu']:.0f} s of one core",
                file=sys.stderr,
                flush=True,
            )
    except MedxganError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    summary = summarise(facts)
    write_json(arguments.out / "summary.json", summary)
    print(table(summary))


if __name__ == "__main__":
    main()

"""How far a long command is: a bar on a terminal, lines elsewhere, silence where asked for."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

if TYPE_CHECKING:
    from medxgan.evaluate import Progress as Stages
    from medxgan.training.loop import Monitor

REFRESHES_A_SECOND = 4
LINES_A_STAGE = 10


class Report(Protocol):
    """Told how far the work is."""

    def __call__(self, done: int, text: str = "", *, milestone: bool = True) -> None:
        """``done`` units so far, and figures in words; lines are printed at milestones only."""
        ...


@contextmanager
def progress(title: str, total: int, unit: str, *, quiet: bool = False) -> Iterator[Report]:
    """Show on standard error how much of ``total`` is done, how fast, and how long it will take.

    >>> with progress("Reading", total=2, unit="images", quiet=True) as report:
    ...     report(1, "half of it")
    """
    console = Console(stderr=True)
    pace = Pace(total, unit)
    if quiet:
        yield lambda done, text="", *, milestone=True: None
    elif console.is_terminal:
        with _Bar(title, total, unit, pace, console).shown() as report:
            yield report
    else:
        yield _lines(title, total, unit, pace)


@contextmanager
def stages(titles: Mapping[str, tuple[str, str]], *, quiet: bool = False) -> Iterator["Stages"]:
    """Show stages of some work one after another; elsewhere than on a terminal, a few lines each.

    Args:
        titles: stage -> title and unit.
        quiet: show nothing.

    >>> with stages({"scores": ("Classifying", "images")}, quiet=True) as tell:
    ...     tell("scores", 1, 2)
    """
    with ExitStack() as shown:
        reports: dict[str, Report] = {}
        tenths: dict[str, int] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in reports:
                shown.close()
                title, unit = titles[stage]
                reports[stage] = shown.enter_context(progress(title, total, unit, quiet=quiet))
            tenth = LINES_A_STAGE * done // total
            reports[stage](done, milestone=tenth != tenths.get(stage))
            tenths[stage] = tenth

        yield tell


@contextmanager
def busy(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Show on standard error that something is going on that cannot say how far it is.

    >>> with busy("Reading scans", quiet=True):
    ...     pass
    """
    console = Console(stderr=True)
    if quiet:
        yield
    elif console.is_terminal:
        with console.status(Text(f"{what} ...")):
            yield
    else:
        print(f"{what} ...", file=sys.stderr, flush=True)
        yield


class Pace:
    """Speed since the first report, so that a resumed run is not credited with earlier work.

    >>> seconds = iter([0.0, 4.0])
    >>> pace = Pace(100, "images", clock=lambda: next(seconds))
    >>> pace(10), pace(50)
    ('', '10 images/s, 5 s left')
    """

    def __init__(self, total: int, unit: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.unit, self.clock = total, unit, clock
        self.first: tuple[int, float] | None = None

    def __call__(self, done: int) -> str:
        """Speed and time left in words; empty as long as nothing is known."""
        now = self.clock()
        if self.first is None:
            self.first = (done, now)
        done_before, started = self.first
        if done <= done_before or now <= started:
            return ""
        speed = (done - done_before) / (now - started)
        shown = f"{speed:.0f}" if speed >= 10 else f"{speed:.2g}"
        left = max(0, self.total - done) / speed
        return f"{shown} {self.unit}/s" + (f", {duration_text(left)} left" if left else "")


def duration_text(seconds: float) -> str:
    """A time span as people say it.

    >>> [duration_text(s) for s in (0.4, 59.7, 61, 3599, 7500)]
    ['0 s', '60 s', '1 min', '60 min', '2 h 05 min']
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if seconds < 3600 else f"{minutes // 60} h {minutes % 60:02d} min"


def training_text(figures: Mapping[str, float]) -> str:
    """Agreement of each class, error of reconstructions, and strength of augmentation.

    Figures that are not known yet are left out.

    >>> training_text({"agreement_negative": 0.987, "agreement_positive": 0.9, "flipped": 1.0})
    'agreement 0.99 negative, 0.90 positive'
    """
    wanted = {
        "agreement_negative": "agreement {:.2f} negative",
        "agreement_positive": "{:.2f} positive",
        "reconstruction_l1": "error {:.3f}",
        "augmentation_p": "augmentation {:.2f}",
        "measured": "measuring on held-out images, {:.0%} done",
    }
    return ", ".join(
        words.format(figures[name]) for name, words in wanted.items() if name in figures
    )


def training_monitor(report: Report) -> "Monitor":
    """Turn what training tells into progress; its log lines and what is measured are milestones."""
    logged: float | None = None

    def monitor(images: int, figures: dict[str, float]) -> None:
        nonlocal logged
        newest = figures.get("images")
        milestone = "measured" in figures or (newest is not None and newest != logged)
        report(images, training_text(figures), milestone=milestone)
        logged = newest

    return monitor


class _Bar:
    """A bar, and a line of figures below it."""

    def __init__(self, title: str, total: int, unit: str, pace: Pace, console: Console) -> None:
        self.pace = pace
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:.0f} of {task.total:.0f} " + unit, markup=False),
            TextColumn("{task.fields[pace]}", markup=False),
            console=console,
        )
        self.task = self.bar.add_task(title, total=total, pace="")
        self.figures = Text("", no_wrap=True, overflow="ellipsis")
        self.live = Live(
            Group(self.bar, self.figures),
            console=console,
            refresh_per_second=REFRESHES_A_SECOND,
        )

    @contextmanager
    def shown(self) -> Iterator[Report]:
        """On the terminal as long as the block runs."""
        with self.live:
            yield self._report

    def _report(self, done: int, text: str = "", *, milestone: bool = True) -> None:
        self.bar.update(self.task, completed=done, pace=self.pace(done))
        self.figures.plain = text


def _lines(title: str, total: int, unit: str, pace: Pace) -> Report:
    def report(done: int, text: str = "", *, milestone: bool = True) -> None:
        speed = pace(done)
        if milestone:
            parts = [f"{title}: {done} of {total} {unit}", speed, text]
            print("; ".join(part for part in parts if part), file=sys.stderr, flush=True)

    return report

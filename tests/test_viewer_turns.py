"""Slider moves are served in the midst of an opening, which comes to the same as without."""

import asyncio
from threading import Event

import pytest
import torch

from directed_world import CPU, drawn_images, fitted, linear_bundle, patch_module
from medxgan.demo import demo_inputs
from medxgan.directed_explainer import DirectedExplainer
from medxgan.explainer import Explainer
from medxgan.loader import load
from medxgan.turns import give_way, giving_way
from medxgan.viewer.answering import while_wanted
from medxgan.viewer.controls import Setting
from medxgan.viewer.faults import AbandonedError
from medxgan.viewer.live import METHODS, LiveDesk
from medxgan.viewer.reading import ReadFile
from medxgan.viewer.restoring import restore
from medxgan.viewer.single_thread import SingleThread

STEPS = 4


def directed() -> Explainer:
    bundle = linear_bundle(plus=True)
    explainer = DirectedExplainer(bundle, fitted(patch_module(), bundle=bundle), CPU)
    explainer.inversion_steps = STEPS
    return explainer


WORLDS = {
    "style-based": (directed, lambda: drawn_images(2)),
    "two codes": (lambda: load("brain-phantom", device="cpu"), lambda: demo_inputs(64, 5).images),
}


@pytest.fixture(params=WORLDS)
def world(request):
    """A desk, and two images for it."""
    explainer, images = WORLDS[request.param]
    desk = LiveDesk(explainer())
    yield desk, images()[:2]
    desk.close()


def open_image(desk: LiveDesk, image: torch.Tensor) -> str:
    return desk.open_file(ReadFile(image[None].numpy(), ["scan"], (), [None]), None)


def test_an_opening_that_gives_way_comes_to_the_same(world):
    """Bit for bit, and so do the pictures that were drawn in its midst."""
    desk, images = world
    plain = restore(desk.sessions.get(open_image(desk, images[0])).shown)
    session = desk.sessions.get(open_image(desk, images[1]))
    setting = Setting(0.5, {})
    alone = desk.render(session, setting).image
    between: list[float] = []

    def render() -> None:
        between.append(float(abs(desk.render(session, setting).image - alone).max()))

    with giving_way(render):
        id = open_image(desk, images[0])
    interrupted = restore(desk.sessions.get(id).shown)
    assert len(between) > len(METHODS) and max(between) == 0
    for name in ("reconstruction", "counterfactual", "frames", "probabilities", "difference"):
        assert torch.equal(getattr(interrupted, name), getattr(plain, name)), name
    for name, values in plain.attributions.items():
        assert torch.equal(interrupted.attributions[name], values), name


def test_short_work_is_done_while_long_work_gives_way():
    thread = SingleThread("model")
    begun, done = Event(), Event()
    order: list[str] = []

    def long() -> str:
        begun.set()
        while not done.is_set():  # for ever, unless short work comes in between
            give_way()
        order.append("long")
        return "long"

    def short(name: str) -> str:
        give_way()  # lets nobody in, or the second would come before the first has ended
        order.append(name)
        return name

    async def both() -> list[str]:
        task = asyncio.create_task(thread.run(long))
        await asyncio.to_thread(begun.wait)
        answers = await asyncio.gather(*(thread.run_between(short, each) for each in "ab"))
        done.set()
        return [*answers, await task]

    assert asyncio.run(asyncio.wait_for(both(), 60)) == ["a", "b", "long"]
    assert order == ["a", "b", "long"]
    thread.close()


def test_work_that_nobody_waits_for_is_given_up():
    """At once where it has not begun, else when it next gives way; what comes after goes on."""
    thread = SingleThread("model")
    begun, ended, never = Event(), Event(), Event()

    def long() -> None:
        begun.set()
        try:
            while True:  # for ever, unless it is given up
                give_way()
        finally:
            ended.set()

    async def both() -> int:
        running = asyncio.create_task(thread.run(long))
        await asyncio.to_thread(begun.wait)
        waiting = asyncio.create_task(thread.run(never.set))
        await asyncio.sleep(0)
        for task in (waiting, running):
            task.cancel()
        return await thread.run(int, "7")

    assert asyncio.run(asyncio.wait_for(both(), 60)) == 7
    assert ended.is_set() and not never.is_set()
    thread.close()


def test_work_is_cancelled_where_the_browser_has_gone():
    cancelled = Event()

    class Gone:
        async def is_disconnected(self) -> bool:
            return True

    class There:
        async def is_disconnected(self) -> bool:
            return False

    async def work(seconds: float) -> str:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "done"

    async def both() -> str:
        with pytest.raises(AbandonedError):
            await while_wanted(Gone(), work(60))
        await asyncio.sleep(0)
        assert cancelled.is_set()
        return await while_wanted(There(), work(0.5))

    assert asyncio.run(both()) == "done"


def test_a_fault_of_short_work_is_its_own():
    """Long work goes on, and what waits is done where no long work is under way."""
    thread = SingleThread("model")

    async def both() -> int:
        with pytest.raises(ZeroDivisionError):
            await thread.run_between(lambda: 1 // 0)
        return await thread.run_between(int, "7")

    assert asyncio.run(both()) == 7
    thread.close()

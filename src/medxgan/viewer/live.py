"""Open images: explained once, then redrawn at every setting of the sliders.

An opened image's explanation is saved to a temporary folder and shown from there, so that it is
seen, exported and judged exactly as a saved one.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from medxgan.directed_explainer import DirectedExplainer
from medxgan.direction_figures import evidence_of
from medxgan.explain.counterfactual import plausible_positives
from medxgan.explain.scores import answers, evaluate, probability
from medxgan.explainer import ALTERNATIVES, CANDIDATES, Explainer
from medxgan.report import save_explanation
from medxgan.turns import give_way
from medxgan.types import Explanation
from medxgan.viewer.arrays import total_bytes
from medxgan.viewer.controls import GOAL, Control, Setting
from medxgan.viewer.faults import RequestError
from medxgan.viewer.goals import Wish, move_to, strength_for, unreached_text
from medxgan.viewer.image_folder import ImageFolder
from medxgan.viewer.motion import Motion, controls_of, motion_of
from medxgan.viewer.open_image import Alternative, Reached, Rendered, Session
from medxgan.viewer.reading import FileReader, Presented, ReadFile
from medxgan.viewer.saved import SavedExplanation, read_explanation
from medxgan.viewer.sessions import Sessions

IMAGE_FOLDER = "image"
METHODS = ("difference", "lig", "grad-cam", "ig")
MOST_STEPS = 500
"""Of the optimisation that places an image where there is no encoder: nobody waits for 5000."""
NO_OTHERS = (
    "a style-based generator moves an image in one way only; there are no other counterfactuals"
)


class Opened(NamedTuple):
    """An image to be explained: ``[C, H, W]`` in [-1, 1], its lesion mask, mm a pixel."""

    image: Tensor
    name: str
    mask: Tensor | None
    spacing: tuple[float, float] | None


class LiveDesk:
    """A bundle at work; everything but reading files belongs into the model's thread.

    Args:
        explainer: of the bundle.
        directions: name -> further fitted directions of a style-based generator, ``[d]``.
        notes: what a reader must know besides.
        shown: how files that leave a choice are shown.

    Attributes:
        choices: this one and those beside it by name, where several directions can be explained.
    """

    def __init__(
        self,
        explainer: Explainer,
        directions: Mapping[str, Tensor] | None = None,
        notes: Sequence[str] = (),
        shown: Presented | None = None,
    ) -> None:
        self.explainer = explainer
        self.choices: dict[str, LiveDesk] = {}
        self.directions = dict(directions or {})
        self._notes = tuple(notes)
        self.controls: tuple[Control, ...] = controls_of(explainer, tuple(self.directions))
        self.sessions = Sessions[Session](_remove_files)
        spec = explainer.spec
        self._folder = ImageFolder()
        bundle = explainer.bundle
        self.reader = FileReader(
            spec.size,
            spec.channels,
            self._folder,
            bundle.intensity_limits,
            shown,
            bundle.presentation,
        )
        self._motion: Motion | None = None

    def beside(self, explainer: Explainer, directions: Mapping[str, Tensor]) -> "LiveDesk":
        """The same generator, and the same open images, for another of its directions."""
        other = copy(self)
        other.explainer, other.directions = explainer, dict(directions)
        other.controls = controls_of(explainer, tuple(directions))
        other._motion = None
        return other

    def chosen(self, name: str | None) -> "LiveDesk":
        """The desk of an explained direction; this one where None.

        Raises:
            RequestError: there is no such choice.
        """
        if name is None:
            return self
        if name not in self.choices:
            raise RequestError("there is no such direction to explain; reload the page")
        return self.choices[name]

    def motion(self) -> Motion:
        """What the sliders move along; found when it is first needed."""
        if self._motion is None:
            self._motion = motion_of(self.explainer, self.controls, self.directions)
        return self._motion

    @property
    def name(self) -> str:
        """Of the bundle; with the direction, unless readers choose that."""
        if self.choices and isinstance(self.explainer, DirectedExplainer):
            return self.explainer.style.manifest.name
        return self.explainer.bundle.name

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know besides."""
        return (*self.explainer.notes, *self._notes)

    @property
    def resamples(self) -> bool:
        """Are there other counterfactuals of an image?"""
        return not isinstance(self.explainer, DirectedExplainer)

    def prepare(self) -> None:
        """Have ready what the first image needs."""
        self.reader.start()
        self.motion()

    def close(self) -> None:
        """End the reading process, and remove all open images."""
        self.reader.close()
        self.sessions.clear()
        self._folder.remove()

    def judged(self, verdict_id: str) -> Session | None:
        """The open image on which verdicts are kept under this id, if there is one."""
        open_images = self.sessions.items()
        return next((each for each in open_images if each.verdict_id == verdict_id), None)

    def open_file(self, file: ReadFile, frame: int | None) -> str:
        """Explain an image of a file.

        Args:
            file: as it was read.
            frame: number of the image, from 1; the best one where None.

        Returns:
            The session's id.

        Raises:
            RequestError: there is no such image in the file.
            TooLargeError: its explanation takes too much memory.
        """
        count = len(file.images)
        if frame is not None and not 1 <= frame <= count:
            raise RequestError(f"the file holds images 1 to {count}, got {frame}")
        images = torch.from_numpy(file.images.copy())
        notes = file.notes
        if frame is None:
            frame = 1 + self._surest(images)
            if count > 1:
                target = self.explainer.bundle.target_name
                notes += (f"shown is image {frame} of {count}, the model's surest of '{target}'",)
        index = frame - 1
        opened = Opened(images[index], file.names[index], None, file.spacings[index])
        return self._open(opened, file=(frame, count), notes=notes)

    def open_saved(self, saved: SavedExplanation) -> str:
        """Explain the image of a saved explanation anew, with this bundle.

        Raises:
            DataError: the bundle takes other images.
        """
        image = torch.from_numpy(saved.array("image").copy())
        mask = torch.from_numpy(saved.array("mask")) > 0 if "mask" in saved.shapes() else None
        return self._open(Opened(image, saved.facts.name, mask, saved.facts.spacing), saved.id)

    def render(self, session: Session, setting: Setting) -> Rendered:
        """Draw an image at a setting, and ask the model about it.

        Raises:
            RequestError: the setting's alternative is not there.
        """
        start = time.perf_counter()
        with torch.no_grad():
            z1, z2 = self._film_codes(session, setting)
            image = self.explainer.generator(z1, setting.strength * z2)
            said = self.explainer.classifier(image)
        score = float(self.explainer.spec.score(said, self.explainer.target)[0])
        pixels = image[0].float().cpu().numpy()
        elapsed = 1000 * (time.perf_counter() - start)
        return Rendered(pixels, said[0].tolist(), score, elapsed)

    def resample(self, session: Session, seed: int) -> list[Alternative]:
        """Draw other pathologies for the image's structure; keep a few different ones.

        Args:
            session: the open image.
            seed: of the codes.

        Returns:
            Those that the model calls positive; they replace earlier ones.
        """
        if not self.resamples:
            return []
        explainer = self.explainer
        candidates = explainer.sample_codes(CANDIDATES, positive=True, seed=seed)[1]
        found = plausible_positives(
            explainer.generator,
            explainer.classifier,
            explainer.target,
            session.codes[0],
            candidates,
            count=ALTERNATIVES,
        )
        said = answers(explainer.classifier, found.images[:, 0])
        session.alternatives = [
            Alternative(
                found.z2[place],
                found.images[place, 0].float().cpu().numpy(),
                said[place].tolist(),
                float(found.probabilities[place, 0]),
            )
            for place in range(ALTERNATIVES)
            if bool(found.found[place, 0])
        ]
        return session.alternatives

    def seek(self, session: Session, wish: Wish, present: Setting) -> Reached:
        """Find the setting that gives a wanted answer.

        Along the strength, all other sliders as they are; where that does not lead to it and the
        generator is style-based, by a move of the image's own, as ``medxgan explain --to`` does.

        Args:
            session: the open image.
            wish: what is wanted.
            present: where the sliders stand.
        """
        explainer = self.explainer
        with torch.no_grad():
            z1, z2 = self._film_codes(session, present)

            def scores_at(strengths: Tensor) -> Tensor:
                frames = explainer.generator.film(z1, z2, strengths.to(z2))
                return evaluate(probability(explainer.classifier, explainer.target), frames)[:, 0]

            found = strength_for(scores_at, wish, present.strength)
        setting = replace(present, strength=found.strength)
        reached = found.reached
        if not reached and isinstance(explainer, DirectedExplainer):
            moved = move_to(explainer, session.codes[0], wish)
            if moved is not None:
                session.goal, reached = moved, True
                still = {control.id: control.value for control in self.controls[1:]}
                setting = Setting(1.0, still, GOAL)
        rendered = self.render(session, setting)
        sentence = None if reached else unreached_text(wish, found, explainer.spec)
        return Reached(setting, rendered, reached, sentence)

    def _open(
        self,
        opened: Opened,
        verdict_id: str | None = None,
        *,
        file: tuple[int, int] | None = None,
        notes: tuple[str, ...] = (),
    ) -> str:
        explainer = self.explainer
        steps = min(explainer.inversion_steps, MOST_STEPS)
        if steps < explainer.inversion_steps:
            notes += (
                f"its codes were looked for in {MOST_STEPS} steps, where medxgan explain takes "
                f"{explainer.inversion_steps}",
            )
        explained = explainer.explain(
            opened.image,
            methods=METHODS,
            names=[opened.name],
            masks=[opened.mask],
            spacings=[opened.spacing],
            refine=steps,
        )
        assert isinstance(explained, Explanation)
        give_way()
        folder = self._folder.subfolder()
        try:
            save_explanation(explained, folder / IMAGE_FOLDER)
            shown = read_explanation(folder / IMAGE_FOLDER, folder)
            latent = explained.latent
            codes = (latent.z1.to(explainer.device), latent.z2.to(explainer.device))
            session = Session(shown, codes, self, verdict_id or shown.id, file, notes)
            return self.sessions.add(session, total_bytes(shown.shapes()))
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _surest(self, images: Tensor) -> int:
        """Index of the image with most evidence, as ``medxgan explain`` chooses its slice."""
        if len(images) == 1:
            return 0
        evidence = evidence_of(self.explainer.classifier, self.explainer.target)
        return int(evidence(images.to(self.explainer.device)).argmax())

    def _film_codes(self, session: Session, setting: Setting) -> tuple[Tensor, Tensor]:
        z1, own = session.codes
        end = own
        if setting.alternative == GOAL:
            if session.goal is None:
                raise RequestError("no goal was asked for yet; choose one first")
            end = session.goal
        elif isinstance(setting.alternative, int):
            if not 0 <= setting.alternative < len(session.alternatives):
                raise RequestError("there is no such counterfactual; ask for others first")
            end = session.alternatives[setting.alternative].code
        return self.motion().film(z1, end, setting.values)


def _remove_files(session: Session) -> None:
    shutil.rmtree(session.shown.folder.parent, ignore_errors=True)

"""What ``medxgan.load`` returns: a bundle that explains images."""

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from medxgan.bundle import Bundle, Manifest
from medxgan.classifiers import TorchClassifier
from medxgan.data import Dataset, Inputs, open_dataset, read_inputs
from medxgan.data.opening import is_dataset
from medxgan.data.presentation import AS_STORED, Presentation, Spacing
from medxgan.errors import ConfigError
from medxgan.explain.assembly import Ends, assemble
from medxgan.explain.batch import Batch, make_batch
from medxgan.explain.counterfactual import positive_ends
from medxgan.explain.scores import evaluate, probability
from medxgan.explain.settings import DEFAULT_METHODS, ExplainSettings, make_settings
from medxgan.explanations import Explanations
from medxgan.inversion import (
    MOMENTUM,
    PUBLISHED_MOMENTUM,
    PUBLISHED_STEPS,
    cold_start,
    encode,
    refine,
    root_mean_square,
)
from medxgan.surrogate_notes import surrogate_notes
from medxgan.types import ClassifierSpec, Explanation, Generator, Latent

IMAGES_AT_ONCE = 32
UNDRAWABLE = 1e4
"""Log-odds that a slice loses in the choice of the best one if the bundle cannot draw it."""
CANDIDATES = 24
ALTERNATIVES = 4


class Explainer:
    """A bundle that explains images; made by ``medxgan.load``.

    Attributes:
        bundle: what the bundle says of itself.
        classifier: the explained model; a ``WithSurrogate`` where its gradients are lent.
        oracle: an independent classifier, for judging; None where the bundle has none.
        generator: G(z1 ``[N, d1]``, z2 ``[N, d2]``) -> images ``[N, C, H, W]`` in [-1, 1].
        device: where it computes.
        target: index of the explained class.
        notes: what every reader of its explanations must know; usually nothing.
        inversion_steps: steps of the published objective in ``encode``, and in ``explain`` where
            ``refine`` is not given: 0 after an encoder, 5000 from a cold start without one. See
            ``DirectedExplainer`` for a style-based generator.
    """

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.bundle: Manifest = bundle.manifest
        self.device = device
        self.classifier: TorchClassifier = bundle.classifier.to(device)
        self.oracle = bundle.oracle.to(device) if bundle.oracle is not None else None
        self.generator: Generator = bundle.generator.to(device)
        self._encoder = bundle.encoder.to(device) if bundle.encoder is not None else None
        self.target = bundle.manifest.target
        self.notes = surrogate_notes(self.classifier, bundle.manifest.target_name)
        self.inversion_steps = 0 if self._encoder is not None else PUBLISHED_STEPS

    @property
    def spec(self) -> ClassifierSpec:
        """What images are taken and what the classifier says of them."""
        return self.classifier.spec

    @property
    def encoder(self) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
        """E(x): images ``[N, C, H, W]`` in [-1, 1] -> z1 ``[N, d1]``, z2 ``[N, d2]``.

        z2 is exactly 0 where the classifier calls the image negative. None for a bundle of the
        published method, which has no encoder; ``encode`` inverts it, step by step.
        """
        network = self._encoder
        if network is None:
            return None

        def codes(images: Tensor) -> tuple[Tensor, Tensor]:
            images = images.to(self.device)
            latent = encode(network, images, self._scores(images) >= 0.5)
            return latent.z1, latent.z2

        return codes

    def encode(self, images: Tensor, target: int | str | None = None) -> Latent:
        """The codes of images ``[N, C, H, W]``, all as one batch.

        One pass of the encoder, or codes drawn from the prior where there is none, then
        ``inversion_steps`` of the published objective.

        Raises:
            ConfigError: ``target`` is not the class that the bundle explains.
        """
        self._check_target(target)
        return self.invert(images.to(self.device), ExplainSettings())

    def sample_codes(self, n: int, positive: bool, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Codes from the prior: z1 ``[n, d1]``; z2 ``[n, d2]``, zero unless ``positive``.

        The same seed gives the same z1 for both classes.
        """
        random = torch.Generator().manual_seed(seed)
        network = self.bundle.network
        z1 = torch.randn(n, network.structure_code, generator=random)
        z2 = torch.randn(n, network.pathology_code, generator=random) * float(positive)
        return z1.to(self.device), z2.to(self.device)

    def prior_codes(self, positive: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Codes of images as the prior has them, for comparing these with real ones.

        Args:
            positive: which of them are to be positive, bool ``[n]``; without effect on a generator
                that is told no class, such as a style-based one.
            seed: of the draw.

        Returns:
            z1 ``[n, d1]`` and z2 ``[n, d2]``.
        """
        z1, z2 = self.sample_codes(len(positive), positive=True, seed=seed)
        return z1, z2 * positive.to(z2)[:, None]

    def sample_pathology(self, z1: Tensor, seed: int = 0) -> Tensor:
        """Codes z2 ``[n, d2]`` from the prior that make structures z1 ``[n, d1]`` positive."""
        return self.sample_codes(len(z1), positive=True, seed=seed)[1]

    def explain(
        self,
        images: Tensor | str | os.PathLike[str],
        target: int | str | None = None,
        methods: Iterable[str] = DEFAULT_METHODS,
        *,
        names: Sequence[str] | None = None,
        masks: Sequence[Tensor | None] | None = None,
        spacings: Sequence[Spacing | None] | None = None,
        presentation: Presentation | None = None,
        **settings: Any,
    ) -> Explanation | Explanations:
        """Explain one image, or several.

        Args:
            images: one image ``[C, H, W]`` in [-1, 1], or a file that gives one: the result is an
                ``Explanation``. A batch ``[N, C, H, W]``, a folder, an archive, or a file that
                gives several images: the result is a list of them, ``Explanations``. What files
                give is said under ``read``: as in ``medxgan explain``, a DICOM file of several
                frames all that show something, a NIfTI file its best slice.
            target: index or name of the class; the bundle's own where None.
            methods: attributions to compute.
            names: of the images, for reports; numbers where None.
            masks: lesion masks, bool ``[H, W]`` or None for each image.
            spacings: distance of the rows and columns in the patient, mm, or None for each image;
                files bring their own.
            presentation: how DICOM and NIfTI files are shown, and which slices are taken.
            settings: further fields of ``ExplainSettings``: refine, start, frames, steps, seed.

        Raises:
            ConfigError: an unknown method or setting, a target that the bundle does not explain, or
                a presentation of what is no DICOM or NIfTI file.
            DataError: images of another shape, not finite, or that cannot be read; not one name,
                mask or spacing for each.
        """
        self._check_target(target)
        chosen = make_settings(methods, settings)
        if isinstance(images, str | os.PathLike):
            path = Path(images)
            inputs = self.read([path], presentation=presentation or AS_STORED)
            for note in inputs.notes:
                warnings.warn(note, stacklevel=2)
            alone = len(inputs) == 1 and not is_dataset(path)
            images, names = inputs.images, inputs.names
            masks, spacings = inputs.masks, inputs.spacings
        elif presentation is not None:
            raise ConfigError(
                "a presentation says how files are shown, and the images are a tensor; leave it "
                "out, or give the path of a file"
            )
        else:
            alone = images.ndim == 3
        batch = make_batch(images, self.spec, names=names, masks=masks, spacings=spacings)
        explanations = Explanations()
        for part in batch.split(IMAGES_AT_ONCE):
            explanations += self._explain_batch(part, chosen)
        return explanations[0] if alone else explanations

    def read(
        self,
        paths: Sequence[Path],
        split: str | None = None,
        presentation: Presentation = AS_STORED,
    ) -> Inputs:
        """Read files, folders and archives as the images that this bundle takes.

        Of a NIfTI file that is named itself that is the best slice, unless ``presentation`` chooses
        others: see ``presentation``. Of folders and DICOM files it is all that show something.

        Raises:
            DataError: one of them cannot be read, or has no such split.
            MissingPackageError: one of them needs a package that is not installed.
            ConfigError: ``presentation`` asks what no file can give.
        """
        return read_inputs(
            paths,
            size=self.spec.size,
            channels=self.spec.channels,
            split=split,
            limits=self.bundle.intensity_limits,
            presentation=self.presentation(presentation),
        )

    def open_dataset(self, path: Path, presentation: Presentation = AS_STORED) -> Dataset:
        """Open a data set with the size, channels and grey scale that this bundle takes.

        Raises:
            DataError: it cannot be read.
            MissingPackageError: a file in it needs a package that is not installed.
            ConfigError: ``presentation`` asks what no file in it can give.
        """
        return open_dataset(
            path,
            size=self.spec.size,
            channels=self.spec.channels,
            limits=self.bundle.intensity_limits,
            presentation=self.presentation(presentation),
        )

    def presentation(self, chosen: Presentation = AS_STORED) -> Presentation:
        """How DICOM and NIfTI files are shown: as chosen, else as the bundle was trained with.

        The best slice is the one on which the log-odds of the explained class are greatest, of
        those that generator and encoder can draw; of all where there is none, or no encoder.
        """

        def score_part(images: Tensor) -> Tensor:
            evidence = self.classifier.log_odds(images, self.target)
            return torch.where(self._drawable(images), evidence, evidence - UNDRAWABLE)

        def score(images: Tensor) -> Tensor:
            return evaluate(score_part, images.to(self.device))

        kept = self.bundle.presentation
        return replace(chosen, score=chosen.score or score, kept=kept)

    def _drawable(self, images: Tensor) -> Tensor:
        """Are codes and reconstructions of images within the bundle's limits? bool ``[N]``."""
        if self._encoder is None:
            return torch.ones(len(images), dtype=torch.bool, device=images.device)
        limits = self.bundle.thresholds
        latent = encode(self._encoder, images, self._scores(images) >= 0.5)
        error = (images - self.generator(latent.z1, latent.z2)).abs().mean(dim=(1, 2, 3))
        return (
            (error <= limits.reconstruction_error)
            & (root_mean_square(latent.z1) <= limits.structure_length)
            & (root_mean_square(latent.z2) <= limits.pathology_length)
        )

    def invert(self, images: Tensor, settings: ExplainSettings) -> Latent:
        """Codes of images ``[N, C, H, W]`` by encoder or cold start, refined if asked for."""
        positive = self._scores(images) >= 0.5
        momentum = MOMENTUM
        if self._encoder is None or settings.start == "cold":
            momentum = PUBLISHED_MOMENTUM
            network = self.bundle.network
            sizes = (network.structure_code, network.pathology_code)
            start = cold_start(images, positive, sizes, settings.seed)
        else:
            start = encode(self._encoder, images, positive)
        steps = self.inversion_steps if settings.refine is None else settings.refine
        return refine(self.generator, self.classifier, self.target, images, start, steps, momentum)

    def _explain_batch(self, batch: Batch, settings: ExplainSettings) -> list[Explanation]:
        images = batch.images.to(self.device)
        inverted = self.invert(images, settings)
        positive = self._scores(images) >= 0.5
        z2, alternatives, alternative_scores = self._positive_end(inverted, positive, settings.seed)
        latent = Latent(inverted.z1, z2)
        judged = self._judged_codes(inverted, latent)
        return assemble(
            batch._replace(images=images),
            Ends(latent, judged, positive, alternatives, alternative_scores),
            generator=self.generator,
            classifier=self.classifier,
            manifest=self.bundle,
            settings=settings,
            notes=self.notes,
        )

    def _judged_codes(self, inverted: Latent, shown: Latent) -> Latent:
        """Codes that must be plausible: found for the image; what is drawn from the prior is so."""
        return inverted

    def _positive_end(
        self, inverted: Latent, positive: Tensor, seed: int
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """z2 of each film's positive end ``[N, d2]``; other positives of each image; their scores.

        A positive image ends at its own code. A negative one has none: it ends at the strongest
        of several drawn from the prior.
        """
        candidates = self.sample_codes(CANDIDATES, positive=True, seed=seed)[1]
        return positive_ends(
            self.generator,
            self.classifier,
            self.target,
            inverted,
            positive,
            candidates,
            ALTERNATIVES,
        )

    def _scores(self, images: Tensor) -> Tensor:
        return evaluate(probability(self.classifier, self.target), images)

    def _check_target(self, target: int | str | None) -> None:
        if target is None:
            return
        index = self.spec.target_index(target)
        if index != self.target:
            raise ConfigError(
                f"this bundle explains the class '{self.bundle.target_name}', got "
                f"'{self.spec.class_names[index]}'; train a bundle with --target for it"
            )

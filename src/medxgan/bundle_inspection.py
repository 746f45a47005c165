"""``medxgan inspect`` of bundles and of directions: what they explain, and how well."""

from pathlib import Path

from medxgan.bundle import ClassifierRecord, Manifest, load_bundle, read_manifest
from medxgan.classifiers import KINDS
from medxgan.classifiers.surrogate import true_model_of
from medxgan.direction_figures import figure_text
from medxgan.direction_file import DirectionManifest, read_direction_manifest
from medxgan.direction_folder import FOLDER, fitted_directions
from medxgan.model_inspection import Facts, Finding, channel_words, figure_words, spec_facts
from medxgan.quality import poorness
from medxgan.style_bundle import StyleManifest


def bundle_finding(folder: Path, source: str) -> Finding:
    """A bundle, of any method; networks and classifier are loaded to see that they can be.

    Args:
        folder: of the bundle.
        source: what the user calls it.

    Raises:
        BundleError: it is damaged, or newer than this program.
        ClassifierError: the model in it cannot be opened.
        MissingPackageError: that model needs a package that is not installed.
    """
    manifest = read_manifest(folder)
    if isinstance(manifest, StyleManifest):
        return _style_bundle(manifest, folder, source)
    if manifest.classifier.included:
        load_bundle(folder)  # says whether the weights are whole and fit
    limits = manifest.thresholds
    warning = poorness(manifest.metrics.get("held_out", {}))
    facts = {
        "name": manifest.name,
        "method": manifest.method,
        "explained class": manifest.target_name,
        **spec_facts(manifest.spec),
        "classifier": _record_words(manifest.classifier),
        "oracle": _record_words(manifest.oracle) if manifest.oracle else "none",
        "trained on": _training_words(manifest),
        "trusted up to": f"reconstruction error {limits.reconstruction_error:.3f}, prediction gap "
        f"{limits.prediction_gap:.2f}, code lengths {limits.structure_length:.2f} and "
        f"{limits.pathology_length:.2f} ({limits.quantile:.0%} of {limits.images} images)",
        **{
            f"{name.replace('_', '-')} images": figure_words(part)
            for name, part in manifest.metrics.items()
        },
        **({"warning": warning} if warning else {}),
        **_shown_facts(manifest),
        "licence of the data": manifest.data_licence,
        "written by": f"medxgan {manifest.generator_version}",
    }
    given = "" if manifest.classifier.included else " --classifier MODEL"
    return Finding("a bundle", facts, f"explain {source} IMAGE --out FOLDER{given}")


def _style_bundle(manifest: StyleManifest, folder: Path, source: str) -> Finding:
    load_bundle(folder)
    limits, images = manifest.thresholds, manifest.images
    facts = {
        "name": manifest.name,
        "method": manifest.method,
        **_direction_facts(folder),
        "images": f"{images.size} x {images.size} pixels, {channel_words(images.channels)}",
        "codes": f"{manifest.network.code} dimensions; the encoder gives one "
        f"{'for all layers (W)' if manifest.network.encoder_space == 'w' else 'a layer (W+)'}",
        "noise inputs": "yes" if manifest.network.noise else "no",
        "trained on": _training_words(manifest),
        "trusted up to": f"reconstruction error {limits.reconstruction_error:.3f}, code distance "
        f"{limits.code_distance:.2f} ({limits.quantile:.0%} of {limits.images} images)",
        **{
            f"{name.replace('_', '-')} images": figure_words(part)
            for name, part in manifest.metrics.items()
        },
        **_shown_facts(manifest),
        "licence of the data": manifest.data_licence,
        "written by": f"medxgan {manifest.generator_version}",
    }
    return Finding("a bundle of a style-based generator", facts, _use_of_directions(folder, source))


def _use_of_directions(folder: Path, source: str) -> str:
    names = fitted_directions(folder)
    if not names:
        return f"fit-direction {source} --classifier FILE"
    record = read_direction_manifest(folder / FOLDER / names[0]).classifier
    chosen = f" --direction {names[0]}" if len(names) > 1 else ""
    given = "" if record.included else " --classifier MODEL"
    return f"explain {source} IMAGE --out FOLDER{chosen}{given}"


def _direction_facts(folder: Path) -> Facts:
    """One line for each direction that lies in the bundle."""
    names = fitted_directions(folder)
    if not names:
        return {"directions": "none yet; one is fitted for each model"}
    return {
        f"direction '{name}'": _direction_words(read_direction_manifest(folder / FOLDER / name))
        for name in names
    }


def _direction_words(manifest: DirectionManifest) -> str:
    return (
        f"'{manifest.target_name}' of {_record_words(manifest.classifier)}; explains "
        f"{figure_text(manifest.fit['explained'])} of the variance of its evidence (random "
        f"directions {figure_text(manifest.fit['explained_by_random_mean'])})"
    )


def direction_finding(folder: Path) -> Finding:
    """A direction in a style-based generator.

    Raises:
        BundleError: its description is damaged, or newer than this program.
    """
    manifest = read_direction_manifest(folder)
    facts = {
        "name": manifest.name,
        "explained class": manifest.target_name,
        **spec_facts(manifest.classifier.spec),
        "classifier": _record_words(manifest.classifier),
        "oracle": _record_words(manifest.oracle) if manifest.oracle else "none",
        "generator": manifest.generator[:12],
        "regression": manifest.kind,
        "figures": figure_words(manifest.fit),
        "written by": f"medxgan {manifest.generator_version}",
    }
    given = "" if manifest.classifier.included else " --classifier MODEL"
    use = f"explain BUNDLE IMAGE --direction {folder} --out FOLDER{given}"
    return Finding("a direction in a style-based generator", facts, use)


def _record_words(record: ClassifierRecord) -> str:
    place = "inside" if record.included else f"not inside (from {record.source})"
    what = record.architecture or (KINDS[record.kind].title if record.kind else "own model")
    known = true_model_of(record.measured)
    stands = "" if known is None else f"; stands for {known}"
    return f"{what} {record.fingerprint[:12]}, {place}{stands}"


def _training_words(manifest: Manifest | StyleManifest) -> str:
    told = manifest.training
    return (
        f"{told.get('data')} ({told.get('training_images')} images), "
        f"{told.get('images_shown')} shown in {told.get('seconds')} s, seed {told.get('seed')}"
    )


def _shown_facts(manifest: Manifest | StyleManifest) -> Facts:
    """How DICOM and NIfTI files are shown to the bundle; nothing where it keeps nothing."""
    words = str(manifest.presentation)
    return {"DICOM and NIfTI": f"{words}, as it was trained with"} if words else {}

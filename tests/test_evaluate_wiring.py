"""Is every figure asked of the right images? Each column against a direct call.

The encoder errs and the oracle has a rule of its own, so that no two of original, reconstruction,
negative and transferred image give the same answers.
"""

from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor

from known_world import BiasedReader, make_data, make_explainer, patch_oracle
from medxgan.data import Dataset
from medxgan.evaluate import Evaluation, evaluate
from medxgan.explainer import Explainer
from medxgan.metrics.similarity import mae_outside, mse, psnr, ssim

Pictures = dict[str, Tensor]


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return make_explainer(encoder=BiasedReader(), oracle=patch_oracle())


@pytest.fixture(scope="module")
def evaluation(explainer: Explainer) -> Evaluation:
    return evaluate(explainer, make_data(), codes=1, steps=2, methods=(), controls=False)


@pytest.fixture(scope="module")
def pictures(explainer: Explainer, evaluation: Evaluation) -> Pictures:
    """What became of the images called positive."""
    data = make_data()
    images = data.images(evaluation.rows)
    latent = explainer.encode(images)
    with torch.no_grad():
        redrawn = explainer.generator(latent.z1, latent.z2)
        negative = explainer.generator(latent.z1, 0 * latent.z2)
    return {
        "image": images,
        "reconstruction": redrawn,
        "counterfactual": negative,
        "transferred": (images + negative - redrawn).clamp(-1, 1),
        "twin": data.twin_images(evaluation.rows),
    }


def masks_of(data: Dataset, evaluation: Evaluation) -> Tensor:
    return data.mask_images(evaluation.rows)[0]


def says_positive(judge: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    with torch.no_grad():
        return judge(images)[:, 1] >= 0.5


def same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_the_oracle_tells_all_pictures_apart(explainer, pictures):
    """Otherwise the tests below would tell nothing."""
    answers = {
        name: says_positive(explainer.oracle, pictures[name])
        for name in ("image", "reconstruction", "counterfactual", "transferred")
    }
    for first, second in combinations(answers, 2):
        assert not answers[first].equal(answers[second]), (first, second)


def test_the_oracle_judges_original_negative_and_transferred_image(explainer, evaluation, pictures):
    before, redrawn, transferred = (
        says_positive(explainer.oracle, pictures[name])
        for name in ("image", "counterfactual", "transferred")
    )
    columns = evaluation.columns
    same(columns["counterfactual", "oracle_before"], before.float())
    for name, after in (
        ("oracle_validity", redrawn),
        ("oracle_transfer_validity", transferred),
    ):
        expected = torch.where(before, (~after).float(), torch.nan)
        same(columns["counterfactual", name], expected)
    assert (
        not columns["counterfactual", "oracle_validity"]
        .nan_to_num(9)
        .equal(columns["counterfactual", "oracle_transfer_validity"].nan_to_num(9))
    )


def test_preservation_compares_the_negative_with_the_reconstruction(evaluation, pictures):
    redrawn, negative = pictures["reconstruction"], pictures["counterfactual"]
    masks = masks_of(make_data(), evaluation)
    same(evaluation.columns["counterfactual", "preservation_ssim"], ssim(redrawn, negative))
    outside = mae_outside(redrawn, negative, masks)
    outside[~masks.flatten(1).any(dim=1)] = torch.nan
    same(evaluation.columns["counterfactual", "outside_mask_mae"], outside)
    for original in (ssim(pictures["image"], negative), ssim(redrawn, pictures["image"])):
        assert not original.allclose(ssim(redrawn, negative), atol=1e-3)


@pytest.mark.parametrize(
    ("figure", "picture"),
    [
        ("twin", "counterfactual"),
        ("image_twin", "image"),
        ("reconstruction_twin", "reconstruction"),
        ("transferred_twin", "transferred"),
    ],
)
def test_twins_are_compared_with_each_picture(evaluation, pictures, figure, picture):
    twin = pictures["twin"]
    own_twin = (twin == pictures["image"]).flatten(1).all(dim=1)
    assert own_twin.tolist() == [False] * 4 + [True]
    for measure in (psnr, ssim):
        expected = measure(pictures[picture], twin).masked_fill(own_twin, torch.nan)
        same(evaluation.columns["counterfactual", f"{figure}_{measure.__name__}"], expected)
    others = {name: mse(images, twin)[:4] for name, images in pictures.items() if name != "twin"}
    for first, second in combinations(others, 2):
        assert not others[first].allclose(others[second], rtol=0.01), (first, second)


def test_the_classifier_is_asked_of_each_picture(explainer, evaluation, pictures):
    columns = evaluation.columns
    for figure, picture in (
        ("image", "image"),
        ("film_start", "counterfactual"),
        ("film_end", "reconstruction"),
        ("transferred", "transferred"),
    ):
        with torch.no_grad():
            same(columns["probability", figure], explainer.classifier(pictures[picture])[:, 1])
    answers = {name: says_positive(explainer.classifier, pictures[name]) for name in pictures}
    same(columns["counterfactual", "validity"], (~answers["counterfactual"]).float())
    same(columns["counterfactual", "transfer_validity"], (~answers["transferred"]).float())
    crossed = answers["reconstruction"] & ~answers["counterfactual"]
    same(columns["counterfactual", "crossing"], crossed.float())


def test_reconstructions_are_compared_with_the_original(evaluation, pictures):
    found = evaluation.columns["reconstruction", "mse"]
    same(found, mse(pictures["image"], pictures["reconstruction"]))


def test_codes_are_kept_of_which_all_was_drawn(explainer, evaluation, pictures):
    latent = explainer.encode(pictures["image"])
    same(evaluation.latent.z1, latent.z1)
    same(evaluation.latent.z2, latent.z2)

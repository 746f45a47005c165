"""Explanations by a direction keep all promises of an explainer, in a world with known answers."""

import numpy as np
import pytest
import torch

from directed_world import (
    CODE,
    CPU,
    LAYERS,
    PATCH,
    SIZE,
    SPEC,
    LinearGenerator,
    drawn_images,
    fitted,
    linear_bundle,
    patch_black_box,
    patch_module,
)
from medxgan.audit import AuditSettings
from medxgan.audit.auditing import audit
from medxgan.data import build_dataset
from medxgan.directed_explainer import DirectedExplainer
from medxgan.errors import ConfigError
from medxgan.evaluate import evaluate
from medxgan.evaluate.identity import identity_of
from medxgan.evaluate.redrawn import untrained
from medxgan.explain import METHODS
from medxgan.explain.settings import DEFAULT_METHODS, ExplainSettings
from medxgan.style_inversion import REFINED

NEEDING_GRADIENTS = {"lig", "lig-transferred", "lig-published", "ig", "grad-cam"}


def make(classifier, *, plus: bool = False, steps: int = 0) -> DirectedExplainer:
    """Without refinement, where nothing else is said: the encoder of this world makes no error."""
    bundle = linear_bundle(plus=plus)
    explainer = DirectedExplainer(bundle, fitted(classifier, bundle=bundle), CPU)
    explainer.inversion_steps = steps
    return explainer


@pytest.fixture(scope="module")
def of_function():
    return make(patch_black_box())


@pytest.fixture(scope="module")
def of_module():
    return make(patch_module())


@pytest.fixture(scope="module")
def in_layers():
    return make(patch_black_box(), plus=True)


@pytest.fixture(scope="module")
def images():
    return drawn_images(12)


@pytest.fixture(scope="module")
def data(images):
    mask = np.zeros((len(images), SIZE, SIZE), bool)
    mask[:, *PATCH] = True
    positive = patch_black_box()(images)[:, 1] >= 0.5
    return build_dataset(
        images.numpy(),
        labels=positive.int().tolist(),
        limits=(-1.0, 1.0),
        class_names=SPEC.class_names,
        split=[2] * len(images),
        groups=[str(number) for number in range(len(images))],
        masks=mask & positive.numpy()[:, None, None],
    )


@pytest.fixture(scope="module", params=["of_function", "of_module", "in_layers"])
def explainer(request):
    return request.getfixturevalue(request.param)


# Codes.


def test_codes_have_the_promised_sizes(explainer, images):
    """Those of W+, whatever space the encoder reads."""
    network = explainer.bundle.network
    assert network.structure_code == network.pathology_code == LAYERS * CODE
    for count, codes in (
        (12, explainer.encoder(images)),
        (5, explainer.sample_codes(5, positive=True)),
    ):
        assert codes[0].shape == codes[1].shape == (count, LAYERS * CODE)


def test_codes_of_an_image_draw_it_again(explainer, images):
    z1, z2 = explainer.encoder(images)
    torch.testing.assert_close(explainer.generator(z1, z2), images, atol=1e-4, rtol=0)


def test_negatives_are_not_moved(explainer, images):
    positive = explainer.classifier(images)[:, 1] >= 0.5
    assert positive.any() and not positive.all()
    _, z2 = explainer.encoder(images)
    assert not z2[~positive].any() and z2[positive].any(dim=1).all()


def test_samples_of_one_seed_have_one_negative_end(explainer):
    of_no, nothing = explainer.sample_codes(4, positive=False, seed=3)
    of_yes, move = explainer.sample_codes(4, positive=True, seed=3)
    assert torch.equal(of_no, of_yes) and not nothing.any()
    judged = explainer.classifier
    assert (judged(explainer.generator(of_yes, 0 * move))[:, 1] < 0.5).all()
    assert (judged(explainer.generator(of_yes, move))[:, 1] >= 0.5).all()
    assert not torch.equal(of_yes, explainer.sample_codes(4, positive=True, seed=4)[0])


def test_the_prior_is_drawn_as_it_is(explainer):
    called = torch.tensor([True, False, True])
    z1, z2 = explainer.prior_codes(called, seed=3)
    assert z1.shape == z2.shape and not z2.any()
    assert torch.equal(explainer.prior_codes(~called, seed=3)[0], z1)
    z1, z2 = explainer.prior_codes(torch.ones(16, dtype=torch.bool), seed=3)
    positive = explainer.classifier(explainer.generator(z1, z2))[:, 1] >= 0.5
    assert 0 < positive.sum() < 16


def test_places_and_codes_are_one_and_the_same(of_function):
    codes = torch.randn(3, CODE)
    places = of_function.generator.places(codes)
    axes, mean = of_function.generator.axes, of_function.generator.mean
    torch.testing.assert_close(mean + places @ axes, codes)


def test_a_code_of_one_layer_is_that_of_all_of_them(of_function):
    generator = of_function.generator
    z1, z2 = torch.randn(2, 3, CODE)
    in_layers = torch.randn(3, LAYERS * CODE)
    for mixed, spelt_out in (
        ((z1, in_layers), (z1.repeat(1, LAYERS), in_layers)),
        ((in_layers, z2), (in_layers, z2.repeat(1, LAYERS))),
        ((z1, z2), (z1.repeat(1, LAYERS), z2.repeat(1, LAYERS))),
    ):
        torch.testing.assert_close(generator(*mixed), generator(*spelt_out))
    assert not torch.allclose(generator(z1, in_layers), generator(z1, 0 * in_layers))


# Explanations.


def test_both_kinds_of_image_change_sides_and_films_rise(explainer, images):
    explained = explainer.explain(images, methods=("difference",))
    assert {one.positive for one in explained} == {True, False}
    for one in explained:
        assert one.flipped and one.transfer_flipped and one.status.ok, str(one.status)
        assert (one.probabilities.diff() > 0).all()
        ends = one.probabilities[0], one.probabilities[-1]
        reconstruction, counterfactual = ends[::-1] if one.positive else ends
        assert reconstruction == pytest.approx(one.scores["image"], abs=1e-3)
        assert counterfactual == pytest.approx(0.05 if one.positive else 0.95, abs=0.01)


def test_a_linear_film_is_even_in_evidence(of_function, images):
    one = of_function.explain(images[0], methods=("difference",))
    steps = torch.logit(one.probabilities).diff()
    torch.testing.assert_close(steps, steps.mean().expand_as(steps), atol=1e-3, rtol=1e-3)


def test_the_change_is_where_the_model_looks(of_function, images):
    for one in of_function.explain(images, methods=("difference",)):
        change = one.difference[0].abs()
        assert change[PATCH].mean() > 20 * change[:4].mean()


def test_an_image_is_explained_alike_alone_and_in_company(explainer, images):
    together = explainer.explain(images[:3], methods=("difference",))
    alone = explainer.explain(images[1], methods=("difference",))
    torch.testing.assert_close(alone.frames, together[1].frames, atol=1e-4, rtol=0)


def test_methods_that_need_gradients_are_skipped_with_the_reason(of_function, of_module, images):
    of_black_box = of_function.explain(images[0], methods=tuple(METHODS), steps=2)
    assert set(of_black_box.attributions) == {"difference", "occlusion"}
    assert set(of_black_box.skipped) == NEEDING_GRADIENTS
    assert all("a Python function gives no gradients" in w for w in of_black_box.skipped.values())
    with_gradients = of_module.explain(images[0], methods=tuple(METHODS), steps=2)
    assert with_gradients.skipped == {"grad-cam": "the classifier shows no convolution"}
    evidence = with_gradients.attributions["lig"].sum()
    change = with_gradients.probabilities[-1] - with_gradients.probabilities[0]
    assert evidence == pytest.approx(float(change), rel=0.2)


def test_what_cannot_be_redrawn_has_a_status(of_function):
    noise = torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    (one,) = of_function.explain(noise, methods=("difference",))
    assert "poor reconstruction" in str(one.status)


def test_moves_that_are_too_long_are_noted_both_ways(of_function, images):
    bundle, model = linear_bundle(), patch_black_box()
    direction = fitted(model, bundle=bundle)
    short = direction.manifest.model_copy(update={"step_length": 1e-6})
    explainer = DirectedExplainer(bundle, direction._replace(manifest=short), CPU)
    explainer.inversion_steps = 0
    usual = of_function.explain(images, methods=("difference",))
    found = explainer.explain(images, methods=("difference",))
    assert {one.positive for one in found} == {True, False}
    for one, before in zip(found, usual, strict=True):
        kinds = [problem.kind for problem in one.status.problems]
        assert ("code outside the prior" in kinds) == bool(one.latent.z2.any())
        assert before.status.ok


def test_without_any_way_to_move_nothing_flips(images):
    explainer = make(patch_black_box())
    explainer.common = explainer.local = False
    one = explainer.explain(images[0], methods=("difference",))
    assert not one.flipped and "no flip" in str(one.status)


def test_directions_of_its_own_lead_there_too(images):
    explainer = make(patch_black_box())
    explainer.common = False
    assert all(one.flipped for one in explainer.explain(images, methods=("difference",)))


def test_an_image_is_moved_by_whichever_way_changes_it_less(images):
    explainer, changes = make(patch_black_box()), []
    with torch.no_grad():  # a direction that also changes what the model does not see
        direction = explainer.generator.direction
        other = torch.linspace(-1, 1, CODE)
        direction += 0.7 * (other - (other @ direction) * direction)
        direction /= direction.norm()
    for explainer.common, explainer.local in ((True, False), (False, True), (True, True)):
        explained = explainer.explain(images, methods=("difference",))
        assert all(one.flipped for one in explained)
        changes.append(
            torch.stack([(one.frames[-1] - one.frames[0]).square().sum() for one in explained])
        )
    along, own, both = changes
    torch.testing.assert_close(both, torch.minimum(along, own))
    assert (own < along).all()


# Refinement and cold starts.


def test_refinement_comes_nearer_to_the_image(images):
    explainer = make(patch_black_box())
    with torch.no_grad():
        explainer._style_encoder.inverse *= 0.5
    before, after = (
        explainer.explain(images[:2], methods=("difference",), refine=steps) for steps in (0, 60)
    )
    for rough, fine in zip(before, after, strict=True):
        errors = [(one.image - one.reconstruction).square().mean() for one in (rough, fine)]
        assert errors[1] < 0.1 * errors[0]


def test_images_are_refined_where_nothing_else_is_said(images):
    bundle, model = linear_bundle(), patch_black_box()
    explainer = DirectedExplainer(bundle, fitted(model, bundle=bundle), CPU)
    assert explainer.inversion_steps == REFINED
    with torch.no_grad():
        explainer._style_encoder.inverse *= 0.5
    usual, said, few = (
        explainer.explain(images[0], methods=("difference",), refine=steps)
        for steps in (None, REFINED, 1)
    )
    assert torch.equal(usual.reconstruction, said.reconstruction)
    assert not torch.allclose(usual.reconstruction, few.reconstruction, atol=1e-3)
    # The prior pulls a little.
    torch.testing.assert_close(usual.reconstruction, images[0], atol=0.01, rtol=0)
    drawn = explainer.generator(*explainer.encoder(images[:1]))[0]
    torch.testing.assert_close(drawn, usual.reconstruction, atol=1e-5, rtol=0)


class LayersDrawPictures(LinearGenerator):
    """The patch is the first layer's, all the rest is the last one's."""

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        if codes.ndim == 2:
            return super().forward(codes)
        return super().forward(torch.cat([codes[:, 0, :1], codes[:, -1, 1:]], dim=1))


def test_each_layer_is_placed_on_its_own(images):
    explainer = make(patch_black_box(), steps=REFINED)
    explainer.generator.generator = LayersDrawPictures()
    with torch.no_grad():  # right for the rest; twice the brightness of the patch
        explainer._style_encoder.inverse[:, 0] *= 2
    z1 = explainer.locate(images, ExplainSettings()).unflatten(1, (LAYERS, CODE))
    codes = explainer.generator.mean + z1 @ explainer.generator.axes
    brightness = images[:, 0, *PATCH].mean((1, 2)) / 0.1
    torch.testing.assert_close(codes[:, 0, 0], brightness, atol=0.2, rtol=0)
    assert (codes[:, 0, 0] - codes[:, -1, 0]).abs().max() > 0.2


def test_a_cold_start_is_the_mean_of_the_prior(explainer, images):
    (one,) = explainer.explain(0 * images[:1], methods=("difference",), start="cold")
    torch.testing.assert_close(one.image, torch.zeros(1, SIZE, SIZE))
    negative = explainer.explain(images[:1] * 0 - 0.01, methods=("difference",), start="cold")[0]
    assert not negative.positive
    torch.testing.assert_close(negative.reconstruction, torch.zeros(1, SIZE, SIZE))


def test_another_class_needs_another_direction(of_function, images):
    of_function.explain(images[0], target="bright", methods=("difference",))
    with pytest.raises(ConfigError, match="this direction is for 'bright', got 'dark'; fit one"):
        of_function.explain(images[0], target="dark")


# Measuring.


def test_an_untrained_copy_draws_something_else(of_function, images):
    blank = untrained(of_function, 1)
    assert blank.classifier is of_function.classifier
    z1, z2 = of_function.encoder(images)
    assert not torch.allclose(blank.generator(z1, z2), of_function.generator(z1, z2), atol=1e-2)
    assert torch.equal(of_function.generator(z1, z2), of_function.generator(z1, z2))
    assert not torch.allclose(blank.encoder(images)[0], z1, atol=1e-2)


def test_it_can_be_evaluated(explainer, data):
    methods = (*DEFAULT_METHODS, "occlusion")
    found = evaluate(explainer, data, codes=4, steps=2, methods=methods)
    figures = found.document
    assert figures["agreement"]["balanced"]["value"] == 1.0
    assert figures["counterfactual"]["validity"]["value"] == 1.0
    assert figures["counterfactual"]["transfer_validity"]["value"] == 1.0
    assert figures["localization"]["difference"]["pointing"]["value"] == 1.0
    assert figures["reconstruction"]["mse"]["value"] == pytest.approx(0, abs=1e-6)
    assert figures["sanity"]["occlusion"]["value"] is None
    assert "no weights that could be drawn anew" in figures["sanity"]["occlusion"]["reason"]
    assert figures["noise_robustness"]["difference"]["spearman"]["0.05"]["value"] is not None
    lig = figures["localization"]["lig"]["pointing"]
    if explainer.classifier.differentiable:
        assert lig["value"] == 1.0
    else:
        assert lig["value"] is None and "gives no gradients" in lig["reason"]


def test_measurements_of_two_directions_are_not_taken_for_one(of_function, data):
    bundle, model = linear_bundle(), patch_black_box()
    other = DirectedExplainer(bundle, fitted(model, bundle=bundle, seed=7), CPU)
    names = [identity_of(each, data, {})["bundle"] for each in (of_function, of_function, other)]
    assert names[0] == names[1] != names[2]


def test_it_can_be_audited(of_function, data):
    found, cohort = audit(of_function, data, AuditSettings(methods=("difference",)))
    assert found.target == "bright" and found.positives == len(cohort.names) > 0
    assert (
        cohort.flipped.all()
        and cohort.transferred.all()
        and found.trust.trusted == len(cohort.names)
    )

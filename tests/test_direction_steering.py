"""Moving codes to a wanted answer, where the way is known in closed form."""

import pytest
import torch

from medxgan.explain.direction import least_change
from medxgan.explain.drawing import answer_of, drawn
from medxgan.explain.slope import PROBED, PROBED_A_LAYER, measure_slope, probing_basis
from medxgan.explain.steering import FARTHEST, Goal, Ways, find_moves, follow, steer

CODE, SIZE = 6, 4


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.fixture
def mixing(random) -> torch.Tensor:
    """A linear generator: code -> pixels ``[CODE, SIZE * SIZE]``."""
    return torch.randn(CODE, SIZE * SIZE, generator=random)


@pytest.fixture
def sensitivity(random) -> torch.Tensor:
    """A linear model: pixels -> evidence ``[SIZE * SIZE]``."""
    return torch.randn(SIZE * SIZE, generator=random)


@pytest.fixture
def world(mixing, sensitivity):
    def generator(z1, z2):
        return ((z1 + z2) @ mixing).view(-1, 1, SIZE, SIZE)

    def evidence(images):
        return images.flatten(1) @ sensitivity

    return generator, evidence


def as_image(z1, z2):
    """A generator whose pixels are the code."""
    return (z1 + z2).view(-1, 1, 1, z1.shape[1])


def goals(*wanted: float, upwards: list[bool] | None = None) -> Goal:
    rising = [each > 0 for each in wanted] if upwards is None else upwards
    return Goal(torch.tensor(wanted), torch.tensor(rising))


def test_images_are_drawn_in_batches_and_none_is_lost(world):
    generator, evidence = world
    z1 = torch.arange(9_000.0).view(-1, 1).expand(-1, CODE) / 1e4
    parts = drawn(generator, z1, 0 * z1)
    assert len(parts) > 2
    torch.testing.assert_close(torch.cat(parts), generator(z1, 0 * z1))
    expected = evidence(generator(z1, 0 * z1))
    torch.testing.assert_close(answer_of(*world)(z1, 0 * z1), expected, atol=1e-4, rtol=1e-4)


def test_slope_of_a_linear_world_is_exact(world, mixing, sensitivity):
    basis = torch.eye(CODE)
    slope = measure_slope(*world, torch.ones(2, CODE), torch.zeros(2, CODE), basis)
    torch.testing.assert_close(
        slope.gradient, (mixing @ sensitivity).expand(2, -1), atol=1e-3, rtol=1e-3
    )
    torch.testing.assert_close(slope.metric[0], mixing @ mixing.T, atol=1e-2, rtol=1e-3)


def test_where_no_model_is_asked_there_is_no_gradient(world):
    slope = measure_slope(world[0], None, torch.ones(2, CODE), torch.zeros(2, CODE), torch.eye(6))
    assert slope.gradient.shape == (2, CODE) and not slope.gradient.any()


@pytest.mark.parametrize("direction", [torch.eye(CODE)[0], torch.ones(CODE), torch.zeros(CODE)])
def test_probed_directions_are_orthonormal(direction):
    basis = probing_basis(direction)
    torch.testing.assert_close(basis @ basis.T, torch.eye(CODE), atol=1e-6, rtol=0)
    within = direction @ basis.T @ basis
    torch.testing.assert_close(within, direction, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("layers", "width", "axes"),
    [(1, 3, 2), (1, 50, PROBED - 1), (3, 4, 3), (4, 30, PROBED_A_LAYER)],
)
def test_the_first_axes_of_every_layer_are_probed(layers, width, axes, random):
    direction = torch.randn(layers * width, generator=random)
    basis = probing_basis(direction, layers)
    assert basis.shape == (1 + layers * axes, layers * width)
    torch.testing.assert_close(basis @ basis.T, torch.eye(len(basis)), atol=1e-6, rtol=0)
    torch.testing.assert_close(basis[0].abs(), (direction / direction.norm()).abs())
    alone = torch.zeros(layers, axes, layers, width)
    for layer in range(layers):
        alone[layer, :, layer, :axes] = torch.eye(axes)
    wanted = alone.flatten(2).flatten(0, 1)
    torch.testing.assert_close(wanted @ basis.T @ basis, wanted, atol=1e-5, rtol=0)


def test_a_direction_is_followed_to_where_the_answer_is_first_had(world, mixing, sensitivity):
    rise = float((mixing @ sensitivity)[0])
    direction = torch.eye(CODE)[0] * (1 if rise > 0 else -1)
    goal = goals(2 * abs(rise), -abs(rise), 100 * abs(rise))
    z2, missing = follow(
        answer_of(*world),
        torch.zeros(3, CODE),
        torch.zeros(3, CODE),
        direction.expand(3, -1),
        goal,
        goal.missing(torch.zeros(3)),
        farthest=8.0,
    )
    strengths = z2 @ direction
    assert strengths[0] == pytest.approx(2.0, abs=0.05) and missing[0] <= 0
    assert strengths[1] == pytest.approx(-1.0, abs=0.05) and missing[1] <= 0
    assert strengths[2] == 8.0 and missing[2] == pytest.approx(92 * abs(rise), rel=1e-4)


def test_a_direction_that_leads_away_is_not_followed(world, mixing, sensitivity):
    direction = -torch.sign((mixing @ sensitivity)[0]) * torch.eye(CODE)[0]
    moved = find_moves(*world, torch.zeros(1, CODE), goals(3.0), direction, Ways(local=False))
    assert not moved.z2.any() and not moved.reached.any()


@pytest.mark.parametrize("wanted", [-2.0, 3.0])
def test_steering_reaches_what_is_wanted_for_the_least_change(world, mixing, sensitivity, wanted):
    z2, missing = steer(
        *world, torch.zeros(2, CODE), goals(wanted, wanted), torch.ones(CODE), damping=0.0
    )
    assert (missing <= 0).all()
    through = mixing @ sensitivity
    shortest = least_change(through, mixing @ mixing.T, damping=0.0)
    shortest = shortest * wanted / (through @ shortest)
    torch.testing.assert_close(z2, shortest.expand(2, -1), atol=0.05, rtol=0.05)


def test_steering_out_of_a_flat_place_follows_the_common_direction():
    def stepped(images):
        return (images.flatten(1)[:, 0] - 3).clamp_min(0)

    start = torch.zeros(1, CODE)
    _, missing = steer(as_image, stepped, start, goals(1.0), torch.eye(CODE)[0])
    assert (missing <= 0).all()


def test_directions_of_the_image_itself_get_where_the_common_one_does_not():
    """The answer depends on one place alone, and the common direction is at right angles to it."""

    def evidence(images):
        return images.flatten(1)[:, 0]

    common = torch.eye(CODE)[1]
    z1, goal = torch.zeros(2, CODE), goals(2.0, -2.0)
    assert not find_moves(as_image, evidence, z1, goal, common, Ways(local=False)).reached.any()
    moved = find_moves(as_image, evidence, z1, goal, common)
    assert moved.reached.all() and moved.locally.all()
    torch.testing.assert_close(moved.z2[:, 0], torch.tensor([2.0, -2.0]), atol=0.1, rtol=0)


@pytest.mark.parametrize("ways", [{"common": False}, {"local": False}])
def test_a_way_that_is_not_wanted_is_not_taken(world, mixing, sensitivity, ways):
    direction = torch.sign((mixing @ sensitivity)[0]) * torch.eye(CODE)[0]
    moved = find_moves(*world, torch.zeros(1, CODE), goals(0.5), direction, Ways(**ways))
    assert moved.reached.all() and moved.locally.all() == ("common" in ways)


# Of two ways, the pixels of ``as_image`` being the code, and the common direction the first place:
# what starts beyond a finite difference is not seen in the slope, and only the common way finds it.


def two_ways(evidence, *wanted: float):
    z1 = torch.zeros(len(wanted), CODE)
    found = [
        find_moves(as_image, evidence, z1, goals(*wanted), torch.eye(CODE)[0], Ways(**ways))
        for ways in ({"local": False}, {"common": False}, {})
    ]
    changes = [each.z2.square().sum(dim=1) for each in found]
    return *found, changes


@pytest.mark.parametrize(("steepness", "locally"), [(10.0, False), (0.5, True)])
def test_of_two_ways_that_get_there_the_one_that_changes_less_is_taken(steepness, locally):
    def evidence(images):
        places = images.flatten(1)
        return torch.maximum(places[:, 1], steepness * (places[:, 0] - 0.5))

    common, own, both, changes = two_ways(evidence, 2.0)
    assert common.reached.all() and own.reached.all() and both.reached.all()
    assert both.locally.tolist() == [locally]
    torch.testing.assert_close(both.z2, (own if locally else common).z2)
    assert changes[2] == min(changes[:2]) and changes[0] != changes[1]


def test_less_is_what_changes_the_image_not_the_code():
    """The second place moves the image twice as far."""

    def generator(z1, z2):
        scale = torch.ones(CODE)
        scale[1] = 2
        return as_image(scale * z1, scale * z2)

    def evidence(images):
        places = images.flatten(1) / torch.tensor([1.0, 2, 1, 1, 1, 1])
        return torch.maximum(places[:, 1], (places[:, 0] - 0.5) * 4 / 5)

    z1, goal, common = torch.zeros(1, CODE), goals(2.0), torch.eye(CODE)[0]
    own = find_moves(generator, evidence, z1, goal, common, Ways(common=False))
    both = find_moves(generator, evidence, z1, goal, common)
    assert own.reached.all() and both.reached.all() and not both.locally.any()
    assert own.z2.norm() < both.z2.norm()  # 2 of the second place, 3 of the first


def test_where_one_way_gets_there_it_is_taken_however_much_it_changes():
    def evidence(images):
        """From 0 to 1 and back by the second place; above 1 by the first one, far off."""
        places = images.flatten(1)
        return torch.maximum(1 - (places[:, 1] - 1).abs(), 10 * (places[:, 0] - 5))

    common, own, both, changes = two_ways(evidence, 2.0)
    assert common.reached.all() and not own.reached.any() and changes[1] < changes[0]
    assert both.reached.all() and not both.locally.any()
    assert both.z2[0, 0] == pytest.approx(5.2, abs=0.1)


@pytest.mark.parametrize(("peak", "locally"), [(0.5, True), (1.5, False)])
def test_where_neither_gets_there_the_nearer_is_taken(peak, locally):
    def evidence(images):
        places = images.flatten(1)
        own, common = 1 - (places[:, 1] - 1).abs(), peak - (places[:, 0] - FARTHEST / 4).abs()
        return torch.maximum(own, common)

    common, own, both, _ = two_ways(evidence, 2.0)
    assert not common.reached.any() and not own.reached.any() and not both.reached.any()
    assert both.locally.tolist() == [locally]
    assert both.missing[0] == pytest.approx(min(2 - peak, 1.0), abs=1e-5)


def test_each_image_goes_its_own_way():
    def evidence(images):
        places = images.flatten(1)
        return torch.maximum(places[:, 1], 10 * (places[:, 0] - 0.5))

    common, own, both, changes = two_ways(evidence, 0.5, 2.0, -1.0)
    assert common.reached.tolist() == [True, True, False] and own.reached.all()
    assert both.reached.all() and both.locally.tolist() == [True, False, True]
    assert changes[2].tolist() == [changes[1][0], changes[0][1], changes[1][2]]


def test_one_layer_moves_on_its_own_where_that_changes_less():
    """The answer is read off the second layer, and the common direction moves both."""
    layers = 2

    def evidence(images):
        return images.flatten(1)[:, CODE]

    common = torch.eye(CODE)[0].repeat(layers)
    z1 = torch.zeros(1, layers * CODE)
    moved = find_moves(as_image, evidence, z1, goals(2.0), common, Ways(layers))
    assert moved.reached.all() and moved.locally.all()
    wanted = torch.zeros(layers * CODE)
    wanted[CODE] = 2
    torch.testing.assert_close(moved.z2[0], wanted, atol=0.1, rtol=0)
    together = find_moves(as_image, evidence, z1, goals(2.0), common, Ways(layers, local=False))
    torch.testing.assert_close(together.z2[0], 2 * common, atol=0.1, rtol=0)


def test_what_has_the_answer_is_not_moved(world):
    z1 = torch.zeros(2, CODE)  # evidence 0
    moved = find_moves(*world, z1, goals(-1.0, 1.0, upwards=[True, False]), torch.ones(CODE))
    assert moved.reached.all() and not moved.z2.any()


def test_what_cannot_be_reached_is_said_and_approached():
    def bounded(images):
        return torch.tanh(images.flatten(1).sum(dim=1))

    moved = find_moves(as_image, bounded, torch.zeros(1, CODE), goals(2.0), torch.ones(CODE) / 6)
    assert not moved.reached.any()
    assert moved.missing[0] == pytest.approx(1.0, abs=0.01)


def test_a_peak_on_the_way_is_where_it_stays():
    """Farther along the direction the evidence falls again."""

    def peaked(images):
        place = images.flatten(1)[:, 0]
        return 1 - (place - FARTHEST / 4).abs()

    moved = find_moves(
        as_image, peaked, torch.zeros(1, CODE), goals(2.0), torch.eye(CODE)[0], Ways(local=False)
    )
    assert moved.z2[0, 0] == FARTHEST / 4
    assert moved.missing[0] == pytest.approx(1.0)

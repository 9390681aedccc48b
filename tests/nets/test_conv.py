"""Packed convolutions, and their block with batch norm and ReLU, against torch.nn, member by member."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from claimlab.nets import Running, conv, conv_bn_relu, conv_relu, fold, mean_pool, pack, residual, unpack
from claimlab.parts.initialisers import he, of_torch
from claimlab.seeds import Seeds

worlds = settings(max_examples=30, derandomize=True, database=None)
close = partial(torch.testing.assert_close, rtol=1e-11, atol=1e-11)


def seeds_of(count: int, *, dtype: torch.dtype = torch.float64) -> Seeds:
    return Seeds("tests/conv", 1, "pinned", tuple(range(count)), dtype=dtype)


@st.composite
def cases(draw):
    """Shapes and geometry of a convolution whose outputs are at least one pixel."""
    signal = draw(st.booleans())
    groups = draw(st.integers(1, 2))
    kernel = (1 if signal else draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = (0 if signal else draw(st.integers(0, 1)), draw(st.integers(0, 1)))
    least = [max(1, size - 2 * pad) for size, pad in zip(kernel, padding, strict=True)]
    return {
        "seeds": draw(st.integers(1, 4)),
        "samples": draw(st.integers(2, 4)),
        "inputs": groups * draw(st.integers(1, 3)),
        "outputs": groups * draw(st.integers(1, 3)),
        "pixels": (1 if signal else draw(st.integers(least[0], 6)), draw(st.integers(least[1], 6))),
        "kernel": kernel,
        "geometry": {
            "stride": draw(st.integers(1, 2)),
            "padding": padding,
            "groups": groups,
        },
    }


def draws(case: dict) -> tuple[Tensor, list[Tensor]]:
    """Images `[S, N, C, H, W]`, and [weight, gain, shift] that ask for gradients."""
    seeds = seeds_of(case["seeds"])
    inputs = case["inputs"] // case["geometry"]["groups"]
    weight = of_torch.weight(seeds, "w", case["outputs"], inputs, *case["kernel"])
    gain, shift = seeds.normal("gain", case["outputs"]), seeds.normal("shift", case["outputs"])
    x = seeds.normal("x", case["samples"], case["inputs"], *case["pixels"])
    return x.requires_grad_(), [parameter.requires_grad_() for parameter in (weight, gain, shift)]


def twin_of(case: dict, parameters: list[Tensor], member: int) -> nn.Sequential:
    """What everybody would write for one seed, in its member's parameters."""
    weight, gain, shift = (parameter.detach()[member].clone() for parameter in parameters)
    convolution = nn.Conv2d(case["inputs"], case["outputs"], case["kernel"], bias=False, **case["geometry"]).double()
    norm = nn.BatchNorm2d(case["outputs"]).double()
    convolution.weight.data, norm.weight.data, norm.bias.data = weight, gain, shift
    return nn.Sequential(convolution, norm, nn.ReLU())


def gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


@pytest.mark.parametrize("kernel", [(1, 1), (2, 3), (3, 3), (1, 5)])
@pytest.mark.parametrize("pixels", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("geometry", [{"padding": (1, 2)}, {"padding": 2, "stride": (2, 1)}])
def test_an_image_that_the_kernel_spans_is_convolved_like_any_other(pixels, kernel, geometry):
    seeds = seeds_of(3)
    weight, bias = he.weight(seeds, "w", 4, 2, *kernel), seeds.normal("b", 4)
    x = pack(seeds.normal("x", 5, 2, *pixels)).requires_grad_()
    weight.requires_grad_()
    expected = nn.functional.conv2d(x, weight.flatten(0, 1), bias.flatten(), groups=3, **geometry)
    found = conv(x, weight, bias, **geometry)
    close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(*(torch.autograd.grad(y.sin().sum(), (x, weight)) for y in (found, expected)), strict=True):
        close(ours, theirs)


def test_a_kernel_larger_than_the_image_is_torchs_error():
    """Two negative output sizes have a positive product: that must not pass for a small image."""
    weight = he.weight(seeds_of(2), "w", 1, 1, 3, 3)
    with pytest.raises(RuntimeError, match="Kernel size"):
        conv(torch.ones(1, 2, 1, 1, dtype=torch.float64), weight)


@given(cases())
@worlds
def test_a_convolution_is_that_of_its_twin(case):
    x, (weight, _, bias) = draws(case)
    outputs = unpack(conv(pack(x), weight, bias, **case["geometry"]), case["seeds"])
    outputs.square().sum().backward()
    for member in range(case["seeds"]):
        module = nn.Conv2d(case["inputs"], case["outputs"], case["kernel"], **case["geometry"]).double()
        module.load_state_dict({"weight": weight[member], "bias": bias[member]})
        own = x.detach()[member].clone().requires_grad_()
        alone = module(own)
        alone.square().sum().backward()
        close(outputs[member], alone)
        for batched, single in zip((x, weight, bias), (own, *module.parameters()), strict=True):
            close(gradient(batched)[member], gradient(single))


@given(cases(), st.sampled_from(["activations", "input"]))
@worlds
def test_the_block_is_its_twin_in_training_and_evaluation(case, keep):
    x, parameters = draws(case)
    running = Running.start(parameters[1])
    block = partial(conv_bn_relu, running=running, keep=keep, **case["geometry"])
    twins = [twin_of(case, parameters, member) for member in range(case["seeds"])]
    if case["samples"] * math.prod(twins[0][0](x[0]).shape[2:]) == 1:
        return
    own = [x.detach()[member].clone().requires_grad_() for member in range(case["seeds"])]
    for _ in range(2):  # the second step starts from running statistics that have moved
        outputs = unpack(block(pack(x), *parameters, training=True), case["seeds"])
        outputs.square().sum().backward()
        alone = [twin(x) for twin, x in zip(twins, own, strict=True)]
        torch.stack([y.square().sum() for y in alone]).sum().backward()
    evaluated = unpack(block(pack(x), *parameters, training=False), case["seeds"])
    for member, twin in enumerate(twins):
        close(outputs[member], alone[member])
        close(running.mean[member], twin[1].running_mean)
        close(running.var[member], twin[1].running_var)
        close(evaluated[member], twin.eval()(own[member]))
        gradients = (own[member], *twin.parameters())
        for batched, single in zip((x, *parameters), gradients, strict=True):
            torch.testing.assert_close(gradient(batched)[member], gradient(single), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("asked", [(0,), (1,), (2, 3), (0, 1, 2, 3)], ids=["x", "weight", "affine", "all"])
def test_the_recomputing_block_has_the_right_gradients(asked):
    seeds = seeds_of(2)
    inputs = [pack(seeds.normal("x", 3, 2, 4, 4)), he.weight(seeds, "w", 2, 2, 3, 3), seeds.normal("g", 2)]
    inputs.append(seeds.normal("b", 2))
    inputs = [tensor.requires_grad_(place in asked) for place, tensor in enumerate(inputs)]
    block = partial(conv_bn_relu, running=None, training=True, keep="input", padding=1)
    # Two backward passes may add in another order: gradients of size 10 are then apart by rounding, some 1e-15 each.
    assert torch.autograd.gradcheck(block, inputs, nondet_tol=1e-12)


def saved_bytes(make) -> int:
    """Bytes of the distinct storages that autograd holds for the backward pass of what `make` makes."""
    storages = {}

    def pack_hook(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = (tensor.untyped_storage().nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack_hook, lambda tensor: tensor):
        make()
    return sum(nbytes for nbytes, _ in storages.values())


def test_the_recomputing_block_keeps_its_input_its_parameters_and_two_numbers_a_channel():
    seeds = seeds_of(3, dtype=torch.float32)
    x = pack(seeds.normal("x", 5, 4, 8, 8)).requires_grad_()
    weight = he.weight(seeds, "w", 16, 4, 3, 3).requires_grad_()
    gain, shift = (torch.ones(3, 16).requires_grad_() for _ in range(2))
    images, weights, channels, outputs = 5 * 12 * 64 * 4, 3 * 16 * 4 * 9 * 4, 3 * 16 * 4, 5 * 48 * 64 * 4
    block = partial(conv_bn_relu, x, weight, gain, shift, None, training=True, padding=1)
    assert saved_bytes(partial(block, keep="input")) == images + weights + 4 * channels
    stock = saved_bytes(block)
    assert images + weights + 2 * outputs <= stock <= images + weights + 2 * outputs + 6 * channels
    assert saved_bytes(partial(block, keep="input")) < 0.6 * stock


def test_the_recomputing_block_hides_no_tensor_from_the_saved_tensor_hooks():
    """What a node keeps as its own attribute is kept too, and counted by nobody."""
    x = torch.randn(3, 2, 4, 4, requires_grad=True)
    ones = torch.ones(1, 2)
    node = conv_bn_relu(x, torch.randn(1, 2, 2, 3, 3), ones, ones, None, training=True, keep="input").grad_fn
    kept = {name: value for name, value in vars(node).items() if name != "saved_tensors"}
    assert kept.keys() == {"geometry", "eps"}
    assert not [value for value in kept.values() if isinstance(value, Tensor)]


@given(cases())
@worlds
def test_folding_is_exact_to_rounding(case):
    """Both ways evaluate s (w * x) - s m + b, a sum of K products scaled by s: in floating point each lies within
    (K + 8) u (s |w| * |x| + |s m| + |b|) of it (Higham 2002, section 3.1; u = 2^-53, and at most 8 roundings for
    s, s m and what is done to the sum), so they differ by at most twice that.
    """
    images, parameters = draws(case)
    x, weight, gain, shift = (tensor.detach() for tensor in (images, *parameters))
    seeds = seeds_of(case["seeds"])
    running = Running(seeds.normal("mean", case["outputs"]), seeds.uniform("var", case["outputs"], low=0.1, high=4))
    folded, bias = fold(weight, gain, shift, running.mean, running.var)
    ours = conv_relu(pack(x), folded, bias, **case["geometry"])
    scale = gain.abs() / torch.sqrt(running.var + 1e-5)
    size = conv(pack(x.abs()), weight.abs() * scale[..., None, None, None], **case["geometry"])
    size = unpack(size, case["seeds"]) + ((scale * running.mean.abs()) + shift.abs())[:, None, :, None, None]
    tolerance = 2 * (math.prod(weight.shape[2:]) + 8) * 2.0**-53 * size
    for member in range(case["seeds"]):
        twin = twin_of(case, [weight, gain, shift], member).eval()
        twin[1].running_mean, twin[1].running_var = running.mean[member], running.var[member]
        error = (unpack(ours, case["seeds"])[member] - twin(x[member])).abs()
        assert (error <= tolerance[member]).all()


@pytest.mark.parametrize(
    ("inputs", "groups", "kernel", "pixels"),
    [(8, 1, (1, 1), (6, 6)), (8, 1, (3, 3), (6, 6)), (3, 1, (7, 7), (9, 9)), (16, 16, (3, 3), (6, 6)),
     (8, 2, (3, 3), (6, 6)), (1, 1, (1, 5), (1, 20)), (6, 1, (3, 3), (5, 5))],
)  # fmt: skip
@pytest.mark.parametrize("packed", [True, False], ids=["channels last", "channels first"])
def test_the_fused_evaluation_is_the_plain_one_and_hands_nan_on(inputs, groups, kernel, pixels, packed):
    seeds = seeds_of(2, dtype=torch.float32)
    x, weight = pack(seeds.normal("x", 3, inputs, *pixels)), he.weight(seeds, "w", 16, inputs // groups, *kernel)
    x = x if packed else x.contiguous()
    bias = seeds.normal("b", 16)
    geometry = {"padding": (kernel[0] // 2, kernel[1] // 2), "groups": groups}
    plain = conv(x, weight, bias, **geometry).relu()
    # at most 150 products, together of size about 1, which float32 rounds at 6e-8
    torch.testing.assert_close(conv_relu(x, weight, bias, **geometry), plain, rtol=0, atol=1e-5)
    x[1, 0, 0, 0] = math.nan
    spoilt = conv_relu(x, weight, bias, **geometry).isnan()
    assert torch.equal(spoilt, conv(x, weight, bias, **geometry).relu().isnan())
    assert spoilt.any()


def test_evaluation_can_be_differentiated():
    seeds = seeds_of(2, dtype=torch.float32)
    x = pack(seeds.normal("x", 3, 2, 5, 5)).requires_grad_()
    gain = torch.ones(2, 4)
    weight = he.weight(seeds, "w", 4, 2, 3, 3)
    conv_bn_relu(x, weight, gain, gain, Running.start(gain), training=False).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_packing_puts_the_seeds_side_by_side_and_the_channels_last():
    x = torch.arange(2 * 3 * 4 * 5 * 6.0).view(2, 3, 4, 5, 6)
    packed = pack(x)
    assert packed.shape == (3, 8, 5, 6)
    assert packed.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(packed[:, 4:], x[1])
    assert torch.equal(unpack(packed, 2), x)
    torch.testing.assert_close(mean_pool(packed, 2), x.mean((3, 4)))
    assert pack(x[..., 0]).shape == (3, 8, 1, 5)
    with pytest.raises(ValueError, match="expected images"):
        pack(x[0, 0])


def test_a_signal_is_an_image_of_height_one():
    seeds = seeds_of(3)
    x, weight = seeds.normal("x", 4, 2, 9), he.weight(seeds, "w", 5, 2, 1, 3)
    outputs = unpack(conv(pack(x), weight, padding=(0, 1), stride=2), 3)
    for member in range(3):
        alone = torch.nn.functional.conv1d(x[member], weight[member, :, :, 0], padding=1, stride=2)
        close(outputs[member, :, :, 0], alone)


def test_channels_stay_last_through_the_block():
    seeds = seeds_of(2, dtype=torch.float32)
    x, weight, gain = pack(seeds.normal("x", 3, 4, 6, 6)), he.weight(seeds, "w", 8, 4, 3, 3), torch.ones(2, 8)
    for keep in ("activations", "input"):
        for training in (True, False):
            y = conv_bn_relu(x, weight, gain, gain, Running.start(gain), training=training, keep=keep)
            assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("keep", ["activations", "input"])
def test_what_cannot_be_normalised_is_refused(keep):
    x, weight, gain = torch.ones(1, 2, 3, 3), torch.ones(2, 1, 1, 3, 3), torch.ones(2, 1)
    with pytest.raises(ValueError, match="more than one value"):
        conv_bn_relu(x, weight, gain, gain, None, training=True, keep=keep)
    with pytest.raises(ValueError, match="running statistics"):
        conv_bn_relu(x, weight, gain, gain, None, training=False, keep=keep)


def test_the_initialisations_have_their_variances():
    seeds = Seeds("tests/conv", 1, "pinned", tuple(range(20)), dtype=torch.float64)
    normal, default = he.weight(seeds, "a", 30, 8, 3, 3), of_torch.weight(seeds, "a", 30, 8, 3, 3)
    # 43200 draws: the standard error of a variance is at most its sqrt(2 / n)-fold
    for weight, variance in ((normal, 2 / 72), (default, 1 / 216)):
        assert abs(weight.var() / variance - 1) < 5 * math.sqrt(2 / weight.numel())
    assert default.abs().max() <= 1 / math.sqrt(72)
    assert torch.equal(he.weight(seeds.take([3]), "a", 30, 8, 3, 3)[0], normal[3])


def test_a_residual_connection_adds_its_input():
    x = torch.tensor([1.0, -2.0])
    assert torch.equal(residual(torch.square, x, scale=0.5), torch.tensor([1.5, 0.0]))


@pytest.mark.parametrize("pixels", [2, 12])
def test_evaluation_is_the_same_whether_weights_or_outputs_are_fewer(pixels):
    """With 2 x 2 pixels the 9 weights of a channel outnumber its 4 outputs, and nothing is folded."""
    seeds = seeds_of(2)
    x, weight = pack(seeds.normal("x", 1, 1, pixels, pixels)), he.weight(seeds, "w", 3, 1, 3, 3)
    gain, shift = seeds.normal("g", 3), seeds.normal("b", 3)
    running = Running(seeds.normal("m", 3), seeds.uniform("v", 3, low=0.5, high=2))
    folded, bias = fold(weight, gain, shift, running.mean, running.var)
    close(
        conv_bn_relu(x, weight, gain, shift, running, training=False, padding=1),
        conv_relu(x, folded, bias, padding=1),
    )

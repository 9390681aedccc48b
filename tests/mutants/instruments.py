"""Faults in what claims are measured with: data, parts, nets, training and exact instruments."""

from tests.mutants.mutant import Mutant

MUTANTS = (
    # -- parts and nets
    Mutant(
        fault="skip connections skip nothing",
        file="claimlab/nets/residual.py",
        old="x = torch.add(x, activate(own[linear:], inputs[-1].clone()), alpha=scale)",
        new="x = activate(own[linear:], inputs[-1].clone())",
        red=(
            "tests/nets/test_residual.py::test_hidden_layers_add_to_their_input",
            "claims/expressivity/test_deeper_is_harder_to_train.py::test_control_skip_connections",
            "claims/conditioning/test_skips_fix_conditioning.py::test_directions_are_kept",
            "claims/conditioning/test_residual_nets_keep_up.py::test_claim",
        ),
    ),
    Mutant(
        fault="layer norm does nothing",
        file="claimlab/parts/chosen.py",
        old="    layer_norm: Callable[..., nn.Module] = nn.LayerNorm\n",
        new="    layer_norm: Callable[..., nn.Module] = nn.Identity\n",
        red=(
            "claims/normalization/test_layer_norm_without_a_batch.py::test_gains_where_weights_start_too_large",
            "claims/normalization/test_layer_norm_algorithm.py::test_claim",
        ),
    ),
    Mutant(
        fault="batch norm of images does nothing",
        file="claimlab/parts/chosen.py",
        old="    batch_norm_2d: Callable[..., nn.Module] = nn.BatchNorm2d\n",
        new="    batch_norm_2d: Callable[..., nn.Module] = nn.Identity\n",
        red=("claims/normalization/test_layer_norm_in_cnns.py::test_claim",),
    ),
    Mutant(
        fault="weight norm over the whole matrix instead of each unit",
        file="claimlab/parts/chosen.py",
        old="    weight_norm: Callable[..., nn.Module] = parametrizations.weight_norm\n",
        new="    weight_norm: Callable[..., nn.Module] = partial(parametrizations.weight_norm, dim=None)\n",
        red=(
            "claims/normalization/test_weight_norm_decouples.py::test_claim",
            "claims/normalization/test_data_dependent_init.py::test_claim",
        ),
    ),
    # -- worlds
    Mutant(
        fault="all seeds draw the same numbers",
        file="claimlab/seeds.py",
        old="self.epoch, str(index), name))",
        new='self.epoch, "0", name))',
        red=(
            "tests/test_seeds.py::test_seeds_are_independent_of_each_other",
            "claims/generalization/test_random_labels.py::test_claim",
            "claims/sgd/test_redundant_gradients.py::test_claim",
        ),
    ),
    Mutant(
        fault="two seeds that draw the same are not refused",
        file="claimlab/seeds.py",
        old="        if other is not None and block[0].size and",
        new="        if other is None and block[0].size and",
        red=("tests/test_seeds.py::test_two_seeds_that_draw_the_same_are_refused",),
    ),
    Mutant(
        fault="test images are training images",
        file="claimlab/data/digits.py",
        old="order[:, :n], order[:, n : n + n_test]",
        new="order[:, :n], order[:, :n_test]",
        red=(
            "tests/data/test_data.py::test_a_split_of_digits_does_not_overlap",
            "claims/sgd/test_ten_thousand_samples.py::test_control_scrambled_digits",
        ),
    ),
    Mutant(
        fault="digits are centred on the test images too",
        file="claimlab/data/digits.py",
        old="    mean = images[train].mean(dim=1, keepdim=True)\n",
        new="    mean = images[order[:, : n + n_test]].mean(dim=1, keepdim=True)\n",
        red=("tests/data/test_data.py::test_digits_are_centred_on_the_training_images",),
    ),
    # -- losses, activations, norms, attention
    Mutant(
        fault="a softmax of temperature 2 in the loss",
        file="claimlab/measure/fit.py",
        old="F.cross_entropy(logits.flatten(0, 1), labels",
        new="F.cross_entropy(logits.flatten(0, 1) / 2, labels",
        red=("tests/train/test_train.py::test_losses_are_those_of_torch_member_by_member",),
    ),
    Mutant(
        fault="a logistic loss of the wrong label",
        file="claimlab/measure/fit.py",
        old="labels.to(logits.dtype), reduction",
        new="1 - labels.to(logits.dtype), reduction",
        red=(
            "tests/train/test_train.py::test_losses_are_those_of_torch_member_by_member",
            "claims/optimization/test_wide_nets.py::test_claim",
        ),
    ),
    Mutant(
        fault="a plain net's biases move by the mean of the samples' gradients",
        file="claimlab/nets/dense.py",
        old="gradients.append(g.sum(dim=1, keepdim=True))",
        new="gradients.append(g.mean(dim=1, keepdim=True))",
        red=(
            "tests/nets/test_dense.py::test_outputs_and_gradients_are_those_of_autograd",
            "tests/nets/test_nets.py::test_values_and_gradients_are_those_of_a_sequential_twin",
        ),
    ),
    Mutant(
        fault="a plain net's gradient has no gradient of its own",
        file="claimlab/nets/dense.py",
        old="        if torch.is_grad_enabled():\n            return (",
        new="        if False:\n            return (",
        red=("tests/nets/test_dense.py::test_gradients_of_gradients_are_those_of_autograd",),
    ),
    Mutant(
        fault="the gradient of tanh is 1",
        file="claimlab/parts/layers.py",
        old="return torch.ops.aten.tanh_backward(g, y)",
        new="return g.clone()",
        red=("tests/nets/test_nets.py::test_values_and_gradients_are_those_of_a_sequential_twin",),
    ),
    Mutant(
        fault="no gradient through layer norm",
        file="claimlab/parts/norms.py",
        old="functional.layer_norm(x, x.shape[-1:], eps=eps)",
        new="functional.layer_norm(x.detach(), x.shape[-1:], eps=eps)",
        red=(
            "tests/nets/test_norm.py::test_layer_norm_is_that_of_its_twin",
            "tests/nets/test_attention.py::test_values_and_gradients_are_those_of_the_twin",
        ),
    ),
    Mutant(
        fault="layer norm with epsilon outside of the root",
        file="claimlab/parts/norms.py",
        old="functional.layer_norm(x, x.shape[-1:], eps=eps)",
        new="(x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True, correction=0) + eps)",
        red=("tests/nets/test_norm.py::test_layer_norm_is_that_of_its_twin",),
    ),
    Mutant(
        fault="batch norm forgets its running statistics",
        file="claimlab/parts/norms.py",
        old="*buffers, training, momentum, eps, torch",
        new="*buffers, training, 0.0, eps, torch",
        red=(
            "tests/nets/test_norm.py::test_batch_norm_is_that_of_its_twin",
            "claims/normalization/test_batch_size.py::test_claim",
        ),
    ),
    Mutant(
        fault="weights are standardised by the unbiased variance",
        file="claimlab/parts/norms.py",
        old="dim=_incoming(weight), correction=0, keepdim=True)",
        new="dim=_incoming(weight), correction=1, keepdim=True)",
        red=(
            "tests/nets/test_norm.py::test_standardised_weights_are_batch_normed_filters",
            "claims/normalization/test_weight_standardisation.py::test_standardised",
        ),
    ),
    Mutant(
        fault="attention to all places alike",
        file="claimlab/nets/attention.py",
        old="functional.scaled_dot_product_attention(query, key, value)",
        new="functional.scaled_dot_product_attention(0 * query, key, value)",
        red=("tests/nets/test_attention.py::test_values_and_gradients_are_those_of_the_twin",),
    ),
    Mutant(
        fault="attention of temperature 2",
        file="claimlab/nets/attention.py",
        old="functional.scaled_dot_product_attention(query, key, value)",
        new="functional.scaled_dot_product_attention(query / 2, key, value)",
        red=("tests/nets/test_attention.py::test_values_and_gradients_are_those_of_the_twin",),
    ),
    # -- training
    Mutant(
        fault="a gradient that lies otherwise in memory than its parameter goes to the fused update as it is",
        file="claimlab/train/optimizers.py",
        old="    if both_plain or gradient.stride() == parameter.stride():\n",
        new="    if True:\n",
        red=("tests/train/test_train.py::test_a_step_does_not_hinge_on_how_parameter_and_gradient_lie_in_memory",),
    ),
    Mutant(
        fault="a parameter with gaps in memory is fused as well",
        file="claimlab/train/optimizers.py",
        old="parameter.dtype in FUSED_DTYPES and torch.empty_like(parameter).stride() == parameter.stride()\n",
        new="parameter.dtype in FUSED_DTYPES\n",
        red=("tests/train/test_train.py::test_a_step_does_not_hinge_on_how_parameter_and_gradient_lie_in_memory",),
    ),
    Mutant(
        fault="the fused update in half precision",
        file="claimlab/train/optimizers.py",
        old="FUSED_DTYPES = (torch.float32, torch.float64)\n",
        new="FUSED_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)\n",
        red=("tests/train/test_train.py::test_every_weight_moves_in_every_precision_as_in_torchs_plain_loop",),
    ),
    Mutant(
        fault="seeds that stay get the optimizer's memory of others",
        file="claimlab/train/loop.py",
        old="            name: value[stay] if",
        new="            name: value[: len(stay)] if",
        red=("tests/train/test_train.py::test_a_member_that_meets_its_goal_leaves_and_the_others_train_on_the_same",),
    ),
    Mutant(
        fault="all epochs in the order of the first",
        file="claimlab/train/loop.py",
        old='seeds.permutation(f"order.{epoch}", x.shape[1])',
        new='seeds.permutation("order.1", x.shape[1])',
        red=("tests/train/test_train.py::test_a_block_trains_as_its_seeds_do_alone",),
    ),
    # -- exact instruments that would err in a claim's favour
    Mutant(
        fault="the bound on a largest distance does without the variation between grid points",
        file="claimlab/measure/supnorm.py",
        old="np.max(apart[:-1] + apart[1:] + variation) / 2",
        new="np.max(apart[:-1] + apart[1:]) / 2",
        red=(
            "tests/measure/test_supnorm.py::test_a_peak_half_way_between_two_points_attains_the_bound",
            "claims/expressivity/test_sigmoid_nets_are_dense.py::test_control_one_step_a_piece",
        ),
    ),
    Mutant(
        fault="one dimension fewer is left behind a layer in the upper bound on regions",
        file="claimlab/measure/regions.py",
        old="                left = min(dimensions, width - off)\n",
        new="                left = min(dimensions, max(width - off - 1, 0))\n",
        red=(
            "tests/measure/test_regions.py::test_the_upper_bound_is_the_sum_in_the_theorem",
            "claims/expressivity/test_deeper_at_fixed_budget.py::test_bounds_are_attained",
        ),
    ),
    Mutant(
        fault="more folds than there are in the lower bound on regions",
        file="claimlab/measure/regions.py",
        old="    return prod((width // inputs + 1) ** inputs for width in folding)",
        new="    return prod((width // inputs + 2) ** inputs for width in folding)",
        red=(
            "tests/measure/test_regions.py::test_a_square_folding_net_has_the_regions_that_the_theorem_promises",
            "claims/expressivity/test_deeper_at_fixed_budget.py::test_bounds_are_attained",
        ),
    ),
    Mutant(
        fault="one degree of freedom more in least squares",
        file="claimlab/measure/least_squares.py",
        old="Fraction(min(n, p), abs(n - p) - 1)",
        new="Fraction(min(n, p), abs(n - p))",
        red=(
            "tests/measure/test_least_squares.py::test_closed_forms_against_drawn_samples",
            "claims/decomposition/test_estimation_term_sign.py::test_least_squares_does_as_the_formulas_say",
            "claims/decomposition/test_estimation_error_and_samples.py::test_least_squares_does_as_the_formula_says",
            "claims/decomposition/test_estimation_error_and_class.py::test_least_squares_does_as_the_formula_says",
        ),
    ),
    Mutant(
        fault="noise costs nothing where there are more features than examples",
        file="claimlab/measure/least_squares.py",
        old="    if noise == 0:\n",
        new="    if noise == 0 or n < p - 1:\n",
        red=(
            "tests/measure/test_least_squares.py::test_closed_forms_against_drawn_samples",
            "claims/decomposition/test_estimation_error_and_samples.py::test_it_rises_towards_as_many_examples_as_features",
            "claims/decomposition/test_estimation_error_and_class.py::test_it_falls_with_more_features_than_examples",
        ),
    ),
    Mutant(
        fault="the last of equally good predictors is trained",
        file="claimlab/measure/risks.py",
        old="    return min(predictors, key=lambda f: total_loss(f, sample, loss=loss))\n",
        new="    return min(reversed(predictors), key=lambda f: total_loss(f, sample, loss=loss))\n",
        red=("tests/measure/test_risks.py::test_the_first_of_equally_good_predictors_is_taken",),
    ),
    Mutant(
        fault="samples are as likely in whatever order",
        file="claimlab/measure/risks.py",
        old="        yield sample, orders * prod(",
        new="        yield sample, prod(",
        red=("tests/measure/test_risks.py::test_samples_up_to_order_are_all_samples",),
    ),
    Mutant(
        fault="nineteen labels in twenty are all of them",
        file="claimlab/measure/fit.py",
        old="    return accuracy(logits, labels) == 1\n",
        new="    return accuracy(logits, labels) >= 0.95\n",
        red=(
            "claims/generalization/test_random_labels.py::test_claim",
            "claims/sgd/test_ten_thousand_samples.py::test_claim",
        ),
    ),
)

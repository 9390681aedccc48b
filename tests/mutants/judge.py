"""Faults in the judge, which decides everything: each has to redden two tests that do not rest on one another."""

from tests.mutants.mutant import Mutant

SEQUENTIAL = "claimlab/judge/sequential.py"
EVIDENCE = "claimlab/judge/evidence.py"
TASK = "claimlab/judge/task.py"

SEQUENTIAL_TESTS = "tests/judge/test_sequential.py"
EVIDENCE_TESTS = "tests/judge/test_evidence.py"
TASK_TESTS = "tests/judge/test_task.py"
JUDGING = "tests/plugin/test_judging.py"
RUN = "tests/plugin/test_run.py"

MUTANTS = (
    # -- the sequential test
    Mutant(
        fault="a win adds as if a broken claim never won",
        file=SEQUENTIAL,
        old="    return math.log(plan.holds / plan.broken)\n",
        new="    return -math.log(plan.broken)\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_characteristic_agrees_with_every_sequence_of_wins",
            f"{SEQUENTIAL_TESTS}::test_unanimous_seeds_end_early",
        ),
    ),
    Mutant(
        fault="a loss takes half of what it should",
        file=SEQUENTIAL,
        old="    return math.log((1 - plan.holds) / (1 - plan.broken))\n",
        new="    return math.log((1 - plan.holds) / (1 - plan.broken)) / 2\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_characteristic_agrees_with_every_sequence_of_wins",
            f"{SEQUENTIAL_TESTS}::test_unanimous_seeds_end_early",
        ),
    ),
    Mutant(
        fault="the two error rates have changed places",
        file=SEQUENTIAL,
        old="    return math.log(plan.false_fail), -math.log(plan.false_pass)\n",
        new="    return math.log(plan.false_pass), -math.log(plan.false_fail)\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_characteristic_agrees_with_every_sequence_of_wins",
            f"{SEQUENTIAL_TESTS}::test_unanimous_seeds_end_early",
        ),
    ),
    Mutant(
        fault="the boundaries are Wald's own, which bound the error rates in approximation only",
        file=SEQUENTIAL,
        old="    return math.log(plan.false_fail), -math.log(plan.false_pass)\n",
        new="    fail, passes = plan.false_fail, plan.false_pass\n"
        "    return math.log(fail / (1 - passes)), math.log((1 - fail) / passes)\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_characteristic_agrees_with_every_sequence_of_wins",
            f"{SEQUENTIAL_TESTS}::test_the_path_is_the_log_likelihood_ratio",
        ),
    ),
    Mutant(
        fault="what falls on a boundary has not crossed it",
        file=SEQUENTIAL,
        old="_SLACK = 1e-9\n",
        new="_SLACK = -1e-9\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_unanimous_seeds_end_early",
            f"{TASK_TESTS}::test_seeds_are_measured_until_there_are_enough",
        ),
    ),
    Mutant(
        fault="nothing is refuted",
        file=SEQUENTIAL,
        old="    if ratio <= lower + _SLACK:\n",
        new="    if ratio <= 9 * lower:\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_characteristic_agrees_with_every_sequence_of_wins",
            f"{SEQUENTIAL_TESTS}::test_unanimous_seeds_end_early",
            f"{EVIDENCE_TESTS}::test_seven_losses_refute_and_what_is_used_up_is_unresolved",
        ),
    ),
    Mutant(
        fault="one seed more than the most is judged",
        file=SEQUENTIAL,
        old="        if len(path) == plan.max_seeds:\n",
        new="        if len(path) > plan.max_seeds:\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_a_test_that_never_crosses_is_unresolved",
            f"{EVIDENCE_TESTS}::test_seven_losses_refute_and_what_is_used_up_is_unresolved",
        ),
    ),
    Mutant(
        fault="who has used up the seeds is supported",
        file=SEQUENTIAL,
        old="    return Judgement(UNRESOLVED if len(path)",
        new="    return Judgement(SUPPORTED if len(path)",
        red=(
            f"{SEQUENTIAL_TESTS}::test_characteristic_agrees_with_every_sequence_of_wins",
            f"{EVIDENCE_TESTS}::test_seven_losses_refute_and_what_is_used_up_is_unresolved",
        ),
    ),
    Mutant(
        fault="seeds behind the crossing are judged",
        file=SEQUENTIAL,
        old="        if verdict := _verdict_at(ratio, plan):\n"
        "            return Judgement(verdict, won, tuple(path))\n",
        new="    if verdict := _verdict_at(ratio, plan):\n        return Judgement(verdict, won, tuple(path))\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_seeds_beyond_the_crossing_are_ignored",
            f"{EVIDENCE_TESTS}::test_blocks_follow_one_another_until_the_sequential_test_has_decided",
        ),
    ),
    Mutant(
        fault="the operating characteristic takes undecided for supported",
        file=SEQUENTIAL,
        old="                if verdict == SUPPORTED:\n",
        new="                if verdict == SUPPORTED or n == plan.max_seeds:\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_characteristic_agrees_with_every_sequence_of_wins",
            f"{SEQUENTIAL_TESTS}::test_characteristic_agrees_with_simulation",
        ),
    ),
    Mutant(
        fault="the mean number of seeds counts decided tests on",
        file=SEQUENTIAL,
        old="        mean_seeds += sum(undecided.values())\n",
        new="        mean_seeds += 1\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_characteristic_agrees_with_every_sequence_of_wins",
            f"{SEQUENTIAL_TESTS}::test_characteristic_agrees_with_simulation",
        ),
    ),
    Mutant(
        fault="the false alarm of a claim leaves out what is unresolved",
        file=SEQUENTIAL,
        old="        return 1 - characteristic(plan, plan.holds).supported\n",
        new="        return characteristic(plan, plan.holds).refuted\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_a_false_alarm_is_any_verdict_but_the_right_one",
            f"{SEQUENTIAL_TESTS}::test_false_alarms_by_hand",
        ),
    ),
    Mutant(
        fault="the false alarm of a control is that of a claim",
        file=SEQUENTIAL,
        old="    return 1 - characteristic(plan, CONTROL_WINS).refuted\n",
        new="    return 1 - characteristic(plan, plan.holds).supported\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_a_false_alarm_is_any_verdict_but_the_right_one",
            f"{SEQUENTIAL_TESTS}::test_false_alarms_by_hand",
        ),
    ),
    Mutant(
        fault="the interval's two tails are as large as its one should be",
        file=SEQUENTIAL,
        old="    tail = (1 - confidence) / 2\n",
        new="    tail = 1 - confidence\n",
        red=(f"{SEQUENTIAL_TESTS}::test_clopper_pearson_is_scipys", f"{SEQUENTIAL_TESTS}::test_intervals_by_hand"),
    ),
    Mutant(
        fault="the binomial tail does not reach to the end",
        file=SEQUENTIAL,
        old="_falling(range(wins, n + 1), n, rate)",
        new="_falling(range(wins, max(wins + 1, n)), n, rate)",
        red=(f"{SEQUENTIAL_TESTS}::test_clopper_pearson_is_scipys", f"{SEQUENTIAL_TESTS}::test_intervals_by_hand"),
    ),
    Mutant(
        fault="a claim is certified whose win rate may be lower",
        file=SEQUENTIAL,
        old="        return lower_bound(wins, n) >= plan.holds\n",
        new="        return upper_bound(wins, n) >= plan.holds\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_one_hundred_seeds_certify_with_at_most_one_exception",
            f"{SEQUENTIAL_TESTS}::test_fewer_than_59_seeds_certify_nothing[supports]",
        ),
    ),
    Mutant(
        fault="any control is certified that is not won for certain",
        file=SEQUENTIAL,
        old="    return upper_bound(wins, n) <= CONTROL_WINS\n",
        new="    return lower_bound(wins, n) <= CONTROL_WINS\n",
        red=(
            f"{SEQUENTIAL_TESTS}::test_one_hundred_seeds_certify_with_at_most_one_exception",
            f"{SEQUENTIAL_TESTS}::test_fewer_than_59_seeds_certify_nothing[refutes]",
        ),
    ),
    # -- gathering evidence
    Mutant(
        fault="an exact check that fails is supported",
        file=EVIDENCE,
        old="    verdict = sequential.SUPPORTED if certificate.holds else sequential.REFUTED\n",
        new="    verdict = sequential.SUPPORTED\n",
        red=(
            f"{EVIDENCE_TESTS}::test_a_certificate_is_the_verdict",
            f"{JUDGING}::test_every_kind_of_red_says_what_it_wanted_and_what_it_saw",
        ),
    ),
    Mutant(
        fault="a world that refutes is passed over",
        file=EVIDENCE,
        old="        if not certificate.holds:\n            failing",
        new="        if not certificate.holds and failing:\n            failing",
        red=(
            f"{EVIDENCE_TESTS}::test_one_drawn_world_refutes_and_is_made_small",
            f"{JUDGING}::test_every_kind_of_red_says_what_it_wanted_and_what_it_saw",
        ),
    ),
    Mutant(
        fault="the world that a test names is not looked at",
        file=EVIDENCE,
        old="        if question.example is not None:\n",
        new="        if question.example is None and False:\n",
        red=(
            f"{EVIDENCE_TESTS}::test_the_world_that_a_control_names_refutes_it_and_nothing_is_drawn",
            f"{RUN}::test_a_run_judges_writes_and_summarises",
        ),
    ),
    Mutant(
        fault="a drawn world stands in for the one that is named",
        file=EVIDENCE,
        old='        if question.asks == "refutes" and world is not question.example:\n',
        new='        if question.asks == "refuses" and world is not question.example:\n',
        red=(
            f"{EVIDENCE_TESTS}::test_a_control_does_not_live_on_what_is_drawn",
            f"{JUDGING}::test_a_control_is_red_if_the_world_it_names_does_not_refute_it",
        ),
    ),
    Mutant(
        fault="every epoch draws the same worlds of a property",
        file=EVIDENCE,
        old='question.claim.version} {epoch} {question.test}"\n',
        new='question.claim.version} {question.test}"\n',
        red=(
            f"{EVIDENCE_TESTS}::test_worlds_are_the_same_in_every_run_and_others_in_another_epoch",
            f"{RUN}::test_the_worlds_of_a_property_are_pinned_too",
        ),
    ),
    Mutant(
        fault="every block has the seeds of the first",
        file=EVIDENCE,
        old="        first = stopping.first + len(seeds)\n",
        new="        first = stopping.first\n",
        red=(
            f"{EVIDENCE_TESTS}::test_blocks_follow_one_another_until_the_sequential_test_has_decided",
            f"{EVIDENCE_TESTS}::test_a_certificate_has_just_the_seeds_it_was_to_have",
        ),
    ),
    Mutant(
        fault="one block is always enough",
        file=EVIDENCE,
        old='    while not seeds or not stopping.enough(columns["win"]):\n',
        new="    while not seeds:\n",
        red=(
            f"{EVIDENCE_TESTS}::test_blocks_follow_one_another_until_the_sequential_test_has_decided",
            f"{EVIDENCE_TESTS}::test_a_certificate_has_just_the_seeds_it_was_to_have",
        ),
    ),
    Mutant(
        fault="all trained seeds are kept",
        file=EVIDENCE,
        old="    kept = stopping.kept()\n",
        new="    kept = slice(None)\n",
        red=(
            f"{EVIDENCE_TESTS}::test_a_certificate_has_just_the_seeds_it_was_to_have",
            f"{EVIDENCE_TESTS}::test_one_seed_is_trained_in_its_block",
        ),
    ),
    Mutant(
        fault="columns may change between blocks",
        file=EVIDENCE,
        old="            if columns and set(rows) != set(columns):\n",
        new="            if not columns and set(rows) != set(columns) and not rows:\n",
        red=(
            f"{EVIDENCE_TESTS}::test_columns_do_not_change_between_blocks",
            f"{JUDGING}::test_rows_that_cannot_be_judged_fail_and_the_others_go_on",
        ),
    ),
    # -- what a row counts for
    Mutant(
        fault="a seed that says nothing is a loss, and so refutes a control",
        file=TASK,
        old='    against = question.asks == "refutes"\n',
        new="    against = False\n",
        red=(
            f"{TASK_TESTS}::test_a_row_without_its_premise_or_a_finite_number_counts_against_what_is_asked",
            f"{JUDGING}::test_a_row_that_says_nothing_speaks_against_what_the_test_asks",
        ),
    ),
    Mutant(
        fault="a seed without its premise counts as it comes",
        file=TASK,
        old="        yield premise and all(finite(",
        new="        yield all(finite(",
        red=(
            f"{TASK_TESTS}::test_a_row_without_its_premise_or_a_finite_number_counts_against_what_is_asked",
            f"{TASK_TESTS}::test_rows_that_say_something",
        ),
    ),
    Mutant(
        fault="a seed with a nan among its numbers counts as it comes",
        file=TASK,
        old="        yield premise and all(finite(column[row]) for column in columns.values())\n",
        new="        yield premise\n",
        red=(
            f"{TASK_TESTS}::test_a_row_without_its_premise_or_a_finite_number_counts_against_what_is_asked",
            f"{TASK_TESTS}::test_rows_that_say_something",
        ),
    ),
    Mutant(
        fault="a certificate of one seed fewer",
        file=TASK,
        old="        return len(wins) >= self.n\n",
        new="        return len(wins) >= self.n - 1\n",
        red=(
            f"{TASK_TESTS}::test_seeds_are_measured_until_there_are_enough",
            f"{EVIDENCE_TESTS}::test_a_certificate_has_just_the_seeds_it_was_to_have",
        ),
    ),
    Mutant(
        fault="one seed is trained in a block of others",
        file=TASK,
        old="        return self.seed - self.seed % self.block\n",
        new="        return self.seed\n",
        red=(
            f"{TASK_TESTS}::test_seeds_are_measured_until_there_are_enough",
            f"{EVIDENCE_TESTS}::test_one_seed_is_trained_in_its_block",
        ),
    ),
)

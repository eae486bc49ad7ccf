"""What a provider says of itself and of a configuration: owed by each one, also by one that can run nothing."""

import json
from functools import partial

import msgspec
import pytest
from anyio import from_thread, to_thread
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from genomed.conformance import accounting
from genomed.conformance.laws import Laws, unhushed
from genomed.conformance.subject import Subject
from genomed.entities.capabilities import ParameterType
from genomed.entities.checking import given_paths
from genomed.entities.configuration import CONFIGURATION_FIELDS, JobConfiguration
from genomed.entities.errors import GenomeError
from genomed.entities.facts import Estimate
from genomed.entities.ports import Provider
from genomed.entities.validation import check_configuration

EXAMPLES = 50
SLOW_OR_REFUSED = (HealthCheck.too_slow, HealthCheck.filter_too_much)
ROUNDS = 4
"""Of looking at a wish and taking out of it what is refused: what is left then was taken."""

MORE_ASKED = 4


class HonestyLaws(Laws):
    async def test_capabilities_say_who_and_why_not(self, subject: Subject) -> None:
        provider = subject.new_daemon()
        capabilities = await provider.capabilities()
        assert capabilities.provider == provider.name
        assert capabilities.available == (capabilities.reason is None)
        assert capabilities.description
        assert capabilities.features.uploads == (provider.uploads is not None)
        # one that serves without a deployment has no such feature
        assert provider.serving is not None or not capabilities.features.serving

    async def test_a_key_that_is_not_set_is_a_reason_and_no_exception(self, subject: Subject) -> None:
        if subject.keyless is None:
            pytest.skip("this provider needs no key")
        provider = subject.keyless()
        subject.made.append(provider)
        capabilities = await provider.capabilities()
        assert not capabilities.available
        assert capabilities.reason
        assert False in capabilities.required_secrets.values()

    async def test_custom_parameters_are_described_and_their_defaults_lie_in_their_ranges(
        self, subject: Subject
    ) -> None:
        for name, definition in (await subject.new_daemon().capabilities()).custom_parameters.items():
            assert definition.description, name
            if definition.type is ParameterType.NUMBER and isinstance(definition.default, int | float):
                assert definition.min is None or definition.min <= definition.default, name
                assert definition.max is None or definition.default <= definition.max, name
            if definition.type is ParameterType.ENUM:
                assert definition.default in {None, *definition.enum_values}, name

    async def test_every_problem_is_told_at_once_with_its_field(self, subject: Subject) -> None:
        result = await subject.new_daemon().check(subject.wrong, subject.dataset, asked=())
        assert result.errors
        assert subject.wrong_fields <= {problem.field for problem in result.errors}
        assert all(problem.message for problem in result.errors)

    async def test_a_check_changes_nothing(self, subject: Subject) -> None:
        first = await subject.new_daemon().check(subject.wrong, subject.dataset, asked=())
        assert await subject.new_daemon().check(subject.wrong, subject.dataset, asked=()) == first
        assert subject.jobs() in (None, 0)

    async def test_an_estimate_is_a_price_with_its_source_or_null(self, subject: Subject) -> None:
        provider = subject.new_daemon()
        estimate = await provider.estimate(subject.configuration, subject.dataset)
        assert_sound(estimate)
        free = not (await provider.capabilities()).paid
        assert (estimate.source == "free") == free == (estimate.usd == 0.0 and estimate.source == "free")

    @pytest.mark.parametrize("asked", [(), CONFIGURATION_FIELDS, ("schedule.epochs", "optimizer.learningRate")])
    async def test_every_field_is_accounted_for_exactly_once(self, subject: Subject, asked: tuple[str, ...]) -> None:
        made = subject.translated(asked=asked)
        assert accounting.field_problems(made, subject.configuration, asked) == []

    async def test_translation_is_a_function_of_what_it_is_given(self, subject: Subject) -> None:
        one, other = (subject.translated() for _ in range(2))
        assert one == other
        assert json.loads(msgspec.json.encode(one.payload)) == json.loads(msgspec.json.encode(other.payload))

    async def test_whatever_is_asked_for_is_sent_as_told_or_refused(self, subject: Subject) -> None:
        """Over random configurations: nothing is dropped in silence, and nothing is sent that nobody said."""
        provider = subject.new_daemon()
        capabilities = await provider.capabilities()
        payload_problems = partial(
            accounting.payload_problems,
            written_by_us=subject.written_by_us,
            carried_elsewhere=subject.carried_elsewhere,
        )

        @given(wish=accounting.wishes(subject.configuration, capabilities))
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=SLOW_OR_REFUSED)
        def law(wish: accounting.Wish) -> None:
            configuration, asked = from_thread.run(_let_pass, provider, subject, wish, frozenset()) or reject()
            made = provider.translate(configuration, subject.dataset, asked=asked)
            assert accounting.field_problems(made, configuration, asked) == []
            assert accounting.unsent_problems(made, subject.done_anyway) == []
            assert payload_problems(made, configuration) == []

        if capabilities.available:  # one that is not refuses everything
            await to_thread.run_sync(law)  # where a look at the event loop can be waited for

    async def test_what_the_check_lets_pass_is_translated(self, subject: Subject) -> None:
        """Over random configurations, with random fields more that count as asked for at their defaults."""
        provider = subject.new_daemon()
        capabilities = await provider.capabilities()

        @given(
            wish=accounting.wishes(subject.configuration, capabilities),
            more=st.frozensets(st.sampled_from(CONFIGURATION_FIELDS), max_size=MORE_ASKED),
        )
        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=SLOW_OR_REFUSED)
        def law(wish: accounting.Wish, more: frozenset[str]) -> None:
            configuration, asked = from_thread.run(_let_pass, provider, subject, wish, more) or reject()
            try:
                made = provider.translate(configuration, subject.dataset, asked=asked)
            except GenomeError as refused:
                pytest.fail(f"the check lets pass what the translation refuses: {refused.message}")
            assert accounting.field_problems(made, configuration, asked) == []
            assert accounting.unsent_problems(made, subject.done_anyway) == []

        if capabilities.available:
            await to_thread.run_sync(law)

    async def test_nothing_that_is_told_holds_a_secret(self, subject: Subject) -> None:
        provider = subject.new_daemon()
        told = [
            await provider.capabilities(),
            await provider.check(subject.configuration, subject.dataset, asked=()),
            subject.translated(),
            await provider.estimate(subject.configuration, subject.dataset),
            provider,
            vars(provider) if hasattr(provider, "__dict__") else "",
        ]
        assert unhushed(subject, *told) == []

    async def test_closing_is_possible_before_anything_was_asked(self, subject: Subject) -> None:
        await subject.make().close()


async def _let_pass(
    provider: Provider, subject: Subject, wish: accounting.Wish, more: frozenset[str]
) -> tuple[JobConfiguration, tuple[str, ...]] | None:
    """The wish and what counts as asked for, less what is refused of them; null where some of that is left."""
    able = await provider.capabilities()
    for _ in range(ROUNDS):
        configuration = msgspec.convert(wish, JobConfiguration)
        asked = tuple(dict.fromkeys((*given_paths(wish), *sorted(more))))
        universal = check_configuration(configuration, able, subject.dataset, asked=asked)
        checked = await provider.check(configuration, subject.dataset, asked=asked)
        refused = (*universal.errors, *checked.errors)
        if not refused:
            return configuration, asked
        wish = accounting.without(wish, refused)
        more = frozenset(path for path in more if not accounting.is_named(path, refused))
    return None


def assert_sound(estimate: Estimate) -> None:
    assert estimate.usd is None or estimate.usd >= 0
    assert " " in estimate.basis, "the basis is a sentence"
    assert estimate.source in {"price_table", "provider", "free", "unknown"}
    assert (estimate.usd is None) == (estimate.source == "unknown")


class NeverTrainsLaws(HonestyLaws):
    """For a provider without a fine-tuning API: it says so before anything is uploaded, paid for or waited for."""

    async def test_it_is_not_available_and_says_what_else_to_do(self, subject: Subject) -> None:
        capabilities = await subject.new_daemon().capabilities()
        assert not capabilities.available
        assert " " in (capabilities.reason or "")
        assert capabilities.supported_methods == ()

    async def test_every_configuration_is_refused(self, subject: Subject) -> None:
        assert (await subject.new_daemon().check(subject.configuration, subject.dataset, asked=())).errors

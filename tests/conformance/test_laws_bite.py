"""A law that no defect breaks proves nothing: each one here catches an adapter that breaks it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from _pytest.outcomes import Failed
from tests.conformance import twisted as t
from tests.contract.mistral_subject import mistral_subject
from tests.contract.simulated_subject import simulated_subject

from genomed.conformance import Subject, Trouble
from genomed.conformance.honesty_laws import HonestyLaws
from genomed.conformance.run_laws import RunLaws
from genomed.conformance.trouble_laws import TroubleLaws
from genomed.conformance.upload_laws import UploadLaws
from genomed.entities.errors import ProviderRejected
from genomed.entities.ports import Provider

Law = Callable[[Subject], Awaitable[None]]
Twist = Callable[[Provider], Provider]
Opened = Callable[[Path], AbstractAsyncContextManager[Subject]]

HONESTY, RUN, UPLOAD, TROUBLE = HonestyLaws(), RunLaws(), UploadLaws(), TroubleLaws()


async def fields(subject: Subject) -> None:
    await HONESTY.test_every_field_is_accounted_for_exactly_once(subject, ("schedule.epochs",))


async def lost_poll(subject: Subject) -> None:
    await TROUBLE.test_trouble_while_polling_is_no_verdict(subject, Trouble.POLL_LOST)


BITES: list[tuple[Opened, Twist, Law]] = [
    (simulated_subject, t.ForgetsAField, fields),
    (simulated_subject, t.TellsAFieldTwice, fields),
    (simulated_subject, t.DropsInSilence, fields),
    (simulated_subject, t.AdjustsWithoutAWord, fields),
    (simulated_subject, t.DropsInSilence, HONESTY.test_whatever_is_asked_for_is_sent_as_told_or_refused),
    (simulated_subject, t.SaysSentAndSendsNothing, HONESTY.test_whatever_is_asked_for_is_sent_as_told_or_refused),
    (mistral_subject, t.SaysSentAndSendsNothing, HONESTY.test_whatever_is_asked_for_is_sent_as_told_or_refused),
    (mistral_subject, t.SendsWhatNobodySaid, HONESTY.test_whatever_is_asked_for_is_sent_as_told_or_refused),
    (mistral_subject, t.HearsNoWish, HONESTY.test_whatever_is_asked_for_is_sent_as_told_or_refused),
    (simulated_subject, t.RefusesWhenItIsTooLate, HONESTY.test_what_the_check_lets_pass_is_translated),
    (simulated_subject, t.EarnsMoney, HONESTY.test_an_estimate_is_a_price_with_its_source_or_null),
    (simulated_subject, t.QuotesBySubmitting, RUN.test_a_quote_is_a_price_and_starts_nothing),
    (simulated_subject, t.PaysTwice, RUN.test_one_key_starts_one_job),
    (simulated_subject, t.NeverFinds, RUN.test_a_submitted_key_is_found_after_a_restart),
    (simulated_subject, t.ForgetsTheCursor, RUN.test_each_point_is_told_once_along_the_cursors),
    (simulated_subject, t.RefusesToCancelWhatHasEnded, RUN.test_cancelling_what_has_ended_changes_nothing),
    (simulated_subject, t.SaysThatItGoesOn, RUN.test_what_is_held_goes_on_as_the_same_job_and_what_is_not_cannot),
    (
        simulated_subject,
        t.TakesALostReplyForANo,
        TROUBLE.test_a_create_call_whose_answer_is_lost_is_a_doubt_that_a_look_up_ends,
    ),
    (
        mistral_subject,
        t.ResendsBlindly,
        TROUBLE.test_a_create_call_whose_answer_is_lost_is_a_doubt_that_a_look_up_ends,
    ),
    (
        mistral_subject,
        t.NeverFinds,
        TROUBLE.test_a_look_up_that_comes_too_early_never_says_that_nothing_was_made,
    ),
    (simulated_subject, t.NeverFinds, TROUBLE.test_a_look_up_that_breaks_off_is_no_answer),
    (mistral_subject, t.TakesTroubleForAVerdict, lost_poll),
    (mistral_subject, t.TellsItsKey, lost_poll),
    (mistral_subject, t.TakesAStrangeWordForTheEnd, TROUBLE.test_a_word_that_nobody_knows_keeps_the_job_open),
    (
        mistral_subject,
        t.uploading(t.FindsNothing),
        UPLOAD.test_what_was_sent_becomes_ready_and_is_found_after_a_restart,
    ),
    (mistral_subject, t.uploading(t.FindsNothing), UPLOAD.test_the_same_content_is_sent_once),
    (mistral_subject, t.uploading(t.FindsWhatIsNotThere), UPLOAD.test_what_was_never_sent_is_not_there),
    (
        mistral_subject,
        t.uploading(t.SendsAgainByItself),
        UPLOAD.test_an_upload_whose_answer_was_lost_is_found_and_not_sent_again,
    ),
    (mistral_subject, t.uploading(t.BreaksLines), UPLOAD.test_a_row_is_one_line_of_json),
    (mistral_subject, t.uploading(t.TakesGoneForNotYet), UPLOAD.test_a_file_that_is_not_there_is_told_as_gone),
]


@pytest.mark.parametrize(("opened", "twist", "law"), BITES)
async def test_an_adapter_that_breaks_a_law_is_caught_by_it(
    tmp_path: Path, opened: Opened, twist: Twist, law: Law
) -> None:
    async with opened(tmp_path) as subject:
        broken = t.twisted(subject, twist)
        try:
            with pytest.raises((AssertionError, Failed, ProviderRejected)):
                await law(broken)
        finally:
            await broken.close()


@pytest.mark.parametrize(("opened", "law"), dict.fromkeys((opened, law) for opened, _, law in BITES))
async def test_an_adapter_that_hands_everything_on_breaks_none_of_them(
    tmp_path: Path, opened: Opened, law: Law
) -> None:
    async with opened(tmp_path) as subject:
        sound = t.twisted(subject, t.Sound)
        await law(sound)
        await sound.close()

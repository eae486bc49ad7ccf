"""A provider is asked so many questions at once and not more, and is left alone while it wants to be."""

import anyio
import anyio.lowlevel
from tests.patience import PATIENCE_S

from genomed.daemon.courier.question_gate import QuestionGate


async def test_no_more_questions_than_allowed_are_under_way() -> None:
    gate = QuestionGate(at_once=lambda: 3, now_us=lambda: 0)
    under_way = most = 0

    async def ask() -> None:
        nonlocal under_way, most
        async with gate.turn("cloud"):
            under_way += 1
            most = max(most, under_way)
            await anyio.lowlevel.checkpoint()
            under_way -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert most == 3


async def test_providers_do_not_wait_for_each_other() -> None:
    gate = QuestionGate(at_once=lambda: 1, now_us=lambda: 0)
    async with gate.turn("slow"):
        with anyio.fail_after(PATIENCE_S):
            async with gate.turn("other"):
                pass


async def test_a_wish_to_be_left_alone_holds_for_all_jobs_of_the_provider_and_is_not_shortened() -> None:
    now = 0
    gate = QuestionGate(at_once=lambda: 2, now_us=lambda: now)
    gate.quiet("cloud", 3600)
    gate.quiet("cloud", 1)
    with anyio.move_on_after(0.05) as waited:
        async with gate.turn("cloud"):
            pass
    assert waited.cancelled_caught
    with anyio.fail_after(PATIENCE_S):
        async with gate.turn("other"):
            pass
        now = 3600 * 1_000_000
        async with gate.turn("cloud"):
            pass

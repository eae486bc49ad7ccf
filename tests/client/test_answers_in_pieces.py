"""The client's way to an answer in pieces: words as they come, the result as the last, refusals as everywhere."""

from contextlib import aclosing
from pathlib import Path

import pytest
from tests.commands.answering import answering
from tests.daemon.daemon_rig import listening

from genomed.client import Client
from genomed.commands import infer
from genomed.entities.errors import InvalidRequest, Transient


async def test_the_client_gives_pieces_and_then_the_result(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig, listening(rig) as door:
        assert door.connector is not None
        async with Client(str(getattr(door.connector, "path", ""))) as genome:
            params = infer.Params(base_model=str(tmp_path / "model"), prompt="one two")
            async with aclosing(genome.pieces(infer, params)) as told:
                *pieces, last = [one async for one in told]
            assert pieces == [infer.Piece(text="one"), infer.Piece(text="two")]
            assert isinstance(last, infer.Result)
            assert last.text == "one two"
            assert (await genome.call(infer, params)).text == "one two"


async def test_the_client_raises_what_is_refused_before_and_after_the_first_piece(tmp_path: Path) -> None:
    async with answering(tmp_path) as rig, listening(rig) as door:
        assert door.connector is not None
        async with Client(str(getattr(door.connector, "path", ""))) as genome:

            async def heard(prompt: str) -> list[object]:
                params = infer.Params(base_model=str(tmp_path / "model"), prompt=prompt)
                async with aclosing(genome.pieces(infer, params)) as told:
                    return [one async for one in told]

            with pytest.raises(InvalidRequest):
                await heard("wrong")
            with pytest.raises(Transient):
                await heard("one die")

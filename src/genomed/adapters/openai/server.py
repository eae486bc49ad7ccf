"""Every question that we put to an OpenAI-shaped server, by the SDK's own methods, with the answer as plain data.

Knows the calls and how lists are paged; the connection and its troubles are `client`'s.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Protocol, TypeVar, cast

from genomed.adapters.openai.client import Client, Raw, decoded
from genomed.adapters.openai.file_window import FileWindow
from genomed.adapters.openai.objects import (
    LABEL,
    ChatAnswer,
    CheckpointObject,
    DeletedObject,
    EventObject,
    FileObject,
    JobObject,
    ModelObject,
    Page,
    PartObject,
    UploadObject,
)
from genomed.adapters.openai.settings import NAME, OpenAISettings
from genomed.entities.errors import MalformedResponse
from genomed.entities.ports import Secrets
from genomed.entities.rows import Message

if TYPE_CHECKING:
    from openai import AsyncOpenAI, Omit
    from openai.types.chat import ChatCompletionMessageParam

JOBS_PER_PAGE = 100
FILES_PER_PAGE = 1000
MOST_PAGES = 1000


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=_Identified)


class Server:
    """Methods raise as `read` does, except those that make something: these raise Unsent, Lost and Refused."""

    def __init__(self, settings: OpenAISettings, secrets: Secrets) -> None:
        self._client = Client(settings, secrets)
        self._upload_timeout_s = settings.upload_timeout_s

    async def close(self) -> None:
        await self._client.close()

    # What makes something.

    async def create_job(self, payload: Mapping[str, object]) -> JobObject:
        """Raises MalformedResponse for a success that cannot be read: something was made."""
        rest = {name: value for name, value in payload.items() if name not in {"model", "training_file"}}
        model, training_file = str(payload["model"]), str(payload["training_file"])
        return decoded(
            await self._client.ask(
                lambda client: client.fine_tuning.jobs.with_raw_response.create(
                    model=model, training_file=training_file, extra_body=rest
                )
            ),
            JobObject,
        )

    async def create_file(self, source: Path, *, name: str, size_bytes: int) -> FileObject:
        with FileWindow(source, offset=0, length=size_bytes) as window:
            return decoded(
                await self._client.ask(
                    lambda client: client.files.with_raw_response.create(
                        file=(name, cast(IO[bytes], window), "application/jsonl"),
                        purpose="fine-tune",
                        timeout=self._upload_timeout_s,
                    )
                ),
                FileObject,
            )

    async def create_upload(self, *, name: str, size_bytes: int) -> UploadObject:
        return decoded(
            await self._client.ask(
                lambda client: client.uploads.with_raw_response.create(
                    bytes=size_bytes, filename=name, mime_type="text/jsonl", purpose="fine-tune"
                )
            ),
            UploadObject,
        )

    async def add_part(self, upload_id: str, source: Path, *, offset: int, length: int) -> PartObject:
        with FileWindow(source, offset=offset, length=length) as window:
            return decoded(
                await self._client.ask(
                    lambda client: client.uploads.parts.with_raw_response.create(
                        upload_id, data=("part", cast(IO[bytes], window)), timeout=self._upload_timeout_s
                    )
                ),
                PartObject,
            )

    async def complete_upload(self, upload_id: str, parts: Sequence[str]) -> UploadObject:
        return decoded(
            await self._client.ask(
                lambda client: client.uploads.with_raw_response.complete(
                    upload_id, part_ids=list(parts), timeout=self._upload_timeout_s
                )
            ),
            UploadObject,
        )

    # What changes nothing, or may be asked twice.

    async def job(self, job_id: str) -> JobObject:
        return await self._client.read(
            lambda client: client.fine_tuning.jobs.with_raw_response.retrieve(job_id), JobObject
        )

    async def steer(self, job_id: str, how: Literal["cancel", "pause", "resume"]) -> JobObject:
        def asked(client: "AsyncOpenAI") -> Awaitable[Raw]:
            jobs = client.fine_tuning.jobs.with_raw_response
            return {"cancel": jobs.cancel, "pause": jobs.pause, "resume": jobs.resume}[how](job_id)

        return await self._client.read(asked, JobObject)

    def jobs_labelled(self, key: str) -> AsyncGenerator[list[JobObject]]:
        """What the server shows when it is asked for that label; one that ignores the filter shows every job."""

        def asked(client: "AsyncOpenAI", after: str | None) -> Awaitable[Raw]:
            return client.fine_tuning.jobs.with_raw_response.list(
                metadata={LABEL: key}, limit=JOBS_PER_PAGE, after=_given(after)
            )

        return self._pages(asked, JobObject)

    def events(self, job_id: str) -> AsyncGenerator[list[EventObject]]:
        def asked(client: "AsyncOpenAI", after: str | None) -> Awaitable[Raw]:
            return client.fine_tuning.jobs.with_raw_response.list_events(
                job_id, limit=JOBS_PER_PAGE, after=_given(after)
            )

        return self._pages(asked, EventObject)

    def checkpoints(self, job_id: str) -> AsyncGenerator[list[CheckpointObject]]:
        def asked(client: "AsyncOpenAI", after: str | None) -> Awaitable[Raw]:
            return client.fine_tuning.jobs.checkpoints.with_raw_response.list(
                job_id, limit=JOBS_PER_PAGE, after=_given(after)
            )

        return self._pages(asked, CheckpointObject)

    def files(self) -> AsyncGenerator[list[FileObject]]:
        def asked(client: "AsyncOpenAI", after: str | None) -> Awaitable[Raw]:
            return client.files.with_raw_response.list(
                purpose="fine-tune", order="desc", limit=FILES_PER_PAGE, after=_given(after)
            )

        return self._pages(asked, FileObject)

    async def file(self, file_id: str) -> FileObject:
        return await self._client.read(lambda client: client.files.with_raw_response.retrieve(file_id), FileObject)

    async def model(self, name: str) -> ModelObject:
        return await self._client.read(lambda client: client.models.with_raw_response.retrieve(name), ModelObject)

    async def models(self) -> list[ModelObject]:
        page = await self._client.read(lambda client: client.models.with_raw_response.list(), Page)
        return [decoded(raw, ModelObject) for raw in page.data]

    async def delete_model(self, name: str) -> DeletedObject:
        return await self._client.read(lambda client: client.models.with_raw_response.delete(name), DeletedObject)

    async def answer(self, model: str, prompt: Sequence[Message], *, max_tokens: int) -> ChatAnswer:
        messages = [{"role": message.role, "content": message.content} for message in prompt]
        return await self._client.read(
            lambda client: client.chat.completions.with_raw_response.create(
                model=model,
                messages=cast("Iterable[ChatCompletionMessageParam]", messages),
                max_completion_tokens=max_tokens,
            ),
            ChatAnswer,
        )

    async def _pages(
        self, question: "Callable[[AsyncOpenAI, str | None], Awaitable[Raw]]", wanted: type[Item]
    ) -> AsyncGenerator[list[Item]]:
        """Each item once, page by page. Ends also where a server ignores `after` and says the same page for ever."""
        seen: set[str] = set()
        after: str | None = None
        for _ in range(MOST_PAGES):

            def asked(client: "AsyncOpenAI", at: str | None = after) -> Awaitable[Raw]:
                return question(client, at)

            page = await self._client.read(asked, Page)
            items = [decoded(raw, wanted) for raw in page.data]
            fresh = [item for item in {item.id: item for item in items}.values() if item.id not in seen]
            if fresh:
                yield fresh
            if not page.has_more or not fresh:
                return
            seen.update(item.id for item in fresh)
            after = items[-1].id
        raise MalformedResponse(f"a list of more than {MOST_PAGES} pages", provider=NAME)


def _given(after: str | None) -> "str | Omit":
    from openai import omit

    return omit if after is None else after

"""A bare aiohttp handler: reads the request, answers the same bytes every time.

`python -m benchmarks.aiohttp_server SOCKET BODY_FILE`; without the file the answer is `{}`.
"""

import asyncio
import sys
from pathlib import Path

from aiohttp import web


async def main(path: str, body: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=body, content_type="application/json")

    application = web.Application()
    application.add_routes([web.post("/genome/{command}", answer), web.get("/healthz", answer)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes() if len(sys.argv) > 2 else b"{}"))

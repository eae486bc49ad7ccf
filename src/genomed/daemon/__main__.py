"""`genomed`: the daemon in the foreground. Reads the command line, sets up logging, serves until told to stop."""

import argparse
import logging
import os
import sys
from collections.abc import Iterator

import anyio

from genomed import __version__
from genomed.daemon.serve import serve
from genomed.daemon.settings import Settings, load_settings
from genomed.entities.errors import GenomeError

EXIT_REFUSED = 2


def main(arguments: list[str] | None = None) -> int:
    """0 after a stop that was asked for; 2 with a sentence on stderr when it cannot start."""
    given = _parser().parse_args(arguments)
    refusals: list[GenomeError] = []
    try:
        settings = load_settings(os.environ, config=given.config, data=given.data_dir, socket=given.socket)
        _log_to_stderr(settings)
        anyio.run(_serve, settings, given.accept_log_loss)
    except* GenomeError as group:
        refusals.extend(_leaves(group))
    for error in refusals:
        _say(error)
    return EXIT_REFUSED if refusals else 0


async def _serve(settings: Settings, accept_loss: bool) -> None:
    await serve(settings, accept_loss=accept_loss)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="genomed", description="The daemon that lets AI agents learn from their own work. Runs in the foreground."
    )
    parser.add_argument("--data-dir", help="where the log, datasets and layers are kept (GENOMED_DATA_DIR)")
    parser.add_argument("--socket", help="the Unix socket to listen on (GENOMED_SOCKET)")
    parser.add_argument("--config", help="a TOML configuration file (GENOMED_CONFIG)")
    parser.add_argument(
        "--accept-log-loss",
        action="store_true",
        help="start although the log ends before its anchor: what was lost stays lost",
    )
    parser.add_argument("--version", action="version", version=f"genomed {__version__}")
    return parser


def _log_to_stderr(settings: Settings) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )


def _leaves(group: BaseExceptionGroup[GenomeError]) -> Iterator[GenomeError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _say(error: GenomeError) -> None:
    lines = [f"genomed: {error.message}"]
    lines += [f"  {problem.field}: {problem.message}" for problem in error.details[1:]]
    if error.remedy:
        lines.append(f"  what to do: {error.remedy}")
    sys.stderr.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())

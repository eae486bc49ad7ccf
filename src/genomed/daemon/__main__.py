"""`genomed`: the daemon in the foreground. Reads the command line, sets up logging, serves until told to stop."""

import argparse
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio

from genomed import __version__
from genomed.daemon.assembly import now_us
from genomed.daemon.configuration.check import provider_problems
from genomed.daemon.configuration.live_settings import LiveSettings
from genomed.daemon.configuration.settings import Loaded, load
from genomed.daemon.keeping.restoring import restore
from genomed.daemon.observation import logs
from genomed.daemon.secrets.hardening import harden
from genomed.daemon.serve import serve
from genomed.entities.envelope import Head
from genomed.entities.errors import GenomeError, InvalidRequest

EXIT_REFUSED = 2

GARBAGE_LOOK = 10_000
"""Objects between two looks for cycles. At Python's own 700 they took a tenth of the time of a flood of appends,
measured: an append makes many small objects, and none that refer to each other.
"""


def main(arguments: list[str] | None = None) -> int:
    """0 after a stop that was asked for; 2 with a sentence on stderr when it cannot start."""
    harden()
    given = _parser().parse_args(arguments)
    refusals: list[GenomeError] = []
    try:
        live = _settings(given)
        settings = live.current
        if given.check_config:
            sys.stdout.write("the configuration is in order\n")
            return 0
        if given.restore:
            head = anyio.run(_restore, Path(given.restore).expanduser().absolute(), Path(settings.data_dir))
            sys.stdout.write(f"{settings.data_dir} ends at event {head.position}, as the backup did\n")
            return 0
        logs.set_up(level=settings.log_level, form=settings.log_format, environment=os.environ)
        gc.freeze()  # what was imported stays: no look for cycles need go through it again
        gc.set_threshold(GARBAGE_LOOK)
        anyio.run(_serve, live, given.accept_log_loss)
    except* GenomeError as group:
        refusals.extend(_leaves(group))
    for error in refusals:
        _say(error)
    return EXIT_REFUSED if refusals else 0


async def _serve(live: LiveSettings, accept_loss: bool) -> None:
    await serve(live.current, accept_loss=accept_loss, live=live)


async def _restore(source: Path, data_dir: Path) -> Head:
    return await restore(source, data_dir, now_us=now_us)


def _settings(given: argparse.Namespace) -> LiveSettings:
    """Raises InvalidRequest; where only a check is wanted, also for what would not keep the daemon from starting."""

    def read() -> Loaded:
        return load(os.environ, config=given.config, data=given.data_dir, socket=given.socket)

    loaded = read()
    if given.check_config and (wrong := provider_problems(loaded)):
        raise InvalidRequest.of(wrong)
    return LiveSettings(loaded.settings, source=loaded.source, load=read)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="genomed", description="The daemon that lets AI agents learn from their own work. Runs in the foreground."
    )
    parser.add_argument("--data-dir", help="where the log, datasets and layers are kept (GENOMED_DATA_DIR)")
    parser.add_argument("--socket", help="the Unix socket to listen on (GENOMED_SOCKET)")
    parser.add_argument("--config", help="a TOML configuration file (GENOMED_CONFIG)")
    parser.add_argument("--check-config", action="store_true", help="tell every problem of the configuration, and end")
    parser.add_argument(
        "--accept-log-loss",
        action="store_true",
        help="start although the log ends before its anchor: what was lost stays lost",
    )
    parser.add_argument(
        "--restore",
        metavar="BACKUP",
        help="make the data folder, which must be empty, from a backup or an export, and end",
    )
    parser.add_argument("--version", action="version", version=f"genomed {__version__}")
    return parser


def _leaves(group: BaseExceptionGroup[GenomeError]) -> Iterator[GenomeError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _say(error: GenomeError) -> None:
    lines = [f"genomed: {error.message}"]
    for problem in error.details[1:]:
        remedy = f" ({problem.remedy})" if problem.remedy else ""
        lines.append(f"  {problem.field}: {problem.message}{remedy}")
    if error.remedy:
        lines.append(f"  what to do: {error.remedy}")
    sys.stderr.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())

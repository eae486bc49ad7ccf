"""A daemon in a process of its own at every cloud, with keys that are canaries, and where one looks for them.

Knows how keys are spelt, where they are kept, and everything that the daemon writes and says; knows no troubles.
"""

import os
import signal
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

import msgspec
from anyio.from_thread import start_blocking_portal
from tests.adapters.local_bench import STAND_IN
from tests.crash.cloud_worlds import ROWS, World, world
from tests.daemon.daemon_process import DaemonProcess, Json, daemon_process, toml
from tests.daemon.daemon_rig import chat, write_rows
from tests.patience import PATIENCE_S

STEMS = {
    name: f"canary{name}5f7d2c"
    for name in ("openai", "fireworks", "together", "mistral", "wandb", "plugin", "token", "bystander")
}
"""What every spelling of a key has in common, but for base64. The last two nobody asks for: they are only there."""

CLOUDS = ("fireworks", "mistral", "openai", "together")
TAKES_WANDB = ("fireworks", "mistral", "together")

BOOM = """
from genomed.adapters.simulated import Simulated


class Boom(Simulated):
    name = "boom"

    def __init__(self, context):
        super().__init__(context)
        self.secrets = context.secrets

    async def _explode(self):
        raise RuntimeError("somebody forgot that this is a secret: " + await self.secrets.reveal("env:BOOM_KEY"))

    async def check(self, configuration, dataset, **more):
        if "explode" in configuration.model.base_model:
            await self._explode()
        return await super().check(configuration, dataset, **more)

    async def poll(self, *given, **more):
        await self._explode()


def provider(context):
    return Boom(context)
"""


KEYRING = """
from keyring.backend import KeyringBackend


class Canaries(KeyringBackend):
    priority = 5

    def get_password(self, service, username):
        return {KEYS!r}.get(f"{{service}}/{{username}}")

    def set_password(self, service, username, password):
        raise NotImplementedError
"""
"""A keyring without a file of its own, chosen by the variable that its library has for that."""


def key_of(name: str) -> str:
    """With letters that every encoding spells otherwise; 40 in all, which W&B keys have."""
    return f'{STEMS[name]}/+="\\%'.ljust(40, "z")


def spellings() -> dict[bytes, str]:
    """What is searched for: the stems, and the keys in base64 at each of its three alignments."""
    forms = {stem.encode(): name for name, stem in STEMS.items()}
    for name, stem in STEMS.items():
        for shift in range(3):
            whole = b64encode(b"-" * shift + stem.encode())
            forms[whole[4 if shift else 0 : -4]] = f"{name} in base64"
    return forms


def echoing(key: str) -> Json:
    """A refusal that says the key back wherever a refusal has words."""
    told = {"message": f"not allowed for {key}", "type": key, "param": key, "code": key, "status": key}
    return told | {"error": told, "detail": key, "details": [{"reason": key}]}


class House:
    """The daemon, the clouds, and everything that was heard from it."""

    def __init__(self, daemon: DaemonProcess, worlds: dict[str, World], folder: Path) -> None:
        self.daemon, self.worlds, self.folder = daemon, worlds, folder
        self.heard: list[bytes] = []
        self._known: Counter[tuple[str, bytes]] = Counter()
        self._searched: dict[Path, tuple[int, int]] = {}
        self._position = 0
        self._heard_out: set[str] = set()
        self._rows = 0

    def reload(self, **changed: object) -> None:
        """With these settings over those it was started with; waits until they hold."""
        path = self.daemon.folder / "config.toml"
        kept = [line for line in path.read_text().splitlines() if line.partition(" = ")[0].strip('"') not in changed]
        path.write_text("\n".join([*toml(changed).splitlines(), *kept]) + "\n")
        assert self.daemon.process is not None
        self.daemon.process.send_signal(signal.SIGHUP)
        deadline = monotonic() + PATIENCE_S
        while any(self._shown(name) != msgspec.json.encode(value).decode() for name, value in changed.items()):
            assert monotonic() < deadline, self.daemon.log.read_text()[-3000:]
            sleep(0.01)

    def _shown(self, name: str) -> str:
        [one] = self.result("config-show", {"section": name})["values"]
        return str(one["value"])

    def ask(self, name: str, params: object = None) -> Json:
        """The whole answer, error or not."""
        answer = self.daemon.answer(name, params)
        self.heard.append(msgspec.json.encode(answer))
        return answer

    def result(self, name: str, params: object = None) -> Json:
        answer = self.ask(name, params)
        assert "result" in answer, answer
        return dict(answer["result"])

    def dataset(self) -> str:
        self._rows += 1
        path = self.folder / f"{self._rows}.jsonl"
        write_rows(path, [chat(f"{self._rows}-{n}", f"a{n}") for n in range(ROWS)])
        return str(self.result("dataset-import", {"personaId": "ada", "path": str(path)})["datasetId"])

    def wish(self, name: str, **sections: object) -> Json:
        cloud = self.worlds[name].cloud
        configuration: Json = {
            "model": {"baseModel": cloud.base_model},
            "datasets": {"trainingFileId": self.dataset()},
            "method": {"type": "lora"},
        }
        if name in TAKES_WANDB:
            configuration["integrations"] = {"wandb": {"project": "p", "apiKey": "env:WANDB_CANARY"}}
        whole = {"personaId": "ada", "provider": name, "domain": "sums"}
        return whole | {"configuration": configuration | cloud.sections | sections}

    def create(self, name: str, **sections: object) -> str:
        return str(self.result("job-create", self.wish(name, **sections))["jobId"])

    def job_when(self, job_id: str, wanted: Callable[[Json], bool]) -> Json:
        deadline = monotonic() + PATIENCE_S
        while True:
            job: Json = self.result("job-status", {"jobId": job_id})["job"]
            if wanted(job):
                return job
            assert monotonic() < deadline, (job, self.daemon.log.read_text()[-3000:])
            sleep(0.01)

    def ended(self, job_id: str) -> Json:
        return self.job_when(job_id, lambda job: job["finishedUs"] is not None)

    def held(self, name: str) -> str:
        self.worlds[name].emulator.hold()
        job_id = self.create(name)
        self.job_when(job_id, lambda job: job["status"] == "running")
        return job_id

    def listen(self, *, anew: bool = False) -> None:
        """Everything that anybody can ask for; of events and of jobs that have ended, what was not heard yet."""
        if anew:
            self._position, self._heard_out = 0, set()
        after, self._position = self._position, self.daemon.position()
        for path in ("/healthz", "/readyz", "/metrics", f"/events?after={after}&follow=false", "/nowhere"):
            self.heard.append(self.daemon.request("GET", path)[1])
        for name in (*CLOUDS, "boom", "local"):
            self.ask("provider-capabilities", {"provider": name})
        for job in self.result("job-list", {"limit": 200})["jobs"]:
            if job["jobId"] in self._heard_out:
                continue
            if job["finishedUs"] is not None:
                self._heard_out.add(job["jobId"])
            self.ask("job-status", {"jobId": job["jobId"]})
            self.ask("job-events", {"jobId": job["jobId"], "limit": 1000})
        for name in ("doctor", "provider-list", "overview", "layer-list", "budget-status", "help", "trigger-list"):
            self.ask(name)
        self.ask("config-show")

    def leaks(self, *, anew: bool = False) -> list[str]:
        """Where a key is found in what the daemon wrote and said since this was asked last."""
        self.listen(anew=anew)
        assert list(self.daemon.data.glob("*-wal")) != []
        places = {str(path): body for path, body in self._written()}
        said, self.heard = b"\n".join(self.heard), []
        found = [f"{what} in an answer: {_around(said, form)!r}" for form, what in spellings().items() if form in said]
        for place, body in places.items():
            for form, what in spellings().items():
                before, self._known[place, form] = self._known[place, form], body.count(form)
                if self._known[place, form] > before:
                    found.append(f"{what} in {place}: {_around(body, form)!r}")
        return found

    def _written(self) -> Iterator[tuple[Path, bytes]]:
        """Files that are others than when they were searched last. One that the daemon removes meanwhile is gone."""
        found = [Path(folder) / name for folder, _, names in os.walk(self.daemon.data) for name in names]
        for path in [*found, self.daemon.log]:
            with suppress(FileNotFoundError):
                facts = path.stat()
                now = (facts.st_size, facts.st_mtime_ns)
                if path.is_file() and self._searched.get(path) != now:
                    body = path.read_bytes()
                    self._searched[path] = now
                    yield path, body


def _around(body: bytes, form: bytes) -> bytes:
    at = body.rindex(form)
    return body[max(0, at - 200) : at + 60]


@contextmanager
def house_in(folder: Path) -> Iterator[House]:
    keys, site, info = folder / "keys", folder / "site", folder / "site" / "boom-1.0.dist-info"
    keys.mkdir()
    info.mkdir(parents=True)
    (site / "boom.py").write_text(BOOM)
    (site / "canary_keyring.py").write_text(KEYRING.format(KEYS={"genomed/together": key_of("together")}))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: boom\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[genomed.adapters]\nboom = boom:provider\n")
    for name in ("fireworks", "mistral"):
        (keys / name).touch(mode=0o600)
        (keys / name).write_text(key_of(name) + "\n")
    environment = {
        "OPENAI_API_KEY": key_of("openai"),
        "PYTHON_KEYRING_BACKEND": "canary_keyring.Canaries",
        "GENOMED_TOKEN": key_of("token"),
        "SOMEBODYS_PASSWORD": key_of("bystander"),
        "WANDB_CANARY": key_of("wandb"),
        "BOOM_KEY": key_of("plugin"),
        "CREDENTIALS_DIRECTORY": str(keys),
        "PYTHONPATH": str(site),
    }
    references = {"fireworks": {"api_key": f"file:{keys / 'fireworks'}"}, "mistral": {"api_key": "cred:mistral"}}
    references["together"] = {"api_key": "keyring:genomed/together"}
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        worlds = {
            name: stack.enter_context(portal.wrap_async_context_manager(world(name, strict=False))) for name in CLOUDS
        }
        for name, there in worlds.items():
            there.emulator.api_key = key_of(name)
        providers = {name: there.given["providers"][name] | references.get(name, {}) for name, there in worlds.items()}
        settings = {
            "log_level": "debug",
            "courier": {"default_poll_s": 0.01},
            "secrets": {"allowed": ["env:WANDB_CANARY"]},
            "providers": providers | {"local": {"worker": STAND_IN, "poll_s": 0.01, "memory_reserve_bytes": 0}},
        }
        daemon = stack.enter_context(daemon_process(configuration=toml(settings), environment=environment))
        yield House(daemon, worlds, folder)

"""A worker that speaks protocol 1 and trains nothing: it plays the script that lies beside the base model.

script.json is a list of [verb, argument]. Verbs: tell LINE, tear TEXT (no newline), result FILES (and finish), obey
(wait for a wish), sleep S, print TEXT, die CODE, deaf (to SIGTERM), polite (SIGTERM is a pause), beat (touch the
heartbeat), hold MIB (of memory), child MIB (one that holds so much), look PATH (until it is there), strike SIGNAL (sent
to itself), flood BYTES (of one line, to the progress file), put [NAME, link|pipe|folder, TARGET] (in place of a file of
its folder), obstinate (write the wish anew for ever), and, as the first, silent (do not even say who this is).
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any


def start_ticks() -> int:
    return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])


class Worker:
    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec, self.paths, self.seq = spec, {k: Path(v) for k, v in spec["paths"].items()}, 0
        self.held = b""

    def play(self) -> int:
        identity = {"pid": os.getpid(), "startTicks": start_ticks(), "submissionKey": self.spec["submissionKey"]}
        script = self.script()
        if script[:1] != [["silent", None]]:
            self.paths["worker"].write_text(json.dumps({**identity, "attempt": self.spec["attempt"]}))
        for verb, argument in script:
            if verb == "die":
                return int(argument)
            getattr(self, verb)(argument)
        return 0

    def script(self) -> list[Any]:
        whole: list[Any] = json.loads((Path(self.spec["baseModel"]) / "script.json").read_text())
        return whole

    def silent(self, _: object) -> None: ...

    def tell(self, line: dict[str, object]) -> None:
        self.seq += 1
        self.append(json.dumps({"seq": self.seq, "at": 1_700_000_000.5, **line}) + "\n")

    def append(self, text: str) -> None:
        file = os.open(self.paths["progress"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, text.encode())
        os.close(file)

    def tear(self, text: str) -> None:
        self.append(text)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def print(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def deaf(self, _: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def polite(self, _: object) -> None:
        def pause(*_: object) -> None:
            self.tell({"type": "stopped", "reason": "paused", "step": 1, "checkpoint": None})
            os._exit(0)

        signal.signal(signal.SIGTERM, pause)

    def hold(self, mib: int) -> None:
        self.held = b"x" * (mib << 20)

    def child(self, mib: int) -> None:
        if os.fork() == 0:
            held = b"x" * (mib << 20)  # beside what it shares with us
            time.sleep(60)
            del held
            os._exit(0)

    def strike(self, number: int) -> None:
        os.kill(os.getpid(), number)

    def flood(self, count: int) -> None:
        with self.paths["progress"].open("ab") as file:
            for _ in range(count >> 20):
                file.write(b"x" * (1 << 20))

    def look(self, path: str) -> None:
        while not Path(path).exists():
            time.sleep(0.01)

    def put(self, what: list[str]) -> None:
        name, kind, target = what
        path = self.paths["progress"].parent / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        match kind:
            case "link":
                path.symlink_to(target)
            case "pipe":
                os.mkfifo(path)
            case _:
                path.mkdir()

    def obstinate(self, _: object) -> None:
        control = self.paths["control"]
        while True:
            time.sleep(0.005)
            if control.exists():
                os.utime(control, (time.time() + 3600, time.time() + 3600))
                control.with_name("ready").touch()

    def beat(self, _: object) -> None:
        self.paths["heartbeat"].touch()

    def obey(self, _: object) -> None:
        """Waits for a wish and stops as it says."""
        words = {"pause": "paused", "cancel": "cancelled"}
        while not self.paths["control"].exists():
            time.sleep(0.01)
        want = json.loads(self.paths["control"].read_text())["want"]
        self.tell({"type": "stopped", "reason": words[want], "step": 1, "checkpoint": None})

    def result(self, files: dict[str, str]) -> None:
        result = self.paths["result"]
        result.mkdir()
        hashes = {}
        for name, hexed in files.items():
            (result / name).write_bytes(bytes.fromhex(hexed))
            hashes[name] = hashlib.sha256(bytes.fromhex(hexed)).hexdigest()
        self.tell({"type": "finished", "step": 2, "totalSteps": 2, "trainLoss": 1.25, "files": hashes, "seconds": 0.5})


class ErrandWorker(Worker):
    """Plays options.script of its errand; without one, the script beside the base model, or does its work at once.

    Further verbs: done [FILES, FACTS] (as result), environment NAME (told as a notice), read PATH (the same).
    """

    def __init__(self, order: dict[str, Any]) -> None:
        super().__init__({**order, "submissionKey": order["errandId"], "attempt": 1})

    def script(self) -> list[Any]:
        options = self.spec["options"]
        if "script" in options:
            return list(options["script"])
        beside = Path(options.get("source", {}).get("baseModel", "/nowhere"), "script.json")
        if beside.exists():
            return list(json.loads(beside.read_text()))
        return [["done", [{"model.onnx": b"graph".hex()}, {"largestDifference": 1e-6}]]]

    def done(self, what: list[dict[str, Any]]) -> None:
        files, facts = what
        result = self.paths["result"]
        hashes = {}
        for name, hexed in files.items():
            (result / name).parent.mkdir(parents=True, exist_ok=True)
            (result / name).write_bytes(bytes.fromhex(hexed))
            hashes[name] = hashlib.sha256(bytes.fromhex(hexed)).hexdigest()
        self.tell({"type": "finished", "step": 0, "files": hashes, "facts": facts})

    def environment(self, name: str) -> None:
        self.tell({"type": "notice", "code": "environment", "message": f"{name}={os.environ.get(name)}"})

    def read(self, path: str) -> None:
        try:
            said = Path(path).read_text()
        except OSError as refused:
            said = type(refused).__name__
        self.tell({"type": "notice", "code": "read", "message": said})


PROBE = {
    "python": "3.11.0",
    "versions": {"torch": "1", "transformers": "1", "trl": "1", "peft": "1"},
    "device": {"kind": "cpu", "name": "stand-in", "memoryBytes": 1 << 34},
    "bf16": True, "fp16": False, "qlora": False, "flashAttention": False, "problems": [],
}  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        sys.stdout.write("a library says hello\n" + json.dumps(PROBE) + "\n")
        sys.exit(0)
    kind = ErrandWorker if sys.argv[1] == "errand" else Worker
    sys.exit(kind(json.loads(Path(sys.argv[2]).read_text())).play())

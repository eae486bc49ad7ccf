"""An inference worker without a model: it answers with the words it was asked, and does what some of them say.

A prompt is a row of words. Each comes back as a piece, but for: die (exit 3), slow (wait for a file named `go` in
the model, or until taken back), mute (says no word any more, and does not leave), wrong (an error), garbage (no line
of the protocol), mistaken (words for nobody who asked), peek (can it read `secret` beside the model?), pid, layer and
base (what they say). A base model named `broken` cannot be loaded; a file `leave` in the model makes the worker go
when next asked.
"""

import json
import os
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any

TAKEN_BACK: set[str] = set()
MUTE = threading.Event()
CAME: "queue.SimpleQueue[dict[str, Any]]" = queue.SimpleQueue()


def say(**said: object) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def listen() -> None:
    for line in sys.stdin:
        said = json.loads(line)
        if "cancel" in said:
            TAKEN_BACK.add(said["cancel"])
        else:
            CAME.put(said)
    if not MUTE.is_set():
        os._exit(0)


def readable(path: Path) -> bool:
    try:
        return bool(path.read_text())
    except OSError:
        return False


def answer(spec: dict[str, Any], asked: dict[str, Any]) -> None:
    request, told = asked["id"], []
    model = Path(spec["baseModel"])
    for word in (asked["prompt"] or "").split():
        match word:
            case "die":
                sys.stderr.write("the last word\n")
                sys.stderr.flush()
                os._exit(3)
            case "slow":
                (model / "slow").touch()
                while not (model / "go").exists() and request not in TAKEN_BACK:
                    time.sleep(0.005)
            case "mute":
                MUTE.set()
                os.close(sys.stdout.fileno())
                threading.Event().wait()
            case "wrong":
                say(id=request, error={"kind": "invalid_request", "message": "it is wrong", "remedy": None})
                return
            case "mistaken":
                say(id="another", text="not yours")
            case "garbage":
                sys.stdout.write("hello\n")
                sys.stdout.flush()
            case _:
                pass
        if request in TAKEN_BACK:
            (model / "taken-back").touch()
            say(id=request, done=True, finishReason="cancelled")
            return
        facts = {
            "pid": str(os.getpid()),
            "layer": str(asked["layer"]),
            "base": spec["baseModel"],
            "peek": "open" if word == "peek" and readable(model.with_name("secret")) else "closed",
        }
        told.append(facts.get(word, word))
        if asked["stream"]:
            say(id=request, text=told[-1])
    say(id=request, done=True, text=" ".join(told), finishReason="stop", completionTokens=len(told), memoryBytes=7)


def main() -> int:
    if sys.argv[1] == "probe":
        names = ("torch", "transformers", "trl", "peft")
        print(json.dumps({"python": "3", "versions": dict.fromkeys(names, "1"), "device": {"kind": "cpu"}}))
        return 0
    spec = json.loads(Path(sys.argv[2]).read_text())
    threading.Thread(target=listen, daemon=True).start()
    if spec["baseModel"].endswith("broken"):
        say(failed={"kind": "unsupported", "message": "it cannot be loaded", "remedy": "another"})
        return 1
    say(ready=True, engine=spec["engine"], memoryBytes=5)
    while True:
        asked = CAME.get()
        leave = Path(spec["baseModel"]) / "leave"
        if leave.exists():
            leave.unlink()
            say(leaving=True)
            return 0
        answer(spec, asked)


if __name__ == "__main__":
    raise SystemExit(main())

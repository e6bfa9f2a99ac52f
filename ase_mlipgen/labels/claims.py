"""Claims: a file beside a label says who computes it, so that nobody else does. Enter at `take` and `state_of`.

A claim is made by O_CREAT | O_EXCL, which is atomic on local disks, on NFS since version 3 and on Lustre; there are no
locks. It names host, boot, process and the process's start time. On the owner's machine a claim is dead if that
process is gone; elsewhere if it was not touched for `STALE` seconds, by the clock of the file system (owners touch
theirs every `BEAT` seconds; the limit is longer than NFS may show old times). The right to replace a dead claim is a
claim of its own, named after the one that it replaces, so that of two that find it dead one takes over. A process that
is stopped for longer than `STALE` may lose its claim to another host; both then write the same label.
"""

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from types import TracebackType

from ase_mlipgen.files import json_of, read_text

BEAT = 30.0
"""s between two signs of life."""
STALE = 300.0
"""s without one, after which another host takes a claim over."""
GRACE = 10.0
"""s that an owner may take between making a claim and signing it."""
ATTEMPTS = 5


@dataclass(frozen=True)
class Owner:
    """A process: ids mean something only within `host`, `boot` and `namespace`; `token` is new for each claim."""

    host: str = ""
    boot: str = ""
    namespace: str = ""
    pid: int = 0
    started: str = ""
    token: str = ""

    @property
    def known(self) -> bool:
        """Whether the claim is signed."""
        return bool(self.token)


@dataclass(frozen=True)
class ClaimState:
    """What is known of a claim: its owner, and whether that one is alive."""

    key: str
    owner: Owner
    alive: bool

    def __str__(self) -> str:
        state = "at work" if self.alive else "dead"
        return f"{self.key[:12]}: process {self.owner.pid} on {self.owner.host or 'an unknown host'}, {state}"


class Claim:
    """The right to compute something, until `release` or the end of a with block.

    `taken_over` says whether a dead owner had it before.
    """

    def __init__(self, path: Path, owner: Owner, taken_over: bool = False) -> None:
        self.path, self.owner, self.taken_over = path, owner, taken_over
        _keep_alive(path)

    def __enter__(self) -> "Claim":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Let others have it."""
        _let_die(self.path)
        if _read(self.path) == self.owner:
            self.path.unlink(missing_ok=True)


def take(path: Path) -> Claim | None:
    """Claim `path`; None if a living process holds it.

    Raises
    ------
    OSError
        The directory is missing or cannot be written to.
    """
    for _ in range(ATTEMPTS):
        owner = _owner()
        if _created(path, owner):
            return Claim(path, owner)
        found = _read(path)
        if found is None:  # released this moment
            continue
        return None if _alive(path, found) else _taken_over(path, found, owner)
    return None


def _taken_over(path: Path, dead: Owner, owner: Owner) -> Claim | None:
    right = take(path.with_name(f"{path.name}.{dead.token[:8] or 'unsigned'}"))
    if right is None:
        return None
    with right:
        if _read(path) != dead or _alive(path, dead):  # another one was faster, and has given the right back
            return None
        signed = path.with_name(f".{owner.token}.claim")
        signed.write_text(json.dumps(asdict(owner)), encoding="utf-8")
        os.replace(signed, path)
    return Claim(path, owner, taken_over=True)


def state_of(path: Path) -> ClaimState | None:
    """Return the state of a claim; None if there is none."""
    owner = _read(path)
    return None if owner is None else ClaimState(path.name.partition(".")[0], owner, _alive(path, owner))


def _created(path: Path, owner: Owner) -> bool:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, json.dumps(asdict(owner)).encode())
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return True


def _read(path: Path) -> Owner | None:
    try:
        owner = Owner(**json_of(read_text(path)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, IsADirectoryError):  # not signed yet, or never
        return Owner()
    sound = all(type(getattr(owner, field.name)) is field.type for field in fields(Owner))
    return owner if sound else Owner()


def _alive(path: Path, owner: Owner) -> bool:
    here = _machine()
    if here[1] and (owner.host, owner.boot, owner.namespace) == here:
        return _started(owner.pid) == owner.started
    return _age(path) <= (STALE if owner.known else GRACE)


def _age(path: Path) -> float:
    """Seconds since a claim was touched, by the clock that wrote its time."""
    probe = path.with_name(f".{uuid.uuid4().hex}.clock")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)


def _owner() -> Owner:
    return Owner(*_machine(), *_process(os.getpid()), uuid.uuid4().hex)


@cache
def _machine() -> tuple[str, str, str]:
    """Host, boot and namespace of process ids; the last two are empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return socket.gethostname(), boot, os.readlink("/proc/self/ns/pid")
    except OSError:
        return socket.gethostname(), "", ""


@cache
def _process(pid: int) -> tuple[int, str]:
    return pid, _started(pid) or ""


def _started(pid: int) -> str | None:
    """When a process started, in ticks since the boot; None if there is none, or it waits to be buried."""
    try:
        state, *rest = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else rest[18]


_held: set[Path] = set()
_beating: dict[int, threading.Thread] = {}
_lock = threading.Lock()


def _keep_alive(path: Path) -> None:
    with _lock:
        _held.add(path)
        if os.getpid() not in _beating:  # a forked process has no threads of its parent
            _held.intersection_update({path})
            _beating[os.getpid()] = threading.Thread(target=_beat, name="claims", daemon=True)
            _beating[os.getpid()].start()


def _let_die(path: Path) -> None:
    with _lock:
        _held.discard(path)


def _beat() -> None:
    while True:
        time.sleep(BEAT)
        with _lock:
            held = list(_held)
        for path in held:
            with suppress(OSError):
                os.utime(path)

"""A process of its own for a calculator: forked, or started afresh; it may hang or die without harm to the caller.

`Forked` inherits the factory, whatever it is. `Fresh` is a new interpreter that gets the factory pickled over a pipe,
and never imports the caller's main program. Both answer one structure at a time within a time limit.
"""

import multiprocessing
import os
import pickle
import selectors
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, NamedTuple, Self

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

EXTRA_MEMORY = 3 << 30
"""Bytes that a structure may ask for beyond what the process had."""


class Answer(NamedTuple):
    """What a calculator made of a structure: values or an exception; neither if it took too long or died."""

    energy: float | None = None
    forces: Any = None
    error: str | None = None
    family: tuple[str, ...] = ()
    text: str = ""
    missing: str | None = None


class Forked:
    """A forked child; `ask` starts it anew after a hang."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._child: Any = None
        self._pipe: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, atoms: Atoms, seconds: float) -> Answer:
        """Evaluate atoms in the child, within so many seconds."""
        if self._child is None:
            self._start()
        try:
            self._pipe.send(_content(atoms))
            if self._pipe.poll(seconds):
                return Answer(*self._pipe.recv())
            missing = f"no answer within {seconds:g} s"
        except (EOFError, BrokenPipeError, ConnectionResetError):
            missing = "the process died"
        self.close()
        return Answer(missing=missing)

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, far = context.Pipe()
        self._child = context.Process(target=_serve_pipe, args=(self._make, far), daemon=True)
        with warnings.catch_warnings():  # Python 3.12 warns of threads at every fork
            warnings.simplefilter("ignore", DeprecationWarning)
            self._child.start()
        far.close()

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._pipe.close()
        self._child = self._pipe = None


class Fresh:
    """A new interpreter; needs a factory or calculator that pickles. `ask` starts it anew after a hang."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._child: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, atoms: Atoms, seconds: float) -> Answer:
        """Evaluate atoms in the child, within so many seconds."""
        data = None
        try:
            if self._child is None:
                self._start()
            _write(self._child.stdin, pickle.dumps(_content(atoms)))
            with selectors.DefaultSelector() as selector:
                selector.register(self._child.stdout, selectors.EVENT_READ)
                if not selector.select(seconds):
                    self.close()
                    return Answer(missing=f"no answer within {seconds:g} s")
            data = _read(self._child.stdout)
        except BrokenPipeError:
            pass
        if data is None:
            self.close()
            return Answer(missing="the process died")
        return Answer(*pickle.loads(data))

    def _start(self) -> None:
        code = "from ase_mlipgen.testing.worker import serve; serve()"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self._child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        _write(self._child.stdin, self._payload)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            for stream in (self._child.stdin, self._child.stdout):
                with suppress(BrokenPipeError):
                    stream.close()
            self._child.wait()
        self._child = None


def limit_memory() -> None:
    """Let this process take `EXTRA_MEMORY` more, where the platform can tell and limit."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (now + EXTRA_MEMORY, hard))
    except (ImportError, OSError, ValueError):
        return


def serve() -> None:
    """Answer on standard output what comes on standard input: the calculator or its factory, then structures."""
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a calculator that prints must not spoil the answers
    payload = _read(source)
    assert payload is not None
    given = pickle.loads(payload)
    calculator = given if isinstance(given, BaseCalculator) else given()
    warm = False
    while (data := _read(source)) is not None:
        _write(sink, pickle.dumps(tuple(_answer(calculator, pickle.loads(data)))))
        if not warm:
            limit_memory()
            warm = True


def _serve_pipe(make: Callable[[], Any], pipe: Any) -> None:
    sys.stdout, sys.stderr = open(os.devnull, "w"), open(os.devnull, "w")  # noqa: SIM115
    calculator = make()
    warm = False
    while True:
        content = pipe.recv()
        pipe.send(tuple(_answer(calculator, content)))
        if not warm:
            limit_memory()
            warm = True


def _answer(calculator: Any, content: dict[str, Any]) -> Answer:
    atoms = Atoms(**content)
    try:
        energy = float(calculator.get_property("energy", atoms))
        has_forces = "forces" in calculator.implemented_properties
        return Answer(energy, calculator.get_property("forces", atoms) if has_forces else None)
    except Exception as error:  # noqa: BLE001, RUF100  whatever it is, the caller judges
        family = tuple(base.__name__ for base in type(error).__mro__)
        return Answer(error=type(error).__name__, family=family, text=str(error))


def _content(atoms: Atoms) -> dict[str, Any]:
    return {
        "numbers": atoms.numbers,
        "positions": atoms.positions,
        "cell": atoms.cell.array,
        "pbc": atoms.pbc,
    }


def _write(stream: IO[bytes], data: bytes) -> None:
    stream.write(struct.pack("<q", len(data)) + data)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes | None:
    head = stream.read(8)
    return stream.read(struct.unpack("<q", head)[0]) if len(head) == 8 else None

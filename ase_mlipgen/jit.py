"""How kernels are compiled, and where the result is kept.

`kernel` compiles an entry point and keeps it on disk, `helper` and `inlined` what only kernels call. Numba's own
cache looks at the file of the entry point alone; here an entry is valid for one state of all rooms with kernels,
damaged entries are compiled anew, a directory that cannot be written is still read, and where nothing can be written
the kernels are compiled in memory. The first compilation of a process says so in one line.

Directories, in this order: NUMBA_CACHE_DIR, `__pycache__` beside the sources, the user's cache directory.
"""

import functools
import gc
import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba as nb
from numba.core import caching, config

logger = logging.getLogger(__name__)
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
PACKAGE = Path(__file__).parent
WITH_KERNELS = (
    "ace/*.py",
    "eam/*.py",
    "simd/*.py",
    "tightbinding/*.py",
    "*.py",
)  # what kernels are made of, from the package's folder

# Parts of kernels compile faster without wrappers for Python, and without reference counts where nothing is allocated.
helper: Callable[[Any], Any] = nb.njit(no_cpython_wrapper=True, **OPTIONS)
inlined: Callable[[Any], Any] = nb.njit(no_cpython_wrapper=True, forceinline=True, _nrt=False, **OPTIONS)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function on its first call, and keep it on disk for each combination of argument types."""
    dispatcher = nb.njit(**OPTIONS)(function)
    dispatcher._cache = _KernelCache(function)
    dispatcher.compile = functools.partial(_without_collection, dispatcher.compile)
    return dispatcher


def _without_collection(compile_it: Callable[..., Any], *args: Any) -> Any:
    """Compile while Python's cycle collector rests: it would take an eighth of the time, for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        return compile_it(*args)
    finally:
        if was_on:
            gc.enable()


@functools.cache
def sources_digest() -> str:
    """Return a fingerprint of the sources that kernels are made of."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in WITH_KERNELS for path in PACKAGE.glob(pattern)):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _announcement() -> Callable[[str], None]:
    """Return what says, once a process, that kernels are being compiled."""
    waiting = ["compiling numerical kernels (once for this machine and version, some seconds; %s)"]

    def say(remark: str) -> None:
        if waiting:
            logger.warning(waiting.pop(), remark)

    return say


class _Nowhere(caching._CacheLocator):
    """Stands in where no directory can be written: saving fails, and is passed over."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_file, self._lineno = py_file, py_func.__code__.co_firstlineno

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "_Nowhere":
        return cls(py_func, py_file)

    def get_cache_path(self) -> str:
        return os.devnull

    def get_source_stamp(self) -> str:
        return sources_digest()

    def get_disambiguator(self) -> str:
        return str(self._lineno)


class _Where(caching.CompileResultCacheImpl):
    _locator_classes = [*caching.CompileResultCacheImpl._locator_classes, _Nowhere]  # noqa: RUF012


class _KernelCache(caching.FunctionCache):
    """Numba's cache of one function, made to survive what happens to files (see the module)."""

    _impl_class = _Where

    def __init__(self, py_func: Any) -> None:
        super().__init__(py_func)
        folders = [self._cache_path, *_readable(py_func.__code__.co_filename)]
        self._files = [
            caching.IndexDataCacheFile(folder, self._impl.filename_base, sources_digest())
            for folder in dict.fromkeys(folders)
            if folder != os.devnull
        ]

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        key = self._index_key(sig, target_context.codegen())
        for file in self._files:
            try:
                data = file.load(key)
                if data is not None:
                    return self._impl.rebuild(target_context, data)
            except Exception as error:  # a truncated file, or one that names classes of another version
                logger.info("kernel cache %s is not usable: %r", file._index_path, error)
        home = "not kept: no directory can be written, set NUMBA_CACHE_DIR"
        _announcement()(home if self._is_homeless() else f"kept in {self._cache_path}")
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        if self._is_homeless():
            return
        file = self._files[0]
        for attempt in ("as it is", "emptied"):
            try:
                self._impl.locator.ensure_cache_path()
                if attempt == "emptied":
                    file.flush()
                file.save(self._index_key(sig, data.codegen), self._impl.reduce(data))
                return
            except Exception as error:  # full disk, damaged index: the kernel in memory works all the same
                logger.info("kernel not kept in %s (%s): %r", self._cache_path, attempt, error)

    def _is_homeless(self) -> bool:
        return bool(self._cache_path == os.devnull)


def _readable(source: str) -> list[str]:
    """Return the directories that may hold kernels of a source file although they cannot be written."""
    found = [os.path.join(os.path.dirname(source), "__pycache__")]
    if config.CACHE_DIR:
        subpath = caching._CacheLocator.get_suitable_cache_subpath(source)
        found.insert(0, os.path.join(config.CACHE_DIR, subpath))
    return found

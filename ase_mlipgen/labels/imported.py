"""Functions and classes by name: ``package.module:name``, also of a module in a folder that Python does not search.

Enter at `imported`.
"""

import difflib
import functools
import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


class FolderFunction:
    """A function or class of a module in a folder; wherever it is unpickled, it is imported from there.

    A function itself pickles as the name of its module, which workers on other machines would look for in vain.

    Parameters
    ----------
    folder : str
        Absolute; every worker sees it.
    name : str
        ``module:name``.
    """

    def __init__(self, folder: str, name: str) -> None:
        self.folder, self.name = folder, name
        self.function = _found(name, folder)
        functools.update_wrapper(self, self.function, updated=())

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Call the function."""
        return self.function(*args, **keywords)

    def __reduce__(self) -> tuple[Any, ...]:
        return FolderFunction, (self.folder, self.name)

    def __repr__(self) -> str:
        return f"<{self.name} in {self.folder}>"


def imported(name: str, folder: str | None = None) -> Callable[..., Any]:
    """Import ``package.module:name``.

    Parameters
    ----------
    name : str
    folder : str or None
        Where the module is, if Python does not find it.

    Raises
    ------
    ValueError
        The name has another form.
    ImportError
        The module cannot be imported; the message says where that failed.
    AttributeError
        The module has no such name.
    TypeError
        What the name stands for cannot be called.
    """
    return _found(name, None) if folder is None else FolderFunction(folder, name)


def _found(name: str, folder: str | None) -> Callable[..., Any]:
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise ValueError('expected "package.module:name"')
    module = _module(module_name, folder)
    if not hasattr(module, attribute):
        raise AttributeError(f"the module {module_name} has no {attribute}{_hint(attribute, vars(module))}")
    found: Callable[..., Any] = getattr(module, attribute)
    if not callable(found):
        raise TypeError(f"it is {found!r}; expected a calculator class or a factory")
    return found


def _module(name: str, folder: str | None) -> ModuleType:
    if folder is not None and folder not in sys.path:
        # For what the module imports; processes that are started from here get this path as well.
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{error}; install it, or give its `folder`") from error
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = "" if isinstance(error, SyntaxError) else f" ({where.filename}, line {where.lineno})"
        raise ImportError(f"importing {name} failed: {type(error).__name__}: {error}{place}") from error
    if folder is not None:
        _require_here(module, name, Path(folder))
    return module


def _require_here(module: ModuleType, name: str, folder: Path) -> None:
    here = folder.joinpath(*name.split(".")).with_suffix(".py")
    found = getattr(module, "__file__", None)
    if here.is_file() and (found is None or not here.samefile(found)):
        raise ImportError(
            f"{here} is hidden by another module of that name, {found}: give the file another name"
        )


def _hint(attribute: str, names: dict[str, Any]) -> str:
    close = difflib.get_close_matches(attribute, [n for n in names if not n.startswith("_")], 1)
    return f"; did you mean {close[0]}?" if close else ""

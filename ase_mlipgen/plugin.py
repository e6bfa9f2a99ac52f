"""What ASE finds of this package: the module that the entry point ``ase.plugins`` names, and nobody else imports.

ASE 3.29 and later load it for ``ase info --plugins`` and for its collection of plug-ins; the class it imports is
private there and may move, so that nothing else of the package depends on it: where it is not, the collection is
empty. Older releases of ASE do not look for the entry point; `ase_mlipgen.registration.register` serves all.

There is no entry point for a file format: a model's JSON file holds no structure.
"""

from typing import Any

from ase_mlipgen.registration import CALCULATORS

try:
    from ase._4.plugins.plugin import CalculatorPlugin
except ImportError:
    __ase_plugins__: set[Any] = set()
else:
    __ase_plugins__ = {
        CalculatorPlugin(name=name, citation=citation, implementation=implementation)
        for name, (implementation, citation) in CALCULATORS.items()
    }

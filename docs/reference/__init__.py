"""What pages say of the program, written from the program: commands, configuration, rooms.

`python -m docs.reference`, from the root of the repository, writes docs/cli.md, docs/configuration.md and
docs/figures/architecture.svg; tests/docs hold them to the program.
"""

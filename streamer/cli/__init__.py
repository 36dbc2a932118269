"""The `avatar` command: one module a command, imported only when that command is given.

Each has `add_arguments(parser)`, `run(args)` (its docstring is the command's description) and two EXAMPLES. It imports
the program that it starts inside `run`, so that `--help` is quick: no numpy, no OpenCV, no engines.
"""

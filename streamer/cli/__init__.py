"""The `avatar` command: one module per command, imported only when that command is used.

Each module has `add_arguments(parser)`, `run(args)` (its docstring is the command's description) and two EXAMPLES. It
imports the code that it runs inside `run`, so that `--help` is quick: no numpy, no OpenCV, no engines.
"""

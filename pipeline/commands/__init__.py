"""The subcommands of `segline`: each module adds its own to the parser.

Nothing heavy is imported before a command is called.
"""

"""Pure decisions over plain values.

`decisions` decides one command, `batch` many on one moving state, `events` says a row to the rest of the platform.
"""

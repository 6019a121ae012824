"""The fault suite: a real etcd cluster whose members die, stall, part and fill up under load, and its checkers.

`python -m tests.faults` (`make faults`) runs it; `docs/design/faults.md` says what is done and what is checked.
"""

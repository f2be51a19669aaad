"""Mutation tests: change one expression of a module at a time, and count the changes that a test notices.

``make mutate MODULE="htmx_live/runtime/state.py htmx_live/core/signing.py"``, or ``python -m tests.mutation --help``.

The tests are collected once.  A forked process runs all of them and notes which lines each test reaches.  Then every
mutant gets a forked process: it compiles the changed module, puts the new code into the live functions, and runs only
the tests that reach the changed statement, the fastest first, until one fails.  A mutant is *killed* by a failing test,
or by a test that hangs.  At the end each test that killed a mutant runs alone on the unchanged code, and has to pass.

Only bodies and defaults of functions are changed.  Docstrings, annotations, f-strings and raised errors' texts stay.
``equivalent.toml`` lists the mutants that behave like the original, each with its reason: they do not count.
Code that runs only while modules are imported is not reached: its mutants survive, as no test runs after the change.
"""

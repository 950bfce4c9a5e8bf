"""Faster ways to run a network.

A backend is an `IterativeNetwork` that wraps another one, and gives the same logits and states by another `step`; what
calls it knows nothing else of it. The network itself stays the code of the paper, and every backend is tested
against it.
"""

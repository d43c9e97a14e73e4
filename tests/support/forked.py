"""Processes that begin as copies of this one: what tests kill or watch need not import everything again."""

import multiprocessing
import warnings


def forked(work, *arguments, children=False):
    """Start `work` in a process of its own, which ends with code 0 unless `work` raises or it is killed.

    It ends with this one, unless it has `children` of its own: multiprocessing allows these to nobody else.
    """
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments, daemon=not children)
    with warnings.catch_warnings():
        # Later Pythons warn of threads that the copy lacks; between tests, none of them holds a lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    return process

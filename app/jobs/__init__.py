"""The life of a job and of its steps: the only writer of status.

    step    waiting ── its inputs are done ──▶ queued ── claim ──▶ running ── finish ──▶ succeeded
               ▲                                 ▲                    │
               │                                 └── fail, lease out ─┤ (up to max_attempts)
               └── only paused jobs need it ──────────────────────────┤
                                                                      └──▶ failed
            any of these but the last two ── no live job needs it ──▶ cancelled
    job     queued ──▶ running ──▶ succeeded | failed | cancelled, as its steps go
              ▲  └──────┴── pause ──▶ paused ── resume ──▶ queued
              └── retry ── failed | cancelled

A bell only wakes a worker; which step it takes, the database decides (app.jobs.turns). It may ring twice or never: the
claim is one conditional UPDATE, so no step is taken twice, and the sweep rings again for what nobody took and takes
back what a silent worker held. Every write of a worker names the fence that its claim was given; after the lease is
gone to another, the old one's writes change nothing. What happens to a job is told in its log of events in the same
transaction.
"""

from app.jobs.owners import Owners
from app.jobs.records import Bell, Claim, News, Ready, Receipt, StoredFile
from app.jobs.sweeper import Sweeper
from app.jobs.turns import Takes
from app.jobs.workers import Workers

__all__ = ["Bell", "Claim", "Jobs", "News", "Ready", "Receipt", "StoredFile", "Takes"]


class Jobs(Owners, Workers, Sweeper):
    """Creates jobs and moves them and their steps on."""

"""Keeps a CRM's local copy of the leads in step with lead-intake.

Copy this package into your CRM. ``copy`` is the local database, ``feed`` the calls, ``sync`` what ties them together.
The rules, and where each is kept:

* One transaction holds a batch of changes and the cursor after it (``LeadCopy.apply``). So nothing is applied twice or
  left out, whenever the process dies.
* A batch is acknowledged after it is committed, never before (``LeadSync``): the service tells a person that your copy
  is gone because you said so.
* What a change shows of a lead is the whole truth about it: if it shows nothing, you may hold nothing.
* No message and no log line holds a value of a person.
"""

from .copy import LeadCopy
from .feed import Fault, LeadFeed
from .sync import LeadSync, SyncRefused

__all__ = ["Fault", "LeadCopy", "LeadFeed", "LeadSync", "SyncRefused"]

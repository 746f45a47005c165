"""What does a classifier rely on, over a whole cohort? A place that recurs is a hint of a shortcut.

``cohort.py`` explains the images that the classifier calls positive; ``recurrence.py`` is the rule
that says which places recur; ``regions.py`` gathers the facts of each place, and asks the
classifier what the generator's change in it alone does; ``trust.py`` counts the explanations that
can be trusted; ``agreement.py`` finds where maps agree that need no generator; ``auditing.py``
leads through it all; ``wording.py``, ``document.py`` and ``writing.py`` say it, and make
``audit.json``, figures and page of it.
"""

from medxgan.audit.auditing import audit
from medxgan.audit.results import Agreement, Audit, MethodAudit, Region, Verdict
from medxgan.audit.settings import AuditSettings
from medxgan.audit.trust import Trust
from medxgan.audit.writing import write_audit

__all__ = [
    "Agreement",
    "Audit",
    "AuditSettings",
    "MethodAudit",
    "Region",
    "Trust",
    "Verdict",
    "audit",
    "write_audit",
]

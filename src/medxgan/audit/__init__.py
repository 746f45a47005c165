"""What does a classifier rely on, over a whole cohort? A place that recurs is a hint of a shortcut.

``cohort.py`` explains the images that the classifier calls positive; ``recurrence.py`` is the rule
that says which places recur; ``regions.py`` gathers the facts of each place, and asks the
classifier what changing it alone does; ``auditing.py`` leads through it all; ``document.py`` and
``writing.py`` make ``audit.json``, figures and page of the outcome.
"""

from medxgan.audit.auditing import audit
from medxgan.audit.results import Audit, MethodAudit, Region, Verdict
from medxgan.audit.settings import AuditSettings
from medxgan.audit.writing import write_audit

__all__ = [
    "Audit",
    "AuditSettings",
    "MethodAudit",
    "Region",
    "Verdict",
    "audit",
    "write_audit",
]

"""Takes secrets out of what leaves the process: text and fields in, the same without passwords, keys and cards out.

Called by the encoders of log lines and spans and by the JSON formatter; knows nothing of them.
"""

from tocsin.sdk.redaction.redactor import Redactor

__all__ = ["Redactor"]

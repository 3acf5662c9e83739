"""Folders of log files, without a server: compressed, archived and deleted by age, and looked after.

`maintain` does what is due, `verify` says what is wrong; both go by the day in a file's name, else by when it was last
written. Called by the command line.
"""

from tocsin.storage.log_files.folder import Ages, LogFilesError
from tocsin.storage.log_files.maintain import Deed, Done, maintain
from tocsin.storage.log_files.verify import Finding, verify

__all__ = ["Ages", "Deed", "Done", "Finding", "LogFilesError", "maintain", "verify"]

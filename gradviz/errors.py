"""The error tree: one root, one class a way to fail.

GradvizError
|-- WatchError            gradviz.watch was given something that it cannot watch
|-- RunFolderError        the run folder cannot be created or written
|-- RunNotFoundError      no run under that name or path
|-- RunFormatError        a run.json that is not ours, is damaged, or is newer than this version
|-- DamagedPartError      a part file fails its checksum, its schema or its size guard
|   `-- RefusedPartError  the file system does not let it be read now: it may be sound
|-- QueryError            a layer, an update range, a phase or a column that the run does not have
|-- ExaminationError      a run could not be examined in a process of its own
|-- VerificationError     a verification of gradient accumulation cannot be carried out
|-- ReportError           a report cannot be written where it was asked for
|-- ExportError           a table of a run cannot be written where it was asked for
`-- MissingLibraryError   an integration's own library is not installed; an ImportError too

GradvizWarning            something was not recorded as asked; training goes on

Every message says what was asked, what is there and what to do.
"""


class GradvizError(Exception):
    """Root of every error that gradviz raises on purpose."""


class WatchError(GradvizError):
    """`gradviz.watch` was given something that it cannot watch."""


class RunFolderError(GradvizError):
    """The run folder cannot be created or written."""


class RunNotFoundError(GradvizError):
    """No run under that name or path."""


class RunFormatError(GradvizError):
    """A `run.json` that is not ours, is damaged, or is newer than this version of gradviz."""


class DamagedPartError(GradvizError):
    """A part file fails its checksum, its schema or its size guard."""


class RefusedPartError(DamagedPartError):
    """The file system does not let a part be read now: nothing is known of it, and another try may read it."""


class QueryError(GradvizError):
    """A layer, an update range, a phase or a column that the run does not have."""


class ExaminationError(GradvizError):
    """A run could not be examined in a process of its own."""


class VerificationError(GradvizError):
    """A verification of gradient accumulation cannot be carried out."""


class ReportError(GradvizError):
    """A report cannot be written where it was asked for."""


class ExportError(GradvizError):
    """A table of a run cannot be written where it was asked for."""


class MissingLibraryError(GradvizError, ImportError):
    """The library that an integration belongs to is not installed."""


class GradvizWarning(UserWarning):
    """Something was not recorded, or not where it was asked for; training goes on."""

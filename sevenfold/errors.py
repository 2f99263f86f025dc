"""Errors that a person is meant to read: each message says what happened, where, and what to do."""


class SevenfoldError(Exception):
    """Base of every error that Sevenfold raises on purpose; its text is shown without a traceback."""


class SettingsError(SevenfoldError):
    """A setting is missing or has a value that cannot be used."""


class WarehouseError(SevenfoldError):
    """The warehouse cannot be used as it is."""


class WarehouseUnreachableError(WarehouseError):
    """No server answers at the warehouse's address."""


class WarehouseLoginError(WarehouseError):
    """The server answers but refuses the login: wrong password, unknown user or unknown database."""


class WarehouseTooOldError(WarehouseError):
    """The server is older than the oldest PostgreSQL that Sevenfold runs on."""


class OutOfDiskError(WarehouseError):
    """The disk is full, or has too little room left to start a run on."""


class FolderInUseError(WarehouseError):
    """The embedded server's folder belongs to another server or another operating-system user."""


class WrongMajorVersionError(WarehouseError):
    """The embedded server's folder was made by another major version of PostgreSQL."""


class MissingRightsError(WarehouseError):
    """The warehouse user lacks a right that the migration or a role needs."""


class MigrationError(WarehouseError):
    """The database's migrations and the code's migrations disagree."""

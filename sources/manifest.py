"""Manifests: what a source says of a file that it delivered, in a small file beside it.

A file that was cut between two lines looks whole. Only its source can say how much there should be: a JSON object with
any of `row_count`, `size_bytes` and `sha256`, in a file named as the delivery with the contract's ending added.
"""

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sources.readers import SourceError, SourceFile

LARGEST_MANIFEST = 65_536  # bytes; what is larger is no manifest


class Manifest(BaseModel):
    """What a source promises of one file; what it does not say is not compared."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)

    row_count: Annotated[int, Field(ge=0)] | None = None
    size_bytes: Annotated[int, Field(ge=0)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9A-Fa-f]{64}$")] | None = None

    def check_bytes(self, size_bytes: int, sha256: str) -> None:
        """Compare what lies there with what was promised, before any of it is read.

        Raises:
            SourceError: when size or digest differ.
        """
        if self.size_bytes not in {None, size_bytes}:
            raise SourceError(f"its manifest says {self.size_bytes:,} bytes, and it has {size_bytes:,}. {_ADVICE}")
        if self.sha256 is not None and self.sha256.lower() != sha256:
            raise SourceError(f"its SHA-256 is not the one of its manifest. {_ADVICE}")

    def check_rows(self, row_count: int) -> None:
        """Compare the rows that were read with those that were promised.

        Raises:
            SourceError: when their number differs.
        """
        if self.row_count not in {None, row_count}:
            raise SourceError(f"its manifest says {self.row_count:,} rows, and it holds {row_count:,}. {_ADVICE}")


_ADVICE = "Deliver file and manifest again, both complete."
NO_MANIFEST = Manifest()


def read_manifest(file: SourceFile, ending: str | None) -> Manifest:
    """Read the manifest beside a delivered file; one that promises nothing where the contract asks for none.

    Raises:
        SourceError: when it is missing, or is no manifest.
    """
    if ending is None:
        return NO_MANIFEST
    beside = SourceFile(file.filesystem, file.path + ending)
    name = Path(beside.path).name
    if not beside.filesystem.isfile(beside.path):
        raise SourceError(
            f"its manifest {name} is not there, so nobody knows whether it is complete. Deliver the manifest, or take "
            "`manifest` out of the contract."
        )
    with beside.filesystem.open(beside.path, "rb") as opened:
        content = opened.read(LARGEST_MANIFEST)
    try:
        manifest = Manifest.model_validate(json.loads(content))
    except ValueError:  # no JSON, not UTF-8, or of another shape
        manifest = NO_MANIFEST
    if manifest == NO_MANIFEST:
        raise SourceError(
            f"its manifest {name} says nothing that can be compared: write a JSON object with row_count, size_bytes or "
            "sha256."
        )
    return manifest

"""Where reports lie: one folder per run, written once and never overwritten.

Each has a manifest with the hash of every file and of the manifest before it, so that neither a file nor a folder can
change or go without being seen. A report that is written again and says something else gets a folder of its own.
"""

import glob
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

from sevenfold.settings import get_settings

MANIFEST = "manifest.json"
DRAFT = ".draft_"
EXPLANATIONS = "explanations"
FIRST = "0" * 64
VERSION = "~"  # between the run's name, in which it never stands, and the number of a later version


@dataclass(frozen=True)
class Problem:
    """Something in a folder that is not as its manifest says."""

    folder: str
    words: str


def report_folder(run_id: str) -> Path:
    """The folder of a run's report, its latest version; of a run without one, the folder that it will have."""
    return versions(run_id)[-1] if versions(run_id) else _first_folder(run_id)


def versions(run_id: str) -> list[Path]:
    """The folders of a run's report, oldest first."""
    first = _first_folder(run_id)
    numbered = {
        int(number): folder
        for folder in _reports().glob(f"{glob.escape(first.name)}{VERSION}*")
        if (number := folder.name.rpartition(VERSION)[2]).isdecimal()  # what else is there, `verify` names
    }
    return [*([first] if first.is_dir() else []), *(numbered[number] for number in sorted(numbered))]


def same(run_id: str, files: Mapping[str, bytes]) -> Path | None:
    """The folder of a run's latest report where it holds just these files; else None."""
    there = versions(run_id)
    return there[-1] if there and _manifest(there[-1]).get("files") == _hashes(files) else None


def write(
    run_id: str, files: Mapping[str, bytes], audit_hash: str | None, on_record: Collection[str] = ()
) -> tuple[Path, bool]:
    """Write a report as a whole or not at all; one that says the same is there already is left as it is.

    Args:
        run_id: The run.
        files: Content by name, relative to the folder.
        audit_hash: Hash of the last entry of evidence on what the run did.
        on_record: Folders that are on record, here or not: what was written there is not written anew.

    Returns:
        The folder, and whether it is new.
    """
    if there := same(run_id, files):
        return there, False
    last = _last_manifest()
    manifest = {
        "run_id": run_id,
        "number": (_manifest(last)["number"] if last else 0) + 1,
        "previous": {"folder": last.name, "manifest_sha256": manifest_hash(last)} if last else None,
        "audit_hash": audit_hash,
        "files": _hashes(files),
    }
    content = json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n"
    first = _first_folder(run_id)
    names = chain([first.name], (f"{first.name}{VERSION}{number}" for number in count(2)))
    folder = first.with_name(
        next(name for name in names if name not in on_record and not first.with_name(name).exists())
    )
    _write_at_once(folder, {**files, MANIFEST: content})
    return folder, True


def run_of(name: str) -> str:
    """The run that a folder's report is about, by the folder's name or path; else the name is the run's own."""
    return str(_manifest(_reports() / Path(name).name).get("run_id", name))


def named_folder(name: str) -> Path:
    """The report's folder of that name or path; of a run, its latest."""
    folder = _reports() / Path(name).name
    return folder if (folder / MANIFEST).is_file() else report_folder(name)


def great_expectations_folder(run_id: str) -> Path:
    """The folder of Great Expectations' own pages on a run: no evidence, so they lie apart."""
    return get_settings().home / "pages" / "great_expectations" / folder_name(run_id)


def folder_name(run_id: str) -> str:
    """The run's name, made safe for a file system and still unique."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", run_id)[:120].strip(".") or "run"
    is_another_s = re.search(r"_[0-9a-f]{8}$", safe)  # so that no run can be called as another's folder is
    return f"{safe}_{hashlib.sha256(run_id.encode()).hexdigest()[:8]}" if safe != run_id or is_another_s else safe


def manifest_hash(folder: Path) -> str:
    """SHA-256 of a folder's manifest: what stands for all of its files."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def check(folder: Path) -> list[Problem]:
    """Compare a folder with its manifest, and the manifest before it with what this one says of it."""
    manifest = _manifest(folder)
    if not manifest:
        return [Problem(folder.name, "there is no manifest, so nothing can be proved")]
    return [Problem(folder.name, words) for words in (*_file_problems(folder, manifest), *_chain_problems(manifest))]


def all_folders() -> list[Path]:
    """Every folder with a manifest, in the order in which they were written."""
    found = [path.parent for path in _reports().glob(f"*/{MANIFEST}")]
    return sorted(found, key=lambda folder: int(_manifest(folder)["number"]))


def strange_folders() -> list[Path]:
    """Folders beside the reports that no run wrote: they have no manifest. Explanations of pairs are no evidence."""
    there = (path for path in _reports().iterdir() if path.is_dir() and not path.name.startswith(DRAFT))
    return sorted(path for path in there if path.name != EXPLANATIONS and not (path / MANIFEST).is_file())


def audit_hashes() -> dict[str, str]:
    """The hash of the evidence that each report refers to, by folder."""
    hashes = {folder.name: _manifest(folder)["audit_hash"] for folder in all_folders()}
    return {name: audit_hash for name, audit_hash in hashes.items() if audit_hash}


def _file_problems(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name, expected in manifest["files"].items():
        if name not in there:
            yield f"{name} is missing"
        elif hashlib.sha256(there[name].read_bytes()).hexdigest() != expected:
            yield f"{name} was changed since it was written"
    for name in sorted(there.keys() - manifest["files"].keys() - {MANIFEST}):
        yield f"{name} was added since"


def _chain_problems(manifest: Mapping[str, Any]) -> Iterator[str]:
    previous = manifest["previous"]
    if previous is None:
        return
    before = _reports() / previous["folder"]
    if not (before / MANIFEST).is_file():
        yield f"the report before it ({previous['folder']}) is not here"
    elif manifest_hash(before) != previous["manifest_sha256"]:
        yield f"the manifest of the report before it ({previous['folder']}) was changed since"


def _write_at_once(folder: Path, files: Mapping[str, bytes]) -> None:
    """A reader never meets half a folder; what is written is for reading only."""
    _reports().mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=_reports()))
    try:
        for name, content in files.items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o444)
        draft.chmod(0o755)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())}


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _last_manifest() -> Path | None:
    folders = all_folders()
    return folders[-1] if folders else None


def _first_folder(run_id: str) -> Path:
    return _reports() / folder_name(run_id)


def _reports() -> Path:
    return get_settings().home / "reports"

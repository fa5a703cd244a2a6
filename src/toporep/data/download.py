"""Download of a registered file: several URLs, several rounds, checked before it gets its name."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from toporep.data.registry import DownloadPolicy, GitFile, RemoteFile
from toporep.errors import TopoRepError
from toporep.io import atomic_path


def fetch(file: RemoteFile | GitFile, folder: Path, *, policy: DownloadPolicy, progress: bool | None = None) -> Path:
    """Download `file` into `folder` and return its path; the file appears there only when its checksum is right.

    Each round tries every URL; a URL that answers 4xx is not tried again. progress: show a bar (default: when
    standard error is a terminal).

    Raises TopoRepError listing what each URL answered when none gave the file, or when it cannot be written.
    """
    progress = sys.stderr.isatty() if progress is None else progress
    faults: dict[str, str] = {}
    gone: set[str] = set()
    for attempt in range(policy.attempts):
        urls = [url for url in file.urls if url not in gone]
        if not urls:
            break
        if attempt:
            time.sleep(policy.backoff * 2 ** (attempt - 1))
        for url in urls:
            fault, permanent = _try(file, url, folder, timeout=policy.timeout, progress=progress)
            if fault is None:
                return folder / file.name
            faults[url] = fault
            if permanent:
                gone.add(url)
    tried = "\n".join(f"  {url}: {fault}" for url, fault in faults.items())
    raise TopoRepError(
        f"{file.name}: could not be downloaded (expected {file.identity})\n{tried}\n"
        f"Try again later, or download it by hand from one of these addresses to {folder / file.name}"
    )


def _try(
    file: RemoteFile | GitFile, url: str, folder: Path, *, timeout: float, progress: bool
) -> tuple[str | None, bool]:
    """One download from one URL: (None, False) when it worked, else (what went wrong, whether for good)."""
    import pooch
    import requests

    # A temporary name in `folder` until the checksum is known to be right. pooch's own check knows no git checksums.
    downloader = pooch.HTTPDownloader(progressbar=progress, timeout=timeout, chunk_size=1 << 16)
    try:
        with atomic_path(folder / file.name) as temporary:
            downloader(url, str(temporary), None)
            found = file.found(temporary)
            if found:
                raise _WrongContent(found)
    except _WrongContent as error:
        return f"wrong content (found {error})", False
    except requests.HTTPError as error:
        status = error.response.status_code
        return f"HTTP status {status} {error.response.reason}", 400 <= status < 500 and status not in (408, 429)
    except requests.RequestException as error:
        return f"{type(error).__name__}: {error}", False
    except OSError as error:
        raise TopoRepError(f"{folder / file.name}: cannot be written ({error})") from error
    return None, False


class _WrongContent(Exception):
    """What was downloaded is another file."""

"""What more SFTP channels bring: python bench/channels.py [--megabytes 64] [--delays 0 25 50 100].

One large file and many small ones are sent to an sshd in a container and fetched again, through a line that
delays all bytes for half of the round trip each way. The line's own rate is that of this machine.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from slipway.sftp.carrier import Sftp
from tests.integration.files_host import Host, Proxy, start_host

COUNTS = (1, 2, 4, 8)
FILES = 1000
FILE_BYTES = 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--delays", type=int, nargs="*", default=[0, 25, 50, 100])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder, options.megabytes)
        print("| round trip | channels | send MB/s | fetch MB/s | send files/s | fetch files/s |")
        print("| --- | --- | --- | --- | --- | --- |")
        with start_host(folder / "state") as host:
            for delay_ms in options.delays:
                for count in COUNTS:
                    print(measure(host, folder, delay_ms, count, options.megabytes), flush=True)


def make_files(folder: Path, megabytes: int) -> None:
    for name in ("state", "large", "small"):
        (folder / name).mkdir()
    (folder / "large" / "file").write_bytes(os.urandom(megabytes * 1_000_000))
    for number in range(FILES):
        (folder / "small" / str(number)).write_bytes(os.urandom(FILE_BYTES))


def measure(host: Host, folder: Path, delay_ms: int, count: int, megabytes: int) -> str:
    proxy = Proxy(host.port, delay_s=delay_ms / 2000)
    there, here = host.folder("files"), folder / "back"
    with host.connect("files", proxy.port) as link:
        carrier = Sftp(link, count)
        link.list(there)  # the first channel is there before the clock starts
        figures = [
            megabytes / seconds(lambda: carrier.send_tree(folder / "large", there / "large")),
            megabytes / seconds(lambda: carrier.fetch_tree(there / "large", here / "large")),
            FILES / seconds(lambda: carrier.send_tree(folder / "small", there / "small")),
            FILES / seconds(lambda: carrier.fetch_tree(there / "small", here / "small")),
        ]
    proxy.close()
    shutil.rmtree(here)
    host.sh('rm -rf "$1"', str(there))
    return f"| {delay_ms} ms | {count} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |"


def seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


if __name__ == "__main__":
    main()

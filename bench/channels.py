"""What more SFTP channels bring: python bench/channels.py [--megabytes 256] [--delays 0 20 50 100].

One large file and many small ones are sent to an sshd in a container and fetched again, through a proxy that
delays all bytes for half of the round trip each way. The rate is that of this machine.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from slipway.transfer.sftp.sftp import Sftp
from tests.integration.files_host import FilesHost, Proxy, start_host

COUNTS = (1, 2, 4, 8)
FILES = 1000
FILE_BYTES = 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--delays", type=int, nargs="*", default=[0, 20, 50, 100])
    parser.add_argument("--proxy", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.proxy:
        print(Proxy(options.proxy, delay_s=options.delays[0] / 2000).port, flush=True)
        sys.stdin.read()
        return
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


def measure(host: FilesHost, folder: Path, delay_ms: int, count: int, megabytes: int) -> str:
    # In a process of its own, so that it takes no time from Slipway's threads.
    argv = [sys.executable, __file__, "--proxy", str(host.port), "--delays", str(delay_ms)]
    proxy = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    port = int(next(iter(proxy.stdout or ())))
    there, here = host.folder("files"), folder / "back"
    with host.connect("files", port) as host:
        carrier = Sftp(host, count)
        host.list(there)  # the first channel is there before the clock starts
        figures = [
            megabytes / seconds(lambda: carrier.send_tree(folder / "large", there / "large")),
            megabytes / seconds(lambda: carrier.fetch_tree(there / "large", here / "large")),
            FILES / seconds(lambda: carrier.send_tree(folder / "small", there / "small")),
            FILES / seconds(lambda: carrier.fetch_tree(there / "small", here / "small")),
        ]
    proxy.communicate()
    shutil.rmtree(here)
    host.sh('rm -rf "$1"', str(there))
    return f"| {delay_ms} ms | {count} | " + " | ".join(f"{figure:.0f}" for figure in figures) + " |"


def seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


if __name__ == "__main__":
    main()

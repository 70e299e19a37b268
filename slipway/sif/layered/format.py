"""The numbers and records of squashfs 4.0 (Linux, ``fs/squashfs/squashfs_fs.h``); little-endian."""

from __future__ import annotations

import struct

MAGIC = b"hsqs"
METADATA_BYTES = 8192
# What mksquashfs takes where it is not told; all that is put together has to have the same.
BLOCK_BYTES = 131072
# In the header of a metadata block: it is not compressed.
METADATA_PLAIN = 0x8000
# In the size of a data block or a fragment: likewise.
DATA_PLAIN = 1 << 24
DATA_SIZE = DATA_PLAIN - 1
NO_FRAGMENT = 0xFFFFFFFF
NO_XATTR = 0xFFFFFFFF
NO_TABLE = 0xFFFFFFFFFFFFFFFF
GZIP, ZSTD = 1, 6

# Flags of the superblock.
PLAIN_INODES, EXPORTABLE, PLAIN_XATTRS, NO_XATTRS, COMPRESSOR_OPTIONS, PLAIN_IDS = (
    0x1,
    0x80,
    0x100,
    0x200,
    0x400,
    0x800,
)

# magic, inodes, time, block size, fragments, compression, block log, flags, ids, version, then: root inode,
# bytes used, and where the tables are: ids, extended attributes, inodes, directories, fragments, references.
SUPERBLOCK = struct.Struct("<4s4I6H8Q")
# kind, mode, user, group, time, number.
INODE = struct.Struct("<4H2I")
# The rest of an inode, by its kind; an extended one has seven more than a basic one.
DIRECTORY = struct.Struct("<IIHHI")  # block, links, size, offset, parent
FILE = struct.Struct("<4I")  # start, fragment, offset in it, size
COUNT = struct.Struct("<I")  # links, of the others
DEVICE = struct.Struct("<II")  # links, number
SYMLINK = struct.Struct("<II")  # links, size of the target
LONG_DIRECTORY = struct.Struct("<4IHHI")  # links, size, block, parent, indexes, offset, attributes
LONG_FILE = struct.Struct("<3Q4I")  # start, size, sparse, links, fragment, offset in it, attributes
INDEX = struct.Struct("<3I")  # offset in the listing, block, size of the name less one

DIR, REG, LINK, BLOCK, CHAR, FIFO, SOCKET = range(1, 8)
EXTENDED = 7

# Of a directory's listing: entries less one, block of their inodes, first inode's number; and each entry:
# offset, number less the first one, kind, size of the name less one.
LISTING = struct.Struct("<3I")
ENTRY = struct.Struct("<HhHH")
MAX_ENTRIES = 256
# What a listing's size says beyond its bytes: `.` and `..` are not in it.
LISTING_EXTRA = 3

FRAGMENT = struct.Struct("<QII")  # start, size, nothing
XATTR = struct.Struct("<QII")  # where, how many, bytes
XATTR_TABLE = struct.Struct("<QII")  # where the attributes begin, how many sets, nothing
XATTR_KEY = struct.Struct("<HH")  # name space, size of the name
XATTR_PREFIXES = ("user.", "trusted.", "security.")
XATTR_ELSEWHERE = 0x100
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")

"""A ``.sif`` made of its image's layers: each is squashed once, and images are put together of them.

A squashfs keeps what files hold in blocks that are compressed one by one, and says in tables where they are.
So the file system of an image needs no more than the blocks of its layers, one layer after the other, and new
tables. What was made of a layer is kept; a change in the last layer costs that layer, and two versions of an
image begin with the same bytes, which rsync does not send again.

Nothing but the standard library is used: this runs where mksquashfs is, on this machine or in the tools
container.
"""

"""SFTP in the place of rsync: trees and large files, in parallel, resumed after a cut."""

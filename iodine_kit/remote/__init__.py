"""Artifacts in another place: a folder, a bucket, a server. ``push`` sends them, ``pull`` fetches them.

A remote has content-addressed files (see ``layout``), so that nothing is sent twice. It is not trusted: every name,
size and hash that comes from it is checked.
"""

from iodine_kit.remote.address import Address, parse_address
from iodine_kit.remote.layout import Entry, Remote
from iodine_kit.remote.names import tags
from iodine_kit.remote.pull import contents, pull, survey
from iodine_kit.remote.push import push
from iodine_kit.remote.transfers import Transferred

__all__ = ["Address", "Entry", "Remote", "Transferred", "contents", "parse_address", "pull", "push", "survey", "tags"]

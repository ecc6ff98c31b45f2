# SPDX-License-Identifier: Apache-2.0
"""Other objects beside the keys of a token that `hsmint dev` made: crowd.py DIRECTORY DATA KEY-PAIRS. One of each is made
by SoftHSM, and its files copied under other names, which SoftHSM takes for objects like any: making them all takes long."""
import ctypes
import glob
import os
import shutil
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "token"))
from softhsm_keys import ULONG, Token, module_of, read, template  # noqa: E402

CKO_DATA = 0


def files():
    return set(glob.glob(directory + "/tokens/*/*-*.object"))


def multiply(made, times):
    for path in made:
        for _ in range(times - 1):
            shutil.copyfile(path, os.path.join(os.path.dirname(path), "%s.object" % uuid.uuid4()))


directory, data, pairs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.environ["SOFTHSM2_CONF"] = directory + "/softhsm2.conf"
token = Token(module_of(directory), "hsmint-dev", read(directory + "/pin").strip().encode())
ours = files()
wanted = template({"CLASS": CKO_DATA, "TOKEN": True, "PRIVATE": True, "LABEL": b"other", "VALUE": os.urandom(64)})
token.call("C_CreateObject", token.session, wanted, ULONG(len(wanted)), ctypes.byref(ULONG()))
one = files() - ours
token.make("other", "ff")
pair = files() - ours - one
assert (len(one), len(pair)) == (1, 2)
multiply(one, data)
multiply(pair, pairs)
os._exit(0)  # without SoftHSM's destructors, which may crash

# SPDX-License-Identifier: Apache-2.0
"""Try to make a private key extractable: rewrite.py MODULE TOKEN PIN LABEL prints what C_SetAttributeValue gave."""
import ctypes
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "token"))
from softhsm_keys import ULONG, Token, template  # noqa: E402

CKO_PRIVATE_KEY = 3

token = Token(sys.argv[1], sys.argv[2], sys.argv[3].encode())
wanted = template({"CLASS": CKO_PRIVATE_KEY, "LABEL": sys.argv[4].encode()})
token.call("C_FindObjectsInit", token.session, wanted, ULONG(len(wanted)))
key, count = ULONG(), ULONG()
token.call("C_FindObjects", token.session, ctypes.byref(key), ULONG(1), ctypes.byref(count))
token.call("C_FindObjectsFinal", token.session)
assert count.value == 1
change = template({"EXTRACTABLE": True})
print(hex(token.module.C_SetAttributeValue(token.session, key, change, ULONG(1))))
sys.stdout.flush()
os._exit(0)

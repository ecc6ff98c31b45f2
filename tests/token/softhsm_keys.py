# SPDX-License-Identifier: Apache-2.0
"""Keys made in SoftHSM with every attribute as a test wants it: `make_keys` runs this file as a program of its own,
since a token's login lasts as long as the process."""
import ctypes
import json
import os
import re
import subprocess
import sys

CKA = {"CLASS": 0x0, "TOKEN": 0x1, "PRIVATE": 0x2, "LABEL": 0x3, "VALUE": 0x11, "KEY_TYPE": 0x100, "ID": 0x102,
       "SENSITIVE": 0x103, "DECRYPT": 0x105, "UNWRAP": 0x107, "SIGN": 0x108, "SIGN_RECOVER": 0x109, "VERIFY": 0x10A, "DERIVE": 0x10C,
       "MODULUS_BITS": 0x121, "PUBLIC_EXPONENT": 0x122, "EXTRACTABLE": 0x162, "EC_PARAMS": 0x180,
       "ALWAYS_AUTHENTICATE": 0x202}
CURVES = {"P-256": "06082a8648ce3d030107", "P-384": "06052b81040022"}
CURVES["Ed25519"] = "130c" + b"edwards25519".hex()
CKM_RSA_KEY_PAIR_GEN, CKM_EC_KEY_PAIR_GEN, CKM_EDWARDS_KEY_PAIR_GEN = 0x0, 0x1040, 0x1055
SERIAL_SESSION, RW_SESSION, CKU_USER = 0x4, 0x2, 1
ULONG = ctypes.c_ulong

# What hsmint itself asks for when it makes a key.
GOOD = {"TOKEN": True, "PRIVATE": True, "SENSITIVE": True, "EXTRACTABLE": False, "SIGN": True, "SIGN_RECOVER": False,
        "DECRYPT": False, "UNWRAP": False, "DERIVE": False}


class Attribute(ctypes.Structure):
    _fields_ = [("type", ULONG), ("value", ctypes.c_void_p), ("length", ULONG)]


class Mechanism(ctypes.Structure):
    _fields_ = [("type", ULONG), ("parameter", ctypes.c_void_p), ("length", ULONG)]


def template(attributes):
    """A CK_ATTRIBUTE array; booleans, bytes and CK_ULONGs. The buffers stay alive with it."""
    buffers = []
    for value in attributes.values():
        data = bytes([value]) if isinstance(value, bool) else value
        data = data if isinstance(data, bytes) else data.to_bytes(ctypes.sizeof(ULONG), sys.byteorder)
        buffers.append(ctypes.create_string_buffer(data, len(data)))
    array = (Attribute * len(attributes))(*[Attribute(CKA[name], ctypes.cast(buffer, ctypes.c_void_p), len(buffer))
                                            for name, buffer in zip(attributes, buffers)])
    array.buffers = buffers
    return array


class Token:
    def __init__(self, module, label, pin):
        self.module = ctypes.CDLL(module)
        self.call("C_Initialize", None)
        self.session = ULONG()
        self.call("C_OpenSession", self.slot_of(label), ULONG(SERIAL_SESSION | RW_SESSION), None, None,
                  ctypes.byref(self.session))
        self.call("C_Login", self.session, ULONG(CKU_USER), pin, ULONG(len(pin)))

    def call(self, name, *arguments):
        result = getattr(self.module, name)(*arguments)
        if result != 0:
            raise OSError("%s: 0x%x" % (name, result))

    def slot_of(self, label):
        slots, count = (ULONG * 64)(), ULONG(64)
        self.call("C_GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
        for slot in slots[:count.value]:
            info = ctypes.create_string_buffer(512)  # CK_TOKEN_INFO begins with the padded label
            self.call("C_GetTokenInfo", ULONG(slot), info)
            if info.raw[:32].decode().rstrip() == label:
                return ULONG(slot)
        raise OSError("no token " + label)

    def make(self, label, id, kind="P-256", public_label=None, only_public=False, **attributes):
        names = {"LABEL": label.encode(), "ID": bytes.fromhex(id)}
        public = {**names, "TOKEN": True, "PRIVATE": False, "VERIFY": True}
        public["LABEL"] = (public_label or label).encode()
        generate = CKM_EDWARDS_KEY_PAIR_GEN if kind == "Ed25519" else CKM_EC_KEY_PAIR_GEN
        if kind.startswith("RSA"):
            generate = CKM_RSA_KEY_PAIR_GEN
            public.update(MODULUS_BITS=int(kind[4:] or 2048), PUBLIC_EXPONENT=b"\x01\x00\x01")
        else:
            public["EC_PARAMS"] = bytes.fromhex(CURVES[kind])
        private = {**names, **GOOD, **attributes}
        mechanism = Mechanism(generate, None, 0)
        public, private = template(public), template(private)
        handles = ULONG(), ULONG()
        self.call("C_GenerateKeyPair", self.session, ctypes.byref(mechanism), public, ULONG(len(public)), private,
                  ULONG(len(private)), ctypes.byref(handles[0]), ctypes.byref(handles[1]))
        if only_public:
            self.call("C_DestroyObject", self.session, handles[1])


def read(path):
    with open(path) as file:
        return file.read()


def module_of(directory):
    return re.search(r"module: (\S+)", read(directory + "/hsmint.yaml")).group(1)


def make_keys(directory, keys):
    """Make `keys`, a list of Token.make's arguments, in the token of a directory that `hsmint dev` made."""
    subprocess.run([sys.executable, "-B", __file__, module_of(directory), directory + "/pin", json.dumps(keys)],
                   check=True, env={**os.environ, "SOFTHSM2_CONF": directory + "/softhsm2.conf"})


if __name__ == "__main__":
    token = Token(sys.argv[1], "hsmint-dev", read(sys.argv[2]).strip().encode())
    for arguments in json.loads(sys.argv[3]):
        token.make(**arguments)
    sys.stdout.flush()
    os._exit(0)  # without SoftHSM's destructors, which may crash

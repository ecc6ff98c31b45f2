# SPDX-License-Identifier: Apache-2.0
"""libhsmint as Python sees it: include/hsmint/client.h, function by function, and an exception for its errors."""
import ctypes
import os
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_long, c_size_t, c_void_p

lib = ctypes.CDLL(os.path.join(os.environ["HSMINT_BUILD"], "lib", "libhsmint.so"))

ERROR = POINTER(c_void_p)
FUNCTIONS = {  # name: result, arguments
    "version": (c_char_p, []),
    "client_unix": (c_void_p, [c_char_p, ERROR]),
    "client_https": (c_void_p, [c_char_p, c_char_p, c_char_p, c_char_p, ERROR]),
    "client_set_timeout": (None, [c_void_p, c_long]),
    "client_free": (None, [c_void_p]),
    "request_new": (c_void_p, []),
    "request_text": (c_int, [c_void_p, c_char_p, c_char_p]),
    "request_number": (c_int, [c_void_p, c_char_p, c_int64]),
    "request_json": (c_int, [c_void_p, c_char_p, c_char_p]),
    "request_add": (c_int, [c_void_p, c_char_p, c_char_p]),
    "request_pair": (c_int, [c_void_p, c_char_p, c_char_p, c_char_p]),
    "request_set_key": (c_int, [c_void_p, c_char_p]),
    "request_free": (None, [c_void_p]),
    "mint": (c_void_p, [c_void_p, c_char_p, c_void_p, ERROR]),
    "reply_credential": (c_char_p, [c_void_p]),
    "reply_kind": (c_char_p, [c_void_p]),
    "reply_profile": (c_char_p, [c_void_p]),
    "reply_kid": (c_char_p, [c_void_p]),
    "reply_id": (c_char_p, [c_void_p]),
    "reply_issued_at": (c_int64, [c_void_p]),
    "reply_expires_at": (c_int64, [c_void_p]),
    "reply_replayed": (c_int, [c_void_p]),
    "reply_ledger_origin": (c_char_p, [c_void_p]),
    "reply_ledger_index": (c_int64, [c_void_p]),
    "reply_json": (c_char_p, [c_void_p]),
    "reply_free": (None, [c_void_p]),
    "get": (c_void_p, [c_void_p, c_char_p, POINTER(c_size_t), ERROR]),
    "signed_call": (c_void_p, [c_void_p, c_char_p, c_char_p, c_char_p, ERROR]),
    "control_call": (c_void_p, [c_char_p, c_char_p, c_long, ERROR]),
    "control_call_fd": (c_void_p, [c_char_p, c_char_p, c_int, c_long, ERROR]),
    "text_free": (None, [c_void_p]),
    "error_code": (c_char_p, [c_void_p]),
    "error_status": (c_int, [c_void_p]),
    "error_title": (c_char_p, [c_void_p]),
    "error_field": (c_char_p, [c_void_p]),
    "error_accepts": (c_char_p, [c_void_p]),
    "error_retry": (c_char_p, [c_void_p]),
    "error_retry_after": (c_long, [c_void_p]),
    "error_message": (c_char_p, [c_void_p]),
    "error_approval": (c_char_p, [c_void_p]),
    "error_approval_hash": (c_char_p, [c_void_p]),
    "error_approval_expires_at": (c_int64, [c_void_p]),
    "error_free": (None, [c_void_p]),
}
for _name, (_result, _arguments) in FUNCTIONS.items():
    _function = getattr(lib, "hsmint_" + _name)
    _function.restype, _function.argtypes = _result, _arguments

REPLY_TEXTS = ("credential", "kind", "profile", "kid", "id", "json")
REPLY_TIMES = ("issued_at", "expires_at", "replayed")
RECEIPT = ("ledger_origin", "ledger_index")
ERROR_TEXTS = ("code", "title", "field", "accepts", "retry", "message", "approval", "approval_hash")
ERROR_NUMBERS = ("status", "retry_after", "approval_expires_at")


def members_of(kind, pointer, names):
    values = {name: getattr(lib, "hsmint_%s_%s" % (kind, name))(pointer) for name in names}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


class Failure(Exception):
    """What an hsmint_error said; the error itself is released."""

    def __init__(self, error):
        self.members = members_of("error", error, ERROR_TEXTS + ERROR_NUMBERS)
        super().__init__(self.members["message"])
        self.__dict__.update(self.members)
        lib.hsmint_error_free(error)


def result_of(function, *arguments):
    """What the function gave, which takes an error as its last argument; or the failure that it reported."""
    error = c_void_p()
    result = function(*arguments, byref(error))
    if result and error:
        raise AssertionError("a result and an error")
    if not result:
        raise Failure(error)
    return result


def text_of(pointer, length=None):
    """Take over a text that the library gave."""
    try:
        return ctypes.string_at(pointer) if length is None else ctypes.string_at(pointer, length)
    finally:
        lib.hsmint_text_free(pointer)


def request_of(members):
    """A request; lists become appended texts, dictionaries pairs, whole numbers numbers."""
    request = lib.hsmint_request_new()
    for name, value in members.items():
        member = name.encode()
        if isinstance(value, list):
            for text in value:
                lib.hsmint_request_add(request, member, text.encode())
        elif isinstance(value, dict):
            for key, text in value.items():
                lib.hsmint_request_pair(request, member, key.encode(), text.encode())
        elif isinstance(value, int):
            lib.hsmint_request_number(request, member, value)
        else:
            lib.hsmint_request_text(request, member, value.encode())
    return request


class Client:
    """A client that is released with its `with` block."""

    def __init__(self, pointer, timeout_ms=None):
        self.pointer = pointer
        if timeout_ms:
            lib.hsmint_client_set_timeout(pointer, timeout_ms)

    @classmethod
    def unix(cls, path, timeout_ms=None):
        return cls(result_of(lib.hsmint_client_unix, path.encode()), timeout_ms)

    @classmethod
    def https(cls, url, cert, key, ca, timeout_ms=None):
        arguments = [text.encode() for text in (url, cert, key, ca)]
        return cls(result_of(lib.hsmint_client_https, *arguments), timeout_ms)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.hsmint_client_free(self.pointer)

    def mint(self, kind="jwt", **members):
        request = request_of(members)
        try:
            return self.mint_request(request, kind)
        finally:
            lib.hsmint_request_free(request)

    def mint_request(self, request, kind="jwt"):
        reply = result_of(lib.hsmint_mint, self.pointer, kind.encode(), request)
        try:
            return members_of("reply", reply, REPLY_TEXTS + REPLY_TIMES + RECEIPT)
        finally:
            lib.hsmint_reply_free(reply)

    def get(self, path):
        length = c_size_t()
        text = result_of(lambda *rest: lib.hsmint_get(self.pointer, path.encode(), byref(length), *rest))
        return text_of(text, length.value)

    def signed_call(self, method, target, json=None):
        """Its arguments as bytes, or None."""
        return text_of(result_of(lib.hsmint_signed_call, self.pointer, method, target, json))


def control_call(path, command, timeout_ms=2000):
    return text_of(result_of(lib.hsmint_control_call, path.encode(), command.encode(), timeout_ms))

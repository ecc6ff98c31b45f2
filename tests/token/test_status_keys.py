# SPDX-License-Identifier: Apache-2.0
"""hsmint-token spoken to directly: what a key for status lists signs (docs/frames.md), and what it does not."""
import base64
import struct
import unittest
import zlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from softhsm_keys import module_of
from test_frames import (CLASS_REFUSED, CONFIG, CUSTODY, FAILED, ISSUER, READY, SIGNED, TURN, Peer, Reader, base64url,
                         sign)
from token_admin import frame, string, token_config
from token_case import TokenCase

USE_SVID, USE_STATUS_LIST = 1, 3
LST = base64url(zlib.compress(bytes(8192))).decode()
FORM = ('{"iss":"%(iss)s","sub":"%(sub)s","iat":%(iat)s,"exp":%(exp)s,"ttl":%(ttl)s,'
        '"status_list":{"bits":%(bits)s,"lst":"%(lst)s"}}')
HEADER = '{"alg":"ES256","kid":"%s","typ":"%s"}'
HEADER_SAID, LONGEST = "JOSE header", 16384
SAID = "not a status list|not one JSON object with one issuer|does not begin with this key's issuer"


def key(name, label, identity, use):
    return (string(name) + string(label) + string(bytes.fromhex(identity)) + struct.pack("=BBB", use, 0, 0) +
            string(ISSUER))


STATUS = key("lists", "demo-status", "04", USE_STATUS_LIST)


def status_list(**members):
    """The payload; a member that is given takes the place of the right one."""
    return FORM % {"iss": ISSUER, "sub": ISSUER + "/status/0", "iat": 1760000000, "exp": 1760000300, "ttl": 5, "bits": 2,
                   "lst": LST, **members}


def tbs_of(kid, payload, typ="statuslist+jwt"):
    data = payload if isinstance(payload, bytes) else payload.encode()
    return base64url((HEADER % (kid, typ)).encode()) + b"." + base64url(data)


class StatusLists(TokenCase):
    def setUp(self):
        super().setUp()
        keys = [STATUS, key("access", "demo-access", "01", 0), key("svid", "demo-svid", "02", USE_SVID)]
        without = token_config(self.directory, module_of(self.directory), [])
        self.peer = Peer()
        self.addCleanup(self.peer.close)
        self.peer.send(frame(CONFIG, without[:-4] + struct.pack("=I", len(keys)) + b"".join(keys)))
        self.assertEqual(self.peer.receive()[0], TURN)
        kind, _, payload = self.peer.receive()
        self.assertEqual(kind, READY, payload)
        self.kids = self.shown(Reader(payload), len(keys))

    def shown(self, reader, count):
        for _ in range(7):
            reader.bytes()
        reader.raw(32 + 16)
        for _ in range(reader.take("=I")):
            reader.take("=Q")
        for _ in range(3):
            reader.take("=I")
        kids = []
        for _ in range(count):
            kids.append(reader.bytes().decode())
            spki = reader.bytes()
            self.spki = spki if len(kids) == 1 else self.spki
            reader.raw(len(CUSTODY) + 8 + 8 + 1)
            reader.bytes()
            reader.raw(6)
        return kids

    def signed(self, data, place=0):
        kind, identity, signature = self.peer.ask(sign(place, data, 5))
        self.assertEqual((kind, identity, len(signature)), (SIGNED, 5, 64), (data, signature))
        return signature

    def refused(self, data, said, place=0):
        kind, identity, payload = self.peer.ask(sign(place, data, 6))
        self.assertEqual((kind, identity), (FAILED, 6), data)
        reader = Reader(payload)
        self.assertEqual((reader.take("=B"), reader.take("=Q")), (CLASS_REFUSED, 0))
        self.assertRegex(reader.bytes().decode(), said, data)

    def test_a_status_list_of_its_issuer_is_signed(self):
        longest = LONGEST - len(status_list(lst=""))
        for payload in (status_list(), status_list(sub=ISSUER + "/status/63"), status_list(exp=1760086400),
                        status_list(iat=1, exp=2, ttl=1), status_list(lst="A"), status_list(lst="-_" + "x" * (longest - 2))):
            with self.subTest(payload[:200]):
                data = tbs_of(self.kids[0], payload)
                signature = self.signed(data)
                r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
                serialization.load_der_public_key(self.spki).verify(utils.encode_dss_signature(r, s), data,
                                                                    ec.ECDSA(hashes.SHA256()))

    def test_nothing_else_is_signed(self):
        good = status_list()
        other = "https://localhost/other"
        payloads = [
            # another subject than a list of its own
            status_list(sub=other + "/status/0"), status_list(sub=ISSUER), status_list(sub=ISSUER + "/status/"),
            status_list(sub=ISSUER + "/status/00"), status_list(sub=ISSUER + "/status/01"),
            status_list(sub=ISSUER + "/status/64"), status_list(sub=ISSUER + "/status/-1"),
            status_list(sub=ISSUER + "/status/+1"), status_list(sub=ISSUER + "/status/1/2"),
            status_list(sub=ISSUER + "/status/1 "), status_list(sub=ISSUER + "/status/4294967296"),
            status_list(sub=ISSUER + "/status/18446744073709551616"), status_list(sub="spiffe://demo.test/agent/first"),
            status_list(sub=ISSUER + "/Status/0"), status_list(sub=ISSUER + "//status/0"),
            # other times
            status_list(iat=0, exp=300), status_list(iat=-5), status_list(iat="1760000000.0"), status_list(iat='"1"'),
            status_list(iat="01760000000"), status_list(iat="1e9"), status_list(iat=""), status_list(exp=1760000000),
            status_list(exp=1759999999), status_list(exp=1760086401), status_list(exp=2 ** 64 + 1760000300),
            status_list(iat=100000000000, exp=1000000000000), status_list(ttl=0), status_list(ttl=-1),
            status_list(ttl="05"), status_list(ttl="null"), status_list(ttl=2 ** 64 + 5),
            # other lists
            status_list(bits=1), status_list(bits=4), status_list(bits='"2"'), status_list(lst=""),
            status_list(lst=LST + "="), status_list(lst="a b"), status_list(lst="a+b"), status_list(lst="a/b"),
            status_list(lst='x","aggregation_uri":"y'), status_list(lst="a\\u0041"), status_list(lst="\xe9"),
            # other members, another order, space
            good[:-1] + ',"scope":"all"}', good[:-1] + ',"iss":"x"}', good.replace('"ttl":5,', ""),
            good.replace('"exp":1760000300,', ""), good.replace('"iat":1760000000,"exp":1760000300', '"exp":1760000300,"iat":1760000000'),
            good.replace('"status_list":', '"status_list": '), good + " ", " " + good, good + good, good[:-1],
            good.replace("}}", ',"more":1}}'), good.replace('"sub"', '"\\u0073ub"'), "{}", "[]",
            good.replace('"bits":2,', ""), good.replace('"sub":', '"aud":"a","sub":'), good.replace("/status/0", "/status/0\\u0000")]
        for payload in payloads:
            with self.subTest(payload[:200]):
                self.refused(tbs_of(self.kids[0], payload), SAID)
        for payload in (status_list(iss=other), status_list(iss=ISSUER + "/"), status_list(iss="")):
            self.refused(tbs_of(self.kids[0], payload), "issuer")
        self.refused(tbs_of(self.kids[0], good.encode() + b"\0"), "payload|status list")
        self.refused(tbs_of(self.kids[0], good.encode()[:-2] + b"\0}}"), "payload|status list")
        self.refused(tbs_of(self.kids[0], status_list(lst="x" * LONGEST)), "payload|status list")
        self.refused(tbs_of(self.kids[0], good) + b"=", "base64url")
        self.refused(tbs_of(self.kids[0], good) + b"." + base64url(bytes(64)), "base64url")
        self.signed(tbs_of(self.kids[0], good))

    def test_its_header_is_that_of_a_status_list(self):
        for typ in ("at+jwt", "JWT", "jwt", "statuslist+cwt", "application/statuslist+jwt", "StatusList+JWT", ""):
            with self.subTest(typ):
                self.refused(tbs_of(self.kids[0], status_list(), typ), HEADER_SAID)
        self.refused(tbs_of(self.kids[1], status_list()), HEADER_SAID)
        header = (HEADER % (self.kids[0], "statuslist+jwt"))[:-1] + ',"x":1}'
        self.refused(base64url(header.encode()) + b"." + base64url(status_list().encode()), HEADER_SAID)

    def test_no_key_signs_what_another_is_for(self):
        lists, access, svid = self.kids
        credential = '{"iss":"%s","sub":"spiffe://demo.test/agent/first"}' % ISSUER
        self.refused(tbs_of(lists, credential, "at+jwt"), HEADER_SAID)
        self.refused(tbs_of(lists, credential), SAID)
        for place, kid, typ in ((1, access, "at+jwt"), (2, svid, "JWT")):
            with self.subTest(typ):
                self.refused(tbs_of(kid, status_list()), HEADER_SAID, place)
                self.signed(tbs_of(kid, credential, typ), place)
        for place in (0, 1):
            checkpoint = ("%s/1\n0\n%s\n" % (ISSUER, base64.b64encode(bytes(32)).decode())).encode()
            self.refused(checkpoint, "payload|header", place)


if __name__ == "__main__":
    unittest.main()

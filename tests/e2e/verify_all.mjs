// SPDX-License-Identifier: Apache-2.0
// Verify many tokens at once with node's own crypto. Standard input: {"tokens": [...], "jwks": {...}}.
// Prints {"good": N, "bad": [tokens that do not verify under the key of their kid]}.
import { createPublicKey, verify } from "node:crypto";
import { text } from "node:stream/consumers";

const { tokens, jwks } = JSON.parse(await text(process.stdin));
const keys = new Map(jwks.keys.map((key) => [key.kid, createPublicKey({ key, format: "jwk" })]));
const bad = tokens.filter((token) => {
  const [header, payload, signature] = token.split(".");
  const key = keys.get(JSON.parse(Buffer.from(header, "base64url")).kid);
  return !key || !verify("sha256", Buffer.from(`${header}.${payload}`), { key, dsaEncoding: "ieee-p1363" },
    Buffer.from(signature, "base64url"));
});
console.log(JSON.stringify({ good: tokens.length - bad.length, bad }));

// SPDX-License-Identifier: Apache-2.0
// An agent's OAuth client, by two libraries that know nothing of hsmint: discovery, client credentials by mutual TLS,
// and the token judged as a resource server would.
// Standard input: {"library", "issuer", "ca", "cert", "key", "parameters"}; prints what came of it.
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { createRemoteJWKSet, customFetch as joseFetch, jwtVerify } from "jose";
import * as oauth from "oauth4webapi";
import * as client from "openid-client";
import { Agent, fetch as undiciFetch } from "undici";

const question = JSON.parse(await text(process.stdin));
const read = (path) => (path ? readFileSync(path) : undefined);
const dispatcher = new Agent({ connect: { ca: read(question.ca), cert: read(question.cert), key: read(question.key) } });
const fetch = (url, options) => undiciFetch(url, { ...options, dispatcher });
const parameters = new URLSearchParams(question.parameters);
const issuer = new URL(question.issuer);

async function byOauth4webapi() {
  const options = { [oauth.customFetch]: fetch };
  const found = await oauth.discoveryRequest(issuer, { ...options, algorithm: "oauth2" });
  const server = await oauth.processDiscoveryResponse(issuer, found);
  const self = { client_id: question.client_id };
  const response = await oauth.clientCredentialsGrantRequest(server, self, oauth.TlsClientAuth(), parameters, options);
  return { server, token: await oauth.processClientCredentialsResponse(server, self, response) };
}

async function byOpenidClient() {
  const configuration = await client.discovery(issuer, question.client_id, undefined, client.TlsClientAuth(), {
    [client.customFetch]: fetch,
  });
  const token = await client.clientCredentialsGrant(configuration, parameters);
  return { server: configuration.serverMetadata(), token };
}

async function verify(server, token) {
  const keys = createRemoteJWKSet(new URL(server.jwks_uri), { [joseFetch]: fetch });
  const { payload } = await jwtVerify(token, keys, {
    issuer: server.issuer, audience: question.audience, typ: "at+jwt", requiredClaims: ["client_id", "jti", "iat", "sub"],
  });
  return payload;
}

let answer;
try {
  const { server, token } = await (question.library === "oauth4webapi" ? byOauth4webapi() : byOpenidClient());
  answer = { token, payload: await verify(server, token.access_token) };
} catch (error) {
  answer = { error: error.error ?? error.code ?? error.message, description: error.error_description, status: error.status };
}
console.log(JSON.stringify(answer));
await dispatcher.close();

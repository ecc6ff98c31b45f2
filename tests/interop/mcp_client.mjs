// SPDX-License-Identifier: Apache-2.0
// An agent by MCP's own SDK: it is told an MCP server's URL, finds the authorization server from there, gets a token by
// client credentials and mutual TLS, or with a JWK by the SDK's own private_key_jwt, and calls a tool.
// Standard input: {"server", "ca", "cert"?, "key"?, "jwk"?, "token"?}; with a token it uses that one. Prints what came of
// it.
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { PrivateKeyJwtProvider } from "@modelcontextprotocol/sdk/client/auth-extensions.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Agent, fetch as undiciFetch } from "undici";

const question = JSON.parse(await text(process.stdin));
const read = (path) => (path ? readFileSync(path) : undefined);
const dispatcher = new Agent({ connect: { ca: read(question.ca), cert: read(question.cert), key: read(question.key) } });
const asked = [];
const fetch = (url, options) => {
  asked.push(String(url));
  return undiciFetch(url, { ...options, dispatcher });
};

class MutualTlsProvider {
  redirectUrl = undefined;
  clientMetadata = {
    redirect_uris: [], grant_types: ["client_credentials"], token_endpoint_auth_method: "tls_client_auth",
    scope: "read",
  };
  clientInformation() { return { client_id: "demo" }; }
  tokens() { return this.saved; }
  saveTokens(tokens) { this.saved = tokens; }
  addClientAuthentication(_headers, parameters) { parameters.set("client_id", "demo"); }
  prepareTokenRequest(scope) {
    return new URLSearchParams({ grant_type: "client_credentials", ...(scope && { scope }) });
  }
  redirectToAuthorization() { throw new Error("nobody is here to log in"); }
  saveCodeVerifier() { throw new Error("no code is asked for"); }
  codeVerifier() { throw new Error("no code is asked for"); }
}

const { jwk } = question;
const provider = jwk
  ? new PrivateKeyJwtProvider({ clientId: "keyed", privateKey: jwk, algorithm: jwk.alg, scope: "read" })
  : new MutualTlsProvider();
const given = question.token && { requestInit: { headers: { Authorization: `Bearer ${question.token}` } } };
const transport = new StreamableHTTPClientTransport(new URL(question.server), {
  fetch, ...(given ?? { authProvider: provider }),
});
const client = new Client({ name: "agent-of-the-test", version: "1.0.0" });
let answer;
try {
  await client.connect(transport);
  const result = await client.callTool({ name: "whoami", arguments: {} });
  answer = { told: JSON.parse(result.content[0].text), token: provider.tokens()?.access_token };
} catch (error) {
  answer = { error: error.code ?? error.message, message: error.message };
}
console.log(JSON.stringify({ ...answer, asked }));
await client.close();
await dispatcher.close();

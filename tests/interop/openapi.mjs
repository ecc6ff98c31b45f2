// SPDX-License-Identifier: Apache-2.0
// Judge docs/openapi.yaml and real replies by it, with packages that know OpenAPI and JSON Schema.
// Standard input: {"document": path, "replies": [{method, path, status, headers, body, request?}]}
// Prints {"errors": of the document and its examples, "codes": code → statuses under which the document names it,
// "faults": of the replies, "covered": the operations and statuses that had a reply, "operations": all there are}.
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parse } from "yaml";

const ALONE = "/v1/mint/jwt"; // where a request of a batch is described
const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const question = JSON.parse(await text(process.stdin));
const source = readFileSync(question.document, "utf8");
const validator = new Validator();
const { valid, errors } = await validator.validate(parse(source));
const document = validator.resolveRefs();

const options = { strict: true, strictTypes: false, allErrors: true };
const ajv = new Ajv2020(options);
const headerAjv = new Ajv2020({ ...options, coerceTypes: true }); // a header's value is always text
for (const one of [ajv, headerAjv]) {
  addFormats.default(one);
  one.addVocabulary(["example"]);
}

function faultsOf(schema, value, judge = ajv) {
  const check = judge.compile(schema);
  return check(value) ? [] : check.errors.map((error) => `${error.instancePath || "it"} ${error.message}`);
}

function* operations() {
  for (const [path, item] of Object.entries(document.paths))
    for (const method of METHODS.filter((name) => item[name]))
      yield { path, method, operation: item[method] };
}

/* Every example is one. */
function* examples(value, where) {
  if (value === null || typeof value !== "object") return;
  if (value.schema && "example" in value) yield { where, schema: value.schema, example: value.example };
  if (value.type && "example" in value) yield { where, schema: value, example: value.example };
  for (const [name, member] of Object.entries(value)) yield* examples(member, `${where}/${name}`);
}

/* The codes stand in the descriptions between back quotes; references are not followed, since what they name has its own. */
const written = parse(source);
function codesOf(path, method, status) {
  const description = written.paths[path][method].responses[status]?.description ?? "";
  return [...description.matchAll(/`([a-z0-9_]+)`/g)].map(([, code]) => code);
}

function codes() {
  const found = {};
  for (const { path, method, operation } of operations())
    for (const status of Object.keys(operation.responses))
      for (const code of codesOf(path, method, status)) (found[code] ??= new Set()).add(status);
  return Object.fromEntries(Object.entries(found).map(([code, statuses]) => [code, [...statuses]]));
}

/* An issuer's path may have several segments. */
function matches(template, path) {
  const pattern = template.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".+");
  return new RegExp(`^${pattern}$`).test(path);
}

function judgeBody(response, reply) {
  const type = (reply.headers["content-type"] ?? "").split(";")[0];
  if (!response.content) return reply.body ? ["a body that is not described"] : [];
  const media = response.content[type];
  if (!media) return [`the type ${type} is not described`];
  return faultsOf(media.schema, type.endsWith("json") ? JSON.parse(reply.body) : reply.body);
}

function judgeHeaders(response, reply) {
  return Object.entries(response.headers ?? {}).flatMap(([name, header]) => {
    const value = reply.headers[name.toLowerCase()];
    if (value === undefined) return header.required === false ? [] : [`the header ${name} is missing`];
    return faultsOf({ type: "object", properties: { value: header.schema } }, { value }, headerAjv)
      .map((fault) => `${name}: ${fault}`);
  });
}

/* What a request of a batch is answered with is named there, or where a request alone is described. */
function judgeCodes({ path, method }, status, reply) {
  if (!reply.body || !(reply.headers["content-type"] ?? "").split(";")[0].endsWith("json")) return [];
  const { code, replies = [] } = JSON.parse(reply.body);
  const own = codesOf(path, method, status);
  return [...(code && !own.includes(code) ? [code] : []),
    ...replies.filter((one) => one.code && ![...own, ...codesOf(ALONE, "post", one.status)].includes(one.code))
      .map((one) => one.code)].map((name) => `the code ${name} is not named`);
}

const covered = new Set();
function judge(reply) {
  const path = reply.path.split("?")[0];
  const found = [...operations()].find((at) => at.method === reply.method.toLowerCase() && matches(at.path, path)) ??
    [...operations()].find((at) => reply.status === 405 && matches(at.path, path));
  if (!found) return ["the operation is not described"];
  const { responses, requestBody } = found.operation;
  const status = [String(reply.status), `${Math.floor(reply.status / 100)}XX`].find((name) => responses[name]);
  if (!status) return ["the status is not described"];
  covered.add(`${found.method} ${found.path} ${status}`);
  const request = reply.request === undefined ? [] :
    faultsOf(requestBody.content["application/json"].schema, reply.request).map((fault) => `request: ${fault}`);
  return [...request, ...judgeHeaders(responses[status], reply), ...judgeBody(responses[status], reply),
    ...judgeCodes(found, status, reply)];
}

const wrongExamples = [...examples(document, "")].flatMap(({ where, schema, example }) =>
  faultsOf(schema, example).map((fault) => `example at ${where}: ${fault}`));
console.log(JSON.stringify({
  errors: [...(valid ? [] : [errors].flat()), ...wrongExamples],
  codes: codes(),
  faults: question.replies.flatMap((reply) =>
    judge(reply).map((fault) => `${reply.method} ${reply.path} ${reply.status}: ${fault}`)),
  covered: [...covered],
  operations: [...operations()].map(({ path, method, operation }) =>
    `${method} ${path} ${operation.responses[200] ? 200 : Object.keys(operation.responses)[0]}`),
}));

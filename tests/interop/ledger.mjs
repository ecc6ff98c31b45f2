// SPDX-License-Identifier: Apache-2.0
// Verifies a ledger, and proofs from one: written from docs/ledger.md and the C2SP documents that it names, with what
// Node has itself. It shares no code with hsmint.
//
//   node ledger.mjs verify DIR|URL --vkey KEY [--socket PATH] [--ca F --cert F --key F] [--hashes]
//   node ledger.mjs proof FILE --vkey KEY [--credential FILE]
//
// DIR has shards (1, 2, …); URL is …/ledger/N. --hashes: only tiles, where entries are not to be had. Prints JSON.
import crypto from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import path from "node:path";

const WIDTH = 256;
const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), crypto.createHash("sha256")).digest();
const leafHash = (entry) => sha256(Buffer.of(0), entry);
const nodeHash = (left, right) => sha256(Buffer.of(1), left, right);

class Fault extends Error {}
function must(holds, ...what) {
  if (!holds) throw new Fault(what.join(" "));
}

function base64(text, length) {
  const data = Buffer.from(text, "base64");
  must(data.toString("base64") === text, "not base64:", text);
  must(length === undefined || data.length === length, "not", length, "bytes:", text);
  return data;
}

// ---- keys, notes, checkpoints ----

const ED25519_SPKI = Buffer.from("302a300506032b6570032100", "hex");

function readKey(vkey) {
  const [, name, id, material] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(vkey) ?? [];
  must(name, "not a verifier key:", vkey);
  const bytes = base64(material);
  const type = bytes[0], key = bytes.subarray(1);
  must([1, 2, 4].includes(type) && (type === 2 || key.length === 32), "not a key that is known:", vkey);
  const made = type === 2 ? sha256(key) : sha256(name, "\n", bytes);
  must(made.subarray(0, 4).toString("hex") === id, "its id is not that of the key:", vkey);
  const der = type === 2 ? key : Buffer.concat([ED25519_SPKI, key]);
  return { name, id, type, key: crypto.createPublicKey({ key: der, format: "der", type: "spki" }) };
}

function isSigned(key, text, signature) {
  if (key.type === 2) return crypto.verify("sha256", text, key.key, signature);
  if (key.type === 1) return crypto.verify(null, text, key.key, signature);
  const head = `cosignature/v1\ntime ${signature.readBigUInt64BE(0)}\n`;
  return crypto.verify(null, Buffer.concat([Buffer.from(head), text]), key.key, signature.subarray(8));
}

function openNote(note, keys) {
  const all = new TextDecoder("utf-8", { fatal: true }).decode(note);
  must(!/[\0-\x09\x0b-\x1f]/.test(all), "control characters in a note");
  const end = note.lastIndexOf("\n\n");
  must(end > 0 && all.endsWith("\n"), "no signatures");
  const text = note.subarray(0, end + 1);
  const lines = note.subarray(end + 2).toString().split("\n").slice(0, -1);
  const signers = new Set();
  for (const line of lines) {
    const [, name, blob] = /^\u2014 ([^\s+]+) ([A-Za-z0-9+/]+=*)$/u.exec(line) ?? [];
    must(name, "not a signature:", line);
    const bytes = base64(blob);
    must(bytes.length > 4, "not a signature:", line);
    for (const key of keys) {
      if (key.name !== name || key.id !== bytes.subarray(0, 4).toString("hex")) continue;
      must(isSigned(key, text, bytes.subarray(4)), "the signature of", name, "is wrong");
      signers.add(key);
    }
  }
  return { text: text.toString(), signers };
}

function openCheckpoint(note, keys) {
  const { text, signers } = openNote(note, keys);
  const [origin, size, root, ...rest] = text.split("\n");
  must(rest.pop() === "" && rest.every((line) => /^store [1-9][0-9]*$/.test(line)) && rest.length <= 1,
    "a checkpoint has three lines, and may say what the store had");
  must(/^(0|[1-9][0-9]*)$/.test(size), "not a size:", size);
  const [, name, shard] = /^(.+)\/([1-9][0-9]*)$/.exec(origin) ?? [];
  must(name, "not the origin of a shard:", origin);
  const byLog = [...signers].filter((key) => key.type !== 4);
  must(byLog.length && byLog.every((key) => key.name === name), "not signed by the key of", name);
  return { origin, shard: Number(shard), size: Number(size), root: base64(root, 32),
    witnesses: [...signers].filter((key) => key.type === 4).map((key) => key.name) };
}

// ---- trees ----

// The roots of the whole subtrees of which a tree is made, the largest first.
class Tree {
  parts = []; // {level, hash}
  size = 0;
  add(hash, level = 0) {
    this.size += 2 ** level;
    while (this.parts.length && this.parts.at(-1).level === level) {
      hash = nodeHash(this.parts.pop().hash, hash);
      level++;
    }
    this.parts.push({ level, hash });
  }
  root() {
    if (!this.parts.length) return sha256("");
    return this.parts.map((part) => part.hash).reduceRight((right, left) => nodeHash(left, right));
  }
}

function rootOf(hashes) {
  const tree = new Tree();
  for (const hash of hashes) tree.add(hash);
  return tree.root();
}

// RFC 6962, section 2.1.1: the path for entry `index` of `size`, from the leaf up. What is left of it when it is used
// up, or too little, is a fault.
function rootByPath(hash, index, size, steps) {
  const sides = []; // from the root down: whether the other subtree is on the left
  while (size > 1) {
    let k = 1;
    while (k * 2 < size) k *= 2;
    sides.push(index >= k);
    [index, size] = index < k ? [index, k] : [index - k, size - k];
  }
  must(sides.length === steps.length, "a path of", steps.length, "hashes instead of", sides.length);
  return steps.reduce((below, step) => sides.pop() ? nodeHash(step, below) : nodeHash(below, step), hash);
}

// ---- entries ----

// RFC 8785, as far as docs/ledger.md lets values go: integers that a double holds, nested 8 deep.
function canonical(value, depth = 0) {
  must(typeof value !== "number" || Number.isSafeInteger(value), "a number is not an integer of 53 bits");
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  must(depth < 8, "values nest more than 8 deep");
  if (Array.isArray(value)) return `[${value.map((each) => canonical(each, depth + 1)).join(",")}]`;
  const names = Object.keys(value).sort(); // by UTF-16 code units, as RFC 8785 says
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name], depth + 1)}`).join(",")}}`;
}

function readEntry(bytes, where) {
  must(bytes.length >= 2, where, "is too short");
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  const entry = JSON.parse(text);
  must(canonical(entry) === text, where, "is not in canonical form");
  must(entry.v === 1 && Number.isInteger(entry.time) && typeof entry.type === "string", where, "has no v, time, type");
  return entry;
}

function readBundle(bytes, where) {
  const entries = [];
  for (let at = 0; at < bytes.length;) {
    must(at + 2 <= bytes.length, where, "ends within a length");
    const length = bytes.readUInt16BE(at);
    must(at + 2 + length <= bytes.length, where, "ends within an entry");
    entries.push(bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return entries;
}

// What entries say of each other.
class Order {
  constructor(origin, previous) {
    this.origin = origin;
    this.previous = previous;
    this.kinds = [];
  }
  take(entry, index) {
    const where = `entry ${index}`;
    must((entry.type === "open") === (index === 0), where, "is an open, or should be one");
    must(this.kinds.at(-1) !== "close", where, "follows the close");
    if (entry.type === "open") this.takeOpen(entry);
    if (entry.type === "retry" || entry.type === "void") this.takeReference(entry, where);
    this.kinds.push(entry.type);
  }
  takeOpen(entry) {
    must(entry.origin === this.origin, "the open says", entry.origin, "and the checkpoint", this.origin);
    if (!this.previous || entry.restored) return;
    must(entry.previous?.origin === this.previous.origin && entry.previous.size === this.previous.size &&
      Buffer.from(entry.previous.root, "base64").equals(this.previous.root), "the open does not cite the shard before");
  }
  takeReference(entry, where) {
    if (entry.origin) return; // of the shard before
    must(entry.of < this.kinds.length && this.kinds[entry.of] === "credential", where, "names no credential before it");
  }
}

// ---- where a shard is ----

const numberPath = (number) => {
  const digits = String(number);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/.../g);
  return groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/");
};

// The frame at this place of a segment; undefined: there is none that is whole and right.
function readFrame(data, at) {
  if (at + 52 > data.length || data.toString("latin1", at, at + 4) !== "HSL1") return undefined;
  const end = at + 52 + data.readUInt32BE(at + 4);
  if (end > data.length) return undefined;
  try {
    const entries = readBundle(data.subarray(at + 20, end - 32), "frame");
    const check = sha256(data.subarray(at, at + 20), ...entries.map(leafHash));
    if (entries.length !== data.readUInt32BE(at + 16) || !check.equals(data.subarray(end - 32, end))) return undefined;
    return { first: Number(data.readBigUInt64BE(at + 8)), entries, end };
  } catch (fault) {
    if (fault instanceof Fault) return undefined;
    throw fault;
  }
}

class Directory {
  constructor(directory) {
    this.directory = directory;
  }
  async read(name) {
    return fs.readFileSync(path.join(this.directory, name));
  }
  async checkpoint() {
    return this.read("checkpoint");
  }
  // Frames follow one another from a multiple of 256 on. A crash tears the last: what is left of it is nothing.
  async open() {
    const data = await this.read("segment");
    let at = 0, frame;
    for (this.tail = []; (frame = readFrame(data, at)); at = frame.end) {
      this.bundled ??= frame.first;
      must(this.bundled % WIDTH === 0 && (frame.entries.length || at === 0), "segment, byte", at, "begins wrongly");
      must(frame.first === this.bundled + this.tail.length, "segment, byte", at, "does not follow");
      this.tail.push(...frame.entries);
    }
    must(at > 0, "the segment's first frame is damaged");
    for (let behind = at + 1; (behind = data.indexOf("HSL1", behind)) >= 0; behind++)
      must(!readFrame(data, behind), "segment, byte", at, "is damaged: there are whole frames behind");
    return this.bundled + this.tail.length;
  }
  // All before the segment must be in files; of what is in the segment, files may be there already.
  readFull(name, upto) {
    const file = path.join(this.directory, name);
    return upto <= this.bundled || fs.existsSync(file) ? fs.readFileSync(file) : undefined;
  }
  async bundle(number, width) {
    const first = number * WIDTH - this.bundled;
    const file = width === WIDTH && this.readFull(`tile/entries/${numberPath(number)}`, (number + 1) * WIDTH);
    const found = file && readBundle(file, `bundle ${number}`);
    const tail = first >= 0 && this.tail.slice(first, first + width);
    if (found && tail) must(Buffer.concat(found).equals(Buffer.concat(tail)), "bundle", number, "is not as the segment");
    return found || tail;
  }
  async tile(level, number, width) {
    return width === WIDTH && this.readFull(`tile/${level}/${numberPath(number)}`, (number + 1) * WIDTH ** (level + 1));
  }
}

class Server {
  constructor(url, options) {
    this.base = new URL(url.replace(/\/*$/, "/"));
    const file = (name) => (options[name] ? fs.readFileSync(options[name]) : undefined);
    this.options = { socketPath: options.socket, ca: file("ca"), cert: file("cert"), key: file("key"), agent: false };
    this.client = this.base.protocol === "https:" ? https : http;
  }
  read(name) {
    return new Promise((resolve, reject) => {
      const request = this.client.get(new URL(name, this.base), this.options, (answer) => {
        const parts = [];
        answer.on("data", (part) => parts.push(part));
        answer.on("error", reject);
        answer.on("end", () => answer.statusCode === 200 ? resolve(Buffer.concat(parts))
          : reject(new Fault(`${name}: status ${answer.statusCode}`)));
      });
      request.on("error", reject);
    });
  }
  async checkpoint() {
    return this.read("checkpoint");
  }
  async open(size) {
    return size;
  }
  name(number, width) {
    return numberPath(number) + (width < WIDTH ? `.p/${width}` : "");
  }
  async bundle(number, width) {
    return readBundle(await this.read(`tile/entries/${this.name(number, width)}`), `bundle ${number}`);
  }
  async tile(level, number, width) {
    return this.read(`tile/${level}/${this.name(number, width)}`);
  }
}

// ---- a shard ----

// The hashes of one tile compared with those that were computed; both, where there are both.
function compareTile(found, hashes, where) {
  must(found.length === hashes.length * 32, where, "has", found.length, "bytes");
  must(found.equals(Buffer.concat(hashes)), where, "has other hashes than the entries");
}

async function checkTiles(source, level, hashes) {
  const above = [];
  for (let number = 0; number * WIDTH < hashes.length; number++) {
    const part = hashes.slice(number * WIDTH, (number + 1) * WIDTH);
    const found = await source.tile(level, number, part.length);
    if (found) compareTile(found, part, `tile ${level}/${number}`);
    if (part.length === WIDTH) above.push(rootOf(part));
  }
  if (above.length) await checkTiles(source, level + 1, above);
}

async function readLeaves(source, size, order) {
  const leaves = [];
  for (let number = 0; number * WIDTH < size; number++) {
    const width = Math.min(WIDTH, size - number * WIDTH);
    const entries = await source.bundle(number, width);
    must(entries.length === width, "bundle", number, "has", entries.length, "entries instead of", width);
    for (const entry of entries) {
      order.take(readEntry(entry, `entry ${leaves.length}`), leaves.length);
      leaves.push(leafHash(entry));
    }
  }
  return leaves;
}

async function readLeafTiles(source, size) {
  const leaves = [];
  for (let number = 0; number * WIDTH < size; number++) {
    const width = Math.min(WIDTH, size - number * WIDTH);
    const tile = await source.tile(0, number, width);
    must(tile.length === width * 32, "tile", number, "has", tile.length, "bytes");
    for (let at = 0; at < tile.length; at += 32) leaves.push(tile.subarray(at, at + 32));
  }
  return leaves;
}

async function verifyShard(source, keys, options, previous) {
  const checkpoint = openCheckpoint(await source.checkpoint(), keys);
  const size = await source.open(checkpoint.size);
  must(size >= checkpoint.size, "the checkpoint is of", checkpoint.size, "entries,", size, "are there");
  const order = new Order(checkpoint.origin, previous);
  const leaves = options.hashes ? await readLeafTiles(source, size) : await readLeaves(source, size, order);
  await checkTiles(source, 0, leaves);
  must(rootOf(leaves.slice(0, checkpoint.size)).equals(checkpoint.root), "the root is not that of the checkpoint");
  return { origin: checkpoint.origin, shard: checkpoint.shard, size: checkpoint.size, root: checkpoint.root,
    entries: size, behind: order.kinds.slice(checkpoint.size), witnesses: checkpoint.witnesses, closed: order.kinds.at(-1) === "close" };
}

async function verifyDirectory(directory, keys, options) {
  const numbers = fs.readdirSync(directory).filter((name) => /^[1-9][0-9]*$/.test(name)).map(Number);
  must(numbers.length, "no shard is in", directory);
  const shards = [];
  for (const number of numbers.sort((a, b) => a - b)) {
    const before = shards.at(-1);
    const shard = await verifyShard(new Directory(path.join(directory, String(number))), keys, options,
      before?.shard === number - 1 ? before : undefined);
    must(shard.shard === number, "shard", number, "has the checkpoint of", shard.origin);
    must(!before || before.closed, "shard", number, "follows one that is not closed");
    shards.push(shard);
  }
  return shards;
}

// ---- proofs ----

function hmac(key, data) {
  return crypto.createHmac("sha256", key).update(data).digest("base64url");
}

// All of the entry's humans, or none when they are not told.
function checkHumans(entry, humans, salts) {
  const commitments = entry.humans ?? [];
  must(!humans.length || commitments.length === humans.length, "the entry commits to", commitments.length, "humans");
  humans.forEach((human, i) => must(hmac(salts[i], human.name) === commitments[i], "no commitment to", human.name));
}

// Whether the entry is about this JWT's to-be-signed bytes.
function checkCredential(entry, token, salts) {
  const tbs = token.trim().split(".").slice(0, 2).join(".");
  must(!entry.tbs_hmac || salts.length, "what was signed names a human, whose salt is not told");
  const found = entry.tbs_hmac ? hmac(Buffer.concat(salts), tbs) : sha256(tbs).toString("base64url");
  must(found === (entry.tbs_hmac ?? entry.tbs), "the entry is about another credential");
}

function verifyProof(proof, keys, options) {
  const checkpoint = openCheckpoint(Buffer.from(proof.checkpoint), keys);
  must(proof.origin === undefined || proof.origin === checkpoint.origin, "the checkpoint is of", checkpoint.origin);
  must(Number.isInteger(proof.index) && proof.index >= 0 && proof.index < checkpoint.size, "the index is", proof.index);
  const bytes = proof.entry === undefined ? undefined : Buffer.from(proof.entry);
  const leaf = bytes ? leafHash(bytes) : base64(proof.leaf, 32);
  const root = rootByPath(leaf, proof.index, checkpoint.size, proof.path.map((hash) => base64(hash, 32)));
  must(root.equals(checkpoint.root), "the path does not lead to the checkpoint's root");
  const entry = bytes && readEntry(bytes, "the entry");
  const humans = proof.humans ?? [], salts = humans.map((human) => base64(human.salt, 32));
  if (bytes) checkHumans(entry, humans, salts);
  if (options.credential) checkCredential(entry, fs.readFileSync(options.credential, "latin1"), salts);
  return { origin: checkpoint.origin, size: checkpoint.size, index: proof.index, leaf: leaf.toString("base64"), entry };
}

// ---- the command ----

function readArguments(words) {
  const options = { vkey: [] }, plain = [];
  for (let i = 0; i < words.length; i++) {
    if (words[i] === "--hashes") options.hashes = true;
    else if (words[i] === "--vkey") options.vkey.push(words[++i]);
    else if (words[i].startsWith("--")) options[words[i].slice(2)] = words[++i];
    else plain.push(words[i]);
  }
  return { options, plain };
}

async function run({ options, plain: [command, place] }) {
  const keys = options.vkey.map(readKey);
  if (command === "proof") return verifyProof(JSON.parse(fs.readFileSync(place)), keys, options);
  must(command === "verify", "verify or proof?");
  return /^https?:/.test(place) ? [await verifyShard(new Server(place, options), keys, options)]
    : verifyDirectory(place, keys, options);
}

try {
  const result = await run(readArguments(process.argv.slice(2)));
  const shown = (key, value) => (value?.type === "Buffer" ? Buffer.from(value).toString("base64") : value);
  console.log(JSON.stringify({ ok: true, result }, shown));
} catch (fault) {
  console.log(JSON.stringify({ ok: false, fault: fault.message }));
  process.exitCode = 1;
}

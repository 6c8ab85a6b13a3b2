// SPDX-License-Identifier: Apache-2.0
// Bytes in and out for the second implementation of S-MQTT: a bounded reader, a writer, TLV lists, text rules.
import { randomBytes } from 'node:crypto';

/** Everything that the protocol refuses ends in this error; `code` is a status of section 10 where one is named. */
export class Refused extends Error {
  constructor(reason, code) {
    super(reason);
    this.name = 'Refused';
    this.code = code;
  }
}

/** Throws Refused unless the condition holds. */
export function must(condition, reason, code) {
  if (!condition) throw new Refused(reason, code);
}

/** Fresh random bytes. */
export const random = (n) => new Uint8Array(randomBytes(n));

const utf8Strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8Encoder = new TextEncoder();

/** The UTF-8 of a string; bytes pass as they are. */
export const utf8 = (s) => (typeof s === 'string' ? utf8Encoder.encode(s) : s);

/** The bytes of a label. */
export const ascii = (s) => Uint8Array.from(Buffer.from(s, 'latin1'));

export const toHex = (b) => Buffer.from(b).toString('hex');

/** The bytes of an even number of hexadecimal digits; anything else throws. */
export function fromHex(s) {
  if (!/^([0-9a-fA-F]{2})*$/.test(s)) throw new TypeError(`not hexadecimal: ${s.slice(0, 40)}`);
  return Uint8Array.from(Buffer.from(s, 'hex'));
}

export const toBase64url = (b) => Buffer.from(b).toString('base64url');

/** Decodes base64url without padding; spellings other than the one that encodes to the same text are refused. */
export function fromBase64url(s) {
  must(/^[A-Za-z0-9_-]*$/.test(s), 'base64url: a character that does not belong there');
  const bytes = Uint8Array.from(Buffer.from(s, 'base64url'));
  must(toBase64url(bytes) === s, 'base64url: not the canonical spelling');
  return bytes;
}

/** Joins byte arrays; a number stands for one byte. */
export function cat(...parts) {
  const arrays = parts.map((p) => (typeof p === 'number' ? Uint8Array.of(p) : p));
  const out = new Uint8Array(arrays.reduce((sum, a) => sum + a.length, 0));
  let at = 0;
  for (const a of arrays) {
    out.set(a, at);
    at += a.length;
  }
  return out;
}

export const equal = (a, b) => a.length === b.length && Buffer.compare(a, b) === 0;

/** An unsigned integer in big-endian bytes. */
export function uint(value, size) {
  const out = new Uint8Array(size);
  let v = BigInt(value);
  if (v < 0n) throw new RangeError('negative');
  for (let i = size - 1; i >= 0; i--) {
    out[i] = Number(v & 0xffn);
    v >>= 8n;
  }
  if (v !== 0n) throw new RangeError(`${value} does not fit ${size} bytes`);
  return out;
}

export const u8 = (v) => uint(v, 1);
export const u16 = (v) => uint(v, 2);
export const u32 = (v) => uint(v, 4);
export const u64 = (v) => uint(v, 8);
export const blob8 = (b) => cat(u8(b.length), b);
export const blob16 = (b) => cat(u16(b.length), b);

/** Reads from the front of a byte array; running over the end is a refusal. */
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  get left() {
    return this.bytes.length - this.at;
  }
  take(n) {
    must(n <= this.left, 'cut short');
    this.at += n;
    return this.bytes.slice(this.at - n, this.at);
  }
  big(n) {
    return this.take(n).reduce((v, b) => (v << 8n) | BigInt(b), 0n);
  }
  u8() {
    return this.take(1)[0];
  }
  u16() {
    return Number(this.big(2));
  }
  u32() {
    return Number(this.big(4));
  }
  u64() {
    return this.big(8);
  }
  blob8() {
    return this.take(this.u8());
  }
  blob16() {
    return this.take(this.u16());
  }
  rest() {
    return this.take(this.left);
  }
  end() {
    must(this.left === 0, 'bytes behind the end');
  }
}

/** A TLV list from a Map of type to value, in ascending order; `null` and `undefined` values are left out. */
export function tlvWrite(entries = new Map()) {
  const types = [...entries.keys()].filter((t) => entries.get(t) != null).sort((a, b) => a - b);
  const body = cat(...types.map((t) => cat(u8(t), blob16(entries.get(t)))));
  return blob16(body);
}

/** Reads a TLV list into a Map; refuses wrong order, duplicates and unknown types of 0x80 and more. */
export function tlvRead(reader, known = []) {
  const list = new Reader(reader.blob16());
  const out = new Map();
  let last = -1;
  while (list.left > 0) {
    const type = list.u8();
    const value = list.blob16();
    must(type > last, 'TLV: out of order or twice');
    last = type;
    if (known.includes(type)) out.set(type, value);
    else must(type < 0x80, 'TLV: unknown and mandatory');
  }
  return out;
}

/** The string of well-formed UTF-8, or null. */
export function text(bytes) {
  try {
    return utf8Strict.decode(bytes);
  } catch {
    return null;
  }
}

/** Whether the bytes are UTF-8 that MQTT allows in its own strings (MQTT 5.0 section 1.5.4). */
export function isMqttText(bytes) {
  const s = text(bytes);
  return s !== null && !s.includes('\u0000');
}

/** Whether the bytes are a topic that can be published to. */
export function isTopicName(bytes) {
  return bytes.length > 0 && isMqttText(bytes) && !/[+#]/.test(text(bytes));
}

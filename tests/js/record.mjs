// SPDX-License-Identifier: Apache-2.0
// Records, receipts and notices, protocol.md sections 6 and 4.5: what a session does once both sides have MS.
import {
  ascii,
  cat,
  equal,
  must,
  random,
  Reader,
  Refused,
  text,
  tlvRead,
  tlvWrite,
  toHex,
  u32,
  u64,
  u8,
  uint,
  utf8,
} from './bytes.mjs';
import { endingRead, endingWrite, HDR, STATUS } from './detect.mjs';
import { VER } from './identity.mjs';
import { expand, H, open, seal, sign, verify } from './suites.mjs';

export const CONTENT = { TEXT: 0x01, TLV: 0x02, WANT_RECEIPT: 0x04, RECEIPTS: 0x08 };
export const TLVR = {
  TIME: 1,
  EXPIRY: 2,
  CONTENT_TYPE: 3,
  RESPONSE_TOPIC: 4,
  CORRELATION: 5,
  LOGICAL_TOPIC: 9,
  PADDING: 10,
};
const FIRST = { FORM: 0x80, GROUP: 0x20, LOGICAL: 0x10, RESERVED: 0x08 };
const EMPTY = new Uint8Array(0);
const KEEP_OLD_MS = 60_000;

/** One head of deterministic CBOR: the argument in its shortest form. */
function cborHead(major, value) {
  const v = BigInt(value);
  const top = major << 5;
  if (v < 24n) return u8(top | Number(v));
  if (v < 1n << 8n) return cat(top | 24, uint(v, 1));
  if (v < 1n << 16n) return cat(top | 25, uint(v, 2));
  if (v < 1n << 32n) return cat(top | 26, uint(v, 4));
  return cat(top | 27, uint(v, 8));
}

export const cbor = {
  uint: (v) => cborHead(0, v),
  bstr: (b) => cat(cborHead(2, b.length), b),
  tstr: (s) => cat(cborHead(3, utf8(s).length), utf8(s)),
  array: (...items) => cat(cborHead(4, items.length), ...items),
  map1: (key, value) => cat(cborHead(5, 1), key, value),
};

/** Section 6.2: the additional data of a record. */
export function recordAad(suite, { ctx, way, kid, seq, first, topic }) {
  const external = cbor.array(
    cbor.tstr('S-MQTT/1'),
    cbor.bstr(ctx),
    cbor.uint(way),
    cbor.bstr(kid),
    cbor.uint(seq),
    cbor.uint(first),
    cbor.tstr(topic),
  );
  const protectedHeader = cbor.map1(cbor.uint(1), cbor.uint(suite.coseAlg));
  return cbor.array(cbor.tstr('Encrypt0'), cbor.bstr(protectedHeader), cbor.bstr(external));
}

/** The fewest bytes that hold a sequence number; 0 takes one. */
export function seqBytes(seq) {
  let size = 1;
  while (BigInt(seq) >> BigInt(8 * size) !== 0n) size++;
  return uint(seq, size);
}

/** key, iv and kid of a secret of either way. */
export function wayKeys(suite, secret) {
  return {
    secret,
    key: expand(secret, 'key', '', suite.nk),
    iv: expand(secret, 'iv', '', 12),
    kid: expand(secret, 'kid', '', 4),
  };
}

export const nextSecret = (secret) => expand(secret, 'upd', '', 32);
export const recordNonce = (iv, seq) => cat(new Uint8Array(4), u64(seq)).map((b, i) => b ^ iv[i]);

/** Splits a record without opening it. */
export function recordRead(bytes) {
  const r = new Reader(bytes);
  const first = r.u8();
  must((first & 0xc0) === FIRST.FORM, 'record: form');
  must((first & (FIRST.GROUP | FIRST.RESERVED)) === 0, 'record: group or reserved bit');
  const kid = r.take(4);
  const size = (first & 0x07) + 1;
  const seq = r.big(size);
  must(seqBytes(seq).length === size, 'record: seq is not in its shortest form');
  const box = r.rest();
  must(box.length >= 17, 'record: cut short');
  return { first, kid, seq, box, logical: (first & FIRST.LOGICAL) !== 0 };
}

/** Section 6.1 for a key and number given: the whole record. */
export function recordSeal(suite, keys, { ctx, way, seq, topic, payload, flags = 0, tlvs, logical = false }) {
  const number = seqBytes(seq);
  const first = FIRST.FORM | (logical ? FIRST.LOGICAL : 0) | (number.length - 1);
  const list = tlvs && tlvs.size > 0 ? tlvWrite(tlvs) : EMPTY;
  const content = flags | (list.length > 0 ? CONTENT.TLV : 0);
  const aad = recordAad(suite, { ctx, way, kid: keys.kid, seq, first, topic: logical ? '' : topic });
  const box = seal(suite, keys.key, recordNonce(keys.iv, seq), aad, cat(u8(content), list, payload));
  return cat(u8(first), keys.kid, number, box);
}

function checkTlvs(tlvs, logical) {
  const size = (type, n) =>
    must(!tlvs.has(type) || tlvs.get(type).length === n, `record: TLV ${type} has a wrong length`);
  size(TLVR.TIME, 8);
  size(TLVR.EXPIRY, 4);
  must(!tlvs.has(TLVR.EXPIRY) || tlvs.has(TLVR.TIME), 'record: expiry without time');
  must(tlvs.has(TLVR.LOGICAL_TOPIC) === logical, 'record: logical topic and L go together');
}

/** The AEAD of a record that recordRead has split: content, TLV list and payload in one. */
function recordDecrypt(suite, keys, { first, seq, box, logical }, { ctx, way, topic }) {
  const aad = recordAad(suite, { ctx, way, kid: keys.kid, seq, first, topic: logical ? '' : topic });
  return open(suite, keys.key, recordNonce(keys.iv, seq), aad, box);
}

/** What stands inside a record. */
function recordParse(plain, { seq, kid, logical }, topic) {
  const r = new Reader(plain);
  const content = r.u8();
  must((content & 0xf0) === 0, 'record: reserved content bits');
  must(!(content & CONTENT.RECEIPTS) || !(content & (CONTENT.TEXT | CONTENT.WANT_RECEIPT)), 'record: receipts');
  const tlvs = content & CONTENT.TLV ? tlvRead(r, Object.values(TLVR)) : new Map();
  checkTlvs(tlvs, logical);
  return {
    seq,
    kid,
    tlvs,
    payload: r.rest(),
    isText: (content & CONTENT.TEXT) !== 0,
    wantsReceipt: (content & CONTENT.WANT_RECEIPT) !== 0,
    isReceipts: (content & CONTENT.RECEIPTS) !== 0,
    topic: logical ? text(tlvs.get(TLVR.LOGICAL_TOPIC)) : topic,
  };
}

/** Opens a record that recordRead has split. */
export function recordOpen(suite, keys, parts, where) {
  return recordParse(recordDecrypt(suite, keys, parts, where), parts, where.topic);
}

export const receiptsWrite = (entries) => cat(...entries.map((e) => cat(e.kid, u64(e.seq), u8(e.status), u8(e.flag))));

export function receiptsRead(payload) {
  must(payload.length > 0 && payload.length % 14 === 0 && payload.length <= 64 * 14, 'receipts: length');
  const r = new Reader(payload);
  const out = [];
  while (r.left > 0) out.push({ kid: r.take(4), seq: r.u64(), status: r.u8(), flag: r.u8() });
  return out;
}

const noticeContent = (skid, kid, nonce, ts) => cat(skid, kid, nonce, u64(ts));

/** Section 6.6: the notice of a server for a kid that it does not know. */
export function noticeWrite(identity, { kid, nonce = random(16), ts }) {
  const signature = sign(identity.suite, identity.skSig, 'notice', noticeContent(identity.skid, kid, nonce, ts));
  return cat(VER, 0x4e, kid, nonce, u64(ts), signature);
}

/** Verifies a notice of the server `d` for one of our kids; returns its nonce and time. */
export function noticeRead(bytes, d, { kids, now }) {
  const r = new Reader(bytes);
  must(r.u8() === VER && r.u8() === 0x4e, 'notice: form');
  const f = { kid: r.take(4), nonce: r.take(16), ts: r.u64(), signature: r.take(64) };
  r.end();
  must(
    kids.some((k) => equal(k, f.kid)),
    'notice: not about our kid',
  );
  const distance = BigInt(now) - f.ts;
  must(distance <= 30_000n && distance >= -30_000n, 'notice: too old or too young');
  verify(d.suite, d.pkSig, 'notice', noticeContent(d.skid, f.kid, f.nonce, f.ts), f.signature);
  return f;
}

/** The bit map of section 6.4. */
export class Window {
  constructor(size) {
    this.size = BigInt(size);
    this.top = -1n;
    this.map = 0n;
  }
  /** 'NEW', 'REPLAY' or 'OUTSIDE_WINDOW'. */
  judge(seq) {
    if (seq > this.top) return 'NEW';
    if (this.top - seq >= this.size) return 'OUTSIDE_WINDOW';
    return (this.map >> (this.top - seq)) & 1n ? 'REPLAY' : 'NEW';
  }
  commit(seq) {
    if (seq > this.top) {
      const shift = seq - this.top;
      this.map = shift >= this.size ? 0n : (this.map << shift) & ((1n << this.size) - 1n);
      this.top = seq;
    }
    this.map |= 1n << (this.top - seq);
  }
}

/** A refusal of section 6.4 with its name. */
export class Dropped extends Refused {
  constructor(kind) {
    super(`record dropped: ${kind}`);
    this.kind = kind;
  }
}

/** A session of either role: seals with one way's keys and opens with the other's. */
export class Session {
  constructor({ role, suite, ms, th3, ct3, cid, window = 1024, rekey = 2 ** 20 }) {
    Object.assign(this, { role, suite, ms, th3, cid, windowSize: window, rekey, state: 'OPEN', delivered: new Map() });
    const secrets = [expand(ms, 'c2s', th3, 32), expand(ms, 's2c', th3, 32)];
    this.exporter = expand(ms, 'exporter', th3, 32);
    this.resumption = expand(ms, 'resumption', th3, 32);
    this.ctx = H(ascii('S-MQTT/1 ctx'), th3, H(ct3));
    this.sendWay = role === 'C' ? 0 : 1;
    this.sender = { ...wayKeys(suite, secrets[this.sendWay]), seq: 0n };
    this.receivers = [this.receiver(secrets[1 - this.sendWay])];
    this.receivers.push(this.receiver(nextSecret(this.receivers[0].secret)));
  }
  receiver(secret) {
    return { ...wayKeys(this.suite, secret), window: new Window(this.windowSize), until: Infinity };
  }
  /** Seals one payload for a topic. */
  seal({ topic, payload, isText = false, wantReceipt = false, receipts = false, tlvs, logical }) {
    must(this.state === 'OPEN', 'the session is closed');
    if (this.sender.seq >= BigInt(this.rekey)) {
      this.sender = { ...wayKeys(this.suite, nextSecret(this.sender.secret)), seq: 0n };
    }
    const flags =
      (isText ? CONTENT.TEXT : 0) | (wantReceipt ? CONTENT.WANT_RECEIPT : 0) | (receipts ? CONTENT.RECEIPTS : 0);
    const list = new Map(tlvs ?? []);
    if (logical) list.set(TLVR.LOGICAL_TOPIC, utf8(topic));
    return recordSeal(this.suite, this.sender, {
      ctx: this.ctx,
      way: this.sendWay,
      seq: this.sender.seq++,
      topic,
      payload: utf8(payload),
      flags,
      tlvs: list,
      logical,
    });
  }
  /** Opens a record that came on a topic; throws Dropped with the kind that section 6.4 names. */
  open(bytes, topic, { retain = false, subscription = topic, allowLogical = false, now = Date.now() } = {}) {
    must(this.state === 'OPEN', 'the session is closed');
    const parts = recordRead(bytes);
    must(allowLogical || !parts.logical, 'record: L where the policy does not say so');
    const at = this.receivers.findIndex((g) => equal(g.kid, parts.kid) && g.until > now);
    if (at < 0) throw new Dropped('UNKNOWN');
    const gen = this.receivers[at];
    const judgement = gen.window.judge(parts.seq);
    if (judgement !== 'NEW' && !retain) throw new Dropped(judgement);
    const plain = recordDecrypt(this.suite, gen, parts, { ctx: this.ctx, way: 1 - this.sendWay, topic });
    if (judgement === 'NEW') {
      gen.window.commit(parts.seq);
      this.moveOn(at, now);
    }
    const out = recordParse(plain, parts, topic);
    must(!out.isReceipts || this.role === 'C', 'record: receipts go from server to client');
    if (judgement !== 'NEW') return this.retained(out, subscription);
    this.remember(out);
    this.expire(out, now);
    out.flag = !out.isText || text(out.payload) !== null ? 1 : 0;
    out.status = out.flag ? STATUS.OK : STATUS.MOJIBAKE;
    return out;
  }
  expire(out, now) {
    if (!out.tlvs.has(TLVR.EXPIRY)) return;
    const end = new Reader(out.tlvs.get(TLVR.TIME)).u64() + 1000n * BigInt(new Reader(out.tlvs.get(TLVR.EXPIRY)).u32());
    if (BigInt(now) > end) throw new Dropped('EXPIRED');
  }
  /** The next generation has spoken: it becomes the current one, the one before lives for another minute. */
  moveOn(at, now) {
    if (at !== this.receivers.length - 1) return;
    const current = this.receivers[at];
    const before = { ...this.receivers[at - 1], until: now + KEEP_OLD_MS };
    this.receivers = [before, current, this.receiver(nextSecret(current.secret))];
  }
  remember(out) {
    const id = `${toHex(out.kid)} ${out.topic}`;
    const entry = this.delivered.get(id);
    if (!entry || out.seq > entry.seq) this.delivered.set(id, { seq: out.seq, passed: new Set() });
  }
  retained(out, subscription) {
    const entry = this.delivered.get(`${toHex(out.kid)} ${out.topic}`);
    if (!entry || out.seq !== entry.seq) throw new Dropped('ROLLBACK');
    if (entry.passed.has(subscription)) throw new Dropped('REPLAY');
    entry.passed.add(subscription);
    return { ...out, class: 'RETAINED_REPLAY' };
  }
  /** A record with one receipt for what `open` returned; goes to `smqtt1/<skid>/s/<cid>`. */
  receipt(skid, entries) {
    const topic = serverToClientTopic(skid, this.cid);
    return { topic, payload: this.seal({ topic, payload: receiptsWrite(entries), receipts: true }) };
  }
  /** The kids that a notice may name: those of what this side sends. */
  get kids() {
    return [this.sender.kid];
  }
  closeWrite(status, ts) {
    const body = endingWrite(this.suite, HDR.CLOSE, { ...this, status, ts });
    this.state = 'CLOSED';
    return { header: HDR.CLOSE, body };
  }
  closeRead(body) {
    const out = endingRead(this.suite, HDR.CLOSE, body, this);
    this.state = 'CLOSED';
    return out;
  }
}

export const serverToClientTopic = (skid, cid) => `smqtt1/${toHex(skid)}/s/${toHex(cid)}`;
export const clientToServerTopic = (skid, cid) => `smqtt1/${toHex(skid)}/c/${toHex(cid)}`;
export const noticeTopic = (skid, kid) => `smqtt1/${toHex(skid)}/n/${toHex(kid)}`;

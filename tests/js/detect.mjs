// SPDX-License-Identifier: Apache-2.0
// DETECT's bodies and key schedule, protocol.md section 4: what both roles share. No state is kept here.
import {
  ascii,
  blob16,
  blob8,
  cat,
  isMqttText,
  isTopicName,
  must,
  Reader,
  tlvRead,
  tlvWrite,
  u16,
  u32,
  u64,
  u8,
  utf8,
} from './bytes.mjs';
import { VER } from './identity.mjs';
import { expand, H, hkdfExtract, open, seal, suiteOf } from './suites.mjs';

export const HDR = {
  STEP0: 0x01,
  STEP1: 0x03,
  RETRY: 0x02,
  STEP2_BAD: 0x04,
  STEP2: 0x0c,
  STEP3_BAD: 0x07,
  STEP3: 0x0f,
  ACK: 0x0e,
  CLOSE: 0x06,
};
export const STATUS = {
  OK: 0x00,
  MOJIBAKE: 0x01,
  HASH_MISMATCH: 0x02,
  DELAY: 0x03,
  NOT_AUTHORIZED: 0x04,
  REKEY_REQUIRED: 0x05,
  CLOSED: 0x07,
  EXPIRED: 0x08,
  UNKNOWN_SERVER: 0x20,
  COOKIE: 0x21,
  SUITE: 0x22,
  BUSY: 0x23,
  REFUSED: 0x24,
};
export const HF = { SIGNED: 0x01, PSK: 0x02, ALWAYS: 0x04, TEXT: 0x08, TLV: 0x10 };
export const TLV0 = { COOKIE: 1, PSK_ID: 2, PADDING: 3 };
export const M_LIMIT = 6144;
const NO_DID = new Uint8Array(32);

export const info1 = (suite, did) => cat(ascii('S-MQTT/1 detect'), 0x00, u8(suite.id), did);
export const info2 = (suite, th1) => cat(ascii('S-MQTT/1 reply'), 0x00, u8(suite.id), th1);
export const th1Of = (body0) => H(ascii('S-MQTT/1 th1'), u8(HDR.STEP0), body0);
export const th2Of = (th1, header, suite, cid, enc2) =>
  H(ascii('S-MQTT/1 th2'), th1, u8(header), u8(VER), u8(suite.id), cid, enc2);
export const th3Of = (th2, ct2, header) => H(ascii('S-MQTT/1 th3'), th2, ct2, u8(header));
export const hsOf = (x1, x2) => hkdfExtract(x1, x2);
export const msOf = (hs, th3, ct3) => expand(hs, 'ms', H(th3, ct3), 32);
export const sig2Content = (th2, signed, didC, didS) => cat(th2, H(signed), didC ?? NO_DID, didS);
export const sig3Content = (th3, signed, didS, didC) => cat(th3, H(signed), didS, didC);

/** Splits an expansion of nk + 12 bytes. */
export function keyAndNonce(suite, secret, label, context) {
  const bytes = expand(secret, label, context, suite.nk + 12);
  return { key: bytes.slice(0, suite.nk), nonce: bytes.slice(suite.nk) };
}

/** Section 4.1: M of a payload. */
export function mOf(payload, isText) {
  if (!isText) return cat(H(payload), u64(payload.length));
  let end = Math.min(payload.length, M_LIMIT);
  while (end < payload.length && (payload[end] & 0xc0) === 0x80) end--;
  return payload.slice(0, end);
}

/** body0 up to ct1. */
export function head0Write(f) {
  const tlvs = f.hflags & HF.TLV ? tlvWrite(f.tlvs) : new Uint8Array(0);
  return cat(VER, f.suite.id, u8(f.hflags), 0x00, f.cid, f.skid, u64(f.ts1), tlvs, f.enc1);
}

/** Reads body0; `head` is every byte before ct1. */
export function body0Read(body) {
  const r = new Reader(body);
  must(r.u8() === VER, 'step 0: version');
  const suite = suiteOf(r.u8());
  const hflags = r.u8();
  const reserved = r.u8();
  const f = { suite, hflags, cid: r.take(8), skid: r.take(8), ts1: r.u64() };
  must(reserved === 0 && (hflags & 0xe0) === 0, 'step 0: reserved bits');
  must(hflags & HF.ALWAYS, 'step 0: the acknowledgement is mandatory');
  f.tlvs = hflags & HF.TLV ? tlvRead(r, Object.values(TLV0)) : new Map();
  const pskId = f.tlvs.get(TLV0.PSK_ID);
  must(!pskId === !(hflags & HF.PSK), 'step 0: psk id and psk mode go together');
  must(!pskId || (pskId.length >= 1 && pskId.length <= 64), 'step 0: psk id');
  must((f.tlvs.get(TLV0.COOKIE)?.length ?? 0) <= 32, 'step 0: cookie');
  f.enc1 = r.take(suite.npk);
  f.head = body.slice(0, r.at);
  f.ct1 = r.rest();
  must(f.ct1.length >= 16, 'step 0: ct1');
  return f;
}

export function pt1Write({ pkX, clientId, topic, cred, tlvs, m }) {
  return cat(pkX, blob8(utf8(clientId)), blob16(utf8(topic)), cred, tlvWrite(tlvs), m);
}

export function pt1Read(suite, bytes) {
  const r = new Reader(bytes);
  const f = { pkX: r.take(suite.npk), clientId: r.blob8(), topic: r.blob16(), credKind: r.u8() };
  must(isMqttText(f.clientId), 'pt1: client id');
  must(isTopicName(f.topic), 'pt1: topic');
  must(f.credKind <= 2, 'pt1: cred');
  if (f.credKind === 1) f.cred = r.take(8);
  if (f.credKind === 2) f.cred = r.blob16();
  tlvRead(r);
  f.m = r.rest();
  return f;
}

export function retryWrite({ suite, cid, code, ts2, cookie, suites }) {
  return cat(VER, u8(suite), cid, u8(code), u64(ts2), blob8(cookie ?? new Uint8Array(0)), u16(suites));
}

export function retryRead(body) {
  const r = new Reader(body);
  must(r.u8() === VER, 'RETRY: version');
  const f = { suite: r.u8(), cid: r.take(8), code: r.u8(), ts2: r.u64(), cookie: r.blob8(), suites: r.u16() };
  must(f.cookie.length <= 32, 'RETRY: cookie');
  r.end();
  return f;
}

export const body2Write = ({ suite, cid, enc2, ct2 }) => cat(VER, u8(suite.id), cid, enc2, ct2);

export function body2Read(suite, body) {
  const r = new Reader(body);
  must(r.u8() === VER, 'step 2: version');
  must(r.u8() === suite.id, 'step 2: suite');
  return { cid: r.take(8), enc2: r.take(suite.npk), ct2: r.rest() };
}

/** pt2 without sig2. */
export function pt2Write(f) {
  return cat(u8(f.status), u8(f.flag), u64(f.ts2), f.sessionId, u16(f.window), u32(f.rekey), f.hM, tlvWrite(f.tlvs));
}

export function pt2Read(bytes) {
  const r = new Reader(bytes);
  const f = {
    status: r.u8(),
    flag: r.u8(),
    ts2: r.u64(),
    sessionId: r.take(4),
    window: r.u16(),
    rekey: r.u32(),
    hM: r.take(32),
  };
  tlvRead(r);
  must(f.status < STATUS.UNKNOWN_SERVER && f.flag <= 1, 'step 2: status or flag');
  must(f.window >= 64 && f.rekey >= 1, 'step 2: window or rekey');
  f.signed = bytes.slice(0, r.at);
  f.sig2 = r.take(64);
  r.end();
  return f;
}

export const body3Write = ({ cid, skid, ct3 }) => cat(VER, cid, skid, ct3);

export function body3Read(body) {
  const r = new Reader(body);
  must(r.u8() === VER, 'step 3: version');
  return { cid: r.take(8), skid: r.take(8), ct3: r.rest() };
}

export const aad3 = (th3, cid, skid) => cat(th3, VER, cid, skid);

/** pt3 without sig3. */
export const pt3Write = (f) => cat(u8(f.verdict), u64(f.ts3), u32(f.rtt), tlvWrite(f.tlvs));

export function pt3Read(bytes, signed) {
  const r = new Reader(bytes);
  const f = { verdict: r.u8(), ts3: r.u64(), rtt: r.u32() };
  tlvRead(r);
  f.signed = bytes.slice(0, r.at);
  if (signed) f.sig3 = r.take(64);
  r.end();
  return f;
}

const ENDING = { [HDR.ACK]: 'ack', [HDR.CLOSE]: 'close' };

/** Section 4.5: the body of an acknowledgement (0x0E) or a close (0x06). */
export function endingWrite(suite, header, { ms, th3, cid, status, ts }) {
  const { key, nonce } = keyAndNonce(suite, ms, ENDING[header], th3);
  return cat(VER, cid, seal(suite, key, nonce, cat(header, VER, cid, th3), cat(u8(status), u64(ts))));
}

/** Opens an acknowledgement or a close. */
export function endingRead(suite, header, body, { ms, th3, cid }) {
  const r = new Reader(body);
  must(r.u8() === VER, 'acknowledgement or close: version');
  must(Buffer.compare(r.take(8), cid) === 0, 'acknowledgement or close: another cid');
  const { key, nonce } = keyAndNonce(suite, ms, ENDING[header], th3);
  const plain = new Reader(open(suite, key, nonce, cat(header, VER, cid, th3), r.rest()));
  const out = { status: plain.u8(), ts: plain.u64() };
  plain.end();
  return out;
}

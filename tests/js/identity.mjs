// SPDX-License-Identifier: Apache-2.0
// Identities (protocol.md section 3): descriptors, public lines, private files; and registration (section 9.2).
import {
  ascii,
  blob8,
  blob16,
  cat,
  equal,
  fromBase64url,
  isMqttText,
  must,
  Reader,
  text,
  tlvRead,
  tlvWrite,
  toBase64url,
  u32,
  u64,
  u8,
  utf8,
} from './bytes.mjs';
import { H, sign, suiteNamed, suiteOf, verify } from './suites.mjs';

export const VER = 0xd1;
const DESCRIPTOR_VERSION = 0x01;
const DESCRIPTOR_LIMIT = 2048;
export const FLAG_NO_ANONYMOUS = 0x01;

/** The part of a descriptor that is signed. */
export function coreWrite(suite, d) {
  const name = utf8(d.name);
  return cat(
    DESCRIPTOR_VERSION,
    suite.id,
    u8(d.flags ?? 0),
    0x00,
    u32(d.version ?? 1),
    u64(d.notBefore ?? 0),
    u64(d.notAfter ?? 0),
    blob8(name),
    d.pkKem,
    d.pkSig,
    tlvWrite(d.tlvs),
  );
}

export const skidOf = (suite, pkKem, pkSig) => H(ascii('smqtt1 skid'), u8(suite.id), pkKem, pkSig).slice(0, 8);

/** Reads and verifies a descriptor. */
export function descriptorRead(bytes) {
  const r = new Reader(bytes);
  must(bytes.length <= DESCRIPTOR_LIMIT, 'descriptor: too long');
  must(r.u8() === DESCRIPTOR_VERSION, 'descriptor: unknown version');
  const suite = suiteOf(r.u8());
  const flags = r.u8();
  must((flags & ~FLAG_NO_ANONYMOUS) === 0, 'descriptor: reserved flags');
  must(r.u8() === 0, 'descriptor: reserved byte');
  const d = { suite, flags, version: r.u32(), notBefore: r.u64(), notAfter: r.u64() };
  must(d.notAfter === 0n || d.notAfter > d.notBefore, 'descriptor: ends before it begins');
  const name = r.blob8();
  must(name.length >= 1 && name.length <= 63 && isMqttText(name), 'descriptor: name');
  d.name = text(name);
  d.pkKem = r.take(suite.npk);
  d.pkSig = r.take(suite.nspk);
  tlvRead(r);
  const core = bytes.slice(0, r.at);
  d.signature = r.take(64);
  r.end();
  suite.kem.check(d.pkKem);
  suite.sig.check(d.pkSig);
  verify(suite, d.pkSig, 'descriptor', H(core), d.signature);
  return { ...d, bytes, did: H(core), skid: skidOf(suite, d.pkKem, d.pkSig) };
}

/** Whether a descriptor is in force at a time in milliseconds. */
export function descriptorInForce(d, now) {
  return BigInt(now) >= d.notBefore && (d.notAfter === 0n || BigInt(now) <= d.notAfter);
}

/** Makes an identity of the private keys given, or of fresh ones: its descriptor's fields, `skKem` and `skSig`. */
export function identityNew({ suite: suiteName, name, skKem, skSig, ...fields }) {
  const suite = suiteNamed(suiteName);
  const kem = skKem ?? suite.kem.generate();
  const sig = skSig ?? suite.sig.generate();
  const core = coreWrite(suite, { ...fields, name, pkKem: suite.kem.publicKey(kem), pkSig: suite.sig.publicKey(sig) });
  const bytes = cat(core, sign(suite, sig, 'descriptor', H(core)));
  return { ...descriptorRead(bytes), skKem: kem, skSig: sig };
}

/** What people compare. */
export function fingerprint(d) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let bits = d.did.slice(0, 20).reduce((v, b) => (v << 8n) | BigInt(b), 0n);
  let out = '';
  for (let i = 0; i < 32; i++, bits >>= 5n) out = alphabet[Number(bits & 31n)] + out;
  return out.match(/.{4}/g).join('-');
}

/** `smqtt-x25519 AQEA… comment`. */
export function publicLineWrite(d, comment) {
  return `smqtt-${d.suite.name} ${toBase64url(d.bytes)}${comment ? ` ${comment}` : ''}`;
}

/** Reads a public line; the suite's name must agree with the descriptor. */
export function publicLineRead(line) {
  const match = /^smqtt-([a-z0-9]+) ([A-Za-z0-9_-]+)(?: (.*))?$/.exec(line);
  must(match, 'public line: form');
  const d = descriptorRead(fromBase64url(match[2]));
  must(d.suite.name === match[1], 'public line: suite and descriptor differ');
  return { ...d, comment: match[3] ?? '' };
}

/** The text of a private file. */
export function privateFileWrite(identity, comment) {
  return [
    'smqtt-identity 1',
    `public: ${publicLineWrite(identity, comment)}`,
    `kem: ${toBase64url(identity.skKem)}`,
    `sign: ${toBase64url(identity.skSig)}`,
    '',
  ].join('\n');
}

/** Reads the text of a private file; the public keys must belong to the private ones. */
export function privateFileRead(content) {
  const lines = content.split('\n').filter((l) => l !== '' && !l.startsWith('#'));
  must(lines.shift() === 'smqtt-identity 1', 'private file: first line');
  const fields = new Map();
  for (const line of lines) {
    const match = /^(public|kem|sign): (.+)$/.exec(line);
    must(match && !fields.has(match[1]), 'private file: a line that does not belong there');
    fields.set(match[1], match[2]);
  }
  must(fields.size === 3, 'private file: a line is missing');
  const d = publicLineRead(fields.get('public'));
  const skKem = fromBase64url(fields.get('kem'));
  const skSig = fromBase64url(fields.get('sign'));
  must(skKem.length === 32 && skSig.length === 32, 'private file: a key has not 32 bytes');
  must(equal(d.suite.kem.publicKey(skKem), d.pkKem), 'private file: kem key does not belong to the public line');
  must(equal(d.suite.sig.publicKey(skSig), d.pkSig), 'private file: sign key does not belong to the public line');
  return { ...d, skKem, skSig };
}

const proofContent = (challenge, skid, clientId) => cat(challenge, skid, blob16(utf8(clientId)));

/** The four payloads of section 9.2. */
export const registration = {
  register: (d) => cat(VER, 0x01, d.bytes),
  challenge: (skid, challenge) => cat(VER, 0x02, skid, challenge),
  proof: (identity, challenge, clientId) =>
    cat(
      VER,
      0x03,
      identity.skid,
      sign(identity.suite, identity.skSig, 'register', proofContent(challenge, identity.skid, clientId)),
    ),
  registered: (skid, status) => cat(VER, 0x04, skid, u8(status)),
};

const REGISTRATION_TAIL = { 0x02: 32, 0x03: 64, 0x04: 1 };

/** Reads any of the four payloads into { kind, skid, tail }, for kind 1 { kind, descriptor }. */
export function registrationRead(bytes) {
  const r = new Reader(bytes);
  must(r.u8() === VER, 'registration: version');
  const kind = r.u8();
  if (kind === 0x01) return { kind, descriptor: descriptorRead(r.rest()) };
  must(kind in REGISTRATION_TAIL, 'registration: unknown kind');
  const out = { kind, skid: r.take(8), tail: r.take(REGISTRATION_TAIL[kind]) };
  r.end();
  return out;
}

/** The broker's check of a proof. */
export function registrationVerify(bytes, d, challenge, clientId) {
  const proof = registrationRead(bytes);
  must(proof.kind === 0x03 && equal(proof.skid, d.skid), 'registration: not a proof for this server');
  verify(d.suite, d.pkSig, 'register', proofContent(challenge, d.skid, clientId), proof.tail);
}

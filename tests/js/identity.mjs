// SPDX-License-Identifier: Apache-2.0
// Identities (protocol.md section 3): descriptors, public lines, private files; and registration (section 9.2).
import { argon2id } from '@noble/hashes/argon2';
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
import { H, open, seal, sign, suiteNamed, suiteOf, verify } from './suites.mjs';

export const VER = 0xd1;
const DESCRIPTOR_VERSION = 0x01;
const DESCRIPTOR_LIMIT = 2048;
export const FLAG_NO_ANONYMOUS = 0x01;
export const TLV_PREDECESSOR = 0x01;

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
  const predecessor = tlvRead(r, [TLV_PREDECESSOR]).get(TLV_PREDECESSOR);
  const core = bytes.slice(0, r.at);
  d.signature = r.take(64);
  r.end();
  suite.kem.check(d.pkKem);
  suite.sig.check(d.pkSig);
  verify(suite, d.pkSig, 'descriptor', H(core), d.signature);
  const skid = skidOf(suite, d.pkKem, d.pkSig);
  if (predecessor) d.predecessor = predecessorRead(predecessor, skid);
  return { ...d, bytes, core, did: H(core), skid };
}

/** TLV 1 of a core: who vouches for these keys, until when, and with which signature. */
function predecessorRead(bytes, own) {
  must(bytes.length === 80, 'predecessor: not 80 bytes');
  const r = new Reader(bytes);
  const out = { skid: r.take(8), until: r.u64(), signature: r.take(64) };
  must(out.until !== 0n, 'predecessor: no end of the grace time');
  must(!equal(out.skid, own), 'predecessor: names itself');
  return out;
}

export const predecessorWrite = ({ skid, until, signature }) => cat(skid, u64(until), signature ?? new Uint8Array(64));

/** What the old keys sign: H of the successor's core with zeros in place of that signature. */
export function successorHash(d) {
  const tlvs = new Map([[TLV_PREDECESSOR, predecessorWrite({ ...d.predecessor, signature: undefined })]]);
  return H(coreWrite(d.suite, { ...d, tlvs }));
}

/** Section 3.1: may `candidate` take the place of `known`? Refuses with the reason; true when it is the very same. */
export function supersedes(known, candidate, now) {
  if (equal(known.did, candidate.did)) return true;
  const sameKeys =
    known.suite === candidate.suite && equal(known.pkKem, candidate.pkKem) && equal(known.pkSig, candidate.pkSig);
  if (!sameKeys) {
    const old = known.predecessor && equal(known.predecessor.skid, candidate.skid);
    must(!old, 'descriptor: the predecessor is put back');
    must(candidate.predecessor && equal(candidate.predecessor.skid, known.skid), 'descriptor: of a stranger');
    verify(known.suite, known.pkSig, 'successor', successorHash(candidate), candidate.predecessor.signature);
  }
  must(candidate.version > known.version, 'descriptor: older than the one that is known');
  must(sameKeys || BigInt(now) <= candidate.predecessor.until, 'descriptor: the grace time is over');
  must(descriptorInForce(candidate, now), 'descriptor: not in force');
  return false;
}

/** The statement of keys that they are void. */
export function revocationWrite(identity, { reason, at }) {
  const content = cat(0x52, identity.suite.id, u8(reason), 0x00, u64(at), identity.skid);
  return cat(content, sign(identity.suite, identity.skSig, 'revocation', content));
}

export const revocationLine = (bytes) => `smqtt-revocation ${toBase64url(bytes)}`;

/** Reads a statement that must be of these keys. */
export function revocationRead(bytes, d) {
  const r = new Reader(bytes);
  must(r.u8() === 0x52, 'revocation: mark');
  const suite = r.u8();
  const reason = r.u8();
  must(r.u8() === 0, 'revocation: reserved byte');
  const at = r.u64();
  must(equal(r.take(8), d.skid) && suite === d.suite.id, 'revocation: of other keys');
  verify(d.suite, d.pkSig, 'revocation', bytes.slice(0, 20), r.take(64));
  r.end();
  return { reason: reason <= 3 ? reason : 0, at };
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

const lockedAad = (d) => cat(ascii('S-MQTT/1 locked'), 0x00, d.did);

/** Argon2id of a passphrase: key and nonce. */
export function lockKdf(suite, passphrase, salt, { passes, kib, lanes }) {
  return argon2id(passphrase, salt, { t: passes, m: kib, p: lanes, version: 0x13, dkLen: suite.nk + 12 });
}

/** The text of a private file whose keys are locked. */
export function lockedFileWrite(identity, passphrase, salt, p) {
  const { suite } = identity;
  const derived = lockKdf(suite, passphrase, salt, p);
  const keys = cat(identity.skKem, identity.skSig);
  const box = seal(suite, derived.slice(0, suite.nk), derived.slice(suite.nk), lockedAad(identity), keys);
  const fields = ['argon2id', p.passes, p.kib, p.lanes, toBase64url(salt), toBase64url(box)];
  return ['smqtt-identity 1', `public: ${publicLineWrite(identity)}`, `locked: ${fields.join(' ')}`, ''].join('\n');
}

/** Reads it again. */
export function lockedFileRead(content, passphrase) {
  const lines = content.split('\n').filter((l) => l !== '' && !l.startsWith('#'));
  must(lines.length === 3 && lines[0] === 'smqtt-identity 1', 'locked file: lines');
  const d = publicLineRead(/^public: (.+)$/.exec(lines[1])?.[1] ?? '');
  const number = '([1-9][0-9]{0,9})';
  const match = new RegExp(`^locked: argon2id ${number} ${number} ${number} ([\\w-]+) ([\\w-]+)$`).exec(lines[2]);
  must(match, 'locked file: the locked line');
  const [passes, kib, lanes] = match.slice(1, 4).map(Number);
  must(passes <= 64 && kib <= 4 << 20 && lanes <= 64 && kib >= 8 * lanes, 'locked file: parameters');
  const [salt, box] = match.slice(4).map(fromBase64url);
  must(salt.length === 16 && box.length === 80, 'locked file: lengths');
  const derived = lockKdf(d.suite, passphrase, salt, { passes, kib, lanes });
  const keys = open(d.suite, derived.slice(0, d.suite.nk), derived.slice(d.suite.nk), lockedAad(d), box);
  const out = { ...d, skKem: keys.slice(0, 32), skSig: keys.slice(32) };
  must(equal(d.suite.kem.publicKey(out.skKem), d.pkKem), 'locked file: kem key');
  must(equal(d.suite.sig.publicKey(out.skSig), d.pkSig), 'locked file: sign key');
  return out;
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

// SPDX-License-Identifier: Apache-2.0
// S-MQTT's second implementation: the suites of protocol.md section 2 on top of the noble libraries.
import { chacha20poly1305 } from '@noble/ciphers/chacha';
import { gcm } from '@noble/ciphers/aes';
import { ed25519, x25519 } from '@noble/curves/ed25519';
import { p256 } from '@noble/curves/nist';
import { extract, expand as hkdfExpand } from '@noble/hashes/hkdf';
import { sha256 } from '@noble/hashes/sha2';
import { ascii, cat, must, random, Refused, utf8 } from './bytes.mjs';

export const H = (...parts) => sha256(cat(...parts));

/** HKDF-Extract with SHA-256. */
export const hkdfExtract = (salt, ikm) => extract(sha256, ikm, salt);

/** HKDF-Expand with SHA-256. */
export const hkdfExpandRaw = (secret, info, n) => hkdfExpand(sha256, secret, info, n);

/** Section 2: expand(secret, label, context, L). */
export function expand(secret, label, context, n) {
  return hkdfExpand(sha256, secret, cat(ascii('S-MQTT/1 '), ascii(label), 0x00, utf8(context)), n);
}

/** Whether a library call says yes; noble throws for some bad signatures and returns false for others. */
function agrees(call) {
  try {
    return call();
  } catch {
    return false;
  }
}

/** Runs a library call whose exceptions all mean a refusal. */
function refusing(reason, call) {
  try {
    return call();
  } catch (e) {
    throw new Refused(`${reason}: ${e.message}`);
  }
}

const x25519Kem = {
  publicKey: (sk) => x25519.getPublicKey(sk),
  generate: () => random(32),
  dh: (sk, pk) => refusing('X25519', () => x25519.getSharedSecret(sk, pk)),
  /** Refuses points of small order: any clamped scalar sends them to zero, and noble throws then. */
  check: (pk) => {
    refusing('X25519 key', () => x25519.getSharedSecret(new Uint8Array(32).fill(0x55), pk));
  },
};

const p256Kem = {
  publicKey: (sk) => refusing('P-256 scalar', () => p256.getPublicKey(sk, false)),
  generate: () => p256.utils.randomPrivateKey(),
  dh: (sk, pk) => {
    p256Kem.check(pk);
    return refusing('P-256', () => p256.getSharedSecret(sk, pk, false).slice(1, 33));
  },
  check: (pk) => {
    must(pk.length === 65 && pk[0] === 0x04, 'P-256: not an uncompressed point');
    refusing('P-256 point', () => p256.ProjectivePoint.fromHex(pk).assertValidity());
  },
};

const ed25519Sig = {
  publicKey: (sk) => ed25519.getPublicKey(sk),
  generate: () => random(32),
  sign: (sk, message) => ed25519.sign(message, sk),
  verify: (pk, message, signature) => agrees(() => ed25519.verify(signature, message, pk, { zip215: false })),
  check: (pk) => {
    const point = refusing('Ed25519 key', () => ed25519.ExtendedPoint.fromHex(pk, false));
    must(!point.isSmallOrder(), 'Ed25519 key of small order');
  },
  deterministic: true,
};

const p256Sig = {
  publicKey: p256Kem.publicKey,
  generate: p256Kem.generate,
  sign: (sk, message) => p256.sign(sha256(message), sk, { lowS: true, prehash: false }).toCompactRawBytes(),
  verify: (pk, message, signature) => {
    p256Kem.check(pk);
    return agrees(() => p256.verify(signature, sha256(message), pk, { lowS: true, prehash: false, format: 'compact' }));
  },
  check: p256Kem.check,
  deterministic: false,
};

export const SUITES = {
  0x01: {
    id: 0x01,
    name: 'x25519',
    kemId: 0x0020,
    aeadId: 0x0003,
    coseAlg: 24,
    npk: 32,
    nspk: 32,
    nk: 32,
    kem: x25519Kem,
    sig: ed25519Sig,
    cipher: chacha20poly1305,
  },
  0x02: {
    id: 0x02,
    name: 'p256',
    kemId: 0x0010,
    aeadId: 0x0001,
    coseAlg: 1,
    npk: 65,
    nspk: 65,
    nk: 16,
    kem: p256Kem,
    sig: p256Sig,
    cipher: gcm,
  },
};

/** The suite of an id, or a refusal with the hint SUITE. */
export function suiteOf(id) {
  must(Object.prototype.hasOwnProperty.call(SUITES, id), `unknown suite ${id}`, 0x22);
  return SUITES[id];
}

/** The suite of a name as the public line spells it. */
export function suiteNamed(name) {
  const found = Object.values(SUITES).find((s) => s.name === name);
  must(found, `unknown suite ${name}`, 0x22);
  return found;
}

export const seal = (suite, key, nonce, aad, plain) => suite.cipher(key, nonce, aad).encrypt(plain);

/** Opens an AEAD box; a wrong tag is a refusal. */
export function open(suite, key, nonce, aad, box) {
  must(box.length >= 16, 'AEAD: shorter than a tag');
  return refusing('AEAD', () => suite.cipher(key, nonce, aad).decrypt(box));
}

/** What section 2 signs. */
export function signedMessage(label, content) {
  return cat(new Uint8Array(64).fill(0x20), ascii('S-MQTT/1 '), ascii(label), 0x00, content);
}

export const sign = (suite, sk, label, content) => suite.sig.sign(sk, signedMessage(label, content));

/** Refuses a signature that does not verify; high s and non-canonical values do not. */
export function verify(suite, pk, label, content, signature) {
  must(signature.length === 64, 'signature: not 64 bytes');
  const good = suite.sig.verify(pk, signedMessage(label, content), signature);
  must(good, `signature "${label}" does not verify`);
}

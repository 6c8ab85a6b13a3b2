// SPDX-License-Identifier: Apache-2.0
// Holds the primitives under this implementation against tests/vectors/crypto, with which the C side is tested too:
// a key or signature that one side takes and the other refuses would split them.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { x25519 } from '@noble/curves/ed25519';
import { hmac } from '@noble/hashes/hmac';
import { sha256 } from '@noble/hashes/sha2';
import * as s from './smqtt.mjs';

const X = s.suiteNamed('x25519');
const P = s.suiteNamed('p256');

/** Records separated by blank lines, each a plain object of strings. */
function records(content) {
  const blocks = content
    .split(/\n\s*\n/)
    .map((block) => block.split('\n').filter((line) => line !== '' && !line.startsWith('#')))
    .filter((lines) => lines.length > 0);
  return blocks.map((lines) => Object.fromEntries(lines.map((line) => line.split(/ ?= ?/, 2))));
}

const hex = (record, name) => s.fromHex(record[name] ?? '');
const same = (got, record, name) => assert.equal(s.toHex(got), record[name]);

/** Whether a call ends without a refusal; any other exception goes on. */
function passes(call) {
  try {
    call();
    return true;
  } catch (e) {
    if (e instanceof s.Refused) return false;
    throw e;
  }
}

function checkSignature(suite, r) {
  let good = passes(() => suite.sig.check(hex(r, 'pk')));
  good = good && suite.sig.verify(hex(r, 'pk'), hex(r, 'msg'), hex(r, 'sig'));
  assert.equal(good, (r.result ?? 'ok') === 'ok', `result = ${r.result}`);
  if (r.sk && suite.sig.deterministic) same(suite.sig.sign(hex(r, 'sk'), hex(r, 'msg')), r, 'sig');
}

function checkDh(suite, r) {
  let shared;
  assert.equal(
    passes(() => (shared = suite.kem.dh(hex(r, 'sk'), hex(r, r.peer ? 'peer' : 'pk')))),
    (r.result ?? 'ok') === 'ok',
  );
  if (shared) same(shared, r, 'shared');
}

function checkRfc7748(r) {
  if (r.type === 'pair') same(X.kem.publicKey(hex(r, 'sk')), r, 'pk');
  if (r.type !== 'iterated') return checkDh(X, r);
  let k = s.cat(9, new Uint8Array(31));
  let u = k;
  for (let i = 0; i < Number(r.n); i++) [k, u] = [x25519.scalarMult(k, u), k];
  return same(k, r, 'out');
}

function checkAead(r) {
  const suite = r.alg === 'aes_128_gcm' ? P : X;
  const box = s.seal(suite, hex(r, 'key'), hex(r, 'nonce'), hex(r, 'aad'), hex(r, 'pt'));
  same(box, r, 'ct');
  same(s.open(suite, hex(r, 'key'), hex(r, 'nonce'), hex(r, 'aad'), box), r, 'pt');
}

let context;
function checkHpke(r) {
  if (r.type === 'seal') {
    context.seq = Number(r.seq);
    same(context.nonce(), r, 'nonce');
    return same(context.seal(hex(r, 'aad'), hex(r, 'pt')), r, 'ct');
  }
  if (r.type === 'export') return same(context.export(hex(r, 'exporter_context'), Number(r.L)), r, 'exported_value');
  const suite = s.SUITES[r.suite];
  const psk = r.mode === '1' ? { key: hex(r, 'psk'), id: hex(r, 'psk_id') } : undefined;
  const encapsulated = s.hpke.encap(suite, hex(r, 'pkRm'), hex(r, 'skEm'));
  same(encapsulated.enc, r, 'enc');
  same(encapsulated.shared, r, 'shared_secret');
  same(s.hpke.decap(suite, hex(r, 'enc'), hex(r, 'skRm')), r, 'shared_secret');
  context = s.hpke.setupReceiver(suite, hex(r, 'enc'), hex(r, 'skRm'), hex(r, 'info'), psk);
  same(context.key, r, 'key');
  same(context.baseNonce, r, 'base_nonce');
  return same(context.exporter, r, 'exporter_secret');
}

function checkHkdf(r) {
  const prk = s.hkdfExtract(hex(r, 'salt'), hex(r, 'ikm'));
  same(prk, r, 'prk');
  same(s.hkdfExpandRaw(prk, hex(r, 'info'), r.okm.length / 2), r, 'okm');
}

const CHECKS = {
  'aead.txt': checkAead,
  'ecdsa_rfc6979.txt': (r) => checkSignature(P, r),
  'ed25519_rfc8032.txt': (r) => checkSignature(X, r),
  'hash.txt': (r) => same(r.alg === 'hmac' ? hmac(sha256, hex(r, 'key'), hex(r, 'msg')) : s.H(hex(r, 'msg')), r, 'out'),
  'hkdf_rfc5869.txt': checkHkdf,
  'hpke_rfc9180.txt': checkHpke,
  'small_order.txt': (r) => assert.ok(!passes(() => (r.curve === 'ed25519' ? X.sig : X.kem).check(hex(r, 'pk')))),
  'wycheproof_ecdh_p256.txt': (r) => checkDh(P, r),
  'wycheproof_ecdsa_p256.txt': (r) => checkSignature(P, r),
  'wycheproof_ed25519.txt': (r) => checkSignature(X, r),
  'wycheproof_x25519.txt': (r) => checkDh(X, r),
  'x25519_rfc7748.txt': checkRfc7748,
};

/** Checks every file of the folder; returns lines that tell what is wrong, and prints a count for each file. */
export function checkCrypto(folder = new URL('../vectors/crypto/', import.meta.url)) {
  const faults = [];
  for (const name of readdirSync(folder).filter((n) => n.endsWith('.txt'))) {
    const check = CHECKS[name];
    const all = records(readFileSync(new URL(name, folder), 'utf8'));
    if (!check || all.length === 0) faults.push(`crypto/${name}: nothing checks this file`);
    all.forEach((r, i) => {
      try {
        check?.(r);
      } catch (e) {
        faults.push(`crypto/${name}: record ${r.id ?? i + 1}: ${e.message.split('\n').slice(0, 6).join(' ')}`);
      }
    });
    console.log(`crypto/${name}: ${all.length} checked`);
  }
  const missing = Object.keys(CHECKS).filter((name) => !readdirSync(folder).includes(name));
  return [...faults, ...missing.map((name) => `crypto/${name}: the file is missing`)];
}

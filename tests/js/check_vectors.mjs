// SPDX-License-Identifier: Apache-2.0
// Recomputes every line of tests/vectors/smqtt/*.txt from the private inputs of the same file, and checks
// tests/vectors/crypto. `node check_vectors.mjs [folder]` prints a count for each file; a line that nothing checks or
// uses is a fault.
//
// The format stands at the top of each file of a session. Inputs are the private keys, what was said, times, numbers
// and topics; all else is computed. Of pt1 and record_N_sealed only the kind of credential and the TLVs are taken; of
// pt2 and pt3 only ECDSA signatures, which are verified. refused.txt has lines `kind_what = hex`: see REFUSERS below.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { checkCrypto } from './check_crypto.mjs';
import * as s from './smqtt.mjs';

const { HDR } = s;

/** The lines of a file as a Map of name to bytes. */
function read(content) {
  const out = new Map();
  for (const line of content.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const match = /^(\w+) = ?([0-9a-f]*)$/.exec(line);
    assert.ok(match, `not a line of the form name = hex: ${line.slice(0, 60)}`);
    assert.ok(!out.has(match[1]), `${match[1]} stands twice`);
    out.set(match[1], s.fromHex(match[2]));
  }
  return out;
}

/** The lines of one session: hands out inputs and remembers that they were used, takes outputs and compares them. */
class Lines {
  constructor(map) {
    this.map = map;
    this.used = new Set();
    this.faults = [];
    this.checks = 0;
  }
  has(name) {
    return this.map.has(name);
  }
  in(name) {
    assert.ok(this.map.has(name), `the input ${name} is missing`);
    this.used.add(name);
    return this.map.get(name);
  }
  optional(name) {
    return this.has(name) ? this.in(name) : undefined;
  }
  number(name) {
    return new s.Reader(this.in(name)).big(this.in(name).length);
  }
  string(name) {
    return s.text(this.in(name));
  }
  out(name, value) {
    assert.ok(this.has(name), `the line ${name} is missing`);
    this.used.add(name);
    this.checks++;
    const [got, wanted] = [s.toHex(value), s.toHex(this.map.get(name))];
    if (got !== wanted) this.faults.push(`${name}: computed ${got.slice(0, 80)}, the file has ${wanted.slice(0, 80)}`);
  }
  /** Many outputs; `rename` makes the name of the line from the name of the value. */
  outs(values, rename = (n) => n) {
    Object.entries(values).forEach(([n, v]) => this.out(rename(n), v));
  }
  /** A value that ends in a signature: without it where signing is not deterministic. */
  outBesideSignature(suite, name, value) {
    const tail = suite.sig.deterministic ? new Uint8Array(0) : this.in(name).slice(-64);
    this.out(name, s.cat(value.slice(0, value.length - tail.length), tail));
  }
  /** A signature: made again where signing is deterministic, else verified and taken as it is given. */
  signature(suite, { given, sk, pk, label, content }) {
    if (suite.sig.deterministic) return s.sign(suite, sk, label, content);
    s.verify(suite, pk, label, content, given);
    this.checks++;
    return given;
  }
  rest() {
    return [...this.map.keys()]
      .filter((name) => !this.used.has(name))
      .map((name) => `${name}: nothing checks this line`);
  }
}

function identityOf(l, who, suite) {
  const name = (n) => `${who}_${n}`;
  const own = { skKem: l.in(name('kem_sk')), skSig: l.in(name('sig_sk')) };
  const given = s.descriptorRead(l.in(name('descriptor')));
  const pkKem = suite.kem.publicKey(own.skKem);
  const pkSig = suite.sig.publicKey(own.skSig);
  const core = s.coreWrite(suite, { ...given, pkKem, pkSig });
  const content = s.H(core);
  const keys = { sk: own.skSig, pk: pkSig };
  const signature = l.signature(suite, { given: given.signature, ...keys, label: 'descriptor', content });
  const d = s.descriptorRead(s.cat(core, signature));
  Object.assign(own, d);
  const line = l.string(name('public_line'));
  const file = s.privateFileRead(l.string(name('private_file')));
  assert.equal(s.toHex(file.skSig), s.toHex(own.skSig), `${who}: private file`);
  const values = {
    kem_pk: pkKem,
    sig_pk: pkSig,
    descriptor: d.bytes,
    did: content,
    skid: s.skidOf(suite, pkKem, pkSig),
    fingerprint: s.utf8(s.fingerprint(d)),
    public_line: s.utf8(s.publicLineWrite(d, s.publicLineRead(line).comment)),
    private_file: s.utf8(s.privateFileWrite(own, file.comment)),
  };
  l.outs(values, name);
  return own;
}

/** The credential of the kind that stands in pt1. */
function credentialOf(l, k) {
  const kind = s.pt1Read(k.suite, l.in('pt1')).credKind;
  assert.equal(kind !== 0, k.client !== undefined, 'pt1: a credential goes with a client identity');
  return [() => s.u8(0), () => s.cat(1, k.client.did.slice(0, 8)), () => s.cat(2, s.blob16(k.client.bytes))][kind]();
}

function step0(l, k) {
  const { suite, server, client } = k;
  const psk = l.has('psk') ? { key: l.in('psk'), id: l.in('psk_id') } : undefined;
  const isText = l.number('message_is_text') === 1n;
  const m = s.mOf(l.in('message'), isText);
  k.m = m;
  const cookie = l.optional('cookie');
  const padding = l.has('padding') ? new Uint8Array(Number(l.number('padding'))) : undefined;
  const tlvs = new Map([
    [s.TLV0.COOKIE, cookie],
    [s.TLV0.PSK_ID, psk?.id],
    [s.TLV0.PADDING, padding],
  ]);
  const { HF } = s;
  const marks = { [HF.SIGNED]: client, [HF.PSK]: psk, [HF.TEXT]: isText, [HF.TLV]: cookie || psk || padding };
  const hflags = Object.keys(marks).reduce((bits, bit) => bits | (marks[bit] ? Number(bit) : 0), HF.ALWAYS);
  const info1 = s.info1(suite, server.did);
  const { enc, context } = s.hpke.setupSender(suite, server.pkKem, info1, { psk, skE: l.in('sk_e1') });
  k.cid = l.in('cid');
  const head = s.head0Write({ suite, hflags, cid: k.cid, skid: server.skid, ts1: l.number('ts1'), tlvs, enc1: enc });
  const aad = s.cat(HDR.STEP0, head);
  k.pkX = suite.kem.publicKey(l.in('sk_x'));
  const cred = credentialOf(l, k);
  const pt1 = s.pt1Write({ pkX: k.pkX, clientId: l.in('client_id'), topic: l.in('topic'), cred, m });
  k.x1 = context.export('S-MQTT/1 x1', 32);
  const body0 = s.cat(head, context.seal(aad, pt1));
  k.th1 = s.th1Of(body0);
  l.outs({ m, step0_header: s.u8(HDR.STEP0), step0_body: body0, info1, step0_aad: aad, pt1, x1: k.x1, th1: k.th1 });
  const opened = s.hpke.setupReceiver(suite, enc, server.skKem, info1, psk).open(aad, s.body0Read(body0).ct1);
  assert.equal(s.toHex(s.pt1Read(suite, opened).m), s.toHex(m), 'step 0 opens');
}

function step2(l, k) {
  const { suite, server, client, cid } = k;
  const info2 = s.info2(suite, k.th1);
  const { enc, context } = s.hpke.setupSender(suite, k.pkX, info2, { skE: l.in('sk_e2') });
  const x2 = context.export('S-MQTT/1 x2', 32);
  k.hs = s.hsOf(k.x1, x2);
  k.th2 = s.th2Of(k.th1, HDR.STEP2, suite, cid, enc);
  const { key, nonce } = s.keyAndNonce(suite, k.hs, 's hs', k.th2);
  const hm = s.H(k.m);
  const numbers = { ts2: l.number('ts2'), window: Number(l.number('window')), rekey: Number(l.number('rekey')) };
  const signed = s.pt2Write({ status: s.STATUS.OK, flag: 1, sessionId: l.in('session_id'), ...numbers, hM: hm });
  const content = s.sig2Content(k.th2, signed, client?.did, server.did);
  const keys = { sk: server.skSig, pk: server.pkSig };
  const pt2 = s.cat(signed, l.signature(suite, { given: l.in('pt2').slice(-64), ...keys, label: 'step 2', content }));
  k.ct2 = s.seal(suite, key, nonce, k.th2, pt2);
  const body = s.body2Write({ suite, cid, enc2: enc, ct2: k.ct2 });
  l.outs({
    hm,
    step2_header: s.u8(HDR.STEP2),
    step2_body: body,
    pt2,
    info2,
    x2,
    hs: k.hs,
    th2: k.th2,
    k2: key,
    n2: nonce,
  });
}

function step3(l, k) {
  const { suite, server, client, cid } = k;
  k.th3 = s.th3Of(k.th2, k.ct2, HDR.STEP3);
  const { key, nonce } = s.keyAndNonce(suite, k.hs, 'c hs', k.th3);
  let pt3 = s.pt3Write({ verdict: 1, ts3: l.number('ts3'), rtt: Number(l.number('rtt')) });
  if (client) {
    const content = s.sig3Content(k.th3, pt3, server.did, client.did);
    const keys = { sk: client.skSig, pk: client.pkSig };
    pt3 = s.cat(pt3, l.signature(suite, { given: l.in('pt3').slice(-64), ...keys, label: 'step 3', content }));
  }
  const ct3 = s.seal(suite, key, nonce, s.aad3(k.th3, cid, server.skid), pt3);
  k.ms = s.msOf(k.hs, k.th3, ct3);
  const body = s.body3Write({ cid, skid: server.skid, ct3 });
  l.outs({ step3_header: s.u8(HDR.STEP3), step3_body: body, pt3, th3: k.th3, k3: key, n3: nonce, ms: k.ms });
  const { exporter, resumption, ctx } = new s.Session({ role: 'C', suite, ms: k.ms, th3: k.th3, ct3, cid });
  k.ctx = ctx;
  l.outs({ exporter, resumption, ctx });
}

function endings(l, k) {
  for (const [name, header] of [
    ['ack', HDR.ACK],
    ['close', HDR.CLOSE],
  ]) {
    const fields = { ...k, status: Number(l.number(`${name}_status`)), ts: l.number(`${name}_ts`) };
    const { key, nonce } = s.keyAndNonce(k.suite, k.ms, name, k.th3);
    const body = s.endingWrite(k.suite, header, fields);
    l.outs({ header: s.u8(header), key, nonce, body }, (n) => `${name}_${n}`);
    assert.equal(s.endingRead(k.suite, header, l.in(`${name}_body`), k).ts, fields.ts, `${name} opens`);
  }
}

/** The secrets of both ways, as many generations as the file has. */
function generations(l, k) {
  k.ways = ['c2s', 's2c'].map((way) => {
    const out = [];
    for (
      let secret = s.expand(k.ms, way, k.th3, 32);
      l.has(`${way}_${out.length}_secret`);
      secret = s.nextSecret(secret)
    ) {
      const keys = s.wayKeys(k.suite, secret);
      l.outs(keys, (n) => `${way}_${out.length}_${n}`);
      out.push(keys);
    }
    return out;
  });
}

function record(l, k, prefix) {
  const name = (n) => `${prefix}_${n}`;
  const way = Number(l.number(name('way')));
  const keys = k.ways[way][Number(l.number(name('generation')))];
  const seq = l.number(name('seq'));
  const topic = l.string(name('topic'));
  const payload = l.in(name('payload'));
  const plain = new s.Reader(l.in(name('sealed')));
  const content = plain.u8();
  const tlvs = content & s.CONTENT.TLV ? s.tlvRead(plain, Object.values(s.TLVR)) : undefined;
  const logical = tlvs?.has(s.TLVR.LOGICAL_TOPIC) ?? false;
  const where = { ctx: k.ctx, way, seq, topic };
  const bytes = s.recordSeal(k.suite, keys, { ...where, payload, flags: content & ~s.CONTENT.TLV, tlvs, logical });
  const parts = s.recordRead(bytes);
  const aad = s.recordAad(k.suite, { ...where, kid: keys.kid, first: parts.first, topic: logical ? '' : topic });
  const sealed = s.cat(content, tlvs ? s.tlvWrite(tlvs) : new Uint8Array(0), payload);
  l.outs({ aad, sealed }, name);
  l.out(prefix, bytes);
  const got = s.recordOpen(k.suite, keys, s.recordRead(l.in(prefix)), where);
  assert.equal(s.toHex(got.payload), s.toHex(payload), `${prefix} opens`);
  if (!got.isReceipts) return;
  assert.equal(topic, s.serverToClientTopic(k.server.skid, k.cid), `${prefix}: topic of receipts`);
  assert.equal(s.toHex(s.receiptsWrite(s.receiptsRead(payload))), s.toHex(payload), `${prefix}: receipts`);
}

function notice(l, { suite, server }) {
  const fields = { kid: l.in('notice_kid'), nonce: l.in('notice_nonce'), ts: l.number('notice_ts') };
  s.noticeRead(l.in('notice'), server, { kids: [fields.kid], now: fields.ts });
  l.outBesideSignature(suite, 'notice', s.noticeWrite(server, fields));
}

function registration(l, { suite, server }) {
  const challenge = l.in('registration_challenge_bytes');
  const clientId = l.string('registration_client_id');
  const values = {
    register: s.registration.register(server),
    challenge: s.registration.challenge(server.skid, challenge),
    registered: s.registration.registered(server.skid, s.STATUS.OK),
  };
  l.outs(values, (n) => `registration_${n}`);
  s.registrationVerify(l.in('registration_proof'), server, challenge, clientId);
  l.outBesideSignature(suite, 'registration_proof', s.registration.proof(server, challenge, clientId));
}

function checkSession(l) {
  const suite = s.suiteOf(Number(l.number('suite')));
  const server = identityOf(l, 'server', suite);
  const client = l.has('client_descriptor') ? identityOf(l, 'client', suite) : undefined;
  const k = { suite, server, client };
  [step0, step2, step3, endings, generations].forEach((part) => part(l, k));
  [...l.map.keys()].filter((n) => /^record_\d+$/.test(n)).forEach((prefix) => record(l, k, prefix));
  notice(l, k);
  registration(l, k);
}

/** Refused, and for this reason. */
function refused(l, what, reason, call) {
  l.checks++;
  try {
    call();
    l.faults.push(`${what}: accepted, and must be refused`);
  } catch (e) {
    if (!(e instanceof s.Refused)) throw e;
    if (!reason.test(e.message)) l.faults.push(`${what}: refused, but as: ${e.message}`);
  }
}

/** keys.txt, one pair of suites: who is known, who comes after it, and how. */
function checkChange(l, prefix) {
  const name = (n) => `${prefix}_${n}`;
  const now = l.number(name('wall'));
  const read = (n) => s.descriptorRead(l.in(name(n)));
  const old = { ...read('old_descriptor'), skKem: l.in(name('old_kem_sk')), skSig: l.in(name('old_sig_sk')) };
  const [renewal, next, foreign] = ['renewal', 'successor', 'foreign'].map(read);
  const descriptor = (n, d, keys) => {
    const tlvs = d.predecessor && new Map([[s.TLV_PREDECESSOR, s.predecessorWrite(d.predecessor)]]);
    const core = s.coreWrite(d.suite, {
      ...d,
      tlvs,
      pkKem: d.suite.kem.publicKey(keys.kem),
      pkSig: d.suite.sig.publicKey(keys.sig),
    });
    const own = { given: d.signature, sk: keys.sig, pk: d.pkSig, label: 'descriptor', content: s.H(core) };
    l.out(name(n), s.cat(core, l.signature(d.suite, own)));
  };
  const keys = { kem: old.skKem, sig: old.skSig };
  descriptor('old_descriptor', old, keys);
  descriptor('renewal', renewal, keys);
  const until = l.number(name('until'));
  l.out(name('signed_hash'), s.successorHash(next));
  const vouch = { given: next.predecessor.signature, sk: old.skSig, pk: old.pkSig, label: 'successor' };
  const signature = l.signature(old.suite, { ...vouch, content: s.successorHash(next) });
  next.predecessor = { skid: old.skid, until, signature };
  descriptor('successor', next, { kem: l.in(name('new_kem_sk')), sig: l.in(name('new_sig_sk')) });
  for (const d of [renewal, next]) assert.equal(s.supersedes(old, d, now), false);
  assert.equal(s.supersedes(old, next, until), false);
  refused(l, name('successor after its time'), /grace/, () => s.supersedes(old, next, until + 1n));
  refused(l, name('old after renewal'), /older/, () => s.supersedes(renewal, old, now));
  refused(l, name('old after successor'), /put back/, () => s.supersedes(next, old, now));
  refused(l, name('foreign'), /signature/, () => s.supersedes(old, foreign, now));
  const said = { reason: Number(l.number(name('revocation_reason'))), at: l.number(name('revocation_at')) };
  assert.deepEqual(s.revocationRead(l.in(name('revocation')), old), said);
  l.outBesideSignature(old.suite, name('revocation'), s.revocationWrite(old, said));
  l.out(name('revocation_line'), s.utf8(s.revocationLine(l.in(name('revocation')))));
  refused(l, name('revocation of another'), /other keys/, () => s.revocationRead(l.in(name('revocation')), next));
  const [passphrase, salt] = [l.in(name('passphrase')), l.in(name('salt'))];
  const p = Object.fromEntries(['passes', 'kib', 'lanes'].map((n) => [n, Number(l.number(name(n)))]));
  l.out(name('kdf'), s.lockKdf(old.suite, passphrase, salt, p));
  l.out(name('locked_file'), s.utf8(s.lockedFileWrite(old, passphrase, salt, p)));
  const file = l.string(name('locked_file'));
  assert.equal(s.toHex(s.lockedFileRead(file, passphrase).skSig), s.toHex(old.skSig), 'the locked file opens');
  refused(l, name('locked_file'), /AEAD/, () => s.lockedFileRead(file, s.utf8('another')));
}

function checkKeys(l) {
  const prefixes = [...l.map.keys()].map((n) => /^(.+)_wall$/.exec(n)?.[1]).filter(Boolean);
  prefixes.forEach((prefix) => checkChange(l, prefix));
}

/** What must refuse a line of refused.txt, by the first word of its name. */
const REFUSERS = {
  descriptor: (b) => s.descriptorRead(b),
  body0: (b) => s.body0Read(b),
  retry: (b) => s.retryRead(b),
  pt1: (b) => s.pt1Read(s.SUITES[1], b),
  pt2: (b) => s.pt2Read(b),
  record: (b) => s.recordRead(b),
  notice: (b, l) => {
    const server = s.descriptorRead(l.in('server_descriptor'));
    s.noticeRead(b, server, { kids: [b.slice(2, 6)], now: new s.Reader(b.slice(22, 30)).u64() });
  },
  registration: (b) => s.registrationRead(b),
  receipts: (b) => s.receiptsRead(b),
  revocation: (b, l) => s.revocationRead(b, s.descriptorRead(l.in('server_descriptor'))),
  tlv: (b) => s.tlvRead(new s.Reader(b)),
};

function checkRefused(l) {
  l.optional('server_descriptor');
  for (const [name, bytes] of l.map) {
    const refuse = REFUSERS[name.split('_')[0]];
    if (!refuse || l.used.has(name)) continue;
    l.used.add(name);
    l.checks++;
    try {
      refuse(bytes, l);
      l.faults.push(`${name}: accepted, and must be refused`);
    } catch (e) {
      if (!(e instanceof s.Refused)) throw e;
    }
  }
}

function checkFile(url, name) {
  let l;
  try {
    l = new Lines(read(readFileSync(url, 'utf8')));
    ({ 'refused.txt': checkRefused, 'keys.txt': checkKeys }[name] ?? checkSession)(l);
    l.faults.push(...l.rest());
    if (l.checks === 0) l.faults.push('nothing in this file was checked');
  } catch (e) {
    l?.faults.push(e.message.split('\n')[0]);
    if (!l) return { checks: 0, faults: [e.message] };
  }
  return l;
}

const folder = process.argv[2] ? pathToFileURL(`${process.argv[2]}/`) : new URL('../vectors/smqtt/', import.meta.url);
const faults = checkCrypto();
let names = [];
try {
  names = readdirSync(folder).filter((n) => n.endsWith('.txt'));
} catch {
  names = [];
}
if (names.length === 0) faults.push('there are no vectors of sessions: tests/vectors/smqtt holds no file *.txt');
for (const name of names) {
  const l = checkFile(new URL(name, folder), name);
  console.log(`smqtt/${name}: ${l.checks} checked`);
  faults.push(...l.faults.map((f) => `smqtt/${name}: ${f}`));
}
faults.forEach((f) => console.log(`FAILED ${f}`));
console.log(`vectors: ${names.length} files of sessions, ${faults.length} faults`);
process.exitCode = faults.length ? 1 : 0;

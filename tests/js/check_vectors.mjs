// SPDX-License-Identifier: Apache-2.0
// Recomputes every line of tests/vectors/smqtt/*.txt from the private inputs of the same file, and checks
// tests/vectors/crypto. `node check_vectors.mjs [folder]` prints a count for each file; a line that nothing checks or
// uses is a fault.
//
// A file of a session has lines `name = hex`; integers have the size of their field. Inputs:
//   suite; server.sk_kem server.sk_sig server.descriptor; with a credential: client.sk_kem client.sk_sig
//   client.descriptor; cred (00, 01 or 02) client_id topic payload is_text; psk psk_id cookie padding where there are
//   such; sk_x sk_e1 sk_e2 cid ts1; status flag ts2 session_id window rekey held; header3 verdict ts3 rtt; ack.status
//   ack.ts close.status close.ts; record.N.way .generation .seq .topic .content .tlvs .payload .logical (.tlvs
//   without the length of the list); notice.kid notice.nonce notice.ts; register.client_id register.challenge
// Outputs:
//   server.did server.skid client.did client.skid m info1 pt1 x1 body0 th1 info2 enc2 x2 hs header2 th2 k2 n2 sig2 pt2
//   ct2 body2 th3 k3 n3 sig3 pt3 ct3 body3 ms c2s s2c exporter resumption ctx ack close; record.N.kid .key .iv .nonce
//   .aad .record; notice; register.1 to register.4. An ECDSA signature is verified and taken from the file.
// refused.txt has lines `kind.what = hex`; the kinds are the names of REFUSERS below.
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
    const match = /^([\w.-]+) = ?([0-9a-f]*)$/.exec(line);
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
    if (!this.has(name)) return;
    this.used.add(name);
    this.checks++;
    const [got, wanted] = [s.toHex(value), s.toHex(this.map.get(name))];
    if (got !== wanted) this.faults.push(`${name}: computed ${got.slice(0, 80)}, the file has ${wanted.slice(0, 80)}`);
  }
  /** A signature: reproduced where signing is deterministic, verified in any case. */
  signature(suite, { name, sk, pk, label, content }) {
    const given = this.in(name);
    s.verify(suite, pk, label, content, given);
    this.checks++;
    if (suite.sig.deterministic) this.out(name, s.sign(suite, sk, label, content));
    return given;
  }
  rest() {
    return [...this.map.keys()]
      .filter((name) => !this.used.has(name))
      .map((name) => `${name}: nothing checks this line`);
  }
}

function identityOf(l, who, suite) {
  const d = s.descriptorRead(l.in(`${who}.descriptor`));
  assert.equal(d.suite, suite, `${who}: suite`);
  const own = { ...d, skKem: l.in(`${who}.sk_kem`), skSig: l.in(`${who}.sk_sig`) };
  assert.equal(s.toHex(suite.kem.publicKey(own.skKem)), s.toHex(d.pkKem), `${who}: KEM keys`);
  assert.equal(s.toHex(suite.sig.publicKey(own.skSig)), s.toHex(d.pkSig), `${who}: signature keys`);
  const core = d.bytes.slice(0, -64);
  if (suite.sig.deterministic)
    l.out(`${who}.descriptor`, s.cat(core, s.sign(suite, own.skSig, 'descriptor', s.H(core))));
  else l.checks++;
  l.out(`${who}.did`, d.did);
  l.out(`${who}.skid`, d.skid);
  return own;
}

function step0(l, k) {
  const { suite, server, client } = k;
  const psk = l.has('psk') ? { key: l.in('psk'), id: l.in('psk_id') } : undefined;
  const isText = l.number('is_text') === 1n;
  k.m = s.mOf(l.in('payload'), isText);
  const cookie = l.optional('cookie');
  const padding = l.optional('padding');
  const tlvs = new Map([
    [s.TLV0.COOKIE, cookie],
    [s.TLV0.PSK_ID, psk?.id],
    [s.TLV0.PADDING, padding],
  ]);
  const { HF } = s;
  const hflags =
    HF.ALWAYS |
    (client ? HF.SIGNED : 0) |
    (psk ? HF.PSK : 0) |
    (isText ? HF.TEXT : 0) |
    (cookie || psk || padding ? HF.TLV : 0);
  const info1 = s.info1(suite, server.did);
  const { enc, context } = s.hpke.setupSender(suite, server.pkKem, info1, { psk, skE: l.in('sk_e1') });
  k.cid = l.in('cid');
  const head = s.head0Write({ suite, hflags, cid: k.cid, skid: server.skid, ts1: l.number('ts1'), tlvs, enc1: enc });
  const kind = Number(l.number('cred'));
  const cred = [() => Uint8Array.of(0), () => s.cat(1, client.did.slice(0, 8)), () => s.cat(2, s.blob16(client.bytes))][
    kind
  ]();
  k.pkX = suite.kem.publicKey(l.in('sk_x'));
  const pt1 = s.pt1Write({ pkX: k.pkX, clientId: l.in('client_id'), topic: l.in('topic'), cred, m: k.m });
  k.x1 = context.export('S-MQTT/1 x1', 32);
  k.body0 = s.cat(head, context.seal(s.cat(HDR.STEP0, head), pt1));
  k.th1 = s.th1Of(k.body0);
  Object.entries({ m: k.m, info1, pt1, x1: k.x1, body0: k.body0, th1: k.th1 }).forEach(([n, v]) => l.out(n, v));
  assert.equal(
    s.toHex(s.body0Read(k.body0).ct1),
    s.toHex(k.body0.slice(head.length)),
    'body0 is read as it was written',
  );
}

function step2(l, k) {
  const { suite, server, client, cid } = k;
  const info2 = s.info2(suite, k.th1);
  const { enc, context } = s.hpke.setupSender(suite, k.pkX, info2, { skE: l.in('sk_e2') });
  const x2 = context.export('S-MQTT/1 x2', 32);
  k.hs = s.hsOf(k.x1, x2);
  const flag = Number(l.number('flag'));
  const header = flag ? HDR.STEP2 : HDR.STEP2_BAD;
  k.th2 = s.th2Of(k.th1, header, suite, cid, enc);
  const { key, nonce } = s.keyAndNonce(suite, k.hs, 's hs', k.th2);
  const hM = s.H(l.optional('held') ?? k.m);
  const signed = s.pt2Write({
    status: Number(l.number('status')),
    flag,
    ts2: l.number('ts2'),
    sessionId: l.in('session_id'),
    window: Number(l.number('window')),
    rekey: Number(l.number('rekey')),
    hM,
  });
  const content = s.sig2Content(k.th2, signed, client?.did, server.did);
  const sig2 = l.signature(suite, { name: 'sig2', sk: server.skSig, pk: server.pkSig, label: 'step 2', content });
  const pt2 = s.cat(signed, sig2);
  k.ct2 = s.seal(suite, key, nonce, k.th2, pt2);
  const body2 = s.body2Write({ suite, cid, enc2: enc, ct2: k.ct2 });
  const values = {
    info2,
    enc2: enc,
    x2,
    hs: k.hs,
    header2: s.u8(header),
    th2: k.th2,
    k2: key,
    n2: nonce,
    pt2,
    ct2: k.ct2,
    body2,
  };
  Object.entries(values).forEach(([n, v]) => l.out(n, v));
}

function step3(l, k) {
  const { suite, server, client, cid } = k;
  const header = Number(l.number('header3'));
  k.th3 = s.th3Of(k.th2, k.ct2, header);
  const { key, nonce } = s.keyAndNonce(suite, k.hs, 'c hs', k.th3);
  const signed = s.pt3Write({
    verdict: Number(l.number('verdict')),
    ts3: l.number('ts3'),
    rtt: Number(l.number('rtt')),
  });
  const content = client && s.sig3Content(k.th3, signed, server.did, client.did);
  const sig3 = client
    ? l.signature(suite, { name: 'sig3', sk: client.skSig, pk: client.pkSig, label: 'step 3', content })
    : new Uint8Array(0);
  const pt3 = s.cat(signed, sig3);
  k.ct3 = s.seal(suite, key, nonce, s.aad3(k.th3, cid, server.skid), pt3);
  k.ms = s.msOf(k.hs, k.th3, k.ct3);
  const body3 = s.body3Write({ cid, skid: server.skid, ct3: k.ct3 });
  const values = { th3: k.th3, k3: key, n3: nonce, pt3, ct3: k.ct3, body3, ms: k.ms };
  Object.entries(values).forEach(([n, v]) => l.out(n, v));
  k.session = new s.Session({ role: 'C', suite, ms: k.ms, th3: k.th3, ct3: k.ct3, cid });
  const { exporter, resumption, ctx } = k.session;
  k.ways = ['c2s', 's2c'].map((label) => s.expand(k.ms, label, k.th3, 32));
  Object.entries({ c2s: k.ways[0], s2c: k.ways[1], exporter, resumption, ctx }).forEach(([n, v]) => l.out(n, v));
  for (const [name, ending] of [
    ['ack', HDR.ACK],
    ['close', HDR.CLOSE],
  ]) {
    if (!l.has(name)) continue;
    const fields = { ...k, status: Number(l.number(`${name}.status`)), ts: l.number(`${name}.ts`) };
    l.out(name, s.endingWrite(suite, ending, fields));
    assert.equal(s.endingRead(suite, ending, l.in(name), k).ts, fields.ts, `${name} opens`);
  }
}

/** The Map of TLV entries written without the length of the list. */
const tlvsOf = (bytes) => s.tlvRead(new s.Reader(s.blob16(bytes)), Object.values(s.TLVR));

function record(l, k, prefix) {
  const name = (n) => `${prefix}.${n}`;
  const way = Number(l.number(name('way')));
  const generation = l.has(name('generation')) ? Number(l.number(name('generation'))) : 0;
  let secret = k.ways[way];
  for (let g = 0; g < generation; g++) secret = s.nextSecret(secret);
  const keys = s.wayKeys(k.suite, secret);
  const seq = l.number(name('seq'));
  const topic = l.string(name('topic'));
  const logical = l.has(name('logical')) && l.number(name('logical')) === 1n;
  const tlvs = l.has(name('tlvs')) ? tlvsOf(l.in(name('tlvs'))) : undefined;
  const flags = Number(l.number(name('content'))) & ~s.CONTENT.TLV;
  const payload = l.in(name('payload'));
  const bytes = s.recordSeal(k.suite, keys, { ctx: k.session.ctx, way, seq, topic, payload, flags, tlvs, logical });
  const parts = s.recordRead(bytes);
  const aad = s.recordAad(k.suite, {
    ctx: k.session.ctx,
    way,
    kid: keys.kid,
    seq,
    first: parts.first,
    topic: logical ? '' : topic,
  });
  const values = { kid: keys.kid, key: keys.key, iv: keys.iv, nonce: s.recordNonce(keys.iv, seq), aad, record: bytes };
  Object.entries(values).forEach(([n, v]) => l.out(name(n), v));
  const got = s.recordOpen(k.suite, keys, s.recordRead(l.in(name('record'))), { ctx: k.session.ctx, way, topic });
  assert.equal(s.toHex(got.payload), s.toHex(payload), `${prefix} opens`);
  if (got.isReceipts)
    assert.equal(s.toHex(s.receiptsWrite(s.receiptsRead(payload))), s.toHex(payload), `${prefix}: receipts`);
}

function noticeAndRegistration(l, { suite, server }) {
  if (l.has('notice')) {
    const fields = { kid: l.in('notice.kid'), nonce: l.in('notice.nonce'), ts: l.number('notice.ts') };
    s.noticeRead(l.in('notice'), server, { kids: [fields.kid], now: fields.ts });
    const made = s.noticeWrite(server, fields);
    if (suite.sig.deterministic) l.out('notice', made);
    else
      assert.equal(s.toHex(l.in('notice').slice(0, -64)), s.toHex(made.slice(0, -64)), 'notice: all but the signature');
    l.checks++;
  }
  if (l.has('register.3')) {
    const challenge = l.in('register.challenge');
    const clientId = l.string('register.client_id');
    l.out('register.1', s.registration.register(server));
    l.out('register.2', s.registration.challenge(server.skid, challenge));
    s.registrationVerify(l.in('register.3'), server, challenge, clientId);
    if (suite.sig.deterministic) l.out('register.3', s.registration.proof(server, challenge, clientId));
    l.out('register.4', s.registration.registered(server.skid, 0));
    l.checks++;
  }
}

function checkSession(l) {
  const suite = s.suiteOf(Number(l.number('suite')));
  const server = identityOf(l, 'server', suite);
  const client = l.has('client.descriptor') ? identityOf(l, 'client', suite) : undefined;
  const k = { suite, server, client };
  step0(l, k);
  step2(l, k);
  step3(l, k);
  const prefixes = new Set([...l.map.keys()].map((n) => /^(record\.\d+)\./.exec(n)?.[1]).filter(Boolean));
  prefixes.forEach((prefix) => record(l, k, prefix));
  noticeAndRegistration(l, k);
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
    const server = s.descriptorRead(l.in('server.descriptor'));
    s.noticeRead(b, server, { kids: [b.slice(2, 6)], now: new s.Reader(b.slice(22, 30)).u64() });
  },
  registration: (b) => s.registrationRead(b),
  receipts: (b) => s.receiptsRead(b),
  tlv: (b) => s.tlvRead(new s.Reader(b)),
};

function checkRefused(l) {
  l.optional('server.descriptor');
  for (const [name, bytes] of l.map) {
    const refuse = REFUSERS[name.split('.')[0]];
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
    (name === 'refused.txt' ? checkRefused : checkSession)(l);
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
process.exit(faults.length ? 1 : 0);

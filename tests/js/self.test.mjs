// SPDX-License-Identifier: Apache-2.0
// JavaScript against itself: whole sessions of both suites in all modes, and every refusal that the text names.
// Run by `node self.test.mjs`; prints one line per failed case and a count.
import assert from 'node:assert/strict';
import * as core from '@hpke/core';
import { Chacha20Poly1305 } from '@hpke/chacha20poly1305';
import { DhkemX25519HkdfSha256 } from '@hpke/dhkem-x25519';
import * as s from './smqtt.mjs';

const { HDR, STATUS } = s;
const NOW = 1_767_225_600_000;
const cases = [];
const test = (name, run) => cases.push({ name, run });
const bothSuites = (name, run) => ['x25519', 'p256'].forEach((suite) => test(`${suite}: ${name}`, () => run(suite)));
const refused = (run, what) => assert.throws(run, (e) => e instanceof s.Refused, what);

/** Flips one bit. */
function flip(bytes, bit) {
  const out = bytes.slice();
  out[bit >> 3] ^= 1 << (bit & 7);
  return out;
}

/** Some bits of a packet: all of the first bytes, and a sample of the rest. */
function someBits(bytes, whole = 4) {
  const bits = [];
  for (let i = 0; i < bytes.length * 8; i++)
    if (i < whole * 8 || i % 61 === 0 || i >= bytes.length * 8 - 2) bits.push(i);
  return bits;
}

function pair(suite, { mutual, server = {}, client = {} } = {}) {
  const id = s.identityNew({ suite, name: 'server' });
  const own = mutual ? s.identityNew({ suite, name: 'client' }) : undefined;
  const S = new s.Server({ identity: id, ...server });
  const options = {
    server: id,
    identity: own,
    payload: 'grüße 湿度',
    isText: true,
    topic: 'a/b',
    clientId: 'c1',
    ...client,
  };
  return { id, own, S, C: new s.Client(options) };
}

/** Runs a handshake; `relay` may change what travels. */
function shake(p, { relay = (packet) => packet, at = {} } = {}) {
  const now = NOW;
  const events = {};
  events.p0 = relay(p.C.start({ now: NOW }), 0);
  events.r1 = p.S.take({ header: HDR.STEP1, body: events.p0.body }, { now });
  if (!events.r1.packet) return events;
  events.r2 = p.C.take(relay(events.r1.packet, 2), { now: NOW + 40, rtt: 40, ...at });
  if (!events.r2.packet) return events;
  events.r3 = p.S.take(relay(events.r2.packet, 3), { now });
  if (!events.r3.packet) return events;
  events.r4 = p.C.take(relay(events.r3.packet, 4), { now });
  return events;
}

function openSession(suite, options) {
  const p = pair(suite, options);
  const e = shake(p);
  assert.equal(
    e.r4?.event,
    'open',
    JSON.stringify([e.r1, e.r2, e.r3], (k, v) => (typeof v === 'bigint' ? `${v}` : v)),
  );
  return { ...p, ...e, cs: p.C.session, ss: e.r3.session };
}

bothSuites('HPKE agrees with @hpke in modes base and psk', async (name) => {
  const suite = s.suiteNamed(name);
  const other = new core.CipherSuite({
    kem: name === 'x25519' ? new DhkemX25519HkdfSha256() : new core.DhkemP256HkdfSha256(),
    kdf: new core.HkdfSha256(),
    aead: name === 'x25519' ? new Chacha20Poly1305() : new core.Aes128Gcm(),
  });
  const exact = (b) => b.buffer.slice(b.byteOffset, b.byteOffset + b.length);
  for (const psk of [undefined, { id: s.ascii('who'), key: s.random(32) }]) {
    const info = s.random(20);
    const sk = suite.kem.generate();
    const theirs = psk && { id: exact(psk.id), key: exact(psk.key) };
    const pkR = await other.kem.deserializePublicKey(exact(suite.kem.publicKey(sk)));
    const sender = await other.createSenderContext({ recipientPublicKey: pkR, info: exact(info), psk: theirs });
    const got = s.hpke.setupReceiver(suite, new Uint8Array(sender.enc), sk, info, psk);
    for (const plain of ['one', 'two']) {
      const box = await sender.seal(exact(s.ascii(plain)), exact(s.ascii('aad')));
      assert.deepEqual(got.open(s.ascii('aad'), new Uint8Array(box)), s.ascii(plain));
    }
    assert.equal(
      s.toHex(got.export('ctx', 32)),
      s.toHex(new Uint8Array(await sender.export(exact(s.ascii('ctx')), 32))),
    );
    const skR = await other.kem.deserializePrivateKey(exact(sk));
    const mine = s.hpke.setupSender(suite, suite.kem.publicKey(sk), info, { psk });
    const receiver = await other.createRecipientContext({
      recipientKey: skR,
      enc: exact(mine.enc),
      info: exact(info),
      psk: theirs,
    });
    const box = mine.context.seal(s.ascii('aad'), s.ascii('three'));
    assert.deepEqual(new Uint8Array(await receiver.open(exact(box), exact(s.ascii('aad')))), s.ascii('three'));
  }
  refused(() =>
    s.hpke.setupSender(suite, suite.kem.publicKey(suite.kem.generate()), info0, {
      psk: { id: s.ascii('x'), key: s.random(31) },
    }),
  );
});
const info0 = new Uint8Array(0);

bothSuites('sessions without and with a credential, text and binary', (suite) => {
  for (const mutual of [false, true]) {
    for (const isText of [true, false]) {
      const e = openSession(suite, { mutual, client: { isText, payload: isText ? 'ok ✓' : s.random(300) } });
      assert.equal(e.r3.class, mutual ? 'PEER' : 'PEER_ANON');
      assert.equal(e.r1.topic, 'a/b');
      assert.deepEqual(e.cs.exporter, e.ss.exporter);
      assert.deepEqual(e.cs.resumption, e.ss.resumption);
    }
  }
});

bothSuites('a credential by reference needs exactly one known descriptor', (suite) => {
  const client = { credential: 'reference' };
  const known = pair(suite, { mutual: true, client });
  known.S.o.clients = [known.own];
  assert.equal(shake(known).r3.class, 'PEER');
  const unknown = pair(suite, { mutual: true, client });
  assert.equal(s.retryRead(shake(unknown).r1.packet.body).code, STATUS.REFUSED);
});

bothSuites('a pre-shared key must be the same', (suite) => {
  const psk = { id: s.ascii('k1'), key: s.random(32) };
  openSession(suite, { server: { psks: [psk] }, client: { psk } });
  const wrong = { id: psk.id, key: s.random(32) };
  assert.equal(
    s.retryRead(shake(pair(suite, { server: { psks: [wrong] }, client: { psk } })).r1.packet.body).code,
    STATUS.REFUSED,
  );
});

bothSuites('a cookie stands in for the clock', (suite) => {
  const p = pair(suite);
  const early = p.C.start({ now: NOW - 60_000 });
  const asked = s.retryRead(p.S.take({ header: HDR.STEP1, body: early.body }, { now: NOW }).packet.body);
  assert.equal(asked.code, STATUS.COOKIE);
  const again = new s.Client({ server: p.id, cookie: asked.cookie }).start({ now: NOW - 60_000 });
  assert.equal(p.S.take({ header: HDR.STEP1, body: again.body }, { now: NOW }).event, 'step1');
});

bothSuites('a flipped bit in any DETECT packet opens no session', (suite) => {
  const step0 = pair(suite, { mutual: true });
  const { body } = step0.C.start({ now: NOW });
  for (const bit of someBits(body, 12)) {
    const r = step0.S.take({ header: HDR.STEP1, body: flip(body, bit) }, { now: NOW });
    assert.equal(r.event, 'ignored', `step 0 bit ${bit}`);
  }
  const { packet } = step0.S.take({ header: HDR.STEP1, body }, { now: NOW });
  for (const bit of someBits(packet.body)) {
    assert.equal(
      step0.C.take({ ...packet, body: flip(packet.body, bit) }, { now: NOW }).event,
      'ignored',
      `step 2 bit ${bit}`,
    );
  }
  assert.equal(step0.C.take({ ...packet, header: HDR.STEP2_BAD }, { now: NOW }).event, 'ignored');
  const step3 = step0.C.take(packet, { now: NOW }).packet;
  for (const bit of someBits(step3.body)) {
    assert.equal(
      step0.S.take({ ...step3, body: flip(step3.body, bit) }, { now: NOW }).event,
      'ignored',
      `step 3 bit ${bit}`,
    );
  }
  assert.equal(step0.S.take({ ...step3, header: HDR.STEP3_BAD }, { now: NOW }).event, 'ignored');
  const ack = step0.S.take(step3, { now: NOW }).packet;
  for (const bit of someBits(ack.body)) {
    assert.equal(step0.C.take({ ...ack, body: flip(ack.body, bit) }).event, 'ignored', `acknowledgement bit ${bit}`);
  }
  assert.equal(step0.C.take({ ...ack, header: HDR.CLOSE }).event, 'ignored');
  assert.equal(step0.C.take(ack).event, 'open');
});

bothSuites('duplicates get the stored answers, a used cid with other bytes is refused', (suite) => {
  const e = openSession(suite);
  const again = e.S.take({ header: HDR.STEP1, body: e.p0.body }, { now: NOW });
  assert.deepEqual(again, { event: 'duplicate', packet: e.r1.packet });
  assert.deepEqual(e.S.take(e.r2.packet, { now: NOW }), { event: 'duplicate', packet: e.r3.packet });
  const other = new s.Client({ server: e.id, secrets: { cid: e.C.cid } }).start({ now: NOW });
  assert.equal(e.S.take({ header: HDR.STEP1, body: other.body }, { now: NOW }).event, 'ignored');
});

bothSuites(
  'text that does not survive, a server that refuses, clocks and slowness end in step 3 with verdict 0',
  (suite) => {
    const outcome = (options, at) => shake(pair(suite, options), { at });
    const mojibake = outcome({ server: { pipeline: s.throughEncoding('latin1') } });
    assert.equal(mojibake.r1.packet.header, HDR.STEP2_BAD);
    assert.deepEqual([mojibake.r2.status, mojibake.r2.packet.header], [STATUS.MOJIBAKE, HDR.STEP3_BAD]);
    assert.equal(mojibake.r3.event, 'rejected');
    assert.equal(outcome({ server: { authorize: () => false } }).r2.status, STATUS.NOT_AUTHORIZED);
    assert.equal(outcome({}, { rtt: 5001 }).r2.status, STATUS.DELAY);
    assert.equal(outcome({ server: { secrets: () => ({ ts2: NOW + 30_001 }) } }).r2.status, STATUS.DELAY);
    assert.equal(outcome({ server: { secrets: () => ({ ts2: NOW - 30_000 }) } }).r2.status, STATUS.OK);
  },
);

bothSuites('a peer with the right keys that contradicts itself opens no session', (suite) => {
  const lie = (forge2) => shake(pair(suite, { server: { forge2 } })).r2;
  assert.equal(lie((f) => ({ ...f, hM: s.random(32) })).status, STATUS.HASH_MISMATCH);
  for (const change of [{ flag: 0 }, { flag: 2 }, { status: 0x20 }, { window: 63 }, { rekey: 0 }]) {
    assert.equal(lie((f) => ({ ...f, ...change })).event, 'ignored', JSON.stringify(change));
  }
  assert.equal(lie((f) => ({ ...f, status: STATUS.CLOSED })).event, 'rejected');
  const e = shake(pair(suite, { client: { forge3: (f) => ({ ...f, verdict: 0 }) } }));
  assert.deepEqual([e.r2.packet.header, e.r3.event], [HDR.STEP3, 'ignored']);
});

bothSuites('another server, another suite, a server without anonymous clients', (suite) => {
  const p = pair(suite);
  const elsewhere = s.identityNew({ suite, name: 'other' });
  const r = p.S.take(
    { header: HDR.STEP1, body: new s.Client({ server: elsewhere }).start({ now: NOW }).body },
    { now: NOW },
  );
  assert.equal(s.retryRead(r.packet.body).code, STATUS.UNKNOWN_SERVER);
  const wrongSuite = s.identityNew({ suite: suite === 'p256' ? 'x25519' : 'p256', name: 'other' });
  const q = p.S.take(
    { header: HDR.STEP1, body: new s.Client({ server: wrongSuite }).start({ now: NOW }).body },
    { now: NOW },
  );
  assert.equal(s.retryRead(q.packet.body).code, STATUS.SUITE);
  const strict = s.identityNew({ suite, name: 'strict', flags: 1 });
  const S = new s.Server({ identity: strict });
  assert.equal(
    S.take({ header: HDR.STEP1, body: new s.Client({ server: strict }).start({ now: NOW }).body }, { now: NOW }).event,
    'ignored',
  );
});

bothSuites('a close ends the session for good', (suite) => {
  const e = openSession(suite);
  const close = e.ss.closeWrite(STATUS.CLOSED, NOW);
  assert.equal(e.C.take({ ...close, body: flip(close.body, 200) }).event, 'ignored');
  assert.equal(e.C.take(close).event, 'closed');
  refused(() => e.cs.seal({ topic: 'a/b', payload: 'x' }));
});

bothSuites('records both ways, of every length of seq, with every TLV', (suite) => {
  const e = openSession(suite);
  const tlvs = new Map([
    [1, s.u64(NOW)],
    [2, s.u32(10)],
    [3, s.utf8('text/plain')],
    [4, s.utf8('r/t')],
    [5, s.random(4)],
    [10, s.random(9)],
  ]);
  for (const [i, seq] of [
    0n,
    255n,
    256n,
    65536n,
    1n << 24n,
    1n << 32n,
    1n << 40n,
    1n << 48n,
    (1n << 64n) - 1n,
  ].entries()) {
    e.cs.sender.seq = seq;
    e.cs.rekey = 1n << 64n;
    const record = e.cs.seal({
      topic: 'a/b',
      payload: 'ä',
      isText: true,
      wantReceipt: true,
      tlvs: i % 2 ? tlvs : undefined,
    });
    const n = Math.max(1, Math.ceil(seq.toString(16).length / 2));
    if (i % 2 === 0) assert.equal(record.length, 2 + 22 + n);
    const out = e.ss.open(record, 'a/b', { now: NOW });
    assert.deepEqual(
      [s.text(out.payload), out.seq, out.isText, out.wantsReceipt, out.status],
      ['ä', seq, true, true, 0],
    );
  }
  const down = e.ss.seal({ topic: 'x', payload: s.random(20) });
  assert.equal(e.cs.open(down, 'x').isText, false);
  refused(() => e.ss.open(e.ss.seal({ topic: 'x', payload: 'me' }), 'x'), 'reflection');
  assert.throws(
    () => e.ss.open(e.cs.seal({ topic: 'a/b', payload: 'late', tlvs }), 'a/b', { now: NOW + 10_001 }),
    /EXPIRED/,
  );
  refused(() => e.ss.open(e.cs.seal({ topic: 'a/b', payload: 'x', tlvs: new Map([[2, s.u32(1)]]) }), 'a/b'));
});

bothSuites('a flipped bit or another topic opens no record', (suite) => {
  const e = openSession(suite);
  const record = e.cs.seal({ topic: 'a/b', payload: 'x', isText: true });
  for (let bit = 0; bit < record.length * 8; bit++) refused(() => e.ss.open(flip(record, bit), 'a/b'), `bit ${bit}`);
  refused(() => e.ss.open(record, 'a/c'));
  for (let n = 0; n < record.length; n++) refused(() => e.ss.open(record.slice(0, n), 'a/b'));
  assert.equal(s.text(e.ss.open(record, 'a/b').payload), 'x');
});

bothSuites('a number that is not in its shortest form, reserved bits', (suite) => {
  const e = openSession(suite);
  const { ctx, sender: keys } = e.cs;
  const craft = (first, number, content) => {
    const aad = s.recordAad(e.C.suite, { ctx, way: 0, kid: keys.kid, seq: 5n, first, topic: 'a' });
    const box = s.seal(e.C.suite, keys.key, s.recordNonce(keys.iv, 5n), aad, s.cat(content, s.utf8('x')));
    return s.cat(first, keys.kid, number, box);
  };
  refused(() => e.ss.open(craft(0x81, s.u16(5), 0x00), 'a'), 'seq');
  for (const first of [0x88, 0xa0, 0x90, 0xc0, 0x00])
    refused(() => e.ss.open(craft(first, s.u8(5), 0x00), 'a'), `${first}`);
  for (const bit of [0x10, 0x20, 0x40, 0x80]) refused(() => e.ss.open(craft(0x80, s.u8(5), bit), 'a'), `${bit}`);
  // What opens and is not well formed inside has used its number up.
  assert.throws(() => e.ss.open(craft(0x80, s.u8(5), 0x00), 'a'), /REPLAY/);
  refused(
    () => e.ss.open(e.cs.seal({ topic: 'a', payload: s.random(14), receipts: true }), 'a'),
    'receipts to a server',
  );
});

bothSuites('replay, the window, retained replay and roll-back', (suite) => {
  const e = openSession(suite, { server: { window: 64 } });
  const seal = (topic) => e.cs.seal({ topic, payload: 'x' });
  const first = seal('a');
  const kept = seal('a');
  const records = [first, kept, ...Array.from({ length: 64 }, () => seal('b'))];
  e.ss.open(first, 'a');
  e.ss.open(kept, 'a');
  assert.throws(() => e.ss.open(first, 'a'), /REPLAY/);
  assert.equal(e.ss.open(kept, 'a', { retain: true }).class, 'RETAINED_REPLAY');
  assert.throws(() => e.ss.open(kept, 'a', { retain: true }), /REPLAY/);
  assert.throws(() => e.ss.open(first, 'a', { retain: true }), /ROLLBACK/);
  e.ss.open(records[65], 'b');
  assert.throws(() => e.ss.open(first, 'a'), /OUTSIDE_WINDOW/);
  e.ss.open(records[2], 'b');
  e.ss.open(records[40], 'b');
  assert.throws(() => e.ss.open(records[40], 'b'), /REPLAY/);
});

bothSuites('the next key takes over, the one before lives a minute longer', (suite) => {
  const e = openSession(suite, { server: { rekey: 3 } });
  const records = Array.from({ length: 10 }, (v, i) => e.cs.seal({ topic: 'a', payload: `${i}` }));
  const kids = new Set(records.map((r) => s.toHex(r.slice(1, 5))));
  assert.equal(kids.size, 4);
  for (const i of [0, 1, 3, 2, 4, 6]) assert.equal(s.text(e.ss.open(records[i], 'a', { now: NOW }).payload), `${i}`);
  assert.throws(() => e.ss.open(records[5], 'a', { now: NOW + 60_001 }), /UNKNOWN/);
  assert.equal(s.text(e.ss.open(records[5], 'a', { now: NOW + 59_000 }).payload), '5');
  assert.equal(s.text(e.ss.open(records[9], 'a', { now: NOW + 59_000 }).payload), '9');
});

bothSuites('a logical topic only by policy', (suite) => {
  const e = openSession(suite);
  const record = e.cs.seal({ topic: 'site/a', payload: 'x', logical: true });
  refused(() => e.ss.open(record, 'bridge/site/a'));
  assert.equal(e.ss.open(record, 'bridge/site/a', { allowLogical: true }).topic, 'site/a');
});

bothSuites('receipts', (suite) => {
  const e = openSession(suite);
  const got = e.ss.open(e.cs.seal({ topic: 'a', payload: 'x', wantReceipt: true }), 'a');
  const r = e.ss.receipt(e.id.skid, [{ kid: got.kid, seq: got.seq, status: got.status, flag: got.flag }]);
  const out = e.cs.open(r.payload, r.topic);
  assert.ok(out.isReceipts);
  assert.deepEqual(s.receiptsRead(out.payload), [{ kid: e.cs.sender.kid, seq: 0n, status: 0, flag: 1 }]);
  refused(() => s.receiptsRead(s.random(0)));
  refused(() => s.receiptsRead(s.random(15)));
  refused(() => s.receiptsRead(s.random(65 * 14)));
});

bothSuites('notices', (suite) => {
  const e = openSession(suite);
  const notice = s.noticeWrite(e.id, { kid: e.cs.sender.kid, ts: NOW });
  assert.equal(notice.length, 94);
  s.noticeRead(notice, e.id, { kids: e.cs.kids, now: NOW + 30_000 });
  refused(() => s.noticeRead(notice, e.id, { kids: e.cs.kids, now: NOW + 30_001 }));
  refused(() => s.noticeRead(notice, e.id, { kids: [s.random(4)], now: NOW }));
  for (const bit of someBits(notice))
    refused(() => s.noticeRead(flip(notice, bit), e.id, { kids: e.cs.kids, now: NOW }), `${bit}`);
});

bothSuites('registration', (suite) => {
  const id = s.identityNew({ suite, name: 'server' });
  const challenge = s.random(32);
  assert.deepEqual(s.registrationRead(s.registration.register(id)).descriptor.did, id.did);
  const proof = s.registration.proof(id, challenge, 'client-1');
  s.registrationVerify(proof, id, challenge, 'client-1');
  refused(() => s.registrationVerify(proof, id, challenge, 'client-2'));
  refused(() => s.registrationVerify(proof, id, s.random(32), 'client-1'));
  for (const bit of someBits(proof, 10))
    refused(() => s.registrationVerify(flip(proof, bit), id, challenge, 'client-1'), `${bit}`);
});

bothSuites('identities: lines, files, fingerprint, every flipped bit', (suite) => {
  const id = s.identityNew({ suite, name: 'größe', version: 7, notBefore: 1, notAfter: NOW });
  assert.deepEqual(s.publicLineRead(s.publicLineWrite(id, 'a comment')).did, id.did);
  assert.match(s.fingerprint(id), /^([A-Z2-7]{4}-){7}[A-Z2-7]{4}$/);
  const file = s.privateFileWrite(id);
  assert.deepEqual(s.privateFileRead(`# mine\n${file}`).skSig, id.skSig);
  const other = s.identityNew({ suite, name: 'other' });
  refused(() => s.privateFileRead(file.replace(/sign: .*/, `sign: ${s.toBase64url(other.skSig)}`)));
  refused(() => s.privateFileRead(file.replace(/kem: .*/, `kem: ${s.toBase64url(other.skKem)}`)));
  refused(() => s.publicLineRead(s.publicLineWrite(id).replace(`smqtt-${suite}`, 'smqtt-other')));
  for (const bit of someBits(id.bytes)) refused(() => s.descriptorRead(flip(id.bytes, bit)), `bit ${bit}`);
  refused(() => s.descriptorRead(s.cat(id.bytes, 0)));
  const resigned = (at, value) => {
    const core = s.coreWrite(id.suite, id);
    core[at] = value;
    return s.cat(core, s.sign(id.suite, id.skSig, 'descriptor', s.H(core)));
  };
  s.descriptorRead(resigned(2, 1));
  for (const [at, value] of [
    [0, 2],
    [2, 2],
    [2, 0x80],
    [3, 1],
  ])
    refused(() => s.descriptorRead(resigned(at, value)), `${at}`);
  refused(() => s.identityNew({ suite, name: 'n', notBefore: 5, notAfter: 5 }));
  refused(() => s.identityNew({ suite, name: 'n', tlvs: new Map([[1, s.random(2000)]]) }));
  for (const name of ['', 'x'.repeat(64), 'a\u0000b']) refused(() => s.identityNew({ suite, name }));
  s.identityNew({ suite, name: 'n', tlvs: new Map([[0x7f, s.random(3)]]) });
  refused(() => s.identityNew({ suite, name: 'n', tlvs: new Map([[0x80, s.random(3)]]) }));
  assert.deepEqual(
    [0, 1, NOW, NOW + 1].map((t) => s.descriptorInForce(id, t)),
    [false, true, true, false],
  );
});

test('bad keys and signatures are refused', () => {
  const x = s.suiteNamed('x25519');
  const p = s.suiteNamed('p256');
  const sk = x.sig.generate();
  refused(() => x.kem.dh(x.kem.generate(), new Uint8Array(32)));
  refused(() => x.kem.check(s.u8(1) && s.cat(1, new Uint8Array(31))));
  refused(() => x.sig.check(s.cat(1, new Uint8Array(31))), 'the neutral element');
  refused(() => x.sig.check(new Uint8Array(32).fill(0xff)), 'y is not reduced');
  refused(() => p.kem.check(s.cat(4, new Uint8Array(64))));
  refused(() => p.kem.check(p256Compressed(p)));
  const signature = s.sign(x, sk, 'l', info0);
  s.verify(x, x.sig.publicKey(sk), 'l', info0, signature);
  refused(() => s.verify(x, x.sig.publicKey(sk), 'm', info0, signature));
  refused(() =>
    s.verify(
      x,
      x.sig.publicKey(sk),
      'l',
      info0,
      addOrder(signature, 2n ** 252n + 27742317777372353535851937790883648493n),
    ),
  );
  const psk = p.sig.generate();
  const low = s.sign(p, psk, 'l', info0);
  s.verify(p, p.sig.publicKey(psk), 'l', info0, low);
  refused(() => s.verify(p, p.sig.publicKey(psk), 'l', info0, highS(low)));
});

const p256Compressed = (p) => s.cat(2, p.kem.publicKey(p.kem.generate()).slice(1, 33));

/** The same Ed25519 signature with S + L: it fits 32 bytes, and is not canonical. */
function addOrder(signature, order) {
  const value = BigInt(`0x${s.toHex(signature.slice(32).reverse())}`) + order;
  return s.cat(signature.slice(0, 32), s.uint(value, 32).reverse());
}

/** The same ECDSA signature with n - s. */
function highS(signature) {
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  return s.cat(signature.slice(0, 32), s.uint(n - BigInt(`0x${s.toHex(signature.slice(32))}`), 32));
}

test('TLV lists: order, twice, unknown, cut', () => {
  const read = (hex, known = [1, 2]) => s.tlvRead(new s.Reader(s.fromHex(hex)), known);
  assert.equal(read('0000').size, 0);
  assert.equal(read('00080100010a0200010b').size, 2);
  assert.equal(read('00047f0001ff').size, 0);
  for (const hex of [
    '00080200010b0100010a',
    '00080100010a0100010b',
    '0004800001ff',
    '00040100020a',
    '00020100',
    '0003010001',
    '00',
  ]) {
    refused(() => read(hex), hex);
  }
});

test('M is cut at a character boundary', () => {
  const at = (s0) => s.mOf(s.utf8(s0), true).length;
  assert.deepEqual(
    [at('x'.repeat(6144)), at('x'.repeat(6145)), at(`${'x'.repeat(6143)}ä`), at(`${'x'.repeat(6142)}ä`)],
    [6144, 6144, 6143, 6144],
  );
  assert.deepEqual([at(`${'x'.repeat(6141)}💧`), at(`${'x'.repeat(6140)}💧!`)], [6141, 6144]);
  assert.equal(s.mOf(s.random(9000), false).length, 40);
});

test("deterministic CBOR of a record's additional data", () => {
  const aad = s.recordAad(s.suiteNamed('x25519'), {
    ctx: new Uint8Array(32),
    way: 0,
    kid: s.fromHex('01020304'),
    seq: 256n,
    first: 0x81,
    topic: 'a/b',
  });
  const inner = `87${'68532d4d5154542f31'}5820${'00'.repeat(32)}004401020304190100188163612f62`;
  assert.equal(s.toHex(aad), `8368456e637279707430${'44a1011818'}58${(inner.length / 2).toString(16)}${inner}`);
});

let failed = 0;
for (const { name, run } of cases) {
  try {
    await run();
  } catch (e) {
    failed++;
    console.log(`FAILED ${name}\n  ${e.stack}`);
  }
}
console.log(`self: ${cases.length - failed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;

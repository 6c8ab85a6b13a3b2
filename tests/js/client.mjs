// SPDX-License-Identifier: Apache-2.0
// The role C of DETECT, protocol.md sections 4 and 5: IDLE → WAIT2 → WAIT_ACK → OPEN → CLOSED.
import { blob16, cat, equal, must, random, Refused, utf8 } from './bytes.mjs';
import {
  aad3,
  body2Read,
  body3Write,
  endingRead,
  HDR,
  head0Write,
  HF,
  hsOf,
  info1,
  info2,
  keyAndNonce,
  mOf,
  msOf,
  pt1Write,
  pt2Read,
  pt3Write,
  retryRead,
  sig2Content,
  sig3Content,
  STATUS,
  th1Of,
  th2Of,
  th3Of,
  TLV0,
} from './detect.mjs';
import { setupReceiver, setupSender } from './hpke.mjs';
import { Session } from './record.mjs';
import { H, open, seal, sign, verify } from './suites.mjs';

const CLOCK_MS = 30_000n;
const RTT_MS = 5_000;

/**
 * One handshake. `server` is a descriptor, `identity` the client's own or undefined, `credential` 'reference' or
 * 'full', `payload` and `isText` what is about to be published, `psk` { id, key }, `cookie` from a RETRY. `secrets`
 * (skX, skE, cid) are for vectors only, `forge3` changes what step 3 says for tests of servers.
 */
export class Client {
  constructor(options) {
    this.o = {
      clientId: '',
      topic: 't',
      payload: new Uint8Array(0),
      isText: false,
      credential: 'full',
      forge3: (f) => f,
      ...options,
    };
    this.suite = this.o.server.suite;
    must(!this.o.identity || this.o.identity.suite === this.suite, 'the client identity has another suite');
    this.state = 'IDLE';
    this.ignored = 0;
  }

  cred() {
    const id = this.o.identity;
    if (!id) return Uint8Array.of(0x00);
    return this.o.credential === 'reference' ? cat(0x01, id.did.slice(0, 8)) : cat(0x02, blob16(id.bytes));
  }

  /** Step 0: the packet to send. */
  start({ now = Date.now() } = {}) {
    const { server, identity, psk, cookie, padding, isText, secrets = {} } = this.o;
    const { suite } = this;
    this.skX = secrets.skX ?? suite.kem.generate();
    this.cid = secrets.cid ?? random(8);
    this.ts1 = BigInt(now);
    this.m = mOf(utf8(this.o.payload), isText);
    const { enc, context } = setupSender(suite, server.pkKem, info1(suite, server.did), { psk, skE: secrets.skE });
    const tlvs = new Map([
      [TLV0.COOKIE, cookie],
      [TLV0.PSK_ID, psk?.id],
      [TLV0.PADDING, padding],
    ]);
    const hasTlvs = cookie || psk || padding;
    this.hflags =
      HF.ALWAYS | (identity ? HF.SIGNED : 0) | (psk ? HF.PSK : 0) | (isText ? HF.TEXT : 0) | (hasTlvs ? HF.TLV : 0);
    const head = head0Write({
      suite,
      hflags: this.hflags,
      cid: this.cid,
      skid: server.skid,
      ts1: this.ts1,
      tlvs,
      enc1: enc,
    });
    const pkX = suite.kem.publicKey(this.skX);
    const pt1 = pt1Write({
      pkX,
      clientId: this.o.clientId,
      topic: this.o.topic,
      cred: this.cred(),
      tlvs: this.o.pt1Tlvs,
      m: this.m,
    });
    this.x1 = context.export('S-MQTT/1 x1', 32);
    this.body0 = cat(head, context.seal(cat(HDR.STEP0, head), pt1));
    this.th1 = th1Of(this.body0);
    this.state = 'WAIT2';
    return { header: HDR.STEP0, body: this.body0 };
  }

  /** Any packet from the server: { event, packet?, status? }. What does not authenticate is counted and ignored. */
  take({ header, body }, at = {}) {
    try {
      if (header === HDR.RETRY) return this.takeRetry(body);
      if (header === HDR.STEP2 || header === HDR.STEP2_BAD) return this.takeStep2(header, body, at);
      if (header === HDR.ACK) return this.takeAck(body);
      if (header === HDR.CLOSE) return this.takeClose(body);
      throw new Refused('a header that a client does not take');
    } catch (e) {
      if (!(e instanceof Refused)) throw e;
      this.ignored++;
      return { event: 'ignored', reason: e.message };
    }
  }

  takeRetry(body) {
    const f = retryRead(body);
    must(this.state === 'WAIT2' && equal(f.cid, this.cid), 'RETRY: not for this handshake');
    return { event: 'hint', ...f };
  }

  takeStep2(header, body, { now = Date.now(), rtt = 0, ts3 = now } = {}) {
    must(this.state === 'WAIT2', 'step 2: not awaited');
    const { suite } = this;
    const { cid, enc2, ct2 } = body2Read(suite, body);
    must(equal(cid, this.cid), 'step 2: another cid');
    const x2 = setupReceiver(suite, enc2, this.skX, info2(suite, this.th1)).export('S-MQTT/1 x2', 32);
    const hs = hsOf(this.x1, x2);
    const th2 = th2Of(this.th1, header, suite, cid, enc2);
    const k2 = keyAndNonce(suite, hs, 's hs', th2);
    const f = pt2Read(open(suite, k2.key, k2.nonce, th2, ct2));
    must(f.flag === (header === HDR.STEP2 ? 1 : 0), 'step 2: flag and header differ');
    verify(
      suite,
      this.o.server.pkSig,
      'step 2',
      sig2Content(th2, f.signed, this.o.identity?.did, this.o.server.did),
      f.sig2,
    );
    this.reply = f;
    const status = this.judge(header, f, BigInt(now), rtt);
    return this.report({ hs, th2, ct2, status, rtt, ts3 });
  }

  /** The status that decides between confirming and rejecting. */
  judge(header, f, now, rtt) {
    const distance = f.ts2 - this.ts1;
    if (f.status !== STATUS.OK) return f.status;
    if (f.flag !== 1) return STATUS.MOJIBAKE;
    if (!equal(f.hM, H(this.m))) return STATUS.HASH_MISMATCH;
    if (distance > CLOCK_MS || distance < -CLOCK_MS || rtt > RTT_MS) return STATUS.DELAY;
    return STATUS.OK;
  }

  /** Step 3, confirming or rejecting. */
  report({ hs, th2, ct2, status, rtt, ts3 }) {
    const { suite, cid } = this;
    const { server, identity } = this.o;
    const good = status === STATUS.OK;
    const header = good ? HDR.STEP3 : HDR.STEP3_BAD;
    const th3 = th3Of(th2, ct2, header);
    const k3 = keyAndNonce(suite, hs, 'c hs', th3);
    const signed = pt3Write(this.o.forge3({ verdict: good ? 1 : 0, ts3, rtt }));
    const sig3 = identity
      ? sign(suite, identity.skSig, 'step 3', sig3Content(th3, signed, server.did, identity.did))
      : new Uint8Array(0);
    const ct3 = seal(suite, k3.key, k3.nonce, aad3(th3, cid, server.skid), cat(signed, sig3));
    const packet = { header, body: body3Write({ cid, skid: server.skid, ct3 }) };
    this.keys = { ms: msOf(hs, th3, ct3), th3, ct3, cid };
    this.x1 = this.skX = null;
    this.state = good ? 'WAIT_ACK' : 'CLOSED';
    if (good)
      this.session = new Session({
        role: 'C',
        suite,
        ...this.keys,
        window: this.reply.window,
        rekey: this.reply.rekey,
      });
    return { event: good ? 'confirmed' : 'rejected', packet, status };
  }

  takeAck(body) {
    must(this.state === 'WAIT_ACK', 'acknowledgement: not awaited');
    const f = endingRead(this.suite, HDR.ACK, body, this.keys);
    this.state = f.status === STATUS.OK ? 'OPEN' : 'CLOSED';
    return { event: f.status === STATUS.OK ? 'open' : 'closed', status: f.status };
  }

  takeClose(body) {
    must(this.state === 'WAIT_ACK' || this.state === 'OPEN', 'close: no session');
    const f = endingRead(this.suite, HDR.CLOSE, body, this.keys);
    this.session.state = this.state = 'CLOSED';
    return { event: 'closed', status: f.status };
  }
}

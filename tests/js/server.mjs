// SPDX-License-Identifier: Apache-2.0
// The role S of DETECT, protocol.md sections 4 and 5: WAIT3 → OPEN → CLOSED for each cid.
import { hmac } from '@noble/hashes/hmac';
import { sha256 } from '@noble/hashes/sha2';
import { cat, equal, must, random, Reader, Refused, text, toHex, u64, utf8 } from './bytes.mjs';
import {
  aad3,
  body0Read,
  body2Write,
  body3Read,
  endingWrite,
  HDR,
  HF,
  hsOf,
  info1,
  info2,
  keyAndNonce,
  msOf,
  pt1Read,
  pt2Write,
  pt3Read,
  retryWrite,
  sig2Content,
  sig3Content,
  STATUS,
  th1Of,
  th2Of,
  th3Of,
  TLV0,
} from './detect.mjs';
import { setupReceiver, setupSender } from './hpke.mjs';
import { descriptorInForce, descriptorRead, FLAG_NO_ANONYMOUS, VER } from './identity.mjs';
import { Session } from './record.mjs';
import { H, open, seal, sign, verify } from './suites.mjs';

const CLOCK_MS = 30_000n;
const ENTRIES = 1024;
const WAIT3_MS = 30_000;
const SEEN_MS = 60_000;

/**
 * A server. `identity` is its own, `clients` the descriptors that it knows, `psks` a list of { id, key }, `pipeline`
 * turns text into what the application holds, `authorize(descriptor or null, topic)` says whether a client may in,
 * `always` asks everybody for a cookie. `secrets(f)` gives { skE, sessionId, ts2, ts4 } for vectors, `forge2` changes
 * what step 2 says for tests of clients.
 */
export class Server {
  constructor(options) {
    this.o = {
      clients: [],
      psks: [],
      pipeline: (m) => m,
      authorize: () => true,
      window: 1024,
      rekey: 2 ** 20,
      secrets: () => ({}),
      always: false,
      forge2: (fields) => fields,
      ...options,
    };
    this.entries = new Map();
    this.cookieKey = random(32);
    this.ignored = 0;
  }

  cookie(now) {
    const ts = u64(now);
    return cat(ts, hmac(sha256, this.cookieKey, ts).slice(0, 16));
  }

  cookieIsValid(cookie, now) {
    if (!cookie || cookie.length !== 24) return false;
    const ts = new Reader(cookie).u64();
    return equal(cookie, this.cookie(ts)) && BigInt(now) - ts <= CLOCK_MS && BigInt(now) >= ts;
  }

  /** Any packet from a client. Returns { event, packet?, session?, … }. */
  take({ header, body }, { now = Date.now(), tunnel = false } = {}) {
    this.forget(now);
    try {
      if (header === (tunnel ? HDR.STEP0 : HDR.STEP1)) return this.takeStep1(body, now);
      if (header === HDR.STEP3 || header === HDR.STEP3_BAD) return this.takeStep3(header, body, now);
      throw new Refused('a header that a server does not take');
    } catch (e) {
      if (!(e instanceof Refused)) throw e;
      this.ignored++;
      const packet = header & HDR.STEP0 && e.code >= 0x20 ? this.retry(body, e.code, now) : undefined;
      return { event: 'ignored', reason: e.message, packet };
    }
  }

  forget(now) {
    for (const [id, entry] of this.entries) {
      if (now - entry.since > (entry.state === 'WAIT3' ? WAIT3_MS : SEEN_MS) && entry.state !== 'OPEN')
        this.entries.delete(id);
    }
  }

  retry(body, code, now) {
    if (body.length < 12) return undefined;
    const cookie = code === STATUS.COOKIE ? this.cookie(now) : undefined;
    const suites = 1 << (this.o.identity.suite.id - 1);
    return {
      header: HDR.RETRY,
      body: retryWrite({ suite: this.o.identity.suite.id, cid: body.slice(4, 12), code, ts2: now, cookie, suites }),
    };
  }

  takeStep1(body, now) {
    const { identity } = this.o;
    must(body.length >= 20 && body[0] === VER, 'step 1: length or version');
    must(body[1] === identity.suite.id, 'step 1: another suite', STATUS.SUITE);
    must(equal(body.slice(12, 20), identity.skid), 'step 1: another server', STATUS.UNKNOWN_SERVER);
    const f = body0Read(body);
    const before = this.entries.get(toHex(f.cid));
    if (before) {
      must(equal(before.body0, body) && before.packet2, 'step 1: the cid was seen before', STATUS.REFUSED);
      return { event: 'duplicate', packet: before.packet2 };
    }
    const waiting = [...this.entries.values()].filter((e) => e.state === 'WAIT3').length;
    const hasCookie = this.cookieIsValid(f.tlvs.get(TLV0.COOKIE), now);
    const distance = BigInt(now) - f.ts1;
    must(hasCookie || (distance <= CLOCK_MS && distance >= -CLOCK_MS), 'step 1: clocks too far apart', STATUS.COOKIE);
    must(hasCookie || (!this.o.always && waiting <= ENTRIES / 2), 'step 1: a cookie is wanted', STATUS.COOKIE);
    must(waiting < ENTRIES, 'step 1: no room', STATUS.BUSY);
    try {
      return this.answer(f, body, now);
    } catch (e) {
      throw e instanceof Refused ? new Refused(e.message, STATUS.REFUSED) : e;
    }
  }

  pskOf(f) {
    if (!(f.hflags & HF.PSK)) return undefined;
    const found = this.o.psks.find((p) => equal(p.id, f.tlvs.get(TLV0.PSK_ID)));
    must(found, 'step 1: unknown psk id');
    return found;
  }

  clientOf(f, p, now) {
    must((p.credKind !== 0) === ((f.hflags & HF.SIGNED) !== 0), 'step 1: credential and hflags differ');
    if (p.credKind === 0) {
      must(!(this.o.identity.flags & FLAG_NO_ANONYMOUS), 'step 1: a credential is required');
      return null;
    }
    const known = this.o.clients.filter((d) => p.credKind === 1 && equal(d.did.slice(0, 8), p.cred));
    must(p.credKind === 2 || known.length === 1, 'step 1: not exactly one such descriptor');
    const client = p.credKind === 2 ? descriptorRead(p.cred) : known[0];
    must(client.suite === f.suite, 'step 1: the credential has another suite');
    must(descriptorInForce(client, now), 'step 1: the credential is not in force');
    return client;
  }

  answer(f, body, now) {
    const { identity } = this.o;
    const { suite } = f;
    const context = setupReceiver(suite, f.enc1, identity.skKem, info1(suite, identity.did), this.pskOf(f));
    const p = pt1Read(suite, context.open(cat(HDR.STEP0, f.head), f.ct1));
    const client = this.clientOf(f, p, now);
    const isText = (f.hflags & HF.TEXT) !== 0;
    must(isText || p.m.length === 40, 'step 1: M of binary');
    must(!isText || p.m.length <= 6144, 'step 1: M is too long');
    const held = isText ? this.o.pipeline(p.m) : p.m;
    const intact = equal(held, p.m) && (!isText || text(p.m) !== null);
    const allowed = this.o.authorize(client, text(p.topic));
    const status = !allowed ? STATUS.NOT_AUTHORIZED : intact ? STATUS.OK : STATUS.MOJIBAKE;
    const entry = {
      state: 'WAIT3',
      since: now,
      body0: body,
      cid: f.cid,
      suite,
      signed: p.credKind !== 0,
      client,
      status,
      pt1: p,
      isText,
    };
    this.reply(entry, { f, p, x1: context.export('S-MQTT/1 x1', 32), held, intact, now });
    this.entries.set(toHex(f.cid), entry);
    return {
      event: 'step1',
      packet: entry.packet2,
      client,
      status,
      topic: text(p.topic),
      clientId: text(p.clientId),
      m: p.m,
    };
  }

  reply(entry, { f, p, x1, held, intact, now }) {
    const { identity, window, rekey } = this.o;
    const { suite } = f;
    const { skE, sessionId = random(4), ts2 = now } = this.o.secrets(f);
    const th1 = th1Of(entry.body0);
    const { enc, context } = setupSender(suite, p.pkX, info2(suite, th1), { skE });
    const hs = hsOf(x1, context.export('S-MQTT/1 x2', 32));
    const header = intact ? HDR.STEP2 : HDR.STEP2_BAD;
    const th2 = th2Of(th1, header, suite, f.cid, enc);
    const fields = { status: entry.status, flag: intact ? 1 : 0, ts2, sessionId, window, rekey, hM: H(held) };
    const signed = pt2Write(this.o.forge2(fields));
    const sig2 = sign(suite, identity.skSig, 'step 2', sig2Content(th2, signed, entry.client?.did, identity.did));
    const k2 = keyAndNonce(suite, hs, 's hs', th2);
    const ct2 = seal(suite, k2.key, k2.nonce, th2, cat(signed, sig2));
    Object.assign(entry, {
      hs,
      th2,
      ct2,
      sessionId,
      packet2: { header, body: body2Write({ suite, cid: f.cid, enc2: enc, ct2 }) },
    });
  }

  takeStep3(header, body, now) {
    const { identity } = this.o;
    const { cid, skid, ct3 } = body3Read(body);
    const entry = this.entries.get(toHex(cid));
    must(entry && equal(skid, identity.skid), 'step 3: no such handshake');
    if (entry.body3 && entry.header3 === header && equal(entry.body3, body))
      return { event: 'duplicate', packet: entry.ack };
    must(entry.state === 'WAIT3', 'step 3: not awaited');
    const { suite } = entry;
    const th3 = th3Of(entry.th2, entry.ct2, header);
    const k3 = keyAndNonce(suite, entry.hs, 'c hs', th3);
    const f = pt3Read(open(suite, k3.key, k3.nonce, aad3(th3, cid, skid), ct3), entry.signed);
    must(f.verdict === (header === HDR.STEP3 ? 1 : 0), 'step 3: verdict and header differ');
    if (entry.signed)
      verify(suite, entry.client.pkSig, 'step 3', sig3Content(th3, f.signed, identity.did, entry.client.did), f.sig3);
    const ms = msOf(entry.hs, th3, ct3);
    entry.hs = null;
    entry.since = now;
    entry.state = 'CLOSED';
    if (f.verdict === 0 || entry.status !== STATUS.OK) return { event: 'rejected', cid };
    const session = new Session({ role: 'S', suite, ms, th3, ct3, cid, window: this.o.window, rekey: this.o.rekey });
    const ack = {
      header: HDR.ACK,
      body: endingWrite(suite, HDR.ACK, { ms, th3, cid, status: STATUS.OK, ts: this.o.secrets(entry).ts4 ?? now }),
    };
    Object.assign(entry, { state: 'OPEN', header3: header, body3: body, ack, session });
    return {
      event: 'open',
      packet: ack,
      session,
      client: entry.client,
      class: entry.client ? 'PEER' : 'PEER_ANON',
      rtt: f.rtt,
    };
  }
}

/** What `pipeline` looks like for an application that holds its text in another encoding. */
export function throughEncoding(encoding) {
  return (m) => utf8(Buffer.from(text(m) ?? '', encoding).toString(encoding));
}

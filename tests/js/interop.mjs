// SPDX-License-Identifier: Apache-2.0
// Whole sessions against another implementation, in both roles, both suites, without and with a client credential, with
// wrong packets thrown in. `node interop.mjs <program> [arguments…]` starts the program once for each kind of session
// and speaks to it as peer.mjs describes; without a program it is peer.mjs itself. SMQTT_SEED repeats a run,
// SMQTT_SESSIONS shortens it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import {
  detectRead,
  detectWrite,
  FRAME,
  frameSplitter,
  lineRead,
  lineWrite,
  publishRead,
  publishWrite,
} from './frames.mjs';
import * as s from './smqtt.mjs';

const SESSIONS = Number(process.env.SMQTT_SESSIONS ?? 50);
const SEED = process.env.SMQTT_SEED ?? randomBytes(6).toString('hex');
const ANSWER_MS = 10_000;
const { HDR, STATUS } = s;

/** Repeatable choices, which have nothing to do with the keys. */
class Chance {
  constructor(seed) {
    this.seed = seed;
    this.n = 0;
  }
  below(limit) {
    return createHash('sha256').update(`${this.seed}/${this.n++}`).digest().readUInt32BE(0) % limit;
  }
  bytes(n) {
    return Uint8Array.from({ length: n }, () => this.below(256));
  }
  text(n) {
    const ranges = [
      [0x20, 0x7e],
      [0xa1, 0x17f],
      [0x391, 0x3c9],
      [0x3042, 0x3093],
      [0x4e00, 0x9fa5],
      [0x1f300, 0x1f5ff],
      [0x300, 0x36f],
    ];
    return Array.from({ length: n }, () => {
      const [from, to] = ranges[this.below(ranges.length)];
      return String.fromCodePoint(from + this.below(to - from + 1));
    }).join('');
  }
  /** Something to publish: text or not, often short, sometimes longer than what step 0 shows. */
  message() {
    const length = this.below(20) === 0 ? 2500 : this.below(60);
    const isText = this.below(3) > 0;
    return {
      isText,
      payload: isText ? s.utf8(this.text(length)) : this.bytes(length),
      topic: `t/${this.text(1 + this.below(9)).replace(/[+#]/g, 'x')}`,
    };
  }
  /** The same bytes with one bit turned. */
  flip(bytes) {
    const out = bytes.slice();
    out[this.below(out.length)] ^= 1 << this.below(8);
    return out;
  }
}

/** The other side. */
class Peer {
  constructor(command) {
    this.child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
    this.frames = [];
    this.ended = new Promise((resolve) => this.child.on('close', (code, signal) => resolve({ code, signal })));
    this.ended.then((how) => {
      this.how = how;
      this.wake?.();
    });
    this.child.stdin.on('error', () => {});
    this.child.on('error', (e) => console.log(`the peer does not start: ${e.message}`));
    this.child.stdout.on(
      'data',
      frameSplitter((type, payload) => {
        this.frames.push({ type, payload });
        this.wake?.();
      }),
    );
  }
  write(bytes) {
    this.child.stdin.write(bytes);
  }
  command(verb, fields) {
    this.write(lineWrite(FRAME.COMMAND, verb, fields));
  }
  detect(packet) {
    this.write(detectWrite(packet));
  }
  publish(topic, payload) {
    this.write(publishWrite({ topic, payload }));
  }
  async next(what) {
    const end = Date.now() + ANSWER_MS;
    while (this.frames.length === 0) {
      if (this.how) throw new Error(`the peer ended (${JSON.stringify(this.how)}) while ${what} was awaited`);
      if (Date.now() > end) throw new Error(`no answer in ${ANSWER_MS} ms while ${what} was awaited`);
      await new Promise((resolve) => {
        this.wake = resolve;
        setTimeout(resolve, 1000).unref();
      });
    }
    return this.frames.shift();
  }
  /** The next packet with one of these headers; what answers wrong packets is passed over, a delivery is not. */
  async nextDetect(headers) {
    for (;;) {
      const f = await this.next(`DETECT ${headers}`);
      if (f.type === FRAME.DETECT && headers.includes(f.payload[0])) return detectRead(f.payload);
      this.mayPass(f);
    }
  }
  async nextEvent(verb) {
    for (;;) {
      const f = await this.next(`event ${verb}`);
      const line = f.type === FRAME.EVENT ? lineRead(f.payload) : {};
      if (line.verb === verb) return line;
      this.mayPass(f);
    }
  }
  async nextPublish() {
    for (;;) {
      const f = await this.next('PUBLISH');
      if (f.type === FRAME.PUBLISH && !/^smqtt1\/[0-9a-f]{16}\/n\//.test(publishRead(f.payload).topic))
        return publishRead(f.payload);
      this.mayPass(f);
    }
  }
  mayPass({ type, payload }) {
    if (type === FRAME.DETECT) return assert.equal(payload[0], HDR.RETRY, 'only a hint answers a wrong packet');
    if (type === FRAME.EVENT) {
      return assert.ok(
        ['ignored', 'dropped', 'hint', 'open', 'closed'].includes(lineRead(payload).verb),
        s.text(payload),
      );
    }
    return assert.match(publishRead(payload).topic, /\/n\//, 'only a notice answers a wrong record');
  }
  async stop() {
    this.child.stdin.end();
    const timer = setTimeout(() => this.child.kill(), 5000);
    const how = await this.ended;
    clearTimeout(timer);
    assert.deepEqual(how, { code: 0, signal: null }, 'the peer ends well');
  }
}

const flag = (b) => (b ? 1 : 0);
const sealFields = (m, more) => ({
  topic: s.toHex(s.utf8(m.topic)),
  text: flag(m.isText),
  payload: s.toHex(m.payload),
  ...more,
});

function checkDelivered(line, m) {
  assert.deepEqual(
    [line.topic, line.text, line.payload ?? ''],
    [s.toHex(s.utf8(m.topic)), `${flag(m.isText)}`, s.toHex(m.payload)],
  );
}

/** Opens what the peer has sealed; turned bits, other topics and repetitions before and after do not open. */
function openHere(session, { topic, payload }, m, chance) {
  assert.throws(() => session.open(chance.flip(payload), topic), s.Refused);
  assert.throws(() => session.open(payload, `${topic}x`), s.Refused);
  const got = session.open(payload, topic);
  assert.deepEqual([s.toHex(got.payload), got.isText, got.topic], [s.toHex(m.payload), m.isText, m.topic]);
  assert.throws(() => session.open(payload, topic), /REPLAY/);
  return got;
}

/** Sends a record there, with wrong ones before and behind it, and waits for the delivery. */
async function deliverThere(peer, session, m, chance, wantReceipt) {
  const record = session.seal({ ...m, wantReceipt });
  peer.publish(m.topic, chance.flip(record));
  peer.publish(`${m.topic}x`, record);
  peer.publish(m.topic, record);
  checkDelivered(await peer.nextEvent('delivered'), m);
  return record;
}

/** JavaScript is the client. */
async function asClient(peer, { suite, mutual, chance, server }) {
  const own = mutual ? s.identityNew({ suite, name: `js ${chance.text(3)}` }) : undefined;
  const m = chance.message();
  const C = new s.Client({ server, identity: own, clientId: chance.text(5), ...m });
  const step0 = C.start().body;
  peer.detect({ header: HDR.STEP1, body: chance.flip(step0) });
  peer.detect({ header: HDR.STEP1, body: step0 });
  const step2 = await peer.nextDetect([HDR.STEP2, HDR.STEP2_BAD]);
  peer.detect({ header: HDR.STEP1, body: step0 });
  assert.deepEqual(await peer.nextDetect([HDR.STEP2, HDR.STEP2_BAD]), step2, 'a duplicate has the stored answer');
  assert.equal(C.take({ ...step2, body: chance.flip(step2.body) }).event, 'ignored');
  const r = C.take(step2, { rtt: 1 });
  assert.equal(r.event, 'confirmed', `${r.reason ?? r.status}`);
  peer.detect({ ...r.packet, body: chance.flip(r.packet.body) });
  peer.detect({ ...r.packet, header: HDR.STEP3_BAD });
  peer.detect(r.packet);
  const line = await openOf(peer, C, chance);
  assert.deepEqual(
    [line.class, line.name ?? ''],
    [mutual ? 'PEER' : 'PEER_ANON', mutual ? s.toHex(s.utf8(own.name)) : ''],
  );
  const cid = s.toHex(C.cid);
  for (let i = 0; i < 3; i++) {
    const up = i === 0 ? m : chance.message();
    const record = await deliverThere(peer, C.session, up, chance, i < 2);
    if (i < 2) checkReceipt(C, await peer.nextPublish(), record);
    const down = chance.message();
    peer.command('seal', sealFields(down, { receipt: 0, cid }));
    openHere(C.session, await peer.nextPublish(), down, chance);
  }
  if (chance.below(4) === 0) {
    peer.command('close', { cid });
    assert.equal(C.take(await peer.nextDetect([HDR.CLOSE])).event, 'closed');
  }
}

/** Takes the acknowledgement and the event in either order. */
async function openOf(peer, C, chance) {
  let line;
  for (let acked = false; !acked || !line;) {
    const f = await peer.next('the acknowledgement and the event open');
    if (f.type === FRAME.DETECT && f.payload[0] === HDR.ACK) {
      const packet = detectRead(f.payload);
      assert.equal(C.take({ ...packet, body: chance.flip(packet.body) }).event, 'ignored');
      assert.equal(C.take(packet).event, 'open');
      acked = true;
    } else if (f.type === FRAME.EVENT && lineRead(f.payload).verb === 'open') line = lineRead(f.payload);
    else peer.mayPass(f);
  }
  return line;
}

function checkReceipt(C, { topic, payload }, record) {
  assert.equal(topic, s.serverToClientTopic(C.o.server.skid, C.cid));
  const got = C.session.open(payload, topic);
  assert.ok(got.isReceipts);
  const { kid, seq } = s.recordRead(record);
  assert.deepEqual(s.receiptsRead(got.payload), [{ kid, seq, status: STATUS.OK, flag: 1 }]);
}

/** JavaScript is the server. */
async function asServer(peer, { suite, mutual, chance, other }) {
  const identity = s.identityNew({ suite, name: `js ${chance.text(3)}` });
  const S = new s.Server({ identity, rekey: 2 + chance.below(3), window: 64 + chance.below(2000) });
  const m = chance.message();
  const clientid = s.toHex(s.utf8(chance.text(5)));
  peer.command('connect', sealFields(m, { server: s.toHex(identity.bytes), mutual: flag(mutual), clientid }));
  const step0 = await peer.nextDetect([HDR.STEP0]);
  assert.equal(S.take({ header: HDR.STEP1, body: chance.flip(step0.body) }).event, 'ignored');
  const r1 = S.take({ header: HDR.STEP1, body: step0.body });
  assert.equal(r1.event, 'step1', r1.reason);
  assert.deepEqual([r1.topic, s.toHex(s.utf8(r1.clientId))], [m.topic, clientid]);
  assert.deepEqual(r1.m, s.mOf(m.payload, m.isText));
  peer.detect({ ...r1.packet, body: chance.flip(r1.packet.body) });
  peer.detect({ ...r1.packet, header: HDR.STEP2_BAD });
  peer.detect(r1.packet);
  const step3 = await peer.nextDetect([HDR.STEP3, HDR.STEP3_BAD]);
  assert.equal(S.take({ ...step3, body: chance.flip(step3.body) }).event, 'ignored');
  const r3 = S.take(step3);
  assert.equal(r3.event, 'open', r3.reason);
  assert.deepEqual(r3.client?.did, mutual ? other.did : undefined);
  peer.detect({ ...r3.packet, body: chance.flip(r3.packet.body) });
  peer.detect(r3.packet);
  await peer.nextEvent('open');
  for (let i = 0; i < 3; i++) {
    const up = i === 0 ? m : chance.message();
    peer.command('seal', sealFields(up, { receipt: 1 }));
    const got = openHere(r3.session, await peer.nextPublish(), up, chance);
    const receipt = r3.session.receipt(identity.skid, [
      { kid: got.kid, seq: got.seq, status: got.status, flag: got.flag },
    ]);
    peer.publish(receipt.topic, chance.flip(receipt.payload));
    peer.publish(receipt.topic, receipt.payload);
    const line = await peer.nextEvent('receipt');
    assert.deepEqual([line.kid, line.seq, line.status, line.flag], [s.toHex(got.kid), `${got.seq}`, '0', '1']);
    await deliverThere(peer, r3.session, chance.message(), chance, false);
  }
  if (chance.below(4) === 0) {
    peer.detect(r3.session.closeWrite(STATUS.CLOSED, Date.now()));
    await peer.nextEvent('closed');
  }
}

/** One kind of session, SESSIONS times, with one process on the other side. */
async function kind(command, { suite, mutual, role }) {
  const peer = new Peer(command);
  const name = s.toHex(s.utf8('peer'));
  peer.command('identity', { suite, name });
  const other = s.descriptorRead(s.fromHex((await peer.nextEvent('identity')).descriptor));
  if (role === 'client') peer.command('listen');
  for (let i = 0; i < SESSIONS; i++) {
    const chance = new Chance(`${SEED}/${suite}/${mutual}/${role}/${i}`);
    try {
      await (role === 'client' ? asClient : asServer)(peer, { suite, mutual, chance, server: other, other });
    } catch (e) {
      peer.child.kill();
      throw new Error(
        `session ${i} of ${suite}, ${mutual ? 'mutual' : 'anonymous'}, JavaScript as ${role}: ${e.stack}`,
      );
    }
  }
  await peer.stop();
}

const program = process.argv.slice(2);
const command = program.length > 0 ? program : [process.execPath, fileURLToPath(new URL('peer.mjs', import.meta.url))];
const kinds = ['x25519', 'p256'].flatMap((suite) =>
  [false, true].flatMap((mutual) => ['client', 'server'].map((role) => ({ suite, mutual, role }))),
);
let passed = 0;
for (const k of kinds) {
  try {
    await kind(command, k);
    passed += SESSIONS;
  } catch (e) {
    console.log(`FAILED with SMQTT_SEED=${SEED}: ${e.message}`);
  }
}
console.log(`interop: ${passed} of ${kinds.length * SESSIONS} sessions passed`);
process.exitCode = passed === kinds.length * SESSIONS ? 0 : 1;

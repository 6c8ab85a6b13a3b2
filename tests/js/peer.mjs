// SPDX-License-Identifier: Apache-2.0
// A session peer in JavaScript: what interop.mjs talks to when no other is named, so that interop.mjs itself is tested.
// Another peer speaks the same over stdin and stdout. Frames: frames.mjs. Bytes in lines are hexadecimal.
//
// Commands:  identity suite=x25519|p256 name=…       makes the peer's own identity; answered by the event identity
//            listen                                   from now on the peer is a server
//            connect server=… mutual=0|1 clientid=… topic=… text=0|1 payload=…    starts a handshake with server
//            seal topic=… text=0|1 receipt=0|1 payload=… [cid=…]    seals; a server names the session by cid
//            close cid=…                              a server closes the session
// Events:    identity descriptor=…
//            open cid=… class=PEER|PEER_ANON|SERVER name=…
//            rejected cid=… status=…
//            delivered cid=… topic=… text=0|1 payload=… class=…
//            receipt kid=… seq=… status=… flag=…      one for each entry, at a client
//            dropped kind=… | ignored reason=… | closed status=… | notice kid=…
// A client sends DETECT with header 0x01, a server takes 0x03. A server answers a record that wants a receipt by a
// PUBLISH on smqtt1/<skid>/s/<cid>, a record of an unknown kid by a notice. Names (also in events), client ids, topics
// and payloads are bytes.
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

const out = (bytes) => process.stdout.write(bytes);
const event = (verb, fields) => out(lineWrite(FRAME.EVENT, verb, fields));
let identity;
let server;
let client;
const sessions = new Map();

const commands = {
  identity: ({ suite, name }) => {
    identity = s.identityNew({ suite, name: s.text(s.fromHex(name)) });
    event('identity', { descriptor: s.toHex(identity.bytes) });
  },
  listen: () => {
    server = new s.Server({ identity });
  },
  connect: (c) => {
    client = new s.Client({
      server: s.descriptorRead(s.fromHex(c.server)),
      identity: c.mutual === '1' ? identity : undefined,
      clientId: s.text(s.fromHex(c.clientid)),
      topic: s.text(s.fromHex(c.topic)),
      isText: c.text === '1',
      payload: s.fromHex(c.payload ?? ''),
    });
    out(detectWrite(client.start()));
  },
  seal: (c) => {
    const topic = s.text(s.fromHex(c.topic));
    const session = client ? client.session : sessions.get(c.cid);
    const payload = session.seal({
      topic,
      payload: s.fromHex(c.payload ?? ''),
      isText: c.text === '1',
      wantReceipt: c.receipt === '1',
    });
    out(publishWrite({ topic, payload }));
  },
  close: ({ cid }) => {
    out(detectWrite(sessions.get(cid).closeWrite(s.STATUS.CLOSED, Date.now())));
    sessions.delete(cid);
  },
};

function takeDetect(packet) {
  const r = client ? client.take(packet) : server.take(packet);
  if (r.packet) out(detectWrite(r.packet));
  const cid = client ? s.toHex(client.cid) : r.session && s.toHex(r.session.cid);
  if (r.session) sessions.set(cid, r.session);
  if (r.event === 'ignored') event('ignored', { reason: r.reason.replace(/ /g, '_') });
  if (r.event === 'rejected') event('rejected', { cid, status: r.status ?? 0 });
  if (r.event === 'closed') event('closed', { status: r.status });
  if (r.event === 'open')
    event('open', { cid, class: r.class ?? 'SERVER', name: s.toHex(s.utf8(r.client?.name ?? '')) });
}

function takeNotice({ payload }) {
  const f = s.noticeRead(payload, client.o.server, { kids: client.session.kids, now: Date.now() });
  event('notice', { kid: s.toHex(f.kid) });
}

/** The session of a record: the one whose kid it bears. */
function openAny(payload, topic) {
  const all = client ? [client.session] : [...sessions.values()];
  for (const session of all) {
    try {
      return { session, got: session.open(payload, topic) };
    } catch (e) {
      if (e.kind !== 'UNKNOWN') throw e;
    }
  }
  const kid = s.recordRead(payload).kid;
  if (server)
    out(
      publishWrite({
        topic: s.noticeTopic(identity.skid, kid),
        payload: s.noticeWrite(identity, { kid, ts: Date.now() }),
      }),
    );
  throw new s.Dropped('UNKNOWN');
}

function takePublish({ topic, payload }) {
  if (client && /\/n\//.test(topic)) return takeNotice({ payload });
  const { session, got } = openAny(payload, topic);
  if (got.isReceipts) {
    for (const e of s.receiptsRead(got.payload)) {
      event('receipt', { kid: s.toHex(e.kid), seq: e.seq, status: e.status, flag: e.flag });
    }
    return undefined;
  }
  event('delivered', {
    cid: s.toHex(session.cid),
    topic: s.toHex(s.utf8(got.topic)),
    text: got.isText ? 1 : 0,
    payload: s.toHex(got.payload),
  });
  if (got.wantsReceipt && server) {
    out(
      publishWrite(
        session.receipt(identity.skid, [{ kid: got.kid, seq: got.seq, status: got.status, flag: got.flag }]),
      ),
    );
  }
  return undefined;
}

process.stdin.on(
  'data',
  frameSplitter((type, payload) => {
    try {
      if (type === FRAME.COMMAND) commands[lineRead(payload).verb](lineRead(payload));
      if (type === FRAME.DETECT) takeDetect(detectRead(payload));
      if (type === FRAME.PUBLISH) takePublish(publishRead(payload));
    } catch (e) {
      if (!(e instanceof s.Refused)) throw e;
      event('dropped', { kind: e.kind ?? 'FORM', reason: e.message.replace(/ /g, '_') });
    }
  }),
);

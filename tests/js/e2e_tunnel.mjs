// SPDX-License-Identifier: Apache-2.0
// The tunnel (protocol.md 9.6) by the second implementation, over MQTT.js: its client with `smqtt sub` as the server,
// its server with `smqtt pub` and `smqtt detect` as clients, through aedes and, where its path is named, through smqttd
// with both sides told to take the tunnel. Nobody but the two ends sees the text.
// Usage: node e2e_tunnel.mjs SMQTT [SMQTTD]
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import aedes from 'aedes';
import mqtt from 'mqtt';
import * as s from './smqtt.mjs';

const PATIENCE_MS = 20000;
const TEXT = 'あいうえお through the tunnel';
const [tool, smqttd] = process.argv.slice(2);
if (!tool) {
  console.error('Usage: node e2e_tunnel.mjs SMQTT [SMQTTD]');
  process.exit(2);
}
const dir = mkdtempSync(join(tmpdir(), 'smqtt-tunnel-'));
const children = new Set();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

function within(promise, what, ms = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`after ${ms} ms still not: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A program whose output is gathered; `saw(pattern)` waits for it, `ended` is its exit code. */
function run(program, ...args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const wake = new Set();
  const self = { out: '', err: '', stop: () => child.kill('SIGTERM') };
  const take = (name) => (data) => {
    self[name] += data;
    for (const look of wake) look();
  };
  children.add(child);
  child.stdout.on('data', take('out'));
  child.stderr.on('data', take('err'));
  self.ended = new Promise((resolve) => child.once('close', resolve)).then((code) => {
    children.delete(child);
    return code;
  });
  self.saw = (pattern) =>
    within(
      new Promise((resolve, reject) => {
        const look = () => {
          const found = (self.out + self.err).match(pattern);
          if (found) resolve(found);
        };
        wake.add(look);
        look();
        self.ended.then((code) => reject(new Error(`${args.join(' ')}: ended with ${code}: ${self.out}${self.err}`)));
      }),
      `${args.join(' ')} says ${pattern}: ${self.err}`,
    );
  return self;
}

async function smqtt(...args) {
  const child = run(tool, ...args);
  const code = await within(child.ended, args.join(' '));
  return { code, out: child.out, err: child.err };
}

/** An MQTT.js client that gives what comes to `on(topic, payload)`. */
async function connect(port, protocolVersion, clientId, on) {
  const client = mqtt.connect({ host: '127.0.0.1', port, protocolVersion, clientId, reconnectPeriod: 0 });
  client.on('message', (topic, payload) => on(topic, new Uint8Array(payload)));
  await within(
    new Promise((resolve, reject) => {
      client.once('connect', resolve);
      client.once('error', reject);
    }),
    'CONNACK',
  );
  return client;
}

const publish = (client, topic, bytes) => client.publishAsync(topic, Buffer.from(bytes), { qos: 1 });
const onWire = ({ header, body }) => s.cat(s.u8(header), body);
const offWire = (payload) => ({ header: payload[0], body: payload.slice(1) });

/** Everything that passes the broker, to look for the text. */
async function watcher(port, version) {
  const seen = [];
  const client = await connect(port, version, `watcher-${version}`, (topic, payload) =>
    seen.push(`${topic} ${Buffer.from(payload).toString('latin1')}`),
  );
  await client.subscribeAsync('#', { qos: 0 });
  return { seen, client };
}

function nothingPlain(seen, what) {
  const bytes = Buffer.from(TEXT).toString('latin1');
  assert.ok(seen.length >= 4, `${what}: the watcher saw the handshake`);
  assert.ok(!seen.some((line) => line.includes(bytes)), `${what}: the text stood on the wire`);
}

// The client of this implementation, `smqtt sub` as the server.
async function clientHere(port, version, suite) {
  const id = join(dir, `server-${port}-${version}-${suite}.id`);
  const clientId = `js-${version}-${suite}`;
  assert.equal((await smqtt('id', 'new', 'server', '-o', id, '--suite', suite)).code, 0);
  const flags = ['-h', '127.0.0.1', '-p', port, '-t', 'js/#', '-F', '%Z %t %p', '-C', '1', '--progress'];
  const server = run(tool, 'sub', ...flags, '--identity', id, '--tunnel', '-V', version === 5 ? '5' : '311');
  await server.saw(/registered as server \(tunnel\)[\s\S]*subscribed|subscribed[\s\S]*registered as server \(tunnel\)/);
  const descriptor = s.publicLineRead(readFileSync(id.replace(/id$/, 'pub'), 'utf8').trim());
  const identity = s.identityNew({ suite, name: 'js device' });
  const payload = Buffer.from(TEXT);
  const c = new s.Client({ server: descriptor, identity, clientId, topic: 'js/1', isText: true, payload });
  let open;
  let receipt;
  const opened = new Promise((resolve) => (open = resolve));
  const confirmed = new Promise((resolve) => (receipt = resolve));
  const step0 = c.start();
  const mine = s.serverToClientTopic(descriptor.skid, c.cid);
  const client = await connect(port, version, clientId, (topic, bytes) => {
    if (topic === `smqtt1/${s.toHex(descriptor.skid)}/d`) {
      assert.deepEqual(bytes, descriptor.bytes, 'the retained descriptor');
    } else if (bytes[0] >= 0x80) {
      const got = c.session.open(bytes, topic);
      assert.ok(got.isReceipts);
      receipt(s.receiptsRead(got.payload)[0]);
    } else {
      const r = c.take(offWire(bytes));
      if (r.packet) publish(client, s.clientToServerTopic(descriptor.skid, c.cid), onWire(r.packet));
      if (r.event === 'open') open();
    }
  });
  await client.subscribeAsync([mine, `smqtt1/${s.toHex(descriptor.skid)}/d`], { qos: 1 });
  await publish(client, s.clientToServerTopic(descriptor.skid, c.cid), onWire(step0));
  await within(opened, 'the session of the client is open');
  await publish(client, 'js/1', c.session.seal({ topic: 'js/1', payload, isText: true, wantReceipt: true }));
  const entry = await within(confirmed, 'the receipt');
  assert.deepEqual([entry.status, entry.flag], [s.STATUS.OK, 1]);
  assert.equal(await within(server.ended, 'smqtt sub ends'), 0, server.err);
  assert.equal(server.out, `PEER js/1 ${TEXT}\n`);
  await client.endAsync();
}

/** The session whose key opens a record. */
function openAny(sessions, bytes, topic) {
  for (const session of sessions) {
    try {
      return { session, got: session.open(bytes, topic) };
    } catch (e) {
      if (e.kind !== 'UNKNOWN') throw e;
    }
  }
  throw new Error(`no session knows the record on ${topic}`);
}

// The server of this implementation, `smqtt pub` as the client.
async function serverHere(port, version, suite) {
  const identity = s.identityNew({ suite, name: 'js server' });
  const pub = join(dir, `js-${port}-${version}-${suite}.pub`);
  writeFileSync(pub, `${s.publicLineWrite(identity)}\n`);
  const server = new s.Server({ identity });
  const sessions = [];
  const delivered = [];
  const own = `smqtt1/${s.toHex(identity.skid)}`;
  const client = await connect(port, version, `js-server-${version}-${suite}`, (topic, bytes) => {
    if (topic.startsWith(`${own}/c/`)) {
      const r = server.take(offWire(bytes), { tunnel: true });
      if (r.session) sessions.push(r.session);
      if (r.packet) publish(client, topic.replace('/c/', '/s/'), onWire(r.packet));
      return;
    }
    const { session, got } = openAny(sessions, bytes, topic);
    delivered.push(Buffer.from(got.payload).toString());
    const about = session.receipt(identity.skid, [{ kid: got.kid, seq: got.seq, status: got.status, flag: got.flag }]);
    publish(client, about.topic, about.payload);
  });
  await client.subscribeAsync([`${own}/c/+`, 'c/#'], { qos: 1 });
  await client.publishAsync(`${own}/d`, Buffer.from(identity.bytes), { qos: 1, retain: true });
  const flags = ['-h', '127.0.0.1', '-p', port, '--to', pub, '--tunnel', '-V', version === 5 ? '5' : '311'];
  const r = await smqtt('pub', ...flags, '-t', 'c/1', '-m', TEXT);
  assert.equal(r.code, 0, r.err);
  const d = await smqtt('detect', ...flags, '-t', 'c/2', '-m', TEXT);
  assert.equal(d.code, 0, d.out + d.err);
  assert.deepEqual(delivered, [TEXT, TEXT]);
  await client.endAsync();
}

async function through(name, port, versions) {
  const watch = await watcher(port, versions[0]);
  for (const version of versions) {
    for (const suite of ['x25519', 'p256']) {
      await clientHere(port, version, suite);
      await serverHere(port, version, suite);
      console.log(`ok ${name}, MQTT ${version === 5 ? '5.0' : '3.1.1'}, ${suite}`);
    }
  }
  nothingPlain(watch.seen, name);
  await watch.client.endAsync();
}

const broker = aedes();
const listener = createServer(broker.handle);
await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
await through('aedes', listener.address().port, [4]);
if (smqttd) {
  const daemon = run(smqttd, '-p', '0');
  const [, port] = await daemon.saw(/Opening ipv4 listen socket on port (\d+)/);
  await through('smqttd', Number(port), [4, 5]);
  daemon.stop();
}
process.exit(0);

// SPDX-License-Identifier: Apache-2.0
// MQTT.js against smqttd: QoS 0, 1 and 2, retained messages, wills and kept sessions, in MQTT 3.1.1 and 5.0.
// Usage: node e2e_mqttjs.mjs SMQTTD
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import mqtt from 'mqtt';

const PATIENCE_MS = 5000;
const [program] = process.argv.slice(2);
if (!program) {
  console.error('Usage: node e2e_mqttjs.mjs SMQTTD');
  process.exit(2);
}

function within(promise, what, ms = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`after ${ms} ms still not: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function startBroker() {
  const child = spawn(program, ['-p', '0'], { stdio: ['ignore', 'pipe', 'pipe'] });
  process.on('exit', () => child.kill('SIGKILL'));
  const broker = { child, log: '' };
  broker.port = await within(
    new Promise((resolve, reject) => {
      const take = (data) => {
        broker.log += data;
        const found = broker.log.match(/Opening ipv4 listen socket on port (\d+)/);
        if (found) resolve(Number(found[1]));
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      child.once('exit', (code) => reject(new Error(`the broker ended with ${code}: ${broker.log}`)));
    }),
    'the broker listens',
  );
  return broker;
}

// A client that is connected; its messages wait in a queue.
async function connect(port, protocolVersion, options = {}) {
  const client = mqtt.connect({ host: '127.0.0.1', port, protocolVersion, reconnectPeriod: 0, ...options });
  const inbox = [];
  const waiting = [];
  client.on('message', (topic, payload, packet) => {
    const message = { topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain };
    if (waiting.length) waiting.shift()(message);
    else inbox.push(message);
  });
  client.receive = () =>
    inbox.length
      ? Promise.resolve(inbox.shift())
      : within(new Promise((resolve) => waiting.push(resolve)), 'a message');
  client.expectNothing = async (ms = 150) => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    assert.deepEqual(inbox, []);
  };
  const refused = once(client, 'error').then(([error]) => Promise.reject(error));
  const [connack] = await within(Promise.race([once(client, 'connect'), refused]), 'CONNACK');
  refused.catch(() => {});
  client.sessionPresent = connack.sessionPresent;
  return client;
}

async function publishes(port, version) {
  for (const other of [4, 5]) {
    const pub = await connect(port, version);
    const sub = await connect(port, other);
    for (const limit of [0, 1, 2]) {
      const filter = `js/${version}/${other}/${limit}/+`;
      const [granted] = await sub.subscribeAsync(filter, { qos: limit });
      assert.equal(granted.qos, limit);
      for (const qos of [0, 1, 2]) {
        const topic = filter.replace('+', `${qos}`);
        await within(pub.publishAsync(topic, 'あいうえお', { qos }), 'the confirmation');
        assert.deepEqual(await sub.receive(), {
          topic,
          payload: 'あいうえお',
          qos: Math.min(qos, limit),
          retain: false,
        });
      }
      await sub.unsubscribeAsync(filter);
    }
    await pub.publishAsync(`js/${version}/${other}/0/0`, 'unsubscribed', { qos: 1 });
    await sub.expectNothing();
    await Promise.all([pub.endAsync(), sub.endAsync()]);
  }
}

async function retains(port, version) {
  const pub = await connect(port, version);
  for (const qos of [0, 1, 2]) {
    const topic = `kept/${version}/${qos}`;
    await pub.publishAsync(topic, 'old', { qos, retain: true });
    await pub.publishAsync(topic, 'new', { qos, retain: true });
    // QoS 0 is not confirmed: what comes back behind it is.
    await pub.publishAsync('flush', '', { qos: 1 });
    const sub = await connect(port, version);
    await sub.subscribeAsync(topic, { qos: 2 });
    assert.deepEqual(await sub.receive(), { topic, payload: 'new', qos, retain: true });
    await pub.publishAsync(topic, '', { qos, retain: true });
    assert.deepEqual(await sub.receive(), { topic, payload: '', qos, retain: false });
    await sub.unsubscribeAsync(topic);
    await sub.subscribeAsync(topic, { qos: 2 });
    await sub.expectNothing();
    await sub.endAsync();
  }
  await pub.endAsync();
}

async function wills(port, version) {
  const sub = await connect(port, 9 - version);
  await sub.subscribeAsync('will/#', { qos: 2 });
  for (const qos of [0, 1, 2]) {
    const will = { topic: `will/${version}`, payload: Buffer.from(`gone ${qos}`), qos, retain: false };
    const orderly = await connect(port, version, { will });
    await orderly.endAsync();
    await sub.expectNothing();
    const abrupt = await connect(port, version, { will });
    abrupt.stream.destroy();
    assert.deepEqual(await sub.receive(), { topic: will.topic, payload: `gone ${qos}`, qos, retain: false });
  }
  await sub.endAsync();
}

async function sessions(port, version) {
  const options = { clientId: `js-kept-${version}`, clean: false };
  if (version === 5) options.properties = { sessionExpiryInterval: 100 };
  const before = await connect(port, version, options);
  assert.equal(before.sessionPresent, false);
  await before.subscribeAsync('absent/#', { qos: 2 });
  await before.endAsync();
  const pub = await connect(port, version);
  for (const qos of [1, 2]) {
    await pub.publishAsync(`absent/${qos}`, 'queued', { qos });
  }
  await pub.endAsync();
  const after = await connect(port, version, options);
  assert.equal(after.sessionPresent, true);
  const got = [await after.receive(), await after.receive()].sort((a, b) => a.qos - b.qos);
  assert.deepEqual(
    got.map((m) => [m.topic, m.qos]),
    [
      ['absent/1', 1],
      ['absent/2', 2],
    ],
  );
  await after.endAsync();
}

async function properties(port) {
  const sub = await connect(port, 5);
  const pub = await connect(port, 5);
  const sent = {
    contentType: 'text/plain',
    responseTopic: 're',
    correlationData: Buffer.from([0, 255]),
    payloadFormatIndicator: true,
    userProperties: { ключ: 'значение' },
  };
  await sub.subscribeAsync('props', { qos: 1, properties: { subscriptionIdentifier: 300 } });
  const arrived = once(sub, 'message');
  await pub.publishAsync('props', 'p', { qos: 1, properties: { ...sent, messageExpiryInterval: 50 } });
  const [, , packet] = await within(arrived, 'the message');
  for (const [name, value] of Object.entries(sent)) {
    assert.deepEqual(JSON.stringify(packet.properties[name]), JSON.stringify(value), name);
  }
  assert.equal(packet.properties.subscriptionIdentifier, 300);
  assert.ok(packet.properties.messageExpiryInterval <= 50);
  await Promise.all([pub.endAsync(), sub.endAsync()]);
}

const broker = await startBroker();
try {
  for (const version of [4, 5]) {
    for (const test of [publishes, retains, wills, sessions]) {
      await test(broker.port, version);
      console.log(`ok ${test.name}, version ${version}`);
    }
  }
  await properties(broker.port);
  console.log('ok properties');
  broker.child.removeAllListeners('exit');
  const ended = once(broker.child, 'exit');
  broker.child.kill('SIGTERM');
  assert.deepEqual(await within(ended, 'the broker ends'), [0, null]);
  process.exit(0);
} catch (error) {
  console.error(error);
  console.error(`--- output of the broker\n${broker.log.slice(-4000)}`);
  process.exit(1);
}

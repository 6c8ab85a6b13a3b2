// SPDX-License-Identifier: Apache-2.0
// The npm broker aedes on 127.0.0.1, for tests through brokers of others. Usage: node aedes_broker.mjs [PORT]
// Prints `listening on port N` when it takes connections; ends with SIGTERM.
import { createServer } from 'node:net';
import aedes from 'aedes';

const broker = aedes();
const server = createServer(broker.handle);
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  console.log(`listening on port ${server.address().port}`);
});
process.on('SIGTERM', () => process.exit(0));

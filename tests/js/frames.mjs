// SPDX-License-Identifier: Apache-2.0
// The pipe between interop.mjs and a session peer: frames `u32 length | type u8 | payload`; the length counts type and
// payload. Types: 1 DETECT (header u8 ‖ body), 2 PUBLISH (u16 topic length, topic, retain u8, payload), 3 EVENT (text,
// from the peer), 4 COMMAND (text, to the peer).
import { blob16, cat, Reader, text, u32, u8, utf8 } from './bytes.mjs';

export const FRAME = { DETECT: 1, PUBLISH: 2, EVENT: 3, COMMAND: 4 };
const LONGEST = 1 << 20;

/** The bytes of a frame. */
export const frameWrite = (type, payload) => cat(u32(payload.length + 1), u8(type), payload);

export const detectWrite = ({ header, body }) => frameWrite(FRAME.DETECT, cat(header, body));
export const detectRead = (payload) => ({ header: payload[0], body: payload.slice(1) });

export const publishWrite = ({ topic, retain = false, payload }) =>
  frameWrite(FRAME.PUBLISH, cat(blob16(utf8(topic)), retain ? 1 : 0, payload));

export function publishRead(bytes) {
  const r = new Reader(bytes);
  return { topic: text(r.blob16()), retain: r.u8() === 1, payload: r.rest() };
}

/** A line `verb name=value …` of an EVENT or a COMMAND. */
export function lineRead(payload) {
  const [verb, ...words] = text(payload).trim().split(' ');
  const out = { verb };
  for (const word of words) {
    const at = word.indexOf('=');
    if (at > 0) out[word.slice(0, at)] = word.slice(at + 1);
  }
  return out;
}

export const lineWrite = (type, verb, fields = {}) =>
  frameWrite(type, utf8([verb, ...Object.entries(fields).map(([k, v]) => `${k}=${v}`)].join(' ')));

/** Cuts a stream of bytes into frames and gives each to `take(type, payload)`. */
export function frameSplitter(take) {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4) {
      const length = rest.readUInt32BE(0);
      if (length < 1 || length > LONGEST) throw new Error(`a frame of ${length} bytes`);
      if (rest.length < 4 + length) return;
      take(rest[4], Uint8Array.from(rest.subarray(5, 4 + length)));
      rest = rest.subarray(4 + length);
    }
  };
}

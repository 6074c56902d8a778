/**
 * Texts that come again and again (topic names, topic ids, client ids) are decoded once. A call into Node to decode ten
 * characters costs more than all the rest of a small request's decoding; finding them here is a short loop. And since
 * the same string object comes back, maps keyed by it need not hash it again.
 *
 * The tables are direct-mapped: a text has one place, whatever was there before is forgotten. So their size is fixed,
 * whatever peers send, and a collision costs a decode, nothing else.
 */

/** Longer texts are not looked up. */
const LONGEST = 40
const SLOTS = 1024
const PRIME = 0x01000193

const texts: string[] = new Array(SLOTS).fill('')

const spread = (hash: number) => (hash ^ (hash >>> 13)) & (SLOTS - 1)

/** The UTF-8 text in `buffer` from `start` to `end`. */
export function textAt(buffer: Buffer, start: number, end: number): string {
  const length = end - start
  if (length > LONGEST) return buffer.toString('utf8', start, end)
  let hash = length
  let all = 0
  for (let i = start; i < end; i++) {
    const byte = buffer[i]!
    all |= byte
    hash = Math.imul(hash ^ byte, PRIME)
  }
  if (all >= 0x80) return buffer.toString('utf8', start, end)
  const slot = spread(hash)
  const known = texts[slot]!
  if (known.length === length && isAsciiAt(known, buffer, start)) return known
  return (texts[slot] = buffer.toString('latin1', start, end))
}

function isAsciiAt(text: string, buffer: Buffer, start: number): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) !== buffer[start + i]) return false
  }
  return true
}

const UUID_BYTES = 16

/** The id in slot n has its bytes at n × 16. An empty slot has the text '', which no id has. */
interface UuidTable {
  readonly texts: string[]
  readonly bytes: Buffer
}

const uuidTable = (): UuidTable => ({
  texts: new Array(SLOTS).fill(''),
  bytes: Buffer.alloc(SLOTS * UUID_BYTES),
})
const byBytes = uuidTable()
const byText = uuidTable()

/** Where the last id was found: requests that follow each other are often for one topic. */
let lastRead = 0
let lastWritten = 0

/** The 16 bytes at `start` as 22 characters of URL-safe base64. */
export function uuidAt(buffer: Buffer, start: number): string {
  const last = byBytes.texts[lastRead]!
  if (last !== '' && isSame(byBytes.bytes, lastRead * UUID_BYTES, buffer, start)) return last
  let hash = 0
  for (let i = start; i < start + UUID_BYTES; i++) hash = Math.imul(hash ^ buffer[i]!, PRIME)
  const slot = spread(hash)
  lastRead = slot
  const known = byBytes.texts[slot]!
  const at = slot * UUID_BYTES
  if (known !== '' && isSame(byBytes.bytes, at, buffer, start)) return known
  copy(byBytes.bytes, at, buffer, start)
  return (byBytes.texts[slot] = buffer.toString('base64url', start, start + UUID_BYTES))
}

/** Writes the 16 bytes of a UUID's text at `start`; false, with nothing certain there, if the text is no UUID. */
export function putUuid(buffer: Buffer, start: number, text: string): boolean {
  if (text === byText.texts[lastWritten] && text !== '') {
    copy(buffer, start, byText.bytes, lastWritten * UUID_BYTES)
    return true
  }
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), PRIME)
  const slot = spread(hash)
  lastWritten = slot
  const at = slot * UUID_BYTES
  if (byText.texts[slot] !== text || text === '') {
    if (buffer.write(text, start, UUID_BYTES, 'base64url') !== UUID_BYTES) return false
    byText.texts[slot] = text
    copy(byText.bytes, at, buffer, start)
    return true
  }
  copy(buffer, start, byText.bytes, at)
  return true
}

function isSame(a: Buffer, aStart: number, b: Buffer, bStart: number): boolean {
  for (let i = 0; i < UUID_BYTES; i++) if (a[aStart + i] !== b[bStart + i]) return false
  return true
}

function copy(to: Buffer, toStart: number, from: Buffer, fromStart: number): void {
  for (let i = 0; i < UUID_BYTES; i++) to[toStart + i] = from[fromStart + i]!
}

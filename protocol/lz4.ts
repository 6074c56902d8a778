/**
 * Unpacks an LZ4 frame into a buffer that is there already.
 *
 * The native library gives each result memory of its own; for batches of 100 KiB the page faults of that memory cost
 * several times what the decompression does (bench/BASELINE.md). A broker that only checks the records and forgets them
 * needs none of it. Frames with checksums of their own are left to the library.
 *
 *   block     sequences of: token | [more literal length] | literals | distance 2 (little-endian) | [more match length]
 *   token     high half: literals, low half: match length - 4; 15 means that more bytes follow, until one is not 255
 *   the last sequence ends behind its literals
 */
import { MalformedError } from './buffer.ts'
import { LZ4_UNCOMPRESSED, lz4Header } from './decompressed-size.ts'

/** Runs up to this long are copied byte by byte: a call costs more. */
const SHORT = 24

/** Whether `unpackLz4` can read this frame. @throws MalformedError when it is none */
export function canUnpackLz4(frame: Buffer): boolean {
  const { blockChecksum, contentChecksum } = lz4Header(frame)
  return blockChecksum === 0 && contentChecksum === 0
}

/**
 * Unpacks a frame whose structure was checked (lz4Size), without checksums, to the start of `into`; returns the number
 * of bytes. @throws MalformedError for what is no LZ4 or does not fit
 */
export function unpackLz4(frame: Buffer, into: Buffer): number {
  const { blocksStart, blockMax } = lz4Header(frame)
  let p = blocksStart
  let written = 0
  for (;;) {
    const word = frame.readUInt32LE(p)
    p += 4
    if (word === 0) return written
    const size = word & 0x7fffffff
    if (word >= LZ4_UNCOMPRESSED) {
      if (size > into.length - written) throw new MalformedError('LZ4 frame larger than it said')
      written += frame.copy(into, written, p, p + size)
    } else {
      const end = Math.min(into.length, written + blockMax)
      written = unpackBlock(frame, p, p + size, into, written, end)
    }
    p += size
  }
}

/** Unpacks one block to `into[at, atEnd)`; returns where it ended. Matches reach back to the start of the block only. */
function unpackBlock(
  from: Buffer,
  start: number,
  end: number,
  into: Buffer,
  at: number,
  atEnd: number,
): number {
  const blockStart = at
  let p = start
  while (p < end) {
    const token = from[p++]!
    let literals = token >> 4
    if (literals === 15) {
      let more = 255
      while (more === 255 && p < end) literals += more = from[p++]!
    }
    if (literals > end - p || literals > atEnd - at) throw overrun(start)
    if (literals <= SHORT) {
      for (const stop = p + literals; p < stop; ) into[at++] = from[p++]!
    } else {
      from.copy(into, at, p, p + literals)
      at += literals
      p += literals
    }
    if (p === end) return at
    if (end - p < 2) throw overrun(start)
    const distance = from[p]! | (from[p + 1]! << 8)
    p += 2
    let match = token & 0x0f
    if (match === 15) {
      let more = 255
      while (more === 255 && p < end) match += more = from[p++]!
    }
    match += 4
    if (distance === 0 || distance > at - blockStart || match > atEnd - at) throw overrun(start)
    if (distance >= match && match > SHORT)
      into.copyWithin(at, at - distance, at - distance + match)
    else for (let i = 0; i < match; i++) into[at + i] = into[at + i - distance]!
    at += match
  }
  return at
}

function overrun(start: number): MalformedError {
  return new MalformedError(`LZ4 block at ${start} goes beyond its bounds`)
}

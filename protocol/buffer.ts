/**
 * Reading and writing Kafka's primitive types: big-endian integers, zig-zag varints, strings, bytes, UUIDs.
 *
 * `Reader` checks every length against what is left, because its bytes come from the network or a disk: a read past
 * the end throws `MalformedError`, never a RangeError from deep inside Node. `Writer` grows by doubling.
 *
 * 64-bit fields are `number` (decision 1): reads above 2^53 lose low bits but still compare correctly; writes above
 * 2^53 assert unless the value is exactly representable (Long.MAX_VALUE, which Kafka uses as a default, is written
 * as itself).
 */
import assert from 'node:assert/strict'
import { putUuid, textAt, uuidAt } from './text-cache.ts'

/** The bytes do not follow the format. Never an assertion: peers and disks may send anything. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError'
}

/** Kafka's Long.MAX_VALUE as the nearest number (2^63). */
export const INT64_MAX = 2 ** 63

const TWO_32 = 4294967296

export class Reader {
  readonly buffer: Buffer
  position: number
  readonly end: number
  /** Array items that were announced so far; see MAX_ITEMS in compile.ts. */
  items = 0

  /** Reads `buffer` from `position` (inclusive) to `end` (exclusive). */
  constructor(buffer: Buffer, position = 0, end = buffer.length) {
    this.buffer = buffer
    this.position = position
    this.end = end
  }

  get remaining(): number {
    return this.end - this.position
  }

  /** Moves over `length` bytes and returns where they start. */
  skip(length: number): number {
    const start = this.position
    if (length < 0 || length > this.end - start) {
      throw new MalformedError(`need ${length} bytes at ${start}, ${this.end - start} left`)
    }
    this.position = start + length
    return start
  }

  int8(): number {
    return this.buffer.readInt8(this.skip(1))
  }

  boolean(): boolean {
    return this.int8() !== 0
  }

  int16(): number {
    const p = this.skip(2)
    return ((this.buffer[p]! << 24) >> 16) | this.buffer[p + 1]!
  }

  uint16(): number {
    const p = this.skip(2)
    return (this.buffer[p]! << 8) | this.buffer[p + 1]!
  }

  int32(): number {
    const p = this.skip(4)
    const b = this.buffer
    return (b[p]! << 24) | (b[p + 1]! << 16) | (b[p + 2]! << 8) | b[p + 3]!
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  int64(): number {
    const high = this.int32()
    return high * TWO_32 + this.uint32()
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.skip(8))
  }

  /** Unsigned varint of at most 32 bits (compact lengths, tags). */
  uvarint(): number {
    const first = this.position < this.end ? this.buffer[this.position]! : 0x80
    if (first < 0x80) {
      this.position += 1
      return first
    }
    let result = 0
    for (let shift = 0; shift <= 28; shift += 7) {
      const byte = this.buffer[this.skip(1)]!
      result |= (byte & 0x7f) << shift
      if (byte < 0x80) return result >>> 0
    }
    throw new MalformedError('varint longer than 5 bytes')
  }

  /** Zig-zag varint of at most 32 bits. */
  varint(): number {
    const raw = this.uvarint()
    return (raw >>> 1) ^ -(raw & 1)
  }

  /** Zig-zag varint of at most 64 bits. */
  varlong(): number {
    let low = 0
    let high = 0
    for (let shift = 0; shift <= 63; shift += 7) {
      const byte = this.buffer[this.skip(1)]!
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else high |= bits << (shift - 32)
      if (byte < 0x80) {
        const negative = (low & 1) === 1
        const magnitude = (high >>> 1) * TWO_32 + (((low >>> 1) | ((high & 1) << 31)) >>> 0)
        return negative ? -magnitude - 1 : magnitude
      }
    }
    throw new MalformedError('varlong longer than 10 bytes')
  }

  /** UTF-8 text of `length` bytes. */
  text(length: number): string {
    const start = this.skip(length)
    return textAt(this.buffer, start, this.position)
  }

  /** A view (not a copy) of the next `length` bytes. */
  view(length: number): Buffer {
    const start = this.skip(length)
    return this.buffer.subarray(start, this.position)
  }

  /** UUID in Kafka's text form: 22 characters of URL-safe base64. */
  uuid(): string {
    const start = this.skip(16)
    return uuidAt(this.buffer, start)
  }
}

/** The all-zero UUID in Kafka's text form: "no id". */
export const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA'

/** Byte fields of at least this size are gathered (sent from where they lie), smaller ones copied. */
const GATHER_FROM_BYTES = 2048

export class Writer {
  buffer: Buffer
  position = 0
  /** Bytes that were gathered by reference and are not part of `position`. */
  gatheredBytes = 0
  private readonly gathers: boolean
  private readonly gathered: { at: number; bytes: Buffer }[] = []

  /** A gathering writer keeps references to large byte fields instead of copying them; read it with `chunks`. */
  constructor(capacity = 256, gathers = false) {
    this.buffer = Buffer.allocUnsafe(capacity)
    this.gathers = gathers
  }

  /** What has been written so far, without what was gathered; a view that the next write may invalidate. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.position)
  }

  /** All that was written, in order, gathered bytes included. */
  chunks(): Buffer[] {
    const chunks: Buffer[] = []
    let from = 0
    for (const { at, bytes } of this.gathered) {
      if (at > from) chunks.push(this.buffer.subarray(from, at))
      chunks.push(bytes)
      from = at
    }
    if (this.position > from) chunks.push(this.buffer.subarray(from, this.position))
    return chunks
  }

  /** Makes room for `length` bytes and returns where they start; the position moves behind them. */
  reserve(length: number): number {
    const start = this.position
    const needed = start + length
    if (needed > this.buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2))
      this.buffer.copy(grown, 0, 0, start)
      this.buffer = grown
    }
    this.position = needed
    return start
  }

  int8(value: number): void {
    const p = this.reserve(1)
    this.buffer[p] = value
  }

  boolean(value: boolean): void {
    this.int8(value ? 1 : 0)
  }

  int16(value: number): void {
    const p = this.reserve(2)
    this.buffer[p] = value >> 8
    this.buffer[p + 1] = value
  }

  uint16(value: number): void {
    this.int16(value)
  }

  int32(value: number): void {
    const p = this.reserve(4)
    const b = this.buffer
    b[p] = value >> 24
    b[p + 1] = value >> 16
    b[p + 2] = value >> 8
    b[p + 3] = value
  }

  uint32(value: number): void {
    this.int32(value | 0)
  }

  int64(value: number): void {
    if (value >= INT64_MAX) {
      this.int32(0x7fffffff)
      this.int32(-1)
      return
    }
    // The message is made only when needed: formatting costs several times as much as writing.
    if (!Number.isInteger(value) || value < -INT64_MAX) assert.fail(`no 64-bit integer: ${value}`)
    const high = Math.floor(value / TWO_32)
    this.int32(high)
    this.int32((value - high * TWO_32) | 0)
  }

  float64(value: number): void {
    const p = this.reserve(8)
    this.buffer.writeDoubleBE(value, p)
  }

  uvarint(value: number): void {
    if (value < 0) assert.fail(`negative unsigned varint ${value}`)
    while (value >= 0x80) {
      this.int8((value & 0x7f) | 0x80)
      value >>>= 7
    }
    this.int8(value)
  }

  varint(value: number): void {
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0)
  }

  varlong(value: number): void {
    if (!Number.isSafeInteger(value)) assert.fail(`not a safe integer: ${value}`)
    // Zig-zag without 64-bit arithmetic: 2v for v >= 0, 2|v| - 1 for v < 0.
    let rest = value >= 0 ? value : -value - 1
    const low7 = (rest % 64) * 2 + (value >= 0 ? 0 : 1)
    rest = Math.floor(rest / 64)
    this.int8(rest > 0 ? low7 | 0x80 : low7)
    while (rest > 0) {
      const bits = rest % 128
      rest = Math.floor(rest / 128)
      this.int8(rest > 0 ? bits | 0x80 : bits)
    }
  }

  /** ASCII text without a length; false, and nothing written, if there is anything else in it. */
  ascii(value: string): boolean {
    const length = value.length
    const start = this.reserve(length)
    for (let i = 0; i < length; i++) {
      const unit = value.charCodeAt(i)
      if (unit >= 0x80) {
        this.position = start
        return false
      }
      this.buffer[start + i] = unit
    }
    return true
  }

  /** UTF-8 bytes without a length. */
  text(value: string): void {
    const length = Buffer.byteLength(value, 'utf8')
    const p = this.reserve(length)
    this.buffer.write(value, p, length, 'utf8')
  }

  raw(bytes: Buffer): void {
    if (this.gathers && bytes.length >= GATHER_FROM_BYTES) {
      this.gathered.push({ at: this.position, bytes })
      this.gatheredBytes += bytes.length
      return
    }
    const p = this.reserve(bytes.length)
    this.buffer.set(bytes, p)
  }

  uuid(value: string): void {
    const p = this.reserve(16)
    if (!putUuid(this.buffer, p, value)) assert.fail(`not a UUID: ${value}`)
  }
}

/**
 * The records inside a batch, after decompression. Every number is a zig-zag varint:
 *
 *   length          bytes of the rest of this record
 *   attributes      one byte, unused
 *   timestampDelta  from the batch's baseTimestamp, 64 bits
 *   offsetDelta     from the batch's baseOffset
 *   keyLength       -1: no key           key
 *   valueLength     -1: no value         value
 *   headerCount     then for each header: keyLength, key (UTF-8), valueLength (-1: null), value
 *
 * `RecordCursor` walks them without allocating: it says where things are. `decodeRecords` and `decodeBatch` make
 * objects, for clients, coordinators and tests; `encodeRecords` and `encodeBatch` are the way back.
 *
 * The bytes come from peers and disks: whatever does not add up throws MalformedError.
 */
import { MalformedError, Writer } from './buffer.ts'
import { type CodecName, codecs, compress, decompress } from './compression.ts'
import {
  type BatchHeader,
  baseOffset,
  baseTimestamp,
  buildBatch,
  codec,
  maxTimestamp,
  RECORD_BATCH_OVERHEAD,
  recordCount,
  sizeInBytes,
  timestampType,
} from './record-batch.ts'

/** Bytes of the smallest record, its length included: nothing in it but the seven one-byte fields. */
export const SMALLEST_RECORD = 7

const TWO_32 = 4294967296

/**
 * One pass over the records of a section. After `next()` has returned true the fields describe the current record;
 * positions are in the buffer given to `reset`. One cursor can be used again and again.
 *
 * A length below -1 means null, as -1 does: Kafka's readers take it so.
 */
export class RecordCursor {
  /** Where the current record starts (its length field) and ends. */
  start = 0
  end = 0
  timestampDelta = 0
  offsetDelta = 0
  keyStart = 0
  /** -1: no key. */
  keyLength = -1
  valueStart = 0
  /** -1: no value. */
  valueLength = -1
  headerCount = 0
  /** Position of the first header; `decodeHeaders` reads them. */
  headersStart = 0

  #buffer: Buffer = Buffer.alloc(0)
  #position = 0
  #sectionEnd = 0
  #left = 0

  /** Starts over with the `count` records in `buffer[start, end)`. */
  reset(buffer: Buffer, start: number, end: number, count: number): void {
    this.#buffer = buffer
    this.#position = start
    this.#sectionEnd = end
    this.#left = count
  }

  /** Moves to the next record. False when all have been seen; it is malformed if bytes are left then. */
  next(): boolean {
    if (this.#left <= 0) {
      const rest = this.#sectionEnd - this.#position
      if (rest !== 0) throw new MalformedError(`${rest} bytes behind the last record`)
      return false
    }
    this.#left--
    // Numbers of one and two bytes, nearly all of them, are read in place: a call for each doubles the cost.
    const b = this.#buffer
    const sectionEnd = this.#sectionEnd
    let p = this.#position
    let raw = 0
    let byte = 0
    this.start = p
    if (p < sectionEnd && (raw = b[p]!) < 0x80) p++
    else if (p + 1 < sectionEnd && (byte = b[p + 1]!) < 0x80) {
      raw = (raw & 0x7f) | (byte << 7)
      p += 2
    } else {
      raw = this.#longVarint(p, sectionEnd)
      p = this.#position
    }
    const length = (raw >>> 1) ^ -(raw & 1)
    const end = p + length
    if (length < SMALLEST_RECORD - 1 || end > sectionEnd) {
      throw new MalformedError(`record of ${length} bytes, ${sectionEnd - p} left`)
    }
    this.end = end
    p++
    if ((raw = b[p]!) < 0x80) {
      this.timestampDelta = (raw >>> 1) ^ -(raw & 1)
      p++
    } else {
      this.timestampDelta = this.#varlong(p, end)
      p = this.#position
    }
    if (p < end && (raw = b[p]!) < 0x80) p++
    else if (p + 1 < end && (byte = b[p + 1]!) < 0x80) {
      raw = (raw & 0x7f) | (byte << 7)
      p += 2
    } else {
      raw = this.#longVarint(p, end)
      p = this.#position
    }
    this.offsetDelta = (raw >>> 1) ^ -(raw & 1)
    if (p < end && (raw = b[p]!) < 0x80) p++
    else {
      raw = this.#longVarint(p, end)
      p = this.#position
    }
    raw = (raw >>> 1) ^ -(raw & 1)
    this.keyStart = p
    this.keyLength = raw < 0 ? -1 : raw
    if (raw > 0) p += raw
    if (p < end && (raw = b[p]!) < 0x80) p++
    else if (p + 1 < end && (byte = b[p + 1]!) < 0x80) {
      raw = (raw & 0x7f) | (byte << 7)
      p += 2
    } else {
      raw = this.#longVarint(p, end)
      p = this.#position
    }
    raw = (raw >>> 1) ^ -(raw & 1)
    this.valueStart = p
    this.valueLength = raw < 0 ? -1 : raw
    if (raw > 0) p += raw
    this.#position = p
    if (p + 1 === end && b[p] === 0) {
      this.headerCount = 0
      this.headersStart = this.#position = end
    } else this.#readHeaders(end)
    return true
  }

  #readHeaders(end: number): void {
    const count = this.#varint(end)
    this.headerCount = count
    this.headersStart = this.#position
    // A header takes two bytes at least, so the count is bounded before it is looped over.
    if (count < 0 || count > (end - this.#position) >> 1) {
      throw new MalformedError(`record with ${count} headers in ${end - this.#position} bytes`)
    }
    for (let i = 0; i < count; i++) {
      const keyLength = this.#varint(end)
      if (keyLength < 0) throw new MalformedError('record header without a key')
      this.#position += keyLength
      const valueLength = this.#varint(end)
      if (valueLength > 0) this.#position += valueLength
    }
    if (this.#position !== end) {
      throw new MalformedError('record length differs from what the record holds')
    }
  }

  #varint(end: number): number {
    const raw = this.#longVarint(this.#position, end)
    return (raw >>> 1) ^ -(raw & 1)
  }

  /** The varint at `p`, of at most 32 bits, not yet un-zig-zagged; leaves the position behind it. */
  #longVarint(p: number, end: number): number {
    const b = this.#buffer
    let raw = 0
    for (let shift = 0; ; shift += 7) {
      if (p >= end) throw tooShort()
      if (shift > 28) throw new MalformedError('varint longer than 5 bytes')
      const byte = b[p++]!
      raw |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    this.#position = p
    return raw
  }

  /** The zig-zag varint at `p`, of at most 64 bits; above 2^53 low bits are lost. Leaves the position behind it. */
  #varlong(p: number, end: number): number {
    const b = this.#buffer
    let low = 0
    let high = 0
    for (let shift = 0; ; shift += 7) {
      if (p >= end) throw tooShort()
      if (shift > 63) throw new MalformedError('varlong longer than 10 bytes')
      const byte = b[p++]!
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high = bits >>> 4
      } else high |= bits << (shift - 32)
      if (byte < 0x80) break
    }
    this.#position = p
    const magnitude = (high >>> 1) * TWO_32 + (((low >>> 1) | (high << 31)) >>> 0)
    return low & 1 ? -magnitude - 1 : magnitude
  }
}

function tooShort(): MalformedError {
  return new MalformedError('record ends too early')
}

export interface RecordHeader {
  readonly key: string
  readonly value: Buffer | null
}

/** A record as an application sees it. Buffers are views of the batch, or of its decompressed form. */
export interface DecodedRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

/** Position and meaning of a records section: what its batch header says about it. */
export interface RecordsSection {
  readonly buffer: Buffer
  readonly start: number
  readonly end: number
  readonly recordCount: number
  readonly baseOffset: number
  readonly baseTimestamp: number
  /** The time of all records where the log's time counts; null: each has its own. */
  readonly logAppendTimeMs: number | null
}

/** The records of an uncompressed section. */
export function decodeRecords(section: RecordsSection): DecodedRecord[] {
  const { buffer } = section
  const cursor = new RecordCursor()
  const records: DecodedRecord[] = []
  cursor.reset(buffer, section.start, section.end, section.recordCount)
  while (cursor.next()) {
    const { keyStart, keyLength, valueStart, valueLength } = cursor
    records.push({
      offset: section.baseOffset + cursor.offsetDelta,
      timestamp: section.logAppendTimeMs ?? section.baseTimestamp + cursor.timestampDelta,
      key: keyLength < 0 ? null : buffer.subarray(keyStart, keyStart + keyLength),
      value: valueLength < 0 ? null : buffer.subarray(valueStart, valueStart + valueLength),
      headers: cursor.headerCount === 0 ? [] : decodeHeaders(buffer, cursor),
    })
  }
  return records
}

/** The headers of the cursor's current record; the cursor has already checked every length in them. */
export function decodeHeaders(buffer: Buffer, cursor: RecordCursor): RecordHeader[] {
  const headers: RecordHeader[] = []
  let p = cursor.headersStart
  const varint = () => {
    let raw = 0
    for (let shift = 0; ; shift += 7) {
      const byte = buffer[p++]!
      raw |= (byte & 0x7f) << shift
      if (byte < 0x80) return (raw >>> 1) ^ -(raw & 1)
    }
  }
  for (let i = 0; i < cursor.headerCount; i++) {
    const keyLength = varint()
    const key = buffer.toString('utf8', p, p + keyLength)
    p += keyLength
    const valueLength = varint()
    headers.push({ key, value: valueLength < 0 ? null : buffer.subarray(p, p + valueLength) })
    if (valueLength > 0) p += valueLength
  }
  return headers
}

/**
 * The records of the whole batch at `position`, decompressed if need be to at most `maxBytes`. A promise only for a
 * codec that `isAsynchronous`. The checksum is not looked at.
 */
export function decodeBatch(
  buffer: Buffer,
  position: number,
  maxBytes: number,
): DecodedRecord[] | Promise<DecodedRecord[]> {
  const start = position + RECORD_BATCH_OVERHEAD
  const end = position + sizeInBytes(buffer, position)
  const count = recordCount(buffer, position)
  const section: RecordsSection = {
    buffer,
    start,
    end,
    recordCount: count,
    baseOffset: baseOffset(buffer, position),
    baseTimestamp: baseTimestamp(buffer, position),
    logAppendTimeMs:
      timestampType(buffer, position) === 'LogAppendTime' ? maxTimestamp(buffer, position) : null,
  }
  // A batch that compaction has emptied keeps its codec but has no compressed bytes.
  if (codec(buffer, position) === codecs.none || count === 0) return decodeRecords(section)
  const plain = decompress(codec(buffer, position), buffer.subarray(start, end), maxBytes)
  const decode = (bytes: Buffer) =>
    decodeRecords({ ...section, buffer: bytes, start: 0, end: bytes.length })
  return Buffer.isBuffer(plain) ? decode(plain) : plain.then(decode)
}

/** A record to be written; its offset follows from its place. */
export interface RecordInput {
  readonly timestamp: number
  readonly key?: Buffer | null
  readonly value?: Buffer | null
  readonly headers?: readonly RecordHeader[]
}

/** The records section, uncompressed, with offset deltas 0, 1, 2, … */
export function encodeRecords(records: readonly RecordInput[], baseTimestampMs: number): Buffer {
  const writer = new Writer(records.length * 64)
  for (const [index, record] of records.entries()) {
    writeRecord(writer, index, record.timestamp - baseTimestampMs, record)
  }
  return writer.bytes()
}

/** Appends one record to a records section that `writer` is collecting. */
export function writeRecord(
  writer: Writer,
  offsetDelta: number,
  timestampDelta: number,
  record: RecordInput,
): void {
  const { key = null, value = null, headers = [] } = record
  const texts = headers.map(header => Buffer.from(header.key, 'utf8'))
  let length = 1 + varintSize(timestampDelta) + varintSize(offsetDelta)
  length += fieldSize(key) + fieldSize(value) + varintSize(headers.length)
  for (const [i, header] of headers.entries())
    length += fieldSize(texts[i]!) + fieldSize(header.value)
  writer.varint(length)
  writer.int8(0)
  writer.varlong(timestampDelta)
  writer.varint(offsetDelta)
  writeField(writer, key)
  writeField(writer, value)
  writer.varint(headers.length)
  for (const [i, header] of headers.entries()) {
    writeField(writer, texts[i]!)
    writeField(writer, header.value)
  }
}

/** Bytes of a number as a zig-zag varint or varlong. */
export function varintSize(value: number): number {
  let rest = value >= 0 ? value : -value - 1
  let size = 1
  for (rest = Math.floor(rest / 64); rest > 0; rest = Math.floor(rest / 128)) size++
  return size
}

function fieldSize(bytes: Buffer | null): number {
  return bytes === null ? 1 : varintSize(bytes.length) + bytes.length
}

function writeField(writer: Writer, bytes: Buffer | null): void {
  writer.varint(bytes === null ? -1 : bytes.length)
  if (bytes !== null) writer.raw(bytes)
}

/** What to put in a batch header besides what the records say. */
export type BatchOptions = Omit<
  BatchHeader,
  'recordCount' | 'baseTimestamp' | 'maxTimestamp' | 'codec'
>

/** A batch of at least one record. A promise only for a codec that `isAsynchronous`. */
export function encodeBatch(
  records: readonly RecordInput[],
  codecName: CodecName = 'none',
  options: BatchOptions = {},
): Buffer | Promise<Buffer> {
  const first = records[0]?.timestamp ?? -1
  const header: BatchHeader = {
    ...options,
    recordCount: records.length,
    baseTimestamp: first,
    maxTimestamp: records.reduce((max, record) => Math.max(max, record.timestamp), -1),
    codec: codecs[codecName],
  }
  const section = encodeRecords(records, first)
  if (codecName === 'none') return buildBatch(header, section)
  const packed = compress(codecs[codecName], section)
  return Buffer.isBuffer(packed)
    ? buildBatch(header, packed)
    : packed.then(bytes => buildBatch(header, bytes))
}
